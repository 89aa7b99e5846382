//! What a sandbox holds off.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use seaworthy_repository::{Repository, Sample, Stop};

use super::{Order, Ran, Sandbox, protection::Protection};

fn sandbox(folder: &Path, protection: Protection) -> Sandbox {
    let repository = Repository::open(folder).unwrap();
    let mut sandbox = Sandbox::of(&repository, &Stop::default()).unwrap();
    if protection == Protection::Group {
        sandbox.protection = Protection::Group;
        sandbox.place = sandbox.copy.clone();
        for layer in std::mem::take(&mut sandbox.dependencies) {
            super::copy::dependencies(&layer.lower, &layer.over, &Stop::default()).unwrap();
        }
    }
    sandbox
}

fn run(sandbox: &Sandbox, line: &str) -> Ran {
    let budget = Duration::from_secs(20);
    sandbox.run(&Order { line: line.into(), budget, ..Order::default() })
}

fn every_protection() -> Vec<Protection> {
    let mut all = vec![Protection::Group];
    all.extend((Protection::strongest() == Protection::Room).then_some(Protection::Room));
    all
}

/// Every path with its content and rights.
fn state(folder: &Path) -> BTreeMap<String, (Vec<u8>, u32)> {
    use std::os::unix::fs::PermissionsExt;
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let kind = entry.file_type().unwrap();
            let content = if kind.is_file() { fs::read(entry.path()).unwrap() } else { Vec::new() };
            let mode = fs::symlink_metadata(entry.path()).unwrap().permissions().mode();
            found.insert(entry.path().display().to_string(), (content, mode));
            if kind.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn the_users_folder_stays_as_it_is_whatever_a_command_does() {
    let folder = tempfile::tempdir().unwrap();
    let sample = Sample::of(&[
        ("a.txt", "a"),
        ("src/b.txt", "b"),
        (".gitignore", "node_modules\n.env\n"),
        (".env", "SECRET=1"),
        ("node_modules/c/index.js", "c"),
    ]);
    sample.committed().write(folder.path()).unwrap();
    for protection in every_protection() {
        let before = state(folder.path());
        let sandbox = sandbox(folder.path(), protection);
        let ran = run(
            &sandbox,
            "cat node_modules/c/index.js && test ! -e .env && echo x > a.txt && rm -r src && \
             echo x > node_modules/c/index.js && echo x > node_modules/new && chmod 000 node_modules/c",
        );
        assert!(ran.succeeded() && ran.output == "c", "{protection:?} {ran:?}");
        // What one command leaves, the next one finds.
        assert!(run(&sandbox, "test -e node_modules/new && grep x a.txt").succeeded());
        let base = sandbox.base();
        drop(sandbox);
        assert!(!base.exists(), "nothing is left behind");
        assert_eq!(before, state(folder.path()), "{protection:?}");
    }
}

#[test]
fn the_environment_is_clean() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "").unwrap();
    for protection in every_protection() {
        let ran = run(&sandbox(folder.path(), protection), "env");
        let names: Vec<&str> = ran.output.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        let ours = ["PATH", "HOME", "TMPDIR", "LANG", "CI", "PWD", "OLDPWD", "SHLVL", "_"];
        let toolchain = |name: &&str| super::launch::TOOLCHAINS_FOR_TESTS.contains(name);
        assert!(names.iter().all(|name| ours.contains(name) || toolchain(name)), "{names:?}");
        assert!(!ran.output.contains("HOME=/root\n"));
    }
}

#[test]
fn a_command_that_takes_too_long_is_ended_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "").unwrap();
    for protection in every_protection() {
        let sandbox = sandbox(folder.path(), protection);
        let line = "(setsid sh -c 'sleep 1.5; touch \"$TMPDIR/lived\"' &) ; sleep 60";
        let ran = sandbox.run(&Order { line: line.into(), budget: Duration::from_millis(500), ..Order::default() });
        assert!(ran.timed_out && ran.took < Duration::from_secs(20), "{ran:?}");
        std::thread::sleep(Duration::from_millis(1500));
        assert!(!sandbox.base().join("tmp/lived").exists(), "{protection:?}: a process outlived it");
    }
}

#[test]
fn a_command_that_nobody_waits_for_is_ended_at_once_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "").unwrap();
    for protection in every_protection() {
        let sandbox = sandbox(folder.path(), protection);
        let stop = Stop::default();
        let order = Order {
            line: "(setsid sleep 3599 &) ; echo begun > \"$TMPDIR/begun\"; sleep 3600".into(),
            budget: Duration::from_secs(3600),
            stop: stop.clone(),
            ..Order::default()
        };
        let ran = std::thread::scope(|scope| {
            let running = scope.spawn(|| sandbox.run(&order));
            let begun = sandbox.base().join("tmp/begun");
            let until = std::time::Instant::now() + Duration::from_secs(20);
            while !begun.exists() && std::time::Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            assert!(begun.exists(), "{protection:?}: it did not begin");
            stop.set();
            let told = std::time::Instant::now();
            let ran = running.join().unwrap();
            assert!(told.elapsed() < Duration::from_secs(2), "{protection:?}: {:?}", told.elapsed());
            ran
        });
        assert!(ran.timed_out && !ran.succeeded(), "{ran:?}");
        assert!(sandbox.run(&order).errors.contains("test_budget"), "nothing is started after that");
        assert!(Sandbox::of(&Repository::open(folder.path()).unwrap(), &stop).is_err(), "and nothing is copied");
    }
}

#[test]
fn a_room_has_no_network_but_loopback_and_no_way_to_the_folder() {
    if Protection::strongest() != Protection::Room {
        eprintln!("skipped: this kernel allows no namespaces");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "").unwrap();
    let sandbox = sandbox(folder.path(), Protection::Room);
    let ran = run(&sandbox, "cat /proc/net/dev; pwd; touch /usr/x 2>/dev/null || echo read-only");
    let devices = ran.output.lines().filter(|line| line.contains(':')).count();
    assert_eq!(devices, 1, "{ran:?}");
    assert!(ran.output.contains("read-only") && ran.output.contains(folder.path().to_str().unwrap()), "{ran:?}");
}

#[test]
fn output_without_end_is_cut_and_links_lead_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "x").unwrap();
    std::os::unix::fs::symlink("/etc", folder.path().join("etc")).unwrap();
    std::os::unix::fs::symlink("a", folder.path().join("b")).unwrap();
    Sample::default().committed().write(folder.path()).unwrap();
    let sandbox = sandbox(folder.path(), Protection::Group);
    assert!(run(&sandbox, "test ! -e etc && test \"$(cat b)\" = x").succeeded());
    let ran = sandbox.run(&Order { line: "yes".into(), budget: Duration::from_millis(300), ..Order::default() });
    assert!(ran.timed_out && ran.output.len() < 3 << 20);
}

#[test]
fn a_link_in_the_place_of_a_file_is_not_written_through() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    Sample::of(&[("a.txt", "a"), ("src/b.txt", "b")]).write(folder.path()).unwrap();
    let target = other.path().join("precious");
    fs::write(&target, "kept").unwrap();
    let sandbox = sandbox(folder.path(), Protection::Group);
    let results = sandbox.results();
    let line = format!(
        "rm -r a.txt src '{1}' && ln -s '{0}/precious' a.txt && ln -s '{0}' src && ln -s '{0}' '{1}'",
        other.path().display(),
        results.display()
    );
    assert!(run(&sandbox, &line).succeeded());
    assert!(sandbox.write(Path::new("a.txt"), "x").is_err() && sandbox.text(Path::new("a.txt")).is_none());
    assert!(sandbox.write(Path::new("src/precious"), "x").is_err() && sandbox.leave("sources", "x").is_err());
    assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
}
