//! Inspections of the app's source as probes: what reads files lives in rooms of its own.

use std::{
    borrow::Cow,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use seaworthy_evidence::{ProbeKind, SafetyClass};
use seaworthy_repository::{Inspection, Repository, Stop, StopOnDrop};

use crate::{
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

/// Every inspection of every room.
pub fn inspections() -> Vec<Box<dyn Inspection>> {
    let rooms = [
        seaworthy_pipelines::all(),
        seaworthy_settings::all(),
        seaworthy_databases::all(),
        seaworthy_containers::all(),
        seaworthy_documents::all(),
        seaworthy_code::all(),
        seaworthy_suites::all(),
    ];
    rooms.into_iter().flatten().collect()
}

/// Every inspection, as a probe.
pub(super) fn all() -> Vec<Box<dyn Probe>> {
    inspections().into_iter().map(|one| Box::new(Reading(Arc::from(one))) as Box<dyn Probe>).collect()
}

/// An inspection as a probe.
struct Reading(Arc<dyn Inspection>);

impl Probe for Reading {
    fn about(&self) -> About {
        let (kind, class) = match self.0.runs_code() {
            true => (ProbeKind::Drill, SafetyClass::Scratch),
            false => (ProbeKind::Static, SafetyClass::Passive),
        };
        About { control: Cow::Borrowed(self.0.control()), kind, class }
    }

    fn runs_code(&self) -> bool {
        self.0.runs_code()
    }

    fn costly(&self) -> bool {
        self.0.runs_code()
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn may_look(&self, subject: &Subject) -> bool {
        subject.repo.is_some() && (subject.run_code || !self.0.runs_code())
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(async move {
            let Some(repo) = subject.repo.clone() else {
                return Sighting::not_tried("name the app's source with --repo");
            };
            let source = subject.source.started(subject.url.is_some() || subject.launcher.is_some());
            let (inspection, run_code) = (self.0.clone(), subject.run_code);
            // Reading a repository is disk and CPU work. When nobody waits for it any more it must end by itself.
            let stop = Stop::default();
            let _ends_with_us = stop.when_dropped();
            let look = tokio::task::spawn_blocking(move || match source.open(&repo, run_code) {
                Ok(repository) => {
                    let mut sighting = inspection.inspect(&repository.for_look(stop));
                    sighting.observed.push_str(&waivers(&repository, inspection.control()));
                    sighting
                }
                Err(why) => Cases::plan(1).gave_up(why),
            });
            let sighting = look.await.unwrap_or_else(|error| Cases::plan(1).gave_up(format!("it broke off: {error}")));
            sighting.notes.iter().for_each(|line| subject.transcript.note(line.clone()));
            sighting
        })
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { fixture(&self.0.present()) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { fixture(&self.0.absent()) })
    }
}

/// Opens the app's source as every inspection of the run does, for probes that read and look at more besides. It blocks.
pub(super) fn opening(subject: &Subject) -> Option<impl FnOnce() -> Result<Arc<Repository>, String> + Send + use<>> {
    let (repo, run_code) = (subject.repo.clone()?, subject.run_code);
    let source = subject.source.started(subject.url.is_some() || subject.launcher.is_some());
    Some(move || source.open(&repo, run_code))
}

/// What the team's waivers took out of a look: a report never leaves that out.
pub(super) fn waivers(repository: &Repository, control: &str) -> String {
    if !repository.declared.waived.contains_key(control) {
        return String::new();
    }
    match repository.waived_paths(control) {
        None => " (it reads no waived paths: nothing was left out)".to_owned(),
        Some(paths) if paths.is_empty() => " (no path that it met is waived)".to_owned(),
        Some(paths) => {
            let shown: Vec<String> = paths.iter().take(3).map(|path| path.display().to_string()).collect();
            let more = paths.len().saturating_sub(shown.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!(" (waived by the team: {}{more})", shown.join(", "))
        }
    }
}

fn fixture(sample: &seaworthy_repository::Sample) -> io::Result<Fixture> {
    let folder = tempfile::tempdir()?;
    sample.write(folder.path())?;
    let subject = Subject { repo: Some(folder.path().to_owned()), run_code: true, ..Subject::default() };
    Ok(Fixture { subject, _keep: vec![Box::new(folder)] })
}

/// A folder, and what was read in it.
type Read = (PathBuf, Arc<Repository>);

/// The repository that inspections share: read by the first that asks.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// Kept by folder: a subject may be given another one.
    read: Arc<Mutex<Option<Read>>>,
    /// Ends what is found out for all looks of a run.
    stop: Stop,
    /// What the team has said of it.
    pub declared: seaworthy_repository::Declared,
    /// Secrets in use: in a file or in history each is a leak.
    pub live: seaworthy_repository::LiveSecrets,
}

impl Source {
    /// The same for a run of its own: nothing is read yet, and what it reads for all ends with it.
    pub(crate) fn for_run(&self) -> (Self, StopOnDrop) {
        let stop = Stop::default();
        let ends_with_it = stop.when_dropped();
        (Self { read: Arc::default(), stop, declared: self.declared.clone(), live: self.live.clone() }, ends_with_it)
    }

    /// The same, with whether the app is known to run: then it is an app, whatever its manifest says.
    pub(super) fn started(&self, started: bool) -> Self {
        let mut own = self.clone();
        own.declared.started = started;
        own
    }

    /// What can be read in this folder.
    pub(super) fn open(&self, root: &Path, may_run: bool) -> Result<Arc<Repository>, String> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = read.as_ref().filter(|(folder, _)| folder == root) {
            return Ok(known.clone());
        }
        let mut repository = Repository::open_unless(root, &self.stop).map_err(|error| error.to_string())?;
        repository.declared = self.declared.clone();
        repository.may_run = may_run;
        repository.live = self.live.clone();
        let repository = Arc::new(repository);
        *read = Some((root.to_owned(), repository.clone()));
        Ok(repository)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, AtomicUsize, Ordering},
        time::{Duration, Instant},
    };

    use seaworthy_repository::Sample;

    use super::*;

    /// Reads for ever, and remembers something half.
    struct Endless {
        alive: Arc<AtomicUsize>,
        begun: Arc<AtomicBool>,
    }

    impl Inspection for Endless {
        fn control(&self) -> &'static str {
            "docs.license"
        }
        fn look(&self, repository: &Repository) -> Sighting {
            /// Counts who is at work.
            struct Alive(Arc<AtomicUsize>);
            impl Drop for Alive {
                fn drop(&mut self) {
                    self.0.fetch_sub(1, Ordering::SeqCst);
                }
            }
            self.alive.fetch_add(1, Ordering::SeqCst);
            let _alive = Alive(self.alive.clone());
            self.begun.store(true, Ordering::SeqCst);
            loop {
                let _ = repository.text("a.txt");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        fn present(&self) -> Sample {
            Sample::default()
        }
        fn absent(&self) -> Sample {
            Sample::default()
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_look_that_nobody_waits_for_ends() {
        let (alive, begun) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let probe = Reading(Arc::new(Endless { alive: alive.clone(), begun: begun.clone() }));
        let fixture = fixture(&Sample::of(&[("a.txt", "a")])).unwrap();
        let has_begun = async {
            while !begun.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            sighting = probe.look(&fixture.subject) => panic!("{sighting:?}"),
            () = has_begun => {}
        }
        let until = Instant::now() + Duration::from_secs(20);
        while alive.load(Ordering::SeqCst) > 0 {
            assert!(Instant::now() < until, "it still looks");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[test]
    fn what_is_read_for_all_ends_with_the_run_and_not_with_one_look() {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(&[("a.txt", "a")]).write(folder.path()).unwrap();
        let (source, run) = Source::default().for_run();
        let look = Stop::default();
        let repository = source.open(folder.path(), false).unwrap().for_look(look.clone());
        look.set();
        let found = repository.derived(|repository| repository.text("a.txt").map(|text| text.len()));
        assert_eq!(*found, Some(1));
        drop(run);
        let broken_off = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            repository.derived(|repository| repository.text("a.txt").is_some())
        }));
        assert!(broken_off.is_err(), "and nothing is kept that is not whole");
    }
}
