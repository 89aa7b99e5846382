//! Looks at the pages of an address with every probe that uses a browser: for those who write such probes.
//!
//! `cargo run -p seaworthy-check --example pages -- [--repo DIR] [--only CONTROL] [--path PATH]… http://127.0.0.1:8000`

#![expect(clippy::print_stdout, reason = "it is a program for a terminal")]

use std::time::{Duration, Instant};

use seaworthy_check::{Probe, Runner, Subject, probes};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut subject, mut only, mut quiet) = (Subject::default(), String::new(), true);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--repo" => subject.repo = words.next().map(Into::into),
            "--only" => only = words.next().unwrap_or_default(),
            "--path" => subject.hints.paths.extend(words.next()),
            "--notes" => quiet = false,
            url => subject.url = Some(url.parse()?),
        }
    }
    let all = probes();
    let pages = |probe: &&dyn Probe| {
        let control = probe.control();
        probe.needs_target() && (control.starts_with("frontend.") || control == "edge.csp") && control.contains(&only)
    };
    let wanted: Vec<&dyn Probe> = all.iter().map(Box::as_ref).filter(pages).collect();
    let started = Instant::now();
    let found = Runner::new(Duration::from_secs(120)).run(&wanted, &subject, |_| {}).await;
    for one in found {
        println!("{:<30} {:<15} {:>6} ms  {}", one.control, format!("{:?}", one.verdict), one.took_ms, one.reason);
        if !quiet {
            one.transcript.iter().for_each(|line| println!("    {line}"));
        }
    }
    println!("{} probes in {:.1} s", wanted.len(), started.elapsed().as_secs_f64());
    Ok(())
}
