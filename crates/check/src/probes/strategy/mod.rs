//! `cache.strategy`: somebody has decided for each route whether its answers are kept and for how long, what is kept keeps to
//! that, is nobody's own, costs one answer however many ask at once, and what was written shows in time.
//!
//! Each route is asked twice, and what it says (`says.rs`) is compared with what becomes of the second answer. Then what is
//! kept is tried: by senders of credentials and by a crowd (`sharing.rs`), by a write and by a purge (`writes.rs`).

mod known;
mod says;
mod sharing;
mod writes;

use std::io;

use http::StatusCode;
use seaworthy_evidence::{ProbeKind, SafetyClass};

use self::says::Says;
use super::{
    copies::{is_copy, twice},
    static_assets::{is_hashed, is_immutable, linked},
};
use crate::{
    http::{Answer, Client},
    probe::{About, Cases, Probe, Sighting, Working},
    routes::Route,
    subject::{Fixture, Subject},
};

pub(super) struct CacheStrategy;

/// So many routes are asked, beside the start page and those that are said to be cached.
const ROUTES: usize = 16;
/// So many files of the start page.
const ASSETS: usize = 8;
/// Clocks and whole seconds differ by so much.
const GRACE: u64 = 2;

impl Probe for CacheStrategy {
    fn about(&self) -> About {
        About { control: "cache.strategy".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { known::board(known::Manners::default()) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: a time is said, and a store behind it keeps the answer until somebody restarts it.
        Box::pin(async { known::board(known::Manners { seconds: 2, forgets: false, ..known::Manners::default() }) })
    }
}

/// A route that gave a whole answer twice.
struct Seen {
    path: String,
    first: Answer,
    says: Says,
    /// The second answer was a copy.
    kept: bool,
}

/// What was seen of all routes.
#[derive(Default)]
struct Tour {
    seen: Vec<Seen>,
    /// They ask who calls.
    closed: Vec<String>,
    /// Of those that answered, those that say nothing.
    undecided: Vec<String>,
    assets: usize,
    /// Routes that opened to a token.
    opened: usize,
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let sample = subject.sample(ROUTES).await.without("health and documentation", is_of_operations);
    let mut paths: Vec<&str> = subject.hints.cached_paths.iter().map(String::as_str).collect();
    for path in sample.paths().chain(["/"]) {
        if !paths.contains(&path) && !subject.hints.fails_on(path) {
            paths.push(path);
        }
    }
    let (mut cases, mut tour) = (Cases::plan(0), Tour::default());
    for path in paths {
        match twice(&client, path).await {
            Ok((first, second)) => tour.visit(&mut cases, path, first, second),
            Err(error) => cases.note(error.to_string()),
        }
    }
    failing(&mut cases, &client, subject.hints.error_path.as_deref()).await;
    tour.assets(&mut cases, &client).await;
    sharing::signed_in(&mut cases, &client, &subject.hints.tokens, &mut tour).await;
    let kept: Vec<&Seen> = tour.seen.iter().filter(|seen| seen.kept).collect();
    sharing::among_strangers(&mut cases, &client, &kept).await;
    // Where something is broken that is known now; the rest leaves traces in the app, or takes its time.
    if !tour.judge(&mut cases) || cases.is_broken() {
        return cases.sighting("");
    }
    let crowd = sharing::crowd(&mut cases, &client, &kept).await;
    let purged = writes::purge(&mut cases, &client, subject.admin_client().as_ref(), &kept).await;
    let written = writes::written(&mut cases, &client, subject.hints.canary.as_ref(), kept.is_empty()).await;
    cases.sighting(format!("{}; {crowd}; {purged}; {written}; {sample}", tour.words()))
}

/// For machines that watch, or for who writes a client: whatever a cache does with them, the app's users do not see it.
fn is_of_operations(route: &Route) -> bool {
    const NAMES: [&str; 20] = [
        "health",
        "healthz",
        "livez",
        "liveness",
        "live",
        "ready",
        "readyz",
        "readiness",
        "ping",
        "status",
        "version",
        "metrics",
        "docs",
        "redoc",
        "openapi.json",
        "swagger",
        "swagger.json",
        "api-docs",
        "schema",
        "robots.txt",
    ];
    let path = route.path.split('?').next().unwrap_or_default().trim_end_matches('/');
    NAMES.contains(&path.rsplit('/').next().unwrap_or_default())
}

/// Refusals and failures: given from a copy they hit people whom they were not meant for.
fn is_nobodys(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 401 | 403 | 407 | 429)
}

impl Tour {
    fn visit(&mut self, cases: &mut Cases, path: &str, first: Answer, second: Answer) {
        let kept = is_copy(&first, &second);
        if is_nobodys(second.status) && kept {
            cases.plan_more(1);
            cases.tried(false, format!("GET {path} → {} from a copy: everybody gets it", second.status.as_u16()));
        }
        if is_closed(&first) {
            self.closed.push(path.to_owned());
        }
        if first.status != StatusCode::OK || second.status != StatusCode::OK {
            return cases.note(format!("GET {path} → {}: nothing to keep", first.status.as_u16()));
        }
        let says = Says::of_both(&first, &second);
        cases.plan_more(1);
        match fault(path, &second, &says, kept) {
            Some(fault) => cases.tried(false, fault),
            None if says.is_decided() => {
                let from = if kept { "from a copy" } else { "made anew" };
                cases.tried(true, format!("GET {path}: says {}; asked again: {from}", says.words()));
            }
            // They are named together.
            None => self.undecided.push(path.to_owned()),
        }
        self.seen.push(Seen { path: path.to_owned(), first, says, kept });
    }

    /// What the start page loads: hashed names may be kept for ever, others must not be.
    async fn assets(&mut self, cases: &mut Cases, client: &Client) {
        let page = self.seen.iter().find(|seen| seen.path == "/");
        let Some(page) =
            page.filter(|page| page.first.header("content-type").is_some_and(|kind| kind.contains("html")))
        else {
            return;
        };
        let host = client.address().host().unwrap_or("localhost");
        for path in linked(&page.first.text(), "/", host).into_iter().take(ASSETS) {
            let Ok(answer) = client.get(&path).await else { continue };
            if answer.status != StatusCode::OK {
                continue;
            }
            self.assets += 1;
            cases.plan_more(1);
            let says = Says::of(&answer);
            match says.is_decided() {
                true => {
                    let fixed = is_immutable(&answer) && !is_hashed(&path);
                    let how = if fixed { ", immutable under a name that stays the same" } else { "" };
                    cases.tried(!fixed, format!("GET {path}: says {}{how}", says.words()));
                }
                false => self.undecided.push(path),
            }
        }
    }

    /// Whether somebody has decided, for all of them. Returns whether there is something to try.
    fn judge(&self, cases: &mut Cases) -> bool {
        let (of, shown) = (self.seen.len() + self.assets, self.undecided.join(", "));
        for (number, path) in self.undecided.iter().enumerate() {
            let says = match number {
                0 => format!(
                    "{} of {of} routes and files say nothing of caching, so that every cache may guess (RFC 9111, 4.2.2): {shown}",
                    self.undecided.len()
                ),
                _ => format!("GET {path}: says nothing"),
            };
            cases.tried(false, says);
        }
        let may_be_kept = self.seen.iter().any(|seen| matches!(seen.says, Says::For(_) | Says::Private));
        let why = match () {
            () if of + self.opened == 0 => {
                "no path gives a whole answer (200) without signing in: name one in [check] paths"
            }
            () if self.closed.len() > self.seen.len() + self.opened => {
                "most routes ask who calls, and what they say to people is not seen: name tokens in [check] tokens"
            }
            () if !may_be_kept && self.assets == 0 => {
                "every answer forbids that it is kept: that is decided, and there is nothing to try; if it is meant, say so \
                 with [check.waived] \"cache.strategy\" = { because = \"…\" }"
            }
            () => return true,
        };
        cases.told_nothing(why);
        false
    }

    fn words(&self) -> String {
        let count = |is: fn(&Seen) -> bool| self.seen.iter().filter(|seen| is(seen)).count();
        format!(
            "all {} routes that answer, {} of them to a token alone, and {} files of the start page say how long they may be \
             kept; without a token {} come from a copy, {} may be kept, {} must not",
            self.seen.len() + self.opened,
            self.opened,
            self.assets,
            count(|seen| seen.kept),
            count(|seen| !seen.kept && matches!(seen.says, Says::For(_))),
            count(|seen| !seen.kept && !matches!(seen.says, Says::For(_)))
        )
    }
}

/// A refusal, or a way to a sign-in.
fn is_closed(answer: &Answer) -> bool {
    let to = answer.header("location").unwrap_or_default();
    matches!(answer.status.as_u16(), 401 | 403) || (answer.status.is_redirection() && is_sign_in(to))
}

/// Whether an address is of a sign-in, by a whole segment of its path or the first label of its host, an extension left
/// away: `/authors` is none, `/login.php` and `https://auth.example.com/` are. Its query only says where one came from.
fn is_sign_in(address: &str) -> bool {
    const NAMES: [&str; 14] = [
        "login",
        "log-in",
        "log_in",
        "signin",
        "sign-in",
        "sign_in",
        "wp-login",
        "auth",
        "oauth",
        "oauth2",
        "authorize",
        "authenticate",
        "authentication",
        "sso",
    ];
    let address = address.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    address.split('/').any(|segment| NAMES.contains(&segment.split(['.', ':', ';']).next().unwrap_or_default()))
}

/// What is wrong with an answer that is kept, or that lets everybody keep it.
fn fault(path: &str, answer: &Answer, says: &Says, kept: bool) -> Option<String> {
    if answer.headers.contains_key("set-cookie") && (kept || says::is_for_all(answer, "set-cookie")) {
        return Some(format!("GET {path} sets a cookie, and may be given to everybody: all get the same one"));
    }
    if !kept {
        return None;
    }
    let age = says::age(answer);
    match says {
        Says::Never(word @ ("no-store" | "no-cache")) => {
            Some(format!("GET {path} says {word}, and is given from a copy"))
        }
        Says::Private => Some(format!("GET {path} says private, and is given from a copy")),
        Says::Nothing => Some(format!("GET {path} is given from a copy, and nobody says how old that may be")),
        _ => says
            .staleness()
            .filter(|limit| age > limit.saturating_add(GRACE) && !says::is_stale_on_purpose(answer))
            .map(|limit| format!("GET {path} is given from a copy {age} s old, and says that it may be {limit} s")),
    }
}

/// A failure is no answer to keep.
async fn failing(cases: &mut Cases, client: &Client, path: Option<&str>) {
    let Some(path) = path else { return };
    let Ok((first, second)) = twice(client, path).await else { return };
    if first.status.is_server_error() {
        cases.plan_more(1);
        let kept = is_copy(&first, &second);
        let how = if kept { "from a copy" } else { "not from a copy" };
        cases.tried(!kept, format!("GET {path} fails ({}); asked again: {how}", first.status.as_u16()));
    }
}

#[cfg(test)]
mod tests;
