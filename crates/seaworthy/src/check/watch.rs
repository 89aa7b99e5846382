//! `seaworthy check --watch`: looks again when something that evidence depends on is another, and from time to time.
//!
//! Between two looks only the times of a few files are read. When one has changed, what was seen before no longer counts: the
//! boxes are opened at once, and then tried again.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use seaworthy_evidence::Report;
use tokio::time::sleep;

use crate::config::ConfigSource;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why it is time to look again.
#[derive(Debug, PartialEq, Eq)]
pub enum Reason {
    /// A file that evidence depends on was written.
    Changed(PathBuf),
    /// Evidence has come to its end.
    Expired,
    /// It was a while ago.
    Time,
}

/// What evidence depends on, as it was.
#[derive(Debug)]
pub struct Watch {
    files: Vec<(PathBuf, Option<(SystemTime, u64)>)>,
}

impl Watch {
    /// The lists, the config, and what a commit or a checkout writes in the repository.
    pub fn new(lists: &[PathBuf], source: &ConfigSource, repo: &Path) -> Self {
        let git = git_folder(repo);
        let in_git = ["HEAD", "index", "logs/HEAD"].map(|name| git.join(name));
        let files = lists.iter().cloned().chain(source.files()).chain(in_git);
        Self { files: files.map(with_state).collect() }
    }

    /// One more file, as it is now: what this very look has written to it is no reason.
    pub fn also(&mut self, file: PathBuf) {
        self.files.push(with_state(file));
    }

    /// Waits until there is a reason to look again: at the latest after `every`.
    pub async fn reason(&mut self, report: &Report, every: Duration) -> Reason {
        let begun = Instant::now();
        let end =
            report.findings.values().filter_map(|finding| finding.expires.as_ref()?.parse::<Timestamp>().ok()).min();
        loop {
            sleep(LOOK_EVERY.min(every)).await;
            for (file, before) in &mut self.files {
                let now = state(file);
                if *before != now {
                    *before = now;
                    return Reason::Changed(file.clone());
                }
            }
            if end.is_some_and(|end| end <= Timestamp::now()) {
                return Reason::Expired;
            }
            if begun.elapsed() >= every {
                return Reason::Time;
            }
        }
    }
}

fn with_state(file: PathBuf) -> (PathBuf, Option<(SystemTime, u64)>) {
    let now = state(&file);
    (file, now)
}

fn state(file: &Path) -> Option<(SystemTime, u64)> {
    let found = fs::metadata(file).ok()?;
    Some((found.modified().ok()?, found.len()))
}

/// The folder that Git keeps its state in; a worktree has a file in its place.
fn git_folder(repo: &Path) -> PathBuf {
    let start = repo.canonicalize().unwrap_or_else(|_| repo.to_owned());
    let found = start.ancestors().map(|folder| folder.join(".git")).find(|git| git.exists());
    let git = found.unwrap_or_else(|| start.join(".git"));
    match fs::read_to_string(&git) {
        // Submodules have a path relative to the file's folder.
        Ok(text) => {
            let told = text.trim().strip_prefix("gitdir: ");
            told.and_then(|told| Some(git.parent()?.join(told))).unwrap_or(git)
        }
        Err(_) => git,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use seaworthy_evidence::{Finding, Target};

    use super::*;

    fn report(expires: Option<&str>) -> Report {
        let finding = Finding { expires: expires.map(str::to_owned), ..Finding::not_run("docs.license", "x") };
        let findings = BTreeMap::from([("docs.license".to_owned(), finding)]);
        Report { items: Vec::new(), findings, target: Target::default() }
    }

    #[tokio::test]
    async fn a_written_file_an_end_and_a_while_are_reasons() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list.md");
        fs::write(&list, "- [ ] a\n").unwrap();
        let source = ConfigSource { file: Some(folder.path().join("seaworthy.toml")), ..ConfigSource::default() };
        let mut watch = Watch::new(std::slice::from_ref(&list), &source, folder.path());
        let soon = Duration::from_millis(50);
        assert_eq!(watch.reason(&report(None), soon).await, Reason::Time);
        assert_eq!(watch.reason(&report(Some("2020-01-01T00:00:00Z")), soon).await, Reason::Expired);
        fs::write(source.files()[0].as_path(), "[edge]\n").unwrap();
        assert_eq!(watch.reason(&report(None), soon).await, Reason::Changed(source.files()[0].clone()));
        fs::write(&list, "- [ ] a\n- [ ] b\n").unwrap();
        assert_eq!(watch.reason(&report(None), soon).await, Reason::Changed(list));
        assert_eq!(watch.reason(&report(None), soon).await, Reason::Time);
    }
}
