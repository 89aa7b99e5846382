//! Archives that are fine, and archives that are meant to hurt.

use std::io::{Cursor, Write};

use flate2::{Compression, write::GzEncoder};
use seaworthy_config::ByteSize;
use zip::{ZipWriter, write::SimpleFileOptions};

use super::*;

const LIMITS: ArchiveLimits = ArchiveLimits { unpacked: ByteSize(20 << 20), ratio: 100, entries: 20, depth: 2 };

fn verdict_of(content: Content, bytes: &[u8]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let slice = Slice::new(&Arc::new(file), 0..bytes.len() as u64);
    let mut inspection = Inspection::new(LIMITS, bytes.len() as u64, None, folder.path(), false);
    let result = inspection.look(content, &slice, 0);
    result.map_err(|refusal| format!("{} {}", refusal.kind.code, refusal.detail))
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn tar(name: &str, kind: tar::EntryType, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    if kind.is_symlink() {
        header.set_size(0);
        header.set_link_name_literal(content).unwrap();
    }
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header, if kind.is_symlink() { &[][..] } else { content }).unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn plain_archives_pass() {
    let inner = zip(&[("a/b.txt", b"x"), ("c.txt", &[7; 5000])]);
    assert_eq!(verdict_of(Content::Zip, &inner), Ok(()));
    assert_eq!(verdict_of(Content::Zip, &zip(&[])), Ok(()));
    assert_eq!(verdict_of(Content::Zip, &zip(&[("inner.zip", &inner)])), Ok(()));
    assert_eq!(verdict_of(Content::Gzip, &gzip(&tar("a.txt", tar::EntryType::Regular, b"x"))), Ok(()));
    assert_eq!(verdict_of(Content::Tar, &tar("a/link", tar::EntryType::Symlink, b"b.txt")), Ok(()));
    let docx = zip(&[("[Content_Types].xml", b"<Types/>"), ("word/document.xml", b"<w/>")]);
    assert_eq!(verdict_of(Content::ZipWith("word/document.xml"), &docx), Ok(()));
    let odt = zip(&[("mimetype", b"application/vnd.oasis.opendocument.text"), ("content.xml", b"<x/>")]);
    assert_eq!(verdict_of(Content::ZipOfType("application/vnd.oasis.opendocument.text"), &odt), Ok(()));
}

#[test]
fn what_unpacks_to_too_much_is_refused_by_counting() {
    let zeros = vec![0; 30 << 20];
    for bomb in [zip(&[("zeros", &zeros)]), zip(&[("inner.zip", &zip(&[("zeros", &zeros)]))])] {
        let why = verdict_of(Content::Zip, &bomb).unwrap_err();
        assert!(why.contains("unpacks to more"), "{why}");
    }
    assert!(verdict_of(Content::Gzip, &gzip(&zeros)).unwrap_err().contains("unpacks to more"));
    // The directory's sizes are a lie.
    let mut lying = zip(&[("zeros", &zeros)]);
    let directory = memchr::memmem::find(&lying, b"PK\x01\x02").unwrap();
    lying[directory + 24..directory + 28].copy_from_slice(&10_u32.to_le_bytes());
    lying[22..26].copy_from_slice(&10_u32.to_le_bytes());
    assert!(verdict_of(Content::Zip, &lying).is_err());
    let many: Vec<(String, &[u8])> = (0..21).map(|number| (format!("{number}"), &b""[..])).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(name, content)| (name.as_str(), *content)).collect();
    assert!(verdict_of(Content::Zip, &zip(&many)).unwrap_err().contains("more than 20 entries"));
    let mut deep = zip(&[("x", b"x")]);
    for _ in 0..3 {
        deep = zip(&[("deep.zip", &deep)]);
    }
    assert!(verdict_of(Content::Zip, &deep).unwrap_err().contains("archives in archives"));
}

#[test]
fn entries_over_each_other_are_refused() {
    // As in the bombs of Fifield: many entries of the directory share one piece of data.
    let mut bomb = zip(&[("aa", &vec![0; 100_000]), ("bb", b"x")]);
    let first = memchr::memmem::find(&bomb, b"PK\x01\x02").unwrap();
    let second = first + memchr::memmem::find(&bomb[first + 4..], b"PK\x01\x02").unwrap() + 4;
    bomb.copy_within(first + 16..first + 28, second + 16);
    bomb.copy_within(first + 42..first + 46, second + 42);
    assert!(verdict_of(Content::Zip, &bomb).is_err());
}

#[test]
fn names_links_and_what_cannot_be_read_are_refused() {
    for name in ["../x", "/etc/passwd", "a/../../x", "..\\x", "C:/x"] {
        assert!(verdict_of(Content::Zip, &zip(&[(name, b"x")])).unwrap_err().contains("leads out"), "{name}");
        if !name.contains('\\') {
            assert!(
                verdict_of(Content::Tar, &tar(name, tar::EntryType::Regular, b"x")).unwrap_err().contains("leads out"),
                "{name}"
            );
        }
    }
    assert!(verdict_of(Content::Tar, &tar("a", tar::EntryType::Symlink, b"/etc/passwd")).unwrap_err().contains("link"));
    assert!(verdict_of(Content::Tar, &tar("a", tar::EntryType::Fifo, b"")).unwrap_err().contains("no file"));
    let plain = zip(&[("a.txt", b"content")]);
    let mut encrypted = plain.clone();
    let directory = memchr::memmem::find(&plain, b"PK\x01\x02").unwrap();
    encrypted[directory + 8] |= 1;
    encrypted[6] |= 1;
    assert!(verdict_of(Content::Zip, &encrypted).unwrap_err().contains("encrypted"));
    let mut renamed = plain.clone();
    renamed[30] = b'b';
    assert!(verdict_of(Content::Zip, &renamed).unwrap_err().contains("two places"));
    let appended = [plain.as_slice(), b"more"].concat();
    let before = [b"MZ..".as_slice(), &plain].concat();
    for other in [appended, before, plain[..plain.len() - 3].to_vec(), b"PK\x03\x04 and no more".to_vec()] {
        assert!(verdict_of(Content::Zip, &other).is_err());
    }
    assert!(verdict_of(Content::Zip, &zip(&[("a", b"Rar!\x1a\x07\0")])).unwrap_err().contains("rar"));
    assert!(verdict_of(Content::Gzip, &gzip(b"x")[..10]).is_err());
    let macros = zip(&[("word/document.xml", b"<w/>"), ("word/vbaProject.bin", b"x")]);
    assert!(verdict_of(Content::ZipWith("word/document.xml"), &macros).unwrap_err().contains("macros"));
    assert!(verdict_of(Content::ZipWith("xl/workbook.xml"), &macros).unwrap_err().contains("TYPE"));
}

#[test]
fn what_only_some_readers_would_find_is_refused() {
    // A second directory between the first one and the end: found by whoever counts back from the end.
    let plain = zip(&[("a.txt", b"content")]);
    let directory = memchr::memmem::find(&plain, b"PK\x01\x02").unwrap();
    let end = memchr::memmem::find(&plain, b"PK\x05\x06").unwrap();
    let hidden = [&plain[..end], &plain[..directory], &plain[directory..]].concat();
    assert!(verdict_of(Content::Zip, &hidden).is_err());
    // The same, and the end says that it is all one directory.
    let mut longer = hidden;
    let at = longer.len() - 22;
    let size = u32::try_from(at - directory).unwrap();
    longer[at + 12..at + 16].copy_from_slice(&size.to_le_bytes());
    assert!(verdict_of(Content::Zip, &longer).unwrap_err().contains("more than its entries"));
    // Deflated by one header, stored by the other.
    let mut two_ways = plain.clone();
    let method = u16::from_le_bytes([plain[8], plain[9]]);
    two_ways[directory + 10..directory + 12].copy_from_slice(&(8 - method).to_le_bytes());
    assert!(verdict_of(Content::Zip, &two_ways).unwrap_err().contains("two places"));
    let mut link = ZipWriter::new(Cursor::new(Vec::new()));
    link.add_symlink("a", "/etc", SimpleFileOptions::default()).unwrap();
    let link = link.finish().unwrap().into_inner();
    assert!(verdict_of(Content::Zip, &link).unwrap_err().contains("no file"));
}

#[test]
fn names_that_are_longer_than_any_are_refused() {
    let entry = |kind, content: &[u8]| {
        let whole = tar("a", kind, content);
        whole[..whole.len() - 1024].to_vec()
    };
    let plain = tar("a.txt", tar::EntryType::Regular, b"x");
    let long = |kind, length: usize| [entry(kind, &vec![b'n'; length]), plain.clone()].concat();
    assert_eq!(verdict_of(Content::Tar, &long(tar::EntryType::GNULongName, 200)), Ok(()));
    for kind in [tar::EntryType::GNULongName, tar::EntryType::GNULongLink, tar::EntryType::XHeader] {
        let why = verdict_of(Content::Tar, &long(kind, 300_000)).unwrap_err();
        assert!(why.contains("of more than 262144 bytes"), "{why}");
    }
    assert!(verdict_of(Content::Tar, &long(tar::EntryType::GNULongName, 5000)).unwrap_err().contains("too long"));
    let deep = "d/".repeat(101);
    assert!(verdict_of(Content::Zip, &zip(&[(&deep, b"")])).unwrap_err().contains("too many folders"));
    assert_eq!(verdict_of(Content::Zip, &zip(&[(&deep[..200], b"")])), Ok(()));
    // `git archive` writes a comment for all entries; a name for all of them is one that readers differ about.
    let comment = entry(tar::EntryType::XGlobalHeader, b"52 comment=0123456789012345678901234567890123456789\n");
    assert_eq!(verdict_of(Content::Tar, &[comment, plain.clone()].concat()), Ok(()));
    let name = entry(tar::EntryType::XGlobalHeader, b"14 path=../../x\n");
    assert!(verdict_of(Content::Tar, &[name, plain].concat()).unwrap_err().contains("hold for all"));
    let many: Vec<String> = (0..20).map(|number| format!("{number}{}", "n".repeat(600))).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert!(verdict_of(Content::Zip, &zip(&many)).unwrap_err().contains("Its directory has more than 10240 bytes"));
}
