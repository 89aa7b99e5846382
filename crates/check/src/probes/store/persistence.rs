//! `cache.store-persistence`: what the store holds is on disk, so that it is there again after its process has died.
//!
//! The live store tells its settings and whether the last write went well. Where a server's program is on this machine, a
//! copy of our own with the same settings is killed, and must come back with what it held.

use std::{io, time::Duration};

use seaworthy_evidence::{ProbeKind, SafetyClass};
use tokio::time::{Instant, sleep};

use super::{Reached, Store, by_files, reach};
use crate::{
    fixture,
    probe::{About, Cases, Probe, Sighting, Working},
    redis::{RedisError, Scratch},
    subject::{Fixture, Subject},
};

pub(super) struct StorePersistence;

impl Probe for StorePersistence {
    fn about(&self) -> About {
        About { control: "cache.store-persistence".into(), kind: ProbeKind::Live, class: SafetyClass::Scratch }
    }

    fn needs_target(&self) -> bool {
        false
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        let facts = [("aof_enabled", "1"), ("aof_last_write_status", "ok"), ("rdb_last_bgsave_status", "ok")];
        Box::pin(async move { fixture::store(&facts, &[("save", "")]) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: snapshots were switched off for a cache, and jobs moved in later.
        let facts = [("aof_enabled", "0"), ("rdb_last_bgsave_status", "ok")];
        Box::pin(async move { fixture::store(&facts, &[("save", "")]) })
    }
}

async fn look(subject: &Subject) -> Sighting {
    match reach(subject).await {
        Ok(Reached::Live(mut store)) => live(&mut store, subject).await.unwrap_or_else(|sighting| sighting),
        Ok(Reached::Declared(stores, why)) => by_files(&stores, &why, |store| {
            let log = store.settings.get("appendonly").is_some_and(|value| value == "yes");
            // Without a word of its own a server takes snapshots.
            let none = store.settings.get("save").is_some_and(String::is_empty);
            (none && !log).then(|| "keeps neither a log (appendonly) nor snapshots (save)".into())
        }),
        Err(sighting) => sighting,
    }
}

async fn live(store: &mut Store, subject: &Subject) -> Result<Sighting, Sighting> {
    let mut cases = Cases::plan(1);
    let title = store.title();
    let log = store.setting("aof_enabled", "appendonly").await?;
    let log = log.map(|value| ["1", "yes"].contains(&value.as_str()));
    let snapshots = store.configured("save").await?;
    let Some(log) = log else {
        return Err(cases.gave_up(format!("{title} does not tell whether it keeps a log")));
    };
    let how = match (log, snapshots.as_deref()) {
        (true, _) => "it keeps a log of every write (appendonly)".to_owned(),
        (false, Some("")) => "it keeps neither a log nor snapshots".to_owned(),
        (false, Some(when)) => format!("it takes snapshots ({when}); what was written since the last one is lost"),
        (false, None) => {
            return Err(cases.gave_up(format!(
                "{title} keeps no log, and does not tell whether it takes snapshots: a managed store tells that in its \
                 console"
            )));
        }
    };
    let kept = log || snapshots.as_deref() != Some("");
    cases.tried(kept, format!("{title}: {how}"));
    for (name, what) in [("aof_last_write_status", "write to the log"), ("rdb_last_bgsave_status", "snapshot")] {
        let counts =
            if name.starts_with("aof") { log } else { snapshots.as_deref().is_some_and(|when| !when.is_empty()) };
        if let Some(status) = store.info.of(name).filter(|_| counts) {
            cases.plan_more(1);
            cases.tried(
                status == "ok",
                format!("{title}: the last {what} went {}", if status == "ok" { "well" } else { "wrong" }),
            );
        }
    }
    let mut drilled = "no program of a server is here for a drill".to_owned();
    if !cases.is_broken() {
        match kill(log, snapshots.as_deref().unwrap_or_default()).await {
            None => {}
            Some(Ok(there)) => {
                cases.plan_more(1);
                let is = if there { "was there again" } else { "was gone" };
                drilled = format!("on a copy with these settings a key {is} after kill -9");
                cases.tried(there, drilled.clone());
            }
            Some(Err(why)) => drilled = format!("the drill on a copy was not possible: {why}"),
        }
        subject.transcript.note(drilled.clone());
    }
    Ok(cases.sighting(format!("{title}: {how}; {drilled}")))
}

/// Kills a copy with these settings; whether it has its key again.
async fn kill(log: bool, save: &str) -> Option<io::Result<bool>> {
    let settings = [("appendonly", if log { "yes" } else { "no" }), ("appendfsync", "everysec"), ("save", save)];
    let scratch = Scratch::start(&settings).await?;
    let drill = async {
        let mut scratch = scratch?;
        let mut redis = scratch.connect().await?;
        let wrong = |why: RedisError| io::Error::other(why);
        redis.ask(&["SET", "drill", "canary"]).await.map_err(wrong)?;
        let (command, until) = (if log { "" } else { "BGSAVE" }, Instant::now() + Duration::from_secs(10));
        if !command.is_empty() {
            redis.ask(&[command]).await.map_err(wrong)?;
        }
        // Written is what the server itself calls written, not what some time should have brought.
        loop {
            let info = redis.info().await.map_err(wrong)?;
            let pending = |name: &str| info.number(name).unwrap_or(0) > 0;
            let written = match log {
                true => !pending("aof_pending_bio_fsync") && !pending("aof_buffer_length"),
                false => !pending("rdb_bgsave_in_progress") && !pending("rdb_changes_since_last_save"),
            };
            if written {
                break;
            }
            if Instant::now() > until {
                return Err(io::Error::other("the copy did not write its data within 10 s"));
            }
            sleep(Duration::from_millis(20)).await;
        }
        drop(redis);
        scratch.die_and_come_back().await?;
        let mut redis = scratch.connect().await?;
        let kept = redis.ask(&["GET", "drill"]).await.map_err(wrong)?;
        Ok(kept.text() == Some("canary"))
    };
    Some(drill.await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture::redis_is_here, probe::Outcome};

    #[tokio::test]
    async fn a_real_server_is_judged_by_its_settings_and_a_copy_is_killed() {
        if !redis_is_here() {
            return;
        }
        for (log, save, holds) in [("yes", "", true), ("no", "3600 1", true), ("no", "", false)] {
            let real = fixture::real_store(&[("appendonly", log), ("save", save)]).await.unwrap();
            let seen = look(&real.subject).await;
            assert_eq!(seen.outcome == Outcome::Holds, holds, "{log} {save}: {seen:?}");
            assert_eq!(seen.observed.contains("was there again"), holds, "{seen:?}");
        }
    }

    #[tokio::test]
    async fn the_drill_can_fail() {
        if redis_is_here() {
            assert!(kill(true, "").await.unwrap().unwrap(), "a log brings it back");
            // Without a log and without the snapshot there is nothing to come back with.
            let mut scratch = Scratch::start(&[("appendonly", "no"), ("save", "")]).await.unwrap().unwrap();
            scratch.connect().await.unwrap().ask(&["SET", "drill", "canary"]).await.unwrap();
            scratch.die_and_come_back().await.unwrap();
            let kept = scratch.connect().await.unwrap().ask(&["GET", "drill"]).await.unwrap();
            assert_eq!(kept, crate::redis::Reply::Nothing);
        }
    }

    #[tokio::test]
    async fn a_write_that_failed_and_settings_that_are_hidden_are_seen() {
        let failing =
            fixture::store(&[("aof_enabled", "1"), ("aof_last_write_status", "err")], &[("save", "")]).unwrap();
        assert!(matches!(look(&failing.subject).await.outcome, Outcome::Broken(why) if why.contains("went wrong")));
        let managed = fixture::store(&[("aof_enabled", "0")], &[]).unwrap();
        assert!(matches!(look(&managed.subject).await.outcome, Outcome::Unclear(why) if why.contains("console")));
    }
}
