//! Runs probes and decides whether to believe them.
//!
//! The rule: *pass* needs planned = executed > 0, every case to hold, and a control experiment that came out right in both
//! directions in this very run. A probe that cannot tell its known subjects apart is inconclusive, whatever it says of the
//! target.

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    io,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use seaworthy_evidence::{Experiment, Finding, ProbeKind, Verdict};
use tokio::{sync::OnceCell, time::timeout};

use crate::{
    http::{HttpError, redact},
    probe::{Outcome, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

/// Runs probes, each control experiment once.
#[derive(Debug)]
pub struct Runner {
    budget: Duration,
    experiments: Mutex<HashMap<&'static str, Arc<OnceCell<Experiment>>>>,
}

impl Runner {
    /// Each look at a subject may take this long.
    pub fn new(budget: Duration) -> Self {
        Self { budget, experiments: Mutex::default() }
    }

    /// Tries one control.
    pub async fn try_control(&self, probe: &dyn Probe, subject: &Subject) -> Finding {
        let started = Instant::now();
        let subject = Subject { transcript: Default::default(), ..subject.clone() };
        let mut sighting = match unreachable(probe, &subject).await {
            Some(why) => Sighting { outcome: Outcome::Unclear(why), ..Sighting::not_tried("") },
            None => self.look(probe, &subject).await,
        };
        // Without a look there is nothing that an experiment could support.
        let experiment = match sighting.outcome {
            Outcome::NotTried(_) => None,
            _ => Some(self.experiment(probe).await),
        };
        if let Some(aside) = subject.transcript.unverified() {
            sighting.observed = format!("{} ({aside})", sighting.observed);
        }
        let (verdict, reason) = judge(&sighting, experiment.as_ref());
        Finding {
            control: probe.control().into(),
            verdict,
            reason: redact(&reason),
            planned: sighting.planned,
            executed: sighting.executed,
            observed: redact(&sighting.observed),
            kind: Some(probe.kind()),
            class: Some(probe.about().class),
            experiment,
            expires: None,
            evidence: None,
            took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            transcript: subject.transcript.lines(),
        }
    }

    /// Does the control experiments of these probes side by side, so that they need not be waited for later. They use
    /// targets of their own and disturb nothing.
    pub async fn prepare(&self, probes: &[&dyn Probe]) {
        let mut running: Vec<_> = probes.iter().map(|probe| Some(Box::pin(self.experiment(*probe)))).collect();
        poll_fn(|context| {
            for slot in &mut running {
                if slot.as_mut().is_some_and(|experiment| experiment.as_mut().poll(context).is_ready()) {
                    *slot = None;
                }
            }
            if running.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    async fn look(&self, probe: &dyn Probe, subject: &Subject) -> Sighting {
        match timeout(self.budget, probe.look(subject)).await {
            Ok(sighting) => sighting,
            Err(_) => {
                let why = format!("it was not done within its budget of {} s", self.budget.as_secs());
                Sighting { outcome: Outcome::Unclear(why), ..Sighting::not_tried("") }
            }
        }
    }

    /// Done once, however many wait for it.
    async fn experiment(&self, probe: &dyn Probe) -> Experiment {
        let cell = {
            let mut all = self.experiments.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(probe.control()).or_default().clone()
        };
        let trying = async || {
            let present = self.look_at_fixture(probe, probe.present()).await;
            let absent = self.look_at_fixture(probe, probe.absent()).await;
            let right = matches!(present, Outcome::Holds) && matches!(absent, Outcome::Broken(_));
            Experiment { right, present: words(&present), absent: words(&absent) }
        };
        cell.get_or_init(trying).await.clone()
    }

    async fn look_at_fixture(&self, probe: &dyn Probe, fixture: Working<'_, io::Result<Fixture>>) -> Outcome {
        match fixture.await {
            Ok(fixture) => self.look(probe, &fixture.subject).await.outcome,
            Err(error) => Outcome::Unclear(format!("the experiment could not be set up: {error}")),
        }
    }
}

/// Why a live probe need not even start.
async fn unreachable(probe: &dyn Probe, subject: &Subject) -> Option<String> {
    if probe.kind() != ProbeKind::Live {
        return None;
    }
    match subject.client()?.patience(Duration::from_secs(5)).get("/").await {
        Err(error @ (HttpError::Connect(..) | HttpError::Slow(..))) => {
            Some(format!("the target could not be reached: {error}"))
        }
        // Then it would be the proxy in between that is judged, and not the app.
        Ok(answer) if matches!(answer.status.as_u16(), 502..=504) => {
            Some(format!("the target is not in a steady state: GET / answers {}", answer.status.as_u16()))
        }
        _ => None,
    }
}

fn judge(sighting: &Sighting, experiment: Option<&Experiment>) -> (Verdict, String) {
    if let Some(experiment) = experiment
        && !experiment.right
        && !matches!(sighting.outcome, Outcome::NotTried(_))
    {
        let reason = format!(
            "the probe could not tell its known subjects apart (present: {}; absent: {})",
            experiment.present, experiment.absent
        );
        return (Verdict::Inconclusive, reason);
    }
    match &sighting.outcome {
        Outcome::Holds if sighting.executed > 0 && sighting.planned == sighting.executed && experiment.is_some() => {
            (Verdict::Pass, sighting.observed.clone())
        }
        Outcome::Holds => {
            (Verdict::Inconclusive, format!("{} of {} cases were tried", sighting.executed, sighting.planned))
        }
        Outcome::Broken(what) => (Verdict::Fail, what.clone()),
        Outcome::Unclear(why) => (Verdict::Inconclusive, why.clone()),
        Outcome::NotTried(what) => (Verdict::NotRun, what.clone()),
    }
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Holds => "holds".into(),
        Outcome::Broken(what) => format!("broken: {what}"),
        Outcome::Unclear(why) => format!("unclear: {why}"),
        Outcome::NotTried(what) => format!("not tried: {what}"),
    }
}

/// Every probe has four tests: present, absent, unreachable, and a sabotaged control experiment.
#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::probes;

    fn runner() -> Runner {
        Runner::new(Duration::from_secs(30))
    }

    /// Does the same to every probe, side by side: most of the time is waiting.
    async fn each(test: impl AsyncFn(Box<dyn Probe>)) {
        let testable = probes::all().into_iter().filter(|probe| can_be_tested(&**probe));
        let mut running: Vec<_> = testable.map(|probe| Some(Box::pin(test(probe)))).collect();
        poll_fn(|context| {
            for slot in &mut running {
                if slot.as_mut().is_some_and(|test| test.as_mut().poll(context).is_ready()) {
                    *slot = None;
                }
            }
            if running.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Two probes read Git repositories. Without git they cannot be tested, which is a failure where everything must be.
    fn can_be_tested(probe: &dyn Probe) -> bool {
        let needs_git = probe.control().starts_with("config.");
        let git_is_here = std::process::Command::new("git").arg("--version").output().is_ok();
        let must = std::env::var("SEAWORTHY_TEST_REQUIRE").is_ok_and(|what| what == "all");
        assert!(git_is_here || !must, "git is missing: install the Debian package git");
        if needs_git && !git_is_here {
            eprintln!("skipped for {}: git is missing, install the Debian package git", probe.control());
        }
        git_is_here || !needs_git
    }

    /// The probe with its known subjects swapped: what a probe that cannot tell them apart looks like.
    struct Sabotaged(Box<dyn Probe>);

    impl Probe for Sabotaged {
        fn about(&self) -> crate::probe::About {
            self.0.about()
        }
        fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
            self.0.look(subject)
        }
        fn present(&self) -> Working<'_, io::Result<Fixture>> {
            self.0.absent()
        }
        fn absent(&self) -> Working<'_, io::Result<Fixture>> {
            self.0.absent()
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn present_is_a_pass() {
        each(async |probe| {
            let fixture = probe.present().await.unwrap();
            let finding = runner().try_control(&*probe, &fixture.subject).await;
            assert_eq!(
                finding.verdict,
                Verdict::Pass,
                "{}: {} {:?}",
                probe.control(),
                finding.reason,
                finding.transcript
            );
            assert!(finding.planned > 0 && finding.planned == finding.executed, "{}", probe.control());
            assert!(!finding.observed.is_empty(), "{} does not say what it saw", probe.control());
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn absent_is_a_fail_with_a_reason() {
        each(async |probe| {
            let fixture = probe.absent().await.unwrap();
            let finding = runner().try_control(&*probe, &fixture.subject).await;
            assert_eq!(finding.verdict, Verdict::Fail, "{}: {}", probe.control(), finding.reason);
            assert!(!finding.reason.is_empty());
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn unreachable_or_unknown_is_never_a_verdict_on_the_app() {
        each(async |probe| {
            // Everything is known, and nothing of it is there.
            let mut subject = probe.present().await.unwrap().subject;
            let nowhere = "http://127.0.0.1:9".parse().unwrap();
            subject.url = subject.url.map(|_| Clone::clone(&nowhere));
            subject.repo = subject.repo.map(|_| PathBuf::from("/nowhere/at/all"));
            subject.launcher = subject.launcher.map(|_| std::sync::Arc::new(NoLauncher) as _);
            let verdict = runner().try_control(&*probe, &subject).await.verdict;
            assert!(matches!(verdict, Verdict::Inconclusive | Verdict::Error), "{}: {verdict}", probe.control());
            let verdict = runner().try_control(&*probe, &Subject::default()).await.verdict;
            assert_eq!(verdict, Verdict::NotRun, "{} with nothing known", probe.control());
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_sabotaged_control_experiment_never_passes() {
        each(async |probe| {
            let fixture = probe.present().await.unwrap();
            let finding = runner().try_control(&Sabotaged(probe), &fixture.subject).await;
            assert_eq!(finding.verdict, Verdict::Inconclusive, "{}", finding.control);
        })
        .await;
    }

    #[tokio::test]
    async fn what_came_over_an_unverified_connection_says_so() {
        let present = probes::all().into_iter().find(|probe| probe.control() == "edge.https-only").unwrap();
        let mut subject = present.present().await.unwrap();
        // The server is the same, and its authority is no longer known.
        subject.subject.trust = crate::fixture::Authority::new().unwrap().trust();
        let finding = runner().try_control(&*present, &subject.subject).await;
        assert_eq!(finding.verdict, Verdict::Pass, "{}", finding.reason);
        assert!(
            finding.reason.contains("not to be trusted") && finding.reason.contains("loopback"),
            "{}",
            finding.reason
        );
        assert!(finding.transcript.iter().any(|line| line.contains("not to be trusted")));
    }

    struct NoLauncher;

    impl crate::scratch::Launcher for NoLauncher {
        fn start_with<'a>(
            &'a self,
            _: &'a [crate::scratch::Change],
            _: &'a crate::http::Transcript,
        ) -> Working<'a, Result<Box<dyn crate::scratch::ScratchCopy>, crate::scratch::StartError>> {
            Box::pin(async { Err(crate::scratch::StartError::Impossible("no such program".into())) })
        }
    }

    #[test]
    fn every_probe_is_of_a_control_in_the_catalogue_and_none_has_two() {
        let mut seen = std::collections::HashSet::new();
        for probe in probes::all() {
            assert!(seaworthy_checklist::Catalogue::built_in().find(probe.control()).is_some(), "{}", probe.control());
            assert!(seen.insert(probe.control()), "{} has two probes", probe.control());
        }
    }
}
