//! `cache.static-assets`: what a page loads may be kept for long under hashed names, is compressed, and is asked for again
//! cheaply; the page itself is not kept.

use std::{collections::BTreeSet, io, sync::LazyLock};

use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use regex::Regex;

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, reply},
    http::{Answer, Client},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct StaticAssets;

/// A year, as RFC 9111 knows no longer one that means anything.
const LONG: u64 = 31_536_000;
/// A page that is kept longer shows the release before the last one.
const LONGEST_PAGE: u64 = 3600;
const SAMPLE: usize = 20;
/// Smaller files gain nothing by compression.
const WORTH_COMPRESSING: u64 = 1400;
/// Indentation and blank lines beyond this part of a file: nobody has minified it.
const AIR: f64 = 0.05;
const HOPS: usize = 3;

impl Probe for StaticAssets {
    fn about(&self) -> About {
        About { control: "cache.static-assets".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { site("public, max-age=31536000, immutable") })
    }

    // The common mistake: hashed names, and a cache that asks every time.
    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { site("public, max-age=0") })
    }
}

fn site(caching: &'static str) -> io::Result<Fixture> {
    fixture::public(move |request| match request.uri().path() {
        "/" => reply(
            200,
            &[("content-type", "text/html"), ("cache-control", "no-cache")],
            "<script src=\"/assets/app-3f9a1c2b.js\"></script><link rel=stylesheet href='assets/app.5d41402a.css'>",
        ),
        path if path.starts_with("/assets/") => {
            let etag = [("etag", "\"1\""), ("cache-control", caching), ("vary", "accept-encoding")];
            if request.headers().contains_key("if-none-match") {
                return reply(304, &etag, "");
            }
            let encoded = request.headers().contains_key("accept-encoding").then_some(("content-encoding", "gzip"));
            let headers: Vec<_> = etag.into_iter().chain(encoded).collect();
            reply(200, &headers, "a".repeat(2000))
        }
        _ => reply(404, &[], ""),
    })
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let mut cases = Cases::plan(1);
    let (base, page) = match page(&client).await {
        Ok(found) => found,
        Err(why) => return cases.gave_up(why),
    };
    let assets = linked(&page.text(), &base, client.address().host().unwrap_or("localhost"));
    if assets.is_empty() {
        return cases.gave_up(format!("GET {base} loads no script, style, font or image from this host"));
    }
    let kept = lifetime(&page);
    let fresh = kept.is_none_or(|seconds| seconds <= LONGEST_PAGE) && !is_immutable(&page);
    cases.tried(fresh, format!("GET {base} may be kept for {} s", kept.unwrap_or(0)));
    let sample: Vec<&String> = assets.iter().take(SAMPLE).collect();
    cases.plan_more(sample.len());
    let mut compressed = 0;
    for path in &sample {
        match look_at(&client, path).await {
            Ok(seen) => {
                compressed += usize::from(seen.compressed);
                cases.tried(seen.faults.is_empty(), format!("GET {path}: {}", seen.faults.join(", ")));
            }
            Err(why) => cases.told_nothing(why),
        }
    }
    cases.sighting(format!(
        "{} of {} assets of GET {base}: hashed ones kept a year, 304 when asked again, {compressed} compressed; the page {}",
        sample.len(),
        assets.len(),
        kept.map_or("sets no lifetime".to_owned(), |seconds| format!("is kept {seconds} s"))
    ))
}

/// The front page, after redirects that stay on this host and scheme.
async fn page(client: &Client) -> Result<(String, Answer), String> {
    let mut path = "/".to_owned();
    for _ in 0..=HOPS {
        let answer = client.get(&path).await.map_err(|error| error.to_string())?;
        if answer.status.is_success() {
            return Ok((path, answer));
        }
        let location = answer.header("location").unwrap_or_default().to_owned();
        let next = answer.status.is_redirection().then(|| local(&location, &path, client.address().host())).flatten();
        path = next.ok_or_else(|| format!("GET {path} → {} shows no page of this host", answer.status.as_u16()))?;
    }
    Err(format!("GET / is redirected more than {HOPS} times"))
}

struct Seen {
    faults: Vec<String>,
    compressed: bool,
}

async fn look_at(client: &Client, path: &str) -> Result<Seen, String> {
    let plain = ask(client, path, None).await?;
    let mut faults = Vec::new();
    if plain.status != StatusCode::OK {
        return Ok(Seen { faults: vec![format!("answers {}", plain.status.as_u16())], compressed: false });
    }
    let text = is_text(path);
    match (is_hashed(path), lifetime(&plain)) {
        (true, Some(seconds)) if seconds >= LONG => {}
        (true, kept) => faults.push(format!("has a hashed name and may be kept for {} s only", kept.unwrap_or(0))),
        (false, _) if is_immutable(&plain) => faults.push("is immutable under a name that stays the same".into()),
        (false, _) if is_code(path) => {
            faults.push("has no hash in its name, so that it cannot be kept for long".into())
        }
        (false, _) => {}
    }
    if let Some(fault) = again(client, path, &plain).await? {
        faults.push(fault);
    }
    let mut compressed = false;
    if text && plain.length >= WORTH_COMPRESSING {
        let encoded = ask(client, path, Some((header::ACCEPT_ENCODING, "br, gzip".into()))).await?;
        compressed = encoded.header("content-encoding").is_some_and(|coding| coding != "identity");
        if !compressed {
            faults.push(format!("is sent uncompressed ({} bytes)", plain.length));
        }
    }
    let air = air(&plain.body);
    if is_code(path) && plain.header("content-encoding").is_none() && air > AIR {
        faults.push(format!("is not minified: {:.0}% of it is indentation", air * 100.0));
    }
    Ok(Seen { faults, compressed })
}

async fn ask(client: &Client, path: &str, header: Option<(HeaderName, String)>) -> Result<Answer, String> {
    let mut request = client.request(Method::GET, path);
    if let Some((name, value)) = header
        && let Ok(value) = HeaderValue::from_str(&value)
    {
        request.headers_mut().insert(name, value);
    }
    client.send(request).await.map_err(|error| error.to_string())
}

/// Asks again with the validator of the first answer.
async fn again(client: &Client, path: &str, first: &Answer) -> Result<Option<String>, String> {
    let etag = first.header("etag").map(|etag| (header::IF_NONE_MATCH, etag.to_owned()));
    let date = || first.header("last-modified").map(|date| (header::IF_MODIFIED_SINCE, date.to_owned()));
    let Some(validator) = etag.or_else(date) else { return Ok(Some("has neither ETag nor Last-Modified".into())) };
    let answer = ask(client, path, Some(validator)).await?;
    let status = answer.status.as_u16();
    Ok((status != 304).then(|| format!("is sent again in full to whom it is known ({status})")))
}

/// Everything of this host that the page loads, in its order, each once.
pub(super) fn linked(html: &str, base: &str, host: &str) -> Vec<String> {
    static LINKS: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r#"(?i)\b(?:src|href)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))"#).expect("the pattern is valid")
    });
    let mut known = BTreeSet::new();
    let found = LINKS.captures_iter(html).filter_map(|link| link.iter().skip(1).flatten().next());
    let paths = found.filter_map(|link| local(&link.as_str().replace("&amp;", "&"), base, Some(host)));
    paths
        .filter(|path| extension(path).is_some_and(|kind| KINDS.contains(&kind.as_str())))
        .filter(|path| known.insert(path.clone()))
        .collect()
}

/// A link as a path of this host, or `None` when it leads elsewhere.
fn local(link: &str, base: &str, host: Option<&str>) -> Option<String> {
    let link = link.split('#').next().unwrap_or_default().trim();
    let rest = link.strip_prefix("https:").or_else(|| link.strip_prefix("http:")).unwrap_or(link);
    if let Some(rest) = rest.strip_prefix("//") {
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let name = authority.parse::<http::uri::Authority>().ok()?;
        let own = host.is_some_and(|host| name.host().trim_matches(['[', ']']).eq_ignore_ascii_case(host));
        return own.then(|| if path.is_empty() { "/".into() } else { path.to_owned() });
    }
    if link.is_empty() || link.split(['/', '?']).next().is_some_and(|first| first.contains(':')) {
        return None;
    }
    if link.starts_with('/') {
        return Some(link.to_owned());
    }
    let folder = base.split('?').next().unwrap_or("/");
    let folder = &folder[..=folder.rfind('/').unwrap_or(0)];
    Some(format!("{folder}{}", link.trim_start_matches("./")))
}

const KINDS: [&str; 15] =
    ["js", "mjs", "css", "woff2", "woff", "ttf", "png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico", "wasm"];

fn extension(path: &str) -> Option<String> {
    let name = path.split('?').next()?.rsplit('/').next()?;
    Some(name.rsplit_once('.')?.1.to_lowercase())
}

fn is_code(path: &str) -> bool {
    extension(path).is_some_and(|kind| ["js", "mjs", "css"].contains(&kind.as_str()))
}

fn is_text(path: &str) -> bool {
    is_code(path) || extension(path).is_some_and(|kind| kind == "svg")
}

/// A part of the name or the query that changes with the content: eight or more letters and digits with both among them.
pub(super) fn is_hashed(path: &str) -> bool {
    let (name, query) = path.split_once('?').unwrap_or((path, ""));
    let looks = |part: &str| {
        part.len() >= 8
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
            && part.bytes().any(|byte| byte.is_ascii_digit())
            && (part.bytes().all(|byte| byte.is_ascii_hexdigit()) || part.bytes().any(|byte| byte.is_ascii_uppercase()))
    };
    // Parts of names, not names: `bootstrap5` is no hash, `app-3f9a1c2b` has one. Folders count: a build may have its own.
    let parts = name.split(['/', '.', '-', '_', '~']).chain(name.split(['/', '.']));
    let short = |part: &str| {
        let bytes = || part.bytes();
        part.len() >= 6
            && bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
            && bytes().any(|byte| byte.is_ascii_digit())
            && bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    // Nobody writes a query of that shape by hand, so a short one counts there.
    let query = || query.split(['&', '=']);
    parts.chain(query()).any(looks) || query().any(short) || name.split(['/', '.']).any(ends_in_short_hash)
}

/// Vite's kind: eight characters behind a dash, of both cases and perhaps without a digit.
fn ends_in_short_hash(stem: &str) -> bool {
    let Some((before, hash)) = stem.len().checked_sub(8).and_then(|at| stem.split_at_checked(at)) else { return false };
    let capitals = hash.bytes().skip(1).any(|byte| byte.is_ascii_uppercase());
    before.ends_with('-') && capitals && hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// How long an answer may be kept without asking; `None` when it does not say.
fn lifetime(answer: &Answer) -> Option<u64> {
    let control = answer.header("cache-control")?.to_lowercase();
    if control.contains("no-store") || control.contains("no-cache") {
        return Some(0);
    }
    control.split(',').find_map(|directive| directive.trim().strip_prefix("max-age=")?.trim_matches('"').parse().ok())
}

pub(super) fn is_immutable(answer: &Answer) -> bool {
    answer.header("cache-control").is_some_and(|control| control.to_lowercase().contains("immutable"))
}

/// The part of a text that is indentation and blank lines.
fn air(bytes: &[u8]) -> f64 {
    let text = String::from_utf8_lossy(bytes);
    let white =
        text.split_inclusive('\n').map(|line| line.len() - line.trim_start_matches([' ', '\t', '\r', '\n']).len());
    white.sum::<usize>() as f64 / text.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_on_the_host() {
        let html = r#"<a href="/about"><script src=/a.js></script><script src="//cdn.test/b.js"></script>
            <link href="https://EXAMPLE.test/c.css?v=1&amp;w=2"><img src='./d.png#x'><img src="data:image/png;base64,x.png">
            <script src="http://example.test.evil.test/e.js"></script><script src="/a.js">"#;
        assert_eq!(linked(html, "/shop/", "example.test"), ["/a.js", "/c.css?v=1&w=2", "/shop/d.png"]);
    }

    #[test]
    fn hashes_are_told_from_words() {
        for hashed in [
            "/app-3f9a1c2b.js",
            "/_next/static/chunks/main-D8xK2a9Q.js",
            "/5d41402abc4b2a76b9719d911017c592.css",
            "/a.js?v=5d41402abc",
            "/app.css?d59929",
            "/assets/index-DiwrgTda.js",
            "/static/9c0d1e2f/app.js",
        ] {
            assert!(is_hashed(hashed), "{hashed}");
        }
        for plain in [
            "/bootstrap5.js",
            "/app.css?v=123456",
            "/app.css?theme=decade",
            "/app.js",
            "/jquery-3.7.1.min.js",
            "/stylesheet.css?page=2",
            "/background.png",
            "/color-Selector.js",
        ] {
            assert!(!is_hashed(plain), "{plain}");
        }
    }

    #[test]
    fn minified_code_has_no_air() {
        assert!(air(b"function a(){return 1}\n") < AIR);
        assert!(air(b"function a() {\n    return 1;\n}\n") > AIR);
    }
}
