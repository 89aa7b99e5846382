//! The account in the body of a sign-in: few, and none is hidden by what stands before it.
#![no_main]

use http::HeaderMap;
use libfuzzer_sys::fuzz_target;
use seaworthy_protection::{Accounts, read_accounts};

fuzz_target!(|input: &[u8]| {
    let fields = ["email".to_owned(), "user.name".to_owned()];
    let found = |body: &[u8]| read_accounts(None, &HeaderMap::new(), body, &fields);
    if let Accounts::Named(names) | Accounts::Unreadable(names) = found(input) {
        assert!((0..=8).contains(&names.len()), "{names:?}");
        assert!(names.iter().all(|name| !name.is_empty() && name.trim() == name), "{names:?}");
    }
    let holds = |body: &[u8]| match found(body) {
        Accounts::Named(names) | Accounts::Basic(names) => names.iter().any(|name| name == "victim"),
        Accounts::None => false,
        // Refused.
        Accounts::TooMany => true,
        Accounts::Unreadable(_) => true,
    };
    assert!(holds(&[input, b"&email=victim"].concat()), "a form");
    assert!(holds(&[input, b"&user[name]=victim"].concat()), "a form");
    if let Ok(text) = std::str::from_utf8(input) {
        let before = serde_json::to_string(text).unwrap_or_default();
        assert!(holds(format!("{{{before}:{before},\"email\":\"victim\"}}").as_bytes()), "JSON");
    }
});
