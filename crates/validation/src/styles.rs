//! How parameters are written: the styles of OpenAPI 3.1.1 (4.8.12.2 to 4.8.12.6, appendix C), which are those of RFC 6570.
//! A text can often be read in more than one way; then one that is right is enough, for nobody refuses wrongly here.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::{parameters::decoded, shape::Shape, violation::Place};

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `name=a,b`; exploded: each item, or member of an object, under a name of its own.
    Form { explode: bool },
    /// The same with a space or `|` in place of the comma.
    Separated { by: char, explode: bool },
    /// `a,b`; members as `name=value` or as `name,value`.
    Simple { explode: bool },
    /// `.a,b` or `.a.b`.
    Label { explode: bool },
    /// `;name=a,b` or `;name=a;name=b`.
    Matrix { explode: bool },
    /// `name[member]=value`.
    Deep,
    /// One text of JSON.
    Json,
    /// Its schema takes anything: only the presence is looked at.
    Anything,
    /// Nobody can say how it is read, and why.
    Unread(&'static str),
}

/// A text as it came, and how it is encoded.
#[derive(Debug, Clone)]
pub(crate) struct Raw<'a> {
    pub text: Cow<'a, str>,
    pub coding: Coding,
}

/// How a text is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// RFC 3986, 2.1.
    Percent,
    /// As queries are written: a plus is a space too.
    Query,
    Plain,
}

/// One way to read a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reading {
    One(String),
    List(Vec<String>),
    Members(Vec<(String, String)>),
}

impl Style {
    /// Of a parameter without `content`.
    pub(crate) fn of(place: Place, parameter: &Value, shape: &Shape) -> Self {
        let usual = if matches!(place, Place::Query | Place::Cookie) { "form" } else { "simple" };
        let named = parameter["style"].as_str().unwrap_or(usual);
        let explode = parameter["explode"].as_bool().unwrap_or(named == "form");
        let style = match (place, named) {
            (Place::Query | Place::Cookie, "form") => Self::Form { explode },
            (Place::Query, "spaceDelimited") => Self::Separated { by: ' ', explode },
            (Place::Query, "pipeDelimited") => Self::Separated { by: '|', explode },
            (Place::Query, "deepObject") => Self::Deep,
            (Place::Path | Place::Header, "simple") => Self::Simple { explode },
            (Place::Path, "label") => Self::Label { explode },
            (Place::Path, "matrix") => Self::Matrix { explode },
            _ => return Self::Unread("its style is none for this place"),
        };
        let is_object = shape.members.is_some();
        let is_compound = is_object || shape.items.is_some();
        let one_by_one = matches!(style, Self::Deep | Self::Form { explode: true });
        match style {
            Self::Deep if !is_object => Self::Unread("`deepObject` is for objects"),
            Self::Form { explode: true } if place == Place::Cookie && is_compound => {
                Self::Unread("cookies have no way to write lists and objects one by one (`explode: false` has)")
            }
            Self::Separated { explode: true, .. } if is_object => Self::Unread("an exploded object has no such style"),
            Self::Label { explode: true } if is_compound && shape.has_fractions() => {
                Self::Unread("a dot stands within its numbers and between them")
            }
            _ if is_compound && shape.nests(one_by_one) => {
                Self::Unread("lists and objects within others have no style")
            }
            style => style,
        }
    }

    /// The ways to read what came; the first one is what was probably meant.
    ///
    /// # Errors
    /// It is not written in this style, in words for a client.
    pub(crate) fn read(self, name: &str, texts: &[Raw<'_>], shape: &Shape) -> Result<Vec<Reading>, String> {
        let mut ways = Vec::new();
        if shape.items.is_some() {
            self.lists(name, texts, &mut ways)?;
        }
        if shape.members.is_some() {
            self.objects(name, texts, &mut ways)?;
        }
        if shape.takes_one() && texts.len() == 1 {
            ways.push(Reading::One(self.one(name, &texts[0])?));
        }
        Ok(ways)
    }

    fn one(self, name: &str, raw: &Raw<'_>) -> Result<String, String> {
        match self {
            Self::Label { .. } => Ok(raw.decoded(label(raw)?)),
            Self::Matrix { .. } => match matrix(name, raw)?.as_slice() {
                [value] => Ok(raw.decoded(value)),
                _ => Err("is there more than once".into()),
            },
            _ => Ok(raw.decoded(&raw.text)),
        }
    }

    fn lists(self, name: &str, texts: &[Raw<'_>], ways: &mut Vec<Reading>) -> Result<(), String> {
        let mut add = |list: Vec<String>| ways.push(Reading::List(list));
        let split = |by: char| texts.iter().flat_map(|raw| raw.split(&raw.text, by)).collect::<Vec<_>>();
        // Most frameworks decode first, and then the app splits.
        let split_after = |by: char| {
            let all = texts.iter().map(|raw| raw.decoded(&raw.text));
            all.flat_map(|text| text.split(by).map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        let is_empty = texts.iter().all(|raw| raw.text.is_empty());
        match self {
            // `states=` is a list of nothing (OpenAPI 3.1.1, 4.8.12.6), or of one empty text.
            Self::Form { explode: false } | Self::Separated { explode: false, .. } | Self::Simple { .. }
                if is_empty =>
            {
                add(Vec::new());
                add(vec![String::new()]);
            }
            Self::Form { explode: false } => {
                add(split(','));
                add(split_after(','));
            }
            Self::Separated { by, explode: false } => add(texts.iter().flat_map(|raw| raw.split_encoded(by)).collect()),
            Self::Simple { .. } => {
                let trimmed = |list: Vec<String>| list.iter().map(|one| one.trim().to_owned()).collect();
                let is_header = texts.iter().all(|raw| raw.coding == Coding::Plain);
                add(if is_header { trimmed(split(',')) } else { split(',') });
                add(split_after(','));
            }
            Self::Label { explode } => {
                for raw in texts {
                    let text = label(raw)?;
                    if !explode {
                        add(raw.split(text, ','));
                    }
                    // OpenAPI 3.0.3 has dots in its table for both.
                    add(raw.split(text, '.'));
                }
            }
            Self::Matrix { explode } => {
                for raw in texts {
                    let values = matrix(name, raw)?;
                    let by = |value: &&str| if explode { vec![raw.decoded(value)] } else { raw.split(value, ',') };
                    add(values.iter().flat_map(by).collect());
                }
            }
            _ => add(texts.iter().map(|raw| raw.decoded(&raw.text)).collect()),
        }
        Ok(())
    }

    fn objects(self, name: &str, texts: &[Raw<'_>], ways: &mut Vec<Reading>) -> Result<(), String> {
        let mut add = |members: Vec<(String, String)>| ways.push(Reading::Members(members));
        for raw in texts {
            match self {
                Self::Simple { explode } => add(members(&separated(&raw.text, ','), explode, raw)),
                Self::Label { explode } => {
                    let text = label(raw)?;
                    if !explode {
                        add(members(&separated(text, ','), false, raw));
                    }
                    add(members(&separated(text, '.'), explode, raw));
                }
                Self::Matrix { explode: true } => add(members(&pieces(raw)?, true, raw)),
                Self::Matrix { explode: false } => {
                    let values = matrix(name, raw)?;
                    add(values.iter().flat_map(|value| members(&separated(value, ','), false, raw)).collect());
                }
                Self::Separated { by, .. } => {
                    let parts = raw.split_encoded(by);
                    let pair = |pair: &[String]| (pair[0].clone(), pair.get(1).cloned().unwrap_or_default());
                    add(parts.chunks(2).map(pair).collect());
                }
                _ => {
                    add(members(&separated(&raw.text, ','), false, raw));
                    let whole = raw.decoded(&raw.text);
                    let plain = Raw { text: Cow::Borrowed(whole.as_str()), coding: Coding::Plain };
                    add(members(&separated(&plain.text, ','), false, &plain));
                }
            }
        }
        Ok(())
    }
}

impl Reading {
    /// The value; `literal`: as texts, wherever texts may stand.
    pub(crate) fn value(&self, shape: &Shape, literal: bool) -> Value {
        match self {
            Self::One(text) => shape.read(text, literal),
            Self::List(texts) => {
                let read = |text: &String| match &shape.items {
                    Some(items) => items.read(text, literal),
                    None => Value::String(text.clone()),
                };
                Value::Array(texts.iter().map(read).collect())
            }
            Self::Members(pairs) => {
                shape.object(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())), literal)
            }
        }
    }
}

impl Raw<'_> {
    /// A part of it, decoded.
    pub(crate) fn decoded(&self, text: &str) -> String {
        match self.coding {
            Coding::Percent => percent_decode_str(text).decode_utf8_lossy().into_owned(),
            Coding::Query => decoded(text).into_owned(),
            Coding::Plain => text.to_owned(),
        }
    }

    /// Separated first and decoded then: a comma that belongs to a value is written `%2C`.
    fn split(&self, text: &str, by: char) -> Vec<String> {
        text.split(by).map(|part| self.decoded(part)).collect()
    }

    /// A space and `|` can only be written encoded.
    fn split_encoded(&self, by: char) -> Vec<String> {
        let encoded = format!("%{:02X}", u32::from(by));
        let text = self.text.replace(&encoded.to_ascii_lowercase(), &encoded).replace(&encoded, &by.to_string());
        let separates = |letter: char| letter == by || (by == ' ' && letter == '+');
        text.split(separates).map(|part| self.decoded(part)).collect()
    }
}

fn separated(text: &str, by: char) -> Vec<&str> {
    text.split(by).collect()
}

/// What follows the dot.
fn label<'r>(raw: &'r Raw<'_>) -> Result<&'r str, String> {
    raw.text.strip_prefix('.').ok_or_else(|| "must begin with a dot (its style is `label`)".into())
}

/// What stands between semicolons.
fn pieces<'r>(raw: &'r Raw<'_>) -> Result<Vec<&'r str>, String> {
    let rest =
        raw.text.strip_prefix(';').ok_or_else(|| "must begin with a semicolon (its style is `matrix`)".to_owned());
    Ok(rest?.split(';').collect())
}

/// The values that stand there under a name.
fn matrix<'r>(name: &str, raw: &'r Raw<'_>) -> Result<Vec<&'r str>, String> {
    let pairs = pieces(raw)?.into_iter().map(|piece| piece.split_once('=').unwrap_or((piece, "")));
    let values: Vec<&str> = pairs.filter(|(known, _)| raw.decoded(known) == name).map(|(_, value)| value).collect();
    if values.is_empty() {
        Err(format!("must be written as `;{name}=…` (its style is `matrix`)"))
    } else {
        Ok(values)
    }
}

/// `R=100` each, or `R`, `100` in turns.
fn members(parts: &[&str], explode: bool, raw: &Raw<'_>) -> Vec<(String, String)> {
    let part = |text: &str| raw.decoded(text.trim());
    if explode {
        let pairs = parts.iter().map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        return pairs.map(|(name, value)| (part(name), part(value))).collect();
    }
    parts.chunks(2).map(|pair| (part(pair[0]), part(pair.get(1).copied().unwrap_or_default()))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Whether one of the ways to read a text is this value.
    fn reads(place: Place, style: &str, explode: bool, kind: &str, text: &str) -> Option<Value> {
        let schema = match kind {
            "string" => json!({ "type": "string" }),
            "array" => json!({ "type": "array", "items": { "type": "string" } }),
            _ => json!({ "type": "object", "properties": {
                "R": { "type": "integer" }, "G": { "type": "integer" }, "B": { "type": "integer" },
            } }),
        };
        let shape = Shape::of(&Value::Null, &schema);
        let style = Style::of(place, &json!({ "style": style, "explode": explode }), &shape);
        let coding = match place {
            Place::Path => Coding::Percent,
            Place::Query => Coding::Query,
            _ => Coding::Plain,
        };
        // One text for each value of that name, as `Parameter` finds them.
        let named = |pair: &str| Some(pair.strip_prefix("color=")?.to_owned());
        let texts: Vec<String> = match place {
            Place::Query => text.split('&').filter_map(named).collect(),
            _ => vec![text.strip_prefix("color=").unwrap_or(text).to_owned()],
        };
        let texts: Vec<Raw<'_>> = texts.into_iter().map(|text| Raw { text: Cow::Owned(text), coding }).collect();
        let ways = style.read("color", &texts, &shape).ok()?;
        ways.first().map(|way| way.value(&shape, false))
    }

    #[test]
    fn the_table_of_style_values_is_read() {
        let (one, list) = (|| json!("blue"), || json!(["blue", "black", "brown"]));
        let object = || json!({ "R": 100, "G": 200, "B": 150 });
        let (path, query, header, cookie) = (Place::Path, Place::Query, Place::Header, Place::Cookie);
        for (place, style, explode, text, value) in [
            (path, "matrix", false, ";color", json!("")),
            (path, "matrix", false, ";color=blue", one()),
            (path, "matrix", false, ";color=blue,black,brown", list()),
            (path, "matrix", false, ";color=R,100,G,200,B,150", object()),
            (path, "matrix", true, ";color=blue", one()),
            (path, "matrix", true, ";color=blue;color=black;color=brown", list()),
            (path, "matrix", true, ";R=100;G=200;B=150", object()),
            (path, "label", false, ".", json!("")),
            (path, "label", false, ".blue", one()),
            (path, "label", false, ".blue,black,brown", list()),
            (path, "label", false, ".R,100,G,200,B,150", object()),
            (path, "label", true, ".blue.black.brown", list()),
            (path, "label", true, ".R=100.G=200.B=150", object()),
            (path, "simple", false, "blue", one()),
            (path, "simple", false, "blue,black,brown", list()),
            (path, "simple", false, "R,100,G,200,B,150", object()),
            (path, "simple", true, "blue,black,brown", list()),
            (path, "simple", true, "R=100,G=200,B=150", object()),
            (header, "simple", false, "blue, black,brown", list()),
            (header, "simple", false, "R,100,G,200,B,150", object()),
            (header, "simple", true, "R=100, G=200, B=150", object()),
            (query, "form", false, "color=", json!("")),
            (query, "form", false, "color=blue", one()),
            (query, "form", false, "color=blue,black,brown", list()),
            (query, "form", false, "color=R,100,G,200,B,150", object()),
            (query, "form", true, "color=blue&color=black&color=brown", list()),
            (query, "spaceDelimited", false, "color=blue%20black%20brown", list()),
            (query, "spaceDelimited", false, "color=blue+black+brown", list()),
            (query, "spaceDelimited", false, "color=R%20100%20G%20200%20B%20150", object()),
            (query, "pipeDelimited", false, "color=blue%7Cblack%7cbrown", list()),
            (query, "pipeDelimited", false, "color=blue|black|brown", list()),
            (query, "pipeDelimited", false, "color=R%7C100%7CG%7C200%7CB%7C150", object()),
            (cookie, "form", false, "color=blue", one()),
            (cookie, "form", false, "color=blue,black,brown", list()),
            (cookie, "form", false, "color=R,100,G,200,B,150", object()),
            (cookie, "form", true, "color=blue", one()),
        ] {
            let kind = match &value {
                Value::String(_) => "string",
                Value::Array(_) => "array",
                _ => "object",
            };
            assert_eq!(reads(place, style, explode, kind, text), Some(value), "{style} {explode} {text}");
        }
    }

    #[test]
    fn an_encoded_separator_belongs_to_a_value() {
        assert_eq!(reads(Place::Query, "form", false, "array", "color=a%2Cb,c"), Some(json!(["a,b", "c"])));
        assert_eq!(reads(Place::Path, "matrix", false, "array", ";color=a%2Cb,c"), Some(json!(["a,b", "c"])));
        assert_eq!(reads(Place::Path, "label", true, "array", ".a%2Eb.c"), Some(json!(["a.b", "c"])));
    }

    #[test]
    fn what_is_not_in_the_style_is_said_and_what_has_none_is_not_judged() {
        for (style, text) in
            [("matrix", "color=blue"), ("matrix", ";size=1"), ("matrix", ";color=a;color=b"), ("label", "blue")]
        {
            assert_eq!(reads(Place::Path, style, false, "string", text), None, "{style} {text}");
        }
        let of =
            |place, parameter: Value, schema: Value| Style::of(place, &parameter, &Shape::of(&Value::Null, &schema));
        let list = |items: Value| json!({ "type": "array", "items": items });
        let object = |member: Value| json!({ "type": "object", "properties": { "a": member } });
        for (place, parameter, schema) in [
            (Place::Cookie, json!({}), list(json!({ "type": "string" }))),
            (Place::Query, json!({ "style": "deepObject" }), list(json!({ "type": "string" }))),
            (Place::Query, json!({ "style": "deepObject" }), object(object(json!({ "type": "string" })))),
            (Place::Query, json!({ "style": "pipeDelimited", "explode": true }), object(json!({ "type": "string" }))),
            (Place::Query, json!({ "explode": false }), list(list(json!({ "type": "string" })))),
            (Place::Path, json!({ "style": "label", "explode": true }), list(json!({ "type": "number" }))),
            (Place::Header, json!({ "style": "form" }), json!({ "type": "string" })),
        ] {
            let style = of(place, parameter.clone(), schema.clone());
            assert!(matches!(style, Style::Unread(_)), "{parameter} {schema}: {style:?}");
        }
        let tags = object(list(json!({ "type": "string" })));
        assert_eq!(
            of(Place::Query, json!({ "style": "deepObject" }), tags),
            Style::Deep,
            "tags of one level are told apart"
        );
    }
}
