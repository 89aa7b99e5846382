//! An OpenAPI document, made ready to compare requests with: read once, and used by every core.

use std::sync::Arc;

use http::{HeaderName, Method};
use jsonschema::Validator;
use serde_json::Value;
use thiserror::Error;

use crate::{
    form::Form,
    observed::{Observed, OperationCounts},
    parameters::{Parameter, Style},
    paths::Paths,
    schema::{self, Schemas},
    shape::Shape,
    violation::Place,
};

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
/// Documents that people write have a few hundred; each costs memory.
const MOST_OPERATIONS: usize = 5000;

/// A document that cannot be used.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// Not to be had.
    #[error("the OpenAPI document {0} cannot be read: {1}")]
    Unreadable(String, String),
    /// Neither JSON nor YAML.
    #[error("the OpenAPI document is neither JSON nor YAML: {0}")]
    Syntax(String),
    /// Another version.
    #[error("the OpenAPI document says that it is {0}; 3.0 and 3.1 are understood")]
    Version(String),
    /// Nothing in it.
    #[error("the OpenAPI document describes no operation")]
    Empty,
    /// Wrong inside.
    #[error("the OpenAPI document cannot be used: {0}")]
    Wrong(String),
}

/// What the document allows.
#[derive(Debug)]
pub(crate) struct Contract {
    pub operations: Vec<Operation>,
    pub paths: Paths,
}

/// One method of one path.
#[derive(Debug)]
pub(crate) struct Operation {
    pub parameters: Vec<Parameter>,
    /// Some of them are in the query: only then it is taken apart.
    pub reads_query: bool,
    pub body: Option<BodyRule>,
    pub counts: Arc<OperationCounts>,
}

/// What a body may be.
#[derive(Debug)]
pub(crate) struct BodyRule {
    pub required: bool,
    pub media: Vec<Media>,
}

/// One media type.
#[derive(Debug)]
pub(crate) struct Media {
    /// In small letters, without parameters: `application/json`, `image/*`.
    pub name: String,
    pub reading: Reading,
}

/// What is looked at in a body.
#[derive(Debug)]
pub(crate) enum Reading {
    Json(Option<Validator>),
    Form(Form),
    /// It streams by.
    Nothing,
}

impl Contract {
    /// Reads a document, JSON or YAML.
    ///
    /// # Errors
    /// What is wrong with it. A part that cannot be used makes the whole unusable: half a contract would let requests pass.
    pub(crate) fn read(bytes: &[u8], formats: bool, observed: &Observed) -> Result<Self, DocumentError> {
        let text = std::str::from_utf8(bytes).map_err(|error| DocumentError::Syntax(error.to_string()))?;
        let mut document = match serde_json::from_str::<Value>(text) {
            Ok(document) => document,
            // YAML 1.2, as OpenAPI asks for: `n`, `no` and `on` are texts.
            Err(_) => serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true })
                .map_err(|error| {
                    DocumentError::Syntax(error.to_string().lines().next().unwrap_or_default().to_owned())
                })?,
        };
        let version = document["openapi"].as_str().unwrap_or("no OpenAPI 3 document");
        if !["3.0", "3.1", "3.2"].iter().any(|known| version.starts_with(known)) {
            return Err(DocumentError::Version(version.chars().take(40).collect()));
        }
        schema::prepare(&mut document);
        let schemas = Schemas::of(&document, formats).map_err(DocumentError::Wrong)?;
        let building = Building { document: &document, schemas, observed };
        building.contract()
    }
}

struct Building<'a> {
    document: &'a Value,
    schemas: Schemas<'a>,
    observed: &'a Observed,
}

impl<'a> Building<'a> {
    fn contract(&self) -> Result<Contract, DocumentError> {
        let mut contract = Contract { operations: Vec::new(), paths: Paths::default() };
        for (template, item) in self.document["paths"].as_object().into_iter().flatten() {
            let (item, at) = self.resolve(item, format!("/paths/{}", escaped(template)));
            for method in METHODS {
                let Some(operation) = item.get(method) else { continue };
                let at = format!("{at}/{method}");
                let number = contract.operations.len();
                if number == MOST_OPERATIONS {
                    return Err(DocumentError::Wrong(format!("it has more than {MOST_OPERATIONS} operations")));
                }
                let method: Method = method.to_uppercase().parse().map_err(|_| DocumentError::Empty)?;
                for prefix in self.prefixes(item, operation) {
                    contract.paths.add(&format!("{prefix}{template}"), method.clone(), number);
                }
                let made = self.operation(template, &method, (item, operation), &at);
                contract.operations.push(made.map_err(DocumentError::Wrong)?);
            }
        }
        contract.paths.sort();
        if contract.operations.is_empty() { Err(DocumentError::Empty) } else { Ok(contract) }
    }

    /// The paths of the servers that it is on.
    fn prefixes(&self, item: &Value, operation: &Value) -> Vec<String> {
        let servers = [operation, item, self.document].into_iter().find_map(|one| one["servers"].as_array());
        let path = |server: &Value| {
            let mut url = server["url"].as_str().unwrap_or_default().to_owned();
            for (name, variable) in server["variables"].as_object().into_iter().flatten() {
                url = url.replace(&format!("{{{name}}}"), variable["default"].as_str().unwrap_or_default());
            }
            let path = match url.split_once("://") {
                Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
                None => &url,
            };
            let path = path.trim_matches('/');
            if path.is_empty() || path == "." { String::new() } else { format!("/{path}") }
        };
        let mut prefixes: Vec<String> = servers.into_iter().flatten().map(path).collect();
        prefixes.sort();
        prefixes.dedup();
        if prefixes.is_empty() { vec![String::new()] } else { prefixes }
    }

    fn operation(
        &self,
        template: &str,
        method: &Method,
        (item, operation): (&'a Value, &'a Value),
        at: &str,
    ) -> Result<Operation, String> {
        let own = self.listed(operation, at);
        let item_at = at.rsplit_once('/').map_or(at, |(before, _)| before);
        let key = |parameter: &Value| (parameter["name"].clone(), parameter["in"].clone());
        let mut parameters = Vec::new();
        for (parameter, at) in self.listed(item, item_at) {
            // The operation's own ones go first (OpenAPI 3.1.1, 4.8.9.1).
            if !own.iter().any(|(other, _)| key(other) == key(parameter)) {
                parameters.extend(self.parameter(parameter, &at)?);
            }
        }
        for (parameter, at) in &own {
            parameters.extend(self.parameter(parameter, at)?);
        }
        let body = match operation.get("requestBody") {
            Some(body) => {
                let (body, at) = self.resolve(body, format!("{at}/requestBody"));
                Some(self.body(body, &at)?)
            }
            None => None,
        };
        let names: Vec<String> = parameters.iter().map(|one| one.name.clone()).collect();
        for parameter in &mut parameters {
            let bracketed = format!("{}[", parameter.name);
            parameter.has_bracketed_sibling = names.iter().any(|name| name.starts_with(&bracketed));
        }
        let reads_query = parameters.iter().any(|one| one.place == Place::Query);
        let counts = self.observed.operation(&format!("{method} {template}"));
        Ok(Operation { parameters, reads_query, body, counts })
    }

    fn listed(&self, holder: &'a Value, at: &str) -> Vec<(&'a Value, String)> {
        let listed = holder["parameters"].as_array().into_iter().flatten().enumerate();
        listed.map(|(index, one)| self.resolve(one, format!("{at}/parameters/{index}"))).collect()
    }

    fn parameter(&self, parameter: &'a Value, at: &str) -> Result<Option<Parameter>, String> {
        let name = parameter["name"].as_str().ok_or_else(|| format!("#{at}: a parameter without a name"))?.to_owned();
        let place = match parameter["in"].as_str() {
            Some("path") => Place::Path,
            Some("query") => Place::Query,
            Some("header") => Place::Header,
            Some("cookie") => Place::Cookie,
            other => return Err(format!("#{at}: a parameter in `{}`", other.unwrap_or_default())),
        };
        let header = (place == Place::Header).then(|| HeaderName::from_bytes(name.as_bytes())).transpose();
        let header = header.map_err(|_| format!("#{at}: `{name}` is not the name of a header"))?;
        if header.as_ref().is_some_and(|one| matches!(one.as_str(), "accept" | "content-type" | "authorization")) {
            // Said to be ignored (OpenAPI 3.1.1, 4.8.12.2).
            return Ok(None);
        }
        let (schema_at, json) = match parameter["content"].as_object().and_then(|content| content.keys().next()) {
            Some(media) => (format!("{at}/content/{}/schema", escaped(media)), Some(is_json(media))),
            None => (format!("{at}/schema"), None),
        };
        let schema = self.document.pointer(&schema_at).unwrap_or(&Value::Null);
        let shape = Shape::of(self.document, schema);
        let style = match json {
            _ if schema.is_null() || schema.as_object().is_some_and(serde_json::Map::is_empty) => Style::Unread,
            Some(true) => Style::Json,
            Some(false) => Style::Unread,
            None => style(place, parameter),
        };
        let validator = if schema.is_null() { anything() } else { self.schemas.validator(&schema_at) }?;
        let required = parameter["required"] == true || place == Place::Path;
        let has_bracketed_sibling = false;
        Ok(Some(Parameter { place, name, header, required, has_bracketed_sibling, style, shape, validator }))
    }

    fn body(&self, body: &Value, at: &str) -> Result<BodyRule, String> {
        let mut media = Vec::new();
        for (name, entry) in body["content"].as_object().into_iter().flatten() {
            let schema_at = format!("{at}/content/{}/schema", escaped(name));
            let schema = entry.get("schema");
            let name = name.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            let reading = match schema {
                Some(_) if is_json(&name) => Reading::Json(Some(self.schemas.validator(&schema_at)?)),
                None if is_json(&name) => Reading::Json(None),
                Some(schema) if name == "application/x-www-form-urlencoded" => {
                    let shape = Shape::of(self.document, schema);
                    // Without members nothing says which texts are numbers.
                    let is_known = shape.members.as_ref().is_some_and(|members| !members.is_empty());
                    if is_known {
                        Reading::Form(Form { shape, validator: self.schemas.validator(&schema_at)? })
                    } else {
                        Reading::Nothing
                    }
                }
                _ => Reading::Nothing,
            };
            media.push(Media { name, reading });
        }
        // The more specific ones first.
        media.sort_by_key(|one| (one.name == "*/*", one.name.ends_with("/*")));
        Ok(BodyRule { required: body["required"] == true, media })
    }

    /// Follows references within the document, and says where they lead.
    fn resolve(&self, value: &'a Value, at: String) -> (&'a Value, String) {
        let (mut value, mut at) = (value, at);
        for _ in 0..8 {
            let Some(pointer) = value["$ref"].as_str().and_then(|target| target.strip_prefix('#')) else { break };
            let pointer = percent_encoding::percent_decode_str(pointer).decode_utf8_lossy().into_owned();
            let Some(target) = self.document.pointer(&pointer) else { break };
            (value, at) = (target, pointer);
        }
        (value, at)
    }
}

fn anything() -> Result<Validator, String> {
    jsonschema::validator_for(&Value::Bool(true)).map_err(|error| error.to_string())
}

fn style(place: Place, parameter: &Value) -> Style {
    let style = parameter["style"].as_str().unwrap_or(match place {
        Place::Query | Place::Cookie => "form",
        _ => "simple",
    });
    let explode = parameter["explode"].as_bool().unwrap_or(style == "form");
    match style {
        "form" if explode => Style::Separated(None),
        "form" => Style::Separated(Some(',')),
        "spaceDelimited" if !explode => Style::Separated(Some(' ')),
        "pipeDelimited" if !explode => Style::Separated(Some('|')),
        "spaceDelimited" | "pipeDelimited" => Style::Separated(None),
        "simple" => Style::Simple { explode },
        "deepObject" => Style::Deep,
        _ => Style::Unread,
    }
}

/// RFC 6839, 3.1.
pub(crate) fn is_json(media: &str) -> bool {
    let media = media.split(';').next().unwrap_or_default().trim();
    let ends = |suffix: &str| {
        media
            .len()
            .checked_sub(suffix.len())
            .and_then(|at| media.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
    };
    ends("/json") || ends("+json")
}

/// As part of a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
