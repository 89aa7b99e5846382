//! `deploy.graceful-shutdown`: SIGTERM while a request is in flight; the request is answered, then the process ends.

use std::{io, time::Duration};

use tokio::time::sleep;

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, Manners},
    http::{Answer, Client},
    probe::{About, Cases, Probe, Sighting, Working},
    scratch::ScratchCopy,
    subject::{Fixture, Subject},
};

pub(super) struct GracefulShutdown;

/// How long the request in flight takes, unless the claimed time limit is shorter.
const SLOW: f64 = 2.0;
/// Within this time after SIGTERM the process must have ended: the grace that common platforms give.
const GRACE: Duration = Duration::from_secs(10);
/// How a process ends that obeys: exit 0, the signal itself, or the code that shells give for it.
const SIGTERM: i32 = 15;
const TERMINATED: i32 = 128 + SIGTERM;

impl Probe for GracefulShutdown {
    fn about(&self) -> About {
        About { control: "deploy.graceful-shutdown".into(), kind: ProbeKind::Drill, class: SafetyClass::Scratch }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { Ok(fixture::launching(Manners { drains: true, tells_readiness: true, heals: true })) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { Ok(fixture::launching(Manners { drains: false, tells_readiness: true, heals: true })) })
    }
}

async fn look(subject: &Subject) -> Sighting {
    let Some(launcher) = &subject.launcher else {
        return Sighting::not_tried("no command starts a scratch copy: [app] command in the config, or --start");
    };
    let seconds = subject.hints.seconds_in_flight(SLOW);
    let Some(slow) = subject.hints.slow(seconds) else {
        return Sighting::not_tried("a request must be in flight: [check] slow_path = \"/slow?seconds={seconds}\"");
    };
    let mut cases = Cases::plan(5);
    let mut copy = match launcher.start(&subject.transcript).await {
        Ok(copy) => copy,
        Err(why) => {
            return cases.gave_up(why);
        }
    };
    let client = Client::new(copy.url(), subject.transcript.clone());
    let whole = match undisturbed(&client, &slow, seconds).await {
        Ok(answer) => answer,
        Err(why) => {
            return cases.gave_up(why);
        }
    };
    cases.tried(true, format!("undisturbed, GET {slow} answers {} bytes", whole.length));
    let order = async {
        sleep(Duration::from_secs_f64(seconds / 4.0)).await;
        copy.terminate()
    };
    let (in_flight, sent) = tokio::join!(client.get(&slow), order);
    if let Err(why) = sent {
        return cases.gave_up(why);
    }
    subject.transcript.note("SIGTERM was sent while that request was in flight");
    match in_flight {
        Ok(answer) => {
            let same = answer.status == whole.status && answer.length == whole.length;
            cases.tried(
                same,
                format!(
                    "the request in flight was answered {} with {} of {} bytes",
                    answer.status.as_u16(),
                    answer.length,
                    whole.length
                ),
            );
        }
        Err(error) => cases.tried(false, format!("the request in flight was cut: {error}")),
    }
    judge_end(&mut *copy, &client, &mut cases).await;
    cases.sighting(format!(
        "SIGTERM with a {seconds:.1} s request in flight: answered in full ({} bytes), then ended by itself",
        whole.length
    ))
}

/// The steady state, and what the whole answer looks like.
async fn undisturbed(client: &Client, slow: &str, seconds: f64) -> Result<Answer, String> {
    let answer = client.get(slow).await.map_err(|error| error.to_string())?;
    if answer.status.is_success() && answer.elapsed.as_secs_f64() > seconds * 0.8 {
        return Ok(answer);
    }
    Err(format!("GET {slow} is no slow request: {} after {:?}", answer.status.as_u16(), answer.elapsed))
}

/// It ends in time, as one that obeys, and nothing of it is left.
async fn judge_end(copy: &mut dyn ScratchCopy, client: &Client, cases: &mut Cases) {
    let Some(ending) = copy.ended(GRACE).await else {
        return cases.tried(false, format!("it still ran {} s after SIGTERM", GRACE.as_secs()));
    };
    cases.tried(true, "it ended in time");
    let clean = matches!(ending.code, Some(0 | TERMINATED)) || ending.signal == Some(SIGTERM);
    cases.tried(clean, format!("it ended with exit {:?}, signal {:?}", ending.code, ending.signal));
    let left = copy.left_behind() || client.get("/").await.is_ok();
    let seen =
        if left { "something of it still runs: the signal stopped at a wrapper" } else { "nothing of it is left" };
    cases.tried(!left, seen);
}
