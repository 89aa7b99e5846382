//! `ci.security-scan`: a scanner of code in the pipeline, whose findings count.

use std::path::Path;

use seaworthy_repository::{
    Cases, Inspection, Repository, Sample, Sighting,
    pipeline::{Event, Failure, Occasions, Purpose, Run, Truth},
    yaml,
};

use super::gate::{Gate, Wanted, gate, listed};

pub(super) struct SecurityScan;

const WANTED: Wanted<'static> = Wanted {
    purpose: Purpose::CodeScan,
    name: "a scanner of insecure code",
    when: on_changes,
    when_name: "on each change",
    hints: &["secur", "sast", "scan", "codeql", "semgrep", "sonar", "audit", "shared library", "uploads a pipeline"],
    others: &[],
};

/// What is merged is scanned: before, or then.
fn on_changes(occasions: &Occasions) -> Truth {
    occasions.on_changes()
}

impl Inspection for SecurityScan {
    fn control(&self) -> &'static str {
        "ci.security-scan"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        sample("bandit -r app")
    }

    fn absent(&self) -> Sample {
        sample("bandit -r app --exit-zero")
    }
}

fn sample(command: &str) -> Sample {
    let text = format!(
        "on: [push, pull_request]\njobs:\n  scan:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - run: {command}\n"
    );
    Sample::of(&[(".github/workflows/scan.yml", &text), ("app/main.py", "print(1)\n")]).committed()
}

fn look(repository: &Repository) -> Sighting {
    let mut cases = Cases::plan(1);
    let by_rules = linters_with_security_rules(repository);
    let found = gate(repository, &WANTED);
    let summary = match (found, by_rules.is_empty()) {
        (Gate::Holds(runs), _) => {
            runs.iter().for_each(|run| cases.note(format!("{} at {}", run.placed.name(), run.placed.place())));
            format!(
                "{} on each change, and {} findings count",
                listed(&runs),
                if runs.len() == 1 { "its" } else { "their" }
            )
        }
        (_, false) => by_rules.join(", "),
        (Gate::Broken(why), true) => {
            cases.tried(false, format!("{why} (a scanner that is only switched on at the server leaves no file)"));
            return cases.sighting("");
        }
        (Gate::Unclear(why), true) => return cases.gave_up(why),
    };
    cases.tried(true, summary.clone());
    cases.sighting(summary)
}

/// Linters that count, with rules of security switched on in their configuration.
fn linters_with_security_rules(repository: &Repository) -> Vec<String> {
    let runs = repository.pipelines().runs(Purpose::Lint);
    let counts = |run: &&Run<'_>| {
        run.failure() == Failure::Stops
            && (run.placed.occasions().on_changes() == Truth::Yes
                || run.placed.occasions().on(Event::DefaultBranch) == Truth::Yes)
    };
    let runs_tool =
        |name: &str| runs.iter().filter(counts).find(|run| run.tool.name == name).map(|run| run.placed.place());
    let mut found = Vec::new();
    if let (Some(place), true) = (runs_tool("Ruff"), ruff_has_security(repository)) {
        found.push(format!("Ruff with its security rules (S) at {place}"));
    }
    if let (Some(place), true) = (runs_tool("golangci-lint"), golangci_has_gosec(repository)) {
        found.push(format!("golangci-lint with gosec at {place}"));
    }
    if let (Some(place), true) = (runs_tool("ESLint"), eslint_has_security(repository)) {
        found.push(format!("ESLint with a security plugin at {place}"));
    }
    found
}

fn ruff_has_security(repository: &Repository) -> bool {
    let selects = |table: &toml::Value| {
        let lint = table.get("lint").unwrap_or(table);
        let list = |key: &str| {
            [lint.get(key), table.get(key)].into_iter().flatten().filter_map(toml::Value::as_array).flatten()
        };
        let is_security = |code: &str| {
            code == "ALL"
                || code == "S"
                || (code.starts_with('S') && code[1..].starts_with(|digit: char| digit.is_ascii_digit()))
        };
        let all = list("select").chain(list("extend-select")).filter_map(toml::Value::as_str).any(is_security);
        let ignored = list("ignore").filter_map(toml::Value::as_str).any(|code| code == "S");
        all && !ignored
    };
    let of = |name: &str| repository.text(name)?.parse::<toml::Table>().ok();
    let own = ["ruff.toml", ".ruff.toml"].iter().find_map(|name| of(name)).map(toml::Value::Table);
    let project = || of("pyproject.toml").and_then(|table| table.get("tool")?.get("ruff").cloned());
    own.or_else(project).is_some_and(|table| selects(&table))
}

fn golangci_has_gosec(repository: &Repository) -> bool {
    let source = [".golangci.yml", ".golangci.yaml"].iter().find_map(|name| repository.text(name));
    let Some(document) = source.and_then(|source| yaml(&source).ok()?.into_iter().next()) else { return false };
    let linters = &document["linters"];
    let named = |key: &str| linters[key].as_array().into_iter().flatten().any(|name| name == "gosec");
    let all = linters["enable-all"] == true || linters["default"] == "all";
    (named("enable") || all) && !named("disable")
}

fn eslint_has_security(repository: &Repository) -> bool {
    let plugins = [
        "eslint-plugin-security",
        "eslint-plugin-no-unsanitized",
        "eslint-plugin-security-node",
        "eslint-plugin-sonarjs",
    ];
    if !repository.depends_on("javascript", &plugins) {
        return false;
    }
    let is_configuration = |path: &Path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with("eslint.config.") || name.starts_with(".eslintrc"))
    };
    let mut texts = repository.files().filter(|path| is_configuration(path)).filter_map(|path| repository.text(path));
    texts.any(|text| ["security", "no-unsanitized", "sonarjs"].iter().any(|word| text.contains(word)))
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(files: &[(&str, &str)], command: &str) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        sample(command).with(files).write(folder.path()).unwrap();
        look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn rules_of_security_in_a_linter_are_a_scanner() {
        let broken = |outcome: Outcome| matches!(outcome, Outcome::Broken(_));
        assert!(broken(outcome(&[("ruff.toml", "[lint]\nselect = [\"E\", \"SIM\"]\n")], "ruff check .")));
        assert_eq!(outcome(&[("ruff.toml", "[lint]\nselect = [\"E\", \"S\"]\n")], "ruff check ."), Outcome::Holds);
        assert!(broken(outcome(&[("ruff.toml", "[lint]\nselect = [\"S\"]\n")], "ruff check . --exit-zero")));
        assert_eq!(outcome(&[(".golangci.yml", "linters:\n  enable: [gosec]\n")], "golangci-lint run"), Outcome::Holds);
        assert!(broken(outcome(&[], "semgrep scan --config auto")));
        assert_eq!(outcome(&[], "semgrep ci"), Outcome::Holds);
    }
}
