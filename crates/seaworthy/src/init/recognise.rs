//! Which stacks a tree holds, and in which folders: every candidate with its reasons, the best one first.

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    application::{self, Application},
    hints::Hints,
};
use seaworthy_repository::{Knowledge, Language, Manifest, Manifests, Pattern, Source, Stack, TEST_FOLDERS, Tree};

/// A stack in a folder.
#[derive(Debug)]
pub struct Candidate<'k> {
    /// What it is.
    pub stack: &'k Stack,
    /// Its language.
    pub language: &'k Language,
    /// The project's folder, relative to the tree; empty for the tree itself.
    pub folder: PathBuf,
    /// What speaks for it: `fastapi in pyproject.toml`.
    pub reasons: Vec<String>,
    /// The apps that were found, the likeliest first.
    pub applications: Vec<Application>,
    score: i32,
}

/// Everything that is looked at.
#[derive(Debug)]
pub struct Surroundings<'k> {
    /// What is known.
    pub knowledge: &'k Knowledge,
    /// The files.
    pub tree: Tree,
    /// What they depend on.
    pub manifests: Manifests,
}

/// Folders whose apps are not what the repository is for.
const SIDE_FOLDERS: &[&str] =
    &["example", "examples", "sample", "samples", "docs", "demo", "demos", "scripts", "tools", "bench"];

impl<'k> Surroundings<'k> {
    /// Every candidate, the best one first.
    pub fn candidates(&self) -> Vec<Candidate<'k>> {
        let mut folders: BTreeSet<PathBuf> = self.manifests.all.keys().map(|(folder, _)| folder.clone()).collect();
        folders.insert(PathBuf::new());
        folders.extend(self.marked_folders());
        let mut found: Vec<Candidate<'k>> = Vec::new();
        for folder in &folders {
            found.extend(self.knowledge.stacks.iter().filter_map(|stack| self.look(stack, folder)));
        }
        found.sort_by_key(|one| {
            (Reverse(one.stack.rank / 10), Reverse(one.weight()), Reverse(one.stack.rank), one.folder.clone())
        });
        // In one folder and language it is one app: what recognised less of it is the same thing under another name. Beside
        // an app, a folder of files or a Procfile belongs to it.
        let mut seen: BTreeSet<(PathBuf, &str)> = BTreeSet::new();
        found.retain(|one| {
            let alone = one.stack.is_server() || !seen.iter().any(|(folder, _)| *folder == one.folder);
            alone && seen.insert((one.folder.clone(), one.stack.language.as_str()))
        });
        found
    }

    /// The manifest of a candidate.
    pub fn manifest(&self, candidate: &Candidate<'_>) -> Option<&Manifest> {
        self.manifest_of(candidate.stack, &candidate.folder)
    }

    /// Sources of a project in its language, with paths relative to the tree; those of a project within it are not its own.
    pub fn sources<'s>(&'s self, stack: &'s Stack, folder: &'s Path) -> impl Iterator<Item = (&'s Path, &'s Source)> {
        let language = &self.knowledge.languages[stack.language.as_str()];
        let inner: Vec<&PathBuf> = self
            .manifests
            .all
            .keys()
            .filter(|(other, of)| *of == stack.language && other.as_path() != folder && other.starts_with(folder))
            .map(|(other, _)| other)
            .collect();
        let sources = self.tree.sources_in(folder, &language.extensions);
        sources.filter(move |(path, _)| !inner.iter().any(|inner| path.starts_with(inner)))
    }

    /// The first place of some code in a project: its file, and the line.
    pub fn first_match(&self, stack: &Stack, folder: &Path, pattern: &Pattern) -> Option<(PathBuf, usize)> {
        self.sources(stack, folder).find_map(|(path, source)| {
            let found = source.matches(&pattern.0).next()?;
            let start = found.name("at").or_else(|| found.get(0))?.start();
            // The pattern may take the end of the line before.
            let blank = source.code[start..].bytes().take_while(u8::is_ascii_whitespace).count();
            Some((path.to_owned(), source.line(start + blank)))
        })
    }

    fn manifest_of(&self, stack: &Stack, folder: &Path) -> Option<&Manifest> {
        let (language, _) = self.knowledge.languages.get_key_value(stack.language.as_str())?;
        self.manifests.of(folder, language)
    }

    /// Folders of files that stand for a stack.
    fn marked_folders(&self) -> Vec<PathBuf> {
        let stacks = self.knowledge.stacks.iter().filter(|stack| stack.site.is_none());
        let markers: BTreeSet<&str> = stacks.flat_map(|stack| &stack.recognise.files).map(String::as_str).collect();
        let folder_of = |path: &PathBuf| {
            let marker = markers.iter().find(|marker| path.ends_with(marker))?;
            path.ancestors().nth(Path::new(marker).components().count()).map(Path::to_owned)
        };
        self.tree.files.iter().filter_map(folder_of).collect()
    }

    fn look(&self, stack: &'k Stack, folder: &Path) -> Option<Candidate<'k>> {
        let language = &self.knowledge.languages[stack.language.as_str()];
        let manifest = self.manifest_of(stack, folder);
        let about = &stack.recognise;
        let named = |name: &String| manifest.and_then(|manifest| manifest.dependency(name));
        let excluded =
            about.without.iter().filter_map(named).any(|dependency| !dependency.development || stack.site.is_some());
        let other = about.without_source.as_ref().and_then(|pattern| self.first_match(stack, folder, pattern));
        if excluded || other.is_some() {
            return None;
        }
        let mut candidate = Candidate {
            stack,
            language,
            folder: folder.to_owned(),
            reasons: Vec::new(),
            applications: Vec::new(),
            score: 0,
        };
        let mut dependencies = about.dependencies.iter().filter_map(named);
        if let Some(found) = dependencies.find(|dependency| about.development || !dependency.development) {
            candidate.because(4, format!("{} in {}", found.name, found.file.display()));
        }
        if let Some(file) = about.files.iter().find(|file| self.tree.has(&folder.join(file))) {
            candidate.because(2, folder.join(file).display().to_string());
        }
        let source = about.source.as_ref().and_then(|pattern| self.first_match(stack, folder, pattern));
        if about.source_needed && source.is_none() {
            return None;
        }
        if let Some((file, line)) = source {
            candidate.because(1, format!("its code in {}:{line}", file.display()));
        }
        if candidate.score == 0 {
            return None;
        }
        let hints = Hints::read(&self.tree, folder, manifest);
        candidate.applications = application::find(self, stack, folder, &hints);
        if about.app_needed && candidate.applications.is_empty() {
            return None;
        }
        if let Some(app) = candidate.applications.first() {
            let what = if app.factory { "app factory" } else { "app" };
            let object = app.object.as_ref().map(|object| format!(" `{object}`")).unwrap_or_default();
            let text = format!("{what}{object} in {}:{}", folder.join(&app.file).display(), app.line);
            candidate.reasons.retain(|reason| !reason.starts_with("its code"));
            candidate.because(3, text);
        }
        Some(candidate)
    }
}

impl Candidate<'_> {
    /// Whether it is in a folder whose apps are not what the repository is for.
    pub fn is_aside(&self) -> bool {
        self.folder
            .components()
            .any(|part| SIDE_FOLDERS.iter().chain(TEST_FOLDERS).any(|side| part.as_os_str() == *side))
    }

    fn because(&mut self, score: i32, reason: String) {
        self.score += score;
        self.reasons.push(reason);
    }

    /// What speaks for it, less what speaks against: a folder far down, or one of examples.
    fn weight(&self) -> i32 {
        let depth = i32::try_from(self.folder.components().count()).unwrap_or(i32::MAX / 8);
        self.score * 2 - depth * 3 - if self.is_aside() { 30 } else { 0 }
    }
}
