//! End to end: the real binary around real apps.
//!
//! A test that needs a program which is not on this machine is shown as *ignored* with the package that has it; with
//! `SEAWORTHY_TEST_REQUIRE=all` that is a failure.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests: a panic is how they fail"
)]

mod api;
mod apps;
mod cache;
mod cache_tiers;
mod check;
mod command_line;
mod compression;
mod config;
mod cors;
mod documents;
mod edge;
mod files;
mod frameworks;
mod headers;
mod house;
mod http;
mod identity;
mod init;
mod interrupted;
mod logins;
mod overload;
mod prover;
mod proxy;
mod rates;
mod repeats;
mod stores;
mod support;
mod uploads;
mod uploads_in_pieces;
mod validation;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let tests = [
        api::tests(),
        apps::tests(),
        cache::tests(),
        cache_tiers::tests(),
        check::tests(),
        prover::tests(),
        command_line::tests(),
        compression::tests(),
        config::tests(),
        cors::tests(),
        documents::tests(),
        edge::tests(),
        files::tests(),
        frameworks::tests(),
        headers::tests(),
        house::tests(),
        identity::tests(),
        init::tests(),
        interrupted::tests(),
        logins::tests(),
        overload::tests(),
        proxy::tests(),
        rates::tests(),
        repeats::tests(),
        validation::tests(),
        stores::tests(),
        uploads::tests(),
        uploads_in_pieces::tests(),
    ];
    let tests: Vec<Trial> = tests.into_iter().flatten().collect();
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}
