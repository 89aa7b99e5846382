//! Lock files: which versions of which packages a project really uses.

mod javascript;
mod others;
mod python;

use std::path::{Path, PathBuf};

use seaworthy_repository::{Repository, is_test};

/// Where packages come from; named as OSV does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Ecosystem {
    CratesIo,
    Go,
    Npm,
    Packagist,
    PyPi,
    RubyGems,
}

impl Ecosystem {
    /// As OSV calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CratesIo => "crates.io",
            Self::Go => "Go",
            Self::Npm => "npm",
            Self::Packagist => "Packagist",
            Self::PyPi => "PyPI",
            Self::RubyGems => "RubyGems",
        }
    }

    /// The ecosystem of a language, as in the repository's manifests.
    pub(super) fn of_language(language: &str) -> Option<Self> {
        Some(match language {
            "go" => Self::Go,
            "javascript" => Self::Npm,
            "python" => Self::PyPi,
            "ruby" => Self::RubyGems,
            "rust" => Self::CratesIo,
            _ => return None,
        })
    }

    /// A package's name as it is compared.
    pub(super) fn normal(self, name: &str) -> String {
        match self {
            Self::PyPi => name.to_ascii_lowercase().replace(['_', '.'], "-"),
            Self::Packagist => name.to_ascii_lowercase(),
            _ => name.to_owned(),
        }
    }
}

/// A package in a lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Locked {
    /// Its name in normal form.
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
}

/// One lock file.
#[derive(Debug)]
pub(super) struct LockFile {
    pub(super) path: PathBuf,
    pub(super) format: &'static Format,
    pub(super) packages: Vec<Locked>,
}

/// Names and versions, or why they cannot be read.
type Named = Result<Vec<(String, String)>, String>;

/// A format of lock files.
#[derive(Debug)]
pub(super) struct Format {
    /// The file's name.
    pub(super) name: &'static str,
    pub(super) ecosystem: Ecosystem,
    read: fn(&str) -> Named,
    /// A small one with one package of this version, for the control experiment.
    pub(super) sample: fn(&str) -> String,
}

/// The name of the package in a sample.
pub(super) const CANARY: &str = "seaworthy-canary";

/// Every format that is read.
pub(super) const FORMATS: &[Format] = &[
    python::REQUIREMENTS,
    python::POETRY,
    python::UV,
    python::PDM,
    python::PIPFILE,
    javascript::PACKAGE_LOCK,
    javascript::SHRINKWRAP,
    javascript::YARN,
    javascript::PNPM,
    others::CARGO,
    others::GO,
    others::GEMFILE,
    others::COMPOSER,
];

impl Format {
    /// Its packages, with names in normal form.
    pub(super) fn packages(&self, text: &str) -> Result<Vec<Locked>, String> {
        let named = (self.read)(text)?;
        let normal = |(name, version): (String, String)| Locked { name: self.ecosystem.normal(&name), version };
        Ok(named.into_iter().map(normal).collect())
    }

    fn fits(&self, path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match self.name {
            "requirements.txt" => {
                let folder = path.parent().is_some_and(|folder| folder.ends_with("requirements"));
                path.extension().is_some_and(|ending| ending == "txt") && (name.starts_with("requirements") || folder)
            }
            own => own == name,
        }
    }
}

/// Whether a folder's packages are not the app's: examples, documents, tests.
pub(super) fn is_aside(path: &Path) -> bool {
    let names = [
        "example",
        "examples",
        "docs",
        "doc",
        "demo",
        "demos",
        "samples",
        "template",
        "templates",
        "website",
        "benchmarks",
        "bench",
        "fuzz",
    ];
    let folders = path.parent().into_iter().flat_map(Path::components);
    is_test(path) || folders.into_iter().any(|part| part.as_os_str().to_str().is_some_and(|part| names.contains(&part)))
}

/// Every lock file of the app, and what cannot be read.
pub(super) fn lock_files(repository: &Repository) -> (Vec<LockFile>, Vec<String>) {
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for path in repository.files().filter(|path| !is_aside(path)) {
        let Some(format) = FORMATS.iter().find(|format| format.fits(path)) else { continue };
        let Some(text) = repository.text(path) else {
            unreadable.push(format!("{} is too large to be read", path.display()));
            continue;
        };
        match format.packages(&text) {
            // Requirements without pins are a manifest.
            Ok(packages) if packages.is_empty() && format.name == "requirements.txt" => {}
            Ok(packages) => found.push(LockFile { path: path.to_owned(), format, packages }),
            Err(reason) => unreadable.push(format!("{} cannot be read: {reason}", path.display())),
        }
    }
    (found, unreadable)
}

/// Names and versions of the tables `package` of a TOML file.
fn toml_packages(text: &str) -> Result<Vec<(String, String)>, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    let packages = table.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    let of = |package: &toml::Value| {
        // What is of this repository itself has no registry.
        let source = package.get("source");
        let own = source
            .is_some_and(|source| ["virtual", "editable", "directory"].iter().any(|kind| source.get(kind).is_some()));
        let text = |key: &str| package.get(key).and_then(toml::Value::as_str).map(String::from);
        (!own).then(|| Some((text("name")?, text("version")?))).flatten()
    };
    Ok(packages.filter_map(of).collect())
}

fn json(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_reads_its_own_sample() {
        for format in FORMATS {
            let packages = format.packages(&(format.sample)("1.2.3")).unwrap();
            let expected = Locked {
                name: CANARY.to_owned(),
                version: if format.name == "go.mod" { "v1.2.3" } else { "1.2.3" }.to_owned(),
            };
            let name_of_go = packages.iter().any(|one| one.name.ends_with(CANARY) && one.version == expected.version);
            assert!(name_of_go, "{}: {packages:?}", format.name);
        }
    }

    #[test]
    fn what_is_hostile_is_an_error_or_nothing() {
        for format in FORMATS {
            for text in [
                "",
                "{",
                "[[package",
                "\u{0}",
                "a@b:\n",
                "packages:\n  :\n",
                "{\"packages\": 1, \"dependencies\": {\"a\": 1}}",
            ] {
                assert!(format.packages(text).unwrap_or_default().len() < 2, "{}: {text}", format.name);
            }
        }
    }
}
