//! Processes that take each other's place.

use std::{fs, time::Duration};

use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use seaworthy_core::{InstanceReport, InstanceState, Secret};
use seaworthy_deploy::{FleetError, Health, HealthChecks, Supervisor, Watched};

use crate::{
    support::{Stage, app, get, is_gone, pids, send, until},
    test,
};

pub fn tests() -> Vec<Trial> {
    vec![
        test("a_restart_never_has_fewer_instances", a_restart_never_has_fewer_instances),
        test("a_process_with_requests_is_waited_for", a_process_with_requests_is_waited_for),
        test("requests_that_never_end_are_cut_at_the_deadline", requests_that_never_end_are_cut_at_the_deadline),
        test("a_new_process_that_fails_changes_nothing", a_new_process_that_fails_changes_nothing),
        test("a_refused_plan_is_left_by_every_instance", a_refused_plan_is_left_by_every_instance),
        test("only_what_changed_is_acted_on", only_what_changed_is_acted_on),
        test("a_new_command_replaces_the_processes", a_new_command_replaces_the_processes),
        test("too_much_memory_is_replaced_in_peace", too_much_memory_is_replaced_in_peace),
        test("far_too_much_memory_is_killed", far_too_much_memory_is_killed),
        test("far_too_much_while_it_is_replaced_is_killed", far_too_much_while_it_is_replaced_is_killed),
        test("a_sick_instance_stays_open_and_is_told", a_sick_instance_stays_open_and_is_told),
        test("addresses_are_watched_by_the_same_rule", addresses_are_watched_by_the_same_rule),
    ]
}

async fn a_restart_never_has_fewer_instances() {
    let stage = Stage::set(Supervisor { instances: 3, ..app("") });
    let before = stage.well(3).await;
    stage.recorder.count_from_now();
    stage.handle.restart().await.unwrap();
    let after = stage.well(3).await;
    assert_eq!(stage.recorder.fewest(), 3);
    assert!(pids(&after).iter().all(|pid| !pids(&before).contains(pid)));
    until("the old ones are gone", || pids(&before).into_iter().all(is_gone)).await;
    assert!(after.iter().all(|report| report.restarts == 0), "told to, not by itself");
    stage.strike().await;
}

async fn a_process_with_requests_is_waited_for() {
    let stage = Stage::set(app(""));
    let before = stage.well(1).await;
    let (address, pid) = (&before[0].address, before[0].pid.unwrap());
    stage.recorder.hold(address, 1);
    stage.handle.restart().await.unwrap();
    until("the old one is closed", || stage.recorder.is_well(address).is_none()).await;
    assert_eq!(stage.recorder.open().len(), 1, "the new one was open before");
    // Well beyond the counts that are needed for an end.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!is_gone(pid), "it has a request to answer, and the restart did not wait for that");
    stage.recorder.hold(address, 0);
    until("the old one is gone", || is_gone(pid)).await;
    stage.strike().await;
}

async fn requests_that_never_end_are_cut_at_the_deadline() {
    let stage = Stage::set(Supervisor { stop_timeout: Duration::from_millis(300), ..app("") });
    let before = stage.well(1).await;
    stage.recorder.hold(&before[0].address, 1);
    let since = std::time::Instant::now();
    stage.handle.restart().await.unwrap();
    until("the old one is gone", || is_gone(before[0].pid.unwrap())).await;
    assert!(since.elapsed() >= Duration::from_millis(300));
    stage.strike().await;
}

async fn a_new_process_that_fails_changes_nothing() {
    let stage = Stage::set(Supervisor { instances: 2, ..app("") });
    let before = stage.well(2).await;
    stage.recorder.count_from_now();
    let error = stage.handle.reconfigure(Supervisor { instances: 4, ..app("--broken") }).await.unwrap_err();
    let FleetError::NotReplaced { instance, reason } = error else { panic!("{error}") };
    assert_eq!(instance, "app-1");
    assert!(reason.contains("exit status: 4") && reason.contains("cannot open the database"), "{reason}");
    assert_eq!(pids(&stage.well(2).await), pids(&before));
    assert_eq!(stage.recorder.fewest(), 2);
    // The old plan is the plan again.
    stage.handle.restart().await.unwrap();
    assert_ne!(pids(&stage.well(2).await), pids(&before));
    stage.strike().await;
}

async fn a_refused_plan_is_left_by_every_instance() {
    let folder = tempfile::tempdir().unwrap();
    let once = folder.path().join("once");
    let plan = |words: &str, value: &str| Supervisor {
        instances: 2,
        environment: vec![("V".into(), Secret::new(value))],
        ..app(words)
    };
    let stage = Stage::set(plan("", "1"));
    let before = stage.well(2).await;
    let next = plan(&format!("--fail-as app-1 --once '{}'", once.display()), "2");
    let meanwhile = async {
        let starts = || stage.recorder.lines().iter().any(|line| line.starts_with("app-1 stdout starting with --fail"));
        until("the new app-1 starts", starts).await;
        send(before[1].pid.unwrap(), Signal::SIGKILL);
        let again = |report: &InstanceReport| report.state == InstanceState::Ready && report.pid != before[1].pid;
        let reports = stage.until("app-2 is back", |reports| again(&reports[1])).await;
        assert_eq!(get(&reports[1].address, "/env?V"), "2", "started while the new plan was tried");
        fs::write(&once, "").unwrap();
    };
    let (refused, ()) = tokio::join!(stage.handle.reconfigure(next), meanwhile);
    assert!(matches!(refused, Err(FleetError::NotReplaced { instance, .. }) if instance == "app-1"));
    let after = stage.well(2).await;
    assert!(after.iter().all(|report| get(&report.address, "/env?V") == "1"));
    assert_eq!(after[0].pid, before[0].pid, "it never had the new plan");
    stage.strike().await;
}

async fn only_what_changed_is_acted_on() {
    let stage = Stage::set(app(""));
    let first = stage.well(1).await;
    let mut plan = Supervisor { memory_limit: Some(1_000_000_000), ..app("") };
    plan.checks.health = Health::Connect;
    stage.handle.reconfigure(plan.clone()).await.unwrap();
    assert_eq!(pids(&stage.well(1).await), pids(&first), "no restart for a health check");
    stage.handle.reconfigure(Supervisor { instances: 3, ..plan.clone() }).await.unwrap();
    let three = stage.well(3).await;
    assert_eq!(three[0].pid, first[0].pid);
    stage.recorder.hold(&three[2].address, 1);
    stage.handle.reconfigure(plan).await.unwrap();
    assert_eq!(stage.recorder.open().len(), 1, "the others are closed");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!is_gone(three[2].pid.unwrap()), "it has a request to answer");
    stage.recorder.hold(&three[2].address, 0);
    assert_eq!(pids(&stage.well(1).await), pids(&first));
    assert!(is_gone(three[1].pid.unwrap()) && is_gone(three[2].pid.unwrap()));
    stage.strike().await;
}

async fn a_new_command_replaces_the_processes() {
    let stage = Stage::set(Supervisor { instances: 2, ..app("old") });
    let before = stage.well(2).await;
    stage.recorder.count_from_now();
    stage.handle.reconfigure(Supervisor { instances: 2, ..app("new") }).await.unwrap();
    let after = stage.well(2).await;
    assert!(pids(&after).iter().all(|pid| !pids(&before).contains(pid)));
    assert_eq!(stage.recorder.fewest(), 2);
    assert!(stage.recorder.lines().iter().any(|line| line == "app-2 stdout starting with new"));
    let addresses = Watched { addresses: Vec::new(), checks: app("").checks };
    assert_eq!(stage.handle.reconfigure(addresses).await, Err(FleetError::OtherKind));
    stage.strike().await;
}

async fn too_much_memory_is_replaced_in_peace() {
    let stage = Stage::set(Supervisor { memory_limit: Some(100_000_000), ..app("") });
    let before = stage.well(1).await;
    stage.recorder.count_from_now();
    stage.recorder.hold(&before[0].address, 1);
    get(&before[0].address, "/grow?110");
    let after = stage.until("it is replaced", |reports| reports[0].pid != before[0].pid).await;
    assert_eq!(after[0].restarts, 0, "replaced, not ended");
    assert_eq!(stage.recorder.fewest(), 1);
    assert!(!is_gone(before[0].pid.unwrap()), "it has a request to answer");
    stage.recorder.hold(&before[0].address, 0);
    until("the old one is gone", || is_gone(before[0].pid.unwrap())).await;
    stage.strike().await;
}

async fn far_too_much_memory_is_killed() {
    let stage = Stage::set(Supervisor { memory_limit: Some(40_000_000), ..app("") });
    let before = stage.well(1).await;
    get(&before[0].address, "/grow?80");
    let after = stage.until("it is started again", |reports| reports[0].restarts == 1).await;
    assert_eq!(after[0].last_exit.as_deref(), Some("signal: 9 (SIGKILL)"));
    stage.well(1).await;
    stage.strike().await;
}

async fn far_too_much_while_it_is_replaced_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let wait = folder.path().join("wait");
    let words = format!("--wait-while '{}'", wait.display());
    let stage = Stage::set(Supervisor { memory_limit: Some(100_000_000), ..app(&words) });
    let before = stage.well(1).await;
    fs::write(&wait, "").unwrap();
    get(&before[0].address, "/grow?110");
    let starts = || stage.recorder.lines().iter().filter(|line| line.contains("starting with")).count();
    until("its replacement starts", || starts() == 2).await;
    get(&before[0].address, "/grow?80");
    until("it is killed before the new one is well", || is_gone(before[0].pid.unwrap())).await;
    fs::remove_file(&wait).unwrap();
    stage.well(1).await;
    stage.strike().await;
}

async fn a_sick_instance_stays_open_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let sick = folder.path().join("sick");
    let stage = Stage::set(app(&format!("--sick '{}'", sick.display())));
    let reports = stage.well(1).await;
    fs::write(&sick, "").unwrap();
    stage.until("it is unwell", |reports| reports[0].state == InstanceState::Unhealthy).await;
    assert_eq!(stage.recorder.is_well(&reports[0].address), Some(false));
    assert!(!stage.readiness.is_ready());
    fs::remove_file(&sick).unwrap();
    assert_eq!(stage.well(1).await[0].pid, reports[0].pid);
    assert_eq!(stage.recorder.is_well(&reports[0].address), Some(true));
    stage.strike().await;
}

async fn addresses_are_watched_by_the_same_rule() {
    let folder = tempfile::tempdir().unwrap();
    let sick = folder.path().join("sick");
    fs::write(&sick, "").unwrap();
    // Two apps that the watching fleet did not start; one of them is not well yet.
    let checks = HealthChecks { health: Health::Connect, ..app("").checks };
    let sickly = Stage::set(Supervisor { checks, ..app(&format!("--sick '{}'", sick.display())) });
    let healthy = Stage::set(app(""));
    let (first, second) = (sickly.well(1).await[0].address.clone(), healthy.well(1).await[0].address.clone());
    let watched = |list: &[&String]| Watched {
        addresses: list.iter().map(|address| address.parse().unwrap()).collect(),
        checks: app("").checks,
    };
    let stage = Stage::set(watched(&[&first, &second]));
    stage
        .until("one is well, one is not", |reports| {
            reports[0].state == InstanceState::Unhealthy && reports[1].state == InstanceState::Ready
        })
        .await;
    assert_eq!(stage.recorder.open(), std::slice::from_ref(&second), "opened at the first good answer");
    assert!(stage.readiness.is_ready());
    fs::remove_file(&sick).unwrap();
    let reports = stage.well(2).await;
    assert!(reports.iter().all(|report| report.pid.is_none()));
    fs::write(&sick, "").unwrap();
    until("it is told", || stage.recorder.is_well(&first) == Some(false)).await;
    assert_eq!(stage.handle.restart().await, Err(FleetError::NotOurs));
    stage.handle.reconfigure(watched(&[&second])).await.unwrap();
    assert_eq!(stage.recorder.open(), [second]);
    stage.strike().await;
    sickly.strike().await;
    healthy.strike().await;
}
