//! What a project's pipelines do, as their files say.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use regex::Regex;
use seaworthy_repository::{Repository, yaml};
use serde_json::Value;

/// Every step of every pipeline that can fail.
#[derive(Debug, Default)]
pub struct Pipelines {
    /// Files of pipelines.
    pub files: Vec<PathBuf>,
    /// Their steps.
    pub steps: Vec<Step>,
    /// Files that could not be read.
    pub unreadable: Vec<String>,
    /// Where services are started beside the steps.
    pub services: Option<String>,
}

/// One step.
#[derive(Debug)]
pub struct Step {
    /// File and job.
    pub place: String,
    /// What it runs, with the scripts that it calls.
    pub text: String,
    /// It runs on changes of the main branch.
    pub on_main: bool,
}

/// Pipelines that are read as YAML, by the start of their path.
const YAML: &[&str] = &[
    ".github/workflows/",
    ".gitea/workflows/",
    ".forgejo/workflows/",
    ".gitlab-ci.yml",
    ".gitlab/ci/",
    ".circleci/config.yml",
    ".travis.yml",
    "azure-pipelines",
    ".azure-pipelines/",
    "bitbucket-pipelines.yml",
    ".drone.yml",
    ".woodpecker",
    ".buildkite/",
    "cloudbuild.yaml",
    ".cirrus.yml",
];
/// Pipelines that are programs: their lines are read.
const PROGRAMS: &[&str] = &["Jenkinsfile", "Earthfile", "Dockerfile.ci"];
/// A script calls a script; further than this nobody looks.
const DEEPEST: usize = 4;

impl Pipelines {
    /// Reads them.
    pub fn of(repository: &Repository) -> Self {
        let mut found = Self::default();
        let paths: Vec<PathBuf> = repository.files().map(Path::to_owned).collect();
        for path in paths {
            let text = path.to_string_lossy().into_owned();
            let is_yaml = text.ends_with(".yml") || text.ends_with(".yaml");
            if is_yaml && YAML.iter().any(|start| text.starts_with(start)) {
                found.read_yaml(repository, &path);
            } else if PROGRAMS.contains(&text.as_str()) {
                let lines = repository.text(&path).unwrap_or_default();
                let lines: Vec<&str> = lines.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
                found.add(repository, &path, "", &lines.join("\n"), true);
            }
        }
        found
    }

    fn read_yaml(&mut self, repository: &Repository, path: &Path) {
        let Some(text) = repository.text(path) else { return };
        let documents = match yaml(&text) {
            Ok(documents) => documents,
            Err(why) => {
                self.unreadable.push(format!("{}: {why}", path.display()));
                self.files.push(path.to_owned());
                return;
            }
        };
        self.files.push(path.to_owned());
        for document in documents {
            let on = &document["on"];
            let named = |name: &str| {
                on == name
                    || on.get(name).is_some()
                    || on.as_array().is_some_and(|list| list.iter().any(|one| one == name))
            };
            let any =
                on.is_null() || named("push") || named("pull_request") || named("merge_group") || named("schedule");
            self.walk(repository, path, "", &document, any || named("workflow_call"), 0);
        }
    }

    /// Goes through a document to whatever runs something.
    fn walk(&mut self, repository: &Repository, path: &Path, job: &str, value: &Value, on_main: bool, depth: usize) {
        if depth > 12 || is_soft(value) {
            return;
        }
        match value {
            Value::Array(list) => {
                for one in list {
                    self.walk(repository, path, job, one, on_main, depth + 1);
                }
            }
            Value::Object(table) => {
                if let Some(action) = table.get("uses").and_then(Value::as_str) {
                    let with = table.get("with").map(Value::to_string).unwrap_or_default();
                    self.add(repository, path, job, &format!("uses: {action} {with}"), on_main);
                }
                for (name, inner) in table {
                    let job = if depth <= 2 && inner.is_object() { name } else { job };
                    match name.as_str() {
                        "run" | "script" | "bash" | "command" | "commands" | "before_script" | "after_script"
                        | "powershell" | "args" | "install" => self.add_commands(repository, path, job, inner, on_main),
                        "coverage" | "artifacts" | "include" | "orbs" if depth <= 2 => {
                            self.add(repository, path, job, &format!("{name}: {inner}"), on_main);
                        }
                        "services" => {
                            self.services.get_or_insert(format!("{}, {job}", path.display()));
                        }
                        "on" | "with" | "env" | "variables" => {}
                        _ => self.walk(repository, path, job, inner, on_main, depth + 1),
                    }
                }
            }
            _ => {}
        }
    }

    fn add_commands(&mut self, repository: &Repository, path: &Path, job: &str, value: &Value, on_main: bool) {
        match value {
            Value::String(text) => self.add(repository, path, job, text, on_main),
            Value::Array(list) => {
                list.iter().for_each(|one| self.add_commands(repository, path, job, one, on_main));
            }
            Value::Object(table) => {
                let inner = table.get("command").into_iter().chain(table.get("steps"));
                inner.for_each(|one| self.add_commands(repository, path, job, one, on_main));
            }
            _ => {}
        }
    }

    fn add(&mut self, repository: &Repository, path: &Path, job: &str, text: &str, on_main: bool) {
        let place = match job {
            "" => path.display().to_string(),
            job => format!("{}, {job}", path.display()),
        };
        if !self.files.iter().any(|own| own == path) {
            self.files.push(path.to_owned());
        }
        self.steps.push(Step { place, text: expanded(repository, text), on_main });
    }

    /// The first step that runs something like this, on changes.
    pub fn running(&self, pattern: &Regex) -> Option<&Step> {
        self.steps.iter().find(|step| step.on_main && pattern.is_match(&step.text))
    }
}

/// A step that may fail, or never runs, stops nothing.
fn is_soft(value: &Value) -> bool {
    let is = |name: &str| {
        value.get(name).is_some_and(|value| *value == Value::Bool(true) || value == "true" || value == "${{ true }}")
    };
    let never = value.get("if").is_some_and(|value| {
        *value == Value::Bool(false)
            || value.as_str().is_some_and(|text| text.trim_matches(['$', '{', '}', ' ']) == "false")
    });
    let manual = value.get("when").is_some_and(|value| value == "never");
    never || manual || is("continue-on-error") || is("allow_failure") || is("continueOnError")
}

pattern!(SCRIPT: r"\b(?:npm(?:\s+--?[\w=./-]+(?:\s+\w+)?)*?\s+(?:run(?:-script)?\s+)?|yarn\s+(?:run\s+)?|pnpm\s+(?:-r\s+|--filter\s+\S+\s+)?(?:run\s+)?|bun\s+run\s+|npm-run-all\s+|run-[sp]\s+)(?P<name>\w[\w:.-]*)");
pattern!(MAKE: r"\b(?:make|just|task)(?:\s+-\S+)*\s+(?P<name>[\w:.-]+)");
pattern!(FILE: r"(?m)(?:^|[\s;&|(])(?P<name>(?:\./)?(?:[\w.-]+/)*[\w-]+\.(?:sh|bash|py|js|mjs)\b|(?:\./)?(?:[\w.-]+/)+[\w-]+)(?:$|[\s;&|)])");

/// A text with what it calls. Lines whose failure is thrown away, and comments, do not count.
fn expanded(repository: &Repository, text: &str) -> String {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut whole = String::new();
    let mut open = vec![(text.to_owned(), 0)];
    while let Some((text, depth)) = open.pop() {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let kept: Vec<&str> = lines.filter(|line| !throws_away(line)).collect();
        let kept = kept.join("\n");
        if depth < DEEPEST && whole.len() < 1 << 20 {
            let called = calls(repository, &kept);
            open.extend(called.into_iter().filter(|call| seen.insert(call.clone())).map(|call| (call, depth + 1)));
        }
        whole.push_str(&kept);
        whole.push('\n');
    }
    whole
}

fn throws_away(line: &str) -> bool {
    let line = line.trim_end_matches(['"', ',', '\'']).trim_end();
    ["|| true", "||true", "|| :", "|| exit 0", "|| echo"].iter().any(|end| line.contains(end))
        || line.ends_with("; true")
}

fn calls(repository: &Repository, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for call in SCRIPT.captures_iter(text) {
        let manifests = repository.manifests().all.values();
        found.extend(manifests.filter_map(|manifest| manifest.scripts.get(&call["name"]).cloned()));
    }
    for call in MAKE.captures_iter(text) {
        for path in repository.named(&["Makefile", "makefile", "GNUmakefile", "justfile", "Justfile", "Taskfile.yml"]) {
            found.extend(repository.text(path).and_then(|text| target(&text, &call["name"])));
        }
    }
    for call in FILE.captures_iter(text) {
        let name = Path::new(call["name"].trim_start_matches("./"));
        // Only what belongs to the project: a program among the dependencies is no script of it.
        let own = repository.files().any(|path| path == name);
        found.extend(repository.text(name).filter(|_| own).map(|text| text.to_string()));
    }
    let programs: &[(&str, &[&str])] = &[
        ("tox", &["tox.ini", "setup.cfg", "pyproject.toml"]),
        ("nox", &["noxfile.py"]),
        ("pre-commit", &[".pre-commit-config.yaml"]),
        ("prek", &[".pre-commit-config.yaml"]),
        ("lefthook", &["lefthook.yml", ".lefthook.yml"]),
        ("hatch", &["pyproject.toml"]),
        ("poe", &["pyproject.toml"]),
        ("turbo", &["package.json"]),
    ];
    for (program, files) in programs {
        if text.split(|letter: char| !(letter.is_alphanumeric() || letter == '-')).any(|word| word == *program) {
            found.extend(files.iter().filter_map(|file| repository.text(*file)).map(|text| text.to_string()));
        }
    }
    found
}

/// The commands of a target and the names of those that it needs.
fn target(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| {
        !line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(':') || rest.contains(':'))
    });
    let head = lines.next()?;
    let needs = head.split_once(':').map_or("", |(_, needs)| needs);
    let needs: Vec<String> = needs.split_whitespace().map(|need| format!("make {need}")).collect();
    let body: Vec<&str> = lines.take_while(|line| line.starts_with([' ', '\t']) || line.is_empty()).collect();
    Some(format!(
        "{}\n{}",
        needs.join("\n"),
        body.iter().map(|line| line.trim().trim_start_matches(['@', '-'])).collect::<Vec<_>>().join("\n")
    ))
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Sample;

    use super::*;

    fn runs(files: &[(&str, &str)], word: &str) -> bool {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        let repository = Repository::open(folder.path()).unwrap();
        Pipelines::of(&repository).running(&Regex::new(word).unwrap()).is_some()
    }

    fn workflow(steps: &str) -> String {
        format!("on: [push]\njobs:\n  a:\n    runs-on: x\n    steps:\n{steps}")
    }

    #[test]
    fn a_step_counts_when_it_can_stop_a_change() {
        let file = ".github/workflows/ci.yml";
        let has = |steps: &str| runs(&[(file, &workflow(steps))], "WORD");
        assert!(has("      - run: WORD\n") && has("      - run: |\n          a\n          WORD --x\n"));
        assert!(has("      - uses: a/WORD@v1\n        with: {b: c}\n"));
        assert!(!has("      # - run: WORD\n      - run: x\n"));
        assert!(!has("      - run: WORD || true\n") && !has("      - run: |\n          # WORD\n          x\n"));
        assert!(!has("      - run: WORD\n        continue-on-error: true\n"));
        assert!(
            !has("      - run: WORD\n        if: false\n") && !has("      - run: WORD\n        if: ${{ false }}\n")
        );
        let manual = "on: workflow_dispatch\njobs:\n  a:\n    steps:\n      - run: WORD\n";
        assert!(!runs(&[(file, manual)], "WORD"));
        assert!(!runs(&[("docs/.github/workflows/ci.yml", &workflow("      - run: WORD\n"))], "WORD"));
    }

    #[test]
    fn what_a_step_calls_is_followed() {
        let file = ".github/workflows/ci.yml";
        let has = |step: &str, other: (&str, &str)| {
            runs(&[(file, &workflow(&format!("      - run: {step}\n"))), other], "WORD")
        };
        assert!(has("npm run check", ("package.json", r#"{"scripts": {"check": "npm run b", "b": "WORD ."}}"#)));
        assert!(has("npm --prefix web run check", ("web/package.json", r#"{"scripts": {"check": "WORD ."}}"#)));
        assert!(!has("npm run other", ("package.json", r#"{"scripts": {"check": "WORD ."}}"#)));
        assert!(has("make all", ("Makefile", "all: lint\n\nlint:\n\t@WORD .\n\nother:\n\tx\n")));
        assert!(!has("make other", ("Makefile", "lint:\n\tWORD .\n\nother:\n\tx\n")));
        assert!(has("bash ci/run.sh", ("ci/run.sh", "WORD\n")));
        assert!(has("scripts/check", ("scripts/check", "#!/bin/sh\nWORD\n")));
        assert!(has("tox -e lint", ("tox.ini", "[testenv:lint]\ncommands = WORD\n")));
        assert!(runs(&[(".gitlab-ci.yml", "lint:\n  script:\n    - WORD\n")], "WORD"));
        assert!(!runs(&[(".gitlab-ci.yml", "lint:\n  allow_failure: true\n  script:\n    - WORD\n")], "WORD"));
        assert!(runs(&[("Jenkinsfile", "stage { sh 'WORD' }\n")], "WORD"));
    }
}
