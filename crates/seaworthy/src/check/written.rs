//! The files that a check writes: the ticked lists, and a report in each format that was asked for.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use seaworthy_check::Asked;
use seaworthy_evidence::{Report, SigningKey};
use seaworthy_report::{Format, Inputs, Signature, write};

use crate::{cli::CheckArguments, config::Config, failure::Failure, prover::ERROR_STATUS};

/// Where files go that have no path of their own.
pub fn folder(arguments: &CheckArguments, config: &Config) -> PathBuf {
    arguments.out.clone().unwrap_or_else(|| config.check.reports.clone())
}

/// The formats that the command line asks for, each with its place.
pub fn formats(arguments: &CheckArguments) -> Result<Vec<(Format, Option<PathBuf>)>, Failure> {
    let read = |text: &String| {
        let (name, path) = match text.split_once('=') {
            Some((name, path)) => (name, Some(PathBuf::from(path))),
            None => (text.as_str(), None),
        };
        let format = name.parse::<Format>();
        Ok((format.map_err(|error| Failure::new("SEA_CHECK_FORMAT", &error).with_status(ERROR_STATUS))?, path))
    };
    arguments.reports.iter().map(read).collect()
}

/// All lists with their ticks, one after the other.
const ALL_LISTS: &str = "READINESS.md";

/// Nothing that a check reads may be written over, whatever the command line says.
pub fn spare(outputs: &[PathBuf], inputs: &[PathBuf]) -> Result<(), Failure> {
    let inputs: Vec<PathBuf> = inputs.iter().filter_map(|input| input.canonicalize().ok()).collect();
    let hit = outputs.iter().find(|output| output.canonicalize().is_ok_and(|output| inputs.contains(&output)));
    let Some(hit) = hit else { return Ok(()) };
    let text = format!(
        "{} is read by this check (a list, the config, or the evidence), and is not overwritten; choose another place with \
         --out or --report FORMAT=PATH",
        hit.display()
    );
    Err(Failure::text("SEA_CHECK_REPORT", text).with_status(ERROR_STATUS))
}

/// Writes every list with its ticks; two files of one name do not overwrite each other. Then all of them as one.
pub fn lists(folder: &Path, asked: &Asked, report: &Report) -> Result<Vec<PathBuf>, Failure> {
    fs::create_dir_all(folder).map_err(|error| explain(folder, &error))?;
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
        fs::write(&path, report.ticked(list)).map_err(|error| explain(&path, &error))?;
        written.push(path);
    }
    let whole = folder.join(ALL_LISTS);
    let is_a_list =
        asked.checklists.iter().any(|list| Path::new(&list.name).canonicalize().ok() == whole.canonicalize().ok());
    if !(written.contains(&whole) || is_a_list && whole.exists()) {
        let all: Vec<Vec<u8>> = asked.checklists.iter().map(|list| report.ticked(list)).collect();
        fs::write(&whole, all.join(&b'\n')).map_err(|error| explain(&whole, &error))?;
        written.push(whole);
    }
    Ok(written)
}

/// Writes a report in each of these formats.
pub fn reports(
    folder: &Path,
    formats: &[(Format, Option<PathBuf>)],
    report: &Report,
    key: &SigningKey,
) -> Result<Vec<PathBuf>, Failure> {
    let sign = |message: &[u8]| Signature { key_id: key.public().id(), bytes: key.sign(message) };
    let inputs = Inputs { artifacts: &[], sign: &sign };
    let mut written = Vec::new();
    for (format, path) in formats {
        let path = path.clone().unwrap_or_else(|| folder.join(format.file_name()));
        if let Some(above) = path.parent() {
            fs::create_dir_all(above).map_err(|error| explain(above, &error))?;
        }
        fs::write(&path, write(*format, report, inputs)).map_err(|error| explain(&path, &error))?;
        written.push(path);
    }
    Ok(written)
}

fn explain(path: &Path, error: &io::Error) -> Failure {
    let text = format!("cannot write {}: {error}; choose another folder with --out", path.display());
    Failure::text("SEA_CHECK_REPORT", text).with_status(ERROR_STATUS)
}
