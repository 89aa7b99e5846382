//! OpenAPI and Swagger files: which operations they describe, and with which examples.

use std::path::{Path, PathBuf};

use seaworthy_repository::{Repository, is_test, yaml};
use serde_json::Value;

/// One file.
#[derive(Debug)]
pub(crate) struct Specification {
    /// Where it is.
    pub path: PathBuf,
    /// What it describes.
    pub operations: Vec<Operation>,
    /// Paths of its servers: `/api/v1`.
    pub bases: Vec<String>,
    /// Calls that it shows: `x-codeSamples` of its operations.
    pub samples: Vec<String>,
    /// What it says of the whole API, in Markdown, and the line where that begins.
    pub description: Option<(usize, String)>,
}

/// One operation.
#[derive(Debug)]
pub(crate) struct Operation {
    /// In upper case.
    pub method: String,
    /// Below the server's.
    pub path: String,
    /// Nothing is sent, or there is an example of it.
    pub request_shown: bool,
    /// Nothing comes back, or there is an example of it.
    pub response_shown: bool,
}

const METHODS: &[&str] = &["get", "put", "post", "delete", "patch"];
const LARGEST: usize = 4 << 20;
const MOST_OPERATIONS: usize = 5_000;

/// Every description of an API in the repository, tests apart.
pub(crate) fn specifications(repository: &Repository) -> Vec<Specification> {
    let files = repository.ending(&["json", "yaml", "yml"]).filter(|path| !is_test(path));
    files.filter_map(|path| Some((path, repository.text(path)?))).filter_map(|(path, text)| read(path, &text)).collect()
}

fn read(path: &Path, text: &str) -> Option<Specification> {
    let start: String = text.chars().take(4000).collect();
    if text.len() > LARGEST || !(start.contains("openapi") || start.contains("swagger")) {
        return None;
    }
    let json = path.extension().is_some_and(|own| own == "json");
    let root: Value = if json { serde_json::from_str(text).ok()? } else { yaml(text).ok()?.into_iter().next()? };
    if !(root["openapi"].is_string() || root["swagger"].is_string()) {
        return None;
    }
    let mut operations = Vec::new();
    for (name, item) in root["paths"].as_object()? {
        for (method, operation) in
            item.as_object().into_iter().flatten().filter(|(method, _)| METHODS.contains(&method.as_str()))
        {
            if operations.len() < MOST_OPERATIONS {
                operations.push(operation_of(&root, name, method, operation));
            }
        }
    }
    let servers = root["servers"].as_array().into_iter().flatten().filter_map(|server| server["url"].as_str());
    let path_of = |url: &str| {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.find('/').map_or(String::new(), |at| rest[at..].trim_end_matches('/').to_owned())
    };
    let bases = servers.map(path_of).chain(root["basePath"].as_str().map(String::from)).collect();
    let all = root["paths"].as_object().into_iter().flatten();
    let samples = all.flat_map(|(_, item)| item.as_object().into_iter().flatten()).flat_map(|(_, one)| samples_of(one));
    let samples = samples.take(MOST_OPERATIONS).collect();
    let line = text.lines().position(|line| line.trim_start().trim_start_matches('"').starts_with("description"));
    let description = root["info"]["description"].as_str().map(|text| (line.map_or(1, |at| at + 2), text.to_owned()));
    Some(Specification { path: path.to_owned(), operations, bases, samples, description })
}

fn operation_of(root: &Value, path: &str, method: &str, operation: &Value) -> Operation {
    let parameters =
        operation["parameters"].as_array().into_iter().flatten().map(|parameter| resolved(root, parameter));
    let in_body = |parameter: &&Value| parameter["in"] == "body";
    let mut bodies = parameters.filter(in_body);
    let old_body = bodies.all(|parameter| shows(root, &parameter["schema"], 0));
    let body = resolved(root, &operation["requestBody"]);
    let responses = operation["responses"].as_object();
    let good = responses.into_iter().flatten().filter(|(status, _)| status.starts_with('2') || *status == "default");
    let shown = |response: &Value| {
        let response = resolved(root, response);
        let old = response["examples"].as_object().is_some_and(|all| !all.is_empty());
        let nothing = response["content"].is_null() && response["schema"].is_null();
        nothing || old || shows(root, &response["schema"], 0) || content_shows(root, response)
    };
    let mut good = good.map(|(_, response)| response).peekable();
    let sent = samples_of(operation).iter().any(|sample| sends(sample));
    Operation {
        method: method.to_uppercase(),
        path: path.to_owned(),
        request_shown: sent || old_body && (body.is_null() || body["content"].is_null() || content_shows(root, body)),
        response_shown: good.peek().is_some() && good.all(shown),
    }
}

/// Calls that an operation shows, as renderers of such files know them.
fn samples_of(operation: &Value) -> Vec<String> {
    let keys = ["x-codeSamples", "x-code-samples"];
    let all = keys.iter().filter_map(|key| operation[*key].as_array()).flatten();
    all.filter_map(|sample| sample["source"].as_str().map(String::from)).collect()
}

/// A call that sends something shows what is sent.
fn sends(sample: &str) -> bool {
    [" -d ", "--data", "json=", "body:", "data="].iter().any(|word| sample.contains(word)) && sample.contains('{')
}

fn content_shows(root: &Value, holder: &Value) -> bool {
    let mut media = holder["content"].as_object().into_iter().flatten().map(|(_, media)| media);
    media.any(|media| !media["example"].is_null() || !is_empty(&media["examples"]) || shows(root, &media["schema"], 0))
}

/// Whether a schema has an example of itself, or of all its parts.
fn shows(root: &Value, schema: &Value, depth: usize) -> bool {
    let schema = resolved(root, schema);
    if depth > 8 || schema.is_null() {
        return false;
    }
    let own = ["example", "const"].iter().any(|key| !schema[*key].is_null())
        || !is_empty(&schema["examples"])
        || !is_empty(&schema["enum"]);
    let parts = schema["properties"].as_object();
    let all = parts.is_some_and(|parts| {
        !parts.is_empty() && parts.len() < 200 && parts.values().all(|part| shows(root, part, depth + 1))
    });
    let items = !schema["items"].is_null() && shows(root, &schema["items"], depth + 1);
    let any = ["anyOf", "oneOf", "allOf"].iter().filter_map(|key| schema[*key].as_array());
    own || all || items || any.flatten().take(50).any(|one| shows(root, one, depth + 1))
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_none_or(serde_json::Map::is_empty) && value.as_array().is_none_or(Vec::is_empty)
}

/// What `$ref` leads to in the same file; a chain of a few steps.
fn resolved<'v>(root: &'v Value, value: &'v Value) -> &'v Value {
    let mut value = value;
    for _ in 0..5 {
        let Some(pointer) = value["$ref"].as_str().and_then(|text| text.strip_prefix('#')) else { break };
        let Some(target) = root.pointer(pointer) else { break };
        value = target;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_found_where_they_may_stand() {
        let text = r##"{"openapi": "3.1.0", "servers": [{"url": "https://x.y/api/v1/"}], "paths": {
            "/a": {"get": {"summary": "Lists all", "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/c/A"}}}}}},
                   "post": {"requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}}, "responses": {"204": {}}}},
            "/b": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/c/B"}}}}}}}},
          "c": {"A": {"properties": {"id": {"example": 1}, "kind": {"enum": ["a"]}}}, "B": {"properties": {"id": {"example": 1}, "b": {"$ref": "#/c/B"}}}}}"##;
        let read = read(Path::new("openapi.json"), text).unwrap();
        assert_eq!(read.bases, ["/api/v1"]);
        let shown: Vec<(&str, bool, bool)> =
            read.operations.iter().map(|one| (one.method.as_str(), one.request_shown, one.response_shown)).collect();
        assert_eq!(shown, [("GET", true, true), ("POST", false, true), ("GET", true, false)]);
    }

    #[test]
    fn samples_and_descriptions_are_read() {
        let text = "openapi: 3.1.0\ninfo:\n  title: x\n  description: |\n    ## Authentication\n    Send it.\npaths:\n  /a:\n    put:\n      x-code-samples:\n        - source: |\n            curl -X PUT -H 'x-api-key: k' -d '{\"a\": 1}' x\n      \
                    requestBody: {content: {application/json: {schema: {type: object}}}}\n      responses: {200: {}}\n";
        let read = read(Path::new("api.yaml"), text).unwrap();
        assert!(read.operations[0].request_shown && read.samples[0].contains("x-api-key"));
        assert_eq!(read.description, Some((5, "## Authentication\nSend it.\n".to_owned())));
    }
}
