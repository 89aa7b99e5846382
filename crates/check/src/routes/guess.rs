//! Paths that apps usually have, and whether a route that somebody names is there at all.

use futures_util::{StreamExt, stream};
use http::StatusCode;

use super::{Origin, Route};
use crate::http::Client;

/// What is asked at once: an app is asked, not stormed.
const AT_ONCE: usize = 4;
/// Nobody has this.
const UNKNOWN: &str = "/seaworthy-check/no-such-route";

/// Front page, sign-in, administration, interface, health, documentation: under the names that frameworks give them.
const USUAL: [&str; 30] = [
    "/",
    "/login",
    "/signin",
    "/signup",
    "/register",
    "/admin",
    "/admin/",
    "/dashboard",
    "/account",
    "/users",
    "/api",
    "/api/",
    "/api/v1",
    "/api/health",
    "/api/users",
    "/graphql",
    "/health",
    "/healthz",
    "/ready",
    "/readyz",
    "/livez",
    "/ping",
    "/status",
    "/version",
    "/metrics",
    "/docs",
    "/redoc",
    "/openapi.json",
    "/robots.txt",
    "/sitemap.xml",
];

/// Every guess.
pub(super) fn all() -> impl Iterator<Item = Route> {
    USUAL.iter().map(|path| Route::plain("GET", path, Origin::Guess))
}

/// Those of the candidates that are there, in their order. Only what GET without a parameter can tell is asked; an answer
/// that every path gets tells nothing of a guess.
pub(super) async fn existing(client: &Client, candidates: Vec<Route>) -> Vec<Route> {
    let Ok(unknown) = client.head_of(UNKNOWN).await else {
        return candidates.into_iter().filter(|route| route.origin == Origin::Source).collect();
    };
    let asked = candidates.into_iter().map(|route| async move {
        let can_be_asked =
            route.method == "GET" && !route.is_parametric() && !route.needs_query && !route.changes_something();
        let there = match can_be_asked {
            true => {
                client.head_of(&route.path).await.is_ok_and(|answer| is_there(&route, answer.status, unknown.status))
            }
            false => true,
        };
        there.then_some(route)
    });
    stream::iter(asked).buffered(AT_ONCE).filter_map(std::future::ready).collect().await
}

fn is_there(route: &Route, status: StatusCode, unknown: StatusCode) -> bool {
    let missing = matches!(status.as_u16(), 404 | 405 | 410 | 421 | 429 | 501..=504);
    // Every server has a front page; what else answers as nothing does was nobody's route.
    !missing && (route.origin != Origin::Guess || route.path == "/" || status != unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_that_answers_as_an_unknown_path_does_is_no_route() {
        let there = |path: &str, status: u16, unknown: u16| {
            let route = Route::plain("GET", path, Origin::Guess);
            is_there(&route, StatusCode::from_u16(status).unwrap(), StatusCode::from_u16(unknown).unwrap())
        };
        assert!(there("/admin", 401, 404) && there("/admin", 302, 404) && there("/", 308, 308));
        assert!(!there("/admin", 308, 308) && !there("/admin", 404, 404) && !there("/admin", 405, 404));
    }
}
