//! Real processes under a real fleet. The binary of this test is also the app that they run, its launcher, and a
//! supervisor that is killed: nothing else has to be on the machine.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests: a panic is how they fail"
)]

mod app;
mod inherited;
mod instances;
mod killed;
mod replacement;
mod support;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("app") => app::main(&words[1..]),
        Some("launch-app") => killed::launch(&words[1..]),
        Some("guard-apps") => seaworthy_deploy::guard_apps(std::io::stdin().lock()),
        Some("inherit") => inherited::inherit(),
        Some("supervise") => killed::supervise(&words[1]),
        _ => {
            let tests = [instances::tests(), replacement::tests(), killed::tests(), inherited::tests()];
            let tests: Vec<Trial> = tests.into_iter().flatten().collect();
            libtest_mimic::run(&Arguments::from_args(), tests).exit();
        }
    }
}

/// A test with a runtime of its own.
fn test<F>(name: &str, body: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(body());
        Ok(())
    })
}
