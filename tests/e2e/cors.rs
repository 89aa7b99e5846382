//! What pages of other sites are told: before anybody signs in, and of every refusal.

use libtest_mimic::Trial;

use crate::{
    http::{Answer, send},
    identity::{GUNICORN, PYJWT, issue, start, token},
    support::test_with,
};

pub fn tests() -> Vec<Trial> {
    vec![test_with("cors_asks_for_no_sign_in_and_is_on_every_refusal", &[GUNICORN, PYJWT], refusals)]
}

const OURS: &str = "https://app.example.com";

/// Every value of a header.
fn all<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    let lines = answer.head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
}

fn refusals() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = issue("pyjwt", folder.path());
    let running = start(
        folder,
        &format!(
            "[identity]\nauth = \"required\"\n[identity.tokens]\nkeys = [\"file:FOLDER/ES256\"]\n\
             [protection.cors]\norigins = [\"{OURS}\"]\ncredentials = true\n\
             [[route]]\nmatch = \"/get\"\nrate = \"1/h\"\n[[route]]\nmatch = \"/post\"\nbody_limit = \"10B\"\n"
        ),
    );
    let user = format!("authorization: Bearer {}\r\n", token(&tokens, "ES256"));
    let ask = |line: &str, origin: &str, more: &str| {
        let origin = if origin.is_empty() { String::new() } else { format!("origin: {origin}\r\n") };
        let request = format!("{line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{origin}{more}\r\n");
        send(&running.url, request.as_bytes()).unwrap()
    };
    let is_allowed = |answer: &Answer, status: u16| {
        assert_eq!(
            (answer.status, all(answer, "access-control-allow-origin")),
            (status, vec![OURS]),
            "{}",
            answer.head
        );
        assert!(all(answer, "vary").iter().any(|vary| vary.contains("origin")), "{}", answer.head);
    };
    let preflight = "access-control-request-method: GET\r\naccess-control-request-private-network: true\r\n";
    let answer = ask("OPTIONS /get", OURS, preflight);
    is_allowed(&answer, 204);
    assert!(all(&answer, "access-control-allow-private-network").is_empty());
    is_allowed(&ask("GET /get", OURS, ""), 401);
    // httpbin itself lets everybody read everything.
    is_allowed(&ask("GET /get", OURS, &user), 200);
    let limited = ask("GET /get", OURS, &user);
    is_allowed(&limited, 429);
    let exposed = limited.header("access-control-expose-headers").unwrap();
    assert!(exposed.contains("retry-after") && exposed.contains("ratelimit"), "{exposed}");
    is_allowed(&ask("POST /post", OURS, "content-length: 11\r\n"), 413);
    for origin in ["null", "https://evil.example", ""] {
        let answer = ask("GET /headers", origin, &user);
        assert_eq!((answer.status, all(&answer, "access-control-allow-origin")), (200, Vec::new()), "{origin}");
        assert!(all(&answer, "access-control-allow-credentials").is_empty());
        assert!(all(&answer, "vary").iter().any(|vary| vary.contains("origin")), "{}", answer.head);
    }
}
