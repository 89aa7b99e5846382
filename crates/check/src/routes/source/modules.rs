//! Which file a Python name leads to: imports, as far as they can be followed inside of the repository.

use std::{collections::HashMap, sync::LazyLock};

use regex::Regex;

use super::{Tree, text::without_comments};

/// A Python file that can be read.
pub(super) struct Module {
    pub path: String,
    pub text: String,
    /// Alias → module and, when it is not a whole module, the name in it.
    imports: HashMap<String, (String, Option<String>)>,
}

/// Every Python file with its imports.
pub(super) fn all(tree: &Tree<'_>) -> Vec<Module> {
    let read = |path: &str| {
        let text = without_comments(&tree.text(path)?, "#");
        let imports = imports(&text);
        Some(Module { path: path.to_owned(), text, imports })
    };
    tree.ending(&["py"]).filter_map(read).collect()
}

/// Where `reference` (`name` or `module.name`), as file `from` means it, is defined: the file, and the name there.
/// `defines` says whether a file has something of that name.
pub(super) fn resolve(
    modules: &[Module],
    from: usize,
    reference: &str,
    defines: &impl Fn(usize, &str) -> bool,
) -> Option<(usize, String)> {
    follow(modules, from, reference, defines, 5)
}

fn follow(
    modules: &[Module],
    from: usize,
    reference: &str,
    defines: &impl Fn(usize, &str) -> bool,
    steps: usize,
) -> Option<(usize, String)> {
    let steps = steps.checked_sub(1)?;
    let file = &modules[from];
    match reference.rsplit_once('.') {
        None if defines(from, reference) => Some((from, reference.to_owned())),
        None => {
            let (module, name) = file.imports.get(reference)?;
            follow(modules, find(modules, &file.path, module)?, name.as_deref()?, defines, steps)
        }
        Some((holder, name)) => {
            let module = match file.imports.get(holder) {
                Some((module, None)) => module.clone(),
                Some((module, Some(inner))) if module.ends_with('.') => format!("{module}{inner}"),
                Some((module, Some(inner))) => format!("{module}.{inner}"),
                None => holder.to_owned(),
            };
            follow(modules, find(modules, &file.path, &module)?, name, defines, steps)
        }
    }
}

/// The one file of a module; `None` when there is none, or more than one.
pub(super) fn find(modules: &[Module], from: &str, module: &str) -> Option<usize> {
    let dots = module.chars().take_while(|letter| *letter == '.').count();
    let name = module[dots..].replace('.', "/");
    let mut folder: Vec<&str> = from.split('/').collect();
    folder.truncate(folder.len().saturating_sub(dots.max(1)));
    let base = folder.join("/");
    let below = |base: &str| [base, &name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    let files = |stem: &str| [format!("{stem}.py"), format!("{stem}/__init__.py")];
    let exact = files(&below(&base));
    if let Some(found) = modules.iter().position(|one| exact.contains(&one.path)) {
        return Some(found);
    }
    if dots > 0 || name.is_empty() {
        return None;
    }
    let ends = files(&name).map(|file| (format!("/{file}"), file));
    let fits = |path: &str| ends.iter().any(|(end, whole)| path == whole || path.ends_with(end));
    let mut found = modules.iter().enumerate().filter(|(_, one)| fits(&one.path));
    let first = found.next()?.0;
    found.next().is_none().then_some(first)
}

fn imports(text: &str) -> HashMap<String, (String, Option<String>)> {
    static FROM: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r"(?m)^[ \t]*from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n#;]+)")
            .expect("the pattern is valid")
    });
    static WHOLE: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r"(?m)^[ \t]*import[ \t]+([\w.]+)[ \t]+as[ \t]+(\w+)").expect("the pattern is valid")
    });
    let mut found = HashMap::new();
    for one in FROM.captures_iter(text) {
        for name in one[2].trim_matches(['(', ')']).split(',') {
            let mut words = name.split_whitespace();
            let Some(name) = words.next() else { continue };
            let alias = words.nth(1).unwrap_or(name);
            found.insert(alias.to_owned(), (one[1].to_owned(), Some(name.to_owned())));
        }
    }
    for one in WHOLE.captures_iter(text) {
        found.insert(one[2].to_owned(), (one[1].to_owned(), None));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_followed_through_imports_and_packages() {
        let module = |path: &str, text: &str| Module { path: path.into(), text: text.into(), imports: imports(text) };
        let modules = [
            module("app/main.py", "from app.routers import items, users as people\nfrom .api import router as api\n"),
            module("app/routers/__init__.py", ""),
            module("app/routers/items.py", ""),
            module("app/routers/users.py", ""),
            module("app/api/__init__.py", "from .v1 import router\n"),
            module("app/api/v1.py", ""),
        ];
        let defines = |file: usize, name: &str| [2, 3, 5].contains(&file) && name == "router";
        let to =
            |reference: &str| resolve(&modules, 0, reference, &defines).map(|(file, _)| modules[file].path.as_str());
        assert_eq!(to("items.router"), Some("app/routers/items.py"));
        assert_eq!(to("people.router"), Some("app/routers/users.py"));
        assert_eq!(to("api"), Some("app/api/v1.py"));
        assert_eq!(to("unknown.router"), None);
        assert_eq!(to("router"), None);
    }
}
