//! `docs.api-examples`: every operation shows what is sent and what comes back.

use std::sync::LazyLock;

use regex::Regex;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use super::api::no_api;
use crate::{
    document::{Documents, Specification, specifications},
    routes::{Route, Routes},
};

pub(super) struct ApiExamples;

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static IN_CODE: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"\b(?:json_schema_extra|schema_extra|openapi_examples|OpenApiExample|examples?\s*[=:]|@ApiBody|@ApiProperty\(\{[^}]*example)";
    Regex::new(pattern).expect("the pattern is valid")
});

impl Inspection for ApiExamples {
    fn control(&self) -> &'static str {
        "docs.api-examples"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        let routes = Routes::of(repository);
        let described = specifications(repository);
        if let Some(sighting) = no_api(repository, &routes, &described) {
            return sighting;
        }
        if described.iter().any(|one| !one.operations.is_empty()) {
            return of_files(&described);
        }
        of_documents(repository, &routes)
    }

    fn present(&self) -> Sample {
        Sample::of(&[("openapi.yaml", &specification("example: {id: 7, total: 12.5}"))])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[("openapi.yaml", &specification("schema: {type: object}"))])
    }
}

fn specification(answer: &str) -> String {
    format!(
        "openapi: 3.1.0\npaths:\n  /orders/{{id}}:\n    get:\n      summary: One order\n      responses:\n        200:\n          content:\n            application/json:\n              {answer}\n"
    )
}

fn of_files(described: &[Specification]) -> Sighting {
    let mut cases = Cases::plan(0);
    let mut shown = 0;
    for one in described {
        for operation in &one.operations {
            cases.plan_more(1);
            let missing = match (operation.request_shown, operation.response_shown) {
                (true, true) => None,
                (false, true) => Some("no example of what is sent"),
                (true, false) => Some("no example of what comes back"),
                (false, false) => Some("no example at all"),
            };
            shown += usize::from(missing.is_none());
            let place = format!("{}: {} {}", one.path.display(), operation.method, operation.path);
            match missing {
                None => cases.tried(true, format!("{place} shows both")),
                Some(what) => {
                    cases.note(format!("{place} has {what}"));
                    cases.tried(false, format!("{place} has {what}"));
                }
            }
        }
    }
    let all: usize = described.iter().map(|one| one.operations.len()).sum();
    let mut sighting = cases.sighting(format!("{shown} of {all} operations show a request and a response"));
    sighting.observed = format!("{shown} of {all} operations show a request and a response");
    sighting
}

/// Without a file, documents must show each route in a call, and some data that comes back.
fn of_documents(repository: &Repository, routes: &Routes) -> Sighting {
    let mut cases = Cases::plan(1);
    let documents = Documents::read(repository);
    let mut calls = String::new();
    for section in documents.own().flat_map(|document| &document.sections) {
        let is_call = |text: &str| {
            text.contains("curl ")
                || text.contains("http ")
                || ["GET /", "POST /", "PUT /", "DELETE /", "PATCH /"].iter().any(|verb| text.contains(verb))
        };
        let answered = section.blocks.iter().any(|block| {
            ["json", "jsonc", "http"].contains(&block.language.as_str())
                || block.text.trim_start().starts_with(['{', '['])
        });
        for block in section.blocks.iter().filter(|block| answered && is_call(&block.text)) {
            calls.push_str(&block.text);
            calls.push('\n');
        }
    }
    let words: Vec<&str> = calls
        .split(|letter: char| letter.is_whitespace() || "'\"`".contains(letter))
        .filter(|word| word.contains('/'))
        .collect();
    let shown = |route: &&Route| words.iter().any(|word| crate::routes::ends_with(word, &route.path));
    let named: Vec<&Route> = routes
        .all
        .iter()
        .filter(|route| !route.path.trim_matches('/').is_empty() && !is_for_machines(&route.path))
        .collect();
    let count = named.iter().filter(|route| shown(route)).count();
    let in_code = repository.sources().values().filter(|source| source.matches(&IN_CODE).next().is_some()).count();
    let seen = format!("documents show {count} of {} routes with a call and its answer", named.len());
    match (count == named.len() && !named.is_empty(), in_code, &routes.generator) {
        (true, ..) => cases.tried(true, seen.clone()),
        (false, 1.., Some(package)) => {
            cases.told_nothing(format!("{in_code} sources have examples for {package}; whether every operation has both, the description of the running app would tell"));
        }
        _ => cases.tried(false, format!("{seen}, and there is no OpenAPI file with examples")),
    }
    cases.sighting(seen)
}

/// Health checks and metrics are no operations that a person would try.
fn is_for_machines(path: &str) -> bool {
    ["health", "ready", "live", "metrics", "ping"]
        .iter()
        .any(|word| path.trim_matches('/').rsplit('/').next().is_some_and(|last| last.starts_with(word)))
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn look(files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        ApiExamples.look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn documents_may_show_calls() {
        let code = "@app.get(\"/api/orders/{id}\")\ndef a(): return jsonify()\n";
        let good = "# API\n```sh\ncurl localhost/api/orders/7\n```\n```json\n{\"id\": 7}\n```\n";
        assert_eq!(look(&[("a.py", code), ("docs/api.md", good)]), Outcome::Holds);
        let bare = "# API\n```sh\ncurl localhost/api/orders/7\n```\n";
        assert!(matches!(look(&[("a.py", code), ("docs/api.md", bare)]), Outcome::Broken(_)));
    }
}
