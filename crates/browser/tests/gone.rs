//! A browser that is killed while others use it. A process of its own: whoever shared that browser would be hit.

use seaworthy_browser::{Browser, BrowserError, Launch, PACKAGES, find};

#[tokio::test]
async fn a_browser_that_is_gone_is_not_shared_any_more() {
    if find().is_none() {
        let must = std::env::var("SEAWORTHY_TEST_REQUIRE").is_ok_and(|what| what == "all");
        assert!(!must, "no browser: {PACKAGES}");
        return;
    }
    let first = Browser::share(&Launch::default()).await.unwrap();
    let page = first.context().await.unwrap().page().await.unwrap();
    nix::sys::signal::killpg(nix::unistd::Pid::from_raw(first.traces().0), nix::sys::signal::Signal::SIGKILL).unwrap();
    while page.evaluate("1").await.is_ok() {}
    assert!(matches!(page.evaluate("1").await, Err(BrowserError::Ended)));
    let second = Browser::share(&Launch::default()).await.unwrap();
    assert_ne!(first.traces().0, second.traces().0);
    let third = Browser::share(&Launch::default()).await.unwrap();
    assert_eq!(third.traces().0, second.traces().0);
}
