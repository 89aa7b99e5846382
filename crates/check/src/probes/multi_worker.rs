//! `deploy.multi-worker`: several processes serve, they work at the same time, and one that dies is replaced alone.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::{
    fixture::{self, PoolManners},
    http::Client,
    load::Load,
    probe::{About, Cases, Probe, ProbeKind, SafetyClass, Sighting, Working},
    scratch::ScratchCopy,
    subject::{Fixture, Subject},
};

pub(super) struct MultiWorker;

/// More slow requests at once than this prove nothing more.
const MOST: usize = 8;
const SLOW: f64 = 1.0;
/// So many times as long as one request may all of them together take.
const OVERLAP: f64 = 1.6;
const LANES: usize = 4;
/// Requests that begin later than this after the kill must be answered.
const NOTICE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);

impl Probe for MultiWorker {
    fn about(&self) -> About {
        About { control: "deploy.multi-worker", kind: ProbeKind::Drill, class: SafetyClass::Scratch }
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
    let started = Instant::now();
    let tally = Load::begin(client, &slow, count, count).whole(one.mul_f64(count as f64) + PATIENCE).await;
    let all = started.elapsed();
    let seen = format!("{count} requests of {:.1} s took {:.1} s together", one.as_secs_f64(), all.as_secs_f64());
    subject.transcript.note(seen.clone());
    let answered = tally.sent == count && tally.failures.is_empty();
    let failed = tally.failures.first().map(|(_, why)| format!(", one failed: {why}")).unwrap_or_default();
    cases.tried(answered && all <= one.mul_f64(OVERLAP), format!("{seen}{failed}"));
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
    cases.tried(
        outside.is_empty() && tally.sent > LANES,
        format!("one was killed: {} of {} other requests failed{first}", outside.len(), tally.sent),
    );
    let after = replaced.map(|after| format!("replaced after {:.1} s", after.as_secs_f64()));
    let shown = after.clone().unwrap_or_else(|| format!("not replaced within {} s", PATIENCE.as_secs()));
    cases.tried(replaced.is_some(), shown.clone());
    format!("one killed under load: {shown}, {within} of {} requests failed with it and no other", tally.sent)
}
