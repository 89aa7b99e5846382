//! What is kept, tried by several: those who sign in, senders of other credentials, and a crowd that asks at once.

use futures_util::future::join_all;
use http::{HeaderValue, Method, StatusCode, header};
use seaworthy_core::Secret;

use super::{Seen, Tour, says::Says};
use crate::{
    http::{Answer, Client, HttpError},
    probe::Cases,
    probes::{
        cached_responses::{fresh, not_shared},
        copies::{Origin, is_copy, origin, twice},
    },
};

/// So many routes are tried so.
const ROUTES: usize = 4;
const CROWDED: usize = 2;
/// So many ask at once.
const CROWD: usize = 20;

/// Routes that ask who calls: they say what may be kept too, and what one user got is shown neither to another one nor to
/// nobody in particular.
pub(super) async fn signed_in(cases: &mut Cases, client: &Client, tokens: &[Secret], tour: &mut Tour) {
    let Some(first) = tokens.first() else { return };
    let mut opened = Vec::new();
    for path in tour.closed.iter().take(ROUTES) {
        let own = fresh(path);
        let (Ok(one), Ok(again)) = (with(client, &own, first).await, with(client, &own, first).await) else { continue };
        if one.status != StatusCode::OK {
            continue;
        }
        opened.push(path.clone());
        cases.plan_more(2);
        let says = Says::of_both(&one, &again);
        match says.is_decided() {
            true => cases.tried(true, format!("GET {path}, signed in: says {}", says.words())),
            false => tour.undecided.push(path.clone()),
        }
        match client.get(&own).await {
            Ok(nobody) => {
                let shown = nobody.status == StatusCode::OK && nobody.body == again.body;
                let seen = if shown { "gets the same" } else { "does not get it" };
                cases.tried(!shown, format!("GET {path} of somebody signed in: who is not {seen}"));
            }
            Err(error) => cases.told_nothing(error.to_string()),
        }
        if let Some(second) = tokens.get(1) {
            cases.plan_more(1);
            match leaks(client, path, &own, &again, second).await {
                Ok(leaks) => {
                    let seen = if leaks { "gets the first one's" } else { "gets their own" };
                    cases.tried(!leaks, format!("GET {path} of two users: the second {seen}"));
                }
                Err(error) => cases.told_nothing(error.to_string()),
            }
        }
    }
    tour.closed.retain(|path| !opened.contains(path));
    tour.opened += opened.len();
}

/// Whether the second user gets the first one's answer, where their own is another one. What both get alike tells nothing.
async fn leaks(client: &Client, path: &str, own: &str, first: &Answer, second: &Secret) -> Result<bool, HttpError> {
    let theirs = with(client, &fresh(path), second).await?;
    let given = with(client, own, second).await?;
    Ok(given.status == StatusCode::OK && given.body == first.body && theirs.body != first.body)
}

async fn with(client: &Client, path: &str, token: &Secret) -> Result<Answer, HttpError> {
    let mut request = client.request(Method::GET, path);
    if let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", token.expose())) {
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    client.send(request).await
}

/// What is kept is not given from one sender of credentials to another.
pub(super) async fn among_strangers(cases: &mut Cases, client: &Client, kept: &[&Seen]) {
    for seen in kept.iter().take(ROUTES) {
        cases.plan_more(1);
        not_shared(cases, client, &seen.path).await;
    }
}

/// Many ask at once for what nobody has asked for yet: it is made once. What came of it, in words.
pub(super) async fn crowd(cases: &mut Cases, client: &Client, kept: &[&Seen]) -> String {
    if kept.is_empty() {
        return "nothing is kept in common, so that nothing expires for a crowd".into();
    }
    let mut tried = 0;
    for seen in kept {
        if tried == CROWDED {
            break;
        }
        match is_kept_under_new_addresses(client, &seen.path).await {
            Ok(Some(ages_all)) => {
                tried += 1;
                cases.plan_more(1);
                storm(cases, client, &seen.path, ages_all).await;
            }
            Ok(None) => cases.note(format!("GET {}: its copy does not depend on a query, or is of none", seen.path)),
            Err(error) => cases.note(error.to_string()),
        }
    }
    if tried == 0 {
        let why = "no crowd could be sent: what is kept is kept under its own address alone, and that is known already; \
                   name a path in [check] paths that takes a query";
        cases.told_nothing(why);
    }
    format!("{CROWD} at once for what nobody had asked for cost one answer each on {tried} routes")
}

/// Whether an address that nobody has asked for is answered anew and then kept; and whether `Age` is on what is made, too.
async fn is_kept_under_new_addresses(client: &Client, path: &str) -> Result<Option<bool>, HttpError> {
    let own = fresh(path);
    let (first, second) = twice(client, &own).await?;
    let made = origin(&first) != Origin::Copy && first.status == StatusCode::OK;
    Ok((made && is_copy(&first, &second)).then(|| first.headers.contains_key(header::AGE)))
}

async fn storm(cases: &mut Cases, client: &Client, path: &str, ages_all: bool) {
    let (own, quiet) = (fresh(path), client.clone().quiet());
    let answers = join_all((0..CROWD).map(|_| quiet.get(&own))).await;
    let whole: Vec<&Answer> = answers.iter().flatten().filter(|answer| answer.status == StatusCode::OK).collect();
    let made = whole.iter().filter(|answer| match origin(answer) {
        Origin::Copy => false,
        Origin::Made => true,
        Origin::Either => ages_all,
    });
    let (made, answered) = (made.count(), whole.len());
    let seen = format!("GET {path}, {CROWD} at once: {answered} answered, {made} of them made anew");
    match () {
        () if answered * 2 < CROWD => cases.told_nothing(format!("{seen}: too few to tell")),
        () if made <= 1 => cases.tried(true, seen),
        () if made * 4 > CROWD => cases.tried(false, format!("{seen}: when a copy expires, all who wait ask the app")),
        () => cases.told_nothing(format!("{seen}: some nodes with a store each, or an app faster than the crowd")),
    }
}
