//! `seaworthy check`: finds out what there is to look at, lets the prover look, and shows what came of it.

mod target;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use seaworthy_check::{Asked, Progress, Runner};
use seaworthy_checklist::Checklist;
use seaworthy_core::SystemClock;
use seaworthy_evidence::Report;
use seaworthy_report::{Style, terminal as report_text};
use serde_json::json;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

use crate::{
    cli::CheckArguments,
    config::{Config, ConfigSource},
    failure::Failure,
    prover::{ERROR_STATUS, ledger, past},
    terminal,
};

/// Checks and tells.
pub fn main(arguments: CheckArguments) -> Result<ExitCode, Failure> {
    let asked = Asked::new(&arguments.files, arguments.all_asks)
        .map_err(|error| Failure::new("SEA_CHECK_FILE", &error).with_status(ERROR_STATUS))?;
    if arguments.match_only {
        show_matches(&asked, arguments.json);
        return Ok(ExitCode::SUCCESS);
    }
    // Status 2 would mean that something is inconclusive.
    let source = ConfigSource::new(arguments.config.as_deref(), arguments.profile.as_deref());
    let config = Config::load_with(&source).map_err(|error| Failure::from(error).with_status(ERROR_STATUS))?;
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new("SEA_CHECK_RUNTIME", &error).with_status(ERROR_STATUS))?;
    runtime.block_on(async {
        tokio::select! {
            outcome = check(&arguments, &config, &asked) => outcome,
            // The copies that drills have started end with the future that is dropped here.
            signal = interrupted() => Ok(ExitCode::from(signal)),
        }
    })
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

async fn check(arguments: &CheckArguments, config: &Config, asked: &Asked) -> Result<ExitCode, Failure> {
    let subject = target::subject(arguments, config).await?;
    let runner = Runner::new(config.check.budget.0);
    let explain = |error| Failure::new("SEA_CHECK_EVIDENCE", &error).with_status(ERROR_STATUS);
    let mut ledger = ledger(&config.check)?;
    let past = past(ledger.path(), ledger.key().public());
    let progress = |step: Progress<'_>| {
        terminal::progress(&format!("[{}/{}] trying {}", step.done + 1, step.total, step.control));
    };
    let report =
        asked.check(&subject, &runner, Some(&mut ledger), &past, &SystemClock, progress).await.map_err(explain)?;
    terminal::progress("");
    let written = write_lists(arguments, config, asked, &report)?;
    if arguments.json {
        terminal::line(&report.json().to_string());
    } else {
        show(asked, &report, config, &written);
    }
    Ok(ExitCode::from(report.exit_status()))
}

/// Writes each list with its ticks; two files of one name do not overwrite each other.
fn write_lists(
    arguments: &CheckArguments,
    config: &Config,
    asked: &Asked,
    report: &Report,
) -> Result<Vec<PathBuf>, Failure> {
    let folder = arguments.out.clone().unwrap_or_else(|| config.check.reports.clone());
    let explain = |path: &Path, error: std::io::Error| {
        let text = format!("cannot write {}: {error}; choose another folder with --out", path.display());
        Failure::text("SEA_CHECK_REPORT", text).with_status(ERROR_STATUS)
    };
    fs::create_dir_all(&folder).map_err(|error| explain(&folder, error))?;
    let mut written: Vec<PathBuf> = Vec::new();
    for list in &asked.checklists {
        let name = Path::new(&list.name)
            .file_name()
            .map_or_else(|| "CHECKLIST.md".into(), |name| name.to_string_lossy().into_owned());
        let mut path = folder.join(&name);
        for number in 2.. {
            if !written.contains(&path) {
                break;
            }
            path = folder.join(format!("{number}-{name}"));
        }
        if path.canonicalize().is_ok_and(|there| Path::new(&list.name).canonicalize().is_ok_and(|own| own == there)) {
            let text = format!(
                "{} is the list itself, and is not overwritten; choose another folder with --out",
                path.display()
            );
            return Err(Failure::text("SEA_CHECK_REPORT", text).with_status(ERROR_STATUS));
        }
        fs::write(&path, report.ticked(list)).map_err(|error| explain(&path, error))?;
        written.push(path);
    }
    Ok(written)
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
    terminal::line(&format!("ticked list: {}   evidence: {}", files.join(", "), config.check.evidence.display()));
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
            let also = if found.also.is_empty() { String::new() } else { format!("  also {}", found.also.join(", ")) };
            terminal::line(&format!(
                "{}:{}  {}\n    {control} ({:.2}){also}",
                list.name, item.line, item.text, found.confidence
            ));
        }
    }
}
