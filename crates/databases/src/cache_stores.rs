//! Stores of Redis' kind that compose files start, with the settings they are given there: what a probe can say of them
//! where the running one is out of its reach.

use std::collections::BTreeMap;

use seaworthy_containers::{Purpose, Runs, Service};
use seaworthy_repository::Repository;

use super::stores;

/// A store of a composition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheStore {
    /// File and line.
    pub place: String,
    /// The service.
    pub name: String,
    /// The composition is named for production.
    pub production: bool,
    /// Its image, with the tag.
    pub image: Option<String>,
    /// Settings by name, from its command and from a configuration file of the repository that is mounted.
    pub settings: BTreeMap<String, String>,
    /// It may have settings that are not seen: a configuration file from elsewhere, an entry point of its own.
    pub more_unseen: bool,
}

/// What of Redis a repository shows.
#[derive(Debug, Clone, Default)]
pub struct CacheStores {
    /// Services of compositions, those for development left out.
    pub services: Vec<CacheStore>,
    /// A driver or an address is there.
    pub used: bool,
    /// Libraries that keep their jobs in it: eviction would lose them.
    pub queues: Vec<&'static str>,
}

/// Libraries that keep jobs in Redis, by language.
const QUEUES: [(&str, &str); 9] = [
    ("javascript", "bullmq"),
    ("javascript", "bull"),
    ("javascript", "bee-queue"),
    ("python", "celery"),
    ("python", "rq"),
    ("python", "arq"),
    ("python", "dramatiq"),
    ("ruby", "sidekiq"),
    ("ruby", "resque"),
];

/// Finds them.
pub fn cache_stores(repository: &Repository) -> CacheStores {
    let runs = Runs::read(repository);
    let of_redis = stores::services(&runs).into_iter().filter(|(_, _, engine)| engine.name == "Redis");
    let services: Vec<CacheStore> =
        of_redis.map(|(purpose, service, _)| read(repository, &runs, purpose, service)).collect();
    let engines = seaworthy_containers::engines::Engines::built_in();
    let used = !services.is_empty()
        || engines.of_drivers(repository).any(|engine| engine.name == "Redis")
        || stores::addresses(repository, &runs).iter().any(|address| address.engine.name == "Redis");
    let queues = QUEUES.iter().filter(|(language, name)| repository.depends_on(language, &[name]));
    CacheStores { services, used, queues: queues.map(|(_, name)| *name).collect() }
}

fn read(repository: &Repository, runs: &Runs, purpose: Purpose, service: &Service) -> CacheStore {
    let mut settings = BTreeMap::new();
    let mut more_unseen = !service.value["entrypoint"].is_null() || service.build().is_some();
    for mount in service.mounts().iter().filter(|mount| mount.target.contains("conf")) {
        let file = mount.source.as_deref().filter(|_| mount.bind).map(|source| source.trim_start_matches("./"));
        match file.and_then(|file| repository.text(service.folder.join(file))) {
            Some(text) => text.lines().for_each(|line| set_line(&mut settings, line)),
            None => more_unseen = true,
        }
    }
    // What the command says comes last, and wins.
    let words = words(&service.value["command"]);
    more_unseen |= words.iter().any(|word| word.contains('$'));
    set_words(&mut settings, &words);
    CacheStore {
        place: service.place.clone(),
        name: service.name.clone(),
        production: purpose == Purpose::Production,
        image: stores::image(runs, service),
        settings,
        more_unseen,
    }
}

/// `maxmemory 64mb` of a configuration file.
fn set_line(settings: &mut BTreeMap<String, String>, line: &str) {
    let line = line.trim();
    if let Some((name, value)) = line.split_once(char::is_whitespace).filter(|_| !line.starts_with('#')) {
        add(settings, name, value.trim());
    }
}

/// `--maxmemory 64mb --save 60 1` of a command.
fn set_words(settings: &mut BTreeMap<String, String>, words: &[String]) {
    let mut name: Option<&str> = None;
    let mut given: Vec<&str> = Vec::new();
    for word in words.iter().map(String::as_str).chain(["--"]) {
        match word.strip_prefix("--") {
            Some(next) => {
                if let Some(name) = name {
                    add(settings, name, &given.join(" "));
                }
                (name, given) = (Some(next), Vec::new());
            }
            None => given.push(word),
        }
    }
}

fn add(settings: &mut BTreeMap<String, String>, name: &str, value: &str) {
    let value = value.trim_matches(['"', '\'']);
    let entry = settings.entry(name.to_lowercase()).or_default();
    // Each `save` adds a snapshot; everything else replaces what was said before.
    match name.eq_ignore_ascii_case("save") && !entry.is_empty() && !value.is_empty() {
        true => entry.push_str(&format!(" {value}")),
        false => value.clone_into(entry),
    }
}

/// The words of a command, a list or a line; quotes that hold several words are opened.
fn words(command: &serde_json::Value) -> Vec<String> {
    let texts: Vec<String> = match command {
        serde_json::Value::String(text) => vec![text.clone()],
        serde_json::Value::Array(list) => {
            list.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect()
        }
        _ => Vec::new(),
    };
    let words = texts.iter().flat_map(|text| match text.is_empty() {
        true => vec![String::new()],
        false => text.split_whitespace().map(|word| word.trim_matches(['"', '\'', ';']).to_owned()).collect(),
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Sample;

    use super::*;

    fn of(files: &[(&str, &str)]) -> CacheStores {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        cache_stores(&Repository::open(folder.path()).unwrap())
    }

    #[test]
    fn settings_come_from_commands_and_mounted_files() {
        let compose = "services:\n  cache:\n    image: redis:7.2\n    command: redis-server /etc/redis.conf --maxmemory 64mb --save 60 1 --save 300 10\n    volumes:\n      - ./redis.conf:/etc/redis.conf\n";
        let conf = "# maxmemory 1gb\nmaxmemory 1gb\nmaxmemory-policy allkeys-lru\nappendonly \"yes\"\n";
        let found = of(&[("docker-compose.prod.yml", compose), ("redis.conf", conf), ("requirements.txt", "celery\n")]);
        let [store] = &found.services[..] else { panic!("{found:?}") };
        assert!(store.production && !store.more_unseen && found.used, "{store:?}");
        let setting = |name: &str| store.settings.get(name).map(String::as_str);
        assert_eq!(setting("maxmemory"), Some("64mb"));
        assert_eq!(setting("maxmemory-policy"), Some("allkeys-lru"));
        assert_eq!(setting("appendonly"), Some("yes"));
        assert_eq!(setting("save"), Some("60 1 300 10"));
        assert_eq!((store.image.as_deref(), found.queues), (Some("redis:7.2"), vec!["celery"]));
    }

    #[test]
    fn what_may_be_set_elsewhere_says_so_and_nothing_is_no_store() {
        let compose = "services:\n  cache:\n    image: valkey/valkey:8\n    command: [\"valkey-server\", \"--save\", \"\", \"--maxmemory\", \"${MEMORY}\"]\n";
        let found = of(&[("compose.yml", compose)]);
        assert!(found.services[0].more_unseen && !found.services[0].production);
        assert_eq!(found.services[0].settings["save"], "");
        assert!(!of(&[("app.py", "x = 1\n")]).used);
    }
}
