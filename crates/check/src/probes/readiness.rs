//! `observability.readiness`: a node that shuts down says so, while it still lives and finishes its requests.

use std::{io, time::Duration};

use tokio::time::{Instant, sleep};

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, Manners},
    http::Client,
    probe::{About, Cases, Probe, Sighting, Working},
    scratch::ScratchCopy,
    subject::{Fixture, Subject},
};

pub(super) struct Readiness;

const READY: &[&str] = &["/readyz", "/ready", "/health/ready", "/api/ready"];
const LIVE: &[&str] = &["/livez", "/live", "/health/live", "/healthz"];

impl Probe for Readiness {
    fn about(&self) -> About {
        About { control: "observability.readiness".into(), kind: ProbeKind::Drill, class: SafetyClass::Scratch }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { Ok(fixture::launching(Manners { drains: true, tells_readiness: true, heals: true })) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { Ok(fixture::launching(Manners { drains: true, tells_readiness: false, heals: true })) })
    }
}

async fn look(subject: &Subject) -> Sighting {
    let Some(launcher) = &subject.launcher else {
        return Sighting::not_tried("no command starts a scratch copy: [app] command in the config, or --start");
    };
    let Some(slow) = subject.hints.slow(subject.hints.seconds_in_flight(2.0)) else {
        return Sighting::not_tried("a request must be in flight: [check] slow_path = \"/slow?seconds={seconds}\"");
    };
    let mut cases = Cases::plan(4);
    let mut copy = match launcher.start(&subject.transcript).await {
        Ok(copy) => copy,
        Err(why) => {
            return cases.gave_up(why);
        }
    };
    let client = |address| Client::new(address, subject.transcript.clone());
    let asked = client(copy.admin().unwrap_or_else(|| copy.url()));
    let (Some(ready), Some(live)) = (answering(&asked, READY).await, answering(&asked, LIVE).await) else {
        cases.tried(
            false,
            format!(
                "no readiness and liveness of their own: none of {} and {} answers 2xx",
                READY.join(" "),
                LIVE.join(" ")
            ),
        );
        return cases.sighting("");
    };
    cases.tried(true, format!("{ready} answers 200 before"));
    let public = client(copy.url());
    let (in_flight, ()) = tokio::join!(public.get(&slow), watch(&mut *copy, &asked, ready, live, &mut cases));
    match in_flight {
        Ok(answer) => cases.tried(
            answer.status.is_success(),
            format!("the request in flight was answered {}", answer.status.as_u16()),
        ),
        Err(error) => cases.tried(false, format!("the request in flight was cut: {error}")),
    }
    cases.sighting(format!(
        "ready before; during shutdown {ready} says no while {live} stays 200 and the request in flight is answered"
    ))
}

/// Orders the copy to stop while the slow request runs, and asks both questions meanwhile.
async fn watch(copy: &mut dyn ScratchCopy, asked: &Client, ready: &str, live: &str, cases: &mut Cases) {
    sleep(Duration::from_millis(300)).await;
    if let Err(why) = copy.terminate() {
        cases.told_nothing(why);
        return;
    }
    let deadline = Instant::now() + Duration::from_millis(800);
    let mut last = String::from("no answer");
    while Instant::now() < deadline {
        sleep(Duration::from_millis(100)).await;
        match asked.get(ready).await {
            Ok(answer) if answer.status == 503 => {
                cases.tried(true, format!("{ready} answers 503 during shutdown"));
                match asked.get(live).await {
                    Ok(answer) => cases.tried(
                        answer.status.is_success(),
                        format!("{live} answers {} during shutdown", answer.status.as_u16()),
                    ),
                    Err(error) => cases.tried(false, format!("{live} during shutdown: {error}")),
                }
                return;
            }
            Ok(answer) => last = answer.status.as_u16().to_string(),
            Err(error) => last = error.to_string(),
        }
    }
    cases.tried(false, format!("{ready} never said 503 during shutdown (last: {last})"));
}

async fn answering(client: &Client, paths: &[&'static str]) -> Option<&'static str> {
    for path in paths {
        if client.get(path).await.is_ok_and(|answer| answer.status.is_success()) {
            return Some(path);
        }
    }
    None
}
