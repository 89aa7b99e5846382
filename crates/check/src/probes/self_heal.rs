//! `deploy.self-heal`: an app that is killed comes back by itself.

mod live;

use std::{io, time::Duration};

use http::StatusCode;
use tokio::time::{Instant, sleep};

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, Manners},
    http::Client,
    probe::{About, Cases, Probe, Sighting, Working},
    scratch::ScratchCopy,
    subject::{Fixture, Subject},
    workers::Worker,
};

pub(super) struct SelfHeal;

/// The app must answer again within this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// A kill must be seen to land within this time.
const LANDING: Duration = Duration::from_millis(500);

impl Probe for SelfHeal {
    fn about(&self) -> About {
        About { control: "deploy.self-heal".into(), kind: ProbeKind::Drill, class: SafetyClass::Scratch }
    }

    fn disruptive(&self) -> Option<&dyn Probe> {
        Some(&live::SelfHealLive)
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { Ok(fixture::launching(Manners { drains: true, tells_readiness: true, heals: true })) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { Ok(fixture::launching(Manners { drains: true, tells_readiness: true, heals: false })) })
    }
}

async fn look(subject: &Subject) -> Sighting {
    let Some(launcher) = &subject.launcher else {
        return Sighting::not_tried("no command starts a scratch copy: [app] command in the config, or --start");
    };
    let mut cases = Cases::plan(2);
    let mut copy = match launcher.start(&subject.transcript).await {
        Ok(copy) => copy,
        Err(why) => {
            return cases.gave_up(why);
        }
    };
    let client = Client::new(copy.url(), subject.transcript.clone()).patience(Duration::from_secs(2));
    let before = match client.get("/").await {
        Ok(answer) if answer.status.as_u16() < 500 => answer.status,
        Ok(answer) => {
            return cases.gave_up(format!("GET / answers {} before anything was killed", answer.status.as_u16()));
        }
        Err(error) => {
            return cases.gave_up(error.to_string());
        }
    };
    // A copy that does not tell its processes counts as one.
    let processes = copy.workers().await.unwrap_or_default();
    if let Err(why) = copy.kill_app().await {
        return cases.gave_up(why);
    }
    subject.transcript.note(format!("the app was killed (SIGKILL), all of its {} processes", processes.len().max(1)));
    let killed = Instant::now();
    // Without a fault that was seen to land, nothing has healed.
    if !lands(&mut *copy, &processes, &client, before).await {
        return cases.gave_up("the app answered on as if nothing had happened: the kill was not seen to land");
    }
    cases.tried(true, "the app was down");
    while killed.elapsed() < PATIENCE {
        if answers(&client, before).await {
            let after = killed.elapsed().as_secs_f64();
            cases.tried(true, format!("it answers again {after:.1} s later"));
            let all = try_all(&mut *copy, processes.len(), killed, &mut cases).await;
            return cases.sighting(format!("killed without warning, it answers again {after:.1} s later{all}"));
        }
        sleep(Duration::from_millis(50)).await;
    }
    cases.tried(false, format!("killed without warning, it did not answer again within {} s", PATIENCE.as_secs()));
    cases.sighting("")
}

async fn answers(client: &Client, well: StatusCode) -> bool {
    client.get("/").await.is_ok_and(|answer| answer.status == well)
}

/// Whether the app was seen down, or all of its processes seen replaced.
async fn lands(copy: &mut dyn ScratchCopy, before: &[Worker], client: &Client, well: StatusCode) -> bool {
    let killed = Instant::now();
    loop {
        let gone = |now: Vec<Worker>| now.iter().all(|worker| !before.contains(worker));
        if !answers(client, well).await || (!before.is_empty() && copy.workers().await.is_ok_and(gone)) {
            return true;
        }
        // A listener may take a moment to close.
        if killed.elapsed() > LANDING {
            return false;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Of several instances every one must come back, not only the first.
async fn try_all(copy: &mut dyn ScratchCopy, count: usize, killed: Instant, cases: &mut Cases) -> String {
    if count < 2 {
        return String::new();
    }
    cases.plan_more(1);
    loop {
        let now = copy.workers().await.map_or(0, |workers| workers.len());
        let seen = format!("{now} of {count} processes serve {:.1} s later", killed.elapsed().as_secs_f64());
        if now >= count || killed.elapsed() >= PATIENCE {
            cases.tried(now >= count, seen.clone());
            return format!(", {seen}");
        }
        sleep(Duration::from_millis(100)).await;
    }
}
