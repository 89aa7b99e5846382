//! Buildkite. Which pushes start it is set on its server.

use std::path::Path;

use serde_json::Value;

use super::super::{
    Event, Failure, Job, Occasions, Step, Truth,
    context::{Context, entries, fits, inputs, items, listed, text, texts},
    expression::{self, Value as Known},
    occasion::{Scenario, tried},
    shell::Shell,
};

const DEEPEST: usize = 3;

pub(super) fn read(context: &mut Context<'_>, document: &Value) -> Result<Vec<Job>, String> {
    let list = if document.is_array() { document } else { &document["steps"] };
    if !list.is_array() {
        return Err("it has no steps".to_owned());
    }
    let mut found = Vec::new();
    let mut approval = None;
    collect(context, list, &mut approval, &mut found, 0);
    Ok(found)
}

fn collect(context: &mut Context<'_>, list: &Value, approval: &mut Option<String>, found: &mut Vec<Job>, depth: usize) {
    for own in items(list) {
        if !own["block"].is_null() || text(own).as_deref() == Some("block") {
            *approval = Some("a `block` step".to_owned());
        }
        if own["steps"].is_array() && depth < DEEPEST {
            collect(context, &own["steps"], approval, found, depth + 1);
        }
        if !own["trigger"].is_null() {
            context.elsewhere.push(format!("it starts {}", text(&own["trigger"]).unwrap_or_default()));
        }
        let lines: Vec<String> = ["command", "commands"].iter().flat_map(|key| texts(&own[*key])).collect();
        if lines.iter().any(|line| line.contains("buildkite-agent pipeline upload")) {
            context.elsewhere.push("it uploads a pipeline that is made when it runs".to_owned());
        }
        let plugins = listed(&own["plugins"]).into_iter().flat_map(|plugin| match text(plugin) {
            Some(name) => vec![(name, Value::Null)],
            None => entries(plugin).map(|(name, settings)| (name.to_owned(), settings.clone())).collect(),
        });
        let plugins: Vec<(String, Value)> = plugins.collect();
        if lines.is_empty() && plugins.is_empty() {
            continue;
        }
        let name = text(&own["label"])
            .or_else(|| text(&own["name"]))
            .unwrap_or_else(|| lines.first().cloned().unwrap_or_default());
        let mut steps: Vec<Step> = plugins
            .iter()
            .map(|(plugin, settings)| context.action(None, &plugin.replace('#', "@"), &inputs(settings)))
            .collect();
        if !lines.is_empty() {
            steps.push(context.script(Some(&name), &lines.join("\n"), Shell::STOPS, Path::new("")));
        }
        let soft = own["soft_fail"] == true || own["soft_fail"].is_array();
        found.push(Job {
            line: context.line_of(&name),
            occasions: occasions(context, own, approval.is_some()),
            failure: Failure::unless(soft.then(|| "`soft_fail`".to_owned())),
            environment: None,
            needs: texts(&own["depends_on"]),
            approval: approval.clone(),
            steps,
            name,
        });
    }
}

fn occasions(context: &Context<'_>, own: &Value, waits: bool) -> Occasions {
    let condition = text(&own["if"]);
    let patterns: Vec<String> =
        text(&own["branches"]).map(|list| list.split_whitespace().map(String::from).collect()).unwrap_or_default();
    let occasions = tried(context.default_branches, |scenario| {
        let branch = if scenario.event == Event::PullRequest { "some-feature" } else { scenario.branch.as_str() };
        let inside = |pattern: &String| match pattern.strip_prefix('!') {
            Some(pattern) => !fits(pattern, branch),
            None => fits(pattern, branch),
        };
        let on_branch = patterns.is_empty() || patterns.iter().any(inside);
        let condition =
            condition.as_ref().map_or(Truth::Yes, |text| expression::evaluate(text, &|name| known(name, scenario)));
        match scenario.event {
            Event::Schedule | Event::Manual | Event::Tag | Event::PullRequest => {
                condition.min(Truth::from(on_branch)).min(Truth::Maybe)
            }
            _ => condition.min(Truth::from(on_branch)),
        }
    });
    // Each push to each branch starts it, unless its server says otherwise.
    let occasions = occasions.with(Event::FeatureBranch, occasions.on(Event::FeatureBranch).min(Truth::Maybe));
    if waits { Occasions::NEVER.with(Event::Manual, occasions.ever()) } else { occasions }
}

fn known(name: &str, scenario: &Scenario) -> Known {
    match name {
        "build.branch" if scenario.event != Event::PullRequest => Known::Text(scenario.branch.clone()),
        "build.branch" => Known::Text("some-feature".to_owned()),
        "build.tag" if scenario.event == Event::Tag => Known::Text("v1.0.0".to_owned()),
        "build.tag" => Known::Nothing,
        "build.pull_request.id" if scenario.event == Event::PullRequest => Known::Text("1".to_owned()),
        "build.pull_request.id" => Known::Nothing,
        "pipeline.default_branch" => Known::Text(scenario.default_branch.clone()),
        "build.message" => Known::Ordinary,
        _ => Known::Unknown,
    }
}
