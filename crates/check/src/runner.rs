//! Runs probes and decides whether to believe them.
//!
//! The rule: *pass* needs planned = executed > 0, every case to hold, and a control experiment that came out right in both
//! directions in this very run. A probe that cannot tell its known subjects apart is inconclusive, whatever it says of the
//! target.

use std::{
    collections::HashMap,
    io,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{
    StreamExt,
    future::{join, join_all},
    stream::{self, FuturesUnordered},
};
use seaworthy_checklist::{Catalogue, ControlKind};
use seaworthy_evidence::{Experiment, Finding, ProbeKind, SafetyClass, Verdict};
use tokio::{sync::OnceCell, time::timeout};

use crate::{
    http::{HttpError, redact},
    probe::{Outcome, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

/// So many probes look at the target at once, of those that may.
const AT_ONCE: usize = 4;

/// Runs probes, each control experiment once.
#[derive(Debug)]
pub struct Runner {
    budget: Duration,
    test_budget: Duration,
    whole: Option<Duration>,
    permission: Permission,
    experiments: Mutex<Experiments>,
}

/// By control, and whether it is the disruptive way.
type Experiments = HashMap<(String, bool), Arc<OnceCell<Experiment>>>;

/// What may be broken on the live target.
#[derive(Debug, Clone, Copy, Default)]
struct Permission {
    asked: bool,
    production: bool,
    in_production_too: bool,
}

/// Where a run stands.
#[derive(Debug)]
pub enum Step<'a> {
    /// A control is tried from now on.
    Began {
        /// Which one.
        control: &'a str,
        /// How many are done.
        done: usize,
        /// How many there are.
        total: usize,
    },
    /// A control is done, or its turn did not come.
    Ended {
        /// What became of it.
        finding: &'a Finding,
        /// How many are done, this one included.
        done: usize,
        /// How many there are.
        total: usize,
    },
}

impl Runner {
    /// Each look at a subject may take this long.
    pub fn new(budget: Duration) -> Self {
        Self {
            budget,
            test_budget: budget,
            whole: None,
            permission: Permission::default(),
            experiments: Mutex::default(),
        }
    }

    /// A look that runs the project's own commands may take this long.
    #[must_use]
    pub fn with_test_budget(self, test_budget: Duration) -> Self {
        Self { test_budget, ..self }
    }

    /// A whole run may take this long; what did not get its turn by then is *not-run*.
    #[must_use]
    pub fn within(self, whole: Duration) -> Self {
        Self { whole: Some(whole), ..self }
    }

    /// Whether drills that break something on the live target were asked for.
    #[must_use]
    pub fn allow_disruptive(self, asked: bool) -> Self {
        Self { permission: Permission { asked, ..self.permission }, ..self }
    }

    /// The target is production, and whether it may be broken all the same when that is asked for.
    #[must_use]
    pub fn in_production(self, in_production_too: bool) -> Self {
        Self { permission: Permission { production: true, in_production_too, ..self.permission }, ..self }
    }

    /// Tries these controls and tells each step. Passive and active probes work side by side; what measures time or load,
    /// and every drill, has the target for itself. The findings are in the order of the probes, whatever ended first.
    pub async fn run(&self, probes: &[&dyn Probe], subject: &Subject, mut step: impl FnMut(Step<'_>)) -> Vec<Finding> {
        let deadline = self.whole.map(|whole| Instant::now() + whole);
        let total = probes.len();
        let mut findings: Vec<Option<Finding>> = probes.iter().map(|_| None).collect();
        let (alone, together): (Vec<usize>, Vec<usize>) = (0..total).partition(|index| probes[*index].alone());
        let trying = async {
            let mut done = 0;
            for (group, at_once) in [(together, AT_ONCE), (alone, 1)] {
                let mut waiting = group.into_iter();
                let mut running = FuturesUnordered::new();
                loop {
                    while running.len() < at_once
                        && let Some(index) = waiting.next()
                    {
                        step(Step::Began { control: &probes[index].control(), done, total });
                        running.push(async move { (index, self.turn(probes[index], subject, deadline).await) });
                    }
                    let Some((index, finding)) = running.next().await else { break };
                    done += 1;
                    step(Step::Ended { finding: &finding, done, total });
                    findings[index] = Some(finding);
                }
            }
        };
        // Experiments have targets of their own, so they run beside the looks; nobody waits for one that is not needed.
        {
            let (mut trying, mut preparing) = (pin!(trying), pin!(self.prepare(probes, subject)));
            tokio::select! {
                () = &mut trying => {}
                () = &mut preparing => trying.await,
            }
        }
        findings.into_iter().flatten().collect()
    }

    /// Tries one control.
    pub async fn try_control(&self, probe: &dyn Probe, subject: &Subject) -> Finding {
        let finding = self.try_one(probe, subject).await;
        let other = probe.disruptive().filter(|_| finding.verdict == Verdict::NotRun && subject.admin.is_some());
        match (other, self.permission.refusal()) {
            (None, _) => finding,
            (Some(other), None) => self.try_one(other, subject).await,
            (Some(_), Some(why)) => {
                let reason = format!(
                    "{}; it can also be tried by killing an instance of the live target: {why}",
                    finding.reason
                );
                Finding { reason, ..finding }
            }
        }
    }

    /// One control in its turn of a run.
    async fn turn(&self, probe: &dyn Probe, subject: &Subject, deadline: Option<Instant>) -> Finding {
        // What runs the project's own commands has its own budget, and nobody else's is counted against it.
        let deadline = deadline.filter(|_| !(probe.runs_code() && subject.run_code));
        let Some(left) = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) else {
            return self.try_control(probe, subject).await;
        };
        let seconds = self.whole.unwrap_or_default().as_secs();
        let finding = |verdict, reason: String| Finding {
            verdict,
            kind: Some(probe.kind()),
            class: Some(probe.about().class),
            ..Finding::not_run(&probe.control(), &reason)
        };
        if left.is_zero() {
            let why = format!("its turn did not come: the whole run may take {seconds} s ([check] whole_budget)");
            return finding(Verdict::NotRun, why);
        }
        match timeout(left, self.try_control(probe, subject)).await {
            Ok(finding) => finding,
            Err(_) => {
                let why = format!("it was not done when the whole run's {seconds} s were over ([check] whole_budget)");
                finding(Verdict::Inconclusive, why)
            }
        }
    }

    async fn try_one(&self, probe: &dyn Probe, subject: &Subject) -> Finding {
        let started = Instant::now();
        let subject = Subject { transcript: Default::default(), ..subject.clone() };
        let about = probe.about();
        let refusal = self.permission.refusal().filter(|_| about.class == SafetyClass::Disruptive);
        let (mut sighting, looked) = match (refusal, unreachable(probe, &subject).await) {
            (Some(why), _) => (Sighting::not_tried(why), false),
            (None, Some(why)) => (Sighting::unclear(why), false),
            (None, None) => (self.look(probe, &subject).await, true),
        };
        // Without a look there is nothing that an experiment could support.
        let experiment = match sighting.outcome {
            Outcome::NotTried(_) | Outcome::NotApplicable(_) => None,
            _ if !looked => None,
            _ => Some(self.experiment(probe).await),
        };
        if let Some(aside) = subject.transcript.unverified() {
            sighting.observed = format!("{} ({aside})", sighting.observed);
        }
        if !probe.reads_paths() && subject.source.declared.waived.contains_key(about.control.as_ref()) {
            sighting.observed.push_str(" (it reads no waived paths: nothing was left out)");
        }
        let (verdict, mut reason) = judge(&sighting, experiment.as_ref());
        if verdict == Verdict::NotRun && matches!(sighting.outcome, Outcome::ForAPerson(_)) {
            reason.push_str(what_is_left(&about.control));
        }
        Finding {
            control: about.control.into_owned(),
            verdict,
            reason: redact(&reason),
            planned: sighting.planned,
            executed: sighting.executed,
            observed: redact(&sighting.observed),
            kind: Some(about.kind),
            class: Some(about.class),
            experiment,
            expires: None,
            evidence: None,
            took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            transcript: subject.transcript.lines(),
        }
    }

    /// Does the control experiments of these probes side by side, so that they need not be waited for later. Costly ones
    /// wait until somebody asks: an app without pages needs no browser, and drills measure time.
    async fn prepare(&self, probes: &[&dyn Probe], subject: &Subject) {
        let needed = probes.iter().filter(|probe| probe.may_look(subject) && !probe.costly());
        let (waiting, computing): (Vec<&dyn Probe>, _) = needed.partition(|probe| probe.kind() == ProbeKind::Live);
        // Those on servers mostly wait; those on folders read and run, and there are many.
        let computing =
            stream::iter(computing).for_each_concurrent(AT_ONCE, async |probe| drop(self.experiment(probe).await));
        join(join_all(waiting.into_iter().map(|probe| self.experiment(probe))), computing).await;
    }

    async fn look(&self, probe: &dyn Probe, subject: &Subject) -> Sighting {
        let budget = if probe.runs_code() && subject.run_code { self.test_budget } else { self.budget };
        match timeout(budget, probe.look(subject)).await {
            Ok(sighting) => sighting,
            Err(_) => {
                let why = format!("it was not done within its budget of {} s", budget.as_secs());
                Sighting::unclear(why)
            }
        }
    }

    /// Done once, however many wait for it.
    async fn experiment(&self, probe: &dyn Probe) -> Experiment {
        let about = probe.about();
        let cell = {
            let mut all = self.experiments.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (about.control.into_owned(), about.class == SafetyClass::Disruptive);
            all.entry(key).or_default().clone()
        };
        let trying = async || {
            let present = self.look_at_fixture(probe, probe.present()).await;
            let absent = self.look_at_fixture(probe, probe.absent()).await;
            let right =
                matches!(present, Outcome::Holds | Outcome::ForAPerson(_)) && matches!(absent, Outcome::Broken(_));
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

impl Permission {
    /// Why nothing may be broken, and how to ask.
    fn refusal(self) -> Option<&'static str> {
        if !self.asked {
            return Some("that must be asked for, with --disruptive");
        }
        (self.production && !self.in_production_too)
            .then_some("the target is production, where that must be allowed as well, with --disruptive-in-production")
    }
}

/// Why a live probe need not even start.
async fn unreachable(probe: &dyn Probe, subject: &Subject) -> Option<String> {
    if !probe.needs_target() {
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
        Outcome::NotApplicable(why) => (Verdict::NotApplicable, why.clone()),
        Outcome::ForAPerson(seen) => (Verdict::NotRun, seen.clone()),
    }
}

/// Who or what must say the rest of a control whose cases held.
fn what_is_left(control: &str) -> &'static str {
    let known = Catalogue::built_in().find(control);
    match known.is_some_and(|control| control.kind == ControlKind::Attest) {
        true => "; the rest only a person can say: seaworthy attest",
        false => "; the rest shows in a run that no probe of this release makes",
    }
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Holds | Outcome::ForAPerson(_) => "holds".into(),
        Outcome::Broken(what) => format!("broken: {what}"),
        Outcome::Unclear(why) => format!("unclear: {why}"),
        Outcome::NotTried(what) => format!("not tried: {what}"),
        Outcome::NotApplicable(why) => format!("not applicable: {why}"),
    }
}

/// Every probe has four tests: present, absent, unreachable, and a sabotaged control experiment.
#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::{
        custom::StandIn,
        fixture::{self, PoolManners},
        probe::{About, Cases},
        probes,
    };

    fn runner() -> Runner {
        // Browsers of several tests share two cores.
        Runner::new(Duration::from_secs(90)).allow_disruptive(true)
    }

    /// The disruptive way of a probe, as a probe of its own.
    struct OtherWay(Box<dyn Probe>);

    impl OtherWay {
        fn way(&self) -> &dyn Probe {
            self.0.disruptive().unwrap()
        }
    }

    impl Probe for OtherWay {
        fn about(&self) -> About {
            self.way().about()
        }
        fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
            self.way().look(subject)
        }
        fn present(&self) -> Working<'_, io::Result<Fixture>> {
            self.way().present()
        }
        fn absent(&self) -> Working<'_, io::Result<Fixture>> {
            self.way().absent()
        }
    }

    /// Every probe, and every other way of one.
    fn all() -> impl Iterator<Item = Box<dyn Probe>> {
        let ways = probes::all().into_iter().filter(|probe| probe.disruptive().is_some());
        let custom = crate::custom::tests::examples();
        probes::all().into_iter().chain(custom).chain(ways.map(|probe| Box::new(OtherWay(probe)) as Box<dyn Probe>))
    }

    /// Does the same to every probe, side by side: most of the time is waiting. Those that need much of the processor come
    /// after those that measure time. For those who write a probe, `SEAWORTHY_TEST_ONLY=CONTROL` leaves the others out.
    async fn each(test: impl AsyncFn(Box<dyn Probe>)) {
        let only = std::env::var("SEAWORTHY_TEST_ONLY").unwrap_or_default();
        let (working, waiting): (Vec<_>, Vec<_>) = all()
            .filter(|probe| probe.control().contains(&only) && can_be_tested(&**probe))
            .partition(|probe| probe.costly() || probe.kind() == ProbeKind::Static);
        join_all(waiting.into_iter().map(|probe| test(probe))).await;
        // What computes has its turn, or everybody's time is up.
        stream::iter(working).for_each_concurrent(AT_ONCE, async |probe| test(probe).await).await;
    }

    /// What a repository shows of these is not all of it: a load that was held, a scan that ran.
    const HALF_SEEN: [&str; 2] = ["testing.load", "testing.security"];

    /// Then a probe can see what is missing, and passes nothing.
    fn only_a_person_can_say(probe: &dyn Probe) -> bool {
        let known = seaworthy_checklist::Catalogue::built_in().find(&probe.control());
        known.is_some_and(|control| control.kind == ControlKind::Attest)
    }

    /// Some probes need a program: Git, or a browser. Without it they cannot be tested, which is a failure where everything
    /// must be.
    fn can_be_tested(probe: &dyn Probe) -> bool {
        let control = probe.control();
        let git_is_here = || std::process::Command::new("git").arg("--version").output().is_ok();
        let missing = match () {
            () if control.starts_with("config.") && !git_is_here() => "git",
            () if probe.costly() && seaworthy_browser::find().is_none() => "chromium",
            () => return true,
        };
        let must = std::env::var("SEAWORTHY_TEST_REQUIRE").is_ok_and(|what| what == "all");
        assert!(!must, "{missing} is missing: install the Debian package {missing}");
        eprintln!("skipped for {control}: {missing} is missing, install the Debian package {missing}");
        false
    }

    /// The probe with its known subjects swapped: what a probe that cannot tell them apart looks like.
    struct Sabotaged(Box<dyn Probe>);

    impl Probe for Sabotaged {
        fn about(&self) -> About {
            self.0.about()
        }
        fn costly(&self) -> bool {
            self.0.costly()
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
                if only_a_person_can_say(&*probe) || HALF_SEEN.contains(&&*probe.control()) {
                    Verdict::NotRun
                } else {
                    Verdict::Pass
                },
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
            subject.stand_in = subject.stand_in.map(|one| match one {
                StandIn::Command(_) => StandIn::Command(vec!["/nowhere/at/all".into()]),
                StandIn::Query { query, .. } => StandIn::Query { url: Some("sqlite:/nowhere/at/all.db".into()), query },
            });
            subject.stores = subject.stores.nowhere();
            subject.launcher = subject.launcher.map(|_| std::sync::Arc::new(NoLauncher) as _);
            let verdict = runner().try_control(&*probe, &subject).await.verdict;
            assert!(matches!(verdict, Verdict::Inconclusive | Verdict::Error), "{}: {verdict}", probe.control());
            if probe.control() == "team.example-sql" {
                return; // It brings its own target.
            }
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
            assert!(seaworthy_checklist::Catalogue::built_in().find(&probe.control()).is_some(), "{}", probe.control());
            assert!(seen.insert(probe.control()), "{} has two probes", probe.control());
        }
    }

    /// Who looks now, and how many did so at once.
    type Lookers = (Vec<&'static str>, usize);

    /// A probe that says when it looks.
    struct Looking {
        control: &'static str,
        class: SafetyClass,
        kind: ProbeKind,
        takes: Duration,
        now: Arc<Mutex<Lookers>>,
    }

    impl Probe for Looking {
        fn about(&self) -> About {
            About { control: self.control.into(), kind: self.kind, class: self.class }
        }
        fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
            Box::pin(async move {
                let mut cases = Cases::plan(1);
                if subject.repo.is_none() {
                    let most = {
                        let mut now = self.now.lock().unwrap();
                        now.0.push(self.control);
                        now.1 = now.1.max(now.0.len());
                        now.0.len()
                    };
                    assert!(most == 1 || !self.alone(), "{} is not alone", self.control);
                    tokio::time::sleep(self.takes).await;
                    self.now.lock().unwrap().0.retain(|one| *one != self.control);
                }
                cases.tried(subject.repo.as_deref() != Some(std::path::Path::new("absent")), "seen");
                cases.sighting("seen")
            })
        }
        fn present(&self) -> Working<'_, io::Result<Fixture>> {
            let subject = Subject { repo: Some("present".into()), ..Subject::default() };
            Box::pin(async { Ok(Fixture { subject, _keep: Vec::new() }) })
        }
        fn absent(&self) -> Working<'_, io::Result<Fixture>> {
            let subject = Subject { repo: Some("absent".into()), ..Subject::default() };
            Box::pin(async { Ok(Fixture { subject, _keep: Vec::new() }) })
        }
    }

    fn looking(names: &[&'static str], takes: impl Fn(usize) -> u64) -> (Vec<Looking>, Arc<Mutex<Lookers>>) {
        let now = Arc::new(Mutex::new((Vec::new(), 0)));
        let one = |(index, control): (usize, &&'static str)| Looking {
            control,
            class: SafetyClass::Active,
            kind: if control.starts_with("drill") { ProbeKind::Drill } else { ProbeKind::Static },
            takes: Duration::from_millis(takes(index)),
            now: now.clone(),
        };
        (names.iter().enumerate().map(one).collect(), now)
    }

    #[tokio::test(start_paused = true)]
    async fn probes_work_side_by_side_drills_alone_and_the_order_stays() {
        let names = ["drill-a", "b", "c", "d", "e", "f", "drill-g"];
        let (probes, now) = looking(&names, |index| 100 - 10 * index as u64);
        let probes: Vec<&dyn Probe> = probes.iter().map(|probe| probe as &dyn Probe).collect();
        let mut told = Vec::new();
        let (runner, subject) = (Runner::new(Duration::from_secs(5)), Subject::default());
        let found = runner.run(&probes, &subject, |step| {
            told.push(match step {
                Step::Began { control, done, total } => format!("+{control} {done}/{total}"),
                Step::Ended { finding, done, total } => format!("-{} {done}/{total}", finding.control),
            });
        });
        let found = found.await;
        let order: Vec<&str> = found.iter().map(|finding| finding.control.as_str()).collect();
        assert_eq!(order, names);
        assert!(found.iter().all(|finding| finding.verdict == Verdict::Pass), "{found:?}");
        assert_eq!(now.lock().unwrap().1, AT_ONCE);
        assert_eq!(told.len(), 14);
        assert_eq!(told[..4], ["+b 0/7", "+c 0/7", "+d 0/7", "+e 0/7"]);
        assert_eq!(told[13], "-drill-g 7/7");
    }

    #[tokio::test(start_paused = true)]
    async fn what_did_not_get_its_turn_is_not_run_and_says_why() {
        let (probes, _) = looking(&["drill-a", "drill-b", "drill-c"], |_| 700);
        let probes: Vec<&dyn Probe> = probes.iter().map(|probe| probe as &dyn Probe).collect();
        let runner = Runner::new(Duration::from_secs(5)).within(Duration::ZERO);
        let found = runner.run(&probes, &Subject::default(), |_| {}).await;
        assert!(found.iter().all(|one| one.verdict == Verdict::NotRun && one.reason.contains("turn did not come")));
    }

    #[tokio::test]
    async fn the_live_target_is_broken_only_when_that_was_asked_for_and_never_silently_in_production() {
        let probe = probes::all().into_iter().find(|probe| probe.control() == "deploy.self-heal").unwrap();
        let manners = PoolManners { instances: 2, spreads: true, ejects: true, replaces: true };
        let fixture = fixture::live_pool(manners).unwrap();
        let tried = async |runner: Runner| runner.try_control(&*probe, &fixture.subject).await;
        let new = || Runner::new(Duration::from_secs(30));
        let refused = [
            (tried(new()).await, "--disruptive"),
            (tried(new().in_production(true)).await, "--disruptive"),
            (tried(new().allow_disruptive(true).in_production(false)).await, "--disruptive-in-production"),
        ];
        for (finding, how) in refused {
            assert_eq!(finding.verdict, Verdict::NotRun);
            assert!(finding.reason.ends_with(how), "{}", finding.reason);
        }
        assert!(fixture.subject.processes.as_ref().unwrap().is_here(1, None).is_ok(), "nothing was killed");
        let finding = tried(new().allow_disruptive(true).in_production(true)).await;
        assert_eq!(
            (finding.verdict, finding.class),
            (Verdict::Pass, Some(SafetyClass::Disruptive)),
            "{}",
            finding.reason
        );
        assert!(fixture.subject.processes.as_ref().unwrap().is_gone(1), "an instance was killed");
        let unknown = new().try_control(&*probe, &Subject::default()).await;
        assert!(!unknown.reason.contains("--disruptive"), "{}", unknown.reason);
    }
}
