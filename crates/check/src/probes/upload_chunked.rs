//! `protection.upload-chunked`: a large upload that is cut goes on where it was (tus 1.0), and not from the beginning.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use seaworthy_evidence::{ProbeKind, SafetyClass};
use tokio::time::sleep;

use crate::{
    fixture::{Answering, Server, ServerOptions, reply},
    http::{Answer, Client, HttpError, ProbeBody, full},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{ClaimedUpload, Fixture, Subject},
    uploading::{self, declared, kinds},
};

pub(super) struct UploadChunked;

/// Large enough to be cut in the middle; less where less is allowed.
const SIZE: u64 = 4 << 20;

impl Probe for UploadChunked {
    fn about(&self) -> About {
        About { control: "protection.upload-chunked".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { keeping(true) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: pieces are taken, and what was cut is thrown away with all that was there.
        Box::pin(async { keeping(false) })
    }
}

/// One request of tus.
async fn tus(
    client: &Client,
    method: Method,
    path: &str,
    fields: &[(&'static str, String)],
    body: ProbeBody,
) -> Result<Answer, HttpError> {
    let mut request = client.request(method, path);
    *request.body_mut() = body;
    let headers = request.headers_mut();
    headers.insert("tus-resumable", HeaderValue::from_static("1.0.0"));
    for (name, value) in fields {
        // Numbers and Base64 are always values.
        headers.insert(*name, HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("")));
    }
    client.send(request).await
}

fn piece(offset: u64) -> [(&'static str, String); 2] {
    [("content-type", "application/offset+octet-stream".into()), ("upload-offset", offset.to_string())]
}

/// Some bytes, and when these are sent the connection is cut.
fn cut_off(bytes: &[u8]) -> ProbeBody {
    let first = stream::iter([Ok(Frame::data(Bytes::copy_from_slice(bytes)))]);
    let cut = stream::once(async {
        sleep(Duration::from_millis(300)).await;
        Err(io::Error::other("cut"))
    });
    BodyExt::boxed(StreamBody::new(first.chain(cut)))
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let claimed = subject.hints.upload.clone().unwrap_or_default();
    let Some(endpoint) = claimed.resumable.clone() else {
        return Sighting::not_tried(
            "no place for resumable uploads is known: upload = { resumable = true } of a route, or, where the app has its own \
             (tus 1.0), [check] upload = \"POST /files\" and upload_resumable = \"/files\"",
        );
    };
    let size = claimed.max.unwrap_or(SIZE).min(SIZE) as usize;
    let listed = |kind: &&&str| claimed.types.is_empty() || claimed.types.iter().any(|name| name == *kind);
    let sample = kinds().iter().filter(listed).find_map(|kind| uploading::sample(kind, size));
    let Some(sample) = sample else {
        return Sighting::not_tried(format!("no sample of {} can be made in {size} bytes", claimed.types.join(", ")));
    };
    let name = STANDARD.encode(format!("sample.{}", sample.kind));
    let kind = STANDARD.encode(declared(sample.kind));
    let about = [("upload-length", size.to_string()), ("upload-metadata", format!("filename {name},filetype {kind}"))];
    let made = match tus(&client, Method::POST, &endpoint, &about, full("")).await {
        Ok(made) => made,
        Err(error) => return Sighting::unclear(error.to_string()),
    };
    let place = made.header("location").filter(|_| made.status == StatusCode::CREATED).map(path_of);
    let Some(place) = place else {
        return match made.status.as_u16() {
            401 | 403 => Sighting::not_tried(format!("{endpoint} asks who asks: name a place that does not")),
            status => Cases::plan(1).gave_up(format!("POST {endpoint} was answered {status}, and no upload was begun")),
        };
    };
    cut_and_go_on(&client, &place, &sample.content).await
}

/// The path of a place that may be a whole address.
fn path_of(location: &str) -> String {
    match location.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]).to_owned(),
        None => location.to_owned(),
    }
}

async fn cut_and_go_on(client: &Client, place: &str, content: &[u8]) -> Sighting {
    let mut cases = Cases::plan(4);
    let (third, half) = (content.len() / 3, content.len() / 2);
    match tus(client, Method::PATCH, place, &piece(0), full(content[..third].to_vec())).await {
        Ok(answer) => {
            cases.tried(answer.status == StatusCode::NO_CONTENT, format!("a third of it → {}", answer.status.as_u16()))
        }
        Err(error) => return cases.gave_up(error.to_string()),
    }
    // That this fails is the point.
    let _ = tus(client, Method::PATCH, place, &piece(third as u64), cut_off(&content[third..half])).await;
    let mut offset = Err("it was not asked".to_owned());
    for _ in 0..20 {
        offset = match tus(client, Method::HEAD, place, &[], full("")).await {
            Ok(answer) => match answer.header("upload-offset").and_then(|offset| offset.parse::<usize>().ok()) {
                Some(offset) if answer.status.is_success() => Ok(offset),
                _ => Err(format!("HEAD was answered {}", answer.status.as_u16())),
            },
            Err(error) => Err(error.to_string()),
        };
        if offset.as_ref().is_ok_and(|offset| *offset == half) {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    let kept = match offset {
        Ok(offset) => {
            cases.tried((third..=half).contains(&offset), format!("after the cut {offset} of {half} bytes are there"));
            offset
        }
        Err(why) => {
            cases.tried(false, format!("after the cut the upload is not there to go on with: {why}"));
            return cases.sighting("");
        }
    };
    // A server that takes any piece has not kept count.
    match send(client, place, kept + 1, b"x").await {
        Ok(answer) => cases.tried(
            answer.status == StatusCode::CONFLICT,
            format!("a piece at the wrong place → {}", answer.status.as_u16()),
        ),
        Err(error) => cases.told_nothing(error.to_string()),
    }
    match send(client, place, kept, &content[kept.min(content.len())..]).await {
        Ok(answer) => cases.tried(answer.status.is_success(), format!("the rest → {}", answer.status.as_u16())),
        Err(error) => cases.told_nothing(error.to_string()),
    }
    cases.note("what reached the app of it was not seen: only that the upload went on from where it was cut");
    let (size, path) = (content.len(), place.rsplit_once('/').map_or(place, |(path, _)| path));
    cases.sighting(format!("{path}: {size} bytes, cut at {half}: {kept} were kept, and the rest was taken from there"))
}

/// Sends a piece. A server may still hold the upload for the piece that was cut (423 in the protocol): it is asked again.
async fn send(client: &Client, place: &str, offset: usize, content: &[u8]) -> Result<Answer, HttpError> {
    let mut tries = 0;
    loop {
        let answer = tus(client, Method::PATCH, place, &piece(offset as u64), full(content.to_vec())).await?;
        tries += 1;
        if answer.status != StatusCode::LOCKED || tries == 20 {
            return Ok(answer);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// A server of tus; `keeps`: what came of a piece that was cut.
fn keeping(keeps: bool) -> io::Result<Fixture> {
    type Uploads = Mutex<HashMap<String, (usize, usize)>>;
    let uploads: Arc<Uploads> = Arc::default();
    let answering: Answering = Arc::new(move |request| {
        let uploads = uploads.clone();
        Box::pin(async move {
            let number = |name: &str| request.headers().get(name)?.to_str().ok()?.parse::<usize>().ok();
            let (length, offset) = (number("upload-length"), number("upload-offset"));
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let lock = || uploads.lock().unwrap_or_else(PoisonError::into_inner);
            if method == Method::POST {
                lock().insert("/files/1".into(), (0, length.unwrap_or_default()));
                return reply(201, &[("location", "/files/1")], "");
            }
            let Some((there, length)) = lock().get(&path).copied() else { return reply(404, &[], "") };
            if method == Method::HEAD {
                return reply(200, &[("upload-offset", &there.to_string())], "");
            }
            if offset != Some(there) {
                return reply(409, &[], "");
            }
            let (mut body, mut now, mut whole) = (request.into_body(), there, true);
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(frame) => now += frame.data_ref().map_or(0, Bytes::len),
                    Err(_) => whole = false,
                }
            }
            if whole || keeps {
                lock().insert(path, (now.min(length), length));
            } else {
                lock().remove(&path);
            }
            reply(204, &[("upload-offset", &now.to_string())], "")
        })
    });
    let server = Server::start(answering, ServerOptions::default())?;
    let mut subject = Subject { url: Some(server.address.clone()), ..Subject::default() };
    let max = Some(100_000);
    subject.hints.upload = Some(ClaimedUpload { resumable: Some("/files".into()), max, ..ClaimedUpload::default() });
    Ok(Fixture { subject, _keep: vec![Box::new(server)] })
}
