//! Calls in Python code: their arguments, without a parser for the whole language.

/// An argument: its name, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument<'c> {
    pub name: Option<&'c str>,
    pub value: &'c str,
}

/// The arguments of the call (or the items of the list) whose bracket opens a text, and where it ends.
pub fn arguments(code: &str) -> (Vec<Argument<'_>>, usize) {
    let mut found = Vec::new();
    let (mut depth, mut start, mut at) = (0_usize, 1, 0);
    let bytes = code.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    found.extend(argument(&code[start..at]));
                    return (found, at + 1);
                }
            }
            quote @ (b'"' | b'\'') => {
                at = after_text(bytes, at, quote);
                continue;
            }
            b'#' => {
                at += code[at..].find('\n').unwrap_or(code.len() - at);
                continue;
            }
            b',' if depth == 1 => {
                found.extend(argument(&code[start..at]));
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    (found, code.len())
}

fn after_text(bytes: &[u8], start: usize, quote: u8) -> usize {
    let triple = bytes[start..].starts_with(&[quote; 3]);
    let mut at = start + if triple { 3 } else { 1 };
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            letter if letter == quote && !triple => return at + 1,
            letter if letter == quote && bytes[at..].starts_with(&[quote; 3]) => return at + 3,
            b'\n' if !triple => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

fn argument(text: &str) -> Option<Argument<'_>> {
    let text = text.trim();
    let end = text.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')).unwrap_or(text.len());
    let after = text[end..].trim_start();
    match after.strip_prefix('=').filter(|rest| end > 0 && !rest.starts_with('=')) {
        Some(value) => Some(Argument { name: Some(&text[..end]), value: value.trim() }),
        None => (!text.is_empty()).then_some(Argument { name: None, value: text }),
    }
}

/// The value of a named argument, or of the one at a place.
pub fn value<'c>(arguments: &[Argument<'c>], name: &str, at: Option<usize>) -> Option<&'c str> {
    let named = arguments.iter().find(|one| one.name == Some(name));
    let placed = at.and_then(|at| arguments.get(at)).filter(|one| one.name.is_none());
    named.or(placed).map(|one| one.value)
}

/// What a text's quotes hold; pieces that stand side by side are joined.
pub fn text(value: &str) -> Option<String> {
    let (mut made, mut rest, mut any) = (String::new(), value.trim(), false);
    while !rest.is_empty() {
        let start = rest.find(['"', '\''])?;
        if !rest[..start].trim().trim_matches(['r', 'f', 'b', 'u', '(', ')']).is_empty() {
            return None;
        }
        let quote = rest.as_bytes()[start];
        let end = after_text(rest.as_bytes(), start, quote);
        let width = if rest.as_bytes()[start..].starts_with(&[quote; 3]) && end >= start + 6 { 3 } else { 1 };
        made.push_str(rest.get(start + width..end.saturating_sub(width))?);
        rest = rest[end..].trim().trim_start_matches(')');
        any = true;
    }
    any.then_some(made)
}

/// The texts of a list or tuple.
pub fn texts(value: &str) -> Vec<String> {
    if value.trim_start().starts_with(['[', '(', '{']) {
        return arguments(value.trim_start()).0.iter().filter_map(|one| text(one.value)).collect();
    }
    text(value).into_iter().collect()
}

/// The name that is called, and its arguments: `models.ForeignKey(…)`.
pub fn call(value: &str) -> Option<(&str, Vec<Argument<'_>>)> {
    let open = value.find('(')?;
    let name = value[..open].trim();
    let plain = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '.');
    (plain && !name.is_empty()).then(|| (name, arguments(&value[open..]).0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_a_call() {
        let (found, end) = arguments("('a, b', x=[1, (2)], y = \"\"\"q ) \"\"\", z==1) rest");
        assert_eq!(found.len(), 4);
        assert_eq!((found[1].name, found[1].value), (Some("x"), "[1, (2)]"));
        assert_eq!(found[3].name, None);
        assert_eq!(end, 42);
        assert_eq!(text("'a' \"b\""), Some("ab".into()));
        assert_eq!(text("name"), None);
        assert_eq!(texts("['a', 'b']"), ["a", "b"]);
        assert_eq!(call("sa.Column('x', sa.Integer())").unwrap().1.len(), 2);
        assert_eq!(arguments("(a").0.len(), 0);
    }
}
