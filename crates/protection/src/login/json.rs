//! Accounts in JSON: whatever stands at the ends of some paths, however often.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{account::Found, name::fold};

/// Finds the values of these fields. `false`: it is no JSON to its end. What was found until there is found.
pub(super) fn read(text: &[u8], fields: &[String], found: &mut Found) -> bool {
    let paths: Vec<Vec<String>> = fields.iter().map(|field| field.split('.').map(fold).collect()).collect();
    let mut reader = serde_json::Deserializer::from_slice(text);
    let seed = Looking { paths: paths.iter().map(Vec::as_slice).collect(), found };
    seed.deserialize(&mut reader).is_ok() && reader.end().is_ok()
}

/// Looks for values at the ends of these paths; what is on none of them is passed over. serde_json bounds the depth.
struct Looking<'a, 'f> {
    paths: Vec<&'a [String]>,
    found: &'f mut Found,
}

/// What of a path is left behind this name, both folded.
fn below<'a>(path: &'a [String], name: &str) -> Option<&'a [String]> {
    match path.split_first() {
        Some((first, rest)) if first == name => Some(rest),
        // `{"user.email": …}`: with its dots it may be one name.
        Some(_) if name.contains('.') && path.join(".") == name => Some(&[]),
        _ => None,
    }
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
            // Apps take names in any case, and some in any that Unicode has: to Go's encoding/json `ſ` is an `s`.
            let name = fold(&name);
            let paths = self.paths.iter().filter_map(|path| below(path, &name)).collect();
            members.next_value_seed(Looking { paths, found: &mut *self.found })?;
        }
        Ok(())
    }
}
