//! Makefiles, justfiles, Taskfiles, Rakefiles, composer and mise.

use std::{collections::BTreeMap, path::Path};

use super::{
    super::{
        context::{items, text, texts},
        shell::{Failure, Shell, walk::joined},
    },
    Called, Task, operands, option,
};
use crate::{repository::Repository, yaml::yaml};

/// Targets that one call leads to; more are not followed.
const MOST: usize = 200;

/// One target of a Makefile: what it needs, and its lines.
#[derive(Default)]
struct Target {
    needs: Vec<String>,
    lines: Vec<String>,
}

pub(super) fn make(repository: &Repository, words: &[String], folder: &Path) -> Option<Called> {
    let folder = option(words, &["-C", "--directory"]).map_or_else(|| folder.to_owned(), |own| joined(folder, own));
    let names = ["GNUmakefile", "makefile", "Makefile"];
    let named = option(words, &["-f", "--file"]);
    let file = named.map(|name| folder.join(name)).into_iter().chain(names.map(|name| folder.join(name)));
    let Some((file, source)) = file.into_iter().find_map(|file| Some((file.clone(), repository.text(&file)?))) else {
        return Some(Called::Unread);
    };
    let (variables, targets, first) = makefile(&source);
    let mut wanted = operands(words, &["-C", "--directory", "-f", "--file", "-j", "--jobs", "-o"]);
    wanted.retain(|word| !word.contains('='));
    if wanted.is_empty() {
        wanted.extend(first.as_deref());
    }
    let goes_on = words.iter().any(|word| ["-i", "--ignore-errors"].contains(&word.as_str()));
    let mut order = Vec::new();
    let mut missing = false;
    for name in wanted {
        missing |= !targets.contains_key(name);
        collect(&targets, name, &mut order);
    }
    let tasks = order.iter().map(|name| {
        let lines = targets[*name].lines.iter().map(|line| recipe(line, &variables, goes_on));
        let label = format!("{}: {name}", file.display());
        Task { label, scripts: lines.collect(), shell: Shell::PLAIN, folder: folder.clone(), hooks: false }
    });
    let tasks: Vec<Task> = tasks.collect();
    // A target that an included file has, or a pattern.
    Some(if missing || tasks.is_empty() { Called::Unread } else { Called::Tasks(tasks) })
}

type Makefile = (BTreeMap<String, String>, BTreeMap<String, Target>, Option<String>);

fn makefile(source: &str) -> Makefile {
    let joined = source.replace("\\\r\n", " ").replace("\\\n", " ");
    let (mut variables, mut targets, mut first) = (BTreeMap::new(), BTreeMap::<String, Target>::new(), None);
    let mut current: Vec<String> = Vec::new();
    for line in joined.lines() {
        if let Some(recipe) = line.strip_prefix('\t') {
            for name in &current {
                targets.entry(name.clone()).or_default().lines.push(recipe.to_owned());
            }
            continue;
        }
        let line = line.split(" #").next().unwrap_or_default().trim_end();
        if line.is_empty() || line.starts_with('#') || line.starts_with(' ') {
            continue;
        }
        let assigned = ["::=", ":=", "?=", "+=", "="].iter().find_map(|sign| line.split_once(sign));
        let is_name =
            |name: &str| name.trim().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        if let Some((name, value)) = assigned.filter(|(name, _)| is_name(name.trim_start_matches("export "))) {
            variables.insert(name.trim_start_matches("export ").trim().to_owned(), value.trim().to_owned());
            current.clear();
        } else if let Some((names, needs)) = line.split_once(':') {
            current = names.split_whitespace().map(String::from).collect();
            let (needs, inline) = needs.split_once(';').map_or((needs, None), |(needs, line)| (needs, Some(line)));
            for name in &current {
                let target = targets.entry(name.clone()).or_default();
                target.needs.extend(needs.trim_start_matches(':').split_whitespace().map(String::from));
                target.lines.extend(inline.map(String::from));
            }
            let plain = current.first().filter(|name| !name.starts_with('.') && !name.contains('%'));
            first = first.or_else(|| plain.cloned());
        }
    }
    (variables, targets, first)
}

fn collect<'t>(targets: &'t BTreeMap<String, Target>, name: &str, order: &mut Vec<&'t String>) {
    let mut open = vec![name];
    while let Some(name) = open.pop() {
        let Some((name, target)) = targets.get_key_value(name) else { continue };
        if !order.contains(&name) && order.len() < MOST {
            order.push(name);
            open.extend(target.needs.iter().map(String::as_str));
        }
    }
}

/// A line of a recipe as a script; a leading `-` ignores its failure.
fn recipe(line: &str, variables: &BTreeMap<String, String>, goes_on: bool) -> (String, Failure) {
    let marks = line.trim_start().trim_start_matches(['@', '+', ' ']);
    let ignored = goes_on || marks.starts_with('-');
    let mut script =
        marks.trim_start_matches(['-', '@', '+', ' ']).replace("$(MAKE)", "make").replace("${MAKE}", "make");
    for _ in 0..3 {
        for (name, value) in variables.iter().filter(|(_, value)| value.len() < 500) {
            if script.len() > 20_000 {
                break;
            }
            script = script.replace(&format!("$({name})"), value).replace(&format!("${{{name}}}"), value);
        }
    }
    let failure = Failure::unless(ignored.then(|| "`make` ignores its failure (`-`)".to_owned()));
    (script.replace("$$", "$"), failure)
}

pub(super) fn just(repository: &Repository, words: &[String], folder: &Path) -> Option<Called> {
    let names = ["justfile", "Justfile", ".justfile"];
    let found = names.iter().flat_map(|name| [folder.join(name), Path::new(name).to_owned()]);
    let Some((file, source)) = found.into_iter().find_map(|file| Some((file.clone(), repository.text(&file)?))) else {
        return Some(Called::Unread);
    };
    let mut recipes = BTreeMap::<String, Target>::new();
    let (mut current, mut first) = (None::<String>, None::<String>);
    let mut variables = BTreeMap::new();
    for line in source.lines() {
        if let Some((name, value)) = line.split_once(":=").filter(|_| !line.starts_with([' ', '\t'])) {
            variables.insert(name.trim().to_owned(), value.trim().trim_matches(['"', '\'']).to_owned());
        }
        let indented = line.starts_with([' ', '\t']);
        if let Some(name) = current.as_ref().filter(|_| indented) {
            recipes.entry(name.clone()).or_default().lines.push(line.trim().to_owned());
        } else if let Some((head, needs)) =
            line.split_once(':').filter(|_| !line.contains(":=") && !line.starts_with('#'))
        {
            let name = head.split_whitespace().next().unwrap_or_default().trim_start_matches('@').to_owned();
            let needs = needs.split_whitespace().map(|need| need.trim_matches(['(', ')']).to_owned());
            recipes.entry(name.clone()).or_default().needs = needs.collect();
            first = first.or_else(|| Some(name.clone()));
            current = Some(name);
        }
    }
    let mut wanted = operands(words, &["-f", "--justfile", "-d", "--working-directory"]);
    if wanted.is_empty() {
        wanted.extend(first.as_deref());
    }
    let mut order = Vec::new();
    wanted.iter().for_each(|name| collect(&recipes, name, &mut order));
    let tasks = order.iter().map(|name| {
        let lines =
            recipes[*name].lines.iter().map(|line| recipe(&filled_in(line, &variables), &BTreeMap::new(), false));
        let label = format!("{}: {name}", file.display());
        Task { label, scripts: lines.collect(), shell: Shell::PLAIN, folder: folder.to_owned(), hooks: false }
    });
    let tasks: Vec<Task> = tasks.collect();
    Some(if tasks.is_empty() { Called::Unread } else { Called::Tasks(tasks) })
}

/// A line of a justfile; `{{ name }}` is its value where the file has it, and nothing where that is found out later.
fn filled_in(line: &str, variables: &BTreeMap<String, String>) -> String {
    let (mut whole, mut rest) = (String::new(), line);
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else { break };
        whole.push_str(before);
        whole.push_str(variables.get(name.trim()).map_or("", String::as_str));
        rest = after;
    }
    whole.push_str(rest);
    whole
}

pub(super) fn taskfile(repository: &Repository, words: &[String], folder: &Path) -> Option<Called> {
    let names = ["Taskfile.yml", "Taskfile.yaml", "taskfile.yml", "taskfile.yaml", "Taskfile.dist.yml"];
    let found = names.iter().flat_map(|name| [folder.join(name), Path::new(name).to_owned()]);
    let Some((file, source)) = found.into_iter().find_map(|file| Some((file.clone(), repository.text(&file)?))) else {
        return Some(Called::Unread);
    };
    let documents = yaml(&source).unwrap_or_default();
    let tasks = documents.first().map(|document| &document["tasks"])?;
    let mut wanted: Vec<String> = operands(words, &["-d", "-t"]).into_iter().map(String::from).collect();
    if wanted.is_empty() {
        wanted.push("default".to_owned());
    }
    let mut found = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    while let Some(name) = wanted.pop().filter(|_| seen.len() < MOST) {
        let task = &tasks[name.as_str()];
        if seen.contains(&name) || task.is_null() {
            continue;
        }
        let commands = if task["cmds"].is_null() { task } else { &task["cmds"] };
        let mut scripts = texts(&task["cmd"]).into_iter().map(|script| (script, Failure::Stops)).collect::<Vec<_>>();
        for command in texts(commands)
            .into_iter()
            .map(serde_json::Value::String)
            .chain(items(commands).filter(|item| item.is_object()).cloned())
        {
            wanted.extend(text(&command["task"]));
            let script = text(&command).or_else(|| text(&command["cmd"]));
            let ignored = command["ignore_error"] == true || task["ignore_error"] == true;
            let failure = Failure::unless(ignored.then(|| "`ignore_error: true`".to_owned()));
            scripts.extend(script.map(|script| (script, failure)));
        }
        wanted.extend(items(&task["deps"]).filter_map(|need| text(need).or_else(|| text(&need["task"]))));
        let folder = text(&task["dir"]).map_or_else(|| folder.to_owned(), |own| joined(folder, &own));
        let label = format!("{}: {name}", file.display());
        found.push(Task { label, scripts, shell: Shell::STOPS, folder, hooks: false });
        seen.push(name);
    }
    Some(if found.is_empty() { Called::Unread } else { Called::Tasks(found) })
}

/// A Rakefile is a program; what its usual tasks run is known.
pub(super) fn rake(repository: &Repository, words: &[String]) -> Option<Called> {
    let names = operands(words, &[]);
    let named = |name: &str| names.iter().any(|own| *own == name || own.starts_with(&format!("{name}:")));
    if named("test") || named("spec") {
        return None;
    }
    let source = repository.text("Rakefile")?;
    let has_tests = ["Rake::TestTask", "RSpec::Core::RakeTask", "Minitest::TestTask", "Rails.application.load_tasks"];
    // The default task of Rails and of a new gem is its tests.
    let default = names.is_empty() || named("default");
    let tests = default && has_tests.iter().any(|word| source.contains(word));
    if tests {
        let words = ["rake", "test"].map(String::from).to_vec();
        return Some(Called::Program(words));
    }
    default.then_some(Called::Unread)
}

pub(super) fn composer(repository: &Repository, words: &[String], folder: &Path) -> Option<Called> {
    let own = ["install", "update", "require", "audit", "validate", "dump-autoload", "self-update", "config", "global"];
    let names = operands(words, &["-d", "--working-dir"]);
    let name = *names.iter().find(|name| !["run", "run-script", "exec"].contains(name))?;
    if own.contains(&name) {
        return None;
    }
    let folder = option(words, &["-d", "--working-dir"]).map_or_else(|| folder.to_owned(), |own| joined(folder, own));
    let file = folder.join("composer.json");
    let source = repository.text(&file)?;
    let value: serde_json::Value = serde_json::from_str(&source).ok()?;
    let scripts = texts(&value["scripts"][name]);
    if scripts.is_empty() {
        let at = words.iter().position(|word| word == name)?;
        return Some(if names.contains(&"exec") { Called::Program(words[at..].to_vec()) } else { Called::Unread });
    }
    let line = |script: String| match script.strip_prefix('@') {
        Some(rest) if rest.starts_with("php ") || rest.starts_with("putenv ") => rest.to_owned(),
        Some(rest) => format!("composer run {rest}"),
        None => script,
    };
    let scripts = scripts.into_iter().map(|script| (line(script), Failure::Stops)).collect();
    let label = format!("{}: {name}", file.display());
    Some(Called::Tasks(vec![Task { label, scripts, shell: Shell::STOPS, folder, hooks: false }]))
}

pub(super) fn mise(repository: &Repository, words: &[String], folder: &Path) -> Option<Called> {
    let names = operands(words, &["-C", "-j"]);
    let name = match names.as_slice() {
        ["run" | "r", name, ..] => *name,
        _ => return None,
    };
    let files = ["mise.toml", ".mise.toml"];
    let (file, table) = files.iter().find_map(|name| {
        let text = repository.text(name)?;
        Some((*name, text.parse::<toml::Table>().ok()?))
    })?;
    let task = table.get("tasks")?.get(name);
    let run = task.and_then(|task| task.as_str().map(String::from).or_else(|| Some(lines(task.get("run")?))));
    let Some(run) = run else { return Some(Called::Unread) };
    Some(Called::Tasks(vec![Task::new(format!("{file}: {name}"), &run, Shell::STOPS, folder)]))
}

/// A text, or the texts of a list as lines.
pub(super) fn lines(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(list) => list.iter().map(lines).collect::<Vec<_>>().join("\n"),
        toml::Value::Table(table) => {
            ["cmd", "shell", "run"].iter().find_map(|key| table.get(*key)).map(lines).unwrap_or_default()
        }
        _ => String::new(),
    }
}
