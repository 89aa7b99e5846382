//! The command that starts a candidate on `$PORT`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    application::Application,
    hints::{Hints, with_shell},
    recognise::{Candidate, Surroundings},
};
use seaworthy_repository::{Fact, Start};

/// How a candidate is started.
#[derive(Debug)]
pub struct Chosen<'k> {
    /// The command, for `app.command`.
    pub command: String,
    /// What the app sees rightly with this command alone.
    pub gives: &'k [Fact],
    /// More environment for the app.
    pub environment: &'k BTreeMap<String, String>,
    /// The app must read `PORT` from its environment itself.
    pub needs_port_variable: bool,
    /// The app that it serves.
    pub application: Option<Application>,
    /// What to know about it.
    pub notes: Vec<String>,
}

/// The first way to start that fits; none for a site, and where nothing says how.
pub fn choose<'k>(around: &Surroundings<'k>, candidate: &Candidate<'k>) -> Option<Chosen<'k>> {
    candidate.stack.start.iter().find_map(|start| Project { around, candidate }.with(start))
}

struct Project<'a, 'k> {
    around: &'a Surroundings<'k>,
    candidate: &'a Candidate<'k>,
}

impl<'k> Project<'_, 'k> {
    fn with(&self, start: &'k Start) -> Option<Chosen<'k>> {
        let folder = &self.candidate.folder;
        let fits = (start.when.is_empty() || start.when.iter().any(|name| self.has_program(name)))
            && (start.files.is_empty() || start.files.iter().any(|file| self.around.tree.has(&folder.join(file))))
            && start
                .source
                .as_ref()
                .is_none_or(|pattern| self.around.first_match(self.candidate.stack, folder, pattern).is_some());
        if !fits {
            return None;
        }
        let application = self.candidate.applications.iter().find(|app| start.app.is_empty() || app.kind == start.app);
        let values = self.values(start, application);
        let mut command = fill(&start.command, &values)?;
        let factory = application.is_some_and(|app| app.factory);
        if application.is_some_and(|app| !app.root.as_os_str().is_empty()) && !start.elsewhere.is_empty() {
            command = format!("{command} {}", fill(&start.elsewhere, &values)?);
        }
        if factory && !start.factory.is_empty() {
            command = format!("{command} {}", start.factory);
        }
        let mut notes: Vec<String> = start.note.iter().filter_map(|note| fill(note, &values)).collect();
        if start.packaged {
            command = self.packaged(&command, &mut notes);
        }
        let needs_port_variable = !command.contains("$PORT") && !command.contains("${PORT") && !start.reads_port;
        Some(Chosen {
            command: self.in_folder(command),
            gives: &start.gives,
            environment: &start.environment,
            needs_port_variable,
            application: application.cloned(),
            notes,
        })
    }

    /// Whether the project has a program: in its manifests, or installed.
    fn has_program(&self, name: &str) -> bool {
        let manifest = self.around.manifest(self.candidate);
        manifest.is_some_and(|manifest| manifest.dependency(name).is_some()) || self.installed(name).is_some()
    }

    /// Where a program of the project is installed, as seen from its folder; also in a folder above, in a monorepo.
    fn installed(&self, program: &str) -> Option<String> {
        let depth = self.candidate.folder.components().count();
        self.candidate.folder.ancestors().take(depth + 1).enumerate().find_map(|(up, folder)| {
            let own = self.candidate.language.programs.iter().map(|own| Path::new(own).join(program));
            let there = own.into_iter().find(|own| self.around.tree.has(&folder.join(own)))?;
            Some(format!("{}{}", "../".repeat(up), there.display()))
        })
    }

    /// The same command with its program from the project's own folder, or run by the project's package manager.
    fn packaged(&self, command: &str, notes: &mut Vec<String>) -> String {
        let (program, rest) = command.split_once(' ').unwrap_or((command, ""));
        if let Some(path) = self.installed(program) {
            return format!("{path} {rest}");
        }
        let folder = &self.candidate.folder;
        let runner =
            self.candidate.language.runners.iter().find(|runner| self.around.tree.has(&folder.join(&runner.file)));
        if let Some(runner) = runner {
            return format!("{} {command}", runner.prefix);
        }
        let own = self.candidate.language.programs.iter().filter_map(|own| Path::new(own).parent());
        if let Some(there) = own.into_iter().find(|own| self.around.tree.has_folder(&folder.join(own))) {
            notes.push(format!("{} has no {program}: install it there", there.display()));
        }
        command.to_owned()
    }

    fn values(&self, start: &Start, application: Option<&Application>) -> BTreeMap<&'static str, String> {
        let mut values = BTreeMap::new();
        let folder = &self.candidate.folder;
        let manifest = self.around.manifest(self.candidate);
        let quoted = |path: &Path| shell_words::quote(&path.display().to_string()).into_owned();
        if let Some(app) = application {
            let object = app.object.clone().unwrap_or_default();
            let target = format!("{}:{object}", app.module);
            values.insert("target", if app.factory { format!("\"{target}()\"") } else { target.clone() });
            values.insert("app", target);
            values.insert("file", quoted(&app.file));
            values.insert("root", quoted(&app.root));
            let within = app.file.parent().filter(|parent| !parent.as_os_str().is_empty());
            values.insert("folder", within.map_or(".".into(), |parent| quoted(&Path::new("./").join(parent))));
        }
        let main = manifest.and_then(|manifest| manifest.main.clone());
        if let Some(main) = main.map(PathBuf::from).filter(|main| self.around.tree.has(&folder.join(main))) {
            values.insert("main", quoted(&main));
        }
        if let Some(name) = manifest.and_then(|manifest| manifest.name.clone()) {
            values.insert("name", name);
        }
        let script = start.script.as_ref().and_then(|name| Some((name, manifest?.scripts.get(name)?)));
        if let Some((name, line)) = script {
            values.insert("script", self.script(name, line));
        }
        let hints = Hints::read(&self.around.tree, folder, manifest);
        for (key, value) in [("procfile", hints.procfile), ("dockerfile", hints.dockerfile)] {
            if let Some(value) = value {
                values.insert(key, value);
            }
        }
        values
    }

    /// A script that is a plain `node FILE` is run without the package manager: signals then reach the app at once.
    fn script(&self, name: &str, line: &str) -> String {
        if line.starts_with("node ") && with_shell(line) == line {
            return line.to_owned();
        }
        let has = |file: &str| self.around.tree.has(&self.candidate.folder.join(file));
        let manager = if has("pnpm-lock.yaml") {
            "pnpm"
        } else if has("yarn.lock") {
            "yarn"
        } else {
            "npm"
        };
        format!("{manager} run {name}")
    }

    fn in_folder(&self, command: String) -> String {
        if self.candidate.folder.as_os_str().is_empty() {
            return command;
        }
        let folder = self.candidate.folder.display().to_string();
        let line = format!("cd {} && exec {command}", shell_words::quote(&folder));
        format!("sh -c {}", shell_words::quote(&line))
    }
}

/// Fills the placeholders; `None` when one has no value.
fn fill(template: &str, values: &BTreeMap<&'static str, String>) -> Option<String> {
    const NAMES: [&str; 10] =
        ["target", "app", "file", "root", "folder", "main", "name", "script", "procfile", "dockerfile"];
    let mut filled = template.to_owned();
    for name in NAMES {
        let placeholder = format!("{{{name}}}");
        if filled.contains(&placeholder) {
            filled = filled.replace(&placeholder, values.get(name)?);
        }
    }
    Some(filled)
}
