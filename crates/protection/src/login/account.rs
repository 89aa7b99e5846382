//! Which account a sign-in is for, from a request that a stranger wrote.
//!
//! The body is read as JSON and as a form, whatever its `Content-Type` says, and the query too: an app that reads it the
//! other way must not see an account that we have not counted. Of a name that is given twice, both values count.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

use super::{form, json, multipart, name::fold};

/// More names in one request are no sign-in.
const MOST: usize = 8;
/// Among the fields it stands for the name in HTTP Basic.
const AUTHORIZATION: &str = "authorization";
/// As lenient as any reader of Basic.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What was found. Names are in the form in which they are compared: all spellings of one are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accounts {
    /// These.
    Named(Vec<String>),
    /// This one, by HTTP Basic alone, on a route that does not go by that alone: the app may well have ignored it, and then
    /// its success is nobody's.
    Basic(Vec<String>),
    /// It can be read, and names none.
    None,
    /// More than any sign-in has: whoever is behind the last one that is counted would not be.
    TooMany,
    /// It cannot be read, or not to its end; these were found all the same, and others may be in it.
    Unreadable(Vec<String>),
}

/// A short stand-in, the same on every node: half of a SHA-256.
pub(super) fn fingerprint(kind: &str, name: &str) -> u128 {
    let digest = Sha256::new().chain_update(kind).chain_update([0]).chain_update(name).finalize();
    digest.iter().take(16).fold(0, |sum, byte| (sum << 8) | u128::from(*byte))
}

/// Reads the accounts that a request names in these fields.
pub fn read(query: Option<&str>, headers: &HeaderMap, body: &[u8], fields: &[String]) -> Accounts {
    let (asked, fields): (Vec<&String>, Vec<&String>) = fields.iter().partition(|field| is_basic(field));
    let fields: Vec<String> = fields.into_iter().cloned().collect();
    let fields = fields.as_slice();
    let mut found = Found::default();
    form::read(query.unwrap_or_default().as_bytes(), fields, &mut found);
    form::read(body, fields, &mut found);
    let text = trim(body);
    let is_json = json::read(text, fields, &mut found);
    let mut readable = match Kind::of(headers) {
        Kind::Parts(boundary) => multipart::read(boundary, body, |name, value| {
            if fields.iter().any(|field| form::is_named(name, field)) {
                found.add(value);
            }
        }),
        Kind::Plain => is_json || form::is_one(text),
        Kind::Strange => false,
    };
    // Beside an account that the request names, Basic is most often the client's own name (RFC 6749, 2.3.1) or the door of
    // a site that is not public yet: counted, one user's failures would be everybody's.
    let by_basic_alone = found.values.is_empty();
    if by_basic_alone || !asked.is_empty() {
        readable &= basic(headers).all(|name| name.inspect(|name| found.add(name)).is_some());
    }
    match (readable, found.values.is_empty()) {
        _ if found.too_many => Accounts::TooMany,
        (false, _) => Accounts::Unreadable(found.values),
        (true, true) => Accounts::None,
        (true, false) if by_basic_alone && !fields.is_empty() => Accounts::Basic(found.values),
        (true, false) => Accounts::Named(found.values),
    }
}

/// Whether this field stands for the name in HTTP Basic.
pub(super) fn is_basic(field: &str) -> bool {
    field.eq_ignore_ascii_case(AUTHORIZATION)
}

/// The names in HTTP Basic (RFC 7617, 2); `None` for one that cannot be read.
pub(super) fn basic(headers: &HeaderMap) -> impl Iterator<Item = Option<String>> {
    headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| {
        let (scheme, rest) = value.as_bytes().trim_ascii().split_at_checked(5)?;
        if !scheme.eq_ignore_ascii_case(b"basic") || !rest.first().is_none_or(u8::is_ascii_whitespace) {
            return None;
        }
        let pair = BASE64.decode(rest.trim_ascii()).ok();
        let name = pair.and_then(|pair| pair.split(|byte| *byte == b':').next().map(<[u8]>::to_vec));
        Some(name.map(|name| String::from_utf8_lossy(&name).into_owned()))
    })
}

fn trim(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii()
}

/// The names so far.
#[derive(Default)]
pub(super) struct Found {
    values: Vec<String>,
    too_many: bool,
}

impl Found {
    pub(super) fn add(&mut self, value: &str) {
        let name = fold(value);
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

/// How the headers say that the body is to be read.
enum Kind<'a> {
    /// JSON or a form: both are tried.
    Plain,
    /// A form in parts, with this boundary.
    Parts(&'a str),
    /// Compressed, in another encoding than UTF-8, or in parts that nobody could tell apart.
    Strange,
}

impl<'a> Kind<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let coded = headers.get_all(header::CONTENT_ENCODING).iter().any(|value| value != "identity");
        let mut types = headers.get_all(header::CONTENT_TYPE).iter().map(HeaderValue::to_str);
        match (coded, types.next(), types.next()) {
            (false, None, None) => Self::Plain,
            (false, Some(Ok(one)), None) if charset_is_usual(one) => {
                let is =
                    |start: &str| one.trim_start().get(..start.len()).is_some_and(|it| it.eq_ignore_ascii_case(start));
                match multipart::boundary(one) {
                    Some(boundary) => Self::Parts(boundary),
                    None if is("multipart/") => Self::Strange,
                    None => Self::Plain,
                }
            }
            _ => Self::Strange,
        }
    }
}

/// Whether names are written in UTF-8 or ASCII by this media type: there are encodings in which `email` is no `email`.
pub(super) fn charset_is_usual(content_type: &str) -> bool {
    content_type.split(';').skip(1).all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches(['"', '\'']).to_ascii_lowercase();
        let usual = matches!(value.as_str(), "utf-8" | "utf8" | "us-ascii" | "ascii");
        usual || !name.trim().to_ascii_lowercase().starts_with("charset")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(header::HeaderName, &str)], body: &[u8], fields: &[&str]) -> Accounts {
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
        read(None, &headers.collect(), body, &fields)
    }

    fn accounts(body: &str, fields: &[&str]) -> Accounts {
        asked(&[], body.as_bytes(), fields)
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn named(all: &[&str]) -> Accounts {
        Accounts::Named(names(all))
    }

    #[test]
    fn a_name_is_found_in_json_and_in_a_form() {
        let fields = ["email", "user.name"];
        for (body, expected) in [
            (r#"{"email":" Ann@Example.com ","password":"p"}"#, named(&["ann@example.com"])),
            ("\u{feff} {\"user\":{\"name\":42}}\r\n", named(&["42"])),
            (r#"{"USER.name":"x"}"#, named(&["x"])),
            ("email=ann%40example.com&password=p", named(&["ann@example.com"])),
            ("email=ａｎｎ%EF%BC%A0example.com&password=a b", named(&["ann@example.com"])),
            ("password=p&user%5Bname%5D=A+B", named(&["a b"])),
            ("user[name]=x&user[other]=y", named(&["x"])),
            (r#"{"password":"email"}"#, Accounts::None),
            ("password=p", Accounts::None),
            ("", Accounts::None),
        ] {
            assert_eq!(accounts(body, &fields), expected, "{body}");
        }
        for (body, field) in [
            (r#"{"u\u017fername":"x"}"#, "username"),
            (r#"{"to\u212aen":"x"}"#, "token"),
            (r#"{"U\u017fER":{"NAME":"x"}}"#, "user.name"),
            (r#"{"u\u017fer.name":"x"}"#, "user.name"),
        ] {
            assert_eq!(accounts(body, &[field]), named(&["x"]), "{body}");
        }
        let query = read(Some("email=q%40x"), &HeaderMap::new(), b"password=p", &["email".to_owned()]);
        assert_eq!(query, named(&["q@x"]));
    }

    #[test]
    fn no_way_of_writing_it_hides_a_name() {
        let fields = ["email"];
        for (body, expected) in [
            // Given twice; hidden in what another reader takes for a value; in a list.
            (r#"{"email":"decoy","email":"victim"}"#, named(&["decoy", "victim"])),
            (r#"{"e\u006dail":"victim"}"#, named(&["victim"])),
            (r#"{"EMA\u0131L":"victim"}"#, named(&["victim"])),
            (r#"{"email":"v\u200bi\uff43tim "}"#, named(&["victim"])),
            (r#"{"a":"&email=victim&password=p&"}"#, named(&["victim"])),
            (r#"{"email":["decoy",{"x":1},"victim"]}"#, named(&["decoy", "victim"])),
            ("email=decoy&email=victim", named(&["decoy", "victim"])),
            ("email=decoy&email[0]=victim", named(&["decoy", "victim"])),
            ("password=p;email=victim", named(&["victim"])),
            ("a=b&email=decoy;email=victim", named(&["decoy;email=victim", "decoy", "victim"])),
            ("%65mail=victim", named(&["victim"])),
        ] {
            assert_eq!(accounts(body, &fields), expected, "{body}");
        }
        let behind =
            format!("{{\"email\":\"decoy\",\"x\":{}{},\"email\":\"victim\"}}", "[".repeat(500), "]".repeat(500));
        assert_eq!(accounts(&behind, &fields), named(&["decoy", "victim"]), "what is not asked for may be deep");
    }

    #[test]
    fn more_names_than_a_sign_in_has_are_told_from_those_that_count() {
        let many =
            |count: usize| (1..count).map(|number| format!("email={number}&")).collect::<String>() + "email=victim";
        assert!(matches!(accounts(&many(8), &["email"]), Accounts::Named(names) if names.len() == 8));
        assert_eq!(accounts(&many(9), &["email"]), Accounts::TooMany);
        let list: Vec<String> = (0..9).map(|number| number.to_string()).collect();
        let list = format!("{{\"email\":[{}],", list.join(","));
        assert_eq!(accounts(&list, &["email"]), Accounts::TooMany, "whether it can be read or not");
    }

    #[test]
    fn what_cannot_be_read_says_so_and_names_what_it_shows() {
        let fields = ["email"];
        let deep = "[".repeat(1_000);
        let parts = "--b\r\ncontent-disposition: form-data; name=\"email\"\r\n\r\nvictim\r\n--b--";
        for body in [deep.as_str(), parts, "{\"x\":", "\u{0}", "<email>victim</email>", "email: victim\npassword: p"] {
            assert!(matches!(accounts(body, &fields), Accounts::Unreadable(_)), "{body}");
        }
        let cut = r#"{"email":"victim","#;
        assert_eq!(accounts(cut, &fields), Accounts::Unreadable(names(&["victim"])));
        let coded = asked(&[(header::CONTENT_ENCODING, "gzip")], b"email=x", &fields);
        assert_eq!(coded, Accounts::Unreadable(names(&["x"])));
    }

    /// The query names a decoy; the app reads the body in its own way.
    #[test]
    fn a_decoy_that_can_be_read_hides_no_body_that_cannot() {
        let json = r#"{"email":"victim","password":"guess"}"#;
        let wide: Vec<u8> = json.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let marked: Vec<u8> = [0xff, 0xfe].into_iter().chain(wide.iter().copied()).collect();
        for body in [&wide, &marked] {
            let found = read(Some("email=decoy"), &HeaderMap::new(), body, &["email".to_owned()]);
            assert_eq!(found, Accounts::Unreadable(names(&["decoy"])));
        }
        for kind in ["application/json; charset=utf-7", "application/x-www-form-urlencoded; charset=\"cp037\""] {
            let found = asked(&[(header::CONTENT_TYPE, kind)], b"email=decoy", &["email"]);
            assert_eq!(found, Accounts::Unreadable(names(&["decoy"])), "{kind}");
        }
        let usual = asked(&[(header::CONTENT_TYPE, "application/json; charset=UTF-8")], json.as_bytes(), &["email"]);
        assert_eq!(usual, named(&["victim"]));
        let types = [(header::CONTENT_TYPE, "text/plain"), (header::CONTENT_TYPE, "multipart/form-data; boundary=b")];
        let fields = ["email".to_owned()];
        let mut twice = HeaderMap::new();
        types.iter().for_each(|(name, value)| _ = twice.append(name, HeaderValue::from_static(value)));
        assert!(matches!(read(None, &twice, b"email=decoy", &fields), Accounts::Unreadable(_)));
    }

    #[test]
    fn a_form_in_parts_names_its_account() {
        let kind = (header::CONTENT_TYPE, "multipart/form-data; boundary=b");
        let part = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let sign_in = |name: &str| format!("{}{}--b--\r\n", part("password", "p"), part(name, " Victim"));
        assert_eq!(asked(std::slice::from_ref(&kind), sign_in("email").as_bytes(), &["email"]), named(&["victim"]));
        assert_eq!(
            asked(std::slice::from_ref(&kind), sign_in("user[email]").as_bytes(), &["user.email"]),
            named(&["victim"])
        );
        let twice = format!("{}{}", part("email", "decoy"), sign_in("email"));
        assert_eq!(asked(std::slice::from_ref(&kind), twice.as_bytes(), &["email"]), named(&["decoy", "victim"]));
        assert_eq!(asked(std::slice::from_ref(&kind), sign_in("other").as_bytes(), &["email"]), Accounts::None);
        let cut = twice.trim_end().strip_suffix("--").unwrap();
        assert_eq!(asked(&[kind], cut.as_bytes(), &["email"]), Accounts::Unreadable(names(&["decoy", "victim"])));
        for strange in
            ["multipart/form-data", "multipart/form-data; boundary=b; boundary=c", "multipart/mixed; boundary=b"]
        {
            let found = asked(&[(header::CONTENT_TYPE, strange)], twice.as_bytes(), &["email"]);
            assert!(matches!(found, Accounts::Unreadable(_)), "{strange}");
        }
    }

    #[test]
    fn basic_names_an_account_where_nothing_else_does_or_where_it_is_asked_for() {
        // "Victim:a:b", and the same without padding.
        let basic = |value: &'static str, body: &str, fields: &[&str]| {
            asked(&[(header::AUTHORIZATION, value)], body.as_bytes(), fields)
        };
        for value in ["Basic VmljdGltOmE6Yg==", "basic   VmljdGltOmE6Yg"] {
            assert_eq!(basic(value, "", &["email"]), Accounts::Basic(names(&["victim"])), "{value}");
            assert_eq!(basic(value, "", &["Authorization"]), named(&["victim"]), "{value}");
        }
        let either = basic("Basic VmljdGltOmE6Yg==", "", &["email", "authorization"]);
        assert_eq!(either, Accounts::Basic(names(&["victim"])), "the app may have read its form alone");
        assert_eq!(basic("", "authorization=victim", &["authorization"]), Accounts::None, "it is no field of a form");
        let right = "Basic VmljdGltOmE6Yg==";
        assert_eq!(basic(right, "email=user", &["email"]), named(&["user"]), "a client of OAuth, and its user");
        assert_eq!(basic(right, "email=decoy", &["email", "authorization"]), named(&["decoy", "victim"]));
        assert_eq!(basic("Basic %%%", "", &["email"]), Accounts::Unreadable(Vec::new()));
        assert_eq!(basic("Bearer VmljdGltOmE6Yg==", "", &["email"]), Accounts::None);
        assert_eq!(basic("Basically VmljdGltOmE6Yg==", "", &["email"]), Accounts::None);
    }
}
