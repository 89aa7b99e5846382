//! Tar: files, folders, and links that stay inside.

use std::io::BufReader;

use super::{Inspection, refused, stays_inside};
use crate::{problems::Refusal, segments::Slice};

pub(super) fn look(inspection: &mut Inspection<'_>, file: &Slice, depth: u32) -> Result<(), Refusal> {
    let mut archive = tar::Archive::new(BufReader::new(file.anew()));
    let entries = archive.entries().map_err(|error| inspection.broken(&error))?;
    for entry in entries {
        let entry = entry.map_err(|error| inspection.broken(&error))?;
        inspection.count()?;
        if !stays_inside(&entry.path_bytes()) {
            return refused("It has a name that leads out of it.");
        }
        let kind = entry.header().entry_type();
        if kind.is_symlink() || kind.is_hard_link() {
            if !entry.link_name_bytes().is_some_and(|target| stays_inside(&target)) {
                return refused("It has a link that leads out of it.");
            }
        } else if !(kind.is_file() || kind.is_dir() || kind.is_contiguous()) {
            return refused("It has an entry that is no file, folder or link.");
        }
        inspection.entry(entry, depth)?;
    }
    Ok(())
}
