//! What keys exist: read off the JSON Schema that each section's `Settings` generates.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

/// A section's schema with its definitions at hand.
#[derive(Debug)]
pub(crate) struct SectionSchema {
    pub root: Value,
}

/// A key that no section knows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownKey {
    pub path: String,
    pub key: String,
    pub suggestion: Option<String>,
    pub known: Vec<String>,
}

impl SectionSchema {
    pub(crate) fn of<T: JsonSchema>() -> Self {
        Self { root: SchemaGenerator::default().into_root_schema_for::<T>().into() }
    }

    /// Every key in `value` that the schema does not name. `path` is the section's own.
    pub(crate) fn unknown_keys(&self, value: &toml::Value, path: &str) -> Vec<UnknownKey> {
        let mut found = Vec::new();
        self.walk(&self.root, value, path, &mut found);
        found
    }

    /// True when the value at this path (below the section) is text and nothing else.
    pub(crate) fn is_text(&self, path: &[&str]) -> bool {
        let kinds: Vec<&str> = self.at(path).into_iter().flat_map(kinds).filter(|kind| *kind != "null").collect();
        !kinds.is_empty() && kinds.iter().all(|kind| *kind == "string")
    }

    /// True when the value at this path, or something around it, must not be shown.
    pub(crate) fn is_secret(&self, path: &[&str]) -> bool {
        (0..=path.len()).any(|length| self.at(&path[..length]).iter().any(|node| node["writeOnly"] == true))
    }

    /// True when what stands at this path must not be shown, or may have something inside of it that must not: where a
    /// table of secrets belongs, a careless hand writes the secret itself.
    pub(crate) fn holds_secret(&self, path: &[&str]) -> bool {
        let (mut seen, mut open) = (Vec::<&Value>::new(), self.at(path));
        while let Some(node) = open.pop() {
            if node["writeOnly"] == true {
                return true;
            }
            if seen.iter().any(|seen| std::ptr::eq(*seen, node)) {
                continue;
            }
            seen.push(node);
            let members = node["properties"].as_object().into_iter().flat_map(|members| members.values());
            let inner = members.chain([&node["additionalProperties"], &node["items"]]);
            open.extend(inner.flat_map(|inner| self.forms(inner)));
        }
        self.is_secret(path)
    }

    /// A variable's keys as the config spells them: known keys in lower case, the user's own as they are.
    pub(crate) fn spelling(&self, path: &[&str]) -> Vec<String> {
        let mut spelled: Vec<String> = Vec::new();
        for (number, key) in path.iter().enumerate() {
            let there: Vec<&str> = spelled.iter().map(String::as_str).collect();
            let (lower, nodes) = (key.to_lowercase(), self.at(&there));
            let is_known = nodes.iter().any(|node| node["properties"].get(&lower).is_some());
            let chosen = nodes.iter().find(|node| node["additionalProperties"].is_object() && !is_known);
            let Some(chosen) = chosen else {
                spelled.push(lower);
                continue;
            };
            let inner = self.resolve(&chosen["additionalProperties"]);
            if !inner["properties"].is_object() && !inner["additionalProperties"].is_object() {
                // Nothing can be inside of it: the rest is its name.
                spelled.push(path[number..].join("__"));
                break;
            }
            spelled.push((*key).to_owned());
        }
        spelled
    }

    /// Everything that may stand at this path: several schemas where a value may have several forms.
    pub(crate) fn at(&self, path: &[&str]) -> Vec<&Value> {
        let mut nodes = self.forms(&self.root);
        for key in path {
            let next = nodes.iter().filter_map(|node| {
                let next = node["properties"].get(*key).or_else(|| node.get("additionalProperties"));
                next.or_else(|| node.get("items").filter(|_| key.parse::<usize>().is_ok()))
            });
            nodes = next.flat_map(|node| self.forms(node)).collect();
        }
        nodes
    }

    /// A schema and whatever its references and alternatives lead to.
    fn forms<'a>(&'a self, schema: &'a Value) -> Vec<&'a Value> {
        let (mut found, mut open) = (Vec::new(), vec![schema]);
        while let Some(node) = open.pop() {
            if found.len() > 64 || node.is_null() || node.is_boolean() {
                continue;
            }
            found.push(node);
            let target = node["$ref"].as_str().and_then(|text| text.strip_prefix("#/$defs/"));
            open.extend(target.map(|name| &self.root["$defs"][name]));
            for arms in ["anyOf", "allOf", "oneOf"] {
                open.extend(node[arms].as_array().into_iter().flatten());
            }
        }
        found
    }

    fn walk(&self, schema: &Value, value: &toml::Value, path: &str, found: &mut Vec<UnknownKey>) {
        let schema = self.resolve(schema);
        match value {
            toml::Value::Table(table) => {
                let Some(properties) = schema["properties"].as_object() else {
                    for (key, value) in table {
                        self.walk(&schema["additionalProperties"], value, &format!("{path}.{key}"), found);
                    }
                    return;
                };
                for (key, value) in table {
                    match properties.get(key) {
                        Some(next) => self.walk(next, value, &format!("{path}.{key}"), found),
                        None => found.push(unknown(path, key, properties.keys())),
                    }
                }
            }
            toml::Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.walk(&schema["items"], item, &format!("{path}.{index}"), found);
                }
            }
            _ => {}
        }
    }

    /// Follows `$ref`, and the one-armed `anyOf`/`allOf` that an `Option` or a doc comment makes.
    pub(crate) fn resolve<'a>(&'a self, mut schema: &'a Value) -> &'a Value {
        for _ in 0..16 {
            if let Some(name) = schema["$ref"].as_str().and_then(|text| text.strip_prefix("#/$defs/")) {
                schema = &self.root["$defs"][name];
                continue;
            }
            let arms = schema["anyOf"].as_array().or_else(|| schema["allOf"].as_array());
            match arms.and_then(|arms| arms.iter().find(|arm| arm["type"] != "null")) {
                Some(arm) if schema.get("properties").is_none() => schema = arm,
                _ => return schema,
            }
        }
        schema
    }
}

/// True when a value may be left out, and then is nothing at all rather than its own defaults.
pub(crate) fn is_optional(property: &Value) -> bool {
    let null_arm = property["anyOf"].as_array().is_some_and(|arms| arms.iter().any(|arm| arm["type"] == "null"));
    null_arm || kinds(property).contains(&"null")
}

fn kinds(node: &Value) -> Vec<&str> {
    match &node["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    }
}

fn unknown<'a>(path: &str, key: &str, known: impl Iterator<Item = &'a String>) -> UnknownKey {
    let known: Vec<String> = known.cloned().collect();
    let suggestion = closest(key, known.iter().map(String::as_str));
    UnknownKey { path: format!("{path}.{key}"), key: key.into(), suggestion, known }
}

/// The known word that `word` is probably a misspelling of.
pub(crate) fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate.to_owned())
}
