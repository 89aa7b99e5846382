//! `docs.api`: the API is described, by a file or by the framework, and there is a guide beside it.

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use crate::{
    document::{Documents, Found, Specification, specifications, topic},
    routes::{Route, Routes, ends_with},
};

pub(super) struct ApiDocs;

impl Inspection for ApiDocs {
    fn control(&self) -> &'static str {
        "docs.api"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        let routes = Routes::of(repository);
        let described = specifications(repository);
        if let Some(sighting) = no_api(repository, &routes, &described) {
            return sighting;
        }
        let mut cases = Cases::plan(2);
        cases.note(format!("{} routes in code, {} OpenAPI files", routes.all.len(), described.len()));
        let operations: usize = described.iter().map(|one| one.operations.len()).sum();
        match (operations > 0, &routes.generator) {
            (true, _) => {
                cases.tried(true, format!("{} describes {operations} operations", described[0].path.display()))
            }
            (false, Some(package)) => {
                cases.tried(
                    true,
                    format!("{package} describes the {} routes of the code as the app runs", routes.all.len()),
                );
            }
            (false, None) => cases.tried(false, "there is no OpenAPI file, and nothing that makes one"),
        }
        if operations > 0 && routes.generator.is_none() {
            covered(&mut cases, &routes, &described);
        }
        guide(&mut cases, repository);
        cases.sighting(match &routes.generator {
            Some(package) if operations == 0 => {
                format!("{package} describes {} routes; a guide is beside it", routes.all.len())
            }
            _ => format!("{operations} operations described; a guide is beside it"),
        })
    }

    fn present(&self) -> Sample {
        let guide = "# Using the API\nEvery call needs a token; see the page on signing in. Orders are made with POST and read with GET; lists come in pages of \
                     fifty, and `cursor` of one page asks for the next one. A call may be repeated with the same `Idempotency-Key` and does its work once. Times \
                     are in UTC. Start with this:\n```sh\ncurl -H \"Authorization: Bearer $TOKEN\" https://orders.invalid/orders\n```\n";
        Sample::of(&[("docs/api.md", guide), ("app.py", APP), ("requirements.txt", "fastapi\n")])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[
            ("README.md", "# Orders\nTakes orders. The API is at /docs.\n"),
            ("app.py", APP),
            ("requirements.txt", "fastapi\n"),
        ])
    }
}

const APP: &str = "from fastapi import FastAPI\napp = FastAPI()\n\n@app.get(\"/orders\")\ndef orders(): ...\n";

/// What to say when there is no API here, or none that is seen.
pub(super) fn no_api(repository: &Repository, routes: &Routes, described: &[Specification]) -> Option<Sighting> {
    if routes.is_api || !described.is_empty() {
        return None;
    }
    if repository.sources().is_empty() {
        return Some(Sighting::unclear("there is no source in a language that is read here, so no route is seen"));
    }
    if let Some(why) = repository.not_whole() {
        return Some(Sighting::unclear(why));
    }
    Some(match routes.all.len() {
        0 => Sighting::not_applicable(format!("no route is found in {} sources", repository.sources().len())),
        pages => Sighting::unclear(format!(
            "{pages} routes are found, and none that is seen to answer data: whether this is an API cannot be told"
        )),
    })
}

/// A case: what the code answers is described.
fn covered(cases: &mut Cases, routes: &Routes, described: &[Specification]) {
    let known = |route: &&Route| {
        let mut operations = described.iter().flat_map(|one| &one.operations);
        operations.any(|operation| ends_with(&operation.path, &route.path) || ends_with(&route.path, &operation.path))
    };
    let named: Vec<&Route> =
        routes.all.iter().filter(|route| route.data && !route.path.trim_matches('/').is_empty()).collect();
    let missing: Vec<&&Route> = named.iter().filter(|route| !known(route)).collect();
    if named.is_empty() {
        return;
    }
    cases.plan_more(1);
    let Some(first) = missing.first() else {
        return cases.tried(true, format!("all {} routes of the code are described", named.len()));
    };
    let seen = format!(
        "{} of {} routes of the code are not described, {} ({}:{}) the first",
        missing.len(),
        named.len(),
        first.path,
        first.file.display(),
        first.line
    );
    // What mounts a route may rename it, and pages are no operations: a few prove nothing.
    if missing.len() * 2 > named.len() && named.len() >= 4 && missing.len() < named.len() {
        cases.tried(false, seen)
    } else {
        cases.told_nothing(seen)
    }
}

fn guide(cases: &mut Cases, repository: &Repository) {
    let documents = Documents::read(repository);
    let found = topic("api").map(|topic| topic.find(&documents));
    let open = match found {
        Some(Found::Nothing(_) | Found::Thin(_)) => topic("api").and_then(|topic| topic.on_a_page(repository)),
        _ => None,
    };
    if let Some(what) = open {
        return cases.told_nothing(what);
    }
    match found {
        Some(Found::Parts(parts, _)) => {
            cases.tried(true, format!("{}: {} words on using it", parts[0].place(), parts[0].words()))
        }
        Some(Found::Elsewhere(what)) => cases.told_nothing(what),
        Some(Found::Thin(what)) => cases.tried(false, format!("beyond the bare description there is no guide: {what}")),
        _ => cases.tried(
            false,
            format!(
                "beyond the bare description there is no guide: none of {} documents is about using the API",
                documents.all.len()
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn look(files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        ApiDocs.look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn a_description_that_misses_most_routes_is_none() {
        let spec = "openapi: 3.0.0\npaths:\n  /a: {get: {responses: {200: {}}}}\n";
        let code = "app.get('/a', f); app.get('/b', f);\napp.post('/c', f); app.get('/d', (q, res) => res.json({}));\n";
        let guide = format!("# API\n{}", "Words that explain how it is used. ".repeat(12));
        let found = look(&[("openapi.yaml", spec), ("app.js", code), ("docs/api.md", &guide)]);
        assert!(matches!(&found, Outcome::Broken(why) if why.starts_with("3 of 4")), "{found:?}");
    }

    #[test]
    fn without_routes_it_does_not_apply() {
        assert!(matches!(look(&[("a.py", "print(1)")]), Outcome::NotApplicable(_)));
        assert!(matches!(look(&[("README.md", "x")]), Outcome::Unclear(_)));
    }
}
