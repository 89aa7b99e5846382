//! `tsconfig.json` as the compiler understands it: comments, `extends`, paths.

use std::path::{Path, PathBuf};

use seaworthy_repository::Repository;
use serde_json::{Map, Value};

use crate::resolve::normal;

/// Names that stand for folders.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    base: Option<String>,
    names: Vec<(String, Vec<String>)>,
}

/// What `extends` of a package gives, where the package is not there to be read.
const KNOWN_BASES: &[(&str, bool)] = &[
    ("@tsconfig/strictest", true),
    ("@tsconfig/node", true),
    ("@tsconfig/recommended", true),
    ("@tsconfig/create-react-app", true),
    ("@tsconfig/vite-react", true),
    ("@tsconfig/next", true),
    ("@tsconfig/svelte", true),
    ("@tsconfig/remix", true),
    ("@vue/tsconfig", true),
    ("astro/tsconfigs/strict", true),
    ("astro/tsconfigs/base", false),
    ("expo/tsconfig.base", false),
    (".svelte-kit/tsconfig", false),
    (".nuxt/tsconfig", true),
];

/// The effective compiler options, and what they extend that cannot be read.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) options: Map<String, Value>,
    pub(crate) unknown: Option<String>,
}

impl Options {
    /// Whether an option is on, by itself or by `strict`.
    pub(crate) fn has(&self, name: &str) -> Option<bool> {
        self.options.get(name).and_then(Value::as_bool)
    }
}

/// The options of a file with all that it extends.
pub(crate) fn options_of(repository: &Repository, file: &Path) -> Option<Options> {
    let mut found = Options::default();
    extend(repository, file, &mut found, 0)?;
    Some(found)
}

fn extend(repository: &Repository, file: &Path, found: &mut Options, depth: usize) -> Option<()> {
    let config = read(repository, file)?;
    let bases: Vec<String> = match &config["extends"] {
        Value::String(base) => vec![base.clone()],
        Value::Array(list) => list.iter().filter_map(|one| one.as_str().map(String::from)).collect(),
        _ => Vec::new(),
    };
    // A circle ends here.
    for base in bases.iter().take(if depth < 8 { 10 } else { 0 }) {
        let folder = file.parent().unwrap_or(Path::new(""));
        let near = base.starts_with('.').then(|| normal(&folder.join(base))).flatten();
        let path = near.unwrap_or_else(|| Path::new("node_modules").join(base));
        let candidates = [path.clone(), PathBuf::from(format!("{}.json", path.display())), path.join("tsconfig.json")];
        let there = candidates.iter().find(|path| repository.has(path));
        let read = there.and_then(|path| extend(repository, path, found, depth + 1));
        if read.is_none() {
            match KNOWN_BASES.iter().find(|(name, _)| base.trim_start_matches("./").starts_with(name)) {
                Some((_, true)) => drop(found.options.insert("strict".to_owned(), Value::Bool(true))),
                Some(_) => {}
                None => found.unknown = Some(base.clone()),
            }
        }
    }
    for (name, value) in config["compilerOptions"].as_object().into_iter().flatten() {
        found.options.insert(name.clone(), value.clone());
    }
    Some(())
}

/// Files that a solution's file refers to.
pub(crate) fn references(repository: &Repository, file: &Path) -> Vec<PathBuf> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let config = read(repository, file).unwrap_or_default();
    let list = config["references"].as_array().cloned().unwrap_or_default();
    let paths = list.iter().filter_map(|one| normal(&folder.join(one["path"].as_str()?)));
    let file = |path: PathBuf| {
        if path.extension().is_some_and(|ending| ending == "json") { path } else { path.join("tsconfig.json") }
    };
    paths.map(file).take(40).collect()
}

/// What a file says of names that stand for folders.
pub(crate) fn paths_of(repository: &Repository, file: &Path) -> Option<Paths> {
    let options = options_of(repository, file)?.options;
    let base = options.get("baseUrl").and_then(Value::as_str).map(String::from);
    let list = options.get("paths").and_then(Value::as_object);
    let entry = |(name, to): (&String, &Value)| {
        let to = to.as_array()?.iter().filter_map(|one| one.as_str().map(String::from)).collect();
        Some((name.clone(), to))
    };
    let names: Vec<_> = list.into_iter().flatten().filter_map(entry).collect();
    (base.is_some() || !names.is_empty()).then_some(Paths { base, names })
}

impl Paths {
    /// Where a name may lead.
    pub(crate) fn of(&self, folder: &Path, name: &str) -> Vec<PathBuf> {
        let base = folder.join(self.base.as_deref().unwrap_or("."));
        let mut found = Vec::new();
        for (pattern, to) in &self.names {
            let rest = match pattern.split_once('*') {
                None if pattern == name => Some(""),
                Some((start, end)) => name.strip_prefix(start).and_then(|rest| rest.strip_suffix(end)),
                None => None,
            };
            if let Some(rest) = rest {
                found.extend(to.iter().map(|to| base.join(to.replacen('*', rest, 1))));
            }
        }
        if self.base.is_some() {
            found.push(base.join(name));
        }
        found
    }
}

/// JSON with comments and commas at the end.
pub(crate) fn read(repository: &Repository, file: &Path) -> Option<Value> {
    let text = repository.text(file)?;
    serde_json::from_str(&plain(&text)).ok()
}

fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.trim_start_matches('\u{feff}').chars().peekable();
    let mut comma = None;
    while let Some(letter) = rest.next() {
        match letter {
            '"' => {
                comma = None;
                plain.push('"');
                let mut escaped = false;
                for letter in rest.by_ref() {
                    plain.push(letter);
                    match letter {
                        '"' if !escaped => break,
                        _ => escaped = letter == '\\' && !escaped,
                    }
                }
            }
            '/' if rest.peek() == Some(&'/') => drop(rest.by_ref().find(|letter| *letter == '\n')),
            '/' if rest.peek() == Some(&'*') => {
                let mut star = false;
                rest.next();
                for letter in rest.by_ref() {
                    if star && letter == '/' {
                        break;
                    }
                    star = letter == '*';
                }
            }
            '}' | ']' => {
                // A comma before the end is one too many.
                if let Some(at) = comma.take() {
                    plain.replace_range(at..=at, " ");
                }
                plain.push(letter);
            }
            _ => {
                if letter == ',' {
                    comma = Some(plain.len());
                } else if !letter.is_whitespace() {
                    comma = None;
                }
                plain.push(letter);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_last_commas_are_read_over() {
        let text = "{ // a\n \"a\": \"//x, }\", /* , */ \"b\": [1, 2,], }";
        let value: Value = serde_json::from_str(&plain(text)).unwrap();
        assert_eq!(value["a"], "//x, }");
        assert_eq!(value["b"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn options_come_from_what_is_extended() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            ("tsconfig.json", "{\"extends\": \"./base\", \"compilerOptions\": {\"paths\": {\"@/*\": [\"./src/*\"]}}}"),
            ("base.json", "{\"extends\": \"./tsconfig.json\", \"compilerOptions\": {\"strict\": true}}"),
        ];
        seaworthy_repository::Sample::of(&files).write(folder.path()).unwrap();
        let repository = Repository::open(folder.path()).unwrap();
        assert_eq!(options_of(&repository, Path::new("tsconfig.json")).unwrap().has("strict"), Some(true));
        let paths = paths_of(&repository, Path::new("tsconfig.json")).unwrap();
        assert_eq!(normal(&paths.of(Path::new(""), "@/a")[0]), Some(PathBuf::from("src/a")));
    }
}
