//! Which control each line of some lists means, as JSON lines: the crate alone, to measure matching without the whole
//! program. `cargo run -p seaworthy-checklist --example match_lines -- [--all-asks] [--time] FILES`.

use std::{env, fs, process::ExitCode, time::Instant};

use seaworthy_checklist::{Catalogue, Checklist, Matcher};
use serde_json::json;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]
fn main() -> ExitCode {
    let (mut all_asks, mut timed) = (false, false);
    let mut files = Vec::new();
    for argument in env::args().skip(1) {
        match argument.as_str() {
            "--all-asks" => all_asks = true,
            "--time" => timed = true,
            _ => files.push(argument),
        }
    }
    let started = Instant::now();
    let matcher = Matcher::new(Catalogue::built_in(), &[]);
    let built = started.elapsed();
    let mut items = 0;
    for file in files {
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) => {
                eprintln!("{file}: {error}");
                return ExitCode::FAILURE;
            }
        };
        let checklist = Checklist::parse(file, bytes, all_asks);
        items += checklist.items.len();
        for (item, found) in checklist.items.iter().zip(matcher.checklist(&checklist)) {
            let line = json!({
                "file": checklist.name,
                "line": item.line,
                "text": item.text,
                "form": item.form,
                "control": found.control,
                "also": found.also,
                "confidence": found.confidence,
            });
            println!("{line}");
        }
    }
    if timed {
        eprintln!("built in {built:?}, {items} items in {:?}", started.elapsed() - built);
    }
    ExitCode::SUCCESS
}
