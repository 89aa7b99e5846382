//! `seaworthy demo`: a small unready app is checked bare and then behind Seaworthy, side by side.

mod app;
mod compare;
mod stage;

use std::process::ExitCode;

use serde_json::json;
use tokio::runtime;

use crate::{
    check::interrupted,
    cli::{DemoAppArguments, DemoArguments},
    failure::Failure,
    terminal,
};
use stage::Stage;

/// Compares, and then keeps both running until Ctrl-C.
pub fn main(arguments: DemoArguments) -> Result<ExitCode, Failure> {
    runtime()?.block_on(async {
        let stage = Stage::set(&arguments.listen).await?;
        if !arguments.json {
            terminal::line(&format!(
                "bare app          {}\nbehind Seaworthy  {}\n",
                stage.bare_url(),
                stage.behind_url()
            ));
            terminal::line(
                "Checking the same list against both (about half a minute): sizes, slow clients, crashes, shutdowns…",
            );
        }
        let compared = tokio::select! {
            compared = compare_both(&stage, &arguments) => compared,
            signal = interrupted() => Ok(ExitCode::from(signal)),
        };
        stage.strike().await;
        compared
    })
}

/// Shows both, and then waits, unless it shall end at once.
async fn compare_both(stage: &Stage, arguments: &DemoArguments) -> Result<ExitCode, Failure> {
    let (bare, behind) = stage.check().await?;
    terminal::progress("");
    let better = compare::proven(&behind) > compare::proven(&bare);
    if arguments.json {
        let side =
            |report: &seaworthy_evidence::Report| json!({ "summary": report.summary(), "url": report.target.url });
        terminal::line(&json!({ "bare": side(&bare), "behind": side(&behind) }).to_string());
    } else {
        terminal::line(&compare::side_by_side(&bare, &behind, terminal::output_colours(), terminal::width()));
    }
    if !arguments.once {
        tell_addresses(stage, arguments.json);
        interrupted().await;
    }
    Ok(if better { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The demo's app alone, as a child of the demo or of `run`.
pub fn app_main(arguments: &DemoAppArguments) -> Result<ExitCode, Failure> {
    let served = runtime()?.block_on(app::serve(arguments.port));
    served.map(|()| ExitCode::SUCCESS).map_err(|error| Failure::new("SEA_DEMO_APP", &error))
}

fn tell_addresses(stage: &Stage, as_json: bool) {
    let (bare, behind, admin) = (stage.bare_url(), stage.behind_url(), stage.admin_url());
    if as_json {
        terminal::line(&json!({ "bare": bare, "behind": behind, "admin": admin }).to_string());
        return;
    }
    terminal::line(&format!(
        "\nBoth keep running; compare them yourself:\n\n  an error            {bare}/api/report\n                      {behind}/api/report\n  \
         a slow answer       {bare}/slow?seconds=30\n                      {behind}/slow?seconds=30\n  \
         metrics             {admin}/metrics\n  status              {admin}/status\n  access log          {}\n\nCtrl-C ends both.",
        stage.access_log().display()
    ));
}

fn runtime() -> Result<runtime::Runtime, Failure> {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| Failure::new("SEA_DEMO_RUNTIME", &error))
}
