//! Values that stand under a telling name: `DB_PASSWORD=…`, `apiKey: "…"`, `setPassword("…")`, `<password>…</password>`.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::{
    place::Kind,
    value::{self, Strength},
    words::WORDS,
};

/// How it may go on behind the name, and with it how the value is written.
struct Form {
    pattern: Regex,
    /// Only in settings, where values stand without quotes.
    settings: bool,
    /// Only behind a name in quotes, and then a value that no word can be.
    list: bool,
}

static FORMS: LazyLock<Vec<Form>> = LazyLock::new(|| {
    let quoted = r#"(?:\\{0,3}"([^"\\\r\n]{6,400})\\{0,3}"|\\{0,3}'([^'\\\r\n]{6,400})\\{0,3}'|`([^`\\\r\n]{6,400})`)"#;
    let close = r#"^\\{0,3}['"`]?\s?[\])}]{0,2}"#;
    let of_type =
        r#"(?:\s*:\s*(?:[A-Za-z_][A-Za-z_0-9<>\[\]., |&?:]{0,40}|&(?:'static )?str))?(?:\s*\{\s*get;[a-z; ]{0,30}\})?"#;
    // `b"…"`, `String::from("…")`, `new SecretStr("…")`, `os.getenv("…") or "…"`, `process.env.X || "…"`.
    let before = r#"(?:[A-Za-z_][\w.:]{0,40}[(!\[]{1,2}|new\s+\w{1,40}\(|[A-Za-z_][\w.\[\]'"()?]{0,80}\s*(?:\|\||\?\?|or)\s*|[bruf@$]{1,2})?\s*"#;
    let form = |pattern: String, settings, list| Form { pattern: bytes(&pattern), settings, list };
    vec![
        form(format!(r"{close}{of_type}\s*(?:=>|:=|={{1,3}}|:|\|\|=|\?\?=|\?=)\s*{before}{quoted}"), false, false),
        // `setPassword("…")`, `password("…")`, `.with_secret('…')`.
        form(format!(r"^\(\s*{quoted}\s*\)"), false, false),
        // `("password", "…")`, `getenv("DB_PASSWORD", "…")`.
        form(format!(r#"^\\{{0,3}}['"`]\s*,\s*(?:default\s*=\s*|default:\s*)?{quoted}"#), false, true),
        // A list of names and values, as Kubernetes and ECS have it; a variable of Terraform.
        form(r#"^['"]?\s*[,;]?\s*['"]?(?:value|defaultValue|default|content)['"]?\s*[:=]\s*(?:"([^"\r\n]{6,400})"|'([^'\r\n]{6,400})'|([^\s'"{}\[\],]{6,400}))"#.to_owned(), true, false),
        form(r#"^"\s*\{[^{}]{0,300}?\bdefault\s*=\s*"([^"\r\n]{6,400})""#.to_owned(), true, false),
        // XML: an element, and a key with its value.
        form(r"^\s*>\s*(?:<(?:string|value)>)?([^<>\s]{6,400})</".to_owned(), true, false),
        form(r"^</key>\s*<string>([^<>\s]{6,400})</string>".to_owned(), true, false),
        // `NAME=value`, `name: value`, `NAME := value`, `ENV NAME value`, `--password value`.
        form(r#"^['"]?[ \t]*(?:=|:|:=|\?=)[ \t]*([^\s'"`,;]{6,400})[ \t]*(?:[\r\n#;,]|\\|&&|\z|[ \t])"#.to_owned(), true, false),
        form(r#"^[ =]['"]?([^\s'"`,;\\]{6,400})['"]?"#.to_owned(), true, true),
    ]
});

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
fn bytes(pattern: &str) -> Regex {
    regex::bytes::RegexBuilder::new(pattern).unicode(false).build().expect("the pattern is valid")
}

/// A value under a telling name: from, to.
pub(super) type Span = (usize, usize);

/// The value that is given to the name around this place, when it is a secret.
pub(super) fn secret_at(content: &[u8], hit: Span, kind: Kind, is_careful: impl Fn() -> bool) -> Option<Span> {
    let (from, to) = name_around(content, hit);
    // Most names are followed by no value at all; that is seen without a pattern.
    let near = &content[to..content.len().min(to + 200)];
    if kind != Kind::Settings && !near.iter().any(|byte| b"\"'`".contains(byte)) {
        return None;
    }
    let name = std::str::from_utf8(content.get(from..to)?).ok()?;
    let needed = needed(name, kind)?;
    let before = &content[from.saturating_sub(24)..from];
    let is_quoted = before.last().is_some_and(|byte| b"'\"`".contains(byte));
    let is_option = name.starts_with("--") || before.ends_with(b"--");
    let is_docker = [&b"ENV "[..], b"ARG ", b"env "].iter().any(|word| before.ends_with(word));
    let rest = &content[to..content.len().min(to + 700)];
    for form in FORMS.iter().filter(|form| kind == Kind::Settings || !form.settings) {
        // The last form is that of words on a line; the third that of a list.
        if form.list && !(if form.settings { is_option || is_docker } else { is_quoted }) {
            continue;
        }
        let Some(found) = form.pattern.captures(rest) else { continue };
        let Some(value) = found.iter().skip(1).flatten().next() else { continue };
        let Ok(text) = std::str::from_utf8(value.as_bytes()) else { continue };
        let of_list = form.list && !form.settings && !is_default(before);
        let needed = if of_list { needed.max(Strength::Mixed) } else { needed };
        let needed = if is_careful() { Strength::Random } else { needed };
        if is_secret(text, needed) && !is_same(name, text) {
            return Some((to + value.start(), to + value.end()));
        }
        return None;
    }
    None
}

/// `getenv("DB_PASSWORD", "…")`: a default, not a list of names.
fn is_default(before: &[u8]) -> bool {
    let before = before.to_ascii_lowercase();
    let calls: [&[u8]; 8] = [b"env(", b"get(", b"fetch(", b"config(", b"default(", b"set(", b"put(", b"str("];
    let before = before.trim_ascii_end().strip_suffix(b"\"").or_else(|| before.strip_suffix(b"'")).unwrap_or(&before);
    calls.iter().any(|call| before.ends_with(call))
}

fn is_secret(text: &str, needed: Strength) -> bool {
    if value::strength(text) >= needed {
        // Kubernetes has its values in base64: what they hide decides.
        let hidden = value::decoded(text).filter(|hidden| hidden.len() >= 6);
        return hidden.is_none_or(|hidden| value::strength(&hidden) > Strength::None || hidden.contains(' '));
    }
    false
}

/// `access_token: "access_token_2"`.
fn is_same(name: &str, text: &str) -> bool {
    let plain = |text: &str| text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_lowercase();
    let (name, text) = (plain(name), plain(text));
    text.len() >= 6 && (name.contains(&text) || text.contains(&name))
}

/// The whole name that a piece belongs to.
fn name_around(content: &[u8], (from, to): Span) -> Span {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    let before = content[..from].iter().rev().take(80).take_while(|byte| is_name(byte)).count();
    let behind = content[to..].iter().take(80).take_while(|byte| is_name(byte)).count();
    // A sentence or an assignment ends it too.
    let mut end = to + behind;
    while end > to && b".-".contains(&content[end - 1]) {
        end -= 1;
    }
    (from - before, end)
}

/// How much a value must look like a secret under this name; nothing when the name is that of something else.
fn needed(name: &str, kind: Kind) -> Option<Strength> {
    // Only the last parts of a path of names tell: `response.token`, `spring.datasource.password`.
    let last: Vec<&str> = name.rsplit('.').take(2).collect();
    let last = match last.first() {
        Some(own) if own.len() > 3 && !own.eq_ignore_ascii_case("value") => *own,
        _ => name,
    };
    let mut words: Vec<String> = value::words(last).collect();
    // `setPassword(…)` sets one.
    if words.first().is_some_and(|word| word == "set" || word == "with") {
        words.remove(0);
    }
    // `TOKENS`, `passwords` are lists; `MY_SECRET_ID` is an id.
    if words.iter().any(|word| WORDS.other_things.contains(word.as_str())) && !is_env_of_a_service(&mut words) {
        return None;
    }
    let joined = words.concat();
    let has = |pieces: &[&str]| pieces.iter().any(|piece| joined.contains(piece));
    let least = if has(&["passw", "passphrase", "pwd", "dbpass", "userpass"])
        || words.last().is_some_and(|word| word == "pass")
    {
        match kind {
            Kind::Settings | Kind::Code => Strength::Human,
            _ => Strength::Random,
        }
    } else if has(&["secret", "apikey", "accesskey", "privatekey", "authkey", "key", "credential"])
        && kind == Kind::Settings
    {
        Strength::Human
    } else if has(&["token"]) && kind == Kind::Settings
        || has(&[
            "secret",
            "apikey",
            "accesskey",
            "privatekey",
            "authkey",
            "encryptionkey",
            "signingkey",
            "masterkey",
            "accountkey",
        ]) && kind == Kind::Code
    {
        Strength::Mixed
    } else if has(&["token", "key", "salt", "secret", "credential", "pass"]) {
        Strength::Random
    } else {
        return None;
    };
    let least = if kind == Kind::Made { Strength::Random } else { least };
    (kind != Kind::Foreign).then_some(least)
}

/// Names such as `REDIS_TEST_PASSWORD` stay what they are; `DEV_ENV_SECRET` and `MAIL_PUBLIC_…` do not. Only where the
/// stage is a part of the name, at its beginning or end, it is one all the same.
fn is_env_of_a_service(words: &mut Vec<String>) -> bool {
    let stages = ["env", "environment"];
    words.retain(|word| !stages.contains(&word.as_str()));
    !words.iter().any(|word| WORDS.other_things.contains(word.as_str()))
}
