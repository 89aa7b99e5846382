//! Which names hold secrets, and which values are none.

use std::{collections::BTreeSet, sync::LazyLock};

use seaworthy_repository::is_secret;
use serde::Deserialize;

#[derive(Deserialize)]
struct Weak {
    values: BTreeSet<String>,
    pieces: Vec<String>,
    harmless_parts: BTreeSet<String>,
    harmless_keys: Vec<String>,
}

#[expect(clippy::expect_used, reason = "a constant text, read in every test")]
static WEAK: LazyLock<Weak> =
    LazyLock::new(|| toml::from_str(include_str!("weak.toml")).expect("the list of weak values is valid"));

/// Whether a variable of this name holds a secret, and not the age, the path or the name of one.
pub(super) fn holds_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let harmless = upper.split('_').any(|part| WEAK.harmless_parts.contains(part));
    let harmless = harmless || WEAK.harmless_keys.iter().any(|key| upper.ends_with(&format!("{key}_KEY")));
    is_secret(name)
        && !harmless
        && !["PRIMARY_KEY", "ROUTING_KEY"].contains(&upper.as_str())
        && !upper.ends_with("_AUTH")
        && upper != "AUTH"
        && !upper.starts_with("NEXT_PUBLIC_")
        && !upper.starts_with("VITE_")
}

/// A value that everybody knows.
pub(super) fn is_weak(value: &str) -> bool {
    let lower = value.trim().to_lowercase();
    WEAK.values.contains(&lower) || WEAK.pieces.iter().any(|piece| lower.contains(piece.as_str()))
}

/// A value that stands for one: nothing, a mask, or words that say so.
pub(super) fn is_placeholder(value: &str) -> bool {
    let lower = value.trim().to_lowercase();
    let starts = [
        "your", "<", "[", "todo", "insert", "xxx", "...", "enter ", "put ", "fill", "replace", "change", "example",
        "my-", "my_", "here", "***", "sk-xxx", "tbd",
    ];
    let holds = [
        "example.com",
        "example.org",
        "your-",
        "your_",
        "yourdomain",
        "changeme",
        "change_me",
        "change-me",
        "placeholder",
        "xxxx",
        "-here",
        "_here",
        "replace-me",
        "replace_me",
        "…",
    ];
    lower.is_empty()
        || starts.iter().any(|start| lower.starts_with(start))
        || holds.iter().any(|piece| lower.contains(piece))
}

/// The password in an address, and its host: `scheme://user:password@host/…`.
pub(super) fn password_in(address: &str) -> Option<(&str, &str)> {
    let (_, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let (login, host) = authority.rsplit_once('@')?;
    let (_, password) = login.split_once(':')?;
    (!password.is_empty() && !password.contains(['$', '{', '<'])).then_some((password, host))
}

/// What a `${NAME:-default}` has as its default; the value itself when it is a plain one.
pub(super) fn own_value(value: &str) -> Option<&str> {
    if let Some(inner) = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        let default = inner.split_once(":-").or_else(|| inner.split_once('-')).map(|(_, default)| default);
        return default.filter(|default| !default.is_empty() && !inner.contains(":?"));
    }
    (!value.is_empty() && !value.contains("${") && !value.starts_with('$') && !value.contains("{{")).then_some(value)
}

/// Whether a value looks like one that somebody generated.
pub(super) fn looks_generated(value: &str) -> bool {
    let digits = value.bytes().any(|byte| byte.is_ascii_digit());
    let letters = value.bytes().any(|byte| byte.is_ascii_alphabetic());
    let distinct: BTreeSet<u8> = value.bytes().collect();
    let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_-.".contains(&byte));
    value.len() >= 20 && digits && letters && plain && distinct.len() >= 10 && !is_placeholder(value) && !is_weak(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values() {
        assert!(holds_secret("SECRET_KEY") && holds_secret("POSTGRES_PASSWORD") && holds_secret("API_TOKEN"));
        for name in [
            "ACCESS_TOKEN_EXPIRE_MINUTES",
            "MAX_TOKENS",
            "PASSWORD_RESET_TIMEOUT",
            "SECRET_KEY_FILE",
            "TOKEN_URL",
            "JWT_SECRET_ALGORITHM",
            "PARTITION_KEY",
            "ORDERS_SORT_KEY",
            "PRIMARY_KEY",
            "ROUTING_KEY",
            "MESSAGE_KEY",
        ] {
            assert!(!holds_secret(name), "{name}");
        }
        assert!(holds_secret("COSMOS_PRIMARY_KEY") && holds_secret("CACHE_PASSWORD"));
        assert!(is_weak("changeme") && is_weak("django-insecure-abc") && is_weak("Postgres") && !is_weak("kX9vT2qL"));
        assert!(
            is_placeholder("")
                && is_placeholder("<your key>")
                && is_placeholder("sk-xxxx")
                && !is_placeholder("redis://cache")
        );
        assert_eq!(password_in("postgres://a:b@db:5432/x"), Some(("b", "db:5432")));
        assert_eq!(password_in("postgres://a:${P}@db/x"), None);
        assert_eq!(
            (own_value("${A:-x}"), own_value("${A}"), own_value("x"), own_value("${A:?no}")),
            (Some("x"), None, Some("x"), None)
        );
    }
}
