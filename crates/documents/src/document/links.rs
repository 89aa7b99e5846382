//! Links that lead nowhere.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use seaworthy_repository::Repository;

use super::{Document, lines::REFERENCE, section::Link};

/// Relative links of some sections whose file is not there: place and target. The second number is how many were tried.
pub(crate) fn dead_links<'d>(
    repository: &Repository,
    document: &Document,
    links: impl Iterator<Item = &'d Link>,
) -> (Vec<String>, usize) {
    let mut dead = Vec::new();
    let mut tried = 0;
    // A name with `_` behind it is one of reStructuredText's own.
    for link in links.filter(|link| link.is_relative() && !link.target.ends_with('_')) {
        let Some(candidates) = candidates(&document.path, &link.target) else { continue };
        tried += 1;
        let there = |path: &PathBuf| path.as_os_str().is_empty() || repository.has(path) || repository.has_folder(path);
        // A site's generator makes pages of documents: `../install/` and `install.html` are `install.md`.
        let page = |path: &PathBuf| {
            let stem =
                if path.extension().is_some_and(|own| own == "html") { path.with_extension("") } else { path.clone() };
            let with = |ending: &str| PathBuf::from(format!("{}.{ending}", stem.display()));
            ["md", "mdx", "rst", "adoc", "txt"].iter().any(|ending| repository.has(with(ending)))
                || ["index.md", "README.md", "index.rst", "_index.md"]
                    .iter()
                    .any(|name| repository.has(stem.join(name)))
        };
        if !candidates.iter().any(|path| there(path) || page(path)) {
            dead.push(format!("{} links to {}, which is not there", document.place(link.line), link.target));
        }
    }
    (dead, tried)
}

/// The file that a relative link names from a document; `None` when it leads out of the repository.
pub(crate) fn target_of(document: &Path, target: &str) -> Option<PathBuf> {
    let target = target.trim().split(['#', '?']).next().unwrap_or_default().trim_start_matches("./");
    let target = target.replace("%20", " ");
    plain(&document.parent().unwrap_or(Path::new("")).join(target))
}

/// Sphinx' ways to name another document: `:ref:` by a name that some section has, `:doc:` from the folder of its `conf.py`.
pub(super) fn follow_roles(
    document: &mut Document,
    labels: &BTreeMap<String, &Path>,
    has_root: impl Fn(&Path) -> bool,
) {
    let depth = document.path.components().count().saturating_sub(1);
    let from_top = |path: &Path| format!("{}{}", "../".repeat(depth), path.display());
    let root = document.path.ancestors().skip(1).find(|folder| has_root(folder)).map(Path::to_owned);
    for link in document.sections.iter_mut().flat_map(|section| &mut section.links) {
        if let Some(name) = link.target.strip_prefix(REFERENCE) {
            if let Some(path) = labels.get(name) {
                link.target = from_top(path);
            }
        } else if let (Some(root), Some(path)) = (&root, link.target.strip_prefix('/'))
            && path.ends_with(".rst")
        {
            link.target = from_top(&root.join(path));
        }
    }
}

/// A page of a site is a folder of its own, so its links may go up once more.
fn candidates(document: &Path, target: &str) -> Option<Vec<PathBuf>> {
    let first = target_of(document, target)?;
    let stem = document.with_extension("");
    let second = target.strip_prefix("../").and_then(|rest| target_of(&stem.join("x"), &format!("../{rest}")));
    Some([Some(first), second].into_iter().flatten().collect())
}

/// Without `.` and `..`.
pub(crate) fn plain(path: &Path) -> Option<PathBuf> {
    let mut found = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => found.push(part),
            Component::CurDir => {}
            Component::ParentDir if found.pop() => {}
            _ => return None,
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Sample;

    use super::*;
    use crate::document::Documents;

    #[test]
    fn only_files_that_are_not_there_are_dead() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[a](b.md) [c](../README.md#x) [d](https://x.y) [e](#f) [g](h/) [i](gone.md) [m](mailto:a@b.c) [n](../../out) [o](b) ![p](q.png)";
        Sample::of(&[("docs/a.md", text), ("docs/b.md", "x"), ("README.md", "x"), ("docs/h/x", "x")])
            .write(folder.path())
            .unwrap();
        let repository = Repository::open(folder.path()).unwrap();
        let documents = Documents::read(&repository);
        let document = documents.at(Path::new("docs/a.md")).unwrap();
        let (dead, tried) =
            dead_links(&repository, document, document.sections.iter().flat_map(|section| &section.links));
        assert_eq!(
            dead,
            ["docs/a.md:1 links to gone.md, which is not there", "docs/a.md:1 links to q.png, which is not there"]
                .map(String::from)
        );
        assert_eq!(tried, 6);
    }
}
