//! `edge.api-error-codes`: each error has a code for machines, and the code stands in the documented list.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use http::StatusCode;
use regex::Regex;
use seaworthy_evidence::{ProbeKind, SafetyClass};
use serde_json::Value;

use super::status_codes::{always, from_routes, send};
use crate::{
    fixture::{self, reply},
    http::Answer,
    openapi::{self, resolve},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct ErrorCodes;

/// Members of a body that hold a code, where people put it.
const NAMES: [&str; 6] = ["code", "error_code", "errorCode", "error", "type", "err"];
/// So many requests are made to fail.
const MOST: usize = 24;
/// A longer file is no list of codes.
const LARGEST: u64 = 1 << 20;
/// Folders in which a list of codes may stand.
const FOLDERS: [&str; 7] = [".", "docs", "doc", "docs/reference", "docs/api", "api", "documentation"];

impl Probe for ErrorCodes {
    fn about(&self) -> About {
        About { control: "edge.api-error-codes".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { api("VALIDATION_FAILED") })
    }

    // The common mistake: a code that was added to one handler and to no list.
    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { api("BAD_INPUT_2") })
    }
}

fn api(validation: &'static str) -> io::Result<Fixture> {
    const DOCUMENT: &str = r##"{"openapi":"3.1.0","paths":{
        "/items":{"post":{"requestBody":{"content":{"application/json":{}}},"responses":{"422":{"content":{
            "application/json":{"schema":{"$ref":"#/components/schemas/Error"}}}}}}},
        "/items/{id}":{"get":{"parameters":[{"name":"id","in":"path","schema":{"type":"integer"}}]}}},
        "components":{"schemas":{"Error":{"type":"object","properties":{
            "code":{"type":"string","enum":["NOT_FOUND","VALIDATION_FAILED","NO_METHOD","TEAPOT"]}}}}}}"##;
    fixture::public(move |request| {
        let json = [("content-type", "application/json")];
        let (status, code) = match (request.method().as_str(), request.uri().path()) {
            ("GET", "/openapi.json") => return reply(200, &json, DOCUMENT),
            ("GET", "/" | "/items/1") => return reply(200, &json, "{}"),
            ("POST", "/items") => (422, validation),
            ("GET", path) if path.starts_with("/items/") => (422, validation),
            (_, "/" | "/items") => (405, "NO_METHOD"),
            _ => (404, "NOT_FOUND"),
        };
        reply(status, &json, format!("{{\"error\":{{\"code\":\"{code}\",\"message\":\"no\"}}}}"))
    })
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let sample = subject.sample(MOST / 2).await;
    let mut triggers = always(subject, sample.routes.iter());
    triggers.extend(from_routes(&subject.routes().await.all, &subject.hints));
    // What is answered well tells nothing of errors.
    triggers.retain(|trigger| !matches!(trigger.what, "valid call" | "odd query"));
    triggers.truncate(MOST);
    let described = openapi::describe(&client, subject.hints.version_prefix.as_deref()).await;
    let (documented, sources) = documented(described.as_ref().map(|one| &one.document), subject);
    let mut cases = Cases::plan(0);
    let mut met: BTreeMap<String, String> = BTreeMap::new();
    for trigger in &triggers {
        let answer = match send(&client, trigger).await {
            Ok(answer) => answer,
            Err(error) => {
                cases.plan_more(1);
                cases.told_nothing(error);
                continue;
            }
        };
        let is_error = answer.status.is_client_error() || answer.status.is_server_error();
        if !is_error || answer.status == StatusCode::TOO_MANY_REQUESTS || is_page(&answer) {
            continue;
        }
        cases.plan_more(1);
        let seen = format!("{} {} → {}", trigger.method, trigger.path, answer.status.as_u16());
        match code(&answer) {
            None => cases.tried(false, format!("{seen} without a code that a program could act on")),
            Some(code) => {
                let known = documented.contains(&code) || (subject.admin.is_some() && code.starts_with("SEA_"));
                if documented.is_empty() && !known {
                    cases
                        .told_nothing(format!("{seen} with the code {code}, and no list of codes was found: {ADVICE}"));
                } else {
                    cases.tried(known, format!("{seen} with the code {code}, which is not in {sources}"));
                }
                met.entry(code).or_insert(seen);
            }
        }
    }
    told(cases, &met, &documented, &sources)
}

const ADVICE: &str = "write an `enum` for the code into the error schema of the OpenAPI description, or a list into \
                      docs/errors.md";

fn told(mut cases: Cases, met: &BTreeMap<String, String>, documented: &BTreeSet<String>, sources: &str) -> Sighting {
    for (code, seen) in met {
        cases.note(format!("{code}: {seen}"));
    }
    let untriggered: Vec<&str> =
        documented.iter().filter(|code| !met.contains_key(*code)).map(String::as_str).collect();
    let list = if untriggered.is_empty() { "none".to_owned() } else { untriggered.join(", ") };
    cases.note(format!("documented and not triggered: {list}"));
    if met.is_empty() && !cases.is_broken() {
        cases.plan_more(1);
        cases.told_nothing(
            "no request could be made to fail with an answer for machines; name paths of the API in [check] paths",
        );
    }
    let codes: Vec<&str> = met.keys().map(String::as_str).collect();
    let (count, left) = (documented.len(), untriggered.len());
    cases
        .sighting(format!("met {}, all in {sources}; {left} of its {count} codes were not triggered", codes.join(", ")))
}

/// A page for people has no code.
fn is_page(answer: &Answer) -> bool {
    answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"))
}

/// The code in the body of an error, wherever people put it.
fn code(answer: &Answer) -> Option<String> {
    let body = answer.json()?;
    let inner = [&body["error"], &body["errors"][0], &body["detail"], &body["detail"][0], &body];
    let named = inner.into_iter().flat_map(|holder| NAMES.iter().map(move |name| (name, &holder[*name])));
    let codes = named.filter_map(|(name, value)| match value {
        Value::String(text) if is_code(text) || (*name == "type" && is_problem_type(text)) => Some(text.clone()),
        // A status as a number is no code: it is there already.
        Value::Number(number) if number.as_u64() != Some(u64::from(answer.status.as_u16())) => Some(number.to_string()),
        _ => None,
    });
    // In a validator's list of mistakes the code of the whole comes first.
    codes.into_iter().next()
}

/// One word, as programs compare it.
fn is_code(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let more_than_a_word = text.contains(['_', '-', '.']) || text.bytes().any(|byte| byte.is_ascii_digit());
    let shouted = text.bytes().all(|byte| !byte.is_ascii_lowercase());
    (2..=64).contains(&text.len()) && text.bytes().all(plain) && (more_than_a_word || shouted || text.len() > 3)
}

/// RFC 9457, 3.1.1: a type of its own.
fn is_problem_type(text: &str) -> bool {
    text != "about:blank" && (text.contains("://") || text.starts_with("urn:") || text.starts_with('/'))
}

/// Every documented code, and where they are.
fn documented(document: Option<&Value>, subject: &Subject) -> (BTreeSet<String>, String) {
    let (mut codes, mut sources) = (BTreeSet::new(), Vec::new());
    if let Some(document) = document {
        from_description(document, &mut codes);
        if !codes.is_empty() {
            sources.push("the OpenAPI description".to_owned());
        }
    }
    for folder in FOLDERS {
        let Some(folder) = subject.repo.as_ref().map(|repo| repo.join(folder)) else { continue };
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().to_lowercase();
            let small = entry.metadata().is_ok_and(|found| found.is_file() && found.len() <= LARGEST);
            if small && name.contains("error") && (name.ends_with(".md") || name.ends_with(".rst")) {
                from_text(&entry.path(), &mut codes);
                sources.push(name);
            }
        }
    }
    (codes, if sources.is_empty() { "the documented list".into() } else { sources.join(" and ") })
}

/// `enum`, `const` and examples of the code in schemas of errors.
fn from_description(document: &Value, codes: &mut BTreeSet<String>) {
    let schemas = document["components"]["schemas"].as_object().or(document["definitions"].as_object());
    let errors = schemas.into_iter().flatten().filter(|(name, _)| {
        let name = name.to_lowercase();
        ["error", "problem", "exception", "fault"].iter().any(|word| name.contains(word))
    });
    for (_, schema) in errors {
        from_schema(document, schema, codes, 0);
    }
    let items = document["paths"].as_object().into_iter().flatten().filter_map(|(_, item)| item.as_object());
    for operation in items.flat_map(|item| item.values()) {
        for (status, response) in operation["responses"].as_object().into_iter().flatten() {
            if status.starts_with(['4', '5', 'd']) {
                let contents = resolve(document, response)["content"].as_object().into_iter().flatten();
                contents.for_each(|(_, content)| from_schema(document, &content["schema"], codes, 0));
            }
        }
    }
}

fn from_schema(document: &Value, schema: &Value, codes: &mut BTreeSet<String>, depth: usize) {
    let schema = resolve(document, schema);
    // Schemas may refer to themselves.
    if depth > 6 {
        return;
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let property = resolve(document, property);
        if NAMES.contains(&name.as_str()) {
            let listed = property["enum"].as_array().into_iter().flatten().chain([&property["const"]]);
            codes.extend(listed.filter_map(|value| match value {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            }));
        }
        from_schema(document, property, codes, depth + 1);
        from_schema(document, &property["items"], codes, depth + 1);
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        schema[key].as_array().into_iter().flatten().for_each(|one| from_schema(document, one, codes, depth + 1));
    }
}

/// Words in backticks, as lists of codes in Markdown have them.
fn from_text(path: &Path, codes: &mut BTreeSet<String>) {
    let (Ok(text), Ok(pattern)) = (fs::read_to_string(path), Regex::new(r"`([A-Za-z0-9_.-]{2,64})`")) else { return };
    codes.extend(pattern.captures_iter(&text).map(|found| found[1].to_owned()));
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::probe::Outcome;

    async fn outcome(body: &'static str, list: Option<&str>) -> Outcome {
        let fixture = fixture::public(move |request| match request.uri().path() {
            "/" if request.method() == Method::GET => reply(200, &[], "{}"),
            _ => reply(404, &[("content-type", "application/json")], body),
        });
        let mut fixture = fixture.unwrap();
        let folder = tempfile::tempdir().unwrap();
        if let Some(list) = list {
            fs::create_dir(folder.path().join("docs")).unwrap();
            fs::write(folder.path().join("docs/errors.md"), list).unwrap();
        }
        fixture.subject.repo = Some(folder.path().to_owned());
        look(&fixture.subject).await.outcome
    }

    #[tokio::test]
    async fn codes_are_found_where_people_put_them_and_held_against_the_list() {
        let list = Some("| `not_found` | 404 |\n");
        for body in [
            r#"{"code":"not_found"}"#,
            r#"{"error":{"code":"not_found","message":"x"}}"#,
            r#"{"error":"not_found"}"#,
            r#"{"errors":[{"code":"not_found"}]}"#,
            r#"{"detail":{"code":"not_found"}}"#,
        ] {
            assert_eq!(outcome(body, list).await, Outcome::Holds, "{body}");
        }
        let other = outcome(r#"{"code":"gone_away"}"#, list).await;
        assert!(
            matches!(&other, Outcome::Broken(why) if why.contains("gone_away") && why.contains("errors.md")),
            "{other:?}"
        );
        for bare in [r#"{"detail":"Not Found"}"#, r#"{"code":404,"message":"x"}"#, r#"{"type":"about:blank"}"#] {
            let bare = outcome(bare, list).await;
            assert!(matches!(&bare, Outcome::Broken(why) if why.contains("without a code")), "{bare:?}");
        }
        let unlisted = outcome(r#"{"code":"not_found"}"#, None).await;
        assert!(matches!(&unlisted, Outcome::Unclear(why) if why.contains("docs/errors.md")), "{unlisted:?}");
        let page = fixture::public(|_| reply(404, &[("content-type", "text/html")], "<h1>")).unwrap();
        assert!(matches!(look(&page.subject).await.outcome, Outcome::Unclear(why) if why.contains("[check] paths")));
    }
}
