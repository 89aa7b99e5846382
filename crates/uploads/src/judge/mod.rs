//! Whether a file that was received goes on: its name, its declared type and its content must agree with what the route
//! takes, and with each other. Blocking: it reads from the disk.

mod content;
mod disguise;
mod svg;

use crate::{
    kinds::{self, Kind},
    names,
    problems::{CONTENT, NAME, Refusal, TYPE},
    segments::Slice,
    settings::{Names, UploadPolicy},
};

/// What a client says of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    /// `None` for a body that is one file and has no name.
    pub name: Option<&'a str>,
    pub declared: Option<&'a str>,
}

/// A file that goes on, and the name that it goes on with, where that is another one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub kind: &'static Kind,
    pub renamed: Option<String>,
}

/// Judges one file.
pub(crate) fn judge(claim: Claim<'_>, file: &Slice, policy: &UploadPolicy) -> Result<Judged, Refusal> {
    let (kind, renamed) = by_claim(claim, policy)?;
    let content = content::check(kind, file, policy.active);
    content.map_err(|error| Refusal::storage(&error))?.map_err(|why| Refusal::new(TYPE, why))?;
    let disguise = disguise::check(kind, file).map_err(|error| Refusal::storage(&error))?;
    if let Some(why) = disguise {
        return Err(Refusal::new(CONTENT, why));
    }
    Ok(Judged { kind, renamed })
}

/// What name and declared type alone say.
pub(crate) fn by_claim(claim: Claim<'_>, policy: &UploadPolicy) -> Result<(&'static Kind, Option<String>), Refusal> {
    let taken = || policy.types.join(", ");
    let allowed = |kind: &&Kind| policy.types.iter().any(|name| kinds::find(name) == Some(*kind));
    let not_taken = || Refusal::new(TYPE, format!("Taken are: {}.", taken()));
    let Some(name) = claim.name else {
        let declared = claim.declared.ok_or_else(not_taken)?;
        let kind = kinds::KINDS.iter().filter(allowed).find(|kind| kind.types.contains(&declared));
        return kind.map(|kind| (kind, None)).ok_or_else(not_taken);
    };
    let renamed = match (names::fault(name), policy.names) {
        (None, _) => None,
        (Some(why), Names::Refuse) => return Err(Refusal::new(NAME, format!("The name of a file is refused: {why}."))),
        (Some(_), Names::Clean) => Some(names::clean(name)),
    };
    let (_, extension) = renamed.as_deref().unwrap_or(name).rsplit_once('.').ok_or_else(not_taken)?;
    let kind = kinds::find(extension).filter(allowed).ok_or_else(not_taken)?;
    if !kind.goes_by(claim.declared) {
        let declared = claim.declared.unwrap_or_default();
        return Err(Refusal::new(TYPE, format!("A file is named .{extension} and declared as {declared}.")));
    }
    Ok((kind, renamed))
}

#[cfg(test)]
mod tests {
    use std::{io::Write, sync::Arc};

    use super::*;

    fn slice(content: &[u8]) -> Slice {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Slice::new(&Arc::new(file), 0..content.len() as u64)
    }

    fn verdict(name: &str, declared: &str, content: &[u8]) -> Result<&'static str, &'static str> {
        let types = ["pdf", "png", "jpg", "gif", "txt", "json", "svg", "csv", "doc"].map(str::to_owned).to_vec();
        let policy = UploadPolicy { types, ..UploadPolicy::default() };
        let claim = Claim { name: Some(name), declared: Some(declared).filter(|declared| !declared.is_empty()) };
        judge(claim, &slice(content), &policy).map(|judged| judged.kind.name).map_err(|refusal| refusal.kind.code)
    }

    const GIF: &[u8] = b"GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

    fn png() -> Vec<u8> {
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, data) in [(b"IHDR", &b"\0\0\0\x01\0\0\0\x01\x08\0\0\0\0"[..]), (b"IDAT", b"x"), (b"IEND", b"")] {
            png.extend((data.len() as u32).to_be_bytes());
            png.extend(kind);
            png.extend(data);
            png.extend([0; 4]);
        }
        png
    }

    /// The end of a zip file with one entry, as unzip, Java and browsers' extensions look for it.
    fn zip_tail() -> Vec<u8> {
        let mut tail = b"PK\x01\x02".to_vec();
        tail.resize(46, 0);
        tail.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x2e\0\0\0\0\0\0\0\0\0");
        tail
    }

    #[test]
    fn name_type_and_content_agree() {
        assert_eq!(verdict("a.gif", "image/gif", GIF), Ok("gif"));
        assert_eq!(verdict("a.PNG", "application/octet-stream", &png()), Ok("png"));
        assert_eq!(verdict("a.pdf", "", b"%PDF-1.7\n1 0 obj\n%%EOF\n"), Ok("pdf"));
        assert_eq!(verdict("a.txt", "text/plain", "grüße\r\n\tx".as_bytes()), Ok("txt"));
        assert_eq!(verdict("a.csv", "text/csv", b"BMW;MZ\n1;2\n"), Ok("csv"), "letters that begin other files");
        assert_eq!(verdict("a.json", "application/json", b" {\"a\": [1, 2]} "), Ok("json"));
        assert_eq!(
            verdict("a.svg", "image/svg+xml", b"<svg xmlns=\"http://www.w3.org/2000/svg\"><rect/></svg>"),
            Ok("svg")
        );
        for (name, declared, content) in [
            ("a.exe", "application/pdf", &b"%PDF-1.7"[..]),
            ("a.pdf.exe", "", b"%PDF-1.7"),
            ("a", "image/gif", GIF),
            ("a.gif", "text/html", GIF),
            ("a.png", "image/png", GIF),
            ("a.pdf", "application/pdf", b"MZ\x90\0\x03\0\0\0"),
            ("a.pdf", "application/pdf", b"junk %PDF-1.7"),
            ("a.txt", "text/plain", b"\x7fELF\x02\x01\x01\0"),
            ("a.txt", "text/plain", b"a\0b"),
            ("a.txt", "text/plain", b"\xff\xfeh\0i\0"),
            ("a.json", "application/json", b"{\"a\": "),
            ("a.doc", "application/msword", b"not a compound file"),
            ("a.txt", "", b"%PDF-1.4 is the beginning of another file"),
            ("a.txt", "", b"#!/bin/sh\nrm -rf /\n"),
        ] {
            assert_eq!(verdict(name, declared, content), Err("SEA_UPLOADS_TYPE"), "{name} {declared}");
        }
        assert_eq!(verdict("a.php.gif", "image/gif", GIF), Err("SEA_UPLOADS_NAME"));
    }

    #[test]
    fn what_is_two_things_at_once_is_refused() {
        let with = |content: &[u8], tail: &[u8]| [content, tail].concat();
        let jpeg = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xd9";
        assert_eq!(verdict("a.jpg", "", jpeg), Ok("jpg"));
        assert_eq!(verdict("a.pdf", "", b"%PDF-1.7 PK\x05\x06 is no end of an archive"), Ok("pdf"));
        for (name, content) in [
            ("a.pdf", with(b"%PDF-1.7\n%%EOF\n", &zip_tail())),
            ("a.pdf", with(&with(b"%PDF-1.7\n", &zip_tail()), b"\n%%EOF\n")),
            ("a.jpg", with(jpeg, &zip_tail())),
            ("a.gif", with(GIF, &zip_tail())),
            ("a.gif", with(GIF, b"<script>alert(1)</script>")),
            ("a.gif", b"GIF89a/*\x01\x00\x00\x00\x00,\x00\x00*/=1;alert(1)".to_vec()),
            ("a.png", with(&png(), b"trailing")),
            ("a.png", png()[..40].to_vec()),
            ("a.jpg", with(jpeg, b"<?php system($_GET[1]); ?>")),
            ("a.jpg", with(&jpeg[..20], b"\xff\xfe\0\x0a%PDF-1.7\xff\xd9")),
        ] {
            assert_eq!(verdict(name, "", &content), Err("SEA_UPLOADS_CONTENT"), "{name} {}", content.escape_ascii());
        }
    }
}
