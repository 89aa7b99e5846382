//! `edge.csp`: a policy under which a planted inline script does not run, and the page's own scripts do.

use std::{collections::BTreeMap, io};

use seaworthy_browser::Then;

use super::{PageProbe, Stop, html, shortened};
use crate::{
    browsing::Visit,
    fixture::{self, reply},
    http::Answer,
    probe::{Cases, Working},
    subject::Fixture,
};

pub(super) const PROBE: PageProbe = PageProbe { control: "edge.csp", look, present, absent };

const PAGES: usize = 5;

/// As an attacker would have it stand in a page, in both of its ways.
const PLANTED: &str = "<script>window.seaworthyPlanted = 'script'</script>\
    <img src=\"data:,x\" onerror=\"window.seaworthyPlanted = 'attribute'\" alt=\"\" hidden>";

fn present() -> io::Result<Fixture> {
    with("default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'self'")
}

// The common mistake: a policy that allows what it is there to forbid.
fn absent() -> io::Result<Fixture> {
    with("default-src 'self' data:; script-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'")
}

fn with(policy: &'static str) -> io::Result<Fixture> {
    fixture::public(move |request| match request.uri().path() {
        "/" => reply(
            200,
            &[("content-type", "text/html"), ("content-security-policy", policy)],
            html("<h1>App</h1><script src=\"/app.js\"></script>"),
        ),
        "/app.js" => reply(200, &[("content-type", "text/javascript")], "document.body.append('runs')"),
        _ => reply(404, &[], ""),
    })
}

fn look<'a>(visit: &'a Visit<'a>, cases: &'a mut Cases) -> Working<'a, Result<String, Stop>> {
    Box::pin(async move {
        let Some(client) = visit.subject.client() else { return Err(Stop::Here) };
        let pages: Vec<&String> = visit.pages.iter().take(PAGES).collect();
        for path in &pages {
            cases.plan_more(3);
            let answer = match client.get(path).await {
                Ok(answer) => answer,
                Err(error) => {
                    cases.told_nothing(error.to_string());
                    continue;
                }
            };
            let faults = faults(&answer);
            cases.tried(faults.is_empty(), format!("GET {path}: {}", faults.join(", ")));
            if cases.is_broken() {
                return Err(Stop::Here);
            }
            own_scripts(visit, path, cases).await?;
            planted(visit, path, &answer, cases).await?;
        }
        Ok(format!(
            "on {} pages the policy lets no inline or foreign script run: 0 violations of our own, and a planted script stays silent",
            pages.len()
        ))
    })
}

/// The page's own scripts must run under it, or somebody will switch it off.
async fn own_scripts(visit: &Visit<'_>, path: &str, cases: &mut Cases) -> Result<(), Stop> {
    let page = visit.page().await?;
    let listening = "window.seaworthyViolations = []; document.addEventListener('securitypolicyviolation', event => \
        event.disposition === 'enforce' && window.seaworthyViolations.push(event.effectiveDirective + ' ' + event.blockedURI), true);";
    page.before_scripts(listening).await?;
    visit.open(&page, path).await?;
    let violations = page.evaluate("window.seaworthyViolations.join(', ')").await?;
    let violations = violations.as_str().unwrap_or_default();
    cases.tried(violations.is_empty(), format!("GET {path}: its own policy forbids {}", shortened(violations, 100)));
    Ok(())
}

/// The same page with the same head, and a script in it that nobody of the app wrote.
async fn planted(visit: &Visit<'_>, path: &str, answer: &Answer, cases: &mut Cases) -> Result<(), Stop> {
    let text = answer.text();
    let end = text.to_lowercase().rfind("</body>").unwrap_or(text.len());
    // Lower case may have another length in bytes.
    let end = if text.is_char_boundary(end) { end } else { text.len() };
    let body = format!("{}{PLANTED}{}", &text[..end], &text[end..]);
    let kept = ["content-type", "content-security-policy"];
    let headers: Vec<(String, String)> = kept
        .iter()
        .flat_map(|name| {
            answer
                .headers
                .get_all(*name)
                .iter()
                .filter_map(|value| Some(((*name).to_owned(), value.to_str().ok()?.to_owned())))
        })
        .collect();
    let page = visit.page().await?;
    let url = visit.address(path);
    page.intercept(move |asked| {
        let document = asked.kind == "Document" && asked.url == url;
        if document { Then::Answer { status: 200, headers: headers.clone(), body: body.clone() } } else { Then::Pass }
    })
    .await?;
    visit.open(&page, path).await?;
    let ran = page.evaluate("window.seaworthyPlanted || ''").await?;
    let ran = ran.as_str().unwrap_or_default();
    cases.tried(ran.is_empty(), format!("GET {path}: a planted inline {ran} runs"));
    Ok(())
}

/// Directives and their sources.
type Policy = BTreeMap<String, Vec<String>>;

/// What a policy lacks; all of a page's policies must allow a thing, so that the strictest counts for each directive.
fn faults(answer: &Answer) -> Vec<String> {
    let values = answer.headers.get_all("content-security-policy").iter().filter_map(|value| value.to_str().ok());
    let policies: Vec<Policy> = values.flat_map(|value| value.split(',')).map(directives).collect();
    if policies.is_empty() {
        let learning = answer.headers.contains_key("content-security-policy-report-only");
        return vec![
            if learning { "its policy only reports, and forbids nothing" } else { "no Content-Security-Policy" }.into(),
        ];
    }
    let any = |held: &dyn Fn(&Policy) -> bool| policies.iter().any(held);
    let mut faults = Vec::new();
    if !any(&|policy| forbids_inline(policy)) {
        faults.push("its policy allows inline scripts ('unsafe-inline' without a nonce, or no script-src)".to_owned());
    }
    if !any(&|policy| scripts_of(policy).is_some_and(|sources| !sources.iter().any(|one| one == "'unsafe-eval'"))) {
        faults.push("its policy allows 'unsafe-eval'".to_owned());
    }
    if !any(&|policy| {
        scripts_of(policy).is_some_and(|sources| strict(sources) || !sources.iter().any(|one| is_anywhere(one)))
    }) {
        faults.push("its policy allows scripts from anywhere".to_owned());
    }
    if !any(&|policy| {
        policy.contains_key("object-src")
            || policy.get("default-src").is_some_and(|all| all == &["'none'"] || all == &["'self'"])
    }) {
        faults.push("its policy has no object-src".to_owned());
    }
    if !any(&|policy| policy.contains_key("base-uri")) {
        faults.push("its policy has no base-uri".to_owned());
    }
    faults
}

fn directives(policy: &str) -> Policy {
    let mut all = Policy::new();
    for directive in policy.split(';') {
        let mut words = directive.split_whitespace().map(str::to_lowercase);
        if let Some(name) = words.next() {
            // Of two of one name the first counts (CSP 3, 2.2.1).
            all.entry(name).or_insert_with(|| words.collect());
        }
    }
    all
}

fn scripts_of(policy: &Policy) -> Option<&Vec<String>> {
    policy.get("script-src").or_else(|| policy.get("default-src"))
}

/// A nonce or hash has browsers ignore `'unsafe-inline'`.
fn forbids_inline(policy: &Policy) -> bool {
    let elements = policy.get("script-src-elem").or_else(|| scripts_of(policy));
    elements.is_some_and(|sources| {
        let keyed = sources.iter().any(|one| one.starts_with("'nonce-") || one.starts_with("'sha"));
        keyed || strict(sources) || !sources.iter().any(|one| one == "'unsafe-inline'")
    })
}

fn strict(sources: &[String]) -> bool {
    sources.iter().any(|one| one == "'strict-dynamic'")
}

fn is_anywhere(source: &str) -> bool {
    matches!(source, "*" | "https:" | "http:" | "data:" | "https://*" | "http://*")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(policies: &[&str]) -> Vec<String> {
        let mut headers = http::HeaderMap::new();
        for policy in policies {
            headers.append("content-security-policy", policy.parse().unwrap());
        }
        let (body, elapsed) = (bytes::Bytes::new(), std::time::Duration::ZERO);
        faults(&Answer { status: http::StatusCode::OK, headers, body, length: 0, elapsed })
    }

    #[test]
    fn policies_are_read_as_browsers_do() {
        let rest = "; object-src 'none'; base-uri 'none'";
        let with = |policy: &str| found(&[&format!("{policy}{rest}")]);
        assert!(with("script-src 'self'").is_empty());
        assert!(with("script-src 'nonce-abc' 'strict-dynamic' https: 'unsafe-inline'").is_empty());
        assert!(with("default-src 'self'; script-src 'self' 'unsafe-inline'")[0].contains("inline"));
        assert!(with("script-src 'self' 'unsafe-eval'")[0].contains("eval"));
        assert!(with("script-src https:")[0].contains("anywhere"));
        assert!(with("img-src 'self'").len() == 3, "without script-src everything is allowed");
        assert_eq!(found(&["script-src 'self'"]).len(), 2);
        assert!(
            found(&["script-src 'self' 'unsafe-inline'", "script-src 'self'; object-src 'none'; base-uri 'none'"])
                .is_empty()
        );
        assert!(found(&[]).len() == 1);
    }
}
