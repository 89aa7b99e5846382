//! A Seaworthy that is killed with SIGKILL, played by this test's own binary, and its app.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use libtest_mimic::Trial;
use seaworthy_deploy::{Supervisor, launch_app};

use crate::{
    support::{Stage, app, is_gone, until},
    test,
};

pub fn tests() -> Vec<Trial> {
    vec![test("the_app_does_not_outlive_us", the_app_does_not_outlive_us)]
}

/// `launch-app --parent PID -- COMMAND`, as the command line of Seaworthy reads it.
pub fn launch(words: &[String]) {
    let command: Vec<_> = words.iter().skip(3).map(Into::into).collect();
    eprintln!("{}", launch_app(words[1].parse().unwrap(), &command));
    std::process::exit(127);
}

/// Runs a fleet through the launcher until it is killed, and prints the app's process id.
pub fn supervise() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let stage = Stage::set(Supervisor { launcher: Some(env::current_exe().unwrap()), ..app("launched") });
        println!("{}", stage.well(1).await[0].pid.unwrap());
        std::future::pending::<()>().await;
    });
}

async fn the_app_does_not_outlive_us() {
    let mut ours =
        Killed(Command::new(env::current_exe().unwrap()).arg("supervise").stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(ours.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let app: u32 = line.trim().parse().unwrap();
    // The process became the app: the launcher is no longer there.
    let words = std::fs::read_to_string(format!("/proc/{app}/cmdline")).unwrap();
    assert!(words.contains("app\0launched") && !words.contains("launch-app"), "{words:?}");
    ours.0.kill().unwrap();
    ours.0.wait().unwrap();
    until("the app is gone", || is_gone(app) || is_zombie(app)).await;
}

/// Ended; its status is for whoever inherits it, which is not us.
fn is_zombie(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

/// Ends with the test, however that ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
