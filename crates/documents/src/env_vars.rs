//! `docs.env-vars`: each variable that the code reads is listed with words on it, and none that is gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::LazyLock,
};

use regex::Regex;
use seaworthy_repository::{
    Cases, Inspection, Repository, Sample, Sighting, Source,
    environment::{entries, examples, first_few, is_of_framework, mentioned, read_by_app},
    yaml,
};
use serde_json::Value;

use crate::document::Documents;

pub(super) struct EnvironmentVariables;

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|\b[A-Z][A-Z0-9]{3,}\b").expect("the pattern is valid")
});

/// Where an option of click, Typer or argparse begins.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static OPTION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)\b(?:option|argument|add_argument)\(").expect("the pattern is valid"));
/// The variable that an option may come from.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static OF_OPTION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"\benv_?var\s*=\s*["'](\w+)["']"#).expect("the pattern is valid"));
/// Larger files are data.
const LARGEST: usize = 1 << 20;

impl Inspection for EnvironmentVariables {
    fn control(&self) -> &'static str {
        "docs.env-vars"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        let read = read_by_app(repository);
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
        let (helped, missing): (Vec<&str>, Vec<&str>) = {
            let helped = explained_by_help(repository);
            let names = read.iter().map(|read| read.name).filter(|name| !explained.contains_key(*name));
            names.partition(|name| helped.contains(*name))
        };
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
        cases.tried(missing.is_empty(), seen);
        if let Some(first) = helped.first() {
            cases.told_nothing(format!(
                "{} more, {first} first, have words in the program's own help alone: no document says them",
                helped.len()
            ));
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
    for (name, path) in of_schemas(repository) {
        found.entry(name).or_insert(path);
    }
    for path in examples(repository) {
        let Some(text) = repository.text(path) else { continue };
        for entry in entries(&text).into_iter().filter(|entry| entry.explained) {
            found.entry(entry.name).or_insert_with(|| format!("{}:{}", path.display(), entry.line));
        }
    }
    found
}

/// Variables of a schema of settings in YAML, which names the variable of each and describes it; documents are made of it.
fn of_schemas(repository: &Repository) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let is_yaml = |path: &&Path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    for path in repository.files().filter(is_yaml) {
        let text = repository.text(path).filter(|text| text.len() < LARGEST && text.contains("environment_variable:"));
        let mut open: Vec<Value> = text.and_then(|text| yaml(&text).ok()).unwrap_or_default();
        while let Some(value) = open.pop() {
            let described = value["description"].as_str().is_some_and(|words| words.split_whitespace().count() > 1);
            if let Some(name) = value["environment_variable"].as_str().filter(|_| described) {
                found.push((name.to_owned(), path.display().to_string()));
            }
            match value {
                Value::Object(table) => open.extend(table.into_iter().map(|(_, inner)| inner)),
                Value::Array(list) => open.extend(list),
                _ => {}
            }
        }
    }
    found
}

/// Variables of a program's options that have a text of help beside them.
fn explained_by_help(repository: &Repository) -> BTreeSet<String> {
    let of_source = |source: &Source| {
        let options: Vec<usize> = OPTION.find_iter(&source.code).map(|option| option.end()).collect();
        let ends = options.iter().skip(1).copied().chain([source.code.len()]);
        let with_help = options.iter().zip(ends).filter_map(|(from, to)| {
            let option = &source.code[*from..to];
            let name = OF_OPTION.captures(option)?;
            option.contains("help").then(|| name[1].to_owned())
        });
        with_help.collect::<Vec<_>>()
    };
    repository.sources().values().flat_map(of_source).collect()
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

    fn outcome(files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        EnvironmentVariables.look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn a_schema_that_describes_variables_explains_them() {
        let schema = "properties:\n  DATABASE:\n    description: Where the orders are kept.\n    environment_variable: DATABASE_URL\n  LEVEL:\n    environment_variable: LOG_LEVEL\n";
        let whole = format!("{schema}    description: How much is logged.\n");
        assert_eq!(outcome(&[("app.py", CODE), ("app/settings.yaml", &whole)]), Outcome::Holds);
        let bare = outcome(&[("app.py", CODE), ("app/settings.yaml", schema)]);
        assert!(
            matches!(&bare, Outcome::Broken(why) if why.contains("LOG_LEVEL") && !why.contains("DATABASE")),
            "{bare:?}"
        );
    }

    #[test]
    fn what_only_the_help_says_is_told_and_no_document() {
        let options =
            "import os\nos.environ['APP_PORT']\n@click.option('--port', help='Where to listen', envvar='APP_PORT')\n";
        assert!(matches!(outcome(&[("app.py", options)]), Outcome::Unclear(why) if why.contains("APP_PORT")));
        let silent = options.replace("help='Where to listen', ", "");
        assert!(matches!(outcome(&[("app.py", &silent)]), Outcome::Broken(_)));
    }
}
