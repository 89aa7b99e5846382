//! Starting the binary and finding the programs that it is put around.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_seaworthy");

/// A test that needs nothing but the binary.
pub fn test(name: &str, body: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        body();
        Ok(())
    })
}

/// A test that needs programs: each is a name and where to get it.
pub fn test_with(name: &str, needs: &[(&str, &str)], body: impl FnOnce() + Send + 'static) -> Trial {
    let missing = needs.iter().find(|(program, _)| find(program).is_none());
    let Some((program, package)) = missing else { return test(name, body) };
    let why = format!("{program} is missing: install {package}");
    if env::var("SEAWORTHY_TEST_REQUIRE").is_ok_and(|what| what == "all") {
        return Trial::test(name, move || Err(Failed::from(why)));
    }
    Trial::test(format!("{name} [{why}]"), || Ok(())).with_ignored_flag(true)
}

/// A program in the usual places: the tests' own Python environment, the path, the system's folders.
pub fn find(program: &str) -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-python/bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = vec![own];
    folders.extend(env::split_paths(&path));
    folders.extend(["/usr/local/bin", "/usr/bin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.into_iter().map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A package in the tests' own Node folder.
pub fn find_node_package(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-node/node_modules").join(name);
    path.canonicalize().ok()
}

/// As [`find`], for a test that [`test_with`] let through.
pub fn program(name: &str) -> String {
    find(name).unwrap().display().to_string()
}

/// `seaworthy run`, running in a folder of its own.
pub struct Running {
    pub folder: TempDir,
    pub url: String,
    pub admin: String,
    child: Child,
}

impl Running {
    /// Starts it with free ports and waits for its line.
    pub fn start(arguments: &[impl AsRef<OsStr>]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments)
    }

    /// The same in a folder that holds files already.
    pub fn start_in(folder: TempDir, arguments: &[impl AsRef<OsStr>]) -> Self {
        let mut command = Command::new(BINARY);
        command.args([
            "run",
            "--json",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--access-log",
            "access.log",
        ]);
        command.args(arguments).current_dir(folder.path()).stdout(Stdio::piped());
        command.stderr(fs::File::create(folder.path().join("stderr.log")).unwrap());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addresses: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            let _ = child.wait();
            panic!("no addresses: {}", fs::read_to_string(folder.path().join("stderr.log")).unwrap());
        });
        let address = |key: &str| addresses[key].as_str().unwrap().to_owned();
        Self { url: address("listen"), admin: address("admin"), folder, child }
    }

    /// Process id of Seaworthy itself.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        kill(self.pid(), Signal::SIGTERM).unwrap();
    }

    /// Waits for its end.
    pub fn ended(&mut self, patience: Duration) -> ExitStatus {
        wait_for(&mut self.child, patience).expect("seaworthy run did not end in time")
    }

    /// Its folder, which then stays when it is gone.
    pub fn take_folder(&mut self) -> TempDir {
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }

    /// The access log so far.
    pub fn access_log(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr.log")).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            let _ = kill(self.pid(), Signal::SIGTERM);
            if wait_for(&mut self.child, Duration::from_secs(10)).is_none() {
                let _ = self.child.kill();
            }
        }
    }
}

/// Runs the binary to its end.
pub fn seaworthy(folder: &Path, arguments: &[impl AsRef<OsStr>]) -> Output {
    Command::new(BINARY).args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

/// Standard output as text.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard error as text.
pub fn error_text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits for a condition.
pub fn until(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// True when the process was ended by a signal.
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal().is_some()
}

fn wait_for(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
