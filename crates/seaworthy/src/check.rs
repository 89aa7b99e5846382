//! `seaworthy check`: finds out what there is to look at, lets the prover look, and shows what came of it.

mod target;
mod watch;
mod written;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use seaworthy_check::{Asked, AskedError, Progress, Runner};
use seaworthy_checklist::{Checklist, How};
use seaworthy_core::SystemClock;
use seaworthy_evidence::{Report, Verdict, head_path};
use seaworthy_report::{Format, Style, terminal as report_text};
use serde_json::json;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

use self::watch::{Reason, Watch};
use crate::{
    cli::CheckArguments,
    config::{Config, ConfigSource},
    failure::Failure,
    prover::{ERROR_STATUS, controls, fix, ledger, past},
    terminal,
};

/// How long threads that are at work may take to end.
const LAST_MOMENTS: Duration = Duration::from_secs(1);

/// Checks and tells.
pub fn main(arguments: CheckArguments) -> Result<ExitCode, Failure> {
    if arguments.controls {
        controls::list(arguments.json);
        return Ok(ExitCode::SUCCESS);
    }
    // Status 2 would mean that something is inconclusive.
    let source = ConfigSource::new(arguments.config.as_deref(), arguments.profile.as_deref());
    let config = Config::load_with(&source).map_err(|error| Failure::from(error).with_status(ERROR_STATUS))?;
    let asked = read(&arguments, &config)?;
    if arguments.match_only {
        show_matches(&asked, arguments.json);
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new("SEA_CHECK_RUNTIME", &error).with_status(ERROR_STATUS))?;
    let open = Open::default();
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = check(&arguments, config, asked, &open) => outcome,
            // What drills and looks have started ends with the future that is dropped here.
            signal = interrupted() => {
                open.tell();
                Ok(ExitCode::from(signal))
            }
        }
    });
    // Looks that were told to end do so in their own time, and theirs is no reason to wait for ever.
    runtime.shutdown_timeout(LAST_MOMENTS);
    outcome
}

/// Controls that are to be tried in this look, and that nothing is known of yet.
#[derive(Default)]
struct Open(RefCell<BTreeSet<String>>);

impl Open {
    /// Says what was not done, to whoever broke it off.
    fn tell(&self) {
        let open = self.0.borrow();
        if open.is_empty() {
            return;
        }
        terminal::progress("");
        let names: Vec<&str> = open.iter().map(String::as_str).collect();
        terminal::error_text(&format!(
            "interrupted: {} controls were not tried to the end: {}\nwhat was seen before is kept in the evidence; no report was written\n",
            names.len(),
            names.join(", ")
        ));
    }
}

/// Resolves with the exit status of whoever is interrupted: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.
pub async fn interrupted() -> u8 {
    let listen = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => drop(signals.recv().await),
            // Without a way to hear it there is nothing to wait for.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = listen(SignalKind::interrupt()) => 130,
        () = listen(SignalKind::terminate()) => 143,
        () = listen(SignalKind::hangup()) => 129,
    }
}

fn read(arguments: &CheckArguments, config: &Config) -> Result<Asked, Failure> {
    Asked::new(&arguments.files, arguments.all_asks, &config.check).map_err(|error| {
        let code = match error {
            AskedError::Checklist(_) => "SEA_CHECK_FILE",
            AskedError::Pin(_) => "SEA_CHECK_PIN",
        };
        Failure::new(code, &error).with_status(ERROR_STATUS)
    })
}

async fn check(
    arguments: &CheckArguments,
    mut config: Config,
    mut asked: Asked,
    open: &Open,
) -> Result<ExitCode, Failure> {
    let source = ConfigSource::new(arguments.config.as_deref(), arguments.profile.as_deref());
    let repo = arguments.repo.clone().unwrap_or_else(|| ".".into());
    let formats = written::formats(arguments)?;
    spare_inputs(arguments, &config, &source, &formats)?;
    loop {
        // Before the look, so that what changes while it looks is a reason to look again.
        let mut watch = Watch::new(&arguments.files, &source, &repo);
        let (report, behind) = look(arguments, &config, &asked, &formats, open).await?;
        if arguments.fix && !arguments.json {
            offer(&report, &source, behind, &written::folder(arguments, &config))?;
        }
        if !arguments.watch {
            return Ok(ExitCode::from(report.exit_status()));
        }
        // Somebody may attest, or withdraw.
        watch.also(head_path(&config.check.evidence));
        let reason = watch.reason(&report, arguments.every.0).await;
        // What is wrong now, or only half written, is told; what was last right is checked on until it is right again.
        match Config::load_with(&source) {
            Ok(read) => config = read,
            Err(error) => drop(Failure::from(error).report()),
        }
        match read(arguments, &config) {
            Ok(read) => asked = read,
            Err(failure) => drop(failure.report()),
        }
        tell(&reason);
        if reason != Reason::Time {
            let reopened = recall(arguments, &config, &asked).await?;
            terminal::line(&format!("{} boxes are open again until they were tried", reopened));
        }
    }
}

/// Before anything is tried or written: no output may be an input.
fn spare_inputs(
    arguments: &CheckArguments,
    config: &Config,
    source: &ConfigSource,
    formats: &[(Format, Option<PathBuf>)],
) -> Result<(), Failure> {
    let folder = written::folder(arguments, config);
    let lists = arguments.files.iter().filter_map(|file| Some(folder.join(file.file_name()?)));
    let reports = formats.iter().map(|(format, path)| path.clone().unwrap_or_else(|| folder.join(format.file_name())));
    let outputs: Vec<PathBuf> = lists.chain(reports).chain([folder.join("fix.diff")]).collect();
    let evidence = [&config.check.evidence, &config.check.evidence_key];
    let mut inputs: Vec<PathBuf> = arguments.files.iter().chain(evidence).cloned().chain(source.files()).collect();
    inputs.push(head_path(&config.check.evidence));
    written::spare(&outputs, &inputs)
}

/// Tries everything once, and tells. True when there is a Seaworthy around the app.
async fn look(
    arguments: &CheckArguments,
    config: &Config,
    asked: &Asked,
    formats: &[(Format, Option<PathBuf>)],
    open: &Open,
) -> Result<(Report, bool), Failure> {
    *open.0.borrow_mut() = asked.probed();
    let subject = target::subject(arguments, config).await?;
    let mut runner = Runner::new(config.check.budget.0)
        .with_test_budget(config.check.test_budget.0)
        .within(config.check.whole_budget.0)
        .allow_disruptive(arguments.disruptive);
    if config.profile.is_production() {
        runner = runner.in_production(arguments.disruptive_in_production);
    }
    let explain = |error| Failure::new("SEA_CHECK_EVIDENCE", &error).with_status(ERROR_STATUS);
    let mut ledger = ledger(&config.check)?;
    let past = past(ledger.path(), ledger.key().public());
    let progress = |step: Progress<'_>| {
        if step.ended {
            open.0.borrow_mut().remove(step.control);
        } else {
            terminal::progress(&format!("[{}/{}] trying {}", step.done + 1, step.total, step.control));
        }
    };
    let mut report =
        asked.check(&subject, &runner, Some(&mut ledger), &past, &SystemClock, progress).await.map_err(explain)?;
    terminal::progress("");
    open.0.borrow_mut().clear();
    fix::advise(&mut report, subject.admin.is_some());
    let folder = written::folder(arguments, config);
    let mut written = written::lists(&folder, asked, &report)?;
    written.extend(written::reports(&folder, formats, &report, ledger.key())?);
    if arguments.json {
        terminal::line(&report.json().to_string());
    } else {
        show(asked, &report, config, &written);
    }
    Ok((report, subject.admin.is_some()))
}

/// Writes the lists with what still counts, without trying anything. How many boxes are open that were closed.
async fn recall(arguments: &CheckArguments, config: &Config, asked: &Asked) -> Result<usize, Failure> {
    let subject = target::subject(arguments, config).await?;
    let ledger = ledger(&config.check)?;
    let past = past(ledger.path(), ledger.key().public());
    let report = asked.recall(&subject, &past, &SystemClock).await;
    written::lists(&written::folder(arguments, config), asked, &report)?;
    Ok(report.items.iter().filter(|item| item.verdict == Verdict::Expired).count())
}

fn tell(reason: &Reason) {
    terminal::line(&match reason {
        Reason::Changed(file) => format!("\n{} has changed", file.display()),
        Reason::Expired => "\nevidence has come to its end".to_owned(),
        Reason::Time => "\nlooking again".to_owned(),
    });
}

/// Shows what would close what failed, and writes it as a diff.
fn offer(report: &Report, source: &ConfigSource, behind: bool, folder: &Path) -> Result<(), Failure> {
    let proposal = fix::propose(report, source, behind);
    for note in &proposal.notes {
        terminal::line(&format!("  {note}"));
    }
    if proposal.diff.is_empty() {
        terminal::line("no line of seaworthy.toml closes more than is closed");
        return Ok(());
    }
    let path = folder.join("fix.diff");
    fs::write(&path, &proposal.diff).map_err(|error| {
        let text = format!("cannot write {}: {error}; choose another folder with --out", path.display());
        Failure::text("SEA_CHECK_REPORT", text).with_status(ERROR_STATUS)
    })?;
    terminal::line(&format!("\n{}", proposal.diff.trim_end()));
    terminal::line(&format!(
        "\nto apply it: patch -p1 < {}   ({} is not changed yet)",
        path.display(),
        proposal.file.display()
    ));
    Ok(())
}

fn show(asked: &Asked, report: &Report, config: &Config, written: &[PathBuf]) {
    let target = &report.target;
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
    terminal::line(&format!(
        "live {}   admin {}   source {}   seen from {}",
        or_none(&target.url),
        or_none(&target.admin),
        or_none(&target.repo),
        target.vantage
    ));
    for list in &asked.checklists {
        warn_of_hidden_boxes(list);
    }
    let style = Style { colours: terminal::output_colours(), width: terminal::width() };
    terminal::line(report_text(report, style).trim_end());
    let files: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
    terminal::line(&format!("written: {}   evidence: {}", files.join(", "), config.check.evidence.display()));
}

fn warn_of_hidden_boxes(list: &Checklist) {
    let hidden = list.hidden_boxes();
    if !hidden.is_empty() {
        let lines: Vec<String> = hidden.iter().map(usize::to_string).collect();
        terminal::line(&format!(
            "{}: {} boxes are hidden when the file is rendered (a code fence that never closes?), lines {}; they are checked all the same",
            list.name,
            hidden.len(),
            lines.join(", ")
        ));
    }
}

/// `--match`: what each item means.
fn show_matches(asked: &Asked, as_json: bool) {
    for (list, item, found) in asked.items() {
        if as_json {
            let line = json!({
                "file": list.name,
                "line": item.line,
                "text": item.text,
                "form": item.form,
                "ticked": item.ticked,
                "control": found.control,
                "also": found.also,
                "confidence": found.confidence,
            });
            terminal::line(&line.to_string());
        } else {
            let control = found.control.as_deref().unwrap_or("unmatched");
            let how = match found.how {
                How::Text => "",
                How::Marker => "  pinned in the file",
                How::Map => "  pinned in [check]",
            };
            let also = if found.also.is_empty() { String::new() } else { format!("  also {}", found.also.join(", ")) };
            terminal::line(&format!(
                "{}:{}  {}\n    {control} ({:.2}){also}{how}",
                list.name, item.line, item.text, found.confidence
            ));
        }
    }
}
