//! `ci.security-scan`: a scanner of code in the pipeline, whose findings count.

use std::{path::Path, sync::LazyLock};

use regex::Regex;
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
    let runs_as = |name: &str, is: &dyn Fn(&[String]) -> bool| {
        let mut fitting = runs.iter().filter(counts).filter(|run| run.tool.name == name);
        fitting.find(|run| is(&run.placed.command.words)).map(|run| run.placed.place())
    };
    let mut found = Vec::new();
    let configured = ruff_has_security(repository);
    if let Some(place) = runs_as("Ruff", &|words| ruff_runs_security(words, configured)) {
        found.push(format!("Ruff with its security rules (S) at {place}"));
    }
    if let (Some(place), true) = (runs_as("golangci-lint", &|_| true), golangci_has_gosec(repository)) {
        found.push(format!("golangci-lint with gosec at {place}"));
    }
    let eslint = eslint_security(repository);
    let stops = |words: &[String]| match eslint {
        Rules::None => false,
        // A warning alone leaves ESLint's status at nought.
        Rules::Warn => values_of(words, "--max-warnings").any(|most| most == "0"),
        Rules::Fail => true,
    };
    if let Some(place) = runs_as("ESLint", &stops) {
        found.push(format!("ESLint with a security plugin at {place}"));
    }
    found
}

/// What a command gives to an option: `--name value` and `--name=value`, each of a list with commas.
fn values_of<'w>(words: &'w [String], name: &'w str) -> impl Iterator<Item = &'w str> {
    let value = move |(index, word): (usize, &'w String)| match word.strip_prefix(name)? {
        "" => words.get(index + 1).map(String::as_str),
        rest => rest.strip_prefix('='),
    };
    words.iter().enumerate().filter_map(value).flat_map(|list| list.split(',')).map(str::trim)
}

/// `S`, a family of it, or everything. A single rule is no scanner.
fn is_ruff_security(code: &str) -> bool {
    code == "ALL" || code == "S" || (code.len() == 2 && ('1'..='7').any(|digit| code == format!("S{digit}")))
}

/// Whether a run of Ruff has the rules of security: its own words stand above the configuration.
fn ruff_runs_security(words: &[String], configured: bool) -> bool {
    let ignored = values_of(words, "--ignore").chain(values_of(words, "--extend-ignore")).any(is_ruff_security);
    let selects = values_of(words, "--select").next().is_some();
    let own = values_of(words, "--select").chain(values_of(words, "--extend-select")).any(is_ruff_security);
    !ignored && (own || configured && !selects)
}

fn ruff_has_security(repository: &Repository) -> bool {
    let selects = |table: &toml::Value| {
        let lint = table.get("lint").unwrap_or(table);
        let list = |key: &str| {
            [lint.get(key), table.get(key)].into_iter().flatten().filter_map(toml::Value::as_array).flatten()
        };
        let all = list("select").chain(list("extend-select")).filter_map(toml::Value::as_str).any(is_ruff_security);
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

/// What ESLint's rules of security do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rules {
    None,
    Warn,
    Fail,
}

/// A rule that is set to fail, or the recommended rules of a plugin that sets them so; those of
/// `eslint-plugin-security` only warn.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static FAILS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?:security|no-unsanitized|sonarjs)/[\w-]+["']\s*:\s*\[?\s*(?:["']error["']|2\b)|(?i:no-?unsanitized|sonarjs)[\w"'\]/.-]*recommended"#)
        .expect("the pattern is valid")
});

fn eslint_security(repository: &Repository) -> Rules {
    let plugins = [
        "eslint-plugin-security",
        "eslint-plugin-no-unsanitized",
        "eslint-plugin-security-node",
        "eslint-plugin-sonarjs",
    ];
    if !repository.depends_on("javascript", &plugins) {
        return Rules::None;
    }
    let is_configuration = |path: &Path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with("eslint.config.") || name.starts_with(".eslintrc"))
    };
    let rules = |text: String| match () {
        () if FAILS.is_match(&text) => Rules::Fail,
        () if ["security", "no-unsanitized", "sonarjs"].iter().any(|word| text.contains(word)) => Rules::Warn,
        () => Rules::None,
    };
    let texts = repository.files().filter(|path| is_configuration(path)).filter_map(|path| {
        // Where it is source, without its comments.
        repository
            .sources()
            .get(path)
            .map(|source| source.code.clone())
            .or_else(|| repository.text(path).map(|text| text.to_string()))
    });
    texts.map(rules).max().unwrap_or(Rules::None)
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

    #[test]
    fn rules_that_only_warn_are_no_scanner() {
        let package = ("package.json", r#"{"devDependencies": {"eslint": "9", "eslint-plugin-security": "3"}}"#);
        let of = |config: &str, command: &str| outcome(&[package, ("eslint.config.js", config)], command);
        let warns = "export default [security.configs.recommended]\n";
        assert!(matches!(of(warns, "npx eslint ."), Outcome::Broken(_)));
        assert_eq!(of(warns, "npx eslint . --max-warnings 0"), Outcome::Holds);
        let fails = "export default [{ rules: { 'security/detect-eval-with-expression': 'error' } }]\n";
        assert_eq!(of(fails, "npx eslint ."), Outcome::Holds);
    }

    #[test]
    fn ruff_is_a_scanner_by_its_family() {
        let of = |select: &str, command: &str| {
            outcome(&[("ruff.toml", &format!("[lint]\nselect = [\"{select}\"]\n"))], command)
        };
        assert!(matches!(of("S101", "ruff check ."), Outcome::Broken(_)));
        assert_eq!(of("S3", "ruff check ."), Outcome::Holds);
        assert!(matches!(of("S", "ruff check . --select E,F"), Outcome::Broken(_)));
        assert!(matches!(of("S", "ruff check . --ignore=S"), Outcome::Broken(_)));
        assert_eq!(of("E", "ruff check --select S,B ."), Outcome::Holds);
    }
}
