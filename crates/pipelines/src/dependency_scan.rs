//! `ci.dep-scan`: a scanner of dependencies that can refuse a change, and the lock files held against advisories.

use seaworthy_repository::{
    Cases, Inspection, Repository, Sample, Sighting,
    pipeline::{Event, Occasions, Purpose, Truth},
};

use super::{
    audit::{Audit, Flaw, OLDEST, audit},
    dependency_updates::{places, services},
    gate::{Gate, Wanted, gate, listed},
    lock_files::lock_files,
};

pub(super) struct DependencyScan;

const CONTROL: &str = "ci.dep-scan";

const WANTED: Wanted<'static> = Wanted {
    purpose: Purpose::DependencyScan,
    name: "a scanner of dependencies",
    when: by_itself,
    when_name: "by itself",
    hints: &["audit", "depend", "osv", "snyk", "scan", "secur", "vuln", "shared library", "uploads a pipeline"],
    others: &[],
};

/// On changes, or by the clock: flaws become known without a change.
fn by_itself(occasions: &Occasions) -> Truth {
    occasions.on_changes().max(occasions.on(Event::Schedule))
}

impl Inspection for DependencyScan {
    fn control(&self) -> &'static str {
        CONTROL
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        sample("npm audit --audit-level=high")
    }

    fn absent(&self) -> Sample {
        sample("npm audit || true")
    }
}

fn sample(command: &str) -> Sample {
    let text = format!(
        "on: [push, pull_request]\njobs:\n  audit:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - run: npm ci\n      - run: {command}\n"
    );
    let lock = "{\"lockfileVersion\": 3, \"packages\": {\"\": {\"dependencies\": {\"a\": \"^1.0.0\"}}, \"node_modules/a\": {\"version\": \"1.0.0\"}}}";
    let files = [
        (".github/workflows/audit.yml", text.as_str()),
        ("package.json", "{\"dependencies\": {\"a\": \"^1.0.0\"}}"),
        ("package-lock.json", lock),
    ];
    Sample::of(&files).committed()
}

fn look(repository: &Repository) -> Sighting {
    let (files, unreadable) = lock_files(repository);
    if places(repository).is_empty() && files.is_empty() {
        return match repository.not_whole() {
            Some(cut) => Sighting::unclear(cut),
            None => Sighting::not_applicable("no manifest of the repository names a package"),
        };
    }
    let mut cases = Cases::plan(1);
    unreadable.iter().for_each(|problem| cases.note(problem.clone()));
    files.iter().for_each(|file| cases.note(format!("{}: {} packages", file.path.display(), file.packages.len())));
    let audited = audit(repository, &files);
    let summary = match audited {
        Some(Ok(audited)) => {
            cases.plan_more(1);
            Some(told(&mut cases, repository, &audited))
        }
        Some(Err(why)) => return cases.gave_up(why),
        None => None,
    };
    let scanned = scanner(&mut cases, repository, summary.is_some());
    let audited = summary.unwrap_or_else(|| "not held against advisories here: none are given".to_owned());
    cases.sighting(format!("{scanned}; {audited}"))
}

/// A scanner in the pipeline, or a service that tells of flaws.
fn scanner(cases: &mut Cases, repository: &Repository, audited: bool) -> String {
    let (services, _) = services(repository);
    match (gate(repository, &WANTED), services.first()) {
        (Gate::Holds(runs), _) => {
            let summary = format!("{} in the pipeline, and findings count", listed(&runs));
            cases.tried(true, summary.clone());
            summary
        }
        (_, Some(service)) if audited => {
            let summary = format!("{} is set up", service.name);
            cases.tried(true, summary.clone());
            summary
        }
        (_, Some(service)) => {
            cases.told_nothing(format!(
                "{} is set up ({}), but whether it tells of flaws is set on the server, and no advisories are given to hold the lock files against",
                service.name,
                service.file.display()
            ));
            String::new()
        }
        (Gate::Broken(why), None) => {
            cases.tried(false, why);
            String::new()
        }
        (Gate::Unclear(why), None) => {
            cases.told_nothing(why);
            String::new()
        }
    }
}

/// What the audit came to, as a case.
fn told(cases: &mut Cases, repository: &Repository, audited: &Audit) -> String {
    let waived = |flaw: &&Flaw| {
        repository.is_waived(CONTROL, flaw.id.as_ref()) || repository.is_waived(CONTROL, flaw.package.as_ref())
    };
    let serious: Vec<&Flaw> = audited.flaws.iter().filter(|flaw| flaw.serious && !waived(flaw)).collect();
    for flaw in audited.flaws.iter().take(50) {
        let state = if waived(&flaw) {
            ", waived"
        } else if flaw.serious {
            ""
        } else {
            ", not serious"
        };
        cases.note(format!("{}: {} {} in {}{state}", flaw.id, flaw.package, flaw.version, flaw.file.display()));
    }
    if let Some(first) = serious.first() {
        let why = format!(
            "{} serious known flaw{} in {} packages, the first {} in {} {} ({})",
            serious.len(),
            if serious.len() == 1 { "" } else { "s" },
            audited.packages,
            first.id,
            first.package,
            first.version,
            first.file.display()
        );
        cases.tried(false, why.clone());
        return why;
    }
    if audited.age > OLDEST {
        let age = if audited.age > 100_000 { "of unknown age".to_owned() } else { format!("{} days old", audited.age) };
        cases.told_nothing(format!("the advisories are {age}: fetch them anew (at most {OLDEST} days)"));
    } else if let Some(file) = audited.without.first() {
        cases.told_nothing(format!("there are no advisories for the ecosystem of {}", file.display()));
    } else if audited.packages == 0 {
        cases.told_nothing("no lock file names a version: what is installed is not known");
    }
    let summary = format!(
        "0 of {} locked packages have a serious known flaw by {} advisories that are {} days old; a planted one was found",
        audited.packages, audited.advisories, audited.age
    );
    cases.tried(true, summary.clone());
    summary
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::{super::ends_of_life::Day, *};

    fn outcome(command: &str, advisory: Option<(&str, &str, i64)>) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        sample(command).write(folder.path()).unwrap();
        let advisories = tempfile::tempdir().unwrap();
        let mut repository = Repository::open(folder.path()).unwrap();
        if let Some((fixed, severity, age)) = advisory {
            let modified = Day(Day::today().0 - age);
            let text = format!(
                "{{\"id\": \"GHSA-x\", \"modified\": \"{modified}T00:00:00Z\", \"database_specific\": {{\"severity\": \"{severity}\"}}, \"affected\": [{{\"package\": {{\"ecosystem\": \"npm\", \"name\": \"a\"}}, \"ranges\": [{{\"type\": \"SEMVER\", \"events\": [{{\"introduced\": \"0\"}}, {{\"fixed\": \"{fixed}\"}}]}}]}}]}}"
            );
            std::fs::create_dir(advisories.path().join("npm")).unwrap();
            std::fs::write(advisories.path().join("npm/GHSA-x.json"), text).unwrap();
            repository.declared.advisories = Some(advisories.path().to_owned());
        }
        look(&repository).outcome
    }

    #[test]
    fn lock_files_are_held_against_advisories() {
        assert_eq!(outcome("npm audit", Some(("1.0.0", "HIGH", 1))), Outcome::Holds);
        assert!(
            matches!(outcome("npm audit", Some(("1.0.1", "HIGH", 1))), Outcome::Broken(why) if why.contains("GHSA-x"))
        );
        assert_eq!(outcome("npm audit", Some(("1.0.1", "LOW", 1))), Outcome::Holds);
        assert!(matches!(outcome("npm audit", Some(("1.0.0", "HIGH", 30))), Outcome::Unclear(_)));
        assert!(matches!(outcome("npm audit", Some(("1.0.1", "HIGH", 30))), Outcome::Broken(_)));
        assert!(matches!(outcome("npm audit || true", Some(("1.0.0", "HIGH", 1))), Outcome::Broken(_)));
    }

    #[test]
    fn a_waiver_names_the_advisory() {
        let folder = tempfile::tempdir().unwrap();
        sample("npm audit").write(folder.path()).unwrap();
        let mut repository = Repository::open(folder.path()).unwrap();
        repository.declared.waived.insert(CONTROL.into(), vec!["GHSA-x".into()]);
        let flaw =
            Flaw { id: "GHSA-x".into(), package: "a".into(), version: "1".into(), file: "l".into(), serious: true };
        let audited = Audit { flaws: vec![flaw], packages: 1, advisories: 1, without: Vec::new(), age: 0 };
        let mut cases = Cases::plan(1);
        told(&mut cases, &repository, &audited);
        assert_eq!(cases.sighting("x").outcome, Outcome::Holds);
    }
}
