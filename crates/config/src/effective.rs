//! The config as it counts in the end: every value with where it came from, and no secret.

use serde_json::{Value as Json, json};
use toml::Value;

use crate::{
    document::Document,
    masking::{MASK, mask},
    origin::Origin,
    schema::{SectionSchema, is_optional},
    secret_ref::is_reference,
    tree::is_list_of_tables,
};

/// One value of the config, ready to be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectiveValue {
    /// The way to it. An index of a list of tables is a step of its own.
    pub steps: Vec<Step>,
    /// Secrets are masked; `None` when it may be left out and is.
    pub value: Option<Value>,
    /// Where it came from.
    pub origin: Origin,
}

/// One step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into a table.
    Key(String),
    /// Into a list of tables.
    Index(usize),
}

impl EffectiveValue {
    /// The dotted path: `route.0.first_byte`.
    pub fn path(&self) -> String {
        let steps = self.steps.iter().map(|step| match step {
            Step::Key(key) => key.clone(),
            Step::Index(index) => index.to_string(),
        });
        steps.collect::<Vec<_>>().join(".")
    }

    /// For a machine.
    pub fn json(&self) -> Json {
        let mut object = json!({ "key": self.path(), "value": self.value });
        object["source"] = match &self.origin {
            Origin::Default => json!("default"),
            Origin::File { .. } => json!("file"),
            Origin::Variable(_) => json!("variable"),
            Origin::Flag(_) => json!("flag"),
        };
        match &self.origin {
            Origin::File { file, line } => {
                object["file"] = json!(file);
                object["line"] = json!(line);
            }
            Origin::Variable(name) => object["variable"] = json!(name),
            Origin::Flag(name) => object["flag"] = json!(name),
            Origin::Default => {}
        }
        object
    }
}

impl Document {
    /// Every value of the sections that were read; with `defaults`, also those that nobody set.
    pub fn effective(&self, defaults: bool) -> Vec<EffectiveValue> {
        let mut found = Vec::new();
        for (section, schema) in &self.sections {
            let mut walk = Walk { document: self, schema, defaults, found: &mut found };
            walk.value(&schema.root, self.table.get(*section), &[Step::Key((*section).to_owned())]);
        }
        found
    }
}

struct Walk<'a> {
    document: &'a Document,
    schema: &'a SectionSchema,
    defaults: bool,
    found: &'a mut Vec<EffectiveValue>,
}

impl Walk<'_> {
    fn value(&mut self, property: &Json, value: Option<&Value>, steps: &[Step]) {
        let schema = self.schema;
        let target = schema.resolve(property);
        match value {
            Some(Value::Array(items)) if is_list_of_tables(&Value::Array(items.clone())) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(&target["items"], Some(item), &with(steps, Step::Index(index)));
                }
            }
            Some(Value::Table(table)) => self.table(target, Some(table), steps),
            None if target["properties"].is_object() && !is_optional(property) => self.table(target, None, steps),
            Some(value) => self.leaf(Some(value.clone()), steps),
            // A list of tables or a table of the user's keys that is not there has nothing to show.
            None if steps.len() > 1 && self.defaults && !target["additionalProperties"].is_object() => {
                self.leaf(default_of(property), steps);
            }
            None => {}
        }
    }

    /// Values before tables: TOML reads everything after a table's head as part of that table.
    fn table(&mut self, target: &Json, table: Option<&toml::Table>, steps: &[Step]) {
        let null = Json::Null;
        let mut members: Vec<(&str, &Json, Option<&Value>)> = Vec::new();
        for (key, property) in target["properties"].as_object().into_iter().flatten() {
            members.push((key, property, table.and_then(|table| table.get(key))));
        }
        for (key, value) in table.into_iter().flatten() {
            if target["properties"].get(key).is_none() {
                let property = target.get("additionalProperties").unwrap_or(&null);
                members.push((key, property, Some(value)));
            }
        }
        let is_table = |property: &Json, value: Option<&Value>| match value {
            Some(value) => value.is_table() || is_list_of_tables(value),
            None => self.schema.resolve(property)["properties"].is_object() && !is_optional(property),
        };
        members.sort_by_key(|(_, property, value)| is_table(property, *value));
        for (key, property, value) in members {
            self.value(property, value, &with(steps, Step::Key(key.to_owned())));
        }
    }

    fn leaf(&mut self, value: Option<Value>, steps: &[Step]) {
        let mut shown = EffectiveValue { steps: steps.to_vec(), value: None, origin: Origin::Default };
        let path = shown.path();
        let keys: Vec<&str> = path.split('.').skip(1).collect();
        shown.value = value.map(|value| masked(value, self.schema.is_secret(&keys), self.schema, &keys));
        shown.origin = self.document.origin(&path);
        self.found.push(shown);
    }
}

fn with(steps: &[Step], step: Step) -> Vec<Step> {
    let mut longer = steps.to_vec();
    longer.push(step);
    longer
}

/// The default as TOML has it; nothing where the schema knows none.
fn default_of(property: &Json) -> Option<Value> {
    property.get("default").filter(|value| !value.is_null()).and_then(|value| Value::try_from(value).ok())
}

fn masked(value: Value, is_secret: bool, schema: &SectionSchema, keys: &[&str]) -> Value {
    match value {
        // That a secret is not set is none.
        Value::String(text) if text.is_empty() => Value::String(text),
        Value::String(text) if is_secret && !is_reference(&text) => Value::String(MASK.to_owned()),
        Value::String(text) => Value::String(mask(&text)),
        Value::Array(items) => {
            let item = |(index, item): (usize, Value)| {
                let index = index.to_string();
                let keys = [keys, &[index.as_str()]].concat();
                masked(item, is_secret || schema.is_secret(&keys), schema, &keys)
            };
            Value::Array(items.into_iter().enumerate().map(item).collect())
        }
        Value::Table(table) => {
            let entry = |(key, value): (String, Value)| {
                let keys = [keys, &[key.as_str()]].concat();
                let value = masked(value, is_secret || schema.is_secret(&keys), schema, &keys);
                (key, value)
            };
            Value::Table(table.into_iter().map(entry).collect())
        }
        _ if is_secret => Value::String(MASK.to_owned()),
        other => other,
    }
}
