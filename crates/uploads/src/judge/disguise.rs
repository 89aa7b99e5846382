//! Files that are two things at once: an image that is an archive too, or a script to whoever asks for one.

use std::io::{self, BufReader, Read};

use memchr::memmem;

use crate::{
    kinds::{Content, Kind},
    segments::Slice,
};

/// Of a zip file's end: 22 bytes and a comment of up to 64 KiB (APPNOTE 4.3.16). Some readers look further.
const TAIL: usize = 128 << 10;

/// What a file is besides what it should be.
pub(super) fn check(kind: &Kind, file: &Slice) -> io::Result<Option<&'static str>> {
    let Content::Magic(names) = kind.content else { return Ok(None) };
    if is_zip_too(file)? {
        return Ok(Some("A ZIP archive is hidden in the file."));
    }
    let head = file.head(1024)?;
    if kind.name != "pdf" && memmem::find(&head, b"%PDF-").is_some() {
        return Ok(Some("The file is a PDF too."));
    }
    if has_code(file, names.contains(&"pdf"))? {
        return Ok(Some("The file has a script in it."));
    }
    Ok(match kind.name {
        "gif" if gif_end(BufReader::new(file.anew()))? != Some(file.len()) => {
            Some("The image is broken, or something stands behind it.")
        }
        "png" if png_end(BufReader::new(file.anew()))? != Some(file.len()) => {
            Some("The image is broken, or something stands behind it.")
        }
        "bmp" if head.get(2..4).is_some_and(|size| size == b"/*") => Some("The image is a script too."),
        _ => None,
    })
}

/// Whether a reader of zip files that looks from the end finds a directory.
fn is_zip_too(file: &Slice) -> io::Result<bool> {
    let tail = file.tail(TAIL)?;
    Ok(memmem::find_iter(&tail, b"PK\x05\x06").any(|at| {
        let Some(end) = tail.get(at..at + 22) else { return false };
        let number =
            |from: usize| end[from..from + 4].iter().rev().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        let size = number(12);
        let end_at = file.len() - tail.len() as u64 + at as u64;
        // The directory stands right before its end, or where the end says it does.
        let is_directory =
            |at: Option<u64>| at.and_then(|at| file.piece(at, 4).ok()).is_some_and(|found| found == b"PK\x01\x02");
        size >= 46 && (is_directory(end_at.checked_sub(size)) || is_directory(Some(number(16))))
    }))
}

/// Scripts of servers, and of browsers where no format of ours has any (a PDF may hold pages of HTML).
fn has_code(file: &Slice, is_pdf: bool) -> io::Result<bool> {
    let mut reader = file.anew();
    let (mut piece, mut kept) = (vec![0; 64 << 10], 0);
    loop {
        let read = reader.read(&mut piece[kept..])?;
        if read == 0 {
            return Ok(false);
        }
        let filled = kept + read;
        let low = piece[..filled].to_ascii_lowercase();
        if memmem::find(&low, b"<?php").is_some() || (!is_pdf && memmem::find(&low, b"<script").is_some()) {
            return Ok(true);
        }
        kept = filled.min(6);
        piece.copy_within(filled - kept..filled, 0);
    }
}

/// A reader that knows how far it is; everything is `None` at the end of the file.
struct Walk<R>(R, u64);

impl<R: Read> Walk<R> {
    fn bytes<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        let mut found = [0; N];
        match self.0.read_exact(&mut found) {
            Ok(()) => {
                self.1 += N as u64;
                Ok(Some(found))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn skip(&mut self, length: u64) -> io::Result<Option<()>> {
        let skipped = io::copy(&mut self.0.by_ref().take(length), &mut io::sink())?;
        self.1 += skipped;
        Ok((skipped == length).then_some(()))
    }
}

/// Where the last chunk ends (PNG, 5.3).
fn png_end(reader: impl Read) -> io::Result<Option<u64>> {
    let mut walk = Walk(reader, 0);
    if walk.skip(8)?.is_none() {
        return Ok(None);
    }
    loop {
        let Some(length) = walk.bytes::<4>()? else { return Ok(None) };
        let Some(name) = walk.bytes::<4>()? else { return Ok(None) };
        if walk.skip(u64::from(u32::from_be_bytes(length)) + 4)?.is_none() {
            return Ok(None);
        }
        if &name == b"IEND" {
            return Ok(Some(walk.1));
        }
    }
}

/// Where the trailer stands (GIF89a, 27); `None` too when the size of the screen begins a comment of JavaScript.
fn gif_end(reader: impl Read) -> io::Result<Option<u64>> {
    let mut walk = Walk(reader, 0);
    let Some(head) = walk.bytes::<13>()? else { return Ok(None) };
    if &head[6..8] == b"/*" || head[6] == b'=' {
        return Ok(None);
    }
    if skip_colours(&mut walk, head[10])?.is_none() {
        return Ok(None);
    }
    loop {
        let known = match walk.bytes::<1>()? {
            Some([0x3b]) => return Ok(Some(walk.1)),
            Some([0x21]) => walk.skip(1)?,
            Some([0x2c]) => match walk.bytes::<9>()? {
                Some(image) if skip_colours(&mut walk, image[8])?.is_some() => walk.skip(1)?,
                _ => None,
            },
            _ => None,
        };
        if known.is_none() || skip_blocks(&mut walk)?.is_none() {
            return Ok(None);
        }
    }
}

fn skip_colours<R: Read>(walk: &mut Walk<R>, flags: u8) -> io::Result<Option<()>> {
    if flags & 0x80 == 0 { Ok(Some(())) } else { walk.skip(3 << ((flags & 7) + 1)) }
}

fn skip_blocks<R: Read>(walk: &mut Walk<R>) -> io::Result<Option<()>> {
    loop {
        match walk.bytes::<1>()? {
            Some([0]) => return Ok(Some(())),
            Some([length]) if walk.skip(u64::from(length))?.is_some() => {}
            _ => return Ok(None),
        }
    }
}
