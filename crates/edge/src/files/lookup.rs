//! Which file answers a request: the one that was named, a folder's index, a smaller variant, or a single-page app's page.

use std::{
    io,
    time::{Duration, SystemTime},
};

use http::HeaderMap;
use seaworthy_core::{Accepted, Coding};

use super::{
    beneath::{Entry, OpenFile, Root},
    media_type,
    path::Place,
};

/// A variant that is older than its original by more than this was made from an earlier one. Less can be the order in
/// which a build or a copy wrote them.
const STALE: Duration = Duration::from_secs(60);

/// What a place comes to.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one a request, moved once: a box would cost more")]
pub(crate) enum Lookup {
    Found(Found),
    /// A folder with an index, named without its slash: relative links of the page need it.
    Redirect,
    Missing,
}

/// The representation that is sent.
#[derive(Debug)]
pub(crate) struct Found {
    pub opened: OpenFile,
    /// The path below the root of the file itself, not of a variant.
    pub name: String,
    pub media_type: &'static str,
    pub coding: Option<Coding>,
    /// Another `Accept-Encoding` could have led to another file.
    pub varies: bool,
    /// Another `Accept` would have led to none.
    pub fallback: bool,
}

/// How one route looks for files.
#[derive(Debug)]
pub(crate) struct Finder {
    pub index: String,
    pub spa: bool,
}

impl Finder {
    /// Looks for the file that answers a request with these headers. `navigates`: a person's browser asks for a page.
    pub(crate) fn find(&self, root: &Root, place: &Place, headers: &HeaderMap, navigates: bool) -> io::Result<Lookup> {
        let name = if place.folder { self.index_of(&place.relative) } else { place.relative.clone() };
        match root.entry(&name)? {
            Entry::File(opened) => return represent(root, opened, name, headers, false).map(Lookup::Found),
            Entry::Folder if !place.folder => {
                if let Entry::File(_) = root.entry(&self.index_of(&name))? {
                    return Ok(Lookup::Redirect);
                }
            }
            Entry::Folder | Entry::Missing => {}
        }
        if self.spa
            && navigates
            && !names_a_file(&place.relative)
            && let Entry::File(opened) = root.entry(&self.index)?
        {
            return represent(root, opened, self.index.clone(), headers, true).map(Lookup::Found);
        }
        Ok(Lookup::Missing)
    }

    fn index_of(&self, folder: &str) -> String {
        if folder.is_empty() { self.index.clone() } else { format!("{folder}/{}", self.index) }
    }
}

/// Chooses between a file and its variants (RFC 9110, 12.1).
fn represent(root: &Root, opened: OpenFile, name: String, headers: &HeaderMap, fallback: bool) -> io::Result<Found> {
    let media_type = media_type::of(&name);
    let varies = media_type::is_compressible(media_type);
    let plain = Found { opened, name, media_type, coding: None, varies, fallback };
    if !varies {
        return Ok(plain);
    }
    for coding in Accepted::of(headers, &Coding::ALL).iter() {
        let variant = root.entry(&format!("{}.{}", plain.name, extension(coding)))?;
        if let Entry::File(variant) = variant
            && !is_stale(&variant, &plain.opened)
        {
            return Ok(Found { opened: variant, coding: Some(coding), ..plain });
        }
    }
    Ok(plain)
}

/// What the name of a compressed file ends in, after its dot.
fn extension(coding: Coding) -> &'static str {
    match coding {
        Coding::Brotli => "br",
        Coding::Zstandard => "zst",
        Coding::Gzip => "gz",
    }
}

fn is_stale(variant: &OpenFile, original: &OpenFile) -> bool {
    let written = |file: &OpenFile| file.metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    written(original).duration_since(written(variant)).is_ok_and(|age| age > STALE)
}

/// Whether the last segment looks like a file's name: an extension of up to eight letters and digits, with a letter.
/// `/releases/v1.2` does not, `/assets/gone.js` does: a script must not be answered with a page.
fn names_a_file(relative: &str) -> bool {
    let name = relative.rsplit('/').next().unwrap_or(relative);
    name.rsplit_once('.').is_some_and(|(_, extension)| {
        (1..=8).contains(&extension.len())
            && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && extension.bytes().any(|byte| byte.is_ascii_alphabetic())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_navigation_is_told_from_a_file() {
        for file in ["a.js", "x/main.3f2a9c1b.css", "film.mp4", "a.7z"] {
            assert!(names_a_file(file), "{file}");
        }
        for page in ["", "users", "users/7", "releases/v1.2", "a.b c", "docs.d/page", "x."] {
            assert!(!names_a_file(page), "{page}");
        }
    }
}
