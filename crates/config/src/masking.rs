//! What must not be seen in a text: passwords in URLs, and words that stand where a secret stands.
//!
//! Typed secrets are known by their schema. This is for text that only looks like it holds one: a command line with
//! `--password x`, a URL with a user, a file that is shown around an error before anybody could read it as TOML.

use std::ops::Range;

/// What a secret is shown as.
pub const MASK: &str = "***";

const SECRET_WORDS: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "credential",
    "private_key",
    "api_key",
    "apikey",
    "access_key",
    "encryption_key",
    "signing_key",
];

/// True when something of this name usually is a secret.
pub fn looks_secret(name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase().replace(['-', '.'], "_");
    SECRET_WORDS.iter().any(|word| name.contains(word)) || name == "token" || name.ends_with("_token")
}

/// The text with `***` for each secret in it.
pub fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut shown = 0;
    for range in secret_ranges(text) {
        masked.push_str(&text[shown..range.start]);
        masked.push_str(MASK);
        shown = range.end;
    }
    masked.push_str(&text[shown..]);
    masked
}

/// Where secrets are in a text: sorted, and none overlaps another.
pub(crate) fn secret_ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = in_urls(text);
    ranges.extend(after_names(text));
    ranges.retain(|range| !range.is_empty() && &text[range.clone()] != MASK);
    ranges.sort_by_key(|range| range.start);
    apart(ranges)
}

/// A text whose secrets are covered, and how its places moved.
#[derive(Debug)]
pub(crate) struct Covered {
    pub text: String,
    /// What was covered, and the bytes that stand there now: sorted, and none overlaps another.
    moved: Vec<(Range<usize>, Range<usize>)>,
}

impl Covered {
    /// Where a span of the original is now; an end inside of a secret is an end of what covers it.
    pub(crate) fn span(&self, span: Range<usize>) -> Range<usize> {
        self.place(span.start, false)..self.place(span.end, true)
    }

    fn place(&self, place: usize, is_end: bool) -> usize {
        let before = self.moved.iter().take_while(|(old, _)| old.start < place).last();
        match before {
            None => place,
            Some((old, new)) if place >= old.end => new.end + (place - old.end),
            Some((_, new)) if is_end => new.end,
            Some((_, new)) => new.start,
        }
    }
}

/// Puts `***` in the place of each of these ranges, whatever their length; lines and the quotes at both ends stay.
pub(crate) fn cover(text: &str, ranges: &[Range<usize>]) -> Covered {
    let mut ranges: Vec<Range<usize>> = ranges.iter().map(|range| between_quotes(text, range)).collect();
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    let mut covered = Covered { text: String::with_capacity(text.len()), moved: Vec::new() };
    let mut done = 0;
    for range in apart(ranges) {
        covered.text.push_str(&text[done..range.start]);
        let start = covered.text.len();
        covered.text.push_str(MASK);
        covered.text.extend(text[range.clone()].chars().filter(|letter| *letter == '\n'));
        done = range.end;
        covered.moved.push((range, start..covered.text.len()));
    }
    covered.text.push_str(&text[done..]);
    covered
}

/// A range on whole letters, without the quotes at its ends.
fn between_quotes(text: &str, range: &Range<usize>) -> Range<usize> {
    let quote = |byte: &u8| matches!(byte, b'"' | b'\'');
    let bytes = text.as_bytes();
    let (mut start, mut end) = (range.start.min(bytes.len()), range.end.min(bytes.len()));
    while start < end && quote(&bytes[start]) {
        start += 1;
    }
    while start < end && quote(&bytes[end - 1]) {
        end -= 1;
    }
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

/// Sorted ranges, those that overlap as one.
fn apart(ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut apart: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match apart.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => apart.push(range),
        }
    }
    apart
}

/// Values that a text which is no TOML (yet) most likely means as secrets.
pub(crate) fn in_broken_toml(text: &str) -> Vec<Range<usize>> {
    let mut ranges = secret_ranges(text);
    let (mut start, mut in_environment) = (0, false);
    for line in text.split_inclusive('\n') {
        let content = line.trim();
        let (key, _) = content.split_once('=').unwrap_or((content, ""));
        let is_environment = |part: &str| is_like_env(part.trim_matches(['[', ']', ' ', '"', '\'']));
        if content.starts_with('[') {
            in_environment = key.split('.').any(is_environment);
        } else if (in_environment && !content.starts_with('#'))
            || looks_secret(key)
            || key.split('.').any(is_environment)
        {
            ranges.push(value_of(line, start));
        }
        start += line.len();
    }
    ranges
}

/// `env`, or what somebody may write for it.
fn is_like_env(name: &str) -> bool {
    let name = name.to_lowercase();
    name.starts_with("env") || strsim::damerau_levenshtein(&name, "env") <= 1
}

/// Values of keys that are commented out and are called like a secret.
pub(crate) fn in_comments(text: &str) -> Vec<Range<usize>> {
    let mut start = 0;
    let lines = text.split_inclusive('\n').filter_map(|line| {
        let at = start;
        start += line.len();
        let (key, _) = line.trim_start().strip_prefix('#')?.split_once('=')?;
        looks_secret(key).then(|| value_of(line, at))
    });
    lines.collect()
}

/// What stands behind the `=` of a line that begins at `start`; the whole line without one.
fn value_of(line: &str, start: usize) -> Range<usize> {
    let value = line.find('=').map_or(0, |at| at + 1);
    let blank = line[value..].len() - line[value..].trim_start().len();
    start + value + blank..start + line.len()
}

fn in_urls(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for (at, _) in text.match_indices("://") {
        let start = at + 3;
        let rest = &text[start..];
        let word = &rest
            [..rest.find(|letter: char| letter.is_whitespace() || "\"'`<>".contains(letter)).unwrap_or(rest.len())];
        let authority = &word[..word.find(['/', '?', '#']).unwrap_or(word.len())];
        let after_colon = authority.find(':').map(|colon| &authority[colon + 1..]);
        let is_port = after_colon.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
        // A password with a bare `/` ends the authority too early for the rules; people write it all the same.
        let end = authority.rfind('@').or_else(|| if is_port { None } else { word.rfind('@') });
        let Some(end) = end else { continue };
        // A user without a password often is a token.
        let secret = word[..end].find(':').map_or(0, |colon| colon + 1);
        ranges.push(start + secret..start + end);
    }
    ranges
}

/// `password=x`, `"token": x` in a query, and `--password x` on a command line.
fn after_names(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let is_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
    for (at, separator) in text.match_indices(['=', ' ']) {
        let name_start = text[..at]
            .rfind(|letter: char| !is_name(letter))
            .map_or(0, |before| before + text[before..].chars().next().map_or(1, char::len_utf8));
        let name = &text[name_start..at];
        let is_flag = name.starts_with("--");
        if !looks_secret(name.trim_start_matches('-')) || (separator == " " && !is_flag) {
            continue;
        }
        let blank = text[at + 1..].len() - text[at + 1..].trim_start_matches(' ').len();
        let start = at + 1 + blank;
        ranges.push(start..start + value_length(&text[start..]));
    }
    ranges
}

fn value_length(text: &str) -> usize {
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => text[1..].find(quote).map_or(text.len(), |end| end + 2),
        _ => text.find(|letter: char| letter.is_whitespace() || "&\"'`;,".contains(letter)).unwrap_or(text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_text_are_masked_and_the_rest_stays() {
        for (text, shown) in [
            ("postgres://app:hunter2@db:5432/x", "postgres://app:***@db:5432/x"),
            ("postgres://app:hun@ter2@db/x", "postgres://app:***@db/x"),
            ("postgres://app:hun/ter2@db/x", "postgres://app:***@db/x"),
            ("https://hunter2@git.test/x and http://a:b@c", "https://***@git.test/x and http://a:***@c"),
            ("http://localhost:8080/@vite", "http://localhost:8080/@vite"),
            ("http://x/?a=1&token=hunter2&b=2", "http://x/?a=1&token=***&b=2"),
            ("node server.js --password hunter2 --port 80", "node server.js --password *** --port 80"),
            ("node server.js --api-key='hunter 2' --x", "node server.js --api-key=*** --x"),
            ("DB_PASSWORD=hunter2 node x", "DB_PASSWORD=*** node x"),
            ("the secret sauce", "the secret sauce"),
            ("ünï --secret hünter2 é", "ünï --secret *** é"),
        ] {
            assert_eq!(mask(text), shown);
            assert_eq!(mask(&mask(text)), shown, "masking is done once");
        }
    }

    #[test]
    fn covering_hides_the_length_and_knows_where_everything_went() {
        let text = "a = \"hünter2\" # x\nb = 1\n";
        let covered = cover(text, &[4..14, 15..15, 6..8]);
        assert_eq!(covered.text, "a = \"***\" # x\nb = 1\n");
        let at = |part: &str| covered.text.find(part).unwrap();
        assert_eq!(covered.span(4..14), 4..9);
        assert_eq!(covered.span(6..10), 5..8, "inside");
        let end = text.len();
        assert_eq!(covered.span(end - 6..end), at("b = 1")..covered.text.len());
        assert_eq!(covered.span(0..1), 0..1);
        assert_eq!(
            cover("a = [\n 1,\n 2]\nb", &[std::ops::Range { start: 4, end: 14 }]).text,
            "a = ***\n\n\nb",
            "lines stay"
        );
    }

    #[test]
    fn broken_toml_hides_what_looks_like_a_secret() {
        let text = "[app.env]\nDB = \"hunter2\n[edge]\nlisten = \"x\"\nadmin_password = hunter2\n# env\nenv = { A = 'hunter2'\n";
        let covered = cover(text, &in_broken_toml(text)).text;
        assert!(!covered.contains("hunter2") && covered.contains("listen = \"x\""), "{covered}");
        assert_eq!(covered.lines().count(), text.lines().count());
        let text = "a = 1\n  # DB_PASSWORD = \"hunter2\"\n# listen = \"x\"\n";
        assert_eq!(cover(text, &in_comments(text)).text, text.replace("hunter2\"", "***"));
    }

    /// Slices of text fall apart at letters of several bytes: every short text of the pieces that matter is tried.
    #[test]
    fn no_text_breaks_the_masking() {
        const PIECES: [&str; 12] = ["--", "token", "=", " ", "\"", "'", "é", "://", ":", "@", "/", "\n"];
        for number in 0..PIECES.len().pow(4) {
            let text: String = (0..4).map(|place| PIECES[number / PIECES.len().pow(place) % PIECES.len()]).collect();
            let ranges = secret_ranges(&text);
            assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "{text}");
            for covered in [cover(&text, &ranges), cover(&text, &in_broken_toml(&text))] {
                assert_eq!(covered.text.matches('\n').count(), text.matches('\n').count(), "{text}");
                assert_eq!(covered.span(text.len()..text.len()).end, covered.text.len(), "{text}");
            }
            mask(&text);
        }
    }
}
