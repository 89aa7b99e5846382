//! Whether a repository holds the size of its build against a limit, and its pipeline fails beyond it.

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

use seaworthy_repository::{Repository, yaml};
use serde::Deserialize;
use serde_json::Value;

/// A tool with a limit, and where it is run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// The tool.
    pub tool: &'static str,
    /// Where the limit stands.
    pub place: PathBuf,
    /// What makes a build fail with it; `None`: nothing was found.
    pub run_by: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Tool {
    name: String,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    files: Vec<String>,
    /// One of these must stand in the file.
    #[serde(default)]
    holds: Vec<String>,
    #[serde(default)]
    commands: Vec<String>,
    #[serde(default)]
    builds: bool,
}

#[derive(Debug, Deserialize)]
struct Tools {
    tool: Vec<Tool>,
}

#[expect(clippy::expect_used, reason = "a constant text, read in every test")]
static TOOLS: LazyLock<Vec<Tool>> =
    LazyLock::new(|| toml::from_str::<Tools>(include_str!("budgets.toml")).expect("the tools are TOML").tool);

/// The limit that is enforced, else one that is only written down.
pub(super) fn find(repository: &Repository) -> Option<Budget> {
    let commands = commands(repository);
    let found: Vec<Budget> = TOOLS.iter().filter_map(|tool| budget(repository, tool, &commands)).collect();
    let enforced = found.iter().position(|one| one.run_by.is_some()).unwrap_or_default();
    found.into_iter().nth(enforced)
}

fn budget(repository: &Repository, tool: &'static Tool, commands: &[(PathBuf, String)]) -> Option<Budget> {
    let keyed = repository.named(&["package.json"]).find(|path| {
        let manifest = repository.text(path).and_then(|text| serde_json::from_str::<Value>(&text).ok());
        manifest.is_some_and(|manifest| tool.keys.iter().any(|key| !manifest[key].is_null()))
    });
    let names: Vec<&str> = tool.files.iter().map(String::as_str).collect();
    let filed = repository.named(&names).find(|path| {
        let text = repository.text(path).unwrap_or_default();
        let lines = || text.lines().filter(|line| !line.trim_start().starts_with("//"));
        tool.holds.is_empty() || tool.holds.iter().any(|part| lines().any(|line| line.contains(part.as_str())))
    });
    let place = keyed.or(filed)?.to_owned();
    let runs = |text: &str| tool.commands.iter().any(|command| text.contains(command.as_str()));
    let builds = |text: &str| ["build", "webpack"].iter().any(|word| text.contains(word));
    let run_by = commands.iter().find(|(_, text)| runs(text) || tool.builds && builds(text));
    let run_by = run_by.map(|(path, text)| format!("{}: {}", path.display(), super::shortened(text, 60)));
    Some(Budget { tool: &tool.name, place, run_by })
}

/// Everything that pipelines run, with the scripts of package.json that they call by name in their place.
fn commands(repository: &Repository) -> Vec<(PathBuf, String)> {
    let scripts: Vec<(String, String)> =
        repository.named(&["package.json"]).flat_map(|path| scripts(repository, path)).collect();
    let mut all = Vec::new();
    for path in repository.files().filter(|path| is_pipeline(path)) {
        let Some(text) = repository.text(path) else { continue };
        let mut lines = Vec::new();
        match path.extension().and_then(|end| end.to_str()) {
            Some("yml" | "yaml") => yaml(&text).unwrap_or_default().iter().for_each(|one| steps(one, &mut lines)),
            _ => {
                lines.extend(text.lines().filter(|line| !line.trim_start().starts_with(['#', '/'])).map(str::to_owned))
            }
        }
        for line in lines {
            let called = scripts.iter().filter(|(name, _)| calls(&line, name)).map(|(_, script)| script.clone());
            let called: Vec<String> = called.collect();
            all.push((path.to_owned(), line));
            all.extend(called.into_iter().map(|script| (path.to_owned(), script)));
        }
    }
    all
}

fn scripts(repository: &Repository, path: &Path) -> Vec<(String, String)> {
    let manifest = repository.text(path).and_then(|text| serde_json::from_str::<Value>(&text).ok()).unwrap_or_default();
    let scripts = manifest["scripts"].as_object().cloned().unwrap_or_default();
    scripts.into_iter().filter_map(|(name, script)| Some((name, script.as_str()?.to_owned()))).collect()
}

/// `npm run size`, `yarn size`, `pnpm -C web size`.
fn calls(line: &str, script: &str) -> bool {
    let mut words = line.split(|letter: char| letter.is_whitespace() || letter == ';' || letter == '&');
    let manager = words.clone().any(|word| matches!(word, "npm" | "yarn" | "pnpm" | "bun"));
    manager && words.any(|word| word == script)
}

fn is_pipeline(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    text.starts_with(".github/workflows/")
        || text.starts_with(".ci/")
        || matches!(
            text.as_ref(),
            ".gitlab-ci.yml"
                | ".circleci/config.yml"
                | "azure-pipelines.yml"
                | "bitbucket-pipelines.yml"
                | ".travis.yml"
        )
        || name == "Jenkinsfile"
}

/// The texts of steps that are run and whose failure counts.
fn steps(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let lines = text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.contains("|| true"));
            found.extend(lines.map(str::to_owned));
        }
        Value::Array(all) => all.iter().for_each(|one| steps(one, found)),
        Value::Object(map) => {
            let off = map
                .get("if")
                .is_some_and(|when| *when == Value::Bool(false) || when == "false" || when == "${{ false }}");
            let forgiven =
                ["continue-on-error", "allow_failure"].iter().any(|key| map.get(*key) == Some(&Value::Bool(true)));
            if !off && !forgiven {
                map.iter().filter(|(key, _)| *key != "name").for_each(|(_, one)| steps(one, found));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Option<Budget> {
        let folder = tempfile::tempdir().unwrap();
        seaworthy_repository::Sample::of(files).write(folder.path()).unwrap();
        find(&Repository::open(folder.path()).unwrap())
    }

    #[test]
    fn a_limit_counts_where_a_pipeline_fails_by_it() {
        let limit = (
            "package.json",
            r#"{"scripts": {"size": "npm run build && size-limit"}, "size-limit": [{"limit": "180 kB"}]}"#,
        );
        let ci = |step: &str| format!("on: push\njobs:\n  web:\n    steps:\n      - {step}\n");
        let run = |step: &str| found(&[limit, (".github/workflows/ci.yml", &ci(step))]).unwrap().run_by.is_some();
        assert!(run("run: npm run size"));
        assert!(run("uses: andresz1/size-limit-action@v1"));
        assert!(!run("run: npm test"));
        assert!(!run("run: npm run size || true"));
        assert!(!run("{run: npm run size, continue-on-error: true}"));
        assert!(!run("{run: npm run size, if: false}"));
        assert!(!run("{name: size-limit, run: npm test}"));
        assert!(
            found(&[("package.json", r#"{"devDependencies": {"size-limit": "1"}}"#)]).is_none(),
            "no limit is given"
        );
    }

    #[test]
    fn a_build_may_hold_its_own_limit() {
        let angular = ("angular.json", "{\"budgets\": [{\"type\": \"initial\", \"maximumError\": \"1mb\"}]}");
        let ci = (".gitlab-ci.yml", "web:\n  script:\n    - npx ng build\n");
        assert!(found(&[angular, ci]).unwrap().run_by.is_some());
        assert!(found(&[angular]).unwrap().run_by.is_none());
        assert!(found(&[("angular.json", "{\"budgets\": [{\"maximumWarning\": \"1mb\"}]}"), ci]).is_none());
    }
}
