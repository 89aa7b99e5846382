//! `edge.cdn`: static files are answered by a cache before the app.
//!
//! Files of the front page are fetched by their public address until an answer says that it comes from a cache: an `Age`
//! above zero (RFC 9111, 5.1), `Cache-Status` (RFC 9211), or a header of the CDNs' own.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use regex::Regex;
use seaworthy_evidence::{ProbeKind, SafetyClass};
use tokio::time::sleep;

use super::Known;
use crate::{
    endpoint::Endpoint,
    fixture::{self, reply},
    http::{Answer, Client},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct Cdn;

const FILES: usize = 3;
/// A network of caches has many doors: the second answer may come from another one than the first.
const TRIES: usize = 4;
/// An age shows from one second on.
const PAUSE: Duration = Duration::from_millis(1100);
/// Where CDNs say it: Cloudflare, Vercel, CloudFront and Fastly, Bunny, Google, Akamai, nginx.
const HEADERS: [&str; 10] = [
    "cache-status",
    "cf-cache-status",
    "x-cache",
    "x-vercel-cache",
    "cdn-cache",
    "cdn-cache-status",
    "x-cache-status",
    "x-nf-cache",
    "akamai-cache-status",
    "x-proxy-cache",
];

/// Names below which CDNs put what their customers serve.
const CUSTOMERS: [&str; 8] = [
    ".cloudfront.net",
    ".azureedge.net",
    ".azurefd.net",
    ".b-cdn.net",
    ".fastly.net",
    ".akamaized.net",
    ".kxcdn.com",
    ".cdn77.org",
];

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static LOADED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?i)\b(?:src|href)\s*=\s*["']?([^"'\s>?#]+\.(?:js|mjs|css|woff2|png|jpe?g|webp|avif|svg))\b"#)
        .expect("the pattern is valid")
});
impl Probe for Cdn {
    fn about(&self) -> About {
        About { control: "edge.cdn".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { site(true) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: hashed files with the right lifetimes, and every visitor gets them from the app.
        Box::pin(async { site(false) })
    }
}

/// A public name with a page and its script; `caches`: something before it keeps what was asked for.
fn site(caches: bool) -> io::Result<Fixture> {
    let known: Mutex<std::collections::HashSet<String>> = Mutex::default();
    let mut site = fixture::public(move |request| {
        let path = request.uri().path().to_owned();
        if path == "/" {
            return reply(200, &[("content-type", "text/html")], "<script src=\"/assets/app-3f9a1c2b.js\"></script>");
        }
        let hit = caches && !known.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
        let headers = [("cache-control", "public, max-age=31536000, immutable"), ("cf-cache-status", "HIT")];
        reply(200, if hit { &headers } else { &headers[..1] }, "go()")
    })?;
    let port = site.subject.url.as_ref().and_then(Endpoint::port).unwrap_or(80);
    site.subject.url = Some(Endpoint::Http { host: "app.example.com".into(), port });
    let at = IpAddr::V4(Ipv4Addr::LOCALHOST);
    // The runner asks whether the target is there before any probe looks.
    site.subject.address = Some(at);
    site.subject.outside.known = Some(Known { at, ports: Vec::new() });
    Ok(site)
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.public_client() else {
        return Sighting::not_tried("caches stand before a public name: name it with --url https://app.example.com");
    };
    let mut cases = Cases::plan(0);
    let page = match client.get("/").await {
        Ok(page) if page.status.is_success() => page,
        Ok(page) => {
            return Cases::plan(1)
                .gave_up(format!("GET / answers {}: there is no page to look at", page.status.as_u16()));
        }
        Err(error) => return Cases::plan(1).gave_up(error.to_string()),
    };
    let files = files(&page.text());
    if files.is_empty() {
        return Cases::plan(1).gave_up("the front page loads no script, style, font or image");
    }
    let mut caches = Vec::new();
    let own = files.iter().filter_map(|file| Some((file, place(&client, subject, file)?)));
    let own: Vec<_> = own.take(FILES).collect();
    if own.is_empty() {
        return Cases::plan(1).gave_up("the front page loads files of others alone");
    }
    for (file, (client, path)) in &own {
        cases.plan_more(1);
        match hit(client, path).await {
            Ok(Some(says)) => {
                cases.tried(true, format!("{file}: {says}"));
                caches.push(says);
            }
            Ok(None) => cases
                .tried(false, format!("{file}: fetched {TRIES} times, and no answer says that it comes from a cache")),
            Err(why) => cases.told_nothing(why),
        }
    }
    let says = caches.first().cloned().unwrap_or_default();
    cases.sighting(format!("{} files of the front page come from a cache: {says}", caches.len()))
}

/// What a page loads, names with a hash in them first.
fn files(page: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for matched in LOADED.captures_iter(page) {
        let file = matched[1].to_owned();
        if !found.contains(&file) && !file.starts_with("data:") {
            found.push(file);
        }
    }
    let hashed: Vec<String> = found.iter().filter(|file| is_hashed(file)).cloned().collect();
    if hashed.is_empty() { found } else { hashed }
}

/// Whether a name holds what changes with its content: eight letters or more, and a digit among them.
fn is_hashed(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let mut parts = stem.split(['.', '-', '_']);
    parts.any(|part| part.len() >= 8 && part.bytes().any(|byte| byte.is_ascii_digit()))
}

/// Whom to ask for a file, and under which path.
fn place(client: &Client, subject: &Subject, file: &str) -> Option<(Client, String)> {
    let file = if file.starts_with("//") { format!("https:{file}") } else { file.to_owned() };
    let Some((scheme, rest)) = file.split_once("://") else {
        let path = if file.starts_with('/') { file } else { format!("/{}", file.trim_start_matches("./")) };
        return Some((client.clone(), path));
    };
    let (authority, path) = rest.split_once('/')?;
    let origin: Endpoint = format!("{scheme}://{authority}").parse().ok()?;
    // A page may name any machine: what is not of the internet is not asked.
    origin.host().filter(|host| super::is_public(host) && is_own(subject, host))?;
    let known = subject.outside.known.as_ref().map(|known| known.at);
    Some((client.clone().at(origin).reached_at(known), format!("/{path}")))
}

/// Whether a host may be the app's own: of the same domain, or a name that a CDN gives to its customers. A library from
/// somebody else's CDN says nothing of the app's files.
fn is_own(subject: &Subject, host: &str) -> bool {
    let domain = |host: &str| host.rsplit('.').take(2).map(str::to_ascii_lowercase).collect::<Vec<_>>();
    let same = subject.public_host().is_some_and(|own| domain(own) == domain(host));
    same || CUSTOMERS.iter().any(|end| host.ends_with(end))
}

/// What says that the file comes from a cache, once one does.
async fn hit(client: &Client, path: &str) -> Result<Option<String>, String> {
    for attempt in 0..TRIES {
        if attempt > 0 {
            sleep(PAUSE).await;
        }
        let answer = client.get(path).await.map_err(|error| error.to_string())?;
        if !answer.status.is_success() {
            return Err(format!("GET {path} answers {}", answer.status.as_u16()));
        }
        if let Some(says) = says_hit(&answer) {
            return Ok(Some(says));
        }
    }
    Ok(None)
}

fn says_hit(answer: &Answer) -> Option<String> {
    let says = HEADERS.iter().find_map(|name| {
        let value = answer.header(name)?;
        let lower = value.to_ascii_lowercase();
        let kept = ["stale", "revalidated", "updating", "prerender"];
        let mut words = lower.split(|letter: char| !letter.is_ascii_alphanumeric());
        let hit = words.any(|word| word.ends_with("hit") || kept.contains(&word));
        hit.then(|| format!("{name}: {}", value.chars().take(60).collect::<String>()))
    });
    let age = answer.header("age").and_then(|age| age.trim().parse::<u64>().ok()).filter(|age| *age > 0);
    says.or_else(|| age.map(|age| format!("age: {age}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    #[test]
    fn files_with_hashes_come_first_and_strangers_stay_out() {
        let page = "<link href=/plain.css><script src='/assets/index-BX3f9a1c.js?x=1'></script><img src=\"https://cdn.example.com/a.5d41402abc.png\">";
        assert_eq!(files(page), ["/assets/index-BX3f9a1c.js", "https://cdn.example.com/a.5d41402abc.png"]);
        assert_eq!(files("<link href=/plain.css>"), ["/plain.css"]);
        let url: Endpoint = "http://app.example.com".parse().unwrap();
        let subject = Subject { url: Some(url), ..Subject::default() };
        let client = Client::new("http://app.example.com".parse::<Endpoint>().unwrap(), Default::default());
        let at = |file: &str| {
            place(&client, &subject, file).map(|(client, path)| format!("{} {path}", client.address().origin()))
        };
        assert_eq!(at("//cdn.example.com/a/b.js").as_deref(), Some("https://cdn.example.com /a/b.js"));
        assert_eq!(at("./a.js").as_deref(), Some("http://app.example.com /a.js"));
        assert_eq!(at("http://169.254.169.254/a.js"), None);
        assert_eq!(at("http://localhost:1/a.js"), None);
        assert_eq!(at("https://cdn.jsdelivr.net/npm/a.js"), None);
        assert!(at("https://d1.cloudfront.net/a.js").is_some());
    }

    #[tokio::test]
    async fn an_address_of_this_machine_is_not_tried() {
        let here = fixture::public(|_| reply(200, &[], "")).unwrap();
        assert!(matches!(look(&here.subject).await.outcome, Outcome::NotTried(_)));
    }
}
