//! The cache below the memory: the disk over a kill, and Redis between two nodes.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};

use crate::{
    cache::{App, purge},
    http::{Answer, get, send},
    rates::{REDIS, Redis, free_port},
    support::{Running, test, test_with, until},
};

pub fn tests() -> Vec<Trial> {
    vec![
        test("an_answer_on_the_disk_is_there_after_a_kill_and_a_purged_one_is_not", the_disk_over_a_kill),
        test("many_that_wait_look_on_the_disk_once", many_that_wait_look_once),
        test("a_reload_keeps_the_disk_and_takes_it_away", a_reload_keeps_the_disk_and_takes_it_away),
        test("a_disk_that_cannot_be_used_costs_no_answer", a_disk_that_cannot_be_used_costs_no_answer),
        test_with("two_nodes_share_answers_and_removals", &[REDIS], two_nodes_share_answers_and_removals),
        test_with("a_redis_that_is_killed_costs_the_cache_no_answer", &[REDIS], a_redis_that_is_killed_costs_no_answer),
    ]
}

const DISK: &str = "[cache]\npolicy = true\nmemory = \"16MiB\"\ndisk = \"64MiB\"\n";

/// Asks for a path on the same site, whatever port it is reached at.
fn ask(address: &str, request: &str, headers: &str) -> Answer {
    let head = format!("{request} HTTP/1.1\r\nhost: app.test\r\nconnection: close\r\n{headers}\r\n");
    send(address, head.as_bytes()).unwrap()
}

fn got(running: &Running, path: &str) -> Answer {
    ask(&running.url, &format!("GET {path}"), "")
}

/// Kills it as a crash would, and starts it again in the same folder.
fn killed_and_started(mut running: Running) -> Running {
    kill(running.pid(), Signal::SIGKILL).unwrap();
    running.ended(Duration::from_secs(10));
    let folder = running.take_folder();
    Running::start_in(folder, &[] as &[&str])
}

fn counted(running: &Running, name: &str) -> f64 {
    let metrics = get(&running.admin, "/metrics").text();
    let line = metrics.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}

fn written(running: &Running, least: f64) {
    let name = "seaworthy_cache_tier_writes_total{tier=\"disk\"}";
    until("it is written", Duration::from_secs(10), || counted(running, name) >= least);
}

fn the_disk_over_a_kill() {
    let app = App::start();
    let running = app.behind(DISK);
    let lasting = "cache-control: max-age=600\r\ncache-tag: docs\r\n";
    for path in ["/kept", "/purged", "/tagged/1", "/changed", "/prefix/1"] {
        app.says(path, 200, if path.starts_with("/tagged") { lasting } else { "cache-control: max-age=600\r\n" });
        assert_eq!(got(&running, path).text(), "answer 1");
    }
    app.says("/varies", 200, "cache-control: max-age=600\r\nvary: accept-language\r\n");
    got(&running, "/varies");
    written(&running, 6.0);
    assert_eq!(purge(&running, "{\"url\":\"/purged\"}").json()["purged"], 1);
    assert_eq!(purge(&running, "{\"tag\":\"docs\"}").json()["purged"], 1);
    assert_eq!(purge(&running, "{\"prefix\":\"/prefix/\"}").json()["purged"], 1);
    assert_eq!(ask(&running.url, "PUT /changed", "content-length: 0\r\n").status, 200);
    thread::sleep(Duration::from_millis(1_100));
    let running = killed_and_started(running);
    let kept = got(&running, "/kept");
    let status = kept.header("cache-status").unwrap().to_owned();
    assert_eq!((kept.text().as_str(), app.asked("/kept")), ("answer 1", 1), "{status}");
    assert!(status.starts_with("seaworthy; hit; ttl=") && status.ends_with("; detail=disk"), "{status}");
    let age: u64 = kept.header("age").unwrap().parse().unwrap();
    assert!((1..60).contains(&age), "its age went on: {age}");
    let again = got(&running, "/kept");
    assert!(!again.header("cache-status").unwrap().contains("detail"), "it is in memory now");
    assert_eq!((got(&running, "/varies").text().as_str(), app.asked("/varies")), ("answer 1", 1));
    for path in ["/purged", "/tagged/1", "/prefix/1"] {
        assert_eq!(got(&running, path).text(), "answer 2", "{path}");
    }
    assert_eq!(got(&running, "/changed").text(), "answer 3");
    // Who asks whether it has changed, or for a part, is answered from there too.
    app.says("/part", 200, "cache-control: max-age=600\r\netag: \"one\"\r\n");
    // The four that were fetched anew are written before it.
    written(&running, 4.0);
    got(&running, "/part");
    written(&running, 5.0);
    let running = killed_and_started(running);
    let part = ask(&running.url, "GET /part", "range: bytes=0-5\r\n");
    assert_eq!((part.status, part.text().as_str(), app.asked("/part")), (206, "answer", 1));
    assert_eq!(ask(&running.url, "GET /part", "if-none-match: \"one\"\r\n").status, 304);
}

fn many_that_wait_look_once() {
    let app = App::start();
    let running = app.behind(DISK);
    app.says("/a", 200, "cache-control: max-age=600\r\n");
    got(&running, "/a");
    written(&running, 1.0);
    let running = killed_and_started(running);
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let address = running.url.clone();
            thread::spawn(move || ask(&address, "GET /a", "").text())
        })
        .collect();
    let answers: HashSet<String> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert_eq!((answers, app.asked("/a")), (HashSet::from(["answer 1".to_owned()]), 1));
    assert_eq!(counted(&running, "seaworthy_cache_tier_hits_total{tier=\"disk\"}"), 1.0);
    assert_eq!(counted(&running, "seaworthy_cache_tier_misses_total{tier=\"disk\"}"), 0.0);
    // What cannot be kept is looked for once, and not for every request.
    app.says("/own", 200, "cache-control: private\r\n");
    (0..5).for_each(|_| drop(got(&running, "/own")));
    assert_eq!(counted(&running, "seaworthy_cache_tier_misses_total{tier=\"disk\"}"), 1.0);
}

fn a_reload_keeps_the_disk_and_takes_it_away() {
    let app = App::start();
    let running = app.behind(DISK);
    app.says("/a", 200, "cache-control: max-age=600\r\n");
    got(&running, "/a");
    written(&running, 1.0);
    let file = running.folder.path().join("seaworthy.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    let reload = |text: String, reloads: u64| {
        std::fs::write(&file, text).unwrap();
        kill(running.pid(), Signal::SIGHUP).unwrap();
        until("it is reloaded", Duration::from_secs(10), || {
            get(&running.admin, "/status").json()["config"]["reloads"].as_u64() >= Some(reloads)
        });
    };
    // No memory: what is given comes from the disk.
    reload(config.replace("16MiB", "100B").replace("[cache]", "[cache]\nlargest = \"50B\""), 1);
    let answer = got(&running, "/a");
    assert_eq!((answer.text().as_str(), app.asked("/a")), ("answer 1", 1));
    let database = running.folder.path().join(".seaworthy/cache.db");
    assert!(database.exists());
    reload(config.replace("disk = \"64MiB\"\n", ""), 2);
    until("it is gone", Duration::from_secs(5), || !database.exists());
    assert!(get(&running.admin, "/status").json()["cache"]["disk"].is_null());
    assert_eq!(got(&running, "/b").status, 200);
}

fn a_disk_that_cannot_be_used_costs_no_answer() {
    let app = App::start();
    let running = app.behind(&DISK.replace("disk =", "disk_path = \"/proc/no/such/folder/cache.db\"\ndisk ="));
    app.says("/a", 200, "cache-control: max-age=600\r\n");
    assert_eq!(got(&running, "/a").text(), "answer 1");
    assert_eq!(got(&running, "/a").text(), "answer 1");
    assert_eq!(purge(&running, "{\"url\":\"/a\"}").json()["purged"], 1);
    assert_eq!(got(&running, "/a").text(), "answer 2");
    until("it is said", Duration::from_secs(10), || {
        let said = running.stderr();
        said.contains("SEA_CACHE_DISK") && said.contains("/proc/no/such/folder")
    });
}

fn node(app: &App, redis: &Redis, more: &str) -> Running {
    let node = app.behind(&format!(
        "[store]\nredis = \"redis://127.0.0.1:{}\"\npatience = \"500ms\"\n[cache]\npolicy = true\nshared = true\n{more}",
        redis.port
    ));
    shares(&node);
    node
}

fn shares(node: &Running) {
    until("the nodes share", Duration::from_secs(20), || {
        get(&node.admin, "/status").json()["cache"]["shared"].as_bool() == Some(true)
    });
}

/// Asks until it is a hit there without the app; a write is on its way for a moment.
fn becomes_a_hit(node: &Running, app: &App, path: &str, text: &str) -> Answer {
    let asked = app.asked(path);
    thread::sleep(Duration::from_millis(300));
    let answer = got(node, path);
    assert_eq!((answer.text().as_str(), app.asked(path)), (text, asked), "{path}: {:?}", answer.header("cache-status"));
    answer
}

fn two_nodes_share_answers_and_removals() {
    let app = App::start();
    let redis = Redis::start(free_port());
    let (one, other) = (node(&app, &redis, ""), node(&app, &redis, "disk = \"64MiB\"\n"));
    let lasting = "cache-control: max-age=600\r\ncache-tag: docs\r\n";
    for path in ["/url", "/prefix/1", "/tag", "/changed"] {
        app.says(path, 200, lasting);
        assert_eq!(got(&one, path).text(), "answer 1");
        let hit = becomes_a_hit(&other, &app, path, "answer 1");
        assert!(hit.header("cache-status").unwrap().ends_with("; detail=redis"), "{:?}", hit.header("cache-status"));
        assert!(got(&other, path).header("cache-status").unwrap().starts_with("seaworthy; hit"));
    }
    for (path, order) in
        [("/url", "{\"url\":\"/url\"}"), ("/prefix/1", "{\"prefix\":\"/prefix/\"}"), ("/tag", "{\"tag\":\"docs\"}")]
    {
        assert!(purge(&one, order).json()["purged"].as_u64() >= Some(1), "{order}");
        let before = app.asked(path);
        until("the purge holds on the other node", Duration::from_secs(5), || got(&other, path).text() != "answer 1");
        assert_eq!(app.asked(path), before + 1);
        becomes_a_hit(&one, &app, path, "answer 2");
    }
    app.says("/changed", 200, lasting);
    got(&other, "/changed");
    let before = got(&other, "/changed").text();
    assert_eq!(ask(&one.url, "PUT /changed", "content-length: 0\r\n").status, 200);
    until("the change holds on the other node", Duration::from_secs(5), || got(&other, "/changed").text() != before);
    // What is one user's stays that user's on the other node.
    let policy = "[[route]]\nmatch = \"/own\"\ncache = { ttl = \"10m\", per = \"principal\", cookies = [\"sid\"] }\n";
    let (one, other) = (node(&app, &redis, policy), node(&app, &redis, policy));
    let own = |node: &Running, sid: &str| ask(&node.url, "GET /own", &format!("cookie: sid={sid}\r\n")).text();
    let first = own(&one, "1");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(own(&other, "1"), first);
    assert_ne!(own(&other, "2"), first);
    assert_ne!(ask(&other.url, "GET /own", "").text(), first);
}

fn a_redis_that_is_killed_costs_no_answer() {
    let app = App::start();
    let redis = Redis::start(free_port());
    let port = redis.port;
    let (one, other) = (node(&app, &redis, ""), node(&app, &redis, ""));
    let stop = Arc::new(AtomicBool::new(false));
    for number in 0..40 {
        app.says(&format!("/{number}"), 200, "cache-control: max-age=1\r\n");
    }
    let clients: Vec<_> = [&one.url, &other.url]
        .into_iter()
        .map(|url| {
            let (url, stop) = (url.clone(), stop.clone());
            thread::spawn(move || {
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    let answer = ask(&url, &format!("GET /{}", count % 40), "");
                    assert_eq!(answer.status, 200);
                    count += 1;
                }
                count
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(1_500));
    drop(redis);
    thread::sleep(Duration::from_millis(1_500));
    let refused = purge(&one, "{\"url\":\"/1\"}");
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("SEA_CACHE_PURGE_INCOMPLETE")));
    let redis = Redis::start(port);
    shares(&one);
    shares(&other);
    thread::sleep(Duration::from_millis(500));
    stop.store(true, Ordering::Relaxed);
    assert!(clients.into_iter().all(|client| client.join().unwrap() > 50));
    app.says("/again", 200, "cache-control: max-age=600\r\n");
    until("answers are shared again", Duration::from_secs(20), || {
        assert_eq!(purge(&one, "{\"url\":\"/again\"}").status, 200);
        let text = got(&one, "/again").text();
        thread::sleep(Duration::from_millis(300));
        got(&other, "/again").text() == text
    });
    drop(redis);
}
