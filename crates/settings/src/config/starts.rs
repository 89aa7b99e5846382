//! How files start the app in production: container files, Procfiles, compose files, scripts.

use std::path::Path;

use seaworthy_repository::{Repository, yaml};
use serde_json::Value;

/// A command that starts the app.
#[derive(Debug, Clone)]
pub(super) struct ProductionStart {
    /// The command, with the script of package.json that it runs.
    pub command: String,
    /// `path:line`.
    pub place: String,
    /// It is in a container's file.
    pub in_container: bool,
}

const DEVELOPMENT: &[&str] = &[
    "dev",
    "development",
    "test",
    "tests",
    "local",
    "override",
    "ci",
    "debug",
    "devcontainer",
    "example",
    "examples",
    "e2e",
    "demo",
];

/// Every start that is for production, as far as names tell.
pub(super) fn production_starts(repository: &Repository) -> Vec<ProductionStart> {
    let mut found = Vec::new();
    for path in repository.files().filter(|path| !is_for_development(path)) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let container = name.starts_with("Dockerfile")
            || name.starts_with("Containerfile")
            || name.ends_with(".Dockerfile")
            || name.ends_with(".dockerfile");
        let compose = name.contains("compose") && (name.ends_with(".yml") || name.ends_with(".yaml"));
        if !(container || name == "Procfile" || compose || name == "render.yaml") {
            continue;
        }
        let Some(text) = repository.text(path).filter(|text| text.len() < 1 << 20) else { continue };
        let lines = match (container, name) {
            (true, _) => of_container(&text),
            (_, "Procfile") => of_procfile(&text),
            _ => of_yaml(&text),
        };
        found.extend(lines.into_iter().map(|(line, command)| ProductionStart {
            command: with_script(repository, path, &command),
            place: format!("{}:{line}", path.display()),
            in_container: container,
        }));
    }
    found
}

pub(super) fn is_for_development(path: &Path) -> bool {
    let text = path.to_string_lossy().to_lowercase();
    text.split(['/', '.', '-', '_']).any(|word| DEVELOPMENT.contains(&word))
}

/// What the last stage starts.
fn of_container(text: &str) -> Vec<(usize, String)> {
    let mut entry = None;
    let mut command = None;
    let mut begun: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        let (at, whole) = match begun.take() {
            Some((at, start)) => (at, format!("{start} {line}")),
            None => (index + 1, line.to_owned()),
        };
        if let Some(start) = whole.strip_suffix('\\') {
            begun = Some((at, start.trim_end().to_owned()));
            continue;
        }
        let (word, rest) = whole.split_once(char::is_whitespace).unwrap_or((&whole, ""));
        match word.to_ascii_uppercase().as_str() {
            "FROM" => (entry, command) = (None, None),
            "ENTRYPOINT" => entry = Some((at, words(rest))),
            "CMD" => command = Some((at, words(rest))),
            _ => {}
        }
    }
    match (entry, command) {
        (Some((at, first)), Some((_, rest))) => vec![(at, format!("{first} {rest}"))],
        (one, other) => one.or(other).into_iter().collect(),
    }
}

/// `["a", "b"]` as `a b`.
fn words(text: &str) -> String {
    serde_json::from_str::<Vec<String>>(text.trim()).map_or_else(|_| text.trim().to_owned(), |words| words.join(" "))
}

fn of_procfile(text: &str) -> Vec<(usize, String)> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#'));
    lines
        .filter_map(|(index, line)| {
            Some((index + 1, line.split_once(':').filter(|(name, _)| *name != "release")?.1.trim().to_owned()))
        })
        .collect()
}

fn of_yaml(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for document in yaml(text).unwrap_or_default() {
        let services = &document["services"];
        let all: Vec<&Value> = services
            .as_object()
            .into_iter()
            .flatten()
            .map(|(_, one)| one)
            .chain(services.as_array().into_iter().flatten())
            .collect();
        for service in
            all.into_iter().filter(|service| !service["build"].is_null() || !service["startCommand"].is_null())
        {
            let mounts = service["volumes"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .any(|volume| volume.starts_with("./:") || volume.starts_with(".:"));
            let command = match &service["command"] {
                Value::String(text) => text.clone(),
                Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
                _ => service["startCommand"].as_str().unwrap_or_default().to_owned(),
            };
            // With its source mounted, it is for a developer's machine.
            if !command.is_empty() && !mounts {
                let first = command.split_whitespace().last().unwrap_or_default();
                let line = text.lines().position(|line| line.contains(first)).map_or(1, |at| at + 1);
                found.push((line, command));
            }
        }
    }
    found
}

/// `npm start` is what the script says.
fn with_script(repository: &Repository, path: &Path, command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    let manager = words.iter().position(|word| ["npm", "yarn", "pnpm", "bun"].contains(word));
    let name = manager.and_then(|at| match words.get(at + 1..) {
        Some(["run", name, ..]) => Some(*name),
        Some([name, ..]) => Some(*name),
        _ => None,
    });
    let folder = path.parent().unwrap_or(Path::new(""));
    let manifests = repository.manifests();
    let manifest = manifests.of(folder, "javascript").or_else(|| manifests.of(Path::new(""), "javascript"));
    match name.and_then(|name| manifest?.scripts.get(name)) {
        Some(script) => format!("{command} → {script}"),
        None => command.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Sample;

    use super::*;

    #[test]
    fn the_last_stage_starts_the_app() {
        let folder = tempfile::tempdir().unwrap();
        let text =
            "FROM a AS dev\nCMD npm run dev\nFROM a\nENTRYPOINT [\"tini\"]\n# CMD x\nCMD [\"npm\", \\\n \"start\"]\n";
        Sample::of(&[
            ("Dockerfile", text),
            ("Dockerfile.dev", "FROM a\nCMD nodemon"),
            ("Procfile", "release: x\nweb: node a.js\n"),
            ("package.json", "{\"scripts\": {\"start\": \"next start\"}}"),
        ])
        .write(folder.path())
        .unwrap();
        let starts = production_starts(&Repository::open(folder.path()).unwrap());
        let shown: Vec<String> = starts.iter().map(|start| format!("{} {}", start.place, start.command)).collect();
        assert_eq!(shown, ["Dockerfile:4 tini npm start → next start", "Procfile:2 node a.js"]);
    }
}
