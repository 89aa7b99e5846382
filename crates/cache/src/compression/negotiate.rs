//! What a client takes, in few words: outside of the cache, so that `gzip, deflate, br` and `br;q=1.0, gzip;q=1.0` are one
//! variant there.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    HeaderMap, HeaderValue, Request, Response,
    header::{ACCEPT_ENCODING, RANGE},
};
use seaworthy_core::{Accepted, Body, Coding};
use tower::{Layer, Service};

use super::{answer, settings::CompressionPolicy};

const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// The layer.
#[derive(Debug, Clone)]
pub struct Negotiate(Arc<Words>);

/// The service of [`Negotiate`].
#[derive(Debug, Clone)]
pub struct NegotiateService<S> {
    inner: S,
    words: Arc<Words>,
}

#[derive(Debug)]
struct Words {
    ours: Vec<Coding>,
    /// What to write for each set of codings that a client likes alike; the set is in the bits of the place.
    even: [HeaderValue; 8],
}

impl Negotiate {
    /// The layer of a route that compresses so.
    pub fn layer(policy: &CompressionPolicy) -> Self {
        let ours = policy.codings.clone();
        let even = std::array::from_fn(|set| {
            let names: Vec<&str> = ours.iter().filter(|one| set & bit(**one) != 0).map(|one| one.name()).collect();
            HeaderValue::from_str(&names.join(", ")).ok().filter(|_| !names.is_empty()).unwrap_or(IDENTITY)
        });
        Self(Arc::new(Words { ours, even }))
    }
}

/// `Accept-Encoding` as the cache and the app see it, for a request with these headers.
pub(crate) fn negotiated(policy: &CompressionPolicy, headers: &HeaderMap) -> HeaderValue {
    Negotiate::layer(policy).0.of(headers)
}

fn bit(coding: Coding) -> usize {
    1 << coding as usize
}

impl Words {
    /// Parts are cut from the plain answer: whoever wants one, or no change at all, takes nothing else.
    fn of(&self, headers: &HeaderMap) -> HeaderValue {
        if headers.contains_key(RANGE) || answer::forbids_change(headers) {
            return IDENTITY;
        }
        let accepted = Accepted::of(headers, &self.ours);
        if accepted.is_even() {
            return self.even[accepted.iter().map(bit).sum::<usize>()].clone();
        }
        let mut text = String::with_capacity(32);
        for (rank, coding) in accepted.iter().enumerate() {
            match rank {
                0 => text.push_str(coding.name()),
                _ => text.push_str(&format!(", {};q=0.{}", coding.name(), 9 - rank)),
            }
        }
        HeaderValue::try_from(text).unwrap_or(IDENTITY)
    }
}

impl<S> Layer<S> for Negotiate {
    type Service = NegotiateService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        NegotiateService { inner, words: self.0.clone() }
    }
}

impl<S> Service<Request<Body>> for NegotiateService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let words = self.words.of(request.headers());
        request.headers_mut().insert(ACCEPT_ENCODING, words);
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compression::CompressionSetting, stored::tests::headers};

    fn words(lines: &[(&'static str, &'static str)]) -> String {
        let negotiate = Negotiate::layer(&CompressionSetting::Switch(true).policy().unwrap());
        negotiate.0.of(&headers(lines)).to_str().unwrap().to_owned()
    }

    #[test]
    fn what_means_the_same_is_written_the_same() {
        let of = |value: &'static str| words(&[("accept-encoding", value)]);
        for all in ["gzip, deflate, br, zstd", "zstd;q=0.7,br;q=0.7 , GZIP;q=0.7", "*", "br, gzip, zstd, identity;q=0"]
        {
            assert_eq!(of(all), "zstd, gzip, br", "{all}");
        }
        assert_eq!(of("gzip, deflate, br"), "gzip, br");
        assert_eq!(of("gzip;q=1.0, br;q=0.25, zstd;q=0.5"), "gzip, zstd;q=0.8, br;q=0.7");
        assert_eq!(
            (of("x-gzip"), of("deflate"), of("identity"), of("gzip;q=0")),
            ("gzip".into(), "identity".into(), "identity".into(), "identity".into())
        );
        assert_eq!(words(&[]), "identity");
        // Read again, it means what it meant.
        for value in ["gzip;q=1.0, br;q=0.25, zstd;q=0.5", "gzip, br", "*;q=0.2, br;q=0"] {
            let first = Accepted::of(&headers(&[("accept-encoding", value)]), &Coding::ALL);
            let mut again = HeaderMap::new();
            again.insert(ACCEPT_ENCODING, HeaderValue::from_str(&of(value)).unwrap());
            let again = Accepted::of(&again, &Coding::ALL);
            assert_eq!(again.iter().collect::<std::collections::BTreeSet<_>>(), first.iter().collect(), "{value}");
            assert_eq!(again.is_even(), first.is_even());
        }
    }

    #[test]
    fn parts_and_those_who_want_no_change_get_the_plain_answer() {
        assert_eq!(words(&[("accept-encoding", "gzip"), ("range", "bytes=0-1")]), "identity");
        assert_eq!(words(&[("accept-encoding", "gzip"), ("cache-control", "no-transform")]), "identity");
    }
}
