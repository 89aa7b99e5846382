//! `data.encryption-transit`: the app's connections to its stores demand TLS.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::Regex;
use seaworthy_containers::{Runs, engines::Kind};
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting, is_for_development};

use super::stores::{self, Address, Of};

pub(super) struct EncryptionTransit;

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static DEMANDS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:[?&](?:sslmode|ssl-mode)=(?:require|verify-ca|verify-full|verify_identity|verify_ca|required)|[?&](?:tls|ssl)=true|[?&]ssl=require)").expect("the pattern is valid")
});
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static REFUSES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)[?&](?:sslmode=(?:disable|allow|prefer)|ssl=false|tls=false|useSSL=false)")
        .expect("the pattern is valid")
});
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static OFF_IN_CODE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"["']sslmode["']\s*:\s*["'](?:disable|allow|prefer)["']|\bsslmode\s*=\s*["']?disable\b"#)
        .expect("the pattern is valid")
});
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static ON_IN_CODE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"["']sslmode["']\s*:\s*["'](?:require|verify-ca|verify-full)["']|\bsslmode\s*=\s*["']?(?:require|verify-ca|verify-full)\b|\bPgSslMode::(?:Require|VerifyCa|VerifyFull)"#).expect("the pattern is valid")
});

impl Inspection for EncryptionTransit {
    fn control(&self) -> &'static str {
        "data.encryption-transit"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        production(
            "postgres://app:${DB_PASSWORD}@db.internal.example.com/app?sslmode=verify-full",
            "rediss://cache.internal.example.com:6380/0",
        )
    }

    fn absent(&self) -> Sample {
        production(
            "postgres://app:${DB_PASSWORD}@db.internal.example.com/app?sslmode=disable",
            "redis://cache.internal.example.com:6379/0",
        )
    }
}

fn production(database: &str, cache: &str) -> Sample {
    let compose = format!(
        "services:\n  web:\n    image: app:1\n    environment:\n      DATABASE_URL: {database}\n      REDIS_URL: {cache}\n"
    );
    Sample::of(&[
        ("docker-compose.prod.yml", &compose),
        ("requirements.txt", "psycopg\nredis\n"),
        ("app.py", "x = 1\n"),
    ])
}

/// What an address says of TLS.
enum Said {
    Demanded,
    Off(&'static str),
    Nothing,
}

fn look(repository: &Repository) -> Sighting {
    let runs = Runs::read(repository);
    let addresses: Vec<Address> =
        stores::addresses(repository, &runs).into_iter().filter(|one| one.engine.kind != Kind::File).collect();
    let signs = stores::signs(repository, &runs);
    if addresses.is_empty() && signs.is_empty() {
        return stores::without(repository);
    }
    let mut cases = Cases::plan(0);
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for address in addresses.iter().filter(|one| one.of != Of::Code) {
        cases.plan_more(1);
        *kinds.entry(&address.engine.name).or_default() += 1;
        let what = format!("{}: {}", address.place, address.engine.name);
        match (said(address), address.of) {
            (Said::Demanded, _) => cases.tried(true, format!("{what} demands TLS")),
            (Said::Off(why), Of::Production) => cases.tried(false, format!("{what} {why}")),
            (Said::Off(why), _) => cases.told_nothing(format!("{what} {why}, if this is production's configuration")),
            (Said::Nothing, _) => cases.told_nothing(format!("{what}: the address does not say that TLS is demanded")),
        }
    }
    for (path, source) in
        repository.sources().iter().filter(|(path, _)| !stores::is_beside_the_app(path) && !is_for_development(path))
    {
        if let Some(found) = OFF_IN_CODE.find(&source.code) {
            cases.plan_more(1);
            cases.told_nothing(format!(
                "{}:{} switches TLS off or makes it optional; whether production does is not seen",
                path.display(),
                source.line(found.start())
            ));
        } else if let Some(found) = ON_IN_CODE.find(&source.code) {
            cases.note(format!("{}:{} demands TLS in code", path.display(), source.line(found.start())));
        }
    }
    let seen: usize = kinds.values().sum();
    if seen == 0 {
        return cases.gave_up(
            "no address of a store is in the repository's production configuration: whether it demands TLS is not seen",
        );
    }
    // A store that only the environment names is a hop that was not looked at.
    let unseen: Vec<&String> = signs
        .iter()
        .filter(|sign| {
            ["PostgreSQL", "MySQL", "MariaDB", "MongoDB", "SQL Server"].contains(&sign.as_str())
                && !kinds.contains_key(sign.as_str())
        })
        .collect();
    if let Some(first) = unseen.first().filter(|_| !cases.is_broken()) {
        cases.told_nothing(format!("no address of {first} is in the repository"));
    }
    cases.sighting(format!("all {seen} addresses of stores in the production configuration demand TLS"))
}

fn said(address: &Address) -> Said {
    let scheme = address.text.split("://").next().unwrap_or_default();
    if DEMANDS.is_match(&address.text) || ["rediss", "amqps", "mongodb+srv"].contains(&scheme) {
        return Said::Demanded;
    }
    if REFUSES.is_match(&address.text) {
        return Said::Off("switches TLS off or makes it optional");
    }
    if ["redis", "valkey", "amqp"].contains(&scheme) {
        return Said::Off("is reached in plaintext, by its scheme");
    }
    Said::Nothing
}
