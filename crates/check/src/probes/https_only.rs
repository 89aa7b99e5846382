//! `edge.https-only`: plain HTTP gets a redirect to the same host or nothing; over TLS, browsers are told to stay there.

use std::{collections::BTreeMap, io, time::Duration};

use http::Uri;

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    endpoint::Endpoint,
    fixture::{Authority, Server, ServerOptions, answering, reply},
    http::{Answer, Client, HttpError},
    instances::instances,
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct HttpsOnly;

/// Half a year: what preload lists and scanners take as the least.
const HSTS_SECONDS: u64 = 15_552_000;
/// So many routes are asked, over plain HTTP and over TLS.
const ROUTES: usize = 30;
const PATIENCE: Duration = Duration::from_secs(5);

impl Probe for HttpsOnly {
    fn about(&self) -> About {
        About { control: "edge.https-only".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { both(true) })
    }

    // The common half: HTTPS is there, and so is everything over plain HTTP.
    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { both(false) })
    }
}

fn both(redirects: bool) -> io::Result<Fixture> {
    let authority = Authority::new()?;
    let tls = Some(authority.server(&["127.0.0.1"], (-1, 90))?);
    let page = |_: &http::Request<hyper::body::Incoming>| {
        let headers =
            [("strict-transport-security", "max-age=31536000"), ("set-cookie", "session=1; Secure; HttpOnly")];
        reply(200, &headers, "page")
    };
    let encrypted = Server::start(answering(page), ServerOptions { tls, ..ServerOptions::default() })?;
    let target = encrypted.address.to_string();
    let plain = Server::start(
        answering(move |request| match redirects {
            true => reply(308, &[("location", &format!("{target}{}", request.uri()))], ""),
            false => reply(200, &[], "page"),
        }),
        ServerOptions::default(),
    )?;
    let mut subject = Subject { url: Some(encrypted.address.clone()), trust: authority.trust(), ..Subject::default() };
    subject.hints.plain = Some(plain.address.clone());
    Ok(Fixture { subject, _keep: Vec::new() }.keep(encrypted).keep(plain))
}

async fn look(subject: &Subject) -> Sighting {
    let (Some(url), Some(client)) = (&subject.url, subject.client()) else {
        return Sighting::not_tried("name the app's address with --url");
    };
    let client = client.patience(PATIENCE);
    let (plain, encrypted) = match url {
        Endpoint::Unix(_) => {
            return Sighting::not_tried("a Unix socket has no TLS: name the public address with --url");
        }
        Endpoint::Http { .. } => (Some(url.clone()), None),
        Endpoint::Https { host, port } => {
            let standard = (*port == 443).then(|| Endpoint::Http { host: host.clone(), port: 80 });
            (subject.hints.plain.clone().or(standard), Some(url.clone()))
        }
    };
    let sample = subject.sample(ROUTES).await;
    let mut paths = vec!["/", "/seaworthy-check/no-such-page?page=1"];
    paths.extend(sample.paths().filter(|path| *path != "/"));
    let mut cases = Cases::plan(paths.len());
    let Some(plain) = plain else {
        return cases.gave_up("which port takes plain HTTP is not known: [check] plain_url = \"http://HOST:PORT\"");
    };
    let mut answers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut target = None;
    for path in &paths {
        let (kind, to) = try_plain(&client.clone().at(plain.clone()), path, &mut cases).await;
        *answers.entry(kind).or_default() += 1;
        target = target.or(to);
    }
    let kinds = answers.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ");
    let over_plain = format!("{plain}: {kinds}");
    let Some(encrypted) = encrypted.or(target) else {
        cases.told_nothing(format!("no HTTPS address is known that could be looked at ({over_plain})"));
        return cases.sighting("");
    };
    cases.plan_more(paths.len() + 1);
    plain_on_tls_port(&client, &encrypted, &mut cases).await;
    for path in &paths {
        try_encrypted(&client.clone().at(encrypted.clone()), path, &mut cases).await;
    }
    let inside = try_instances(subject, &mut cases).await;
    cases.sighting(format!(
        "{over_plain}; {encrypted}: {} answers with HSTS of at least {HSTS_SECONDS} s and no cookie without Secure{inside}; \
         {sample}",
        paths.len()
    ))
}

/// One path over plain HTTP: what kind of answer it was, and where it leads.
async fn try_plain(client: &Client, path: &str, cases: &mut Cases) -> (&'static str, Option<Endpoint>) {
    let answer = match client.head_of(path).await {
        Ok(answer) => answer,
        Err(HttpError::Connect(_, error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            cases.tried(true, format!("GET {path} over plain HTTP: nobody listens"));
            return ("refused", None);
        }
        Err(error) => {
            cases.told_nothing(error.to_string());
            return ("without an answer", None);
        }
    };
    match judge_plain(&answer, client.address(), path) {
        Ok(Some(target)) => {
            cases.tried(true, format!("GET {path} over plain HTTP → {} to https", answer.status.as_u16()));
            ("redirected", Some(target))
        }
        Ok(None) => {
            cases.tried(true, format!("GET {path} over plain HTTP → {}", answer.status.as_u16()));
            ("refused", None)
        }
        Err(why) => {
            cases.tried(false, format!("GET {path} over plain HTTP → {}: {why}", answer.status.as_u16()));
            ("answered", None)
        }
    }
}

/// Where a redirect leads, `None` for a refusal, or what is wrong.
fn judge_plain(answer: &Answer, asked: &Endpoint, path: &str) -> Result<Option<Endpoint>, String> {
    if answer.header("set-cookie").is_some() {
        return Err("it sets a cookie in the open".into());
    }
    match answer.status.as_u16() {
        301 | 308 => {}
        302 | 303 | 307 => return Err("the redirect is temporary: clients ask in the open again and again".into()),
        // Forbidden, misdirected, upgrade required, or not understood at all.
        400 | 403 | 421 | 426 => return Ok(None),
        _ => return Err("it answers in the open".into()),
    }
    let location = answer.header("location").unwrap_or_default();
    let uri: Uri = location.parse().map_err(|_| format!("Location `{location}` is no address"))?;
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    if uri.scheme_str() != Some("https") {
        return Err(format!("it redirects to {location}, which is not https"));
    }
    if !asked.host().is_some_and(|asked| asked.eq_ignore_ascii_case(host)) {
        return Err(format!("it redirects to another host: {location}"));
    }
    if uri.path_and_query().map(http::uri::PathAndQuery::as_str) != Some(path) {
        return Err(format!("it redirects to {location} and loses the path"));
    }
    Ok(Some(Endpoint::Https { host: host.to_owned(), port: uri.port_u16().unwrap_or(443) }))
}

/// Plain HTTP to the TLS port: servers that guess would answer it.
async fn plain_on_tls_port(client: &Client, encrypted: &Endpoint, cases: &mut Cases) {
    let (Some(host), Some(port)) = (encrypted.host(), encrypted.port()) else { return };
    let client = client.clone().at(Endpoint::Http { host: host.to_owned(), port });
    match client.get("/").await {
        Ok(answer) => {
            let judged = judge_plain(&answer, client.address(), "/");
            let why = judged.as_ref().err().map_or("no content", String::as_str);
            cases.tried(judged.is_ok(), format!("plain HTTP to port {port} → {}: {why}", answer.status.as_u16()));
        }
        Err(HttpError::Broken(..)) => cases.tried(true, format!("plain HTTP to port {port} is refused")),
        Err(error) => cases.told_nothing(error.to_string()),
    }
}

async fn try_encrypted(client: &Client, path: &str, cases: &mut Cases) {
    let answer = match client.head_of(path).await {
        Ok(answer) => answer,
        Err(error) => return cases.told_nothing(error.to_string()),
    };
    let seconds = answer.header("strict-transport-security").and_then(max_age);
    let open = answer.headers.get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok());
    let open = open.filter(|cookie| !is_secure(cookie)).filter_map(|cookie| cookie.split('=').next()).next();
    let preload = answer.header("strict-transport-security").and_then(preload_fault);
    let seen = match (seconds, open) {
        (None, _) => "no HSTS".to_owned(),
        (Some(seconds), _) if seconds < HSTS_SECONDS => format!("HSTS for {seconds} s, under {HSTS_SECONDS}"),
        (_, Some(cookie)) => format!("the cookie {cookie} is not Secure"),
        (Some(_), None) if preload.is_some() => preload.unwrap_or_default().to_owned(),
        (Some(seconds), None) => format!("HSTS for {seconds} s"),
    };
    let holds = seconds.is_some_and(|seconds| seconds >= HSTS_SECONDS) && open.is_none() && preload.is_none();
    cases.tried(holds, format!("GET {path} over HTTPS → {}: {seen}", answer.status.as_u16()));
}

/// Behind a Seaworthy: the instances must be reached from this machine alone.
async fn try_instances(subject: &Subject, cases: &mut Cases) -> String {
    let Some(admin) = subject.admin_client() else { return String::new() };
    let Ok(found) = instances(&admin.patience(PATIENCE)).await else { return String::new() };
    let ports: Vec<u16> = found.iter().filter_map(|one| one.port()).collect();
    let Some(address) = network_address().filter(|_| !ports.is_empty()) else { return String::new() };
    cases.plan_more(1);
    for port in &ports {
        if tokio::net::TcpStream::connect((address, *port)).await.is_ok() {
            cases.tried(false, format!("the app's own port {port} is open to the network"));
            return String::new();
        }
    }
    cases.tried(true, "the app's own ports are closed to the network");
    format!("; {} ports of the app closed on this machine's network address", ports.len())
}

/// An address of this machine that others can reach. The socket is only asked which one it would use; nothing is sent.
fn network_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback() && !address.is_unspecified())
}

/// Who asks to be on the preload list must have what the list asks for (hstspreload.org), or is not taken.
fn preload_fault(value: &str) -> Option<&'static str> {
    const YEAR: u64 = 31_536_000;
    let has = |name: &str| value.split(';').any(|directive| directive.trim().eq_ignore_ascii_case(name));
    match () {
        () if !has("preload") => None,
        () if !has("includeSubDomains") => Some("HSTS asks for preload without includeSubDomains"),
        () if max_age(value) < Some(YEAR) => Some("HSTS asks for preload with less than a year"),
        () => None,
    }
}

/// RFC 6797, 6.1.1.
fn max_age(value: &str) -> Option<u64> {
    value.split(';').find_map(|directive| {
        let (name, seconds) = directive.split_once('=')?;
        name.trim().eq_ignore_ascii_case("max-age").then(|| seconds.trim().trim_matches('"').parse().ok())?
    })
}

fn is_secure(cookie: &str) -> bool {
    cookie.split(';').skip(1).any(|attribute| attribute.trim().eq_ignore_ascii_case("secure"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;

    fn judged(status: u16, location: &str) -> Result<Option<Endpoint>, String> {
        let mut headers = HeaderMap::new();
        headers.insert("location", HeaderValue::from_str(location).unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, headers, body: Bytes::new(), length: 0, elapsed: Duration::ZERO };
        judge_plain(&answer, &"http://example.test".parse().unwrap(), "/a?b=1")
    }

    #[test]
    fn only_a_lasting_redirect_to_the_same_page_counts() {
        let target = judged(308, "https://example.test/a?b=1").unwrap().unwrap();
        assert_eq!(target.to_string(), "https://example.test:443");
        assert!(judged(301, "https://EXAMPLE.test:8443/a?b=1").unwrap().is_some());
        assert_eq!(judged(426, "/").unwrap(), None);
        for (status, location) in [
            (302, "https://example.test/a?b=1"),
            (308, "https://www.example.test/a?b=1"),
            (308, "https://example.test/"),
            (308, "http://example.test/a?b=1"),
            (308, "/a?b=1"),
            (200, "https://example.test/a?b=1"),
            (404, "/"),
        ] {
            assert!(judged(status, location).is_err(), "{status} {location}");
        }
    }

    #[test]
    fn hsts_and_cookies_are_read_as_browsers_do() {
        assert_eq!(max_age("includeSubDomains; Max-Age=\"63072000\""), Some(63_072_000));
        assert_eq!(max_age("max-age=soon"), None);
        assert_eq!(preload_fault("max-age=63072000; includeSubDomains; preload"), None);
        assert!(preload_fault("max-age=31536000; preload").is_some());
        assert!(preload_fault("max-age=15552000; includeSubDomains; preload").is_some());
        assert!(is_secure("a=secure; Path=/; SECURE") && !is_secure("a=secure; HttpOnly"));
    }
}
