//! `docs.env-vars`: each variable that the code reads is listed with words on it, and none that is gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use regex::Regex;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting, is_test, yaml};

use crate::{
    document::Documents,
    environment::{entries, examples, first_few, is_of_framework, mentioned, read_by_app},
};

pub(super) struct EnvironmentVariables;

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|\b[A-Z][A-Z0-9]{3,}\b").expect("the pattern is valid")
});

/// A file that describes settings, and does not only set them.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static SETTING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?m)^\s*(?:environment_variable|env_var|envvar|env):\s*["']?[A-Z][A-Z0-9_]+["']?\s*$"#)
        .expect("the pattern is valid")
});
/// An option of Click, Typer or configargparse with its help, in either order within one call.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static OPTION: LazyLock<Regex> = LazyLock::new(|| {
    let name = r#"(?:envvar|env_var)\s*=\s*["']([A-Z][A-Z0-9_]+)["']"#;
    let help = r#"help\s*=\s*f?["']"#;
    Regex::new(&format!(r"{name}[^()]{{0,300}}?{help}|{help}[^()]{{0,300}}?{name}")).expect("the pattern is valid")
});

impl Inspection for EnvironmentVariables {
    fn control(&self) -> &'static str {
        "docs.env-vars"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        let mut read = read_by_app(repository);
        // What only tasks of Rake read are arguments of those tasks, which `rake -T` lists.
        read.retain(|read| read.places.iter().any(|(path, _)| path.extension().is_none_or(|ending| ending != "rake")));
        if read.is_empty() {
            let sources = repository.sources().len();
            return match (sources, repository.not_whole()) {
                (0, _) => {
                    Sighting::unclear("there is no source in a language that is read here, so no variable is seen")
                }
                (_, Some(why)) => Sighting::unclear(why),
                _ => Sighting::not_applicable(format!("the {sources} sources read no variable of their own")),
            };
        }
        let documents = Documents::read(repository);
        let explained = explained(repository, &documents);
        let mut cases = Cases::plan(2);
        let unexplained: Vec<&str> =
            read.iter().map(|read| read.name).filter(|name| !explained.contains_key(*name)).collect();
        let helped = by_the_program(repository);
        let (helped, missing): (Vec<&str>, Vec<&str>) = unexplained.iter().partition(|name| helped.contains(**name));
        let files: BTreeSet<_> = read.iter().flat_map(|read| &read.places).map(|(path, _)| path).collect();
        cases.note(format!(
            "{} variables read in {} files, {} names in documents",
            read.len(),
            files.len(),
            explained.len()
        ));
        let seen = match missing.is_empty() {
            true => format!("all {} variables that the code reads are explained", read.len()),
            false => format!(
                "{} of {} variables that the code reads are explained nowhere: {}",
                missing.len(),
                read.len(),
                first_few(missing.iter().copied(), 4)
            ),
        };
        match (missing.is_empty(), helped.is_empty()) {
            (true, false) => cases.told_nothing(format!(
                "{} of {} variables are explained by the program's own help alone: {}",
                helped.len(),
                read.len(),
                first_few(helped.iter().copied(), 4)
            )),
            (all, _) => cases.tried(all, seen),
        }
        let gone = gone(repository, &documents);
        let seen = match gone.first() {
            None => "no variable is described that is named nowhere else".to_owned(),
            Some((name, place)) => {
                format!("{place} describes {name}, which is named nowhere in the code ({} such)", gone.len())
            }
        };
        cases.tried(gone.is_empty(), seen);
        if let Some(why) = repository.not_whole() {
            cases.told_nothing(why);
        }
        cases.sighting(format!(
            "{} variables read in {} files, all explained; none described that is gone",
            read.len(),
            files.len()
        ))
    }

    fn present(&self) -> Sample {
        let table = "# Orders\n## Configuration\n| variable | meaning |\n|---|---|\n| `DATABASE_URL` | where the database is |\n";
        Sample::of(&[
            ("README.md", table),
            (".env.example", "# More is said when this is debug\nLOG_LEVEL=info\n"),
            ("app.py", CODE),
        ])
    }

    fn absent(&self) -> Sample {
        let table = "# Orders\n## Configuration\n| variable | meaning |\n|---|---|\n| `DATABASE_URL` | where the database is |\n";
        Sample::of(&[("README.md", table), (".env.example", "DATABASE_URL=\nLOG_LEVEL=info\n"), ("app.py", CODE)])
    }
}

const CODE: &str = "import os\nDATABASE = os.environ[\"DATABASE_URL\"]\nLEVEL = os.getenv(\"LOG_LEVEL\", \"info\")\n";

/// Names that stand in a text, a table, or below a remark in a block or an example file; and where.
fn explained(repository: &Repository, documents: &Documents) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for document in documents.own() {
        for section in &document.sections {
            let place = document.place(section.line);
            let mut add = |text: &str| {
                for word in text
                    .split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
                    .filter(|word| word.len() > 1)
                {
                    found.entry(word.to_owned()).or_insert_with(|| place.clone());
                }
            };
            add(&section.text);
            add(&section.title);
            for block in &section.blocks {
                let shown = entries(&block.text);
                shown.iter().filter(|entry| entry.explained || section.words >= 20).for_each(|entry| add(&entry.name));
                // What a program says of itself: `--port <PORT>  where to listen [env: APP_PORT]`.
                let helps = |line: &&str| line.contains("env: ") || line.contains("[$") || line.contains("(env ");
                let lines: Vec<&str> = block.text.lines().collect();
                lines.iter().filter(|line| helps(line)).for_each(|line| add(line));
            }
        }
    }
    for path in repository.ending(&["yaml", "yml"]).filter(|path| !is_test(path)) {
        let Some(text) = repository.text(path).filter(|text| SETTING.is_match(text)) else { continue };
        let mut names = Vec::new();
        yaml(&text).unwrap_or_default().iter().for_each(|value| described(value, &mut names));
        names.into_iter().for_each(|name| {
            found.entry(name).or_insert_with(|| path.display().to_string());
        });
    }
    for path in examples(repository) {
        let Some(text) = repository.text(path) else { continue };
        for entry in entries(&text).into_iter().filter(|entry| entry.explained) {
            found.entry(entry.name).or_insert_with(|| format!("{}:{}", path.display(), entry.line));
        }
    }
    found
}

/// Names that a description of settings has beside words on them: `environment_variable: APP_PORT` and `description: …`.
fn described(value: &serde_json::Value, names: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(all) => {
            let text = |keys: &[&str]| keys.iter().find_map(|key| all.get(*key)?.as_str());
            let words = text(&["description", "help", "doc"]).filter(|words| words.split_whitespace().count() >= 3);
            let name = text(&["environment_variable", "env_var", "envvar", "env"]);
            names.extend(name.filter(|_| words.is_some()).map(String::from));
            all.values().for_each(|inner| described(inner, names));
        }
        serde_json::Value::Array(all) => all.iter().for_each(|inner| described(inner, names)),
        _ => {}
    }
}

/// Variables whose option has a help text in the code: `envvar="APP_PORT", help="Where to listen"`.
fn by_the_program(repository: &Repository) -> BTreeSet<String> {
    let sources = repository.sources().iter().filter(|(path, _)| path.extension().is_some_and(|own| own == "py"));
    let found = sources.flat_map(|(_, source)| OPTION.captures_iter(&source.code));
    found.filter_map(|found| Some(found.get(1).or(found.get(2))?.as_str().to_owned())).collect()
}

/// Variables that a section on configuration describes in a table or a list, and that nothing else names.
pub(super) fn gone(repository: &Repository, documents: &Documents) -> Vec<(String, String)> {
    let mentioned = mentioned(repository);
    let mut found = Vec::new();
    for document in documents.own() {
        for section in document.sections.iter().filter(|section| is_on_variables(&section.title)) {
            let cells =
                section.rows.iter().skip(1).filter_map(|row| row.first()).map(|cell| (section.line, cell.as_str()));
            let codes = section
                .codes
                .iter()
                .filter(|_| section.rows.is_empty() && section.items > 0)
                .map(|(line, code)| (*line, code.as_str()));
            for (line, text) in cells.chain(codes) {
                let named = NAME.find(text.trim()).filter(|name| name.start() == 0 && name.end() == text.trim().len());
                let Some(name) = named.map(|name| name.as_str()) else { continue };
                if name.contains('_')
                    && !mentioned.contains(name)
                    && !is_of_framework(name)
                    && !suffix_known(&mentioned, name)
                {
                    found.push((name.to_owned(), document.place(line)));
                }
            }
        }
    }
    found
}

/// A prefix may be put before a field's name: `APP_LOG_LEVEL` of `log_level`.
fn suffix_known(mentioned: &BTreeSet<String>, name: &str) -> bool {
    let mut rest = name;
    while let Some((_, after)) = rest.split_once('_') {
        rest = after;
        if rest.contains('_') && mentioned.contains(rest) {
            return true;
        }
    }
    name.split_once('_')
        .is_some_and(|(prefix, rest)| mentioned.contains(&format!("{prefix}_")) && mentioned.contains(rest))
}

fn is_on_variables(title: &str) -> bool {
    let title = title.to_lowercase();
    ["environment", "configuration", "configure", "variables", "settings", "env vars", "options"]
        .iter()
        .any(|word| title.contains(word))
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    #[test]
    fn a_variable_that_is_gone_is_drift() {
        let folder = tempfile::tempdir().unwrap();
        let table = "## Configuration\n| variable | meaning |\n|---|---|\n| `DATABASE_URL` | a |\n| `LOG_LEVEL` | b |\n| `OLD_CACHE_URL` | c |\n";
        Sample::of(&[("README.md", table), ("app.py", CODE)]).write(folder.path()).unwrap();
        let found = EnvironmentVariables.look(&Repository::open(folder.path()).unwrap());
        assert!(matches!(&found.outcome, Outcome::Broken(why) if why.contains("OLD_CACHE_URL")), "{found:?}");
    }

    fn look(files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        EnvironmentVariables.look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn a_description_of_settings_explains_and_what_sets_them_does_not() {
        let port = ("app.py", "import os\nPORT = os.environ[\"APP_PORT_OF_IT\"]\n");
        let described = "properties:\n  PORT:\n    description: Where the app listens\n    environment_variable: \"APP_PORT_OF_IT\"\n";
        assert_eq!(look(&[port, ("settings.yaml", described)]), Outcome::Holds);
        let bare = described.replace("Where the app listens", "Port");
        assert!(matches!(look(&[port, ("settings.yaml", &bare)]), Outcome::Broken(_)));
    }

    #[test]
    fn what_the_programs_own_help_explains_is_left_open() {
        let code = |help: &str| {
            format!(
                "import os\nos.environ[\"APP_PORT_OF_IT\"]\n@option(\"--port\", envvar=\"APP_PORT_OF_IT\"{help})\ndef run(): ...\n"
            )
        };
        assert!(matches!(look(&[("app.py", &code(", help=\"Where to listen\""))]), Outcome::Unclear(_)));
        assert!(matches!(look(&[("app.py", &code(""))]), Outcome::Broken(_)));
    }

    #[test]
    fn arguments_of_tasks_are_no_settings() {
        let task = "desc 'Sends reminders'\ntask :remind do\n  days = ENV['REMIND_DAYS']\nend\n";
        assert!(!matches!(look(&[("lib/tasks/a.rake", task), ("app.rb", "puts 1")]), Outcome::Broken(_)));
        assert!(matches!(look(&[("app.rb", "d = ENV['REMIND_DAYS']\n")]), Outcome::Broken(_)));
    }
}
