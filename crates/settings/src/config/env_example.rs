//! `config.env-example`: the example file names what the code reads, nothing else, and no real value.

use std::path::Path;

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use super::values::{holds_secret, looks_generated, password_in};
use seaworthy_repository::environment::{
    Entry, Read, entries, examples, first_few, is_of_framework, mentioned, read_by_app,
};

pub(super) struct EnvExample;

impl Inspection for EnvExample {
    fn control(&self) -> &'static str {
        "config.env-example"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        let read = read_by_app(repository);
        if read.is_empty() {
            return nothing_read(repository);
        }
        look(repository, &read)
    }

    fn present(&self) -> Sample {
        Sample::of(&[("app.py", CODE), (".env.example", "DATABASE_URL=\n#LOG_LEVEL=info\n")])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[("app.py", CODE), (".env.example", "DATABASE_URL=\nSMTP_SERVER=\n")])
    }
}

const CODE: &str = "import os\nDATABASE = os.environ[\"DATABASE_URL\"]\nLEVEL = os.getenv(\"LOG_LEVEL\", \"info\")\n";

/// What to say when no variable is seen.
pub(super) fn nothing_read(repository: &Repository) -> Sighting {
    match (repository.sources().len(), repository.not_whole()) {
        (0, _) => Sighting::unclear("there is no source in a language that is read here, so no variable is seen"),
        (_, Some(why)) => Sighting::unclear(why),
        (sources, _) => Sighting::not_applicable(format!("the {sources} sources read no variable of their own")),
    }
}

fn look(repository: &Repository, read: &[Read<'_>]) -> Sighting {
    let mut cases = Cases::plan(1);
    let files: Vec<(&Path, Vec<Entry>)> =
        examples(repository).into_iter().filter_map(|path| Some((path, entries(&repository.text(path)?)))).collect();
    if files.is_empty() {
        cases.tried(
            false,
            format!(
                "the code reads {} variables ({}), and there is no .env.example",
                read.len(),
                first_few(read.iter().map(|read| read.name), 3)
            ),
        );
        return cases.sighting("");
    }
    let names: Vec<String> = files.iter().map(|(path, all)| format!("{} ({})", path.display(), all.len())).collect();
    cases.note(format!("example files: {}", names.join(", ")));
    let missing: Vec<&Read<'_>> =
        read.iter().filter(|read| !read.places.iter().all(|(path, _)| is_shown(&files, path, read.name))).collect();
    match missing.first() {
        None => {
            cases.tried(true, format!("all {} variables that the code reads are in {}", read.len(), names.join(", ")))
        }
        Some(first) => {
            let all = first_few(missing.iter().map(|read| read.name), 4);
            let place = first.places.first().map_or(String::new(), |(path, line)| format!("{}:{line}", path.display()));
            cases.tried(
                false,
                format!(
                    "{} of {} variables that the code reads are in no example file: {all} ({place})",
                    missing.len(),
                    read.len()
                ),
            );
        }
    }
    stale(&mut cases, repository, &files, read);
    real(&mut cases, &files);
    if let Some(why) = repository.not_whole() {
        cases.told_nothing(why);
    }
    cases.sighting(format!("{} variables read, all in {}; no other, and no real value", read.len(), names.join(", ")))
}

/// An example file of the same folder, or of one above; with a single one, it is everybody's.
fn is_shown(files: &[(&Path, Vec<Entry>)], path: &Path, name: &str) -> bool {
    files.iter().any(|(file, all)| {
        let folder = file.parent().unwrap_or(Path::new(""));
        (files.len() == 1 || path.starts_with(folder) || folder.components().count() == 0)
            && all.iter().any(|entry| entry.name == name)
    })
}

fn stale(cases: &mut Cases, repository: &Repository, files: &[(&Path, Vec<Entry>)], read: &[Read<'_>]) {
    let mentioned = mentioned(repository);
    let known = |name: &str| {
        // A settings class may put a prefix before its fields' names, and `__` between the levels.
        let nested = name.split_once("__").is_some_and(|(first, _)| mentioned.contains(&first.to_ascii_uppercase()));
        let prefixed = name.split_once('_').is_some_and(|(prefix, rest)| {
            mentioned.contains(&format!("{prefix}_").to_ascii_uppercase())
                && mentioned.contains(&rest.to_ascii_uppercase())
        });
        read.iter().any(|read| read.name == name)
            || mentioned.contains(&name.to_ascii_uppercase())
            || is_of_framework(name)
            || nested
            || prefixed
    };
    cases.plan_more(1);
    let of_file = |(path, all): &(&Path, Vec<Entry>)| {
        let gone = all.iter().filter(|entry| !entry.commented && !known(&entry.name));
        gone.map(|entry| format!("{}:{} names {}", path.display(), entry.line, entry.name)).collect::<Vec<_>>()
    };
    let gone: Vec<String> = files.iter().flat_map(of_file).collect();
    let total: usize = files.iter().map(|(_, all)| all.len()).sum();
    match gone.first() {
        None => cases.tried(true, format!("each of {total} names is used somewhere")),
        Some(first) => cases
            .tried(false, format!("{first}, which nothing in the repository uses ({} of {total} such)", gone.len())),
    }
}

fn real(cases: &mut Cases, files: &[(&Path, Vec<Entry>)]) {
    cases.plan_more(1);
    let is_real = |entry: &&Entry| {
        let by_name = holds_secret(&entry.name) && looks_generated(&entry.value);
        by_name || password_in(&entry.value).is_some_and(|(password, _)| looks_generated(password))
    };
    let found = files.iter().find_map(|(path, all)| Some((path, all.iter().find(is_real)?)));
    match found {
        None => cases.tried(true, "no value looks real"),
        Some((path, entry)) => cases.tried(
            false,
            format!(
                "{}:{}: the value of {} looks real ({} characters)",
                path.display(),
                entry.line,
                entry.name,
                entry.value.len()
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        EnvExample.look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn both_directions_and_real_values() {
        let good = "DATABASE_URL=\nLOG_LEVEL=\n";
        assert_eq!(outcome(&[("a.py", CODE), (".env.sample", good)]), Outcome::Holds);
        let why = |example: &str| match outcome(&[("a.py", CODE), (".env.example", example)]) {
            Outcome::Broken(why) => why,
            other => format!("{other:?}"),
        };
        assert!(why(&format!("{good}SMTP_SERVER=\n")).contains("SMTP_SERVER"));
        let value = format!("{}{}", "k9Xv2TqLm4Zr8", "WsB7nYc3Hd");
        assert!(why(&format!("{good}POSTGRES_PASSWORD={value}\n")).contains("looks real"));
        assert!(!why(&format!("{good}POSTGRES_PASSWORD={value}\n")).contains(&value));
        assert!(matches!(outcome(&[("a.py", CODE)]), Outcome::Broken(_)));
        assert!(matches!(outcome(&[("a.py", "print(1)")]), Outcome::NotApplicable(_)));
    }

    #[test]
    fn each_part_of_a_whole_has_its_own() {
        let js = "a(process.env.API_URL)";
        let files = [
            ("api/a.py", CODE),
            ("web/a.js", js),
            ("api/.env.example", "DATABASE_URL=\nLOG_LEVEL=\n"),
            ("web/.env.example", "API_URL=\n"),
        ];
        assert_eq!(outcome(&files), Outcome::Holds);
        let files = [
            ("api/a.py", CODE),
            ("web/a.js", js),
            ("api/.env.example", "DATABASE_URL=\nLOG_LEVEL=\nAPI_URL=\n"),
            ("web/.env.example", ""),
        ];
        assert!(matches!(outcome(&files), Outcome::Broken(_)));
    }
}
