//! Parameters: found in a request by their place and style (OpenAPI 3.1.1, 4.8.12), read as what their schema expects, and
//! checked by it.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use jsonschema::Validator;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::{
    json,
    settings::JsonSettings,
    shape::Shape,
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
    pub shape: Shape,
    pub validator: Validator,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Separated by this; or `None`: each item (of a list) or member (of an object) under a name of its own.
    Separated(Option<char>),
    /// Comma-separated; members as `name=value` instead of `name,value`.
    Simple { explode: bool },
    /// `name[member]=value`.
    Deep,
    /// One text of JSON.
    Json,
    /// A style of which only the presence is looked at.
    Unread,
}

/// Where the values are.
pub(crate) struct Sources<'a> {
    pub path: Vec<(&'a str, Cow<'a, str>)>,
    /// Names decoded, values as they came.
    pub query: Vec<(Cow<'a, str>, &'a str)>,
    pub headers: &'a HeaderMap,
    pub limits: &'a JsonSettings,
}

impl<'a> Sources<'a> {
    /// Takes a request's target apart; the query only when somebody needs it.
    pub(crate) fn of(
        path: Vec<(&'a str, Cow<'a, str>)>,
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
        let texts = match self.place {
            Place::Path => {
                sources.path.iter().filter(|(name, _)| *name == self.name).map(|(_, value)| value.clone()).collect()
            }
            Place::Query => self.of_query(sources),
            Place::Header => self.of_headers(sources.headers),
            Place::Cookie => self.of_cookies(sources.headers),
            Place::Body => Vec::new(),
        };
        if self.place == Place::Query && self.is_bracketed(sources) {
            all.push(Violation::of(self.place, &self.name, BRACKETS, "must be written without brackets"));
            return;
        }
        if self.is_object_in_query() {
            return self.check_object(sources, all);
        }
        if texts.is_empty() {
            if self.required {
                all.push(Violation::of(self.place, &self.name, "required", "is missing"));
            }
            return;
        }
        match self.style {
            Style::Unread => {}
            Style::Json => match json::read(texts[0].as_bytes(), sources.limits) {
                Ok(value) => violation::check(&self.validator, &value, self.place, &self.name, all),
                Err(message) => all.push(Violation::of(self.place, &self.name, "json", message)),
            },
            _ if self.shape.items.is_none() && self.shape.members.is_none() && texts.len() > 1 => {
                // Which of them the app takes, nobody can say.
                all.push(Violation::of(self.place, &self.name, REPEATED, "is there more than once"));
            }
            _ => self.judge(|literal| self.value(&texts, literal), all),
        }
    }

    /// Express, PHP and Rails make a list or an object of `limit[]=1` and `limit[a]=1`, which the schema of `limit` has never
    /// seen.
    fn is_bracketed(&self, sources: &Sources<'_>) -> bool {
        let inner = |name: &str| name.strip_prefix(self.name.as_str())?.strip_prefix('[').map(str::to_owned);
        let mut inner = sources.query.iter().filter_map(|(name, _)| inner(name));
        match self.style {
            // One level is its style; another is for members that are objects or lists themselves.
            Style::Deep => inner.any(|rest| {
                let (member, deeper) = rest.split_once(']').unwrap_or((&rest, ""));
                let shape = self.shape.member(member);
                !deeper.is_empty() && shape.is_some_and(|shape| shape.members.is_none() && shape.items.is_none())
            }),
            _ => !self.has_bracketed_sibling && inner.next().is_some(),
        }
    }

    /// A text may be meant as the value that it spells, or as a text: one of both has to be right.
    fn judge(&self, value: impl Fn(bool) -> Value, all: &mut Vec<Violation>) {
        let spelt = value(false);
        if self.validator.is_valid(&spelt) || (!self.shape.is_only_text() && self.validator.is_valid(&value(true))) {
            return;
        }
        violation::check(&self.validator, &spelt, self.place, &self.name, all);
    }

    fn value(&self, texts: &[Cow<'_, str>], literal: bool) -> Value {
        let parts = || texts.iter().flat_map(|text| text.split(','));
        if let Some(items) = &self.shape.items {
            let read = |text: &str| items.read(text, literal);
            return Value::Array(match self.style {
                // `states=` is a list of nothing (OpenAPI 3.1.1, 4.8.12.6), or of one empty text.
                Style::Simple { .. } | Style::Separated(Some(_))
                    if !literal && texts.iter().all(|text| text.is_empty()) =>
                {
                    Vec::new()
                }
                Style::Simple { .. } => parts().map(|part| read(part.trim())).collect(),
                _ => texts.iter().map(|text| read(text)).collect(),
            });
        }
        if self.shape.members.is_some() {
            let pairs: Vec<&str> = parts().collect();
            return match self.style {
                Style::Simple { explode: true } => {
                    self.shape.object(pairs.iter().map(|pair| pair.split_once('=').unwrap_or((pair, ""))), literal)
                }
                _ => self
                    .shape
                    .object(pairs.chunks(2).map(|pair| (pair[0], pair.get(1).copied().unwrap_or(""))), literal),
            };
        }
        self.shape.read(&texts[0], literal)
    }

    fn is_object_in_query(&self) -> bool {
        self.place == Place::Query
            && self.shape.members.is_some()
            && matches!(self.style, Style::Deep | Style::Separated(None))
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
        let borrowed = || pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        self.judge(|literal| self.shape.object(borrowed(), literal), all);
    }

    fn of_query<'a>(&self, sources: &Sources<'a>) -> Vec<Cow<'a, str>> {
        let values = sources.query.iter().filter(|(name, _)| *name == self.name).map(|(_, value)| *value);
        match self.style {
            Style::Separated(Some(separator)) if self.shape.items.is_some() || self.shape.members.is_some() => {
                // Separated first and decoded then: a comma that belongs to a value is written %2C.
                let encoded = format!("%{:02X}", u32::from(separator));
                let parts = values.flat_map(|value| match separator {
                    ',' => value.split(',').collect::<Vec<_>>(),
                    _ => value.split(encoded.as_str()).flat_map(|part| part.split([separator, '+'])).collect(),
                });
                parts.map(decoded).collect()
            }
            _ => values.map(decoded).collect(),
        }
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
                    match self.style {
                        Style::Separated(Some(',')) if self.shape.items.is_some() => {
                            found.extend(inner.split(',').map(|part| Cow::Owned(part.to_owned())));
                        }
                        _ => found.push(Cow::Owned(inner.to_owned())),
                    }
                }
            }
        }
        found
    }
}

/// What is no UTF-8 was always Latin-1 in HTTP.
fn text(value: &HeaderValue) -> Cow<'_, str> {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(value.as_bytes().iter().map(|byte| char::from(*byte)).collect()),
    }
}
