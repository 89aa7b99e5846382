//! Path, query, headers of clients, read by the styles of OpenAPI.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use seaworthy_validation::fuzzing::Parameters;

static PARAMETERS: LazyLock<Option<Parameters>> = LazyLock::new(Parameters::new);

fuzz_target!(|input: (&str, &str, &[u8], &[u8])| {
    let (path, query, cookie, header) = input;
    let mut headers = http::HeaderMap::new();
    for (name, value) in [("cookie", cookie), ("m", header)] {
        if let Ok(value) = http::HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    let parameters = PARAMETERS.as_ref().expect("the document is right");
    parameters.check(&format!("/a/{path}"), query, &headers);
    parameters.check("/a/1/x,1-2.3", query, &headers);
});
