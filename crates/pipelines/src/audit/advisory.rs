//! One advisory: in the format of OSV, or of RustSec.

use std::cmp::Ordering;

use semver::VersionReq;
use serde::Deserialize;

use super::{
    super::lock_files::Ecosystem,
    severity,
    version::{self, compare},
};

/// A known flaw.
#[derive(Debug, Clone)]
pub(super) struct Advisory {
    pub(super) id: String,
    /// When it was last changed: year, month, day.
    pub(super) modified: String,
    pub(super) affected: Vec<Affected>,
    score: Score,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Score {
    Serious,
    Mild,
    Unrated,
}

/// A package, and which versions of it.
#[derive(Debug, Clone)]
pub(super) struct Affected {
    pub(super) ecosystem: Ecosystem,
    pub(super) package: String,
    versions: Vec<String>,
    ranges: Vec<Vec<Event>>,
    /// RustSec says it by what is not affected.
    except: Option<Vec<VersionReq>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Event {
    introduced: Option<String>,
    fixed: Option<String>,
    last_affected: Option<String>,
}

#[derive(Deserialize)]
struct Osv {
    id: String,
    #[serde(default)]
    modified: String,
    withdrawn: Option<String>,
    #[serde(default)]
    affected: Vec<OsvAffected>,
    #[serde(default)]
    severity: Vec<OsvSeverity>,
    #[serde(default)]
    database_specific: serde_json::Value,
}

#[derive(Deserialize)]
struct OsvAffected {
    package: Option<OsvPackage>,
    #[serde(default)]
    versions: Vec<String>,
    #[serde(default)]
    ranges: Vec<OsvRange>,
    #[serde(default)]
    severity: Vec<OsvSeverity>,
}

#[derive(Deserialize)]
struct OsvPackage {
    ecosystem: String,
    name: String,
}

#[derive(Deserialize)]
struct OsvRange {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct OsvSeverity {
    #[serde(default)]
    score: String,
}

const ECOSYSTEMS: [Ecosystem; 6] =
    [Ecosystem::CratesIo, Ecosystem::Go, Ecosystem::Npm, Ecosystem::Packagist, Ecosystem::PyPi, Ecosystem::RubyGems];

impl Advisory {
    /// One in the format of OSV; nothing when it is withdrawn, or no advisory.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let osv: Osv = serde_json::from_str(text).ok()?;
        if osv.withdrawn.is_some() {
            return None;
        }
        let vectors = osv.severity.iter().chain(osv.affected.iter().flat_map(|affected| &affected.severity));
        let scores = vectors.filter_map(|severity| severity::base_score(&severity.score)).collect::<Vec<_>>();
        let named = osv.database_specific["severity"].as_str().map(str::to_uppercase);
        let score = match named.as_deref() {
            Some("HIGH" | "CRITICAL") => Score::Serious,
            Some("LOW" | "MODERATE" | "MEDIUM") => Score::Mild,
            _ => score_of(scores.into_iter().reduce(f64::max)),
        };
        let affected = osv.affected.into_iter().filter_map(|own| {
            let package = own.package?;
            // `Go:stdlib` and the like carry a suffix.
            let ecosystem = ECOSYSTEMS.into_iter().find(|known| package.ecosystem == known.name())?;
            let ranges = own.ranges.into_iter().filter(|range| range.kind != "GIT").map(|range| range.events).collect();
            Some(Affected {
                ecosystem,
                package: ecosystem.normal(&package.name),
                versions: own.versions,
                ranges,
                except: None,
            })
        });
        Some(Self {
            id: osv.id,
            modified: osv.modified.chars().take(10).collect(),
            affected: affected.collect(),
            score,
        })
    }

    /// One of RustSec: Markdown with a head in TOML. Notes that a crate is unmaintained are no flaw.
    pub(super) fn parse_rustsec(text: &str) -> Option<Self> {
        let head = text.strip_prefix("```toml")?.split("```").next()?;
        let table: toml::Table = head.parse().ok()?;
        let own = table.get("advisory")?;
        let value =
            |key: &str| own.get(key).map(|value| value.as_str().map_or_else(|| value.to_string(), String::from));
        if own.get("withdrawn").is_some() || own.get("informational").is_some() {
            return None;
        }
        let list = |key: &str| {
            let list = table.get("versions").and_then(|versions| versions.get(key)).and_then(toml::Value::as_array);
            list.into_iter()
                .flatten()
                .filter_map(toml::Value::as_str)
                .filter_map(|text| VersionReq::parse(text).ok())
                .collect::<Vec<_>>()
        };
        let except = list("patched").into_iter().chain(list("unaffected")).collect();
        let affected = Affected {
            ecosystem: Ecosystem::CratesIo,
            package: value("package")?,
            versions: Vec::new(),
            ranges: Vec::new(),
            except: Some(except),
        };
        let score = score_of(value("cvss").and_then(|vector| severity::base_score(&vector)));
        Some(Self { id: value("id")?, modified: value("date").unwrap_or_default(), affected: vec![affected], score })
    }

    /// High, critical, or without a rating.
    pub(super) fn is_serious(&self) -> bool {
        self.score != Score::Mild
    }

    /// Whether a version of a package has this flaw.
    pub(super) fn affects(&self, ecosystem: Ecosystem, name: &str, version: &str) -> bool {
        let of_package = self.affected.iter().filter(|own| own.ecosystem == ecosystem && own.package == name);
        of_package.into_iter().any(|own| own.holds(version))
    }
}

impl Affected {
    fn holds(&self, version: &str) -> bool {
        if let Some(except) = &self.except {
            return version::semver(version).is_some_and(|version| !except.iter().any(|range| fits(range, &version)));
        }
        let bare = version.trim_start_matches('v');
        self.versions.iter().any(|own| own == version || own == bare)
            || self.ranges.iter().any(|events| self.within(events, version))
    }

    /// The algorithm of OSV: events in order of version, the last one that is not above decides.
    fn within(&self, events: &[Event], version: &str) -> bool {
        let at =
            |bound: &str| if bound == "0" { Some(Ordering::Less) } else { compare(self.ecosystem, bound, version) };
        let mut sorted: Vec<&Event> = events.iter().collect();
        sorted.sort_by(|left, right| match (left.bound(), right.bound()) {
            ("0", "0") => Ordering::Equal,
            ("0", _) => Ordering::Less,
            (_, "0") => Ordering::Greater,
            (left, right) => compare(self.ecosystem, left, right).unwrap_or(Ordering::Equal),
        });
        let mut inside = false;
        for event in sorted {
            let reached = |bound: &Option<String>| bound.as_ref().and_then(|bound| at(bound));
            if reached(&event.introduced).is_some_and(Ordering::is_le) {
                inside = true;
            }
            if reached(&event.fixed).is_some_and(Ordering::is_le)
                || reached(&event.last_affected).is_some_and(Ordering::is_lt)
            {
                inside = false;
            }
        }
        inside
    }
}

impl Event {
    fn bound(&self) -> &str {
        [&self.introduced, &self.fixed, &self.last_affected].into_iter().flatten().next().map_or("0", String::as_str)
    }
}

fn score_of(score: Option<f64>) -> Score {
    match score {
        Some(score) if score >= 7.0 => Score::Serious,
        Some(_) => Score::Mild,
        None => Score::Unrated,
    }
}

/// Ranges of RustSec mean what is before a release as older than it.
fn fits(range: &VersionReq, version: &semver::Version) -> bool {
    if range.matches(version) {
        return true;
    }
    let release = semver::Version::new(version.major, version.minor, version.patch);
    !version.pre.is_empty()
        && range.matches(&release)
        && !range.comparators.iter().any(|one| {
            let bound = (one.major, one.minor.unwrap_or(0), one.patch.unwrap_or(0));
            bound == (release.major, release.minor, release.patch)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_within_ranges() {
        let text = r#"{"id": "GHSA-1", "modified": "2026-01-02T03:04:05Z", "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"}],
            "affected": [{"package": {"ecosystem": "npm", "name": "a"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "1.0.0"}, {"fixed": "1.2.3"}, {"introduced": "2.0.0"}, {"last_affected": "2.1.0"}]}]},
                         {"package": {"ecosystem": "PyPI", "name": "A_b"}, "versions": ["1.0"]}]}"#;
        let advisory = Advisory::parse(text).unwrap();
        let npm = |version: &str| advisory.affects(Ecosystem::Npm, "a", version);
        assert!(npm("1.0.0") && npm("1.2.2") && npm("2.1.0") && npm("1.2.3-rc.1"));
        assert!(!npm("0.9.9") && !npm("1.2.3") && !npm("2.1.1") && !npm("x"));
        assert!(advisory.affects(Ecosystem::PyPi, "a-b", "1.0") && advisory.is_serious());
        assert!(Advisory::parse(&text.replace("\"id\"", "\"withdrawn\": \"2026\", \"id\"")).is_none());
    }

    #[test]
    fn rustsec() {
        let text = "```toml\n[advisory]\nid = \"RUSTSEC-2026-1\"\npackage = \"a\"\ndate = \"2026-01-01\"\n[versions]\npatched = [\">= 1.2.3\"]\nunaffected = [\"< 1.0.0\"]\n```\n# A\n";
        let advisory = Advisory::parse_rustsec(text).unwrap();
        let has = |version: &str| advisory.affects(Ecosystem::CratesIo, "a", version);
        assert!(has("1.1.0") && !has("1.2.3") && !has("0.9.0") && !has("1.3.0-alpha"));
        assert!(Advisory::parse_rustsec(&text.replace("date", "informational = \"unmaintained\"\ndate")).is_none());
    }
}
