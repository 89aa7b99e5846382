//! A Dockerfile of the app with the folder that its builds are sent.

use std::path::{Path, PathBuf};

use seaworthy_repository::Repository;

use crate::engines::Engines;

use super::{
    compose::{Composition, is_beside},
    dockerfile::{Dockerfile, Stage},
    ignored::Ignored,
    images::{Image, Images},
};

/// How an image of the app is made.
#[derive(Debug)]
pub struct Recipe {
    /// The file.
    pub file: Dockerfile,
    /// Folders it may be built from: one when a compose file says it.
    pub contexts: Vec<PathBuf>,
    /// The stage that is shipped.
    pub shipped: usize,
    /// Services that are built by it, as `composition/service`.
    pub services: Vec<String>,
}

impl Recipe {
    /// Every image of the app: not those of tests, examples, editors and development.
    pub fn all(repository: &Repository, compositions: &[Composition]) -> Vec<Self> {
        let files = repository.files().filter(|path| is_recipe(path) && !is_beside(path) && !is_for_development(path));
        files.filter_map(|path| Self::read(repository, compositions, path)).collect()
    }

    fn read(repository: &Repository, compositions: &[Composition], path: &Path) -> Option<Self> {
        let file = Dockerfile::read(path, &repository.text(path)?);
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let (mut contexts, mut target, mut services) = (Vec::new(), None, Vec::new());
        for composition in compositions {
            for service in composition.services.values() {
                let Some(build) = service.build().filter(|build| !build.inline && build.dockerfile == path) else {
                    continue;
                };
                if let Some(context) = build.context.filter(|context| !contexts.contains(context)) {
                    contexts.push(context);
                }
                // A target for development is not the one that is shipped.
                let shipped =
                    build.target.filter(|target| !target.to_lowercase().contains("dev") && !target.contains("test"));
                target = target.or(shipped);
                services.push(format!("{}/{}", composition.name(), service.name));
            }
        }
        if contexts.is_empty() {
            contexts.push(folder.clone());
            let mut above = folder.as_path();
            while let Some(parent) = above.parent() {
                contexts.push(parent.to_owned());
                above = parent;
            }
        }
        let shipped = file.shipped(target.as_deref()).or_else(|| file.shipped(None)).unwrap_or(0);
        Some(Self { file, contexts, shipped, services })
    }

    /// `Dockerfile:12`.
    pub fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.file.path.display())
    }

    /// The image below everything that is shipped.
    pub fn base(&self) -> Image {
        Image::read(self.file.chain(self.shipped).1)
    }

    /// It only changes the image of a database or another store.
    pub fn is_a_store(&self) -> bool {
        Engines::built_in().is_store(&self.base().name)
    }

    /// The stage that is shipped.
    pub fn stage(&self) -> Option<&Stage> {
        self.file.stages.get(self.shipped)
    }

    /// What its builds do not see.
    pub fn ignored(&self, repository: &Repository, context: &Path) -> Option<Ignored> {
        let mut beside = self.file.path.clone().into_os_string();
        beside.push(".dockerignore");
        let paths = [PathBuf::from(beside), context.join(".dockerignore"), context.join(".containerignore")];
        paths.iter().find_map(|path| repository.text(path)).map(|text| Ignored::read(&text))
    }

    /// The user that the shipped process begins as, and where that is said. Nothing when it is root's.
    pub fn user(&self) -> Option<String> {
        match self.file.last(self.shipped, "USER").and_then(|user| user.words.first()) {
            Some(user) => {
                let name = user.split(':').next().unwrap_or_default();
                (!["root", "0", ""].contains(&name)).then(|| name.to_owned())
            }
            None => Images::built_in().user(&self.base()).map(String::from),
        }
    }
}

fn is_recipe(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let lower = name.to_lowercase();
    let stem = ["dockerfile", "containerfile"].iter().find_map(|word| lower.strip_prefix(word));
    let ending = lower.ends_with(".dockerfile") || lower.ends_with(".containerfile");
    let text = [
        "rs",
        "rb",
        "java",
        "kt",
        "php",
        "json",
        "yml",
        "yaml",
        "vim",
        "lock",
        "html",
        "tsx",
        "jsx",
        "mjs",
        "cs",
        "lua",
        "dockerignore",
        "md",
        "j2",
        "tpl",
        "tmpl",
        "template",
        "erb",
        "py",
        "go",
        "js",
        "ts",
        "sh",
        "txt",
        "toml",
    ];
    let other = lower.rsplit_once('.').is_some_and(|(_, ending)| text.contains(&ending));
    !other && (ending || stem.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_'])))
}

fn is_for_development(path: &Path) -> bool {
    let words = ["dev", "devel", "development", "local", "ci", "debug", "e2e", "devcontainer", "docs", "lint", "demo"];
    let folders = path.parent().into_iter().flat_map(Path::iter).chain(path.file_name());
    let parts = folders.filter_map(|part| part.to_str()).map(str::to_lowercase);
    let is_one = |part: &str| words.contains(&part) || part.starts_with("test");
    parts.into_iter().any(|part| part.split(['.', '-', '_']).any(is_one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_recipe_of_the_app() {
        for (name, is) in [
            ("Dockerfile", true),
            ("Containerfile", true),
            ("Dockerfile.prod", true),
            ("api.Dockerfile", true),
            ("Dockerfile.dockerignore", false),
            ("dockerfile_parser.py", false),
            ("Dockerfiles", false),
            ("Dockerfile.j2", false),
        ] {
            assert_eq!(is_recipe(Path::new(name)), is, "{name}");
        }
        assert!(is_for_development(Path::new("Dockerfile.dev")) && !is_for_development(Path::new("Dockerfile")));
    }
}
