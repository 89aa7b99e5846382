//! `edge.compression`: text of more than a kilobyte travels compressed to a client that takes that, decodes to the same
//! bytes, says in `Vary` that it depends on the client, and is plain for a client that takes nothing (RFC 9110, 12.5.3).

use std::io::{self, Read};

use http::{HeaderValue, Method, StatusCode, header};
use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, reply},
    http::{Answer, Client, HttpError},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct Compression;

/// So many routes are asked, beside the start page.
const ROUTES: usize = 12;
/// From here on compression is worth it.
const WORTH_IT: u64 = 1 << 10;
/// As browsers of today send it.
const BROWSER: &str = "gzip, deflate, br, zstd";

impl Probe for Compression {
    fn about(&self) -> About {
        About { control: "edge.compression".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { site(|_| true) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: `gzip on` as nginx has it by default, for HTML alone.
        Box::pin(async { site(|kind| kind == "text/html") })
    }
}

/// A page and an API, compressed where the type says so.
fn site(compresses: fn(&str) -> bool) -> io::Result<Fixture> {
    let mut site = fixture::public(move |request| {
        let (kind, body) = match request.uri().path() {
            "/" => ("text/html", "<p>A page of a shop.</p>\n".repeat(100)),
            "/items" => ("application/json", "{\"name\": \"item\"},\n".repeat(100)),
            _ => return reply(404, &[], ""),
        };
        let accepts = request.headers().get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
        let takes = accepts.is_some_and(|value| value.contains("gzip"));
        let plain = [("content-type", kind), ("vary", "Accept-Encoding")];
        if takes && compresses(kind) {
            let encoded = [plain[0], plain[1], ("content-encoding", "gzip")];
            return reply(200, &encoded, gzip(body.as_bytes()));
        }
        reply(200, &plain, body)
    })?;
    site.subject.hints.paths = vec!["/items".into()];
    Ok(site)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Into memory: what fails is a fixture without a body, which the probe must notice.
    io::Write::write_all(&mut encoder, bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let sample = subject.sample(ROUTES).await;
    let mut paths = vec!["/"];
    let named = subject.hints.paths.iter().map(String::as_str);
    for path in named.chain(sample.paths()) {
        if !paths.contains(&path) && paths.len() <= 2 * ROUTES {
            paths.push(path);
        }
    }
    let mut cases = Cases::plan(0);
    let (mut before, mut after, mut tried) = (0, 0, 0);
    for path in &paths {
        match ask(&client, path, None).await {
            Ok(plain) if is_worth_it(&plain) => {
                tried += 1;
                cases.plan_more(3);
                if let Some(length) = compare(&mut cases, &client, path, &plain).await {
                    before += plain.length;
                    after += length;
                }
            }
            Ok(plain) => cases.note(format!("GET {path} → {}, {} bytes: nothing to gain", plain.status, plain.length)),
            Err(error) => {
                cases.plan_more(1);
                cases.told_nothing(error.to_string());
            }
        }
    }
    if tried == 0 {
        return cases.gave_up("no path answers with text of more than 1 KiB: name one in [check] paths");
    }
    cases.sighting(format!(
        "text over 1 KiB comes encoded to whoever takes it ({before} bytes as {after}), decodes to the same bytes, varies by \
         Accept-Encoding, and is plain for whoever takes nothing; {sample}"
    ))
}

/// Whole text that is large enough; what is cut in our memory cannot be compared.
fn is_worth_it(plain: &Answer) -> bool {
    let kind = plain.header("content-type").unwrap_or_default().to_ascii_lowercase();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let text = kind.starts_with("text/")
        || kind == "image/svg+xml"
        || ["json", "xml", "javascript"]
            .iter()
            .any(|end| kind.strip_prefix("application/").is_some_and(|kind| kind.ends_with(end)));
    let unchangeable =
        plain.header("cache-control").is_some_and(|says| says.to_ascii_lowercase().contains("no-transform"));
    plain.status == StatusCode::OK
        && text
        && kind != "text/event-stream"
        && !unchangeable
        && plain.length > WORTH_IT
        && plain.length == plain.body.len() as u64
}

/// Returns the length of the encoded answer.
async fn compare(cases: &mut Cases, client: &Client, path: &str, plain: &Answer) -> Option<u64> {
    let coding = coding(plain);
    cases.tried(coding.is_none(), format!("GET {path} without Accept-Encoding comes {}", coding.unwrap_or("plain")));
    match ask(client, path, Some("identity;q=1, *;q=0")).await {
        Ok(refused) => {
            let coding = self::coding(&refused);
            let seen = format!("GET {path} for a client that refuses codings comes {}", coding.unwrap_or("plain"));
            cases.tried(coding.is_none(), seen);
        }
        Err(error) => cases.told_nothing(error.to_string()),
    }
    let encoded = match ask(client, path, Some(BROWSER)).await {
        Ok(encoded) => encoded,
        Err(error) => {
            cases.told_nothing(error.to_string());
            return None;
        }
    };
    let Some(coding) = self::coding(&encoded) else {
        let kind = plain.header("content-type").unwrap_or_default();
        cases.tried(false, format!("GET {path}: {} bytes of {kind} come uncompressed", plain.length));
        return None;
    };
    let varies = encoded.headers.get_all(header::VARY).iter().any(|value| {
        let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
        value.split(',').any(|name| matches!(name.trim(), "accept-encoding" | "*"))
    });
    if !varies {
        cases.tried(
            false,
            format!("GET {path} comes as {coding} without Vary: Accept-Encoding: a cache would give it to all"),
        );
        return None;
    }
    let Some(decoded) = decode(coding, &encoded.body, plain.length) else {
        cases.tried(false, format!("GET {path} comes as {coding} and cannot be decoded"));
        return None;
    };
    let same = decoded == plain.body || changes_by_itself(client, path, plain).await;
    let smaller = encoded.length < plain.length;
    let what = if same { "the same bytes" } else { "other bytes" };
    cases.tried(
        same && smaller,
        format!("GET {path}: {} bytes as {coding} → {what}, {} plain", encoded.length, plain.length),
    );
    Some(encoded.length)
}

/// Whether two plain answers differ: then nothing can be said of bytes, and it must only decode.
async fn changes_by_itself(client: &Client, path: &str, plain: &Answer) -> bool {
    ask(client, path, None).await.is_ok_and(|again| again.body != plain.body)
}

fn coding(answer: &Answer) -> Option<&str> {
    answer.header("content-encoding").map(str::trim).filter(|coding| !coding.eq_ignore_ascii_case("identity"))
}

/// What it decodes to, of twice the expected length at most: a stranger sent it.
fn decode(coding: &str, bytes: &[u8], expected: u64) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let reader: Box<dyn Read + '_> = match coding.to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
        "deflate" => Box::new(flate2::read::ZlibDecoder::new(bytes)),
        "br" => Box::new(brotli::Decompressor::new(bytes, 4 << 10)),
        "zstd" => return unzstd(bytes, expected),
        _ => return None,
    };
    reader.take(2 * expected + 1).read_to_end(&mut plain).ok()?;
    Some(plain)
}

fn unzstd(bytes: &[u8], expected: u64) -> Option<Vec<u8>> {
    let mut context = zstd_safe::DCtx::try_create()?;
    let mut input = zstd_safe::InBuffer::around(bytes);
    let mut plain: Vec<u8> = Vec::new();
    loop {
        plain.reserve(32 << 10);
        let at = plain.len();
        let left = context.decompress_stream(&mut zstd_safe::OutBuffer::around_pos(&mut plain, at), &mut input).ok()?;
        let ended = input.pos() == bytes.len() && (left == 0 || plain.len() == at);
        if ended {
            return (left == 0).then_some(plain);
        }
        if plain.len() as u64 > 2 * expected {
            return None;
        }
    }
}

async fn ask(client: &Client, path: &str, accepts: Option<&'static str>) -> Result<Answer, HttpError> {
    let mut request = client.request(Method::GET, path);
    if let Some(accepts) = accepts {
        request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accepts));
    }
    client.send(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    fn long() -> String {
        "{\"name\": \"item\"},\n".repeat(100)
    }

    async fn seen(
        headers: &'static [(&'static str, &'static str)],
        body: impl Fn(bool) -> Vec<u8> + Send + Sync + 'static,
    ) -> Outcome {
        let site = fixture::public(move |request| {
            let takes =
                request.headers().get("accept-encoding").is_some_and(|value| value.as_bytes().starts_with(b"gzip"));
            let mut all = vec![("content-type", "application/json")];
            all.extend(headers.iter().filter(|(name, _)| takes || *name != "content-encoding"));
            reply(200, &all, body(takes))
        });
        look(&site.unwrap().subject).await.outcome
    }

    #[tokio::test]
    async fn careless_compression_is_found_out() {
        let careless = |takes: bool| if takes { gzip(long().as_bytes()) } else { long().into_bytes() };
        let without_vary = seen(&[("content-encoding", "gzip")], careless).await;
        assert!(matches!(&without_vary, Outcome::Broken(why) if why.contains("without Vary")), "{without_vary:?}");
        let varies = &[("content-encoding", "gzip"), ("vary", "accept-encoding")];
        let cut = seen(varies, move |takes| if takes { careless(true)[..20].to_vec() } else { careless(false) }).await;
        assert!(matches!(&cut, Outcome::Broken(why) if why.contains("cannot be decoded")), "{cut:?}");
        let other = seen(varies, move |takes| if takes { gzip(b"something else") } else { careless(false) }).await;
        assert!(matches!(&other, Outcome::Broken(why) if why.contains("other bytes")), "{other:?}");
        let good = seen(varies, careless).await;
        assert!(matches!(&good, Outcome::Holds), "{good:?}");
    }

    #[tokio::test]
    async fn compressed_for_everybody_is_broken_and_nothing_large_is_unclear() {
        let always = fixture::public(|_| {
            let headers = [("content-type", "text/html"), ("content-encoding", "gzip"), ("vary", "accept-encoding")];
            reply(200, &headers, gzip(fastrand_text().as_bytes()))
        });
        let outcome = look(&always.unwrap().subject).await.outcome;
        assert!(
            matches!(&outcome, Outcome::Broken(why) if why.contains("without Accept-Encoding comes gzip")),
            "{outcome:?}"
        );
        let small = fixture::public(|_| reply(200, &[("content-type", "text/html")], "<p>hello")).unwrap();
        let outcome = look(&small.subject).await.outcome;
        assert!(matches!(outcome, Outcome::Unclear(_)), "{outcome:?}");
    }

    /// More than a kilobyte, also compressed.
    fn fastrand_text() -> String {
        let mut random = fastrand::Rng::with_seed(1);
        std::iter::repeat_with(|| random.alphanumeric()).take(4_000).collect()
    }

    #[test]
    fn every_coding_of_a_browser_can_be_read_and_a_bomb_is_not() {
        assert_eq!(decode("x-gzip", &gzip(b"hello"), 5).unwrap(), b"hello");
        let mut out = [0; 100];
        let length = zstd_safe::compress(&mut out[..], b"hello", 1).unwrap();
        assert_eq!(decode("zstd", &out[..length], 5).unwrap(), b"hello");
        assert!(decode("zstd", &out[..length - 1], 5).is_none() && decode("pack200", b"", 5).is_none());
        let mut brotli = Vec::new();
        io::Write::write_all(&mut brotli::CompressorWriter::new(&mut brotli, 4096, 4, 18), b"hello").unwrap();
        assert_eq!(decode("br", &brotli, 5).unwrap(), b"hello");
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(decode("gzip", &bomb, 1_000).unwrap().len() < 3_000);
    }
}
