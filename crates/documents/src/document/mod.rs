//! A project's documents as data: sections with their words, commands, links, tables and code, whatever the format.

mod command;
mod lines;
mod links;
mod markdown;
mod openapi;
mod pages;
mod perhaps;
mod section;
mod template;
mod topic;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use seaworthy_repository::{Repository, TEST_FOLDERS};

pub(crate) use command::{Grounds, Resolver, commands};
pub(crate) use links::{dead_links, target_of};
pub(crate) use openapi::{Specification, specifications};
pub(crate) use section::Section;
use template::template_of;
pub(crate) use topic::{Found, Part, dead_in, topic};

/// One document.
#[derive(Debug)]
pub(crate) struct Document {
    /// Where it is.
    pub path: PathBuf,
    /// Its sections, in order; what stands before the first heading has no title.
    pub sections: Vec<Section>,
    /// The generator whose text this still is.
    pub template: Option<&'static str>,
    /// Most of it is boxes to tick: a plan of what shall be, no document of what is.
    pub checklist: bool,
}

/// All documents of a repository.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    /// The documents, by path.
    pub all: Vec<Document>,
    /// True when there were more than are read.
    pub cut: bool,
}

/// A larger one was generated.
const LARGEST: usize = 1 << 20;
/// All texts together.
const MOST: usize = 24 << 20;
const ENDINGS: &[&str] = &["md", "mdx", "markdown", "rst", "adoc", "asciidoc"];
/// Folders whose texts are content, translations, or for programs.
const OTHER_FOLDERS: &[&str] = &[
    "_posts",
    "posts",
    "blog",
    "locale",
    "locales",
    "i18n",
    "lang",
    "langs",
    "templates",
    "changelogs",
    ".changeset",
    ".changes",
    "node_modules",
    "third_party",
    "third-party",
    "examples",
    "static",
    "assets",
    "public",
    "content",
    "themes",
    "skills",
    "history",
    "data",
];
/// Folders that are there to hold documents.
const DOCUMENT_FOLDERS: &[&str] = &[
    "docs",
    "doc",
    "documentation",
    "wiki",
    "guide",
    "guides",
    "handbook",
    "runbooks",
    "runbook",
    "playbooks",
    "ops",
    "operations",
    "policies",
    "adr",
    "adrs",
    "deploy",
    "deployment",
    "infra",
    "infrastructure",
    ".github",
    ".gitlab",
    ".gitea",
    ".forgejo",
];
/// Hidden folders that do hold documents.
const HIDDEN_FOLDERS: &[&str] = &[".github", ".gitlab", ".gitea", ".forgejo"];
/// Texts that tell what was, or that lawyers wrote.
const OTHER_NAMES: &[&str] = &[
    "changelog",
    "changes",
    "history",
    "news",
    "release_notes",
    "license",
    "licence",
    "copying",
    "notice",
    "authors",
    "code_of_conduct",
];

impl Documents {
    /// Reads every document.
    pub fn read(repository: &Repository) -> Self {
        let mut found = Self::default();
        let mut left = MOST;
        let mut labels = BTreeMap::new();
        for path in repository.files().filter(|path| is_document(path)) {
            let Some(text) = repository.text(path).filter(|text| text.len() <= LARGEST) else { continue };
            if text.len() > left {
                found.cut = true;
                break;
            }
            left -= text.len();
            if path.extension().is_some_and(|own| own == "rst") {
                labels.extend(lines::labels(&text).into_iter().map(|label| (label, path)));
            }
            found.all.push(Document::new(path, &text));
        }
        let has_root = |folder: &Path| repository.has(folder.join("conf.py"));
        found.all.iter_mut().for_each(|document| links::follow_roles(document, &labels, has_root));
        found.all.extend(specifications(repository).into_iter().filter_map(Document::of_specification));
        found
    }

    /// The document at a path.
    pub fn at(&self, path: &Path) -> Option<&Document> {
        self.all.iter().find(|document| document.path == path)
    }

    /// Those that speak of the project as it is: neither checklists nor generated texts.
    pub fn own(&self) -> impl Iterator<Item = &Document> {
        self.all.iter().filter(|document| !document.checklist && document.template.is_none())
    }
}

impl Document {
    fn new(path: &Path, text: &str) -> Self {
        let ending = path.extension().and_then(|own| own.to_str()).unwrap_or_default();
        let sections = match ending {
            "rst" | "adoc" | "asciidoc" => lines::read(text, ending != "rst"),
            _ => markdown::read(text),
        };
        let boxes: usize = sections.iter().map(|section| section.boxes).sum();
        let words: usize = sections.iter().map(|section| section.words).sum();
        Self {
            path: path.to_owned(),
            template: template_of(text),
            checklist: boxes >= 5 && words < boxes * 12,
            sections,
        }
    }

    /// What a description of an API says in words, under its headings.
    fn of_specification(one: Specification) -> Option<Self> {
        let (begins, text) = one.description?;
        let mut sections = markdown::read(&text);
        for section in &mut sections {
            section.line += begins - 1;
            section.blocks.iter_mut().for_each(|block| block.line += begins - 1);
            // It is read where it was rendered, and what is beside it there cannot be told.
            section.links.retain(section::Link::is_outside);
            section.links.iter_mut().for_each(|link| link.line += begins - 1);
            section.codes.iter_mut().for_each(|(line, _)| *line += begins - 1);
        }
        Some(Self { path: one.path, sections, template: None, checklist: false })
    }

    /// It stands where people look for what is said of the whole app.
    pub fn is_prominent(&self) -> bool {
        let stem = self.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let folders =
            self.path.parent().into_iter().flat_map(Path::components).filter_map(|part| part.as_os_str().to_str());
        let folders: Vec<&str> = folders.collect();
        let at_home = folders.len() <= 1
            || folders.iter().any(|folder| DOCUMENT_FOLDERS.contains(&folder.to_lowercase().as_str()));
        let parts = folders.len() <= 2 && stem.to_lowercase().starts_with("readme");
        self.is_for_people() && (at_home || parts)
    }

    /// No text for a program that writes code.
    pub fn is_for_people(&self) -> bool {
        let stem = self.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        !["AGENTS", "CLAUDE", "GEMINI", "SKILL", "copilot-instructions"].contains(&stem)
    }

    /// `path:line`.
    pub fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

fn is_document(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let stem = name.split('.').next().unwrap_or(name).to_lowercase().replace('-', "_");
    let plain = ["readme", "contributing", "install", "hacking"].contains(&stem.as_str())
        && (!name.contains('.') || name.ends_with(".txt"));
    let ending = path.extension().and_then(|own| own.to_str()).is_some_and(|own| ENDINGS.contains(&own));
    let mut folders = path.parent().into_iter().flat_map(Path::components).filter_map(|part| part.as_os_str().to_str());
    let left_out = |folder: &str| {
        (folder.starts_with('.') && !HIDDEN_FOLDERS.contains(&folder))
            || OTHER_FOLDERS.contains(&folder)
            || TEST_FOLDERS.contains(&folder)
            || folder.ends_with("ISSUE_TEMPLATE")
            || folder.ends_with("PULL_REQUEST_TEMPLATE")
    };
    let told = stem.starts_with("changelog") || stem.starts_with("whatsnew") || stem.starts_with("release_notes");
    let form = told || ["pull_request_template", "issue_template"].contains(&stem.as_str());
    (plain || ending) && !form && !OTHER_NAMES.contains(&stem.as_str()) && !folders.any(left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_those_of_the_project() {
        let is = |path: &str| is_document(Path::new(path));
        assert!(
            is("README.md")
                && is("docs/deploy.rst")
                && is(".github/SECURITY.md")
                && is("README")
                && is("backend/README.md")
        );
        assert!(
            !is("CHANGELOG.md") && !is("tests/README.md") && !is(".github/ISSUE_TEMPLATE/bug.md") && !is("src/app.py")
        );
        assert!(!is(".github/pull_request_template.md") && !is("locale/de/README.md") && !is("LICENSE.md"));
    }

    #[test]
    fn a_list_of_boxes_is_a_plan() {
        let text = "# Launch\n## Rollback\n- [ ] Rollback documented\n- [ ] Tried\n- [x] Signed\n- [ ] a\n- [ ] b\n";
        assert!(Document::new(Path::new("CHECKLIST.md"), text).checklist);
        assert!(!Document::new(Path::new("a.md"), "# Rollback\nRun this.\n- [ ] one\n").checklist);
    }
}
