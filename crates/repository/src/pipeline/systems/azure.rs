//! Azure Pipelines: stages, jobs, deployments, local templates.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::{
    Event, Failure, Job, Occasions, Step, Truth,
    context::{Context, entries, fits, inputs, items, text, texts},
    expression::{self, Value as Known},
    occasion::{Scenario, tried},
    shell::{Shell, walk::joined},
};
use crate::yaml::yaml;

const DEEPEST: usize = 6;

pub(super) fn read(context: &mut Context<'_>, document: &Value) -> Result<Vec<Job>, String> {
    if let Some(template) = text(&document["extends"]["template"]) {
        let Some(inner) = template_at(context, &template) else {
            context.elsewhere.push(format!("it extends {template}"));
            return Ok(Vec::new());
        };
        let occasions = triggers(context, document);
        return Ok(stages(context, &inner, occasions, 0));
    }
    let has_work = ["stages", "jobs", "steps"].iter().any(|key| document[*key].is_array());
    // A template is read where it is used.
    let is_template = document["trigger"].is_null() && document["pr"].is_null() && document["parameters"].is_array();
    match has_work {
        false => Err("it has no stages, jobs or steps".to_owned()),
        true if is_template && !context.file.to_string_lossy().starts_with("azure-pipelines.y") => Ok(Vec::new()),
        true => {
            let occasions = triggers(context, document);
            Ok(stages(context, document, occasions, 0))
        }
    }
}

fn triggers(context: &Context<'_>, document: &Value) -> Occasions {
    let scheduled = document["schedules"].is_array();
    tried(context.default_branches, |scenario| match scenario.event {
        Event::PullRequest => match branch_fits(&document["pr"], &scenario.branch) {
            // In Azure's own repositories a policy of the branch decides; elsewhere the default is every branch.
            None => branch_fits(&document["trigger"], "some-feature")
                .map_or(Truth::Maybe, |fits| if fits { Truth::Yes } else { Truth::Maybe }),
            Some(fits) => fits.into(),
        },
        Event::Schedule => scheduled.into(),
        Event::Manual => Truth::Yes,
        Event::Tag => (!document["trigger"]["tags"].is_null()).into(),
        _ => branch_fits(&document["trigger"], &scenario.branch).unwrap_or(true).into(),
    })
}

/// Nothing when nothing is said.
fn branch_fits(trigger: &Value, branch: &str) -> Option<bool> {
    let inside = |list: &[String]| list.iter().any(|pattern| fits(pattern.trim_start_matches("refs/heads/"), branch));
    match trigger {
        Value::Null => None,
        Value::String(none) if none == "none" => Some(false),
        Value::Object(map) => {
            let branches = map.get("branches").unwrap_or(&Value::Null);
            let (only, without) = (texts(&branches["include"]), texts(&branches["exclude"]));
            Some((only.is_empty() || inside(&only)) && !inside(&without))
        }
        list => Some(inside(&texts(list))),
    }
}

fn template_at(context: &Context<'_>, name: &str) -> Option<Value> {
    let beside: PathBuf = joined(context.file.parent().unwrap_or(Path::new("")), name);
    let source = [beside, joined(Path::new(""), name)].into_iter().find_map(|path| context.repository.text(path))?;
    yaml(&source).ok()?.into_iter().next()
}

/// Entries of a list, those under `${{ if … }}:` too, and those of local templates.
fn opened(context: &mut Context<'_>, list: &Value, kind: &str, depth: usize) -> Vec<Value> {
    let mut found = Vec::new();
    for own in items(list) {
        let conditional = entries(own).find(|(name, value)| name.starts_with("${{") && value.is_array());
        if let (Some((_, inner)), true) = (conditional, depth < DEEPEST) {
            found.extend(opened(context, inner, kind, depth + 1));
            continue;
        }
        match text(&own["template"]) {
            Some(name) => match template_at(context, &name).filter(|_| depth < DEEPEST) {
                Some(inner) => found.extend(opened(context, &inner[kind], kind, depth + 1)),
                None => context.elsewhere.push(format!("it uses the template {name}")),
            },
            None => found.push(own.clone()),
        }
    }
    found
}

fn stages(context: &mut Context<'_>, document: &Value, occasions: Occasions, depth: usize) -> Vec<Job> {
    if document["stages"].is_array() {
        let all = opened(context, &document["stages"], "stages", depth);
        let mut found: Vec<Job> = Vec::new();
        let mut before: Vec<String> = Vec::new();
        for stage in &all {
            let own = occasions.and(when(context, stage));
            let mut inner = jobs(context, stage, own, depth);
            for job in &mut inner {
                job.needs.extend(before.iter().cloned());
            }
            before.extend(inner.iter().map(|job| job.name.clone()));
            found.extend(inner);
        }
        return gated(found);
    }
    gated(jobs(context, document, occasions, depth))
}

/// A manual validation holds back what comes after it.
fn gated(mut jobs: Vec<Job>) -> Vec<Job> {
    let gates: Vec<String> = jobs
        .iter()
        .filter(|job| job.steps.iter().any(|step| step.approval.is_some()))
        .map(|job| job.name.clone())
        .collect();
    for job in &mut jobs {
        if job.needs.iter().any(|need| gates.contains(need)) {
            job.approval = Some("`ManualValidation`".to_owned());
        }
    }
    jobs
}

fn jobs(context: &mut Context<'_>, stage: &Value, occasions: Occasions, depth: usize) -> Vec<Job> {
    if !stage["jobs"].is_array() {
        let steps = steps(context, &stage["steps"], depth);
        let name = text(&stage["stage"]).or_else(|| text(&stage["name"])).unwrap_or_else(|| "job".to_owned());
        return vec![Job {
            name,
            line: 1,
            occasions,
            failure: Failure::Stops,
            environment: None,
            needs: Vec::new(),
            approval: None,
            steps,
        }];
    }
    let all = opened(context, &stage["jobs"], "jobs", depth);
    let mut found = Vec::new();
    for own in &all {
        let name = text(&own["job"]).or_else(|| text(&own["deployment"])).unwrap_or_default();
        let mut inner = steps(context, &own["steps"], depth);
        for (_, hook) in entries(&own["strategy"]).flat_map(|(_, strategy)| entries(strategy)) {
            inner.extend(steps(context, &hook["steps"], depth));
        }
        found.push(Job {
            line: context.line_of(&format!(": {name}")),
            occasions: occasions.and(when(context, own)),
            failure: allowed(own),
            environment: text(&own["environment"]).or_else(|| text(&own["environment"]["name"])),
            needs: texts(&own["dependsOn"]),
            approval: None,
            steps: inner,
            name,
        });
    }
    found
}

fn allowed(own: &Value) -> Failure {
    let set = own["continueOnError"] == true || text(&own["continueOnError"]).as_deref() == Some("true");
    Failure::unless(set.then(|| "`continueOnError: true`".to_owned()))
}

fn steps(context: &mut Context<'_>, list: &Value, depth: usize) -> Vec<Step> {
    let all = opened(context, list, "steps", depth);
    all.iter().filter_map(|own| step(context, own)).collect()
}

fn step(context: &Context<'_>, own: &Value) -> Option<Step> {
    let name = text(&own["displayName"]);
    let folder = text(&own["workingDirectory"]).unwrap_or_default();
    let folder = folder.replace("$(Build.SourcesDirectory)", "").replace("$(System.DefaultWorkingDirectory)", "");
    let folder = joined(Path::new(""), folder.trim_start_matches('/'));
    let script = ["script", "bash", "pwsh", "powershell"].iter().find_map(|key| text(&own[*key]));
    let mut step = match (script, text(&own["task"])) {
        (Some(script), _) => context.script(name.as_deref(), &script, Shell::PLAIN, &folder),
        (None, Some(task)) => task_step(context, own, &task, name.as_deref(), &folder),
        (None, None) => return None,
    };
    step.failure = allowed(own);
    step.occasions = when(context, own);
    if own["enabled"] == false {
        step.occasions = Occasions::NEVER;
    }
    Some(step)
}

fn task_step(context: &Context<'_>, own: &Value, task: &str, name: Option<&str>, folder: &Path) -> Step {
    let given = inputs(&own["inputs"]);
    let input = |key: &str| given.get(key).map_or("", String::as_str);
    let bare = task.split('@').next().unwrap_or(task);
    let folder = match input("workingDir").is_empty() {
        true => folder.to_owned(),
        false => joined(Path::new(""), input("workingDir")),
    };
    let script = match bare {
        "Bash" | "PowerShell" | "CmdLine" => input("script").to_owned(),
        "Npm" => format!("npm {} {}", input("command").replace("custom", ""), input("customCommand")),
        "Maven" => format!("mvn {}", if input("goals").is_empty() { "package" } else { input("goals") }),
        "Gradle" => format!("./gradlew {}", if input("tasks").is_empty() { "build" } else { input("tasks") }),
        _ => String::new(),
    };
    let mut step = match script.trim().is_empty() {
        true => context.action(name, task, &given),
        false => context.script(name, &script, Shell::PLAIN, &folder),
    };
    if bare == "ManualValidation" || bare == "ManualIntervention" {
        step.approval = Some(format!("`{bare}`"));
    }
    step
}

fn when(context: &Context<'_>, own: &Value) -> Occasions {
    let Some(condition) = text(&own["condition"]) else { return Occasions::ALWAYS };
    tried(context.default_branches, |scenario| expression::evaluate(&condition, &|name| known(name, scenario)))
}

fn known(name: &str, scenario: &Scenario) -> Known {
    let inner = name.split_once("['").and_then(|(_, rest)| rest.split_once('\'')).map_or(name, |(inner, _)| inner);
    let text = |text: &str| Known::Text(text.to_owned());
    match inner.trim_start_matches("variables.").to_lowercase().as_str() {
        "build.sourcebranch" => Known::Text(match scenario.event {
            Event::PullRequest => "refs/pull/1/merge".to_owned(),
            Event::Tag => "refs/tags/v1.0.0".to_owned(),
            _ => format!("refs/heads/{}", scenario.branch),
        }),
        "build.sourcebranchname" => Known::Text(scenario.branch.clone()),
        "build.reason" => text(match scenario.event {
            Event::PullRequest => "PullRequest",
            Event::Schedule => "Schedule",
            Event::Manual => "Manual",
            _ => "IndividualCI",
        }),
        "system.pullrequest.targetbranch" if scenario.event == Event::PullRequest => {
            Known::Text(format!("refs/heads/{}", scenario.branch))
        }
        "system.pullrequest.targetbranch" | "system.pullrequest.pullrequestid" => Known::Nothing,
        _ => Known::Unknown,
    }
}
