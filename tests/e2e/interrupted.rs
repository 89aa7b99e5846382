//! A check that is broken off: it ends at once, and so does everything that it has started.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::{BINARY, test_with, until};

pub fn tests() -> Vec<Trial> {
    let python = ("python3", "the Debian package python3");
    vec![test_with("a_suite_that_sleeps_an_hour_ends_with_ctrl_c", &[python], a_suite_that_sleeps_an_hour)]
}

/// How long the suite of this very test sleeps: no other process of the machine has it.
fn seconds() -> String {
    format!("3600.{:09}", std::process::id())
}

/// Processes whose command line holds this word.
fn processes(word: &str) -> Vec<i32> {
    let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let has = |id: &i32| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())
    };
    ids.filter(has).collect()
}

/// Every process below this one.
fn descendants(of: i32) -> Vec<i32> {
    let children = |id: i32| fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    // A process has threads, and each of them may have started one.
    let tasks = |id: i32| fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let mut found = Vec::new();
    let mut pending = vec![of];
    while let Some(id) = pending.pop() {
        for task in tasks(id) {
            let text = fs::read_to_string(task.path().join("children")).unwrap_or_else(|_| children(id));
            pending.extend(text.split_whitespace().filter_map(|id| id.parse::<i32>().ok()));
        }
        found.push(id);
    }
    found.retain(|id| *id != of);
    found
}

fn a_suite_that_sleeps_an_hour() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("app.py", "def price():\n    return 1\n");
    let suite = format!(
        "import subprocess\nimport unittest\n\n\nclass Sleeps(unittest.TestCase):\n    def test_it(self):\n        \
         subprocess.run(['setsid', 'sleep', '{0}'])\n        self.assertTrue(True)\n",
        seconds()
    );
    write("test_app.py", &suite);
    write("list.md", "- [ ] All tests passing\n- [ ] LICENSE file\n");
    let mut command = Command::new(BINARY);
    command.args(["check", "--run-tests", "list.md"]).current_dir(folder.path());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    until("the suite sleeps", Duration::from_secs(60), || !processes(&seconds()).is_empty());
    let mut started = descendants(pid);
    started.extend(processes(&seconds()));
    assert!(started.len() > 1, "{started:?}");
    let told = Instant::now();
    kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let took = told.elapsed();
    // Two seconds are the promise; a busy machine gets some more.
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("were not tried to the end: testing.passing"), "{said}");
    // They were killed before it ended; the kernel may still be taking the last of them apart.
    until("nothing that was started is left", Duration::from_secs(2), || {
        started.iter().all(|id| !Path::new(&format!("/proc/{id}")).exists())
    });
    assert!(processes(&seconds()).is_empty());
}
