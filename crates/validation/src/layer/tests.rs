//! The layer around a small app, from a document in YAML.

use http::StatusCode;
use http_body_util::BodyExt;
use seaworthy_core::{RequestId, full_body};

use super::*;
use crate::{settings::DocumentPlace, validation::Prepared};

const DOCUMENT: &str = r##"
openapi: 3.1.0
servers: [{ url: "https://api.example.test/v1" }]
paths:
  /items:
    post:
      parameters: [{ name: X-Key, in: header, schema: { type: integer } }]
      requestBody:
        required: true
        content:
          application/json: { schema: { $ref: "#/components/schemas/Item" } }
          application/x-www-form-urlencoded: { schema: { $ref: "#/components/schemas/Item" } }
          multipart/form-data: {}
          application/*: { schema: { type: object, maxProperties: 2, properties: { n: { type: integer } } } }
    get:
      parameters:
        - { name: limit, in: query, schema: { type: integer, maximum: 9 } }
        - { name: ids, in: query, explode: false, schema: { type: array, items: { type: integer } } }
        - { name: tag, in: query, schema: { type: array, items: { type: string }, maxItems: 2 } }
        - { name: f, in: query, style: deepObject, schema: { type: object, required: [a], additionalProperties: false, properties: { a: { type: boolean } } } }
        - { name: q, in: query, content: { application/json: { schema: { type: object } } } }
        - { name: c, in: cookie, required: true, schema: { type: string, enum: [x] } }
  /versions:
    post:
      requestBody:
        content:
          application/json;version=1: { schema: { type: object, required: [a] } }
          application/json;version=2: { schema: { type: object, required: [b] } }
  /anything:
    post: { requestBody: { content: { "*/*": { schema: { type: object, required: [n], properties: { n: { type: integer } } } } } } }
  /patterns:
    post:
      requestBody:
        content: { application/json: { schema: { type: array, items: { type: string, pattern: "^(a|b|ab)*c(?!x)" } } } }
  /places/{m}/{l}/{s}:
    get:
      parameters:
        - { name: m, in: path, required: true, style: matrix, explode: true, schema: { type: array, items: { type: integer }, maxItems: 2 } }
        - { name: l, in: path, required: true, style: label, schema: { type: integer } }
        - { name: s, in: path, required: true, schema: { type: object, additionalProperties: false, properties: { R: { type: integer } } } }
        - { name: k, in: cookie, schema: { type: array, items: { type: integer } } }
        - { name: deep, in: query, style: deepObject, required: true, schema: { type: object, required: [o], properties: { o: { type: object } } } }
        - { name: empty, in: query, allowEmptyValue: true, schema: { type: integer } }
        - { name: _method, in: query, schema: { type: string } }
components:
  schemas:
    Item: { type: object, required: [n], properties: { n: { type: integer, minimum: 0 }, p: { type: string } } }
"##;

fn settings(folder: &std::path::Path) -> Settings {
    let file = folder.join("openapi.yaml");
    std::fs::write(&file, DOCUMENT).unwrap();
    let settings = Settings { openapi: Some(format!("file:{}", file.display())), ..Settings::default() };
    assert!(matches!(settings.place(), Some(DocumentPlace::File(_))));
    settings
}

struct Tried {
    validation: Validation,
    settings: Settings,
    route: RoutePolicy,
    seen: Option<SeenByApp>,
}

impl Tried {
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = std::env::temp_dir().join(format!("seaworthy-validation-{:x}", fastrand::u64(..)));
        std::fs::create_dir(&folder).unwrap();
        let mut settings = settings(&folder);
        change(&mut settings);
        let validation = Validation::default();
        validation.replace(Prepared::read(&settings).unwrap());
        std::fs::remove_dir_all(folder).unwrap();
        Self { validation, settings, route: RoutePolicy::default(), seen: None }
    }

    /// Status, and the problem or what the app got.
    async fn send(&self, request: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Value) {
        let (method, target) = request.split_once(' ').unwrap();
        let mut made =
            Request::new(if body.is_empty() { seaworthy_core::empty_body() } else { full_body(body.to_vec()) });
        *made.method_mut() = method.parse().unwrap();
        *made.uri_mut() = target.parse().unwrap();
        for (name, value) in headers {
            made.headers_mut().append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let id = RequestId::from_client(&HeaderValue::from_static("r")).unwrap();
        made.extensions_mut().insert(Arc::new(RequestContext::new(id)));
        let app = tower::service_fn(|request: Request<Body>| async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Ok::<_, Infallible>(Response::new(full_body(serde_json::to_vec(&String::from_utf8_lossy(&body)).unwrap())))
        });
        let layer = Validate::layer(&self.settings, &self.route, &self.validation, self.seen.clone()).unwrap();
        let response = layer.layer(app).oneshot(made).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn post(&self, kind: &str, body: &str) -> (u16, Value) {
        self.send("POST /v1/items", &[("content-type", kind)], body.as_bytes()).await
    }
}

#[tokio::test]
async fn a_body_passes_as_it_came_or_is_refused_by_name() {
    let tried = Tried::new(|_| {});
    let odd = "{ \"n\" : 1e0,\n\"p\":\"\\u00fc\" }";
    assert_eq!(tried.post("application/json; charset=utf-8", odd).await, (200, odd.into()));
    let (status, told) = tried.post("application/json", "{\"n\":-7,\"p\":12345}").await;
    assert_eq!((status, &told["code"]), (422, &"SEA_PROTECTION_INVALID_REQUEST".into()));
    assert_eq!(told["errors"][0]["pointer"], "/n");
    assert!(told["detail"].as_str().unwrap().contains("body /p must be a text"));
    assert!(!told.to_string().contains("12345"));
    for wrong in ["", "{", "{\"n\":1,\"n\":1}", "[]", "{\"n\":1}x"] {
        assert_eq!(tried.post("application/json", wrong).await.0, 422, "{wrong}");
    }
    assert_eq!(tried.post("application/merge-patch+json", "{\"n\":1}").await.0, 200);
    assert_eq!(tried.post("application/x-www-form-urlencoded", "n=5&p=7").await.0, 200);
    assert_eq!(tried.post("application/x-www-form-urlencoded", "n=five").await.1["errors"][0]["pointer"], "/n");
    for twisted in ["n=5&n=6", "n=5&p[a]=1"] {
        assert_eq!(tried.post("application/x-www-form-urlencoded", twisted).await.0, 422, "{twisted}");
    }
    let two = [("content-type", "multipart/form-data"), ("content-type", "application/json")];
    assert_eq!(tried.send("POST /v1/items", &two, b"{}").await.0, 415);
    assert_eq!(tried.post("multipart/form-data; boundary=x", "--x--").await.0, 200);
}

#[tokio::test]
async fn another_kind_of_body_is_415_and_a_large_one_413() {
    let tried = Tried::new(|settings| settings.body_limit = seaworthy_config::ByteSize(20));
    for kind in ["text/plain", "text/xml", ""] {
        let (status, told) = tried.post(kind, "{\"n\":1}").await;
        assert_eq!((status, &told["errors"][0]["name"]), (415, &"Content-Type".into()), "{kind}");
    }
    let packed = [("content-type", "application/json"), ("content-encoding", "gzip")];
    assert_eq!(tried.send("POST /v1/items", &packed, b"\x1f\x8b").await.0, 415);
    let (status, told) = tried.post("application/json", "{\"n\":1,\"p\":\"aaaaaaaaaaaa\"}").await;
    assert_eq!((status, &told["code"]), (413, &"SEA_PROTECTION_VALIDATED_TOO_LARGE".into()));
}

#[tokio::test]
async fn parameters_are_read_by_their_style() {
    let tried = Tried::new(|_| {});
    let cookie = [("cookie", "a=1; c=x")];
    for right in
        ["", "limit=9", "ids=1,2,3", "ids=", "tag=a&tag=b%2Cc", "f[a]=true&other=1", "q={\"a\":1}", "limit=9&&"]
    {
        let (status, told) = tried.send(&format!("GET /v1/items?{}", right.replace('"', "%22")), &cookie, b"").await;
        assert_eq!(status, 200, "{right}: {told}");
    }
    for (wrong, name) in [
        ("limit=10", "limit"),
        ("limit=1&limit=2", "limit"),
        ("limit=", "limit"),
        ("limit[]=1", "limit"),
        ("limit%5Ba%5D=1", "limit"),
        ("f[a][b]=true", "f"),
        ("f[x][b]=true", "f"),
        ("ids=1,x", "ids"),
        ("tag=a&tag=b&tag=c", "tag"),
        ("f[a]=2", "f"),
        ("f[a]=2&f[a]=true", "f"),
        ("f[b]=2", "f"),
        ("q=1", "q"),
        ("q=%7B", "q"),
    ] {
        let (status, told) = tried.send(&format!("GET /v1/items?{wrong}"), &cookie, b"").await;
        assert_eq!((status, &told["errors"][0]["name"]), (422, &name.into()), "{wrong}: {told}");
    }
    let missing = tried.send("GET /v1/items", &[("cookie", "c=y")], b"").await;
    assert_eq!((missing.0, &missing.1["errors"][0]["in"]), (422, &"cookie".into()));
    assert_eq!(tried.send("GET /v1/items", &[], b"").await.1["errors"][0]["message"], "is missing");
    let key = [("content-type", "application/json"), ("x-key", "one")];
    assert_eq!(tried.send("POST /V1/Items/", &key, b"{\"n\":1}").await.1["errors"][0]["name"], "X-Key");
}

#[tokio::test]
async fn what_only_reports_lets_everything_pass_and_tells() {
    let tried = Tried::new(|settings| {
        settings.mode = Mode::Report;
        settings.body_limit = seaworthy_config::ByteSize(30);
    });
    assert_eq!(tried.post("application/json", "{\"n\":-1}").await, (200, "{\"n\":-1}".into()));
    assert_eq!(tried.post("text/plain", "x").await.0, 200);
    let large = format!("{{\"n\":\"{}\"}}", "x".repeat(100));
    assert_eq!(tried.post("application/json", &large).await, (200, large.into()));
    tried.send("GET /v1/nothing/17", &[], b"").await;
    tried.send("DELETE /v1/items", &[], b"").await;
    let report = tried.validation.report();
    let operations = report["operations"].as_array().unwrap();
    let post = operations.iter().find(|one| one["operation"] == "POST /items").unwrap();
    assert_eq!((&post["operation"], &post["requests"], &post["wrong"]), (&"POST /items".into(), &3.into(), &3.into()));
    assert!(post["reasons"].to_string().contains("must be at least 0"));
    let unknown = report["unknown"].to_string();
    assert!(unknown.contains("GET /v1/nothing/{}") && unknown.contains("DELETE /v1/items"), "{unknown}");
    assert_eq!(report["operations"][0]["requests"], 0, "never asked for: {report}");
}

#[tokio::test]
async fn what_the_document_lacks_passes_unless_it_is_to_be_refused() {
    let tried = Tried::new(|_| {});
    assert_eq!(tried.send("GET /docs", &[], b"").await.0, 200);
    let strict = Tried::new(|settings| settings.unknown = Unknown::Refuse);
    assert_eq!(strict.send("GET /docs", &[], b"").await.0, 404);
    assert_eq!(strict.send("DELETE /v1/items", &[], b"").await.0, 405);
    assert_eq!(strict.send("OPTIONS /docs", &[], b"").await.0, 200);
}

#[tokio::test]
async fn limits_on_json_hold_everywhere_when_asked_for() {
    let mut tried = Tried::new(|settings| settings.openapi = None);
    assert!(Validate::layer(&tried.settings, &tried.route, &tried.validation, None).is_none());
    tried.route.json_limits = Some(true);
    assert_eq!(tried.post("application/json", "{\"a\":1,\"a\":2}").await.0, 422);
    assert_eq!(tried.post("text/plain", "{\"a\":1,\"a\":2}").await.0, 200);
    tried.route.validate = Some(Mode::Off);
    assert!(Validate::layer(&tried.settings, &tried.route, &tried.validation, None).is_none());
}

#[tokio::test]
async fn without_a_document_nothing_that_is_to_be_compared_passes() {
    let mut tried = Tried::new(|_| {});
    tried.validation = Validation::default();
    let (status, told) = tried.send("GET /v1/items", &[], b"").await;
    assert_eq!(
        (StatusCode::from_u16(status).unwrap(), &told["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"SEA_PROTECTION_NO_DOCUMENT".into())
    );
    tried.route.validate = Some(Mode::Report);
    assert_eq!(tried.send("GET /v1/items", &[], b"").await.0, 200);
}

#[tokio::test]
async fn a_path_is_judged_as_the_app_sees_it() {
    let wrong = b"{\"n\":-1}";
    let json = [("content-type", "application/json")];
    let mut tried = Tried::new(|settings| settings.unknown = Unknown::Refuse);
    let strip = |prefix: &'static str| SeenByApp {
        path: Arc::new(move |path| path.strip_prefix(prefix).map(str::to_owned)),
        also_as_asked: true,
    };
    // The app is mounted below a version, and its document says the path with its server's, without it, or as clients do.
    for (prefix, path) in [("/mounted", "/mounted/v1/items"), ("/v1", "/v1/items"), ("/other", "/other/items")] {
        tried.seen = Some(strip(prefix));
        let (status, told) = tried.send(&format!("POST {path}"), &json, wrong).await;
        assert_eq!((status, &told["code"]), (422, &"SEA_PROTECTION_INVALID_REQUEST".into()), "{path}");
        assert_eq!(tried.send(&format!("POST {path}"), &json, b"{\"n\":1}").await.0, 200, "{path}");
    }
    assert_eq!(tried.send("POST /elsewhere", &json, wrong).await.0, 200, "it is refused before it gets to the app");
    let all = SeenByApp { path: Arc::new(|_| Some("/v1/items".into())), also_as_asked: false };
    tried.seen = Some(all);
    assert_eq!(tried.send("POST /rewritten/whole", &json, wrong).await.0, 422);
    assert_eq!(tried.send("DELETE /v1/versions", &json, b"{}").await.0, 405, "the app has no such method there");
}

#[tokio::test]
async fn a_form_of_very_many_fields_is_refused_before_they_are_compared() {
    let tried = Tried::new(|settings| settings.body_limit = seaworthy_config::ByteSize(1 << 20));
    let form = |count: usize| format!("n=1{}", "&x=1".repeat(count));
    let kind = "application/x-www-form-urlencoded";
    assert_eq!(tried.post(kind, &form(FORM_FIELDS - 1)).await.0, 200);
    let (status, told) = tried.post(kind, &form(FORM_FIELDS)).await;
    assert_eq!((status, &told["errors"][0]["message"]), (422, &"has too many fields".into()));
}

#[tokio::test]
async fn a_body_is_judged_by_the_media_type_that_fits_it_best() {
    let tried = Tried::new(|_| {});
    let post = async |path: &str, kind: &str, body: &str| {
        tried.send(&format!("POST /v1{path}"), &[("content-type", kind)], body.as_bytes()).await.0
    };
    let (one, two) = ("application/json;version=1", "application/json; Version=\"2\"");
    assert_eq!((post("/versions", one, "{\"a\":1}").await, post("/versions", two, "{\"b\":1}").await), (200, 200));
    assert_eq!((post("/versions", one, "{\"b\":1}").await, post("/versions", two, "{\"a\":1}").await), (422, 422));
    let plain = "application/json";
    assert_eq!((post("/versions", plain, "{\"b\":1}").await, post("/versions", plain, "{\"c\":1}").await), (200, 422));
    assert_eq!(post("/anything", plain, "{}").await, 422);
    assert_eq!(post("/anything", "application/vnd.x+json", "{\"n\":\"\"}").await, 422);
    assert_eq!(post("/anything", "application/x-www-form-urlencoded", "n=x").await, 422);
    assert_eq!(post("/anything", "application/x-www-form-urlencoded", "n=1").await, 200);
    assert_eq!(post("/anything", "text/plain", "x").await, 200, "it is no JSON and no form");
    assert_eq!(post("/items", "application/octet-stream", "x").await, 200);
    assert_eq!(post("/items", "application/problem+json", "{\"n\":\"x\"}").await, 422);
}

#[tokio::test]
async fn a_text_that_the_app_reads_in_another_charset_is_refused() {
    let tried = Tried::new(|_| {});
    for kind in ["application/json", "application/x-www-form-urlencoded"] {
        let body = if kind.ends_with("json") { "{\"n\":1}" } else { "n=1" };
        for (charset, status) in
            [("utf-8", 200), ("\"UTF-8\"", 200), ("iso-8859-1", 415), ("utf-7", 415), ("utf-16", 415)]
        {
            let (got, told) = tried.post(&format!("{kind}; charset={charset}"), body).await;
            assert_eq!(got, status, "{kind} {charset}: {told}");
        }
    }
}

#[tokio::test]
async fn a_post_is_not_made_another_method() {
    let tried = Tried::new(|_| {});
    let form = "application/x-www-form-urlencoded";
    let (status, told) = tried.post(form, "n=1&_method=DELETE").await;
    assert_eq!((status, &told["errors"][0]["pointer"]), (422, &"/_method".into()));
    assert_eq!(tried.post(form, "n=1&%5Fmethod=put").await.0, 422);
    let json = [("content-type", "application/json")];
    for (query, status) in [("_method=DELETE", 422), ("a=1&%5fmethod=put", 422), ("method=DELETE", 200)] {
        let (got, _) = tried.send(&format!("POST /v1/items?{query}"), &json, b"{\"n\":1}").await;
        assert_eq!(got, status, "{query}");
    }
    let described = "GET /v1/places/;m=1/.2/R,3?empty=&_method=x";
    assert_eq!(tried.send(described, &[], b"").await.0, 200, "the document has it");
}

#[tokio::test]
async fn paths_in_the_style_of_the_document_are_read() {
    let tried = Tried::new(|_| {});
    for (path, wrong) in [
        (";m=1;m=2/.3/R,4", None),
        (";m=1/.3/R,4?deep[o][x]=1&empty=", None),
        (";m=1;m=2;m=3/.3/R,4", Some("m")),
        (";m=x/.3/R,4", Some("m")),
        ("1/.3/R,4", Some("m")),
        (";m=1/3/R,4", Some("l")),
        (";m=1/.x/R,4", Some("l")),
        (";m=1/.3/R,x", Some("s")),
        (";m=1/.3/G,1", Some("s")),
        (";m=1/.3/R,4?empty=x", Some("empty")),
    ] {
        let (status, told) = tried.send(&format!("GET /v1/places/{path}"), &[("cookie", "k=x")], b"").await;
        let expected = wrong.map_or((200, Value::Null), |name| (422, name.into()));
        assert_eq!((status, told["errors"][0]["name"].clone()), expected, "{path}: {told}");
    }
    let report = tried.validation.report();
    let told = report["not_judged"].to_string();
    for part in ["GET /places/{m}/{l}/{s}: cookie k", "query deep", "POST /items: bodies of multipart/form-data"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    assert_eq!(report["not_judged"].as_array().unwrap().len(), 3, "{told}");
}

#[tokio::test]
async fn a_request_whose_patterns_take_too_long_is_refused_once_and_for_all() {
    let hostile = serde_json::to_string(&vec!["ab".repeat(40) + "dc"; 2000]).unwrap();
    let json = [("content-type", "application/json")];
    let mut tried = Tried::new(|_| {});
    let (status, told) = tried.send("POST /v1/patterns", &json, hostile.as_bytes()).await;
    assert_eq!((status, told["errors"].as_array().unwrap().len()), (422, 1), "{told}");
    assert!(told["errors"][0]["message"].as_str().unwrap().contains("takes too long"), "{told}");
    assert_eq!(
        tried.send("POST /v1/patterns", &json, b"[\"abc\"]").await.0,
        200,
        "a new request has a budget of its own"
    );
    tried.route.validate = Some(Mode::Report);
    assert_eq!(tried.send("POST /v1/patterns", &json, hostile.as_bytes()).await.0, 200);
    assert!(tried.validation.report().to_string().contains("takes too long"), "and counted");
}
