//! Which lines tests reach, as runners write it down.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use seaworthy_repository::{Repository, Source};
use serde_json::Value;

use crate::tools::{Measure, Toolbox};

/// By file, its lines that could run, and whether they did.
#[derive(Debug, Default, Clone)]
pub struct Lines(pub BTreeMap<PathBuf, BTreeMap<usize, bool>>);

impl Lines {
    /// How many lines could run, and how many did.
    pub fn count(&self) -> (usize, usize) {
        let all = self.0.values().flat_map(BTreeMap::values);
        all.fold((0, 0), |(could, did), line| (could + 1, did + usize::from(*line)))
    }

    /// Adds what another run reached.
    pub fn merge(&mut self, other: Self) {
        for (path, lines) in other.0 {
            let own = self.0.entry(path).or_default();
            for (line, reached) in lines {
                *own.entry(line).or_default() |= reached;
            }
        }
    }

    /// Leaves the sources of the app alone, and adds those that no test even loaded.
    pub fn only(mut self, repository: &Repository, sources: &[PathBuf]) -> Self {
        self.0.retain(|path, _| sources.contains(path));
        for path in sources.iter().filter(|path| !self.0.contains_key(*path)).cloned().collect::<Vec<_>>() {
            let Some(source) = repository.sources().get(&path) else { continue };
            let lines: BTreeMap<usize, bool> = code_lines(source).map(|line| (line, false)).collect();
            self.0.insert(path, lines);
        }
        self
    }
}

/// The app's own sources of a language below a folder: what is measured.
pub fn measured_sources(repository: &Repository, toolbox: &Toolbox, folder: &Path) -> Vec<PathBuf> {
    let Some(language) = repository.knowledge().languages.get(toolbox.language.as_str()) else { return Vec::new() };
    let extensions = toolbox.extensions.as_ref().unwrap_or(&language.extensions);
    let sources = repository.tree().sources_in(folder, extensions);
    let is_own = |path: &&Path| {
        let text = path.to_string_lossy();
        !toolbox.generated.iter().any(|pattern| pattern.0.is_match(&text))
    };
    sources.map(|(path, _)| path).filter(is_own).map(Path::to_owned).collect()
}

/// Lines with code in them, brackets alone apart; from 1.
pub fn code_lines(source: &Source) -> impl Iterator<Item = usize> {
    let has_code = |line: &str| line.chars().any(|letter| letter.is_alphanumeric() || letter == '_');
    source.code.lines().enumerate().filter(move |(_, line)| has_code(line)).map(|(number, _)| number + 1)
}

/// What is read at most, in bytes.
const MOST: u64 = 256 << 20;

fn bounded(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    (metadata.is_file() && metadata.len() <= MOST).then(|| fs::read_to_string(path).ok())?
}

/// Reads a measure. `written` is the file or folder that holds it; `place` the folder that files are named in.
pub fn read(measure: Measure, written: &Path, place: &Path, repository: &Repository) -> Option<Lines> {
    match measure {
        Measure::Lines => ours(&bounded(written)?, place),
        Measure::Istanbul => istanbul(&bounded(&written.join("coverage-final.json"))?, place),
        Measure::V8 => v8(written, place, repository),
        Measure::Go => Some(go(&bounded(written)?, repository)),
    }
}

fn relative(path: &str, place: &Path) -> Option<PathBuf> {
    Path::new(path).strip_prefix(place).ok().map(Path::to_owned)
}

fn ours(text: &str, place: &Path) -> Option<Lines> {
    let value: Value = serde_json::from_str(text).ok()?;
    let mut lines = Lines::default();
    for (path, file) in value["files"].as_object()? {
        let Some(path) = relative(path, place) else { continue };
        let of = |key: &str, reached: bool| {
            let numbers = file[key].as_array().into_iter().flatten().filter_map(Value::as_u64);
            numbers.map(|line| (usize::try_from(line).unwrap_or(0), reached)).collect::<Vec<_>>()
        };
        lines.0.insert(path, of("executed", true).into_iter().chain(of("missing", false)).collect());
    }
    Some(lines)
}

fn istanbul(text: &str, place: &Path) -> Option<Lines> {
    let value: Value = serde_json::from_str(text).ok()?;
    let mut lines = Lines::default();
    for (path, file) in value.as_object()? {
        let Some(path) = relative(path, place) else { continue };
        let own = lines.0.entry(path).or_default();
        for (id, statement) in file["statementMap"].as_object().into_iter().flatten() {
            let Some(line) = statement["start"]["line"].as_u64().and_then(|line| usize::try_from(line).ok()) else {
                continue;
            };
            let reached = file["s"][id].as_u64().unwrap_or(0) > 0;
            *own.entry(line).or_default() |= reached;
        }
    }
    Some(lines)
}

/// Every process that ran wrote a file.
fn v8(folder: &Path, place: &Path, repository: &Repository) -> Option<Lines> {
    let mut lines = Lines::default();
    let mut read = 0;
    for entry in fs::read_dir(folder).ok()?.flatten().take(2000) {
        let Some(value) = bounded(&entry.path()).and_then(|text| serde_json::from_str::<Value>(&text).ok()) else {
            continue;
        };
        read += 1;
        for script in value["result"].as_array().into_iter().flatten() {
            let path = script["url"].as_str().and_then(|url| relative(url.strip_prefix("file://")?, place));
            let Some(path) = path else { continue };
            let Some(source) = repository.sources().get(&path) else { continue };
            let mut of_script = Lines::default();
            of_script.0.insert(path.clone(), v8_lines(script, source, &repository.text(&path)?));
            lines.merge(of_script);
        }
    }
    (read > 0).then_some(lines)
}

fn v8_lines(script: &Value, source: &Source, text: &str) -> BTreeMap<usize, bool> {
    let mut ranges: Vec<(usize, usize, bool)> = Vec::new();
    for function in script["functions"].as_array().into_iter().flatten() {
        for range in function["ranges"].as_array().into_iter().flatten() {
            let number = |key: &str| range[key].as_u64().and_then(|value| usize::try_from(value).ok());
            if let (Some(start), Some(end)) = (number("startOffset"), number("endOffset")) {
                ranges.push((start, end, number("count").unwrap_or(0) > 0));
            }
        }
    }
    // What is inside goes over what is around it.
    ranges.sort_by_key(|(start, end, _)| (*start, std::cmp::Reverse(*end)));
    let units: usize = text.encode_utf16().count();
    let mut ran = vec![false; units];
    for (start, end, reached) in ranges {
        if let Some(stretch) = ran.get_mut(start.min(units)..end.min(units)) {
            stretch.fill(reached);
        }
    }
    let mut reached: BTreeMap<usize, bool> = code_lines(source).map(|line| (line, false)).collect();
    let (mut unit, mut line) = (0, 1);
    for letter in text.chars() {
        if letter == '\n' {
            line += 1;
        } else if letter.is_alphanumeric()
            && ran.get(unit) == Some(&true)
            && let Some(reached) = reached.get_mut(&line)
        {
            *reached = true;
        }
        unit += letter.len_utf16();
    }
    reached
}

fn go(text: &str, repository: &Repository) -> Lines {
    let modules = repository.named(&["go.mod"]).filter_map(|path| {
        let text = repository.text(path)?;
        let name = text.lines().find_map(|line| line.strip_prefix("module "))?.trim().to_owned();
        Some((name, path.parent().unwrap_or(Path::new("")).to_owned()))
    });
    let modules: Vec<(String, PathBuf)> = modules.collect();
    let mut lines = Lines::default();
    for line in text.lines().skip(1) {
        let parse = || {
            let (place, rest) = line.rsplit_once(':')?;
            let mut words = rest.split([',', ' ']);
            let number = |word: &str| word.split('.').next()?.parse::<usize>().ok();
            let (start, end) = (number(words.next()?)?, number(words.next()?)?);
            let count: u64 = words.nth(1)?.parse().ok()?;
            let (module, folder) = modules.iter().find(|(module, _)| place.starts_with(&format!("{module}/")))?;
            Some((folder.join(&place[module.len() + 1..]), start, end, count > 0))
        };
        if let Some((path, start, end, reached)) = parse() {
            let own = lines.0.entry(path).or_default();
            for line in start..=end.min(start + 10_000) {
                *own.entry(line).or_default() |= reached;
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Sample;

    use super::*;

    fn repository(files: &[(&str, &str)]) -> (tempfile::TempDir, Repository) {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        let repository = Repository::open(folder.path()).unwrap();
        (folder, repository)
    }

    #[test]
    fn formats_are_read() {
        let place = Path::new("/p");
        let text = r#"{"files": {"/p/a.py": {"executed": [1, 2], "missing": [3]}, "/usr/b.py": {"executed": [1], "missing": []}}}"#;
        assert_eq!(ours(text, place).unwrap().count(), (3, 2));
        let text = r#"{"/p/a.js": {"statementMap": {"0": {"start": {"line": 1}}, "1": {"start": {"line": 1}}, "2": {"start": {"line": 4}}}, "s": {"0": 0, "1": 2, "2": 0}}}"#;
        assert_eq!(istanbul(text, place).unwrap().count(), (2, 1));
        let (_folder, repository) = repository(&[("go.mod", "module example.com/m\n"), ("a.go", "package a\n")]);
        let lines = go(
            "mode: set\nexample.com/m/a.go:3.2,4.5 2 1\nexample.com/m/a.go:6.2,6.9 1 0\nother/x.go:1.1,2.2 1 1\n",
            &repository,
        );
        assert_eq!(lines.count(), (3, 2));
    }

    #[test]
    fn v8_ranges_become_lines() {
        let text = "function a() {\n  return 'é';\n}\nfunction b() {\n  return 2;\n}\na();\n";
        let (_folder, repository) = repository(&[("a.js", text)]);
        let b = text.find("function b").unwrap() - 1;
        let script = serde_json::json!({"functions": [
            {"ranges": [{"startOffset": 0, "endOffset": text.len(), "count": 1}]},
            {"ranges": [{"startOffset": b, "endOffset": b + 28, "count": 0}]},
        ]});
        let lines = v8_lines(&script, &repository.sources()[Path::new("a.js")], text);
        let reached: Vec<usize> = lines.iter().filter(|(_, reached)| **reached).map(|(line, _)| *line).collect();
        assert_eq!(reached, [1, 2, 7]);
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn what_no_test_loads_counts_as_not_reached() {
        let (_folder, repository) =
            repository(&[("a.js", "a();\n"), ("b.js", "// c\nb();\n{\n}\n"), ("migrations/c.js", "c();\n")]);
        let toolbox = crate::tools::toolboxes().iter().find(|toolbox| toolbox.language == "javascript").unwrap();
        let sources = measured_sources(&repository, toolbox, Path::new(""));
        let mut lines = Lines::default();
        lines.0.insert("a.js".into(), BTreeMap::from([(1, true)]));
        lines.0.insert("node_modules/x.js".into(), BTreeMap::from([(1, true)]));
        assert_eq!(lines.only(&repository, &sources).count(), (2, 1));
    }
}
