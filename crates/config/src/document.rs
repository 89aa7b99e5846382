//! One config: the file, the variables laid over it, and the typed sections read from both.

use std::{collections::BTreeMap, fs, ops::Range, path::Path, sync::Arc};

use miette::NamedSource;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use crate::{
    finding::{ConfigError, Finding, Findings},
    schema::{SectionSchema, closest},
};

/// A room's part of the config.
pub trait Section: DeserializeOwned + JsonSchema + Default {
    /// The top-level key: `edge` for `[edge]`, `route` for `[[route]]`.
    const KEY: &'static str;

    /// Checks what types cannot say. No I/O; adds every problem, not only the first.
    fn validate(&self, findings: &mut Findings) {
        let _ = findings;
    }
}

/// A config being read. Take every section, then call [`Document::finish`].
#[derive(Debug)]
pub struct Document {
    source: Arc<NamedSource<String>>,
    text: String,
    table: toml::Table,
    /// Dotted path to the variable that set it.
    variables: BTreeMap<String, (String, String)>,
    known: Vec<&'static str>,
    findings: Findings,
}

impl Document {
    /// Reads the file (when there is one) and notes the variables `SEAWORTHY_SECTION__KEY` of `environment`.
    pub fn load(file: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let (name, text) = match file {
            None => ("defaults".to_owned(), String::new()),
            Some(path) => match fs::read_to_string(path) {
                Ok(text) => (path.display().to_string(), text),
                Err(reason) => return Err(unreadable(path, &reason)),
            },
        };
        Self::parse(&name, text, environment)
    }

    /// As [`Document::load`], from text.
    pub fn parse(
        name: &str,
        text: String,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let source = Arc::new(NamedSource::new(name, text.clone()).with_language("TOML"));
        let table = text.parse::<toml::Table>().map_err(|error| syntax(&error, &source))?;
        let variables = environment.filter_map(|(name, value)| {
            let path = name.strip_prefix("SEAWORTHY_")?;
            path.contains("__").then(|| (path.replace("__", "."), (name.clone(), value)))
        });
        let variables = variables.collect();
        Ok(Self { source, text, table, variables, known: Vec::new(), findings: Findings::default() })
    }

    /// Reads one section; its defaults when it is absent or wrong (and then [`Document::finish`] tells).
    pub fn section<S: Section>(&mut self) -> S {
        self.known.push(S::KEY);
        let schema = SectionSchema::of::<S>();
        self.lay_variables_over(S::KEY, &schema);
        let Some(value) = self.table.get(S::KEY).cloned() else {
            return S::default();
        };
        for unknown in schema.unknown_keys(&value, S::KEY) {
            let help = match unknown.suggestion {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("known keys here: {}", unknown.known.join(", ")),
            };
            let message = format!("unknown key `{}`", unknown.key);
            self.findings.add(format!("{}\u{0}", unknown.path), "SEA_CONFIG_UNKNOWN_KEY", message, &help);
        }
        let (section, wrong) = read_all::<S>(value);
        for (path, message) in wrong {
            let path = if path.is_empty() { S::KEY.to_owned() } else { format!("{}.{path}", S::KEY) };
            self.findings.add(path, "SEA_CONFIG_WRONG_VALUE", message, "");
        }
        section.validate(&mut self.findings);
        section
    }

    /// Ends the reading: unknown sections are findings too, and any finding is an error.
    pub fn finish(mut self) -> Result<(), ConfigError> {
        let variables = self.variables.keys().filter_map(|path| path.split('.').next());
        let mut unknown: Vec<String> =
            self.table.keys().map(String::as_str).chain(variables).map(String::from).collect();
        unknown.retain(|key| !self.known.contains(&key.as_str()));
        unknown.dedup();
        for key in unknown {
            let help = match closest(&key, self.known.iter().copied()) {
                Some(word) => format!("did you mean `[{word}]`?"),
                None => format!("known sections: {}", self.known.join(", ")),
            };
            let message = format!("unknown section `{key}`");
            self.findings.add(format!("{key}\u{0}"), "SEA_CONFIG_UNKNOWN_SECTION", message, &help);
        }
        if self.findings.is_empty() {
            return Ok(());
        }
        let list = std::mem::take(&mut self.findings).into_list();
        Err(ConfigError { findings: list.into_iter().map(|(path, finding)| self.place(&path, finding)).collect() })
    }

    fn lay_variables_over(&mut self, section: &'static str, schema: &SectionSchema) {
        for (path, (variable, text)) in std::mem::take(&mut self.variables) {
            let mut keys = path.split('.');
            if keys.next().is_none_or(|first| !first.eq_ignore_ascii_case(section)) {
                self.variables.insert(path, (variable, text));
                continue;
            }
            // Our keys are lower case; keys that the user chose (names of variables in `app.env`) keep theirs.
            let keys: Vec<String> = schema.spelling(&keys.collect::<Vec<_>>());
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let value = if schema.is_text(&keys) { toml::Value::String(text.clone()) } else { guess(&text) };
            let entry = self.table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            let own = format!("{section}.{}", keys.join("."));
            if !insert(entry, &keys, value) {
                let message = format!("{variable} names a place that the config does not have");
                self.findings.add(
                    own.clone(),
                    "SEA_CONFIG_UNKNOWN_KEY",
                    message,
                    "lists can only be changed in the file",
                );
            }
            self.variables.insert(own, (variable, text));
        }
    }

    /// Finds where the value came from: a place in the file, or a variable.
    fn place(&self, path: &str, mut finding: Finding) -> Finding {
        let (path, at_key) = path.strip_suffix('\u{0}').map_or((path, false), |path| (path, true));
        let set_by = self.variables.iter().find(|(key, _)| path == *key || path.starts_with(&format!("{key}.")));
        let set_by = set_by.or_else(|| at_key.then(|| self.variables.iter().find(|(key, _)| key.starts_with(path)))?);
        if let Some((_, (variable, _))) = set_by {
            finding.message = format!("{} (set by the environment variable {variable})", finding.message);
            return finding;
        }
        let Some(span) = span_of(&self.text, path, at_key) else {
            finding.message = format!("{path}: {}", finding.message);
            return finding;
        };
        finding.at(self.source.clone(), span)
    }
}

/// Reads a section and finds every wrong value in it: serde stops at the first, so that one is taken out and the rest is
/// read again.
fn read_all<S: Section>(mut value: toml::Value) -> (S, Vec<(String, String)>) {
    let mut wrong = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize::<_, S>(value.clone()) {
            Ok(section) => return (section, wrong),
            Err(error) => error,
        };
        let message = error.inner().to_string().trim().to_owned();
        let path = error.path().to_string().replace(['[', ']'], "");
        let path = culprit::<S>(&value, if path == "." { "" } else { &path });
        wrong.push((path.clone(), message));
        let keys: Vec<&str> = path.split('.').filter(|key| !key.is_empty()).collect();
        if keys.is_empty() || !remove(&mut value, &keys) {
            return (S::default(), wrong);
        }
    }
}

/// Flattened structs lose the last part of a path: the key is the one whose absence changes the error.
fn culprit<S: Section>(value: &toml::Value, path: &str) -> String {
    let keys: Vec<&str> = path.split('.').filter(|key| !key.is_empty()).collect();
    let Some(toml::Value::Table(table)) = find(value, &keys) else { return path.to_owned() };
    let complaint =
        |value: toml::Value| serde_path_to_error::deserialize::<_, S>(value).err().map(|error| error.to_string());
    let before = complaint(value.clone());
    for key in table.keys() {
        let mut without = value.clone();
        let longer = [&keys[..], &[key.as_str()]].concat();
        if remove(&mut without, &longer) && complaint(without) != before {
            return longer.join(".");
        }
    }
    path.to_owned()
}

fn find<'a>(value: &'a toml::Value, keys: &[&str]) -> Option<&'a toml::Value> {
    keys.iter().try_fold(value, |value, key| match value {
        toml::Value::Table(table) => table.get(*key),
        toml::Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

fn remove(value: &mut toml::Value, keys: &[&str]) -> bool {
    let [key, rest @ ..] = keys else { return false };
    let next = match value {
        toml::Value::Table(table) if rest.is_empty() => return table.remove(*key).is_some(),
        toml::Value::Table(table) => table.get_mut(*key),
        toml::Value::Array(items) => key.parse().ok().and_then(|index: usize| items.get_mut(index)),
        _ => None,
    };
    next.is_some_and(|next| remove(next, rest))
}

fn unreadable(path: &Path, reason: &std::io::Error) -> ConfigError {
    let mut findings = Findings::default();
    findings.add(
        "",
        "SEA_CONFIG_UNREADABLE",
        format!("cannot read {}: {reason}", path.display()),
        "name the file with --config, or leave it out to run with defaults",
    );
    ConfigError { findings: findings.into_list().into_iter().map(|(_, finding)| finding).collect() }
}

fn syntax(error: &toml::de::Error, source: &Arc<NamedSource<String>>) -> ConfigError {
    let mut findings = Findings::default();
    findings.add("", "SEA_CONFIG_SYNTAX", error.message().to_owned(), "the file must be TOML 1.0");
    let placed = findings.into_list().into_iter().map(|(_, finding)| match error.span() {
        Some(span) => finding.at(source.clone(), span),
        None => finding,
    });
    ConfigError { findings: placed.collect() }
}

/// A variable's text as the TOML value that it looks like, else as text.
fn guess(text: &str) -> toml::Value {
    let parsed = format!("value = {text}").parse::<toml::Table>();
    parsed.ok().and_then(|mut table| table.remove("value")).unwrap_or_else(|| toml::Value::String(text.into()))
}

/// False when the path leads through something that has no such place.
fn insert(target: &mut toml::Value, keys: &[&str], value: toml::Value) -> bool {
    let [key, rest @ ..] = keys else {
        *target = value;
        return true;
    };
    match target {
        toml::Value::Table(table) => {
            let next = table.entry(*key).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            insert(next, rest, value)
        }
        toml::Value::Array(items) => {
            let next = key.parse().ok().and_then(|index: usize| items.get_mut(index));
            next.is_some_and(|next| insert(next, rest, value))
        }
        _ => false,
    }
}

/// The bytes of the value (or of the key) at a dotted path; the nearest parent's when it is not written out.
fn span_of(text: &str, path: &str, at_key: bool) -> Option<Range<usize>> {
    let document = DeTable::parse(text).ok()?;
    let mut found = None;
    let mut table = Some(document.get_ref());
    let mut list: Option<&[toml::Spanned<DeValue<'_>>]> = None;
    for step in path.split('.') {
        let (key, value) = match (table, list) {
            (Some(table), _) => match table.iter().find(|(key, _)| key.get_ref().as_ref() == step) {
                Some((key, value)) => (Some(key.span()), value),
                None => break,
            },
            (None, Some(items)) => match step.parse().ok().and_then(|index: usize| items.get(index)) {
                Some(value) => (None, value),
                None => break,
            },
            (None, None) => break,
        };
        found = Some((key, value.span()));
        table = value.get_ref().as_table();
        list = value.get_ref().as_array().map(|items| &items[..]);
    }
    found.map(|(key, value)| match key {
        Some(key) if at_key => key,
        _ => value,
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::HumanDuration;

    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Edge {
        listen: String,
        workers: usize,
        timeouts: Timeouts,
    }

    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Timeouts {
        first_byte: HumanDuration,
    }

    impl Section for Edge {
        const KEY: &'static str = "edge";

        fn validate(&self, findings: &mut Findings) {
            if self.workers > 64 {
                findings.add("edge.workers", "SEA_CONFIG_TEST", "too many workers", "use at most 64");
            }
        }
    }

    fn read(text: &str, variables: &[(&str, &str)]) -> (Edge, Result<(), ConfigError>) {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut document = Document::parse("seaworthy.toml", text.into(), variables).unwrap();
        let edge = document.section::<Edge>();
        (edge, document.finish())
    }

    fn render(error: &ConfigError) -> String {
        let mut text = String::new();
        for finding in &error.findings {
            miette::NarratableReportHandler::new().render_report(&mut text, finding).unwrap();
        }
        text
    }

    #[test]
    fn variables_go_over_the_file_and_the_file_over_the_defaults() {
        let text = "[edge]\nlisten = \"a\"\nworkers = 2\n";
        let (edge, result) =
            read(text, &[("SEAWORTHY_EDGE__WORKERS", "3"), ("SEAWORTHY_EDGE__TIMEOUTS__FIRST_BYTE", "5s")]);
        result.unwrap();
        assert_eq!((edge.listen.as_str(), edge.workers), ("a", 3));
        assert_eq!(edge.timeouts.first_byte, HumanDuration::seconds(5));
        let (edge, _) = read("", &[("SEAWORTHY_EDGE__LISTEN", "8080")]);
        assert_eq!(edge.listen, "8080", "text stays text even when it looks like a number");
    }

    #[test]
    fn every_problem_is_found_at_once_with_its_line_and_a_suggestion() {
        let text = "[edge]\nlisten = 7\nworkres = 3\n[edge.timeouts]\nfirst_byte = \"soon\"\n[egde]\n";
        let (_, result) = read(text, &[]);
        let shown = render(&result.unwrap_err());
        assert!(shown.contains("unknown key `workres`") && shown.contains("did you mean `workers`"), "{shown}");
        assert!(shown.contains("`soon` does not start with a number") && shown.contains("line 5"), "{shown}");
        assert!(shown.contains("invalid type: integer `7`") && shown.contains("line 2"), "{shown}");
        assert!(shown.contains("unknown section `egde`") && shown.contains("did you mean `[edge]`"), "{shown}");
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let (_, result) = read("", &[("SEAWORTHY_EDGE__TIMEOUTS__FIRST_BYTE", "soon")]);
        assert!(render(&result.unwrap_err()).contains("SEAWORTHY_EDGE__TIMEOUTS__FIRST_BYTE"));
        let (_, result) = read("", &[("SEAWORTHY_EGDE__LISTEN", "x")]);
        assert!(render(&result.unwrap_err()).contains("SEAWORTHY_EGDE__LISTEN"));
    }

    #[test]
    fn validation_points_at_the_value() {
        let (_, result) = read("[edge]\nworkers = 100\n", &[]);
        let shown = render(&result.unwrap_err());
        assert!(shown.contains("too many workers") && shown.contains("line 2"), "{shown}");
    }

    #[test]
    fn broken_toml_says_where() {
        let error = Document::parse("seaworthy.toml", "[edge\n".into(), std::iter::empty()).unwrap_err();
        assert!(render(&error).contains("line 1"));
    }
}
