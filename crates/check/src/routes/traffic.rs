//! Routes that somebody used: GET requests in the access log that were answered. Ids are folded into the templates that
//! are known; a path with an id that no template knows is left out, for it may be one person's or work only once.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
    sync::LazyLock,
};

use regex::Regex;
use serde_json::Value;

use super::{Origin, Route};

/// So much of the end of a log is read.
const KEPT: u64 = 4 << 20;
const MOST: usize = 200;

/// The routes in a log, without those that a template stands for already.
pub(super) fn read(log: &Path, templates: &[String]) -> Vec<Route> {
    let paths: BTreeSet<String> = tail(log).lines().filter_map(used).collect();
    let fresh = paths.into_iter().filter(|path| !templates.iter().any(|template| fits(path, template)));
    let plain = fresh.filter(|path| !path.split('/').any(is_id));
    plain.take(MOST).map(|path| Route::plain("GET", &path, Origin::Traffic)).collect()
}

fn tail(log: &Path) -> String {
    let mut bytes = Vec::new();
    let read = File::open(log).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(KEPT)))?;
        file.take(KEPT).read_to_end(&mut bytes)
    });
    // A log that cannot be read has seen nothing.
    if read.is_ok() { String::from_utf8_lossy(&bytes).into_owned() } else { String::new() }
}

/// The path of a request that was answered, from a line of JSON or of the common log format; ours do not count.
fn used(line: &str) -> Option<String> {
    static COMMON: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r#""GET (/[^ "]*) HTTP/[\d.]+" (\d{3})\b"#).expect("the pattern is valid")
    });
    if line.contains("seaworthy-check") {
        return None;
    }
    let (path, status) = match serde_json::from_str::<Value>(line) {
        Ok(entry) => {
            let first = |names: &[&str]| names.iter().map(|name| entry[*name].clone()).find(|value| !value.is_null());
            (first(&["method", "request_method"])?.as_str()? == "GET").then_some(())?;
            let path = first(&["path", "uri", "url", "request_uri"])?.as_str()?.to_owned();
            let status = first(&["status", "status_code"])?;
            (path, status.as_u64().or_else(|| status.as_str()?.parse().ok())?)
        }
        Err(_) => {
            let found = COMMON.captures(line)?;
            (found[1].to_owned(), found[2].parse().ok()?)
        }
    };
    let path = path.split(['?', '#']).next().unwrap_or_default().to_owned();
    let answered = matches!(status, 200..=399 | 401 | 403);
    let usable = path.starts_with('/') && !path.starts_with("//") && path.parse::<http::Uri>().is_ok();
    (answered && usable && !is_file(&path)).then_some(path)
}

/// Whether a path is one that this template stands for.
fn fits(path: &str, template: &str) -> bool {
    let segments = |text: &str| text.trim_end_matches('/').split('/').map(str::to_owned).collect::<Vec<_>>();
    let (path, template) = (segments(path), segments(template));
    path.len() == template.len()
        && path.iter().zip(&template).all(|(given, known)| given == known || (known.contains('{') && !given.is_empty()))
}

/// Numbers, UUIDs, hashes, tokens, addresses: what is another one for everybody.
fn is_id(segment: &str) -> bool {
    let digits = segment.chars().filter(char::is_ascii_digit).count();
    let is_version = segment.len() <= 3 && segment.starts_with('v');
    let is_token = segment.len() >= 16 && !segment.contains('-');
    !is_version && (digits * 2 >= segment.len().max(1) || digits >= 4 || is_token || segment.contains(['@', '%', '=']))
}

/// Files are no routes of the app.
fn is_file(path: &str) -> bool {
    const KINDS: [&str; 16] = [
        "js", "css", "map", "png", "jpg", "jpeg", "gif", "svg", "ico", "webp", "woff", "woff2", "ttf", "txt", "xml",
        "wasm",
    ];
    path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).is_some_and(|(_, kind)| KINDS.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_told_from_what_was_only_asked_for() {
        let json = |method: &str, path: &str, status: u16| {
            used(&format!(
                "{{\"method\":\"{method}\",\"path\":\"{path}\",\"status\":{status},\"user_agent\":\"curl\"}}"
            ))
        };
        assert_eq!(json("GET", "/a?b=1", 200).as_deref(), Some("/a"));
        assert_eq!(json("GET", "/a", 404), None);
        assert_eq!(json("POST", "/a", 200), None);
        assert_eq!(json("GET", "/app.js", 200), None);
        assert_eq!(
            used("{\"method\":\"GET\",\"path\":\"/a\",\"status\":200,\"user_agent\":\"seaworthy-check/1\"}"),
            None
        );
        let common = "203.0.113.7 - - [21/Nov/2026:10:00:00 +0000] \"GET /b HTTP/1.1\" 200 12 \"-\" \"curl\"";
        assert_eq!(used(common).as_deref(), Some("/b"));
        assert_eq!(used("not a line"), None);
    }

    #[test]
    fn ids_are_folded_where_a_template_knows_them_and_left_out_elsewhere() {
        assert!(fits("/items/77", "/items/{id}") && fits("/items/", "/items") && !fits("/items/77/x", "/items/{id}"));
        for id in ["77", "3f9a1c2b", "00000000-0000-4000-8000-000000000000", "eyJhbGciOiJIUzI1NiJ9", "a@b.test"] {
            assert!(is_id(id), "{id}");
        }
        for name in ["", "v1", "users", "terms-and-conditions", "oauth2"] {
            assert!(!is_id(name), "{name}");
        }
    }
}
