//! Running a command of a project: its environment, its limits, its end.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use seaworthy_repository::Stop;

use super::{
    ENDED, Order, Sandbox,
    output::Listener,
    protection::{Protection, unshare, user_and_group},
};

/// What came of a command.
#[derive(Debug, Clone, Default)]
pub struct Ran {
    /// Its exit status; nothing when it was ended by a signal or could not be started.
    pub status: Option<i32>,
    /// It took longer than it may, or nobody waits for it any more.
    pub timed_out: bool,
    /// What it said.
    pub output: String,
    /// What it said of its errors.
    pub errors: String,
    /// How long it took.
    pub took: Duration,
}

impl Ran {
    /// It ended by itself, and well.
    pub fn succeeded(&self) -> bool {
        self.status == Some(0)
    }

    /// Both streams.
    pub fn text(&self) -> String {
        format!("{}\n{}", self.output, self.errors)
    }

    /// The last lines that say something, in one line.
    pub fn last_words(&self) -> String {
        let text = if self.errors.trim().is_empty() { &self.output } else { &self.errors };
        let words: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let words = words[words.len().saturating_sub(2)..].join(" | ");
        words.chars().take(240).collect()
    }
}

/// Before the project's own command, in its shell: what one process may take. Files up to 1 GiB, memory up to 8 GiB (of
/// data: some runtimes reserve far more addresses than they use), and no core dumps.
const LIMITS: &str = "ulimit -c 0; ulimit -f 2097152; ulimit -d 8388608 2>/dev/null; \
                      if command -v prlimit >/dev/null; then prlimit --pid $$ --nproc=8192 2>/dev/null; fi\n";

/// How long a stream is waited for that something holds open after the end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where programs of the machine keep themselves, by variable and place in the home folder: no secrets.
const TOOLCHAINS: &[(&str, &str)] = &[
    ("CARGO_HOME", ".cargo"),
    ("RUSTUP_HOME", ".rustup"),
    ("PYENV_ROOT", ".pyenv"),
    ("RBENV_ROOT", ".rbenv"),
    ("ASDF_DATA_DIR", ".asdf"),
    ("VOLTA_HOME", ".volta"),
    ("GOMODCACHE", "go/pkg/mod"),
];

#[cfg(test)]
pub(super) const TOOLCHAINS_FOR_TESTS: &[&str] =
    &["CARGO_HOME", "RUSTUP_HOME", "PYENV_ROOT", "RBENV_ROOT", "ASDF_DATA_DIR", "VOLTA_HOME", "GOMODCACHE"];

pub(super) fn run(sandbox: &Sandbox, order: &Order) -> Ran {
    let mut command = command(sandbox, order);
    environment(&mut command, sandbox, order);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let started = Instant::now();
    if order.stop.is_set() {
        return Ran { timed_out: true, errors: ENDED.into(), ..Ran::default() };
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ran { errors: format!("it could not be started: {error}"), ..Ran::default() },
    };
    let (output, errors) = (Listener::to(child.stdout.take()), Listener::to(child.stderr.take()));
    let status = wait(&mut child, started + order.budget, &order.stop);
    // What it left running is ended too.
    end(&mut child);
    end_strays(sandbox);
    let timed_out = status.is_none();
    let status = status.and_then(|status| status.code());
    // Whoever was told to end is not kept waiting for words.
    let patience = if order.stop.is_set() { Duration::ZERO } else { LAST_WORDS };
    let (output, errors) = (output.text(patience), errors.text(patience));
    Ran { status, timed_out, output, errors, took: started.elapsed() }
}

fn command(sandbox: &Sandbox, order: &Order) -> Command {
    let line = format!("{LIMITS}cd '{}' || exit 96\n{}", quoted(&sandbox.place.join(&order.folder)), order.line);
    if sandbox.protection == Protection::Group {
        let mut command = Command::new("sh");
        command.arg("-c").arg(line).current_dir(&sandbox.copy);
        return command;
    }
    let mut command = unshare();
    command.arg(sandbox.base()).arg(&sandbox.copy).arg(&sandbox.place).args(user_and_group());
    command.arg(home().unwrap_or_else(|| "/nonexistent".into()));
    for layer in &sandbox.dependencies {
        command.args([&layer.lower, &layer.over, &layer.upper, &layer.work]);
    }
    command.args(["--", "sh", "-c"]).arg(line).current_dir(&sandbox.copy);
    command
}

fn quoted(path: &Path) -> String {
    path.to_string_lossy().replace('\'', "'\\''")
}

fn home() -> Option<PathBuf> {
    env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_dir() && home != Path::new("/"))
}

/// Nothing of ours: whoever runs this may have keys in the environment.
fn environment(command: &mut Command, sandbox: &Sandbox, order: &Order) {
    let base = sandbox.base();
    let programs = ["node_modules/.bin", ".venv/bin", "venv/bin", "vendor/bin"];
    let mut path: Vec<PathBuf> = Vec::new();
    for folder in [sandbox.place.join(&order.folder), sandbox.place.clone()] {
        path.extend(programs.iter().map(|programs| folder.join(programs)));
    }
    let own = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    // A folder relative to where we are would be the project's.
    path.extend(env::split_paths(&own).filter(|folder| folder.is_absolute()));
    command.env_clear();
    command.env("PATH", env::join_paths(path).unwrap_or(own));
    command.env("HOME", base.join("home")).env("TMPDIR", base.join("tmp"));
    command.env("LANG", "C.UTF-8").env("CI", "true");
    for (variable, place) in TOOLCHAINS {
        let folder = env::var_os(variable).map(PathBuf::from).or_else(|| Some(home()?.join(place)));
        if let Some(folder) = folder.filter(|folder| folder.is_dir()) {
            command.env(variable, folder);
        }
    }
    command.envs(order.environment.iter().map(|(name, value)| (name, value)));
}

/// The status, when it ended in time.
fn wait(child: &mut Child, until: Instant, stop: &Stop) -> Option<std::process::ExitStatus> {
    let mut pause = Duration::from_millis(1);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < until && !stop.is_set() => thread::sleep(pause),
            Ok(None) | Err(_) => return None,
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Ends the group. With namespaces, the first process takes all others with it.
fn end(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        // It may have ended already.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Without namespaces a process may leave its group; it still has our temporary folder in its environment, which no
/// other process has.
fn end_strays(sandbox: &Sandbox) {
    if sandbox.protection == Protection::Room {
        return;
    }
    let mark = format!("TMPDIR={}", sandbox.base().join("tmp").display());
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let Ok(environment) = std::fs::read(entry.path().join("environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            let _ = nix::sys::signal::kill(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}
