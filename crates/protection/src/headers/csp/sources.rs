//! Source expressions (CSP 3, 2.3.1): what a browser silently takes for the name of a host is found here.

use crate::headers::values::Fault;

/// Words that mean something in quotes, and a host without them.
const KEYWORDS: [&str; 11] = [
    "self",
    "none",
    "unsafe-inline",
    "unsafe-eval",
    "unsafe-hashes",
    "wasm-unsafe-eval",
    "strict-dynamic",
    "report-sample",
    "inline-speculation-rules",
    "trusted-types-eval",
    "unsafe-webtransport-hashes",
];
const HASHES: [&str; 3] = ["sha256-", "sha384-", "sha512-"];

/// What is wrong with the sources of a directive.
pub(super) fn fault(directive: &str, sources: &[String]) -> Option<Fault> {
    if sources.len() > 1 && sources.iter().any(|source| source.eq_ignore_ascii_case("'none'")) {
        let help = "leave 'none' out, or everything else";
        return Some(Fault::new(format!("'none' in {directive} means nothing beside other sources"), help));
    }
    sources.iter().find_map(|source| one(source).map(|fault| in_directive(directive, fault)))
}

fn in_directive(directive: &str, fault: Fault) -> Fault {
    Fault { message: format!("{directive}: {}", fault.message), help: fault.help }
}

fn one(source: &str) -> Option<Fault> {
    let lower = source.to_ascii_lowercase();
    if let Some(quoted) = lower.strip_prefix('\'') {
        let Some(word) = quoted.strip_suffix('\'') else {
            return Some(Fault::new(
                format!("`{source}` opens a quote and does not close it"),
                format!("write {source}'"),
            ));
        };
        return quoted_fault(source, word);
    }
    let bare = lower.trim_end_matches('\'');
    if bare.starts_with("nonce-") {
        return quoted_fault(source, bare);
    }
    if KEYWORDS.contains(&bare) || HASHES.iter().any(|hash| bare.starts_with(hash)) {
        let message = format!("`{source}` without quotes is the name of a host");
        return Some(Fault::new(message, format!("write '{}'", source.trim_end_matches('\''))));
    }
    if matches!(bare, "data" | "blob" | "https" | "http" | "mediastream" | "filesystem" | "wss" | "ws") {
        let message = format!("`{source}` without a colon is the name of a host");
        return Some(Fault::new(message, format!("write {source}:")));
    }
    (!is_scheme(&lower) && !is_host(&lower)).then(|| {
        let help = "write for example https://cdn.example.com, *.example.com, data: or 'self'";
        Fault::new(format!("`{source}` is neither a host nor a scheme"), help)
    })
}

fn quoted_fault(source: &str, word: &str) -> Option<Fault> {
    if word.starts_with("nonce-") {
        let message = format!("{source}: a nonce that stays the same is none");
        return Some(Fault::new(message, "set `nonces = true`, and each answer gets its own"));
    }
    if HASHES.iter().any(|hash| word.starts_with(hash)) {
        let value = word.split_once('-').map_or("", |(_, value)| value).trim_end_matches('=');
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
        // 32, 48 and 64 bytes.
        let length = match &word[..6] {
            "sha256" => 43,
            "sha384" => 64,
            _ => 86,
        };
        let right = value.len() == length && value.bytes().all(base64);
        let help = "a hash is written as base64: openssl dgst -sha256 -binary | openssl base64";
        return (!right).then(|| Fault::new(format!("{source} has not the length of such a hash"), help));
    }
    if KEYWORDS.contains(&word) {
        return None;
    }
    let closest = KEYWORDS.iter().map(|known| (strsim::jaro_winkler(word, known), known));
    let closest = closest.filter(|(likeness, _)| *likeness > 0.8).max_by(|one, two| one.0.total_cmp(&two.0));
    let help = match closest {
        Some((_, known)) => format!("did you mean '{known}'?"),
        None => "hosts and schemes stand without quotes".to_owned(),
    };
    Some(Fault::new(format!("{source} is no keyword"), help))
}

/// `https:`
fn is_scheme(source: &str) -> bool {
    let Some(name) = source.strip_suffix(':') else { return false };
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic()) && name.bytes().all(rest)
}

/// `*`, `*.example.com`, `https://cdn.example.com:8443/path`, `http://[::1]:3000`
fn is_host(source: &str) -> bool {
    let rest = match source.split_once("://") {
        Some((scheme, rest)) if is_scheme(&format!("{scheme}:")) => rest,
        Some(_) => return false,
        None => source,
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if path.contains(['?', '#', '\'', '"']) {
        return false;
    }
    // Browsers match addresses of IPv4 and of loopback; of IPv6 none, yet it is harmless.
    let (name, port) = match host.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((address, port)) => {
            let is_address = address.parse::<std::net::Ipv6Addr>().is_ok();
            return is_address && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
        }
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let name = if name == "*" { return port.is_none_or(is_port) } else { name.strip_prefix("*.").unwrap_or(name) };
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    !name.is_empty() && name.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text == "*" || text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_as_browsers_read_them() {
        for right in [
            "'self'",
            "'NONE'",
            "'unsafe-inline'",
            "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
            "*",
            "*:8443",
            "*.example.com",
            "example.com:*",
            "https://cdn.example.com/lib/",
            "wss://a.example",
            "http://[::1]:3000",
            "data:",
            "localhost:3000",
        ] {
            assert_eq!(one(right), None, "{right}");
        }
        for (wrong, remedy) in [
            ("self", "write 'self'"),
            ("'self", "write 'self'"),
            ("self'", "write 'self'"),
            ("unsafe-inline", "write 'unsafe-inline'"),
            ("data", "write data:"),
            ("'example.com'", "without quotes"),
            ("'unsafe-inlin'", "did you mean 'unsafe-inline'?"),
            ("'nonce-abc'", "nonces = true"),
            ("nonce-abc", "nonces = true"),
            ("'sha256-abc'", "base64"),
            ("https://", "for example"),
            ("https://a b", "for example"),
            ("*example.com", "for example"),
            ("a.example?x=1", "for example"),
            ("example.com:port", "for example"),
            ("\"self\"", "for example"),
        ] {
            let found = one(wrong).map(|fault| fault.help).unwrap_or_default();
            assert!(found.contains(remedy), "{wrong}: {found}");
        }
        assert!(fault("img-src", &["'none'".into(), "*".into()]).is_some());
    }
}
