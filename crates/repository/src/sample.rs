//! Small known repositories for control experiments.

use std::{fs, io, path::Path, process::Command};

/// A small known repository: files, in one commit after the other where history matters.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// What each step writes; `None` deletes the file.
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Default)]
struct Step {
    files: Vec<(String, Option<String>)>,
    committed: bool,
}

impl Sample {
    /// These files, and no history.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let written = files.iter().map(|(name, text)| ((*name).to_owned(), Some((*text).to_owned()))).collect();
        Self { steps: vec![Step { files: written, committed: false }] }
    }

    /// These files too, or instead of those of the same name.
    #[must_use]
    pub fn with(mut self, files: &[(&str, &str)]) -> Self {
        self.steps.extend(Self::of(files).steps);
        self
    }

    /// Without this file.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.steps.push(Step { files: vec![(name.to_owned(), None)], committed: false });
        self
    }

    /// Everything up to here in a commit, without what `.gitignore` names.
    #[must_use]
    pub fn committed(mut self) -> Self {
        self.steps.push(Step { files: Vec::new(), committed: true });
        self
    }

    /// Writes it into an empty folder.
    ///
    /// # Errors
    /// When a file cannot be written or Git cannot be run.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        for step in &self.steps {
            for (name, text) in &step.files {
                let path = folder.join(name);
                match text {
                    None => fs::remove_file(&path)?,
                    Some(text) => {
                        fs::create_dir_all(path.parent().unwrap_or(folder))?;
                        fs::write(&path, text)?;
                    }
                }
            }
            if step.committed {
                commit(folder)?;
            }
        }
        Ok(())
    }
}

fn commit(folder: &Path) -> io::Result<()> {
    let run = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(folder).args(["-c", "user.name=sample", "-c", "user.email=sample@localhost"]);
        let output = command.args(["-c", "init.defaultBranch=main"]).args(arguments).output()?;
        match output.status.success() {
            true => Ok(()),
            false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())),
        }
    };
    if !folder.join(".git").exists() {
        run(&["init", "-q"])?;
    }
    run(&["add", "-A", "."])?;
    run(&["commit", "-q", "--no-gpg-sign", "--allow-empty", "-m", "sample"])
}
