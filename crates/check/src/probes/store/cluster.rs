//! `cache.cluster`: when one node of the store dies, another takes over.
//!
//! What is needed for that is looked at on the live store: replicas that are up to date, and somebody who makes one of them
//! the primary, by that somebody's own word (`SENTINEL CKQUORUM`, `CLUSTER INFO`). Nothing is failed over.

use std::{collections::BTreeSet, io};

use seaworthy_evidence::{ProbeKind, SafetyClass};

use super::{Reached, Store, by_files, reach};
use crate::{
    fixture,
    probe::{About, Cases, Probe, Sighting, Working},
    redis::{Address, Redis, RedisError, Reply},
    subject::{Fixture, Subject},
    tls::Trust,
};

pub(super) struct Cluster;

const SENTINEL_PORT: u16 = 26379;
/// With fewer primaries than this, those that are left are no majority, and nobody is elected.
const PRIMARIES: usize = 3;

impl Probe for Cluster {
    fn about(&self) -> About {
        About { control: "cache.cluster".into(), kind: ProbeKind::Live, class: SafetyClass::Passive }
    }

    fn needs_target(&self) -> bool {
        false
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        let nodes = "a 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-5460\n\
                     b 10.0.0.2:6379@16379 master - 0 0 2 connected 5461-10922\n\
                     c 10.0.0.3:6379@16379 master - 0 0 3 connected 10923-16383\n\
                     d 10.0.0.4:6379@16379 slave a 0 0 1 connected\n\
                     e 10.0.0.5:6379@16379 slave b 0 0 2 connected\n\
                     f 10.0.0.6:6379@16379 slave c 0 0 3 connected\n";
        Box::pin(async move {
            let replies =
                [("CLUSTER INFO", "cluster_state:ok\r\ncluster_slots_ok:16384\r\n"), ("CLUSTER NODES", nodes)];
            fixture::answering_store(&[("role", "master"), ("cluster_enabled", "1")], &[("save", "")], &replies)
        })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: one node, on the machine of the app.
        Box::pin(async { fixture::store(&[("role", "master"), ("connected_slaves", "0")], &[("maxmemory", "0")]) })
    }
}

async fn look(subject: &Subject) -> Sighting {
    match reach(subject).await {
        Ok(Reached::Live(mut store)) => {
            live(&mut store, subject).await.unwrap_or_else(|why| Cases::plan(1).gave_up(why.to_string()))
        }
        Ok(Reached::Declared(stores, why)) => {
            let nodes = stores.services.len();
            by_files(&stores, &why, |store| {
                let replica = ["replicaof", "slaveof"].iter().any(|name| store.settings.contains_key(*name));
                (nodes == 1 && !replica && !store.more_unseen).then(|| "is the only node".into())
            })
        }
        Err(sighting) => sighting,
    }
}

async fn live(store: &mut Store, subject: &Subject) -> Result<Sighting, RedisError> {
    let title = store.title();
    if store.info.of("redis_mode") == Some("sentinel") {
        return Ok(by_sentinel(&mut store.redis, &title)
            .await?
            .sighting(format!("{title}: its Sentinels have a quorum")));
    }
    if store.info.of("cluster_enabled") == Some("1") {
        return by_cluster(store, &title).await;
    }
    if store.info.of("role") == Some("slave") {
        let why = "the address leads to a replica: name the primary's in [check] redis";
        return Ok(Cases::plan(1).gave_up(format!("{title}: {why}")));
    }
    let mut cases = Cases::plan(1);
    let replicas: Vec<&str> = store.info.beginning("slave").map(|(_, line)| line).collect();
    let online = replicas.iter().filter(|line| line.contains("state=online")).count();
    if replicas.is_empty() {
        // A managed store may keep its replicas to itself, and its settings too.
        if store.redis.setting("maxmemory").await?.is_none() {
            let why = "it shows no replica and keeps its settings to itself, as managed stores do: whether it fails over is \
                       in its console";
            return Ok(cases.gave_up(format!("{title}: {why}")));
        }
        cases.tried(false, format!("{title} is one lone node: it has no replica"));
        return Ok(cases.sighting(""));
    }
    cases.tried(online > 0, format!("{title}: {online} of {} replicas are online", replicas.len()));
    if cases.is_broken() {
        return Ok(cases.sighting(""));
    }
    match sentinels(store, subject).await? {
        Watchers::None => {
            cases.told_nothing(format!(
                "{title} has {online} replicas, and no Sentinel is connected to it: who makes one of them the primary was \
                 not seen"
            ));
        }
        Watchers::OutOfReach(hosts) => cases.told_nothing(format!(
            "{title} is watched by Sentinels ({hosts}) that could not be asked on port {SENTINEL_PORT}: name one in [check] \
             redis"
        )),
        Watchers::Asked(mut sentinel) => {
            let asked = by_sentinel(&mut sentinel, &title).await?.sighting("its Sentinels have a quorum");
            let Sighting { outcome: crate::probe::Outcome::Holds, .. } = asked else { return Ok(asked) };
            cases.plan_more(1);
            cases.tried(true, "its Sentinels have a quorum");
        }
    }
    Ok(cases.sighting(format!(
        "{title}: {online} replicas are online and its Sentinels say that they can fail over; none was failed over"
    )))
}

/// Who watches a primary.
enum Watchers {
    None,
    OutOfReach(String),
    Asked(Redis),
}

/// Sentinels name their connections: `sentinel-1a2b3c4d-cmd`.
async fn sentinels(store: &mut Store, subject: &Subject) -> Result<Watchers, RedisError> {
    let list = match store.redis.ask(&["CLIENT", "LIST"]).await {
        Ok(list) => list,
        Err(RedisError::Refused(_)) => return Ok(Watchers::None),
        Err(error) => return Err(error),
    };
    let of = |line: &str, name: &str| line.split(' ').find_map(|part| part.strip_prefix(name).map(str::to_owned));
    let lines = list.text().unwrap_or_default().lines();
    let hosts: BTreeSet<String> = lines
        .filter(|line| of(line, "name=").is_some_and(|name| name.starts_with("sentinel-")))
        .filter_map(|line| Some(of(line, "addr=")?.rsplit_once(':')?.0.to_owned()))
        .collect();
    if hosts.is_empty() {
        return Ok(Watchers::None);
    }
    for host in &hosts {
        let there = store.address.at(host, SENTINEL_PORT);
        if let Some(sentinel) = sentinel_at(&there, &subject.trust).await {
            return Ok(Watchers::Asked(sentinel));
        }
    }
    Ok(Watchers::OutOfReach(hosts.into_iter().collect::<Vec<_>>().join(", ")))
}

/// A Sentinel has a login of its own, or none.
async fn sentinel_at(address: &Address, trust: &Trust) -> Option<Redis> {
    for login in [None, address.login.clone()] {
        let Ok(mut sentinel) = Redis::connect(&Address { login, ..address.clone() }, trust).await else { continue };
        if sentinel.ask(&["SENTINEL", "MASTERS"]).await.is_ok() {
            return Some(sentinel);
        }
    }
    None
}

/// Each primary that a Sentinel watches: whether it has replicas, and whether the Sentinels could agree.
async fn by_sentinel(sentinel: &mut Redis, title: &str) -> Result<Cases, RedisError> {
    let watched = sentinel.ask(&["SENTINEL", "MASTERS"]).await?;
    let mut cases = Cases::plan(watched.list().len());
    for primary in watched.list() {
        let fields: Vec<&str> = primary.list().iter().filter_map(Reply::text).collect();
        let field = |name: &str| fields.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1]);
        let name = field("name").unwrap_or_default().to_owned();
        let others = field("num-other-sentinels").and_then(|count| count.parse::<u32>().ok()).unwrap_or(0);
        // One that is down is listed too: its flags say more than `slave`.
        let listed = sentinel.ask(&["SENTINEL", "SLAVES", &name]).await?;
        let texts = |one: &Reply| one.list().iter().filter_map(Reply::text).map(str::to_owned).collect::<Vec<_>>();
        let up = |one: &&Reply| texts(one).chunks_exact(2).any(|pair| pair[0] == "flags" && pair[1] == "slave");
        let replicas = listed.list().iter().filter(up).count();
        let seen = format!("{title}: {name} has {replicas} replicas that are up, watched by {} Sentinels", others + 1);
        if replicas == 0 || others < 2 {
            let want = if replicas == 0 {
                "nobody could take over"
            } else {
                "three are needed for a majority that outlives one"
            };
            cases.tried(false, format!("{seen}: {want}"));
            continue;
        }
        match sentinel.ask(&["SENTINEL", "CKQUORUM", &name]).await {
            Ok(_) => cases.tried(true, seen),
            Err(RedisError::Refused(why)) => cases.tried(false, format!("{seen}: {why}")),
            Err(error) => return Err(error),
        }
    }
    Ok(cases)
}

async fn by_cluster(store: &mut Store, title: &str) -> Result<Sighting, RedisError> {
    let info = store.redis.ask(&["CLUSTER", "INFO"]).await?;
    let nodes = store.redis.ask(&["CLUSTER", "NODES"]).await?;
    let state = info.text().and_then(|text| text.lines().find_map(|line| line.strip_prefix("cluster_state:")));
    let state = state.map_or("not told", str::trim);
    let mut cases = Cases::plan(3);
    cases.tried(state == "ok", format!("{title}: the state of the cluster is {state}"));
    let lines = nodes.text().unwrap_or_default().lines().map(|line| line.split(' ').collect::<Vec<&str>>());
    let lines: Vec<Vec<&str>> = lines.filter(|line| line.len() >= 8).collect();
    let well = |line: &&Vec<&str>| !line[2].contains("fail") && (line[7] == "connected" || line[2].contains("myself"));
    // Those with slots; an id, an address, flags, the primary's id, and five more before them.
    let is_primary = |line: &&Vec<&str>| line[2].contains("master") && line.len() > 8;
    let primaries: Vec<&Vec<&str>> = lines.iter().filter(is_primary).filter(well).collect();
    let follows = |line: &&Vec<&str>, primary: &str| line[2].contains("slave") && line[3] == primary;
    let lonely = primaries.iter().filter(|one| !lines.iter().filter(well).any(|line| follows(&line, one[0])));
    let lonely: Vec<&str> = lonely.map(|one| one[1]).collect();
    // A managed store fails over by other means than its nodes' votes.
    let managed = store.redis.setting("maxmemory").await?.is_none();
    let count = primaries.len();
    let few = format!("{title}: {count} primaries; of fewer than {PRIMARIES} a majority does not outlive one");
    let alone = format!("{title}: {} of {count} primaries have no replica: {}", lonely.len(), lonely.join(", "));
    for (holds, seen) in [(count >= PRIMARIES, few), (lonely.is_empty(), alone)] {
        match holds || !managed {
            true => cases.tried(holds, seen),
            false => cases.told_nothing(format!("{seen}; it is managed, and its console tells how it fails over")),
        }
    }
    Ok(cases
        .sighting(format!("{title}: {count} primaries, each with a replica that is connected; none was failed over")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture::redis_is_here, probe::Outcome, redis::Scratch};

    #[tokio::test]
    async fn replicas_alone_do_not_fail_over() {
        let facts = [
            ("role", "master"),
            ("connected_slaves", "1"),
            ("slave0", "ip=10.0.0.2,port=6379,state=online,offset=1,lag=0"),
        ];
        let clients = |name: &str| format!("id=3 addr=127.0.0.1:50001 laddr=10.0.0.1:6379 fd=8 name={name} age=9\n");
        for (name, word) in [("worker", "no Sentinel"), ("sentinel-1a2b-cmd", "name one")] {
            let replies = [("CLIENT LIST", clients(name))];
            let replies: Vec<(&str, &str)> = replies.iter().map(|(name, text)| (*name, text.as_str())).collect();
            let store = fixture::answering_store(&facts, &[("save", "")], &replies).unwrap();
            let seen = look(&store.subject).await;
            assert!(matches!(&seen.outcome, Outcome::Unclear(why) if why.contains(word)), "{seen:?}");
        }
        let gone =
            [("role", "master"), ("connected_slaves", "1"), ("slave0", "ip=10.0.0.2,port=6379,state=wait_bgsave")];
        let seen = look(&fixture::store(&gone, &[("save", "")]).unwrap().subject).await;
        assert!(matches!(seen.outcome, Outcome::Broken(why) if why.contains("0 of 1")));
    }

    #[tokio::test]
    async fn a_managed_store_is_not_called_lonely_and_a_real_lone_one_is() {
        let managed = fixture::store(&[("role", "master"), ("connected_slaves", "0")], &[]).unwrap();
        assert!(matches!(look(&managed.subject).await.outcome, Outcome::Unclear(why) if why.contains("console")));
        if redis_is_here() {
            let real = fixture::real_store(&[("save", "")]).await.unwrap();
            assert!(matches!(look(&real.subject).await.outcome, Outcome::Broken(why) if why.contains("lone node")));
        }
    }

    #[tokio::test]
    async fn a_real_cluster_without_its_slots_is_broken() {
        if !redis_is_here() {
            return;
        }
        let scratch = Scratch::start(&[("cluster-enabled", "yes"), ("save", "")]).await.unwrap().unwrap();
        let mut subject = Subject::default();
        subject.stores.redis = Some(fixture::named_store(&format!("unix://{}", scratch.address())));
        let seen = look(&subject).await;
        assert!(matches!(&seen.outcome, Outcome::Broken(why) if why.contains("is fail")), "{seen:?}");
    }
}
