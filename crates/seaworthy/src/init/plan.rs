//! What `init` makes of a folder: the app it takes, the others, and the files to write.

use std::path::{Component, Path, PathBuf};

use super::{
    behind::{self, How, Seen},
    health::{self, HealthPath},
    recognise::{Candidate, Surroundings},
    start::{self, Chosen},
    template::{self, Content},
};
use seaworthy_repository::{Site, Variables};

/// The folder for pages that lie beside the config.
pub const PUBLIC: &str = "public";

/// The outcome of looking.
#[derive(Debug)]
pub struct Plan<'a> {
    /// What is taken.
    pub found: Option<Found<'a>>,
    /// What is there too, and why it is not taken.
    pub others: Vec<(&'a Candidate<'a>, &'static str)>,
    /// What the code reads.
    pub variables: &'a Variables,
    /// What to know and do besides.
    pub notes: Vec<String>,
    /// `seaworthy.toml`.
    pub config: String,
    /// `.env.example`.
    pub example: Option<String>,
}

/// The candidate that is taken.
#[derive(Debug)]
pub struct Found<'a> {
    /// What it is.
    pub candidate: &'a Candidate<'a>,
    /// How it is started, when it has a process.
    pub chosen: Option<Chosen<'a>>,
    /// Its health check.
    pub health: Option<HealthPath>,
    /// The folder that is served, relative to the tree, when it is a site.
    pub site: Option<PathBuf>,
    /// What makes that folder, when it is not there yet.
    pub build: Option<&'a str>,
    /// The pages lie beside the config, where `run` serves nothing: they have to go into `site` first.
    pub to_move: bool,
    /// What the app will see.
    pub behind: Vec<Seen>,
}

impl<'a> Plan<'a> {
    /// Thinks it over. Candidates come the best one first.
    pub fn new(around: &'a Surroundings<'a>, candidates: &'a [Candidate<'a>], variables: &'a Variables) -> Self {
        let mut notes = around.manifests.unreadable.clone();
        if around.tree.cut {
            notes.push("the folder has more files than are read here: some may have been missed".into());
        }
        // A candidate that nothing says how to start is not taken, unless it is all there is.
        let prepared = candidates.iter().find_map(|candidate| Found::prepare(around, candidate));
        let taken = prepared.as_ref().map(|found| found.candidate);
        let others = candidates.iter().filter(|other| !taken.is_some_and(|taken| std::ptr::eq(taken, *other)));
        let others: Vec<_> = others.map(|other| (other, why_not(taken, other))).collect();
        if let Some(found) = &prepared {
            notes.extend(found.notes(around, variables));
        }
        let content = prepared.as_ref().map_or(Content::Nothing, Found::content);
        let config = template::config(&content);
        Self { found: prepared, others, variables, notes, config, example: template::example(variables) }
    }

    /// Whether the app will see every fact rightly, as far as is known.
    pub fn sees_all(&self) -> bool {
        self.found.iter().flat_map(|found| &found.behind).all(|seen| !matches!(seen.how, How::Missing { .. }))
    }
}

impl<'a> Found<'a> {
    fn prepare(around: &Surroundings<'a>, candidate: &'a Candidate<'a>) -> Option<Self> {
        let mut found =
            Self { candidate, chosen: None, health: None, site: None, build: None, to_move: false, behind: Vec::new() };
        if let Some(site) = &candidate.stack.site {
            let folder = site_folder(around, candidate, site);
            let built = around.tree.has(&candidate.folder.join(&folder).join("index.html"));
            found.build = site.build.as_deref().filter(|_| !built);
            let folder = in_tree(&candidate.folder, &folder);
            found.to_move = folder.components().all(|part| part == Component::CurDir);
            found.site = Some(if found.to_move { PUBLIC.into() } else { folder });
            return Some(found);
        }
        let chosen = start::choose(around, candidate)?;
        found.health = health::find(around, candidate);
        found.behind = behind::look(around, candidate, &chosen);
        found.chosen = Some(chosen);
        Some(found)
    }

    fn content(&self) -> Content<'_> {
        let name = self.candidate.stack.name.as_str();
        match (&self.chosen, &self.site, &self.candidate.stack.site) {
            (Some(chosen), ..) => Content::App { name, chosen, health: self.health.as_ref() },
            (None, Some(root), Some(site)) => Content::Site { name, root, spa: site.spa },
            _ => Content::Nothing,
        }
    }

    fn notes(&self, around: &Surroundings<'_>, variables: &Variables) -> Vec<String> {
        let mut notes = self.chosen.iter().flat_map(|chosen| chosen.notes.clone()).collect::<Vec<_>>();
        if self.chosen.as_ref().is_some_and(|chosen| chosen.needs_port_variable) && !variables.reads_port {
            notes.push(
                "the code does not read the environment variable PORT, and the command does not name it: make the app \
                 listen on that port, or write $PORT into the command"
                    .into(),
            );
        }
        if let Some(build) = self.build {
            let folder = self.candidate.folder.display().to_string();
            let place = if folder.is_empty() { String::new() } else { format!(" in {folder}") };
            notes.push(format!("the folder is not built yet: `{build}`{place} makes it"));
        }
        if self.to_move {
            notes.push(format!(
                "index.html lies beside seaworthy.toml, and this folder with its config and source code must not be \
                 served: move index.html into {PUBLIC}/, with the pages, styles, scripts and pictures that belong to it"
            ));
        }
        let needs_app = self.candidate.stack.app.iter().any(|_| true) && self.candidate.applications.is_empty();
        if needs_app && around.manifest(self.candidate).is_some() {
            notes.push(format!("no {} app was found in the source: look at the command", self.candidate.stack.name));
        }
        notes
    }
}

fn site_folder(around: &Surroundings<'_>, candidate: &Candidate<'_>, site: &Site) -> PathBuf {
    let named = site.folder.as_ref().and_then(|pattern| {
        let mut sources = around.sources(candidate.stack, &candidate.folder);
        sources.find_map(|(_, source)| {
            let found = source.matches(&pattern.0).next()?;
            Some(PathBuf::from(found.name("folder")?.as_str()))
        })
    });
    let is_inner = |folder: &PathBuf| folder.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let there = |folder: &&String| around.tree.has(&candidate.folder.join(folder).join("index.html"));
    let usual = || site.folders.iter().find(there).or(site.folders.first()).map(PathBuf::from);
    named.filter(is_inner).or_else(usual).unwrap_or_default()
}

fn in_tree(folder: &Path, inner: &Path) -> PathBuf {
    if inner == Path::new(".") && !folder.as_os_str().is_empty() { folder.to_owned() } else { folder.join(inner) }
}

fn why_not(taken: Option<&Candidate<'_>>, other: &Candidate<'_>) -> &'static str {
    let Some(taken) = taken else { return "nothing says how to start it" };
    if other.stack.site.is_some() && taken.stack.site.is_none() {
        return "an app goes before a folder of files";
    }
    if other.is_aside() && !taken.is_aside() {
        return "its folder looks like one of examples or tests";
    }
    if other.folder.components().count() > taken.folder.components().count() {
        return "it is further down";
    }
    "less speaks for it"
}
