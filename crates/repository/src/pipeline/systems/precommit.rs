//! pre-commit.ci: a service that runs the hooks on what is proposed, where the file has settings for it.

use std::path::Path;

use serde_json::Value;

use super::super::{
    Event, Failure, Job, Occasions,
    context::{Context, texts},
    shell::Shell,
};

pub(super) fn read(context: &mut Context<'_>, document: &Value) -> Result<Vec<Job>, String> {
    let settings = &document["ci"];
    if !settings.is_object() {
        return Ok(Vec::new());
    }
    let skipped = texts(&settings["skip"]);
    let mut step = context.script(Some("hooks"), "pre-commit run --all-files", Shell::STOPS, Path::new(""));
    step.commands.retain(|command| command.words.first().is_none_or(|id| !skipped.contains(id)));
    step.line = context.line_of_key("ci");
    Ok(vec![Job {
        name: "pre-commit.ci".to_owned(),
        line: step.line,
        occasions: Occasions::of(&[Event::PullRequest, Event::DefaultBranch]),
        failure: Failure::Stops,
        environment: None,
        needs: Vec::new(),
        approval: None,
        steps: vec![step],
    }])
}
