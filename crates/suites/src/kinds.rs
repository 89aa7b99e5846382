//! Kinds of tests, and how a file of tests shows what it is.

use std::{collections::BTreeSet, path::Path, sync::OnceLock};

use seaworthy_repository::{Pattern, Repository, Source};
use serde::Deserialize;

/// A kind of test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Logic on its own.
    Unit,
    /// Parts together with real services.
    Integration,
    /// Calls over HTTP.
    Api,
    /// Journeys through the whole.
    E2e,
    /// Parts of the interface.
    Component,
    /// Pictures.
    Visual,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    name: Kind,
    marks: Pattern,
    weak: Option<Pattern>,
    #[serde(default)]
    folders: Vec<String>,
    names: Option<Pattern>,
    with: Option<Pattern>,
    without: Option<Pattern>,
    #[serde(default)]
    perhaps: Vec<String>,
    perhaps_code: Option<Pattern>,
}

#[derive(Deserialize, Default)]
struct File {
    kind: Vec<Known>,
    outside_packages: Vec<String>,
    outside_code: Option<Pattern>,
}

fn file() -> &'static File {
    static READ: OnceLock<File> = OnceLock::new();
    READ.get_or_init(|| toml::from_str(include_str!("kinds.toml")).unwrap_or_default())
}

fn known() -> &'static [Known] {
    &file().kind
}

/// Whether anything is seen that the app is integrated with: a store, a service, a call over the network.
pub fn reaches_out(repository: &Repository) -> bool {
    let file = file();
    let mut manifests = repository.manifests().all.values();
    let reaches = |source: &Source| {
        file.outside_code.as_ref().is_some_and(|code| source.matches(&code.0).next().is_some())
            || Kind::Integration.marks(source)
    };
    manifests.any(|manifest| file.outside_packages.iter().any(|name| manifest.dependency(name).is_some()))
        || repository.sources().values().any(reaches)
}

impl Kind {
    /// As in a sentence: `3 integration tests`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Integration => "integration",
            Self::Api => "API",
            Self::E2e => "end-to-end",
            Self::Component => "component",
            Self::Visual => "visual",
        }
    }

    /// What a file of tests is. Without any sign it holds unit tests.
    pub fn of(path: &Path, source: &Source) -> BTreeSet<Self> {
        let mut kinds: BTreeSet<Self> =
            known().iter().filter(|known| known.fits(path, source)).map(|known| known.name).collect();
        if kinds.contains(&Self::Visual) || kinds.contains(&Self::E2e) {
            // A journey calls the API and reaches the database, and is a test of neither alone.
            kinds.retain(|kind| matches!(kind, Self::Visual | Self::E2e));
        }
        if kinds.contains(&Self::Component) {
            kinds.remove(&Self::Api);
        }
        if kinds.is_empty() {
            kinds.insert(Self::Unit);
        }
        kinds
    }
}

impl Kind {
    /// Whether a path says that it holds tests of this kind.
    pub fn is_place(self, path: &Path) -> bool {
        known().iter().any(|known| known.name == self && known.is_place(path))
    }

    /// Whether a file may hold tests of this kind, though nothing in it says so.
    pub fn is_perhaps(self, path: &Path, source: &Source) -> bool {
        let mut folders = path.parent().into_iter().flat_map(Path::components);
        folders.any(|folder| {
            known()
                .iter()
                .any(|known| known.name == self && known.perhaps.iter().any(|one| folder.as_os_str() == one.as_str()))
        }) || known().iter().any(|known| {
            let code = known.perhaps_code.as_ref().filter(|_| known.name == self);
            code.is_some_and(|code| source.matches(&code.0).next().is_some())
        })
    }

    /// Whether code has a mark of this kind.
    pub fn marks(self, source: &Source) -> bool {
        known().iter().any(|known| known.name == self && source.matches(&known.marks.0).next().is_some())
    }
}

impl Known {
    fn fits(&self, path: &Path, source: &Source) -> bool {
        let has = |pattern: &Pattern| source.matches(&pattern.0).next().is_some();
        if has(&self.marks) {
            return true;
        }
        let without = !self.without.as_ref().is_some_and(&has);
        without
            && (self.weak.as_ref().is_some_and(&has) || (self.is_place(path) && self.with.as_ref().is_none_or(&has)))
    }

    fn is_place(&self, path: &Path) -> bool {
        let folders = path.parent().into_iter().flat_map(Path::components);
        let mut folders = folders.filter_map(|folder| folder.as_os_str().to_str());
        let file = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        folders.any(|folder| self.folders.iter().any(|own| own.eq_ignore_ascii_case(folder)))
            || self.names.as_ref().is_some_and(|names| names.0.is_match(&file))
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Knowledge;

    use super::*;

    fn kinds(path: &str, text: &str) -> Vec<Kind> {
        let knowledge = Knowledge::load().unwrap();
        let extension = path.rsplit('.').next().unwrap();
        let source = Source::new(text, &knowledge.language_of(extension).unwrap().tokens);
        Kind::of(Path::new(path), &source).into_iter().collect()
    }

    #[test]
    fn a_file_shows_what_it_is() {
        assert_eq!(known().len(), 5);
        assert_eq!(kinds("tests/test_a.py", "def test_a():\n    assert f(1) == 2\n"), [Kind::Unit]);
        assert_eq!(kinds("tests/test_a.py", "client = TestClient(app)\n"), [Kind::Api]);
        assert_eq!(kinds("tests/test_a.py", "rv = client.get('/x')\n"), [Kind::Api]);
        assert_eq!(kinds("tests/test_a.py", "# TestClient(app)\nx = 'sqlite3.connect()'\n"), [Kind::Unit]);
        assert_eq!(kinds("tests/test_a.py", "db = sqlite3.connect(path)\n"), [Kind::Integration]);
        assert_eq!(kinds("a.test.tsx", "import { render } from '@testing-library/react';\n"), [Kind::Component]);
        assert_eq!(kinds("a.spec.ts", "import { test } from '@playwright/test';\n"), [Kind::E2e]);
        let picture = "import { test } from '@playwright/test';\nawait expect(page).toHaveScreenshot();\n";
        assert_eq!(kinds("a.spec.ts", picture), [Kind::E2e, Kind::Visual]);
        assert_eq!(kinds("a.test.js", "const request = require('supertest');\n"), [Kind::Api]);
        assert_eq!(kinds("a_test.go", "srv := httptest.NewServer(h)\n"), [Kind::Api]);
    }

    #[test]
    fn a_folders_name_alone_is_not_enough() {
        assert_eq!(kinds("e2e/a.test.js", "assert.equal(1, 1)\n"), [Kind::Unit]);
        assert_eq!(kinds("e2e/a.test.js", "await fetch(url)\n"), [Kind::E2e]);
        assert_eq!(kinds("tests/integration/test_a.py", "with patch('a.db'): pass\n"), [Kind::Unit]);
        assert_eq!(kinds("tests/integration/test_a.py", "x = store.save(1)\n"), [Kind::Integration]);
        assert_eq!(kinds("test/acceptance/send_test.go", "at.Run()\n"), [Kind::Integration]);
        let picture = "await page.goto(u);\nawait page.screenshot({ path: 'reference/a.png' });\n";
        assert_eq!(kinds("js/tests/screenshots/a.test.js", picture), [Kind::E2e, Kind::Visual]);
        assert_eq!(kinds("js/tests/e2e/a.test.js", picture), [Kind::E2e]);
    }
}
