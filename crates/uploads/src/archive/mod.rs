//! Archives, unpacked under limits to see what is inside: how much it becomes, how deep it goes, where its names lead.
//!
//! Nothing that an archive says of itself is believed: bytes are counted as they come out. Blocking.

mod gzip;
mod tape;
mod zipped;

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
};

use crate::{
    kinds::Content,
    problems::{ARCHIVE, CONTENT, INFECTED, Refusal, SCANNER_DOWN},
    scanner::{Scanned, Scanner},
    segments::Slice,
    settings::ArchiveLimits,
};

/// Unpacked bytes that are fine whatever the ratio is.
const FREE: u64 = 1 << 20;
const HEAD: usize = 512;
/// Of a name in an archive, in bytes, with its folders; and how many of these.
const LONGEST_PATH: usize = 4096;
const DEEPEST_FOLDER: usize = 100;

/// Looks into one upload.
pub(crate) struct Inspection<'a> {
    limits: ArchiveLimits,
    /// Bytes that may still come out of it, and entries.
    left: u64,
    entries: u64,
    scanner: Option<&'a Scanner>,
    /// Where inner archives are unpacked to.
    folder: &'a Path,
    /// Whether macros are taken.
    active: bool,
    /// Why a reader of ours ended early.
    exceeded: bool,
}

/// What an entry of an archive is, as far as we can look into it.
enum Inner {
    Archive(Content),
    /// An archive of a kind that is not read here.
    Closed(&'static str),
    File,
}

impl<'a> Inspection<'a> {
    /// For an upload of so many bytes.
    pub(crate) fn new(
        limits: ArchiveLimits,
        packed: u64,
        scanner: Option<&'a Scanner>,
        folder: &'a Path,
        active: bool,
    ) -> Self {
        let left = limits.unpacked.0.min(limits.ratio.saturating_mul(packed).max(FREE));
        Self { limits, left, entries: 0, scanner, folder, active, exceeded: false }
    }

    /// Looks into an archive.
    pub(crate) fn look(&mut self, content: Content, file: &Slice, depth: u32) -> Result<(), Refusal> {
        match content {
            Content::Zip | Content::ZipWith(_) | Content::ZipOfType(_) => zipped::look(self, content, file, depth),
            Content::Gzip => gzip::look(self, file, depth),
            Content::Tar => tape::look(self, file, depth),
            _ => Ok(()),
        }
    }

    /// One more entry.
    fn count(&mut self) -> Result<(), Refusal> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return refused(format!("It has more than {} entries.", self.limits.entries));
        }
        Ok(())
    }

    /// The content of one entry.
    fn entry(&mut self, mut reader: impl Read, depth: u32) -> Result<(), Refusal> {
        let mut head = Vec::new();
        let read = Counted(&mut reader, self).take(HEAD as u64).read_to_end(&mut head);
        read.map_err(|error| self.broken(&error))?;
        match inner(&head) {
            Inner::Closed(what) => refused(format!("It holds an archive that cannot be looked into ({what}).")),
            Inner::Archive(_) if depth >= self.limits.depth => {
                refused(format!("It holds archives in archives, more than {} deep.", self.limits.depth))
            }
            Inner::Archive(content) => {
                let file = self.unpack(&head, reader)?;
                if let Some(scanner) = self.scanner {
                    scan(scanner, &mut file.anew())?;
                }
                self.look(content, &file, depth + 1)
            }
            Inner::File => match self.scanner {
                None => {
                    let copied = io::copy(&mut Counted(reader, self), &mut io::sink());
                    copied.map(drop).map_err(|error| self.broken(&error))
                }
                Some(scanner) => {
                    let said = scanner.scan(&mut io::Cursor::new(head).chain(Counted(reader, self)));
                    judge_scan(said.map_err(|error| self.broken(&error))?)
                }
            },
        }
    }

    /// An inner archive as a file, without a name.
    fn unpack(&mut self, head: &[u8], reader: impl Read) -> Result<Slice, Refusal> {
        let mut file = tempfile::tempfile_in(self.folder).map_err(|error| Refusal::storage(&error))?;
        file.write_all(head).map_err(|error| Refusal::storage(&error))?;
        let mut reader = Counted(reader, self);
        let mut piece = vec![0; 64 << 10];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => file.write_all(&piece[..read]).map_err(|error| Refusal::storage(&error))?,
                Err(error) => return Err(self.broken(&error)),
            }
        }
        let length = file.metadata().map_err(|error| Refusal::storage(&error))?.len();
        let file: Arc<File> = Arc::new(file);
        Ok(Slice::new(&file, 0..length))
    }

    fn broken(&self, error: &io::Error) -> Refusal {
        if self.exceeded {
            return Refusal::new(ARCHIVE, "It unpacks to more than is taken.");
        }
        tracing::debug!(%error, "an archive that is broken");
        Refusal::new(ARCHIVE, "It is broken, or of a method that is not read here.")
    }
}

/// Gives a file to the scanner; anything but "clean" is a refusal.
pub(crate) fn scan(scanner: &Scanner, content: &mut dyn Read) -> Result<(), Refusal> {
    judge_scan(scanner.scan(content).map_err(|error| Refusal::storage(&error))?)
}

fn judge_scan(said: Scanned) -> Result<(), Refusal> {
    match said {
        Scanned::Clean => Ok(()),
        Scanned::Infected(name) => Err(Refusal::new(INFECTED, format!("Found: {name}."))),
        Scanned::TooLarge(limit) => Err(Refusal::new(
            CONTENT,
            format!("It has a file of more than {limit} bytes, which the malware scanner does not read."),
        )),
        Scanned::Down(_) => Err(Refusal::new(SCANNER_DOWN, "")),
    }
}

fn refused<T>(detail: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(ARCHIVE, detail))
}

fn inner(head: &[u8]) -> Inner {
    let closed = [
        ("rar", &b"Rar!\x1a\x07"[..]),
        ("7z", b"7z\xbc\xaf\x27\x1c"),
        ("xz", b"\xfd7zXZ\0"),
        ("bzip2", b"BZh"),
        ("zstd", b"\x28\xb5\x2f\xfd"),
        ("cab", b"MSCF\0\0\0\0"),
    ];
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        Inner::Archive(Content::Zip)
    } else if head.starts_with(b"\x1f\x8b\x08") {
        Inner::Archive(Content::Gzip)
    } else if head.get(257..262) == Some(b"ustar") {
        Inner::Archive(Content::Tar)
    } else {
        closed.iter().find(|(_, magic)| head.starts_with(magic)).map_or(Inner::File, |(name, _)| Inner::Closed(name))
    }
}

/// Why a path is not taken: it has to stay where it is unpacked to, and to be one that systems can have (`PATH_MAX`).
fn fault_of_path(path: &[u8]) -> Option<&'static str> {
    let drive = path.get(1) == Some(&b':');
    let bad = |byte: &u8| byte.is_ascii_control() || *byte == b'\\';
    let up = path.split(|byte| *byte == b'/').any(|part| part == b"..");
    if path.is_empty() || path.starts_with(b"/") || drive || up || path.iter().any(bad) {
        return Some("It has a name that leads out of it.");
    }
    let deep = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).count() > DEEPEST_FOLDER;
    (deep || path.len() > LONGEST_PATH).then_some("It has a name that is too long, or in too many folders.")
}

/// Counts what comes out of an archive, and ends at what is too much.
struct Counted<'c, 'a, R>(R, &'c mut Inspection<'a>);

impl<R: Read> Read for Counted<'_, '_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(into)?;
        match self.1.left.checked_sub(read as u64) {
            Some(left) => {
                self.1.left = left;
                Ok(read)
            }
            None => {
                self.1.exceeded = true;
                Err(io::Error::other("too much"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
