//! One request to an upload, from the first header to the answer.

use std::{io, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::BodyExt;
use seaworthy_core::{Body, RequestContext, empty_body, full_body};
use tokio::task::spawn_blocking;

use super::{
    BUSY, METHOD, OFFSET, REQUEST, ROOM, UNKNOWN, VERSION,
    append::Appending,
    delivery,
    headers::{self, Checksum},
    layer::{Below, Route},
    store::{Answer, Description, now_ms},
};
use crate::{
    judge,
    layer::refuse,
    problems::{Refusal, STORAGE, TOO_LARGE, TYPE},
    receive,
};

/// Of an answer of the app, kept for clients that ask again.
const KEPT_ANSWER: usize = 256 << 10;

/// A request, without the body.
pub(super) struct Exchange {
    pub route: Arc<Route>,
    pub method: Method,
    /// The path of the route, with its query.
    pub target: String,
    /// The path of the collection.
    pub place: String,
    /// `None`: the collection itself.
    pub id: Option<String>,
    pub headers: HeaderMap,
    pub context: Option<Arc<RequestContext>>,
}

impl Exchange {
    /// Answers; the fields that every answer of tus has are added here.
    pub(super) async fn answer(self, mut body: Body, below: Below) -> Response<Body> {
        let mut answer = match self.dispatch(&mut body, below).await {
            Ok(answer) => answer,
            Err(refusal) => {
                self.route.count(refusal.kind.code);
                receive::drain(&mut body).await;
                refuse(&refusal, self.context.as_deref())
            }
        };
        let headers = answer.headers_mut();
        headers.insert("tus-resumable", HeaderValue::from_static("1.0.0"));
        if answer.status() == StatusCode::PRECONDITION_FAILED {
            answer.headers_mut().insert("tus-version", HeaderValue::from_static("1.0.0"));
        }
        answer
    }

    async fn dispatch(&self, body: &mut Body, below: Below) -> Result<Response<Body>, Refusal> {
        if self.method == Method::OPTIONS {
            return Ok(self.abilities());
        }
        // GET is not of tus: whoever asks what became of an upload may be a browser.
        let speaks = self.headers.get("tus-resumable").is_some_and(|version| version == "1.0.0");
        if !speaks && self.method != Method::GET {
            return Err(Refusal::new(VERSION, ""));
        }
        let Some(id) = &self.id else {
            if self.method != Method::POST {
                return Err(Refusal::new(METHOD, ""));
            }
            return self.create(body, below).await;
        };
        let description = self.find(id).await?;
        if self.method == Method::GET {
            return description
                .answer
                .as_ref()
                .map(respond)
                .ok_or_else(|| Refusal::new(UNKNOWN, "It is not complete."));
        }
        if ![Method::HEAD, Method::PATCH, Method::DELETE].contains(&self.method) {
            return Err(Refusal::new(METHOD, ""));
        }
        let store = &self.route.joint().store;
        let taken = store.take(id);
        if self.method == Method::HEAD && taken.is_none() {
            let offset = self.known_offset(&description).await?;
            if offset < description.length {
                // Somebody sends: so much is there already.
                return self.progress(&description, StatusCode::OK, offset);
            }
            // On its way to the app, which may refuse it yet: "all is there" would be taken for a success.
        }
        let _taken = taken.ok_or_else(|| Refusal::new(BUSY, ""))?;
        // Meanwhile it may have been completed.
        let mut description = self.find(id).await?;
        match self.method {
            Method::DELETE => {
                let (joint, id) = (self.route.joint().clone(), id.clone());
                blocking(move || {
                    joint.store.remove(&id);
                    Ok(())
                })
                .await?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            Method::HEAD => {
                let offset = self.known_offset(&description).await?;
                if offset < description.length {
                    return self.progress(&description, StatusCode::OK, offset);
                }
                // Clients take a complete upload for a success: so it is one only when the app has it.
                self.complete(&mut description, below, StatusCode::OK).await
            }
            _ => self.append(&mut description, body, below, StatusCode::NO_CONTENT).await,
        }
    }

    fn abilities(&self) -> Response<Body> {
        let mut answer = empty(StatusCode::NO_CONTENT);
        let headers = answer.headers_mut();
        headers.insert("tus-version", HeaderValue::from_static("1.0.0"));
        let extensions = "creation,creation-with-upload,expiration,checksum,termination";
        headers.insert("tus-extension", HeaderValue::from_static(extensions));
        headers.insert("tus-max-size", HeaderValue::from(self.route.policy().max.0));
        headers.insert("tus-checksum-algorithm", HeaderValue::from_static("sha1,sha256"));
        answer
    }

    async fn create(&self, body: &mut Body, below: Below) -> Result<Response<Body>, Refusal> {
        let Some(length) = headers::number(&self.headers, "upload-length")? else {
            return Err(Refusal::new(REQUEST, "Upload-Length is missing."));
        };
        let policy = self.route.policy();
        if length > policy.max.0 {
            return Err(Refusal::new(TOO_LARGE, format!("A file may have {} bytes.", policy.max.0)));
        }
        let mut description = Description {
            id: String::new(),
            target: self.target.clone(),
            length,
            metadata: headers::metadata(&self.headers)?,
            owner: self.owner(),
            expires_ms: 0,
            answer: None,
        };
        // What will be refused in the end need not be sent first.
        judge::by_claim(description.claim(), policy)?;
        let joint = self.route.joint().clone();
        let (lifetime, room) = (joint.settings.resumable_for.0, joint.settings.resumable_room.0);
        let made = blocking(move || joint.store.create(description, lifetime, room)).await?;
        description = made.ok_or_else(|| Refusal::new(ROOM, ""))?;
        let _taken = self.route.joint().store.take(&description.id);
        let mut answer = if length == 0 || !http_body::Body::is_end_stream(body) {
            self.append(&mut description, body, below, StatusCode::CREATED).await?
        } else {
            self.progress(&description, StatusCode::CREATED, 0)?
        };
        if let Ok(location) = HeaderValue::try_from(format!("{}/{}", self.place, description.id)) {
            answer.headers_mut().insert(header::LOCATION, location);
        }
        Ok(answer)
    }

    async fn append(
        &self,
        description: &mut Description,
        body: &mut Body,
        below: Below,
        done: StatusCode,
    ) -> Result<Response<Body>, Refusal> {
        let has_body = !http_body::Body::is_end_stream(body);
        let kind = self.headers.get(header::CONTENT_TYPE);
        if has_body && kind.is_none_or(|kind| kind != "application/offset+octet-stream") {
            return Err(Refusal::new(TYPE, "A piece is application/offset+octet-stream."));
        }
        let begins = headers::number(&self.headers, "upload-offset")?;
        let offset = self.known_offset(description).await?;
        if done == StatusCode::NO_CONTENT && begins != Some(offset) {
            return Err(Refusal::new(OFFSET, format!("There are {offset} bytes.")));
        }
        let mut now = offset;
        if description.answer.is_none() && has_body {
            let checksum = Checksum::of(&self.headers)?;
            let (joint, id) = (self.route.joint().clone(), description.id.clone());
            let (opening, opened) = (joint.clone(), id.clone());
            let file = Arc::new(blocking(move || opening.store.open(&opened)).await?);
            let idle = joint.settings.idle.0;
            now = Appending { joint, id, file, offset, length: description.length }.run(body, checksum, idle).await?;
        }
        if now < description.length {
            return self.progress(description, done, now);
        }
        self.complete(description, below, done).await
    }

    /// Gives a complete upload to the app, once, and tells what it said.
    async fn complete(
        &self,
        description: &mut Description,
        below: Below,
        done: StatusCode,
    ) -> Result<Response<Body>, Refusal> {
        if description.answer.is_none() {
            let (answer, result) = match self.deliver(description, below).await {
                Ok(answer) if answer.status < 400 => (answer, "accepted"),
                Ok(answer) => (answer, "refused_by_app"),
                // What may be otherwise in a minute is no end.
                Err(refusal) if refusal.kind.status.is_server_error() => return Err(refusal),
                Err(refusal) => (self.final_refusal(&refusal).await, refusal.kind.code),
            };
            let retry = answer.status >= 500 || matches!(answer.status, 401 | 403 | 407 | 408 | 423 | 425 | 429);
            if retry {
                tracing::warn!(
                    id = description.id,
                    status = answer.status,
                    "the app did not take a complete upload; it is kept, and offered again when the client asks"
                );
                return Ok(respond(&answer));
            }
            self.route.count(result);
            description.answer = Some(answer);
            let (joint, finished) = (self.route.joint().clone(), description.clone());
            blocking(move || {
                if finished.answer.as_ref().is_some_and(|answer| answer.status >= 400) {
                    joint.store.take_back(&finished.id);
                }
                joint.store.finish(&finished)
            })
            .await?;
        }
        let Some(answer) = &description.answer else { return Err(Refusal::new(STORAGE, "")) };
        let wants = self.headers.get("prefer").is_some_and(|value| value == "return=representation");
        if answer.status >= 400 || wants {
            let mut told = respond(answer);
            told.headers_mut().insert("upload-offset", HeaderValue::from(description.length));
            return Ok(told);
        }
        // tus has 204 for a piece, and clients insist on it; what the app said is to be had with GET.
        let mut told = self.progress(description, done, description.length)?;
        if let Ok(place) = HeaderValue::try_from(format!("{}/{}", self.place, description.id)) {
            told.headers_mut().insert(header::CONTENT_LOCATION, place);
        }
        Ok(told)
    }

    async fn deliver(&self, description: &Description, below: Below) -> Result<Answer, Refusal> {
        let joint = self.route.joint().clone();
        let place = joint.place().await?;
        let (route, context, described) = (self.route.clone(), self.context.clone(), description.clone());
        let wrapping = joint.clone();
        let wrapped = spawn_blocking(move || {
            let _place = place;
            delivery::wrap(&wrapping, route.policy(), route.name(), context.as_deref(), &described)
        });
        let parcel = wrapped.await.map_err(|error| Refusal::storage(&io::Error::other(error)))?;
        let request = parcel?.request(&description.target, &self.headers, self.context.clone());
        let mut request = request.ok_or_else(|| Refusal::new(REQUEST, "The address is none."))?;
        // Should we be killed between the app's answer and our note of it, the app can tell that it is the same one.
        if let Ok(key) = HeaderValue::try_from(format!("\"{}\"", description.id)) {
            request.headers_mut().insert("idempotency-key", key);
        }
        let Ok(answer) = below(request).await;
        Ok(kept(answer).await)
    }

    async fn final_refusal(&self, refusal: &Refusal) -> Answer {
        kept(refuse(refusal, self.context.as_deref())).await
    }

    /// How far it is; also of one that is complete and whose bytes are gone.
    async fn known_offset(&self, description: &Description) -> Result<u64, Refusal> {
        if description.answer.is_some() { Ok(description.length) } else { self.offset(&description.id).await }
    }

    async fn offset(&self, id: &str) -> Result<u64, Refusal> {
        let (joint, id) = (self.route.joint().clone(), id.to_owned());
        blocking(move || joint.store.offset(&id)).await
    }

    fn progress(&self, description: &Description, status: StatusCode, offset: u64) -> Result<Response<Body>, Refusal> {
        let mut answer = empty(status);
        let headers = answer.headers_mut();
        headers.insert("upload-offset", HeaderValue::from(offset));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.method == Method::HEAD {
            headers.insert("upload-length", HeaderValue::from(description.length));
        }
        let left = Duration::from_millis(description.expires_ms.saturating_sub(now_ms()));
        let expires = httpdate::fmt_http_date(std::time::SystemTime::now() + left);
        if let Ok(expires) = HeaderValue::try_from(expires) {
            headers.insert("upload-expires", expires);
        }
        Ok(answer)
    }

    /// The upload, when it is for this route and for whoever asks.
    async fn find(&self, id: &str) -> Result<Description, Refusal> {
        let (joint, id) = (self.route.joint().clone(), id.to_owned());
        let found = blocking(move || Ok(joint.store.find(&id))).await?;
        let path = |target: &str| target.split('?').next().unwrap_or_default().to_owned();
        let ours = found.filter(|one| one.owner == self.owner() && path(&one.target) == path(&self.target));
        ours.ok_or_else(|| Refusal::new(UNKNOWN, ""))
    }

    fn owner(&self) -> Option<String> {
        let principal = self.context.as_ref()?.principal.get()?;
        Some(format!("{:032x}", principal.fingerprint()))
    }
}

async fn kept(answer: Response<Body>) -> Answer {
    let (parts, mut body) = answer.into_parts();
    let text =
        |name: header::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (content_type, location) = (text(header::CONTENT_TYPE), text(header::LOCATION));
    let mut kept = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        kept.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if kept.len() > KEPT_ANSWER {
            // An answer that is too long to be kept is told without its body.
            kept.clear();
            break;
        }
    }
    Answer { status: parts.status.as_u16(), content_type, location, body: String::from_utf8_lossy(&kept).into_owned() }
}

fn respond(answer: &Answer) -> Response<Body> {
    let mut response = Response::new(full_body(answer.body.clone()));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let fields = [(header::CONTENT_TYPE, &answer.content_type), (header::LOCATION, &answer.location)];
    for (name, value) in fields {
        if let Some(value) = value.as_ref().and_then(|value| HeaderValue::from_str(value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(empty_body());
    *response.status_mut() = status;
    response
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, Refusal> {
    spawn_blocking(work).await.map_err(io::Error::other).flatten().map_err(|error| Refusal::storage(&error))
}
