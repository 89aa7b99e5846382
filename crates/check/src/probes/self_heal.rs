//! `deploy.self-heal`: an app that is killed comes back by itself.

use std::{io, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    fixture::{self, Manners},
    http::Client,
    probe::{About, Cases, Probe, ProbeKind, SafetyClass, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct SelfHeal;

/// The app must answer again within this time.
const PATIENCE: Duration = Duration::from_secs(10);

impl Probe for SelfHeal {
    fn about(&self) -> About {
        About { control: "deploy.self-heal", kind: ProbeKind::Drill, class: SafetyClass::Scratch }
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
    if let Err(why) = copy.kill_app().await {
        return cases.gave_up(why);
    }
    subject.transcript.note("the app was killed (SIGKILL)");
    let killed = Instant::now();
    let is_well = async || client.get("/").await.is_ok_and(|answer| answer.status == before);
    // Without a fault that was seen to land, nothing has healed.
    let landed = !is_well().await;
    if !landed {
        return cases.gave_up("the app answered on as if nothing had happened: the kill was not seen to land");
    }
    cases.tried(true, "the app was down");
    while killed.elapsed() < PATIENCE {
        if is_well().await {
            let after = killed.elapsed().as_secs_f64();
            cases.tried(true, format!("it answers again {after:.1} s later"));
            return cases.sighting(format!("killed without warning, it answers again {after:.1} s later"));
        }
        sleep(Duration::from_millis(50)).await;
    }
    cases.tried(false, format!("killed without warning, it did not answer again within {} s", PATIENCE.as_secs()));
    cases.sighting("")
}
