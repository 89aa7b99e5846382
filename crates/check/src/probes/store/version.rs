//! `cache.store-version`: the store is of a line that still gets fixes, and has the last severe ones.

use std::{collections::BTreeMap, io, sync::LazyLock};

use seaworthy_evidence::{ProbeKind, SafetyClass};
use seaworthy_repository::calendar::{days, today};
use serde::Deserialize;

use super::{Reached, Store, by_files, capital, reach};
use crate::{
    fixture,
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct StoreVersion;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    server: Vec<Server>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    name: String,
    /// From the oldest to the newest.
    lines: Vec<String>,
    /// Last day of support, by line.
    #[serde(default)]
    ends: BTreeMap<String, String>,
    /// What the last severe hole is closed by, by line.
    #[serde(default)]
    fixed: BTreeMap<String, Fixed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixed {
    patch: u64,
    hole: String,
}

#[expect(clippy::expect_used, reason = "a constant text, read in every test")]
static KNOWN: LazyLock<Known> =
    LazyLock::new(|| toml::from_str(include_str!("versions.toml")).expect("what is known of versions is valid"));

/// What is to be said of a version.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Supported(String),
    Wrong(String),
    Unknown(String),
}

impl Probe for StoreVersion {
    fn about(&self) -> About {
        About { control: "cache.store-version".into(), kind: ProbeKind::Live, class: SafetyClass::Passive }
    }

    fn needs_target(&self) -> bool {
        false
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { fixture::store(&[("valkey_version", "9.0.9"), ("redis_version", "7.2.4")], &[]) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: it was set up once, and left as it was.
        Box::pin(async { fixture::store(&[("redis_version", "6.0.16")], &[]) })
    }
}

async fn look(subject: &Subject) -> Sighting {
    let store = match reach(subject).await {
        Ok(Reached::Live(store)) => store,
        Ok(Reached::Declared(stores, why)) => {
            return by_files(&stores, &why, |store| match of_image(store.image.as_deref().unwrap_or_default())? {
                Said::Wrong(what) => Some(format!("is {what}")),
                Said::Supported(_) | Said::Unknown(_) => None,
            });
        }
        Err(sighting) => return sighting,
    };
    let mut cases = Cases::plan(1);
    let Some((name, version)) = store.info.version() else {
        return cases.gave_up("the store does not tell its version");
    };
    match of(name, version) {
        Said::Supported(what) => {
            cases.tried(true, what.clone());
            cases.sighting(what)
        }
        Said::Unknown(why) => cases.gave_up(why),
        // Distributions keep the number of a version and mend it themselves.
        Said::Wrong(what) if packaged(&store) => cases.gave_up(format!(
            "{what}; but it is started from {}, as packages of distributions are, which may bring fixes of their own: see \
             the distribution's security tracker",
            store.info.of("executable").unwrap_or_default()
        )),
        Said::Wrong(what) => {
            cases.tried(false, what);
            cases.sighting("")
        }
    }
}

fn packaged(store: &Store) -> bool {
    store
        .info
        .of("executable")
        .is_some_and(|program| program.starts_with("/usr/bin/") || program.starts_with("/usr/sbin/"))
}

/// The version that an image's tag names, as far as it does: `redis:7` may be any of the line.
fn of_image(image: &str) -> Option<Said> {
    let image = image.split('@').next()?;
    let (name, tag) = image.rsplit_once(':')?;
    let name = if name.contains("valkey") { "valkey" } else { "redis" };
    let version = tag.split('-').next()?;
    let parts: Vec<&str> = version.split('.').collect();
    // With two parts the tag moves on with every patch: only the end of the line counts.
    match parts.len() {
        3 => Some(of(name, version)),
        2 => Some(of(name, &format!("{version}.{}", u64::MAX))),
        _ => None,
    }
}

fn of(name: &str, version: &str) -> Said {
    let shown = format!("{} {}", capital(name), version.trim_end_matches(&format!(".{}", u64::MAX)));
    let Some(server) = KNOWN.server.iter().find(|server| server.name == name) else {
        return Said::Unknown(format!("{shown}: nothing is known of which of its versions are supported"));
    };
    let numbers: Vec<u64> = version.split('.').map_while(|part| part.parse().ok()).collect();
    let [major, minor, patch] = numbers[..] else {
        return Said::Unknown(format!("{shown} is no version of three numbers"));
    };
    let line = format!("{major}.{minor}");
    let place = |line: &str| -> Option<(u64, u64)> {
        let (major, minor) = line.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    if !server.lines.contains(&line) {
        let older = server.lines.first().and_then(|first| place(first)).is_some_and(|first| (major, minor) < first);
        return match older {
            true => Said::Wrong(format!("{shown}, of a line without support")),
            false => Said::Unknown(format!("{shown}: this release knows nothing of the line {line}")),
        };
    }
    if let Some(end) = server.ends.get(&line)
        && days(end).is_some_and(|end| today() > end)
    {
        return Said::Wrong(format!("{shown}: support of {line} ended on {end}"));
    }
    match server.fixed.get(&line) {
        Some(fixed) if patch < fixed.patch => {
            Said::Wrong(format!("{shown}: {} is closed in {line}.{} and not before", fixed.hole, fixed.patch))
        }
        _ => Said::Supported(format!(
            "{shown} is of a line that is supported, with the last severe fixes that are known"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    #[test]
    fn versions_are_told_apart() {
        for (name, version, wrong) in [
            ("redis", "3.0.504", Some("without support")),
            ("redis", "6.0.16", Some("ended on 2022-05-31")),
            ("redis", "7.2.13", Some("CVE-2026-23479")),
            ("redis", "7.2.14", None),
            ("valkey", "8.1.3", Some("CVE-2025-49844")),
            ("valkey", "8.1.6", None),
        ] {
            match (of(name, version), wrong) {
                (Said::Wrong(what), Some(word)) => assert!(what.contains(word), "{what}"),
                (Said::Supported(_), None) => {}
                (said, _) => panic!("{name} {version}: {said:?}"),
            }
        }
        for (name, version) in [("redis", "99.1.0"), ("redis", "7.2"), ("dragonfly", "1.2.3"), ("redis", "7.1.0")] {
            assert!(matches!(of(name, version), Said::Unknown(_)), "{name} {version}");
        }
        assert!(KNOWN.server.iter().all(|server| server.ends.values().all(|day| days(day).is_some())));
    }

    #[test]
    fn a_tag_counts_as_far_as_it_says_something() {
        assert!(matches!(of_image("redis:6.0-alpine"), Some(Said::Wrong(_))));
        assert!(matches!(of_image("redis:7.2.4"), Some(Said::Wrong(_))));
        assert!(matches!(of_image("redis:7.2"), Some(Said::Supported(_))));
        assert!(matches!(of_image("valkey/valkey:8.1.6-alpine"), Some(Said::Supported(_))));
        for image in ["redis", "redis:7", "redis:latest", "localhost:5000/redis"] {
            assert_eq!(of_image(image), None, "{image}");
        }
    }

    #[tokio::test]
    async fn a_package_of_a_distribution_is_not_judged_by_its_number() {
        let old = fixture::store(&[("redis_version", "7.0.15"), ("executable", "/usr/bin/redis-server")], &[]).unwrap();
        let seen = look(&old.subject).await;
        assert!(matches!(&seen.outcome, Outcome::Unclear(why) if why.contains("distribution")), "{seen:?}");
    }
}
