//! Looks at folders with every inspection of this room: `look [--run] [--only CONTROL] DIR…`. For those who write inspections.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{env, path::Path, time::Instant};

use seaworthy_repository::Repository;

fn main() {
    let (mut run, mut only, mut folders) = (false, None, Vec::new());
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--run" => run = true,
            "--only" => only = words.next(),
            _ => folders.push(word),
        }
    }
    for folder in folders {
        println!("== {folder}");
        let mut repository = match Repository::open(Path::new(&folder)) {
            Ok(repository) => repository,
            Err(error) => {
                println!("{error}");
                continue;
            }
        };
        repository.may_run = run;
        for inspection in seaworthy_inspect::all() {
            if only.as_ref().is_some_and(|only| only != inspection.control()) {
                continue;
            }
            let started = Instant::now();
            let seen = inspection.look(&repository);
            let took = started.elapsed().as_millis();
            println!(
                "{:34} {took:5} ms {}/{} {:?} | {}",
                inspection.control(),
                seen.executed,
                seen.planned,
                seen.outcome,
                seen.observed
            );
            if only.is_some() {
                seen.notes.iter().for_each(|note| println!("    {note}"));
            }
        }
    }
}
