//! Drone and Woodpecker.

use std::path::Path;

use serde_json::Value;

use super::super::{
    Event, Failure, Job, Occasions, Step, Truth,
    context::{Context, entries, fits, inputs, items, listed, text, texts},
    occasion::{Scenario, tried},
    shell::Shell,
};

pub(super) fn read(context: &mut Context<'_>, document: &Value) -> Result<Vec<Job>, String> {
    let kind = text(&document["kind"]).unwrap_or_else(|| "pipeline".to_owned());
    if kind != "pipeline" {
        return Ok(Vec::new());
    }
    let list = if document["steps"].is_null() { &document["pipeline"] } else { &document["steps"] };
    let named: Vec<(String, &Value)> = match list {
        Value::Object(map) => map.iter().map(|(name, own)| (name.clone(), own)).collect(),
        list => items(list).map(|own| (text(&own["name"]).unwrap_or_default(), own)).collect(),
    };
    if named.is_empty() {
        return Err("it has no steps".to_owned());
    }
    // What nothing is said of runs on pushes and on what is proposed; Woodpecker asks for more to be said.
    let base = Occasions::of(&[
        Event::PullRequest,
        Event::DefaultBranch,
        Event::FeatureBranch,
        Event::StagingBranch,
        Event::ProductionBranch,
    ]);
    let occasions = [&document["trigger"], &document["when"]]
        .into_iter()
        .filter(|when| !when.is_null())
        .fold(None, |before: Option<Occasions>, when| {
            Some(before.unwrap_or(Occasions::ALWAYS).and(filtered(context, when)))
        })
        .unwrap_or(base.with(Event::Tag, Truth::Yes));
    let steps = named.iter().flat_map(|(name, own)| step(context, name, own)).collect();
    let name = text(&document["name"]).unwrap_or_else(|| "pipeline".to_owned());
    Ok(vec![Job {
        line: context.line_of(&name),
        occasions,
        failure: Failure::Stops,
        environment: None,
        needs: texts(&document["depends_on"]),
        approval: None,
        steps,
        name,
    }])
}

fn step(context: &Context<'_>, name: &str, own: &Value) -> Vec<Step> {
    let lines = texts(&own["commands"]);
    let mut step = if lines.is_empty() {
        let image = text(&own["image"]).unwrap_or_default();
        let name = image.split(':').next().unwrap_or_default().to_owned();
        context.action(None, &name, &inputs(&own["settings"]))
    } else {
        context.script(Some(name), &lines.join("\n"), Shell::STOPS, Path::new(""))
    };
    let when = &own["when"];
    if !when.is_null() {
        step.occasions = filtered(context, when);
    }
    let ignored = text(&own["failure"]).filter(|failure| failure == "ignore");
    step.failure = Failure::unless(ignored.map(|_| "`failure: ignore`".to_owned()));
    if own["detach"] == true {
        step.failure = Failure::Ignored("`detach: true`".to_owned());
    }
    vec![step]
}

/// `when` and `trigger`: one filter, or a list of which any fits.
fn filtered(context: &Context<'_>, when: &Value) -> Occasions {
    let any = listed(when).into_iter().map(|one| tried(context.default_branches, |scenario| single(one, scenario)));
    any.fold(Occasions::NEVER, Occasions::or)
}

fn single(when: &Value, scenario: &Scenario) -> Truth {
    let lists = |value: &Value| match value {
        Value::Object(map) => {
            let of = |key: &str| map.get(key).map(texts).unwrap_or_default();
            (of("include"), of("exclude"))
        }
        other => (texts(other), Vec::new()),
    };
    let event = match scenario.event {
        Event::PullRequest => "pull_request",
        Event::Tag => "tag",
        Event::Schedule => "cron",
        Event::Manual => "manual",
        _ => "push",
    };
    let (only, without) = lists(&when["event"]);
    let event_fits = match only.is_empty() {
        true => !matches!(scenario.event, Event::Schedule | Event::Manual),
        false => only.iter().any(|own| own == event || (event == "manual" && own == "promote")),
    };
    if !event_fits || without.iter().any(|own| own == event) {
        return Truth::No;
    }
    let (only, without) = lists(&when["branch"]);
    let inside = |list: &[String]| list.iter().any(|pattern| fits(pattern, &scenario.branch));
    if scenario.event != Event::Tag && ((!only.is_empty() && !inside(&only)) || inside(&without)) {
        return Truth::No;
    }
    let statuses = texts(&when["status"]);
    if !statuses.is_empty() && !statuses.iter().any(|status| status == "success") {
        return Truth::No;
    }
    let unread =
        entries(when).any(|(key, _)| ["evaluate", "target", "environment", "matrix", "instance"].contains(&key));
    if unread { Truth::Maybe } else { Truth::Yes }
}
