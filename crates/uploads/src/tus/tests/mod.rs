//! Resumable uploads around an app that does what it is told.

mod endings;
mod protocol;

use std::{
    collections::VecDeque,
    convert::Infallible,
    fs,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use seaworthy_config::ByteSize;
use seaworthy_core::{Body, Delivery, RequestContext, RequestId, Shutdown, empty_body, full_body};
use serde_json::Value;
use tempfile::TempDir;
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    settings::{Deliver, Settings, UploadPolicy},
    uploads::Uploads,
};

/// What the app is to do with a request.
#[derive(Clone, Copy)]
enum Says {
    Status(u16),
    Redirect(u16, &'static str),
    /// Our own answer in its place: it got the request and nobody knows what it did.
    Unanswered,
    /// Nothing, ever.
    Never,
}

/// An app that takes uploads, or what it is told to do in its turn.
#[derive(Default)]
struct App {
    seen: Mutex<Vec<(HeaderMap, Vec<u8>)>>,
    says: Mutex<VecDeque<Says>>,
}

impl App {
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        self.seen.lock().unwrap().push((parts.headers, body));
        let says = self.says.lock().unwrap().pop_front().unwrap_or(Says::Status(201));
        let mut answer = Response::new(full_body("said by the app"));
        match says {
            Says::Status(status) => *answer.status_mut() = StatusCode::from_u16(status).unwrap(),
            Says::Redirect(status, location) => {
                *answer.status_mut() = StatusCode::from_u16(status).unwrap();
                answer.headers_mut().insert("location", location.parse().unwrap());
            }
            Says::Unanswered => {
                *answer.status_mut() = StatusCode::GATEWAY_TIMEOUT;
                answer.extensions_mut().insert(Delivery::Unanswered);
            }
            Says::Never => std::future::pending().await,
        }
        answer
    }

    fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// The last order of a file that it was told of: the path, and the key of the request.
    fn last_file(&self) -> (PathBuf, String) {
        let seen = self.seen.lock().unwrap();
        let (headers, body) = seen.last().unwrap();
        let told: Value = serde_json::from_slice(body).unwrap();
        (told["path"].as_str().unwrap().into(), headers["idempotency-key"].to_str().unwrap().into())
    }
}

struct Place {
    uploads: Uploads,
    policy: UploadPolicy,
    folder: TempDir,
    app: Arc<App>,
    tasks: Shutdown,
}

/// An answer, and all of its body.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn code(&self) -> String {
        let told: Value = serde_json::from_str(&self.body).unwrap_or_default();
        told["code"].as_str().unwrap_or_default().to_owned()
    }
}

const PIECE: (&str, &str) = ("content-type", "application/offset+octet-stream");
/// `a.txt`, and `note` with `hello`.
const METADATA: (&str, &str) = ("upload-metadata", "filename YS50eHQ=, note aGVsbG8=,empty");
/// What all but one test ask as.
const CLIENT: &str = "192.0.2.1";

impl Place {
    fn new(deliver: Deliver, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings { folder: folder.path().display().to_string(), ..Settings::default() };
        change(&mut settings);
        let scan = settings.clamd.is_some();
        let types = vec!["txt".to_owned()];
        let policy =
            UploadPolicy { max: ByteSize(1000), types, scan, resumable: true, deliver, ..UploadPolicy::default() };
        Self { uploads: Uploads::new(settings), policy, folder, app: Arc::default(), tasks: Shutdown::new() }
    }

    fn form() -> Self {
        Self::new(Deliver::Form, |_| ())
    }

    /// The same folder and app, as after a kill.
    fn again(self) -> Self {
        Self { uploads: Uploads::new(self.uploads.joint().settings.clone()), ..self }
    }

    async fn ask_as(
        &self,
        context: RequestContext,
        (method, path): (&str, &str),
        fields: &[(&str, &str)],
        body: Body,
    ) -> Answer {
        // As the routes have it, which know more spellings of a path than we do.
        let is_collection = ["/files/tus", "/files/tus/", "/files/%74us"].contains(&path);
        let name = if is_collection { "/files/tus" } else { "/files/tus/{upload}" };
        let app = self.app.clone();
        let below = service_fn(move |request: Request<Body>| {
            let app = app.clone();
            async move { Ok::<_, Infallible>(app.answer(request).await) }
        });
        let layer = self.uploads.resumable(name, Some(&self.policy), &self.tasks).unwrap();
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(Arc::new(context));
        let answer = layer.layer(below).oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        assert_eq!(parts.headers.get("tus-resumable").unwrap(), "1.0.0", "every answer has its version");
        assert_eq!(parts.headers.get("cache-control").unwrap(), "no-store", "no answer is cached");
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn ask(&self, line: (&str, &str), fields: &[(&str, &str)], body: &str) -> Answer {
        let fields = [&[("tus-resumable", "1.0.0")], fields].concat();
        let body = if body.is_empty() { empty_body() } else { full_body(body.to_owned()) };
        self.ask_as(from(CLIENT), line, &fields, body).await
    }

    async fn begin(&self, length: usize) -> String {
        let made = self.ask(("POST", "/files/tus"), &[("upload-length", &length.to_string()), METADATA], "").await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.field("location").unwrap().to_owned()
    }

    async fn patch(&self, place: &str, offset: usize, piece: &str) -> Answer {
        self.ask(("PATCH", place), &[PIECE, ("upload-offset", &offset.to_string())], piece).await
    }

    /// Names of all files of resumable uploads.
    fn files(&self) -> Vec<String> {
        let all = fs::read_dir(self.folder.path().join("tus")).into_iter().flatten();
        all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn from(address: &str) -> RequestContext {
    let mut context = RequestContext::new(RequestId::from_client(&"test".parse().unwrap()).unwrap());
    context.client = Some(address.parse::<IpAddr>().unwrap());
    context
}
