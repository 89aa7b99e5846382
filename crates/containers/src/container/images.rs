//! What is known of base images; the facts are in `images.toml`.

use std::sync::OnceLock;

use serde::Deserialize;

/// Everything that is known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Images {
    slim: Vec<String>,
    image: Vec<Known>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Known {
    names: Vec<String>,
    /// Only tags that hold this.
    tag: String,
    lean: bool,
    plain: bool,
    compilers: bool,
    always: bool,
    command: bool,
    user: Option<String>,
}

/// The name of an image, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Without registry.
    pub name: String,
    /// The tag.
    pub tag: Option<String>,
    /// The digest.
    pub digest: bool,
    /// A part of it is a variable that nothing gives a value.
    pub open: bool,
}

impl Image {
    /// Takes a reference apart.
    pub fn read(reference: &str) -> Self {
        let (rest, digest) = reference.split_once('@').map_or((reference, false), |(rest, _)| (rest, true));
        let last = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[last..].find(':') {
            Some(at) => (&rest[..last + at], Some(rest[last + at + 1..].to_owned())),
            None => (rest, None),
        };
        let registry = |first: &str| first.contains(['.', ':']) || first == "localhost";
        let name = name.split_once('/').filter(|(first, _)| registry(first)).map_or(name, |(_, rest)| rest);
        let name = name.strip_prefix("library/").unwrap_or(name).to_lowercase();
        Self { name, tag, digest, open: reference.contains('$') }
    }

    /// The last part of its name.
    pub fn short(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// Whether the same reference gives the same image next year: by digest, or at least a version.
    pub fn is_pinned(&self) -> bool {
        let moving = |tag: &str| {
            let first = tag.split('-').next().unwrap_or(tag);
            let words = [
                "latest", "stable", "edge", "nightly", "main", "master", "current", "lts", "mainline", "rolling", "dev",
            ];
            words.contains(&first) || !tag.chars().any(|letter| letter.is_ascii_digit()) && !is_release_name(first)
        };
        self.digest || self.name == "scratch" || self.tag.as_deref().is_some_and(|tag| !moving(tag))
    }

    /// The version in its tag: `16` of `16.2-alpine`, `pg16`, `latest-pg17`.
    pub fn version(&self) -> Option<String> {
        let tag = self.tag.as_deref()?;
        let tag = tag.find("pg").map_or(tag, |at| &tag[at + 2..]).trim_start_matches('v');
        let end = tag.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(tag.len());
        let version = tag[..end].trim_end_matches('.');
        (!version.is_empty()).then(|| version.to_owned())
    }
}

/// Names of releases of distributions are versions.
fn is_release_name(word: &str) -> bool {
    ["bookworm", "bullseye", "trixie", "buster", "jammy", "noble", "focal", "forky"].contains(&word)
}

impl Images {
    /// What is built in; nothing when our own file is wrong, which a test refuses.
    pub fn built_in() -> &'static Self {
        static BUILT_IN: OnceLock<Images> = OnceLock::new();
        BUILT_IN.get_or_init(|| {
            toml::from_str(include_str!("images.toml")).unwrap_or(Self { slim: Vec::new(), image: Vec::new() })
        })
    }

    fn known<'i, 'a>(&'i self, image: &'a Image) -> impl Iterator<Item = &'i Known> + use<'i, 'a> {
        let tag = image.tag.as_deref().unwrap_or_default();
        let named = move |known: &Known| known.names.iter().any(|name| *name == image.name || name == image.short());
        self.image.iter().filter(move |known| named(known) && tag.contains(&known.tag))
    }

    /// Whether it is a small variant.
    pub fn is_slim(&self, image: &Image) -> bool {
        let tag = image.tag.as_deref().unwrap_or_default().to_lowercase();
        let builder = self.known(image).any(|known| known.always);
        !builder
            && (self.slim.iter().any(|word| tag.contains(word) || image.name.contains(word))
                || self.known(image).any(|known| known.lean))
    }

    /// Whether it brings a compiler.
    pub fn has_compilers(&self, image: &Image) -> bool {
        self.known(image).any(|known| known.always)
            || !self.is_slim(image) && self.known(image).any(|known| known.compilers)
    }

    /// A distribution without tools: neither small nor with compilers.
    pub fn is_plain(&self, image: &Image) -> bool {
        self.known(image).any(|known| known.plain || known.command)
    }

    /// Whether it brings a command that serves.
    pub fn has_command(&self, image: &Image) -> bool {
        self.known(image).any(|known| known.command)
    }

    /// The ordinary user that it begins as.
    pub fn user<'i>(&'i self, image: &Image) -> Option<&'i str> {
        let nonroot =
            image.tag.as_deref().is_some_and(|tag| tag.contains("nonroot")) || image.name.starts_with("chainguard/");
        let bitnami = image.name.starts_with("bitnami/");
        if nonroot || bitnami {
            return Some("nonroot");
        }
        self.known(image).find_map(|known| known.user.as_deref())
    }

    /// Whether anything is known of it.
    pub fn knows(&self, image: &Image) -> bool {
        self.known(image).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let file: Result<Images, _> = toml::from_str(include_str!("images.toml"));
        assert!(file.is_ok(), "{file:?}");
        let image = Image::read("registry.example.com:5000/team/python:3.12-slim@sha256:ab");
        assert_eq!((image.name.as_str(), image.tag.as_deref(), image.digest), ("team/python", Some("3.12-slim"), true));
        for (reference, pinned) in [
            ("python", false),
            ("python:latest", false),
            ("node:lts-alpine", false),
            ("python:slim", false),
            ("python:3-slim", true),
            ("debian:bookworm-slim", true),
            ("scratch", true),
            ("a@sha256:1", true),
        ] {
            assert_eq!(Image::read(reference).is_pinned(), pinned, "{reference}");
        }
        assert_eq!(Image::read("timescale/timescaledb:latest-pg16").version().as_deref(), Some("16"));
        assert_eq!(Image::read("postgres:15.4-alpine").version().as_deref(), Some("15.4"));
        let images = Images::built_in();
        let is =
            |reference: &str| (images.is_slim(&Image::read(reference)), images.has_compilers(&Image::read(reference)));
        assert_eq!(is("python:3.12"), (false, true));
        assert_eq!(is("python:3.12-slim"), (true, false));
        assert_eq!(is("golang:1.24-alpine"), (false, true));
        assert_eq!(is("gcr.io/distroless/static-debian12"), (true, false));
        assert_eq!(is("ubuntu:24.04"), (false, false));
        assert_eq!(is("mcr.microsoft.com/dotnet/sdk:9.0"), (false, true));
    }
}
