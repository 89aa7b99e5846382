//! `ci.deps-current`: versions are locked, the lock is in step and fresh, and nothing is past its end.
//!
//! How far a package is behind its newest release cannot be seen without asking a registry. What stands for it: a bot that
//! proposes every new release, and a lock file that changed lately.

mod ended;
mod in_step;

use std::path::Path;

use seaworthy_repository::{Cases, Inspection, Kind, Repository, Sample, Sighting};

use super::{
    dependency_updates::{Place, places, services},
    ends_of_life::{Day, as_of},
};

pub(super) struct UpToDate;

const CONTROL: &str = "ci.deps-current";

/// A lock file that did not change for longer tells nothing of what is newest, in days.
const OLDEST: i64 = 180;

impl Inspection for UpToDate {
    fn control(&self) -> &'static str {
        CONTROL
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        sample("999.0.0")
    }

    fn absent(&self) -> Sample {
        sample("12.3.4")
    }
}

fn sample(next: &str) -> Sample {
    let package = format!("{{\"dependencies\": {{\"next\": \"^{next}\"}}}}");
    let lock = format!(
        "{{\"lockfileVersion\": 3, \"packages\": {{\"\": {{\"dependencies\": {{\"next\": \"^{next}\"}}}}, \"node_modules/next\": {{\"version\": \"{next}\"}}}}}}"
    );
    let bot = "version: 2\nupdates:\n  - package-ecosystem: npm\n    directory: /\n    schedule: {interval: weekly}\n";
    Sample::of(&[("package.json", &package), ("package-lock.json", &lock), (".github/dependabot.yml", bot)]).committed()
}

/// Lock files of an ecosystem, as Dependabot's names have them.
fn locks(name: &str) -> &'static [&'static str] {
    match name {
        "npm" => &["package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb"],
        "Python" => &["poetry.lock", "uv.lock", "pdm.lock", "Pipfile.lock", "pylock.toml", "pixi.lock"],
        "Go" => &["go.sum"],
        "Cargo" => &["Cargo.lock"],
        "Bundler" => &["Gemfile.lock", "gems.locked"],
        "Composer" => &["composer.lock"],
        "Mix" => &["mix.lock"],
        _ => &[],
    }
}

fn look(repository: &Repository) -> Sighting {
    let places = places(repository);
    let dated = ended::find(repository);
    if places.is_empty() && dated.is_empty() {
        return match repository.not_whole() {
            Some(cut) => Sighting::unclear(cut),
            None => Sighting::not_applicable("no manifest names a package, and no runtime or image has a version"),
        };
    }
    let mut cases = Cases::plan(0);
    ends(&mut cases, &dated);
    let mut locked = 0;
    for place in places.iter().filter(|place| !locks(place.name).is_empty()) {
        cases.plan_more(1);
        locked += usize::from(lock(&mut cases, repository, place));
    }
    if !places.is_empty() {
        newest(&mut cases, repository, &places);
    }
    let past = dated.len();
    cases.sighting(format!(
        "{past} runtimes, frameworks and images with a known end (list of {}), none reached; {locked} folders with packages are \
         locked, in step and changed within {OLDEST} days; a bot proposes what is newer",
        as_of()
    ))
}

/// What is past its end.
fn ends(cases: &mut Cases, dated: &[ended::Dated]) {
    let today = Day::today();
    for one in dated {
        let state = if one.ends < today { "ended" } else { "ends" };
        let what = format!("{} {} ({}) {state} on {}", one.product, one.version, one.place, one.ends);
        cases.note(what.clone());
        cases.plan_more(1);
        cases.tried(one.ends >= today, what);
    }
}

/// Whether a folder's packages are locked and the lock is in step and fresh.
fn lock(cases: &mut Cases, repository: &Repository, place: &Place) -> bool {
    let manifest = place.file();
    // A workspace has its lock file further up.
    let folders = place.folder.ancestors().chain([Path::new("")]);
    let found = folders
        .flat_map(|folder| locks(place.name).iter().map(move |name| folder.join(name)))
        .find(|path| repository.has(path));
    let Some(path) = found else {
        if let Some(pinned) = in_step::pinned_requirements(repository, place) {
            cases.note(format!("{} pins every package", pinned.display()));
            return fresh(cases, repository, &pinned);
        }
        if let Kind::Package(what) = repository.kind() {
            cases.told_nothing(format!(
                "{what}: it states ranges for those who install it, and no lock file says what it is tried with"
            ));
            return false;
        }
        cases.tried(false, format!("{} names packages, and no lock file says which versions", manifest.display()));
        return false;
    };
    match repository.git().and_then(|git| git.ignores(&path.to_string_lossy()).map_err(|_| "")) {
        Ok(true) => {
            cases.tried(false, format!("{} is ignored by Git: it locks nobody else's versions", path.display()));
            return false;
        }
        _ => cases.note(format!("{} locks {}", path.display(), manifest.display())),
    }
    match in_step::difference(repository, place, &path) {
        Some(difference) => {
            cases.tried(false, difference);
            false
        }
        None => fresh(cases, repository, &path),
    }
}

fn fresh(cases: &mut Cases, repository: &Repository, path: &Path) -> bool {
    let name = path.display();
    let git = match repository.git() {
        Ok(git) => git,
        Err(why) => {
            cases.told_nothing(format!("how old {name} is cannot be told: {why}"));
            return false;
        }
    };
    if let Some(why) = git.incomplete() {
        cases.told_nothing(format!("how old {name} is cannot be told: {why}"));
        return false;
    }
    let Some(time) = git.last_changed(path) else {
        cases.told_nothing(format!("{name} is in no commit: how old it is cannot be told"));
        return false;
    };
    let days = Day::today().0 - time.div_euclid(86_400);
    if days > OLDEST {
        cases.told_nothing(format!(
            "{name} was last changed {days} days ago: how far its packages are behind cannot be seen from here"
        ));
        return false;
    }
    cases.tried(true, format!("{name} is in step, and changed {days} days ago"));
    true
}

/// What tells of new releases.
fn newest(cases: &mut Cases, repository: &Repository, places: &[Place]) {
    cases.plan_more(1);
    let (services, _) = services(repository);
    let open = places.iter().find(|place| !services.iter().any(|service| service.looks_after(place, repository)));
    match open {
        None => cases.tried(true, "a bot proposes new releases"),
        Some(place) => cases.told_nothing(format!(
            "no bot proposes new releases of the {} packages of {}: how far they are behind cannot be seen without a registry",
            place.name,
            place.file().display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(sample: Sample) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        sample.write(folder.path()).unwrap();
        look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn what_is_missing_is_named() {
        let broken = |sample: Sample, word: &str| matches!(outcome(sample), Outcome::Broken(why) if why.contains(word));
        assert!(broken(sample("999.0.0").without("package-lock.json"), "no lock file"));
        assert!(broken(
            sample("999.0.0").with(&[("package.json", "{\"dependencies\": {\"next\": \"^999.1.0\"}}")]),
            "next"
        ));
        assert!(broken(sample("999.0.0").with(&[("Dockerfile", "ARG V=3.8\nFROM python:${V}-slim\n")]), "Python 3.8"));
        assert!(broken(
            Sample::of(&[("requirements.txt", "flask\n"), ("requirements-dev.txt", "pytest==8.0\n")]),
            "no lock file"
        ));
        assert!(broken(sample("999.0.0").with(&[(".gitignore", "package-lock.json\n")]), "ignored"));
        assert!(broken(
            sample("999.0.0").with(&[("compose.yml", "services:\n  db:\n    image: postgres:11\n")]),
            "PostgreSQL"
        ));
    }

    #[test]
    fn a_package_states_ranges_and_a_setup_script_may_pin() {
        let classifiers = "[project]\ndependencies = [\"flask>=2\"]\nclassifiers = [\"Framework :: Flask\"]\n";
        let package = Sample::of(&[("pyproject.toml", classifiers), ("a/__init__.py", "x = 1\n")]);
        assert!(matches!(outcome(package.clone()), Outcome::Unclear(why) if why.contains("ranges")));
        assert!(matches!(outcome(package.with(&[("manage.py", "x = 1\n")])), Outcome::Broken(_)));
        let pinned =
            ("setup.py", "setup(install_requires=\"\"\"\nflask==3.0.0\nredis[hiredis]==6.0\n\"\"\".split())\n");
        assert!(matches!(outcome(Sample::of(&[pinned])), Outcome::Unclear(why) if why.contains("how old setup.py")));
        let loose = ("setup.py", "setup(install_requires=['flask==3.0.0', 'redis'])\n");
        assert!(matches!(outcome(Sample::of(&[loose])), Outcome::Broken(_)));
    }

    #[test]
    fn without_a_bot_or_a_history_it_cannot_be_told() {
        assert!(matches!(outcome(sample("999.0.0").without(".github/dependabot.yml")), Outcome::Unclear(_)));
        let files = [("requirements.txt", "flask==3.0.0\n# x\n")];
        assert!(matches!(outcome(Sample::of(&files)), Outcome::Unclear(_)));
        assert!(matches!(outcome(Sample::of(&[("requirements.txt", "flask>=3\n")]).committed()), Outcome::Broken(_)));
    }
}
