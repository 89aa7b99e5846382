//! `config.gitignore-env`: `.env` is ignored, and none was ever committed.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use seaworthy_repository::{Cases, Git, Inspection, Repository, Sample, Sighting, is_secret, is_test};

use super::scan::{assignment, looks_secret};

pub(super) struct GitIgnoredEnv;

impl Inspection for GitIgnoredEnv {
    fn control(&self) -> &'static str {
        "config.gitignore-env"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        with_ignored(".env\n.env.*\n!.env.example\n")
    }

    fn absent(&self) -> Sample {
        with_ignored("node_modules\n")
    }
}

fn with_ignored(ignored: &str) -> Sample {
    Sample::of(&[(".gitignore", ignored), (".env", "KEY=value\n"), (".env.example", "KEY=\n")]).committed()
}

fn look(repository: &Repository) -> Sighting {
    let git = match repository.git() {
        Ok(git) => git,
        Err(why) => return Cases::plan(3).gave_up(why),
    };
    let mut cases = Cases::plan(3);
    match first_open(repository, git) {
        Ok(None) => cases.tried(true, ".env is ignored"),
        Ok(Some(path)) => cases.tried(false, format!(".gitignore does not ignore {path}")),
        Err(why) => cases.told_nothing(why),
    }
    look_at_disk(repository, git, &mut cases);
    if let Some(why) = git.incomplete() {
        return cases.gave_up(why);
    }
    match git.paths_ever() {
        Ok(paths) => {
            cases.note(format!("{} paths in the whole history", paths.len()));
            let bad = paths
                .iter()
                .find(|path| is_env_file(path))
                .map(|path| format!("{path} was committed; its values are public to everyone with the repository"));
            let bad = bad.map_or_else(|| with_secrets(git, &paths), |bad| Ok(Some(bad)));
            match bad {
                Ok(bad) => {
                    let none = format!("none of {} paths of the whole history is a .env file", paths.len());
                    cases.tried(bad.is_none(), bad.unwrap_or(none));
                }
                Err(why) => cases.told_nothing(why),
            }
        }
        Err(why) => cases.told_nothing(why),
    }
    cases.sighting("ignored, and in no commit of the whole history")
}

/// Files that make a folder one where a `.env` would be put.
const MARKS: &[&str] = &[
    "package.json",
    "pyproject.toml",
    "requirements.txt",
    "Cargo.toml",
    "go.mod",
    "Gemfile",
    "composer.json",
    "pom.xml",
    "mix.exs",
    ".env.example",
    ".env.sample",
    ".env.template",
    ".env.dist",
    "env.example",
];

/// Each question starts a program; so many folders show how the rules are written.
const MOST_FOLDERS: usize = 100;

/// The first `.env` that git would take: at the root, and in each folder with a manifest or an example.
fn first_open(repository: &Repository, git: &Git) -> Result<Option<String>, String> {
    if !git.ignores(".env")? {
        return Ok(Some(".env".to_owned()));
    }
    let above = above(repository, git);
    let folders: BTreeSet<&Path> =
        repository.named(MARKS).filter(|path| !is_test(path)).filter_map(Path::parent).collect();
    for folder in folders.into_iter().take(MOST_FOLDERS) {
        let path = folder.join(".env");
        if above.join(&path).to_str().map_or(Ok(true), |path| git.ignores(path))? {
            continue;
        }
        return Ok(Some(path.display().to_string()));
    }
    Ok(None)
}

/// Where this folder is within the one that git has.
fn above(repository: &Repository, git: &Git) -> PathBuf {
    let root = repository.root();
    let top = git.top().unwrap_or(root);
    let above = root.canonicalize().ok();
    above.as_deref().and_then(|root| root.strip_prefix(top).ok()).unwrap_or(Path::new("")).to_owned()
}

/// Env files that lie here must each be ignored, not only one at the root.
fn look_at_disk(repository: &Repository, git: &Git, cases: &mut Cases) {
    let above = above(repository, git);
    // Ignored files are not among the repository's own.
    let own: Vec<&Path> = repository.files().filter(|path| path.to_str().is_some_and(is_env_file)).collect();
    let open = own.iter().find(|path| {
        let path = above.join(path);
        path.to_str().is_none_or(|path| !git.ignores(path).unwrap_or_default())
    });
    match open {
        None => cases.tried(true, "every .env file that lies here is ignored"),
        Some(path) => cases.tried(false, format!("{} lies here and is not ignored", path.display())),
    }
}

/// Of files that may be committed as long as they hold no secret, the first that ever held one.
fn with_secrets(git: &Git, paths: &BTreeSet<String>) -> Result<Option<String>, String> {
    if !paths.iter().any(|path| may_be_committed(path)) {
        return Ok(None);
    }
    let mut first = None;
    git.blobs_of(may_be_committed, 1 << 20, |blob| {
        let text = String::from_utf8_lossy(&blob.content).into_owned();
        let secret = text.lines().filter_map(assignment).find(|(name, value)| is_secret(name) && looks_secret(value));
        if let (None, Some((name, _))) = (&first, secret) {
            let version = blob.id.get(..10).unwrap_or(&blob.id);
            first = Some(format!("{} was committed with a value of {name} (object {version})", blob.path));
        }
    })?;
    Ok(first)
}

/// `.env` and `.env.production`, but not the examples that belong into a repository.
pub(super) fn is_env_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let is_one = name == ".env"
        || [".env.", ".env-", ".env_"].iter().any(|start| name.starts_with(start))
        // Those of Cloudflare's workers, of `act`, and of an Azure function.
        || [".dev.vars", ".secrets", ".secrets.env", "local.settings.json"].contains(&name.as_str());
    is_one && !is_harmless(&name) && !may_be_committed(&name)
}

fn is_harmless(name: &str) -> bool {
    // `.env.vault` and `.env.gpg` are encrypted, `.env.j2` is filled in elsewhere.
    let words = [
        "example", "sample", "template", "tpl", "dist", "default", "defaults", "schema", "vault", "md", "d.ts", "ts",
        "js", "j2", "tmpl", "erb", "enc", "gpg", "age", "sops",
    ];
    words.iter().any(|word| name.ends_with(word))
        || ["example.", "sample.", "template."]
            .iter()
            .any(|word| name.starts_with(word) || name.contains(&format!(".{word}")))
}

/// Settings of stages without secrets, which frameworks want committed; and files that are named otherwise.
fn may_be_committed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let stages =
        [".env.test", ".env.testing", ".env.ci", ".env.e2e", ".env.development", ".env.dev", ".flaskenv", ".envrc"];
    let named = name.ends_with(".env") && name != ".env"
        || name.starts_with("env.") && !name.contains(".d.") && !name.ends_with("s");
    (stages.contains(&name.as_str()) || named) && !is_harmless(&name)
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    #[test]
    fn examples_are_no_env_files() {
        assert!(is_env_file("backend/.env") && is_env_file(".env.production"));
        assert!(!is_env_file(".env.example") && !is_env_file("a/.environment") && !is_env_file("x.env"));
        for path in [".env-prod", ".ENV", "a/.env.prod.local", ".dev.vars", ".env.keys", "api/local.settings.json"] {
            assert!(is_env_file(path), "{path}");
        }
        for path in
            [".env.example.production", ".env.vault", "sample.env", "env.d.ts", "src/env.ts", ".env.test", "envs/a.py"]
        {
            assert!(!is_env_file(path), "{path}");
        }
    }

    fn outcome(sample: &Sample) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        sample.write(folder.path()).unwrap();
        look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn a_stage_may_be_committed_without_secrets() {
        let with = |name: &str, value: &str| {
            let ignored = (".gitignore", ".env\n");
            Sample::of(&[ignored, (name, &format!("DEBUG=1\nDB_PASSWORD={value}\n"))])
                .committed()
                .without(name)
                .committed()
        };
        let value = format!("{}{}", "kR4vTq9", "Zq81LmPx");
        for name in [".env.test", "deploy/prod.env", ".env.development"] {
            assert_eq!(outcome(&with(name, "changeme")), Outcome::Holds, "{name}");
            assert!(
                matches!(outcome(&with(name, &value)), Outcome::Broken(why) if why.contains("DB_PASSWORD")),
                "{name}"
            );
        }
    }

    #[test]
    fn a_file_in_another_folder_must_be_ignored_too() {
        let sample = Sample::of(&[(".gitignore", "/.env\n"), ("a.py", "")]).committed();
        assert_eq!(outcome(&sample), Outcome::Holds);
        let sample = sample.with(&[("api/.env", "A=1\n")]);
        assert!(matches!(outcome(&sample), Outcome::Broken(why) if why.contains("api/.env")));
    }

    #[test]
    fn the_env_file_of_each_folder_must_be_ignored() {
        let with = |rule: &str| {
            outcome(
                &Sample::of(&[(".gitignore", rule), ("api/package.json", "{}"), ("tests/a/package.json", "{}")])
                    .committed(),
            )
        };
        assert_eq!(with(".env\n"), Outcome::Holds);
        assert!(matches!(with("/.env\n"), Outcome::Broken(why) if why.contains("api/.env")));
        assert!(!is_env_file(".env.j2") && !is_env_file("a/.env.prod.gpg"));
    }

    #[test]
    fn a_copy_under_another_name_hides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let sample = Sample::of(&[(".gitignore", ""), (".a-copy", "KEY=1\n"), (".env", "KEY=1\n")]).committed();
        sample.with(&[(".gitignore", ".env\n")]).write(folder.path()).unwrap();
        let sighting = look(&Repository::open(folder.path()).unwrap());
        assert!(matches!(sighting.outcome, Outcome::Broken(_)), "{sighting:?}");
    }
}
