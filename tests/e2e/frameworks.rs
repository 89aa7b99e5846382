//! What `init` writes starts real frameworks, and they see scheme, host and client through us as it says.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    http::{get, get_with, send_from},
    support::{Running, error_text, find_node_package, seaworthy, test_with, text},
};

/// A project in `tests/fixtures/`, and how it looks without what makes it believe us.
struct Framework {
    folder: &'static str,
    stack: &'static str,
    /// In this file, lines with this text; then files that are taken away.
    remove: Option<(&'static str, &'static str, Option<&'static str>)>,
}

const FASTAPI: Framework = Framework { folder: "fastapi", stack: "FastAPI", remove: None };
const FLASK: Framework = Framework { folder: "flask", stack: "Flask", remove: Some(("app.py", "ProxyFix(", None)) };
const DJANGO: Framework = Framework {
    folder: "django",
    stack: "Django",
    remove: Some(("shop/settings.py", "ForwardedClient", Some("shop/client.py"))),
};
const EXPRESS: Framework =
    Framework { folder: "express", stack: "Express", remove: Some(("server.js", "trust proxy", None)) };

const UVICORN: (&str, &str) = ("uvicorn", "the PyPI packages fastapi and uvicorn into target/test-python");
const FLASK_PROGRAM: (&str, &str) = ("flask", "the PyPI packages flask and gunicorn into target/test-python");
const DJANGO_PROGRAM: (&str, &str) = ("django-admin", "the PyPI packages django and gunicorn into target/test-python");
const GUNICORN: (&str, &str) = ("gunicorn", "the PyPI package gunicorn into target/test-python");
const NODE: (&str, &str) = ("node", "the Debian package nodejs");

pub fn tests() -> Vec<Trial> {
    let express = find_node_package("express").is_some();
    let node = if express { NODE } else { ("express", "the npm package express into target/test-node") };
    vec![
        test_with("fastapi_sees_the_request_as_it_was", &[UVICORN], || sees_rightly(&FASTAPI)),
        test_with("flask_sees_the_request_as_it_was", &[FLASK_PROGRAM, GUNICORN], || sees_rightly(&FLASK)),
        test_with("flask_without_its_setting_is_told", &[FLASK_PROGRAM, GUNICORN], || sees_wrongly(&FLASK)),
        test_with("django_sees_the_request_as_it_was", &[DJANGO_PROGRAM, GUNICORN], || sees_rightly(&DJANGO)),
        test_with("django_without_its_setting_is_told", &[DJANGO_PROGRAM, GUNICORN], || sees_wrongly(&DJANGO)),
        test_with("express_sees_the_request_as_it_was", &[node], || sees_rightly(&EXPRESS)),
        test_with("express_without_its_setting_is_told", &[node], || sees_wrongly(&EXPRESS)),
    ]
}

/// Another address of this machine, so that the client is not the one that our own connections come from.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

fn sees_rightly(framework: &Framework) {
    let folder = framework.project();
    let probe = seaworthy(folder.path(), &["init", "--probe"]);
    assert!(probe.status.success(), "{}{}", text(&probe), error_text(&probe));
    let running = start(framework, folder);
    assert_eq!(who(&running, ""), json!({ "scheme": "http", "host": "shop.test", "client": "127.0.0.2" }));
    let lies = "x-forwarded-for: 6.6.6.6\r\nx_forwarded_for: 6.6.6.6\r\nx-forwarded-proto: https\r\n\
                x-forwarded-host: evil.test\r\nforwarded: for=6.6.6.6;proto=https;host=evil.test\r\n";
    assert_eq!(who(&running, lies), json!({ "scheme": "http", "host": "shop.test", "client": "127.0.0.2" }));
    // What it is told on a TLS connection, in our place.
    let told = "x-forwarded-for: 203.0.113.9\r\nx-forwarded-proto: https\r\n";
    let direct = get_with(&instance(&running), "/who", told).json();
    assert_eq!((&direct["scheme"], &direct["client"]), (&json!("https"), &json!("203.0.113.9")));
}

/// The other direction: what `--probe` calls wrong is wrong.
fn sees_wrongly(framework: &Framework) {
    let folder = framework.project();
    let (file, line, gone) = framework.remove.unwrap();
    let path = folder.path().join(file);
    let kept: Vec<String> =
        fs::read_to_string(&path).unwrap().lines().filter(|own| !own.contains(line)).map(String::from).collect();
    fs::write(&path, kept.join("\n")).unwrap();
    if let Some(gone) = gone {
        fs::remove_file(folder.path().join(gone)).unwrap();
    }
    let probe = seaworthy(folder.path(), &["init", "--probe"]);
    assert_eq!(probe.status.code(), Some(1), "{}{}", text(&probe), error_text(&probe));
    assert!(text(&probe).contains(&format!("wrong: add to {file}")), "{}", text(&probe));
    assert!(text(&probe).contains("sees client    wrong"), "{}", text(&probe));
    let running = start(framework, folder);
    assert_eq!(who(&running, "")["client"], "127.0.0.1");
}

/// `init`, then `run` with what it wrote.
fn start(framework: &Framework, folder: TempDir) -> Running {
    let output = seaworthy(folder.path(), &["init", "--json"]);
    assert!(output.status.success(), "{}", error_text(&output));
    let said: Value = serde_json::from_str(&text(&output)).unwrap();
    assert_eq!(said["found"]["stack"], framework.stack, "{said}");
    assert_eq!(said["found"]["health"]["path"], "/health", "{said}");
    let example = fs::read_to_string(folder.path().join(".env.example")).unwrap();
    assert!(example.contains("\nGREETING=ahoy\n") && !example.contains("only-for-tests"), "{example}");
    let running = Running::start_in(folder, &[] as &[&str]);
    assert_eq!(get(&running.url, "/health").json()["greeting"], "ahoy", "{}", running.stderr());
    running
}

fn who(running: &Running, headers: &str) -> Value {
    let request = format!("GET /who HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\n{headers}\r\n");
    send_from(CLIENT, &running.url, request.as_bytes()).unwrap().json()
}

/// Where the app itself listens.
fn instance(running: &Running) -> String {
    let status = get(&running.admin, "/status").json();
    let address = status["instances"][0]["address"].as_str().unwrap_or_else(|| panic!("{status}")).to_owned();
    address.trim_start_matches("http://").trim_end_matches('/').to_owned()
}

impl Framework {
    /// A copy of the project, with its packages as a developer has them.
    fn project(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
        copy(&root.join("tests/fixtures").join(self.folder), folder.path());
        if self.folder == "express" {
            let packages = find_node_package("express").and_then(|package| Some(package.parent()?.to_owned()));
            symlink(packages.unwrap(), folder.path().join("node_modules")).unwrap();
        } else {
            symlink(root.join("target/test-python"), folder.path().join(".venv")).unwrap();
        }
        folder
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for path in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let target: PathBuf = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
