//! `ci.dep-updates`: Dependabot or Renovate, set up for every language that the repository has packages of.

use std::path::{Path, PathBuf};

use seaworthy_repository::{
    Cases, Inspection, Repository, Sample, Sighting,
    pipeline::{Event, Purpose, Truth},
    yaml,
};
use serde_json::Value;

use super::lock_files::{Ecosystem, is_aside};

pub(super) struct DependencyUpdates;

impl Inspection for DependencyUpdates {
    fn control(&self) -> &'static str {
        "ci.dep-updates"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        sample("npm", "/web")
    }

    fn absent(&self) -> Sample {
        sample("github-actions", "/")
    }
}

fn sample(ecosystem: &str, directory: &str) -> Sample {
    let text = format!(
        "version: 2\nupdates:\n  - package-ecosystem: {ecosystem}\n    directory: {directory}\n    schedule: {{interval: weekly}}\n"
    );
    Sample::of(&[(".github/dependabot.yml", &text), ("web/package.json", "{\"dependencies\": {\"express\": \"^5\"}}")])
        .committed()
}

/// A folder with packages of one ecosystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: &'static str,
    pub(super) folder: PathBuf,
    file: PathBuf,
}

/// A bot, and which places it covers.
pub(super) struct Service {
    pub(super) name: &'static str,
    pub(super) file: PathBuf,
    covers: Coverage,
}

enum Coverage {
    /// Ecosystems of Dependabot with their folders.
    Folders(Vec<(String, String)>),
    /// Everything, but for other managers than these when there are some.
    Managers(Option<Vec<String>>),
}

/// Ecosystems: as we call them, as Dependabot does, as Renovate does.
const ECOSYSTEMS: [(&str, &[&str], &[&str]); 10] = [
    ("npm", &["npm", "bun"], &["npm", "bun"]),
    (
        "Python",
        &["pip", "uv", "pipenv", "poetry"],
        &["pip_requirements", "poetry", "pep621", "pipenv", "pip_setup", "setup-cfg", "uv", "pip-compile"],
    ),
    ("Go", &["gomod"], &["gomod"]),
    ("Cargo", &["cargo"], &["cargo"]),
    ("Bundler", &["bundler"], &["bundler"]),
    ("Composer", &["composer"], &["composer"]),
    ("Maven", &["maven"], &["maven"]),
    ("Gradle", &["gradle"], &["gradle"]),
    ("NuGet", &["nuget"], &["nuget"]),
    ("Mix", &["mix"], &["mix"]),
];

/// Every folder with packages, examples and tests apart.
pub(super) fn places(repository: &Repository) -> Vec<Place> {
    let mut found: Vec<Place> = Vec::new();
    for ((folder, language), manifest) in &repository.manifests().all {
        let Some(first) = manifest.dependencies.first() else { continue };
        let name = match Ecosystem::of_language(language) {
            Some(Ecosystem::Npm) => "npm",
            Some(Ecosystem::PyPi) => "Python",
            Some(Ecosystem::Go) => "Go",
            Some(Ecosystem::CratesIo) => "Cargo",
            Some(Ecosystem::RubyGems) => "Bundler",
            _ => continue,
        };
        found.push(Place { name, folder: folder.clone(), file: first.file.clone() });
    }
    let others = [
        ("composer.json", "Composer"),
        ("pom.xml", "Maven"),
        ("build.gradle", "Gradle"),
        ("build.gradle.kts", "Gradle"),
        ("mix.exs", "Mix"),
    ];
    for (file, name) in others {
        let folders = repository.files().filter(|path| path.ends_with(file));
        found.extend(folders.map(|path| Place {
            name,
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
            file: path.to_owned(),
        }));
    }
    // Packages that an older way to set up Python names.
    for path in repository.files().filter(|path| path.ends_with("setup.py") || path.ends_with("setup.cfg")) {
        let folder = path.parent().unwrap_or(Path::new(""));
        let is_known = found.iter().any(|place| place.name == "Python" && place.folder == folder);
        if !is_known && repository.text(path).is_some_and(|text| text.contains("install_requires")) {
            found.push(Place { name: "Python", folder: folder.to_owned(), file: path.to_owned() });
        }
    }
    found.retain(|place| !is_aside(&place.file));
    found
}

/// The bots that are set up, and what of their settings cannot be read.
pub(super) fn services(repository: &Repository) -> (Vec<Service>, Vec<String>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for name in [".github/dependabot.yml", ".github/dependabot.yaml"] {
        let Some(text) = repository.text(name) else { continue };
        match yaml(&text).map(|documents| documents.into_iter().next().unwrap_or_default()) {
            Ok(document) => found.push(dependabot(name, &document)),
            Err(reason) => problems.push(format!("{name} cannot be read: {reason}")),
        }
    }
    let renovate = [
        "renovate.json",
        "renovate.json5",
        ".github/renovate.json",
        ".github/renovate.json5",
        ".gitlab/renovate.json",
        ".renovaterc",
        ".renovaterc.json",
        ".renovaterc.json5",
    ];
    for name in renovate {
        let Some(text) = repository.text(name) else { continue };
        match relaxed(&text) {
            Some(value) => match renovate_of(&value) {
                Ok(covers) => found.push(Service { name: "Renovate", file: name.into(), covers }),
                Err(reason) => problems.push(format!("{name}: {reason}")),
            },
            None => problems.push(format!("{name} cannot be read")),
        }
    }
    let package = repository.text("package.json").and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let within = package.filter(|package| package["renovate"].is_object());
    if let Some(Ok(covers)) = within.map(|package| renovate_of(&package["renovate"])) {
        found.push(Service { name: "Renovate", file: "package.json".into(), covers });
    }
    let by_clock = repository.pipelines().runs(Purpose::Updates);
    for run in by_clock.iter().filter(|run| run.placed.occasions().on(Event::Schedule) >= Truth::Maybe) {
        found.push(Service {
            name: "Renovate",
            file: run.placed.pipeline.file.clone(),
            covers: Coverage::Managers(None),
        });
    }
    (found, problems)
}

fn dependabot(name: &str, document: &Value) -> Service {
    let mut folders = Vec::new();
    for update in document["updates"].as_array().into_iter().flatten() {
        // With a limit of 0 it proposes fixes of known flaws alone.
        if update["open-pull-requests-limit"] == 0 {
            continue;
        }
        let ecosystem = update["package-ecosystem"].as_str().unwrap_or_default();
        let listed = update["directories"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for folder in update["directory"].as_str().into_iter().chain(listed) {
            folders.push((ecosystem.to_owned(), folder.trim_matches('/').trim_start_matches("./").to_owned()));
        }
    }
    Service { name: "Dependabot", file: name.into(), covers: Coverage::Folders(folders) }
}

fn renovate_of(value: &Value) -> Result<Coverage, String> {
    if value["enabled"] == false {
        return Err("`enabled: false`".to_owned());
    }
    let managers = value["enabledManagers"].as_array();
    let managers = managers.map(|list| list.iter().filter_map(Value::as_str).map(String::from).collect());
    Ok(Coverage::Managers(managers))
}

/// JSON with comments, commas at the end, and names without quotes.
fn relaxed(text: &str) -> Option<Value> {
    if let Ok(value) = serde_json::from_str(text) {
        return Some(value);
    }
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(letter) = rest.chars().next() {
        let taken = match letter {
            '"' | '\'' => {
                let end = quoted_end(rest, letter);
                let inner = rest[1..end].replace('"', "\\\"");
                plain.push_str(&format!("\"{}\"", if letter == '"' { &rest[1..end] } else { &inner }));
                (end + 1).min(rest.len())
            }
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            letter if letter.is_alphabetic() || letter == '_' || letter == '$' => {
                let end = rest
                    .find(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '$')
                    .unwrap_or(rest.len());
                let word = &rest[..end];
                let bare = ["true", "false", "null"].contains(&word);
                plain.push_str(&if bare { word.to_owned() } else { format!("\"{word}\"") });
                end
            }
            '}' | ']' => {
                let kept = plain.trim_end().trim_end_matches(',').len();
                plain.truncate(kept);
                plain.push(letter);
                1
            }
            letter => {
                plain.push(letter);
                letter.len_utf8()
            }
        };
        rest = &rest[taken.max(1)..];
    }
    serde_json::from_str(&plain).ok()
}

fn quoted_end(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        if letter == quote && !escaped {
            return at;
        }
        escaped = letter == '\\' && !escaped;
    }
    text.len()
}

impl Place {
    /// Its manifest.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }
}

impl Service {
    /// Whether it looks after a place. A lock file further up covers what is below it.
    pub(super) fn looks_after(&self, place: &Place, repository: &Repository) -> bool {
        let Some((_, dependabot, renovate)) = ECOSYSTEMS.iter().find(|(name, _, _)| *name == place.name) else {
            return true;
        };
        match &self.covers {
            Coverage::Managers(None) => true,
            Coverage::Managers(Some(managers)) => managers.iter().any(|own| renovate.contains(&own.as_str())),
            Coverage::Folders(folders) => {
                let own = place.folder.to_string_lossy();
                let has_lock =
                    ["package-lock.json", "yarn.lock", "pnpm-lock.yaml", "Cargo.lock", "poetry.lock", "uv.lock"]
                        .iter()
                        .any(|lock| repository.has(place.folder.join(lock)));
                folders.iter().filter(|(ecosystem, _)| dependabot.contains(&ecosystem.as_str())).any(|(_, folder)| {
                    fits(folder, &own)
                        || (!has_lock
                            && !own.is_empty()
                            && (folder.is_empty() || own.starts_with(&format!("{folder}/"))))
                })
            }
        }
    }
}

/// Folders of Dependabot may have `*` and `**`.
fn fits(pattern: &str, folder: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == folder,
        Some((start, end)) => {
            let end = end.trim_start_matches('*').trim_matches('/');
            folder.starts_with(start.trim_end_matches('/')) && folder.ends_with(end)
        }
    }
}

fn look(repository: &Repository) -> Sighting {
    let places = places(repository);
    let (services, problems) = services(repository);
    if places.is_empty() {
        return match repository.not_whole() {
            Some(cut) => Sighting::unclear(cut),
            None => Sighting::not_applicable("no manifest of the repository names a package"),
        };
    }
    let mut cases = Cases::plan(places.len());
    problems.iter().for_each(|problem| cases.note(problem.clone()));
    services.iter().for_each(|service| cases.note(format!("{} by {}", service.name, service.file.display())));
    for place in &places {
        let by = services.iter().find(|service| service.looks_after(place, repository));
        let file = place.file.display();
        match (by, services.first(), problems.first()) {
            (Some(service), _, _) => cases.tried(true, format!("{} of {file} by {}", place.name, service.name)),
            (None, _, Some(problem)) if problem.contains("cannot be read") => cases.told_nothing(problem.clone()),
            (None, None, None) => {
                let packages =
                    format!("{file} has {} packages, and neither Dependabot nor Renovate is set up", place.name);
                cases.tried(false, format!("{packages} (one that is only switched on at the server leaves no file)"));
            }
            (None, None, Some(problem)) => cases.tried(false, problem.clone()),
            (None, Some(service), _) => {
                let what = format!("{} is not set up for the {} packages of {file}", service.name, place.name);
                cases.tried(false, format!("{what} ({})", service.file.display()));
            }
        }
    }
    let named: Vec<String> =
        services.iter().map(|service| format!("{} ({})", service.name, service.file.display())).collect();
    let besides = not_covered(repository, &services);
    let besides = match besides.is_empty() {
        true => String::new(),
        false => format!("; it does not cover {}", besides.join(" and ")),
    };
    cases.sighting(format!("{} covers all {} folders with packages{besides}", named.join(" and "), places.len()))
}

/// What is no package and has versions all the same, where Dependabot alone is set up and does not name it.
fn not_covered(repository: &Repository, services: &[Service]) -> Vec<String> {
    let mut ecosystems: Vec<&str> = Vec::new();
    for service in services {
        match &service.covers {
            Coverage::Folders(folders) => ecosystems.extend(folders.iter().map(|(ecosystem, _)| ecosystem.as_str())),
            Coverage::Managers(_) => return Vec::new(),
        }
    }
    let is_image = |path: &&Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        !is_aside(path) && (name.starts_with("Dockerfile") || name.starts_with("Containerfile"))
    };
    let workflows = repository.ending(&["yml", "yaml"]).filter(|path| path.starts_with(".github/workflows")).count();
    let images = repository.files().filter(is_image).count();
    let all = [("github-actions", "workflows", workflows), ("docker", "container files", images)];
    let left = all.iter().filter(|(ecosystem, _, count)| *count > 0 && !ecosystems.contains(ecosystem));
    left.map(|(ecosystem, what, count)| format!("{ecosystem} ({count} {what})")).collect()
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        look(&Repository::open(folder.path()).unwrap()).outcome
    }

    const PACKAGE: (&str, &str) = ("package.json", "{\"dependencies\": {\"a\": \"1\"}}");

    #[test]
    fn renovate_and_its_switches() {
        assert_eq!(outcome(&[PACKAGE, ("renovate.json", "{\"extends\": [\"config:recommended\"]}")]), Outcome::Holds);
        assert_eq!(
            outcome(&[PACKAGE, ("renovate.json5", "// x\n{extends: ['config:recommended', /* y */],}")]),
            Outcome::Holds
        );
        assert!(matches!(outcome(&[PACKAGE, ("renovate.json", "{\"enabled\": false}")]), Outcome::Broken(_)));
        assert!(matches!(
            outcome(&[PACKAGE, ("renovate.json", "{\"enabledManagers\": [\"gomod\"]}")]),
            Outcome::Broken(_)
        ));
        assert!(matches!(outcome(&[PACKAGE, ("renovate.json", "{{")]), Outcome::Unclear(_)));
        assert!(matches!(outcome(&[("a.py", "")]), Outcome::NotApplicable(_)));
    }

    #[test]
    fn dependabot_by_folder() {
        let of = |folder: &str, more: &str| {
            let text = format!("version: 2\nupdates:\n- package-ecosystem: npm\n  directory: {folder}\n{more}");
            outcome(&[PACKAGE, (".github/dependabot.yml", &text)])
        };
        assert_eq!(of("/", ""), Outcome::Holds);
        assert!(matches!(of("/frontend", ""), Outcome::Broken(_)));
        let folder = tempfile::tempdir().unwrap();
        let bot = "version: 2\nupdates:\n- package-ecosystem: npm\n  directory: /\n- package-ecosystem: docker\n  directory: /\n";
        Sample::of(&[
            PACKAGE,
            (".github/dependabot.yml", bot),
            (".github/workflows/a.yml", "on: push\n"),
            ("Dockerfile", "FROM x\n"),
        ])
        .write(folder.path())
        .unwrap();
        let seen = format!("{:?}", look(&Repository::open(folder.path()).unwrap()));
        assert!(seen.contains("does not cover github-actions (1 workflows)") && !seen.contains("docker ("), "{seen}");
        assert!(matches!(of("/", "  open-pull-requests-limit: 0\n"), Outcome::Broken(_)));
    }
}
