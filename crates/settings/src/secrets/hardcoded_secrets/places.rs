//! The places where secrets are looked for: the tree, and all of history. Each is scanned by the same code for a canary.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::mpsc,
    thread,
};

use seaworthy_repository::{Blob, Git, Walk, bounded};

use crate::secrets::scan::{Finding, Found, Live, scan};

/// Larger files are no source.
pub(super) const LARGEST: u64 = 16 << 20;
/// Bytes of file contents that are handed over at once.
const BATCH: usize = 1 << 20;
/// Files of a tree; more are not one project's.
const MOST_FILES: usize = 200_000;
/// What has nothing of the project's own: what others published, and what we wrote.
const SKIPPED: &[&str] = &[".git", ".seaworthy", "node_modules", "site-packages", ".venv", ".tox", ".hg", ".svn"];
/// Larger files with these endings hold no text: they are not unpacked to see that.
const PICTURES: &[&str] = &[
    "png", "jpg", "jpeg", "gif", "webp", "ico", "woff", "woff2", "ttf", "otf", "eot", "mp3", "mp4", "webm", "mov",
    "pdf", "zip", "gz", "xz", "zst", "jar", "wasm", "so", "dll", "exe", "pyc", "bin", "onnx", "npy",
];

/// What a place came to.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Secrets.
    pub findings: Vec<Finding>,
    /// Files or versions that were read.
    pub read: usize,
    /// Those that could not be read, or were too large.
    pub skipped: usize,
    /// What has the shape of a secret in tests and documents.
    pub examples: usize,
    /// Whether there is more than was looked at.
    pub cut: bool,
}

impl Seen {
    fn add(&mut self, found: Found) {
        self.examples += found.examples;
        self.findings.extend(found.findings);
    }
}

/// Every file that Git does not ignore.
pub(super) fn tree(root: &Path, live: &Live) -> Seen {
    let walk = Walk { skipped: &[SKIPPED], obeys_ignore: true, most: MOST_FILES };
    let Ok(walked) = walk.through(root) else { return Seen { skipped: 1, ..Seen::default() } };
    let mut seen = Seen { cut: walked.cut, ..Seen::default() };
    for file in walked.files {
        if file.length > LARGEST {
            seen.skipped += usize::from(!is_picture(&file.path.to_string_lossy()) && is_text(&root.join(&file.path)));
            continue;
        }
        let Some(content) = bounded(&root.join(&file.path), LARGEST) else {
            seen.skipped += 1;
            continue;
        };
        seen.read += 1;
        seen.add(scan(&content, &file.path.to_string_lossy(), live));
    }
    seen
}

fn is_picture(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, ending)| PICTURES.contains(&ending.to_lowercase().as_str()))
}

/// Large binaries (images, models) hold no source; large text may.
fn is_text(path: &Path) -> bool {
    let mut start = [0; 8000];
    let read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read(&mut file, &mut start));
    read.is_ok_and(|length| !start[..length].contains(&0))
}

/// Every version of every file of every branch, each once: one thread unpacks while this one looks.
pub(super) fn history(git: &Git, live: &Live) -> Result<Seen, String> {
    let mut seen = Seen::default();
    // Few batches wait, so that large files do not pile up.
    let (sender, batches) = mpsc::sync_channel::<Vec<Blob>>(2);
    let counted = thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            let counted = git.blobs(LARGEST, |blob| {
                bytes += blob.content.len();
                batch.push(blob);
                if bytes > BATCH {
                    bytes = 0;
                    let _ = sender.send(std::mem::take(&mut batch));
                }
            });
            let _ = sender.send(batch);
            counted
        });
        let mut found: BTreeMap<[u8; 8], Finding> = BTreeMap::new();
        for blob in batches.into_iter().flatten() {
            let part = scan(&blob.content, &blob.path, live);
            seen.examples += part.examples;
            for mut finding in part.findings {
                finding.place =
                    format!("{} (history, object {})", finding.place, blob.id.get(..10).unwrap_or(&blob.id));
                found.entry(finding.hash).or_insert(finding);
            }
        }
        seen.findings = found.into_values().collect();
        reader.join().unwrap_or_else(|_| Err("the reader broke off".into()))
    })?;
    seen.read = counted.shown;
    seen.skipped = counted.larger;
    Ok(seen)
}

/// Without what is known already from another place.
pub(super) fn add_new(all: &mut Vec<Finding>, new: Vec<Finding>) {
    let known: BTreeSet<[u8; 8]> = all.iter().map(|finding| finding.hash).collect();
    all.extend(new.into_iter().filter(|finding| !known.contains(&finding.hash)));
}
