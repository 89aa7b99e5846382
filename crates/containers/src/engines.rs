//! What is known of stores and mappers; the facts are in `engines.toml`.

use std::{collections::BTreeMap, sync::OnceLock};

use seaworthy_repository::{
    Pattern, Repository,
    calendar::{days, today},
};
use serde::Deserialize;

use crate::container::Image;

/// Everything that is known.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engines {
    engine: Vec<Engine>,
    mapper: Vec<Mapper>,
}

/// A kind of store.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// As people call it.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// Names of its images, with or without those who publish them.
    pub images: Vec<String>,
    /// Schemes of its addresses.
    pub schemes: Vec<String>,
    /// Folders in a container that hold its data.
    pub data: Vec<String>,
    /// Last day of support, by version.
    #[serde(default)]
    pub ends: BTreeMap<String, String>,
    /// Packages that speak to it, by language.
    #[serde(default)]
    pub drivers: BTreeMap<String, Vec<String>>,
    /// Nobody runs it himself.
    #[serde(default)]
    pub always_managed: bool,
    /// A library that writes files.
    #[serde(default)]
    pub in_process: bool,
    /// Its data is in the app's own database.
    #[serde(default)]
    pub in_database: bool,
    /// A foreign key has an index without being told.
    #[serde(default)]
    pub indexes_foreign_keys: bool,
}

/// What a store is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Rows in tables, by a server.
    Relational,
    /// Rows in a file of the app.
    File,
    /// Documents, by a server.
    Document,
    /// What can be computed again.
    Cache,
    /// Messages on their way.
    Queue,
    /// An index of texts.
    Search,
    /// Embeddings.
    Vector,
}

/// A library between code and a database.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapper {
    /// As people call it.
    pub name: String,
    /// The language of its packages.
    pub language: String,
    /// Packages that bring it.
    pub packages: Vec<String>,
    /// Explicit limits of its pool.
    pub pool: Pattern,
    /// What makes a lost connection heal, where that is not so by default.
    pub heal: Option<Pattern>,
    /// Where code makes the pool.
    pub uses: Option<Pattern>,
    /// Where code begins a set of options: each makes a pool of its own.
    pub options: Option<Pattern>,
    /// The address may hold the limits as well.
    #[serde(default)]
    pub in_address: bool,
    /// Files that are configuration and no source.
    #[serde(default)]
    pub files: Vec<String>,
}

impl Engines {
    /// What is built in; nothing when our own file is wrong, which a test refuses.
    pub fn built_in() -> &'static Self {
        static BUILT_IN: OnceLock<Engines> = OnceLock::new();
        BUILT_IN.get_or_init(|| toml::from_str(include_str!("engines.toml")).unwrap_or_default())
    }

    /// The engine of an image.
    pub fn of_image(&self, reference: &str) -> Option<&Engine> {
        let image = Image::read(reference);
        self.engine.iter().find(|engine| engine.images.iter().any(|own| *own == image.name || own == image.short()))
    }

    /// The engine of an address.
    pub fn of_scheme(&self, scheme: &str) -> Option<&Engine> {
        self.engine.iter().find(|engine| engine.schemes.iter().any(|own| own.eq_ignore_ascii_case(scheme)))
    }

    /// Whether an image is a store of any kind.
    pub fn is_store(&self, reference: &str) -> bool {
        self.of_image(reference).is_some()
    }

    /// The engine of this name.
    pub fn named(&self, name: &str) -> Option<&Engine> {
        self.engine.iter().find(|engine| engine.name == name)
    }

    /// Engines whose driver is among the dependencies.
    pub fn of_drivers<'e>(&'e self, repository: &'e Repository) -> impl Iterator<Item = &'e Engine> {
        self.engine.iter().filter(|engine| {
            engine.drivers.iter().any(|(language, names)| names.iter().any(|name| needs(repository, language, name)))
        })
    }

    /// Mappers that the project depends on.
    pub fn mappers<'e>(&'e self, repository: &'e Repository) -> impl Iterator<Item = &'e Mapper> {
        self.mapper.iter().filter(|mapper| mapper.packages.iter().any(|name| needs(repository, &mapper.language, name)))
    }
}

impl Engine {
    /// Rows of the app: no cache, queue or index.
    pub fn is_database(&self) -> bool {
        matches!(self.kind, Kind::Relational | Kind::Document | Kind::File)
    }

    /// Whether a version is supported today; nothing when that is not known.
    pub fn supports(&self, version: &str) -> Option<bool> {
        let mut parts = version.split('.');
        let major = parts.next()?;
        let both = parts.next().map(|minor| format!("{major}.{minor}"));
        let end = both.and_then(|both| self.ends.get(&both)).or_else(|| self.ends.get(major))?;
        Some(today() <= days(end)?)
    }
}

/// A dependency that the running app has: not one of development alone.
pub fn needs(repository: &Repository, language: &str, name: &str) -> bool {
    let of = repository.manifests().all.iter().filter(|((_, own), _)| *own == language);
    of.flat_map(|(_, manifest)| &manifest.dependencies).any(|own| own.name == name && !own.development)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_and_versions() {
        let read: Result<Engines, _> = toml::from_str(include_str!("engines.toml"));
        assert!(read.is_ok(), "{read:?}");
        let engines = Engines::built_in();
        let postgres = engines.of_image("docker.io/bitnami/postgresql:9.6").unwrap();
        assert_eq!((postgres.supports("9.6.3"), postgres.supports("99")), (Some(false), None));
        assert_eq!(postgres.supports("18.1"), Some(true));
        assert!(engines.of_image("ghcr.io/me/app:1").is_none() && engines.of_scheme("https").is_none());
        for engine in &engines.engine {
            assert!(engine.ends.values().all(|day| days(day).is_some()), "{}", engine.name);
        }
    }
}
