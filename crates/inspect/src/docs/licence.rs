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
    if let Some((manifest, named)) = manifest_licence(repo).filter(|_| !licences.is_empty()) {
        cases.plan_more(1);
        let ids: Vec<&str> =
            named.split(|character: char| !(character.is_ascii_alphanumeric() || "-.+".contains(character))).collect();
        let plain =
            |id: &str| id.trim_end_matches("-only").trim_end_matches("-or-later").trim_end_matches('+').to_owned();
        let names = |id: &&str, licence: &str| {
            plain(id).eq_ignore_ascii_case(licence) || (licence == "BSD" && id.starts_with("BSD-"))
        };
        let same = named.starts_with("SEE LICENSE IN")
            || licences.iter().any(|licence| ids.iter().any(|id| names(id, licence)));
        let same = same || (named.eq_ignore_ascii_case("UNLICENSED") && licences.contains(&"proprietary"));
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

/// The licence that a manifest in the root names.
fn manifest_licence(repo: &Path) -> Option<(&'static str, String)> {
    if let Ok(text) = fs::read_to_string(repo.join("package.json")) {
        let manifest: serde_json::Value = serde_json::from_str(&text).ok()?;
        return manifest["license"].as_str().map(|licence| ("package.json", licence.to_owned()));
    }
    for (file, path) in [("Cargo.toml", ["package", "license"]), ("pyproject.toml", ["project", "license"])] {
        let Ok(text) = fs::read_to_string(repo.join(file)) else { continue };
        let manifest: toml::Table = text.parse().ok()?;
        let licence = manifest.get(path[0]).and_then(|section| section.get(path[1]));
        let licence = licence.and_then(|value| value.as_str().or_else(|| value.get("text")?.as_str()));
        return licence.map(|licence| (file, licence.to_owned()));
    }
    None
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
