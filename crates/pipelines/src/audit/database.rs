//! Advisories on this machine: a folder in the format of OSV, and RustSec's where `cargo audit` keeps it.

use std::{
    collections::{HashMap, HashSet},
    env, fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use seaworthy_repository::Repository;

use super::{
    super::{ends_of_life::Day, lock_files::Ecosystem},
    advisory::Advisory,
};

/// What is known, as far as it concerns the packages in question.
pub(super) struct Database {
    by_package: HashMap<(Ecosystem, String), Vec<Advisory>>,
    covered: HashSet<Ecosystem>,
    /// How many advisories were read.
    pub(super) seen: usize,
    /// Days since the newest change.
    pub(super) age: i64,
}

/// More files are not read, larger ones are no advisory, and folders are not followed further down.
const MOST: usize = 600_000;
const LARGEST: u64 = 4 << 20;
const DEEPEST: usize = 5;

impl Database {
    /// Reads what is there; nothing when nothing is.
    pub(super) fn read(
        repository: &Repository,
        ecosystems: &HashSet<Ecosystem>,
        wanted: &HashSet<(Ecosystem, String)>,
    ) -> Option<Result<Self, String>> {
        let given = repository.declared.advisories.as_ref();
        let rust = rustsec_folder().filter(|_| ecosystems.contains(&Ecosystem::CratesIo));
        if given.is_none() && rust.is_none() {
            return None;
        }
        let mut database = Self { by_package: HashMap::new(), covered: HashSet::new(), seen: 0, age: i64::MAX };
        let mut newest = String::new();
        if let Some(folder) = given {
            let folder = repository.root().join(folder);
            if !folder.is_dir() {
                return Some(Err(format!("{} is no folder of advisories", folder.display())));
            }
            database.read_osv(&folder, wanted, &mut newest);
            if database.seen == 0 {
                return Some(Err(format!("{} holds no advisory in the format of OSV", folder.display())));
            }
            database.age = Day::parse(&newest).map_or(i64::MAX, |day| Day::today().0 - day.0);
        }
        if let Some(folder) = rust.filter(|_| !database.covers(Ecosystem::CratesIo)) {
            database.read_rustsec(&folder, wanted);
            let age = fetched(&folder).map_or(i64::MAX, |day| Day::today().0 - day.0);
            // The older one of both decides.
            database.age = if given.is_some() { database.age.max(age) } else { age };
        }
        Some(Ok(database))
    }

    /// Of these alone.
    pub(super) fn of(advisories: Vec<Advisory>) -> Self {
        let mut database = Self { by_package: HashMap::new(), covered: HashSet::new(), seen: 0, age: 0 };
        advisories.into_iter().for_each(|advisory| database.add(advisory, None));
        database
    }

    /// Whether there are advisories of an ecosystem.
    pub(super) fn covers(&self, ecosystem: Ecosystem) -> bool {
        self.covered.contains(&ecosystem)
    }

    /// The advisories of a package.
    pub(super) fn about(&self, ecosystem: Ecosystem, name: &str) -> &[Advisory] {
        self.by_package.get(&(ecosystem, name.to_owned())).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, advisory: Advisory, wanted: Option<&HashSet<(Ecosystem, String)>>) {
        self.seen += 1;
        let mut keys: Vec<(Ecosystem, String)> =
            advisory.affected.iter().map(|own| (own.ecosystem, own.package.clone())).collect();
        keys.sort();
        keys.dedup();
        self.covered.extend(keys.iter().map(|(ecosystem, _)| *ecosystem));
        for key in keys.into_iter().filter(|key| wanted.is_none_or(|wanted| wanted.contains(key))) {
            self.by_package.entry(key).or_default().push(advisory.clone());
        }
    }

    fn read_osv(&mut self, folder: &Path, wanted: &HashSet<(Ecosystem, String)>, newest: &mut String) {
        let mut open = vec![(folder.to_owned(), 0)];
        while let Some((folder, depth)) = open.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let Ok(kind) = entry.file_type() else { continue };
                let path = entry.path();
                if kind.is_dir() && depth < DEEPEST {
                    open.push((path, depth + 1));
                } else if kind.is_file() && path.extension().is_some_and(|ending| ending == "json") && self.seen < MOST
                {
                    let Some(advisory) = text(&path).and_then(|text| Advisory::parse(&text)) else { continue };
                    if advisory.modified > *newest {
                        newest.clone_from(&advisory.modified);
                    }
                    self.add(advisory, Some(wanted));
                }
            }
        }
    }

    /// RustSec has a folder for each crate: only those in question are read.
    fn read_rustsec(&mut self, folder: &Path, wanted: &HashSet<(Ecosystem, String)>) {
        self.covered.insert(Ecosystem::CratesIo);
        for (_, name) in wanted.iter().filter(|(ecosystem, _)| *ecosystem == Ecosystem::CratesIo) {
            if name.contains(['/', '\\']) || name.starts_with('.') {
                continue;
            }
            for entry in fs::read_dir(folder.join("crates").join(name)).into_iter().flatten().flatten() {
                if let Some(advisory) = text(&entry.path()).and_then(|text| Advisory::parse_rustsec(&text)) {
                    self.add(advisory, Some(wanted));
                }
            }
        }
    }
}

fn text(path: &Path) -> Option<String> {
    let metadata = fs::symlink_metadata(path).ok()?;
    (metadata.is_file() && metadata.len() <= LARGEST).then(|| fs::read_to_string(path).ok())?
}

/// Where `cargo audit` keeps RustSec's advisories.
fn rustsec_folder() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))?;
    let folder = home.join("advisory-db");
    folder.join("crates").is_dir().then_some(folder)
}

/// When it was last fetched.
fn fetched(folder: &Path) -> Option<Day> {
    let time = |path: &str| fs::metadata(folder.join(path)).and_then(|metadata| metadata.modified()).ok();
    let newest: SystemTime = [".git/FETCH_HEAD", ".git/HEAD", "crates"].into_iter().filter_map(time).max()?;
    Some(Day::of(newest))
}
