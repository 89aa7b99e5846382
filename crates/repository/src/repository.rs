//! A repository that is inspected: read once, asked by many.

use std::{
    any::Any,
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use thiserror::Error;

use crate::{
    git::Git,
    kind::{self, Kind},
    knowledge::{Knowledge, KnowledgeError},
    live::LiveSecrets,
    manifests::Manifests,
    memory::Memory,
    pipeline::{self, Pipelines},
    source::Source,
    tree::Tree,
    variables::Variables,
};

/// An app's source, as inspections see it. Everything in it is what somebody else wrote.
#[derive(Debug)]
pub struct Repository {
    tree: Tree,
    knowledge: &'static Knowledge,
    manifests: Manifests,
    variables: OnceLock<Variables>,
    git: OnceLock<Result<Git, String>>,
    pipelines: OnceLock<Pipelines>,
    kind: OnceLock<Kind>,
    texts: Mutex<HashMap<PathBuf, Option<Arc<str>>>>,
    memory: Memory,
    /// What the team has said of it.
    pub declared: Declared,
    /// Secrets in use, which may stand in no file of it.
    pub live: LiveSecrets,
    /// Whether its own commands may be run, in a copy of it. Nothing of it runs otherwise.
    pub may_run: bool,
}

/// What only the team can know of its repository; `[check]` says it.
#[derive(Debug, Clone, Default)]
pub struct Declared {
    /// Layers from the top down, as folders or modules; each may import those below it alone.
    pub layers: Vec<String>,
    /// The command that runs the project's tests, when it is not found out rightly.
    pub test_command: Option<String>,
    /// A folder of advisories in the format of OSV, one JSON file each, to hold lock files against.
    pub advisories: Option<PathBuf>,
    /// By control: paths (with `*`) that do not count there.
    pub waived: BTreeMap<String, Vec<String>>,
    /// It runs: a command that starts it or its address is known, so that it is an app whatever its manifest says.
    pub started: bool,
}

/// Why a repository cannot be inspected.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder cannot be read.
    #[error("cannot read {folder}: {error}")]
    Folder {
        /// Which one.
        folder: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// An error of ours.
    #[error(transparent)]
    Knowledge(#[from] KnowledgeError),
}

/// Texts that are kept, in bytes: most files are asked for by several inspections.
const KEPT: usize = 64 << 20;

impl Repository {
    /// Reads the folder: its files, sources and manifests.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open(root: &Path) -> Result<Self, OpenError> {
        let knowledge = Knowledge::built_in()?;
        let tree = Tree::read(root, knowledge).map_err(|error| OpenError::Folder { folder: root.to_owned(), error })?;
        let manifests = Manifests::read(&tree);
        Ok(Self {
            tree,
            knowledge,
            manifests,
            variables: OnceLock::new(),
            git: OnceLock::new(),
            pipelines: OnceLock::new(),
            kind: OnceLock::new(),
            texts: Mutex::default(),
            memory: Memory::default(),
            declared: Declared::default(),
            live: LiveSecrets::default(),
            may_run: false,
        })
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        self.tree.root()
    }

    /// The files and sources themselves.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Every file of the project's own, hidden ones last; relative to the root.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.tree.files.iter().chain(&self.tree.hidden).map(PathBuf::as_path)
    }

    /// The file of the root with one of these names, whatever their case: the first name that is there.
    pub fn root_file(&self, names: &[&str]) -> Option<&Path> {
        let of_root = |path: &&Path| path.components().count() == 1;
        let named = |name: &str| {
            self.files().filter(of_root).find(|path| path.to_str().is_some_and(|own| own.eq_ignore_ascii_case(name)))
        };
        names.iter().find_map(|name| named(name))
    }

    /// Files whose name is one of these.
    pub fn named<'r>(&'r self, names: &'r [&'r str]) -> impl Iterator<Item = &'r Path> {
        self.files()
            .filter(|path| path.file_name().and_then(|own| own.to_str()).is_some_and(|own| names.contains(&own)))
    }

    /// Files with one of these endings, written without the dot.
    pub fn ending<'r>(&'r self, endings: &'r [&'r str]) -> impl Iterator<Item = &'r Path> {
        self.files()
            .filter(|path| path.extension().and_then(|own| own.to_str()).is_some_and(|own| endings.contains(&own)))
    }

    /// Whether a file is there, also a vendored or ignored one.
    pub fn has(&self, path: impl AsRef<Path>) -> bool {
        self.tree.has(path.as_ref())
    }

    /// Whether a folder is there, also a vendored or ignored one.
    pub fn has_folder(&self, path: impl AsRef<Path>) -> bool {
        self.tree.has_folder(path.as_ref())
    }

    /// A file's text; nothing when it is no plain file, or too large to be written by hand.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<Arc<str>> {
        let path = path.as_ref();
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = texts.get(path) {
            return known.clone();
        }
        let text: Option<Arc<str>> = self.tree.text(path).map(Arc::from);
        let kept: usize = texts.values().flatten().map(|text| text.len()).sum();
        if kept < KEPT {
            texts.insert(path.to_owned(), text.clone());
        }
        text
    }

    /// What somebody else works out about it, once for all who ask: one value a type. `work_out` may not ask for another.
    pub fn derived<T: Any + Send + Sync>(&self, work_out: impl FnOnce(&Self) -> T) -> Arc<T> {
        self.memory.remember(|| work_out(self))
    }

    /// Sources of the app, tests apart, by path.
    pub fn sources(&self) -> &BTreeMap<PathBuf, Source> {
        &self.tree.sources
    }

    /// Sources of its tests, by path.
    pub fn tests(&self) -> &BTreeMap<PathBuf, Source> {
        &self.tree.tests
    }

    /// What is known of stacks and languages.
    pub fn knowledge(&self) -> &'static Knowledge {
        self.knowledge
    }

    /// What the project depends on.
    pub fn manifests(&self) -> &Manifests {
        &self.manifests
    }

    /// Whether any manifest of this language (as in `languages/`) names one of these dependencies.
    pub fn depends_on(&self, language: &str, names: &[&str]) -> bool {
        let of = self.manifests.all.iter().filter(|((_, own), _)| *own == language);
        of.flat_map(|(_, manifest)| &manifest.dependencies).any(|own| names.contains(&own.name.as_str()))
    }

    /// Whether it has source of this language, tests apart.
    pub fn speaks(&self, language: &str) -> bool {
        let Some(language) = self.knowledge.languages.get(language) else { return false };
        self.tree.sources_in(Path::new(""), &language.extensions).next().is_some()
    }

    /// The variables of the environment that its code reads.
    pub fn variables(&self) -> &Variables {
        self.variables.get_or_init(|| Variables::find(&self.tree, self.knowledge))
    }

    /// Its pipelines.
    pub fn pipelines(&self) -> &Pipelines {
        self.pipelines.get_or_init(|| pipeline::read(self))
    }

    /// What it is: an app that is deployed, or a package that others install.
    pub fn kind(&self) -> &Kind {
        self.kind.get_or_init(|| kind::of(self))
    }

    /// The manifest that makes a package which others install, whether or not it is deployed as well.
    pub fn published(&self) -> Option<String> {
        kind::published(self)
    }

    /// Its history; the error says why there is none.
    ///
    /// # Errors
    /// When it is no Git repository, or Git is missing.
    pub fn git(&self) -> Result<&Git, &str> {
        self.git.get_or_init(|| Git::open(self.root())).as_ref().map_err(String::as_str)
    }

    /// Why what was read is not everything, when it is not: then nothing that says *none* can hold.
    pub fn not_whole(&self) -> Option<&'static str> {
        self.tree.cut.then_some("there are more files than are read: name the app's own folder with --repo")
    }

    /// Whether the team has said that this path does not count for this control.
    pub fn is_waived(&self, control: &str, path: &Path) -> bool {
        let path = path.to_string_lossy();
        let fits = |pattern: &String| match pattern.split_once('*') {
            None => *pattern == *path || path.starts_with(&format!("{}/", pattern.trim_end_matches('/'))),
            Some((start, end)) => {
                path.len() >= start.len() + end.len() && path.starts_with(start) && path.ends_with(end)
            }
        };
        self.declared.waived.get(control).is_some_and(|patterns| patterns.iter().any(fits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_folder::folder_with;

    #[test]
    fn files_are_found_by_name_ending_and_place() {
        let folder = folder_with(&[
            ("Readme.md", "# a"),
            (".github/workflows/ci.yml", "on: push"),
            ("docs/README.md", "x"),
            ("src/app.py", "import os\nA = os.environ['A']\n"),
            ("tests/test_app.py", "def test(): pass"),
        ]);
        let repository = Repository::open(folder.path()).unwrap();
        assert_eq!(repository.root_file(&["README.md", "README"]), Some(Path::new("Readme.md")));
        assert_eq!(repository.ending(&["yml"]).collect::<Vec<_>>(), [Path::new(".github/workflows/ci.yml")]);
        assert_eq!(repository.text("Readme.md").as_deref(), Some("# a"));
        assert!(repository.speaks("python") && !repository.speaks("go"));
        assert!(repository.variables().all.contains_key("A"));
        assert_eq!((repository.sources().len(), repository.tests().len()), (1, 1));
        assert!(repository.git().is_err());
    }

    #[test]
    fn what_is_worked_out_is_worked_out_once() {
        let folder = folder_with(&[("a", "")]);
        let repository = Repository::open(folder.path()).unwrap();
        let first = repository.derived(|repository| repository.files().count());
        assert_eq!((*first, *repository.derived(|_| 7_usize), *repository.derived(|_| "x")), (1, 1, "x"));
    }

    #[test]
    fn a_waiver_names_a_folder_a_file_or_a_pattern() {
        let folder = folder_with(&[("a", "")]);
        let mut repository = Repository::open(folder.path()).unwrap();
        repository.declared.waived.insert("x.y".into(), vec!["scripts".into(), "src/*.js".into()]);
        let waived = |path: &str| repository.is_waived("x.y", Path::new(path));
        assert!(waived("scripts/a.py") && waived("src/b/c.js"));
        assert!(
            !waived("scripts2/a.py") && !waived("src/c.ts") && !repository.is_waived("x.z", Path::new("scripts/a"))
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_not_followed() {
        let folder = folder_with(&[("a.txt", "x")]);
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("b.txt")).unwrap();
        std::os::unix::fs::symlink(".", folder.path().join("loop")).unwrap();
        let repository = Repository::open(folder.path()).unwrap();
        assert_eq!(repository.files().count(), 1);
        assert_eq!(repository.text("b.txt"), None);
    }
}
