//! Parameters: found in a request by their place and style (OpenAPI 3.1.1, 4.8.12), read as what their schema expects, and
//! checked by it.

use std::{borrow::Cow, collections::BTreeSet};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::percent_decode_str;

use crate::{
    json,
    paths::PathValue,
    patterns::{Budget, Rule},
    settings::JsonSettings,
    shape::Shape,
    styles::{Coding, Raw, Reading, Style},
    violation::{self, Place, Violation},
};

/// One parameter of an operation.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub place: Place,
    pub name: String,
    /// The same as a header, where it is one.
    pub header: Option<HeaderName>,
    pub required: bool,
    /// `name[x]` is a parameter of its own, and not another way to write this one.
    pub has_bracketed_sibling: bool,
    pub style: Style,
    /// `name=` is right whatever the schema says (OpenAPI 3.1.1, 4.8.12.2).
    pub may_be_empty: bool,
    pub shape: Shape,
    pub rule: Rule,
}

/// Where the values are.
pub(crate) struct Sources<'a> {
    pub path: Vec<PathValue<'a>>,
    /// Names decoded, values as they came.
    pub query: Vec<(Cow<'a, str>, &'a str)>,
    pub headers: &'a HeaderMap,
    pub limits: &'a JsonSettings,
}

impl<'a> Sources<'a> {
    /// Takes a request's target apart; the query only when somebody needs it.
    pub(crate) fn of(
        path: Vec<PathValue<'a>>,
        query: Option<&'a str>,
        headers: &'a HeaderMap,
        limits: &'a JsonSettings,
    ) -> Self {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let query = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self { path, query: query.map(|(name, value)| (decoded(name), value)).collect(), headers, limits }
    }
}

/// The rule of a name with brackets.
pub(crate) const BRACKETS: &str = "brackets";
/// The rule of what is there more than once.
pub(crate) const REPEATED: &str = "repeated";

/// Of `application/x-www-form-urlencoded`, as queries are written.
pub(crate) fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

impl Parameter {
    /// Adds what is wrong with it.
    pub(crate) fn check(&self, sources: &Sources<'_>, all: &mut Vec<Violation>) {
        let before = all.len();
        self.compare(sources, all);
        if Budget::is_current_exhausted() {
            all.truncate(before);
            all.push(Violation::too_dear(self.place, &self.name));
        }
    }

    fn compare(&self, sources: &Sources<'_>, all: &mut Vec<Violation>) {
        if matches!(self.style, Style::Unread(_)) && self.shape.members.is_some() {
            // Its members may stand anywhere.
            return;
        }
        if self.place == Place::Query && self.is_bracketed(sources) {
            all.push(Violation::of(self.place, &self.name, BRACKETS, "must be written without brackets"));
            return;
        }
        if self.is_object_in_query() {
            return self.check_object(sources, all);
        }
        let texts = self.texts(sources);
        let Some(first) = texts.first() else {
            if self.required {
                all.push(Violation::of(self.place, &self.name, "required", "is missing"));
            }
            return;
        };
        match self.style {
            Style::Unread(_) | Style::Anything => {}
            Style::Json => match json::read(first.decoded(&first.text).as_bytes(), sources.limits) {
                Ok(value) => violation::check(&self.rule, &value, self.place, &self.name, all),
                Err(message) => all.push(Violation::of(self.place, &self.name, "json", message)),
            },
            _ if self.shape.items.is_none() && self.shape.members.is_none() && texts.len() > 1 => {
                // Which of them the app takes, nobody can say.
                all.push(Violation::of(self.place, &self.name, REPEATED, "is there more than once"));
            }
            _ if self.may_be_empty && texts.iter().all(|raw| raw.text.is_empty()) => {}
            style => match style.read(&self.name, &texts, &self.shape) {
                Ok(ways) => self.judge(&ways, all),
                Err(message) => all.push(Violation::of(self.place, &self.name, "style", message)),
            },
        }
    }

    fn texts<'a>(&self, sources: &Sources<'a>) -> Vec<Raw<'a>> {
        match self.place {
            Place::Path => sources.path.iter().filter(|one| one.name == self.name).map(PathValue::raw).collect(),
            Place::Query => {
                let values = sources.query.iter().filter(|(name, _)| *name == self.name);
                values.map(|(_, value)| Raw { text: Cow::Borrowed(*value), coding: Coding::Query }).collect()
            }
            Place::Header => plain(self.of_headers(sources.headers)),
            Place::Cookie => plain(self.of_cookies(sources.headers)),
            Place::Body => Vec::new(),
        }
    }

    /// Express, PHP and Rails make a list or an object of `limit[]=1` and `limit[a]=1`, which the schema of `limit` has never
    /// seen.
    fn is_bracketed(&self, sources: &Sources<'_>) -> bool {
        let inner = |name: &str| name.strip_prefix(self.name.as_str())?.strip_prefix('[').map(str::to_owned);
        let mut inner = sources.query.iter().filter_map(|(name, _)| inner(name));
        match self.style {
            // One level is its style; another is for members that are objects or lists themselves.
            Style::Unread(_) => false,
            Style::Deep => inner.any(|rest| {
                let (member, deeper) = rest.split_once(']').unwrap_or((&rest, ""));
                let shape = self.shape.member(member);
                !deeper.is_empty() && shape.is_some_and(|shape| shape.members.is_none() && shape.items.is_none())
            }),
            _ => !self.has_bracketed_sibling && inner.next().is_some(),
        }
    }

    /// A text may be meant as the value that it spells, or as a text, and a list may be written in two ways: one has to be
    /// right.
    fn judge(&self, ways: &[Reading], all: &mut Vec<Violation>) {
        let is_right =
            |way: &Reading| [false, true].iter().any(|literal| self.rule.allows(&way.value(&self.shape, *literal)));
        if ways.iter().any(is_right) {
            return;
        }
        match ways.first() {
            Some(way) => violation::check(&self.rule, &way.value(&self.shape, false), self.place, &self.name, all),
            None => all.push(Violation::of(self.place, &self.name, REPEATED, "is there more than once")),
        }
    }

    fn is_object_in_query(&self) -> bool {
        self.place == Place::Query
            && self.shape.members.is_some()
            && matches!(self.style, Style::Deep | Style::Form { explode: true })
    }

    /// An object whose members are parameters of their own: `name[member]=value`, or plainly `member=value`.
    fn check_object(&self, sources: &Sources<'_>, all: &mut Vec<Violation>) {
        let member = |name: &'_ str| -> Option<String> {
            match self.style {
                Style::Deep => {
                    let inner = name.strip_prefix(self.name.as_str())?.strip_prefix('[')?;
                    let (member, deeper) = inner.split_once(']')?;
                    // Deeper ones have no meaning in OpenAPI; the app may have one for members that are known.
                    (deeper.is_empty() || self.shape.member(member).is_none()).then(|| member.to_owned())
                }
                _ => self.shape.member(name).map(|_| name.to_owned()),
            }
        };
        let pairs: Vec<(String, String)> = sources
            .query
            .iter()
            .filter_map(|(name, value)| Some((member(name)?, decoded(value).into_owned())))
            .collect();
        if pairs.is_empty() {
            if self.required {
                all.push(Violation::of(self.place, &self.name, "required", "is missing"));
            }
            return;
        }
        // Of two values of one member apps take the first, the last, or both; the schema is asked about one.
        let mut seen = BTreeSet::new();
        let is_list = |name: &str| self.shape.member(name).is_none_or(|shape| shape.items.is_some());
        if pairs.iter().any(|(name, _)| !seen.insert(name.as_str()) && !is_list(name)) {
            return all.push(Violation::of(self.place, &self.name, REPEATED, "has a member more than once"));
        }
        self.judge(&[Reading::Members(pairs)], all);
    }

    fn of_headers<'a>(&self, headers: &'a HeaderMap) -> Vec<Cow<'a, str>> {
        let Some(name) = &self.header else { return Vec::new() };
        headers.get_all(name).iter().map(text).collect()
    }

    fn of_cookies<'a>(&self, headers: &'a HeaderMap) -> Vec<Cow<'a, str>> {
        let mut found = Vec::new();
        for line in headers.get_all(header::COOKIE) {
            let line = text(line);
            for pair in line.split(';') {
                if let Some((name, value)) = pair.split_once('=')
                    && name.trim() == self.name
                {
                    let value = value.trim();
                    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
                    found.push(Cow::Owned(inner.to_owned()));
                }
            }
        }
        found
    }
}

fn plain(texts: Vec<Cow<'_, str>>) -> Vec<Raw<'_>> {
    texts.into_iter().map(|text| Raw { text, coding: Coding::Plain }).collect()
}

/// What is no UTF-8 was always Latin-1 in HTTP.
fn text(value: &HeaderValue) -> Cow<'_, str> {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(value.as_bytes().iter().map(|byte| char::from(*byte)).collect()),
    }
}
