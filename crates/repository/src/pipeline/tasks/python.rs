//! tox, nox, the scripts of `pyproject.toml`, invoke, and pre-commit.

use std::{path::Path, sync::LazyLock};

use regex::Regex;

use super::{
    super::{
        context::{items, text},
        shell::{Failure, Shell},
    },
    Called, Task,
    make::lines,
    operands, option,
};
use crate::{repository::Repository, yaml::yaml};

pub(super) fn tox(repository: &Repository, words: &[String], folder: &Path) -> Option<Called> {
    let named = option(words, &["-e", "-m", "-f"])
        .filter(|list| !list.contains('$'))
        .map(|list| list.split(',').map(String::from).collect::<Vec<_>>());
    let read = |name: &str| repository.text(folder.join(name));
    let table = |name: &str| read(name)?.parse::<toml::Table>().ok();
    let project = table("pyproject.toml");
    let own = project.as_ref().and_then(|project| project.get("tool")?.get("tox"));
    let legacy = own.and_then(|own| own.get("legacy_tox_ini")?.as_str().map(String::from));
    let ini = read("tox.ini").map(|text| text.to_string()).or(legacy);
    let ini = ini.or_else(|| read("setup.cfg").filter(|text| text.contains("testenv")).map(|text| text.to_string()));
    let scripts = match ini {
        Some(ini) => ini_commands(&ini, named.as_deref()),
        None => {
            let table = table("tox.toml").map(toml::Value::Table).or_else(|| own.cloned());
            table.map(|table| toml_commands(&table, named.as_deref())).unwrap_or_default()
        }
    };
    if scripts.is_empty() {
        return Some(Called::Unread);
    }
    let label = "tox".to_owned();
    Some(Called::Tasks(vec![Task { label, scripts, shell: Shell::STOPS, folder: folder.to_owned(), hooks: false }]))
}

/// `commands` of the sections that are run. A line that begins with `-` may fail, and `factor: command` is for some only.
fn ini_commands(ini: &str, named: Option<&[String]>) -> Vec<(String, Failure)> {
    let (mut section, mut inside, mut found) = (String::new(), false, Vec::<(String, String, bool)>::new());
    for line in ini.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') || trimmed.starts_with(';') {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim_start_matches("tox:").to_owned();
            inside = false;
            continue;
        }
        let mut command = trimmed;
        if !line.starts_with([' ', '\t']) {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            inside = ["commands", "commands_pre", "commands_post"].contains(&key.trim());
            command = value.trim();
        }
        if inside && !command.is_empty() {
            let (name, continued) = (section.clone(), command.ends_with('\\'));
            match found.last_mut() {
                Some((own, text, open)) if *own == name && *open => {
                    text.push_str(&format!(" {}", command.trim_end_matches('\\')));
                    *open = continued;
                }
                _ => found.push((name, command.trim_end_matches('\\').to_owned(), continued)),
            }
        }
    }
    let has_own = |name: &str| found.iter().any(|(section, _, _)| *section == format!("testenv:{name}"));
    let wanted = |section: &str| match named {
        None => section.starts_with("testenv"),
        Some(names) => names.iter().any(|name| match has_own(name) {
            true => *section == format!("testenv:{name}"),
            false => section == "testenv",
        }),
    };
    let chosen = found.iter().filter(|(section, _, _)| wanted(section));
    chosen.map(|(_, text, _)| tox_line(text)).collect()
}

fn tox_line(text: &str) -> (String, Failure) {
    let factor = text.split_once(": ").filter(|(factor, _)| {
        !factor.is_empty() && factor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-,!{}.".contains(&byte))
    });
    let command = factor.map_or(text, |(_, command)| command).trim();
    let ignored = command.starts_with('-').then(|| "tox ignores its failure (`-`)".to_owned());
    let command = command.trim_start_matches(['-', '!', ' ']).replace("{envpython}", "python");
    (command.replace("{posargs}", "").replace("{envbindir}/", ""), Failure::unless(ignored))
}

fn toml_commands(table: &toml::Value, named: Option<&[String]>) -> Vec<(String, Failure)> {
    let base = table.get("env_run_base").and_then(|base| base.get("commands"));
    let of = |name: &str| table.get("env").and_then(|env| env.get(name)?.get("commands")).or(base);
    let chosen: Vec<&toml::Value> = match named {
        Some(names) => names.iter().filter_map(|name| of(name)).collect(),
        None => {
            let all = table.get("env").and_then(toml::Value::as_table).into_iter().flatten();
            base.into_iter().chain(all.filter_map(|(_, env)| env.get("commands"))).collect()
        }
    };
    let commands = chosen.into_iter().filter_map(toml::Value::as_array).flatten().filter_map(toml::Value::as_array);
    let words = commands.map(|words| words.iter().filter_map(toml::Value::as_str).collect::<Vec<_>>().join(" "));
    words.map(|line| (line, Failure::Stops)).collect()
}

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static CALL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(?:session|s|c|ctx|context)\.run(?:_always)?\(([^)]*)").expect("the pattern is valid")
});
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static TEXT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"f?"([^"\n]*)"|f?'([^'\n]*)'"#).expect("the pattern is valid"));
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static FUNCTION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^(?:async )?def (\w+)\(").expect("the pattern is valid"));

/// Calls of `run` in a Python file: in the functions of these names, or in all.
fn calls(repository: &Repository, file: &Path, names: Option<&[String]>) -> Vec<(String, Failure)> {
    let Some(source) = repository.sources().get(file).or_else(|| repository.tests().get(file)) else {
        return Vec::new();
    };
    let functions: Vec<(usize, &str)> = FUNCTION
        .captures_iter(&source.code)
        .filter_map(|found| Some((found.get(0)?.start(), found.get(1)?.as_str())))
        .collect();
    let within = |offset: usize| {
        let after = functions.partition_point(|(start, _)| *start <= offset);
        after.checked_sub(1).map_or("", |index| functions[index].1)
    };
    let chosen = CALL.captures_iter(&source.code).filter(|found| {
        let name = within(found.get(0).map_or(0, |whole| whole.start()));
        names.is_none_or(|names| {
            names.iter().any(|own| own.split(['-', '(']).next() == Some(name) || own.replace('-', "_") == name)
        })
    });
    chosen
        .filter_map(|found| {
            let arguments = found.get(1)?.as_str();
            let words: Vec<&str> = TEXT
                .captures_iter(arguments)
                .filter_map(|text| text.get(1).or_else(|| text.get(2)).map(|text| text.as_str()))
                .collect();
            let ignored = arguments.contains("warn=True") || arguments.contains("success_codes");
            Some((words.join(" "), Failure::unless(ignored.then(|| "its failure is allowed there".to_owned()))))
        })
        .collect()
}

pub(super) fn nox(repository: &Repository, words: &[String], folder: &Path) -> Option<Called> {
    let named = option(words, &["-s", "--session", "--sessions", "-e"])
        .filter(|name| !name.contains('$'))
        .map(|name| vec![name.to_owned()]);
    let file = folder.join("noxfile.py");
    python_tasks(repository, &file, "nox", named.as_deref(), folder)
}

pub(super) fn invoke(repository: &Repository, words: &[String], folder: &Path) -> Option<Called> {
    let named: Vec<String> = operands(words, &[]).into_iter().map(String::from).collect();
    python_tasks(repository, &folder.join("tasks.py"), "invoke", Some(&named), folder)
}

fn python_tasks(
    repository: &Repository,
    file: &Path,
    program: &str,
    names: Option<&[String]>,
    folder: &Path,
) -> Option<Called> {
    let scripts = calls(repository, file, names);
    if scripts.is_empty() {
        return Some(Called::Unread);
    }
    let label = format!("{program}: {}", file.display());
    Some(Called::Tasks(vec![Task { label, scripts, shell: Shell::STOPS, folder: folder.to_owned(), hooks: false }]))
}

/// `poe test`, `pdm run test`, `hatch run env:test`.
pub(super) fn project_script(
    repository: &Repository,
    program: &str,
    words: &[String],
    folder: &Path,
) -> Option<Called> {
    let mut names = operands(words, &["-C", "-p", "--project"]);
    names.retain(|name| *name != "run");
    let name = *names.first()?;
    if program == "hatch" && name == "test" {
        return Some(Called::Program(vec!["pytest".to_owned()]));
    }
    let text = repository.text(folder.join("pyproject.toml"));
    let table: toml::Table = text.and_then(|text| text.parse().ok()).unwrap_or_default();
    let none = toml::Value::Table(toml::Table::new());
    let tool = table.get("tool").unwrap_or(&none);
    let found = match program {
        "pdm" => tool.get("pdm").and_then(|pdm| pdm.get("scripts")?.get(name)),
        "hatch" => {
            let (env, name) = name.split_once(':').unwrap_or(("default", name));
            tool.get("hatch").and_then(|hatch| hatch.get("envs")?.get(env)?.get("scripts")?.get(name))
        }
        "pixi" => tool.get("pixi").and_then(|pixi| pixi.get("tasks")?.get(name)),
        _ => tool.get("poe").and_then(|poe| poe.get("tasks")?.get(name)),
    };
    let sequence = found.and_then(|task| task.get("sequence").or_else(|| task.get("composite")).or(Some(task)));
    let script = match sequence {
        Some(toml::Value::Array(list)) => {
            let line = |item: &toml::Value| match item.as_str() {
                // The items of a sequence are names of tasks.
                Some(name) if program == "poe" => format!("poe {name}"),
                _ => item
                    .get("ref")
                    .and_then(toml::Value::as_str)
                    .map_or_else(|| lines(item), |name| format!("poe {name}")),
            };
            list.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Some(task) => lines(task),
        // `pdm run pytest` runs an installed program.
        None if program != "poe" && words.first().is_some_and(|word| word == "run") => {
            let at = words.iter().position(|word| word == name)?;
            return Some(Called::Program(words[at..].to_vec()));
        }
        None if program == "poe" => return Some(Called::Unread),
        None => return None,
    };
    Some(Called::Tasks(vec![Task::new(format!("pyproject.toml: {name}"), &script, Shell::STOPS, folder)]))
}

/// `pre-commit run --all-files`: its hooks.
pub(super) fn pre_commit(repository: &Repository, words: &[String], folder: &Path) -> Option<Called> {
    let names = operands(words, &["-c", "--config", "--from-ref", "--to-ref", "--hook-stage", "--files", "-s", "-o"]);
    if names.first() != Some(&"run") {
        return None;
    }
    let only = names.get(1);
    let text_of =
        repository.text(folder.join(".pre-commit-config.yaml")).or_else(|| repository.text(".pre-commit-config.yaml"));
    let Some(source) = text_of else { return Some(Called::Unread) };
    let documents = yaml(&source).unwrap_or_default();
    let repos = documents.first().map(|document| &document["repos"])?;
    let (mut hooks, mut entries) = (Vec::new(), Vec::new());
    for hook in items(repos).flat_map(|repo| items(&repo["hooks"])) {
        let Some(id) = text(&hook["id"]).filter(|id| only.is_none_or(|only| only == id)) else { continue };
        // Hooks of other stages are not run.
        let stages: Vec<String> = super::super::context::texts(&hook["stages"]);
        if stages.iter().all(|stage| ["commit", "pre-commit"].contains(&stage.as_str())) {
            entries.extend(text(&hook["entry"]).map(|entry| (entry, Failure::Stops)));
            hooks.push((id, Failure::Stops));
        }
    }
    let label = ".pre-commit-config.yaml".to_owned();
    let of_hooks =
        Task { label: label.clone(), scripts: hooks, shell: Shell::PLAIN, folder: folder.to_owned(), hooks: true };
    let entries = Task { label, scripts: entries, shell: Shell::PLAIN, folder: folder.to_owned(), hooks: false };
    Some(Called::Tasks(vec![of_hooks, entries]))
}
