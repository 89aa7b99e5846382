//! `protection.input-validation`: what an operation's description does not allow is answered 4xx, and the answer names the
//! field.
//!
//! Nothing is changed by it. Parameters are tried on GET alone. To operations that write, only bodies are sent that lack
//! every member that is required, so that no handler can act on them; those that require nothing are left out, and so is
//! DELETE.

use std::{collections::BTreeMap, io, sync::Arc};

use http::{HeaderValue, Method, header};
use http_body_util::BodyExt;
use seaworthy_evidence::{ProbeKind, SafetyClass};
use serde_json::{Value, json};

use crate::{
    example_value::{fitting, sole, unfitting},
    fixture::{Answering, Server, ServerOptions, reply},
    http::{Answer, Client, full},
    openapi::{self, Described},
    probe::{About, Cases, Probe, Sighting, Working},
    routes::changes_something,
    subject::{Fixture, Subject},
};

pub(super) struct InputValidation;

/// So many operations are tried, and so many mistakes in each.
const OPERATIONS: usize = 15;
const MISTAKES: usize = 12;
/// DELETE is not among them.
const METHODS_THAT_WRITE: [&str; 3] = ["post", "put", "patch"];

/// A request, and what is wrong with it.
struct Mistake {
    what: String,
    /// What the answer has to name.
    field: String,
    request: Sent,
}

#[derive(Clone)]
struct Sent {
    method: Method,
    target: String,
    body: Option<Value>,
}

/// What is tried of one operation.
struct Plan {
    /// A right call, where one can be made without harm.
    base: Option<Sent>,
    mistakes: Vec<Mistake>,
}

impl Probe for InputValidation {
    fn about(&self) -> About {
        About { control: "protection.input-validation".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { shop(true) })
    }

    // The common mistake: the document describes types that nobody holds requests to.
    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { shop(false) })
    }
}

const SHOP: &str = r#"{"openapi":"3.1.0","paths":{
    "/items":{
        "get":{"parameters":[{"name":"limit","in":"query","schema":{"type":"integer","maximum":100}}]},
        "post":{"requestBody":{"content":{"application/json":{"schema":{"type":"object","required":["name"],
            "properties":{"name":{"type":"string","maxLength":20},"price":{"type":"number"}}}}}}}}}}"#;

/// A shop that looks at what it gets, or does not.
fn shop(looks: bool) -> io::Result<Fixture> {
    let answering: Answering = Arc::new(move |request| {
        Box::pin(async move {
            let json = [("content-type", "application/json")];
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let query = request.uri().query().unwrap_or_default().to_owned();
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            match (method.as_str(), path.as_str()) {
                ("GET", "/openapi.json") => return reply(200, &json, SHOP),
                ("GET", "/items") if looks => {
                    let limit = query.strip_prefix("limit=").map(|limit| limit.parse::<u32>().unwrap_or(u32::MAX));
                    if limit.is_some_and(|limit| limit > 100) {
                        return reply(422, &json, "{\"detail\":\"limit is wrong\"}");
                    }
                }
                ("POST", "/items") if looks => {
                    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                    let name = body["name"].as_str().is_some_and(|name| name.len() <= 20);
                    let price = body.get("price").is_none_or(Value::is_number);
                    if !name || !price {
                        return reply(422, &json, "{\"detail\":\"name or price is wrong\"}");
                    }
                }
                ("GET" | "POST", "/items") => {}
                _ => return reply(404, &json, "{}"),
            }
            reply(200, &json, "[]")
        })
    });
    let server = Server::start(answering, ServerOptions::default())?;
    let subject = Subject { url: Some(server.address.clone()), ..Subject::default() };
    Ok(Fixture { subject, _keep: vec![Box::new(server)] })
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    if let Err(error) = client.get("/").await {
        return Cases::plan(1).gave_up(error.to_string());
    }
    let found = openapi::describe(&client.clone().quiet(), subject.hints.version_prefix.as_deref()).await;
    let Some(described) = found else {
        return Sighting::not_tried(
            "the app publishes no OpenAPI document in JSON where frameworks put it (/openapi.json and others), so nobody can \
             say which input is wrong",
        );
    };
    let (plans, place) = (plans(&described), described.place);
    if plans.is_empty() {
        return Sighting::not_tried(format!(
            "{place} describes no input that can be tried without harm: a GET with typed parameters that asks for no \
             credentials, or a body of JSON with required members"
        ));
    }
    let mut cases = Cases::plan(0);
    let mut seen: BTreeMap<u16, usize> = BTreeMap::new();
    for plan in &plans {
        try_plan(&client, plan, &mut cases, &mut seen).await;
    }
    if seen.is_empty() && !cases.is_broken() {
        return cases.gave_up("every request was answered before its input was looked at");
    }
    let statuses: Vec<String> = seen.iter().map(|(status, count)| format!("{count} × {status}")).collect();
    cases.sighting(format!(
        "{} mistakes in {} operations of {place} were refused and named: {}",
        seen.values().sum::<usize>(),
        plans.len(),
        statuses.join(", ")
    ))
}

/// First the right call, then each mistake.
async fn try_plan(client: &Client, plan: &Plan, cases: &mut Cases, seen: &mut BTreeMap<u16, usize>) {
    if let Some(base) = &plan.base {
        match send(client, base).await {
            Ok(answer) if answer.status.is_server_error() => {
                cases.plan_more(1);
                cases.tried(false, format!("a right call fails: {base} → {}", answer.status.as_u16()));
                return;
            }
            Ok(answer) if answer.status.is_success() => {
                cases.plan_more(1);
                cases.tried(true, format!("{base} → {}", answer.status.as_u16()));
            }
            // Credentials, or things that are not there: then its mistakes would tell nothing either.
            Ok(answer) => {
                cases.note(format!("left out: {base} → {}", answer.status.as_u16()));
                return;
            }
            Err(error) => return cases.told_nothing(error),
        }
    }
    for mistake in &plan.mistakes {
        let answer = match send(client, &mistake.request).await {
            Ok(answer) => answer,
            Err(error) => return cases.told_nothing(error),
        };
        let status = answer.status.as_u16();
        let line = format!("{} ({}) → {status}", mistake.request, mistake.what);
        match status {
            429 => return cases.told_nothing(format!("{line}: the rate limit came first")),
            // Who it is, or whether the thing is there, was looked at first.
            401 | 403 | 404 | 405 => cases.note(format!("tells nothing: {line}")),
            400..=499 if names(&answer, &mistake.field) => {
                cases.plan_more(1);
                *seen.entry(status).or_default() += 1;
                cases.tried(true, line);
            }
            400..=499 => {
                cases.plan_more(1);
                cases.tried(false, format!("{line}, and the answer does not name `{}`", mistake.field));
            }
            500..=599 => {
                cases.plan_more(1);
                cases.tried(false, format!("{line}: it is an error of the app's"));
            }
            _ => {
                cases.plan_more(1);
                cases.tried(false, format!("{line}: it was taken"));
            }
        }
    }
}

/// In a text of the answer, or as the key of a list of what is wrong with it. A key like `name` that every error has says
/// nothing.
fn names(answer: &Answer, field: &str) -> bool {
    fn says(value: &Value, field: &str) -> bool {
        match value {
            Value::String(text) => text.contains(field),
            Value::Array(items) => items.iter().any(|item| says(item, field)),
            Value::Object(members) => members.iter().any(|(key, member)| {
                says(member, field) || (key == field && (member.is_array() || member.is_object()))
            }),
            _ => false,
        }
    }
    match answer.json() {
        Some(body) => says(&body, field),
        None => String::from_utf8_lossy(&answer.body).contains(field),
    }
}

fn plans(described: &Described) -> Vec<Plan> {
    let (document, operations) = (&described.document, described.operations());
    let mut plans = Vec::new();
    for operation in operations.iter().filter(|one| !one.secured && !changes_something(&one.template)) {
        let item = described.item(operation);
        let method = operation.method.to_lowercase();
        let plan = match method.as_str() {
            "get" => parameters(document, item, &item["get"], &operation.path),
            method if METHODS_THAT_WRITE.contains(&method) => body(document, &item[method], method, &operation.path),
            _ => None,
        };
        plans.extend(plan.filter(|plan| !plan.mistakes.is_empty()));
        if plans.len() == OPERATIONS {
            break;
        }
    }
    plans
}

/// Mistakes in the query of a GET.
fn parameters(document: &Value, item: &Value, operation: &Value, path: &str) -> Option<Plan> {
    let listed = openapi::parameters(document, item).into_iter().chain(openapi::parameters(document, operation));
    let query: Vec<Value> = listed.filter(|one| one["in"] == "query").collect();
    let mut needed = Vec::new();
    for parameter in query.iter().filter(|one| one["required"] == true) {
        let given = [&parameter["example"], &parameter["schema"]["example"]].into_iter().find(|one| !one.is_null());
        let value = given.cloned().or_else(|| fitting(document, &parameter["schema"]))?;
        needed.push((parameter["name"].as_str()?.to_owned(), in_query(&value)?));
    }
    let target = |change: Option<(&str, Option<String>)>| {
        let mut pairs = needed.clone();
        if let Some((name, value)) = change {
            pairs.retain(|(known, _)| known != name);
            pairs.extend(value.map(|value| (name.to_owned(), value)));
        }
        let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={value}", encoded(name))).collect();
        let target = if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) };
        Sent { method: Method::GET, target, body: None }
    };
    let mut mistakes = Vec::new();
    for parameter in &query {
        let Some(name) = parameter["name"].as_str() else { continue };
        let mut add = |what: &str, value: Option<String>| {
            let request = target(Some((name, value)));
            mistakes.push(Mistake { what: format!("{what}: {name}"), field: name.to_owned(), request });
        };
        if parameter["required"] == true {
            add("missing", None);
        }
        let schema = sole(document, &parameter["schema"]);
        let is_plain = matches!(schema["type"].as_str(), Some("integer" | "number" | "boolean" | "string"))
            || schema["enum"].is_array();
        for (what, value) in unfitting(document, schema).into_iter().filter(|_| is_plain) {
            if let Some(value) = in_query(&value) {
                add(what, Some(value));
            }
        }
    }
    mistakes.truncate(MISTAKES);
    Some(Plan { base: Some(target(None)), mistakes })
}

/// Mistakes in a body that nobody can act on: each lacks something that is required.
fn body(document: &Value, operation: &Value, method: &str, path: &str) -> Option<Plan> {
    let described = openapi::resolve(document, &operation["requestBody"]);
    let content = described["content"].as_object()?;
    let schema = content.iter().find(|(kind, _)| kind.contains("json")).map(|(_, media)| &media["schema"])?;
    let schema = sole(document, schema);
    let required: Vec<&str> = schema["required"].as_array()?.iter().filter_map(Value::as_str).collect();
    let first = *required.first()?;
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).ok()?;
    let mistake = |what: &str, field: &str, body: Value| Mistake {
        what: format!("{what}: {field}"),
        field: field.to_owned(),
        request: Sent { method: method.clone(), target: path.to_owned(), body: Some(body) },
    };
    let mut mistakes = vec![mistake("missing", first, json!({}))];
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        // Alone it would be all that is required, and right but for this.
        if required == [name.as_str()] {
            continue;
        }
        let wrong = unfitting(document, property).into_iter();
        mistakes.extend(wrong.map(|(what, value)| mistake(what, name, json!({ name: value }))));
    }
    if schema["additionalProperties"] == false {
        mistakes.push(mistake("unknown member", "seaworthy-check", json!({ "seaworthy-check": true })));
    }
    mistakes.truncate(MISTAKES);
    Some(Plan { base: None, mistakes })
}

fn in_query(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(encoded(text)),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

impl std::fmt::Display for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = self.body.as_ref().map(|body| format!(" {body}")).unwrap_or_default();
        let body: String = body.chars().take(80).collect();
        write!(f, "{} {}{body}", self.method, self.target)
    }
}

async fn send(client: &Client, sent: &Sent) -> Result<Answer, String> {
    let mut request = client.request(sent.method.clone(), &sent.target);
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(body) = &sent.body {
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = full(body.to_string());
    }
    client.send(request).await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    #[test]
    fn nothing_that_is_sent_could_be_acted_on() {
        let document = json!({ "openapi": "3.1.0", "paths": {
            "/a": { "post": { "requestBody": { "content": { "application/json": { "schema": {
                "type": "object", "required": ["x", "y"], "additionalProperties": false,
                "properties": { "x": { "type": "string", "maxLength": 3 }, "y": { "type": "integer" } },
            } } } } } },
            "/b": { "patch": { "requestBody": { "content": { "application/json": { "schema": {
                "type": "object", "properties": { "x": { "type": "string" } },
            } } } } }, "delete": {} },
            "/logout": { "get": { "parameters": [{ "name": "n", "in": "query", "schema": { "type": "integer" } }] } },
        } });
        let described = Described { place: "/openapi.json", document, prefix: String::new() };
        let plans = plans(&described);
        assert_eq!(plans.len(), 1, "what requires nothing, deletes, or changes something is left out");
        assert!(plans[0].base.is_none());
        let schema = &described.document["paths"]["/a"]["post"]["requestBody"]["content"]["application/json"]["schema"];
        let validator = jsonschema::validator_for(schema).unwrap();
        for mistake in &plans[0].mistakes {
            assert!(!validator.is_valid(mistake.request.body.as_ref().unwrap()), "{}", mistake.what);
        }
        assert!(plans[0].mistakes.len() >= 5);
    }

    #[tokio::test]
    async fn without_a_description_nothing_is_said() {
        let fixture = crate::fixture::public(|_| reply(404, &[], "")).unwrap();
        assert!(matches!(look(&fixture.subject).await.outcome, Outcome::NotTried(_)));
    }
}
