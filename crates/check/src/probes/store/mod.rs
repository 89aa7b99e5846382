//! Probes of the app's cache store: Redis, Valkey and what speaks like them. One file a control.
//!
//! The running store counts. Where it cannot be reached, what the repository's compose files say of it can show that a
//! control is broken, and never that it holds.

mod cluster;
mod limits;
mod persistence;
mod pool;
mod version;

use seaworthy_databases::{CacheStore, CacheStores, cache_stores};
use seaworthy_repository::environment::{Purpose, settings};

use super::reading::opening;
use crate::{
    probe::{Cases, Probe, Sighting},
    redis::{self, Address, Info, Redis, RedisError},
    subject::Subject,
};

/// Those that look, and those that need the app under load.
pub(super) fn all() -> Vec<Box<dyn Probe>> {
    vec![
        Box::new(version::StoreVersion),
        Box::new(limits::StoreLimits),
        Box::new(persistence::StorePersistence),
        Box::new(cluster::Cluster),
        Box::new(pool::StorePool),
    ]
}

/// What to do where no store is known.
const NAME_IT: &str = "name the app's cache store: [check] redis = \"env:REDIS_URL\"";

/// A store that answers.
struct Store {
    redis: Redis,
    info: Info,
    address: Address,
    /// Libraries of the app that keep jobs in Redis.
    queues: Vec<&'static str>,
}

/// What of the store can be looked at.
enum Reached {
    /// It answers.
    Live(Box<Store>),
    /// Only the repository shows it; why it was not reached.
    Declared(CacheStores, String),
}

/// Finds the app's store and asks it what it is; the sighting says why that was not possible.
async fn reach(subject: &Subject) -> Result<Reached, Sighting> {
    let declared = declared(subject).await?;
    let named = match &subject.stores.redis {
        Some(named) => {
            let url = named.url.as_ref().map_err(|why| Sighting::not_tried(format!("{}: {why}", named.by)))?;
            let address = Address::read(url.expose())
                .ok_or_else(|| Sighting::not_tried(format!("{} is no address of a Redis: {NAME_IT}", named.by)))?;
            Some((named.by.clone(), address))
        }
        None => None,
    };
    let known = named.or_else(|| declared.address.clone());
    let Some((by, address)) = known else {
        return match declared.stores {
            Some(stores) if !stores.services.is_empty() => Ok(Reached::Declared(stores, NAME_IT.to_owned())),
            _ => Err(Sighting::not_tried(NAME_IT)),
        };
    };
    subject.transcript.note(format!("the store: {address}, from {by}"));
    let queues = declared.stores.as_ref().map(|stores| stores.queues.clone()).unwrap_or_default();
    let asked = async {
        let mut redis = Redis::connect(&address, &subject.trust).await?;
        let info = redis.info().await?;
        Ok::<_, RedisError>((redis, info))
    };
    match asked.await {
        Ok((redis, info)) => Ok(Reached::Live(Box::new(Store { redis, info, address, queues }))),
        Err(why) => {
            let why = format!("the store of {by} cannot be looked at: {why}");
            match declared.stores {
                Some(stores) if !stores.services.is_empty() => Ok(Reached::Declared(stores, why)),
                _ => Err(Cases::plan(1).gave_up(why)),
            }
        }
    }
}

/// What the repository shows.
#[derive(Default)]
struct Declared {
    stores: Option<CacheStores>,
    /// An address in its variables. It is asked only where the target is on this machine: else it would be a developer's
    /// store that is judged in place of the live one.
    address: Option<(String, Address)>,
}

async fn declared(subject: &Subject) -> Result<Declared, Sighting> {
    let Some(open) = opening(subject) else { return Ok(Declared::default()) };
    let local = subject.url.as_ref().and_then(|url| url.host()).is_some_and(redis::is_loopback);
    let read = tokio::task::spawn_blocking(move || {
        let repository = open().ok()?;
        let mut address = None;
        if local {
            let own = settings(&repository);
            let own =
                own.into_iter().filter(|one| one.purpose != Purpose::Development && redis::is_address(&one.value));
            let mut own = own.filter(|one| !one.value.contains('$'));
            address = own.find_map(|one| Some((format!("{} ({})", one.name, one.place), Address::read(&one.value)?)));
        }
        Some(Declared { stores: Some(cache_stores(&repository)), address })
    });
    Ok(read.await.ok().flatten().unwrap_or_default())
}

/// What compose files say, where the running store was not reached: each must be judged `Some(broken)` to count, and only
/// a file for production is sure.
fn by_files(stores: &CacheStores, why: &str, wrong: impl Fn(&CacheStore) -> Option<String>) -> Sighting {
    let mut cases = Cases::plan(stores.services.len());
    for store in &stores.services {
        let place = format!("{}: {}", store.place, store.name);
        match wrong(store) {
            Some(what) if store.production && !store.more_unseen => cases.tried(false, format!("{place} {what}")),
            Some(what) => cases.told_nothing(format!("{place} {what}, as far as the file says; {why}")),
            None => cases
                .told_nothing(format!("nothing is wrong with {place} in its file; how it runs was not seen: {why}")),
        }
    }
    cases.sighting("")
}

impl Store {
    /// What it is called in a sentence.
    fn title(&self) -> String {
        match self.info.version() {
            Some((name, version)) => format!("{} {version}", capital(name)),
            None => "the store".to_owned(),
        }
    }

    /// A setting: from what it says of itself (`INFO`), else from its settings.
    async fn setting(&mut self, in_info: &str, name: &str) -> Result<Option<String>, Sighting> {
        match self.info.of(in_info) {
            Some(value) => Ok(Some(value.to_owned())),
            None => self.configured(name).await,
        }
    }

    /// A setting that only `CONFIG GET` tells.
    async fn configured(&mut self, name: &str) -> Result<Option<String>, Sighting> {
        self.redis.setting(name).await.map_err(|why| Cases::plan(1).gave_up(why.to_string()))
    }
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
