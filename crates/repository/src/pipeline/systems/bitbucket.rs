//! Bitbucket Pipelines.

use std::path::Path;

use serde_json::Value;

use super::super::{
    Event, Failure, Job, Occasions, Truth,
    context::{Context, entries, fits, inputs, items, text},
    occasion::tried,
    shell::Shell,
};

pub(super) fn read(context: &mut Context<'_>, document: &Value) -> Result<Vec<Job>, String> {
    let pipelines = &document["pipelines"];
    if !pipelines.is_object() {
        return Err("it has no pipelines".to_owned());
    }
    let named_branches: Vec<&str> = entries(&pipelines["branches"]).map(|(name, _)| name).collect();
    let mut found = Vec::new();
    // `default` is for branches that have no pipeline of their own.
    let default = tried(context.default_branches, |scenario| match scenario.event {
        Event::Tag | Event::Schedule | Event::Manual => Truth::No,
        // A push to the branch shows on its pull request.
        Event::PullRequest => (!named_branches.iter().any(|pattern| fits(pattern, "some-feature"))).into(),
        _ => (!named_branches.iter().any(|pattern| fits(pattern, &scenario.branch))).into(),
    });
    found.extend(steps(context, &pipelines["default"], default));
    for (pattern, list) in entries(&pipelines["branches"]) {
        let occasions = tried(context.default_branches, |scenario| match scenario.event {
            Event::Tag | Event::Schedule | Event::Manual => Truth::No,
            Event::PullRequest => fits(pattern, "some-feature").into(),
            _ => fits(pattern, &scenario.branch).into(),
        });
        found.extend(steps(context, list, occasions));
    }
    for (pattern, list) in entries(&pipelines["pull-requests"]) {
        let occasions = Occasions::NEVER.with(Event::PullRequest, fits(pattern, "some-feature").into());
        found.extend(steps(context, list, occasions));
    }
    for (_, list) in entries(&pipelines["tags"]) {
        found.extend(steps(context, list, Occasions::of(&[Event::Tag])));
    }
    for (_, list) in entries(&pipelines["custom"]) {
        found.extend(steps(context, list, Occasions::of(&[Event::Manual, Event::Schedule])));
    }
    if found.is_empty() {
        return Err("it has no steps".to_owned());
    }
    Ok(found)
}

/// The steps of one pipeline, each a job; from a manual one on, the pipeline waits for a person.
fn steps(context: &Context<'_>, list: &Value, occasions: Occasions) -> Vec<Job> {
    let mut flat: Vec<(&Value, &Value)> = Vec::new();
    for own in items(list) {
        let parallel = if own["parallel"].is_array() { &own["parallel"] } else { &own["parallel"]["steps"] };
        for step in items(parallel).chain(items(&own["stage"]["steps"])) {
            flat.push((&step["step"], &own["stage"]));
        }
        if own["step"].is_object() {
            flat.push((&own["step"], &Value::Null));
        }
    }
    let (mut found, mut approval, mut before) = (Vec::<Job>::new(), None, Vec::<String>::new());
    for (own, stage) in flat {
        let manual = |value: &Value| text(&value["trigger"]).as_deref() == Some("manual");
        if manual(own) || manual(stage) {
            approval = Some("`trigger: manual`".to_owned());
        }
        let name = text(&own["name"]).unwrap_or_else(|| "step".to_owned());
        let ignored = text(&own["on-fail"]["strategy"]).filter(|strategy| strategy == "ignore");
        let lines: Vec<String> = items(&own["script"]).filter_map(text).collect();
        let mut steps = Vec::new();
        if !lines.is_empty() {
            let mut step = context.script(Some(&name), &lines.join("\n"), Shell::STOPS, Path::new(""));
            step.commands
                .iter_mut()
                .filter(|_| lines.iter().any(|line| line.contains('\n')))
                .for_each(|command| command.offset = 0);
            steps.push(step);
        }
        for pipe in items(&own["script"]).filter(|item| item.is_object()) {
            let uses = text(&pipe["pipe"]).unwrap_or_default().replace(':', "@");
            let mut step = context.action(None, &uses, &inputs(&pipe["variables"]));
            step.line = context.line_of(&text(&pipe["pipe"]).unwrap_or_default());
            steps.push(step);
        }
        let occasions = match approval {
            Some(_) => Occasions::NEVER.with(Event::Manual, occasions.ever()),
            None => occasions,
        };
        found.push(Job {
            line: context.line_of(&name),
            occasions,
            failure: Failure::unless(ignored.map(|_| "`on-fail: ignore`".to_owned())),
            environment: text(&own["deployment"]).or_else(|| text(&stage["deployment"])),
            needs: before.clone(),
            approval: approval.clone(),
            steps,
            name: name.clone(),
        });
        before.push(name);
    }
    found
}
