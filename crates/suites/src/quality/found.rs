//! Which tools a project has set up, where, and with what command.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use seaworthy_repository::{Repository, yaml};
use serde_json::Value;

use crate::{
    coverage::{code_lines, measured_sources},
    pipeline::Pipelines,
    running::python,
    suites::{Projects, shows},
    tools::{Text, Tool, Toolbox, toolboxes},
};

/// What a tool is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Finds mistakes.
    Lint,
    /// Keeps one style.
    Format,
    /// Proves types.
    Types,
}

/// A tool that is set up.
#[derive(Debug)]
pub struct Found {
    /// What is known of it.
    pub tool: &'static Tool,
    /// Of its language.
    pub toolbox: &'static Toolbox,
    /// Where it runs, relative to the root.
    pub folder: PathBuf,
    /// A script of package.json, when that is the command.
    pub script: Option<String>,
    /// What shows that it is set up.
    pub shown_by: String,
}

/// Tools that are set up, and code that has none.
#[derive(Debug, Default)]
pub struct Tools {
    /// Those that are.
    pub found: Vec<Found>,
    /// Lines of code without one, by language.
    pub without: BTreeMap<&'static str, usize>,
    /// Lines of code in all.
    pub lines: usize,
}

impl Purpose {
    /// As in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lint => "linter",
            Self::Format => "formatter",
            Self::Types => "type checker",
        }
    }

    /// A tool that could be used for this, and the file that configures it.
    pub fn perhaps(self, repository: &Repository) -> Option<(&'static str, &'static str)> {
        let mut tools = toolboxes().iter().flat_map(|toolbox| self.tools(toolbox));
        tools.find_map(|tool| {
            let shown = |text: &&Text| shows(repository, Path::new(""), std::slice::from_ref(*text));
            Some((tool.name.as_str(), tool.doubtful.iter().find(shown)?.file.as_str()))
        })
    }

    fn tools(self, toolbox: &'static Toolbox) -> &'static [Tool] {
        match self {
            Self::Lint => &toolbox.linter,
            Self::Format => &toolbox.formatter,
            Self::Types => &toolbox.checker,
        }
    }
}

impl Tools {
    /// Looks for them.
    pub fn of(repository: &Repository, purpose: Purpose, pipelines: &Pipelines) -> Self {
        let mut tools = Self::default();
        let hooks = hooks(repository);
        let scripts = scripts(repository);
        let spoken = spoken(repository);
        tools.lines = spoken.iter().flat_map(|(_, folders)| folders.values()).sum();
        for (toolbox, folders) in spoken {
            let shown = Shown { repository, toolbox, pipelines, hooks: &hooks, scripts: &scripts };
            for (folder, lines) in folders {
                let known = purpose.tools(toolbox);
                let place = |folder: &Path| {
                    let mut all: Vec<Found> = known.iter().filter_map(|tool| shown.by(tool, folder)).collect();
                    // Of two type checkers the strict one counts.
                    let strict = all.iter().position(|found| found.is_strict(repository, pipelines) == Some(true));
                    let chosen = strict.filter(|_| purpose == Purpose::Types).unwrap_or(0);
                    (!all.is_empty()).then(|| all.swap_remove(chosen))
                };
                match place(&folder).or_else(|| place(Path::new(""))) {
                    Some(found) if tools.has(&found) => {}
                    Some(found) => tools.found.push(found),
                    None => *tools.without.entry(&toolbox.language).or_default() += lines,
                }
            }
        }
        tools
    }

    fn has(&self, other: &Found) -> bool {
        self.found.iter().any(|own| own.folder == other.folder && own.tool.name == other.tool.name)
    }
}

/// Lines of code by language and project. A few files beside a project of another language are none of their own.
fn spoken(repository: &Repository) -> Vec<(&'static Toolbox, BTreeMap<PathBuf, usize>)> {
    let mut all = Vec::new();
    for toolbox in toolboxes() {
        let projects = Projects::of(repository, toolbox);
        let mut folders: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for path in measured_sources(repository, toolbox, Path::new("")) {
            let Some(source) = repository.sources().get(&path) else { continue };
            *folders.entry(projects.folder(&path)).or_default() += code_lines(source).count();
        }
        all.push((toolbox, folders, projects.is_empty()));
    }
    let lines = |folders: &BTreeMap<PathBuf, usize>| folders.values().sum::<usize>();
    let most = all.iter().map(|(_, folders, _)| lines(folders)).max().unwrap_or(0);
    all.retain(|(_, folders, without_project)| !without_project || lines(folders) == most);
    all.into_iter().map(|(toolbox, folders, _)| (toolbox, folders)).collect()
}

/// What the project's own scripts run, in one text.
fn scripts(repository: &Repository) -> String {
    let is_script = |path: &&Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let known = ["Makefile", "justfile", "Justfile", "tox.ini", "noxfile.py", "Taskfile.yml", "Rakefile"];
        let deep = path.components().count() > 2;
        let plain = path.starts_with("scripts") || path.starts_with("bin") || path.starts_with("script");
        !deep && (known.contains(&name) || name.ends_with(".sh") || (plain && path.extension().is_none()))
    };
    let texts = repository.files().filter(is_script).take(100).filter_map(|path| repository.text(path));
    let lines = texts.flat_map(|text| {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#')).map(str::to_owned);
        lines.collect::<Vec<_>>()
    });
    let tasks = repository.files().filter(|path| path.ends_with("pyproject.toml")).flat_map(|path| {
        let table = repository.text(path).and_then(|text| text.parse::<toml::Table>().ok());
        table.map(|table| tasks_of(&table)).unwrap_or_default()
    });
    lines.chain(tasks).collect::<Vec<_>>().join("\n")
}

/// Commands of the tasks in a pyproject.toml: Hatch, Poe, PDM, taskipy, tox.
fn tasks_of(table: &toml::Table) -> Vec<String> {
    let Some(tools) = table.get("tool") else { return Vec::new() };
    let of = |path: &[&str]| path.iter().try_fold(tools, |value, name| value.get(*name));
    let environments = of(&["hatch", "envs"]).and_then(toml::Value::as_table).into_iter().flatten();
    let mut open: Vec<&toml::Value> = environments.filter_map(|(_, environment)| environment.get("scripts")).collect();
    let plain = [&["poe", "tasks"][..], &["pdm", "scripts"], &["taskipy", "tasks"], &["tox"]];
    open.extend(plain.iter().filter_map(|path| of(path)));
    let mut found = Vec::new();
    while let Some(value) = open.pop() {
        match value {
            toml::Value::String(text) => found.push(text.clone()),
            // The words of one command, or several commands.
            toml::Value::Array(list) => {
                let words: Vec<&str> = list.iter().filter_map(toml::Value::as_str).collect();
                found.push(words.join(" "));
                open.extend(list.iter().filter(|value| !value.is_str()));
            }
            toml::Value::Table(table) => open.extend(table.values()),
            _ => {}
        }
    }
    found
}

struct Shown<'r> {
    repository: &'r Repository,
    toolbox: &'static Toolbox,
    pipelines: &'r Pipelines,
    hooks: &'r [String],
    scripts: &'r str,
}

impl Shown<'_> {
    fn by(&self, tool: &'static Tool, folder: &Path) -> Option<Found> {
        let script = self.script(tool, folder);
        let file = tool.files.iter().find(|file| self.repository.has(folder.join(file)));
        let manifest = self.repository.manifests().of(folder, &self.toolbox.language);
        let dependency =
            tool.dependencies.iter().find(|name| manifest.is_some_and(|own| own.dependency(name).is_some()));
        let text = || tool.texts.iter().find(|text| shows(self.repository, folder, std::slice::from_ref(text)));
        let hook = || tool.hook.as_ref().filter(|hook| self.hooks.iter().any(|own| own.contains(hook.as_str())));
        let mentioned = || {
            tool.mentioned
                .as_ref()
                .is_some_and(|pattern| self.pipelines.running(&pattern.0).is_some() || pattern.0.is_match(self.scripts))
        };
        let shown_by = if let Some(file) = file {
            folder.join(file).display().to_string()
        } else if let Some((name, _)) = &script {
            format!("the script `{name}` of {}", folder.join("package.json").display())
        } else if let Some(text) = text() {
            text.file.clone()
        } else if let Some(dependency) = dependency {
            format!("the dependency {dependency}")
        } else if let Some(hook) = hook() {
            format!("the hook {hook}")
        } else if tool.always {
            "the language itself".to_owned()
        } else if mentioned() {
            "the pipeline or a script".to_owned()
        } else {
            return None;
        };
        let script = script.map(|(_, script)| script);
        Some(Found { tool, toolbox: self.toolbox, folder: folder.to_owned(), script, shown_by })
    }

    /// The script that calls it, as a check: what would repair is taken out.
    fn script(&self, tool: &Tool, folder: &Path) -> Option<(String, String)> {
        let pattern = &tool.scripts.as_ref()?.0;
        let scripts = &self.repository.manifests().of(folder, &self.toolbox.language)?.scripts;
        let named = |name: &str| tool.script_names.as_ref().is_none_or(|names| names.0.is_match(name));
        let mut fitting: Vec<(&String, &str)> = scripts
            .iter()
            .filter(|(name, _)| named(name))
            .filter_map(|(name, script)| {
                let parts = script.split("&&").flat_map(|part| part.split(';')).map(str::trim);
                let whole = tool.check == "false";
                let mut parts = parts.filter(|part| pattern.is_match(part));
                Some((name, if whole { script.as_str() } else { parts.next()? }))
            })
            .filter(|(_, line)| !line.contains("--watch") && !line.contains(" -w") && !line.contains("echo "))
            .collect();
        // What checks before what repairs, short names before long ones.
        fitting.sort_by_key(|(name, line)| (line.contains("--fix") || line.contains("--write"), name.len()));
        let (name, line) = fitting.first()?;
        let other_tool = tool.check == "false"
            && ["tsc", "vue-tsc", "prettier", "npm ", "yarn "].iter().any(|start| line.starts_with(start));
        let line =
            line.replace(" --fix", "").replace("--write", "--check").replace("biome check --check", "biome check");
        (!other_tool).then(|| ((*name).clone(), line))
    }
}

/// The ids of hooks of pre-commit.
fn hooks(repository: &Repository) -> Vec<String> {
    let Some(text) = repository.text(".pre-commit-config.yaml") else { return Vec::new() };
    let documents = yaml(&text).unwrap_or_default();
    let repos = documents.iter().flat_map(|one| one["repos"].as_array().into_iter().flatten());
    let hooks = repos.flat_map(|repo| repo["hooks"].as_array().into_iter().flatten());
    hooks.filter_map(|hook| hook["id"].as_str().map(str::to_owned)).collect()
}

impl Found {
    /// A text with the placeholders of commands.
    pub fn fill(
        &self,
        text: &str,
        repository: &Repository,
        pipelines: &Pipelines,
        place: &Path,
        cache: &Path,
    ) -> String {
        let mut text = text.replace("{python}", &python(repository, &self.folder, place));
        text = text.replace("{cache}", &cache.display().to_string());
        while let Some((before, rest)) = text.split_once("{program:") {
            let (name, after) = rest.split_once('}').unwrap_or((rest, ""));
            // Programs of the project are on the path.
            text = format!("{before}{name}{after}");
        }
        if text.contains("{where}") || text.contains("{paths}") || text.contains("{types}") {
            let named = self.named(repository, pipelines);
            let all = if named.is_empty() { ".".to_owned() } else { named.clone() };
            let paths = if named.is_empty() { self.tops(repository) } else { named.clone() };
            let configured = ["pyproject.toml", "mypy.ini", ".mypy.ini", "setup.cfg"].iter().any(|file| {
                let text = repository.text(self.folder.join(file)).unwrap_or_default();
                text.lines().any(|line| {
                    ["files", "packages", "modules"]
                        .iter()
                        .any(|key| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('=')))
                })
            });
            let types = if named.is_empty() && configured { String::new() } else { all.clone() };
            text = text.replace("{where}", &all).replace("{paths}", &paths).replace("{types}", &types);
        }
        text
    }

    /// Files and folders that a pipeline names behind the tool.
    fn named(&self, repository: &Repository, pipelines: &Pipelines) -> String {
        let Some(step) = pipelines.running(&self.tool.mention.0) else { return String::new() };
        let lines = step.text.lines().filter(|line| self.tool.mention.0.is_match(line) && !line.contains("install"));
        let words = lines.take(1).flat_map(|line| line.split_whitespace());
        let is_path = |word: &&str| {
            let path = self.folder.join(word);
            !word.starts_with('-') && !word.contains('*') && (repository.has(&path) || repository.has_folder(&path))
        };
        let plain = |word: &&str| word.chars().all(|letter| letter.is_alphanumeric() || "._-/".contains(letter));
        words.filter(plain).filter(is_path).collect::<Vec<_>>().join(" ")
    }

    /// The top folders and files with sources.
    fn tops(&self, repository: &Repository) -> String {
        let sources = measured_sources(repository, self.toolbox, &self.folder);
        let tops = sources.iter().filter_map(|path| path.strip_prefix(&self.folder).ok()?.components().next());
        let mut tops: Vec<String> = tops.map(|top| top.as_os_str().to_string_lossy().into_owned()).collect();
        tops.sort();
        tops.dedup();
        tops.join(" ")
    }

    /// Whether it is strict; nothing when that cannot be told.
    pub fn is_strict(&self, repository: &Repository, pipelines: &Pipelines) -> Option<bool> {
        let Some(strict) = &self.tool.strict else { return Some(true) };
        let (mut elsewhere, mut read) = (false, 0);
        for folder in [self.folder.as_path(), Path::new("")] {
            for file in &self.tool.strict_in {
                let Some(text) = repository.text(folder.join(file)) else { continue };
                read += 1;
                let lines = text
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//") && !line.trim_start().starts_with('#'));
                let text = lines.collect::<Vec<_>>().join("\n");
                if strict.0.is_match(&text) {
                    return Some(true);
                }
                elsewhere |= file.ends_with(".json")
                    && text.contains("\"extends\"")
                    && !text.contains("\"extends\": \"./")
                    && !text.contains("\"extends\": \"../");
            }
        }
        let by_command = self.script.as_deref().is_some_and(|line| line.contains("--strict"))
            || pipelines.running(&self.tool.mention.0).is_some_and(|step| step.text.contains("--strict"));
        if by_command {
            return Some(true);
        }
        (!elsewhere && read > 0).then_some(false)
    }
}

/// Whether a file of the project may take a planted violation: the largest sources first.
pub fn places(repository: &Repository, found: &Found) -> Vec<PathBuf> {
    let endings = &found.tool.extensions;
    let sources = measured_sources(repository, found.toolbox, &found.folder);
    let mut fitting: Vec<(usize, PathBuf)> = sources
        .into_iter()
        .filter(|path| path.extension().is_some_and(|own| endings.iter().any(|one| own == one.as_str())))
        .filter_map(|path| Some((repository.sources().get(&path)?.code.len(), path)))
        .collect();
    fitting.sort_by_key(|(length, path)| (std::cmp::Reverse(*length), path.clone()));
    let mut folders: Vec<PathBuf> = Vec::new();
    let mut chosen = Vec::new();
    for (_, path) in fitting {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        if !folders.contains(&folder) && chosen.len() < 3 {
            folders.push(folder);
            chosen.push(path);
        }
    }
    chosen
}

/// Whether a hook service without a file of its own runs hooks on each change.
pub fn hook_service(repository: &Repository) -> bool {
    let Some(text) = repository.text(".pre-commit-config.yaml") else { return false };
    yaml(&text).unwrap_or_default().iter().any(|one| one.get("ci").is_some_and(Value::is_object))
}
