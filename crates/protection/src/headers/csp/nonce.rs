//! Nonces: made for one answer, and put into its tags while it streams.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use encoding_rs::Encoding;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use lol_html::{
    AsciiCompatibleEncoding, MemorySettings, OutputSink, Selector,
    html_content::Element,
    send::{ElementContentHandlers, HtmlRewriter, SendHandlerTypes, Settings},
};
use seaworthy_core::{Body, BoxError, ProblemKind};

use super::gzip::Unzip;

/// A tag that comes in pieces is held until it is whole; a longer one ends the answer.
const LARGEST_TAG: usize = 1 << 20;
/// A table of its own, for each answer that is rewritten: most tags are shorter.
const USUAL_TAG: usize = 256;

/// 128 random bits as base64 (CSP 3, 7.1).
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce(Arc<str>);

impl Nonce {
    /// A fresh one; `None` when the system has no random numbers, and then no tag may be let through.
    pub(in crate::headers) fn fresh() -> Option<Self> {
        let mut bits = [0u8; 16];
        getrandom::fill(&mut bits).ok()?;
        Some(Self(STANDARD_NO_PAD.encode(bits).into()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    #[cfg(test)]
    pub(super) fn fixed(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(…)")
    }
}

/// Whether nonces can be put into this answer: HTML that we can read, whole, and not a page of our own.
pub(in crate::headers) fn can_take_nonces(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let whole =
        !matches!(response.status(), StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT)
            && !response.status().is_informational();
    whole && is_page(response) && coding(headers).is_some() && encoding(headers).is_some()
}

/// Whether browsers would show it as HTML, and it is no page of our own.
pub(in crate::headers) fn is_page(response: &Response<Body>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"text/html") && response.extensions().get::<ProblemKind>().is_none()
}

/// How an answer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Plain,
    /// By apps that do so although nobody asked for it.
    Gzip,
}

/// `None`: in a way that is not read here.
fn coding(headers: &HeaderMap) -> Option<Coding> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter().map(|value| value.as_bytes().trim_ascii());
    match (values.next(), values.next()) {
        (None, _) => Some(Coding::Plain),
        (Some(one), None) if one.eq_ignore_ascii_case(b"identity") => Some(Coding::Plain),
        (Some(one), None) if one.eq_ignore_ascii_case(b"gzip") || one.eq_ignore_ascii_case(b"x-gzip") => {
            Some(Coding::Gzip)
        }
        _ => None,
    }
}

/// The header on which the reading of a whole page fails.
pub(in crate::headers) fn unread(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(if coding(headers).is_none() { header::CONTENT_ENCODING } else { header::CONTENT_TYPE })
}

/// The encoding of an HTML answer; `None` when it is no HTML, or its tags cannot be found byte by byte.
fn encoding(headers: &HeaderMap) -> Option<AsciiCompatibleEncoding> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (essence, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    if !essence.trim().eq_ignore_ascii_case("text/html") {
        return None;
    }
    let charset = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    match charset {
        // A page that names it in a `<meta>` alone: bytes that are no ASCII pass through as they are.
        None => Some(AsciiCompatibleEncoding::utf_8()),
        Some(label) => AsciiCompatibleEncoding::new(Encoding::for_label(label.as_bytes())?),
    }
}

/// Another nonce for everybody: no cache may give this answer to someone else, and what described its bytes goes.
pub(in crate::headers) fn make_private(headers: &mut HeaderMap) {
    keep_from_others(headers);
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    for name in ["content-md5", "digest", "content-digest", "repr-digest"] {
        headers.remove(name);
    }
    // Still the same page, no longer the same bytes (RFC 9110, 8.8.3).
    let weak = headers.get(header::ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    if let Some(weak) = weak.and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok()) {
        headers.insert(header::ETAG, weak);
    }
}

/// No cache may give this answer to someone else; its bytes are those of the app.
pub(in crate::headers) fn keep_from_others(headers: &mut HeaderMap) {
    headers.remove(header::EXPIRES);
    headers.remove("surrogate-control");
    // RFC 9213: each cache in between may have a header of its own.
    let targeted: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().ends_with("cdn-cache-control")).cloned().collect();
    for name in targeted {
        headers.remove(name);
    }
    let private = headers.get_all(header::CACHE_CONTROL).iter().any(|value| {
        let mut words = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        words.any(|word| word.eq_ignore_ascii_case(b"private") || word.eq_ignore_ascii_case(b"no-store"))
    });
    if !private {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
}

/// The same answer with the nonce in its tags; its head must be one that [`can_take_nonces`] let through.
pub(in crate::headers) fn with_nonces(
    response: Response<Body>,
    nonce: &Nonce,
    styles: bool,
    marker: &str,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let is_zipped = coding(&parts.headers) == Some(Coding::Gzip);
    parts.headers.remove(header::CONTENT_ENCODING);
    let Some(encoding) = encoding(&parts.headers).filter(|_| !body.is_end_stream()) else {
        return Response::from_parts(parts, body);
    };
    let mut body = NonceBody::new(body, encoding, nonce.clone(), styles, marker.to_owned());
    body.unzip = is_zipped.then(Unzip::new);
    Response::from_parts(parts, body.boxed_unsync())
}

#[expect(clippy::expect_used, reason = "a constant, parsed in every test")]
static TAGS: LazyLock<Selector> = LazyLock::new(|| "script, style, link".parse().expect("three names"));

/// Collects what the rewriter puts out.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl OutputSink for Output {
    fn handle_chunk(&mut self, chunk: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(chunk);
    }
}

struct NonceBody {
    inner: Body,
    /// `None` once the last byte went through it.
    rewriter: Option<HtmlRewriter<'static, Output>>,
    output: Output,
    /// What comes is compressed.
    unzip: Option<Unzip>,
    /// What came behind the body, while the end of the body is still on its way.
    trailers: Option<Frame<Bytes>>,
}

impl NonceBody {
    fn new(inner: Body, encoding: AsciiCompatibleEncoding, nonce: Nonce, styles: bool, marker: String) -> Self {
        let handler = move |element: &mut Element<'_, '_, SendHandlerTypes>| {
            if takes_nonce(element, styles, &marker) {
                element.set_attribute("nonce", nonce.as_str())?;
            }
            Ok(())
        };
        let output = Output::default();
        let handlers = ElementContentHandlers::default().element(handler);
        let settings = Settings {
            element_content_handlers: vec![(std::borrow::Cow::Borrowed(&*TAGS), handlers)],
            encoding,
            memory_settings: MemorySettings {
                preallocated_parsing_buffer_size: USUAL_TAG,
                max_allowed_memory_usage: LARGEST_TAG,
            },
            strict: false,
            ..Settings::new_send()
        };
        Self { inner, rewriter: Some(HtmlRewriter::new(settings, output.clone())), output, unzip: None, trailers: None }
    }

    /// Takes a piece of the page.
    fn write(&mut self, page: &[u8]) -> Result<(), BoxError> {
        self.rewriter.as_mut().map_or(Ok(()), |rewriter| Ok(rewriter.write(page)?))
    }

    /// What is still packed goes through the rewriter before more is asked for. `None`: there is none.
    fn unpack(&mut self) -> Option<Result<(), BoxError>> {
        let unzip = self.unzip.as_mut()?;
        match unzip.unpack() {
            Ok(Some(piece)) => Some(self.write(&piece)),
            Ok(None) => unzip.has_ended().then(|| self.finish()),
            Err(error) => Some(Err(error.into())),
        }
    }

    /// Takes what came.
    fn take(&mut self, data: Bytes) -> Result<(), BoxError> {
        match &mut self.unzip {
            Some(unzip) => {
                unzip.arrived(data);
                Ok(())
            }
            None => self.write(&data),
        }
    }

    /// The last byte has come.
    fn end(&mut self) -> Result<(), BoxError> {
        match &mut self.unzip {
            Some(unzip) => {
                unzip.end();
                Ok(())
            }
            None => self.finish(),
        }
    }

    /// The last byte of the page went through it.
    fn finish(&mut self) -> Result<(), BoxError> {
        self.rewriter.take().map_or(Ok(()), |rewriter| Ok(rewriter.end()?))
    }
}

/// Whether this tag starts something that the policy asks a nonce of.
fn takes_nonce(element: &Element<'_, '_, SendHandlerTypes>, styles: bool, marker: &str) -> bool {
    if !marker.is_empty() && element.get_attribute("nonce").as_deref() != Some(marker) {
        return false;
    }
    let words = |name: &str| element.get_attribute(name).unwrap_or_default().to_ascii_lowercase();
    match element.tag_name().as_str() {
        "script" => true,
        "style" => styles,
        _ => {
            let (relations, purpose) = (words("rel"), words("as"));
            let is = |wanted: &str| relations.split_ascii_whitespace().any(|one| one == wanted);
            let preloads = is("preload") || is("prefetch");
            is("modulepreload")
                || (preloads && matches!(purpose.as_str(), "script" | "worker"))
                || (styles && (is("stylesheet") || (preloads && purpose == "style")))
        }
    }
}

impl HttpBody for NonceBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            if this.rewriter.is_none() {
                return Poll::Ready(this.trailers.take().map(Ok));
            }
            let taken = match this.unpack() {
                Some(taken) => taken,
                None => match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                    Some(Err(error)) => {
                        this.rewriter = None;
                        return Poll::Ready(Some(Err(error)));
                    }
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => this.take(data),
                        Err(trailers) => {
                            this.trailers = Some(trailers);
                            this.end()
                        }
                    },
                    None => this.end(),
                },
            };
            if let Err(error) = taken {
                (this.rewriter, this.trailers) = (None, None);
                tracing::warn!(%error, "an HTML answer could not get its nonces, and was cut");
                return Poll::Ready(Some(Err(error)));
            }
            let ready = this.output.take();
            if !ready.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(ready))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rewriter.is_none() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use seaworthy_core::full_body;

    use super::*;

    async fn rewritten_in(html: &[u8], size: usize, kind: &str, styles: bool, marker: &str) -> Vec<u8> {
        let chunks: Vec<Result<Frame<Bytes>, BoxError>> =
            html.chunks(size).map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk)))).collect();
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(chunks)).boxed_unsync();
        let response = Response::builder().header("content-type", kind).body(body).unwrap();
        assert!(can_take_nonces(&response));
        let response = with_nonces(response, &Nonce::fixed("N"), styles, marker);
        response.into_body().collect().await.unwrap().to_bytes().to_vec()
    }

    async fn rewritten(html: &str) -> String {
        String::from_utf8(rewritten_in(html.as_bytes(), 7, "text/html; charset=utf-8", true, "").await).unwrap()
    }

    #[tokio::test]
    async fn tags_get_it_and_nothing_else_changes() {
        let html = "<!doctype html><title>é</title><SCRIPT src=a.js></SCRIPT><script nonce=old>if (a < b) '<script>'</script>\
                    <style>a > b {}</style><link rel=\"StyleSheet\" href=a.css><link rel=preload as=script href=b.js>\
                    <link rel=modulepreload href=c.js><link rel=icon href=i><!-- <script></script> --><textarea><script>\
                    </textarea><svg><script>1</script></svg><p onclick=\"x()\">text &amp; more";
        let expected = "<!doctype html><title>é</title><SCRIPT src=a.js nonce=\"N\"></SCRIPT><script nonce=\"N\">if (a < b) \
                        '<script>'</script><style nonce=\"N\">a > b {}</style><link rel=\"StyleSheet\" href=a.css nonce=\"N\">\
                        <link rel=preload as=script href=b.js nonce=\"N\"><link rel=modulepreload href=c.js nonce=\"N\">\
                        <link rel=icon href=i><!-- <script></script> --><textarea><script></textarea><svg><script nonce=\"N\">1\
                        </script></svg><p onclick=\"x()\">text &amp; more";
        assert_eq!(rewritten(html).await, expected);
    }

    /// However the answer is cut into pieces, the same comes out.
    #[tokio::test]
    async fn pieces_make_no_difference() {
        let html =
            "<html><head><script async src='/a?x=\"1\"&y=<b>'></script></head><style media=print></style></html>";
        let whole = rewritten_in(html.as_bytes(), html.len(), "text/html", true, "").await;
        assert_eq!(whole.windows(9).filter(|window| *window == b"nonce=\"N\"").count(), 2);
        for size in 1..html.len() {
            assert_eq!(rewritten_in(html.as_bytes(), size, "text/html", true, "").await, whole, "{size}");
        }
    }

    #[tokio::test]
    async fn with_a_marker_only_what_the_app_marked_gets_it() {
        let marker = "0123456789abcdef";
        let html =
            format!("<script nonce=\"{marker}\">1</script><script>planted</script><script nonce=guess>2</script>");
        let out = rewritten_in(html.as_bytes(), 16, "text/html", true, marker).await;
        let expected = "<script nonce=\"N\">1</script><script>planted</script><script nonce=guess>2</script>";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[tokio::test]
    async fn bytes_of_other_encodings_stay() {
        let html = b"<title>\x83\x5c\xff</title><script></script>";
        let out = rewritten_in(html, 5, "text/html; charset=\"Shift_JIS\"", false, "").await;
        assert_eq!(out, b"<title>\x83\x5c\xff</title><script nonce=\"N\"></script>");
    }

    #[test]
    fn what_cannot_be_read_is_left_alone() {
        let answer = |status: u16, headers: &[(&str, &str)]| {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(*name, *value);
            }
            can_take_nonces(&response.body(full_body("x")).unwrap())
        };
        let html = ("content-type", "text/html");
        assert!(answer(200, &[html]) && answer(404, &[html]) && answer(500, &[html, ("content-encoding", "identity")]));
        assert!(
            answer(200, &[html, ("content-encoding", "GZIP")]) && !answer(200, &[html, ("content-encoding", "br")])
        );
        assert!(!answer(200, &[html, ("content-encoding", "gzip, gzip")]));
        assert!(!answer(206, &[html]) && !answer(304, &[html]) && !answer(200, &[]));
        assert!(!answer(200, &[("content-type", "application/json")]));
        assert!(!answer(200, &[("content-type", "text/html; charset=utf-16")]));
        assert!(!answer(200, &[("content-type", "text/html; charset=klingon")]));
    }

    #[tokio::test]
    async fn a_page_that_comes_compressed_gets_them_too() {
        let html = "<title>é</title><script>1</script>".repeat(2_000);
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        zip.write_all(html.as_bytes()).unwrap();
        let zipped = zip.finish().unwrap();
        let answer = async |bytes: &[u8]| {
            let chunks: Vec<Result<Frame<Bytes>, BoxError>> =
                bytes.chunks(7).map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk)))).collect();
            let body = http_body_util::StreamBody::new(futures_util::stream::iter(chunks)).boxed_unsync();
            let response = Response::builder().header("content-type", "text/html").header("content-encoding", "gzip");
            let response = with_nonces(response.body(body).unwrap(), &Nonce::fixed("N"), true, "");
            assert!(!response.headers().contains_key("content-encoding"));
            response.into_body().collect().await.map(|body| body.to_bytes())
        };
        let expected = html.replace("<script>", "<script nonce=\"N\">");
        assert_eq!(answer(&zipped).await.unwrap(), expected);
        assert!(answer(&zipped[..zipped.len() - 9]).await.is_err(), "a half is no whole page");
        assert!(answer(b"no gzip").await.is_err());
        assert_eq!(answer(&[&zipped[..], &[0; 512]].concat()).await.unwrap(), expected, "browsers pass over the rest");
        assert_eq!(answer(b"").await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_bomb_is_handed_on_in_pieces_and_trailers_come_behind_it() {
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        zip.write_all(&vec![b'a'; 16 << 20]).unwrap();
        let data = Ok(Frame::data(Bytes::from(zip.finish().unwrap())));
        let trailers = Ok(Frame::trailers([(header::ETAG, HeaderValue::from_static("x"))].into_iter().collect()));
        let chunks: [Result<_, BoxError>; 2] = [data, trailers];
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(chunks)).boxed_unsync();
        let response = Response::builder().header("content-type", "text/html").header("content-encoding", "gzip");
        let mut body = with_nonces(response.body(body).unwrap(), &Nonce::fixed("N"), true, "").into_body();
        let (mut largest, mut all, mut trailed) = (0, 0, false);
        while let Some(frame) = body.frame().await {
            match frame.unwrap().into_data() {
                Ok(data) => {
                    assert!(!trailed);
                    (largest, all) = (largest.max(data.len()), all + data.len());
                }
                Err(_) => trailed = true,
            }
        }
        assert!(all == 16 << 20 && trailed && largest <= 128 << 10, "{all} {largest}");
    }

    #[tokio::test]
    async fn a_tag_without_an_end_is_cut_and_a_long_text_is_not() {
        let long = format!("<p>{}</p><img src=\"data:,{}\">", "x".repeat(4 << 20), "y".repeat(1 << 19));
        assert_eq!(rewritten_in(long.as_bytes(), 1 << 16, "text/html", true, "").await, long.as_bytes());
        let chunks = (0..64).map(|_| Ok(Frame::data(Bytes::from(vec![b'a'; 1 << 16]))));
        let start = std::iter::once(Ok(Frame::data(Bytes::from_static(b"<script data-x=\""))));
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(start.chain(chunks))).boxed_unsync();
        let response = Response::builder().header("content-type", "text/html").body(body).unwrap();
        assert!(with_nonces(response, &Nonce::fixed("N"), true, "").into_body().collect().await.is_err());
    }

    #[test]
    fn nobody_else_gets_the_answer() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-length", "5"),
            ("etag", "\"a\""),
            ("cache-control", "public, max-age=60"),
            ("cloudflare-cdn-cache-control", "max-age=60"),
            ("content-digest", "x"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        make_private(&mut headers);
        assert_eq!(headers.len(), 2);
        assert_eq!(
            (&headers["etag"], &headers["cache-control"]),
            (&"W/\"a\"".parse().unwrap(), &"private, no-cache".parse().unwrap())
        );
        headers.insert("cache-control", HeaderValue::from_static("no-store"));
        make_private(&mut headers);
        assert_eq!(
            (&headers["etag"], &headers["cache-control"]),
            (&"W/\"a\"".parse().unwrap(), &"no-store".parse().unwrap())
        );
    }

    #[test]
    fn nonces_have_128_bits_and_differ() {
        let nonces: std::collections::HashSet<String> =
            (0..1000).map(|_| Nonce::fresh().unwrap().as_str().to_owned()).collect();
        assert_eq!(nonces.len(), 1000);
        assert!(nonces.iter().all(|nonce| nonce.len() == 22), "16 bytes in base64");
    }
}
