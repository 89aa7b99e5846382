//! Whether a file is what its extension says, by its bytes.

use std::io::{self, BufReader, Read};

use super::svg;
use crate::{
    kinds::{Content, Kind},
    segments::Slice,
};

/// Enough for every signature that is known.
const HEAD: usize = 8 << 10;
/// Of a file in compound format (MS-CFB, 2.2).
const COMPOUND: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// `Ok(Err(why))` when it is something else.
pub(super) fn check(kind: &Kind, file: &Slice, active: bool) -> io::Result<Result<(), String>> {
    let head = file.head(HEAD)?;
    let found = infer::get(&head).map(|found| found.extension());
    let is = |yes: bool| if yes { Ok(()) } else { Err(wrong(kind, found)) };
    Ok(match kind.content {
        Content::Magic(names) => {
            // Readers of PDF skip what stands before it; what that is, they do not say.
            let begins = kind.name != "pdf" || head.starts_with(b"%PDF-");
            is(begins && found.is_some_and(|found| names.contains(&found)))
        }
        Content::Zip | Content::ZipWith(_) | Content::ZipOfType(_) => {
            is(head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06"))
        }
        Content::Gzip => is(head.starts_with(b"\x1f\x8b\x08")),
        Content::Tar => is(head.get(257..262) == Some(b"ustar")),
        Content::Compound => is(head.starts_with(COMPOUND)),
        Content::Text => is(is_plain_text(kind, found) && is_text(file.anew())?),
        Content::Json => is(is_json(file.anew())?),
        Content::Svg => {
            svg::check(BufReader::new(file.anew()), active).map_err(|why| format!("A file is no plain SVG: {why}."))
        }
    })
}

fn wrong(kind: &Kind, found: Option<&str>) -> String {
    match found {
        Some(found) => format!("A file is named .{} and its content is {found}.", kind.name),
        None => format!("A file is named .{} and its content is not that.", kind.name),
    }
}

/// Text that is known as something else (a shell script, HTML) is not plain.
fn is_plain_text(kind: &Kind, found: Option<&str>) -> bool {
    // Of other kinds the first bytes are letters too (`BM`, `MZ`), and text may begin with them.
    const WRITTEN: [&str; 6] = ["pdf", "rtf", "sh", "html", "xml", "ps"];
    !found.is_some_and(|found| found != kind.name && WRITTEN.contains(&found))
}

/// UTF-8 without control characters but for those of lines, tabs and pages.
fn is_text(file: Slice) -> io::Result<bool> {
    let mut reader = BufReader::with_capacity(64 << 10, file);
    // Of a character that is cut by the end of a piece, up to three bytes wait for the next one.
    let (mut piece, mut kept) = (vec![0; 64 << 10], 0);
    loop {
        let read = reader.read(&mut piece[kept..])?;
        let filled = kept + read;
        let valid = match std::str::from_utf8(&piece[..filled]) {
            Ok(_) => filled,
            Err(error) if error.error_len().is_none() && read > 0 => error.valid_up_to(),
            Err(_) => return Ok(false),
        };
        if piece[..valid].iter().any(|byte| (*byte < 32 && !matches!(byte, b'\t' | b'\n' | b'\r' | 12)) || *byte == 127)
        {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
        piece.copy_within(valid..filled, 0);
        kept = filled - valid;
    }
}

/// One or more values; nothing of them is kept.
fn is_json(file: Slice) -> io::Result<bool> {
    let mut values = serde_json::Deserializer::from_reader(BufReader::new(file)).into_iter::<serde::de::IgnoredAny>();
    let mut some = false;
    loop {
        match values.next() {
            None => return Ok(some),
            Some(Ok(_)) => some = true,
            Some(Err(error)) if error.is_io() => return Err(error.into()),
            Some(Err(_)) => return Ok(false),
        }
    }
}
