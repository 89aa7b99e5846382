//! Version prefixes, rewritten paths, and operations that will go away.

use std::time::Duration;

use libtest_mimic::Trial;

use super::{App, request};
use crate::{
    http::{get, get_with},
    support::{Running, error_text, seaworthy, test, text, until},
};

pub fn tests() -> Vec<Trial> {
    vec![
        test("an_app_without_versions_is_served_below_one", an_app_without_versions_is_served_below_one),
        test("a_path_that_could_be_read_in_two_ways_is_refused", a_path_that_could_be_read_in_two_ways),
        test("a_route_has_another_path_for_the_app", a_route_has_another_path_for_the_app),
        test("no_rewrite_gets_past_the_policy_of_a_place_in_the_app", no_rewrite_gets_past_a_policy),
        test("a_version_gets_past_no_policy_of_what_has_none", a_version_gets_past_no_policy),
        test("a_deprecated_operation_says_so_and_its_callers_are_known", a_deprecated_operation_says_so),
        test("wrong_habits_are_found", wrong_habits_are_found),
        test("versions_and_deprecation_are_proved_when_on_and_not_when_off", versions_and_deprecation_are_proved),
    ]
}

fn an_app_without_versions_is_served_below_one() {
    let app = App::start();
    let health = "[[route]]\nmatch = \"/health\"\nversioned = false\n";
    let running = app.behind(&format!("[api]\nversion_prefix = \"/v1\"\nmap_back = true\n{health}"));
    let items = get_with(&running.url, "/v1/items?a=1", "x-forwarded-prefix: /evil\r\n");
    assert_eq!(items.text(), "/items?a=1 prefix=/v1");
    assert_eq!(items.header("location"), Some("/v1/items?a=1/next"), "mapped back");
    assert!(
        items.head.contains("a=1; Path=/v1/items?a=1\r\n") && items.head.contains("b=2; Path=/\r\n"),
        "{}",
        items.head
    );
    assert_eq!(get(&running.url, "/v1").text(), "/ prefix=/v1");
    assert_eq!(get(&running.url, "/health").text(), "/health prefix=");
    let unversioned = get(&running.url, "/items");
    assert_eq!((unversioned.status, unversioned.json()["code"].as_str()), (404, Some("SEA_API_NO_VERSION")));
    assert_eq!(get(&running.url, "/v10/items").status, 404);
    drop(running);
    let running = app.behind("[api]\nversion_prefix = \"/v1\"\nunversioned = \"redirect\"\n");
    let redirected = get(&running.url, "/items?a=1&b=/x");
    assert_eq!((redirected.status, redirected.header("location")), (308, Some("/v1/items?a=1&b=/x")));
    assert_eq!(get(&running.url, "/v1/items").header("location"), Some("/items/next"), "not mapped back unasked");
}

fn a_path_that_could_be_read_in_two_ways() {
    let app = App::start();
    let running =
        app.behind("[api]\nversion_prefix = \"/v1\"\n[[route]]\nmatch = \"/v1/admin/*\"\nrate = \"1/h per route\"\n");
    assert_eq!(get(&running.url, "/v1/admin/x").status, 200);
    assert_eq!(get(&running.url, "/v1/admin/x").status, 429);
    // Ways past the route's policy to the same place in the app.
    for path in ["/v1//admin/x", "/v1/a/../admin/x", "/v1/%61dmin/x", "/v1/a/%2e%2e/admin/x", "/v1/admin%2fx"] {
        assert_eq!(get(&running.url, path).status, 429, "{path}");
    }
    for path in ["/v1//items", "/v1/a/../items", "/v1/%69tems", "/v1/a%2fitems", "/v1/;/../admin/x"] {
        let answer = get(&running.url, path);
        assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some("SEA_API_AMBIGUOUS_PATH")), "{path}");
    }
}

fn a_route_has_another_path_for_the_app() {
    let app = App::start();
    let running = app.behind(
        "[[route]]\nmatch = \"/old/{id}/*\"\nrewrite = \"/new/*\"\n[[route]]\nmatch = \"/api/*\"\nstrip_prefix = \"/api\"\n\
         map_back = true\n[[route]]\nmatch = \"/order/{id}\"\nrewrite = \"/orders/by-id/{id}\"\n",
    );
    assert_eq!(get(&running.url, "/old/7/a/b?c=d").text(), "/new/a/b?c=d prefix=");
    assert_eq!(get(&running.url, "/order/a%20b").text(), "/orders/by-id/a%20b prefix=");
    let stripped = get(&running.url, "/api/x");
    assert_eq!((stripped.text().as_str(), stripped.header("location")), ("/x prefix=/api", Some("/api/x/next")));
    assert_eq!(get(&running.url, "/else").text(), "/else prefix=");
    until("the log has what was asked", Duration::from_secs(10), || {
        running.access_log().iter().any(|line| line["path"].as_str().is_some_and(|path| path.starts_with("/old/7/a/b")))
    });
}

/// The statuses of a POST to each of these, in turn.
fn posted(running: &Running, paths: &[&str]) -> Vec<(String, u16)> {
    let status = |path: &&str| ((*path).to_owned(), request(&running.url, "POST", path, "", "").unwrap().status);
    paths.iter().map(status).collect()
}

fn all(paths: &[&str], status: u16) -> Vec<(String, u16)> {
    paths.iter().map(|path| ((*path).to_owned(), status)).collect()
}

fn no_rewrite_gets_past_a_policy() {
    let app = App::start();
    // The fallback has no rate, and no way that rewrites asks for a token or has a limit itself.
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "0123456789abcdef0123456789abcdef").unwrap();
    let tokens = format!("[identity.tokens]\nkeys = [\"file:{}\"]\n", key.display());
    let running = app.behind_in(
        folder,
        &(tokens
            + "[[route]]\nmatch = \"POST /login\"\nrate = \"2/h per route\"\n\
         [[route]]\nmatch = \"/admin/*\"\nauth = \"required\"\n\
         [[route]]\nmatch = \"/small\"\nbody_limit = \"3B\"\n\
         [[route]]\nmatch = \"/api/*\"\nstrip_prefix = \"/api\"\n\
         [[route]]\nmatch = \"/sign-in\"\nrewrite = \"/login\"\n\
         [[route]]\nmatch = \"/legacy/{area}/*\"\nrewrite = \"/{area}/*\"\n"),
    );
    let before = ["/login", "/api/login"];
    assert_eq!(posted(&running, &before), all(&before, 201), "two are let in, whichever way they come");
    let spellings = [
        "/login",
        "/api/login",
        "/API/login",
        "/api/LOGIN",
        "/api/login/",
        "/api/%6cogin",
        "/api//login",
        "/api/x/../login",
        "/api/login;a=b",
        "/api%2flogin",
        "/api\\login",
        "/sign-in",
        "/Sign-In/",
        "/sign%2din",
        "//sign-in",
    ];
    assert_eq!(posted(&running, &spellings), all(&spellings, 429));
    assert_eq!(get(&running.url, "/api/login").status, 200, "another method has no such rate");
    assert_eq!(get(&running.url, "/sign-in").status, 200);
    let admin = ["/admin/x", "/api/admin/x", "/api/Admin/x/y", "/legacy/admin/x", "/legacy/Admin/x", "/api/admin%2fx"];
    assert_eq!(posted(&running, &admin), all(&admin, 401));
    let open = ["/adminx", "/api/adminx", "/legacy/users/x"];
    assert_eq!(posted(&running, &open), all(&open, 201), "nothing is asked for elsewhere");
    let large = request(&running.url, "POST", "/api/small", "", "four").unwrap();
    assert_eq!((large.status, request(&running.url, "POST", "/api/small", "", "abc").unwrap().status), (413, 201));
    assert_eq!(get(&running.url, "/legacy/users/x").text(), "/users/x prefix=", "paths are rewritten all the same");
}

fn a_version_gets_past_no_policy() {
    let app = App::start();
    let running = app.behind(
        "[api]\nversion_prefix = \"/v1\"\n[[route]]\nmatch = \"/login\"\nversioned = false\nrate = \"1/h per route\"\n\
         [[route]]\nmatch = \"POST /v1/orders\"\nrate = \"1/h per route\"\n\
         [[route]]\nmatch = \"/inner/*\"\nstrip_prefix = \"/inner\"\n",
    );
    assert_eq!(posted(&running, &["/v1/login"]), all(&["/v1/login"], 201));
    let login = ["/login", "/v1/login", "/V1/login", "/v1/Login", "/v1/login/", "/v1/%6cogin", "/inner/login"];
    assert_eq!(posted(&running, &login), all(&login, 429));
    assert_eq!(posted(&running, &["/inner/orders"]), all(&["/inner/orders"], 201));
    let orders = ["/inner/orders", "/v1/orders", "/inner/Orders", "/v1//orders"];
    assert_eq!(posted(&running, &orders), all(&orders, 429));
    assert_eq!(get(&running.url, "/v1/items").text(), "/items prefix=/v1");
}

fn a_deprecated_operation_says_so() {
    let app = App::start();
    let running = app.behind(
        "[[route]]\nmatch = \"GET /v1/old\"\ndeprecated = { since = \"2026-01-01\", sunset = \"2100-01-01\", \
         link = \"https://docs.test/v1\", successor = \"/v2/new\" }\n\
         [[route]]\nmatch = \"POST /v1/gone\"\ndeprecated = { since = \"2020-01-01\", sunset = \"2021-01-01T00:00:00Z\", \
         after_sunset = \"gone\" }\n",
    );
    let nobody = seaworthy(running.folder.path(), &["deprecated", "--admin", &running.admin]);
    assert!(text(&nobody).contains("nobody has called it"), "{}", error_text(&nobody));
    for _ in 0..3 {
        let old = get_with(&running.url, "/v1/old", "user-agent: old-client/1\r\n");
        assert_eq!(old.status, 200);
        assert_eq!(old.header("deprecation"), Some("@1767225600"));
        assert_eq!(old.header("sunset"), Some("Fri, 01 Jan 2100 00:00:00 GMT"));
        for link in [
            "<https://docs.test/v1>; rel=\"deprecation\"",
            "<https://docs.test/v1>; rel=\"sunset\"",
            "</v2/new>; rel=\"successor-version\"",
        ] {
            assert!(old.head.contains(link), "{}", old.head);
        }
    }
    assert_eq!(get(&running.url, "/v1/else").header("deprecation"), None);
    let gone = request(&running.url, "POST", "/v1/gone", "idempotency-key: k\r\n", "").unwrap();
    assert_eq!((gone.status, gone.json()["code"].as_str()), (410, Some("SEA_API_GONE")));
    assert_eq!((gone.header("sunset"), app.effects("k")), (Some("Fri, 01 Jan 2021 00:00:00 GMT"), 0));
    let shown = text(&seaworthy(running.folder.path(), &["deprecated", "--admin", &running.admin]));
    assert!(shown.contains("3 calls") && shown.contains("old-client/1") && shown.contains("127.0.0.1"), "{shown}");
    let told = text(&seaworthy(running.folder.path(), &["deprecated", "--json", "--admin", &running.admin]));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["routes"][0]["calls"], &told["routes"][1]["calls"]), (&3.into(), &1.into()));
    assert_eq!(told["routes"][0]["callers"][0]["calls"], 3);
    let metrics = get(&running.admin, "/metrics").text();
    assert!(
        metrics.contains("seaworthy_deprecated_requests_total{route=\"GET /v1/old\",caller=\"address\"} 3"),
        "{metrics}"
    );
}

fn wrong_habits_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[app]\nto = \"http://127.0.0.1:1\"\n[api]\nversion_prefix = \"v1\"\nidempotency = \"always\"\n\
                  [[route]]\nmatch = \"/a\"\nrewrite = \"/b/*\"\ndeprecated = { since = \"soon\" }\n";
    std::fs::write(folder.path().join("seaworthy.toml"), config).unwrap();
    let told = error_text(&seaworthy(folder.path(), &["config", "check"]));
    for part in ["version_prefix", "\"required\"", "is no path to rewrite to", "this is no date"] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
}

/// The verdicts of the two controls, as `check` sees the app behind this.
fn proved(running: &Running) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let list = "- [ ] a <!-- seaworthy: control=edge.api-versioning -->\n\
                - [ ] b <!-- seaworthy: control=edge.api-deprecation -->\n";
    std::fs::write(folder.path().join("list.md"), list).unwrap();
    std::fs::write(folder.path().join("seaworthy.toml"), "[check]\npaths = [\"/v1/items\"]\n").unwrap();
    let url = format!("http://{}", running.url);
    let output = seaworthy(folder.path(), &["check", "--json", "list.md", "--url", &url, "--admin", &running.admin]);
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", error_text(&output)));
    let items = report["items"].as_array().unwrap();
    items.iter().map(|item| item["verdict"].as_str().unwrap().to_owned()).collect()
}

fn versions_and_deprecation_are_proved() {
    let app = App::start();
    let on = "[api]\nversion_prefix = \"/v1\"\n[[route]]\nmatch = \"GET /v1/old\"\ndeprecated = { since = \"2026-01-01\" }\n";
    assert_eq!(proved(&app.behind(on)), ["pass", "pass"]);
    assert_eq!(proved(&app.behind("")), ["fail", "not-run"], "nothing says that anything is deprecated");
}
