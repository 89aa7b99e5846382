//! `config.validate-startup`: without a variable that it needs, or with one that is blank or malformed, a copy refuses to
//! start, soon and by name.

use std::{fs, io, path::Path, time::Duration};

use tokio::time::{Instant, timeout};

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, Manners},
    probe::{About, Cases, Probe, Sighting, Working},
    scratch::{Change, Ending, Launcher, ScratchCopy, StartError},
    subject::{Fixture, Subject},
};

pub(super) struct ValidateStartup;

/// A refusal that comes later is no refusal to whoever deploys.
const SOON: Duration = Duration::from_secs(5);
/// Each variable costs two or three starts.
const SAMPLE: usize = 4;
const EXAMPLES: [&str; 4] = [".env.example", ".env.sample", ".env.template", "env.example"];

impl Probe for ValidateStartup {
    fn about(&self) -> About {
        About { control: "config.validate-startup".into(), kind: ProbeKind::Drill, class: SafetyClass::Scratch }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { Ok(requiring(true)) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { Ok(requiring(false)) })
    }
}

fn requiring(validates: bool) -> Fixture {
    let mut fixture = fixture::starting(move |changes| {
        if validates && !changes.is_empty() {
            let output = "refusing to start: DATABASE_URL must be an address".into();
            return Err(StartError::Ended { ending: Ending { code: Some(1), signal: None }, output });
        }
        Ok(Manners { drains: true, tells_readiness: true, heals: true })
    });
    fixture.subject.hints.required_env = vec!["DATABASE_URL".into()];
    fixture
}

async fn look(subject: &Subject) -> Sighting {
    let Some(launcher) = &subject.launcher else {
        return Sighting::not_tried("no command starts a scratch copy: [app] command in the config, or --start");
    };
    let mut required = subject.hints.required_env.clone();
    if let (true, Some(repo)) = (required.is_empty(), &subject.repo) {
        required = marked(repo);
    }
    if required.is_empty() {
        return Sighting::not_tried(
            "name the variables that it needs: [check] required_env = [\"…\"], or `# required` in .env.example",
        );
    }
    let mut cases = Cases::plan(1);
    let started = Instant::now();
    match launcher.start_with(&[], &subject.transcript).await {
        Ok(_copy) => cases.tried(true, "with everything set it starts"),
        Err(why) => return cases.gave_up(format!("with everything set it does not start: {}", String::from(why))),
    }
    // A slow starter gets to its check as late as it gets anywhere.
    let soon = SOON.max(started.elapsed());
    let own_file =
        subject.repo.as_ref().and_then(|repo| fs::read_to_string(repo.join(".env")).ok()).unwrap_or_default();
    let mut slowest = Duration::ZERO;
    for name in required.iter().take(SAMPLE) {
        // An app that reads .env itself would find there what we take away.
        let changes = changes(name, names(&own_file).contains(name));
        cases.plan_more(changes.len());
        for change in changes {
            slowest = slowest.max(try_change(&**launcher, subject, &change, soon, &mut cases).await);
        }
    }
    cases.sighting(format!(
        "with everything set it starts; {} of {} required variables unset, blank or malformed: refused by name within {:.1} s",
        required.len().min(SAMPLE),
        required.len(),
        slowest.as_secs_f64()
    ))
}

/// What is done to a variable, one at a time.
fn changes(name: &str, in_own_file: bool) -> Vec<Change> {
    let change = |value: Option<&str>| Change { name: name.to_owned(), value: value.map(str::to_owned) };
    let mut changes = vec![change(Some(""))];
    if !in_own_file {
        changes.push(change(None));
    }
    // What kind of value is wanted shows only in some names.
    if ["_URL", "_URI", "_DSN"].iter().any(|end| name.ends_with(end)) {
        changes.push(change(Some("not an address")));
    } else if ["_PORT", "_TIMEOUT", "_SECONDS", "_SIZE", "_LIMIT"].iter().any(|end| name.ends_with(end)) {
        changes.push(change(Some("not a number")));
    }
    changes
}

/// One start; how long the refusal took.
async fn try_change(
    launcher: &dyn Launcher,
    subject: &Subject,
    change: &Change,
    soon: Duration,
    cases: &mut Cases,
) -> Duration {
    let name = &change.name;
    let how = match change.value.as_deref() {
        None => "unset".to_owned(),
        Some("") => "blank".to_owned(),
        Some(value) => format!("“{value}”"),
    };
    subject.transcript.note(format!("starting with {name} {how}"));
    let started = Instant::now();
    // Waited for longer, to tell one that starts all the same from one that hangs.
    let outcome = timeout(soon * 2, launcher.start_with(std::slice::from_ref(change), &subject.transcript)).await;
    let after = started.elapsed();
    let seconds = after.as_secs_f64();
    match outcome {
        Ok(Err(StartError::Ended { ending, output })) => {
            let named = output.contains(name.as_str());
            let words = if named { "naming it" } else { "without naming it" };
            let seen = format!("with {name} {how} it ended with {ending} after {seconds:.1} s, {words}");
            cases.tried(named && ending.code != Some(0) && after <= soon, seen);
        }
        Ok(Err(StartError::Impossible(why))) => cases.told_nothing(why),
        Ok(Err(StartError::Silent { .. })) | Err(_) => {
            cases.tried(false, format!("with {name} {how} it had not refused after {seconds:.1} s"));
        }
        Ok(Ok(mut copy)) => match landed(&mut *copy, change).await {
            true => cases.tried(false, format!("with {name} {how} it starts all the same")),
            false => {
                cases.told_nothing(format!("{name} comes to the app another way, so that it could not be changed"))
            }
        },
    }
    after
}

/// Whether the app was given what we wanted: a supervisor may set the variable from its own config.
async fn landed(copy: &mut dyn ScratchCopy, change: &Change) -> bool {
    let workers = copy.workers().await.unwrap_or_default();
    let blank = |value: Option<String>| value.filter(|value| !value.is_empty());
    workers.first().is_some_and(|worker| blank(copy.variable(worker, &change.name)) == blank(change.value.clone()))
}

/// Variables that an example file marks: `# required` on their line or on the one above.
fn marked(repo: &Path) -> Vec<String> {
    let text = EXAMPLES.iter().find_map(|name| fs::read_to_string(repo.join(name)).ok()).unwrap_or_default();
    let mut found = Vec::new();
    let mut above = false;
    for line in text.lines().map(str::trim) {
        let comment = line.split_once('#').map_or("", |(_, comment)| comment).to_lowercase();
        let says = comment.contains("required") && !comment.contains("not required");
        if line.starts_with('#') || line.is_empty() {
            above = says;
            continue;
        }
        if above || says {
            found.extend(names(line));
        }
        above = false;
    }
    found
}

/// The names that a file of assignments gives values to.
fn names(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let (name, _) = line.trim().split_once('=')?;
        let name = name.trim().trim_start_matches("export ").trim();
        let valid = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        valid.then(|| name.to_owned())
    };
    text.lines().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Arc};

    use super::*;
    use crate::{probe::Outcome, scratch::CommandLauncher};

    /// A real process that serves with Python's own server once its check lets it.
    async fn outcome(check: &str) -> Outcome {
        let serve = "exec python3 -m http.server --bind 127.0.0.1 $PORT";
        let words = vec!["sh".into(), "-c".into(), format!("{check}\n{serve}")];
        let start_timeout = Duration::from_secs(20);
        let folder = PathBuf::from("src/tls");
        let launcher = CommandLauncher { words, has_admin: false, folder, start_timeout, environment: Vec::new() };
        let mut subject = Subject { launcher: Some(Arc::new(launcher)), ..Subject::default() };
        // Whoever runs these tests has set it.
        subject.hints.required_env = vec!["CARGO_PKG_NAME".into()];
        look(&subject).await.outcome
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_refusal_counts_when_it_names_the_variable() {
        let python = std::process::Command::new("python3").arg("--version").output().is_ok();
        let must = std::env::var("SEAWORTHY_TEST_REQUIRE").is_ok_and(|what| what == "all");
        assert!(python || !must, "python3 is missing: install the Debian package python3");
        if !python {
            eprintln!("skipped: python3 is missing, install the Debian package python3");
            return;
        }
        let (named, unnamed, open, hidden) = tokio::join!(
            outcome("[ -n \"$CARGO_PKG_NAME\" ] || { echo CARGO_PKG_NAME is missing; exit 3; }"),
            outcome("[ -n \"$CARGO_PKG_NAME\" ] || { echo something is missing; exit 3; }"),
            outcome(":"),
            outcome("export CARGO_PKG_NAME=of-its-own-config"),
        );
        assert_eq!(named, Outcome::Holds);
        assert!(matches!(&unnamed, Outcome::Broken(why) if why.contains("without naming it")), "{unnamed:?}");
        assert!(matches!(&open, Outcome::Broken(why) if why.contains("starts all the same")), "{open:?}");
        assert!(matches!(&hidden, Outcome::Unclear(why) if why.contains("another way")), "{hidden:?}");
    }

    #[test]
    fn an_example_file_marks_what_is_required() {
        let folder = tempfile::tempdir().unwrap();
        let text = "# Required: where the data is\nDATABASE_URL=\n\nDEBUG=1\nexport SECRET_KEY= # required\n\
                    # not required\nSENTRY_DSN=\n";
        fs::write(folder.path().join(".env.example"), text).unwrap();
        assert_eq!(marked(folder.path()), ["DATABASE_URL", "SECRET_KEY"]);
    }

    #[test]
    fn the_name_tells_what_is_malformed() {
        let values = |name, own| changes(name, own).into_iter().map(|change| change.value).collect::<Vec<_>>();
        assert_eq!(values("DATABASE_URL", false), [Some("".into()), None, Some("not an address".into())]);
        assert_eq!(values("SECRET_KEY", true), [Some("".into())]);
    }
}
