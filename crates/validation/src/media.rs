//! Media types: which of those that an operation describes a body is of (OpenAPI 3.1.1, 4.8.14.1; RFC 9110, 8.3.1 and
//! 12.5.1), and how it is looked at.

use http::{HeaderMap, Request, header};
use http_body::Body as HttpBody;
use seaworthy_core::Body;

use crate::{
    contract::Operation,
    form::Form,
    patterns::Rule,
    refusal,
    violation::{Place, Violation},
};

const FORM: &str = "application/x-www-form-urlencoded";

/// What a body may be.
#[derive(Debug)]
pub(crate) struct BodyRule {
    pub required: bool,
    pub media: Vec<Media>,
}

/// One media type, or a range of them.
#[derive(Debug)]
pub(crate) struct Media {
    pub kind: Kind,
    /// As the document writes it.
    pub written: String,
    pub reading: Reading,
}

/// What is looked at in a body.
#[derive(Debug)]
pub(crate) enum Reading {
    Json(Option<Rule>),
    Form(Form),
    /// Of a range of types: as what it is.
    Either(Rule, Option<Form>),
    /// It streams by.
    Nothing,
}

/// How a body is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Look<'a> {
    Json(Option<&'a Rule>),
    Form(&'a Form),
}

/// A media type with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kind {
    /// In small letters, without parameters: `application/json`, `image/*`.
    pub name: String,
    /// Those by which kinds differ, in small letters.
    parameters: Vec<(String, String)>,
    charsets: Vec<String>,
}

impl Kind {
    /// Of a text such as `application/json; version=1`.
    pub(crate) fn of(text: &str) -> Self {
        let mut parts = text.split(';');
        let name = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let mut kind = Self { name, parameters: Vec::new(), charsets: Vec::new() };
        for part in parts {
            let Some((key, value)) = part.split_once('=') else { continue };
            let key = key.trim().to_ascii_lowercase();
            let value = value.trim().trim_matches('"').to_ascii_lowercase();
            match key.as_str() {
                "charset" => kind.charsets.push(value),
                // It only says where the parts of this one body are.
                "boundary" => {}
                _ => kind.parameters.push((key, value)),
            }
        }
        kind
    }

    /// Of a request; `None` where the header is not there exactly once: of two, the app may believe the other one.
    pub(crate) fn of_request(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(header::CONTENT_TYPE).iter();
        match (all.next(), all.next()) {
            (Some(kind), None) => kind.to_str().ok().map(Self::of),
            _ => None,
        }
    }

    /// RFC 6839, 3.1.
    pub(crate) fn is_json(&self) -> bool {
        self.name.ends_with("/json") || self.name.ends_with("+json")
    }

    /// Its text is read as UTF-8 by everybody.
    pub(crate) fn is_utf8(&self) -> bool {
        self.charsets.iter().all(|one| matches!(one.as_str(), "utf-8" | "utf8" | "us-ascii" | "ascii"))
    }

    pub(crate) fn is_form(&self) -> bool {
        self.name == FORM
    }

    fn is_range(&self) -> bool {
        self.name.contains('*')
    }

    /// How well this one of the document names that of a request; less is better.
    fn rank(&self, of: &Self) -> Option<usize> {
        let has = |parameter: &(String, String)| of.parameters.contains(parameter);
        match self.name.split_once('*') {
            None if self.name == of.name && self.parameters.iter().all(has) => {
                Some(100 - self.parameters.len().min(50))
            }
            Some(("", _)) => Some(300),
            Some((before, after)) => {
                let fits = of.name.len() >= before.len() + after.len()
                    && of.name.starts_with(before)
                    && of.name.ends_with(after);
                fits.then_some(if after.is_empty() { 200 } else { 150 })
            }
            // With other parameters: nobody can say which one the app takes it for.
            None if self.name == of.name => Some(400),
            // Frameworks take `application/merge-patch+json` where they ask for JSON: it is compared, not refused.
            None if self.is_json() && of.is_json() => Some(500),
            None => None,
        }
    }
}

impl BodyRule {
    /// The numbers of those that a request's body may be meant as; several where nothing tells them apart.
    pub(crate) fn candidates(&self, kind: &Kind) -> Vec<usize> {
        let ranks: Vec<Option<usize>> = self.media.iter().map(|one| one.kind.rank(kind)).collect();
        let best = ranks.iter().flatten().min();
        let fits =
            |(number, rank): (usize, &Option<usize>)| (rank.as_ref() == best && rank.is_some()).then_some(number);
        ranks.iter().enumerate().filter_map(fits).collect()
    }
}

impl Media {
    /// How a body of this kind is read here; `None`: not at all.
    pub(crate) fn look(&self, kind: &Kind) -> Option<Look<'_>> {
        match &self.reading {
            Reading::Json(rule) => Some(Look::Json(rule.as_ref())),
            Reading::Form(form) => Some(Look::Form(form)),
            Reading::Either(rule, _) if kind.is_json() => Some(Look::Json(Some(rule))),
            Reading::Either(_, Some(form)) if kind.is_form() => Some(Look::Form(form)),
            Reading::Either(..) | Reading::Nothing => None,
        }
    }

    /// Why bodies of it are not judged, if so.
    pub(crate) fn unread(&self) -> Option<String> {
        match &self.reading {
            Reading::Nothing if !self.kind.is_range() => {
                Some(format!("bodies of {} are not taken apart", self.written))
            }
            _ => None,
        }
    }
}

/// As what the body is read, and which media types of the document it may be meant as; `None` when it is not to be read.
pub(crate) fn body_kind(
    operation: &Operation,
    request: &Request<Body>,
    violations: &mut Vec<Violation>,
) -> Option<(Kind, Vec<usize>)> {
    let rule = operation.body.as_ref()?;
    if request.body().is_end_stream() {
        if rule.required {
            violations.push(Violation::body("required", "is missing"));
        }
        return None;
    }
    if rule.media.is_empty() {
        return None;
    }
    let mut wrong = |name: &str, message: String| {
        violations.push(Violation::of(Place::Header, name, refusal::MEDIA_TYPE, message));
        None
    };
    let kind = Kind::of_request(request.headers()).unwrap_or_else(|| Kind::of(""));
    let media = rule.candidates(&kind);
    if media.is_empty() {
        let known: Vec<&str> = rule.media.iter().map(|one| one.written.as_str()).collect();
        return wrong("Content-Type", format!("must be {}", known.join(" or ")));
    }
    if media.iter().any(|number| rule.media.get(*number).is_none_or(|one| one.look(&kind).is_none())) {
        return None;
    }
    if !kind.is_utf8() {
        // The app would read other texts than were compared.
        return wrong("Content-Type", "must have UTF-8 as its charset, or none".into());
    }
    let encodings = request.headers().get_all(header::CONTENT_ENCODING);
    if encodings.iter().any(|one| !one.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return wrong("Content-Encoding", "is not understood here: send the body as it is".into());
    }
    Some((kind, media))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(described: &[&str], sent: &str) -> Vec<String> {
        let media =
            |text: &&str| Media { kind: Kind::of(text), written: (*text).to_owned(), reading: Reading::Nothing };
        let rule = BodyRule { required: true, media: described.iter().map(media).collect() };
        rule.candidates(&Kind::of(sent)).into_iter().map(|one| rule.media[one].written.clone()).collect()
    }

    #[test]
    fn the_most_specific_one_is_meant() {
        let all = ["*/*", "application/*", "application/*+json", "application/json", "application/json;version=2"];
        for (sent, meant) in [
            ("application/json", "application/json"),
            ("Application/JSON; Version=\"2\"", "application/json;version=2"),
            ("application/json; version=3; charset=utf-8", "application/json"),
            ("application/problem+json", "application/*+json"),
            ("application/xml", "application/*"),
            ("text/plain", "*/*"),
        ] {
            assert_eq!(chosen(&all, sent), [meant], "{sent}");
        }
        assert_eq!(
            chosen(&["application/json; charset=utf-8"], "application/json"),
            ["application/json; charset=utf-8"]
        );
        assert_eq!(chosen(&["application/json"], "application/vnd.api+json"), ["application/json"]);
        assert!(chosen(&["application/json"], "text/plain").is_empty());
        assert!(chosen(&["image/*"], "application/json").is_empty());
    }

    #[test]
    fn what_nothing_tells_apart_may_be_any() {
        let both = ["application/json;version=1", "application/json;version=2"];
        assert_eq!(chosen(&both, "application/json;version=2"), ["application/json;version=2"]);
        assert_eq!(chosen(&both, "application/json").len(), 2);
        assert_eq!(chosen(&both, "application/json;version=3").len(), 2);
    }

    #[test]
    fn a_text_in_another_charset_is_known() {
        for right in ["a/b", "a/b; charset=UTF-8", "a/b;charset=\"utf-8\"", "a/b; charset=us-ascii"] {
            assert!(Kind::of(right).is_utf8(), "{right}");
        }
        for wrong in ["a/b; charset=iso-8859-1", "a/b; Charset=\"UTF-16\"", "a/b; charset=utf-8; charset=utf-7"] {
            assert!(!Kind::of(wrong).is_utf8(), "{wrong}");
        }
    }
}
