//! What a command comes to: it is followed into scripts and task files.

mod javascript;
mod make;
mod python;
mod wrappers;

use std::path::{Path, PathBuf};

use super::{
    Command, CommandKind, Failure,
    shell::{self, Shell, Simple, walk::joined},
};
use crate::{repository::Repository, tree::is_test};

/// Follows commands through one repository.
#[derive(Clone, Copy)]
pub(super) struct Tasks<'r> {
    repository: &'r Repository,
}

/// What a command calls.
pub(super) enum Called {
    /// Tasks whose scripts are there.
    Tasks(Vec<Task>),
    /// Nothing of the project: it is these words, as they are.
    Program(Vec<String>),
    /// Something of the project that is not found or not read.
    Unread,
}

/// A task of the project.
pub(super) struct Task {
    /// File and name.
    pub(super) label: String,
    /// Its scripts, one after the other; why the failure of one does not count.
    pub(super) scripts: Vec<(String, Failure)>,
    pub(super) shell: Shell,
    pub(super) folder: PathBuf,
    /// Its scripts are words of pre-commit, not of a shell.
    pub(super) hooks: bool,
}

impl Task {
    pub(super) fn new(label: String, script: &str, shell: Shell, folder: &Path) -> Self {
        let scripts = vec![(script.to_owned(), Failure::Stops)];
        Self { label, scripts, shell, folder: folder.to_owned(), hooks: false }
    }
}

/// Tasks that call tasks are followed this far.
const DEEPEST: usize = 7;
/// More commands of one step are not listed.
const MOST: usize = 1_500;

struct Walk {
    through: Vec<String>,
    failure: Failure,
    found: Vec<Command>,
}

impl<'r> Tasks<'r> {
    pub(super) fn of(repository: &'r Repository) -> Self {
        Self { repository }
    }

    /// Every command of a script, those of the tasks that it calls behind the call.
    pub(super) fn script(self, script: &str, shell: Shell, folder: &Path) -> Vec<Command> {
        let mut walk = Walk { through: Vec::new(), failure: Failure::Stops, found: Vec::new() };
        self.follow_script(script, shell, folder, 0, &mut walk);
        walk.found
    }

    fn follow_script(self, script: &str, shell: Shell, folder: &Path, offset: usize, walk: &mut Walk) {
        for simple in shell::commands(script, shell) {
            if walk.found.len() > MOST {
                return;
            }
            let inside = joined(folder, &simple.folder.to_string_lossy());
            self.follow(&simple, &inside, offset, walk);
        }
    }

    fn follow(self, simple: &Simple, folder: &Path, offset: usize, walk: &mut Walk) {
        let (words, inner) = wrappers::unwrap(&simple.words, |word| self.file(folder, word).is_some());
        let line = if walk.through.is_empty() { simple.line } else { 0 };
        let failure = simple.failure.clone().and(&walk.failure);
        if let Some(inner) = inner {
            let outer = std::mem::replace(&mut walk.failure, failure);
            if walk.through.len() < DEEPEST {
                walk.through.push("a shell in the shell".to_owned());
                self.follow_script(&inner, Shell::PLAIN, folder, offset + line, walk);
                walk.through.pop();
            }
            walk.failure = outer;
            return;
        }
        let Some(first) = words.first() else { return };
        let called = match self.file(folder, first) {
            Some(file) => self.program_file(&file, folder),
            None => self.called(&words, folder),
        };
        let mut command = Command {
            kind: CommandKind::Shell,
            words,
            version: None,
            folder: folder.to_owned(),
            offset: offset + line,
            through: walk.through.clone(),
            failure: failure.clone(),
            opaque: false,
            tools: Vec::new(),
        };
        let mut tasks = Vec::new();
        match called {
            Some(Called::Tasks(found)) => tasks = found,
            Some(Called::Program(words)) => command.words = words,
            Some(Called::Unread) => command.opaque = true,
            None => {}
        }
        if let Some(first) = command.words.first_mut().filter(|_| !command.opaque) {
            *first = file_name(first).to_owned();
        }
        walk.found.push(command);
        let outer = std::mem::replace(&mut walk.failure, failure);
        let at = offset + line;
        tasks.iter().for_each(|task| self.follow_task(task, at, walk));
        walk.failure = outer;
    }

    fn follow_task(self, task: &Task, offset: usize, walk: &mut Walk) {
        if walk.through.len() >= DEEPEST || walk.through.contains(&task.label) {
            return;
        }
        walk.through.push(task.label.clone());
        for (script, own) in &task.scripts {
            let outer = walk.failure.clone();
            walk.failure = own.clone().and(&outer);
            if task.hooks {
                self.hook(script, task, offset, walk);
            } else {
                self.follow_script(script, task.shell, &task.folder, offset, walk);
            }
            walk.failure = outer;
        }
        walk.through.pop();
    }

    fn hook(self, id: &str, task: &Task, offset: usize, walk: &mut Walk) {
        walk.found.push(Command {
            kind: CommandKind::Hook,
            words: vec![id.to_owned()],
            version: None,
            folder: task.folder.clone(),
            offset,
            through: walk.through.clone(),
            failure: walk.failure.clone(),
            opaque: false,
            tools: Vec::new(),
        });
    }

    /// A file of the repository that a word names: it has a folder or an ending, and is no installed program.
    fn file(self, folder: &Path, word: &str) -> Option<PathBuf> {
        let looks =
            word.contains('/') || [".sh", ".py", ".js", ".mjs", ".ts", ".rb"].iter().any(|end| word.ends_with(end));
        let word = word.trim_start_matches("$GITHUB_WORKSPACE/").trim_start_matches("${GITHUB_WORKSPACE}/");
        let word = word.trim_start_matches("$CI_PROJECT_DIR/").trim_start_matches("${{ github.workspace }}/");
        if !looks || word.starts_with('/') || word.contains("node_modules") || word.len() > 300 {
            return None;
        }
        [joined(folder, word), joined(Path::new(""), word)].into_iter().find(|path| self.repository.has(path))
    }

    fn program_file(self, file: &Path, folder: &Path) -> Option<Called> {
        let name = file_name(&file.to_string_lossy()).to_owned();
        if [
            "gradlew",
            "mvnw",
            "manage.py",
            "setup.py",
            "rails",
            "rake",
            "artisan",
            "console",
            "runtests.py",
            "kamal",
            "brakeman",
            "rubocop",
            "bundle",
            "importmap",
            "phpunit",
        ]
        .contains(&name.as_str())
        {
            return None;
        }
        let text = self.repository.text(file)?;
        let first = text.lines().next().unwrap_or_default();
        let is_shell = first.starts_with("#!") && first.contains("sh");
        let plain = !first.starts_with("#!") && [".sh", ".bash"].iter().any(|end| name.ends_with(end));
        if is_shell || plain {
            let label = file.display().to_string();
            return Some(Called::Tasks(vec![Task::new(label, &text, Shell::PLAIN, folder)]));
        }
        Some(self.file_alone(file))
    }

    /// A file that another program runs: a test, or something that is not read.
    fn file_alone(self, file: &Path) -> Called {
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if is_test(file) || ["test", "tests", "spec", "runtests", "run_tests"].contains(&stem) {
            return Called::Program(vec!["run-test-file".to_owned(), file.display().to_string()]);
        }
        Called::Unread
    }

    /// `node test/index.js`, and what is like it.
    fn script_of_node(self, words: &[String], folder: &Path) -> Option<Called> {
        if words.iter().any(|word| word == "--test" || word == "-e" || word == "-p" || word == "--eval") {
            return None;
        }
        let name = operands(words, &["-r", "--require", "--import", "--loader"])
            .first()
            .copied()
            .filter(|name| *name != "run")?;
        let path = joined(folder, name);
        let endings = ["", ".js", ".mjs", ".cjs", ".ts", "/index.js", "/index.ts", "/index.mjs"];
        let found = endings.iter().map(|end| PathBuf::from(format!("{}{end}", path.display())));
        Some(
            found
                .into_iter()
                .find(|path| self.repository.has(path))
                .map_or(Called::Unread, |path| self.file_alone(&path)),
        )
    }

    fn called(self, words: &[String], folder: &Path) -> Option<Called> {
        let program = file_name(words.first()?);
        let rest = &words[1..];
        match program {
            "npm" | "pnpm" | "yarn" | "bun" => javascript::package_manager(self.repository, program, rest, folder),
            "npm-run-all"
            | "npm-run-all2"
            | "run-s"
            | "run-p"
            | "concurrently"
            | "wireit"
            | "start-server-and-test"
            | "turbo"
            | "nx"
            | "lerna"
            | "ultra"
            | "wsrun"
            | "pnpm-run" => javascript::runner(self.repository, program, rest, folder),
            "make" | "gmake" => make::make(self.repository, rest, folder),
            "just" => make::just(self.repository, rest, folder),
            "task" | "go-task" => make::taskfile(self.repository, rest, folder),
            "rake" => make::rake(self.repository, rest),
            "composer" => make::composer(self.repository, rest, folder),
            "mise" => make::mise(self.repository, rest, folder),
            "tox" => python::tox(self.repository, rest, folder),
            "nox" => python::nox(self.repository, rest, folder),
            "poe" | "pdm" | "hatch" | "pixi" | "poethepoet" => {
                python::project_script(self.repository, program, rest, folder)
            }
            "invoke" | "inv" => python::invoke(self.repository, rest, folder),
            "pre-commit" | "prek" => python::pre_commit(self.repository, rest, folder),
            "node" | "tsx" | "ts-node" | "deno" => self.script_of_node(rest, folder),
            "grunt" | "gulp" | "jake" | "mage" | "doit" | "paver" | "ant" | "cake" | "buck2" | "scons" | "cmake" => {
                Some(Called::Unread)
            }
            // A program that only a variable names.
            name if name.starts_with('$') || words[0].starts_with('$') => Some(Called::Unread),
            "docker" | "docker-compose" | "podman" if rest.iter().any(|word| word == "up") => Some(Called::Unread),
            "earthly" | "dagger" | "bazel" | "pants" | "please" => Some(Called::Unread),
            // An argument of a program that we do not know may be a script of the project.
            _ => None,
        }
    }
}

/// The last part of a path.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(path)
}

/// Words without options; options in `values` are skipped with their value.
pub(super) fn operands<'w>(words: &'w [String], values: &[&str]) -> Vec<&'w str> {
    let mut found = Vec::new();
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        }
        if !word.starts_with('-') {
            found.push(word);
        } else if values.contains(&word) {
            words.next();
        }
    }
    found
}

/// The value of an option: `--prefix web` or `--prefix=web`.
pub(super) fn option<'w>(words: &'w [String], names: &[&str]) -> Option<&'w str> {
    words.iter().enumerate().find_map(|(index, word)| match word.split_once('=') {
        Some((name, value)) if names.contains(&name) => Some(value),
        _ if names.contains(&word.as_str()) => words.get(index + 1).map(String::as_str),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
