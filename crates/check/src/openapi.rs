//! What an app publishes of its own interface: OpenAPI 3 or Swagger 2, where frameworks put it. It only says where to try.

use serde_json::Value;

use crate::http::Client;

/// One method of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    /// In capitals.
    pub method: String,
    /// As it is described, with `{name}` for each parameter.
    pub template: String,
    /// With values that fit in the place of its parameters.
    pub path: String,
    /// With a value that does not fit, when a parameter has a type that allows to know.
    pub misfit: Option<String>,
    /// It cannot be called without a query.
    pub needs_query: bool,
    /// What its query may hold.
    pub query: Vec<QueryParameter>,
    /// It takes a body of JSON.
    pub takes_json: bool,
    /// The field of a form that takes a file.
    pub file_field: Option<String>,
    /// It asks who calls.
    pub secured: bool,
}

/// A parameter of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryParameter {
    /// Its name.
    pub name: String,
    /// A value that fits, percent-encoded.
    pub value: String,
    /// The operation cannot be called without it.
    pub required: bool,
}

/// The places of FastAPI, Flask-RESTX, Express and Nest, Spring, ASP.NET, Django REST, in that order.
const PLACES: [&str; 8] = [
    "/openapi.json",
    "/api/openapi.json",
    "/swagger.json",
    "/api-json",
    "/v3/api-docs",
    "/swagger/v1/swagger.json",
    "/api/schema/?format=json",
    "/api-docs/swagger.json",
];
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// A description that was found.
pub(crate) struct Described {
    /// Where.
    pub place: &'static str,
    pub document: Value,
    /// In front of each of its paths.
    pub prefix: String,
}

/// An operation with what only some probes look at.
pub(crate) struct Detail<'a> {
    pub operation: Operation,
    /// What is described of it.
    pub described: &'a Value,
    /// Its parameters in the query.
    pub query: Vec<Value>,
}

impl Described {
    /// Every operation.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        operations(&self.document, &self.prefix)
    }

    /// What the document says of the path of an operation.
    pub(crate) fn item(&self, operation: &Operation) -> &Value {
        let template = operation.template.strip_prefix(self.prefix.as_str()).unwrap_or(&operation.template);
        &self.document["paths"][template]
    }

    /// Every operation, with more of what is said of it.
    pub(crate) fn details(&self) -> Vec<Detail<'_>> {
        let document = &self.document;
        let mut details = Vec::new();
        for (template, item) in document["paths"].as_object().into_iter().flatten() {
            let template = format!("{}{template}", self.prefix);
            for (method, described) in METHODS.iter().filter_map(|method| Some((*method, item.get(*method)?))) {
                let mut all = parameters(document, item);
                all.extend(parameters(document, described));
                let operation = one(document, method, &template, described, all.iter());
                all.retain(|one| one["in"] == "query");
                details.push(Detail { operation, described, query: all });
            }
        }
        details
    }
}

/// Looks for a description, also below the prefix that the app is mounted at.
pub(crate) async fn describe(client: &Client, mounted: Option<&str>) -> Option<Described> {
    for below in [Some(""), mounted].into_iter().flatten() {
        for place in PLACES {
            let document =
                client.get(&format!("{below}{place}")).await.ok().filter(|answer| answer.status.is_success());
            if let Some(document) = document.and_then(|answer| answer.json()) {
                let prefix = prefix_of(&document, below);
                if !operations(&document, &prefix).is_empty() {
                    return Some(Described { place, document, prefix });
                }
            }
        }
    }
    None
}

/// Looks for a description: where it was, and its operations.
pub(crate) async fn discover(client: &Client, mounted: Option<&str>) -> Option<(&'static str, Vec<Operation>)> {
    let described = describe(client, mounted).await?;
    Some((described.place, operations(&described.document, &described.prefix)))
}

/// What the document says of its own prefix, unless it does not know where it is mounted.
fn prefix_of(document: &Value, mounted: &str) -> String {
    let own = prefix(document);
    let knows = |path: &str| path.strip_prefix(mounted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let mut paths = document["paths"].as_object().into_iter().flat_map(|paths| paths.keys());
    if knows(&own) || paths.all(|path| knows(path)) { own } else { format!("{mounted}{own}") }
}

fn operations(document: &Value, prefix: &str) -> Vec<Operation> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let of_path = |(template, item): (&String, &Value)| {
        let template = format!("{prefix}{template}");
        let shared = parameters(document, item);
        let methods = METHODS.iter().filter_map(|method| Some((*method, item.get(*method)?)));
        let made = methods.map(|(method, operation)| {
            let own = parameters(document, operation);
            one(document, method, &template, operation, shared.iter().chain(&own))
        });
        made.collect::<Vec<_>>()
    };
    paths.flat_map(of_path).collect()
}

fn one<'a>(
    document: &Value,
    method: &str,
    template: &str,
    operation: &Value,
    parameters: impl Iterator<Item = &'a Value>,
) -> Operation {
    let (mut path, mut misfit, mut needs_query) = (template.to_owned(), None, false);
    let mut query = Vec::new();
    for parameter in parameters {
        let name = parameter["name"].as_str().unwrap_or_default();
        // OpenAPI 3 has a schema, Swagger 2 has its members in the parameter itself.
        let schema = if parameter["schema"].is_object() { &parameter["schema"] } else { parameter };
        match parameter["in"].as_str() {
            Some("path") => {
                let place = format!("{{{name}}}");
                let (fits, typed) = match (schema["type"].as_str(), schema["format"].as_str()) {
                    (Some("integer" | "number"), _) => ("1", true),
                    (_, Some("uuid")) => ("00000000-0000-4000-8000-000000000000", true),
                    _ => ("1", false),
                };
                if typed {
                    misfit.get_or_insert_with(|| path.replace(&place, "not-of-this-type"));
                }
                path = path.replace(&place, &example(parameter, schema).unwrap_or_else(|| fits.to_owned()));
            }
            Some("query") => {
                let required = parameter["required"].as_bool().unwrap_or_default();
                needs_query |= required;
                let fits = match schema["type"].as_str() {
                    Some("integer" | "number") => "1",
                    Some("boolean") => "true",
                    _ => "a",
                };
                let value = example(parameter, schema).unwrap_or_else(|| fits.to_owned());
                query.push(QueryParameter { name: name.to_owned(), value, required });
            }
            _ => {}
        }
    }
    let untold = |path: &String| !path.contains('{');
    let body = resolve(document, &operation["requestBody"]);
    let takes_json = body["content"].as_object().is_some_and(|kinds| kinds.keys().any(|kind| kind.contains("json")));
    let security = operation.get("security").or_else(|| document.get("security")).and_then(Value::as_array);
    Operation {
        method: method.to_uppercase(),
        template: template.to_owned(),
        misfit: misfit.filter(untold),
        path: path.replace(['{', '}'], ""),
        needs_query,
        query,
        takes_json,
        file_field: file_field(document, body, operation),
        // An empty requirement in the list means that nobody need tell who they are.
        secured: security.is_some_and(|all| {
            !all.is_empty() && all.iter().all(|one| one.as_object().is_some_and(|one| !one.is_empty()))
        }),
    }
}

/// The field of a form whose value is a file: binary in OpenAPI 3.0, a media type in 3.1, of type `file` in Swagger 2.
fn file_field(document: &Value, body: &Value, operation: &Value) -> Option<String> {
    let schema = resolve(document, &body["content"]["multipart/form-data"]["schema"]);
    let is_file = |schema: &Value| schema["format"] == "binary" || schema["contentMediaType"].is_string();
    let described = schema["properties"].as_object().into_iter().flatten().find_map(|(name, property)| {
        let property = resolve(document, property);
        (is_file(property) || is_file(resolve(document, &property["items"]))).then(|| name.clone())
    });
    described.or_else(|| {
        let parameters = parameters(document, operation);
        let file = parameters.iter().find(|parameter| parameter["in"] == "formData" && parameter["type"] == "file");
        file.and_then(|parameter| parameter["name"].as_str().map(str::to_owned))
    })
}

/// The value that the description itself gives, as a segment of a path.
fn example(parameter: &Value, schema: &Value) -> Option<String> {
    let given =
        [&parameter["example"], &schema["example"], &schema["examples"][0], &schema["default"], &schema["enum"][0]];
    let named = parameter["examples"].as_object().and_then(|all| all.values().next()).map(|one| &one["value"]);
    let text = given.into_iter().chain(named).find_map(|value| match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    Some(
        text.bytes()
            .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect(),
    )
}

pub(crate) fn parameters(document: &Value, holder: &Value) -> Vec<Value> {
    let listed = holder["parameters"].as_array().into_iter().flatten();
    listed.map(|parameter| resolve(document, parameter).clone()).collect()
}

/// Follows one reference inside the document; every other one leads nowhere.
pub(crate) fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str().and_then(|reference| document.pointer(reference.strip_prefix('#')?)) {
        Some(found) => found,
        None => value,
    }
}

/// The path that every path begins with.
fn prefix(document: &Value) -> String {
    let server = document["servers"][0]["url"].as_str().or(document["basePath"].as_str()).unwrap_or_default();
    let path = match server.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None => server,
    };
    let path = path.trim_end_matches('/');
    if path.starts_with('/') && !path.contains('{') { path.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_operation_says_how_to_call_it_well_and_badly() {
        let document = json!({
            "servers": [{"url": "https://example.test/api/"}],
            "security": [{"bearer": []}],
            "components": {"parameters": {"id": {"name": "id", "in": "path", "schema": {"type": "integer"}}}},
            "paths": {"/items/{id}": {
                "parameters": [{"$ref": "#/components/parameters/id"}],
                "get": {"security": []},
                "post": {"requestBody": {"content": {"application/json": {}}}, "security": [{"key": []}, {}]},
                "delete": {"parameters": [{"name": "why", "in": "query", "required": true}]},
            }},
        });
        let found = operations(&document, &prefix(&document));
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].path, "/api/items/1");
        assert_eq!(found[0].misfit.as_deref(), Some("/api/items/not-of-this-type"));
        assert_eq!(found[0].template, "/api/items/{id}");
        assert!(!found[0].secured && !found[0].takes_json);
        assert!(found[1].takes_json && !found[1].secured && found[1].method == "POST");
        assert!(found[2].secured && found[2].needs_query);
    }

    #[test]
    fn a_form_that_takes_a_file_names_its_field() {
        let multipart = |schema: Value| json!({"paths": {"/f": {"post": {"requestBody": {"content": {"multipart/form-data": {"schema": schema}}}}}}, "components": {"schemas": {"Body": {"properties": {"note": {"type": "string"}, "upload": {"type": "string", "contentMediaType": "application/octet-stream"}}}}}});
        let field = |document: Value| operations(&document, "")[0].file_field.clone();
        assert_eq!(field(multipart(json!({"$ref": "#/components/schemas/Body"}))).as_deref(), Some("upload"));
        let many = json!({"properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}}});
        assert_eq!(field(multipart(many)).as_deref(), Some("files"));
        assert_eq!(field(multipart(json!({"properties": {"note": {"type": "string"}}}))), None);
        let old = json!({"swagger": "2.0", "paths": {"/f": {"post": {"parameters": [{"in": "formData", "name": "doc", "type": "file"}]}}}});
        assert_eq!(field(old).as_deref(), Some("doc"));
    }

    #[test]
    fn hostile_documents_describe_nothing() {
        for document in [json!(null), json!({"paths": []}), json!({"paths": {"/a": {"get": null}}, "servers": "x"})] {
            let found = operations(&document, &prefix(&document));
            assert!(found.iter().all(|one| !one.takes_json && !one.secured));
        }
    }
}
