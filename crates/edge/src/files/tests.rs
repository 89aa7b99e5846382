//! Whole requests against real folders.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use seaworthy_core::{Problem, RequestId};
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;

/// A build, all of it an hour old, beside something that nobody may see.
struct Site {
    folder: TempDir,
}

/// An answer, with its body read.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("-", |value| value.to_str().unwrap())
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

impl Site {
    fn new() -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(site.folder.path().join("secret.txt"), "SECRET").unwrap();
        site.write("index.html", "<h1>home</h1>");
        site.write("app.js", "let app = 1;");
        site.write("assets/index-BxY12abc.js", "let hashed = 1;");
        site.write("docs/index.html", "<h1>docs</h1>");
        site.write("empty/a.txt", "abcdefghij");
        site.write(".env", "SECRET=1");
        site.write(".well-known/security.txt", "Contact: mailto:a@example.com");
        site
    }

    fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("dist")
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        self.write_at(path, text, Duration::from_secs(3600));
    }

    fn write_at(&self, path: &str, text: impl AsRef<[u8]>, age: Duration) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(SystemTime::now() - age).unwrap();
    }

    fn policy(&self) -> FilesPolicy {
        FilesPolicy { root: self.root().to_str().unwrap().into(), ..FilesPolicy::default() }
    }

    fn files(&self) -> Files {
        Files::build(&self.policy(), &"/*".parse().unwrap()).unwrap()
    }

    fn spa(&self) -> Files {
        Files::build(&FilesPolicy { spa: true, ..self.policy() }, &"/*".parse().unwrap()).unwrap()
    }
}

async fn send(files: &Files, request: &str, headers: &[(&str, &str)]) -> Answer {
    let (method, path) = request.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(empty_body()).unwrap();
    let id = RequestId::from_client(&HeaderValue::from_static("r-1")).unwrap();
    let context = RequestContext { wants_html: Problem::wants_html(request.headers()), ..RequestContext::new(id) };
    request.extensions_mut().insert(Arc::new(context));
    let response = files.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

async fn get(files: &Files, path: &str) -> Answer {
    send(files, &format!("GET {path}"), &[]).await
}

#[tokio::test]
async fn a_file_comes_with_all_that_a_cache_needs() {
    let site = Site::new();
    let answer = get(&site.files(), "/app.js?v=1").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "let app = 1;"));
    assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(answer.header("content-length"), "12");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("vary"), "accept-encoding");
    assert!(answer.header("etag").starts_with('"') && answer.header("last-modified").ends_with("GMT"));
    let head = send(&site.files(), "HEAD /app.js", &[("range", "bytes=0-1")]).await;
    assert_eq!((head.status, head.body.len(), head.header("content-length")), (200, 0, "12"));
    assert_eq!(head.header("etag"), answer.header("etag"));
    let hashed = get(&site.files(), "/assets/index-BxY12abc.js").await;
    assert_eq!(hashed.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(get(&site.files(), "/.well-known/security.txt").await.status, 200);
}

#[tokio::test]
async fn files_are_only_read() {
    let site = Site::new();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = send(&site.files(), &format!("{method} /app.js"), &[]).await;
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{method}");
        assert!(answer.text().contains("SEA_EDGE_FILE_METHOD"));
    }
}

#[tokio::test]
async fn what_is_missing_or_hidden_is_a_problem() {
    let site = Site::new();
    symlink("../secret.txt", site.root().join("out.txt")).unwrap();
    symlink("/etc", site.root().join("etc")).unwrap();
    nix::unistd::mkfifo(&site.root().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in [
        "/gone.js",
        "/.env",
        "/%2eenv",
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%252e%252e/secret.txt",
        "/out.txt",
        "/etc/passwd",
        "/pipe",
        "/empty/",
        "/empty",
        "/app.js/",
        "/app.js/x",
        "//secret.txt",
        "/docs//index.html",
    ] {
        for files in [site.files(), site.spa()] {
            let answer = get(&files, path).await;
            assert_eq!((answer.status, answer.header("cache-control")), (404, "no-store"), "{path}");
            assert!(answer.text().contains("SEA_EDGE_FILE_NOT_FOUND"), "{path}");
        }
    }
}

#[tokio::test]
async fn folders_answer_with_their_index_under_a_slash() {
    let site = Site::new();
    let files = site.files();
    assert_eq!(get(&files, "/").await.text(), "<h1>home</h1>");
    assert_eq!(get(&files, "/docs/").await.text(), "<h1>docs</h1>");
    let moved = get(&files, "/docs?page=2").await;
    assert_eq!((moved.status, moved.header("location")), (308, "/docs/?page=2"));
    assert_eq!(moved.header("cache-control"), "no-cache");
    let spelled = get(&files, "/d%6fcs/?q=%6f").await;
    assert_eq!((spelled.status, spelled.header("location")), (308, "/docs/?q=%6f"));
    fs::create_dir_all(site.root().join("evil.test")).unwrap();
    site.write("evil.test/index.html", "x");
    for path in ["//evil.test", "/%2fevil.test", "/%5cevil.test", "/\\evil.test"] {
        if let Ok(uri) = path.parse::<http::Uri>() {
            assert_eq!(get(&files, &uri.to_string()).await.status, 404, "{path}");
        }
    }
    assert_eq!(get(&files, "/evil.test").await.header("location"), "/evil.test/");
}

#[tokio::test]
async fn conditions_are_kept() {
    let site = Site::new();
    let files = site.files();
    let first = get(&files, "/app.js").await;
    let known = send(&files, "GET /app.js", &[("if-none-match", first.header("etag"))]).await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    for name in ["etag", "cache-control", "vary"] {
        assert_eq!(known.header(name), first.header(name), "{name}");
    }
    assert_eq!(known.header("content-length"), "-");
    let known = send(&files, "HEAD /app.js", &[("if-modified-since", first.header("last-modified"))]).await;
    assert_eq!(known.status, 304);
    let changed = send(&files, "GET /app.js", &[("if-match", "\"other\"")]).await;
    assert_eq!(changed.status, 412);
    assert!(changed.text().contains("SEA_EDGE_FILE_CHANGED"));
    site.write("app.js", "let app = 2;");
    let again = send(&files, "GET /app.js", &[("if-none-match", first.header("etag"))]).await;
    assert_eq!((again.status, again.text().as_str()), (200, "let app = 2;"));
    site.write_at("app.js", "let app = 3;", Duration::ZERO);
    assert!(get(&files, "/app.js").await.header("etag").starts_with("W/"));
}

#[tokio::test]
async fn parts_of_a_file() {
    let site = Site::new();
    let files = site.files();
    let part = async |range: &str| send(&files, "GET /empty/a.txt", &[("range", range)]).await;
    let first = part("bytes=0-3").await;
    assert_eq!((first.status, first.text().as_str()), (206, "abcd"));
    assert_eq!((first.header("content-range"), first.header("content-length")), ("bytes 0-3/10", "4"));
    assert_eq!(first.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(part("bytes=-2").await.text(), "ij");
    assert_eq!(part("bytes=8-").await.text(), "ij");
    let past = part("bytes=10-").await;
    assert_eq!((past.status, past.header("content-range")), (416, "bytes */10"));
    assert_eq!(part("bytes=0-5,3-7").await.status, 200);
    assert_eq!(part("pages=1-2").await.status, 200);
    let several = part("bytes=0-1,8-9").await;
    assert_eq!(several.status, 206);
    let boundary = several.header("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap().to_owned();
    assert_eq!(several.header("content-length"), several.body.len().to_string());
    let piece = |range: &str, text: &str| {
        format!(
            "\r\n--{boundary}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-range: bytes {range}/10\r\n\r\n{text}"
        )
    };
    assert_eq!(several.text(), format!("{}{}\r\n--{boundary}--\r\n", piece("0-1", "ab"), piece("8-9", "ij")));
    let other = [("range", "bytes=0-3"), ("if-range", "\"other\"")];
    assert_eq!(send(&files, "GET /empty/a.txt", &other).await.status, 200);
    let same = [("range", "bytes=0-3"), ("if-range", first.header("etag"))];
    assert_eq!(send(&files, "GET /empty/a.txt", &same).await.status, 206);
}

#[tokio::test]
async fn a_variant_is_chosen_and_is_a_representation_of_its_own() {
    let site = Site::new();
    site.write("app.js.br", "BROTLI");
    site.write("app.js.gz", "GZIP");
    site.write("photo.png", "PNG");
    site.write("photo.png.gz", "GZIP");
    let files = site.files();
    let coded = async |accept: &str| send(&files, "GET /app.js", &[("accept-encoding", accept)]).await;
    let brotli = coded("gzip, br, zstd").await;
    assert_eq!((brotli.text().as_str(), brotli.header("content-encoding")), ("BROTLI", "br"));
    assert_eq!(brotli.header("content-type"), "text/javascript; charset=utf-8");
    let gzip = coded("gzip, br;q=0").await;
    assert_eq!((gzip.text().as_str(), gzip.header("content-encoding")), ("GZIP", "gzip"));
    let plain = coded("identity").await;
    assert_eq!((plain.text().as_str(), plain.header("content-encoding")), ("let app = 1;", "-"));
    for answer in [&brotli, &gzip, &plain] {
        assert_eq!(answer.header("vary"), "accept-encoding");
    }
    let mut tags = [brotli.header("etag"), gzip.header("etag"), plain.header("etag")];
    tags.sort_unstable();
    assert!(tags[0] != tags[1] && tags[1] != tags[2]);
    let range = [("accept-encoding", "br"), ("range", "bytes=0-2")];
    let part = send(&files, "GET /app.js", &range).await;
    assert_eq!((part.text().as_str(), part.header("content-range")), ("BRO", "bytes 0-2/6"));
    assert_eq!(part.header("content-encoding"), "br");
    let photo = send(&files, "GET /photo.png", &[("accept-encoding", "gzip")]).await;
    assert_eq!((photo.text().as_str(), photo.header("vary")), ("PNG", "-"));
    site.write_at("app.js", "let app = 2;", Duration::from_secs(30));
    assert_eq!(coded("br").await.text(), "let app = 2;", "a variant of an earlier original");
}

#[tokio::test]
async fn a_single_page_app_gets_its_page_for_navigations_alone() {
    let site = Site::new();
    let (plain, spa) = (site.files(), site.spa());
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    for path in ["/users/7", "/users/", "/releases/v1.2", "/empty", "/empty/"] {
        let page = send(&spa, &format!("GET {path}"), &browser).await;
        assert_eq!((page.status, page.text().as_str()), (200, "<h1>home</h1>"), "{path}");
        assert_eq!((page.header("cache-control"), page.header("vary")), ("no-cache", "accept, accept-encoding"));
        assert_eq!(send(&plain, &format!("GET {path}"), &browser).await.status, 404);
        assert_eq!(send(&spa, &format!("GET {path}"), &[("accept", "application/json")]).await.status, 404);
        assert_eq!(get(&spa, path).await.status, 404);
    }
    for path in ["/assets/gone.js", "/users/../x", "/.env", "/a%00b"] {
        assert_eq!(send(&spa, &format!("GET {path}"), &browser).await.status, 404, "{path}");
    }
    assert_eq!(send(&spa, "GET /docs", &browser).await.status, 308);
}

#[tokio::test]
async fn a_large_file_is_streamed_whole_and_in_parts() {
    let site = Site::new();
    let bytes: Vec<u8> = (0..1_000_003_u32).map(|index| u8::try_from(index % 253).unwrap()).collect();
    site.write("film.mp4", &bytes);
    let whole = get(&site.files(), "/film.mp4").await;
    assert_eq!((whole.status, whole.header("content-length")), (200, "1000003"));
    assert!(whole.body == bytes);
    let range = [("range", "bytes=65535-900000")];
    assert!(send(&site.files(), "GET /film.mp4", &range).await.body == bytes[65535..=900_000]);
    site.write("none.txt", "");
    let none = get(&site.files(), "/none.txt").await;
    assert_eq!((none.status, none.header("content-length")), (200, "0"));
}

#[tokio::test]
async fn the_front_of_the_pattern_is_taken_off() {
    let site = Site::new();
    let at = |pattern: &str, strip: Option<&str>| {
        let policy = FilesPolicy { strip: strip.map(Into::into), ..site.policy() };
        Files::build(&policy, &pattern.parse().unwrap()).unwrap()
    };
    assert_eq!(get(&at("/static/*", None), "/static/app.js").await.status, 200);
    assert_eq!(get(&at("GET /static/*", None), "/static/").await.status, 200);
    assert_eq!(get(&at("/{tenant}/*", None), "/docs/index.html").await.status, 200);
    assert_eq!(get(&at("/app.js", None), "/app.js").await.status, 200);
    assert_eq!(get(&at("/docs/*", Some("")), "/docs/index.html").await.status, 200);
    assert_eq!(get(&at("/a/b/*", Some("/a/b/")), "/a/b/docs").await.header("location"), "/a/b/docs/");
    assert_eq!(get(&at("/a/*", Some("/b")), "/a/app.js").await.status, 404);
}

#[tokio::test]
async fn a_build_may_replace_the_folder_while_it_is_served() {
    let site = Site::new();
    let files = site.files();
    fs::rename(site.root(), site.folder.path().join("old")).unwrap();
    assert_eq!(get(&files, "/app.js").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    site.write("app.js", "let app = 9;");
    assert_eq!(get(&files, "/app.js").await.text(), "let app = 9;");
}

#[test]
fn a_folder_that_cannot_be_served_says_why() {
    let site = Site::new();
    let why = |root: &Path, spa: bool| {
        let policy = FilesPolicy { root: root.to_str().unwrap().into(), spa, ..FilesPolicy::default() };
        Files::build(&policy, &"/*".parse().unwrap()).unwrap_err().to_string()
    };
    assert!(why(&site.root().join("gone"), false).contains("Build the files first"));
    assert!(why(&site.root().join("app.js"), false).contains("cannot serve"));
    assert!(why(&site.root().join("empty"), true).contains("has no file `index.html`"));
    assert!(why(Path::new("."), false).contains("config and source code"));
    assert!(why(Path::new("/"), false).contains("config and source code"));
    let policy = FilesPolicy { strip: Some("a".into()), ..site.policy() };
    assert!(matches!(Files::build(&policy, &"/*".parse().unwrap()), Err(FilesError::Strip { .. })));
}

/// Paths made of everything that has ever led out of a root: whatever is answered, it is not from outside.
#[tokio::test]
async fn no_path_leads_out_of_the_root() {
    let site = Site::new();
    symlink("..", site.root().join("up")).unwrap();
    symlink("../secret.txt", site.root().join("s")).unwrap();
    let pieces = "/ // .. . %2e %2E%2e %2f %5c %252e %00 docs up s secret.txt .env % etc passwd dist index.html ; %c0%ae \
                  %e3%80%82 ~ * .... empty a.txt ? :";
    let pieces: Vec<&str> = pieces.split(' ').collect();
    let files = [site.files(), site.spa()];
    let mut random = fastrand::Rng::with_seed(11);
    let mut served = 0;
    for _ in 0..3000 {
        let count = random.usize(1..9);
        let tail: String = (0..count).filter_map(|_| random.choice(&pieces)).copied().collect();
        let Ok(uri) = format!("/{tail}").parse::<http::Uri>() else { continue };
        let answer = send(&files[served % 2], &format!("GET {uri}"), &[("accept", "text/html")]).await;
        assert!(!answer.text().contains("SECRET") && !answer.text().contains("root:"), "{uri}");
        assert!([200, 308, 404].contains(&answer.status), "{uri}: {}", answer.status);
        let location = answer.header("location");
        assert!(location == "-" || (location.starts_with('/') && !location.starts_with("//")), "{uri}: {location}");
        served += usize::from(answer.status == 200);
    }
    assert!(served > 50, "{served} of the paths were files at all");
}
