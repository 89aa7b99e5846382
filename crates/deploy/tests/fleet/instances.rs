//! Instances that run, end, come back, or never do.

use std::{collections::HashSet, time::Duration};

use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use seaworthy_core::{Condition, InstanceReport, InstanceState};
use seaworthy_deploy::{Pacing, Supervisor, SupervisorError};

use crate::{
    support::{Stage, app, get, is_gone, pids, send, until},
    test,
};

pub fn tests() -> Vec<Trial> {
    vec![
        test("every_instance_has_a_port_and_a_name", every_instance_has_a_port_and_a_name),
        test("a_killed_instance_comes_back", a_killed_instance_comes_back),
        test("a_crash_loop_is_recognised", a_crash_loop_is_recognised),
        test("an_app_that_never_starts_ends_it", an_app_that_never_starts_ends_it),
        test("a_program_that_is_not_there_ends_it", a_program_that_is_not_there_ends_it),
        test("orphans_are_killed_and_reaped", orphans_are_killed_and_reaped),
        test("an_app_that_ignores_sigterm_is_killed", an_app_that_ignores_sigterm_is_killed),
        test("lines_arrive_with_their_instance", lines_arrive_with_their_instance),
    ]
}

async fn every_instance_has_a_port_and_a_name() {
    let stage = Stage::set(Supervisor { instances: 3, ..app("") });
    stage.handle.well().await;
    let reports = stage.well(3).await;
    let addresses: HashSet<&str> = reports.iter().map(|report| report.address.as_str()).collect();
    assert_eq!(addresses.len(), 3);
    assert_eq!(stage.recorder.open().len(), 3);
    for (report, name) in reports.iter().zip(["app-1", "app-2", "app-3"]) {
        assert_eq!(report.id, name);
        assert_eq!(get(&report.address, "/env?SEAWORTHY_INSTANCE"), name);
        assert_eq!(get(&report.address, "/env?SEAWORTHY_URL"), "http://127.0.0.1:1/api");
        assert_eq!(get(&report.address, "/env?SEAWORTHY_TOKEN"), "token-1");
        assert_eq!(get(&report.address, "/env?COLOUR"), "blue");
        assert!(report.address.ends_with(&get(&report.address, "/env?PORT")));
    }
    stage.until("memory is measured", |reports| reports.iter().all(|report| report.memory_bytes > Some(0))).await;
    stage.strike().await;
}

async fn a_killed_instance_comes_back() {
    let stage = Stage::set(Supervisor { instances: 2, ..app("") });
    let before = stage.well(2).await;
    send(before[0].pid.unwrap(), Signal::SIGKILL);
    let killed = before[0].pid;
    stage.until("it was noticed", |reports| reports[0].pid != killed || reports[0].restarts == 1).await;
    assert!(stage.recorder.is_well(&before[0].address).is_none(), "no request goes there");
    let after = stage.well(2).await;
    assert_ne!(after[0].pid, killed);
    assert_eq!(after[0].restarts, 1);
    assert_eq!(after[0].last_exit.as_deref(), Some("signal: 9 (SIGKILL)"));
    assert_eq!((after[1].pid, after[1].restarts), (before[1].pid, 0), "the other one was left alone");
    stage.strike().await;
}

async fn a_crash_loop_is_recognised() {
    let pacing = Pacing { longest_pause: Duration::from_secs(3600), ..app("").pacing };
    let stage = Stage::set(Supervisor { pacing, ..app("") });
    for restarts in 0..5 {
        let up = |report: &InstanceReport| report.state == InstanceState::Ready && report.restarts == restarts;
        let reports = stage.until("it is up", |reports| up(&reports[0])).await;
        assert!(!reports[0].crash_loop);
        get(&reports[0].address, "/crash");
    }
    let reports = stage.until("the crash loop", |reports| reports[0].state == InstanceState::CrashLoop).await;
    assert!(reports[0].crash_loop && reports[0].pid.is_none());
    assert_eq!(reports[0].restarts, 5);
    assert_eq!(reports[0].last_exit.as_deref(), Some("exit status: 3"));
    let Condition::Failed(why) = stage.readiness.conditions()["app"].clone() else { panic!() };
    assert!(
        why.starts_with("0 of 1 instances are healthy (app-1: crash loop: it ended with exit status: 3; "),
        "{why}"
    );
    assert!(why.contains("next start at ") && why.ends_with(" UTC)"), "{why}");
    // Who restarts it, perhaps with a better database, need not wait for the long pause.
    stage.handle.restart().await.unwrap();
    stage.well(1).await;
    stage.strike().await;
}

async fn an_app_that_never_starts_ends_it() {
    let stage = Stage::set(Supervisor { instances: 2, ..app("--broken") });
    let error = stage.failed().await;
    let SupervisorError::NeverWell { reason, output, hint } = error else { panic!("{error}") };
    assert!(hint.contains("last lines") && !hint.contains("PORT"), "{hint}");
    assert!(reason.contains("exit status: 4"), "{reason}");
    assert!(output.contains("cannot open the database"), "{output}");
}

async fn a_program_that_is_not_there_ends_it() {
    let command = seaworthy_deploy::Command::parse("surely-no-such-program").unwrap();
    let error = Stage::set(Supervisor { command, ..app("") }).failed().await;
    assert!(error.to_string().contains("`surely-no-such-program`"), "{error}");
}

async fn orphans_are_killed_and_reaped() {
    let stage = Stage::set(app(""));
    let reports = stage.well(1).await;
    let orphan: u32 = get(&reports[0].address, "/orphan").parse().unwrap();
    // While the app runs, an orphan that ends is reaped and one that does not is left alone.
    let ended: u32 = get(&reports[0].address, "/orphan").parse().unwrap();
    send(ended, Signal::SIGTERM);
    until("the ended orphan is reaped", || is_gone(ended)).await;
    assert!(!is_gone(orphan));
    send(reports[0].pid.unwrap(), Signal::SIGKILL);
    until("the orphan is gone, status and all", || is_gone(orphan)).await;
    let next = stage.until("it is back", |reports| reports[0].restarts == 1 && reports[0].pid.is_some()).await;
    stage.well(1).await;
    let another: u32 = get(&next[0].address, "/orphan").parse().unwrap();
    stage.strike().await;
    assert!(is_gone(another), "nothing outlives the fleet");
}

async fn an_app_that_ignores_sigterm_is_killed() {
    let own = std::env::current_exe().unwrap();
    let line = format!("sh -c \"trap '' TERM; '{}' app & while :; do sleep 1; done\"", own.display());
    let command = seaworthy_deploy::Command::parse(&line).unwrap();
    let stage = Stage::set(Supervisor { command, stop_timeout: Duration::from_millis(200), ..app("") });
    let reports = stage.well(1).await;
    let pid = pids(&reports)[0];
    stage.strike().await;
    assert!(is_gone(pid));
}

async fn lines_arrive_with_their_instance() {
    let stage = Stage::set(Supervisor { instances: 2, ..app("'a b'") });
    stage.well(2).await;
    let has = |line: &str| stage.recorder.lines().iter().any(|other| other == line);
    until("both have spoken", || has("app-1 stdout starting with a b") && has("app-2 stdout starting with a b")).await;
    stage.strike().await;
}
