//! A server of our own for drills: the same program, settings as told, in a folder that nobody else uses.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

use super::{Address, Place, Redis};
use crate::tls::Trust;

const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];
const START: Duration = Duration::from_secs(10);

/// A server that ends when this is dropped.
pub(crate) struct Scratch {
    program: PathBuf,
    folder: TempDir,
    settings: Vec<(String, String)>,
    child: Child,
}

impl Scratch {
    /// Starts one with these settings; nothing where no such program is on this machine.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Option<io::Result<Self>> {
        let program = program()?;
        let settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let started = async {
            let folder = tempfile::tempdir()?;
            let child = spawn(&program, folder.path(), &settings)?;
            let scratch = Self { program, folder, settings, child };
            scratch.ready().await?;
            Ok(scratch)
        };
        Some(started.await)
    }

    /// Where it listens: a socket in its own folder.
    pub(crate) fn address(&self) -> Address {
        Address { place: Place::Unix(socket(self.folder.path())), login: None }
    }

    /// A connection.
    pub(crate) async fn connect(&self) -> io::Result<Redis> {
        Redis::connect(&self.address(), &Trust::default()).await.map_err(io::Error::other)
    }

    /// Whether its process still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it without a warning (`kill -9`), and starts it again on the same folder.
    pub(crate) async fn die_and_come_back(&mut self) -> io::Result<()> {
        self.child.kill().await?;
        self.child = spawn(&self.program, self.folder.path(), &self.settings)?;
        self.ready().await
    }

    async fn ready(&self) -> io::Result<()> {
        let until = Instant::now() + START;
        loop {
            if let Ok(mut redis) = self.connect().await
                && redis.ask(&["PING"]).await.is_ok()
            {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(io::Error::other(format!("{} did not start within {START:?}", self.program.display())));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The server's program on this machine.
pub(crate) fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let all = env::split_paths(&path).flat_map(|folder| PROGRAMS.map(|name| folder.join(name)));
    all.into_iter().find(|file| file.is_file())
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("socket")
}

fn spawn(program: &Path, folder: &Path, settings: &[(String, String)]) -> io::Result<Child> {
    // One that was killed leaves its socket behind.
    let _ = std::fs::remove_file(socket(folder));
    let mut command = Command::new(program);
    command.current_dir(folder).args(["--port", "0", "--unixsocket"]).arg(socket(folder));
    for (name, value) in settings {
        command.arg(format!("--{name}")).arg(value);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()
}
