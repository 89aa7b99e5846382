//! `docs.auth-flow`, `docs.api-versioning`, `docs.errors`: pages for those who call the API.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;
use seaworthy_repository::{Cases, Repository, Sample, Sighting};

use super::{
    api::no_api,
    written::{Look, Written},
};
use crate::{
    document::{Documents, specifications},
    routes::Routes,
};

pub(super) const AUTH_FLOW: Written = Written {
    control: "docs.auth-flow",
    person: false,
    beside_the_point: nobody_signs_in,
    check: auth_flow,
    present: || Sample::of(&[("docs/authentication.md", AUTH_PAGE), ("app.py", APP)]),
    absent: || {
        let text = "# Authentication\nThe API is protected with JWT. Tokens are signed with HS256 and expire after fifteen minutes; refresh tokens live for a week and \
                    are kept in the database, hashed, so that they can be revoked one by one.\n";
        Sample::of(&[("docs/authentication.md", text), ("app.py", APP)])
    },
};

const APP: &str = "@app.post(\"/api/v1/login\")\ndef login(): return jsonify(token=token())\n@app.get(\"/api/v1/me\")\ndef me(): abort(401)\n";
const AUTH_PAGE: &str = "# Authentication\nSign in with the address and the password of your account; the answer has a token that is good for an hour. Send it with each \
                         call in the `Authorization` header.\n```sh\ncurl -d email=me@x.invalid -d password=… localhost:8000/api/v1/login\ncurl -H \"Authorization: Bearer $TOKEN\" localhost:8000/api/v1/me\n```\n";

#[expect(clippy::expect_used, reason = "constant patterns, compiled in every test")]
static PATTERNS: LazyLock<[Regex; 5]> = LazyLock::new(|| {
    [
        // A version in a text.
        r"(?:^|[\s/`(\x22])v(\d{1,2})(?:[\s/`),.:;\x22]|$)",
        // Codes that an app gives its errors.
        r#"\b(?:code|error_code|errorCode|err_code)["']?\s*[:=]\s*["']([A-Za-z][A-Za-z0-9]*(?:[_.-][A-Za-z0-9]+)+|[A-Z][A-Z0-9]{3,})["']"#,
        // Statuses that code answers with.
        r"\b(?:status_code|statusCode|status|abort|sendStatus|HTTPException|AbortWithStatus|http_status|http\.Error)\b[^\n]{0,40}?\b(4\d\d|5\d\d)\b",
        // Codes in documents.
        r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b",
        r"\b(4\d\d|5\d\d)\b",
    ]
    .map(|pattern| Regex::new(pattern).expect("the pattern is valid"))
});

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static SIGNS_IN: LazyLock<Regex> = LazyLock::new(|| {
    let words = r"(?i)jwt|passport|oauth|log_?in\b|sign_?in\b|authenticat|authoriz|api_?key|bearer|session|password|clerk|keycloak|auth0";
    Regex::new(words).expect("the pattern is valid")
});

/// Nothing is answered over HTTP, or nothing in the sources signs anyone in.
fn nobody_signs_in(repository: &Repository) -> Option<Sighting> {
    let sources = repository.sources();
    let described = !specifications(repository).is_empty();
    if sources.is_empty() || repository.not_whole().is_some() || described {
        return None;
    }
    if Routes::of(repository).all.is_empty() {
        return Some(Sighting::not_applicable(format!("no route is found in {} sources", sources.len())));
    }
    let any = sources.values().any(|source| SIGNS_IN.is_match(&source.code));
    (!any).then(|| Sighting::not_applicable(format!("nothing in {} sources signs anyone in", sources.len())))
}

/// There is no API, or none that is seen.
fn no_interface(repository: &Repository) -> Option<Sighting> {
    no_api(repository, &Routes::of(repository), &specifications(repository))
}

fn auth_flow(look: &Look<'_>, cases: &mut Cases) {
    look.says(
        cases,
        "how one gets a token or a session",
        &["login", "log in", "sign in", "sign-in", "token", "api key", "register", "session"],
    );
    let described = described_calls(look.repository);
    if !described {
        let sent = ["authorization", "bearer", "header", "cookie", "x-api-key", "--user", "-u "];
        look.says(cases, "how it is sent", &sent);
    }
    cases.plan_more(1);
    let lines = look.command_lines();
    let said = look.said();
    let shows =
        lines.iter().any(|line| ["curl", "http", "xh", "wget"].contains(&line.split(' ').next().unwrap_or_default()))
            || ["post /", "get /", "authorization: bearer", "curl "].iter().any(|call| blocks(look).contains(call))
            || described;
    let seen = if shows {
        "calls are shown".to_owned()
    } else {
        format!("{} shows no call that one could follow", look.places())
    };
    cases.tried(shows, seen);
    let routes = Routes::of(look.repository);
    if routes.all.is_empty() {
        return;
    }
    let called = lines
        .iter()
        .filter(|line| line.starts_with("curl "))
        .flat_map(|line| line.split(' ').map(String::from).collect::<Vec<_>>());
    let own = called
        .filter(|word| ["localhost", "127.0.0.1", "$"].iter().any(|host| word.contains(host)) && word.contains('/'));
    let unknown = own.filter_map(|word| {
        let rest = word.split_once("://").map_or(word.as_str(), |(_, rest)| rest);
        rest.find('/').map(|at| rest[at..].to_owned())
    });
    let unknown: Vec<String> = unknown.filter(|path| path.len() > 2 && !routes.answers(path)).collect();
    if let Some(path) = unknown.first() {
        cases.told_nothing(format!("{} calls {path}, which no route of the code is seen to answer", look.places()));
    }
    cases.note(format!("{} commands, {} characters", lines.len(), said.len()));
}

/// The description of the API shows calls with what authenticates them.
fn described_calls(repository: &Repository) -> bool {
    let sent = ["authorization", "api-key", "apikey", "token", "cookie", "--user", " -u "];
    let all = specifications(repository);
    all.iter().flat_map(|one| &one.samples).any(|sample| sent.iter().any(|word| sample.to_lowercase().contains(word)))
}

/// All code blocks, in lower case.
fn blocks(look: &Look<'_>) -> String {
    let blocks = look.parts.iter().flat_map(|part| &part.sections).flat_map(|section| &section.blocks);
    blocks.map(|block| block.text.to_lowercase()).collect::<Vec<_>>().join("\n")
}

pub(super) const API_VERSIONING: Written = Written {
    control: "docs.api-versioning",
    person: false,
    beside_the_point: no_interface,
    check: versions,
    present: || Sample::of(&[("docs/api-versioning.md", VERSIONS), ("app.py", APP)]),
    absent: || {
        // The sentence of a well-known README, about the package and not its API.
        let text = "# Orders\n## Versioning\nWe use [SemVer](http://semver.invalid/) for versioning. For the versions available, see the tags on this repository, where each \
                    of them has its notes and its packages, ready to be used by everybody who wants to.\n";
        Sample::of(&[("README.md", text), ("app.py", APP)])
    },
};

const VERSIONS: &str = "# Versions of the API\nThe API has one version, `v1`, in its paths (`/api/v1`). A change that breaks callers makes a new version; what is only added does not. \
                        After a new one is out the old one is supported for 12 months, and its answers carry a `Sunset` header in the last three.\n";

fn versions(look: &Look<'_>, cases: &mut Cases) {
    let said = look.said();
    look.says(cases, "the API", &["api", "endpoint"]);
    look.says(
        cases,
        "how long a version lasts or what a change may break",
        &["deprecat", "sunset", "supported", "support ", "months", "breaking", "backward", "end of life", "retire"],
    );
    let named: BTreeSet<u32> = PATTERNS[0].captures_iter(&said).filter_map(|found| found[1].parse().ok()).collect();
    let mut live = Routes::of(look.repository).versions;
    for base in specifications(look.repository).iter().flat_map(|one| &one.bases) {
        live.extend(PATTERNS[0].captures_iter(base).filter_map(|found| found[1].parse::<u32>().ok()));
    }
    cases.plan_more(1);
    let list = |set: &BTreeSet<u32>| set.iter().map(|number| format!("v{number}")).collect::<Vec<_>>().join(", ");
    let missing: BTreeSet<u32> = live.difference(&named).copied().collect();
    let extra: BTreeSet<u32> = named.difference(&live).copied().collect();
    match (missing.is_empty(), live.is_empty(), extra.is_empty()) {
        (false, ..) => {
            cases.tried(false, format!("the code has {}, which {} does not name", list(&missing), look.places()))
        }
        (true, true, false) => cases
            .tried(false, format!("{} names {}, and no path of the code has a version", look.places(), list(&named))),
        (true, false, false) => cases.told_nothing(format!(
            "{} names {} too, which no path of the code has: to come, or gone?",
            look.places(),
            list(&extra)
        )),
        (true, _, true) if named.is_empty() => {
            cases.told_nothing(format!("{} names no version, and no path of the code has one", look.places()))
        }
        (true, _, true) => cases.tried(true, format!("{} in the code and in the page", list(&live))),
    }
}

pub(super) const ERRORS: Written = Written {
    control: "docs.errors",
    person: false,
    beside_the_point: no_interface,
    check: errors,
    present: || Sample::of(&[("docs/errors.md", ERROR_PAGE), ("app.py", ERRING)]),
    absent: || {
        let page = ERROR_PAGE.replace("QUOTA_EXCEEDED", "QUOTA_REACHED").replace("429", "403");
        Sample::of(&[("docs/errors.md", &page), ("app.py", ERRING)])
    },
};

const ERRING: &str = "@app.get(\"/api/orders\")\ndef orders():\n    raise Problem(status_code=429, code=\"QUOTA_EXCEEDED\")\n    return jsonify()\n";
const ERROR_PAGE: &str = "# Errors\nEvery error has the same shape, and its code never changes its meaning.\n\n| code | status | what to do |\n|---|---|---|\n| `QUOTA_EXCEEDED` | 429 | wait for as long as \
                          `Retry-After` says |\n\n```json\n{\"code\": \"QUOTA_EXCEEDED\", \"detail\": \"100 of 100 orders\"}\n```\n";

fn errors(look: &Look<'_>, cases: &mut Cases) {
    let shape = blocks(look).contains('{');
    cases.plan_more(1);
    cases.tried(
        shape,
        if shape {
            "the shape is shown".to_owned()
        } else {
            format!("{} shows no example of an error's body", look.places())
        },
    );
    let said = everything(look.documents);
    let mut codes: BTreeSet<(String, String)> = BTreeSet::new();
    let mut statuses: BTreeSet<(String, String)> = BTreeSet::new();
    for (path, source) in look.repository.sources() {
        for (pattern, found) in [(&PATTERNS[1], &mut codes), (&PATTERNS[2], &mut statuses)] {
            for matched in source.matches(pattern) {
                let line = source.line(matched.get(0).map_or(0, |whole| whole.start()));
                found.insert((matched[1].to_owned(), format!("{}:{line}", path.display())));
            }
        }
    }
    for (what, found) in [("error codes", &codes), ("statuses", &statuses)] {
        let all: BTreeSet<&str> = found.iter().map(|(code, _)| code.as_str()).collect();
        if all.is_empty() {
            continue;
        }
        cases.plan_more(1);
        let missing: Vec<&(String, String)> = found.iter().filter(|(code, _)| !said.contains(code.as_str())).collect();
        let count = missing.iter().map(|(code, _)| code).collect::<BTreeSet<_>>().len();
        let seen = match missing.first() {
            None => format!("all {} {what} of the code are written down", all.len()),
            Some((code, place)) => {
                format!("{count} of {} {what} of the code are in no document, {code} ({place}) the first", all.len())
            }
        };
        cases.tried(missing.is_empty(), seen);
    }
    unknown_codes(look, cases, &codes);
    if codes.is_empty() && statuses.is_empty() {
        cases.told_nothing("no error code or status is seen in the code, so what is written cannot be compared");
    }
}

/// A code in the page that the sources do not have anywhere.
fn unknown_codes(look: &Look<'_>, cases: &mut Cases, codes: &BTreeSet<(String, String)>) {
    if codes.is_empty() {
        return;
    }
    let rows = look
        .parts
        .iter()
        .flat_map(|part| &part.sections)
        .flat_map(|section| &section.rows)
        .filter_map(|row| row.first());
    let named: BTreeSet<String> = rows
        .flat_map(|cell| PATTERNS[3].find_iter(cell).map(|code| code.as_str().to_owned()).collect::<Vec<_>>())
        .collect();
    let in_code = |code: &String| look.repository.sources().values().any(|source| source.code.contains(code.as_str()));
    let unknown: Vec<&String> = named.iter().filter(|code| !in_code(code)).collect();
    if named.is_empty() {
        return;
    }
    cases.plan_more(1);
    let seen = match unknown.first() {
        None => format!("all {} codes of the table are in the code", named.len()),
        Some(code) => format!(
            "{} of {} codes of {} are nowhere in the code, {code} the first",
            unknown.len(),
            named.len(),
            look.places()
        ),
    };
    cases.tried(unknown.is_empty(), seen);
}

/// All that documents say, code blocks too.
fn everything(documents: &Documents) -> String {
    let mut said = String::new();
    for section in documents.own().flat_map(|document| &document.sections) {
        said.push_str(&section.title);
        said.push('\n');
        said.push_str(&section.text);
        section.blocks.iter().for_each(|block| said.push_str(&block.text));
    }
    said
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::{Inspection, Outcome};

    use super::*;

    fn look(inspection: &Written, files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        inspection.look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn a_version_that_nobody_wrote_down_is_missed() {
        let code = "app.use('/api/v1', a); app.use('/api/v2', b);\napp.get('/x', (q, res) => res.json({}));\n";
        let found = look(&API_VERSIONING, &[("docs/api-versioning.md", VERSIONS), ("app.js", code)]);
        assert!(matches!(&found, Outcome::Broken(why) if why.contains("v2")), "{found:?}");
    }

    #[test]
    fn a_call_to_a_route_that_is_not_there_does_not_hold() {
        let page = AUTH_PAGE.replace("/api/v1/login", "/api/v1/session");
        assert!(matches!(look(&AUTH_FLOW, &[("docs/authentication.md", &page), ("app.py", APP)]), Outcome::Unclear(_)));
    }

    #[test]
    fn a_description_of_the_api_may_say_how_to_sign_in() {
        let with = |sample: &str| {
            let words = "Almost every call needs an API key. It is made in the settings, and is sent as a header with each call. ".repeat(2);
            let text = format!(
                "openapi: 3.1.0\ninfo:\n  title: x\n  description: |\n    # The API\n    ## Authentication\n    {words}\n    `x-api-key: KEY`\n\
                               paths:\n  /a:\n    get:\n      x-codeSamples:\n        - source: \"{sample}\"\n      responses: {{200: {{}}}}\n"
            );
            look(&AUTH_FLOW, &[("docs/api.yaml", &text)])
        };
        assert_eq!(with("curl -H 'x-api-key: K' a.invalid/a"), Outcome::Holds);
        assert!(matches!(with("curl a.invalid/a"), Outcome::Broken(why) if why.contains("no call")));
    }
}
