//! The process: its own group, an empty profile of its own, and an end that leaves nothing of either.
//!
//! Between us and the browser stands a shell. It lays the pipe where the browser expects it (descriptors 3 and 4, which
//! Rust cannot give to a child without unsafe code), and it removes the profile when the browser ends. So even when we are
//! killed the pipe closes, the browser ends by itself, and its folder goes.

use std::{
    fs,
    io::{self, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::{Pid, geteuid},
};
use tempfile::TempDir;

use crate::error::BrowserError;

/// Its own errors go into the profile; the shell does not end before the browser, and takes no signal from a terminal.
const LAUNCHER: &str = r#"profile=$1; shift; trap '' HUP INT TERM
"$@" 3<&0 4>&1 </dev/null >/dev/null 2>"$profile/said"
rm -rf "$profile""#;

/// Nothing that talks to anybody but the page, and nothing that differs between two runs.
const FLAGS: [&str; 22] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-breakpad",
    "--disable-extensions",
    "--disable-component-extensions-with-background-pages",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-client-side-phishing-detection",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--no-default-browser-check",
    "--no-first-run",
    "--password-store=basic",
    "--use-mock-keychain",
    "--disable-features=OptimizationHints,MediaRouter,Translate,InterestFeedContentSuggestions,HttpsUpgrades,AutofillServerCommunication",
];

/// So much of what it printed is shown.
const SAID: u64 = 2000;
/// Its processes have this long to be gone.
const GONE: Duration = Duration::from_secs(3);

/// A running browser.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Pid,
    profile: Option<TempDir>,
}

impl Process {
    /// Starts the program; what it reads and writes are the two ends of the protocol.
    pub(crate) fn start(program: &Path, more: &[String]) -> Result<(Self, ChildStdin, ChildStdout), BrowserError> {
        let explain = |error: io::Error| BrowserError::start(program, &error);
        // Readable by its owner alone: what pages store may be secret, and the folder above is everybody's.
        let profile = tempfile::Builder::new().prefix("seaworthy-browser-").tempdir().map_err(explain)?;
        let mut command = Command::new("sh");
        command.args(["-c", LAUNCHER, "seaworthy-browser"]).arg(profile.path()).arg(program).args(FLAGS).args(more);
        // Its sandbox refuses to work for root, who has containers to himself most of the time.
        command.args(geteuid().is_root().then_some("--no-sandbox"));
        command.arg(format!("--user-data-dir={}", profile.path().join("data").display())).arg("about:blank");
        // Secrets of the environment are nothing to a browser, and its settings must not depend on it.
        command.env_clear().env("HOME", profile.path()).env("TMPDIR", profile.path()).env("LANG", "C.UTF-8");
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().map_err(explain)?;
        let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        let ends = (child.stdin.take(), child.stdout.take());
        let process = Self { child, group, profile: Some(profile) };
        match ends {
            (Some(input), Some(output)) => Ok((process, input, output)),
            _ => Err(explain(io::Error::other("it has no pipes"))),
        }
    }

    /// The end of what it printed.
    pub(crate) fn said(&self) -> String {
        let Some(profile) = &self.profile else { return String::new() };
        let mut text = String::new();
        let read = fs::File::open(profile.path().join("said")).and_then(|mut file| {
            let length = file.metadata()?.len();
            io::Seek::seek(&mut file, io::SeekFrom::Start(length.saturating_sub(SAID)))?;
            file.read_to_string(&mut text)
        });
        match read {
            Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
            _ => "it printed nothing".into(),
        }
    }

    /// The process group.
    pub(crate) fn group(&self) -> i32 {
        self.group.as_raw()
    }

    /// The folder that goes with it.
    pub(crate) fn profile(&self) -> Option<PathBuf> {
        self.profile.as_ref().map(|profile| profile.path().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing in its profile is worth a polite end, which takes a second and more.
        let _ = killpg(self.group, Signal::SIGKILL);
        let _ = self.child.wait();
        let until = Instant::now() + GONE;
        while killpg(self.group, None).is_ok() && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
        let Some(profile) = self.profile.take().map(TempDir::keep) else { return };
        // A process that is dying may still write.
        while fs::remove_dir_all(&profile).is_err() && profile.exists() && Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
        }
    }
}
