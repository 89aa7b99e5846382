//! A custom control that is a command: it must end with exit status 0, in the repository and without our secrets.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    env, io,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use seaworthy_config::{SecretRef, looks_secret, mask};
use tokio::{process::Command, time::timeout};

use seaworthy_evidence::{ProbeKind, SafetyClass};

use super::{CommandLine, Custom, StandIn};
use crate::{
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

/// So much of what a command printed is kept, from the end.
const KEPT_OUTPUT: u64 = 4 << 10;
/// What a shell says of a command that it could not run (POSIX, 2.8.2).
const NOT_RUN: [i32; 2] = [126, 127];

pub(super) struct CommandProbe {
    control: String,
    words: Vec<String>,
    must_fail: Option<Vec<String>>,
    environment: BTreeMap<String, SecretRef>,
    timeout: Duration,
    repo: Option<PathBuf>,
}

/// Ends everything that a command started, however its time ends.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // Nobody may be left in it.
        let _ = killpg(self.0, Signal::SIGKILL);
    }
}

impl CommandProbe {
    pub(super) fn new(custom: &Custom, repo: Option<PathBuf>) -> Option<Self> {
        let words = custom.command.as_ref()?.words().ok()?;
        let must_fail = custom.must_fail.as_ref().map(CommandLine::words).transpose().ok()?;
        Some(Self {
            control: custom.id.clone(),
            words,
            must_fail,
            environment: custom.environment.clone(),
            timeout: custom.timeout.map_or(Duration::from_secs(30), |timeout| timeout.0),
            repo,
        })
    }
}

impl Probe for CommandProbe {
    fn about(&self) -> About {
        About { control: Cow::Owned(self.control.clone()), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn needs_target(&self) -> bool {
        false
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(self, subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async {
            let folder = tempfile::tempdir()?;
            let words = ["sh", "-c", "exit 0"].map(str::to_owned).to_vec();
            Ok(standing_in(words, folder.path().to_owned()).keep(folder))
        })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async {
            let words = self.must_fail.clone().ok_or_else(|| {
                io::Error::other(format!(
                    "nobody knows whether the command can fail: give `must_fail` to {}",
                    self.control
                ))
            })?;
            Ok(standing_in(words, self.repo.clone().unwrap_or_else(|| ".".into())))
        })
    }
}

fn standing_in(words: Vec<String>, repo: PathBuf) -> Fixture {
    let subject = Subject { repo: Some(repo), stand_in: Some(StandIn::Command(words)), ..Subject::default() };
    Fixture { subject, _keep: Vec::new() }
}

async fn look(probe: &CommandProbe, subject: &Subject) -> Sighting {
    let Some(repo) = &subject.repo else { return Sighting::not_tried("name the folder to run it in with --repo") };
    let words = match &subject.stand_in {
        Some(StandIn::Command(words)) => words,
        _ => &probe.words,
    };
    let mut cases = Cases::plan(1);
    let (ending, output) = match run(probe, words, repo).await {
        Ok(ran) => ran,
        Err(why) => return cases.gave_up(why),
    };
    let shown = mask(&shell_words::join(words));
    subject.transcript.note(format!("$ {shown} → {ending}"));
    for line in output.lines().rev().take(20).collect::<Vec<_>>().into_iter().rev() {
        subject.transcript.note(format!("  {line}"));
    }
    let last = output.lines().rev().find(|line| !line.trim().is_empty()).map(|line| format!("; its last line: {line}"));
    let seen = format!("`{shown}` ended with {ending}{}", last.unwrap_or_default());
    match ending.code {
        Some(code) if NOT_RUN.contains(&code) => cases.told_nothing(seen.clone()),
        Some(code) => cases.tried(code == 0, seen.clone()),
        None => cases.told_nothing(seen.clone()),
    }
    cases.sighting(seen)
}

/// How it ended, and the end of what it printed, without secrets.
async fn run(probe: &CommandProbe, words: &[String], repo: &Path) -> Result<(crate::scratch::Ending, String), String> {
    let [program, arguments @ ..] = words else { return Err("the command is empty".into()) };
    let explain = |error: io::Error| format!("cannot run `{program}`: {error}");
    // Readable by its owner alone: what a command prints may be secret, and the folder is everybody's.
    let output = tempfile::NamedTempFile::new().map_err(explain)?;
    let log = output.reopen().map_err(explain)?;
    let same = log.try_clone().map_err(explain)?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(repo).process_group(0).env_clear().envs(harmless(env::vars()));
    let mut secrets = Vec::new();
    for (name, value) in &probe.environment {
        let value = value.resolve().map_err(|error| format!("the variable {name}: {error}"))?;
        command.env(name, value.expose());
        secrets.push(value);
    }
    command.stdin(Stdio::null()).stdout(log).stderr(same).kill_on_drop(true);
    let mut child = command.spawn().map_err(explain)?;
    let id = child.id().and_then(|id| i32::try_from(id).ok()).ok_or("the command has no process id")?;
    let group = Group(Pid::from_raw(id));
    let ended = timeout(probe.timeout, child.wait()).await;
    drop(group);
    let status = ended
        .map_err(|_| format!("`{program}` was not done within {} s", probe.timeout.as_secs_f64()))?
        .map_err(explain)?;
    let mut text = tail(&output).map_err(explain)?;
    for secret in secrets.iter().map(seaworthy_core::Secret::expose).filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "[secret]");
    }
    Ok((crate::scratch::Ending::of(status), mask(&text)))
}

fn tail(output: &tempfile::NamedTempFile) -> io::Result<String> {
    let (mut file, mut bytes) = (output.reopen()?, Vec::new());
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(KEPT_OUTPUT)))?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Our variables without our own settings, and without secrets by name or by content.
fn harmless(all: impl Iterator<Item = (String, String)>) -> impl Iterator<Item = (String, String)> {
    all.filter(|(name, value)| !name.starts_with("SEAWORTHY_") && !looks_secret(name) && mask(value) == *value)
}

#[cfg(test)]
mod tests {
    use seaworthy_evidence::Verdict;

    use super::*;
    use crate::{custom::settings::tests::read, runner::Runner};

    async fn finding(settings: &str) -> seaworthy_evidence::Finding {
        let text = format!("[[check.custom]]\nid = \"team.a\"\n{settings}");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("here"), "").unwrap();
        let repo = Some(folder.path().to_owned());
        let probe = CommandProbe::new(&read(&text).unwrap().custom[0], repo.clone()).unwrap();
        let subject = Subject { repo, ..Subject::default() };
        Runner::new(Duration::from_secs(10)).try_control(&probe, &subject).await
    }

    #[tokio::test]
    async fn a_command_runs_in_the_repository_and_its_exit_status_counts() {
        let good = finding("command = \"test -e here\"\nmust_fail = \"test -e elsewhere\"\n").await;
        assert_eq!(good.verdict, Verdict::Pass, "{}", good.reason);
        let bad = finding("command = \"sh -c 'echo no luck; exit 4'\"\nmust_fail = \"sh -c 'exit 1'\"\n").await;
        assert_eq!(bad.verdict, Verdict::Fail);
        assert!(bad.reason.contains("exit status 4; its last line: no luck"), "{}", bad.reason);
        assert!(bad.transcript.iter().any(|line| line.contains("no luck")));
    }

    #[tokio::test]
    async fn without_a_command_that_must_fail_nothing_is_proven() {
        let alone = finding("command = \"true\"\n").await;
        assert_eq!(alone.verdict, Verdict::Inconclusive);
        assert!(alone.reason.contains("give `must_fail` to team.a"), "{}", alone.reason);
        let useless = finding("command = \"true\"\nmust_fail = \"true\"\n").await;
        assert_eq!(useless.verdict, Verdict::Inconclusive);
    }

    #[tokio::test]
    async fn what_could_not_run_or_did_not_end_tells_nothing() {
        for (command, must_fail) in [
            ("/nowhere/at/all", "/nowhere/at/all x"),
            ("sh -c '/nowhere/at/all'", "sh -c 'exit 1'"),
            ("sh -c 'kill -9 $$'", "sh -c 'exit 1'"),
            ("sleep 60", "sleep x"),
        ] {
            let none =
                finding(&format!("command = \"{command}\"\nmust_fail = \"{must_fail}\"\ntimeout = \"500ms\"\n")).await;
            assert_eq!(none.verdict, Verdict::Inconclusive, "{command}: {}", none.reason);
        }
    }

    #[tokio::test]
    async fn secrets_are_given_and_not_shown() {
        let shown = finding(
            "command = \"sh -c 'echo got $MINE; test $MINE = hunter22'\"\nmust_fail = \"sh -c 'exit 1'\"\nenvironment = { MINE = \"hunter22\" }\n",
        );
        let shown = shown.await;
        assert_eq!(shown.verdict, Verdict::Pass, "{}", shown.reason);
        assert!(!format!("{shown:?}").contains("got hunter22"), "{shown:?}");
        let ours =
            [("SEAWORTHY_TOKEN", "x"), ("DB_PASSWORD", "x"), ("DATABASE_URL", "postgres://a:b@c/d"), ("PATH", "/bin")];
        let left: Vec<_> = harmless(ours.into_iter().map(|(name, value)| (name.into(), value.into()))).collect();
        assert_eq!(left, [("PATH".to_owned(), "/bin".to_owned())]);
    }
}
