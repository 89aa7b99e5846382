//! `frontend.prod-build`: what people load is minified, comes from no development server, and shows no source with secrets.

use std::{io, sync::LazyLock};

use regex::Regex;
use seaworthy_browser::{Observed, Page, Request};
use serde::Deserialize;

use super::{PageProbe, Stop, html, not_applicable, shortened, site};
use crate::{
    browsing::Visit,
    probe::{Cases, Working},
    subject::Fixture,
};

pub(super) const PROBE: PageProbe = PageProbe { control: "frontend.prod-build", look, present, absent };

/// Smaller scripts gain nothing by minifying.
const WORTH_MINIFYING: usize = 1500;
/// White space beyond this part of a text: nobody has minified it. Minified code has some 2%, written code 20% and more.
const AIR: f64 = 0.12;
const PAGES: usize = 3;

/// What shows a development build.
#[derive(Debug, Deserialize)]
struct Marker {
    what: String,
    #[serde(default)]
    address: Vec<String>,
    #[serde(default)]
    script: Vec<String>,
    #[serde(default)]
    console: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Markers {
    marker: Vec<Marker>,
}

#[expect(clippy::expect_used, reason = "a constant text, read in every test")]
static MARKERS: LazyLock<Vec<Marker>> =
    LazyLock::new(|| toml::from_str::<Markers>(include_str!("development.toml")).expect("the markers are TOML").marker);

fn present() -> io::Result<Fixture> {
    let script = "(()=>{const a=document.body;for(let i=0;i<9;i++)a.append(String.fromCharCode(65+i))})();".repeat(20);
    site(vec![
        ("/", html("<h1>App</h1><script src=\"/assets/app-3f9a1c2b.js\"></script>")),
        ("/assets/app-3f9a1c2b.js", script),
    ])
}

// The common mistake: what developers run is what people load.
fn absent() -> io::Result<Fixture> {
    let body = "<h1>App</h1><script type=module src=\"/@vite/client\"></script><script src=\"/src/main.js\"></script>";
    let script = "function draw() {\n    // The letters.\n    document.body.append(\"A\");\n}\n".repeat(30);
    site(vec![("/", html(body)), ("/@vite/client", String::new()), ("/src/main.js", script)])
}

fn look<'a>(visit: &'a Visit<'a>, cases: &'a mut Cases) -> Working<'a, Result<String, Stop>> {
    Box::pin(async move {
        let page = visit.page().await?;
        let (mut scripts, mut bytes, mut maps) = (0, 0, 0);
        for path in visit.pages.iter().take(PAGES) {
            let opened = visit.open(&page, path).await?;
            cases.plan_more(1);
            let found = marker(&opened.observed, |marker| (&marker.address, &marker.console));
            cases.tried(
                found.is_none(),
                format!("{path} shows {}", found.unwrap_or_else(|| "no development server".into())),
            );
            for request in opened.observed.requests.iter().filter(|one| is_code(visit, one)) {
                let Ok(text) = page.body(request).await else { continue };
                let name = request.url.rsplit('/').next().unwrap_or_default();
                if let Some(url) = map_of(&text, &request.url) {
                    maps += 1;
                    judge_map(visit, &url, cases).await;
                }
                // Loaded by several pages, judged once.
                if text.len() < WORTH_MINIFYING || scripts > 60 {
                    continue;
                }
                scripts += 1;
                bytes += text.len();
                cases.plan_more(1);
                let developing = in_script(&text);
                let air = air(&text);
                let fault = developing.or_else(|| {
                    (air > AIR).then(|| format!("is not minified: {:.0}% of it is white space", air * 100.0))
                });
                cases.tried(fault.is_none(), format!("{name} {}", fault.unwrap_or_else(|| "is minified".into())));
            }
        }
        if scripts == 0 && !cases.is_broken() && !loads_code(&page) {
            return not_applicable("pages load no script and no style of their own: there is nothing to build");
        }
        let pages = visit.pages.len().min(PAGES);
        Ok(format!(
            "{scripts} scripts and styles of {pages} pages ({} KiB) are minified, none is of a development build; {maps} name a source map",
            bytes / 1024
        ))
    })
}

fn is_code(visit: &Visit<'_>, request: &Request) -> bool {
    matches!(request.kind.as_str(), "Script" | "Stylesheet")
        && visit.is_own(&request.url)
        && request.answer.as_ref().is_some_and(|answer| answer.status == 200)
}

fn loads_code(page: &Page) -> bool {
    page.observed().requests.iter().any(|one| matches!(one.kind.as_str(), "Script" | "Stylesheet"))
}

/// A sign of development in what a page loads and prints.
fn marker(observed: &Observed, of: impl Fn(&Marker) -> (&Vec<String>, &Vec<String>)) -> Option<String> {
    MARKERS.iter().find_map(|marker| {
        let (addresses, lines) = of(marker);
        let loaded = observed.requests.iter().find(|one| addresses.iter().any(|part| one.url.contains(part)));
        let printed = observed.console.iter().find(|line| lines.iter().any(|part| line.text.contains(part)));
        let seen = loaded.map(|one| one.url.clone()).or_else(|| printed.map(|line| shortened(&line.text, 60)))?;
        Some(format!("{}: {seen}", marker.what))
    })
}

fn in_script(text: &str) -> Option<String> {
    let found = MARKERS.iter().find(|marker| marker.script.iter().any(|part| text.contains(part)))?;
    Some(format!("is of {}", found.what))
}

/// The part of a text that is white space between other things; what stands in strings is a small part of any script.
fn air(text: &str) -> f64 {
    let mut white = 0;
    let mut before = ' ';
    for letter in text.chars() {
        // One blank between two words is needed by the language.
        if letter.is_whitespace() && (before.is_whitespace() || !before.is_alphanumeric()) {
            white += 1;
        }
        before = letter;
    }
    f64::from(white) / text.len().max(1) as f64
}

/// Where the source map of a script is said to be.
fn map_of(text: &str, url: &str) -> Option<String> {
    static NAMED: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r"[#@]\s*sourceMappingURL=([^\s*]+)\s*(?:\*/)?\s*$").expect("the pattern is valid")
    });
    let named = NAMED.captures(text)?.get(1)?.as_str();
    if named.starts_with("data:") || named.contains("://") {
        return None;
    }
    let folder = url.split(['?', '#']).next()?.rsplit_once('/')?.0;
    let scheme = url.find("://")? + 3;
    let origin = url[scheme..].find('/').map_or(url, |end| &url[..scheme + end]);
    Some(if named.starts_with('/') { format!("{origin}{named}") } else { format!("{folder}/{named}") })
}

/// Sources that everybody may read are no secret, and what stands in them must be none.
async fn judge_map(visit: &Visit<'_>, url: &str, cases: &mut Cases) {
    let (Some(client), Some(path)) = (visit.subject.client(), url.strip_prefix(visit.address("").as_str())) else {
        return;
    };
    let Ok(answer) = client.get(path).await else { return };
    if !answer.status.is_success() {
        return;
    }
    let text = answer.text();
    let has_sources = text.contains("\"sourcesContent\"");
    let secret = has_sources && crate::http::redact(&text) != text && SECRETS.is_match(&text);
    cases.plan_more(1);
    let said = if secret { "is public, and a secret stands in it" } else { "is public, and no secret was seen in it" };
    cases.tried(!secret, format!("the source map {path} {said}"));
}

/// Shapes that are nothing but keys.
static SECRETS: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
    Regex::new(r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[0-9A-Za-z]{30,}|sk_live_[0-9a-zA-Z]{16,}|xox[abprs]-[0-9a-zA-Z-]{20,})|-----BEGIN (?:RSA |EC )?PRIVATE KEY")
        .expect("the pattern is valid")
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_code_is_told_from_minified_code() {
        let written = "function draw(letters) {\n  for (const letter of letters) {\n    show(letter);\n  }\n}\n";
        let minified =
            "function d(l){for(const t of l)s(t)}return function(){var e=1,n=2;if(e===n)throw new Error(\"no\")}";
        assert!(air(written) > AIR, "{}", air(written));
        assert!(air(minified) < AIR / 2.0, "{}", air(minified));
    }

    #[test]
    fn source_maps_are_found_where_they_are_named() {
        let at = |text: &str| map_of(text, "http://a.test/assets/app.js?v=1");
        assert_eq!(at("x()\n//# sourceMappingURL=app.js.map\n").as_deref(), Some("http://a.test/assets/app.js.map"));
        assert_eq!(at("x{}\n/*# sourceMappingURL=/m/app.css.map */").as_deref(), Some("http://a.test/m/app.css.map"));
        assert_eq!(at("x()\n//# sourceMappingURL=data:application/json;base64,e30="), None);
        assert_eq!(at("x()"), None);
    }
}
