//! Repositories that want to run something. Each would leave a mark; none may.
#![cfg(unix)]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use super::*;

/// Git as a user has it.
fn git(folder: &Path, arguments: &[&str]) {
    let settings = ["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "protocol.file.allow=always"];
    let run = Command::new("git").arg("-C").arg(folder).args(settings).args(arguments).output().unwrap();
    assert!(run.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
}

/// A repository with two commits, a change that is in none, and a program that leaves a mark.
struct Trap {
    folder: tempfile::TempDir,
}

impl Trap {
    fn new() -> Self {
        let trap = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(trap.root()).unwrap();
        let program = format!("#!/bin/sh\ntouch '{}'\ncat\n", trap.folder.path().join("mark").display());
        fs::write(trap.program(), program).unwrap();
        fs::set_permissions(trap.program(), fs::Permissions::from_mode(0o755)).unwrap();
        git(&trap.root(), &["init", "-q", "-b", "main"]);
        for text in ["one\n", "two\n"] {
            fs::write(trap.root().join("a.txt"), text).unwrap();
            let attributes = "*.txt filter=trap diff=trap merge=trap\n";
            fs::write(trap.root().join(".gitattributes"), attributes).unwrap();
            git(&trap.root(), &["add", "."]);
            git(&trap.root(), &["commit", "-q", "-m", text]);
        }
        fs::write(trap.root().join("a.txt"), "three, and longer\n").unwrap();
        fs::write(trap.root().join("new.txt"), "new\n").unwrap();
        trap
    }

    fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("repository")
    }

    fn program(&self) -> std::path::PathBuf {
        self.folder.path().join("program")
    }

    fn is_sprung(&self) -> bool {
        self.folder.path().join("mark").exists()
    }

    /// Adds to the repository's own configuration; `PROGRAM` stands for what leaves the mark.
    fn configure(&self, text: &str) {
        let config = self.root().join(".git/config");
        let before = fs::read_to_string(&config).unwrap();
        fs::write(config, before + &text.replace("PROGRAM", &self.program().display().to_string())).unwrap();
    }

    /// Asks everything that can be asked.
    fn look(&self) {
        let git = Git::open(&self.root()).unwrap();
        assert!(git.head().unwrap().contains("+changes:"));
        assert_eq!(git.ignores("a.txt"), Ok(false));
        assert!(git.paths_ever().unwrap().contains("a.txt"));
        assert!(git.blobs(1 << 20, |_| {}).unwrap().shown >= 3);
        assert!(git.tracked().unwrap().contains(&"a.txt".into()));
        let _ = git.incomplete();
        assert!(!self.is_sprung());
    }
}

#[test]
fn nothing_that_is_configured_runs() {
    for text in [
        "[core]\n\tfsmonitor = PROGRAM\n",
        "[core]\n\tpager = PROGRAM\n[pager]\n\tlog = PROGRAM\n\tdiff = PROGRAM\n",
        "[core]\n\tsshCommand = PROGRAM\n\taskPass = PROGRAM\n\teditor = PROGRAM\n\tgitProxy = PROGRAM\n",
        "[core]\n\talternateRefsCommand = PROGRAM\n",
        "[diff]\n\texternal = PROGRAM\n",
        "[diff \"trap\"]\n\ttextconv = PROGRAM\n\tcommand = PROGRAM\n",
        "[filter \"trap\"]\n\tclean = PROGRAM\n\tsmudge = PROGRAM\n\trequired = true\n",
        "[filter \"trap\"]\n\tprocess = PROGRAM\n\trequired = true\n",
        "[merge \"trap\"]\n\tdriver = PROGRAM\n",
        "[log]\n\tshowSignature = true\n[gpg]\n\tprogram = PROGRAM\n[gpg \"ssh\"]\n\tprogram = PROGRAM\n",
        "[alias]\n\tlog = !PROGRAM\n\trev-parse = !PROGRAM\n\tls-files = !PROGRAM\n",
        "[uploadpack]\n\tpackObjectsHook = PROGRAM\n",
        "[credential]\n\thelper = !PROGRAM\n",
        "[trace2]\n\teventTarget = PROGRAM\n[gc]\n\tauto = 1\n[maintenance]\n\tauto = true\n",
        "[submodule]\n\trecurse = true\n[diff]\n\tsubmodule = diff\n",
        "[core]\n\texcludesFile = /dev/zero\n\tattributesFile = /dev/zero\n",
    ] {
        let trap = Trap::new();
        trap.configure(text);
        trap.look();
    }
}

#[test]
fn the_trap_is_one() {
    for text in
        ["[core]\n\tfsmonitor = PROGRAM\n", "[filter \"trap\"]\n\tclean = PROGRAM\n", "[diff]\n\texternal = PROGRAM\n"]
    {
        let trap = Trap::new();
        trap.configure(text);
        git(&trap.root(), &["diff", "HEAD"]);
        assert!(trap.is_sprung(), "{text}");
    }
}

#[test]
fn no_hook_and_no_other_file_of_settings_is_read() {
    let trap = Trap::new();
    trap.configure(
        "[core]\n\thooksPath = ../hooks\n[include]\n\tpath = ../included\n[extensions]\n\tworktreeConfig = true\n",
    );
    let settings = format!("[core]\n\tfsmonitor = {}\n", trap.program().display());
    fs::write(trap.root().join("included"), &settings).unwrap();
    fs::write(trap.root().join(".git/config.worktree"), &settings).unwrap();
    for folder in ["hooks", ".git/hooks"] {
        fs::create_dir_all(trap.root().join(folder)).unwrap();
        for hook in ["post-index-change", "reference-transaction", "fsmonitor-watchman", "pre-auto-gc", "post-checkout"]
        {
            fs::copy(trap.program(), trap.root().join(folder).join(hook)).unwrap();
        }
    }
    trap.look();
}

#[test]
fn another_worktree_is_not_gone_into() {
    let (trap, other) = (Trap::new(), tempfile::tempdir().unwrap());
    fs::write(other.path().join("private.txt"), "x").unwrap();
    trap.configure(&format!("[core]\n\tworktree = {}\n", other.path().display()));
    trap.look();
    let git = Git::open(&trap.root()).unwrap();
    assert_eq!(git.top(), Some(trap.root().canonicalize().unwrap().as_path()));
}

#[test]
fn a_repository_within_is_not_asked() {
    let trap = Trap::new();
    let inner = trap.root().join("inner");
    fs::create_dir(&inner).unwrap();
    git(&inner, &["init", "-q"]);
    git(&inner, &["commit", "-q", "--allow-empty", "-m", "x"]);
    fs::write(inner.join("b.txt"), "x").unwrap();
    git(&trap.root(), &["add", "inner"]);
    git(&trap.root(), &["commit", "-q", "-m", "with a submodule"]);
    let config = inner.join(".git/config");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(config, format!("{text}[core]\n\tfsmonitor = {}\n", trap.program().display())).unwrap();
    fs::write(inner.join("c.txt"), "x").unwrap();
    trap.look();
}

#[test]
fn what_is_missing_is_not_fetched() {
    let trap = Trap::new();
    trap.configure(
        "[extensions]\n\tpartialClone = origin\n[remote \"origin\"]\n\tpromisor = true\n\turl = ext::PROGRAM %S\n\tuploadpack = PROGRAM\n[protocol \"ext\"]\n\tallow = always\n",
    );
    let object = Command::new("git").arg("-C").arg(trap.root()).args(["rev-parse", "HEAD~1:a.txt"]).output().unwrap();
    let id = String::from_utf8(object.stdout).unwrap();
    fs::remove_file(trap.root().join(".git/objects").join(&id[..2]).join(id[2..].trim())).unwrap();
    let git = Git::open(&trap.root()).unwrap();
    assert!(git.incomplete().unwrap().contains("partial"));
    assert!(git.blobs(1 << 20, |_| {}).is_err());
    let _ = (git.head(), git.paths_ever());
    assert!(!trap.is_sprung());
}

#[test]
fn a_file_for_git_may_lead_to_a_trap() {
    let trap = Trap::new();
    trap.configure("[core]\n\tfsmonitor = PROGRAM\n");
    fs::rename(trap.root().join(".git"), trap.root().join("real")).unwrap();
    fs::write(trap.root().join(".git"), "gitdir: real\n").unwrap();
    trap.look();
}

#[test]
fn a_linked_worktree_and_a_bare_repository_are_read() {
    let trap = Trap::new();
    git(&trap.root(), &["worktree", "add", "-q", "../linked"]);
    let linked = Git::open(&trap.folder.path().join("linked")).unwrap();
    assert!(!linked.head().unwrap().contains('+'));
    assert_eq!(linked.blobs(1 << 20, |_| {}).unwrap().shown, 3);
    git(trap.folder.path(), &["clone", "-q", "--bare", "repository", "bare.git"]);
    let bare = Git::open(&trap.folder.path().join("bare.git")).unwrap();
    assert_eq!(bare.head(), linked.head());
    assert!(bare.paths_ever().unwrap().contains("a.txt"));
}

#[test]
fn a_clean_checkout_is_its_commit_and_a_repository_is_found_from_below() {
    let trap = Trap::new();
    git(&trap.root(), &["add", "."]);
    git(&trap.root(), &["commit", "-q", "-m", "all"]);
    fs::create_dir(trap.root().join("sub")).unwrap();
    let below = Git::open(&trap.root().join("sub")).unwrap();
    assert_eq!(below.head().unwrap().len(), 40);
    git(&trap.root(), &["pack-refs", "--all"]);
    git(&trap.root(), &["gc", "-q"]);
    assert_eq!(Git::open(&trap.root()).unwrap().blobs(1 << 20, |_| {}).unwrap().shown, 5);
}

#[test]
fn a_shallow_clone_and_one_of_another_owner() {
    let trap = Trap::new();
    let from = format!("file://{}", trap.root().display());
    git(trap.folder.path(), &["clone", "-q", "--depth=1", &from, "shallow"]);
    let shallow = Git::open(&trap.folder.path().join("shallow")).unwrap();
    assert!(shallow.incomplete().unwrap().contains("shallow"));
    assert_eq!(shallow.blobs(1 << 20, |_| {}).unwrap().shown, 2);
    // Only root may give files away.
    let given = Command::new("chown").args(["-R", "12345:12345"]).arg(trap.root()).status();
    if given.is_ok_and(|status| status.success()) {
        trap.look();
    }
}

#[test]
fn a_rule_that_takes_the_file_out_again_ignores_nothing() {
    let trap = Trap::new();
    fs::write(trap.root().join(".gitignore"), ".env*\n!.env.production\n").unwrap();
    let git = Git::open(&trap.root()).unwrap();
    assert_eq!((git.ignores(".env"), git.ignores(".env.production")), (Ok(true), Ok(false)));
    fs::write(trap.root().join(".git/info/exclude"), ".secret\n").unwrap();
    assert_eq!(Git::open(&trap.root()).unwrap().ignores(".secret"), Ok(false));
}

#[test]
fn pipes_endless_links_and_strange_names_end() {
    let trap = Trap::new();
    let root = trap.root();
    symlink("/dev/zero", root.join("endless")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("/dev/zero", root.join(".git/refs/heads/endless")).unwrap();
    for pipe in ["pipe", ".git/refs/heads/pipe"] {
        assert!(Command::new("mkfifo").arg(root.join(pipe)).status().unwrap().success());
    }
    fs::write(root.join(".git/refs/heads/bad..name"), "0".repeat(40)).unwrap();
    let started = Instant::now();
    let git = Git::open(&root).unwrap();
    assert!(git.head().is_some());
    assert!(git.paths_ever().is_ok() && git.incomplete().is_some());
    assert!(started.elapsed() < Duration::from_secs(20));

    fs::remove_file(root.join(".git/HEAD")).unwrap();
    assert!(Command::new("mkfifo").arg(root.join(".git/HEAD")).status().unwrap().success());
    assert!(Git::open(&root).is_err());
}

#[test]
fn the_environment_of_the_caller_means_nothing() {
    // Set for the child alone: tests share the environment.
    let command = process::command(Path::new("/"), Path::new("/nowhere"));
    let names: Vec<&str> = command.get_envs().filter_map(|(name, _)| name.to_str()).collect();
    assert!(names.contains(&"GIT_CONFIG_GLOBAL") && !names.contains(&"GIT_EXTERNAL_DIFF"), "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("GIT_") || !name.contains("PAGER")));
}
