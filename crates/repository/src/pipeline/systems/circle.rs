//! CircleCI: workflows, filters, commands of one's own, orbs by name.

use std::path::Path;

use serde_json::Value;

use super::super::{
    Event, Failure, Job, Occasions, Step, Truth,
    context::{Context, entries, inputs, items, text, texts},
    occasion::{Scenario, tried},
    shell::{Shell, walk::joined},
};

const DEEPEST: usize = 4;

pub(super) fn read(context: &mut Context<'_>, document: &Value) -> Result<Vec<Job>, String> {
    if document["setup"] == true {
        context.elsewhere.push("it makes its configuration when it runs (`setup: true`)".to_owned());
    }
    let workflows: Vec<(String, Value)> = entries(&document["workflows"])
        .filter(|(_, own)| own["jobs"].is_array())
        .map(|(name, own)| (name.to_owned(), own.clone()))
        .collect();
    if workflows.is_empty() {
        let steps = steps(context, document, &document["jobs"]["build"]["steps"], 0);
        if steps.is_empty() {
            return Err("it has no workflow".to_owned());
        }
        return Ok(vec![job(context, "build", branches(), Vec::new(), steps)]);
    }
    Ok(workflows.iter().flat_map(|(_, own)| workflow(context, document, own)).collect())
}

/// Every push to every branch; tags have to be asked for.
fn branches() -> Occasions {
    Occasions::of(&[
        Event::PullRequest,
        Event::DefaultBranch,
        Event::FeatureBranch,
        Event::StagingBranch,
        Event::ProductionBranch,
    ])
}

fn job(context: &Context<'_>, name: &str, occasions: Occasions, needs: Vec<String>, steps: Vec<Step>) -> Job {
    Job {
        name: name.to_owned(),
        line: context.line_of_key(name),
        occasions,
        failure: Failure::Stops,
        environment: None,
        needs,
        approval: None,
        steps,
    }
}

fn workflow(context: &mut Context<'_>, document: &Value, own: &Value) -> Vec<Job> {
    let scheduled = items(&own["triggers"]).any(|trigger| !trigger["schedule"].is_null());
    let mut base = if scheduled { Occasions::of(&[Event::Schedule]) } else { branches().with(Event::Tag, Truth::Yes) };
    match &own["when"] {
        Value::Null => {}
        Value::Bool(known) => base = if *known { base } else { Occasions::NEVER },
        // Conditions of parameters: what the file says is their default, and they are set for what runs by hand.
        _ => base = base.and(Occasions::UNKNOWN),
    }
    let mut found: Vec<Job> = Vec::new();
    for entry in items(&own["jobs"]) {
        let named = entry.as_object().and_then(|map| map.iter().next());
        let (id, settings) =
            named.map_or((text(entry).unwrap_or_default(), &Value::Null), |(id, settings)| (id.clone(), settings));
        let name = text(&settings["name"]).unwrap_or_else(|| id.clone());
        let occasions = if scheduled { base } else { base.and(filtered(context, &settings["filters"])) };
        let needs = texts(&settings["requires"]);
        if text(&settings["type"]).as_deref() == Some("approval") {
            let mut gate = job(context, &name, occasions, needs, Vec::new());
            gate.approval = Some("`type: approval`".to_owned());
            found.push(gate);
            continue;
        }
        let steps = match &document["jobs"][id.as_str()] {
            Value::Null => vec![context.action(None, &id, &inputs(settings))],
            own => {
                context.from = context.line_of_key(&id).saturating_sub(1);
                let mut all = steps(context, document, &settings["pre-steps"], 0);
                all.extend(steps(context, document, &own["steps"], 0));
                all
            }
        };
        let mut one = job(context, &name, occasions, needs, steps);
        one.line = context.line_of_key(&id);
        one.environment = text(&settings["context"]).filter(|name| name.contains("prod") || name.contains("stag"));
        found.push(one);
    }
    behind_gates(&mut found);
    found
}

/// What needs an approval, or needs what needs one, waits for it.
fn behind_gates(jobs: &mut [Job]) {
    for _ in 0..jobs.len().min(20) {
        for index in 0..jobs.len() {
            let gate = jobs.iter().find(|other| jobs[index].needs.contains(&other.name) && other.approval.is_some());
            let approval = gate.and_then(|gate| gate.approval.clone());
            if let Some(approval) = approval.filter(|_| jobs[index].approval.is_none()) {
                jobs[index].approval = Some(approval);
            }
        }
    }
}

fn filtered(context: &Context<'_>, filters: &Value) -> Occasions {
    let fits = |list: &[String], name: &str| {
        list.iter().any(|pattern| match pattern.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
            Some(pattern) => regex::Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|pattern| pattern.is_match(name)),
            None => pattern == name,
        })
    };
    let inside = |filter: &Value, name: &str, default: bool| {
        let lists = if filter.is_object() {
            (texts(&filter["only"]), texts(&filter["ignore"]))
        } else {
            (texts(filter), Vec::new())
        };
        match (lists.0.is_empty(), lists.1.is_empty()) {
            (true, true) => default,
            (false, _) => fits(&lists.0, name),
            (true, false) => !fits(&lists.1, name),
        }
    };
    tried(context.default_branches, |scenario: &Scenario| match scenario.event {
        Event::Tag => inside(&filters["tags"], "v1.0.0", false).into(),
        Event::Schedule | Event::Manual => Truth::No,
        Event::PullRequest => inside(&filters["branches"], "some-feature", true).into(),
        _ => inside(&filters["branches"], &scenario.branch, true).into(),
    })
}

fn steps(context: &Context<'_>, document: &Value, list: &Value, depth: usize) -> Vec<Step> {
    let mut found = Vec::new();
    for own in items(list) {
        let named = own.as_object().and_then(|map| map.iter().next());
        let (kind, settings) = match named {
            Some((kind, settings)) => (kind.clone(), settings),
            None => (text(own).unwrap_or_default(), &Value::Null),
        };
        match kind.as_str() {
            "run" => {
                let script = text(settings).or_else(|| text(&settings["command"])).unwrap_or_default();
                let folder = text(&settings["working_directory"]).unwrap_or_default();
                let folder = joined(Path::new(""), folder.trim_start_matches("~/project"));
                let shell = text(&settings["shell"]).map_or(Shell::STRICT, |own| match () {
                    () if own.contains("pipefail") => Shell::STRICT,
                    () if own.contains(" -e") => Shell::STOPS,
                    () => Shell::PLAIN,
                });
                let mut step = context.script(text(&settings["name"]).as_deref(), &script, shell, &folder);
                if text(&settings["when"]).as_deref() == Some("on_fail") {
                    step.occasions = Occasions::NEVER;
                }
                if settings["background"] == true {
                    step.failure = Failure::Ignored("`background: true`".to_owned());
                }
                found.push(step);
            }
            "when" | "unless" => {
                let mut inner =
                    if depth < DEEPEST { steps(context, document, &settings["steps"], depth + 1) } else { Vec::new() };
                inner.iter_mut().for_each(|step| step.occasions = step.occasions.and(Occasions::UNKNOWN));
                found.extend(inner);
            }
            own => match &document["commands"][own] {
                Value::Null => found.push(context.action(None, own, &inputs(settings))),
                command if depth < DEEPEST => found.extend(steps(context, document, &command["steps"], depth + 1)),
                _ => {}
            },
        }
    }
    found
}
