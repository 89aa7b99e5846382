//! Scripts of `package.json`, and what runs several of them.

use std::path::{Path, PathBuf};

use super::{
    super::{
        context::fits,
        shell::{Failure, Shell, walk::joined},
    },
    Called, Task, operands, option,
};
use crate::repository::Repository;

/// Options that say in which folder, and those that say in which package.
const FOLDERS: [&str; 5] = ["--prefix", "-C", "--dir", "--cwd", "--directory"];
const PACKAGES: [&str; 5] = ["--filter", "-F", "-w", "--workspace", "--scope"];
const EVERYWHERE: [&str; 5] = ["-r", "--recursive", "--workspaces", "-ws", "-A"];
const VALUES: [&str; 12] = [
    "--prefix",
    "-C",
    "--dir",
    "--cwd",
    "--directory",
    "--filter",
    "-F",
    "-w",
    "--workspace",
    "--scope",
    "--loglevel",
    "--workspace-concurrency",
];
/// What a package manager does itself.
const OWN: [&str; 40] = [
    "ci",
    "install",
    "i",
    "add",
    "remove",
    "audit",
    "publish",
    "pack",
    "link",
    "config",
    "cache",
    "version",
    "outdated",
    "update",
    "up",
    "upgrade",
    "dedupe",
    "prune",
    "login",
    "whoami",
    "view",
    "info",
    "init",
    "create",
    "set",
    "import",
    "rebuild",
    "fetch",
    "store",
    "setup",
    "why",
    "list",
    "ls",
    "npm",
    "plugin",
    "plugins",
    "constraints",
    "node",
    "env",
    "clean-install",
];
/// More packages of a workspace are not followed.
const MOST_PACKAGES: usize = 150;

pub(super) fn package_manager(
    repository: &Repository,
    program: &str,
    words: &[String],
    folder: &Path,
) -> Option<Called> {
    let folder = option(words, &FOLDERS).map_or_else(|| folder.to_owned(), |own| joined(folder, own));
    let mut everywhere =
        option(words, &PACKAGES).is_some() || words.iter().any(|word| EVERYWHERE.contains(&word.as_str()));
    let mut names = operands(words, &VALUES);
    match names.as_slice() {
        ["workspace", _, ..] => {
            everywhere = true;
            names.drain(..2);
        }
        ["workspaces", "foreach" | "run", ..] => {
            everywhere = true;
            names.drain(..2);
        }
        _ => {}
    }
    let runs = names.first().is_some_and(|name| ["run", "run-script", "rum", "urn"].contains(name));
    if runs {
        names.remove(0);
    }
    let name = *names.first()?;
    if !runs && (OWN.contains(&name) || (program == "bun" && name == "test")) {
        return None;
    }
    let name = if program == "npm" && !runs {
        match name {
            "test" | "t" | "tst" | "it" | "install-test" | "cit" => "test",
            "start" | "stop" | "restart" => name,
            _ => return None,
        }
    } else {
        name
    };
    let tasks = if everywhere { in_all(repository, name) } else { in_one(repository, &folder, name) };
    if !tasks.is_empty() {
        return Some(Called::Tasks(tasks));
    }
    // `yarn jest` and `pnpm jest` run an installed program.
    let at = words.iter().position(|word| word == name)?;
    match !runs && program != "npm" && !everywhere && name != "test" {
        true => Some(Called::Program(words[at..].to_vec())),
        false if words.iter().any(|word| word == "--if-present") => None,
        false => Some(Called::Unread),
    }
}

/// The script of a folder's own package, with what runs before and after it.
fn in_one(repository: &Repository, folder: &Path, name: &str) -> Vec<Task> {
    let Some(manifest) = repository.manifests().of(folder, "javascript") else { return Vec::new() };
    let file = folder.join("package.json");
    let of = |name: &str| {
        let script = manifest.scripts.get(name)?;
        Some(Task::new(format!("{}: {name}", file.display()), script, Shell::PLAIN, folder))
    };
    let Some(own) = of(name) else { return Vec::new() };
    [of(&format!("pre{name}")), Some(own), of(&format!("post{name}"))].into_iter().flatten().collect()
}

/// The scripts of this name in every package.
fn in_all(repository: &Repository, name: &str) -> Vec<Task> {
    let of_javascript = repository.manifests().all.keys().filter(|(_, language)| *language == "javascript");
    let folders: Vec<&PathBuf> = of_javascript.map(|(folder, _)| folder).collect();
    let inner = folders.iter().filter(|folder| !folder.as_os_str().is_empty());
    inner.take(MOST_PACKAGES).flat_map(|folder| in_one(repository, folder, name)).collect()
}

/// Runs several scripts: `run-s lint test:*`, `turbo run test`, `concurrently "npm:test"`.
pub(super) fn runner(repository: &Repository, program: &str, words: &[String], folder: &Path) -> Option<Called> {
    let values =
        ["--filter", "-F", "--scope", "--concurrency", "--parallel", "--base", "--head", "--config", "-c", "-n"];
    let names = operands(words, &values);
    let tasks: Vec<Task> = match program {
        "turbo" | "lerna" | "ultra" | "wsrun" => {
            let names = names.into_iter().filter(|name| !["run", "watch"].contains(name));
            names.flat_map(|name| in_all(repository, name).into_iter().chain(root_of_turbo(repository, name))).collect()
        }
        "nx" => nx(repository, words, &names),
        "concurrently" => {
            let named = |word: &&str| word.strip_prefix("npm:").map(|name| format!("npm run {name}"));
            let scripts = names.iter().map(|word| named(word).unwrap_or_else(|| (*word).to_owned()));
            scripts.map(|script| Task::new(format!("concurrently {script}"), &script, Shell::PLAIN, folder)).collect()
        }
        "start-server-and-test" => names.last().into_iter().flat_map(|name| in_one(repository, folder, name)).collect(),
        _ => {
            let goes_on = words.iter().any(|word| ["-c", "--continue-on-error"].contains(&word.as_str()));
            let mut tasks: Vec<Task> = names.iter().flat_map(|name| matching(repository, folder, name)).collect();
            if goes_on && program == "npm-run-all" {
                // It runs all, and fails at the end.
                tasks.iter_mut().flat_map(|task| &mut task.scripts).for_each(|script| script.1 = Failure::Stops);
            }
            tasks
        }
    };
    Some(if tasks.is_empty() { Called::Unread } else { Called::Tasks(tasks) })
}

/// A task of the root that is no call of turbo itself.
fn root_of_turbo(repository: &Repository, name: &str) -> Vec<Task> {
    let mut tasks = in_one(repository, Path::new(""), name);
    tasks.retain(|task| !task.scripts.iter().any(|(script, _)| script.contains("turbo")));
    tasks
}

fn nx(repository: &Repository, words: &[String], names: &[&str]) -> Vec<Task> {
    let targets = option(words, &["-t", "--target", "--targets"]).map(|list| list.split(',').collect::<Vec<_>>());
    let targets = targets.unwrap_or_else(|| match names {
        ["run" | "run-many" | "affected", ..] => Vec::new(),
        [name, ..] => vec![name.split(':').next_back().unwrap_or(name)],
        [] => Vec::new(),
    });
    targets.into_iter().flat_map(|target| in_all(repository, target)).collect()
}

/// Scripts by a pattern of npm-run-all: `test:*`.
fn matching(repository: &Repository, folder: &Path, pattern: &str) -> Vec<Task> {
    let Some(manifest) = repository.manifests().of(folder, "javascript") else { return Vec::new() };
    let pattern = pattern.replace(':', "/");
    let named = manifest.scripts.keys().filter(|name| fits(&pattern, &name.replace(':', "/")));
    named.flat_map(|name| in_one(repository, folder, name)).collect()
}
