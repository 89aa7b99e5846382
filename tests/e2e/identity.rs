//! Tokens that real libraries made, and limits that go by who asks.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    http::{Answer, get, get_with},
    support::{Running, program, test_with, until},
};

const GUNICORN: (&str, &str) =
    ("gunicorn", "the PyPI packages gunicorn and httpbin into target/test-python (see .ci/run)");
const PYJWT: (&str, &str) = (
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/test-tokens/bin/python"),
    "the PyPI packages PyJWT and cryptography into target/test-tokens (see .ci/run)",
);
const JOSE: (&str, &str) = (
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/test-tokens/node_modules/jose/package.json"),
    "the npm package jose into target/test-tokens (see .ci/run)",
);
const NODE: (&str, &str) = ("node", "the Debian package nodejs");
const NO_FLAGS: &[&str] = &[];

pub fn tests() -> Vec<Trial> {
    vec![
        test_with("tokens_of_pyjwt_and_hostile_ones", &[GUNICORN, PYJWT], || every_token("pyjwt")),
        test_with("tokens_of_jose", &[GUNICORN, NODE, JOSE], || every_token("jose")),
        test_with("a_client_says_nothing_of_itself", &[GUNICORN, PYJWT], a_client_says_nothing_of_itself),
        test_with("a_cached_answer_is_of_whoever_asked_with_whichever_token", &[GUNICORN, PYJWT], cached_by_principal),
        test_with("a_key_set_is_fetched_rotated_and_kept", &[GUNICORN, PYJWT], key_set),
    ]
}

/// Keys in a folder, and tokens with what must become of them.
fn issue(library: &str, folder: &Path) -> Vec<Value> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tokens");
    let mut command = if library == "jose" {
        let mut command = Command::new(program("node"));
        command.arg(scripts.join("issue.mjs")).env("JOSE", PathBuf::from(JOSE.0).parent().unwrap());
        command
    } else {
        let mut command = Command::new(PYJWT.0);
        command.arg(scripts.join("issue.py"));
        command
    };
    let output = command.arg(folder).stderr(Stdio::inherit()).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The token of this name.
fn token<'a>(tokens: &'a [Value], name: &str) -> &'a str {
    tokens.iter().find(|token| token["name"] == name).unwrap()["token"].as_str().unwrap()
}

/// httpbin behind this config; `FOLDER` stands for the folder.
fn start(folder: TempDir, config: &str) -> Running {
    let app = format!(
        "[app]\ncommand = \"'{}' --bind 127.0.0.1:$PORT --threads 4 httpbin:app\"\nhealth = \"/status/200\"\n",
        program("gunicorn")
    );
    let config = config.replace("FOLDER", &folder.path().display().to_string());
    fs::write(folder.path().join("seaworthy.toml"), app + &config).unwrap();
    Running::start_in(folder, NO_FLAGS)
}

fn ask(running: &Running, path: &str, token: &str) -> Answer {
    get_with(&running.url, path, &format!("authorization: Bearer {token}\r\n"))
}

fn every_token(library: &str) {
    let folder = tempfile::tempdir().unwrap();
    let tokens = issue(library, folder.path());
    let keys = "\"file:FOLDER/HS256\", \"file:FOLDER/RS256\", \"file:FOLDER/ES256\", \"file:FOLDER/EdDSA\"";
    let running = start(
        folder,
        &format!(
            "[identity]\nauth = \"required\"\n[identity.tokens]\nkeys = [{keys}]\nissuer = \"https://id.test\"\n\
             audience = [\"app\"]\n[[route]]\nmatch = \"GET /status/*\"\nauth = \"off\"\n"
        ),
    );
    let (mut right, mut wrong) = (0, 0);
    for case in tokens.iter().filter(|case| case["rotated"] != true && case["elsewhere"] != true) {
        let name = case["name"].as_str().unwrap();
        // The second time it may be remembered.
        for _ in 0..2 {
            let answer = ask(&running, "/headers?show_env=1", case["token"].as_str().unwrap());
            if case["right"] == true {
                assert_eq!(answer.status, 200, "{name}: {}", answer.text());
                let seen = answer.json()["headers"].clone();
                assert_eq!(seen["X-Seaworthy-User"], "u-7", "{name}");
                assert_eq!(seen["X-Seaworthy-Tenant"], "acme");
                assert_eq!(seen["X-Seaworthy-Roles"], "editor,a%2Cb");
                assert_eq!(seen["X-Seaworthy-Scopes"], "read,write");
                right += 1;
            } else {
                assert_eq!(answer.status, 401, "{name}: {}", answer.text());
                assert_eq!(answer.json()["code"], "SEA_IDENTITY_TOKEN_REFUSED", "{name}");
                let challenge = answer.header("www-authenticate").unwrap();
                assert!(
                    challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""),
                    "{challenge}"
                );
                wrong += 1;
            }
        }
    }
    assert!(right >= 16 && wrong >= 12, "{right} right, {wrong} wrong");
    let nothing = get(&running.url, "/headers");
    assert_eq!((nothing.status, nothing.json()["code"].as_str()), (401, Some("SEA_IDENTITY_TOKEN_NEEDED")));
    assert_eq!(nothing.header("www-authenticate"), Some("Bearer realm=\"app\""));
    assert_eq!(get(&running.url, "/status/204").status, 204, "a public route");
    let two = get_with(&running.url, "/headers", "authorization: Bearer a\r\nauthorization: Bearer b\r\n");
    assert_eq!((two.status, two.json()["code"].as_str()), (400, Some("SEA_IDENTITY_TOKEN_UNCLEAR")));
    let log = running.access_log();
    assert!(log.iter().any(|line| line["user"] == "u-7" && line["tenant"] == "acme" && line["status"] == 200));
    assert!(log.iter().filter(|line| line["status"] == 401).all(|line| line.get("user").is_none()));
    let secret = token(&tokens, "ES256");
    assert!(!running.stderr().contains(secret) && log.iter().all(|line| !line.to_string().contains(secret)));
}

fn a_client_says_nothing_of_itself() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = issue("pyjwt", folder.path());
    let running = start(folder, "[identity]\nauth = \"optional\"\n[identity.tokens]\nkeys = [\"file:FOLDER/ES256\"]\n");
    let claims = "x-seaworthy-user: root\r\nX_Seaworthy_User: root\r\nx.seaworthy.roles: admin\r\nx-seaworthy_tenant: other\r\n\
                  connection: x-seaworthy-user\r\n";
    let anonymous = get_with(&running.url, "/headers?show_env=1", claims);
    assert_eq!(anonymous.status, 200);
    assert!(!anonymous.text().to_lowercase().contains("seaworthy-user"), "{}", anonymous.text());
    assert!(!anonymous.text().contains("root") && !anonymous.text().contains("admin"));
    let with = format!("authorization: Bearer {}\r\n{claims}", token(&tokens, "ES256"));
    let known = get_with(&running.url, "/headers?show_env=1", &with).json()["headers"].clone();
    assert_eq!((&known["X-Seaworthy-User"], &known["X-Seaworthy-Tenant"]), (&"u-7".into(), &"acme".into()));
    assert!(known.get("Authorization").is_some(), "the app may verify it too");
    assert_eq!(ask(&running, "/headers", token(&tokens, "RS256")).status, 401, "there is no such key");
    assert_eq!(ask(&running, "/headers", token(&tokens, "expired")).status, 401, "a wrong token is not anonymous");
    let basic = get_with(&running.url, "/basic-auth/user/word", "authorization: Basic dXNlcjp3b3Jk\r\n");
    assert_eq!(basic.status, 200, "another scheme is the app's affair");
}

/// What is kept is kept for somebody, or for their tenant: by what their token says, not by the token.
fn cached_by_principal() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = issue("pyjwt", folder.path());
    let keys = "\"file:FOLDER/RS256\", \"file:FOLDER/ES256\"";
    let running = start(
        folder,
        &format!(
            "[identity]\nauth = \"required\"\n[identity.tokens]\nkeys = [{keys}]\n\
             [[route]]\nmatch = \"GET /uuid\"\ncache = {{ ttl = \"1m\", per = \"principal\" }}\n\
             [[route]]\nmatch = \"GET /anything/*\"\ncache = {{ ttl = \"1m\", per = \"tenant\" }}\n"
        ),
    );
    // httpbin answers another one each time.
    let own = |name: &str| ask(&running, "/uuid", token(&tokens, name)).text();
    let first = own("ES256");
    assert_eq!(
        (own("RS256"), own("one of several audiences")),
        (first.clone(), first.clone()),
        "other tokens of theirs"
    );
    for other in ["somebody else of the tenant", "the same name in another tenant", "the same with fewer scopes"] {
        assert_ne!(own(other), first, "{other}");
        assert_eq!(own(other), own(other), "{other}");
    }
    let shared = |name: &str| ask(&running, "/anything/x", token(&tokens, name));
    let sender = |answer: &Answer| answer.json()["headers"]["Authorization"].as_str().unwrap().to_owned();
    let first = shared("ES256");
    assert_eq!(sender(&shared("somebody else of the tenant")), sender(&first), "what the first one got");
    assert!(shared("RS256").header("age").is_some());
    let other = shared("the same name in another tenant");
    assert!(other.header("age").is_none() && sender(&other) != sender(&first));
}

/// A file server of Python's, and its port.
fn serve(folder: &Path) -> (Child, u16) {
    let mut child = Command::new(program("python3"))
        .args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    let port = line.split("port ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    (child, port)
}

fn key_set() {
    let published = tempfile::tempdir().unwrap();
    let tokens = issue("pyjwt", published.path());
    let (mut server, port) = serve(published.path());
    let running = start(
        tempfile::tempdir().unwrap(),
        &format!(
            "[identity]\nauth = \"required\"\n[identity.tokens]\njwks = \"http://127.0.0.1:{port}/jwks.json\"\n\
             issuer = \"https://id.test\"\naudience = [\"app\"]\n"
        ),
    );
    let status = |name: &str| ask(&running, "/headers", token(&tokens, name)).status;
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        assert_eq!(status(&format!("{algorithm} with the name of its key")), 200);
    }
    // The issuer takes a new key into use: the first token with it brings it in.
    fs::copy(published.path().join("rotated.json"), published.path().join("jwks.json")).unwrap();
    assert_eq!(status("new key"), 200);
    // Names that nobody knows cost one fetch in half a minute.
    let fetches = || {
        let metrics = get(&running.admin, "/metrics").text();
        let line =
            metrics.lines().find(|line| line.starts_with("seaworthy_identity_key_set_fetches_total{result=\"ok\"}"));
        line.unwrap().split(' ').next_back().unwrap().parse::<f64>().unwrap()
    };
    let before = fetches();
    for _ in 0..50 {
        assert_eq!(status("its own key"), 401);
    }
    assert!(fetches() <= before + 1.0, "{before} to {}", fetches());
    assert_eq!(status("HS256"), 401, "there is no such key");
    // Its place is gone: the keys stay.
    kill(nix::unistd::Pid::from_raw(i32::try_from(server.id()).unwrap()), Signal::SIGTERM).unwrap();
    server.wait().unwrap();
    assert_eq!(status("a second one for the set"), 200);

    // Without any keys yet, whoever has a token is told to come back.
    let early = start(
        tempfile::tempdir().unwrap(),
        &format!(
            "[identity]\nauth = \"optional\"\n[identity.tokens]\njwks = \"http://127.0.0.1:{port}/jwks.json\"\n\
             issuer = \"https://id.test\"\naudience = [\"app\"]\n"
        ),
    );
    until("the fetch has failed", Duration::from_secs(10), || early.stderr().contains("no new keys for tokens"));
    let answer = ask(&early, "/headers", token(&tokens, "ES256"));
    assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("SEA_IDENTITY_NO_KEYS")));
    assert_eq!(answer.header("retry-after"), Some("10"));
    assert_eq!(get(&early.url, "/headers").status, 200, "who brings none is anonymous");
}
