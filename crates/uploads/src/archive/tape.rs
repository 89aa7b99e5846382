//! Tar: files, folders, and links that stay inside.
//!
//! The reader keeps what stands before an entry in memory: long names (GNU), records (PAX), maps of sparse files. Each says
//! its own length, up to the whole archive. So it gets only so many bytes from one entry's end to the next one's beginning.

use std::{
    cell::Cell,
    io::{self, BufReader, Read},
};

use super::{Inspection, fault_of_path, refused};
use crate::{problems::Refusal, segments::Slice};

/// Enough for every name and record that systems have (`PATH_MAX` is 4096, attributes of files are up to 64 KiB).
const BETWEEN: u64 = 256 << 10;
/// Keys of PAX that a reader takes for every entry that follows (POSIX.1-2024, pax, "pax Header Block"): names and lengths
/// would differ from one reader to the next.
const FOR_ALL: [&[u8]; 4] = [b" path=", b" linkpath=", b" size=", b" GNU.sparse"];

/// Ends when there is more between two entries than there may be.
struct Guarded<'a, R> {
    reader: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Guarded<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left.get()).unwrap_or(usize::MAX).min(into.len());
        if room == 0 && !into.is_empty() {
            return Err(io::Error::other("too much between two entries"));
        }
        let read = self.reader.read(&mut into[..room])?;
        self.left.set(self.left.get() - read as u64);
        Ok(read)
    }
}

pub(super) fn look(inspection: &mut Inspection<'_>, file: &Slice, depth: u32) -> Result<(), Refusal> {
    let left = Cell::new(BETWEEN);
    let mut archive = tar::Archive::new(Guarded { reader: BufReader::new(file.anew()), left: &left });
    let entries = archive.entries().map_err(|error| inspection.broken(&error))?;
    for entry in entries {
        let entry = match entry {
            Err(_) if left.get() == 0 => {
                return refused(format!("It has a name, or records of an entry, of more than {BETWEEN} bytes."));
            }
            other => other.map_err(|error| inspection.broken(&error))?,
        };
        left.set(u64::MAX);
        inspection.count()?;
        one(inspection, entry, depth)?;
        left.set(BETWEEN);
    }
    Ok(())
}

fn one(inspection: &mut Inspection<'_>, mut entry: tar::Entry<'_, impl Read>, depth: u32) -> Result<(), Refusal> {
    let kind = entry.header().entry_type();
    if kind.is_pax_global_extensions() {
        // What `git archive` writes: a comment.
        let mut records = Vec::new();
        let read = entry.by_ref().take(BETWEEN).read_to_end(&mut records);
        read.map_err(|error| inspection.broken(&error))?;
        let renames = FOR_ALL.iter().any(|key| memchr::memmem::find(&records, key).is_some());
        if renames || records.len() as u64 >= BETWEEN {
            return refused("It has names or lengths that hold for all of its entries.");
        }
        return Ok(());
    }
    if let Some(fault) = fault_of_path(&entry.path_bytes()) {
        return refused(fault);
    }
    if kind.is_symlink() || kind.is_hard_link() {
        if entry.link_name_bytes().is_none_or(|target| fault_of_path(&target).is_some()) {
            return refused("It has a link that leads out of it.");
        }
    } else if !(kind.is_file() || kind.is_dir() || kind.is_contiguous()) {
        return refused("It has an entry that is no file, folder or link.");
    }
    inspection.entry(entry, depth)
}
