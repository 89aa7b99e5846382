//! Zip: every entry that any reader may find, and no byte that only some find.
//!
//! Readers differ: some go by the directory at the end, some from the front. So entries have to follow each other without
//! overlap or gap from the first byte to the directory, each once, under the same name in both places.

use std::{
    collections::HashSet,
    io::{self, BufReader, Read},
};

use zip::{ZipArchive, result::ZipError};

use super::{Inspection, fault_of_path, refused};
use crate::{
    kinds::Content,
    problems::{CONTENT, Refusal, TYPE},
    segments::Slice,
};

/// Behind an entry may stand a descriptor of its sizes (APPNOTE 4.3.9).
const DESCRIPTOR: u64 = 24;
/// The end of the directory without its comment (APPNOTE 4.3.16).
const END: usize = 22;
/// Of the method (APPNOTE 4.4.5): stored and deflated.
const METHODS: [u16; 2] = [0, 8];

/// A directory is read into memory, comments and all: so much of it for each entry that is taken, and so much at most.
const LARGEST_OF_AN_ENTRY: u64 = 512;
const LARGEST_DIRECTORY: u64 = 8 << 20;
/// Of an entry of the directory, without name, extra field and comment (APPNOTE 4.3.12).
const DIRECTORY_ENTRY: usize = 46;

type Opened = ZipArchive<BufReader<Slice>>;

pub(super) fn look(inspection: &mut Inspection<'_>, content: Content, file: &Slice, depth: u32) -> Result<(), Refusal> {
    let (count, directory, end_at) =
        end(file).map_err(|error| inspection.broken(&error))?.ok_or_else(|| broken(inspection))?;
    let largest = inspection.limits.entries.saturating_mul(LARGEST_OF_AN_ENTRY).min(LARGEST_DIRECTORY);
    if end_at - directory > largest {
        return refused(format!("Its directory has more than {largest} bytes."));
    }
    // Before the directory is read: each entry costs memory.
    if u64::from(count) + inspection.entries > inspection.limits.entries {
        return refused(format!("It has more than {} entries.", inspection.limits.entries));
    }
    let mut archive = ZipArchive::new(BufReader::new(file.anew())).map_err(|_| broken(inspection))?;
    if archive.len() != usize::from(count) || archive.offset() != 0 {
        return refused("It has entries of the same name, or something before its first entry.");
    }
    let names = layout(inspection, &mut archive, file, (directory, end_at))?;
    wanted(content, &mut archive, &names)?;
    if !inspection.active && names.iter().any(|name| name.to_ascii_lowercase().ends_with("vbaproject.bin")) {
        return Err(Refusal::new(CONTENT, "It has macros."));
    }
    for index in 0..archive.len() {
        inspection.count()?;
        let entry = archive.by_index(index).map_err(|_| broken(inspection))?;
        inspection.entry(entry, depth)?;
    }
    Ok(())
}

fn broken(inspection: &Inspection<'_>) -> Refusal {
    inspection.broken(&io::Error::other("not a plain zip file"))
}

/// How many entries the end of the directory names, and where the directory begins and ends. `None` when there is not exactly one
/// end, or when it is not the end of the file.
fn end(file: &Slice) -> io::Result<Option<(u16, u64, u64)>> {
    let tail = file.tail(END + usize::from(u16::MAX))?;
    let comment = |at: usize| Some(usize::from(u16::from_le_bytes([*tail.get(at + 20)?, *tail.get(at + 21)?])));
    let found: Vec<usize> = memchr::memmem::find_iter(&tail, b"PK\x05\x06").collect();
    let mut fitting =
        found.iter().copied().filter(|at| comment(*at).is_some_and(|length| at + END + length == tail.len()));
    // Some readers take the last one, others the first that fits: an inner archive has ends too, which do not fit.
    let (Some(at), None) = (fitting.next(), fitting.next()) else { return Ok(None) };
    let end = &tail[at..];
    let short = |from: usize| u16::from_le_bytes([end[from], end[from + 1]]);
    let long = |from: usize| u32::from(short(from)) | (u32::from(short(from + 2)) << 16);
    let fits = found.last() == Some(&at) && short(4) == 0 && short(8) == short(10);
    // The directory ends here: some readers find it by where it begins, others by its size.
    let end_at = file.len() - tail.len() as u64 + at as u64;
    let fits = fits && u64::from(long(16)) + u64::from(long(12)) == end_at;
    // Sizes over 4 GiB are told elsewhere (zip64), and are more than is taken.
    Ok((fits && short(10) < u16::MAX && long(16) < u32::MAX).then(|| (short(10), u64::from(long(16)), end_at)))
}

/// Sees that entries stand one behind the other; their names.
fn layout(
    inspection: &Inspection<'_>,
    archive: &mut Opened,
    file: &Slice,
    (directory, end_of_directory): (u64, u64),
) -> Result<Vec<String>, Refusal> {
    let (mut places, mut names, mut listed) = (Vec::new(), Vec::new(), 0);
    for index in 0..archive.len() {
        let entry = match archive.by_index_raw(index) {
            Ok(entry) if entry.encrypted() => return refused("It is encrypted."),
            Ok(entry) => entry,
            Err(ZipError::UnsupportedArchive(_)) => {
                return refused("It is encrypted, or of a method that is not read here.");
            }
            Err(_) => return Err(broken(inspection)),
        };
        let name = entry.name_raw().to_vec();
        if let Some(fault) = fault_of_path(&name) {
            return refused(fault);
        }
        let (start, data, central) = (entry.header_start(), entry.data_start(), entry.central_header_start());
        places.push((start, data.unwrap_or(start).saturating_add(entry.compressed_size())));
        let local = file.piece(start, 30 + name.len()).map_err(|error| Refusal::storage(&error))?;
        let short = |at: usize| local.get(at..at + 2).map(|two| u16::from_le_bytes([two[0], two[1]]));
        let same = short(26) == u16::try_from(name.len()).ok() && local.get(30..) == Some(&name);
        if !same
            || !short(8).is_some_and(|method| METHODS.contains(&method))
            || short(6).is_none_or(|flags| flags & 1 != 0)
        {
            return refused(
                "An entry says different things in two places, is encrypted, or of a method that is not read here.",
            );
        }
        listed += as_listed(file, central, short(8))?;
        names.push(String::from_utf8_lossy(&name).into_owned());
    }
    if directory + listed != end_of_directory {
        return refused("Its directory has more than its entries.");
    }
    places.sort_unstable();
    let mut at = 0;
    for (start, end) in places.iter().copied().chain([(directory, directory)]) {
        if start < at {
            return refused("Its entries lie over each other.");
        }
        if start - at > if at == 0 { 0 } else { DESCRIPTOR } {
            return refused("There is something between its entries.");
        }
        at = end;
    }
    // On systems that do not tell cases apart two names are one.
    let distinct: HashSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
    if distinct.len() < names.len() {
        return refused("It has entries of the same name.");
    }
    Ok(names)
}

/// Sees that the directory says of an entry what stands before it; the length of what it says. Links lead where nobody looks.
fn as_listed(file: &Slice, at: u64, method: Option<u16>) -> Result<u64, Refusal> {
    let entry = file.piece(at, DIRECTORY_ENTRY).map_err(|error| Refusal::storage(&error))?;
    let short = |from: usize| entry.get(from..from + 2).map_or(0, |two| u16::from_le_bytes([two[0], two[1]]));
    if method != Some(short(10)) {
        return refused("An entry says different things in two places.");
    }
    // The file's type on systems like Unix; others leave it zero (APPNOTE 4.4.15).
    if ![0, 0o100_000, 0o040_000].contains(&(short(40) & 0o170_000)) {
        return refused("It has an entry that is no file and no folder.");
    }
    Ok(DIRECTORY_ENTRY as u64 + u64::from(short(28)) + u64::from(short(30)) + u64::from(short(32)))
}

/// Sees that an office file is the one that its extension says.
fn wanted(content: Content, archive: &mut Opened, names: &[String]) -> Result<(), Refusal> {
    let other = || Err(Refusal::new(TYPE, "A file is named as an office file and is none of that kind."));
    match content {
        Content::ZipWith(entry) if !names.iter().any(|name| name == entry) => other(),
        Content::ZipOfType(wanted) => {
            let mut found = String::new();
            let read =
                archive.by_name("mimetype").ok().and_then(|entry| entry.take(200).read_to_string(&mut found).ok());
            if read.is_none() || found.trim() != wanted { other() } else { Ok(()) }
        }
        _ => Ok(()),
    }
}
