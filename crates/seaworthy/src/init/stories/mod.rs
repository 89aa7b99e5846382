//! Tests: for every stack a project as people have it, and what comes of it.

mod behind;
mod node;
mod other;
mod python;

use std::{fs, path::Path};

use tempfile::TempDir;

use super::{behind::How, plan::Plan, recognise::Surroundings};
use crate::config::{Config, ConfigSource};
use seaworthy_repository::{Fact, Knowledge, Manifests, Tree, Variables};

/// A folder with these files.
pub fn folder_with(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// What a plan says, taken out of it.
#[derive(Debug, Default)]
struct Story {
    stack: String,
    folder: String,
    command: String,
    health: String,
    site: String,
    reasons: String,
    others: Vec<String>,
    notes: String,
    next: String,
    scheme: String,
    client: String,
    config: String,
    example: String,
}

fn tell(files: &[(&str, &str)]) -> Story {
    let knowledge = Knowledge::load().unwrap();
    let folder = folder_with(files);
    let tree = Tree::read(folder.path(), &knowledge).unwrap();
    let manifests = Manifests::read(&tree);
    let variables = Variables::find(&tree, &knowledge);
    let around = Surroundings { knowledge: &knowledge, tree, manifests };
    let candidates = around.candidates();
    let plan = Plan::new(&around, &candidates, &variables);
    let lines = plan.config.lines().count();
    assert!((10..=25).contains(&lines), "{lines} lines:\n{}", plan.config);
    plan.config.parse::<toml::Table>().unwrap();
    let mut story = Story {
        others: plan
            .others
            .iter()
            .map(|(other, why)| format!("{} in {}: {why}", other.stack.name, other.folder.display()))
            .collect(),
        notes: plan.notes.join("\n"),
        config: plan.config.clone(),
        example: plan.example.clone().unwrap_or_default(),
        ..Story::default()
    };
    let Some(found) = &plan.found else { return story };
    story.next = super::report::next(&plan, Path::new("."));
    let said = super::report::text(&plan, Path::new("."), &[], false);
    assert_eq!(said.contains("set -a; . ./.env; set +a"), plan.example.is_some(), "{said}");
    assert_eq!(story.example.contains("set -a; . ./.env; set +a"), plan.example.is_some(), "{}", story.example);
    is_valid(&plan.config);
    story.stack = found.candidate.stack.name.clone();
    story.folder = found.candidate.folder.display().to_string();
    story.reasons = found.candidate.reasons.join(", ");
    story.command = found.chosen.as_ref().map(|chosen| chosen.command.clone()).unwrap_or_default();
    story.site = found.site.as_ref().map(|site| site.display().to_string()).unwrap_or_default();
    let mark = |whole: bool| if whole { "" } else { "?" };
    story.health = found.health.as_ref().map(|one| format!("{}{}", one.path, mark(one.whole))).unwrap_or_default();
    for seen in &found.behind {
        let text = match &seen.how {
            How::Right(_) => "right".to_owned(),
            How::Missing { add, file } => {
                format!("{}: {add}", file.as_ref().map_or("-".into(), |file| file.display().to_string()))
            }
            How::Unknown => "unknown".to_owned(),
        };
        match seen.fact {
            Fact::Scheme => story.scheme = text,
            Fact::Client => story.client = text,
            Fact::Host => assert_eq!(text, "right"),
        }
    }
    story
}

fn is_valid(config: &str) {
    let folder = folder_with(&[("seaworthy.toml", config)]);
    let read = Config::load_with(&ConfigSource::new(Some(&folder.path().join("seaworthy.toml")), None));
    assert!(read.is_ok(), "{:?}\n{config}", read.unwrap_err().findings);
    // What is commented out must hold as well, once the comment's mark is taken away.
    let shown = config.replace("# health = ", "health = ").replace("# [[route]]", "[[route]]");
    let shown = shown.replace("# match = ", "match = ").replace("# body_limit = ", "body_limit = ");
    fs::write(folder.path().join("seaworthy.toml"), &shown).unwrap();
    let read = Config::load_with(&ConfigSource::new(Some(&folder.path().join("seaworthy.toml")), None));
    assert!(read.is_ok(), "{:?}\n{shown}", read.unwrap_err().findings);
}
