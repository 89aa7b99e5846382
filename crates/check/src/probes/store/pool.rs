//! `cache.store-pool`: the app shares connections to its store, and does not open one for each request.
//!
//! The server counts them: requests that use the store are sent twice as many times, and the second time no new
//! connections may come of it. What other clients of the store open meanwhile is measured first, and taken off.

use std::{io, sync::Arc, time::Duration};

use seaworthy_evidence::{ProbeKind, SafetyClass};
use tokio::{sync::Mutex, time::sleep};

use super::{Reached, Store, reach};
use crate::{
    fixture::{self, ServerOptions, reply},
    http::Client,
    load::Load,
    probe::{About, Cases, Probe, Sighting, Working},
    redis::{Address, Redis, RedisError},
    subject::{Fixture, Subject},
};

pub(super) struct StorePool;

/// So many paths are asked whether they use the store.
const PATHS: usize = 12;
const LANES: usize = 6;
const REQUESTS: usize = 60;
const IDLE: Duration = Duration::from_millis(600);

/// What a server has counted.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    opened: u64,
    commands: u64,
    open: u64,
}

impl Probe for StorePool {
    fn about(&self) -> About {
        About { control: "cache.store-pool".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn alone(&self) -> bool {
        true
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { app_with_store(true) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: the client is made where it is used.
        Box::pin(async { app_with_store(false) })
    }
}

/// An app that asks a store for each answer; `shares`: over one connection.
fn app_with_store(shares: bool) -> io::Result<Fixture> {
    let store = fixture::store(&[("redis_version", "8.6.3"), ("maxclients", "10000")], &[])?;
    let url = store.subject.stores.redis.as_ref().and_then(|named| named.url.clone().ok());
    let address = url.and_then(|url| Address::read(url.expose())).ok_or(io::ErrorKind::NotFound)?;
    let shared: Arc<Mutex<Option<Redis>>> = Arc::default();
    let answering: fixture::Answering = Arc::new(move |_| {
        let (address, shared) = (address.clone(), shared.clone());
        Box::pin(async move {
            let asked = async {
                let mut kept = shared.lock().await;
                let mut redis = match kept.take() {
                    Some(redis) => redis,
                    None => Redis::connect(&address, &Default::default()).await?,
                };
                let answer = redis.ask(&["PING"]).await;
                *kept = shares.then_some(redis);
                answer
            };
            let status = if asked.await.is_ok() { 200 } else { 500 };
            reply(status, &[], "x")
        })
    });
    let server = fixture::Server::start(answering, ServerOptions::default())?;
    let mut fixture = store;
    fixture.subject.url = Some(server.address.clone());
    Ok(fixture.keep(server))
}

async fn look(subject: &Subject) -> Sighting {
    if subject.url.is_none() {
        return Sighting::not_tried("name the app's address with --url");
    }
    match reach(subject).await {
        Ok(Reached::Live(mut store)) => {
            live(&mut store, subject).await.unwrap_or_else(|why| Cases::plan(1).gave_up(why.to_string()))
        }
        Ok(Reached::Declared(_, why)) => Cases::plan(1).gave_up(why),
        Err(sighting) => sighting,
    }
}

async fn live(store: &mut Store, subject: &Subject) -> Result<Sighting, RedisError> {
    let Some(client) = subject.client() else { return Ok(Sighting::not_tried("name the app's address with --url")) };
    let mut cases = Cases::plan(2);
    let title = store.title();
    let before = counts(store).await?;
    sleep(IDLE).await;
    let idle = since(before, counts(store).await?);
    if idle.opened > 3 {
        let why =
            format!("{title}: other clients open {} connections in {IDLE:?}: too many to tell the app's", idle.opened);
        return Ok(cases.gave_up(why));
    }
    let sample = subject.sample(PATHS).await;
    let using = path_that_uses(store, &client, sample.paths().chain(["/"]), idle).await?;
    let Some(path) = using else {
        let why = format!("no path that was asked uses the store ({sample}): name one that does in [check] paths");
        return Ok(cases.gave_up(why));
    };
    // What a pool opens, it opens in the first round.
    let first = round(store, &client, &path).await?;
    let second = round(store, &client, &path).await?;
    let (first, second) = match (first, second) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(why), _) | (_, Err(why)) => return Ok(cases.gave_up(why)),
    };
    let seen = format!(
        "{title}: {REQUESTS} requests of GET {path} over {LANES} connections opened {} connections to it, the next {REQUESTS} \
         {}; {} are open",
        first.opened, second.opened, second.open
    );
    let uses = second.commands as usize >= REQUESTS / 2;
    match second.opened as usize {
        _ if !uses => cases.told_nothing(format!(
            "{seen}; but they asked it {} times alone: their answers are kept elsewhere",
            second.commands
        )),
        opened if opened <= REQUESTS / 10 => cases.tried(true, seen.clone()),
        opened if opened >= REQUESTS / 2 => cases.tried(false, format!("{seen}: about one for each request")),
        _ => cases.told_nothing(format!("{seen}: neither none nor one for each request; others may use the store")),
    }
    let limit = match store.info.number("maxclients") {
        Some(limit) => Some(limit),
        None => store.redis.setting("maxclients").await?.and_then(|limit| limit.parse().ok()),
    };
    match limit {
        Some(limit) => cases
            .tried(second.open * 10 <= limit * 8, format!("{title}: {} of {limit} connections are open", second.open)),
        // Without a word of it there is the other case.
        None => cases
            .tried(true, format!("{title}: {} connections are open, of a limit that it does not tell", second.open)),
    }
    Ok(cases.sighting(seen))
}

/// The first of these paths whose answer makes the app ask the store.
async fn path_that_uses<'p>(
    store: &mut Store,
    client: &Client,
    paths: impl Iterator<Item = &'p str>,
    idle: Counts,
) -> Result<Option<String>, RedisError> {
    for path in paths {
        let before = counts(store).await?;
        let answered = client.get(path).await.is_ok_and(|answer| answer.status.is_success());
        if answered && since(before, counts(store).await?).commands > idle.commands {
            return Ok(Some(path.to_owned()));
        }
    }
    Ok(None)
}

/// What a load made the server count, or why it tells nothing.
async fn round(store: &mut Store, client: &Client, path: &str) -> Result<Result<Counts, String>, RedisError> {
    let before = counts(store).await?;
    let tally = Load::begin(client, path, LANES, REQUESTS).whole(Duration::from_secs(20)).await;
    let after = counts(store).await?;
    if let Some(why) = tally.drowned() {
        return Ok(Err(why));
    }
    if tally.answered() < REQUESTS * 9 / 10 {
        return Ok(Err(format!("{} of {REQUESTS} requests of GET {path} were answered", tally.answered())));
    }
    Ok(Ok(since(before, after)))
}

async fn counts(store: &mut Store) -> Result<Counts, RedisError> {
    let info = store.redis.info().await?;
    store.info = info;
    let number = |name: &str| store.info.number(name).unwrap_or(0);
    Ok(Counts {
        opened: number("total_connections_received"),
        commands: number("total_commands_processed"),
        open: number("connected_clients"),
    })
}

/// The difference; the one question that was asked in between is ours.
fn since(before: Counts, after: Counts) -> Counts {
    Counts {
        opened: after.opened.saturating_sub(before.opened),
        commands: after.commands.saturating_sub(before.commands).saturating_sub(1),
        open: after.open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    #[tokio::test]
    async fn an_app_that_does_not_use_the_store_tells_nothing() {
        let mut store = fixture::store(&[("redis_version", "8.6.3")], &[]).unwrap();
        let app = fixture::public(|_| reply(200, &[], "x")).unwrap();
        store.subject.url = app.subject.url.clone();
        let seen = look(&store.subject).await;
        assert!(matches!(&seen.outcome, Outcome::Unclear(why) if why.contains("[check] paths")), "{seen:?}");
    }
}
