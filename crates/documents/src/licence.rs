//! `docs.license`: a recognised licence text, and a manifest that names the same licence.

use std::{fs, path::Path};

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

pub(super) struct Licence;

/// SPDX identifier and words that only its text has together.
const KNOWN: &[(&str, &[&str])] = &[
    ("MIT", &["permission is hereby granted, free of charge"]),
    ("Apache-2.0", &["apache license", "version 2.0"]),
    ("AGPL-3.0", &["gnu affero general public license", "version 3"]),
    ("LGPL-2.1", &["gnu lesser general public license", "version 2.1"]),
    ("LGPL-3.0", &["gnu lesser general public license", "version 3"]),
    ("GPL-3.0", &["gnu general public license", "version 3"]),
    ("GPL-2.0", &["gnu general public license", "version 2"]),
    ("MPL-2.0", &["mozilla public license", "version 2.0"]),
    ("BSD", &["redistribution and use in source and binary forms", "with or without modification"]),
    ("CC0-1.0", &["cc0 1.0 universal"]),
    ("ISC", &["permission to use, copy, modify, and/or distribute this software"]),
    ("Unlicense", &["free and unencumbered software released into the public domain"]),
    ("proprietary", &["all rights reserved"]),
];

impl Inspection for Licence {
    fn control(&self) -> &'static str {
        "docs.license"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository.root())
    }

    fn present(&self) -> Sample {
        let text = "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy…\n\
                    THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND\n";
        Sample::of(&[("LICENSE", text), ("package.json", "{\"license\": \"MIT\"}")])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[("README.md", "no licence here"), ("LICENSE-THIRD-PARTY.txt", "MIT License")])
    }
}

fn look(repo: &Path) -> Sighting {
    let mut cases = Cases::plan(1);
    let entries = match fs::read_dir(repo) {
        Ok(entries) => entries.filter_map(Result::ok),
        Err(error) => {
            return cases.gave_up(format!("cannot read {}: {error}", repo.display()));
        }
    };
    let is_licence = |name: &str| {
        let name = name.to_lowercase();
        let stem = name.trim_end_matches(".md").trim_end_matches(".txt");
        let stem = stem.trim_end_matches("-mit").trim_end_matches("-apache");
        ["license", "licence", "copying", "unlicense"].contains(&stem)
    };
    let files = entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().and_then(|n| n.to_str()).is_some_and(is_licence));
    let found: Vec<(String, Option<&str>)> = files.map(|path| (file_name(&path), recognise(&path))).collect();
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    let licences: Vec<&str> = found.iter().filter_map(|(_, licence)| *licence).collect();
    match (found.is_empty(), licences.is_empty()) {
        (true, _) => cases.tried(false, "no LICENSE file in the root of the repository"),
        (false, true) => cases.told_nothing(format!("{} holds no licence text that we know", names.join(", "))),
        (false, false) => cases.tried(true, format!("{} is {}", names.join(", "), licences.join(" and "))),
    }
    for (manifest, named) in manifest_licences(repo).into_iter().filter(|_| !licences.is_empty()) {
        cases.plan_more(1);
        let same = licences.iter().any(|licence| says(&named, licence));
        cases.tried(same, format!("{manifest} says {named}, the text is {}", licences.join(" and ")));
    }
    cases.note(format!("licence files: {}", names.join(", ")));
    cases.sighting(format!("{}: {}", names.join(", "), licences.join(" and ")))
}

fn recognise(path: &Path) -> Option<&'static str> {
    let text = fs::read_to_string(path).ok()?.to_lowercase();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Licences name each other further down; the title says which one it is.
    let text = text.chars().take(900).collect::<String>();
    KNOWN.iter().find(|(_, words)| words.iter().all(|word| text.contains(word))).map(|(name, _)| *name)
}

/// Whether a manifest's words name this licence.
fn says(named: &str, licence: &str) -> bool {
    if named.starts_with("SEE LICENSE IN") || named.eq_ignore_ascii_case("UNLICENSED") && licence == "proprietary" {
        return true;
    }
    let lower = named.to_lowercase().replace(" or ", "\n").replace(" and ", "\n");
    let whole = lower.split(['\n', ',', ';', '/', '|', '(', ')']);
    let words = lower.split(|character: char| !(character.is_ascii_alphanumeric() || "-.+".contains(character)));
    let licence = normal(licence);
    whole.chain(words).map(normal).any(|name| name == licence || (licence == "bsd" && name.starts_with("bsd")))
}

/// `Apache License, Version 2.0`, `GPLv3` and `GPL-3.0-only` in the way that all of them are written alike.
fn normal(name: &str) -> String {
    let lower = name.trim().to_lowercase();
    let lower = lower.trim_end_matches('+').trim_end_matches("-only").trim_end_matches("-or-later");
    let mut plain: String = lower.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '.').collect();
    let replaced = [
        ("license", ""),
        ("licence", ""),
        ("software", ""),
        ("version", ""),
        ("gnulessergeneralpublic", "lgpl"),
        ("gnuafferogeneralpublic", "agpl"),
        ("gnugeneralpublic", "gpl"),
        ("mozillapublic", "mpl"),
        ("v1", "1"),
        ("v2", "2"),
        ("v3", "3"),
    ];
    for (long, short) in replaced.into_iter().filter(|_| lower != "unlicense") {
        plain = plain.replace(long, short);
    }
    plain.trim_end_matches(".0").to_owned()
}

/// The licences that the manifests in the root name.
fn manifest_licences(repo: &Path) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if let Ok(text) = fs::read_to_string(repo.join("package.json")) {
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        found.extend(manifest["license"].as_str().map(|licence| ("package.json", licence.to_owned())));
    }
    for (file, path) in [("Cargo.toml", ["package", "license"]), ("pyproject.toml", ["project", "license"])] {
        let Ok(text) = fs::read_to_string(repo.join(file)) else { continue };
        let Ok(manifest) = text.parse::<toml::Table>() else { continue };
        let licence = manifest.get(path[0]).and_then(|section| section.get(path[1]));
        let licence = licence.and_then(|value| value.as_str().or_else(|| value.get("text")?.as_str()));
        found.extend(licence.map(|licence| (file, licence.to_owned())));
    }
    found
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    #[test]
    fn every_manifest_is_compared_and_names_are_alike() {
        let with = |cargo: &str| {
            let folder = tempfile::tempdir().unwrap();
            let text = "Permission is hereby granted, free of charge, to any person";
            let cargo = format!("[package]\nlicense = \"{cargo}\"\n");
            let files = [("LICENSE", text), ("package.json", "{\"name\": \"a\"}"), ("Cargo.toml", &cargo)];
            Sample::of(&files).write(folder.path()).unwrap();
            look(folder.path()).outcome
        };
        assert_eq!(with("MIT OR Apache-2.0"), Outcome::Holds);
        assert!(matches!(with("GPL-3.0-only"), Outcome::Broken(_)));
        assert!(says("Apache License 2.0", "Apache-2.0") && says("GPLv3", "GPL-3.0") && says("Unlicense", "Unlicense"));
        assert!(says("BSD-3-Clause", "BSD") && !says("GPLv2", "GPL-3.0") && !says("MIT", "ISC"));
    }
}
