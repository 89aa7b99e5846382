//! The layer of a route that takes files: the body is received whole, looked at, and sent on as it was.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, header, request::Parts};
use http_body::Body as HttpBody;
use seaworthy_core::{Body, RequestContext, empty_body};
use tokio::task::spawn_blocking;
use tower::{Layer, Service};

use crate::{
    judge::{self, Claim},
    multipart::{self, Framing, Limits, Parser},
    problems::{NAME, Refusal, TOO_LARGE, TYPE, malformed},
    receive,
    screening::Screening,
    segments::{self, Segment, Slice},
    settings::UploadPolicy,
    uploads::Uploads,
};

/// The layer.
#[derive(Debug, Clone)]
pub struct Upload(Arc<Route>);

/// The service of [`Upload`].
#[derive(Debug, Clone)]
pub struct UploadService<S> {
    inner: S,
    route: Arc<Route>,
}

/// A route that takes files.
#[derive(Debug)]
pub(crate) struct Route {
    pub name: String,
    pub policy: UploadPolicy,
    pub uploads: Uploads,
}

impl Upload {
    pub(crate) fn new(route: &str, policy: &UploadPolicy, uploads: &Uploads) -> Self {
        Self(Arc::new(Route { name: route.to_owned(), policy: policy.clone(), uploads: uploads.clone() }))
    }
}

impl<S> Layer<S> for Upload {
    type Service = UploadService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        UploadService { inner, route: self.0.clone() }
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;
/// What is below, for one request.
type Below = Box<dyn FnOnce(Request<Body>) -> Answering + Send>;

impl<S> Service<Request<Body>> for UploadService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Answering>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.body().is_end_stream() {
            // No body, no file.
            return Either::Left(self.inner.call(request));
        }
        // The clone has not been asked whether it is ready; the one that was does the call.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let below: Below = Box::new(move |request| Box::pin(inner.call(request)));
        let route = self.route.clone();
        Either::Right(Box::pin(async move { Ok(route.answer(request, below).await) }))
    }
}

impl Route {
    async fn answer(&self, request: Request<Body>, below: Below) -> Response<Body> {
        let context = request.extensions().get::<Arc<RequestContext>>().cloned();
        let (mut parts, mut body) = request.into_parts();
        // A client that waits for `100 Continue` has sent nothing, and is spared from sending it.
        let unsent = parts.headers.contains_key(header::EXPECT);
        let mut begun = false;
        match self.take(&parts, &mut body, context.clone(), &mut begun).await {
            Ok(segments) => {
                self.count("accepted");
                let length = segments::length(&segments);
                parts.headers.remove(header::TRANSFER_ENCODING);
                parts.headers.remove(header::EXPECT);
                parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
                let request = Request::from_parts(parts, segments::body(segments));
                let Ok(answer) = below(request).await;
                answer
            }
            Err(refusal) => {
                self.count(refusal.kind.code);
                if begun || !unsent {
                    receive::drain(&mut body).await;
                }
                refuse(&refusal, context.as_deref())
            }
        }
    }

    /// Receives and judges; what goes on to the app.
    async fn take(
        &self,
        parts: &Parts,
        body: &mut Body,
        context: Option<Arc<RequestContext>>,
        begun: &mut bool,
    ) -> Result<Vec<Segment>, Refusal> {
        let framing = self.before(&parts.headers, &parts.uri, body)?;
        let joint = self.uploads.joint().clone();
        let file = receive::nameless(joint.folder.clone()).await?;
        *begun = true;
        let mut parser = match &framing {
            Framing::Form(boundary) => Some(Parser::new(boundary, self.limits())),
            Framing::Raw(_) => None,
        };
        let length = receive::receive(body, &file, joint.settings.idle.0, |piece, seen| match &mut parser {
            Some(parser) => parser.push(piece),
            None => self.fits(seen),
        });
        let length = length.await?;
        let form = parser.map(Parser::finish).transpose()?;
        let place = joint.place(&self.name).await?;
        let (policy, route) = (self.policy.clone(), self.name.clone());
        let name = name_of(&parts.uri).map(str::to_owned);
        let judged = spawn_blocking({
            let joint = joint.clone();
            move || {
                let _place = place;
                let screening =
                    Screening { joint: &joint, policy: &policy, route: &route, context: context.as_deref() };
                match (form, framing) {
                    (Some(parts), _) => screening.form(&file, length, &parts),
                    (None, Framing::Raw(declared)) => {
                        let claim = Claim { name: name.as_deref(), declared: declared.as_deref() };
                        screening.raw(claim, &Slice::new(&file, 0..length))?;
                        Ok(vec![Segment::File(file, 0..length)])
                    }
                    (None, Framing::Form(_)) => malformed("There is no form."),
                }
            }
        });
        let judged = judged.await.map_err(|error| Refusal::storage(&std::io::Error::other(error)));
        judged?
    }

    /// What the head of the request says already.
    fn before(&self, headers: &HeaderMap, uri: &Uri, body: &Body) -> Result<Framing, Refusal> {
        if headers.contains_key(header::CONTENT_ENCODING) {
            return Err(Refusal::new(TYPE, "The body is encoded (Content-Encoding): send it as it is."));
        }
        let framing = multipart::framing(headers)?;
        let announced = body.size_hint().lower();
        match &framing {
            Framing::Form(_) if announced > self.uploads.largest_body(&self.policy) => Err(self.too_large()),
            Framing::Form(_) => Ok(framing),
            Framing::Raw(declared) => {
                let claim = Claim { name: name_of(uri), declared: declared.as_deref() };
                let (_, renamed) = judge::by_claim(claim, &self.policy)?;
                if renamed.is_some() {
                    return Err(Refusal::new(NAME, "The name of a file is refused."));
                }
                self.fits(announced)?;
                Ok(framing)
            }
        }
    }

    fn fits(&self, length: u64) -> Result<(), Refusal> {
        if length > self.policy.max.0 { Err(self.too_large()) } else { Ok(()) }
    }

    fn too_large(&self) -> Refusal {
        let (max, total) = (self.policy.max.0, self.policy.total());
        Refusal::new(TOO_LARGE, format!("A file may have {max} bytes, and all files of a request {total}."))
    }

    pub(crate) fn limits(&self) -> Limits {
        let settings = &self.uploads.joint().settings;
        Limits {
            file: self.policy.max.0,
            total: self.policy.total(),
            files: self.policy.files,
            fields: settings.fields.0,
            parts: settings.parts,
        }
    }

    pub(crate) fn count(&self, result: &'static str) {
        metrics::counter!("seaworthy_uploads_total", "route" => self.name.clone(), "result" => result).increment(1);
    }
}

/// The last segment of the path, when it looks like the name of a file.
fn name_of(uri: &Uri) -> Option<&str> {
    uri.path().rsplit('/').next().filter(|name| name.contains('.'))
}

/// The answer to a body that is not read to its end: the connection cannot carry another request (RFC 9112, 9.3).
pub(crate) fn refuse(refusal: &Refusal, context: Option<&RequestContext>) -> Response<Body> {
    let mut response = match context {
        Some(context) => refusal.problem().into_response(context),
        // Only reachable outside the edge, which always adds the context.
        None => {
            let mut response = Response::new(empty_body());
            *response.status_mut() = refusal.kind.status;
            response
        }
    };
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seaworthy_config::ByteSize;
    use seaworthy_core::full_body;
    use tokio::time::sleep;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::{scanner::tests::slow_scanner, settings::Settings};

    #[tokio::test]
    async fn a_place_is_held_until_the_scan_ends_whoever_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (address, go) = slow_scanner();
        let settings = Settings {
            folder: folder.path().display().to_string(),
            clamd: Some(address),
            scan_max: ByteSize(100_000),
            ..Settings::default()
        };
        let uploads = Uploads::new(settings);
        let policy = UploadPolicy { types: vec!["txt".into()], scan: true, ..UploadPolicy::default() };
        let layer = uploads.layer("/files", Some(&policy)).unwrap();
        let app = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(empty_body())));
        let request = Request::put("/files/a.txt").header("content-type", "text/plain");
        let asking = Box::pin(layer.layer(app).oneshot(request.body(full_body("slow")).unwrap()));
        let places = uploads.joint().judging.clone();
        let looked_at = async {
            while places.held("/files") == 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        // The client hangs up while its file is looked at.
        tokio::select! {
            _ = asking => panic!("the scanner has not answered"),
            () = looked_at => {}
        }
        sleep(Duration::from_millis(100)).await;
        assert_eq!(places.held("/files"), 1, "the scan goes on");
        go.send(()).unwrap();
        while places.held("/files") > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    }
}
