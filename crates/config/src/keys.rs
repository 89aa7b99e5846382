//! Every key that can be written, with what is to be known about it.

use serde_json::{Value as Json, json};

use crate::{document::Document, reference::type_name, schema::SectionSchema};

/// A key of the config, or a section.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Dotted path without indexes: `route.first_byte`.
    pub path: String,
    /// The type in a word or two; `table` for a section.
    pub kind: String,
    /// How the type is written, where its name does not say.
    pub form: Option<&'static str>,
    /// `None` when there is none: then the key may be left out.
    pub default: Option<Json>,
    /// What it does.
    pub about: String,
    /// The environment variable that sets it; `None` for tables, and in lists, which only files can change.
    pub variable: Option<String>,
    /// Whether its value is never shown.
    pub secret: bool,
    /// Whether other keys are inside of it.
    pub is_table: bool,
    /// Whether the user chooses the names inside of it.
    pub is_open: bool,
    /// The table that it is written in: `[edge.timeouts]` or `[[route]]`.
    pub head: String,
}

impl Key {
    /// For a machine.
    pub fn json(&self) -> Json {
        json!({
            "key": self.path,
            "type": self.kind.replace('`', ""),
            "default": self.default,
            "about": self.about,
            "variable": self.variable,
            "secret": self.secret,
        })
    }
}

impl Document {
    /// Every key of the sections that were read, sections first, in the order of the reference.
    pub fn keys(&self) -> Vec<Key> {
        let mut found = Vec::new();
        for (section, schema) in &self.sections {
            collect(schema, &schema.root, section, false, String::new(), &mut found);
        }
        found
    }

    /// The key that a user means by `name`: a path with or without indexes and brackets, or the variable's name.
    pub fn key(&self, name: &str) -> Option<Key> {
        let keys = self.keys();
        let path = plain_path(name);
        let exact = keys.iter().find(|key| key.path == path);
        let by_variable = || keys.iter().find(|key| key.variable.as_deref() == Some(name));
        let chosen = || {
            let (parent, own) = path.rsplit_once('.')?;
            let parent = keys.iter().find(|key| key.path == parent && key.is_open)?;
            let name = name.rsplit(['.']).next().unwrap_or(own).trim_matches('"');
            let variable = Some(format!("{}__{name}", variable_of(&parent.path.to_uppercase())));
            let path = format!("{}.{name}", parent.path);
            let head = format!("[{}]", parent.path);
            Some(Key { path, variable, is_open: false, default: None, kind: "text".into(), head, ..parent.clone() })
        };
        exact.or_else(by_variable).cloned().or_else(chosen)
    }

    /// Keys that a user may have meant by a name that is none: the likeliest, and those that are as likely.
    pub fn keys_like(&self, name: &str) -> Vec<String> {
        let path = plain_path(name);
        let last = path.rsplit('.').next().unwrap_or_default();
        let likeness = |key: &Key| {
            let own = key.path.rsplit('.').next().unwrap_or_default();
            strsim::jaro_winkler(&path, &key.path).max(strsim::jaro_winkler(last, own) - 0.01)
        };
        let mut like: Vec<(f64, String)> = self.keys().iter().map(|key| (likeness(key), key.path.clone())).collect();
        like.retain(|(likeness, _)| *likeness > 0.8);
        like.sort_by(|left, right| right.0.total_cmp(&left.0));
        let best = like.first().map_or(0.0, |(likeness, _)| *likeness);
        like.retain(|(likeness, _)| *likeness > best - 0.02);
        like.into_iter().take(4).map(|(_, path)| path).collect()
    }
}

/// `[edge.timeouts]`, `route.0.match` and `[[route]]` as the reference has them.
fn plain_path(name: &str) -> String {
    let name = name.trim().replace(['[', ']'], ".").to_lowercase();
    name.split('.').filter(|part| !part.is_empty() && part.parse::<usize>().is_err()).collect::<Vec<_>>().join(".")
}

fn variable_of(path: &str) -> String {
    let (section, rest) = path.split_once('.').unwrap_or((path, ""));
    format!("SEAWORTHY_{}__{}", section.to_uppercase(), rest.replace('.', "__"))
}

fn collect(schema: &SectionSchema, property: &Json, path: &str, in_list: bool, head: String, found: &mut Vec<Key>) {
    let target = schema.resolve(property);
    let members = schema.resolve(&target["items"]);
    let is_list = members["properties"].is_object();
    let inner = if is_list { members } else { target };
    let is_table = inner["properties"].is_object();
    let about = [property, target, inner].into_iter().find_map(|node| node["description"].as_str()).unwrap_or_default();
    let kind = if is_list { "list of tables".to_owned() } else { type_name(target) };
    let in_list = in_list || is_list;
    let is_open = !is_table && target["additionalProperties"].is_object();
    let secret = target["writeOnly"] == true || schema.resolve(&target["additionalProperties"])["writeOnly"] == true;
    found.push(Key {
        path: path.to_owned(),
        form: form_of(&kind),
        kind,
        default: property.get("default").filter(|value| !value.is_null() && !is_table).cloned(),
        about: about.split_whitespace().collect::<Vec<_>>().join(" "),
        variable: (!in_list && !is_table && !is_open).then(|| variable_of(&path.to_uppercase())),
        secret,
        is_table,
        is_open,
        head,
    });
    let own_head = if is_list { format!("[[{path}]]") } else { format!("[{path}]") };
    for (key, next) in inner["properties"].as_object().into_iter().flatten() {
        collect(schema, next, &format!("{path}.{key}"), in_list, own_head.clone(), found);
    }
}

fn form_of(kind: &str) -> Option<&'static str> {
    match kind {
        "duration" => Some("a whole number and ms, s, m, h or d, such as \"30s\""),
        "size" => Some("a whole number and B, KB, MB, GB (powers of 1,000) or KiB, MiB, GiB, such as \"20MB\""),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::sections;

    fn document() -> Document {
        let mut document = Document::parse("x", String::new(), std::iter::empty()).unwrap();
        sections(&mut document);
        document
    }

    #[test]
    fn a_key_is_found_however_it_is_written() {
        let document = document();
        for name in ["edge.timeouts.first_byte", "EDGE.Timeouts.first_byte", "SEAWORTHY_EDGE__TIMEOUTS__FIRST_BYTE"] {
            let key = document.key(name).unwrap();
            assert_eq!((key.path.as_str(), key.kind.as_str()), ("edge.timeouts.first_byte", "duration"));
            assert_eq!(key.variable.as_deref(), Some("SEAWORTHY_EDGE__TIMEOUTS__FIRST_BYTE"));
            assert_eq!((key.about.as_str(), key.head.as_str()), ("Until the first byte.", "[edge.timeouts]"));
        }
        for name in ["route.first_byte", "route.0.first_byte", "route[1].first_byte", "[[route]].first_byte"] {
            assert_eq!(document.key(name).unwrap().variable, None, "{name}");
        }
        let chosen = document.key("app.env.DB_KEY").unwrap();
        assert_eq!((chosen.variable.as_deref(), chosen.secret), (Some("SEAWORTHY_APP__ENV__DB_KEY"), true));
        assert!(document.key("[edge]").unwrap().is_table);
        assert!(document.key("edge.nothing").is_none());
    }

    #[test]
    fn a_wrong_name_gets_suggestions() {
        let like = document().keys_like("first_byt");
        assert_eq!(like.len(), 2);
        assert!(like.contains(&"edge.timeouts.first_byte".to_owned()) && like.contains(&"route.first_byte".to_owned()));
        for (typo, meant) in [("edge.lisen", "edge.listen"), ("edge.wrokers", "edge.workers"), ("app.enn", "app.env")] {
            assert_eq!(document().keys_like(typo), [meant]);
        }
        assert!(document().keys_like("zzz").is_empty());
    }
}
