//! A repository's code, read once for all inspections of this room.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use seaworthy_repository::Repository;

use crate::{
    grammar::{Language, Trees},
    module::Module,
    reading,
    resolve::Ground,
};

/// Every source file that has a grammar, tests too.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) modules: Vec<Module>,
    /// Where a path is in the list.
    pub(crate) at: HashMap<PathBuf, usize>,
    /// What imports are looked up in.
    pub(crate) ground: Ground,
    /// Why not everything was read.
    pub(crate) not_whole: Option<String>,
}

/// All files together; the bound is for what was built to last.
const LONGEST: Duration = Duration::from_secs(30);
/// Readers side by side.
const MOST_READERS: usize = 4;

impl Code {
    /// The repository's code; read when it is asked for first.
    pub(crate) fn of(repository: &Repository) -> Arc<Self> {
        repository.derived(Self::read)
    }

    fn read(repository: &Repository) -> Self {
        let files: Vec<(&PathBuf, bool)> = repository.sources().keys().map(|path| (path, false)).collect();
        let tests = repository.tests().keys().map(|path| (path, true));
        let files: Vec<(&PathBuf, bool)> = files.into_iter().chain(tests).collect();
        let (next, begun) = (AtomicUsize::new(0), Instant::now());
        let found: Mutex<BTreeMap<usize, Module>> = Mutex::default();
        let readers = thread::available_parallelism().map_or(1, |count| count.get().min(MOST_READERS));
        thread::scope(|scope| {
            for _ in 0..readers {
                scope.spawn(|| {
                    let mut trees = Trees::new();
                    while begun.elapsed() < LONGEST && !repository.stop().is_set() {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some((path, test)) = files.get(at) else { break };
                        let Some(language) = Language::of(path) else { continue };
                        // Not kept by the repository: comments are asked for here alone.
                        let Some(text) = repository.tree().text(path) else { continue };
                        let mut module = reading::read((*path).clone(), &text, language, &mut trees);
                        module.test = *test;
                        found.lock().unwrap_or_else(PoisonError::into_inner).insert(at, module);
                    }
                });
            }
        });
        repository.stop().check();
        let in_time = next.into_inner() >= files.len();
        let modules: Vec<Module> = found.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect();
        let at: HashMap<PathBuf, usize> =
            modules.iter().enumerate().map(|(at, module)| (module.path.clone(), at)).collect();
        let late = (!in_time).then(|| format!("reading {} files takes more than {LONGEST:?}", files.len()));
        let ground = Ground::read(repository, &modules, &at);
        let unread = modules.iter().find(|module| module.unread.is_some() && !module.test);
        let unread = unread.map(|module| format!("{} was not read: it takes too long to parse", module.path.display()));
        let not_whole = repository.not_whole().map(String::from).or(late).or(unread);
        Self { modules, at, ground, not_whole }
    }

    /// What is the app's own, tests apart, and could be read.
    pub(crate) fn own(&self) -> impl Iterator<Item = &Module> {
        self.modules.iter().filter(|module| !module.test && !module.foreign && module.unread.is_none())
    }

    /// Files that could not be read, for the transcript.
    pub(crate) fn unread(&self) -> impl Iterator<Item = String> {
        self.modules.iter().filter_map(|module| Some(format!("{}: {}", module.path.display(), module.unread?)))
    }
}
