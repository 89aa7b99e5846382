//! What the fuzz targets call. No part of the interface.

use std::{fs::File, io::Write, ops::Range, sync::Arc};

use crate::{
    archive::Inspection,
    judge::{Claim, judge},
    kinds::{self, Content},
    multipart::{Limits, Parser},
    names,
    segments::Slice,
    settings::{ArchiveLimits, UploadPolicy},
};

/// Where the contents of a form's parts are, when the body is cut into pieces of this size; `None`: it is refused.
pub fn form(body: &[u8], step: usize) -> Option<Vec<Range<u64>>> {
    let limits = Limits { file: 1 << 20, total: 1 << 20, files: 8, fields: 1 << 20, parts: 16 };
    let mut parser = Parser::new("XY", limits);
    body.chunks(step.max(1)).try_for_each(|piece| parser.push(piece)).ok()?;
    Some(parser.finish().ok()?.into_iter().map(|part| part.data).collect())
}

/// Whether a zip file is taken.
pub fn zip(content: &[u8]) -> std::io::Result<bool> {
    let folder = tempfile::tempdir()?;
    let mut file = tempfile::tempfile()?;
    file.write_all(content)?;
    let slice = Slice::new(&Arc::new(file), 0..content.len() as u64);
    let mut inspection = Inspection::new(ArchiveLimits::default(), slice.len(), None, folder.path(), false);
    Ok(inspection.look(Content::Zip, &slice, 0).is_ok())
}

/// Whether a file of this name is taken, by name and content, with the default limits; else why not.
pub fn taken(name: &str, file: File) -> std::io::Result<Result<(), String>> {
    let (folder, length) = (tempfile::tempdir()?, file.metadata()?.len());
    let slice = Slice::new(&Arc::new(file), 0..length);
    let types = kinds::KINDS.iter().map(|kind| kind.name.to_owned()).collect();
    let policy = UploadPolicy { types, ..UploadPolicy::default() };
    let looked = judge(Claim { name: Some(name), declared: None }, &slice, &policy).and_then(|judged| {
        let mut inspection = Inspection::new(ArchiveLimits::default(), length, None, folder.path(), false);
        inspection.look(judged.kind.content, &slice, 0)
    });
    Ok(looked.map_err(|refusal| format!("{} {}", refusal.kind.code, refusal.detail)))
}

/// A name made safe, and whether it then is.
pub fn cleaned(name: &str) -> (String, bool) {
    let cleaned = names::clean(name);
    let safe = names::fault(&cleaned).is_none();
    (cleaned, safe)
}
