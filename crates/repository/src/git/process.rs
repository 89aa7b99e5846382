//! Runs `git` as a reader of data: with no environment of ours, no program of anybody's, no network, and not for ever.

use std::{
    env,
    ffi::OsString,
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::stop::Stop;

/// So often it is asked whether anybody still waits.
const TICK: Duration = Duration::from_millis(50);
/// How long Git may say nothing. A pack that is a pipe would hold it for ever.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of an answer that is kept whole.
const LARGEST_ANSWER: u64 = 64 << 20;

/// Settings that hold whatever a file says. The files of the repository, the user and the system are not read at all (the
/// stand-in has its own); these are the second wall.
const SETTINGS: &[&str] = &[
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "core.excludesFile=/dev/null",
    "core.attributesFile=/dev/null",
    "core.quotePath=false",
    "core.commitGraph=false",
    "core.multiPackIndex=false",
    "diff.external=",
    "log.showSignature=false",
    "protocol.allow=never",
    "credential.helper=",
    "gc.auto=0",
    "maintenance.auto=false",
];

/// Variables without which a program cannot be found or started.
const KEPT: &[&str] = &["LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP"];

/// A `git` that is ready to be asked about one repository.
pub(super) fn command(own: &Path, foreign: &Path) -> Command {
    let mut command = Command::new("git");
    command.env_clear().env("PATH", programs(foreign));
    for name in KEPT {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
    for (name, value) in [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_ATTR_NOSYSTEM", "1"),
        ("GIT_ALLOW_PROTOCOL", "none"),
        ("GIT_NO_LAZY_FETCH", "1"),
        // What a replacement hides was committed nevertheless.
        ("GIT_NO_REPLACE_OBJECTS", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_ASKPASS", ""),
        ("SSH_ASKPASS", ""),
        ("GIT_SSH_COMMAND", "false"),
        ("GIT_PAGER", "cat"),
        ("GIT_EDITOR", "false"),
        // `status` and `diff` would refresh the index, and a check must leave no trace.
        ("GIT_OPTIONAL_LOCKS", "0"),
        ("LC_ALL", "C"),
    ] {
        command.env(name, value);
    }
    command.env("HOME", own).env("GIT_DIR", own).current_dir(own).args(["--no-pager", "--no-replace-objects"]);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Where programs are looked for: nowhere that is relative, and nowhere within what is looked at (`npx` puts the project's
/// own `node_modules/.bin` in front).
fn programs(foreign: &Path) -> OsString {
    let own = env::var_os("PATH").unwrap_or_default();
    let foreign = foreign.canonicalize().unwrap_or_else(|_| foreign.to_owned());
    let is_fine = |folder: &PathBuf| {
        let real = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        folder.is_absolute() && !real.starts_with(&foreign)
    };
    env::join_paths(env::split_paths(&own).filter(is_fine)).unwrap_or_default()
}

/// A `git` at work, ended when it says nothing for too long.
pub(super) struct Running {
    child: Arc<Mutex<Child>>,
    signs_of_life: Sender<()>,
    watch: Option<JoinHandle<bool>>,
    complaints: Option<JoinHandle<String>>,
    name: String,
}

/// What it writes; each read is a sign of life.
pub(super) struct Answer {
    output: std::process::ChildStdout,
    signs_of_life: Sender<()>,
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.output.read(buffer);
        let _ = self.signs_of_life.send(());
        read
    }
}

impl Running {
    /// Starts it. The input is there when `command` asks for one.
    pub(super) fn start(
        mut command: Command,
        name: &str,
        stop: &Stop,
    ) -> Result<(Self, Option<ChildStdin>, Answer), String> {
        let mut child = command.spawn().map_err(|error| format!("git could not be run: {error}; install git"))?;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let Some(output) = output else { return Err("git has no output".into()) };
        let complaints = thread::spawn(move || {
            let mut text = Vec::new();
            if let Some(mut errors) = errors {
                let _ = (&mut errors).take(64 << 10).read_to_end(&mut text);
                // The rest is drained, so that it does not wait for us.
                let _ = io::copy(&mut errors, &mut io::sink());
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        let child = Arc::new(Mutex::new(child));
        let (signs_of_life, seen) = mpsc::channel();
        let (watched, stop) = (child.clone(), stop.clone());
        let watch = thread::spawn(move || {
            let mut last = Instant::now();
            loop {
                match seen.recv_timeout(TICK) {
                    Ok(()) => last = Instant::now(),
                    Err(RecvTimeoutError::Disconnected) => return false,
                    Err(RecvTimeoutError::Timeout) => {}
                }
                if stop.is_set() || last.elapsed() > PATIENCE {
                    let _ = watched.lock().unwrap_or_else(PoisonError::into_inner).kill();
                    return true;
                }
            }
        });
        let answer = Answer { output, signs_of_life: signs_of_life.clone() };
        let running =
            Self { child, signs_of_life, watch: Some(watch), complaints: Some(complaints), name: name.to_owned() };
        Ok((running, input, answer))
    }

    /// Waits for its end, once its answer was read; the error says why it failed.
    pub(super) fn end(mut self, answer: Answer) -> Result<(), String> {
        // Whoever still writes is told that nobody listens.
        drop(answer);
        let status = self.wait();
        let complaint = self.complaints.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let (name, watch) = (self.name.clone(), self.watch.take());
        drop(self);
        if watch.and_then(|thread| thread.join().ok()).unwrap_or_default() {
            return Err(format!("git {name} was ended: it said nothing for {} s, or nobody waits", PATIENCE.as_secs()));
        }
        match status {
            Ok(Some(0)) => Ok(()),
            Ok(code) => {
                let line = complaint.lines().next().unwrap_or("failed").to_owned();
                Err(format!("git {name}: {line}{}", if code == Some(1) { " (1)" } else { "" }))
            }
            Err(error) => Err(format!("git {name}: {error}")),
        }
    }

    /// Not with the lock held all the time: the watch must be able to end it.
    fn wait(&self) -> io::Result<Option<i32>> {
        loop {
            let ended = self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait()?;
            if let Some(status) = ended {
                return Ok(status.code());
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(child.try_wait(), Ok(None)) {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = self.signs_of_life.send(());
        // The channel closes with us, and so the watch ends.
    }
}

/// Its whole answer. More than a list of paths may take is an error.
pub(super) fn ask(command: Command, name: &str, stop: &Stop) -> Result<Vec<u8>, String> {
    let (running, _, mut answer) = Running::start(command, name, stop)?;
    let mut bytes = Vec::new();
    let read = (&mut answer).take(LARGEST_ANSWER + 1).read_to_end(&mut bytes);
    if bytes.len() as u64 > LARGEST_ANSWER {
        return Err(format!("git {name}: the answer is larger than {} MiB", LARGEST_ANSWER >> 20));
    }
    running.end(answer)?;
    read.map_err(|error| format!("git {name}: {error}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_the_repository_are_not_found() {
        let folder = tempfile::tempdir().unwrap();
        let found = programs(Path::new("/usr"));
        assert!(env::split_paths(&found).all(|path| path.is_absolute() && !path.starts_with("/usr/bin")));
        assert!(!programs(folder.path()).is_empty());
    }
}
