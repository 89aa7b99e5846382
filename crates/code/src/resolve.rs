//! Imports as files of the repository.

use std::{
    cmp::Reverse,
    collections::HashMap,
    path::{Component, Path, PathBuf},
};

use seaworthy_repository::Repository;

use crate::{
    code::Code,
    grammar::Language,
    module::{Import, Module},
    tsconfig::{Paths, paths_of},
};

/// What imports are looked up in; found out once for a repository.
#[derive(Debug, Default)]
pub(crate) struct Ground {
    /// Folders where Python looks for modules, by the first name that is found there.
    roots: HashMap<String, Vec<PathBuf>>,
    /// What tsconfig.json files rename, by folder; the innermost first.
    paths: Vec<(PathBuf, Paths)>,
    /// Module paths of go.mod files, and their folders.
    go: Vec<(String, PathBuf)>,
    /// Go: a file of each folder.
    packages: HashMap<PathBuf, usize>,
}

/// Where imports lead.
pub(crate) struct Resolver<'c> {
    code: &'c Code,
    repository: &'c Repository,
    ground: &'c Ground,
}

/// Where an import leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A module that was read.
    Module(usize),
    /// A file, or a folder, that is there and is no source.
    File,
    /// It should be here, and is not.
    Missing(String),
    /// It is somebody else's, as far as can be told.
    Elsewhere,
}

const SCRIPTS: &[&str] = &["ts", "tsx", "js", "jsx", "mjs", "cjs", "mts", "cts", "vue", "svelte", "d.ts", "json"];

impl Ground {
    pub(crate) fn read(repository: &Repository, modules: &[Module], at: &HashMap<PathBuf, usize>) -> Self {
        let mut ground = Self::default();
        for module in modules.iter().filter(|module| module.language == Language::Python) {
            // The folder above the outermost package, and the repository's own.
            let mut top = module.path.parent().unwrap_or(Path::new(""));
            while at.contains_key(&top.join("__init__.py")) {
                let Some(parent) = top.parent() else { break };
                top = parent;
            }
            for root in [Path::new(""), top] {
                let first = module.path.strip_prefix(root).ok().and_then(|rest| rest.components().next());
                let Some(first) = first.and_then(|first| Path::new(first.as_os_str()).file_stem()?.to_str()) else {
                    continue;
                };
                let roots = ground.roots.entry(first.to_owned()).or_default();
                if roots.len() < 20 && !roots.iter().any(|own| own == root) {
                    roots.push(root.to_owned());
                }
            }
        }
        let configs = ["tsconfig.json", "tsconfig.app.json", "jsconfig.json", "tsconfig.base.json"];
        for file in repository.named(&configs).take(200) {
            if let Some(found) = paths_of(repository, file) {
                ground.paths.push((file.parent().unwrap_or(Path::new("")).to_owned(), found));
            }
        }
        ground.paths.sort_by_key(|(folder, _)| Reverse(folder.components().count()));
        let go = repository.named(&["go.mod"]).filter_map(|file| {
            let text = repository.text(file)?;
            let name = text.lines().find_map(|line| line.strip_prefix("module "))?.trim().to_owned();
            Some((name, file.parent().unwrap_or(Path::new("")).to_owned()))
        });
        ground.go = go.collect();
        for (at, module) in
            modules.iter().enumerate().filter(|(_, module)| module.language == Language::Go && !module.test)
        {
            ground.packages.entry(module.path.parent().unwrap_or(Path::new("")).to_owned()).or_insert(at);
        }
        ground
    }
}

impl<'c> Resolver<'c> {
    pub(crate) fn new(code: &'c Code, repository: &'c Repository) -> Self {
        Self { code, repository, ground: &code.ground }
    }

    /// A module's own place.
    pub(crate) fn at(&self, module: &Module) -> Option<usize> {
        self.code.at.get(&module.path).copied()
    }

    /// The module and name there that a name here stands for.
    pub(crate) fn name<'m>(&self, module: &'m Module, here: &str) -> Option<(usize, &'m str)> {
        let found =
            module.imports.iter().find_map(|import| Some((import, import.names.iter().find(|(_, own)| own == here)?)));
        let (import, (there, _)) = found?;
        match self.target(module, import) {
            Target::Module(at) => {
                // `from app import db`: a module in the package, or a name of it.
                Some((at, there.as_str()))
            }
            _ => None,
        }
    }

    /// The module of the project that a name here stands for: `crud` of `from app import crud`.
    pub(crate) fn module_named(&self, module: &Module, here: &str) -> Option<usize> {
        let named = |import: &'_ &Import| import.names.iter().any(|(_, own)| own == here);
        let import = module.imports.iter().find(named)?;
        let (there, _) = import.names.iter().find(|(_, own)| own == here)?;
        let is_it = |at: &usize| {
            let path = &self.code.modules[*at].path;
            let whole = if path.ends_with("__init__.py") { path.parent() } else { Some(path.as_path()) };
            there == "*" || whole.and_then(Path::file_stem).is_some_and(|stem| stem == there.as_str())
        };
        self.targets(module, import).into_iter().find(is_it)
    }

    /// A name of a library, whole.
    pub(crate) fn whole(&self, module: &Module, here: &str) -> String {
        let (first, rest) =
            here.split_once('.').map_or((here, String::new()), |(first, rest)| (first, format!(".{rest}")));
        for import in &module.imports {
            if let Some((there, _)) = import.names.iter().find(|(_, own)| own == first) {
                return if there == "*" {
                    format!("{}{rest}", import.module)
                } else {
                    format!("{}.{there}{rest}", import.module)
                };
            }
        }
        here.to_owned()
    }

    /// Where an import leads.
    pub(crate) fn target(&self, module: &Module, import: &Import) -> Target {
        match module.language {
            Language::Python => self.python(module, import),
            Language::Go => self.go(import),
            Language::Rust => self.rust(module, import),
            Language::Ruby => Target::Elsewhere,
            _ => self.script(module, import),
        }
    }

    /// Every module that an import leads to: `from . import a, b` is two.
    pub(crate) fn targets(&self, module: &Module, import: &Import) -> Vec<usize> {
        let mut found = Vec::new();
        if let Target::Module(at) = self.target(module, import) {
            found.push(at);
            if module.language == Language::Python {
                let package = self.code.modules[at].path.parent().unwrap_or(Path::new(""));
                let is_package = self.code.modules[at].path.ends_with("__init__.py");
                let inner = import
                    .names
                    .iter()
                    .filter(|_| is_package)
                    .filter_map(|(there, _)| self.python_file(&package.join(there)));
                let inner: Vec<usize> = inner.collect();
                // Names of the package's own make it the package that is meant.
                if !inner.is_empty() && inner.len() == import.names.len() {
                    found.clear();
                }
                found.extend(inner);
            }
        }
        found
    }

    fn python_file(&self, path: &Path) -> Option<usize> {
        let name = path.file_name()?.to_str()?;
        let file = self.code.at.get(&path.with_file_name(format!("{name}.py")));
        file.or_else(|| self.code.at.get(&path.join("__init__.py"))).copied()
    }

    fn python(&self, module: &Module, import: &Import) -> Target {
        let dots = import.module.chars().take_while(|letter| *letter == '.').count();
        let parts: PathBuf = import.module[dots..].split('.').filter(|part| !part.is_empty()).collect();
        if dots == 0 {
            let first = import.module.split('.').next().unwrap_or_default();
            let roots = self.ground.roots.get(first).map_or(&[][..], Vec::as_slice);
            let own = roots.iter().find_map(|root| self.python_file(&root.join(&parts)));
            return own.map_or(Target::Elsewhere, Target::Module);
        }
        let mut folder = module.path.parent().unwrap_or(Path::new(""));
        for _ in 1..dots {
            match folder.parent() {
                Some(parent) => folder = parent,
                None => return Target::Missing(format!("{} leads out of the repository", import.module)),
            }
        }
        let path = folder.join(&parts);
        if let Some(at) = self.python_file(&path) {
            return Target::Module(at);
        }
        let compiled = |ending: &str| self.repository.has(path.with_extension(ending));
        if self.repository.has_folder(&path) || ["pyx", "pyi", "so", "pyd", "c"].iter().any(|ending| compiled(ending)) {
            return Target::File;
        }
        Target::Missing(format!("{}.py", path.display()))
    }

    fn script(&self, module: &Module, import: &Import) -> Target {
        // `./logo.svg?url` is the file itself.
        let name = import.module.split(['?', '!']).next().unwrap_or_default();
        let folder = module.path.parent().unwrap_or(Path::new(""));
        if name.starts_with("./") || name.starts_with("../") || name == "." || name == ".." {
            let Some(path) = normal(&folder.join(name)) else { return Target::Elsewhere };
            return self.script_file(&path).unwrap_or_else(|| Target::Missing(path.display().to_string()));
        }
        for (folder, paths) in self.ground.paths.iter().filter(|(folder, _)| module.path.starts_with(folder)) {
            for path in paths.of(folder, name) {
                if let Some(found) = normal(&path).and_then(|path| self.script_file(&path)) {
                    return found;
                }
            }
        }
        Target::Elsewhere
    }

    fn script_file(&self, path: &Path) -> Option<Target> {
        let module = |path: &Path| self.code.at.get(path).map(|at| Target::Module(*at));
        if let Some(found) = module(path) {
            return Some(found);
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        // `./a.js` is written for what a.ts becomes.
        let stem = ["js", "jsx", "mjs", "cjs"].iter().find_map(|ending| name.strip_suffix(&format!(".{ending}")));
        for name in [Some(name.as_str()), stem].into_iter().flatten().filter(|name| !name.is_empty()) {
            for ending in SCRIPTS {
                let file = path.with_file_name(format!("{name}.{ending}"));
                if let Some(found) = module(&file).or_else(|| self.repository.has(&file).then_some(Target::File)) {
                    return Some(found);
                }
            }
        }
        for ending in SCRIPTS {
            let file = path.join(format!("index.{ending}"));
            if let Some(found) = module(&file).or_else(|| self.repository.has(&file).then_some(Target::File)) {
                return Some(found);
            }
        }
        let is_there = self.repository.has(path) || self.repository.has(path.join("package.json"));
        is_there.then_some(Target::File)
    }

    fn go(&self, import: &Import) -> Target {
        for (name, folder) in &self.ground.go {
            let Some(rest) = import.module.strip_prefix(name.as_str()) else { continue };
            let folder = folder.join(rest.trim_start_matches('/'));
            return self.ground.packages.get(&folder).map_or(Target::Elsewhere, |at| Target::Module(*at));
        }
        Target::Elsewhere
    }

    fn rust(&self, module: &Module, import: &Import) -> Target {
        let Some(rest) = import.module.strip_prefix("crate::") else { return Target::Elsewhere };
        let parts: Vec<&Path> = module.path.iter().map(Path::new).collect();
        let Some(src) = parts.iter().rposition(|part| *part == Path::new("src")) else { return Target::Elsewhere };
        let src: PathBuf = parts[..=src].iter().collect();
        let mut names: Vec<&str> = rest.split("::").take_while(|part| !part.starts_with(['{', '*'])).collect();
        while !names.is_empty() {
            let path = src.join(names.iter().collect::<PathBuf>());
            let found = self.code.at.get(&path.with_extension("rs")).or_else(|| self.code.at.get(&path.join("mod.rs")));
            if let Some(at) = found {
                return Target::Module(*at);
            }
            names.pop();
        }
        Target::Elsewhere
    }
}

/// Without `.` and `..`; nothing when it leads out of the repository.
pub(crate) fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir if !normal.pop() => return None,
            _ => {}
        }
    }
    Some(normal)
}
