//! A Seaworthy that is killed with SIGKILL, played by this test's own binary, and its app.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use libtest_mimic::Trial;
use seaworthy_deploy::{Supervisor, launch_app};

use crate::{
    support::{Stage, app, get, is_gone, is_zombie, until},
    test,
};

pub fn tests() -> Vec<Trial> {
    vec![
        test("the_app_does_not_outlive_us", the_app_does_not_outlive_us),
        test("nor_does_what_the_app_started", nor_does_what_the_app_started),
    ]
}

/// `launch-app --parent PID -- COMMAND`, as the command line of Seaworthy reads it.
pub fn launch(words: &[String]) {
    let command: Vec<_> = words.iter().skip(3).map(Into::into).collect();
    eprintln!("{}", launch_app(words[1].parse().unwrap(), &command));
    std::process::exit(127);
}

/// Runs a fleet through the launcher until it is killed, and prints the ids of what it started and of what answers.
pub fn supervise(line: &str) {
    let command = seaworthy_deploy::Command::parse(line).unwrap();
    let launcher = Some(env::current_exe().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let stage = Stage::set(Supervisor { command, launcher, ..app("") });
        let reports = stage.well(1).await;
        println!("{} {}", reports[0].pid.unwrap(), get(&reports[0].address, "/pid"));
        std::future::pending::<()>().await;
    });
}

async fn the_app_does_not_outlive_us() {
    let own = env::current_exe().unwrap();
    let (started, answers) = killed(&format!("'{}' app launched", own.display())).await;
    assert_eq!(started, answers, "the process became the app");
}

async fn nor_does_what_the_app_started() {
    let own = env::current_exe().unwrap();
    let (started, answers) = killed(&format!("sh -c \"'{}' app; true\"", own.display())).await;
    assert_ne!(started, answers, "the shell runs the app");
}

/// Runs a command under a Seaworthy, kills that one, and waits until what it started and what answered are gone.
async fn killed(line: &str) -> (u32, u32) {
    let mut starting = Command::new(env::current_exe().unwrap());
    let mut ours = Killed(starting.args(["supervise", line]).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(ours.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let (started, answers) = line.trim().split_once(' ').unwrap();
    let (started, answers) = (started.parse().unwrap(), answers.parse().unwrap());
    let words = std::fs::read_to_string(format!("/proc/{started}/cmdline")).unwrap();
    assert!(!words.contains("launch-app"), "{words:?}");
    ours.0.kill().unwrap();
    ours.0.wait().unwrap();
    for pid in [started, answers] {
        until("the app is gone", || is_gone(pid) || is_zombie(pid)).await;
    }
    (started, answers)
}

/// Ends with the test, however that ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
