//! What the fuzz targets call: what here reads a client's bytes. No interface for anyone else.

use serde_json::Value;

use crate::{contract::Contract, json, observed::Observed, parameters::Sources, paths::Found, settings::JsonSettings};

/// Reads JSON within these limits.
pub fn json_limits(bytes: &[u8], depth: u8, members: u32) -> Option<Value> {
    json::read(bytes, &JsonSettings { everywhere: true, depth, members }).ok()
}

/// A small document with every style of parameters.
#[derive(Debug)]
pub struct Parameters(Contract);

impl Parameters {
    /// Reads it.
    pub fn new() -> Option<Self> {
        const DOCUMENT: &str = r#"{"openapi": "3.1.0", "paths": {"/a/{b}/{c}-{d}.{e}": {"get": {"parameters": [
            {"name": "b", "in": "path", "schema": {"type": "array", "items": {"type": "integer"}}},
            {"name": "c", "in": "path", "schema": {"type": "object", "properties": {"x": {"type": "number"}}}},
            {"name": "f", "in": "query", "explode": false, "schema": {"type": "array", "items": {"type": "boolean"}}},
            {"name": "g", "in": "query", "style": "deepObject", "schema": {"type": "object", "properties": {"x": {"type": "array"}}}},
            {"name": "h", "in": "query", "style": "pipeDelimited", "explode": false, "schema": {"type": "array"}},
            {"name": "i", "in": "query", "schema": {"type": "object", "properties": {"j": {"type": "integer"}}}},
            {"name": "k", "in": "query", "content": {"application/json": {"schema": {"type": "object"}}}},
            {"name": "l", "in": "cookie", "schema": {"type": ["integer", "null"]}},
            {"name": "m", "in": "header", "schema": {"type": "array", "items": {"type": "number"}}}
        ]}}, "/m/{n}/{o}/{p}": {"get": {"parameters": [
            {"name": "n", "in": "path", "style": "matrix", "explode": true, "schema": {"type": "object", "properties": {"x": {"type": "number"}}}},
            {"name": "o", "in": "path", "style": "label", "schema": {"type": "array", "items": {"type": "integer"}}},
            {"name": "p", "in": "path", "style": "matrix", "schema": {"type": "string", "pattern": "^(?=a)(.*)b\\1$"}}
        ]}}}}"#;
        Contract::read(DOCUMENT.as_bytes(), true, "/", &Observed::default()).ok().map(Self)
    }

    /// Checks a request; how many mistakes it has.
    pub fn check(&self, path: &str, query: &str, headers: &http::HeaderMap) -> usize {
        let limits = JsonSettings::default();
        let Found::Operation(number, values) = self.0.paths.find(&http::Method::GET, path) else { return 0 };
        let sources = Sources::of(values, Some(query), headers, &limits);
        let mut all = Vec::new();
        let operation = self.0.operations.get(number);
        operation.into_iter().flat_map(|one| &one.parameters).for_each(|one| one.check(&sources, &mut all));
        all.len()
    }
}
