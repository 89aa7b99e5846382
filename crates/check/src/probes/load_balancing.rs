//! `edge.load-balancing`: instances share the requests, and one that is killed is left out before users notice.

use std::{
    collections::BTreeMap,
    io,
    sync::LazyLock,
    time::{Duration, Instant},
};

use regex::Regex;
use tokio::time::sleep;

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, PoolManners},
    http::Client,
    instances::{Instance, instances},
    load::Load,
    probe::{About, Cases, Probe, Sighting, Working},
    scratch::ScratchCopy,
    subject::{Fixture, Subject},
    workers::Worker,
};

pub(super) struct LoadBalancing;

/// Enough to tell a share of one half from chance.
const REQUESTS: usize = 1000;
const LANES: usize = 8;
/// How far a share may be from an equal one.
const TOLERANCE: f64 = 0.2;
/// Farther than this is no chance.
const UNEVEN: f64 = 0.5;
/// What the balancer may take to notice a dead instance.
const EJECTION: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(15);

impl Probe for LoadBalancing {
    fn about(&self) -> About {
        About { control: "edge.load-balancing".into(), kind: ProbeKind::Drill, class: SafetyClass::Scratch }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        let manners = PoolManners { instances: 2, spreads: true, ejects: true, replaces: true };
        Box::pin(async move { Ok(fixture::pool(manners)) })
    }

    // The common mistake: requests are shared, and a dead instance goes on getting its share.
    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        let manners = PoolManners { instances: 2, spreads: true, ejects: false, replaces: false };
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
    let client = |address| Client::new(address, subject.transcript.clone()).patience(Duration::from_secs(5));
    let Some(admin) = copy.admin().map(client) else {
        return Sighting::not_tried("what is balanced shows only in the admin API: start the copy by [app] command");
    };
    let ready = match all_ready(&admin).await {
        Ok(ready) => ready,
        Err(why) => return cases.gave_up(why),
    };
    cases.tried(ready.len() >= 2, format!("{} instances are ready", ready.len()));
    let Some(victim) = ready.first().filter(|_| ready.len() >= 2) else { return cases.sighting("") };
    let public = Client::new(copy.url(), subject.transcript.clone()).patience(PATIENCE);
    let shares = try_shares(&public, &admin, ready.len(), &mut cases).await;
    subject.transcript.note(format!("{REQUESTS} requests: {shares}"));
    let failed = try_kill(&mut *copy, &public, victim, &mut cases).await;
    if cases.is_broken() {
        return cases.sighting("");
    }
    let back = try_return(&admin, &public, victim, &mut cases).await;
    cases.sighting(format!(
        "{} instances, {REQUESTS} requests: {shares}; one killed under load: {failed}; {back}",
        ready.len()
    ))
}

/// The instances once none of them is starting any more.
async fn all_ready(admin: &Client) -> Result<Vec<Instance>, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = instances(admin).await?;
        if found.iter().all(Instance::is_ready) || Instant::now() > deadline {
            return Ok(found.into_iter().filter(Instance::is_ready).collect());
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Each gets its share of a load.
async fn try_shares(public: &Client, admin: &Client, count: usize, cases: &mut Cases) -> String {
    let before = match served(admin).await {
        Ok(before) => before,
        Err(why) => {
            cases.told_nothing(why);
            return "not counted".into();
        }
    };
    let tally = Load::begin(public, "/", LANES, REQUESTS).whole(PATIENCE).await;
    let after = served(admin).await.unwrap_or_default();
    let shares = after.iter().map(|(id, now)| (id, now.saturating_sub(before.get(id).copied().unwrap_or(0))));
    let shares: Vec<(&String, u64)> = shares.filter(|(_, share)| *share > 0).collect();
    let shown = shares.iter().map(|(id, share)| format!("{id} {share}")).collect::<Vec<_>>().join(", ");
    if tally.answered() < REQUESTS {
        let answered = format!("{} of {REQUESTS} requests were answered in time", tally.answered());
        let why = tally.refusal().unwrap_or(answered);
        cases.told_nothing(format!("{why}: nothing can be said of shares"));
        return shown;
    }
    let equal = REQUESTS as f64 / count as f64;
    let within = |tolerance: f64| shares.iter().all(|(_, share)| (*share as f64 - equal).abs() <= equal * tolerance);
    let seen = format!("of {REQUESTS} requests {count} instances served: {shown}");
    if shares.len() == count && !within(TOLERANCE) && within(UNEVEN) {
        // A balancer by load gives less to the slower one, and which is slower depends on the machine too.
        cases.told_nothing(format!("{seen}: uneven, and whether by the balancer or by a busy machine cannot be told"));
    } else {
        cases.tried(shares.len() == count && within(TOLERANCE), seen);
    }
    shown
}

/// One is killed under load: nothing fails but what began about that moment.
async fn try_kill(copy: &mut dyn ScratchCopy, public: &Client, victim: &Instance, cases: &mut Cases) -> String {
    let Some(process) = victim.process else {
        cases.told_nothing(format!("{} has no process that could be killed", victim.id));
        return String::new();
    };
    let load = Load::begin(public, "/", LANES, usize::MAX);
    sleep(Duration::from_millis(300)).await;
    let killed = Instant::now();
    if let Err(why) = copy.kill_worker(&Worker { instance: victim.id.clone(), process }) {
        cases.told_nothing(why);
        return String::new();
    }
    sleep(EJECTION + Duration::from_millis(1500)).await;
    let tally = load.end().await;
    let (outside, within) = tally.outside(killed, EJECTION);
    let first = outside.first().map(|why| format!(", the first: {why}")).unwrap_or_default();
    let seen = format!(
        "{} of {} requests failed later than {} s after it{first}; {within} before",
        outside.len(),
        tally.sent,
        EJECTION.as_secs()
    );
    match tally.drowned().filter(|_| outside.is_empty()) {
        Some(why) => cases.told_nothing(why),
        None => cases.tried(
            outside.is_empty() && tally.answered() > LANES,
            format!("{} was killed under load: {seen}", victim.id),
        ),
    }
    format!("{} of {} requests failed", tally.failures.len(), tally.sent)
}

/// It was seen to be gone, and it serves again.
async fn try_return(admin: &Client, public: &Client, victim: &Instance, cases: &mut Cases) -> String {
    let deadline = Instant::now() + PATIENCE;
    let before = served(admin).await.unwrap_or_default();
    while Instant::now() < deadline {
        let found = instances(admin).await.unwrap_or_default();
        let again = found.iter().find(|one| one.id == victim.id);
        if again.is_some_and(|one| one.is_ready() && one.process != victim.process) {
            let tally = Load::begin(public, "/", LANES, 100).whole(PATIENCE).await;
            let count = |all: &BTreeMap<String, u64>| all.get(&victim.id).copied().unwrap_or(0);
            let served = count(&served(admin).await.unwrap_or_default()).saturating_sub(count(&before));
            match tally.refusal().filter(|_| served == 0) {
                Some(why) => cases.told_nothing(why),
                None => {
                    cases.tried(
                        served > 0,
                        format!("started again, {} served {served} of the next requests", victim.id),
                    );
                }
            }
            return "started again, it serves again".into();
        }
        sleep(Duration::from_millis(100)).await;
    }
    cases.tried(false, format!("{} was not ready again {} s after it was killed", victim.id, PATIENCE.as_secs()));
    String::new()
}

/// Requests of each instance as the metrics count them, whatever the counter is called.
async fn served(admin: &Client) -> Result<BTreeMap<String, u64>, String> {
    let answer = admin.get("/metrics").await.map_err(|error| error.to_string())?;
    let found = count_by_instance(&answer.text());
    match found.is_empty() {
        true => Err("the metrics count no requests by instance (a counter with the label `instance`)".into()),
        false => Ok(found),
    }
}

fn count_by_instance(text: &str) -> BTreeMap<String, u64> {
    static COUNTERS: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r#"(?m)^(\w*requests_total)\{(?:[^}]*,)?(?:instance)="([^"]+)"[^}]*\}\s+(\d+)"#)
            .expect("the pattern is valid")
    });
    let mut found = BTreeMap::new();
    let mut counter = None;
    for line in COUNTERS.captures_iter(text) {
        // Two counters that count the same would give everything twice.
        if counter.get_or_insert_with(|| line[1].to_owned()) == &line[1] {
            *found.entry(line[2].to_owned()).or_default() += line[3].parse().unwrap_or(0);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    async fn broken(manners: PoolManners) -> String {
        match look(&fixture::pool(manners).subject).await.outcome {
            Outcome::Broken(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn one_instance_or_one_that_gets_everything_is_no_balance() {
        let good = PoolManners { instances: 2, spreads: true, ejects: true, replaces: true };
        let (alone, first) =
            tokio::join!(broken(PoolManners { instances: 1, ..good }), broken(PoolManners { spreads: false, ..good }));
        assert!(alone.contains("1 instances"), "{alone}");
        assert!(first.contains("app-1 1000"), "{first}");
    }

    #[tokio::test]
    async fn behind_a_rate_limit_a_drill_tells_nothing_and_names_it() {
        let good = PoolManners { instances: 2, spreads: true, ejects: true, replaces: true };
        let unclear = async |limit| match look(&fixture::pool_behind_limit(good, Some(limit)).subject).await.outcome {
            Outcome::Unclear(why) => why,
            other => panic!("{other:?}"),
        };
        // Met while the shares are counted, and met while one of them is dead.
        let (early, late) = tokio::join!(unclear(300), unclear(1_200));
        assert!(early.contains("were refused with 429 (ratelimit-policy: \"default\";q=300;w=60)"), "{early}");
        assert!(late.contains("were refused with 429"), "{late}");
    }

    #[test]
    fn counters_are_summed_over_their_other_labels() {
        let text = "# TYPE a_requests_total counter\na_requests_total{route=\"/\",instance=\"app-1\"} 2\n\
                    a_requests_total{instance=\"app-1\",status=\"200\"} 3\nb_requests_total{instance=\"app-1\"} 5\n\
                    a_requests_total{route=\"/\"} 9\na_requests_total{instance=\"app-2\"} 4\n";
        let found = count_by_instance(text);
        assert_eq!((found["app-1"], found["app-2"], found.len()), (5, 4, 2));
    }
}
