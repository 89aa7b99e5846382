//! `cache.store-limits`: the store has a limit on its memory, and at the limit it throws old entries out.
//!
//! The live store tells its settings. Where a server's program is on this machine, one of our own is filled beyond a limit
//! under the same policy: no write may fail, entries must go, and the process must live.

use std::io;

use seaworthy_evidence::{ProbeKind, SafetyClass};

use super::{Reached, Store, by_files, reach};
use crate::{
    fixture,
    probe::{About, Cases, Probe, Sighting, Working},
    redis::Scratch,
    subject::{Fixture, Subject},
};

pub(super) struct StoreLimits;

/// The drill's limit, and what is written into it.
const LIMIT: &str = "8mb";
const ENTRIES: usize = 300;
const ENTRY: usize = 64 << 10;

impl Probe for StoreLimits {
    fn about(&self) -> About {
        About { control: "cache.store-limits".into(), kind: ProbeKind::Live, class: SafetyClass::Scratch }
    }

    fn needs_target(&self) -> bool {
        false
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { fixture::store(&[("maxmemory", "268435456"), ("maxmemory_policy", "allkeys-lru")], &[]) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // What a store does that nobody has told anything.
        Box::pin(async { fixture::store(&[("maxmemory", "0"), ("maxmemory_policy", "noeviction")], &[]) })
    }
}

async fn look(subject: &Subject) -> Sighting {
    match reach(subject).await {
        Ok(Reached::Live(mut store)) => live(&mut store, subject).await.unwrap_or_else(|sighting| sighting),
        Ok(Reached::Declared(stores, why)) => by_files(&stores, &why, |store| {
            let setting = |name: &str| store.settings.get(name).map_or("", String::as_str);
            let none = ["", "0"].contains(&setting("maxmemory"));
            if none {
                return Some("has no limit on its memory (maxmemory)".into());
            }
            let keeps = ["", "noeviction"].contains(&setting("maxmemory-policy"));
            // A store of jobs must rather refuse than forget.
            let why = "evicts nothing at its limit (maxmemory-policy), so that writes fail";
            (keeps && stores.queues.is_empty()).then(|| why.into())
        }),
        Err(sighting) => sighting,
    }
}

async fn live(store: &mut Store, subject: &Subject) -> Result<Sighting, Sighting> {
    let mut cases = Cases::plan(2);
    let limit = store.setting("maxmemory", "maxmemory").await?;
    let policy = store.setting("maxmemory_policy", "maxmemory-policy").await?;
    let (Some(limit), Some(policy)) = (limit.and_then(|limit| limit.parse::<u64>().ok()), policy) else {
        return Err(cases.gave_up("the store tells neither its limit on memory nor what it does there"));
    };
    let title = store.title();
    cases
        .tried(limit > 0, format!("{title}: maxmemory is {limit} bytes{}", if limit == 0 { ": no limit" } else { "" }));
    let evicts = policy != "noeviction";
    match (evicts, store.queues.first().filter(|_| limit > 0)) {
        (false, Some(queue)) => cases.told_nothing(format!(
            "{title}: it evicts nothing, as {queue} wants it for the jobs that it keeps there; a cache belongs into a \
             store of its own, with eviction"
        )),
        _ => cases.tried(
            evicts,
            format!("{title}: at its limit it {}", if evicts { &policy } else { "refuses writes (noeviction)" }),
        ),
    }
    let keys: (u64, u64) = store
        .info
        .beginning("db")
        .map(|(_, line)| keyspace(line))
        .fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    if evicts && policy.starts_with("volatile-") && keys.0 > 0 && keys.1 == 0 {
        cases.told_nothing(format!(
            "{title}: {policy} evicts entries with a time to live alone, and none of its {} has one: give them one, or \
             choose an allkeys policy",
            keys.0
        ));
    }
    let mut drilled = "no program of a server is here for a drill".to_owned();
    if !cases.is_broken() && evicts {
        match fill(&policy).await {
            None => {}
            Some(Ok((evicted, alive))) => {
                cases.plan_more(1);
                drilled = format!("a copy with {LIMIT} took {ENTRIES} entries of 64 KiB and evicted {evicted}");
                cases.tried(evicted > 0 && alive, drilled.clone());
            }
            // Our own copy says nothing of the live one: an older program may not know the policy.
            Some(Err(why)) => drilled = format!("the drill on a copy was not possible: {why}"),
        }
        subject.transcript.note(drilled.clone());
    }
    Ok(cases.sighting(format!("{title}: maxmemory {limit} bytes, {policy}; {drilled}")))
}

/// `keys=12,expires=3,avg_ttl=0`: how many, and how many of them with a time to live.
fn keyspace(line: &str) -> (u64, u64) {
    let of = |name: &str| line.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
    (of("keys").unwrap_or(0), of("expires").unwrap_or(0))
}

/// Fills a copy beyond its limit: how many entries it evicted, and whether it lives.
async fn fill(policy: &str) -> Option<io::Result<(u64, bool)>> {
    let scratch = Scratch::start(&[("maxmemory", LIMIT), ("maxmemory-policy", policy), ("save", "")]).await?;
    let filling = async {
        let mut scratch = scratch?;
        let mut redis = scratch.connect().await?;
        let value = "x".repeat(ENTRY);
        for number in 0..ENTRIES {
            let set = redis.ask(&["SET", &format!("drill:{number}"), &value, "EX", "3600"]).await;
            set.map_err(|why| io::Error::other(format!("entry {number}: {why}")))?;
        }
        let info = redis.info().await.map_err(io::Error::other)?;
        Ok((info.number("evicted_keys").unwrap_or(0), scratch.is_alive()))
    };
    Some(filling.await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture::redis_is_here, probe::Outcome};

    #[tokio::test]
    async fn a_real_server_is_judged_by_its_settings() {
        if !redis_is_here() {
            return;
        }
        for (policy, limit, holds) in
            [("allkeys-lru", "64mb", true), ("noeviction", "64mb", false), ("allkeys-lru", "0", false)]
        {
            let real = fixture::real_store(&[("maxmemory", limit), ("maxmemory-policy", policy)]).await.unwrap();
            let seen = look(&real.subject).await;
            assert_eq!(seen.outcome == Outcome::Holds, holds, "{seen:?}");
            assert!(
                holds && seen.observed.contains("evicted") || matches!(seen.outcome, Outcome::Broken(_)),
                "{seen:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_store_of_jobs_is_not_told_to_evict() {
        let jobs = fixture::folder(&[("requirements.txt", "celery\nredis\n"), ("app.py", "import celery\n")]).unwrap();
        let mut store = fixture::store(&[("maxmemory", "1000000"), ("maxmemory_policy", "noeviction")], &[]).unwrap();
        store.subject.repo = jobs.subject.repo.clone();
        let seen = look(&store.subject).await;
        assert!(matches!(&seen.outcome, Outcome::Unclear(why) if why.contains("celery")), "{seen:?}");
    }

    #[tokio::test]
    async fn entries_that_no_policy_evicts_are_seen() {
        let facts =
            [("maxmemory", "1000"), ("maxmemory_policy", "volatile-lru"), ("db0", "keys=9,expires=0,avg_ttl=0")];
        let seen = look(&fixture::store(&facts, &[]).unwrap().subject).await;
        assert!(matches!(&seen.outcome, Outcome::Unclear(why) if why.contains("none of its 9")), "{seen:?}");
    }

    #[tokio::test]
    async fn compose_files_can_show_that_it_is_broken_and_never_that_it_holds() {
        let of = async |name: &str, command: &str| {
            let text = format!("services:\n  cache:\n    image: redis:8.6.3\n    command: {command}\n");
            look(&fixture::folder(&[(name, &text), ("app.py", "x = 1\n")]).unwrap().subject).await.outcome
        };
        let bounded = "redis-server --maxmemory 64mb --maxmemory-policy allkeys-lru";
        assert!(
            matches!(of("compose.prod.yml", "redis-server").await, Outcome::Broken(why) if why.contains("no limit"))
        );
        assert!(
            matches!(of("compose.prod.yml", "redis-server --maxmemory 1gb").await, Outcome::Broken(why) if why.contains("evicts nothing"))
        );
        assert!(
            matches!(of("compose.prod.yml", bounded).await, Outcome::Unclear(why) if why.contains("[check] redis"))
        );
        assert!(matches!(of("compose.yml", "redis-server").await, Outcome::Unclear(_)));
    }

    #[tokio::test]
    async fn a_managed_store_that_hides_its_settings_is_judged_by_what_it_tells() {
        let told = fixture::store(&[("maxmemory", "1000000"), ("maxmemory_policy", "allkeys-lfu")], &[]).unwrap();
        assert_eq!(look(&told.subject).await.outcome, Outcome::Holds);
        let hidden = fixture::store(&[("redis_version", "7.2.14")], &[]).unwrap();
        assert!(matches!(look(&hidden.subject).await.outcome, Outcome::Unclear(_)));
    }
}
