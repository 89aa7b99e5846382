//! Migrations of a repository: which tool they are for, in which order, and what is wrong with that order. What is known of
//! tools is in `migrations.toml`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{LazyLock, OnceLock},
};

use regex::Regex;
use seaworthy_repository::{Pattern, Repository};
use serde::Deserialize;

use super::stores::is_beside_the_app;

/// A tool.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tool {
    pub name: String,
    pub reader: String,
    #[serde(default)]
    graph: String,
    path: Pattern,
    content: Option<Pattern>,
    without: Option<Pattern>,
    language: Option<String>,
    /// A file beside the steps that has to be there.
    beside: Option<String>,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    gaps_by_number: bool,
    /// `up` in the name becomes this for the way back.
    pair: Option<String>,
    /// The file of the way back.
    sibling: Option<String>,
    pub apply: Pattern,
    pub revert: Option<Pattern>,
    pub in_code: Option<Pattern>,
    down: Option<Pattern>,
}

#[derive(Debug, Default, Deserialize)]
struct Tools {
    tool: Vec<Tool>,
}

/// The migrations of one tool in one folder (of one app, in Django).
#[derive(Debug)]
pub(crate) struct History {
    pub tool: String,
    pub reader: String,
    pub folder: PathBuf,
    /// In the order in which they are applied.
    pub steps: Vec<Step>,
    /// What breaks the order.
    pub problems: Vec<String>,
}

/// One migration.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub path: PathBuf,
    pub app: Option<String>,
    version: String,
    /// It says how to go back.
    pub down: bool,
}

/// Every tool.
pub(crate) fn tools() -> &'static [Tool] {
    static BUILT_IN: OnceLock<Tools> = OnceLock::new();
    &BUILT_IN.get_or_init(|| toml::from_str(include_str!("migrations.toml")).unwrap_or_default()).tool
}

/// The tool of a history.
pub(crate) fn tool(name: &str) -> Option<&'static Tool> {
    tools().iter().find(|tool| tool.name == name)
}

/// Every history; a file belongs to the first tool that knows it.
pub(crate) fn histories(repository: &Repository) -> Vec<History> {
    let mut taken: BTreeSet<PathBuf> = BTreeSet::new();
    let mut found = Vec::new();
    for tool in tools() {
        if tool.language.as_ref().is_some_and(|language| !repository.speaks(language)) {
            continue;
        }
        let mut folders: BTreeMap<PathBuf, Vec<Step>> = BTreeMap::new();
        for path in repository.files().filter(|path| !seaworthy_repository::is_test(path) && !is_beside_the_app(path)) {
            let Some((folder, step)) = step_of(repository, tool, path).filter(|_| !taken.contains(path)) else {
                continue;
            };
            taken.insert(path.to_owned());
            folders.entry(folder).or_default().push(step);
        }
        found.extend(folders.into_iter().map(|(folder, steps)| ordered(repository, tool, folder, steps)));
    }
    found
}

fn step_of(repository: &Repository, tool: &Tool, path: &Path) -> Option<(PathBuf, Step)> {
    let name = path.to_string_lossy().replace('\\', "/");
    let matched = tool.path.0.captures(&name)?;
    if tool.without.as_ref().is_some_and(|without| without.0.is_match(&name)) {
        return None;
    }
    let text = repository.text(path)?;
    if tool.content.as_ref().is_some_and(|content| !content.0.is_match(&text)) {
        return None;
    }
    let parent = path.parent().unwrap_or(Path::new(""));
    // A step that is a folder of its own lies in the folder above.
    let own_folder = ["up.sql", "migration.sql"].iter().any(|own| path.ends_with(own));
    let folder = if own_folder { parent.parent().unwrap_or(parent) } else { parent };
    if tool.beside.as_ref().is_some_and(|file| !repository.has(folder.join(file))) {
        return None;
    }
    let down = match (&tool.pair, &tool.sibling, &tool.down) {
        (Some(pair), _, _) => repository.has(name.replace(".up.", &format!(".{pair}."))),
        (_, Some(file), _) => repository.has(parent.join(file)),
        (_, _, Some(down)) => down.0.is_match(&text),
        _ => false,
    };
    let group = |name: &str| matched.name(name).map(|part| part.as_str().to_owned());
    Some((
        folder.to_owned(),
        Step { path: path.to_owned(), app: group("app"), version: group("version").unwrap_or_default(), down },
    ))
}

fn ordered(repository: &Repository, tool: &Tool, folder: PathBuf, mut steps: Vec<Step>) -> History {
    steps.sort_by(|left, right| {
        (left.version.len(), &left.version, &left.path).cmp(&(right.version.len(), &right.version, &right.path))
    });
    let mut problems = Vec::new();
    match tool.graph.as_str() {
        "alembic" => revisions(repository, &mut steps, &mut problems),
        "django" => leaves(repository, &folder, &steps, &mut problems),
        _ => {}
    }
    if tool.unique {
        for pair in steps.windows(2).filter(|pair| pair[0].version == pair[1].version) {
            problems.push(format!("{} and {} have the same version", pair[0].path.display(), pair[1].path.display()));
        }
    }
    if tool.gaps_by_number {
        for pair in steps.windows(2) {
            if let (Ok(before), Ok(after)) = (pair[0].version.parse::<u64>(), pair[1].version.parse::<u64>()) {
                // Numbers follow each other; times do not.
                if after < 100_000 && after > before + 1 {
                    problems.push(format!("{} follows version {before}: there is a gap", pair[1].path.display()));
                }
            }
        }
    }
    History { tool: tool.name.clone(), reader: tool.reader.clone(), folder, steps, problems }
}

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static REVISION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?m)^revision\b[^=\n]*=\s*["']([^"']+)["']"#).expect("the pattern is valid"));
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static DOWN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^down_revision\b[^=\n]*=\s*(\([^)]*\)|\[[^\]]*\]|[^\n]+)").expect("the pattern is valid")
});
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static QUOTED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"["']([^"'\n]+)["']"#).expect("the pattern is valid"));

/// Alembic's revisions as a graph: each names those below it.
fn revisions(repository: &Repository, steps: &mut Vec<Step>, problems: &mut Vec<String>) {
    let mut graph: BTreeMap<String, (Vec<String>, Step)> = BTreeMap::new();
    for step in steps.iter() {
        let text = repository.text(&step.path).unwrap_or_default();
        let Some(revision) = REVISION.captures(&text).map(|found| found[1].to_owned()) else {
            problems.push(format!("{} names no revision", step.path.display()));
            continue;
        };
        let line = DOWN.captures(&text).map(|found| found[1].to_owned()).unwrap_or_default();
        let line =
            if line.starts_with(['(', '[']) { line } else { line.split('#').next().unwrap_or_default().to_owned() };
        let below = QUOTED.captures_iter(&line).map(|found| found[1].to_owned()).collect();
        if let Some((_, other)) = graph.insert(revision.clone(), (below, step.clone())) {
            problems.push(format!("{} and {} are both revision {revision}", other.path.display(), step.path.display()));
        }
    }
    let named: BTreeSet<&String> = graph.values().flat_map(|(below, _)| below).collect();
    for (below, step) in graph.values() {
        if let Some(missing) = below.iter().find(|revision| !graph.contains_key(*revision)) {
            problems.push(format!("{} follows revision {missing}, which is not there", step.path.display()));
        }
    }
    let heads: Vec<&String> = graph.keys().filter(|revision| !named.contains(revision)).collect();
    if heads.len() > 1 {
        problems.push(format!(
            "there are {} heads: {}",
            heads.len(),
            heads.iter().take(4).map(|head| head.as_str()).collect::<Vec<_>>().join(", ")
        ));
    }
    let bases = graph.values().filter(|(below, _)| below.is_empty()).count();
    if bases > 1 {
        problems.push(format!("there are {bases} beginnings"));
    }
    *steps = from_the_bottom(&graph);
    if steps.len() < graph.len() && problems.is_empty() {
        problems.push("the revisions follow each other in a circle".into());
    }
}

fn from_the_bottom(graph: &BTreeMap<String, (Vec<String>, Step)>) -> Vec<Step> {
    let (mut done, mut order): (BTreeSet<&String>, Vec<Step>) = (BTreeSet::new(), Vec::new());
    let mut above: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
    for (revision, (below, _)) in graph {
        below.iter().for_each(|one| above.entry(one).or_default().push(revision));
    }
    let mut ready: Vec<&String> = graph
        .iter()
        .filter(|(_, (below, _))| below.iter().all(|one| !graph.contains_key(one)))
        .map(|(revision, _)| revision)
        .collect();
    while let Some(revision) = ready.pop() {
        if !done.insert(revision) {
            continue;
        }
        order.extend(graph.get(revision).map(|(_, step)| step.clone()));
        for next in above.get(revision).into_iter().flatten() {
            let below = graph.get(*next).map(|(below, _)| below.as_slice()).unwrap_or_default();
            if below.iter().all(|one| done.contains(one) || !graph.contains_key(one)) {
                ready.push(next);
            }
        }
    }
    order
}

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static DEPENDENCIES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?s)\bdependencies\s*=\s*(?:\[(.*?)\n?\s*\]|\(\n(.*?)\n\s*\)\s*\n)").expect("the pattern is valid")
});
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static DEPENDENCY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"\(\s*["'](\w+)["']\s*,\s*["'](\w+)["']"#).expect("the pattern is valid"));

/// Django's migrations of one app: exactly one that no other of the app depends on.
fn leaves(repository: &Repository, folder: &Path, steps: &[Step], problems: &mut Vec<String>) {
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let own: BTreeSet<String> = steps.iter().map(|step| stem(&step.path)).collect();
    let mut named = BTreeSet::new();
    for step in steps {
        let text = repository.text(&step.path).unwrap_or_default();
        for list in DEPENDENCIES.captures_iter(&text) {
            for dependency in
                DEPENDENCY.captures_iter(list.get(1).or_else(|| list.get(2)).map_or("", |list| list.as_str()))
            {
                // An app's label is mostly its folder's name; what names one of ours is ours.
                let of_app = step.app.as_deref() == Some(&dependency[1]);
                if own.contains(&dependency[2]) {
                    named.insert(dependency[2].to_owned());
                } else if of_app
                    && &dependency[2] != "__first__"
                    && &dependency[2] != "__latest__"
                    && !repository.has(folder.join(format!("{}.py", &dependency[2])))
                {
                    problems.push(format!("{} depends on {}, which is not there", step.path.display(), &dependency[2]));
                }
            }
        }
        if text.contains("replaces = [") {
            named.extend(
                own.iter()
                    .filter(|one| text.contains(&format!("'{one}'")) || text.contains(&format!("\"{one}\"")))
                    .cloned(),
            );
        }
    }
    let leaves: Vec<&String> = own.iter().filter(|one| !named.contains(*one)).collect();
    if leaves.len() > 1 {
        problems.push(format!(
            "{} has {} leaves: {}",
            folder.display(),
            leaves.len(),
            leaves.iter().take(4).map(|leaf| leaf.as_str()).collect::<Vec<_>>().join(", ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> Vec<History> {
        let folder = tempfile::tempdir().unwrap();
        seaworthy_repository::Sample::of(files).write(folder.path()).unwrap();
        histories(&Repository::open(folder.path()).unwrap())
    }

    #[test]
    fn our_own_file_is_right() {
        let read: Result<Tools, _> = toml::from_str(include_str!("migrations.toml"));
        assert!(read.is_ok(), "{:?}", read.err());
    }

    #[test]
    fn alembic_is_a_graph() {
        let step = |revision: &str, down: &str| {
            format!(
                "\"\"\"x\"\"\"\nrevision: str = '{revision}'\ndown_revision = {down}\ndef upgrade(): pass\ndef downgrade(): pass\n"
            )
        };
        let (a, b, c, d) = (step("a", "None"), step("b", "'a'  # 'z'"), step("c", "'a'"), step("d", "(\n 'b', 'c')"));
        let found = of(&[("m/versions/1.py", &b), ("m/versions/2.py", &a)]);
        assert_eq!((found.len(), found[0].problems.len()), (1, 0), "{found:?}");
        assert!(found[0].steps[0].path.ends_with("2.py") && found[0].steps[0].down);
        assert!(
            of(&[("m/versions/1.py", &a), ("m/versions/2.py", &b), ("m/versions/3.py", &c)])[0].problems[0]
                .contains("2 heads")
        );
        assert!(
            of(&[("m/versions/1.py", &a), ("m/versions/2.py", &b), ("m/versions/3.py", &c), ("m/versions/4.py", &d)])
                [0]
            .problems
            .is_empty()
        );
        assert!(of(&[("m/versions/2.py", &b)])[0].problems[0].contains("not there"));
        let circle = (step("a", "'b'"), step("b", "'a'"));
        assert!(
            of(&[("m/versions/1.py", &circle.0), ("m/versions/2.py", &circle.1)])[0].problems[0].contains("circle")
        );
    }

    #[test]
    fn django_has_one_leaf_and_numbers_are_unique() {
        let step = |on: &str| {
            format!("class Migration(migrations.Migration):\n    dependencies = [{on}]\n    operations = []\n")
        };
        let (first, second) = (step(""), step("('app', '0001_initial')"));
        assert!(
            of(&[("app/migrations/0001_initial.py", &first), ("app/migrations/0002_a.py", &second)])[0]
                .problems
                .is_empty()
        );
        let two = of(&[
            ("app/migrations/0001_initial.py", &first),
            ("app/migrations/0002_a.py", &second),
            ("app/migrations/0002_b.py", &second),
        ]);
        assert!(two[0].problems[0].contains("2 leaves"), "{two:?}");
        let go =
            of(&[("migrations/1_a.up.sql", "x"), ("migrations/1_a.down.sql", "x"), ("migrations/3_b.up.sql", "x")]);
        assert_eq!(
            (go[0].tool.as_str(), go[0].problems.len(), go[0].steps[0].down, go[0].steps[1].down),
            ("golang-migrate", 1, true, false)
        );
        assert_eq!(of(&[("prisma/migrations/20240101000000_a/migration.sql", "x")])[0].tool, "Prisma");
    }
}
