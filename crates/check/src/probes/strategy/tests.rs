//! What the probe says of boards with one bad manner, and of servers that have none at all.

use std::sync::atomic::{AtomicUsize, Ordering};

use seaworthy_core::Secret;

use super::{known::Manners, *};
use crate::{
    fixture::{self, Reply, reply},
    probe::Outcome,
};

fn broken(seen: &Sighting, word: &str) -> bool {
    matches!(&seen.outcome, Outcome::Broken(why) if why.contains(word))
}

fn unclear(seen: &Sighting, word: &str) -> bool {
    matches!(&seen.outcome, Outcome::Unclear(why) if why.contains(word))
}

/// A server with these answers, its paths named.
fn site(paths: &[&str], answer: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Fixture {
    let count = AtomicUsize::new(0);
    let mut fixture = fixture::public(move |request| match request.uri().path() {
        "/" => reply(404, &[], ""),
        path => answer(path, count.fetch_add(1, Ordering::Relaxed)),
    })
    .unwrap();
    fixture.subject.hints.paths = paths.iter().map(|path| (*path).to_owned()).collect();
    fixture
}

#[tokio::test]
async fn routes_that_say_nothing_are_named_with_how_many_there_are() {
    let some = site(&["/a", "/b", "/c", "/healthz"], |path, _| match path {
        "/a" => reply(200, &[("cache-control", "no-store")], "x"),
        "/b" | "/c" | "/healthz" => reply(200, &[("etag", "\"1\"")], "x"),
        _ => reply(404, &[], ""),
    });
    let seen = look(&some.subject).await;
    assert!(broken(&seen, "2 of 3 routes and files say nothing") && broken(&seen, "/b, /c"), "{seen:?}");
}

#[tokio::test]
async fn without_a_write_or_anything_kept_it_is_unclear() {
    let never = site(&["/a"], |_, _| reply(200, &[("cache-control", "no-store")], "x"));
    assert!(unclear(&look(&never.subject).await, "nothing to try"));
    let unwritten = site(&["/a"], |_, _| reply(200, &[("cache-control", "max-age=60")], "x"));
    assert!(unclear(&look(&unwritten.subject).await, "[check] canary"));
    let closed = site(&["/a", "/b"], |_, _| reply(401, &[], "who are you?"));
    assert!(unclear(&look(&closed.subject).await, "without signing in"));
}

#[tokio::test]
async fn a_copy_against_what_is_said_is_found_out() {
    for (headers, word) in [
        (&[("cache-control", "no-store"), ("age", "5")][..], "says no-store"),
        (&[("cache-control", "private"), ("age", "5")], "says private"),
        (&[("x-cache", "HIT")], "nobody says how old"),
        (&[("cache-control", "max-age=60"), ("age", "500")], "500 s old"),
        (&[("cache-control", "public, max-age=60"), ("set-cookie", "sid=1")], "sets a cookie"),
    ] {
        let bad = site(&["/a"], move |_, _| reply(200, headers, "x"));
        let seen = look(&bad.subject).await;
        assert!(broken(&seen, word), "{word}: {seen:?}");
    }
    let failing = site(&["/a"], |_, _| reply(503, &[("age", "5")], "x"));
    assert!(broken(&look(&failing.subject).await, "503 from a copy"));
}

#[tokio::test]
async fn what_one_user_got_nobody_else_gets() {
    for discreet in [true, false] {
        let mut board = known::board(Manners { discreet, ..Manners::default() }).unwrap();
        board.subject.hints.tokens = ["one", "two"].map(|who| Secret::new(format!("token-of-{who}"))).into();
        let seen = look(&board.subject).await;
        match discreet {
            true => assert_eq!(seen.outcome, Outcome::Holds, "{seen:?}"),
            false => assert!(broken(&seen, "who is not gets the same"), "{seen:?}"),
        }
    }
}

#[tokio::test]
async fn a_crowd_that_all_ask_the_app_is_found_out() {
    let board = known::board(Manners { waits: false, ..Manners::default() }).unwrap();
    let seen = look(&board.subject).await;
    assert!(broken(&seen, "all who wait ask the app"), "{seen:?}");
}

#[tokio::test]
async fn a_page_that_shows_no_write_under_any_address_tells_nothing() {
    // A short time, so that the wait for it is one, too; copies stay, so that the page is kept on a slow machine as well.
    let manners = Manners { shows: false, forgets: false, seconds: 1, ..Manners::default() };
    let board = known::board(manners).unwrap();
    let seen = look(&board.subject).await;
    assert!(unclear(&seen, "does not show what was written, under any address"), "{seen:?}");
}

#[tokio::test]
async fn a_write_to_pages_that_are_not_kept_proves_nothing_of_those_that_are() {
    let mut board = known::board(Manners::default()).unwrap();
    if let Some(canary) = &mut board.subject.hints.canary {
        canary.pages = vec!["/assets/app-3f9a1c2b.js".into()];
    }
    let seen = look(&board.subject).await;
    assert!(unclear(&seen, "is among those that are kept"), "{seen:?}");
}

#[tokio::test]
async fn a_purge_that_is_answered_and_takes_nothing_out_is_found_out() {
    // The copy is so young that it has an age of nothing, and nothing else on it says that it is one.
    for purges in [true, false] {
        let board = known::board(Manners { purges, ..Manners::default() }).unwrap();
        let seen = look(&board.subject).await;
        match purges {
            true => assert_eq!(seen.outcome, Outcome::Holds, "{seen:?}"),
            false => assert!(broken(&seen, "still from a copy"), "{seen:?}"),
        }
    }
}

#[tokio::test]
async fn a_copy_may_be_as_old_as_no_number_says() {
    let headers = [("cache-control", "public, max-age=18446744073709551615"), ("age", "5")];
    let long = site(&["/a"], move |_, _| reply(200, &headers, "x"));
    let seen = look(&long.subject).await;
    assert!(unclear(&seen, "no crowd could be sent"), "{seen:?}");
}

#[test]
fn a_sign_in_is_told_by_whole_segments() {
    for is in
        ["/login", "/login.php?next=/a", "/accounts/Login/", "/users/sign_in", "https://auth.test/x", "/oauth2/start"]
    {
        assert!(is_sign_in(is), "{is}");
    }
    for other in
        ["/authors", "/authors/1", "/blog/login-flows", "https://authors.test:80/", "/a?from=/login", "/a#/auth", ""]
    {
        assert!(!is_sign_in(other), "{other}");
    }
}
