//! The head of a request, kept in case it must be sent again.
//!
//! Hardly ever is it, and each request pays for it: so what is kept is one piece of text and no second map of
//! headers, and it is what the client sent, before we add ours.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use seaworthy_core::{Body, ForwardedPrefix, empty_body};

/// Bytes that most heads need less than, all in all.
const USUAL: usize = 1000;

/// A head without a body. What a value says of itself (that it is secret) is kept too, so it is not to be printed.
pub(crate) struct Spare {
    method: Method,
    uri: Uri,
    version: Version,
    prefix: Option<ForwardedPrefix>,
    /// Each field: three numbers, the name, the value.
    fields: Vec<u8>,
}

impl Spare {
    /// Keeps what is needed to send this request again.
    pub(crate) fn of(request: &Request<Body>) -> Self {
        let mut fields = Vec::with_capacity(USUAL);
        for (name, value) in request.headers() {
            let (name, bytes) = (name.as_str().as_bytes(), value.as_bytes());
            fields.extend_from_slice(&(name.len() as u32).to_le_bytes());
            fields.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            fields.push(u8::from(value.is_sensitive()));
            fields.extend_from_slice(name);
            fields.extend_from_slice(bytes);
        }
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            prefix: request.extensions().get().cloned(),
            fields,
        }
    }

    /// The request again.
    pub(crate) fn request(&self) -> Request<Body> {
        let mut request = Request::new(empty_body());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        if let Some(prefix) = &self.prefix {
            request.extensions_mut().insert(prefix.clone());
        }
        let mut headers = HeaderMap::new();
        let mut rest = &self.fields[..];
        while let Some((name, value, after)) = field(rest) {
            headers.append(name, value);
            rest = after;
        }
        *request.headers_mut() = headers;
        request
    }
}

/// The first field, and what is behind it.
fn field(bytes: &[u8]) -> Option<(HeaderName, HeaderValue, &[u8])> {
    let (name_length, rest) = bytes.split_first_chunk()?;
    let (value_length, rest) = rest.split_first_chunk()?;
    let (secret, rest) = rest.split_first()?;
    let (name, rest) = rest.split_at_checked(u32::from_le_bytes(*name_length) as usize)?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*value_length) as usize)?;
    // Both have been a name and a value before.
    let mut value = HeaderValue::from_bytes(value).ok()?;
    value.set_sensitive(*secret == 1);
    Some((HeaderName::from_bytes(name).ok()?, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_request_again() {
        let mut secret = HeaderValue::from_static("Bearer x");
        secret.set_sensitive(true);
        let request = Request::builder()
            .method("OPTIONS")
            .uri("/a/b?c=d")
            .version(Version::HTTP_2)
            .extension(ForwardedPrefix(HeaderValue::from_static("/v1")))
            .header("cookie", "a=1")
            .header("x-own", HeaderValue::from_bytes(b"caf\xe9").unwrap())
            .header("cookie", "b=2")
            .header("x-empty", "")
            .header("authorization", secret)
            .header("x-long", "y".repeat(5_000))
            .body(empty_body())
            .unwrap();
        let again = Spare::of(&request).request();
        assert_eq!((again.method(), again.uri(), again.version()), (request.method(), request.uri(), Version::HTTP_2));
        assert_eq!(again.extensions().get(), Some(&ForwardedPrefix(HeaderValue::from_static("/v1"))));
        assert_eq!(again.headers(), request.headers());
        assert_eq!(again.headers().iter().filter(|(_, value)| value.is_sensitive()).count(), 1);
        let cookies: Vec<_> = again.headers().get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
    }

    #[test]
    fn a_request_without_headers_is_one_too() {
        let again = Spare::of(&Request::new(empty_body())).request();
        assert!(again.headers().is_empty());
    }
}
