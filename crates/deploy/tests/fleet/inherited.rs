//! What an app leaves behind, and who ends it. The part of Seaworthy is played by this test's own binary, because the end
//! of one would be the end of every other fleet in its process.

use std::{
    env,
    os::unix::process::CommandExt,
    process::{Child, Command},
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use nix::{sys::signal::Signal, unistd::Pid};
use seaworthy_deploy::{Supervisor, kill_descendants};

use crate::{
    support::{Stage, app, get, is_gone, is_zombie, send, until},
    test,
};

pub fn tests() -> Vec<Trial> {
    vec![
        test("daemons_are_reaped_and_ended_at_the_end", daemons_are_reaped_and_ended_at_the_end),
        Trial::test(
            "an_end_in_the_middle_of_a_stop_kills_the_whole_group",
            an_end_in_the_middle_of_a_stop_kills_the_whole_group,
        ),
    ]
}

async fn daemons_are_reaped_and_ended_at_the_end() {
    let status = Command::new(env::current_exe().unwrap()).arg("inherit").status().unwrap();
    assert!(status.success(), "see above");
}

/// The other side of the test; a panic is its exit status.
pub fn inherit() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // As when a shell starts something and becomes us.
    let mut older = sleeping();
    runtime.block_on(async {
        let stage = Stage::set(app(""));
        let reports = stage.well(1).await;
        let daemon = || async {
            let pid = get(&reports[0].address, "/daemon").parse::<i32>().unwrap();
            let id = Pid::from_raw(pid);
            until("it has a session of its own", || nix::unistd::getpgid(Some(id)) == Ok(id)).await;
            pid.unsigned_abs()
        };
        let (first, second) = (daemon().await, daemon().await);
        send(first, Signal::SIGTERM);
        until("a daemon that ended is reaped", || is_gone(first)).await;
        assert!(!is_gone(second), "a daemon is left alone while the app runs");
        stage.strike().await;
        assert!(!is_zombie(second));
        kill_descendants(Duration::from_secs(10));
        assert!(is_gone(second), "no daemon outlives us, and its status is taken");
        let stage = Stage::set(app(""));
        let reports = stage.well(1).await;
        kill_descendants(Duration::from_secs(10));
        let pid = reports[0].pid.unwrap();
        until("nor does an app that was not stopped", || is_zombie(pid) || is_gone(pid)).await;
    });
    assert!(older.try_wait().unwrap().is_none(), "it is not the app's");
    older.kill().unwrap();
    older.wait().unwrap();
}

fn sleeping() -> Child {
    Command::new("sleep").arg("600").process_group(0).spawn().unwrap()
}

/// The leader ends at SIGTERM and its child does not; then we are told to end at once.
fn an_end_in_the_middle_of_a_stop_kills_the_whole_group() -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let own = env::current_exe()?;
    let line =
        format!("sh -c \"trap '' TERM; sleep 600 & echo child $!; trap - TERM; '{}' app & wait\"", own.display());
    let command = seaworthy_deploy::Command::parse(&line)?;
    let child = runtime.block_on(async {
        let stage = Stage::set(Supervisor { command, ..app("") });
        let leader = stage.well(1).await[0].pid.unwrap();
        let said = || {
            stage.recorder.lines().iter().find_map(|line| line.strip_prefix("app-1 stdout child ")?.parse::<u32>().ok())
        };
        until("it has said who its child is", || said().is_some()).await;
        let child: u32 = said().unwrap();
        stage.begin_to_stop();
        until("the leader has ended", || is_gone(leader)).await;
        assert!(!is_gone(child) && !is_zombie(child), "it ignores the signal");
        child
    });
    drop(runtime);
    let ended = || is_gone(child) || is_zombie(child);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(until("the child is killed", ended));
    Ok(())
}
