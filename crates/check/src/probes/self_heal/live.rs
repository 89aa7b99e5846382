//! The same on the live target, when that may be broken: one instance is killed under a light load, another process takes
//! its place, and whoever asks meanwhile is served by the others.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, PoolManners},
    live::{LiveTarget, Replacement},
    load::{Load, Tally},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(in crate::probes) struct SelfHealLive;

const PATIENCE: Duration = Duration::from_secs(10);
/// Requests that begin later than this after the kill must be answered, where others can answer them.
const NOTICE: Duration = Duration::from_secs(1);
/// A light load: some forty requests a second.
const LANES: usize = 2;
const PAUSE: Duration = Duration::from_millis(50);

impl Probe for SelfHealLive {
    fn about(&self) -> About {
        About { control: "deploy.self-heal".into(), kind: ProbeKind::Drill, class: SafetyClass::Disruptive }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        let manners = PoolManners { instances: 2, spreads: true, ejects: true, replaces: true };
        Box::pin(async move { fixture::live_pool(manners) })
    }

    // The common mistake: the balancer hides that nobody starts it again.
    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        let manners = PoolManners { instances: 2, spreads: true, ejects: true, replaces: false };
        Box::pin(async move { fixture::live_pool(manners) })
    }
}

async fn look(subject: &Subject) -> Sighting {
    let target = match LiveTarget::enter(subject).await {
        Ok(target) => target,
        Err(sighting) => return sighting,
    };
    let Some(victim) = target.instances.first() else { return Cases::plan(1).gave_up("there is no instance") };
    let mut cases = Cases::plan(4);
    let load = Load::begin_light(&target.public, "/", LANES, PAUSE);
    sleep(Duration::from_millis(300)).await;
    let killed = Instant::now();
    if let Err(why) = target.kill(victim).await {
        return cases.gave_up(why);
    }
    cases.tried(true, format!("{} was killed and seen gone", victim.id));
    let replacement = target.replaced(victim, killed, PATIENCE).await;
    // The time in which a balancer may still be wrong, and as much again in which it may not.
    sleep((killed + NOTICE * 2).saturating_duration_since(Instant::now())).await;
    let tally = load.end().await;
    let after = match replacement {
        Replacement::After(after) => after,
        Replacement::Missing => {
            let seen =
                format!("{} was killed and not replaced within {} s: start it again", victim.id, PATIENCE.as_secs());
            cases.tried(false, seen);
            return cases.sighting("");
        }
        Replacement::Unknown(why) => return cases.gave_up(format!("{} was killed; what came of it: {why}", victim.id)),
    };
    let seen = format!("replaced after {:.1} s", after.as_secs_f64());
    cases.tried(true, seen.clone());
    let service = try_service(&tally, target.instances.len(), killed, after, &mut cases);
    match target.is_back().await {
        Ok(()) => cases.tried(true, "back in the steady state"),
        Err(why) => cases.told_nothing(format!("the target is not back in its steady state: {why}")),
    }
    cases.sighting(format!("live: {} was killed, {seen}; {service}; back in the steady state", victim.id))
}

/// Others serve meanwhile; an instance that is alone need only serve again.
fn try_service(tally: &Tally, instances: usize, killed: Instant, after: Duration, cases: &mut Cases) -> String {
    let span = if instances > 1 { NOTICE } else { after + NOTICE };
    let (outside, within) = tally.outside(killed, span);
    let first = outside.first().map(|why| format!(", the first: {why}")).unwrap_or_default();
    let seen = format!("{within} of {} requests failed with it, {} others{first}", tally.sent, outside.len());
    match tally.drowned().filter(|_| outside.is_empty()) {
        Some(why) => cases.told_nothing(why),
        None => cases.tried(outside.is_empty() && tally.answered() > LANES, seen.clone()),
    }
    seen
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{probe::Outcome, processes::Processes};

    /// Says that it killed, and did not.
    struct Harmless;

    impl Processes for Harmless {
        fn is_here(&self, _: u32, _: Option<u16>) -> Result<(), String> {
            Ok(())
        }
        fn kill(&self, _: u32) -> Result<(), String> {
            Ok(())
        }
        fn is_gone(&self, _: u32) -> bool {
            false
        }
    }

    fn pool() -> Fixture {
        fixture::live_pool(PoolManners { instances: 2, spreads: true, ejects: true, replaces: true }).unwrap()
    }

    #[tokio::test]
    async fn a_fault_that_does_not_land_tells_nothing() {
        let mut fixture = pool();
        fixture.subject.processes = Some(Arc::new(Harmless));
        let outcome = look(&fixture.subject).await.outcome;
        assert!(matches!(&outcome, Outcome::Unclear(why) if why.contains("not seen to land")), "{outcome:?}");
    }

    #[tokio::test]
    async fn processes_that_cannot_be_those_of_the_target_are_left_alone() {
        let mut fixture = pool();
        fixture.subject.processes = None;
        let outcome = look(&fixture.subject).await.outcome;
        assert!(matches!(&outcome, Outcome::NotTried(why) if why.contains("no instance may be killed")), "{outcome:?}");
        fixture.subject.admin = Some("http://192.0.2.1:9000".parse().unwrap());
        let outcome = look(&fixture.subject).await.outcome;
        assert!(matches!(&outcome, Outcome::NotTried(why) if why.contains("another machine")), "{outcome:?}");
    }
}
