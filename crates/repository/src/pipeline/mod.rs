//! Pipelines as their files declare them: what starts them, their jobs and steps, the commands that these come to, and
//! whether a failure of one makes the pipeline fail.
//!
//! It is read as the system would read it: a step that is commented out, switched off, or allowed to fail does not count.
//! Commands are followed into scripts, `package.json`, Makefiles and other task files. Nothing is run and nothing fetched;
//! what is kept elsewhere is listed as such.

mod context;
mod expression;
mod occasion;
mod shell;
mod systems;
mod tasks;
mod tools;

use std::path::{Path, PathBuf};

pub use occasion::{Event, Occasions, Truth};
pub use shell::{Failure, Shell};
pub use tools::{Purpose, Tool};

use crate::repository::Repository;

/// Every pipeline of a repository.
#[derive(Debug, Default)]
pub struct Pipelines {
    /// Those that could be read.
    pub all: Vec<Pipeline>,
    /// Files that cannot be read, with the reason.
    pub unreadable: Vec<String>,
    /// Pipelines of systems whose files are not read: the file and the system.
    pub unread: Vec<String>,
}

/// One pipeline: one file, with what it includes.
#[derive(Debug)]
pub struct Pipeline {
    /// Whose format it is.
    pub system: &'static str,
    /// Its file.
    pub file: PathBuf,
    /// Its jobs, in the order of the file.
    pub jobs: Vec<Job>,
    /// What it takes from places that are not read.
    pub elsewhere: Vec<String>,
}

/// One job.
#[derive(Debug)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// The line where it is first named; 0 when that is not found.
    pub line: usize,
    /// When it runs; what the pipeline and its conditions allow.
    pub occasions: Occasions,
    /// What its failure does to the pipeline.
    pub failure: Failure,
    /// The environment that it deploys to, as it says.
    pub environment: Option<String>,
    /// Jobs that must have passed before.
    pub needs: Vec<String>,
    /// The pipeline waits for a person before it; how.
    pub approval: Option<String>,
    /// Its steps.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Debug)]
pub struct Step {
    /// Its name, or how it begins.
    pub name: String,
    /// Its line in the pipeline's file; 0 when that is not found.
    pub line: usize,
    /// When it runs, when its job does.
    pub occasions: Occasions,
    /// What its failure does to the job.
    pub failure: Failure,
    /// The pipeline waits there for a person; how.
    pub approval: Option<String>,
    /// What it runs.
    pub commands: Vec<Command>,
}

/// What a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandKind {
    /// A program of the shell.
    Shell,
    /// A ready-made step: an action, an orb, a task, a pipe, a plugin. Its first word is its name, without a version; the
    /// others are `input=value`.
    Action,
    /// A hook of pre-commit: its id.
    Hook,
}

/// One command, or one ready-made step.
#[derive(Debug, Clone)]
pub struct Command {
    /// What kind.
    pub kind: CommandKind,
    /// Its words, without what only starts it (`poetry run`, `npx`, `sudo`).
    pub words: Vec<String>,
    /// The version that an action is used with.
    pub version: Option<String>,
    /// The folder that it runs in.
    pub folder: PathBuf,
    /// Lines before it in the step's script, when it stands there itself.
    pub offset: usize,
    /// Through which tasks or scripts it is reached: `package.json: test`.
    pub through: Vec<String>,
    /// What its failure does to the step.
    pub failure: Failure,
    /// It calls something of the project that is not found or not read.
    pub opaque: bool,
    /// What tools it is.
    pub tools: Vec<&'static Tool>,
}

/// A tool that a pipeline runs.
#[derive(Debug, Clone)]
pub struct Run<'p> {
    /// Which one.
    pub tool: &'static Tool,
    /// Where.
    pub placed: Placed<'p>,
}

/// A command with where it is.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'p> {
    /// Its pipeline.
    pub pipeline: &'p Pipeline,
    /// Its job.
    pub job: &'p Job,
    /// Its step.
    pub step: &'p Step,
    /// Itself.
    pub command: &'p Command,
}

/// Reads every pipeline of a repository.
pub fn read(repository: &Repository) -> Pipelines {
    systems::read(repository)
}

impl Pipelines {
    /// Every command of every pipeline.
    pub fn commands(&self) -> impl Iterator<Item = Placed<'_>> {
        self.all.iter().flat_map(|pipeline| {
            pipeline.jobs.iter().flat_map(move |job| {
                job.steps.iter().flat_map(move |step| {
                    step.commands.iter().map(move |command| Placed { pipeline, job, step, command })
                })
            })
        })
    }

    /// Every command that runs on changes, and whose failure stops what it belongs to.
    pub fn effective_commands(&self) -> impl Iterator<Item = Placed<'_>> {
        self.commands()
            .filter(|placed| placed.occasions().on_changes() == Truth::Yes && placed.failure() == Failure::Stops)
    }

    /// Every tool of a purpose, also where its failure does not count or it seldom runs.
    pub fn runs(&self, purpose: Purpose) -> Vec<Run<'_>> {
        self.commands()
            .flat_map(|placed| {
                let tools = placed.command.tools.iter().filter(|tool| tool.purpose == purpose);
                tools.map(move |tool| Run { tool, placed }).collect::<Vec<_>>()
            })
            .collect()
    }

    /// What could not be followed, one line each, with when it runs: a claim that something is missing must not be made
    /// when it may be there.
    pub fn opaque(&self) -> Vec<(String, Occasions)> {
        let from_elsewhere = self.all.iter().flat_map(|pipeline| {
            let file = pipeline.file.display();
            pipeline.elsewhere.iter().map(move |what| (format!("{file}: {what}"), Occasions::ALWAYS))
        });
        let commands = self.commands().filter(|placed| placed.command.opaque);
        let commands =
            commands.map(|one| (format!("{}: `{}`", one.place(), one.command.words.join(" ")), one.occasions()));
        let unread = self.unread.iter().map(|unread| (unread.clone(), Occasions::ALWAYS));
        let unreadable = self.unreadable.iter().map(|unreadable| (unreadable.clone(), Occasions::ALWAYS));
        from_elsewhere.chain(commands).chain(unread).chain(unreadable).collect()
    }
}

impl Placed<'_> {
    /// When it runs.
    pub fn occasions(&self) -> Occasions {
        self.job.occasions.and(self.step.occasions)
    }

    /// What its failure does to the pipeline.
    pub fn failure(&self) -> Failure {
        self.command.failure.clone().and(&self.step.failure).and(&self.job.failure)
    }

    /// File and line.
    pub fn place(&self) -> String {
        place(&self.pipeline.file, if self.step.line == 0 { 0 } else { self.step.line + self.command.offset })
    }

    /// As people call it: how it begins, and through what it is reached.
    pub fn name(&self) -> String {
        let mut words = self.command.words.join(" ");
        if let Some((end, _)) = words.char_indices().nth(60) {
            words.truncate(end);
            words.push('…');
        }
        match self.command.through.first() {
            Some(through) => format!("`{words}` ({through})"),
            None => format!("`{words}`"),
        }
    }
}

impl Run<'_> {
    /// What its failure does to the pipeline, when the tool itself can fail as it is called.
    pub fn failure(&self) -> Failure {
        Failure::unless(self.tool.lenient(self.placed.command)).and(&self.placed.failure())
    }
}

fn place(file: &Path, line: usize) -> String {
    if line == 0 { file.display().to_string() } else { format!("{}:{line}", file.display()) }
}
