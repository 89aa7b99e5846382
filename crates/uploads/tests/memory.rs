//! What hostile files cost in memory: a process of its own, so that nothing else is measured.

#![expect(clippy::unwrap_used, reason = "tests: a panic is how they fail")]

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
};

use seaworthy_uploads::fuzzing::taken;

/// Of each part that a file makes huge; the file itself has holes there, so the disk does not.
const HUGE: u64 = 300 << 20;
const MIB: u64 = 1 << 20;
/// A parser may keep a part of 8 MiB, some copies of it while it grows, and the directory of an archive.
const GROWTH: u64 = 64 * MIB;

/// What this process has in memory (`VmRSS`), or had at most (`VmHWM`), in bytes.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// A file of pieces: bytes, and holes that are read as zeros.
fn file(pieces: &[(&[u8], u64)]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    for (bytes, hole) in pieces {
        file.write_all(bytes).unwrap();
        let end = file.seek(SeekFrom::Current(i64::try_from(*hole).unwrap())).unwrap();
        file.set_len(end).unwrap();
    }
    file
}

/// The header of an entry of so many bytes.
fn tape(kind: tar::EntryType, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_path("a").unwrap();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn zip(names: impl Iterator<Item = String>) -> File {
    let mut writer = zip::ZipWriter::new(tempfile::tempfile().unwrap());
    for name in names {
        writer.add_directory(name, zip::write::SimpleFileOptions::default()).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn no_file_takes_more_memory_than_it_may() {
    let svg = |inside: &str| format!("<svg xmlns=\"http://www.w3.org/2000/svg\">{inside}");
    let plain = [tape(tar::EntryType::Regular, 0), vec![0; 1024]].concat();
    let long_tape = |kind| file(&[(&tape(kind, HUGE), HUGE), (&plain, 0)]);
    let names = (0..40).flat_map(|_| [(&b"<"[..], 7 * MIB), (&b">"[..], 0)]);
    let nested: Vec<(&[u8], u64)> = [(svg("").into_bytes().leak() as &[u8], 0)].into_iter().chain(names).collect();
    let cases = [
        ("a.tar", long_tape(tar::EntryType::GNULongName)),
        ("a.tar", long_tape(tar::EntryType::GNULongLink)),
        ("a.tar", long_tape(tar::EntryType::XHeader)),
        ("a.tar", long_tape(tar::EntryType::XGlobalHeader)),
        ("a.svg", file(&[(svg("<rect x=\"").as_bytes(), HUGE), (b"\"/></svg>", 0)])),
        ("a.svg", file(&[(svg("<text>").as_bytes(), HUGE), (b"</text></svg>", 0)])),
        ("a.svg", file(&[(svg("<!--").as_bytes(), HUGE), (b"--></svg>", 0)])),
        ("a.svg", file(&nested)),
        // Folders in folders, more than a name may have; and as many names as fit.
        ("a.zip", zip((0..2_000).map(|number| format!("{number}/{}", "d/".repeat(1_900))))),
        ("a.zip", zip((0..9_000).map(|number| format!("{number}/{}", "d/".repeat(90))))),
    ];
    for (name, file) in cases {
        let length = file.metadata().unwrap().len();
        // The most is counted from here on (proc(5), clear_refs).
        fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = memory("VmRSS");
        let said = taken(name, file).unwrap();
        let growth = memory("VmHWM").saturating_sub(before);
        assert!(growth < GROWTH, "{name} of {length} bytes: {} MiB more in memory ({said:?})", growth / MIB);
        println!("{name} of {length} bytes: {said:?}; {} MiB", growth / MIB);
        if name != "a.zip" {
            assert!(said.is_err(), "{name}");
        }
    }
}
