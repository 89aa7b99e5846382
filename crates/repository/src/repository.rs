//! A repository that is inspected: read once, asked by many.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet, HashMap},
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
    stop::Stop,
    tree::Tree,
    variables::Variables,
};

/// An app's source, as inspections see it. Everything in it is what somebody else wrote.
#[derive(Debug)]
pub struct Repository {
    all: Arc<Shared>,
    git: OnceLock<Result<Git, String>>,
    stop: Stop,
    /// What the team has said of it.
    pub declared: Declared,
    /// Secrets in use, which may stand in no file of it.
    pub live: LiveSecrets,
    /// Whether its own commands may be run, in a copy of it. Nothing of it runs otherwise.
    pub may_run: bool,
}

/// What all looks at it share: read once, or found out by the first that asks.
#[derive(Debug)]
struct Shared {
    tree: Tree,
    knowledge: &'static Knowledge,
    manifests: Manifests,
    variables: OnceLock<Variables>,
    git: OnceLock<Result<Git, String>>,
    pipelines: OnceLock<Pipelines>,
    kind: OnceLock<Kind>,
    texts: Mutex<HashMap<PathBuf, Option<Arc<str>>>>,
    memory: Memory,
    /// By control whose waivers were asked for: the paths that they took out.
    waived: Mutex<BTreeMap<String, BTreeSet<PathBuf>>>,
    /// Ends what is found out for all: with the run, and not with the look that happened to ask first.
    stop: Stop,
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
    /// By control: why the team does without it as a whole.
    pub accepted: BTreeMap<String, String>,
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
        Self::open_unless(root, &Stop::default())
    }

    /// As [`Self::open`], for a run that may be told to end ([`Stop::check`]).
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open_unless(root: &Path, run: &Stop) -> Result<Self, OpenError> {
        let knowledge = Knowledge::built_in()?;
        let tree = Tree::read_unless(root, knowledge, run)
            .map_err(|error| OpenError::Folder { folder: root.to_owned(), error })?;
        let manifests = Manifests::read(&tree);
        let all = Shared {
            tree,
            knowledge,
            manifests,
            variables: OnceLock::new(),
            git: OnceLock::new(),
            pipelines: OnceLock::new(),
            kind: OnceLock::new(),
            texts: Mutex::default(),
            memory: Memory::default(),
            waived: Mutex::default(),
            stop: run.clone(),
        };
        Ok(Self {
            all: Arc::new(all),
            git: OnceLock::new(),
            stop: run.clone(),
            declared: Declared::default(),
            live: LiveSecrets::default(),
            may_run: false,
        })
    }

    /// The same for one look, which ends when it is told to: where it asks for a text, and where it asks Git.
    #[must_use]
    pub fn for_look(&self, stop: Stop) -> Self {
        Self {
            all: Arc::clone(&self.all),
            git: OnceLock::new(),
            stop,
            declared: self.declared.clone(),
            live: self.live.clone(),
            may_run: self.may_run,
        }
    }

    /// What tells this look to end, for loops of its own.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// As what is found out once for all sees it.
    fn for_all(&self) -> Self {
        self.for_look(self.all.stop.clone())
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        self.all.tree.root()
    }

    /// The files and sources themselves.
    pub fn tree(&self) -> &Tree {
        &self.all.tree
    }

    /// Every file of the project's own, hidden ones last; relative to the root.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.all.tree.files.iter().chain(&self.all.tree.hidden).map(PathBuf::as_path)
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
        self.all.tree.has(path.as_ref())
    }

    /// Whether a folder is there, also a vendored or ignored one.
    pub fn has_folder(&self, path: impl AsRef<Path>) -> bool {
        self.all.tree.has_folder(path.as_ref())
    }

    /// A file's text; nothing when it is no plain file, or too large to be written by hand.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<Arc<str>> {
        self.stop.check();
        let path = path.as_ref();
        let mut texts = self.all.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = texts.get(path) {
            return known.clone();
        }
        let text: Option<Arc<str>> = self.all.tree.text(path).map(Arc::from);
        let kept: usize = texts.values().flatten().map(|text| text.len()).sum();
        if kept < KEPT {
            texts.insert(path.to_owned(), text.clone());
        }
        text
    }

    /// What somebody else works out about it, once for all who ask: one value a type. `work_out` may not ask for another.
    pub fn derived<T: Any + Send + Sync>(&self, work_out: impl FnOnce(&Self) -> T) -> Arc<T> {
        self.all.memory.remember(|| work_out(&self.for_all()))
    }

    /// Sources of the app, tests apart, by path.
    pub fn sources(&self) -> &BTreeMap<PathBuf, Source> {
        &self.all.tree.sources
    }

    /// Sources of its tests, by path.
    pub fn tests(&self) -> &BTreeMap<PathBuf, Source> {
        &self.all.tree.tests
    }

    /// What is known of stacks and languages.
    pub fn knowledge(&self) -> &'static Knowledge {
        self.all.knowledge
    }

    /// What the project depends on.
    pub fn manifests(&self) -> &Manifests {
        &self.all.manifests
    }

    /// Whether any manifest of this language (as in `languages/`) names one of these dependencies.
    pub fn depends_on(&self, language: &str, names: &[&str]) -> bool {
        let of = self.all.manifests.all.iter().filter(|((_, own), _)| *own == language);
        of.flat_map(|(_, manifest)| &manifest.dependencies).any(|own| names.contains(&own.name.as_str()))
    }

    /// Whether it has source of this language, tests apart.
    pub fn speaks(&self, language: &str) -> bool {
        let Some(language) = self.all.knowledge.languages.get(language) else { return false };
        self.all.tree.sources_in(Path::new(""), &language.extensions).next().is_some()
    }

    /// The variables of the environment that its code reads.
    pub fn variables(&self) -> &Variables {
        self.all.variables.get_or_init(|| Variables::find(&self.all.tree, self.all.knowledge))
    }

    /// Its pipelines.
    pub fn pipelines(&self) -> &Pipelines {
        self.all.pipelines.get_or_init(|| pipeline::read(&self.for_all()))
    }

    /// What it is: an app that is deployed, or a package that others install.
    pub fn kind(&self) -> &Kind {
        self.all.kind.get_or_init(|| kind::of(&self.for_all()))
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
        let open = || Git::open_unless(self.root(), self.all.stop.clone());
        let own =
            || self.all.git.get_or_init(open).as_ref().map(|git| git.for_look(self.stop.clone())).map_err(Clone::clone);
        self.git.get_or_init(own).as_ref().map_err(String::as_str)
    }

    /// Why what was read is not everything, when it is not: then nothing that says *none* can hold.
    pub fn not_whole(&self) -> Option<&'static str> {
        self.all.tree.cut.then_some("there are more files than are read: name the app's own folder with --repo")
    }

    /// Whether the team has said that this path does not count for this control.
    pub fn is_waived(&self, control: &str, path: &Path) -> bool {
        let Some(patterns) = self.declared.waived.get(control) else { return false };
        let own = path;
        let path = path.to_string_lossy();
        let fits = |pattern: &String| match pattern.split_once('*') {
            None => *pattern == *path || path.starts_with(&format!("{}/", pattern.trim_end_matches('/'))),
            Some((start, end)) => {
                path.len() >= start.len() + end.len() && path.starts_with(start) && path.ends_with(end)
            }
        };
        let waived = patterns.iter().any(fits);
        let mut all = self.all.waived.lock().unwrap_or_else(PoisonError::into_inner);
        let met = all.entry(control.to_owned()).or_default();
        if waived {
            met.insert(own.to_owned());
        }
        waived
    }

    /// The paths that waivers of a control took out so far; nothing when it asked for none, so that they were not heard.
    pub fn waived_paths(&self, control: &str) -> Option<BTreeSet<PathBuf>> {
        self.all.waived.lock().unwrap_or_else(PoisonError::into_inner).get(control).cloned()
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
        assert_eq!(repository.waived_paths("x.y"), None, "nobody asked");
        assert!(waived("scripts/a.py") && waived("src/b/c.js"));
        assert_eq!(repository.waived_paths("x.y").map(|paths| paths.len()), Some(2));
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
