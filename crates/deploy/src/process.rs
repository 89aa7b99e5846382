//! One process of the app, in a process group of its own so that what it starts ends with it.

use std::{ffi::OsStr, io, process::ExitStatus, process::Stdio, sync::Arc, time::Duration};

use nix::sys::signal::Signal;
use seaworthy_core::{AppOutput, Shutdown};
use tokio::{
    process::{Child, Command as TokioCommand},
    time::timeout,
};

use crate::{
    family,
    group::Group,
    guard::Guard,
    launch::{find_program, launching},
    output::{LastLines, pass_on},
    plan::Supervisor,
    spawner::Spawner,
};

/// A running process and what it printed last.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Group,
    /// The thread that started it must live as long as it does.
    _spawner: Spawner,
    guard: Guard,
    /// Nothing is left of the group. Its id may be another's by now, and must get no signal any more.
    cleared: bool,
    pub last_lines: LastLines,
}

/// What it takes to start one.
pub(crate) struct Launch<'a> {
    pub plan: &'a Supervisor,
    /// `app-1`.
    pub instance: &'a str,
    pub port: u16,
    pub spawner: &'a Spawner,
    pub guard: &'a Guard,
    pub output: &'a Arc<dyn AppOutput>,
    /// Counts the tasks that read its output.
    pub readers: &'a Shutdown,
}

impl Process {
    /// Starts it with `PORT` and our variables set.
    pub(crate) async fn start(launch: Launch<'_>) -> io::Result<Self> {
        let mut starting = command(&launch)?;
        starting.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        starting.process_group(0).kill_on_drop(true);
        let mut child = launch.spawner.spawn(starting).await?;
        let last_lines = LastLines::default();
        let (instance, output) = (launch.instance, launch.output);
        if let Some(stdout) = child.stdout.take() {
            let reading = pass_on(stdout, instance.to_owned(), "stdout", output.clone(), last_lines.clone());
            launch.readers.spawn(reading);
        }
        if let Some(stderr) = child.stderr.take() {
            let reading = pass_on(stderr, instance.to_owned(), "stderr", output.clone(), last_lines.clone());
            launch.readers.spawn(reading);
        }
        let group = child.id().and_then(Group::of).ok_or_else(|| io::Error::other("no process id"))?;
        let (guard, spawner) = (launch.guard.clone(), launch.spawner.clone());
        guard.watch_over(group);
        Ok(Self { child, group, _spawner: spawner, guard, cleared: false, last_lines })
    }

    /// The process id, also that of its group.
    pub(crate) fn id(&self) -> u32 {
        self.group.id()
    }

    /// Its group.
    pub(crate) fn group(&self) -> Group {
        self.group
    }

    /// Waits for the end, and then ends whatever the process left behind in its group.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await;
        if !self.cleared && self.group.clear().await {
            self.note_cleared();
        }
        status
    }

    /// SIGTERM to the whole group, SIGKILL when `patience` is over. What the process started (a shell's child, a worker)
    /// gets the same patience as the process itself.
    pub(crate) async fn stop(&mut self, patience: Duration) -> io::Result<ExitStatus> {
        if self.cleared {
            return self.child.wait().await;
        }
        self.group.signal(Signal::SIGTERM);
        let gone = async {
            let status = self.child.wait().await;
            self.group.gone().await;
            status
        };
        match timeout(patience, gone).await {
            Ok(status) => {
                self.note_cleared();
                status
            }
            Err(_) => {
                tracing::warn!(pid = self.id(), ?patience, "the app did not stop in time and is killed");
                self.kill();
                self.ended().await
            }
        }
    }

    /// SIGKILL to the whole group.
    pub(crate) fn kill(&self) {
        if !self.cleared {
            self.group.signal(Signal::SIGKILL);
        }
    }

    fn note_cleared(&mut self) {
        self.cleared = true;
        self.guard.forget(self.group);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The leader's end says nothing of what it has started. The guard looks at the same group once more.
        self.kill();
        family::forget(self.id());
    }
}

/// The command line with its environment.
fn command(launch: &Launch<'_>) -> io::Result<TokioCommand> {
    let Launch { plan, instance, port, .. } = launch;
    let (program, arguments) = (plan.command.program(), plan.command.arguments(*port));
    let mut starting = match &plan.launcher {
        Some(launcher) => {
            let path = plan.environment.iter().find(|(name, _)| name == "PATH");
            find_program(program, path.map(|(_, value)| OsStr::new(value.expose())))?;
            let (program, arguments) = launching(launcher, program, arguments);
            let mut starting = TokioCommand::new(program);
            starting.args(arguments);
            starting
        }
        None => {
            let mut starting = TokioCommand::new(program);
            starting.args(arguments);
            starting
        }
    };
    // Ours are not the app's business, and may hold secrets.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("SEAWORTHY_") && name.contains("__")) {
            starting.env_remove(name);
        }
    }
    starting.env("PORT", port.to_string());
    for (name, value) in &plan.environment {
        starting.env(name, value.expose());
    }
    starting.env("SEAWORTHY_INSTANCE", instance);
    if let Some((url, token)) = &plan.app_api {
        starting.env("SEAWORTHY_URL", url).env("SEAWORTHY_TOKEN", token.expose());
    }
    Ok(starting)
}

#[cfg(test)]
mod tests {
    use seaworthy_core::Secret;

    use super::*;
    use crate::{command::Command, health::Health, plan::Pacing, pulse::HealthChecks};

    #[derive(Debug)]
    struct Nowhere;

    impl AppOutput for Nowhere {
        fn line(&self, _instance: &str, _stream: &'static str, _text: &str) {}
    }

    async fn started(command: &str) -> Process {
        let plan = Supervisor {
            command: Command::parse(command).unwrap(),
            environment: vec![("A".into(), Secret::new("1"))],
            app_api: None,
            launcher: None,
            instances: 1,
            memory_limit: None,
            checks: HealthChecks { health: Health::Connect, interval: Duration::MAX, timeout: Duration::MAX },
            start_timeout: Duration::MAX,
            stop_timeout: Duration::MAX,
            pacing: Pacing::default(),
        };
        let output: Arc<dyn AppOutput> = Arc::new(Nowhere);
        let (spawner, guard, readers) = (Spawner::start().unwrap(), Guard::default(), Shutdown::new());
        let (spawner, guard, output, readers) = (&spawner, &guard, &output, &readers);
        let launch = Launch { plan: &plan, instance: "app-1", port: 1, spawner, guard, output, readers };
        Process::start(launch).await.unwrap()
    }

    #[tokio::test]
    async fn a_group_that_is_gone_gets_no_signal_any_more() {
        let mut stranger = std::process::Command::new("sleep");
        let mut stranger = std::os::unix::process::CommandExt::process_group(stranger.arg("600"), 0).spawn().unwrap();
        for stopped in [false, true] {
            let mut process = started("true").await;
            match stopped {
                true => process.stop(Duration::from_secs(60)).await.map(drop).unwrap(),
                false => assert!(process.ended().await.unwrap().success()),
            }
            // As when the kernel gives the id away again.
            process.group = Group::of(stranger.id()).unwrap();
            process.kill();
            process.stop(Duration::from_secs(60)).await.unwrap();
            process.ended().await.unwrap();
            drop(process);
        }
        assert!(stranger.try_wait().unwrap().is_none());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
}
