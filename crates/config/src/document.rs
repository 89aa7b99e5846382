//! One config: the files, the variables and flags laid over them, and the typed sections read from all of them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::{
    finding::{ConfigError, Finding, Findings},
    layer::Layer,
    masking::mask,
    merge::{Place, lay_over},
    origin::{Origin, Origins, SetBy},
    profile::Profile,
    schema::{SectionSchema, closest},
    secrets::written_secrets,
    tree::{guess, insert, remove},
    typed::read_all,
};

/// A room's part of the config.
pub trait Section: DeserializeOwned + JsonSchema + Default {
    /// The top-level key: `edge` for `[edge]`, `route` for `[[route]]`.
    const KEY: &'static str;

    /// For a list of tables, the key by which an entry of a profile's file finds the entry that it changes.
    const MATCHED_BY: Option<&'static str> = None;

    /// Checks what types cannot say. No I/O; adds every problem, not only the first.
    fn validate(&self, findings: &mut Findings) {
        let _ = findings;
    }

    /// Checks what one profile does not allow: in production, what is insecure there. No I/O; adds every problem.
    fn validate_for(&self, profile: &Profile, findings: &mut Findings) {
        let _ = (profile, findings);
    }
}

/// A value from the command line, laid over files and variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Dotted path: `edge.listen`.
    pub key: &'static str,
    /// What the user wrote: `--listen`.
    pub flag: &'static str,
    /// Text as in a variable; `None` takes the value away.
    pub value: Option<String>,
}

/// A variable `SEAWORTHY_SECTION__KEY` that no section has taken yet.
#[derive(Debug)]
struct Variable {
    name: String,
    path: Vec<String>,
    text: String,
}

/// A config being read. Take every section, then call [`Document::finish`].
#[derive(Debug)]
pub struct Document {
    pub(crate) profile: Profile,
    pub(crate) layers: Vec<Layer>,
    files: Vec<PathBuf>,
    variables: Vec<Variable>,
    taken_variables: Vec<String>,
    overrides: Vec<Override>,
    pub(crate) table: Table,
    pub(crate) origins: Origins,
    pub(crate) sections: Vec<(&'static str, SectionSchema)>,
    findings: Findings,
}

impl Document {
    /// Reads the file (when there is one) and the file of the profile beside it, and notes the variables
    /// `SEAWORTHY_SECTION__KEY` of `environment`. `default` is the file whose name the profile's goes by when there is none.
    pub fn load(
        file: Option<&Path>,
        default: &Path,
        profile: &Profile,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut files: Vec<PathBuf> = file.map(Path::to_owned).into_iter().collect();
        files.extend(profile.find_beside(file.unwrap_or(default))?);
        let (mut layers, mut broken) = (Vec::new(), Vec::new());
        for file in &files {
            match Layer::read(file) {
                Ok(layer) => layers.push(layer),
                Err(error) => broken.extend(error.findings),
            }
        }
        if broken.is_empty() {
            Ok(Self { files, ..Self::new(layers, profile.clone(), environment) })
        } else {
            Err(ConfigError { findings: broken })
        }
    }

    /// As [`Document::load`], from the text of one file.
    pub fn parse(
        name: &str,
        text: String,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Ok(Self::new(vec![Layer::parse(name, text)?], Profile::default(), environment))
    }

    fn new(layers: Vec<Layer>, profile: Profile, environment: impl Iterator<Item = (String, String)>) -> Self {
        let variables = environment.filter_map(|(name, text)| {
            let path: Vec<String> = name.strip_prefix("SEAWORTHY_")?.split("__").map(String::from).collect();
            (path.len() > 1).then_some(Variable { name, path, text })
        });
        // In an order that does not depend on the system; what is around a value comes before it.
        let mut variables: Vec<Variable> = variables.collect();
        variables.sort_by(|left, right| left.name.cmp(&right.name));
        Self {
            profile,
            layers,
            files: Vec::new(),
            variables,
            taken_variables: Vec::new(),
            overrides: Vec::new(),
            table: Table::new(),
            origins: Origins::default(),
            sections: Vec::new(),
            findings: Findings::default(),
        }
    }

    /// Lays a file of a profile over what was read, from text.
    pub fn with_profile(mut self, profile: Profile, name: &str, text: String) -> Result<Self, ConfigError> {
        self.layers.push(Layer::parse(name, text)?);
        self.profile = profile;
        Ok(self)
    }

    /// Lays values from the command line over everything.
    #[must_use]
    pub fn with_overrides(mut self, overrides: &[Override]) -> Self {
        self.overrides = overrides.to_vec();
        self
    }

    /// Which profile it is read for.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The files that were read, in the order in which they were laid over each other.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The variables that a section took.
    pub fn variables(&self) -> &[String] {
        &self.taken_variables
    }

    /// Reads one section; its defaults when it is absent or wrong (and then [`Document::finish`] tells).
    pub fn section<S: Section>(&mut self) -> S {
        let schema = SectionSchema::of::<S>();
        self.merge_files(S::KEY, S::MATCHED_BY);
        self.lay_variables_over(S::KEY, &schema);
        self.lay_flags_over(S::KEY, &schema);
        let section = match self.table.get(S::KEY).cloned() {
            None => S::default(),
            Some(value) => self.read::<S>(value, &schema),
        };
        section.validate(&mut self.findings);
        section.validate_for(&self.profile, &mut self.findings);
        self.sections.push((S::KEY, schema));
        section
    }

    /// Ends the reading: unknown sections are findings too, and any finding is an error.
    pub fn finish(mut self) -> Result<(), ConfigError> {
        self.find_unknown_sections();
        if self.profile.is_production() {
            for key in written_secrets(&self) {
                let message = format!("`{key}` is a secret that stands in the file, which production does not allow");
                let help = "write \"env:NAME\" or \"file:PATH\" and keep the secret there";
                self.findings.add(key, "SEA_CONFIG_INSECURE", message, help);
            }
        }
        if self.findings.is_empty() {
            return Ok(());
        }
        let list = std::mem::take(&mut self.findings).into_list();
        Err(ConfigError { findings: list.into_iter().map(|(path, finding)| self.place(&path, finding)).collect() })
    }

    /// Where the value at a dotted path came from.
    pub(crate) fn origin(&self, path: &str) -> Origin {
        if let Some(set_by) = self.origins.set_by(path) {
            return match set_by {
                SetBy::Variable(name) => Origin::Variable(name.clone()),
                SetBy::Flag(name) => Origin::Flag(name),
            };
        }
        let Some((layer, own, true)) = self.origins.place(path) else { return Origin::Default };
        let layer = &self.layers[layer];
        Origin::File { file: layer.name.clone(), line: layer.line_of(own).unwrap_or(1) }
    }

    fn merge_files(&mut self, section: &'static str, matched_by: Option<&str>) {
        for (layer, file) in self.layers.iter().enumerate() {
            let Some(value) = file.table.get(section) else { continue };
            match self.table.get_mut(section) {
                None => {
                    self.origins.record(section, layer, section, value);
                    self.table.insert(section.to_owned(), value.clone());
                }
                Some(there) => {
                    let place = Place { at: section, layer, own: section };
                    lay_over(there, value, matched_by, place, &mut self.origins);
                }
            }
        }
    }

    fn read<S: Section>(&mut self, value: Value, schema: &SectionSchema) -> S {
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
            let keys: Vec<&str> = path.split('.').filter(|key| !key.is_empty()).collect();
            let message = match &message {
                _ if schema.is_secret(&keys) => "not a text, env:NAME or file:PATH".to_owned(),
                message if schema.holds_secret(&keys) => without_value(message),
                message => message.clone(),
            };
            let path = if path.is_empty() { S::KEY.to_owned() } else { format!("{}.{path}", S::KEY) };
            self.findings.add(path, "SEA_CONFIG_WRONG_VALUE", message, "");
        }
        section
    }

    fn lay_variables_over(&mut self, section: &'static str, schema: &SectionSchema) {
        let (own, others) = std::mem::take(&mut self.variables)
            .into_iter()
            .partition(|variable: &Variable| variable.path[0].eq_ignore_ascii_case(section));
        self.variables = others;
        for Variable { name, path, text } in own {
            // Our keys are lower case; keys that the user chose (names of variables in `app.env`) keep theirs.
            let keys: Vec<&str> = path[1..].iter().map(String::as_str).collect();
            let keys = schema.spelling(&keys);
            self.taken_variables.push(name.clone());
            self.lay_text_over(section, &keys, &text, schema, SetBy::Variable(name));
        }
    }

    fn lay_flags_over(&mut self, section: &'static str, schema: &SectionSchema) {
        for Override { key, flag, value } in self.overrides.clone() {
            let Some(rest) = key.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')) else { continue };
            let keys: Vec<String> = rest.split('.').map(String::from).collect();
            match value {
                Some(text) => self.lay_text_over(section, &keys, &text, schema, SetBy::Flag(flag)),
                None => {
                    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                    self.origins.forget(key);
                    self.table.get_mut(section).map(|table| remove(table, &keys));
                }
            }
        }
    }

    fn lay_text_over(&mut self, section: &str, keys: &[String], text: &str, schema: &SectionSchema, by: SetBy) {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let value = if schema.is_text(&keys) { Value::String(text.to_owned()) } else { guess(text) };
        let entry = self.table.entry(section).or_insert_with(|| Value::Table(Table::new()));
        let path = format!("{section}.{}", keys.join("."));
        if !insert(entry, &keys, value) {
            let name = match &by {
                SetBy::Variable(name) => name.as_str(),
                SetBy::Flag(name) => name,
            };
            let message = format!("{name} names a place that the config does not have");
            let help = "lists can only be changed in the file";
            self.findings.add(path.clone(), "SEA_CONFIG_UNKNOWN_KEY", message, help);
        }
        self.origins.forget(&path);
        self.origins.set(&path, by);
    }

    fn find_unknown_sections(&mut self) {
        let known: Vec<&str> = self.sections.iter().map(|(key, _)| *key).collect();
        // By file, so that a name that two files have is found in both.
        let mut unknown: BTreeMap<String, String> = BTreeMap::new();
        for (number, layer) in self.layers.iter().enumerate() {
            for (key, value) in layer.table.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
                let at = format!("{key}@{number}");
                self.origins.record(&at, number, key, value);
                unknown.insert(at, key.clone());
            }
        }
        for Variable { name, path, .. } in std::mem::take(&mut self.variables) {
            let at = format!("{}@{name}", path[0]);
            unknown.insert(at.clone(), path[0].clone());
            self.origins.set(&at, SetBy::Variable(name));
        }
        for (at, key) in unknown {
            let help = match closest(&key.to_lowercase(), known.iter().copied()) {
                Some(word) => format!("did you mean `[{word}]`?"),
                None => format!("known sections: {}", known.join(", ")),
            };
            let message = format!("unknown section `{key}`");
            self.findings.add(format!("{at}\u{0}"), "SEA_CONFIG_UNKNOWN_SECTION", message, &help);
        }
    }

    /// Finds where the value came from: a place in a file, a variable or a flag.
    fn place(&self, path: &str, mut finding: Finding) -> Finding {
        finding.message = mask(&finding.message);
        finding.help = finding.help.map(|help| mask(&help));
        let (path, at_key) = path.strip_suffix('\u{0}').map_or((path, false), |path| (path, true));
        if let Some(set_by) = self.origins.set_by(path) {
            finding.message = match set_by {
                SetBy::Variable(name) => format!("{} (set by the environment variable {name})", finding.message),
                SetBy::Flag(name) => format!("{} (set by {name} on the command line)", finding.message),
            };
            return finding;
        }
        let place = self.origins.place(path);
        let span =
            place.and_then(|(layer, own, exact)| Some((layer, self.layers[layer].span_of(own, at_key && exact)?)));
        let Some((layer, span)) = span else {
            finding.message = format!("{path}: {}", finding.message);
            return finding;
        };
        let (source, span) = self.layers[layer].shown(&|keys| self.is_secret(keys), span);
        finding.at(source, span)
    }

    /// Whether a value of a file must not be shown; `keys` begin with the section.
    fn is_secret(&self, keys: &[&str]) -> bool {
        let schema = self.sections.iter().find(|(section, _)| *section == keys[0]);
        match schema {
            Some((_, schema)) if !schema.at(&keys[1..]).is_empty() => schema.holds_secret(&keys[1..]),
            // Where a name is wrong, nobody knows what it was to be: `[app.evn]` holds what `[app.env]` would.
            _ => true,
        }
    }
}

/// What the reader of a value expected, without the value, which its message quotes first.
fn without_value(message: &str) -> String {
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("wrong type: expected {expected} (the value is not shown: it may be a secret)"),
        None => "the value cannot be read here, and is not shown: it may be a secret".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        HumanDuration,
        fixture::{Edge, render as render_document, sections, two_files},
    };

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
        let (_, result) = read("\"a.b\" = 1\n", &[]);
        assert_eq!(result.unwrap_err().findings[0].place().map(|(_, line, _)| line), Some(1));
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

    #[test]
    fn a_variable_may_name_what_the_user_chose() {
        let variables = [("SEAWORTHY_APP__ENV__My__Name", "x"), ("SEAWORTHY_APP__ENV", "{ A = \"1\", B = \"2\" }")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut document = Document::parse("x", String::new(), variables.into_iter()).unwrap();
        let (app, ..) = sections(&mut document);
        assert_eq!(app.env.keys().collect::<Vec<_>>(), ["A", "B", "My__Name"]);
        document.finish().unwrap();
    }

    #[test]
    fn a_finding_shows_its_place_and_no_secret_around_it() {
        let text = "[app.env]\nA = \"hunter2\"\nB = 77001\nC = \"env:X\"\n[edge]\nworkers = 100\n[ap.env]\nPASSWORD = \"hunter2\"\n\
                    [app]\nto = \"http://a:hunter2@b\"\nx = \"hunter2://u:hunter2@c\"\n";
        let text = text.replace("[app]\nto", "[app.y]\nto");
        let mut document = Document::parse("x", text, std::iter::empty()).unwrap();
        sections(&mut document);
        let shown = render_document(document);
        assert!(shown.contains("not a text, env:NAME") && shown.contains("env:X"), "{shown}");
        assert!(!shown.contains("\"hunter2") && !shown.contains(":hunter2@") && !shown.contains("77001"), "{shown}");
        let broken = "[app.env]\nA = \"hunter2\n";
        let error = Document::parse("x", broken.into(), std::iter::empty()).unwrap_err();
        assert!(render(&error).contains("line 2") && !render(&error).contains("hunter2"), "{}", render(&error));
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_quoted() {
        for (text, variables) in [
            ("[app]\nenv = \"hunter2\"\n", None),
            ("app = \"hunter2\"\n", None),
            ("[app]\nenv = [\"hunter2\"]\n", None),
            ("[edge.tls]\nkeys = \"hunter2\"\n", None),
            ("[edge]\ntls = \"hunter2\"\n", None),
            ("", Some(("SEAWORTHY_APP__ENV", "hunter2"))),
            ("", Some(("SEAWORTHY_APP__ENV", "[\"hunter2\"]"))),
            ("", Some(("SEAWORTHY_EDGE__TLS__KEYS", "hunter2"))),
            // Below a name that is not known, and beside it.
            ("[app.evn]\nA = \"hunter2\"\n", None),
            ("[app.environment]\nA = \"hunter2\"\n[app.environment.b]\nC = [\"hunter2\"]\n", None),
            ("[app]\nemv = { A = \"hunter2\" }\nemw = \"hunter2\"\n", None),
            ("[environment]\nA = \"hunter2\"\n", None),
            ("evn = \"hunter2\"\n", None),
        ] {
            let variables = variables.map(|(name, value): (&str, &str)| (name.to_owned(), value.to_owned()));
            let mut document = Document::parse("x", text.into(), variables.into_iter()).unwrap();
            sections(&mut document);
            let shown = render_document(document);
            assert!(!shown.contains("hunter2"), "{text}: {shown}");
        }
        let broken = "[app.evn]\nA = \"hunter2\n";
        let error = Document::parse("x", broken.into(), std::iter::empty()).unwrap_err();
        assert!(!render(&error).contains("hunter2"), "{}", render(&error));
    }

    #[test]
    fn what_is_hidden_has_no_length_and_moves_no_finding() {
        let shown = |value: &str| {
            let text = format!("[app]\nenv = {{ A = \"{value}\", B = 7 }}\n[edge]\nworkers = 100\n");
            let mut document = Document::parse("x", text, std::iter::empty()).unwrap();
            sections(&mut document);
            let error = document.finish().unwrap_err();
            let lines: Vec<_> = error.findings.iter().map(|finding| finding.place().unwrap().1).collect();
            assert_eq!(lines, [2, 4]);
            render(&error)
        };
        assert_eq!(shown("short"), shown("a much longer one"));
        assert!(shown("x").contains("A = \"***\", B = "), "{}", shown("x"));
    }

    #[test]
    fn production_refuses_what_its_sections_refuse_and_secrets_in_files() {
        let base = "[edge]\nworkers = 13\n[app.env]\nMODE = \"production\"\nDB_PASSWORD = \"hunter2\"\nURL = \"pg://u:hunter2@h\"\n\
                    API_TOKEN = \"development\"\nKEY_FILE = \"x\"\n";
        let mut document = two_files(base, "[app.env]\nAPI_TOKEN = \"env:API_TOKEN\"\n");
        sections(&mut document);
        let error = document.finish().unwrap_err();
        let found: Vec<(&str, usize)> =
            error.findings.iter().map(|finding| (finding.code, finding.place().unwrap().1)).collect();
        assert_eq!(found, [("SEA_CONFIG_RANGE", 2), ("SEA_CONFIG_INSECURE", 5), ("SEA_CONFIG_INSECURE", 6)]);
        let mut document = Document::parse("x", base.into(), std::iter::empty()).unwrap();
        sections(&mut document);
        document.finish().unwrap();
    }
}
