//! Which account a sign-in is for, from a body that a stranger wrote.
//!
//! The body is read as JSON and as a form, whatever its `Content-Type` says, and the query too: an app that reads it the
//! other way must not see an account that we have not counted. Of a name that is given twice, both values count.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha256};

/// More names in one request are no sign-in.
const MOST: usize = 8;
/// A longer name is no name; it is counted by its beginning.
const LONGEST: usize = 320;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accounts {
    /// These, as they are compared: without surrounding blanks, in small letters.
    Named(Vec<String>),
    /// It can be read, and names none.
    None,
    /// It cannot be read.
    Unreadable,
}

/// A short stand-in, the same on every node: half of a SHA-256.
pub(super) fn fingerprint(kind: &str, name: &str) -> u128 {
    let digest = Sha256::new().chain_update(kind).chain_update([0]).chain_update(name).finalize();
    digest.iter().take(16).fold(0, |sum, byte| (sum << 8) | u128::from(*byte))
}

/// Reads the accounts that a request names in these fields.
pub fn read(query: Option<&str>, body: &[u8], encoded: bool, fields: &[String]) -> Accounts {
    let mut found = Found { values: Vec::new(), too_many: false };
    form(query.unwrap_or_default().as_bytes(), fields, &mut found);
    form(body, fields, &mut found);
    let paths: Vec<Vec<&str>> = fields.iter().map(|field| field.split('.').collect()).collect();
    let text = trim(body);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let seed = Looking { paths: paths.iter().map(Vec::as_slice).collect(), found: &mut found };
    let is_json = seed.deserialize(&mut reader).is_ok() && reader.end().is_ok();
    // Where our reader gives up, another one may go on, and find another name.
    let gave_up = matches!(text.first(), Some(b'{' | b'[')) && !is_json;
    if encoded || found.too_many || gave_up {
        return Accounts::Unreadable;
    }
    if !found.values.is_empty() {
        return Accounts::Named(found.values);
    }
    // What a form may consist of; anything else is for somebody with another reader.
    let is_form = text.iter().all(|byte| byte.is_ascii_graphic());
    if is_json || is_form { Accounts::None } else { Accounts::Unreadable }
}

fn trim(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii()
}

struct Found {
    values: Vec<String>,
    too_many: bool,
}

impl Found {
    fn add(&mut self, value: &str) {
        let name: String = value.trim().chars().take(LONGEST).flat_map(char::to_lowercase).collect();
        let name = name.trim().to_owned();
        if name.is_empty() || self.values.contains(&name) {
            return;
        }
        if self.values.len() == MOST {
            self.too_many = true;
        } else {
            self.values.push(name);
        }
    }
}

/// `application/x-www-form-urlencoded`.
fn form(text: &[u8], fields: &[String], found: &mut Found) {
    for pair in text.split(|byte| *byte == b'&') {
        let cut = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(cut);
        let name = decode(name);
        if fields.iter().any(|field| is_named(&name, field)) {
            found.add(&decode(value.get(1..).unwrap_or_default()));
        }
    }
}

/// `email`, or `user[email]` for `user.email`.
fn is_named(name: &str, field: &str) -> bool {
    // Some apps take names in any case, and drop spaces before them.
    let (name, field) = (name.trim().to_ascii_lowercase(), field.to_ascii_lowercase());
    if name == field {
        return true;
    }
    let mut parts = field.split('.');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    for part in parts {
        let inner = rest.strip_prefix('[').and_then(|rest| rest.strip_prefix(part)?.strip_prefix(']'));
        let Some(inner) = inner else { return false };
        rest = inner;
    }
    rest.is_empty() || rest == "[]"
}

fn decode(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'+', ..) => bytes.push(b' '),
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                rest = ahead;
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Looks for values at the ends of these paths; what is on none of them is passed over. serde_json bounds the depth.
struct Looking<'a, 'f> {
    paths: Vec<&'a [&'a str]>,
    found: &'f mut Found,
}

impl<'de> DeserializeSeed<'de> for Looking<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.paths.is_empty() {
            return deserializer.deserialize_any(IgnoredAny).map(drop);
        }
        deserializer.deserialize_any(self)
    }
}

impl Looking<'_, '_> {
    fn value(self, text: &str) {
        if self.paths.iter().any(|path| path.is_empty()) {
            self.found.add(text);
        }
    }
}

impl<'de> Visitor<'de> for Looking<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.value(text);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.value(&number.to_string());
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.value(&number.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.value(&number.to_string());
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        // An app that takes a list for a name takes one of them.
        let inside = || self.paths.clone();
        while items.next_element_seed(Looking { paths: inside(), found: &mut *self.found })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            let below = self.paths.iter().filter_map(|path| match path.split_first() {
                // Some apps take names in any case.
                Some((first, rest)) if first.eq_ignore_ascii_case(name.trim()) => Some(rest),
                _ => None,
            });
            let paths = below.collect();
            members.next_value_seed(Looking { paths, found: &mut *self.found })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(body: &str, fields: &[&str]) -> Accounts {
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        read(None, body.as_bytes(), false, &fields)
    }

    fn named(names: &[&str]) -> Accounts {
        Accounts::Named(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn a_name_is_found_in_json_and_in_a_form() {
        let fields = ["email", "user.name"];
        for (body, expected) in [
            (r#"{"email":" Ann@Example.com ","password":"p"}"#, named(&["ann@example.com"])),
            ("\u{feff} {\"user\":{\"name\":42}}\r\n", named(&["42"])),
            ("email=ann%40example.com&password=p", named(&["ann@example.com"])),
            ("password=p&user%5Bname%5D=A+B", named(&["a b"])),
            ("user[name]=x&user[other]=y", named(&["x"])),
            (r#"{"password":"email"}"#, Accounts::None),
            ("password=p", Accounts::None),
            ("", Accounts::None),
        ] {
            assert_eq!(accounts(body, &fields), expected, "{body}");
        }
        let query = read(Some("email=q%40x"), b"password=p", false, &["email".to_owned()]);
        assert_eq!(query, named(&["q@x"]));
    }

    #[test]
    fn no_way_of_writing_it_hides_a_name() {
        let fields = ["email"];
        for (body, expected) in [
            // Given twice; hidden in what another reader takes for a value; in a list.
            (r#"{"email":"decoy","email":"victim"}"#, named(&["decoy", "victim"])),
            (r#"{"e\u006dail":"victim"}"#, named(&["victim"])),
            (r#"{"a":"&email=victim&password=p&"}"#, named(&["victim"])),
            (r#"{"email":["decoy",{"x":1},"victim"]}"#, named(&["decoy", "victim"])),
            ("email=decoy&email=victim", named(&["decoy", "victim"])),
            ("%65mail=victim", named(&["victim"])),
        ] {
            assert_eq!(accounts(body, &fields), expected, "{body}");
        }
        let many: String = (0..20).map(|number| format!("email={number}&")).collect();
        let deep = "[".repeat(1_000);
        let behind =
            format!("{{\"email\":\"decoy\",\"x\":{}{},\"email\":\"victim\"}}", "[".repeat(500), "]".repeat(500));
        assert_eq!(accounts(&behind, &fields), named(&["decoy", "victim"]), "what is not asked for may be deep");
        let cut = r#"{"email":"decoy","#;
        let parts = "--b\r\ncontent-disposition: form-data; name=\"email\"\r\n\r\nvictim\r\n--b--";
        for body in [many.as_str(), &deep, cut, parts, "{\"x\":", "\u{0}"] {
            assert_eq!(accounts(body, &fields), Accounts::Unreadable, "{body}");
        }
        assert_eq!(read(None, b"email=x", true, &["email".to_owned()]), Accounts::Unreadable, "compressed");
    }
}
