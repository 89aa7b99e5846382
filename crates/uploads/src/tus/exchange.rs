//! One request to an upload, from the first header to the answer.

use std::{
    io,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use seaworthy_core::{Body, RequestContext, empty_body};
use tokio::task::spawn_blocking;

use super::{
    BUSY, METHOD, OFFSET, UNKNOWN, VERSION,
    append::Appending,
    completion,
    headers::{self, Checksum},
    layer::{Below, Place, Route},
    store::{Description, now_ms},
};
use crate::{
    layer::refuse,
    problems::{Refusal, TOO_LARGE, TYPE},
    receive,
};

/// A request, without the body.
pub(super) struct Exchange {
    pub route: Arc<Route>,
    pub method: Method,
    pub place: Place,
    /// The path of the route, with its query.
    pub target: String,
    pub headers: HeaderMap,
    pub context: Option<Arc<RequestContext>>,
}

impl Exchange {
    /// Answers.
    pub(super) async fn answer(self, mut body: Body, below: Below) -> Response<Body> {
        match self.dispatch(&mut body, below).await {
            Ok(answer) => dressed(answer),
            Err(refusal) => refused(&self.route, &refusal, body, self.context.as_deref()).await,
        }
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
        let Some(id) = &self.place.id else {
            if self.method != Method::POST {
                return Err(Refusal::new(METHOD, ""));
            }
            return self.create(body, below).await;
        };
        let description = self.find(id).await?;
        match self.method {
            Method::HEAD => self.look(description, below).await,
            Method::PATCH => {
                let _taken = self.route.joint().store.take(id).ok_or_else(|| Refusal::new(BUSY, ""))?;
                // Meanwhile it may have been completed.
                let mut description = self.find(id).await?;
                self.append(&mut description, body, below, StatusCode::NO_CONTENT).await
            }
            Method::GET => {
                let answer = description.answer.as_ref().map(completion::respond);
                answer.ok_or_else(|| Refusal::new(UNKNOWN, "It is not complete."))
            }
            Method::DELETE => {
                let _taken = self.route.joint().store.take(id).ok_or_else(|| Refusal::new(BUSY, ""))?;
                self.remove(id).await?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            _ => Err(Refusal::new(METHOD, "")),
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

    /// HEAD: how far it is.
    async fn look(&self, description: Description, below: Below) -> Result<Response<Body>, Refusal> {
        let taken = self.route.joint().store.take(&description.id);
        if taken.is_none() {
            let offset = self.known_offset(&description).await?;
            if offset < description.length {
                // Somebody sends: so much is there already.
                return Ok(self.progress(&description, StatusCode::OK, offset));
            }
            // On its way to the app, which may refuse it yet: "all is there" would be taken for a success.
        }
        let _taken = taken.ok_or_else(|| Refusal::new(BUSY, ""))?;
        // Meanwhile it may have been completed.
        let mut description = self.find(&description.id).await?;
        let offset = self.known_offset(&description).await?;
        if offset < description.length {
            return Ok(self.progress(&description, StatusCode::OK, offset));
        }
        // Clients take a complete upload for a success: so it is one only when the app has it.
        self.complete(&mut description, below, StatusCode::OK).await
    }

    /// PATCH, or a creation that brings bytes.
    pub(super) async fn append(
        &self,
        description: &mut Description,
        body: &mut Body,
        below: Below,
        done: StatusCode,
    ) -> Result<Response<Body>, Refusal> {
        let checksum = self.piece(body)?;
        let offset = self.known_offset(description).await?;
        let begins = headers::number(&self.headers, "upload-offset")?;
        if done == StatusCode::NO_CONTENT && begins != Some(offset) {
            return Err(Refusal::new(OFFSET, format!("There are {offset} bytes.")));
        }
        self.fits(body, description.length.saturating_sub(offset))?;
        let mut now = offset;
        if description.answer.is_none() && !http_body::Body::is_end_stream(body) {
            let (joint, id) = (self.route.joint().clone(), description.id.clone());
            let (opening, opened) = (joint.clone(), id.clone());
            let is_there = description.held_back;
            let open = move || if is_there { opening.store.scratch() } else { opening.store.open(&opened) };
            let file = Arc::new(blocking(open).await?);
            let idle = joint.settings.idle.0;
            now = Appending { joint, id, file, offset, length: description.length }.run(body, checksum, idle).await?;
        }
        if now < description.length {
            return Ok(self.progress(description, done, now));
        }
        self.complete(description, below, done).await
    }

    /// What the head says of a piece: that it is one, and what it comes to.
    pub(super) fn piece(&self, body: &Body) -> Result<Option<Checksum>, Refusal> {
        if http_body::Body::is_end_stream(body) {
            return Ok(None);
        }
        if !headers::is_piece(&self.headers) {
            return Err(Refusal::new(TYPE, "A piece is application/offset+octet-stream."));
        }
        Checksum::of(&self.headers)
    }

    /// What is announced to be too long need not be sent.
    pub(super) fn fits(&self, body: &Body, left: u64) -> Result<(), Refusal> {
        let longer = http_body::Body::size_hint(body).lower() > left;
        if longer { Err(Refusal::new(TOO_LARGE, "There are more bytes than Upload-Length says.")) } else { Ok(()) }
    }

    /// How far it is; also of one that is complete and whose bytes are gone.
    async fn known_offset(&self, description: &Description) -> Result<u64, Refusal> {
        if description.answer.is_some() {
            return Ok(description.length);
        }
        let (joint, id) = (self.route.joint().clone(), description.id.clone());
        blocking(move || joint.store.offset(&id)).await
    }

    pub(super) async fn remove(&self, id: &str) -> Result<(), Refusal> {
        let (joint, id) = (self.route.joint().clone(), id.to_owned());
        blocking(move || {
            joint.store.remove(&id);
            Ok(())
        })
        .await
    }

    pub(super) fn progress(&self, description: &Description, status: StatusCode, offset: u64) -> Response<Body> {
        let mut answer = empty(status);
        self.describe(answer.headers_mut(), description, offset);
        let left = Duration::from_millis(description.expires_ms.saturating_sub(now_ms()));
        let expires = httpdate::fmt_http_date(std::time::SystemTime::now() + left);
        if let Ok(expires) = HeaderValue::try_from(expires) {
            answer.headers_mut().insert("upload-expires", expires);
        }
        answer
    }

    /// What an answer says of the upload: how far it is; and to HEAD also how long it will be, and the client's own words.
    pub(super) fn describe(&self, headers: &mut HeaderMap, description: &Description, offset: u64) {
        headers.insert("upload-offset", HeaderValue::from(offset));
        if self.method == Method::HEAD {
            headers.insert("upload-length", HeaderValue::from(description.length));
            let field = description.metadata_field.as_deref().and_then(|field| HeaderValue::from_str(field).ok());
            if let Some(field) = field {
                headers.insert("upload-metadata", field);
            }
        }
    }

    /// The upload, when it is for this route and for whoever asks.
    async fn find(&self, id: &str) -> Result<Description, Refusal> {
        let (joint, id) = (self.route.joint().clone(), id.to_owned());
        let found = blocking(move || Ok(joint.store.find(&id))).await?;
        let path = |target: &str| target.split('?').next().unwrap_or_default().to_owned();
        let ours = found.filter(|one| one.owner == self.owner() && path(&one.target) == path(&self.target));
        ours.ok_or_else(|| Refusal::new(UNKNOWN, ""))
    }

    pub(super) fn owner(&self) -> Option<String> {
        let principal = self.context.as_ref()?.principal.get()?;
        Some(format!("{:032x}", principal.fingerprint()))
    }

    /// Whom an upload of nobody is counted for: an address, or the network of one (RFC 6177: a site has at least a /64).
    /// Behind loopback may stand a proxy with all clients there are.
    pub(super) fn client(&self) -> Option<String> {
        let client = self.context.as_ref()?.client?.to_canonical();
        if client.is_loopback() {
            return None;
        }
        Some(match client {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                format!("{}/64", Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)))
            }
        })
    }
}

/// A refusal of ours, to a body of which something may still come.
pub(super) async fn refused(
    route: &Route,
    refusal: &Refusal,
    mut body: Body,
    context: Option<&RequestContext>,
) -> Response<Body> {
    route.count(refusal.kind.code);
    receive::drain(&mut body).await;
    dressed(refuse(refusal, context))
}

/// The fields that every answer has.
fn dressed(mut answer: Response<Body>) -> Response<Body> {
    let status = answer.status();
    let headers = answer.headers_mut();
    headers.insert("tus-resumable", HeaderValue::from_static("1.0.0"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::PRECONDITION_FAILED {
        headers.insert("tus-version", HeaderValue::from_static("1.0.0"));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        // RFC 9110, 15.5.6; for the collection, and for an upload.
        headers.insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS, HEAD, PATCH, GET, DELETE"));
    }
    answer
}

pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(empty_body());
    *response.status_mut() = status;
    response
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    spawn_blocking(work).await.map_err(io::Error::other).flatten().map_err(|error| Refusal::storage(&error))
}
