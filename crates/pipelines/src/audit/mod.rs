//! Lock files held against advisories: which packages have a known flaw.

mod advisory;
mod database;
mod severity;
mod version;

use std::{collections::HashSet, path::PathBuf};

use seaworthy_repository::Repository;

use self::database::Database;
use super::lock_files::{CANARY, Ecosystem, LockFile};

/// A package with a known flaw.
#[derive(Debug, Clone)]
pub(super) struct Flaw {
    pub(super) id: String,
    pub(super) package: String,
    pub(super) version: String,
    pub(super) file: PathBuf,
    /// High, critical, or without a rating: a scanner would refuse it.
    pub(super) serious: bool,
}

/// What an audit came to.
#[derive(Debug)]
pub(super) struct Audit {
    pub(super) flaws: Vec<Flaw>,
    /// Packages that were held against advisories.
    pub(super) packages: usize,
    /// Advisories of the ecosystems in question.
    pub(super) advisories: usize,
    /// Lock files for whose ecosystem there are no advisories.
    pub(super) without: Vec<PathBuf>,
    /// How old the data is, in days.
    pub(super) age: i64,
}

/// Data that is older tells nothing of what became known since.
pub(super) const OLDEST: i64 = 7;

/// Holds every package against the advisories that are there; nothing when there are none. The error says why what is
/// there cannot be relied on.
pub(super) fn audit(repository: &Repository, files: &[LockFile]) -> Option<Result<Audit, String>> {
    let ecosystems: HashSet<Ecosystem> = files.iter().map(|file| file.format.ecosystem).collect();
    let wanted: HashSet<(Ecosystem, String)> = files
        .iter()
        .flat_map(|file| file.packages.iter().map(|package| (file.format.ecosystem, package.name.clone())))
        .collect();
    let database = match Database::read(repository, &ecosystems, &wanted)? {
        Ok(database) => database,
        Err(reason) => return Some(Err(reason)),
    };
    for file in files {
        if let Err(reason) = experiment(file) {
            return Some(Err(reason));
        }
    }
    let (with, without): (Vec<&LockFile>, Vec<&LockFile>) =
        files.iter().partition(|file| database.covers(file.format.ecosystem));
    let flaws = with.iter().flat_map(|file| flaws(&database, file)).collect();
    Some(Ok(Audit {
        flaws,
        packages: with.iter().map(|file| file.packages.len()).sum(),
        advisories: database.seen,
        without: without.iter().map(|file| file.path.clone()).collect(),
        age: database.age,
    }))
}

fn flaws(database: &Database, file: &LockFile) -> Vec<Flaw> {
    let ecosystem = file.format.ecosystem;
    let of = |package: &super::lock_files::Locked| {
        let known = database.about(ecosystem, &package.name).iter();
        let hit = known.filter(|advisory| advisory.affects(ecosystem, &package.name, &package.version));
        hit.map(|advisory| Flaw {
            id: advisory.id.clone(),
            package: package.name.clone(),
            version: package.version.clone(),
            file: file.path.clone(),
            serious: advisory.is_serious(),
        })
        .collect::<Vec<_>>()
    };
    file.packages.iter().flat_map(of).collect()
}

/// Plants a vulnerable entry in a lock file of the same format, with an advisory of ours: it must be found, and the fixed
/// version must not.
fn experiment(file: &LockFile) -> Result<(), String> {
    let ecosystem = file.format.ecosystem;
    let name = if ecosystem == Ecosystem::Go { format!("example.com/{CANARY}") } else { CANARY.to_owned() };
    let text = format!(
        "{{\"id\": \"SEAWORTHY-CANARY\", \"modified\": \"2026-01-01T00:00:00Z\", \"affected\": [{{\"package\": {{\"ecosystem\": \
         \"{}\", \"name\": \"{name}\"}}, \"ranges\": [{{\"type\": \"ECOSYSTEM\", \"events\": [{{\"introduced\": \"0\"}}, \
         {{\"fixed\": \"2.0.0\"}}]}}]}}], \"database_specific\": {{\"severity\": \"HIGH\"}}}}",
        ecosystem.name()
    );
    let broken = |what: &str| {
        format!("the control experiment failed for {}: {what}; this is an error of ours", file.format.name)
    };
    let advisory = advisory::Advisory::parse(&text).ok_or_else(|| broken("our own advisory is not read"))?;
    let database = Database::of(vec![advisory]);
    let finds = |version: &str| -> Result<bool, String> {
        let packages = file.format.packages(&(file.format.sample)(version)).map_err(|reason| broken(&reason))?;
        let sample = LockFile { path: file.path.clone(), format: file.format, packages };
        Ok(flaws(&database, &sample).iter().any(|flaw| flaw.serious))
    };
    match (finds("1.9.0")?, finds("2.0.0")?) {
        (true, false) => Ok(()),
        (false, _) => Err(broken("a planted flaw is not found")),
        (true, true) => Err(broken("a fixed version is called vulnerable")),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::lock_files::FORMATS, *};

    #[test]
    fn every_format_passes_its_control_experiment() {
        for format in FORMATS {
            let file = LockFile { path: PathBuf::new(), format, packages: Vec::new() };
            assert_eq!(experiment(&file), Ok(()), "{}", format.name);
        }
    }
}
