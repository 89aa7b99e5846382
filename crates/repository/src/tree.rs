//! The folder that is looked at: its files, without what others wrote.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use crate::{
    knowledge::Knowledge,
    source::Source,
    stop::Stop,
    walk::{Walk, bounded},
};

/// A folder's own files, by path relative to it.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    /// Every file that is not vendored, hidden or ignored.
    pub files: Vec<PathBuf>,
    /// The hidden ones: `.github/workflows/ci.yml`, `.env.example`.
    pub hidden: Vec<PathBuf>,
    /// Those that are source, without tests.
    pub sources: BTreeMap<PathBuf, Source>,
    /// Tests that are source.
    pub tests: BTreeMap<PathBuf, Source>,
    /// True when there was more than is read.
    pub cut: bool,
}

/// Folders that hold what others wrote, or what a build made.
const SKIPPED_FOLDERS: &[&str] = &[
    "node_modules",
    "bower_components",
    "vendor",
    "venv",
    "env",
    "virtualenv",
    "site-packages",
    "__pycache__",
    "target",
    "dist",
    "build",
    "out",
    "_site",
    "coverage",
    "htmlcov",
    "eggs",
    "Pods",
];

/// Folders of tests: what they read is theirs, and their apps are not the app.
pub const TEST_FOLDERS: &[&str] =
    &["test", "tests", "__tests__", "spec", "specs", "e2e", "cypress", "testdata", "fixtures"];

/// Hidden folders that hold no file of the project's own: histories, environments, caches, and what we write.
const SKIPPED_HIDDEN: &[&str] = &[
    ".git",
    ".hg",
    ".svn",
    ".seaworthy",
    ".venv",
    ".tox",
    ".nox",
    ".next",
    ".nuxt",
    ".svelte-kit",
    ".turbo",
    ".cache",
    ".parcel-cache",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".gradle",
    ".yarn",
    ".pnpm-store",
    ".bundle",
];

/// A source that is larger was generated.
const LARGEST_SOURCE: u64 = 512 * 1024;
/// A text that is larger is data.
const LARGEST_TEXT: u64 = 8 << 20;
const MOST_FILES: usize = 20_000;
/// All sources together: what is read is kept in memory.
const MOST_SOURCE: u64 = 96 << 20;

impl Tree {
    /// Looks at a folder.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn read(root: &Path, knowledge: &Knowledge) -> io::Result<Self> {
        Self::read_unless(root, knowledge, &Stop::default())
    }

    /// As [`Self::read`], and broken off when that is told ([`Stop::check`]).
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn read_unless(root: &Path, knowledge: &Knowledge, stop: &Stop) -> io::Result<Self> {
        let walk = Walk { skipped: &[SKIPPED_FOLDERS, SKIPPED_HIDDEN], obeys_ignore: true, most: MOST_FILES };
        let walked = walk.through_unless(root, stop)?;
        let mut tree = Self {
            root: root.to_owned(),
            files: Vec::new(),
            hidden: Vec::new(),
            sources: BTreeMap::new(),
            tests: BTreeMap::new(),
            cut: walked.cut,
        };
        let mut left = MOST_SOURCE;
        for file in walked.files {
            stop.check();
            if file.path.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b".")) {
                tree.hidden.push(file.path);
                continue;
            }
            tree.read_source(&file.path, file.length, &mut left, knowledge);
            tree.files.push(file.path);
        }
        Ok(tree)
    }

    fn read_source(&mut self, path: &Path, length: u64, left: &mut u64, knowledge: &Knowledge) {
        let language = path.extension().and_then(|extension| knowledge.language_of(extension.to_str()?));
        let Some(language) = language.filter(|_| length <= LARGEST_SOURCE) else { return };
        if length > *left {
            self.cut = true;
            return;
        }
        *left -= length;
        if let Some(text) = self.text(path) {
            let kind = if is_test(path) { &mut self.tests } else { &mut self.sources };
            kind.insert(path.to_owned(), Source::new(&text, &language.tokens));
        }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a file is there, also a vendored or hidden one.
    pub fn has(&self, path: &Path) -> bool {
        self.root.join(path).is_file()
    }

    /// Whether a folder is there.
    pub fn has_folder(&self, path: &Path) -> bool {
        self.root.join(path).is_dir()
    }

    /// A file's text; nothing when it is no plain file, or too large to be written by hand. What is no UTF-8 is replaced.
    pub fn text(&self, path: &Path) -> Option<String> {
        let bytes = bounded(&self.root.join(path), LARGEST_TEXT)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Sources below a folder with one of these endings.
    pub fn sources_in<'t>(
        &'t self,
        folder: &'t Path,
        extensions: &'t [String],
    ) -> impl Iterator<Item = (&'t Path, &'t Source)> {
        let fits = |path: &Path| {
            path.extension().and_then(|own| own.to_str()).is_some_and(|own| extensions.iter().any(|one| one == own))
        };
        self.sources
            .iter()
            .filter(move |(path, _)| path.starts_with(folder) && fits(path))
            .map(|(path, source)| (path.as_path(), source))
    }
}

/// Whether a file is a test, by its name or its folder.
pub fn is_test(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folders = path.parent().into_iter().flat_map(Path::components);
    let mut folders = folders.filter_map(|folder| folder.as_os_str().to_str());
    folders.any(|folder| TEST_FOLDERS.contains(&folder))
        || name.starts_with("test_")
        || name == "conftest.py"
        || ["_test.", ".test.", ".spec.", "_spec."].iter().any(|mark| name.contains(mark))
}

/// Whether a file is for development alone, by its name or its folder: `settings/dev.py`, `config/test.js`.
pub fn is_for_development(path: &Path) -> bool {
    let words =
        ["dev", "devel", "develop", "development", "local", "test", "tests", "testing", "ci", "debug", "e2e", "demo"];
    let folders = path.parent().into_iter().flat_map(Path::iter).filter_map(|part| part.to_str());
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    folders.chain([name]).any(|part| part.to_lowercase().split(['.', '-', '_']).any(|part| words.contains(&part)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_folder::folder_with;

    #[test]
    fn what_others_wrote_is_not_read() {
        let folder = folder_with(&[
            ("app.py", "x"),
            ("src/test_app.py", "x"),
            ("tests/app.py", "x"),
            ("web/a.spec.ts", "x"),
            ("node_modules/a/index.js", "x"),
            (".venv/lib/a.py", "x"),
            ("vendor/a.go", "x"),
            ("generated/a.py", "x"),
            (".gitignore", "/generated\n"),
            (".env", "SECRET=1"),
        ]);
        let tree = Tree::read(folder.path(), &Knowledge::load().unwrap()).unwrap();
        assert_eq!(tree.sources.keys().map(|path| path.to_str().unwrap()).collect::<Vec<_>>(), ["app.py"]);
        let files: Vec<&str> = tree.files.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(files, ["app.py", "src/test_app.py", "tests/app.py", "web/a.spec.ts"]);
        assert_eq!(tree.tests.len(), 3);
        assert_eq!(tree.hidden.iter().map(|path| path.to_str().unwrap()).collect::<Vec<_>>(), [".env", ".gitignore"]);
        assert!(tree.has(Path::new(".venv/lib/a.py")) && tree.has_folder(Path::new("vendor")));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        assert!(Tree::read(Path::new("/no/such/folder"), &Knowledge::load().unwrap()).is_err());
    }
}
