//! JSON (RFC 8259) with limits: depth, members, names that are there twice, numbers that no number type holds. One pass that
//! checks and reads.
//!
//! Two readers may take different values of a name that is there twice (RFC 8259, 4), so what was checked here would not be
//! what the app acts on.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::settings::JsonSettings;

/// Names of members are shown up to this many characters.
const SHOWN: usize = 64;

/// Reads a text within the limits.
///
/// # Errors
/// In words for a client, with line and column; no values.
pub fn read(text: &[u8], limits: &JsonSettings) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("is no UTF-8 text (byte {})", error.valid_up_to()))?;
    let mut left = limits.members;
    let mut reader = serde_json::Deserializer::from_str(text);
    let place = |error: serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        let all = error.to_string();
        // The library's own words quote nothing of the text; ours are below.
        let what = all.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&all);
        match what.strip_prefix(OURS) {
            Some(ours) => format!("{ours} (line {line}, column {column})"),
            None => format!("is no valid JSON: {what} (line {line}, column {column})"),
        }
    };
    let value = Reading { depth: limits.depth, deepest: limits.depth, most: limits.members, left: &mut left };
    let value = value.deserialize(&mut reader).map_err(place)?;
    reader.end().map_err(place)?;
    Ok(value)
}

/// Marks our own words among the library's.
const OURS: &str = "\u{1}";

struct Reading<'a> {
    depth: u8,
    deepest: u8,
    most: u32,
    left: &'a mut u32,
}

impl Reading<'_> {
    fn deeper<E: serde::de::Error>(&mut self) -> Result<Reading<'_>, E> {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(E::custom(format_args!("{OURS}is more than {} levels deep", self.deepest)));
        };
        Ok(Reading { depth, deepest: self.deepest, most: self.most, left: self.left })
    }

    fn count<E: serde::de::Error>(&mut self) -> Result<(), E> {
        let Some(left) = self.left.checked_sub(1) else {
            return Err(E::custom(format_args!("{OURS}has more than {} members and items", self.most)));
        };
        *self.left = left;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value);
        number.map(Value::Number).ok_or_else(|| E::custom(format_args!("{OURS}has a number that is too large")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut inside = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inside.again())? {
            inside.count()?;
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        let mut inside = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            inside.count()?;
            if object.contains_key(&name) {
                let shown: String = name.chars().take(SHOWN).collect();
                return Err(A::Error::custom(format_args!(
                    "{OURS}has the name {} twice in one object",
                    quoted(&shown)
                )));
            }
            let value = members.next_value_seed(inside.again())?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

impl Reading<'_> {
    fn again(&mut self) -> Reading<'_> {
        Reading { depth: self.depth, deepest: self.deepest, most: self.most, left: self.left }
    }
}

/// As JSON writes it: control characters do not get into answers and logs.
pub(crate) fn quoted(name: &str) -> String {
    Value::String(name.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: JsonSettings = JsonSettings { everywhere: false, depth: 3, members: 8 };

    fn refused(text: &[u8]) -> String {
        read(text, &LIMITS).unwrap_err()
    }

    #[test]
    fn what_is_within_the_limits_is_read_as_it_is() {
        let text = r#"{"a": [1, -2, 1.5, true, null, {"b": "ü"}]}"#;
        assert_eq!(read(text.as_bytes(), &LIMITS).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(read(b" \"x\" ", &LIMITS).unwrap(), "x");
    }

    #[test]
    fn each_limit_says_what_it_is_and_where() {
        assert_eq!(refused(b"[[[[]]]]"), "is more than 3 levels deep (line 1, column 5)");
        assert!(refused(b"[1,2,3,4,5,6,7,8,9]").starts_with("has more than 8 members and items"));
        assert!(refused(b"{\"a\":1,\n\"a\":2}").starts_with("has the name \"a\" twice in one object (line 2"));
        assert!(refused(br#"{"\u0061":1,"a":2}"#).contains("twice"), "an escape is the same name");
        assert!(refused(b"[1e400]").contains("number out of range"));
        assert!(refused(b"[\"\xff\"]").starts_with("is no UTF-8 text (byte 2)"));
        assert!(refused(b"[NaN]").starts_with("is no valid JSON"));
        assert!(refused(b"[1] 2").starts_with("is no valid JSON: trailing characters"));
        assert!(refused(b"").starts_with("is no valid JSON"));
        assert!(refused(br#"["\ud800"]"#).starts_with("is no valid JSON"));
        assert!(refused(&b"[".repeat(1 << 20)).contains("levels deep"));
    }

    #[test]
    fn words_of_ours_come_from_no_text() {
        let error = refused(b"{\"\\u0001x\":1,\"\\u0001x\":2}");
        assert!(error.contains(r#""\u0001x""#), "{error}");
    }
}
