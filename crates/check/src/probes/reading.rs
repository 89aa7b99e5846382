//! Inspections of the app's source as probes: what reads files lives in rooms of its own.

use std::{
    borrow::Cow,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use seaworthy_evidence::{ProbeKind, SafetyClass};
use seaworthy_repository::{Inspection, Repository};

use crate::{
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

/// Every inspection, as a probe.
pub(super) fn all() -> Vec<Box<dyn Probe>> {
    let rooms = [seaworthy_inspect::all(), seaworthy_code::all(), seaworthy_suites::all()];
    rooms.into_iter().flatten().map(|one| Box::new(Reading(Arc::from(one))) as Box<dyn Probe>).collect()
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
            // Reading a repository is disk and CPU work.
            let look = tokio::task::spawn_blocking(move || match source.open(&repo, run_code) {
                Ok(repository) => inspection.inspect(&repository),
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
    /// What the team has said of it.
    pub declared: seaworthy_repository::Declared,
    /// Secrets in use: in a file or in history each is a leak.
    pub live: seaworthy_repository::LiveSecrets,
}

impl Source {
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
        let mut repository = Repository::open(root).map_err(|error| error.to_string())?;
        repository.declared = self.declared.clone();
        repository.may_run = may_run;
        repository.live = self.live.clone();
        let repository = Arc::new(repository);
        *read = Some((root.to_owned(), repository.clone()));
        Ok(repository)
    }
}
