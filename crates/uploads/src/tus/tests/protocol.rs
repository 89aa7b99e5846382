//! tus 1.0, sentence by sentence: the core, and the extensions that are announced.

use seaworthy_core::empty_body;

use super::{CLIENT, METADATA, PIECE, Place, from};

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
