//! tus 1.0 by its sentences, and what is left behind when something ends in the middle.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fs,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use seaworthy_config::ByteSize;
use seaworthy_core::{
    Body, Delivery, Principal, PrincipalDetails, PrincipalKind, RequestContext, RequestId, Shutdown, empty_body,
    full_body,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    settings::{Deliver, Settings, UploadPolicy},
    uploads::Uploads,
};

/// What the app is to do with a request.
#[derive(Clone, Copy)]
enum Says {
    Status(u16),
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

#[tokio::test]
async fn the_core_of_tus_sentence_by_sentence() {
    let place = Place::form();
    let options = place.ask_as(from(CLIENT), ("OPTIONS", "/files/tus"), &[], empty_body()).await;
    assert_eq!((options.status, options.field("tus-version")), (204, Some("1.0.0")));
    assert_eq!(options.field("tus-max-size"), Some("1000"));
    assert_eq!(options.field("tus-checksum-algorithm"), Some("sha1,sha256"), "sha1 at least");
    assert_eq!(options.field("tus-extension"), Some("creation,creation-with-upload,expiration,checksum,termination"));
    for version in [&[][..], &[("tus-resumable", "0.2.2")]] {
        let fields = [version, &[("upload-length", "5"), METADATA]].concat();
        let refused = place.ask_as(from(CLIENT), ("POST", "/files/tus"), &fields, empty_body()).await;
        assert_eq!((refused.status, refused.field("tus-version")), (412, Some("1.0.0")));
    }
    assert!(place.files().is_empty(), "and nothing was done");

    let made = place.ask(("POST", "/files/tus"), &[("upload-length", "10"), METADATA], "").await;
    assert_eq!((made.status, made.field("upload-offset")), (201, Some("0")));
    assert!(made.field("upload-expires").unwrap().ends_with(" GMT"));
    let url = made.field("location").unwrap().to_owned();
    let head = place.ask(("HEAD", &url), &[], "").await;
    assert_eq!((head.status, head.field("upload-offset"), head.field("upload-length")), (200, Some("0"), Some("10")));
    assert_eq!(head.field("upload-metadata"), Some(METADATA.1), "as the client wrote it");

    let missing = place.ask(("PATCH", &url), &[PIECE], "01234").await;
    assert_eq!((missing.status, missing.code().as_str()), (409, "SEA_UPLOADS_TUS_OFFSET"));
    assert_eq!(place.patch(&url, 3, "01234").await.status, 409);
    let plain = place.ask(("PATCH", &url), &[("content-type", "text/plain"), ("upload-offset", "0")], "01234").await;
    assert_eq!(plain.status, 415);
    assert_eq!(place.patch(&url, 0, "01234567890").await.status, 413);
    let half = place.patch(&url, 0, "01234").await;
    assert_eq!((half.status, half.field("upload-offset"), half.body.as_str()), (204, Some("5"), ""));
    assert!(half.field("upload-expires").is_some());
    assert_eq!(place.ask(("PUT", &url), &[], "").await.status, 405);
    assert_eq!(place.ask(("GET", "/files/tus"), &[], "").await.status, 405);
    assert!(place.ask(("GET", "/files/tus"), &[], "").await.field("allow").is_some());

    let whole = place.patch(&url, 5, "56789").await;
    assert_eq!((whole.status, whole.field("upload-offset"), place.app.count()), (204, Some("10"), 1));
    let head = place.ask(("HEAD", &url), &[], "").await;
    assert_eq!((head.status, head.field("upload-offset"), head.field("upload-length")), (200, Some("10"), Some("10")));
    assert_eq!(head.field("upload-metadata"), Some(METADATA.1));
    assert_eq!(place.app.count(), 1, "the app has it once");
    let unknown = place.ask(("HEAD", "/files/tus/00000000000000000000000000000000"), &[], "").await;
    assert_eq!((unknown.status, unknown.field("upload-offset")), (404, None));
}

#[tokio::test]
async fn extensions_of_tus_sentence_by_sentence() {
    let place = Place::form();
    // Checksum: 400 for an algorithm that is not known, 460 for another sum, and the piece is thrown away.
    let url = place.begin(4).await;
    for (sum, status) in [("md5 CY9rzUYh03PK3k6DJie09g==", 400), ("sha1 ****", 400), ("sha1 AAAA", 460)] {
        let fields = [PIECE, ("upload-offset", "0"), ("upload-checksum", sum)];
        assert_eq!(place.ask(("PATCH", &url), &fields, "test").await.status, status, "{sum}");
        assert_eq!(place.ask(("HEAD", &url), &[], "").await.field("upload-offset"), Some("0"));
    }
    // A method that a client cannot send: whatever it sends is ignored (a MUST of the core).
    let fields = [PIECE, ("upload-offset", "0"), ("x-http-method-override", "PATCH")];
    let overridden = place.ask(("POST", &url), &fields, "te").await;
    assert_eq!((overridden.status, overridden.field("upload-offset")), (204, Some("2")));
    let head = place.ask(("GET", &url), &[("x-http-method-override", "HEAD")], "").await;
    assert_eq!((head.status, head.field("upload-offset")), (200, Some("2")));
    assert_eq!(place.ask(("POST", &url), &[("x-http-method-override", "BREW")], "").await.status, 400);
    // Termination: 204, and then 404 or 410; nothing is left.
    assert_eq!(place.ask(("POST", &url), &[("x-http-method-override", "DELETE")], "").await.status, 204);
    assert_eq!(place.ask(("HEAD", &url), &[], "").await.status, 404);
    assert_eq!(place.patch(&url, 2, "st").await.status, 404);
    assert!(place.files().is_empty());
    // Creation with upload, in part and whole.
    let fields = [PIECE, METADATA, ("upload-length", "4")];
    let part = place.ask(("POST", "/files/tus"), &fields, "te").await;
    assert_eq!((part.status, part.field("upload-offset")), (201, Some("2")));
    assert_eq!(place.patch(part.field("location").unwrap(), 2, "st").await.status, 204);
    let whole = place.ask(("POST", "/files/tus"), &fields, "test").await;
    assert_eq!((whole.status, whole.field("upload-offset"), place.app.count()), (201, Some("4"), 2));
    assert_eq!(place.ask(("GET", whole.field("location").unwrap()), &[], "").await.body, "said by the app");
    // What is not offered is said so.
    for field in [("upload-concat", "partial"), ("upload-defer-length", "1")] {
        let refused = place.ask(("POST", "/files/tus"), &[METADATA, ("upload-length", "4"), field], "").await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "SEA_UPLOADS_TUS_REQUEST"), "{field:?}");
    }
    let id = "00000000000000000000000000000000";
    for odd in ["/files/tus/tus", "/files/tus/x", "/files/%74us", &format!("/files/%74us/{id}")] {
        for method in ["POST", "HEAD", "PATCH", "OPTIONS"] {
            assert_eq!(place.ask((method, odd), &[("upload-length", "4"), METADATA], "").await.status, 404, "{odd}");
        }
    }
}

#[tokio::test]
async fn what_is_refused_at_its_creation_leaves_nothing() {
    let place = Place::form();
    let length = ("upload-length", "4");
    let refused: [(&[(&str, &str)], &str, u16); 8] = [
        (&[PIECE, METADATA, length], "tests", 413),
        (&[("content-type", "text/plain"), METADATA, length], "test", 415),
        (&[PIECE, METADATA, length, ("upload-checksum", "sha1 AAAA")], "test", 460),
        (&[PIECE, METADATA, length, ("upload-checksum", "md5 AAAA")], "test", 400),
        (&[PIECE, ("upload-metadata", "filename YS5leGU="), length], "test", 415),
        (&[PIECE, ("upload-metadata", "filename"), length], "test", 415),
        (&[PIECE, ("upload-metadata", "filename ***"), length], "test", 400),
        (&[PIECE, METADATA, length], "\u{1}\u{2}\u{3}\u{4}", 415),
    ];
    for (fields, body, status) in refused {
        let answer = place.ask(("POST", "/files/tus"), fields, body).await;
        assert_eq!((answer.status, answer.field("location")), (status, None), "{fields:?} {}", answer.body);
        assert_eq!(place.files(), [""; 0], "{fields:?}");
    }
    // One of unknown length that turns out to be too long, and one that breaks off.
    let pieces = |last: Result<&'static str, &'static str>| {
        let frames = [Ok("te"), last].map(|piece| piece.map(|piece| http_body::Frame::data(piece.into())));
        let frames = frames.map(|frame| frame.map_err(std::io::Error::other).map_err(Into::into));
        http_body_util::StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
    };
    for (body, status) in [(pieces(Ok("sting")), 413), (pieces(Err("cut")), 400)] {
        let fields = [("tus-resumable", "1.0.0"), PIECE, METADATA, length];
        assert_eq!(place.ask_as(from(CLIENT), ("POST", "/files/tus"), &fields, body).await.status, status);
        assert_eq!(place.files(), [""; 0]);
    }
    // The app refuses it, now or for good.
    for status in [422, 403, 500] {
        place.app.says.lock().unwrap().push_back(Says::Status(status));
        assert_eq!(place.ask(("POST", "/files/tus"), &[PIECE, METADATA, length], "test").await.status, status);
        assert_eq!(place.files(), [""; 0], "{status}");
    }
    let down = Place::new(Deliver::Form, |settings| settings.clamd = Some("tcp:127.0.0.1:1".into()));
    let answer = down.ask(("POST", "/files/tus"), &[PIECE, METADATA, length], "test").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "SEA_UPLOADS_SCANNER_DOWN"));
    assert_eq!(down.files(), [""; 0]);
    assert_eq!(down.begin(4).await.len(), "/files/tus/".len() + 32, "and its room is free again");
}

#[tokio::test]
async fn one_client_cannot_take_what_is_there_for_all() {
    let place = Place::new(Deliver::Form, |settings| {
        settings.resumable_each = 2;
        settings.resumable_room_each = ByteSize(10);
    });
    let begin = async |context: RequestContext, length: &str| {
        let fields = [("tus-resumable", "1.0.0"), ("upload-length", length), METADATA];
        let answer = place.ask_as(context, ("POST", "/files/tus"), &fields, empty_body()).await;
        (answer.status, answer.code())
    };
    let user = |id: &str| {
        let context = from(CLIENT);
        let (roles, scopes) = (Vec::new(), Vec::new());
        let details = PrincipalDetails { kind: PrincipalKind::User, id: id.into(), tenant: None, roles, scopes };
        context.principal.set(Principal::new(details)).unwrap();
        context
    };
    let too_many = (429, "SEA_UPLOADS_TUS_SHARE".to_owned());
    assert_eq!(begin(from(CLIENT), "1000").await.0, 201, "one of the largest always fits");
    assert_eq!(begin(from(CLIENT), "1").await, too_many, "and nothing more");
    assert_eq!(begin(user("ada"), "400").await.0, 201, "who is signed in is not counted by address");
    assert_eq!(begin(user("ada"), "400").await.0, 201);
    assert_eq!(begin(user("ada"), "1").await, too_many, "two are two");
    assert_eq!(begin(user("bob"), "1").await.0, 201);
    assert_eq!(begin(from("2001:db8::1"), "600").await.0, 201);
    assert_eq!(begin(from("2001:db8::ffff:2"), "600").await, too_many, "of the same network");
    assert_eq!(begin(from("2001:db8:0:1::1"), "600").await.0, 201);
}

#[tokio::test]
async fn what_the_app_may_yet_take_is_kept_and_what_it_refuses_is_not() {
    let place = Place::new(Deliver::Reference, |_| ());
    let url = place.begin(4).await;
    // The session has ended, or the app is not well: the same upload is offered again.
    place.app.says.lock().unwrap().extend([401, 403, 429, 500].map(Says::Status));
    assert_eq!(place.patch(&url, 0, "test").await.status, 401);
    for status in [403, 429, 500] {
        let (path, _) = place.app.last_file();
        assert!(!path.exists(), "what the app did not take is not its own");
        assert_eq!(place.ask(("HEAD", &url), &[], "").await.status, status);
    }
    let head = place.ask(("HEAD", &url), &[], "").await;
    assert_eq!((head.status, head.field("upload-offset"), place.app.count()), (200, Some("4"), 5));
    assert_eq!(fs::read(place.app.last_file().0).unwrap(), b"test");

    let refused = place.begin(4).await;
    place.app.says.lock().unwrap().push_back(Says::Status(422));
    assert_eq!(place.patch(&refused, 0, "test").await.status, 422);
    let (path, _) = place.app.last_file();
    assert!(!path.exists());
    assert_eq!(place.ask(("HEAD", &refused), &[], "").await.status, 422, "no client takes it for a success");
    assert_eq!(place.app.count(), 6, "and the app is not asked again");
}

#[tokio::test]
async fn a_file_that_the_app_may_have_taken_is_never_lost_or_deleted() {
    let place = Place::new(Deliver::Reference, |_| ());
    let url = place.begin(4).await;
    // Too late an answer: the app may have taken it.
    place.app.says.lock().unwrap().extend([Says::Unanswered, Says::Never]);
    assert_eq!(place.patch(&url, 0, "test").await.status, 504);
    let (path, key) = place.app.last_file();
    assert_eq!(fs::read(&path).unwrap(), b"test");
    // Killed while the app has it, before its answer or just behind it.
    let asking = async { place.ask(("HEAD", &url), &[], "").await.status };
    let seen = async {
        while place.app.count() < 2 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        status = asking => panic!("the app never answers, and the client hears {status}"),
        () = seen => {}
    }
    let place = place.again();
    let kept = place.uploads.clone();
    tokio::task::spawn_blocking(move || kept.joint().store.clean()).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"test");
    // Asked again, the app hears of the same file under the same key; it has moved it meanwhile.
    let moved = place.folder.path().join("moved.txt");
    fs::rename(&path, &moved).unwrap();
    assert_eq!(place.ask(("HEAD", &url), &[], "").await.status, 200);
    assert_eq!((place.app.last_file(), place.app.count()), ((path.clone(), key), 3));
    assert_eq!(place.ask(("DELETE", &url), &[], "").await.status, 204);
    assert!(path.exists() && fs::read(moved).unwrap() == b"test", "what the app took is its own");
    // Ended by the client while nobody knows: the same.
    let other = place.begin(4).await;
    place.app.says.lock().unwrap().push_back(Says::Unanswered);
    assert_eq!(place.patch(&other, 0, "test").await.status, 504);
    assert_eq!(place.ask(("DELETE", &other), &[], "").await.status, 204);
    assert_eq!(fs::read(place.app.last_file().0).unwrap(), b"test");
}
