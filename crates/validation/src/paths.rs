//! Which operation of the document a request is for. More spellings lead to an operation than the document has: an app
//! that takes `/Items/` for `/items` must not get past its schema that way.

use std::{borrow::Cow, cmp::Reverse, collections::HashMap};

use http::Method;
use percent_encoding::percent_decode_str;

use crate::styles::{Coding, Raw};

/// The paths of a document.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    /// By number of segments; in each, those with more fixed text first.
    by_length: HashMap<usize, Vec<Template>>,
}

#[derive(Debug)]
struct Template {
    segments: Vec<Segment>,
    /// Methods and the numbers of their operations.
    methods: Vec<(Method, usize)>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Fixed(String),
    /// Text, then a parameter, and so on; the last text may be empty.
    Mixed(Vec<(String, String)>, String),
}

/// A parameter's value in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathValue<'a> {
    pub name: &'a str,
    /// Decoded.
    text: Cow<'a, str>,
    /// As it came, where it is a whole segment.
    sent: Option<&'a str>,
}

impl<'a> PathValue<'a> {
    /// As it came, if that is known.
    pub(crate) fn raw(&self) -> Raw<'a> {
        match self.sent {
            Some(sent) => Raw { text: Cow::Borrowed(sent), coding: Coding::Percent },
            None => Raw { text: self.text.clone(), coding: Coding::Plain },
        }
    }
}

/// A segment of a request's path.
#[derive(Debug, Clone)]
struct Sent<'a> {
    text: Cow<'a, str>,
    raw: Option<&'a str>,
}

/// What was found for a path.
#[derive(Debug, PartialEq)]
pub(crate) enum Found<'a> {
    /// This operation, with the values in its path, in the order of the template.
    Operation(usize, Vec<PathValue<'a>>),
    /// The path is there, with other methods.
    OtherMethods(Vec<&'a Method>),
    Nothing,
}

impl Paths {
    /// Adds an operation.
    pub(crate) fn add(&mut self, template: &str, method: Method, operation: usize) {
        let segments: Vec<Segment> = split(template).map(Segment::of).collect();
        let same_length = self.by_length.entry(segments.len()).or_default();
        match same_length.iter_mut().find(|one| one.segments == segments) {
            Some(known) => known.methods.push((method, operation)),
            None => same_length.push(Template { segments, methods: vec![(method, operation)] }),
        }
    }

    /// Puts them in order; to be called once after all were added.
    pub(crate) fn sort(&mut self) {
        for same_length in self.by_length.values_mut() {
            // Fixed before templated, segment by segment (OpenAPI 3.1.1, 4.8.8).
            same_length.sort_by_cached_key(|one| one.segments.iter().map(Segment::rank).collect::<Vec<_>>());
        }
    }

    /// Looks for a request's operation. HEAD is GET, unless the document says otherwise.
    pub(crate) fn find<'a>(&'a self, method: &Method, path: &'a str) -> Found<'a> {
        let mut segments: Vec<Sent<'a>> = Vec::new();
        for raw in split(path) {
            let text = percent_decode_str(raw).decode_utf8_lossy();
            match &*text {
                "." => {}
                ".." => _ = segments.pop(),
                _ => segments.push(Sent { text, raw: Some(raw) }),
            }
        }
        let found = self.of_segments(method, &segments);
        let folds = segments.iter().any(|segment| segment.text.contains([';', '/', '\\']));
        if matches!(found, Found::Operation(..)) || !folds {
            return found;
        }
        // Many apps drop what follows a semicolon, or take what was escaped for a slash.
        match self.of_segments(method, &folded(&segments)) {
            Found::Nothing => found,
            read => read,
        }
    }

    fn of_segments<'a>(&'a self, method: &Method, segments: &[Sent<'a>]) -> Found<'a> {
        let Some(candidates) = self.by_length.get(&segments.len()) else { return Found::Nothing };
        let mut others: Option<&Template> = None;
        for exact in [true, false] {
            for template in candidates {
                let Some(values) = template.take(segments, exact) else { continue };
                let of = |wanted: &Method| template.methods.iter().find(|(known, _)| known == wanted);
                let get = || of(&Method::GET).filter(|_| *method == Method::HEAD);
                match of(method).or_else(get) {
                    Some((_, operation)) => return Found::Operation(*operation, values),
                    None => _ = others.get_or_insert(template),
                }
            }
        }
        match others {
            Some(template) => Found::OtherMethods(template.methods.iter().map(|(method, _)| method).collect()),
            None => Found::Nothing,
        }
    }
}

fn folded<'a>(segments: &[Sent<'a>]) -> Vec<Sent<'a>> {
    let mut read: Vec<Sent<'a>> = Vec::new();
    for part in segments.iter().flat_map(|segment| segment.text.split(['/', '\\'])) {
        match part.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => _ = read.pop(),
            name => read.push(Sent { text: Cow::Owned(name.to_owned()), raw: None }),
        }
    }
    read
}

/// Segments, the empty ones left out: a slash more makes no other path.
fn split(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

impl Template {
    fn take<'a>(&'a self, segments: &[Sent<'a>], exact: bool) -> Option<Vec<PathValue<'a>>> {
        let mut values = Vec::new();
        for (expected, segment) in self.segments.iter().zip(segments) {
            match expected {
                Segment::Fixed(text) if exact && *text == segment.text => {}
                Segment::Fixed(text) if !exact && text.eq_ignore_ascii_case(&segment.text) => {}
                Segment::Fixed(_) => return None,
                // A whole segment: nothing has to be copied.
                Segment::Mixed(parts, end) if parts.len() == 1 && parts[0].0.is_empty() && end.is_empty() => {
                    values.push(PathValue { name: &parts[0].1, text: segment.text.clone(), sent: segment.raw });
                }
                Segment::Mixed(parts, end) => take_mixed(parts, end, &segment.text, &mut values)?,
            }
        }
        Some(values)
    }
}

fn take_mixed<'a>(
    parts: &'a [(String, String)],
    end: &str,
    segment: &str,
    values: &mut Vec<PathValue<'a>>,
) -> Option<()> {
    let mut rest = segment;
    for (index, (before, name)) in parts.iter().enumerate() {
        rest = rest.strip_prefix(before.as_str())?;
        let next = parts.get(index + 1).map_or(end, |(before, _)| before);
        let length = match (index + 1 == parts.len(), next.is_empty()) {
            (true, _) => {
                rest.len().checked_sub(end.len()).filter(|at| rest.is_char_boundary(*at) && rest.ends_with(end))?
            }
            // Two parameters side by side: nobody can say where the first one ends.
            (false, true) => rest.chars().next()?.len_utf8(),
            (false, false) => rest.find(next)?,
        };
        let (value, after) = rest.split_at_checked(length)?;
        values.push(PathValue { name, text: Cow::Owned(value.to_owned()), sent: None });
        rest = after;
    }
    rest.strip_prefix(end).filter(|rest| rest.is_empty()).map(|_| ())
}

impl Segment {
    fn of(text: &str) -> Self {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            parts.push((before.to_owned(), name.to_owned()));
            rest = after;
        }
        if parts.is_empty() {
            Self::Fixed(percent_decode_str(text).decode_utf8_lossy().into_owned())
        } else {
            Self::Mixed(parts, rest.to_owned())
        }
    }

    /// Smaller is more specific.
    fn rank(&self) -> (u8, Reverse<usize>) {
        match self {
            Self::Fixed(_) => (0, Reverse(0)),
            Self::Mixed(parts, end) => {
                (1, Reverse(end.len() + parts.iter().map(|(before, _)| before.len()).sum::<usize>()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> Paths {
        let mut paths = Paths::default();
        let all = [
            "GET /items",
            "POST /items",
            "GET /items/{id}",
            "DELETE /items/{id}",
            "GET /items/new",
            "GET /f/{a}-{b}.{c}",
            "GET /",
        ];
        for (number, one) in all.iter().enumerate() {
            let (method, path) = one.split_once(' ').unwrap();
            paths.add(path, method.parse().unwrap(), number);
        }
        paths.sort();
        paths
    }

    fn number(paths: &Paths, method: &str, path: &str) -> Option<usize> {
        match paths.find(&method.parse().unwrap(), path) {
            Found::Operation(number, _) => Some(number),
            _ => None,
        }
    }

    #[test]
    fn the_most_specific_path_with_that_method_is_meant() {
        let paths = paths();
        assert_eq!(number(&paths, "GET", "/items/new"), Some(4));
        assert_eq!(number(&paths, "DELETE", "/items/new"), Some(3), "no such method at the fixed path");
        assert_eq!(number(&paths, "HEAD", "/items/5"), Some(2));
        assert_eq!(number(&paths, "GET", "/"), Some(6));
        assert_eq!(number(&paths, "GET", "/items/5/x"), None);
        assert!(matches!(paths.find(&Method::PUT, "/items"), Found::OtherMethods(methods) if methods.len() == 2));
        assert_eq!(paths.find(&Method::GET, "/elsewhere"), Found::Nothing);
    }

    #[test]
    fn another_spelling_is_the_same_path() {
        let paths = paths();
        for path in [
            "/items/",
            "//items",
            "/Items",
            "/%69tems",
            "/ITEMS//",
            "/items;a=b",
            "/;x/items",
            "/a/../items",
            "/./items",
            "/a/%2e%2E/items",
            "/%2fitems",
            "/\\items",
            "/a%2f..%5citems",
        ] {
            assert_eq!(number(&paths, "POST", path), Some(1), "{path}");
        }
    }

    #[test]
    fn values_are_decoded_and_taken_apart() {
        let paths = paths();
        let values = |path| match paths.find(&Method::GET, path) {
            Found::Operation(_, values) => values.iter().map(|one| format!("{}={}", one.name, one.text)).collect(),
            _ => Vec::new(),
        };
        assert_eq!(values("/items/a%2Fb"), ["id=a/b"]);
        assert_eq!(values("/items/;id=5"), ["id=;id=5"], "a matrix parameter is no spelling of /items");
        assert_eq!(values("/f/x-y-z.tar.gz"), ["a=x", "b=y-z", "c=tar.gz"]);
        assert!(values("/f/x.y").is_empty());
    }
}
