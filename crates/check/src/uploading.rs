//! Sending files as a browser's form does: where the app takes them, samples of each kind, and what became of one.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Method, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use seaworthy_repository::Sighting;

use crate::{
    fixture::{Answering, Server, ServerOptions, reply},
    http::{Client, HttpError, full},
    openapi,
    subject::{ClaimedUpload, Fixture, Subject},
};

const BOUNDARY: &str = "seaworthy-check-7f3a9c";
/// Kinds that samples are made of, in the order in which an app is likely to take them.
const KINDS: [&str; 7] = ["png", "pdf", "txt", "csv", "json", "zip", "gif"];

/// A route that takes files.
pub(crate) struct Target {
    client: Client,
    pub route: ClaimedUpload,
}

/// A file to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub kind: &'static str,
    pub content: Vec<u8>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Taken(StatusCode),
    /// Refused for what it is.
    Refused(StatusCode),
    /// Refused for another reason, or failed: nothing is known of the file.
    Other(StatusCode),
}

impl Fate {
    pub(crate) fn status(self) -> u16 {
        let (Self::Taken(status) | Self::Refused(status) | Self::Other(status)) = self;
        status.as_u16()
    }
}

impl Target {
    /// Looks for it where the team, the Seaworthy around the app, or the app's own description say.
    pub(crate) async fn find(subject: &Subject) -> Result<Self, Sighting> {
        let Some(client) = subject.client() else {
            return Err(Sighting::not_tried("name the app's address with --url"));
        };
        let described = openapi::discover(&client, subject.hints.version_prefix.as_deref())
            .await
            .map(|(_, operations)| operations)
            .unwrap_or_default();
        if let Some(mut route) = subject.hints.upload.clone() {
            // The app knows best what it calls the file.
            let same = described.into_iter().find(|one| one.path == route.path && one.method == route.method);
            route.field = same.and_then(|one| one.file_field).unwrap_or(route.field);
            return Ok(Self { client, route });
        }
        let found = described.into_iter().find_map(|operation| {
            let field = operation.file_field?;
            Some(ClaimedUpload { method: operation.method, path: operation.path, field, ..ClaimedUpload::default() })
        });
        found.map(|route| Self { client, route }).ok_or_else(|| {
            Sighting::not_tried("no route is known that takes files: name it, [check] upload = \"POST /api/documents\"")
        })
    }

    /// As people read it.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.route.method, self.route.path)
    }

    /// Sends one file; `announced`: with its length.
    pub(crate) async fn send(
        &self,
        name: &str,
        declared: &str,
        content: &[u8],
        announced: bool,
    ) -> Result<Fate, HttpError> {
        let field = &self.route.field;
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\nContent-Type: \
             {declared}\r\n\r\n"
        );
        let body = [head.as_bytes(), content, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat();
        let method = self.route.method.parse().unwrap_or(Method::POST);
        let mut request = self.client.request(method, &self.route.path);
        let kind = HeaderValue::try_from(format!("multipart/form-data; boundary={BOUNDARY}"));
        // The boundary is a word.
        request.headers_mut().insert(header::CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static("")));
        *request.body_mut() = if announced { full(body) } else { in_pieces(&body) };
        let status = self.client.send(request).await?.status;
        Ok(match status.as_u16() {
            200..=399 => Fate::Taken(status),
            400 | 406 | 409 | 413 | 415 | 422 => Fate::Refused(status),
            _ => Fate::Other(status),
        })
    }

    /// Sends a sample as what it is.
    pub(crate) async fn send_sample(&self, sample: &Sample) -> Result<Fate, HttpError> {
        self.send(&format!("sample.{}", sample.kind), declared(sample.kind), &sample.content, true).await
    }

    /// A small file that is taken: without it, a refusal says nothing.
    pub(crate) async fn accepted(&self, kinds: &[&'static str]) -> Result<Sample, Sighting> {
        let mut last = String::new();
        let listed =
            |kind: &&&'static str| self.route.types.is_empty() || self.route.types.iter().any(|name| name == *kind);
        for kind in kinds.iter().filter(listed) {
            let Some(sample) = sample(kind, 0) else { continue };
            match self.send_sample(&sample).await {
                Ok(Fate::Taken(_)) => return Ok(sample),
                Ok(fate) => last = format!("a plain .{kind} was answered {}", fate.status()),
                Err(error) => return Err(Sighting::unclear(error.to_string())),
            }
        }
        if last.is_empty() {
            last = format!("none of {} is taken", kinds.join(", "));
        }
        Err(Sighting::not_tried(format!(
            "{} took no harmless file ({last}): name a route that takes one without signing in, and its field: [check] upload, \
             upload_field",
            self.name()
        )))
    }
}

/// Every kind that there are samples of.
pub(crate) fn kinds() -> &'static [&'static str] {
    &KINDS
}

/// What a browser declares.
pub(crate) fn declared(kind: &str) -> &'static str {
    match kind {
        "png" => "image/png",
        "gif" => "image/gif",
        "pdf" => "application/pdf",
        "csv" => "text/csv",
        "json" => "application/json",
        "zip" => "application/zip",
        "svg" => "image/svg+xml",
        _ => "text/plain",
    }
}

fn in_pieces(body: &[u8]) -> crate::http::ProbeBody {
    let pieces: Vec<_> =
        body.chunks(16 << 10).map(|piece| Ok::<_, io::Error>(Frame::data(Bytes::copy_from_slice(piece)))).collect();
    StreamBody::new(stream::iter(pieces)).boxed()
}

/// A proper file of a kind, of exactly this size when it can be and the size is not 0.
pub(crate) fn sample(kind: &str, size: usize) -> Option<Sample> {
    let kind = KINDS.iter().find(|known| **known == kind)?;
    let fill = |around: usize| size.saturating_sub(around);
    let content = match *kind {
        "png" => {
            let bare = png(None).len();
            if size > bare + 12 { png(Some(fill(bare + 12))) } else { png(None) }
        }
        "pdf" => {
            let (head, tail) = (
                &b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n"
                    [..],
                &b"trailer<</Root 1 0 R/Size 3>>\n%%EOF\n"[..],
            );
            [head, &vec![b' '; fill(head.len() + tail.len())], tail].concat()
        }
        "json" => [&b"{\"a\": 1}"[..], &vec![b' '; fill(8)]].concat(),
        "csv" => [&b"a,b\n1,2\n"[..], &vec![b'1'; fill(8)]].concat(),
        "txt" => [&b"seaworthy\n"[..], &vec![b'x'; fill(10)]].concat(),
        "zip" => zip("a.txt", &vec![b'x'; fill(zip("a.txt", b"").len()).max(1)]),
        _ => b"GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;".to_vec(),
    };
    (size == 0 || content.len() == size).then_some(Sample { kind, content })
}

/// One grey pixel, with a comment of this length.
fn png(comment: Option<usize>) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8], data: &[u8]| {
        let named = [kind, data].concat();
        png.extend((data.len() as u32).to_be_bytes());
        png.extend(&named);
        png.extend(crc(&named).to_be_bytes());
    };
    chunk(b"IHDR", b"\0\0\0\x01\0\0\0\x01\x08\0\0\0\0");
    if let Some(length) = comment {
        chunk(b"tEXt", &[&b"Comment\0"[..], &vec![b'x'; length.saturating_sub(8)]].concat()[..length]);
    }
    // Two zero bytes (filter, grey), stored, as zlib has it.
    chunk(b"IDAT", b"\x78\x01\x01\x02\0\xfd\xff\0\0\0\x02\0\x01");
    chunk(b"IEND", b"");
    png
}

/// A zip file with one entry, stored.
pub(crate) fn zip(name: &str, content: &[u8]) -> Vec<u8> {
    let (size, crc) = ((content.len() as u32).to_le_bytes(), crc(content).to_le_bytes());
    // Version, flags, method, time, date; the size is the same packed and unpacked.
    let about =
        [&b"\x14\0\0\0\0\0\0\0\x21\x58"[..], &crc, &size, &size, &(name.len() as u16).to_le_bytes(), b"\0\0"].concat();
    let local = [&b"PK\x03\x04"[..], &about, name.as_bytes(), content].concat();
    let central = [&b"PK\x01\x02\x14\0"[..], &about, &[0; 14], name.as_bytes()].concat();
    let (length, at) = ((central.len() as u32).to_le_bytes(), (local.len() as u32).to_le_bytes());
    [local, central, [&b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &length, &at, b"\0\0"].concat()].concat()
}

fn crc(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256_u32)
        .map(|byte| (0..8).fold(byte, |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }))
        .collect();
    !bytes.iter().fold(u32::MAX, |crc, byte| (crc >> 8) ^ table[((crc ^ u32::from(*byte)) & 0xff) as usize])
}

/// A server that judges each file by its name, its declared type and its content, and answers what `judge` says.
pub(crate) fn judging(
    route: ClaimedUpload,
    judge: impl Fn(&str, &str, &[u8]) -> u16 + Send + Sync + 'static,
) -> io::Result<Fixture> {
    let judge = Arc::new(judge);
    let answering: Answering = Arc::new(move |request| {
        let judge = judge.clone();
        Box::pin(async move {
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let find = |needle: &[u8]| body.windows(needle.len()).position(|window| window == needle);
            let Some(head_end) = find(b"\r\n\r\n") else { return reply(400, &[], "") };
            let head = String::from_utf8_lossy(&body[..head_end]).into_owned();
            let name = head.split("filename=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            let declared = head.split("Content-Type: ").nth(1).unwrap_or_default();
            let content_end = body.len().saturating_sub(BOUNDARY.len() + 8);
            let content = body.get(head_end + 4..content_end).unwrap_or_default();
            reply(judge(name, declared, content), &[], "")
        })
    });
    let server = Server::start(answering, ServerOptions::default())?;
    let mut subject = Subject { url: Some(server.address.clone()), ..Subject::default() };
    subject.hints.upload = Some(route);
    Ok(Fixture { subject, _keep: vec![Box::new(server)] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_the_size_that_was_asked_for() {
        for kind in KINDS.iter().filter(|kind| **kind != "gif") {
            for size in [1000, 1001, 70_000] {
                assert_eq!(sample(kind, size).unwrap().content.len(), size, "{kind}");
            }
        }
        assert!(sample("gif", 1000).is_none() && sample("exe", 0).is_none());
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
    }
}
