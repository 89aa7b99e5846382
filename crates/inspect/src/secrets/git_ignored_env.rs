//! `config.gitignore-env`: `.env` is ignored, and none was ever committed.

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

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
        Err(why) => return Cases::plan(2).gave_up(why),
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
            cases.note(format!("{} paths in the whole history", paths.len()));
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
pub(super) fn is_env_file(path: &str) -> bool {
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
        let folder = tempfile::tempdir().unwrap();
        let sample = Sample::of(&[(".gitignore", ""), (".a-copy", "KEY=1\n"), (".env", "KEY=1\n")]).committed();
        sample.with(&[(".gitignore", ".env\n")]).write(folder.path()).unwrap();
        let sighting = look(&Repository::open(folder.path()).unwrap());
        assert!(matches!(sighting.outcome, seaworthy_repository::Outcome::Broken(_)), "{sighting:?}");
    }
}
