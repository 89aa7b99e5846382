//! `deploy.multi-worker`: several processes serve, they work at the same time, and one that dies is replaced alone.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, PoolManners},
    http::Client,
    load::Load,
    probe::{About, Cases, Probe, Sighting, Working},
    scratch::ScratchCopy,
    subject::{Fixture, Subject},
};

pub(super) struct MultiWorker;

/// More slow requests at once than this prove nothing more.
const MOST: usize = 8;
/// Long beside what a busy machine adds.
const SLOW: f64 = 2.0;
/// So many times as long as one request may all of them together take.
const OVERLAP: f64 = 1.6;
const ATTEMPTS: usize = 3;
const LANES: usize = 4;
/// Requests that begin later than this after the kill must be answered.
const NOTICE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);

impl Probe for MultiWorker {
    fn about(&self) -> About {
        About { control: "deploy.multi-worker".into(), kind: ProbeKind::Drill, class: SafetyClass::Scratch }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        let manners = PoolManners { instances: 2, spreads: true, ejects: true, replaces: true };
        Box::pin(async move { Ok(fixture::pool(manners)) })
    }

    // The common case: one process, which comes back when it dies, but not before somebody noticed.
    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        let manners = PoolManners { instances: 1, spreads: true, ejects: true, replaces: true };
        Box::pin(async move { Ok(fixture::pool(manners)) })
    }
}

async fn look(subject: &Subject) -> Sighting {
    let Some(launcher) = &subject.launcher else {
        return Sighting::not_tried("no command starts a scratch copy: [app] command in the config, or --start");
    };
    let mut cases = Cases::plan(4);
    let mut copy = match launcher.start(&subject.transcript).await {
        Ok(copy) => copy,
        Err(why) => return cases.gave_up(why),
    };
    let workers = match settled(&mut *copy).await {
        Ok(workers) => workers,
        Err(why) => return cases.gave_up(why),
    };
    cases.tried(workers >= 2, format!("{workers} processes take requests"));
    if workers < 2 {
        return cases.sighting("");
    }
    let client = Client::new(copy.url(), subject.transcript.clone());
    let overlap = try_overlap(&client, subject, workers.min(MOST), &mut cases).await;
    let kill = try_kill(&mut *copy, &client, workers, &mut cases).await;
    cases.sighting(format!("{workers} processes take requests; {overlap}; {kill}"))
}

/// How many there are once their number no longer grows: workers start after the first answer.
async fn settled(copy: &mut dyn ScratchCopy) -> Result<usize, String> {
    let deadline = Instant::now() + PATIENCE;
    let mut last = copy.workers().await?.len();
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_secs(1) && Instant::now() < deadline {
        sleep(Duration::from_millis(100)).await;
        let now = copy.workers().await?.len();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(last)
}

/// As many slow requests as workers take about the time of one.
async fn try_overlap(client: &Client, subject: &Subject, count: usize, cases: &mut Cases) -> String {
    let seconds = subject.hints.seconds_in_flight(SLOW);
    let Some(slow) = subject.hints.slow(seconds) else {
        cases.told_nothing("whether they work at the same time: [check] slow_path = \"/slow?seconds={seconds}\"");
        return String::new();
    };
    let one = match client.get(&slow).await {
        Ok(answer) if answer.status.is_success() && answer.elapsed.as_secs_f64() > seconds * 0.8 => answer.elapsed,
        Ok(answer) => {
            let status = answer.status.as_u16();
            cases.told_nothing(format!("GET {slow} is no slow request: {status} after {:?}", answer.elapsed));
            return String::new();
        }
        Err(error) => {
            cases.told_nothing(error.to_string());
            return String::new();
        }
    };
    // That they can work at once is what counts: the system may hand one worker two connections, or be busy itself.
    let mut seen = String::new();
    for attempt in 1..=ATTEMPTS {
        let started = Instant::now();
        let tally = Load::begin(client, &slow, count, count).whole(one.mul_f64(count as f64) + PATIENCE).await;
        let all = started.elapsed();
        // A refusal takes no time: it would look like a worker.
        if let Some(why) = tally.refusal() {
            cases.told_nothing(why);
            break;
        }
        seen = format!("{count} requests of {:.1} s took {:.1} s together", one.as_secs_f64(), all.as_secs_f64());
        subject.transcript.note(seen.clone());
        let holds = tally.sent == count && tally.failures.is_empty() && all <= one.mul_f64(OVERLAP);
        if holds || attempt == ATTEMPTS {
            let failed = tally.failures.first().map(|(_, why)| format!(", one failed: {why}")).unwrap_or_default();
            cases.tried(holds, format!("{seen}{failed}"));
            break;
        }
    }
    seen
}

/// One is killed under load: the others go on, and it is replaced.
async fn try_kill(copy: &mut dyn ScratchCopy, client: &Client, count: usize, cases: &mut Cases) -> String {
    let victim = match copy.workers().await.map(|workers| workers.into_iter().next()) {
        Ok(Some(victim)) => victim,
        Ok(None) => {
            cases.told_nothing("no process was left to be killed");
            return String::new();
        }
        Err(why) => {
            cases.told_nothing(why);
            return String::new();
        }
    };
    let load = Load::begin(client, "/", LANES, usize::MAX);
    sleep(Duration::from_millis(300)).await;
    let killed = Instant::now();
    if let Err(why) = copy.kill_worker(&victim) {
        cases.told_nothing(why);
        return String::new();
    }
    client
        .transcript()
        .note(format!("process {} of {} was killed (SIGKILL) under load", victim.process, victim.instance));
    let mut replaced = None;
    while killed.elapsed() < PATIENCE && replaced.is_none() {
        sleep(Duration::from_millis(100)).await;
        let now = copy.workers().await.unwrap_or_default();
        let gone = now.iter().all(|worker| worker.process != victim.process);
        replaced = (gone && now.len() >= count).then(|| killed.elapsed());
    }
    // The time in which a balancer may still be wrong, and as much again in which it may not.
    sleep((killed + NOTICE * 2).saturating_duration_since(Instant::now())).await;
    let tally = load.end().await;
    let (outside, within) = tally.outside(killed, NOTICE);
    let first = outside.first().map(|why| format!(", the first: {why}")).unwrap_or_default();
    match tally.drowned().filter(|_| outside.is_empty()) {
        Some(why) => cases.told_nothing(why),
        None => cases.tried(
            outside.is_empty() && tally.answered() > LANES,
            format!("one was killed: {} of {} other requests failed{first}", outside.len(), tally.sent),
        ),
    }
    let after = replaced.map(|after| format!("replaced after {:.1} s", after.as_secs_f64()));
    let shown = after.clone().unwrap_or_else(|| format!("not replaced within {} s", PATIENCE.as_secs()));
    cases.tried(replaced.is_some(), shown.clone());
    format!("one killed under load: {shown}, {within} of {} requests failed with it and no other", tally.sent)
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Arc};

    use super::*;
    use crate::{probe::Outcome, scratch::CommandLauncher};

    /// A parent that binds, children that accept one request at a time, as many servers of Python and Ruby work. Without
    /// `replaces` the parent lets a dead child be.
    const PREFORK: &str = r#"
import http.server, os, socketserver, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if "seconds=" in self.path:
            time.sleep(float(self.path.split("seconds=")[1]))
        self.send_response(200); self.send_header("content-length", "2"); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *arguments): pass
class Server(socketserver.TCPServer):
    allow_reuse_address = True
    request_queue_size = 64
server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
def fork():
    if os.fork() == 0:
        server.serve_forever()
for _ in range(int(sys.argv[2])): fork()
while True:
    os.wait()
    if sys.argv[3] == "replaces": fork()
"#;

    async fn outcome(count: usize, after_death: &str) -> Outcome {
        let count = count.to_string();
        let words = ["python3", "-c", PREFORK, "$PORT", &count, after_death].map(str::to_owned).to_vec();
        let start_timeout = Duration::from_secs(20);
        let launcher = CommandLauncher {
            words,
            has_admin: false,
            folder: PathBuf::from("."),
            start_timeout,
            environment: Vec::new(),
        };
        let mut subject = Subject { launcher: Some(Arc::new(launcher)), ..Subject::default() };
        subject.hints.slow_path = Some("/slow?seconds={seconds}".into());
        look(&subject).await.outcome
    }

    #[tokio::test]
    async fn refusals_are_no_workers() {
        let good = PoolManners { instances: 2, spreads: true, ejects: true, replaces: true };
        let outcome = look(&fixture::pool_behind_limit(good, Some(100)).subject).await.outcome;
        assert!(matches!(&outcome, Outcome::Unclear(why) if why.contains("refused with 429")), "{outcome:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn real_workers_are_counted_killed_and_seen_to_come_back() {
        let python = std::process::Command::new("python3").arg("--version").output().is_ok();
        let must = std::env::var("SEAWORTHY_TEST_REQUIRE").is_ok_and(|what| what == "all");
        assert!(python || !must, "python3 is missing: install the Debian package python3");
        if !python {
            eprintln!("skipped: python3 is missing, install the Debian package python3");
            return;
        }
        let (three, one, lost) = tokio::join!(outcome(3, "replaces"), outcome(1, "replaces"), outcome(3, "stays dead"));
        assert_eq!(three, Outcome::Holds);
        assert!(matches!(&one, Outcome::Broken(why) if why.contains("1 processes")), "{one:?}");
        assert!(matches!(&lost, Outcome::Broken(why) if why.contains("not replaced")), "{lost:?}");
    }
}
