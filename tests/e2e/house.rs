//! The rules of the house, held against the code.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, MetadataCommand};
use libtest_mimic::Trial;

use crate::support::test;

pub fn tests() -> Vec<Trial> {
    vec![
        test("imports_go_down_only", imports_go_down_only),
        test("files_are_one_idea", files_are_one_idea),
        test("every_error_code_has_its_entry", every_error_code_has_its_entry),
    ]
}

/// Floors of the design: a room imports only from floors below its own (or see `UPON`). `check` trusts nobody and gets less.
const FLOORS: &[(u8, &[&str])] = &[
    (3, &["seaworthy"]),
    (
        2,
        &[
            "edge",
            "protection",
            "validation",
            "uploads",
            "identity",
            "api",
            "cache",
            "jobs",
            "egress",
            "observability",
            "data",
            "deploy",
            "check",
            "report",
            "console",
        ],
    ),
    (
        1,
        &[
            "config",
            "store",
            "resilience",
            "notify",
            "evidence",
            "browser",
            "code",
            "suites",
            "pipelines",
            "settings",
            "documents",
            "containers",
            "databases",
        ],
    ),
    (0, &["core", "checklist", "repository"]),
];

/// A room, and the one of its own floor that it sits on: what runs in containers says which databases there are, and the
/// store reads its own section of the config.
const UPON: &[(&str, &str)] = &[("databases", "containers"), ("store", "config")];

/// What `check` is made of.
const PROVER: &[&str] = &[
    "core",
    "config",
    "checklist",
    "evidence",
    "browser",
    "repository",
    "code",
    "suites",
    "pipelines",
    "settings",
    "documents",
    "containers",
    "databases",
];

fn imports_go_down_only() {
    let floor: BTreeMap<&str, u8> =
        FLOORS.iter().flat_map(|(floor, rooms)| rooms.iter().map(move |room| (*room, *floor))).collect();
    let room = |package: &str| package.strip_prefix("seaworthy-").unwrap_or(package).to_owned();
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".into()])
        .exec();
    let metadata = metadata.unwrap();
    let mut rooms = 0;
    for package in &metadata.packages {
        let name = room(&package.name);
        let own = *floor.get(name.as_str()).unwrap_or_else(|| panic!("{name} is in no floor of the design"));
        rooms += 1;
        let ours = package
            .dependencies
            .iter()
            .filter(|needed| needed.kind != DependencyKind::Development && needed.path.is_some());
        for needed in ours.map(|needed| room(&needed.name)) {
            assert!(
                floor[needed.as_str()] < own || UPON.contains(&(name.as_str(), needed.as_str())),
                "{name} (floor {own}) imports {needed} (floor {})",
                floor[needed.as_str()]
            );
            assert!(name != "check" || PROVER.contains(&needed.as_str()), "check imports {needed}");
        }
        if own == 0 {
            assert!(
                package.dependencies.iter().all(|needed| needed.name != "hyper" && needed.name != "axum"),
                "core is small"
            );
        }
    }
    assert!(rooms >= 9, "{rooms} rooms were looked at");
}

/// At most 400 lines before a file's tests.
fn files_are_one_idea() {
    let files = sources();
    assert!(files.len() > 50);
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        // A test module in a file of its own, or a function for tests, ends nothing.
        let tests = |(line, next): &(&str, &str)| {
            line.starts_with("#[cfg(test)]") && next.ends_with(" {") && next.contains("mod ")
        };
        let lines = text.lines().zip(text.lines().skip(1)).take_while(|pair| !tests(pair)).count();
        assert!(lines <= 400, "{} has {lines} lines before its tests", path.display());
        assert!(text.starts_with("//!"), "{} does not say what it is about", path.display());
    }
}

fn every_error_code_has_its_entry() {
    let reference = fs::read_to_string(root().join("docs/reference/errors.md")).unwrap();
    let code = regex::Regex::new(r#""(SEA_[A-Z]+_[A-Z_]+)""#).unwrap();
    let mut codes = std::collections::BTreeSet::new();
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        codes.extend(code.captures_iter(text).map(|found| found[1].to_owned()));
    }
    assert!(codes.len() > 20);
    let missing: Vec<&String> = codes.iter().filter(|code| !reference.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "docs/reference/errors.md lacks {missing:?}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                found.push(entry);
            }
        }
    }
    found
}
