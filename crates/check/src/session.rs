//! One run over some checklists: which controls they need, what became of each, and what that means for every item.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use seaworthy_checklist::{Catalogue, Checklist, ChecklistError, Form, Item, Match, Matcher, PinError};
use seaworthy_core::Clock;
use seaworthy_evidence::{Finding, ItemReference, Ledger, LedgerError, Record, Report, ReportItem, Target, hash};

use seaworthy_repository::{Git, Stop};
use thiserror::Error;

use crate::{
    custom::{Custom, custom_controls, custom_probes},
    endpoint::Endpoint,
    past::{waived, with_past},
    probe::Probe,
    runner::{Runner, Step},
    settings::Settings,
    state::{State, untried},
    subject::{ClaimedRate, ClaimedUpload, Hints, LoginHint, Subject},
};

/// Checklists whose items have their controls.
#[derive(Debug)]
pub struct Asked {
    /// The files.
    pub checklists: Vec<Checklist>,
    /// For each file, for each item.
    pub matches: Vec<Vec<Match>>,
    all_asks: bool,
    /// Controls of the team's own.
    custom: Vec<Custom>,
}

/// A run that cannot begin.
#[derive(Debug, Error)]
pub enum AskedError {
    /// A checklist cannot be read.
    #[error(transparent)]
    Checklist(#[from] ChecklistError),
    /// A pin cannot be followed.
    #[error(transparent)]
    Pin(#[from] PinError),
}

/// Where a run stands.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The control that is tried now, or was.
    pub control: &'a str,
    /// How many are done.
    pub done: usize,
    /// How many there are.
    pub total: usize,
    /// What became of it is known, and kept.
    pub ended: bool,
}

impl Asked {
    /// Matches every item. Boxes alone, or with `all_asks` everything; a box also needs what the bullets below it ask for.
    ///
    /// # Errors
    /// When a file cannot be read or has no item, or a pin names a control that does not exist.
    pub fn new(files: &[impl AsRef<Path>], all_asks: bool, settings: &Settings) -> Result<Self, AskedError> {
        let mut checklists = Vec::new();
        for file in files {
            let checklist = Checklist::read(file.as_ref(), true)?;
            if !all_asks && !checklist.items.iter().any(|item| item.form == Form::Checkbox) {
                return Err(ChecklistError::Empty(checklist.name).into());
            }
            checklists.push(checklist);
        }
        Ok(Self::from_checklists(checklists, all_asks, settings)?)
    }

    /// As [`Asked::new`], for checklists that were parsed with all their asks.
    ///
    /// # Errors
    /// When a pin names a control that does not exist.
    pub fn from_checklists(checklists: Vec<Checklist>, all_asks: bool, settings: &Settings) -> Result<Self, PinError> {
        let custom = &settings.custom;
        let catalogue = Catalogue::built_in().with(custom_controls(custom));
        let probes: Vec<_> = crate::probes::all().into_iter().chain(custom_probes(custom, None)).collect();
        let provable: Vec<_> = probes.iter().map(|probe| probe.control()).collect();
        let provable: Vec<&str> = provable.iter().map(AsRef::as_ref).collect();
        // A line in the very words of a team's own control means that one, whatever else it resembles.
        let own = custom.iter().flat_map(|one| one.phrases.iter().map(|phrase| (phrase.clone(), vec![one.id.clone()])));
        let matcher = Matcher::new(&catalogue, &provable).with_pins(settings.pins().into_iter().chain(own))?;
        if let Some(unknown) = checklists.iter().flat_map(|list| matcher.unknown_markers(list)).next() {
            return Err(unknown);
        }
        let matches = checklists.iter().map(|list| {
            let mut matches = matcher.checklist(list);
            add_children(list, &mut matches);
            matches
        });
        let matches = matches.collect();
        Ok(Self { checklists, matches, all_asks, custom: custom.clone() })
    }

    /// Every item that counts, with its file and what it means, in the user's order.
    pub fn items(&self) -> impl Iterator<Item = (&Checklist, &Item, &Match)> {
        let all = self.checklists.iter().zip(&self.matches);
        let all = all
            .flat_map(|(list, matches)| list.items.iter().zip(matches).map(move |(item, found)| (list, item, found)));
        all.filter(|(_, item, _)| self.all_asks || item.form == Form::Checkbox)
    }

    /// The controls that the items need.
    pub fn controls(&self) -> BTreeSet<&str> {
        self.items().flat_map(|(_, _, found)| found.control.iter().chain(&found.also)).map(String::as_str).collect()
    }

    /// Those of them that have a probe.
    pub fn probed(&self) -> BTreeSet<String> {
        let controls = self.controls();
        let all = crate::probes::all().into_iter().chain(custom_probes(&self.custom, None));
        all.map(|probe| probe.control().into_owned()).filter(|control| controls.contains(control.as_str())).collect()
    }

    /// Tries every control that has a probe and puts the report together. `ledger` keeps the evidence; `past` is what it
    /// held before: what could not be tried now may still stand from then, and people may have spoken.
    pub async fn check(
        &self,
        subject: &Subject,
        runner: &Runner,
        mut ledger: Option<&mut Ledger>,
        past: &[Record],
        clock: &dyn Clock,
        progress: impl Fn(Progress<'_>),
    ) -> Result<Report, LedgerError> {
        let (source, _ends_with_us) = subject.source.for_run();
        let subject = &Subject { source, ..subject.clone() };
        let target = target(subject, clock).await;
        let controls = self.controls();
        let own = custom_probes(&self.custom, subject.repo.as_deref());
        let probes: Vec<_> = crate::probes::all().into_iter().chain(own).collect();
        let accepted = &subject.source.declared.accepted;
        let wanted = probes.iter().map(Box::as_ref).filter(|probe| controls.contains(probe.control().as_ref()));
        let wanted: Vec<&dyn Probe> = wanted.filter(|probe| !accepted.contains_key(probe.control().as_ref())).collect();
        let mut findings: BTreeMap<String, Finding> = BTreeMap::new();
        // Kept as each is done: what was seen survives a run that is broken off.
        let mut kept: Result<(), LedgerError> = Ok(());
        let found = runner.run(&wanted, subject, |step| match step {
            Step::Began { control, done, total } => progress(Progress { control, done, total, ended: false }),
            Step::Ended { finding, done, total } => {
                let control = finding.control.clone();
                let mut finding = finding.clone();
                if let (Some(ledger), true) = (ledger.as_deref_mut(), kept.is_ok()) {
                    let references = self.references(&finding.control);
                    kept = ledger.append(&mut finding, references, &target, clock);
                }
                findings.insert(finding.control.clone(), finding);
                progress(Progress { control: &control, done, total, ended: true });
            }
        });
        found.await;
        kept?;
        for control in controls {
            let finding = match (accepted.get(control), findings.remove(control)) {
                (Some(because), _) => waived(control, because),
                (None, Some(tried)) => with_past(tried, true, past, &target, clock),
                (None, None) => with_past(without_probe(control), false, past, &target, clock),
            };
            findings.insert(control.to_owned(), finding);
        }
        Ok(self.report(findings, target))
    }

    /// What the ledger alone says, without trying anything: which boxes are still closed.
    pub async fn recall(&self, subject: &Subject, past: &[Record], clock: &dyn Clock) -> Report {
        let target = target(subject, clock).await;
        let (probed, accepted) = (self.probed(), &subject.source.declared.accepted);
        let remembered = |control: &str| {
            let finding = match accepted.get(control) {
                Some(because) => waived(control, because),
                None => {
                    let finding = Finding::not_run(control, "not tried yet");
                    with_past(finding, probed.contains(control), past, &target, clock)
                }
            };
            (control.to_owned(), finding)
        };
        let findings = self.controls().into_iter().map(remembered).collect();
        self.report(findings, target)
    }

    fn report(&self, findings: BTreeMap<String, Finding>, target: Target) -> Report {
        let items = self.items().map(|(list, item, found)| ReportItem::new(list, item, found, &findings)).collect();
        Report { items, findings, target }
    }

    /// The lines that need a control.
    fn references(&self, control: &str) -> Vec<ItemReference> {
        let needing = self.items().filter(|(_, _, found)| {
            found.control.as_deref() == Some(control) || found.also.iter().any(|other| other == control)
        });
        let reference = |(list, item, _): (&Checklist, &Item, &Match)| ItemReference {
            file: list.name.clone(),
            line: item.line,
            text_sha256: hash(item.text.as_bytes()),
        };
        needing.map(reference).collect()
    }
}

/// A box with items below it holds only when they hold; from the last to the first, so that grandchildren count too.
fn add_children(list: &Checklist, matches: &mut [Match]) {
    for (index, item) in list.items.iter().enumerate().rev() {
        let Some(parent) = item.parent else { continue };
        let child = matches[index].clone();
        let parent = &mut matches[parent];
        if child.control.is_none() && !child.nothing {
            parent.not_understood.push(item.text.clone());
        }
        parent.not_understood.extend(child.not_understood);
        for control in child.control.into_iter().chain(child.also) {
            if parent.control.as_ref() != Some(&control) && !parent.also.contains(&control) {
                parent.also.push(control);
            }
        }
    }
}

fn without_probe(control: &str) -> Finding {
    let reason = match Catalogue::built_in().find(control).map(|known| (known, untried(known))) {
        Some((known, State::Person)) => format!(
            "only a person can say: seaworthy attest {control} --by NAME --until DATE --because \"…\" ({})",
            known.proved.trim()
        ),
        Some((_, State::Waits(what))) => format!("no probe of this release tries it; it waits for {what}"),
        _ => "no probe of this release tries it".to_owned(),
    };
    Finding::not_run(control, &reason)
}

async fn target(subject: &Subject, clock: &dyn Clock) -> Target {
    let show = |address: &Endpoint| address.to_string();
    let target = Target {
        url: subject.url.as_ref().map(show),
        admin: subject.admin.as_ref().map(show),
        repo: subject.repo.as_ref().map(|repo| repo.display().to_string()),
        commit: commit(subject.repo.clone()).await,
        environment: subject.environment.clone(),
        config: subject.config.clone(),
        release: subject.release.clone(),
        vantage: match (subject.address, subject.url.as_ref().and_then(Endpoint::host)) {
            (Some(address), Some(host)) => format!("this machine, where {host} is taken as {address}"),
            _ => "this machine".into(),
        },
        seaworthy: env!("CARGO_PKG_VERSION").into(),
        time: String::new(),
    };
    target.at(clock)
}

/// Git is asked on a thread of its own, and ended when nobody waits.
async fn commit(repo: Option<PathBuf>) -> Option<String> {
    let (repo, stop) = (repo?, Stop::default());
    let _ends_with_us = stop.when_dropped();
    let asked = tokio::task::spawn_blocking(move || Git::open_unless(&repo, stop).ok()?.head());
    asked.await.ok().flatten()
}

impl Hints {
    /// Takes what the status of the admin API claims, where the config says nothing.
    pub fn claim(&mut self, status: &serde_json::Value) {
        let limits = &status["limits"];
        let millis = |key: &str| limits[key].as_u64().map(std::time::Duration::from_millis);
        if self.cors_origins.is_empty() {
            let listed = status["cors_origins"].as_array().into_iter().flatten();
            self.cors_origins = listed.filter_map(|origin| origin.as_str().map(str::to_owned)).collect();
        }
        let cached = status["cached"].as_array().into_iter().flatten();
        self.cached_paths = cached.filter_map(|path| path.as_str().map(str::to_owned)).collect();
        let listed = |key: &str| {
            let listed = status["api"][key].as_array().into_iter().flatten();
            listed.filter_map(|one| one.as_str().map(str::to_owned)).collect()
        };
        self.version_prefix = status["api"]["version_prefix"].as_str().map(str::to_owned);
        self.unversioned = listed("unversioned");
        self.deprecated = listed("deprecated");
        let rates = status["rates"].as_array().into_iter().flatten();
        self.rates = rates.filter_map(claimed_rate).collect();
        self.login = self.login.take().or_else(|| claimed_login(&status["logins"][0]));
        let uploads = status["uploads"]["routes"].as_array().into_iter().flatten();
        self.claim_upload(uploads.filter_map(claimed_upload).collect());
        self.body_limit = self.body_limit.or(limits["body_bytes"].as_u64());
        self.first_byte = self.first_byte.or(millis("first_byte_ms"));
        self.request_head = self.request_head.or(millis("request_head_ms"));
    }

    /// The route that the team names goes first; what is claimed of it is taken too.
    fn claim_upload(&mut self, mut claimed: Vec<ClaimedUpload>) {
        let Some(named) = &mut self.upload else {
            self.upload = (!claimed.is_empty()).then(|| claimed.remove(0));
            return;
        };
        if let Some(same) = claimed.into_iter().find(|one| one.path == named.path) {
            named.types = same.types;
            named.max = named.max.or(same.max);
            named.resumable = named.resumable.take().or(same.resumable);
        }
    }
}

/// A route of the config that a form can be sent to.
fn claimed_upload(route: &serde_json::Value) -> Option<ClaimedUpload> {
    let pattern = route["match"].as_str()?;
    let (method, path) = pattern.split_once(' ').unwrap_or(("POST", pattern));
    let path = path.trim();
    let plain = matches!(method, "POST" | "*") && path.starts_with('/') && !path.contains(['{', '*']);
    let types = route["types"].as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned));
    plain.then(|| ClaimedUpload {
        path: path.to_owned(),
        types: types.collect(),
        max: route["max_bytes"].as_u64(),
        resumable: route["resumable"].as_str().map(str::to_owned),
        ..ClaimedUpload::default()
    })
}

fn claimed_login(login: &serde_json::Value) -> Option<LoginHint> {
    let text = |key: &str| login[key].as_str().map(str::to_owned);
    let fields = (text("account_field")?, "password".to_owned());
    Some(LoginHint { path: text("path")?, fields, form: false, owner: None })
}

fn claimed_rate(rate: &serde_json::Value) -> Option<ClaimedRate> {
    let number = |key: &str| rate[key].as_u64();
    let (requests, window_seconds) = (number("requests")?, number("window_seconds")?);
    let (path, per_user) = (rate["path"].as_str().map(str::to_owned), rate["per"] == "user");
    Some(ClaimedRate { path, requests, window_seconds, per_user })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seaworthy_core::FixedClock;
    use seaworthy_evidence::Verdict;

    use super::*;

    fn asked(text: &str, all_asks: bool) -> Asked {
        Asked::from_checklists(
            vec![Checklist::parse("list.md".into(), text.as_bytes().to_vec(), true)],
            all_asks,
            &Settings::default(),
        )
        .unwrap()
    }

    #[test]
    fn a_box_needs_what_the_bullets_below_it_ask_for() {
        let list = asked(
            "- [ ] **Logging**\n  - Structured JSON logs\n  - Error tracking with Sentry\n- plain bullet\n",
            false,
        );
        let found: Vec<_> = list.items().collect();
        assert_eq!(found.len(), 1);
        let all: Vec<&str> = found[0].2.control.iter().chain(&found[0].2.also).map(String::as_str).collect();
        assert!(
            all.contains(&"observability.structured-logs") && all.contains(&"observability.error-tracking"),
            "{all:?}"
        );
        assert_eq!(asked("- [ ] a\n  - b\n- c\n", true).items().count(), 3);
    }

    #[test]
    fn a_line_in_the_words_of_a_custom_control_means_that_one() {
        let custom = Custom {
            id: "team.cors-of-ours".into(),
            phrases: vec!["CORS".into()],
            command: Some(crate::CommandLine::Text("true".into())),
            ..Custom::default()
        };
        let of = |settings: &Settings, text: &str| {
            let list = Checklist::parse("list.md".into(), format!("- [ ] {text}\n").into_bytes(), true);
            let asked = Asked::from_checklists(vec![list], false, settings).unwrap();
            asked.items().next().and_then(|(_, _, found)| found.control.clone())
        };
        let settings = Settings { custom: vec![custom], ..Settings::default() };
        assert_eq!(of(&settings, "**CORS**").as_deref(), Some("team.cors-of-ours"));
        assert_eq!(of(&settings, "CORS restricted to our origins").as_deref(), Some("edge.cors"));
        assert_eq!(of(&Settings::default(), "CORS").as_deref(), Some("edge.cors"));
    }

    #[tokio::test]
    async fn a_run_without_a_target_proves_nothing_and_says_why() {
        let list = asked("- [x] LICENSE file\n- [ ] Security headers\n- [ ] Buy cake\n- [ ] Team trained\n", false);
        let runner = Runner::new(Duration::from_secs(5));
        let report = list.check(&Subject::default(), &runner, None, &[], &FixedClock(0), |_| {}).await.unwrap();
        assert!(report.items.iter().all(|item| item.verdict == Verdict::NotRun), "{:?}", report.items);
        assert!(report.items[0].reason.contains("--repo"));
        assert!(report.items[2].reason.contains("no control"));
        assert!(report.items[3].reason.contains("only a person"));
        assert_eq!(report.exit_status(), 3);
    }

    #[tokio::test]
    async fn a_waived_control_is_not_tried_and_never_a_tick() {
        let list = asked("- [x] Security headers\n- [x] Team trained\n", false);
        let mut subject = Subject::default();
        for control in list.controls() {
            subject.source.declared.accepted.insert(control.to_owned(), "we live without".into());
        }
        let report = list
            .check(&subject, &Runner::new(Duration::from_secs(5)), None, &[], &FixedClock(0), |_| {})
            .await
            .unwrap();
        let recalled = list.recall(&subject, &[], &FixedClock(0)).await;
        for item in report.items.iter().chain(&recalled.items) {
            assert_eq!(
                (item.verdict, item.reason.as_str()),
                (Verdict::NotApplicable, "waived by the team: we live without")
            );
        }
        let ticked = String::from_utf8(report.ticked(&list.checklists[0])).unwrap();
        assert!(!ticked.contains("[x]"), "{ticked}");
        assert_eq!(report.exit_status(), 3, "nothing ran");
    }
}
