//! Saved images: what `docker save` or an OCI layout has, layer by layer, and what their configuration says.
//!
//! Archives may be built to explode: each file and all of them together have a limit, and nothing is written to disk.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use seaworthy_repository::Walk;

use super::places::{LARGEST, Seen};
use crate::secrets::scan::{Live, scan};

/// Unpacked bytes of one image.
const MOST_BYTES: u64 = 2 << 30;
const MOST_FILES: usize = 300_000;
/// Folders of an image that come from its base and from packages.
const OTHERS: &[&str] = &[
    "usr/",
    "lib/",
    "lib64/",
    "bin/",
    "sbin/",
    "var/lib/",
    "var/cache/",
    "etc/ssl/",
    "etc/alternatives/",
    "proc/",
    "sys/",
];

/// Archives of images that lie in the folder, also where Git ignores them.
pub(super) fn archives(root: &Path) -> Vec<PathBuf> {
    let walk = Walk {
        skipped: &[&[".git", "node_modules", "target", ".venv", "site-packages", "vendor", ".seaworthy"]],
        obeys_ignore: false,
        most: 20_000,
    };
    let files = walk.through(root).map(|walked| walked.files).unwrap_or_default();
    let named = files.into_iter().filter(|file| {
        let name = file.path.to_string_lossy().to_lowercase();
        file.path.components().count() <= 3 && [".tar", ".tar.gz", ".tgz"].iter().any(|ending| name.ends_with(ending))
    });
    named.map(|file| root.join(file.path)).filter(|path| is_image(path)).take(8).collect()
}

/// Whether a manifest of an image is among the first entries.
fn is_image(path: &Path) -> bool {
    let Ok(archive) = open(path) else { return false };
    let mut archive = tar::Archive::new(archive.take(1 << 30));
    let Ok(entries) = archive.entries() else { return false };
    entries.take(2_000).map_while(Result::ok).any(|entry| {
        let name = entry.path().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        name == "manifest.json" || name == "oci-layout"
    })
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("no plain file"));
    }
    unpacked(Box::new(BufReader::new(File::open(path)?)))
}

/// What is packed with gzip, unpacked; the rest as it is.
fn unpacked(mut packed: Box<dyn Read + '_>) -> io::Result<Box<dyn Read + '_>> {
    let mut start = Vec::new();
    (&mut packed).take(2).read_to_end(&mut start)?;
    let gzip = start == [0x1F, 0x8B];
    let whole = io::Cursor::new(start).chain(packed);
    Ok(if gzip { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) })
}

/// Looks through every layer, and through what the configuration sets.
pub(super) fn scan_archive(path: &Path, name: &str, live: &Live) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let mut left = MOST_BYTES;
    let mut archive = tar::Archive::new(open(path).map_err(|error| error.to_string())?.take(MOST_BYTES));
    let mut layers = 0;
    for entry in archive.entries().map_err(|error| error.to_string())? {
        let mut entry = entry.map_err(|error| format!("it breaks off: {error}"))?;
        let inner = entry.path().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let mut start = Vec::new();
        (&mut entry).take(512).read_to_end(&mut start).map_err(|error| error.to_string())?;
        if start.first() == Some(&b'{') || start.first() == Some(&b'[') {
            let mut text = start;
            (&mut entry).take(LARGEST).read_to_end(&mut text).map_err(|error| error.to_string())?;
            seen.findings.extend(scan(&settings(&text), &format!("{name}/{inner}.env"), live).findings);
            continue;
        }
        if start.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) {
            return Err("a layer is packed with zstd: save it with gzip, or unpacked".into());
        }
        layers += 1;
        let whole = io::Cursor::new(start).chain(entry);
        scan_layer(Box::new(whole), name, live, &mut seen, &mut left)?;
    }
    if layers == 0 {
        return Err("it has no layer".into());
    }
    Ok(seen)
}

fn scan_layer(
    packed: Box<dyn Read + '_>,
    name: &str,
    live: &Live,
    seen: &mut Seen,
    left: &mut u64,
) -> Result<(), String> {
    let mut layer = tar::Archive::new(unpacked(packed).map_err(|error| error.to_string())?.take(*left));
    for entry in layer.entries().map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| format!("a layer breaks off: {error}"))?;
        let path = entry.path().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        let size = entry.header().size().unwrap_or(u64::MAX);
        if size > *left || seen.read == MOST_FILES {
            return Err(format!("it has more than {} MiB or {MOST_FILES} files", MOST_BYTES >> 20));
        }
        *left -= size;
        if !entry.header().entry_type().is_file() || size > LARGEST {
            continue;
        }
        let mut content = Vec::new();
        entry.take(LARGEST).read_to_end(&mut content).map_err(|error| error.to_string())?;
        seen.read += 1;
        let path = path.trim_start_matches("./");
        // What the base brought is others': only shapes that nothing else has count there.
        let own =
            if OTHERS.iter().any(|start| path.starts_with(start)) { format!("vendor/{path}") } else { path.to_owned() };
        let found = scan(&content, &own, live);
        seen.examples += found.examples;
        seen.findings.extend(found.findings.into_iter().map(|mut finding| {
            finding.place = format!("{name}/{}", finding.place);
            finding
        }));
    }
    Ok(())
}

/// Every text of a configuration as a line of its own: `Env` has `NAME=value`, the history has commands.
fn settings(text: &[u8]) -> Vec<u8> {
    fn collect(value: &serde_json::Value, lines: &mut String) {
        match value {
            serde_json::Value::String(text) => {
                lines.push_str(text);
                lines.push('\n');
            }
            serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, lines)),
            serde_json::Value::Object(values) => values.values().for_each(|value| collect(value, lines)),
            _ => {}
        }
    }
    let mut lines = String::new();
    if let Ok(value) = serde_json::from_slice(text) {
        collect(&value, &mut lines);
    }
    lines.into_bytes()
}
