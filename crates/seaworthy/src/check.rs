//! `seaworthy check`.
use crate::{cli::CheckArguments, failure::Failure, terminal};
use seaworthy_check::{Catalogue, Checklist, Matcher};
use std::process::ExitCode;
pub fn main(a: CheckArguments) -> Result<ExitCode, Failure> {
    let m = Matcher::new(Catalogue::built_in());
    for f in &a.files {
        let c = Checklist::read(f, a.all_asks).map_err(|e| Failure::new("SEA_CHECK_FILE", &e))?;
        for (i, x) in c.items.iter().zip(m.checklist(&c)) {
            terminal::line(&serde_json::json!({"file": c.name, "line": i.line, "text": i.text, "form": i.form, "ticked": i.ticked, "control": x.control, "also": x.also, "confidence": x.confidence}).to_string());
        }
    }
    Ok(ExitCode::SUCCESS)
}
