//! `docs.current`: no drift between what is written and what is there: links, commands, variables, versions.

use std::{path::Path, sync::LazyLock};

use regex::Regex;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use super::env_vars::gone;
use crate::document::{Documents, Grounds, Resolver, commands, dead_links};

pub(super) struct Current;

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static LEAST: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(python|node(?:\.?js)?|go)\s*(?:version\s*)?(?:>=|≥|>)?\s*v?(\d+(?:\.\d+)?)(?:\.\d+)?\s*(\+|or (?:later|newer|higher|above))?").expect("the pattern is valid")
});

impl Inspection for Current {
    fn control(&self) -> &'static str {
        "docs.current"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let text = "# Orders\nTakes orders. Needs Node 22+. See [how it is built](docs/architecture.md).\n```sh\nnpm ci\nnpm run build\n```\n";
        Sample::of(&[
            ("README.md", text),
            ("docs/architecture.md", "# Architecture\nOne process.\n"),
            ("package.json", "{\"scripts\": {\"build\": \"vite build\"}, \"engines\": {\"node\": \">=22\"}}"),
        ])
    }

    fn absent(&self) -> Sample {
        let text = "# Orders\nTakes orders. Needs Node 22+. See [how it is built](docs/architecture.md).\n```sh\nnpm ci\nnpm run compile\n```\n";
        Sample::of(&[
            ("README.md", text),
            ("docs/architecture.md", "# Architecture\nOne process.\n"),
            ("package.json", "{\"scripts\": {\"build\": \"vite build\"}, \"engines\": {\"node\": \">=22\"}}"),
        ])
    }
}

fn look(repository: &Repository) -> Sighting {
    let documents = Documents::read(repository);
    let mut cases = Cases::plan(1);
    let generated =
        documents.all.iter().find(|document| document.template.is_some() && document.path.components().count() == 1);
    if let Some(document) = generated {
        cases.tried(
            false,
            format!("{} is still the text of {}", document.path.display(), document.template.unwrap_or_default()),
        );
        return cases.sighting("");
    }
    let words: usize = documents.own().flat_map(|document| &document.sections).map(|section| section.words).sum();
    if words < 10 {
        cases.tried(false, format!("the {} documents say {words} words", documents.all.len()));
        return cases.sighting("");
    }
    cases.tried(true, format!("{} documents, {words} words", documents.all.len()));
    let (links, dead) = links(repository, &documents);
    let (count, missing) = missing_commands(repository, &documents);
    let stale = gone(repository, &documents)
        .into_iter()
        .map(|(name, place)| format!("{place} describes {name}, which is named nowhere in the code"));
    for (of, all) in [
        ("relative links", dead),
        ("commands", missing),
        ("variables", stale.collect()),
        ("versions", versions(repository, &documents)),
    ] {
        cases.plan_more(1);
        all.iter().for_each(|drift| cases.note(drift.clone()));
        let seen = match all.first() {
            None => format!("no drift in {of}"),
            Some(first) => format!("{} drifts in {of}: {first}", all.len()),
        };
        cases.tried(all.is_empty(), seen);
    }
    if let Some(why) = repository.not_whole() {
        cases.told_nothing(why);
    }
    cases
        .sighting(format!(
            "{} documents: no drift in {links} relative links, {count} commands, variables and versions",
            documents.all.len()
        ))
        .for_a_person()
}

fn links(repository: &Repository, documents: &Documents) -> (usize, Vec<String>) {
    let found = documents
        .own()
        .map(|document| dead_links(repository, document, document.sections.iter().flat_map(|section| &section.links)));
    let found: Vec<(Vec<String>, usize)> = found.collect();
    (found.iter().map(|(_, tried)| tried).sum(), found.into_iter().flat_map(|(dead, _)| dead).collect())
}

fn missing_commands(repository: &Repository, documents: &Documents) -> (usize, Vec<String>) {
    let resolver = Resolver::of(repository);
    let (mut count, mut missing) = (0, Vec::new());
    for document in documents.own() {
        for command in document.sections.iter().flat_map(commands) {
            count += 1;
            if let Grounds::Missing(what) = resolver.look(&command, document) {
                missing.push(format!("{} shows `{}`, but {what}", document.place(command.line), command.shown()));
            }
        }
    }
    (count, missing)
}

/// Documents of the root that promise a runtime which the manifest refuses.
fn versions(repository: &Repository, documents: &Documents) -> Vec<String> {
    let mut found = Vec::new();
    for document in documents.own().filter(|document| document.path.components().count() == 1) {
        for section in &document.sections {
            for matched in LEAST.captures_iter(&section.text) {
                let runtime = matched[1].to_lowercase();
                let runtime = if runtime.starts_with("node") { "node" } else { runtime.as_str() };
                // Without a mark of a least version it may be any remark.
                let marked = matched.get(3).is_some() || matched[0].contains(['>', '≥']);
                let Some(least) = least_of(repository, runtime).filter(|_| marked) else { continue };
                if parts(&matched[2]) < least {
                    let asked = format!("{}.{}", least.0, least.1);
                    found.push(format!(
                        "{} says {}, the manifest asks for {runtime} {asked}",
                        document.place(section.line),
                        matched[0].trim()
                    ));
                }
            }
        }
    }
    found
}

/// The least version that the root's manifest takes.
fn least_of(repository: &Repository, runtime: &str) -> Option<(u32, u32)> {
    let asked = match runtime {
        "python" => {
            let table: toml::Table = repository.text("pyproject.toml")?.parse().ok()?;
            table.get("project")?.get("requires-python")?.as_str()?.to_owned()
        }
        "node" => {
            let manifest: serde_json::Value = serde_json::from_str(&repository.text("package.json")?).ok()?;
            manifest["engines"]["node"].as_str()?.to_owned()
        }
        _ => {
            let text = repository.text(Path::new("go.mod"))?;
            format!(">={}", text.lines().find_map(|line| line.strip_prefix("go "))?)
        }
    };
    // Of alternatives the lowest one; nothing when it is no plain bound.
    asked
        .split("||")
        .filter_map(|one| {
            one.trim()
                .split([',', ' '])
                .find_map(|bound| bound.strip_prefix(">=").or(bound.strip_prefix('^')).map(parts))
        })
        .min()
}

fn parts(version: &str) -> (u32, u32) {
    let mut numbers = version.trim().trim_start_matches('v').split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn every_kind_of_drift_is_found() {
        let words = "One two three four five six seven eight nine ten eleven. ";
        let broken = |readme: &str, files: &[(&str, &str)]| {
            let text = format!("{words}{readme}");
            let mut all = vec![("README.md", text.as_str())];
            all.extend_from_slice(files);
            match outcome(&all) {
                Outcome::Broken(why) => why,
                other => format!("{other:?}"),
            }
        };
        assert!(broken("[a](gone.md)", &[]).contains("gone.md"));
        assert!(broken("\n```sh\nmake x\n```\n", &[("Makefile", "y:\n")]).contains("no target x"));
        assert!(
            broken("Python 3.8+", &[("pyproject.toml", "[project]\nrequires-python = \">=3.11\"\n")]).contains("3.11")
        );
        assert!(
            broken("Python 3.12+", &[("pyproject.toml", "[project]\nrequires-python = \">=3.11\"\n")])
                .contains("ForAPerson")
        );
    }
}
