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

/// Licences with a long text: what names one in fewer words is a notice. The shortest, that of LGPL-3.0, has some 1,100.
const LONG: &[&str] = &["Apache-2.0", "AGPL-3.0", "LGPL-2.1", "LGPL-3.0", "GPL-3.0", "GPL-2.0", "MPL-2.0"];
const LONG_TEXT: usize = 700;

/// What may stand behind `LICENSE` in the name of a file, when there are several.
const ENDINGS: &[&str] = &[
    "",
    "mit",
    "apache",
    "apache2",
    "apache20",
    "isc",
    "bsd",
    "bsd3clause",
    "gpl",
    "gpl3",
    "gplv3",
    "agpl",
    "agpl3",
    "lgpl",
    "lgpl3",
    "mpl",
    "mpl2",
    "mpl20",
    "0bsd",
    "cc0",
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
    let files = entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().and_then(|n| n.to_str()).is_some_and(is_licence));
    let mut found: Vec<(String, Option<Text>)> = files.map(|path| (file_name(&path), recognise(&path))).collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    let texts = found.iter().filter_map(|(_, text)| *text);
    let (notices, whole): (Vec<Text>, Vec<Text>) = texts.partition(Text::is_notice);
    let licences: Vec<&str> = whole.iter().map(|text| text.licence).collect();
    match (found.is_empty(), licences.is_empty()) {
        (true, _) if is_unlicensed(repo) => cases.told_nothing(
            "package.json is private and says UNLICENSED, and there is no LICENSE file: only its owners can say that nobody else shall have a licence",
        ),
        (true, _) => cases.tried(false, "no LICENSE file in the root of the repository"),
        (false, true) if !notices.is_empty() => cases.told_nothing(format!(
            "{} names {} in {} words: a notice, and not the text of the licence",
            names.join(", "),
            notices[0].licence,
            notices[0].words
        )),
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

/// What a file's text is.
#[derive(Clone, Copy)]
struct Text {
    licence: &'static str,
    words: usize,
}

impl Text {
    fn is_notice(&self) -> bool {
        self.words < LONG_TEXT && LONG.contains(&self.licence)
    }
}

fn is_licence(name: &str) -> bool {
    let name = name.to_lowercase();
    let name = name.trim_end_matches(".md").trim_end_matches(".txt").trim_end_matches(".rst");
    let (base, rest) = name.split_once(['.', '-', '_']).unwrap_or((name, ""));
    let rest: String = rest.chars().filter(char::is_ascii_alphanumeric).collect();
    ["license", "licence", "copying", "unlicense"].contains(&base) && ENDINGS.contains(&rest.as_str())
}

fn recognise(path: &Path) -> Option<Text> {
    let text = fs::read_to_string(path).ok()?.to_lowercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    // Licences name each other further down; the title says which one it is.
    let start = words.join(" ").chars().take(900).collect::<String>();
    let (licence, _) = KNOWN.iter().find(|(_, known)| known.iter().all(|word| start.contains(word)))?;
    Some(Text { licence, words: words.len() })
}

/// The manifest of a package that nobody is meant to get.
fn is_unlicensed(repo: &Path) -> bool {
    let Ok(text) = fs::read_to_string(repo.join("package.json")) else { return false };
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    manifest["private"] == true && manifest["license"] == "UNLICENSED"
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
        ("gnulgpl", "lgpl"),
        ("gnuagpl", "agpl"),
        ("gnugpl", "gpl"),
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
        assert!(says("GNU GPL v3", "GPL-3.0") && says("GNU LGPL v2.1", "LGPL-2.1") && !says("GNU GPL v2", "GPL-3.0"));
        assert!(says("BSD-3-Clause", "BSD") && !says("GPLv2", "GPL-3.0") && !says("MIT", "ISC"));
    }

    fn with(files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        look(folder.path()).outcome
    }

    #[test]
    fn a_notice_is_no_text() {
        let notice =
            "This is free software under the GNU General Public License, version 2; see https://gnu.invalid.\n";
        assert!(matches!(with(&[("LICENSE", notice)]), Outcome::Unclear(why) if why.contains("a notice")));
        assert_eq!(with(&[("LICENSE", &format!("{notice}{}", "word ".repeat(2_000)))]), Outcome::Holds);
    }

    #[test]
    fn a_text_may_be_in_one_of_several_files() {
        let isc = "Permission to use, copy, modify, and/or distribute this software for any purpose";
        let either = "Under the terms of either of the licenses found in LICENSE.ISC or LICENSE.MIT.";
        assert_eq!(with(&[("LICENSE", either), ("LICENSE.ISC", isc)]), Outcome::Holds);
        assert!(matches!(with(&[("LICENSE", either)]), Outcome::Unclear(_)));
        assert!(is_licence("LICENSE-APACHE-2.0.txt") && !is_licence("LICENSE-3RD-PARTY") && !is_licence("licenses"));
    }

    #[test]
    fn what_nobody_is_meant_to_get_has_no_licence() {
        let manifest = |private: bool| format!("{{\"private\": {private}, \"license\": \"UNLICENSED\"}}");
        assert!(matches!(with(&[("package.json", &manifest(true))]), Outcome::Unclear(_)));
        assert!(matches!(with(&[("package.json", &manifest(false))]), Outcome::Broken(_)));
    }
}
