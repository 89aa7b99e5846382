//! Small means to read source text: what stands in brackets, its parts, and plain literals.

/// What stands between the bracket at `open` and the one that closes it. Strings and inner brackets are passed over.
pub(super) fn inside(text: &str, open: usize) -> Option<&str> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut letters = text.get(open..)?.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some(_), '\\') => drop(letters.next()),
            (Some(mark), _) if letter == mark => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(letter),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return text.get(open + 1..open + at);
                }
            }
            (None, _) => {}
        }
    }
    None
}

/// The parts between commas, without those inside of strings and brackets.
pub(super) fn parts(text: &str) -> Vec<&str> {
    let (mut found, mut from, mut depth, mut quote) = (Vec::new(), 0, 0_i32, None);
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some(_), '\\') => drop(letters.next()),
            (Some(mark), _) if letter == mark => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(letter),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, ',') if depth == 0 => {
                found.push(text[from..at].trim());
                from = at + 1;
            }
            (None, _) => {}
        }
    }
    found.push(text[from..].trim());
    found.retain(|part| !part.is_empty());
    found
}

/// The text of a string literal, when the part is nothing else and holds nothing that is computed.
pub(super) fn literal(part: &str) -> Option<&str> {
    let part = part.trim();
    let part = part.strip_prefix('r').filter(|rest| rest.starts_with(['"', '\''])).unwrap_or(part);
    let quote = part.chars().next().filter(|letter| matches!(letter, '"' | '\'' | '`'))?;
    let inner = part.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inner.contains([quote, '\\', '\n']) && !inner.contains("${") && !inner.contains("#{")).then_some(inner)
}

/// The value of `name=value` (or `name: value`) among parts.
pub(super) fn keyword<'a>(parts: &[&'a str], name: &str) -> Option<&'a str> {
    parts.iter().find_map(|part| {
        let rest = part.strip_prefix(name)?.trim_start();
        let value = rest.strip_prefix('=').or_else(|| rest.strip_prefix(':'))?;
        (!value.starts_with('=')).then(|| value.trim())
    })
}

/// Every string literal in a text.
pub(super) fn literals(text: &str) -> Vec<&str> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find(['"', '\'']) {
        let quote = rest[at..].chars().next().unwrap_or('"');
        let Some(length) = rest[at + 1..].find(quote) else { break };
        found.push(&rest[at + 1..at + 1 + length]);
        rest = &rest[at + 2 + length..];
    }
    found
}

/// The text without lines that are comments; places of what is left may move.
pub(super) fn without_comments(text: &str, mark: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with(mark));
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_strings_are_passed_over() {
        let text = "f(a, [1, 2], \"(,\", g(')'), x=\"y\") + h()";
        let inner = inside(text, 1).unwrap();
        assert_eq!(inner, "a, [1, 2], \"(,\", g(')'), x=\"y\"");
        let parts = parts(inner);
        assert_eq!(parts, ["a", "[1, 2]", "\"(,\"", "g(')')", "x=\"y\""]);
        assert_eq!(keyword(&parts, "x"), Some("\"y\""));
        assert_eq!(inside("f(", 1), None);
        assert_eq!(inside("f(\"\\\")\")", 1), Some("\"\\\")\""));
    }

    #[test]
    fn only_plain_literals_are_literals() {
        assert_eq!(literal(" r'a' "), Some("a"));
        for computed in ["f\"a\"", "\"a\" + b", "`a${b}`", "a", "\"a\" \"b\"", ""] {
            assert_eq!(literal(computed), None, "{computed}");
        }
        assert_eq!(literals("['GET', \"POST\"]"), ["GET", "POST"]);
    }
}
