//! Keys that open nothing, planted to be found: a scan that reads nothing finds nothing.

use std::{fs, io, path::Path};

use seaworthy_repository::{Git, Sample};

use super::{image, places};
use crate::secrets::scan::Live;

/// A key of the right shape, put together here so that no scanner finds it in our own source.
pub(in crate::secrets) fn planted() -> String {
    format!("AKIA{}", "Q3EGRT5XV2KPLW7M")
}

fn text() -> String {
    format!("token = \"{}\"\n", planted())
}

/// Whether it is found in a folder.
pub(super) fn in_tree() -> bool {
    let Ok(folder) = tempfile::tempdir() else { return false };
    fs::write(folder.path().join("canary.txt"), text()).is_ok()
        && places::tree(folder.path(), &Live::default()).findings.len() == 1
}

/// Whether it is found where only a commit has it.
pub(super) fn in_history() -> bool {
    let Ok(folder) = tempfile::tempdir() else { return false };
    let sample = Sample::of(&[("canary.txt", &text())]).committed().without("canary.txt").committed();
    if sample.write(folder.path()).is_err() {
        return false;
    }
    let seen = Git::open(folder.path()).and_then(|git| places::history(&git, &Live::default()));
    seen.is_ok_and(|seen| seen.findings.len() == 1)
}

/// Whether it is found in the layer of an image.
pub(super) fn in_image() -> bool {
    let Ok(folder) = tempfile::tempdir() else { return false };
    let path = folder.path().join("canary.tar");
    write_image(&path, &[("app/canary.txt", &text())]).is_ok()
        && image::scan_archive(&path, "canary.tar", &Live::default()).is_ok_and(|seen| seen.findings.len() == 1)
}

/// A saved image with one layer of these files.
pub(super) fn write_image(path: &Path, files: &[(&str, &str)]) -> io::Result<()> {
    let mut layer = tar::Builder::new(Vec::new());
    for (name, text) in files {
        append(&mut layer, name, text.as_bytes())?;
    }
    let layer = layer.into_inner()?;
    let mut image = tar::Builder::new(fs::File::create(path)?);
    append(&mut image, "manifest.json", br#"[{"Config":"config.json","Layers":["a/layer.tar"]}]"#)?;
    append(&mut image, "config.json", br#"{"config":{"Env":["PATH=/usr/bin"]},"history":[]}"#)?;
    append(&mut image, "a/layer.tar", &layer)?;
    image.finish()
}

fn append(archive: &mut tar::Builder<impl io::Write>, name: &str, content: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, content)
}
