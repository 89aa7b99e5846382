//! Copies of the target that a drill may break: started, used and destroyed by the drill alone.

use std::{
    env, fs,
    io::{self, Read},
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
use seaworthy_core::UpstreamAddress;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use crate::{
    http::{Client, Transcript},
    probe::Working,
};

/// Starts copies.
pub trait Launcher: Send + Sync {
    /// Starts one and waits until it answers. The error says what was seen.
    fn start<'a>(&'a self, transcript: &'a Transcript) -> Working<'a, Result<Box<dyn ScratchCopy>, String>>;
}

/// A running copy. Dropped, it is destroyed.
pub trait ScratchCopy: Send {
    /// Its public address.
    fn url(&self) -> UpstreamAddress;

    /// Its admin API, when it has one.
    fn admin(&self) -> Option<UpstreamAddress>;

    /// Asks it to stop as a platform does: SIGTERM to the process that was started.
    fn terminate(&mut self) -> Result<(), String>;

    /// Kills the app and everything that it started, without warning (SIGKILL).
    fn kill_app<'a>(&'a mut self) -> Working<'a, Result<(), String>>;

    /// Whether anything of the copy still runs after its end: then the signal stopped at a wrapper, and never came to the app.
    fn left_behind(&self) -> bool;

    /// Waits for its end; `None` when it still runs after `patience`.
    fn ended<'a>(&'a mut self, patience: Duration) -> Working<'a, Option<Ending>>;
}

/// How a copy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Exit status, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

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
}

struct ProcessCopy {
    child: Child,
    group: Pid,
    url: UpstreamAddress,
    admin: Option<UpstreamAddress>,
    output: PathBuf,
}

impl Launcher for CommandLauncher {
    fn start<'a>(&'a self, transcript: &'a Transcript) -> Working<'a, Result<Box<dyn ScratchCopy>, String>> {
        Box::pin(async move {
            let (port, admin_port) = free_ports().map_err(|error| format!("no free port: {error}"))?;
            let fill = |word: &String| {
                let word = word.replace("{admin_port}", &admin_port.to_string());
                ["{port}", "${PORT}", "$PORT"].iter().fold(word, |word, place| word.replace(place, &port.to_string()))
            };
            let words: Vec<String> = self.words.iter().map(fill).collect();
            let [program, arguments @ ..] = words.as_slice() else { return Err("the start command is empty".into()) };
            let mut copy = self.spawn(program, arguments, port, admin_port)?;
            transcript.note(format!("started a scratch copy with {} (process {})", words[0], copy.group));
            copy.until_it_answers(self.start_timeout, transcript).await?;
            Ok(Box::new(copy) as Box<dyn ScratchCopy>)
        })
    }
}

impl CommandLauncher {
    fn spawn(&self, program: &str, arguments: &[String], port: u16, admin_port: u16) -> Result<ProcessCopy, String> {
        let explain = |error: io::Error| format!("cannot start `{program}`: {error}");
        let output = env::temp_dir().join(format!("seaworthy-scratch-{}-{port}.log", std::process::id()));
        let log = fs::File::create(&output).map_err(explain)?;
        let same = log.try_clone().map_err(explain)?;
        let mut command = Command::new(program);
        command.args(arguments).env("PORT", port.to_string()).current_dir(&self.folder).process_group(0);
        command.stdin(Stdio::null()).stdout(log).stderr(same).kill_on_drop(true);
        let child = command.spawn().map_err(explain)?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).ok_or("the copy has no process id")?;
        let at = |port| UpstreamAddress::Tcp { host: "127.0.0.1".into(), port };
        let admin = self.has_admin.then(|| at(admin_port));
        Ok(ProcessCopy { child, group: Pid::from_raw(id), url: at(port), admin, output })
    }
}

impl ProcessCopy {
    async fn until_it_answers(&mut self, patience: Duration, transcript: &Transcript) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        let client = Client::new(self.url.clone(), Transcript::default()).patience(Duration::from_secs(5));
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the scratch copy ended with {status} before it answered{}", self.last_lines()));
            }
            if client.get("/").await.is_ok_and(|answer| answer.status != 503) {
                transcript.note("the scratch copy answers");
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err(format!("the scratch copy did not answer within {} s{}", patience.as_secs(), self.last_lines()))
    }

    fn last_lines(&self) -> String {
        let mut text = String::new();
        let read = fs::File::open(&self.output).and_then(|mut file| file.read_to_string(&mut text));
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        match (read, last) {
            (Ok(_), Some(line)) => {
                format!("; its last line: {}", crate::http::redact(&line.chars().take(200).collect::<String>()))
            }
            _ => String::new(),
        }
    }
}

impl ScratchCopy for ProcessCopy {
    fn url(&self) -> UpstreamAddress {
        self.url.clone()
    }

    fn admin(&self) -> Option<UpstreamAddress> {
        self.admin.clone()
    }

    fn terminate(&mut self) -> Result<(), String> {
        kill(self.group, Signal::SIGTERM).map_err(|error| format!("cannot send SIGTERM: {error}"))
    }

    fn kill_app<'a>(&'a mut self) -> Working<'a, Result<(), String>> {
        Box::pin(async move {
            let target = match &self.admin {
                None => self.group,
                Some(admin) => supervised_process(admin).await?,
            };
            killpg(target, Signal::SIGKILL).map_err(|error| format!("cannot kill process group {target}: {error}"))
        })
    }

    fn left_behind(&self) -> bool {
        killpg(self.group, None).is_ok()
    }

    fn ended<'a>(&'a mut self, patience: Duration) -> Working<'a, Option<Ending>> {
        Box::pin(async move {
            let status: ExitStatus = timeout(patience, self.child.wait()).await.ok()?.ok()?;
            Some(Ending { code: status.code(), signal: status.signal() })
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
        let _ = fs::remove_file(&self.output);
    }
}

/// The process of the first instance, as the admin API tells it.
async fn supervised_process(admin: &UpstreamAddress) -> Result<Pid, String> {
    let client = Client::new(admin.clone(), Transcript::default());
    let answer = client.get("/status").await.map_err(|error| error.to_string())?;
    let pid = answer.json().and_then(|status| status["instances"][0]["pid"].as_i64());
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).ok_or("the admin API names no instance")?;
    Ok(Pid::from_raw(pid))
}

/// Two different ports that are free now.
fn free_ports() -> io::Result<(u16, u16)> {
    let (first, second) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    Ok((first.local_addr()?.port(), second.local_addr()?.port()))
}
