//! What is run, and when: commands of images, compositions, clusters, platforms, pipelines and scripts.

mod pipelines;
mod platforms;
pub(crate) mod shell;

use std::path::{Path, PathBuf};

use seaworthy_repository::Repository;

use crate::container::{Cluster, Composition, Purpose, Recipe};

/// When a command is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// While an image is built.
    Build,
    /// When the app, or a part of it, starts.
    Start,
    /// Once for each release, before it takes over.
    Release,
    /// By a pipeline.
    Pipeline,
    /// On a schedule.
    Schedule,
    /// By hand: a script nobody calls, as far as is seen.
    Hand,
}

/// A command, and where it is written.
#[derive(Debug, Clone)]
pub struct Run {
    /// When.
    pub when: When,
    /// File and line.
    pub place: String,
    /// The command.
    pub text: String,
    /// Nobody notices when it fails.
    pub ignored: bool,
    /// What it belongs to: a service, a job, a script.
    pub of: String,
}

/// Everything that is run, with what it was read from.
#[derive(Debug)]
pub struct Runs {
    /// The commands.
    pub all: Vec<Run>,
    /// Compose files.
    pub compositions: Vec<Composition>,
    /// Dockerfiles of the app.
    pub recipes: Vec<Recipe>,
    /// Manifests of a cluster.
    pub cluster: Cluster,
}

/// Scripts may call scripts, but not without end.
const DEEPEST: usize = 4;
const MOST: usize = 20_000;

impl Runs {
    /// Reads everything.
    pub fn read(repository: &Repository) -> Self {
        let compositions = Composition::all(repository);
        let recipes = Recipe::all(repository, &compositions);
        let cluster = Cluster::read(repository);
        let mut runs = Self { all: Vec::new(), compositions, recipes, cluster };
        let mut reader = Reader { repository, found: Vec::new() };
        reader.of_recipes(&runs.recipes);
        reader.of_compositions(&runs.compositions);
        reader.of_cluster(&runs.cluster);
        platforms::read(&mut reader);
        pipelines::read(&mut reader);
        reader.of_scripts();
        runs.all = reader.found;
        runs
    }

    /// Commands of some moments whose failure counts.
    pub fn at<'r>(&'r self, moments: &'r [When]) -> impl Iterator<Item = &'r Run> {
        self.all.iter().filter(|run| moments.contains(&run.when) && !run.ignored)
    }
}

/// Collects commands.
pub(super) struct Reader<'r> {
    pub repository: &'r Repository,
    found: Vec<Run>,
}

impl Reader<'_> {
    /// Adds the commands of a text, and of the scripts that they call.
    pub fn add(&mut self, when: When, of: &str, place: (&Path, usize), folder: &Path, text: &str) {
        self.add_below(when, of, place, folder, text, 0);
    }

    fn add_below(
        &mut self,
        when: When,
        of: &str,
        (path, line): (&Path, usize),
        folder: &Path,
        text: &str,
        depth: usize,
    ) {
        for command in shell::commands(text) {
            if self.found.len() > MOST {
                return;
            }
            let place = format!("{}:{}", path.display(), line + command.line);
            let (text, ignored) = (command.text, command.ignored);
            self.found.push(Run { when, place, text: text.clone(), ignored, of: of.to_owned() });
            if depth < DEEPEST && !ignored {
                for (path, line, text) in self.called(folder, &text) {
                    self.add_below(when, of, (&path, line), folder, &text, depth + 1);
                }
            }
        }
    }

    /// The text of what a command calls: a script of the repository, of package.json, of a Makefile.
    fn called(&self, folder: &Path, command: &str) -> Vec<(PathBuf, usize, String)> {
        let words = shell::words(command);
        let mut found = Vec::new();
        let name = match words.as_slice() {
            ["npm" | "yarn" | "pnpm" | "bun", "run" | "run-script", rest @ ..] => {
                rest.iter().find(|word| !word.starts_with('-'))
            }
            ["npm" | "yarn" | "pnpm" | "bun", script, ..] if !script.starts_with('-') => Some(script),
            ["make" | "just", target, ..] => {
                found.extend(self.target(folder, target));
                None
            }
            _ => None,
        };
        if let Some(name) = name {
            found.extend(self.script(folder, name));
        }
        // A script is named with its path inside the image: only the name is the same.
        let shells = ["sh", "bash", ".", "source", "/bin/sh", "/bin/bash"];
        let first = words.iter().find(|word| !shells.contains(word) && !word.starts_with('-'));
        if let Some(name) = first.and_then(|word| word.rsplit('/').next()).filter(|name| !name.is_empty()) {
            let is_script = name.ends_with(".sh") || command.contains('/') || name.contains("entrypoint");
            let candidates = self.repository.files().filter(|path| path.file_name().is_some_and(|own| own == name));
            let mut candidates: Vec<&Path> = candidates.filter(|_| is_script).collect();
            candidates.sort_by_key(|path| (!path.starts_with(folder), path.components().count()));
            if let Some(path) = candidates.first() {
                let text = self.repository.text(path).filter(|text| is_shell(path, text));
                found.extend(text.map(|text| (path.to_path_buf(), 1, text.to_string())));
            }
        }
        found
    }

    fn script(&self, folder: &Path, name: &str) -> Option<(PathBuf, usize, String)> {
        let folders = [folder, Path::new("")];
        let manifest = folders
            .iter()
            .find_map(|folder| self.repository.manifests().of(folder, "javascript").map(|one| (folder, one)));
        let (folder, manifest) = manifest?;
        let text = manifest.scripts.get(name)?;
        let path = folder.join("package.json");
        let line = self.repository.text(&path).and_then(|file| line_with(&file, &format!("\"{name}\":")));
        Some((path, line.unwrap_or(1), text.clone()))
    }

    fn target(&self, folder: &Path, name: &str) -> Option<(PathBuf, usize, String)> {
        let names = ["Makefile", "makefile", "justfile", "Justfile"];
        let paths = names.iter().flat_map(|file| [folder.join(file), PathBuf::from(file)]);
        let (path, text) = paths.filter_map(|path| Some((path.clone(), self.repository.text(&path)?))).next()?;
        let mut lines = text.lines().enumerate();
        let (at, _) =
            lines.find(|(_, line)| line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(':')))?;
        let body: Vec<&str> = lines.map(|(_, line)| line).take_while(|line| line.starts_with(['\t', ' '])).collect();
        let body: Vec<&str> = body.iter().map(|line| line.trim_start().trim_start_matches(['@', '-'])).collect();
        Some((path, at + 2, body.join("\n")))
    }

    fn of_recipes(&mut self, recipes: &[Recipe]) {
        for recipe in recipes {
            let folder = recipe.contexts.first().cloned().unwrap_or_default();
            let path = &recipe.file.path;
            for run in
                recipe.file.stages.iter().flat_map(|stage| &stage.instructions).filter(|one| one.keyword == "RUN")
            {
                self.add(When::Build, &path.display().to_string(), (path, run.line), &folder, &run.text);
            }
            for keyword in ["ENTRYPOINT", "CMD"] {
                let Some(command) = recipe.file.last(recipe.shipped, keyword) else { continue };
                let text = if command.exec { exec_text(&command.words) } else { command.text.clone() };
                self.add(When::Start, &path.display().to_string(), (path, command.line), &folder, &text);
            }
        }
    }

    fn of_compositions(&mut self, compositions: &[Composition]) {
        // What a developer starts on his own machine is not how the app runs.
        for composition in compositions.iter().filter(|one| one.purpose != Purpose::Development) {
            for service in composition.services.values() {
                let (file, line) = service.place.rsplit_once(':').unwrap_or((&service.place, "1"));
                let folder = service.build().and_then(|build| build.context).unwrap_or_else(|| service.folder.clone());
                let step = service.is_a_step(&composition.services);
                let when = if step { When::Release } else { When::Start };
                for key in ["entrypoint", "command"] {
                    let Some(text) = service.line(key) else { continue };
                    let of = format!("{}/{}", composition.name(), service.name);
                    self.add(when, &of, (Path::new(file), line.parse().unwrap_or(1)), &folder, &text);
                }
            }
        }
    }

    fn of_cluster(&mut self, cluster: &Cluster) {
        for container in cluster.containers(self.repository) {
            let Some(text) = container.line() else { continue };
            let (file, line) = container.place.rsplit_once(':').unwrap_or((&container.place, "1"));
            let when = match container.kind {
                "CronJob" => When::Schedule,
                "Job" => When::Release,
                _ if container.first => When::Release,
                _ => When::Start,
            };
            self.add(when, container.name(), (Path::new(file), line.parse().unwrap_or(1)), Path::new(""), &text);
        }
    }

    /// Scripts and package scripts by themselves: somebody may run them.
    fn of_scripts(&mut self) {
        let scripts: Vec<PathBuf> = self.repository.ending(&["sh"]).map(Path::to_path_buf).collect();
        for path in scripts.iter().take(300) {
            let text = self.repository.text(path).unwrap_or_default();
            self.add_below(When::Hand, &path.display().to_string(), (path, 1), Path::new(""), &text, DEEPEST);
        }
        let manifests = self.repository.manifests().all.iter();
        let all: Vec<(PathBuf, String, String)> = manifests
            .flat_map(|((folder, _), one)| {
                one.scripts.iter().map(|(name, text)| (folder.join("package.json"), name.clone(), text.clone()))
            })
            .collect();
        for (path, name, text) in all {
            self.add_below(When::Hand, &format!("script {name}"), (&path, 1), Path::new(""), &text, DEEPEST);
        }
    }
}

/// A list as one line: what follows `-c` stays together.
fn exec_text(words: &[String]) -> String {
    let quoted = |word: &String| if word.contains([' ', '&', '|', ';']) { format!("'{word}'") } else { word.clone() };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn is_shell(path: &Path, text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    path.extension().is_some_and(|ending| ending == "sh") || first.starts_with("#!") && first.contains("sh")
}

/// The line (from 1) that holds a text.
pub(crate) fn line_with(text: &str, part: &str) -> Option<usize> {
    text.lines().position(|line| line.contains(part)).map(|at| at + 1)
}
