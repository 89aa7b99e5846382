//! The layer: takes our names off the tags that a request brings, and compresses the answer that comes.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, RANGE, VARY},
};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use seaworthy_core::{Accepted, Body, Coding};
use tower::{Layer, Service};

use super::{
    answer,
    body::{CompressedBody, Unknown},
    encoders::Encoders,
    settings::{CompressionPolicy, WithCredentials},
    tags,
};

/// The layer of one route.
#[derive(Clone)]
pub struct Compress(Arc<Route>);

struct Route {
    policy: CompressionPolicy,
    encoders: Encoders,
}

/// The service of [`Compress`].
#[derive(Clone)]
pub struct CompressService<S> {
    inner: S,
    route: Arc<Route>,
}

impl Compress {
    /// The layer of a route that compresses so, with the encoders of its core.
    pub fn layer(policy: CompressionPolicy, encoders: &Encoders) -> Self {
        Self(Arc::new(Route { policy, encoders: encoders.clone() }))
    }
}

impl fmt::Debug for Compress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Compress").field(&self.0.policy).finish()
    }
}

impl<S: fmt::Debug> fmt::Debug for CompressService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompressService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// What a request says of the answer that it wants.
struct Asked {
    coding: Option<Coding>,
    head: bool,
    /// It says who sends it.
    personal: bool,
    /// Its `If-None-Match`, where we took our names off it.
    tags: Option<HeaderValue>,
}

impl Route {
    fn asked(&self, request: &mut Request<Body>) -> Asked {
        let headers = request.headers();
        let plain = headers.contains_key(RANGE) || answer::forbids_change(headers);
        let coding = if plain { None } else { Accepted::of(headers, &self.policy.codings).best() };
        let personal = CompressionPolicy::is_personal(headers);
        let head = request.method() == Method::HEAD;
        Asked { coding, head, personal, tags: tags::unmark(request.headers_mut()) }
    }

    fn answer(&self, asked: &Asked, response: Response<Body>) -> Response<Body> {
        let (mut parts, body) = response.into_parts();
        if parts.status == StatusCode::NOT_MODIFIED {
            if let Some(sent) = &asked.tags {
                tags::remark(&mut parts.headers, sent);
            }
            // It takes the place of the stored one, which must go on to name what we vary by; where there is none, the stored
            // one stays whole.
            if parts.headers.contains_key(VARY) {
                answer::vary(&mut parts.headers);
            }
            return Response::from_parts(parts, body);
        }
        let length = if asked.head { stated_length(&parts.headers) } else { body.size_hint().exact() };
        if !answer::is_compressible(&self.policy, &parts, length) {
            return Response::from_parts(parts, body);
        }
        answer::vary(&mut parts.headers);
        let skips = asked.personal && self.policy.with_credentials == WithCredentials::Skip;
        let Some(coding) = asked.coding.filter(|_| !skips) else { return Response::from_parts(parts, body) };
        let body = if asked.head {
            Unknown.boxed_unsync()
        } else {
            let pads = asked.personal && self.policy.with_credentials == WithCredentials::Pad;
            match self.encoders.begin(coding, self.policy.levels, length, pads) {
                Ok(encoder) => CompressedBody::new(body, encoder).boxed_unsync(),
                Err(error) => {
                    tracing::debug!(%error, "an answer is sent as it is");
                    return Response::from_parts(parts, body);
                }
            }
        };
        answer::encode_head(&mut parts.headers, coding);
        Response::from_parts(parts, body)
    }
}

/// What a GET would be answered with.
fn stated_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl<S> Layer<S> for Compress {
    type Service = CompressService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CompressService { inner, route: self.0.clone() }
    }
}

impl<S> Service<Request<Body>> for CompressService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = CompressFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let asked = self.route.asked(&mut request);
        CompressFuture { inner: self.inner.call(request), route: self.route.clone(), asked }
    }
}

pin_project_lite::pin_project! {
    /// The future of [`CompressService`].
    pub struct CompressFuture<F> {
        #[pin]
        inner: F,
        route: Arc<Route>,
        asked: Asked,
    }
}

impl<F> Future for CompressFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(response) = ready!(this.inner.poll(cx));
        Poll::Ready(Ok(this.route.answer(this.asked, response)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use seaworthy_core::{BoxError, empty_body, full_body};
    use tower::ServiceExt;

    use super::*;
    use crate::{
        compression::{CompressionSetting, CompressionSettings, encoder::tests::decode},
        stored::tests::headers,
    };

    type Lines<'a> = &'a [(&'static str, &'static str)];

    const JSON: (&str, &str) = ("content-type", "application/json");

    /// Sends a request to an app that answers so; also says which headers the app saw.
    async fn exchange(
        setting: CompressionSettings,
        method: Method,
        ask: Lines<'_>,
        status: u16,
        answer: Lines<'_>,
        body: Body,
    ) -> (Response<Body>, HeaderMap) {
        let seen = Arc::new(Mutex::new(HeaderMap::new()));
        let (saw, mut response) = (seen.clone(), Some(Response::new(body)));
        let response = response.as_mut().map(|response| {
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            *response.headers_mut() = headers(answer);
            std::mem::replace(response, Response::new(empty_body()))
        });
        let response = Mutex::new(response);
        let app = tower::service_fn(move |request: Request<Body>| {
            *saw.lock().unwrap() = request.headers().clone();
            let response = response.lock().unwrap().take().unwrap();
            async { Ok::<_, Infallible>(response) }
        });
        let mut request = Request::new(empty_body());
        *request.method_mut() = method;
        *request.headers_mut() = headers(ask);
        let policy = CompressionSetting::Policy(setting).policy().unwrap();
        let response = Compress::layer(policy, &Encoders::default()).layer(app).oneshot(request).await.unwrap();
        let seen = seen.lock().unwrap().clone();
        (response, seen)
    }

    async fn get(ask: Lines<'_>, answer: Lines<'_>, body: &'static str) -> Response<Body> {
        exchange(CompressionSettings::default(), Method::GET, ask, 200, answer, full_body(body)).await.0
    }

    fn long() -> &'static str {
        "{\"a\": 1}\n".repeat(500).leak()
    }

    #[tokio::test]
    async fn the_coding_that_the_client_likes_best_and_the_same_bytes() {
        for (accepts, coding) in [
            ("gzip, deflate, br, zstd", Coding::Zstandard),
            ("gzip, br", Coding::Gzip),
            ("gzip;q=0.9, br", Coding::Brotli),
            ("br;q=0.1, gzip;q=0.2", Coding::Gzip),
        ] {
            let ask = [("accept-encoding", accepts)];
            let response = get(
                &ask,
                &[JSON, ("etag", "\"v1\""), ("vary", "cookie"), ("content-length", "4500"), ("accept-ranges", "bytes")],
                long(),
            )
            .await;
            let head = response.headers().clone();
            assert_eq!(head["content-encoding"], coding.name());
            assert_eq!(head["etag"], format!("\"v1~{}\"", coding.name()));
            assert_eq!(head.get_all("vary").iter().collect::<Vec<_>>(), ["cookie", "accept-encoding"]);
            assert!(!head.contains_key("content-length") && !head.contains_key("accept-ranges"));
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            assert!(bytes.len() < 500);
            assert_eq!(decode(coding, &bytes), long().as_bytes());
        }
    }

    #[tokio::test]
    async fn who_takes_none_gets_the_plain_answer_with_vary() {
        for ask in [
            &[][..],
            &[("accept-encoding", "identity")],
            &[("accept-encoding", "gzip;q=0")],
            &[("accept-encoding", "gzip"), ("range", "bytes=0-5")],
            &[("accept-encoding", "gzip"), ("cache-control", "no-transform")],
        ] {
            let response = get(ask, &[JSON, ("etag", "\"v1\"")], long()).await;
            assert!(!response.headers().contains_key("content-encoding"), "{ask:?}");
            assert_eq!(
                (&response.headers()["vary"], &response.headers()["etag"]),
                (&HeaderValue::from_static("accept-encoding"), &HeaderValue::from_static("\"v1\""))
            );
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), long());
        }
        let events = get(&[("accept-encoding", "gzip")], &[("content-type", "text/event-stream")], long()).await;
        assert!(!events.headers().contains_key("content-encoding") && !events.headers().contains_key("vary"));
        let small = get(&[("accept-encoding", "gzip")], &[JSON], "{}").await;
        assert!(!small.headers().contains_key("content-encoding"));
    }

    #[tokio::test]
    async fn conditions_hold_both_ways() {
        let ask = [
            ("accept-encoding", "zstd"),
            ("if-none-match", "\"v1~zstd\""),
            ("if-match", "\"v2~br\""),
            ("if-range", "\"v1~zstd\""),
        ];
        let (response, seen) =
            exchange(CompressionSettings::default(), Method::GET, &ask, 304, &[("etag", "\"v1\"")], empty_body()).await;
        assert_eq!(
            (&seen["if-none-match"], &seen["if-match"], &seen["if-range"]),
            (
                &HeaderValue::from_static("\"v1\""),
                &HeaderValue::from_static("\"v2\""),
                &HeaderValue::from_static("\"v1~zstd\"")
            )
        );
        assert_eq!((response.status().as_u16(), response.headers()["etag"].to_str().unwrap()), (304, "\"v1~zstd\""));
        assert!(!response.headers().contains_key("vary"), "what is stored stays as it is");
        let weak = [("accept-encoding", "zstd"), ("if-none-match", "W/\"v1\"")];
        let answer = [("etag", "W/\"v1\""), ("vary", "cookie")];
        let (response, _) =
            exchange(CompressionSettings::default(), Method::GET, &weak, 304, &answer, empty_body()).await;
        assert_eq!(response.headers().get_all("vary").iter().collect::<Vec<_>>(), ["cookie", "accept-encoding"]);
        let plain = [("if-none-match", "\"v1\"")];
        let (response, _) =
            exchange(CompressionSettings::default(), Method::GET, &plain, 304, &[("etag", "\"v1\"")], empty_body())
                .await;
        assert_eq!(response.headers()["etag"], "\"v1\"");
    }

    #[tokio::test]
    async fn head_says_what_get_would() {
        let ask = [("accept-encoding", "br")];
        let of = |answer: Lines<'static>| async move {
            let (response, _) =
                exchange(CompressionSettings::default(), Method::HEAD, &ask, 200, answer, empty_body()).await;
            assert!(
                response.body().size_hint().exact() != Some(0) || !response.headers().contains_key("content-encoding")
            );
            response
        };
        let large = of(&[JSON, ("content-length", "5000"), ("etag", "\"a\"")]).await;
        assert_eq!(
            (&large.headers()["content-encoding"], &large.headers()["etag"]),
            (&HeaderValue::from_static("br"), &HeaderValue::from_static("\"a~br\""))
        );
        assert!(!large.headers().contains_key("content-length"));
        let small = of(&[JSON, ("content-length", "50")]).await;
        assert!(!small.headers().contains_key("content-encoding") && small.headers()["content-length"] == "50");
    }

    #[tokio::test]
    async fn whoever_says_who_they_are_gets_another_length_each_time_or_the_plain_answer() {
        let ask = [("accept-encoding", "zstd"), ("cookie", "sid=1")];
        let policy = CompressionSetting::Switch(true).policy().unwrap();
        let encoders = Encoders::default();
        let mut lengths = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let app = tower::service_fn(|_| async {
                Ok::<_, Infallible>(Response::builder().header(JSON.0, JSON.1).body(full_body(long())).unwrap())
            });
            let mut request = Request::new(empty_body());
            *request.headers_mut() = headers(&ask);
            let response = Compress::layer(policy.clone(), &encoders).layer(app).oneshot(request).await.unwrap();
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(decode(Coding::Zstandard, &bytes), long().as_bytes());
            lengths.insert(bytes.len());
        }
        assert!(lengths.len() > 5, "{lengths:?}");
        let skip = CompressionSettings { with_credentials: WithCredentials::Skip, ..CompressionSettings::default() };
        let (response, _) = exchange(skip, Method::GET, &ask, 200, &[JSON], full_body(long())).await;
        assert!(
            !response.headers().contains_key("content-encoding") && response.headers()["vary"] == "accept-encoding"
        );
    }

    /// A body that gives what a channel brings.
    fn streamed() -> (tokio::sync::mpsc::UnboundedSender<Result<Frame<Bytes>, BoxError>>, Body) {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let stream = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
        (sender, BodyExt::boxed_unsync(StreamBody::new(stream)))
    }

    #[tokio::test]
    async fn what_a_slow_app_says_arrives_before_it_says_more() {
        for coding in Coding::ALL {
            let (sender, body) = streamed();
            let ask: [(&'static str, &'static str); 1] = [("accept-encoding", coding.name())];
            let answer = [("content-type", "application/x-ndjson")];
            let (response, _) = exchange(CompressionSettings::default(), Method::GET, &ask, 200, &answer, body).await;
            let mut body = response.into_body();
            let mut so_far = Vec::new();
            for line in 0..5 {
                let line = format!("{{\"line\": {line}}}\n");
                sender.send(Ok(Frame::data(Bytes::from(line.clone())))).unwrap();
                let frame = tokio::time::timeout(std::time::Duration::from_secs(5), body.frame()).await;
                so_far.extend_from_slice(&frame.expect("it waits for more").unwrap().unwrap().into_data().unwrap());
                assert!(readable(coding, &so_far).ends_with(&line), "{coding:?}");
            }
            sender.send(Ok(Frame::trailers(headers(&[("x-sum", "1")])))).unwrap();
            drop(sender);
            let rest = body.collect().await.unwrap();
            assert_eq!(rest.trailers().unwrap()["x-sum"], "1");
            so_far.extend_from_slice(&rest.to_bytes());
            assert_eq!(decode(coding, &so_far).len(), 5 * 12);
        }
    }

    /// What can be read of a stream that has not ended.
    fn readable(coding: Coding, bytes: &[u8]) -> String {
        use std::io::Read;
        let mut plain = vec![0; 4096];
        let mut length = 0;
        let mut reader: Box<dyn Read> = match coding {
            Coding::Gzip => Box::new(flate2::bufread::GzDecoder::new(bytes)),
            Coding::Brotli => Box::new(brotli::Decompressor::new(bytes, 64)),
            Coding::Zstandard => {
                let mut input = zstd_safe::InBuffer::around(bytes);
                let mut output = zstd_safe::OutBuffer::around(&mut plain[..]);
                zstd_safe::DCtx::create().decompress_stream(&mut output, &mut input).unwrap();
                let length = output.pos();
                return String::from_utf8(plain[..length].to_vec()).unwrap();
            }
        };
        while let Ok(more @ 1..) = reader.read(&mut plain[length..]) {
            length += more;
        }
        String::from_utf8(plain[..length].to_vec()).unwrap()
    }

    #[tokio::test]
    async fn what_breaks_off_does_not_look_whole() {
        for coding in Coding::ALL {
            let (sender, body) = streamed();
            sender.send(Ok(Frame::data(Bytes::from_static(b"half")))).unwrap();
            sender.send(Err("gone".into())).unwrap();
            let ask: [(&'static str, &'static str); 1] = [("accept-encoding", coding.name())];
            let (response, _) = exchange(CompressionSettings::default(), Method::GET, &ask, 200, &[JSON], body).await;
            assert!(response.into_body().collect().await.is_err(), "{coding:?}");
        }
    }

    #[tokio::test]
    async fn a_large_body_gives_others_their_turn() {
        let body = full_body(vec![b'x'; 4 << 20]);
        let ask = [("accept-encoding", "gzip")];
        let (response, _) = exchange(CompressionSettings::default(), Method::GET, &ask, 200, &[JSON], body).await;
        let mut body = response.into_body();
        let (mut turns, mut bytes) = (0, Vec::new());
        let whole = std::future::poll_fn(|cx| {
            loop {
                match Pin::new(&mut body).poll_frame(cx) {
                    Poll::Ready(Some(frame)) => bytes.extend_from_slice(&frame.unwrap().into_data().unwrap()),
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => {
                        turns += 1;
                        return Poll::Pending;
                    }
                }
            }
        });
        whole.await;
        assert_eq!(decode(Coding::Gzip, &bytes).len(), 4 << 20);
        assert!(turns > 10, "{turns}");
    }
}
