//! Travis CI.

use std::path::Path;

use serde_json::Value;

use super::super::{
    Event, Failure, Job, Occasions, Step, Truth,
    context::{Context, entries, inputs, items, listed, text, texts},
    occasion::tried,
    shell::Shell,
};

/// What a language runs when the file says nothing.
const DEFAULTS: [(&str, &str); 9] = [
    ("node_js", "npm test"),
    ("ruby", "rake"),
    ("go", "go test ./..."),
    ("rust", "cargo build\ncargo test"),
    ("php", "phpunit"),
    ("java", "mvn test"),
    ("elixir", "mix test"),
    ("crystal", "crystal spec"),
    ("dart", "dart test"),
];

pub(super) fn read(context: &mut Context<'_>, document: &Value) -> Result<Vec<Job>, String> {
    if !document.is_object() {
        return Err("it is no map".to_owned());
    }
    let (only, without) = (texts(&document["branches"]["only"]), texts(&document["branches"]["except"]));
    let inside = |list: &[String], name: &str| {
        list.iter().any(|pattern| match pattern.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
            Some(pattern) => regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(name)),
            None => pattern == name,
        })
    };
    let occasions = tried(context.default_branches, |scenario| match scenario.event {
        Event::Schedule | Event::Manual => Truth::No,
        event => {
            let name = if event == Event::Tag { "v1.0.0" } else { scenario.branch.as_str() };
            ((only.is_empty() || inside(&only, name)) && !inside(&without, name)).into()
        }
    });
    let jobs = if document["jobs"].is_null() { &document["matrix"] } else { &document["jobs"] };
    let allowed: Vec<&Value> = items(&jobs["allow_failures"]).collect();
    let mut found = vec![job(context, document, document, occasions, "job")];
    for (index, own) in items(&jobs["include"]).enumerate() {
        let name = text(&own["name"]).or_else(|| text(&own["stage"])).unwrap_or_else(|| format!("job {}", index + 1));
        let mut one = job(context, document, own, occasions, &name);
        if text(&own["if"]).is_some() {
            one.occasions = one.occasions.and(Occasions::UNKNOWN);
        }
        let fits = |allowed: &Value| {
            entries(allowed).next().is_some() && entries(allowed).all(|(key, value)| own[key] == *value)
        };
        if allowed.iter().any(|allowed| fits(allowed)) {
            one.failure = Failure::Ignored("`allow_failures`".to_owned());
        }
        found.push(one);
    }
    Ok(found)
}

fn job(context: &Context<'_>, document: &Value, own: &Value, occasions: Occasions, name: &str) -> Job {
    let value = |key: &str| if own[key].is_null() { document[key].clone() } else { own[key].clone() };
    let mut steps = Vec::new();
    for key in ["before_install", "install", "before_script", "script"] {
        let lines = texts(&value(key));
        // Each line of `script` runs whatever the others gave, and any that fails fails the job.
        steps.extend(
            lines
                .iter()
                .filter(|line| *line != "skip")
                .map(|line| context.script(None, line, Shell::PLAIN, Path::new(""))),
        );
    }
    if value("script").is_null() {
        let language = text(&value("language")).unwrap_or_else(|| "ruby".to_owned());
        let default = DEFAULTS.iter().find(|(name, _)| *name == language);
        steps.extend(
            default.map(|(_, script)| Step { line: 1, ..context.script(None, script, Shell::STOPS, Path::new("")) }),
        );
    }
    // What runs when the rest has passed; its failure changes nothing.
    steps.extend(texts(&value("after_success")).iter().map(|line| Step {
        failure: Failure::Ignored("`after_success`".to_owned()),
        ..context.script(None, line, Shell::PLAIN, Path::new(""))
    }));
    for deploy in listed(&own["deploy"]) {
        let provider = text(&deploy["provider"]).unwrap_or_default();
        let mut step = context.action(Some("deploy"), &format!("provider:{provider}"), &inputs(deploy));
        step.line = context.line_of(&provider);
        let tags = deploy["on"]["tags"] == true;
        let branch = text(&deploy["on"]["branch"]);
        step.occasions = tried(context.default_branches, |scenario| match scenario.event {
            Event::PullRequest => Truth::No,
            Event::Tag => tags.into(),
            _ if tags => Truth::No,
            _ => branch
                .as_ref()
                .map_or(scenario.event == Event::DefaultBranch, |branch| *branch == scenario.branch)
                .into(),
        });
        steps.push(step);
    }
    Job {
        name: name.to_owned(),
        line: context.line_of_key("script"),
        occasions,
        failure: Failure::Stops,
        environment: None,
        needs: Vec::new(),
        approval: None,
        steps,
    }
}
