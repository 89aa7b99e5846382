//! `ci.precommit`: hooks are set up, a documented step installs them, and a planted violation cannot be committed.

use std::{path::PathBuf, sync::LazyLock, time::Duration};

use regex::Regex;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting, yaml};

use super::{
    found::{Purpose, Tools, places},
    samples,
};
use crate::{
    pipeline::Pipelines,
    sandbox::{Order, Ran, Sandbox},
    testing::NOT_ALLOWED,
};

pub(super) struct PreCommit;

impl Inspection for PreCommit {
    fn control(&self) -> &'static str {
        "ci.precommit"
    }

    fn runs_code(&self) -> bool {
        true
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        samples::hooked()
    }

    fn absent(&self) -> Sample {
        samples::unhooked()
    }
}

/// How hooks are set up, and what installs them.
struct Hooks {
    /// The file that says so.
    file: String,
    /// What installs them, as people write it.
    installs: &'static LazyLock<Regex>,
    /// The command, when no script of the project has it.
    command: &'static str,
    /// Why it does nothing, when it does nothing.
    empty: Option<String>,
}

pattern!(FRAMEWORK: r"\b(?:pre-commit|prek)\s+install\b");
pattern!(HUSKY: r"\bhusky\b|is-ci\b.*husky");
pattern!(LEFTHOOK: r"\blefthook\s+install\b|\blefthook\b");
pattern!(SIMPLE: r"\bsimple-git-hooks\b");
pattern!(FOLDER: r"core\.hooksPath|\.git/hooks");
pattern!(OVERCOMMIT: r"\bovercommit\s+(?:--install|-i)\b");

fn find(repository: &Repository) -> Option<Hooks> {
    let has = |file: &str| repository.text(file);
    if let Some(text) = has(".pre-commit-config.yaml") {
        let documents = yaml(&text);
        let hooks = documents.iter().flatten().flat_map(|one| one["repos"].as_array().into_iter().flatten());
        let count: usize = hooks.map(|repo| repo["hooks"].as_array().map_or(0, Vec::len)).sum();
        let empty = match &documents {
            Err(why) => Some(format!(".pre-commit-config.yaml cannot be read: {why}")),
            Ok(_) => (count == 0).then(|| ".pre-commit-config.yaml names no hook".to_owned()),
        };
        return Some(Hooks {
            file: ".pre-commit-config.yaml".into(),
            installs: &FRAMEWORK,
            command: "pre-commit install",
            empty,
        });
    }
    let script = |text: &str| {
        let mut lines = text.lines().map(str::trim);
        lines.any(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with(". ") && line != "exit 0")
    };
    if let Some(text) = has(".husky/pre-commit") {
        let empty = (!script(&text)).then(|| ".husky/pre-commit does nothing".to_owned());
        return Some(Hooks { file: ".husky/pre-commit".into(), installs: &HUSKY, command: "husky", empty });
    }
    for file in ["lefthook.yml", ".lefthook.yml", "lefthook.yaml", "lefthook.toml"] {
        if let Some(text) = has(file) {
            let empty = (!text.contains("pre-commit")).then(|| format!("{file} names no hook before a commit"));
            return Some(Hooks { file: file.into(), installs: &LEFTHOOK, command: "lefthook install", empty });
        }
    }
    if let Some(text) = has("package.json") {
        let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        for (key, installs, command) in [("simple-git-hooks", &SIMPLE, "simple-git-hooks"), ("husky", &HUSKY, "true")] {
            let hook = value[key]["pre-commit"].as_str().or_else(|| value[key]["hooks"]["pre-commit"].as_str());
            if hook.is_some() {
                return Some(Hooks { file: "package.json".into(), installs, command, empty: None });
            }
        }
    }
    if has(".overcommit.yml").is_some() {
        return Some(Hooks {
            file: ".overcommit.yml".into(),
            installs: &OVERCOMMIT,
            command: "overcommit --install",
            empty: None,
        });
    }
    for file in [
        ".githooks/pre-commit",
        "githooks/pre-commit",
        ".hooks/pre-commit",
        "hooks/pre-commit",
        "scripts/git-hooks/pre-commit",
    ] {
        if let Some(text) = has(file) {
            let empty = (!script(&text)).then(|| format!("{file} does nothing"));
            return Some(Hooks { file: file.into(), installs: &FOLDER, command: "false", empty });
        }
    }
    None
}

/// Where an installing step is written: the file, and the command when it is a script of the project.
fn install_step(repository: &Repository, hooks: &Hooks) -> Option<(String, Option<String>)> {
    for ((folder, _), manifest) in &repository.manifests().all {
        for name in ["prepare", "postinstall", "install", "preinstall", "postprepare", "setup"] {
            let Some(script) = manifest.scripts.get(name).filter(|script| hooks.installs.is_match(script)) else {
                continue;
            };
            let file = folder.join("package.json");
            return Some((format!("the script `{name}` of {}", file.display()), Some(script.clone())));
        }
    }
    let is_place = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let ending = path.extension().and_then(|own| own.to_str()).unwrap_or_default();
        ["md", "rst", "adoc", "txt", "sh", "toml"].contains(&ending)
            || [
                "makefile",
                "justfile",
                "rakefile",
                "setup",
                "bootstrap",
                "taskfile.yml",
                "devcontainer.json",
                "tox.ini",
                "noxfile.py",
            ]
            .contains(&name.as_str())
    };
    let paths: Vec<PathBuf> = repository.files().map(std::path::Path::to_owned).filter(is_place).collect();
    // What only says that there are hooks installs none: the whole command counts.
    let whole = if std::ptr::eq(hooks.installs, &HUSKY) { &HUSKY_INSTALL } else { hooks.installs };
    let path = paths.into_iter().find(|path| repository.text(path).is_some_and(|text| whole.is_match(&text)))?;
    Some((path.display().to_string(), None))
}

pattern!(HUSKY_INSTALL: r"\bhusky\s+install\b|npx\s+husky\b|\b(?:npm|yarn|pnpm)\s+(?:run\s+)?prepare\b");

fn look(repository: &Repository) -> Sighting {
    let mut cases = Cases::plan(2);
    let Some(hooks) = find(repository) else {
        if let Some(why) = repository.not_whole() {
            return cases.gave_up(why);
        }
        cases.tried(
            false,
            "no hooks are set up: no .pre-commit-config.yaml, .husky, lefthook.yml, .githooks or the like",
        );
        return cases.sighting("");
    };
    match &hooks.empty {
        Some(why) => cases.tried(false, why.clone()),
        None => cases.tried(true, format!("{} sets hooks up", hooks.file)),
    }
    let step = install_step(repository, &hooks);
    match &step {
        Some((place, _)) => cases.tried(true, format!("{place} installs them")),
        None => cases.tried(false, format!("{} sets hooks up, but no script or document installs them", hooks.file)),
    }
    if cases.is_broken() {
        return cases.sighting("");
    }
    let (place, script) = step.unwrap_or_default();
    if !repository.may_run {
        return Sighting::not_tried(format!("{} sets hooks up and {place} installs them; {NOT_ALLOWED}", hooks.file));
    }
    cases.plan_more(2);
    // A copy of its own: it gets a history.
    match Sandbox::of(repository, repository.stop()) {
        Ok(sandbox) => {
            sandbox.notes().iter().for_each(|note| cases.note(note.clone()));
            commit(&mut cases, repository, &sandbox, &hooks, script.as_deref());
        }
        Err(error) => cases.told_nothing(error.to_string()),
    }
    cases.sighting(format!(
        "{} sets hooks up, {place} installs them, and a planted violation could not be committed",
        hooks.file
    ))
}

fn commit(cases: &mut Cases, repository: &Repository, sandbox: &Sandbox, hooks: &Hooks, script: Option<&str>) {
    let run = |line: &str| -> Ran {
        let names = ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"];
        let mut environment: Vec<(String, String)> =
            names.iter().map(|name| ((*name).to_owned(), "seaworthy@localhost".to_owned())).collect();
        // Hooks are for people: some of them do nothing in a pipeline.
        environment.push(("CI".into(), String::new()));
        let (budget, stop) = (Duration::from_secs(180), repository.stop().clone());
        sandbox.run(&Order { line: line.into(), environment, budget, stop, ..Order::default() })
    };
    let begun = run("git init -q . && git add -A && git commit -q --no-verify --no-gpg-sign -m 'chore: begin'");
    if !begun.succeeded() {
        return cases.told_nothing(format!("the copy cannot be a Git repository: {}", begun.last_words()));
    }
    let installed = run(script.unwrap_or(hooks.command));
    if !installed.succeeded() {
        return cases.told_nothing(format!("the hooks cannot be installed here: {}", installed.last_words()));
    }
    let harmless = "printf 'harmless\\n' > seaworthy-harmless.txt && git add seaworthy-harmless.txt && git commit -q --no-gpg-sign -m 'chore: add a harmless file'";
    let passed = run(harmless);
    if !passed.succeeded() {
        return cases.told_nothing(format!(
            "a harmless change cannot be committed here, so the hooks lack something: {}",
            passed.last_words()
        ));
    }
    cases.tried(true, "a harmless change could be committed");
    let pipelines = Pipelines::of(repository);
    let mut planted = Vec::new();
    for purpose in [Purpose::Lint, Purpose::Format] {
        for found in &Tools::of(repository, purpose, &pipelines).found {
            planted
                .extend(places(repository, found).into_iter().next().map(|path| (path, found.tool.planted.as_str())));
        }
    }
    if planted.is_empty() {
        return cases.told_nothing("no linter or formatter is known here whose violation could be planted");
    }
    for (path, text) in &planted {
        let before = sandbox.text(path).unwrap_or_default();
        if sandbox.write(path, &format!("{before}{text}")).is_err() {
            return cases.told_nothing("the copy cannot be changed");
        }
    }
    let head = run("git rev-parse HEAD").output;
    let refused = run("git add -A && git commit -q --no-gpg-sign -m 'chore: add a planted violation'");
    let after = run("git rev-parse HEAD").output;
    let stopped = !refused.succeeded() && !refused.timed_out && head == after && !head.is_empty();
    let seen = if stopped { "could not be committed" } else { "could be committed" };
    cases.tried(stopped, format!("a planted violation in {} {seen}", planted[0].0.display()));
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(sample: &Sample, may_run: bool) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        sample.write(folder.path()).unwrap();
        let mut repository = Repository::open(folder.path()).unwrap();
        repository.may_run = may_run;
        look(&repository).outcome
    }

    #[test]
    fn a_hook_that_lets_everything_pass_is_found_out() {
        assert_eq!(outcome(&samples::hooked(), true), Outcome::Holds);
        let asleep = samples::hooked().with(&[(".githooks/pre-commit", "#!/bin/sh\necho checked\n")]);
        assert!(matches!(outcome(&asleep, true), Outcome::Broken(why) if why.contains("could be committed")));
        let empty = samples::hooked().with(&[(".githooks/pre-commit", "#!/bin/sh\n# sh lint.sh\nexit 0\n")]);
        assert!(matches!(outcome(&empty, false), Outcome::Broken(_)));
    }

    #[test]
    fn a_hook_that_stops_everything_proves_nothing() {
        let angry = samples::hooked().with(&[(".githooks/pre-commit", "#!/bin/sh\nexec missing-program\n")]);
        assert!(matches!(outcome(&angry, true), Outcome::Unclear(_)));
    }

    #[test]
    fn other_ways_to_set_hooks_up() {
        let config = "repos:\n  - repo: local\n    hooks:\n      - id: lint\n        name: lint\n        entry: sh lint.sh\n        language: system\n";
        let framework = Sample::of(&[(".pre-commit-config.yaml", config), ("a.py", "x = 1\n")]);
        assert!(matches!(outcome(&framework, false), Outcome::Broken(_)));
        let documented = framework.clone().with(&[("CONTRIBUTING.md", "Run `pre-commit install` once.\n")]);
        assert!(matches!(outcome(&documented, false), Outcome::NotTried(_)));
        let nothing = documented.with(&[(".pre-commit-config.yaml", "repos: []\n")]);
        assert!(matches!(outcome(&nothing, false), Outcome::Broken(_)));
        let husky = Sample::of(&[
            (".husky/pre-commit", "npx lint-staged\n"),
            ("package.json", "{\"scripts\": {\"prepare\": \"husky\"}}"),
        ]);
        assert!(matches!(outcome(&husky, false), Outcome::NotTried(_)));
        assert!(matches!(outcome(&Sample::of(&[("a.py", "")]), false), Outcome::Broken(_)));
    }
}
