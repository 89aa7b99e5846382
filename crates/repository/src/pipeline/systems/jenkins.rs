//! Jenkinsfiles: declarative ones, and scripted ones as far as their calls show. When they run is set on the server.

use std::path::Path;

use serde_json::Value;

use super::{
    super::{
        Event, Failure, Job, Occasions, Step, Truth,
        context::{Context, fits},
        occasion::tried,
        shell::Shell,
    },
    groovy::{Node, nodes},
};

pub(super) fn read(context: &mut Context<'_>, _document: &Value) -> Result<Vec<Job>, String> {
    let all = nodes(context.text);
    let declarative = all.iter().find(|node| node.name == "pipeline" && node.is_block);
    if context.text.contains("@Library") || all.iter().any(|node| node.name == "library") {
        context.elsewhere.push("it uses a shared library".to_owned());
    }
    let mut found = Vec::new();
    let around = Around { occasions: Occasions::ALWAYS, failure: Failure::Stops, approval: None };
    match declarative {
        Some(pipeline) => {
            let stages = pipeline.body.iter().filter(|node| node.name == "stages");
            stages.for_each(|node| stages_in(context, &node.body, &around, &mut found));
        }
        None => {
            context.elsewhere.push("it is a scripted pipeline, of which only calls are read".to_owned());
            stages_in(context, &all, &around, &mut found);
        }
    }
    if found.is_empty() && context.elsewhere.is_empty() {
        return Err("it has no stages".to_owned());
    }
    let scheduled = context.text.contains("cron(");
    for job in &mut found {
        // A multibranch job builds branches and what is proposed; whether it is one is set on the server.
        let server = Occasions::UNKNOWN.with(Event::Schedule, scheduled.into());
        job.occasions = job.occasions.and(server);
    }
    Ok(found)
}

/// What a stage inherits.
#[derive(Clone)]
struct Around {
    occasions: Occasions,
    failure: Failure,
    approval: Option<String>,
}

fn stages_in(context: &Context<'_>, list: &[Node], around: &Around, found: &mut Vec<Job>) {
    let mut around = around.clone();
    for node in list {
        match node.name.as_str() {
            "stage" => {
                let name = node.texts.first().cloned().unwrap_or_default();
                stage(context, node, &name, &around, found);
                // A stage that asks a person holds back those behind it.
                let asks = found.iter().rev().find(|job| job.name == name).and_then(|job| {
                    job.approval.clone().or_else(|| job.steps.iter().find_map(|step| step.approval.clone()))
                });
                around.approval = around.approval.or(asks);
            }
            _ if node.is_block => stages_in(context, &node.body, &around, found),
            _ => {}
        }
    }
}

fn stage(context: &Context<'_>, node: &Node, name: &str, around: &Around, found: &mut Vec<Job>) {
    let mut own = around.clone();
    for part in &node.body {
        match part.name.as_str() {
            "when" => own.occasions = own.occasions.and(all_of(context, &part.body)),
            "input" => own.approval = Some("`input`".to_owned()),
            _ => {}
        }
    }
    let mut steps = Vec::new();
    for part in node
        .body
        .iter()
        .filter(|part| !["when", "post", "environment", "agent", "options", "tools"].contains(&part.name.as_str()))
    {
        if ["stages", "parallel", "matrix"].contains(&part.name.as_str()) {
            stages_in(context, &part.body, &own, found);
        } else {
            collect(context, std::slice::from_ref(part), &Failure::Stops, "", &mut steps);
        }
    }
    let before = found.iter().map(|job| job.name.clone()).collect();
    found.push(Job {
        name: name.to_owned(),
        line: node.line,
        occasions: own.occasions,
        failure: own.failure,
        environment: None,
        needs: before,
        approval: own.approval,
        steps,
    });
}

/// Calls that run something, also those within other blocks.
fn collect(context: &Context<'_>, list: &[Node], failure: &Failure, folder: &str, steps: &mut Vec<Step>) {
    for node in list {
        let mut inner = failure.clone();
        let mut inner_folder = folder.to_owned();
        match node.name.as_str() {
            "catchError" | "warnError" => {
                inner = Failure::Ignored(format!("`{}`", node.name));
                if node.arguments.contains("buildResult: 'FAILURE'") {
                    inner = failure.clone();
                }
            }
            "dir" => inner_folder = node.texts.first().cloned().unwrap_or_default(),
            "if" | "else" | "try" => inner = Failure::Unsure("it stands in a block of Groovy".to_owned()).and(failure),
            _ => {}
        }
        let script = node.texts.first().filter(|_| ["sh", "bat", "powershell", "pwsh"].contains(&node.name.as_str()));
        if let Some(script) = script {
            // Jenkins runs `sh -xe`.
            let mut step = context.script(None, script, Shell::STOPS, Path::new(folder));
            step.line = node.line;
            let kept = node.arguments.contains("returnStatus");
            step.failure = failure.clone().and(&if kept {
                Failure::Ignored("`returnStatus: true`".to_owned())
            } else {
                Failure::Stops
            });
            steps.push(step);
        } else if node.name == "input" {
            let mut step = context.step("input", node.line, Vec::new());
            step.approval = Some("`input`".to_owned());
            steps.push(step);
        }
        collect(context, &node.body, &inner, &inner_folder, steps);
    }
}

fn all_of(context: &Context<'_>, conditions: &[Node]) -> Occasions {
    conditions.iter().map(|node| condition(context, node)).fold(Occasions::ALWAYS, Occasions::and)
}

fn condition(context: &Context<'_>, node: &Node) -> Occasions {
    let text = node.texts.last().cloned().unwrap_or_default();
    match node.name.as_str() {
        "branch" => tried(context.default_branches, |scenario| {
            let on_branch = !matches!(scenario.event, Event::PullRequest | Event::Tag);
            (on_branch && fits(&text, &scenario.branch)).into()
        }),
        "changeRequest" => Occasions::of(&[Event::PullRequest]),
        "tag" | "buildingTag" => Occasions::of(&[Event::Tag]),
        "triggeredBy" => Occasions::UNKNOWN,
        "allOf" => all_of(context, &node.body),
        "anyOf" => node.body.iter().map(|inner| condition(context, inner)).fold(Occasions::NEVER, Occasions::or),
        "not" => {
            let inner = all_of(context, &node.body);
            Occasions::by(|event| match inner.on(event) {
                Truth::Yes => Truth::No,
                Truth::No => Truth::Yes,
                Truth::Maybe => Truth::Maybe,
            })
        }
        "beforeAgent" | "beforeInput" | "beforeOptions" => Occasions::ALWAYS,
        "expression" if node.body.iter().any(|inner| inner.name == "false" || inner.arguments == "false") => {
            Occasions::NEVER
        }
        _ => Occasions::UNKNOWN,
    }
}
