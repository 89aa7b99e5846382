//! What the texts of security headers may say: browsers ignore one that is wrong, and nobody notices.

use http::{HeaderName, HeaderValue, Uri};

/// What is wrong with a value, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub message: String,
    pub help: String,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

/// The tokens of the Referrer Policy recommendation.
const REFERRER: [&str; 8] = [
    "no-referrer",
    "no-referrer-when-downgrade",
    "same-origin",
    "origin",
    "strict-origin",
    "origin-when-cross-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
];
/// HTML standard, 7.1.3 and 7.1.4; Fetch standard, 3.7.
const OPENER: [&str; 4] = ["same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none"];
const EMBEDDER: [&str; 3] = ["require-corp", "credentialless", "unsafe-none"];
const RESOURCE: [&str; 3] = ["same-origin", "same-site", "cross-origin"];
/// What the preload list asks for (hstspreload.org): a year.
const PRELOAD_SECONDS: u64 = 31_536_000;
/// Headers without which a message is another one.
const NEEDED: [&str; 9] = [
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "location",
    "set-cookie",
    "date",
    "vary",
];

/// What is wrong with the text of this header.
pub(super) fn fault(name: &str, text: &str) -> Option<Fault> {
    if HeaderValue::from_str(text).is_err() {
        let help = "use visible ASCII characters on one line";
        return Some(Fault::new(format!("not a valid value of the header {name}"), help));
    }
    // A list of referrer policies falls back from the last that a browser knows; parameters only name a reporter.
    let words = |text: &str, known: &[&str]| -> Option<Fault> {
        let wrong = text.split(',').map(|word| word.split(';').next().unwrap_or_default().trim());
        let wrong = wrong.into_iter().find(|word| !known.contains(word))?;
        Some(Fault::new(format!("`{wrong}` is no value of {name}"), format!("write one of {}", known.join(", "))))
    };
    match name {
        "x-content-type-options" => words(text, &["nosniff"]),
        "referrer-policy" => words(text, &REFERRER),
        "cross-origin-opener-policy" => words(text, &OPENER),
        "cross-origin-embedder-policy" => words(text, &EMBEDDER),
        "cross-origin-resource-policy" => words(text, &RESOURCE),
        "permissions-policy" => permissions_fault(text),
        _ => None,
    }
}

/// A dictionary of structured fields (RFC 9651, 3.2): `camera=(), fullscreen=(self "https://a.example")`.
fn permissions_fault(text: &str) -> Option<Fault> {
    let help = "write for example \"camera=(), fullscreen=(self \\\"https://video.example\\\")\"";
    let is_feature = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let is_member = |word: &str| {
        let origin = word.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        matches!(word, "self" | "src" | "*") || origin.is_some_and(|origin| origin.contains("://"))
    };
    for item in text.split(',').map(str::trim) {
        let Some((name, list)) = item.split_once('=') else {
            return Some(Fault::new(format!("`{item}` says not who may use a feature"), help));
        };
        let inner = list.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        let right = match inner {
            Some(inner) => inner.split_whitespace().all(is_member),
            None => is_member(list),
        };
        if !is_feature(name) || !right {
            return Some(Fault::new(format!("`{item}` is no item of Permissions-Policy"), help));
        }
    }
    None
}

/// RFC 6797, 6.1, and what the preload list asks for.
pub(super) fn hsts_fault(text: &str) -> Option<Fault> {
    let help = "write for example \"max-age=31536000; includeSubDomains\"";
    let (mut age, mut subdomains, mut preload) = (None, false, false);
    for directive in text.split(';').map(str::trim).filter(|directive| !directive.is_empty()) {
        let (name, value) = directive.split_once('=').map_or((directive, None), |(name, value)| (name, Some(value)));
        let value = value.map(|value| value.trim().trim_matches('"'));
        match (name.trim().to_ascii_lowercase().as_str(), value) {
            ("max-age", Some(seconds)) if age.is_none() => match seconds.parse::<u64>() {
                Ok(seconds) => age = Some(seconds),
                Err(_) => return Some(Fault::new(format!("`{seconds}` is no number of seconds"), help)),
            },
            ("includesubdomains", None) if !subdomains => subdomains = true,
            ("preload", None) if !preload => preload = true,
            _ => return Some(Fault::new(format!("`{directive}` is no directive, or stands there twice"), help)),
        }
    }
    let Some(age) = age else { return Some(Fault::new("Strict-Transport-Security needs a max-age", help)) };
    let help = "write \"max-age=31536000; includeSubDomains; preload\"; all subdomains must speak HTTPS, and leaving the list \
                takes months";
    match () {
        () if preload && !subdomains => Some(Fault::new("the preload list asks for includeSubDomains", help)),
        () if preload && age < PRELOAD_SECONDS => {
            Some(Fault::new(format!("the preload list asks for a max-age of {PRELOAD_SECONDS}"), help))
        }
        () => None,
    }
}

/// `self`, `none`, or origins.
pub(super) fn frame_fault(text: &str) -> Option<Fault> {
    let help = "write \"self\", \"none\", \"off\", or origins: \"self https://partner.example\"";
    if matches!(text, "self" | "none") {
        return None;
    }
    let is_origin = |word: &str| {
        let uri = word.replacen("*.", "any.", 1).parse::<Uri>().ok();
        uri.is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("https" | "http")) && uri.path() == "/" && uri.query().is_none()
        }) && !word.ends_with('/')
            && !word.contains(['\'', '"', ',', ';', '@'])
    };
    let wrong = text.split_whitespace().find(|word| *word != "self" && !is_origin(word))?;
    Some(Fault::new(format!("`{wrong}` is nobody who could frame a page"), help))
}

/// The sources of `frame-ancestors` for `frame`.
pub(super) fn frame_ancestors(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|word| if matches!(word, "self" | "none") { format!("'{word}'") } else { word.to_owned() })
        .collect()
}

/// Whether taking it away leaves a message that means the same.
pub(super) fn may_be_removed(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| !NEEDED.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hsts_is_held_to_the_standard_and_to_the_preload_list() {
        for right in [
            "max-age=0",
            "max-age=31536000",
            "max-age=\"31536000\" ; includeSubDomains",
            "max-age=63072000; includeSubDomains; preload",
        ] {
            assert_eq!(hsts_fault(right), None, "{right}");
        }
        for wrong in [
            "includeSubDomains",
            "max-age=1y",
            "max-age=1; max-age=2",
            "max-age=31536000; preload",
            "max-age=86400; includeSubDomains; preload",
            "max-age=1; includeSubDomain",
        ] {
            assert!(hsts_fault(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn values_that_browsers_would_ignore_are_faults() {
        for (name, text) in [
            ("referrer-policy", "no-referrer, strict-origin-when-cross-origin"),
            ("cross-origin-opener-policy", "same-origin; report-to=\"coop\""),
            ("permissions-policy", "camera=(), fullscreen=(self \"https://a.example\"), usb=*"),
            ("permissions-policy", "geolocation=self"),
        ] {
            assert_eq!(fault(name, text), None, "{text}");
        }
        for (name, text) in [
            ("referrer-policy", "none"),
            ("cross-origin-opener-policy", "same-site"),
            ("cross-origin-resource-policy", "self"),
            ("permissions-policy", "camera 'none'; microphone 'none'"),
            ("permissions-policy", "camera=none"),
            ("permissions-policy", "camera=(https://a.example)"),
            ("referrer-policy", "origin\nx: y"),
        ] {
            assert!(fault(name, text).is_some(), "{text}");
        }
    }

    #[test]
    fn framing_takes_words_and_origins() {
        for right in ["self", "none", "self https://partner.example", "https://*.example.com"] {
            assert_eq!(frame_fault(right), None, "{right}");
        }
        for wrong in
            ["SAMEORIGIN", "'self'", "self none", "partner.example", "https://a.example/", "https://a.example;x"]
        {
            assert!(frame_fault(wrong).is_some(), "{wrong}");
        }
        assert_eq!(frame_ancestors("self https://a.example").join(" "), "'self' https://a.example");
    }
}
