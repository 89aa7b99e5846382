//! Reports of browsers, which anybody can send: only what is short, known and about our own pages is taken.
//!
//! Two forms: `application/csp-report` (CSP 3, 5.3, one report) and `application/reports+json` (Reporting API, a list of
//! all kinds).

use http::Uri;
use serde_json::Value;

use super::policy::fallbacks;

/// So many reports of one request are looked at.
const MOST_AT_ONCE: usize = 50;
/// Longer addresses are no addresses of pages that people visit.
const LONGEST: usize = 2_048;
/// A longer part of a path is more likely a secret than a name.
const LONGEST_NAME: usize = 24;

/// Something that a page did and the policy forbids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Violation {
    /// The effective directive.
    pub directive: &'static str,
    /// What was forbidden.
    pub blocked: Blocked,
}

/// What was forbidden, without anything that is particular to one visit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Blocked {
    /// A script, handler or style inside of the page.
    Inline,
    /// `eval` and its like.
    Eval,
    /// WebAssembly.
    Wasm,
    /// Something of the page's own origin.
    Own,
    /// `data:`, `blob:`.
    Scheme(&'static str),
    /// Another origin.
    Origin(String),
}

/// What one request brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// What happened, and on which page.
    pub violations: Vec<(Violation, String)>,
    /// About other sites' pages, browser extensions, or not to be read.
    pub ignored: u64,
}

/// The two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Single,
    List,
}

impl Form {
    /// By the media type.
    pub(super) fn of(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/csp-report" => Some(Self::Single),
            "application/reports+json" => Some(Self::List),
            _ => None,
        }
    }
}

/// Reads a body; `None` when it is not JSON of that form. `host` is that of the request: reports about other hosts' pages
/// are somebody's joke.
pub(super) fn read(form: Form, body: &[u8], host: &str) -> Option<Batch> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let mut batch = Batch::default();
    let mut take = |report: &Value, names: &Names| match violation(report, names, host) {
        Some(found) => batch.violations.push(found),
        None => batch.ignored += 1,
    };
    match form {
        Form::Single => take(value.get("csp-report").filter(|report| report.is_object())?, &SINGLE),
        Form::List => {
            let list = value.as_array()?;
            for report in list.iter().take(MOST_AT_ONCE) {
                // The same place may be told of deprecations and crashes.
                if report["type"] == "csp-violation" {
                    take(&report["body"], &LIST);
                }
            }
            batch.ignored += list.len().saturating_sub(MOST_AT_ONCE) as u64;
        }
    }
    Some(batch)
}

/// What the members are called.
struct Names {
    page: &'static str,
    blocked: &'static str,
    directive: &'static str,
    /// Of older browsers: the directive with its sources.
    violated: &'static str,
}

const SINGLE: Names = Names {
    page: "document-uri",
    blocked: "blocked-uri",
    directive: "effective-directive",
    violated: "violated-directive",
};
const LIST: Names = Names {
    page: "documentURL",
    blocked: "blockedURL",
    directive: "effectiveDirective",
    violated: "effectiveDirective",
};

fn violation(report: &Value, names: &Names, host: &str) -> Option<(Violation, String)> {
    let text = |name: &str| report[name].as_str().filter(|text| text.len() <= LONGEST);
    let page: Uri = text(names.page)?.split('#').next()?.parse().ok()?;
    let own = page.authority().filter(|authority| authority.as_str().eq_ignore_ascii_case(host))?;
    let named = text(names.directive).or_else(|| text(names.violated))?;
    let directive = *fallbacks(named.split_ascii_whitespace().next()?).first()?;
    let blocked = blocked(text(names.blocked)?, own.as_str(), page.scheme_str()?)?;
    Some((Violation { directive, blocked }, shown(page.path())))
}

fn blocked(text: &str, own: &str, scheme: &str) -> Option<Blocked> {
    match text {
        "inline" | "" => return Some(Blocked::Inline),
        "eval" => return Some(Blocked::Eval),
        "wasm-eval" => return Some(Blocked::Wasm),
        "self" => return Some(Blocked::Own),
        "data" => return Some(Blocked::Scheme("data:")),
        "blob" => return Some(Blocked::Scheme("blob:")),
        _ => {}
    }
    if text.starts_with("data:") {
        return Some(Blocked::Scheme("data:"));
    }
    if text.starts_with("blob:") {
        return Some(Blocked::Scheme("blob:"));
    }
    // Extensions of a browser, and what else is none of the app's, have other schemes.
    let (theirs, rest) = text.split_once("://")?;
    if !matches!(theirs, "https" | "http" | "wss" | "ws") {
        return None;
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    if host.is_empty() || host.len() > 255 || !host.bytes().all(plain) {
        return None;
    }
    let same = host.eq_ignore_ascii_case(own) && (theirs == scheme || theirs.starts_with("ws"));
    Some(if same { Blocked::Own } else { Blocked::Origin(format!("{theirs}://{host}")) })
}

/// A path as an operator may see it: parts that could be a secret are left out.
fn shown(path: &str) -> String {
    // Addresses may hold letters that turn a terminal's text around.
    let plain = |letter: char| if letter.is_ascii_graphic() { letter } else { '?' };
    let name = |part: &str| match part.len() > LONGEST_NAME {
        true => "…".to_owned(),
        false => part.chars().map(plain).collect(),
    };
    let mut shown: String = path.split('/').take(6).map(name).collect::<Vec<_>>().join("/");
    if path.split('/').count() > 6 {
        shown.push_str("/…");
    }
    shown
}

impl Blocked {
    /// As a source of a policy, when it is one that can be written down.
    pub(super) fn source(&self) -> Option<String> {
        match self {
            Self::Own => Some("'self'".into()),
            Self::Scheme(scheme) => Some((*scheme).into()),
            Self::Origin(origin) => Some(origin.clone()),
            Self::Wasm => Some("'wasm-unsafe-eval'".into()),
            Self::Inline | Self::Eval => None,
        }
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Inline => "inline".into(),
            Self::Eval => "eval".into(),
            other => other.source().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn single(page: &str, directive: &str, blocked: &str) -> Option<Batch> {
        let report = json!({ "csp-report": {
            "document-uri": page, "effective-directive": directive, "blocked-uri": blocked, "violated-directive": directive,
            "original-policy": "default-src 'self'", "script-sample": "secret",
        }});
        read(Form::Single, report.to_string().as_bytes(), "shop.test:8443")
    }

    fn seen(directive: &str, blocked: &str) -> Option<(Violation, String)> {
        single("https://shop.test:8443/cart?token=secret#x", directive, blocked)?.violations.pop()
    }

    #[test]
    fn both_forms_are_read() {
        let expected =
            Violation { directive: "script-src-elem", blocked: Blocked::Origin("https://cdn.example".into()) };
        assert_eq!(
            seen("script-src-elem", "https://cdn.example/a.js?key=secret"),
            Some((expected.clone(), "/cart".into()))
        );
        let list = json!([
            { "type": "csp-violation", "age": 3, "url": "https://shop.test:8443/cart", "body": {
                "documentURL": "https://shop.test:8443/cart", "effectiveDirective": "script-src-elem",
                "blockedURL": "https://cdn.example/a.js", "disposition": "report" } },
            { "type": "deprecation", "body": { "id": "x" } },
        ]);
        let batch = read(Form::List, list.to_string().as_bytes(), "shop.test:8443").unwrap();
        assert_eq!(batch, Batch { violations: vec![(expected, "/cart".into())], ignored: 0 });
        assert_eq!(Form::of("application/csp-report; charset=utf-8"), Some(Form::Single));
        assert_eq!(Form::of("Application/Reports+JSON"), Some(Form::List));
        assert_eq!(Form::of("text/plain"), None);
    }

    #[test]
    fn what_was_blocked_is_named_without_particulars() {
        let blocked = |text: &str| seen("img-src", text).map(|(violation, _)| violation.blocked.name());
        let is = |name: &str| Some(name.to_owned());
        assert_eq!(blocked("inline"), is("inline"));
        assert_eq!(blocked("data"), is("data:"));
        assert_eq!(blocked("data:image/png;base64,AAAA"), is("data:"));
        assert_eq!(blocked("https://shop.test:8443/own.png"), is("'self'"));
        assert_eq!(blocked("http://shop.test:8443/own.png"), is("http://shop.test:8443"));
        assert_eq!(blocked("wss://shop.test:8443/ws"), is("'self'"));
        assert_eq!(blocked("https://A.Example:8443/x"), is("https://a.example:8443"));
        for nothing in
            ["chrome-extension://abc/x.js", "https://a;b/", "https://a b/", "https://'self'/", "about", "https://"]
        {
            assert_eq!(blocked(nothing), None, "{nothing}");
        }
        assert_eq!(seen("script-src 'self' https:", "eval").unwrap().0.directive, "script-src");
        assert_eq!(seen("made-up-src", "eval"), None);
    }

    #[test]
    fn pages_of_others_and_secrets_in_paths_are_left_out() {
        for page in
            ["https://evil.example/", "https://shop.test/", "about:blank", "", "https://shop.test:8443.evil.example/"]
        {
            assert_eq!(single(page, "img-src", "data").unwrap().violations, Vec::new(), "{page}");
        }
        let page = "https://shop.test:8443/reset/0123456789abcdef0123456789abcdef/a/b/c/d/e";
        assert_eq!(single(page, "img-src", "data").unwrap().violations[0].1, "/reset/…/a/b/c/…");
    }

    const WORDS: [&str; 20] = [
        "csp-report",
        "document-uri",
        "blocked-uri",
        "effective-directive",
        "https://shop.test:8443/",
        "script-src",
        "inline",
        "https://x.example",
        "; script-src *",
        "\\u0000",
        "\\n",
        "\u{1b}[31m",
        "'unsafe-inline'",
        "type",
        "csp-violation",
        "body",
        "documentURL",
        "blockedURL",
        "effectiveDirective",
        "\u{202e}",
    ];

    /// Whatever comes, it is read or refused, and what is kept is short and harmless in a policy and in a terminal.
    #[test]
    fn hostile_reports_do_no_harm() {
        let mut random = fastrand::Rng::with_seed(11);
        let mut kept = 0;
        for round in 0..30_000 {
            let mut word = || WORDS[random.usize(..WORDS.len())];
            let text = match round % 3 {
                0 => format!(
                    "{{\"csp-report\":{{\"document-uri\":\"https://shop.test:8443/{}\",\"blocked-uri\":\"https://{}{}\",\"effective-directive\":\"{}\"}}}}",
                    word(),
                    word(),
                    word(),
                    word()
                ),
                1 => format!(
                    "[{{\"type\":\"csp-violation\",\"body\":{{\"documentURL\":\"{}{}\",\"blockedURL\":\"{}\",\"effectiveDirective\":\"{}\"}}}}]",
                    word(),
                    word(),
                    word(),
                    word()
                ),
                _ => {
                    let mut bytes =
                        json!({ word(): { word(): word(), word(): [word(), 1, null] } }).to_string().into_bytes();
                    let place = random.usize(..bytes.len());
                    bytes[place] = random.u8(..);
                    String::from_utf8_lossy(&bytes).into_owned()
                }
            };
            for form in [Form::Single, Form::List] {
                let Some(batch) = read(form, text.as_bytes(), "shop.test:8443") else { continue };
                for (violation, page) in batch.violations {
                    kept += 1;
                    let source = violation.blocked.name();
                    assert!(!source.contains([';', ',', ' ', '\n', '\u{1b}']) && source.is_ascii(), "{text}");
                    assert!(
                        page.len() <= 200 && page.chars().all(|letter| letter == '…' || letter.is_ascii_graphic()),
                        "{text}"
                    );
                }
            }
        }
        assert!(kept > 100, "{kept}");
        let deep = "[".repeat(100_000);
        assert_eq!(read(Form::List, deep.as_bytes(), "shop.test"), None);
        let many = format!("[{}]", vec!["{\"type\":\"csp-violation\",\"body\":{}}"; 1_000].join(","));
        assert_eq!(read(Form::List, many.as_bytes(), "shop.test").unwrap().ignored, 1_000);
    }
}
