//! Copies that are processes: a command, its group, and what it printed.

use std::{
    io::{self, Read, Seek, SeekFrom},
    net::TcpListener,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use tempfile::NamedTempFile;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use super::{Change, Ending, Launcher, ScratchCopy, StartError};
use crate::{
    endpoint::Endpoint,
    http::{Client, Transcript, redact},
    instances::{Instance, instances},
    probe::Working,
    workers::{self, Worker},
};

/// So much of what a copy printed is kept, from the end.
const KEPT_OUTPUT: usize = 16 << 10;

/// An app of several instances answers before all of them are there; so long the others are waited for.
const ALL_READY: Duration = Duration::from_secs(10);

/// Starts copies with a command.
#[derive(Debug, Clone)]
pub struct CommandLauncher {
    /// Program and arguments; `{port}`, `$PORT` and `{admin_port}` stand for free ports.
    pub words: Vec<String>,
    /// Whether the copy has an admin API on `{admin_port}`.
    pub has_admin: bool,
    /// Where to run it.
    pub folder: PathBuf,
    /// How long it may take to answer.
    pub start_timeout: Duration,
    /// What every copy needs to be different in its environment, so that it can run beside the original.
    pub environment: Vec<Change>,
}

struct ProcessCopy {
    child: Child,
    group: Pid,
    url: Endpoint,
    admin: Option<Endpoint>,
    output: NamedTempFile,
    /// Groups of the app's processes that were seen: none may be left in the end.
    groups: Vec<Pid>,
}

impl Launcher for CommandLauncher {
    fn start_with<'a>(
        &'a self,
        changes: &'a [Change],
        transcript: &'a Transcript,
    ) -> Working<'a, Result<Box<dyn ScratchCopy>, StartError>> {
        Box::pin(async move {
            let impossible = StartError::Impossible;
            let (port, admin_port) = free_ports().map_err(|error| impossible(format!("no free port: {error}")))?;
            let fill = |word: &String| {
                let word = word.replace("{admin_port}", &admin_port.to_string());
                ["{port}", "${PORT}", "$PORT"].iter().fold(word, |word, place| word.replace(place, &port.to_string()))
            };
            let words: Vec<String> = self.words.iter().map(fill).collect();
            let [program, arguments @ ..] = words.as_slice() else {
                return Err(impossible("the start command is empty".into()));
            };
            let mut copy = self.spawn(program, arguments, (port, admin_port), changes).map_err(impossible)?;
            transcript.note(format!("started a scratch copy with {} (process {})", words[0], copy.group));
            copy.until_it_answers(self.start_timeout, transcript).await?;
            copy.until_all_are_ready().await;
            Ok(Box::new(copy) as Box<dyn ScratchCopy>)
        })
    }
}

impl CommandLauncher {
    fn spawn(
        &self,
        program: &str,
        arguments: &[String],
        (port, admin_port): (u16, u16),
        changes: &[Change],
    ) -> Result<ProcessCopy, String> {
        let explain = |error: io::Error| format!("cannot start `{program}`: {error}");
        // Readable by its owner alone: what an app prints may be secret, and the folder is everybody's.
        let output =
            tempfile::Builder::new().prefix("seaworthy-scratch-").suffix(".log").tempfile().map_err(explain)?;
        let log = output.reopen().map_err(explain)?;
        let same = log.try_clone().map_err(explain)?;
        let mut command = Command::new(program);
        command.args(arguments).env("PORT", port.to_string()).current_dir(&self.folder).process_group(0);
        for change in self.environment.iter().chain(changes) {
            match &change.value {
                Some(value) => command.env(&change.name, value),
                None => command.env_remove(&change.name),
            };
        }
        command.stdin(Stdio::null()).stdout(log).stderr(same).kill_on_drop(true);
        let child = command.spawn().map_err(explain)?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).ok_or("the copy has no process id")?;
        let at = |port| Endpoint::Http { host: "127.0.0.1".into(), port };
        let admin = self.has_admin.then(|| at(admin_port));
        Ok(ProcessCopy { child, group: Pid::from_raw(id), url: at(port), admin, output, groups: Vec::new() })
    }
}

impl ProcessCopy {
    async fn until_it_answers(&mut self, patience: Duration, transcript: &Transcript) -> Result<(), StartError> {
        let deadline = Instant::now() + patience;
        let client = Client::new(self.url.clone(), Transcript::default()).patience(Duration::from_secs(5));
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(StartError::Ended { ending: Ending::of(status), output: self.output() });
            }
            if client.get("/").await.is_ok_and(|answer| answer.status != 503) {
                transcript.note("the scratch copy answers");
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err(StartError::Silent { patience, output: self.output() })
    }

    /// A drill needs the steady state. One that is not reached is for the probes to see.
    async fn until_all_are_ready(&mut self) {
        let deadline = Instant::now() + ALL_READY;
        while let Ok(found) = self.instances().await {
            if found.iter().all(Instance::is_ready) || Instant::now() > deadline {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The instances behind the copy when it has an admin API; their process groups are remembered.
    async fn instances(&mut self) -> Result<Vec<Instance>, String> {
        let Some(admin) = &self.admin else { return Ok(Vec::new()) };
        let found = instances(&Client::new(admin.clone(), Transcript::default())).await?;
        let groups = found.iter().filter_map(|one| i32::try_from(one.process?).ok()).map(Pid::from_raw);
        self.groups.extend(groups);
        self.groups.sort_unstable();
        self.groups.dedup();
        Ok(found)
    }
}

impl Ending {
    /// From what the system says.
    pub(crate) fn of(status: ExitStatus) -> Self {
        Self { code: status.code(), signal: status.signal() }
    }
}

impl ScratchCopy for ProcessCopy {
    fn url(&self) -> Endpoint {
        self.url.clone()
    }

    fn admin(&self) -> Option<Endpoint> {
        self.admin.clone()
    }

    fn terminate(&mut self) -> Result<(), String> {
        kill(self.group, Signal::SIGTERM).map_err(|error| format!("cannot send SIGTERM: {error}"))
    }

    fn kill_app<'a>(&'a mut self) -> Working<'a, Result<(), String>> {
        Box::pin(async move {
            let targets: Vec<Pid> = match &self.admin {
                None => vec![self.group],
                Some(_) => {
                    let processes = self.instances().await?.into_iter().filter_map(|one| one.process);
                    processes.filter_map(|id| i32::try_from(id).ok()).map(Pid::from_raw).collect()
                }
            };
            if targets.is_empty() {
                return Err("the admin API names no process".into());
            }
            for target in targets {
                killpg(target, Signal::SIGKILL)
                    .map_err(|error| format!("cannot kill process group {target}: {error}"))?;
            }
            Ok(())
        })
    }

    fn workers<'a>(&'a mut self) -> Working<'a, Result<Vec<Worker>, String>> {
        Box::pin(async move {
            if self.admin.is_none() {
                return Ok(workers::of("app", self.group.as_raw().unsigned_abs(), self.url.port()));
            }
            let ready = self.instances().await?.into_iter().filter(Instance::is_ready);
            let of = |one: Instance| Some(workers::of(&one.id, one.process?, one.port()));
            Ok(ready.filter_map(of).flatten().collect())
        })
    }

    fn kill_worker(&mut self, worker: &Worker) -> Result<(), String> {
        let process = i32::try_from(worker.process).map_err(|_| "it has no valid process id".to_owned())?;
        let process = Pid::from_raw(process);
        // An instance may be a shell around the app: its whole group goes.
        let killed = match self.groups.contains(&process) {
            true => killpg(process, Signal::SIGKILL),
            false => kill(process, Signal::SIGKILL),
        };
        killed.map_err(|error| format!("cannot kill process {process}: {error}"))
    }

    fn variable(&self, worker: &Worker, name: &str) -> Option<String> {
        workers::variable(worker.process, name)
    }

    fn output(&self) -> String {
        let mut bytes = Vec::new();
        let read = self.output.reopen().and_then(|mut file| {
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(KEPT_OUTPUT as u64)))?;
            file.read_to_end(&mut bytes)
        });
        match read {
            Ok(_) => redact(&String::from_utf8_lossy(&bytes)),
            Err(_) => String::new(),
        }
    }

    fn left_behind(&self) -> bool {
        self.groups.iter().chain([&self.group]).any(|group| killpg(*group, None).is_ok())
    }

    fn ended<'a>(&'a mut self, patience: Duration) -> Working<'a, Option<Ending>> {
        Box::pin(async move {
            let status: ExitStatus = timeout(patience, self.child.wait()).await.ok()?.ok()?;
            Some(Ending::of(status))
        })
    }
}

impl Drop for ProcessCopy {
    fn drop(&mut self) {
        // The supervisor of a copy puts its app into another group and ends it itself when it gets the chance.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(self.group, Signal::SIGTERM);
            for _ in 0..40 {
                std::thread::sleep(Duration::from_millis(25));
                if !matches!(self.child.try_wait(), Ok(None)) {
                    break;
                }
            }
        }
        let _ = killpg(self.group, Signal::SIGKILL);
    }
}

/// Two different ports that are free now.
fn free_ports() -> io::Result<(u16, u16)> {
    let (first, second) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    Ok((first.local_addr()?.port(), second.local_addr()?.port()))
}
