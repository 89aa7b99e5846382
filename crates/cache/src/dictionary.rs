//! Dictionaries of structured fields (RFC 9651, 3.2 and 4.2.2), read as strictly as the standard asks: one wrong byte and
//! there is no field.

/// A member's value, as far as a cache directive can have one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Only its name.
    True,
    Integer(i64),
    /// Any other type.
    Other,
}

/// The members in order; a name that comes again replaces the one before. `None` where it is no dictionary.
pub(crate) fn parse(text: &[u8]) -> Option<Vec<(Vec<u8>, Value)>> {
    let mut reader = Reader(text.trim_ascii());
    let mut members: Vec<(Vec<u8>, Value)> = Vec::new();
    while !reader.0.is_empty() {
        let key = reader.key()?.to_vec();
        let value = if reader.take(b'=') { reader.item_or_list()? } else { Value::True };
        reader.parameters()?;
        members.retain(|(known, _)| *known != key);
        members.push((key, value));
        reader.space();
        if reader.0.is_empty() {
            break;
        }
        if !reader.take(b',') {
            return None;
        }
        reader.space();
        // A comma with nothing behind it.
        reader.0.first()?;
    }
    Some(members)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, byte: u8) -> bool {
        let rest = self.0.strip_prefix(&[byte]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn space(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }

    /// At least one byte of which this holds.
    fn while_holds(&mut self, holds: impl Fn(u8) -> bool) -> Option<&'a [u8]> {
        let length = self.0.iter().take_while(|byte| holds(**byte)).count();
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        (!taken.is_empty()).then_some(taken)
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        self.0.first().filter(|first| first.is_ascii_lowercase() || **first == b'*')?;
        self.while_holds(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte))
    }

    fn item_or_list(&mut self) -> Option<Value> {
        if !self.take(b'(') {
            return self.item();
        }
        loop {
            self.space();
            if self.take(b')') {
                return Some(Value::Other);
            }
            self.item()?;
            self.parameters()?;
            self.0.first().filter(|next| matches!(next, b' ' | b')'))?;
        }
    }

    fn item(&mut self) -> Option<Value> {
        match self.0.first()? {
            b'?' => {
                self.0 = &self.0[1..];
                let yes = self.take(b'1');
                (yes || self.take(b'0')).then_some(if yes { Value::True } else { Value::Other })
            }
            b'"' => self.string(),
            b':' => {
                self.0 = &self.0[1..];
                self.while_holds(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
                self.take(b':').then_some(Value::Other)
            }
            b'-' | b'0'..=b'9' => self.number(),
            first if first.is_ascii_alphabetic() || *first == b'*' => {
                self.while_holds(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte))?;
                Some(Value::Other)
            }
            _ => None,
        }
    }

    fn string(&mut self) -> Option<Value> {
        self.0 = &self.0[1..];
        loop {
            let (first, rest) = self.0.split_first()?;
            self.0 = rest;
            match first {
                b'"' => return Some(Value::Other),
                b'\\' => {
                    let escaped = self.take(b'"') || self.take(b'\\');
                    escaped.then_some(())?;
                }
                b' '..=b'~' => {}
                _ => return None,
            }
        }
    }

    fn number(&mut self) -> Option<Value> {
        let negative = self.take(b'-');
        let digits = self.while_holds(|byte| byte.is_ascii_digit()).filter(|digits| digits.len() <= 15)?;
        if self.take(b'.') {
            self.while_holds(|byte| byte.is_ascii_digit()).filter(|fraction| fraction.len() <= 3)?;
            return (digits.len() <= 12).then_some(Value::Other);
        }
        let number = digits.iter().fold(0_i64, |number, digit| number * 10 + i64::from(digit - b'0'));
        Some(Value::Integer(if negative { -number } else { number }))
    }

    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.space();
            self.key()?;
            if self.take(b'=') {
                self.item()?;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Option<Value> {
        parse(text.as_bytes()).map(|mut members| members.remove(0).1)
    }

    #[test]
    fn members_of_every_type() {
        assert_eq!(one("a=42"), Some(Value::Integer(42)));
        assert_eq!(one("a=-1;p;q=\"x\""), Some(Value::Integer(-1)));
        assert_eq!(one("a;b=c"), Some(Value::True));
        for other in ["a=4.2", "a=\"4\\\"2\"", "a=token/x", "a=:aGk=:", "a=?0", "a=(1 \"x\";y z)", "a=()"] {
            assert_eq!(one(other), Some(Value::Other), "{other}");
        }
        assert_eq!(parse(b"a=1 ,\tb=2, a=3").unwrap().last().unwrap(), &(b"a".to_vec(), Value::Integer(3)));
        assert_eq!(parse(b"").unwrap().len(), 0);
    }

    #[test]
    fn one_wrong_byte_and_there_is_none() {
        for wrong in [
            "A=1",
            "a=",
            "a=1,",
            ",a=1",
            "a=1 b=2",
            "a=1,,b",
            "a=\"x",
            "a=\"\\x\"",
            "a=1.",
            "a=1.2345",
            "a=(1 2",
            "a=(1,2)",
            "a=1234567890123456",
            "a;",
            "a=&",
            "a=?2",
            "a=:x",
            "a =1",
            "a= 1",
        ] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
