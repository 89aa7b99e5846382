//! What is left behind when something ends in the middle, and who may begin how much.

use std::{fs, time::Duration};

use http_body_util::BodyExt;
use seaworthy_config::ByteSize;
use seaworthy_core::{Principal, PrincipalDetails, PrincipalKind, RequestContext, empty_body};
use tokio::time::sleep;

use super::{CLIENT, METADATA, PIECE, Place, Says, from};
use crate::settings::Deliver;

type Fields<'a> = &'a [(&'a str, &'a str)];

#[tokio::test]
async fn what_is_refused_at_its_creation_leaves_nothing() {
    let place = Place::form();
    let length = ("upload-length", "4");
    let refused: [(Fields<'_>, &str, u16); 8] = [
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
    // The app refuses it for good, or has not taken one of which nothing can be sent again.
    for (length, body, status) in [("4", "test", 422), ("0", "", 500)] {
        place.app.says.lock().unwrap().push_back(Says::Status(status));
        let fields = [PIECE, METADATA, ("upload-length", length)];
        assert_eq!(place.ask(("POST", "/files/tus"), &fields, body).await.status, status);
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

#[tokio::test]
async fn a_redirect_is_no_receipt() {
    let place = Place::new(Deliver::Reference, |_| ());
    let url = place.begin(4).await;
    let says =
        [(308, "/api/videos/?key=1"), (302, "/login?next=/files"), (303, "/users/sign_in"), (307, "/x"), (301, "/x")];
    place.app.says.lock().unwrap().extend(says.map(|(status, location)| Says::Redirect(status, location)));
    let moved = place.patch(&url, 0, "test").await;
    assert_eq!((moved.status, moved.code().as_str()), (502, "SEA_UPLOADS_TUS_MOVED"));
    assert!(moved.body.contains("means: /api/videos/\"") && moved.field("location").is_none(), "{}", moved.body);
    for (status, code) in [(401, "SIGN_IN"), (401, "SIGN_IN"), (502, "MOVED"), (502, "MOVED")] {
        let (path, _) = place.app.last_file();
        assert!(!path.exists(), "what the app has not looked at is not its own");
        let asked = place.patch(&url, 4, "").await;
        assert_eq!((asked.status, asked.code()), (status, format!("SEA_UPLOADS_TUS_{code}")));
    }
    // Post, redirect, get.
    place.app.says.lock().unwrap().push_back(Says::Redirect(303, "/videos/7"));
    assert_eq!(place.ask(("HEAD", &url), &[], "").await.status, 200);
    assert_eq!((fs::read(place.app.last_file().0).unwrap(), place.app.count()), (b"test".to_vec(), 6));
    let kept = place.ask(("GET", &url), &[], "").await;
    assert_eq!((kept.status, kept.field("location")), (303, Some("/videos/7")));
}

#[tokio::test]
async fn a_creation_that_the_app_may_yet_take_is_gone_on_with_under_its_key() {
    let fields = [PIECE, METADATA, ("upload-length", "4")];
    for says in
        [Says::Unanswered, Says::Status(401), Says::Status(429), Says::Status(500), Says::Redirect(302, "/login")]
    {
        let place = Place::new(Deliver::Reference, |_| ());
        place.app.says.lock().unwrap().extend([says, says]);
        let made = place.ask(("POST", "/files/tus"), &fields, "test").await;
        // Not all of it: clients would take that for a success.
        assert_eq!((made.status, made.field("upload-offset")), (201, Some("3")), "{}", made.body);
        let (url, (path, key)) = (made.field("location").unwrap().to_owned(), place.app.last_file());
        // Also when we are killed meanwhile.
        let place = place.again();
        let head = place.ask(("HEAD", &url), &[], "").await;
        assert_eq!((head.status, head.field("upload-offset"), place.app.count()), (200, Some("3"), 1));
        // What is sent in its place is not in the file, which may be the app's.
        assert!(place.patch(&url, 3, "?").await.status >= 400, "this time it is told");
        assert_eq!(place.app.last_file(), (path.clone(), key.clone()));
        assert_eq!(place.ask(("HEAD", &url), &[], "").await.field("upload-offset"), Some("4"));
        assert_eq!(
            (place.app.last_file(), place.app.count()),
            ((path.clone(), key), 3),
            "the same one, until it is taken"
        );
        assert_eq!(fs::read(path).unwrap(), b"test");
    }
}
