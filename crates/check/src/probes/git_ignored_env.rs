//! `config.gitignore-env`: `.env` is ignored, and none was ever committed.

use std::{io, path::Path};

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture,
    git::Git,
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct GitIgnoredEnv;

impl Probe for GitIgnoredEnv {
    fn about(&self) -> About {
        About { control: "config.gitignore-env".into(), kind: ProbeKind::Static, class: SafetyClass::Passive }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(async move {
            match &subject.repo {
                Some(repo) => look(repo, subject),
                None => Sighting::not_tried("name the app's source with --repo"),
            }
        })
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { repository(".env\n.env.*\n!.env.example\n", &[".env.example", ".gitignore"]) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { repository("node_modules\n", &[".env", ".gitignore"]) })
    }
}

fn repository(ignore: &str, committed: &[&str]) -> io::Result<Fixture> {
    let fixture = fixture::folder(&[(".gitignore", ignore), (".env", "KEY=value\n"), (".env.example", "KEY=\n")])?;
    if let Some(repo) = &fixture.subject.repo {
        fixture::commit(repo, committed)?;
    }
    Ok(fixture)
}

fn look(repo: &Path, subject: &Subject) -> Sighting {
    let git = match Git::open(repo) {
        Ok(git) => git,
        Err(why) => {
            return Cases::plan(2).gave_up(why);
        }
    };
    let mut cases = Cases::plan(2);
    match git.ignores(".env") {
        Ok(ignored) => {
            cases.tried(ignored, if ignored { ".env is ignored" } else { ".gitignore does not ignore .env" })
        }
        Err(why) => cases.told_nothing(why),
    }
    if let Some(why) = git.incomplete() {
        return cases.gave_up(why);
    }
    match git.paths_ever() {
        Ok(paths) => {
            let bad: Vec<&String> = paths.iter().filter(|path| is_env_file(path)).collect();
            subject.transcript.note(format!("{} paths in the whole history", paths.len()));
            let seen = match bad.first() {
                None => format!("none of {} paths of the whole history is a .env file", paths.len()),
                Some(first) => format!("{first} was committed; its values are public to everyone with the repository"),
            };
            cases.tried(bad.is_empty(), seen);
        }
        Err(why) => cases.told_nothing(why),
    }
    cases.sighting("ignored, and in no commit of the whole history")
}

/// `.env` and `.env.production`, but not the examples that belong into a repository.
fn is_env_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let harmless = ["example", "sample", "template", "dist", "defaults", "schema"];
    (name == ".env" || name.starts_with(".env.")) && !harmless.iter().any(|word| name.ends_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_no_env_files() {
        assert!(is_env_file("backend/.env") && is_env_file(".env.production"));
        assert!(!is_env_file(".env.example") && !is_env_file("a/.environment") && !is_env_file("x.env"));
    }

    #[test]
    fn a_copy_under_another_name_hides_nothing() {
        if std::process::Command::new("git").arg("--version").output().is_err() {
            return;
        }
        let files = [(".gitignore", ".env\n"), (".a-copy", "KEY=1\n"), (".env", "KEY=1\n")];
        let fixture = fixture::folder(&files).unwrap();
        let repo = fixture.subject.repo.clone().unwrap();
        fixture::commit(&repo, &[]).unwrap();
        let sighting = look(&repo, &fixture.subject);
        assert!(matches!(sighting.outcome, crate::probe::Outcome::Broken(_)), "{sighting:?}");
    }
}
