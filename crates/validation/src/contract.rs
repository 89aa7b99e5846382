//! An OpenAPI document, made ready to compare requests with: read once, and used by every core.

use std::sync::Arc;

use http::{HeaderName, Method};
use serde_json::Value;
use thiserror::Error;

use crate::{
    form::{Form, METHOD_FIELD},
    media::{BodyRule, Kind, Media, Reading},
    observed::{Observed, OperationCounts},
    parameters::Parameter,
    paths::Paths,
    patterns::Rule,
    schema::{self, Schemas},
    servers,
    shape::Shape,
    styles::Style,
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
    /// The same without the paths of the servers, where they have any.
    pub without_servers: Option<Paths>,
    /// What is let through because nobody can say how it is read, in words for an operator.
    pub not_judged: Vec<String>,
}

/// One method of one path.
#[derive(Debug)]
pub(crate) struct Operation {
    pub parameters: Vec<Parameter>,
    /// Some of them are in the query: only then it is taken apart.
    pub reads_query: bool,
    /// A parameter of the query by which apps take the request for one of another method.
    pub describes_method: bool,
    pub body: Option<BodyRule>,
    pub counts: Arc<OperationCounts>,
}

impl Contract {
    /// Reads a document, JSON or YAML; `base` is the path that it was read from, or `/`.
    ///
    /// # Errors
    /// What is wrong with it. A part that cannot be used makes the whole unusable: half a contract would let requests pass.
    pub(crate) fn read(bytes: &[u8], formats: bool, base: &str, observed: &Observed) -> Result<Self, DocumentError> {
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
        let building = Building { document: &document, base, schemas, observed };
        building.contract()
    }
}

struct Building<'a> {
    document: &'a Value,
    base: &'a str,
    schemas: Schemas<'a>,
    observed: &'a Observed,
}

impl<'a> Building<'a> {
    fn contract(&self) -> Result<Contract, DocumentError> {
        let paths = Paths::default();
        let mut contract = Contract { operations: Vec::new(), paths, without_servers: None, not_judged: Vec::new() };
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
                for prefix in servers::base_paths(self.document, item, operation, self.base) {
                    contract.paths.add(&format!("{prefix}{template}"), method.clone(), number);
                    if !prefix.is_empty() {
                        contract.without_servers.get_or_insert_default().add(template, method.clone(), number);
                    }
                }
                let made = self.operation(template, &method, (item, operation), &at).map_err(DocumentError::Wrong)?;
                contract.not_judged.extend(made.not_judged().map(|what| format!("{method} {template}: {what}")));
                contract.operations.push(made);
            }
        }
        contract.paths.sort();
        contract.without_servers.iter_mut().for_each(Paths::sort);
        if contract.operations.is_empty() { Err(DocumentError::Empty) } else { Ok(contract) }
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
        let describes_method = parameters.iter().any(|one| one.place == Place::Query && one.name == METHOD_FIELD);
        Ok(Operation { parameters, reads_query, describes_method, body, counts })
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
            _ if schema.is_null() || schema.as_object().is_some_and(serde_json::Map::is_empty) => Style::Anything,
            Some(true) => Style::Json,
            Some(false) => Style::Unread("its media type is not JSON"),
            None => Style::of(place, parameter, &shape),
        };
        let rule = if schema.is_null() { anything() } else { self.schemas.rule(&schema_at) }?;
        let required = parameter["required"] == true || place == Place::Path;
        let may_be_empty = place == Place::Query && parameter["allowEmptyValue"] == true;
        let has_bracketed_sibling = false;
        Ok(Some(Parameter { place, name, header, required, has_bracketed_sibling, style, may_be_empty, shape, rule }))
    }

    fn body(&self, body: &Value, at: &str) -> Result<BodyRule, String> {
        let mut media = Vec::new();
        for (written, entry) in body["content"].as_object().into_iter().flatten() {
            let at = format!("{at}/content/{}/schema", escaped(written));
            let kind = Kind::of(written);
            let reading = match entry.get("schema") {
                Some(_) if kind.is_json() => Reading::Json(Some(self.schemas.rule(&at)?)),
                None if kind.is_json() => Reading::Json(None),
                Some(schema) if kind.is_form() => self.form(schema, &at)?.map_or(Reading::Nothing, Reading::Form),
                Some(schema) if kind.name.contains('*') => {
                    Reading::Either(self.schemas.rule(&at)?, self.form(schema, &at)?)
                }
                _ => Reading::Nothing,
            };
            media.push(Media { kind, written: written.clone(), reading });
        }
        Ok(BodyRule { required: body["required"] == true, media })
    }

    /// Without members nothing says which texts are numbers.
    fn form(&self, schema: &Value, at: &str) -> Result<Option<Form>, String> {
        let shape = Shape::of(self.document, schema);
        let is_known = shape.members.as_ref().is_some_and(|members| !members.is_empty());
        if is_known { Ok(Some(Form { shape, rule: self.schemas.rule(at)? })) } else { Ok(None) }
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

impl Operation {
    /// What of it is let through as it comes.
    fn not_judged(&self) -> impl Iterator<Item = String> {
        let parameter = |one: &Parameter| match one.style {
            Style::Unread(why) => Some(format!("{} {}: {why}", one.place.name(), one.name)),
            _ => None,
        };
        let media = self.body.iter().flat_map(|body| &body.media).filter_map(Media::unread);
        self.parameters.iter().filter_map(parameter).chain(media)
    }
}

fn anything() -> Result<Rule, String> {
    let validator = jsonschema::validator_for(&Value::Bool(true)).map_err(|error| error.to_string())?;
    Ok(Rule { validator, patterns_for_names: 0 })
}

fn is_json(media: &str) -> bool {
    Kind::of(media).is_json()
}

/// As part of a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
