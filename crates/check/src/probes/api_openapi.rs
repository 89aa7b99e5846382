//! `edge.api-openapi`: the OpenAPI document is well-formed, describes what is served and nothing else, and answers are as it
//! says.

use std::{
    collections::{BTreeSet, HashSet},
    io,
};

use seaworthy_evidence::{ProbeKind, SafetyClass};
use serde_json::{Value, json};

use crate::{
    fixture::{self, reply},
    http::{Answer, Client},
    openapi::{self, Described, Operation},
    probe::{About, Cases, Probe, Sighting, Working},
    routes::{Origin, Route},
    subject::{Fixture, Subject},
};

pub(super) struct ApiOpenapi;

/// So many of its operations are called.
const SAMPLE: usize = 20;
/// What nobody writes into an API's document: what machines ask, and the document with its pages.
const NO_API: [&str; 12] = [
    "health",
    "healthz",
    "livez",
    "readyz",
    "ready",
    "live",
    "ping",
    "status",
    "metrics",
    "version",
    "favicon.ico",
    "robots.txt",
];
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

impl Probe for ApiOpenapi {
    fn about(&self) -> About {
        About { control: "edge.api-openapi".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { shop("{\"id\":1,\"name\":null}") })
    }

    // The common mistake: the code went on and the document stayed.
    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { shop("{\"id\":\"one\",\"title\":\"x\"}") })
    }
}

fn shop(item: &'static str) -> io::Result<Fixture> {
    const DOCUMENT: &str = r##"{"openapi":"3.0.3","info":{"title":"Shop","version":"1"},"paths":{
        "/items/{id}":{"get":{"operationId":"item","parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"integer"}}],
            "responses":{"200":{"description":"one","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Item"}}}}}}}},
        "components":{"schemas":{"Item":{"type":"object","required":["id","name"],
            "properties":{"id":{"type":"integer"},"name":{"type":"string","nullable":true}}}}}}"##;
    fixture::public(move |request| {
        let json = [("content-type", "application/json")];
        match (request.method().as_str(), request.uri().path()) {
            ("GET", "/openapi.json") => reply(200, &json, DOCUMENT),
            ("GET", "/items/1") => reply(200, &json, item),
            ("GET", "/") => reply(200, &[], ""),
            _ => reply(404, &json, "{}"),
        }
    })
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    if let Err(error) = client.get("/").await {
        return Cases::plan(1).gave_up(error.to_string());
    }
    let found = openapi::describe(&client.clone().quiet(), subject.hints.version_prefix.as_deref()).await;
    let Some(described) = found else {
        return Sighting::not_tried(
            "the app publishes no OpenAPI document in JSON where frameworks put it (/openapi.json and others)",
        );
    };
    let (mut cases, place) = (Cases::plan(1), described.place);
    let mistakes = structure(&described.document);
    let shown: Vec<&str> = mistakes.iter().take(3).map(String::as_str).collect();
    let line = match mistakes.len() {
        0 => format!("{place} is well-formed"),
        count => format!("{place} has {count} mistakes: {}", shown.join("; ")),
    };
    cases.tried(mistakes.is_empty(), line);
    let operations = described.operations();
    let answered = served(&client, subject, (&described, &operations), &mut cases).await;
    undocumented(&client, subject, &operations, &mut cases).await;
    if answered == 0 && !cases.is_broken() {
        return cases.gave_up(format!(
            "none of the {} operations of {place} could be called by anybody with success, so nothing says whether the \
             document is true",
            operations.len()
        ));
    }
    cases.sighting(format!(
        "{place} is well-formed; {answered} of its {} operations were called and answered as it says; nothing else was found \
         to be served",
        operations.len()
    ))
}

/// Calls operations that anybody may call; how many answered with success.
async fn served(client: &Client, subject: &Subject, described: (&Described, &[Operation]), cases: &mut Cases) -> usize {
    let (described, operations) = described;
    let harmless = |one: &&Operation| {
        one.method == "GET"
            && !one.needs_query
            && !one.secured
            && !crate::routes::changes_something(&one.template)
            && !subject.hints.fails_on(&one.path)
    };
    let mut answered = 0;
    for operation in operations.iter().filter(harmless).take(SAMPLE) {
        let answer = match client.get(&operation.path).await {
            Ok(answer) => answer,
            Err(error) => {
                cases.told_nothing(error.to_string());
                continue;
            }
        };
        let status = answer.status.as_u16();
        let call = format!("GET {} → {status}", operation.path);
        match status {
            429 => cases.told_nothing(format!("{call}: the rate limit came first")),
            405 | 501 => {
                cases.plan_more(1);
                cases.tried(false, format!("{call}: the document describes what is not served"));
            }
            // With a value of ours for a parameter it may only be that thing which is missing.
            404 if !operation.template.contains('{') => {
                cases.plan_more(1);
                cases.tried(false, format!("{call}: the document describes what is not served"));
            }
            200..=299 => {
                answered += 1;
                cases.plan_more(1);
                match mismatch(described, operation, &answer) {
                    Ok(None) => cases.tried(true, call),
                    Ok(Some(why)) => cases.tried(false, format!("{call}, and the answer is not as described: {why}")),
                    Err(why) => cases.tried(false, format!("{call}: its schema cannot be used: {why}")),
                }
            }
            _ => cases.note(format!("tells nothing: {call}")),
        }
    }
    answered
}

/// What others know of and the document does not: served with success and JSON, it is a part of the API.
async fn undocumented(client: &Client, subject: &Subject, operations: &[Operation], cases: &mut Cases) {
    let described: Vec<Vec<&str>> = operations.iter().map(|one| segments(&one.template)).collect();
    let is_described = |route: &&Route| {
        let path = segments(&route.path);
        described.iter().any(|template| {
            template.len() == path.len()
                && template.iter().zip(&path).all(|(expected, part)| expected.contains('{') || expected == part)
        })
    };
    let routes = subject.routes().await;
    let unknown = routes.all.iter().filter(|route| {
        let last = segments(&route.path).last().copied().unwrap_or_default().to_lowercase();
        route.method == "GET"
            && route.origin != Origin::OpenApi
            && !route.is_parametric()
            && !route.needs_query
            && !route.changes_something()
            && !NO_API.contains(&last.as_str())
            && !["openapi", "swagger", "docs", "schema"].iter().any(|word| last.contains(word))
            && !subject.hints.fails_on(&route.path)
            && !is_described(route)
    });
    for route in unknown.take(SAMPLE) {
        let Ok(answer) = client.get(&route.path).await else { continue };
        let is_json = answer.header("content-type").is_some_and(|kind| kind.contains("json"));
        if answer.status.is_success() && is_json {
            cases.plan_more(1);
            cases.tried(false, format!("GET {} ({}) is served and not in the document", route.path, route.origin));
        }
    }
}

fn segments(path: &str) -> Vec<&str> {
    path.split('?').next().unwrap_or_default().split('/').filter(|segment| !segment.is_empty()).collect()
}

/// Why an answer is not as its schema says; nothing where the document says nothing of it.
fn mismatch(described: &Described, operation: &Operation, answer: &Answer) -> Result<Option<String>, String> {
    let (document, responses) = (&described.document, &described.item(operation)["get"]["responses"]);
    let status = answer.status.as_u16().to_string();
    let described = [status.as_str(), "2XX", "default"].into_iter().find_map(|key| responses.get(key));
    let Some(described) = described else {
        return Ok(Some(format!("the status {status} is not described")));
    };
    let described = openapi::resolve(document, described);
    let Some(content) = described["content"].as_object() else { return Ok(None) };
    let kind =
        answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
    let exact = content.get(kind.as_str());
    let Some(media) = exact.or_else(|| content.iter().find(|(name, _)| name.contains('*')).map(|(_, media)| media))
    else {
        return Ok(Some(format!("the content type `{kind}` is not described")));
    };
    let (Some(schema), true) = (media.get("schema"), kind.ends_with("json")) else { return Ok(None) };
    let Some(body) = answer.json() else { return Ok(Some("it is no JSON".into())) };
    let mut root = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema] });
    root["components"] = document["components"].clone();
    if document["openapi"].as_str().is_some_and(|version| version.starts_with("3.0")) {
        in_new_words(&mut root, 0);
    }
    let validator = jsonschema::options().offline().build(&root).map_err(|error| error.to_string())?;
    // Its value may be somebody's data: only the place and the rule are told.
    Ok(validator.iter_errors(&body).next().map(|error| {
        let at = error.instance_path().to_string();
        format!("{}: {}", if at.is_empty() { "/" } else { &at }, error.masked())
    }))
}

/// `nullable` and the flags of OpenAPI 3.0, as JSON Schema says it.
fn in_new_words(value: &mut Value, depth: usize) {
    match value {
        Value::Object(members) if depth < 100 => {
            members.values_mut().for_each(|member| in_new_words(member, depth + 1));
            for (flag, limit) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
                if members.get(flag).is_some_and(Value::is_boolean)
                    && members.remove(flag) == Some(json!(true))
                    && let Some(number) = members.remove(limit)
                {
                    members.insert(flag.into(), number);
                }
            }
            if members.get("nullable") == Some(&json!(true)) {
                members.remove("nullable");
                let rest = std::mem::take(members);
                *value = json!({ "anyOf": [rest, { "type": "null" }] });
            }
        }
        Value::Array(items) if depth < 100 => items.iter_mut().for_each(|item| in_new_words(item, depth + 1)),
        _ => {}
    }
}

/// What is wrong with the document itself: the rules of OpenAPI 3.0.4 and 3.1.1 that tools stumble over.
fn structure(document: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let version = document["openapi"].as_str().unwrap_or_default();
    if !["3.0.", "3.1.", "3.2."].iter().any(|known| version.starts_with(known)) {
        wrong.push("`openapi` is no version 3.x".to_owned());
        return wrong;
    }
    for key in ["title", "version"] {
        if !document["info"][key].is_string() {
            wrong.push(format!("`info.{key}` is missing"));
        }
    }
    let mut ids = HashSet::new();
    for (template, item) in document["paths"].as_object().into_iter().flatten() {
        if !template.starts_with('/') {
            wrong.push(format!("the path `{template}` does not start with `/`"));
        }
        let item = openapi::resolve(document, item);
        for method in METHODS {
            let Some(operation) = item.get(method) else { continue };
            let name = format!("{} {template}", method.to_uppercase());
            if version.starts_with("3.0.") && operation["responses"].as_object().is_none_or(|all| all.is_empty()) {
                wrong.push(format!("{name} has no responses"));
            }
            if let Some(id) = operation["operationId"].as_str()
                && !ids.insert(id)
            {
                wrong.push(format!("the operationId `{id}` is there twice"));
            }
            let all = openapi::parameters(document, item).into_iter().chain(openapi::parameters(document, operation));
            parameters(&name, template, &all.collect::<Vec<_>>(), &mut wrong);
        }
    }
    references(document, document, 0, &mut wrong);
    wrong
}

fn parameters(name: &str, template: &str, all: &[Value], wrong: &mut Vec<String>) {
    let in_path: BTreeSet<&str> =
        template.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect();
    let mut described = BTreeSet::new();
    for parameter in all {
        let (Some(own), Some(place)) = (parameter["name"].as_str(), parameter["in"].as_str()) else {
            wrong.push(format!("{name}: a parameter without `name` or `in`"));
            continue;
        };
        if !["path", "query", "header", "cookie"].contains(&place) {
            wrong.push(format!("{name}: the parameter `{own}` is in `{place}`"));
        }
        if parameter.get("schema").is_none() && parameter.get("content").is_none() {
            wrong.push(format!("{name}: the parameter `{own}` has no schema"));
        }
        if place == "path" {
            described.insert(own);
            if parameter["required"] != true {
                wrong.push(format!("{name}: the parameter `{own}` of the path is not required"));
            }
        }
    }
    for missing in in_path.symmetric_difference(&described) {
        wrong.push(format!("{name}: `{missing}` is not both in the path and among its parameters"));
    }
}

fn references(document: &Value, value: &Value, depth: usize, wrong: &mut Vec<String>) {
    match value {
        Value::Object(members) if depth < 100 => {
            if let Some(target) = members.get("$ref").and_then(Value::as_str).filter(|target| target.starts_with('#'))
                && document.pointer(&target[1..].replace("%7B", "{").replace("%7D", "}")).is_none()
            {
                wrong.push(format!("`{target}` leads nowhere"));
            }
            let data = |name: &&String| !matches!(name.as_str(), "example" | "examples" | "default" | "enum" | "const");
            members
                .iter()
                .filter(|(name, _)| data(name))
                .for_each(|(_, one)| references(document, one, depth + 1, wrong));
        }
        Value::Array(items) if depth < 100 => items.iter().for_each(|one| references(document, one, depth + 1, wrong)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    #[test]
    fn mistakes_that_tools_stumble_over_are_found() {
        let right = json!({ "openapi": "3.1.0", "info": { "title": "t", "version": "1" }, "paths": { "/a/{b}": {
            "parameters": [{ "name": "b", "in": "path", "required": true, "schema": {} }], "get": { "operationId": "x" } } } });
        assert_eq!(structure(&right), Vec::<String>::new());
        for (at, value, found) in [
            ("/openapi", json!("2.0"), "no version 3.x"),
            ("/info/title", json!(null), "info.title"),
            ("/paths/~1a~1{b}/parameters/0/name", json!("c"), "not both"),
            ("/paths/~1a~1{b}/parameters/0/required", json!(false), "not required"),
            ("/paths/~1a~1{b}/parameters/0/schema", json!({ "$ref": "#/nowhere" }), "leads nowhere"),
            ("/openapi", json!("3.0.3"), "no responses"),
        ] {
            let mut document = right.clone();
            *document.pointer_mut(at).unwrap() = value;
            assert!(
                structure(&document).iter().any(|line| line.contains(found)),
                "{found}: {:?}",
                structure(&document)
            );
        }
    }

    #[tokio::test]
    async fn what_is_served_and_not_described_is_found() {
        const DOCUMENT: &str =
            r#"{"openapi":"3.1.0","info":{"title":"t","version":"1"},"paths":{"/a":{"get":{"responses":{"200":{}}}}}}"#;
        let server = |extra: &'static str| {
            fixture::public(move |request| match request.uri().path() {
                "/openapi.json" => reply(200, &[], DOCUMENT),
                "/a" | "/" => reply(200, &[], "{}"),
                path if path == extra => reply(200, &[("content-type", "application/json")], "{}"),
                _ => reply(404, &[], ""),
            })
        };
        let mut fixture = server("/b").unwrap();
        assert_eq!(look(&fixture.subject).await.outcome, Outcome::Holds);
        fixture = server("/b").unwrap();
        fixture.subject.hints.paths = vec!["/b".into()];
        let outcome = look(&fixture.subject).await.outcome;
        assert!(matches!(&outcome, Outcome::Broken(why) if why.contains("/b (named) is served")), "{outcome:?}");
    }
}
