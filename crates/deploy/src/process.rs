//! One process of the app, in a process group of its own so that what it starts ends with it.

use std::{io, process::ExitStatus, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use seaworthy_core::{Secret, Shutdown};
use tokio::{
    process::{Child, Command as TokioCommand},
    time::{sleep, timeout},
};

use crate::{
    command::Command,
    output::{LastLines, pass_on},
};

/// How often a process group is looked at while it ends.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running process and what it printed last.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Pid,
    pub last_lines: LastLines,
}

impl Process {
    /// Starts the command with `PORT` set. Its output is passed on by tasks of `tasks`.
    pub(crate) fn start(
        command: &Command,
        environment: &[(String, Secret)],
        port: u16,
        instance: &str,
        tasks: &Shutdown,
    ) -> io::Result<Self> {
        let mut starting = TokioCommand::new(command.program());
        starting.args(command.arguments(port)).env("PORT", port.to_string());
        // Ours are not the app's business, and may hold secrets.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("SEAWORTHY_") && name.contains("__")) {
                starting.env_remove(name);
            }
        }
        for (name, value) in environment {
            starting.env(name, value.expose());
        }
        starting.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = starting.process_group(0).kill_on_drop(true).spawn()?;
        let last_lines = LastLines::default();
        if let Some(stdout) = child.stdout.take() {
            tasks.spawn(pass_on(stdout, instance.to_owned(), "stdout", last_lines.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            tasks.spawn(pass_on(stderr, instance.to_owned(), "stderr", last_lines.clone()));
        }
        let id = child.id().and_then(|id| i32::try_from(id).ok()).ok_or_else(|| io::Error::other("no process id"))?;
        Ok(Self { child, group: Pid::from_raw(id), last_lines })
    }

    /// The process id, also that of its group.
    pub(crate) fn id(&self) -> u32 {
        self.group.as_raw().unsigned_abs()
    }

    /// Waits for the end, and then ends whatever the process left behind in its group.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await;
        self.signal(Signal::SIGKILL);
        status
    }

    /// SIGTERM to the whole group, SIGKILL when `patience` is over. What the process started (a shell's child, a worker)
    /// gets the same patience as the process itself.
    pub(crate) async fn stop(&mut self, patience: Duration) -> io::Result<ExitStatus> {
        self.signal(Signal::SIGTERM);
        let gone = async {
            let status = self.child.wait().await;
            while killpg(self.group, None).is_ok() {
                sleep(LOOK_EVERY).await;
            }
            status
        };
        match timeout(patience, gone).await {
            Ok(status) => status,
            Err(_) => {
                tracing::warn!(pid = self.id(), ?patience, "the app did not stop in time and is killed");
                self.signal(Signal::SIGKILL);
                self.ended().await
            }
        }
    }

    fn signal(&self, signal: Signal) {
        // The group may be gone already, which is what we want.
        let _ = killpg(self.group, signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.signal(Signal::SIGKILL);
        }
    }
}
