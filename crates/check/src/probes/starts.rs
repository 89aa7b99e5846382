//! `deploy.starts`: a copy starts by its command, its routes answer without failing, it prints no errors, and it ends when
//! it is told to.

use std::{io, sync::LazyLock, time::Duration};

use regex::Regex;
use tokio::time::{Instant, sleep};

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, Manners},
    http::Client,
    openapi,
    probe::{About, Cases, Probe, Sighting, Working},
    scratch::{Ending, ScratchCopy, StartError},
    subject::{Fixture, Subject},
};

pub(super) struct Starts;

/// So many routes of an app that describes itself are called.
const SAMPLE: usize = 20;
/// After the last call an error may take this long to show.
const WATCH: Duration = Duration::from_secs(2);
const GRACE: Duration = Duration::from_secs(10);
const SIGTERM: i32 = 15;
const TERMINATED: i32 = 128 + SIGTERM;

impl Probe for Starts {
    fn about(&self) -> About {
        About { control: "deploy.starts".into(), kind: ProbeKind::Drill, class: SafetyClass::Scratch }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { Ok(fixture::launching(Manners { drains: true, tells_readiness: true, heals: true })) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async {
            Ok(fixture::starting(|_| {
                let output = "ModuleNotFoundError: No module named 'app'".into();
                Err(StartError::Ended { ending: Ending { code: Some(1), signal: None }, output })
            }))
        })
    }
}

async fn look(subject: &Subject) -> Sighting {
    let Some(launcher) = &subject.launcher else {
        return Sighting::not_tried("no command starts a scratch copy: [app] command in the config, or --start");
    };
    let mut cases = Cases::plan(1);
    let started = Instant::now();
    let mut copy = match launcher.start_with(&[], &subject.transcript).await {
        Ok(copy) => copy,
        Err(StartError::Impossible(why)) => return cases.gave_up(why),
        Err(error) => {
            cases.tried(false, error.to_string());
            return cases.sighting("");
        }
    };
    let after = started.elapsed().as_secs_f64();
    cases.tried(true, format!("it answers {after:.1} s after its start"));
    let client = Client::new(copy.url(), subject.transcript.clone());
    let routes = try_routes(&client, subject, &mut cases).await;
    sleep(WATCH).await;
    cases.plan_more(2);
    let lines = error_lines(&copy.output());
    let first = lines.first().map(|line| format!(", the first: {line}")).unwrap_or_default();
    cases.tried(lines.is_empty(), format!("it printed {} lines of errors{first}", lines.len()));
    let ending = try_end(&mut *copy, &mut cases).await;
    cases.sighting(format!(
        "answers {after:.1} s after its start; {routes} routes without 5xx, no error printed; {ending}"
    ))
}

/// Valid calls must not fail; how many were made.
async fn try_routes(client: &Client, subject: &Subject, cases: &mut Cases) -> String {
    let mut paths = vec!["/".to_owned()];
    paths.extend(subject.hints.paths.iter().chain(&subject.hints.list_paths).cloned());
    let described = openapi::discover(&client.clone().quiet(), None).await.map(|(_, found)| found).unwrap_or_default();
    let all = described.iter().filter(|one| one.method == "GET" && !one.template.contains('{') && !one.needs_query);
    let all = all.filter(|one| !subject.hints.fails_on(&one.path));
    let all: Vec<String> = all.map(|one| one.path.clone()).collect();
    paths.extend(all.iter().take(SAMPLE).cloned());
    paths.sort_unstable();
    paths.dedup();
    cases.plan_more(paths.len());
    for path in &paths {
        match client.get(path).await {
            Ok(answer) => {
                let status = answer.status;
                cases.tried(!status.is_server_error(), format!("GET {path} → {}", status.as_u16()));
            }
            Err(error) => cases.tried(false, error.to_string()),
        }
    }
    format!("{} (of {} that it describes)", paths.len(), described.len())
}

async fn try_end(copy: &mut dyn ScratchCopy, cases: &mut Cases) -> String {
    if let Err(why) = copy.terminate() {
        cases.told_nothing(why);
        return String::new();
    }
    let told = Instant::now();
    let Some(ending) = copy.ended(GRACE).await else {
        cases.tried(false, format!("it still ran {} s after SIGTERM", GRACE.as_secs()));
        return String::new();
    };
    let seen = format!("{ending} {:.1} s after SIGTERM", told.elapsed().as_secs_f64());
    let clean = matches!(ending.code, Some(0 | TERMINATED)) || ending.signal == Some(SIGTERM);
    cases.tried(clean, format!("it ended with {seen}"));
    seen
}

/// Lines that say that something is wrong, in the shapes of the common runtimes and loggers.
fn error_lines(output: &str) -> Vec<String> {
    static ERRORS: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(concat!(
            r#"\b(?:ERROR|CRITICAL|FATAL)\b|"(?:level|levelname|severity)"\s*:\s*"(?i:error|critical|fatal)"|"#,
            r"^Traceback \(most recent call last\)|^(?:Uncaught |Unhandled|node:internal)|\bpanicked at\b|^panic: |",
            r"Error: Cannot find module|ModuleNotFoundError|ImportError:"
        ))
        .expect("the pattern is valid")
    });
    let found = output.lines().filter(|line| ERRORS.is_match(line));
    found.map(|line| line.trim().chars().take(160).collect()).collect()
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Arc};

    use super::*;
    use crate::{probe::Outcome, scratch::CommandLauncher};

    async fn outcome(script: &str) -> Outcome {
        let words = ["sh", "-c", script].map(str::to_owned).to_vec();
        let start_timeout = Duration::from_secs(2);
        let launcher = CommandLauncher {
            words,
            has_admin: false,
            folder: PathBuf::from("."),
            start_timeout,
            environment: Vec::new(),
        };
        look(&Subject { launcher: Some(Arc::new(launcher)), ..Subject::default() }).await.outcome
    }

    #[tokio::test]
    async fn a_command_that_ends_or_hangs_is_a_finding() {
        let ends = outcome("echo secret_token=hunter2 no such module; exit 7").await;
        assert!(
            matches!(&ends, Outcome::Broken(why) if why.contains("exit status 7") && why.contains("no such module")),
            "{ends:?}"
        );
        assert!(!format!("{ends:?}").contains("hunter2"), "{ends:?}");
        let hangs = outcome("exec sleep 60").await;
        assert!(matches!(&hangs, Outcome::Broken(why) if why.contains("did not answer within 2 s")), "{hangs:?}");
    }

    #[test]
    fn errors_are_told_from_talk_of_errors() {
        let bad =
            ["[ERROR] x", "{\"level\":\"error\",\"msg\":\"x\"}", "Traceback (most recent call last):", "panic: x"];
        assert!(bad.iter().all(|line| error_lines(line).len() == 1));
        let fine = ["INFO 0 errors", "GET /error 404", "{\"level\":\"info\",\"error_rate\":0}", "no errors found"];
        assert!(fine.iter().all(|line| error_lines(line).is_empty()));
    }
}
