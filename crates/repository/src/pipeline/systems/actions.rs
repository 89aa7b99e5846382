//! GitHub Actions, and what is like it: Forgejo and Gitea Actions.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::{
    Event, Failure, Job, Occasions, Step, Truth,
    context::{Context, entries, fits, inputs, is_everything, items, text, texts},
    expression::{self, Value as Known},
    occasion::{Scenario, tried},
    shell::{Shell, walk::joined},
    tools::scripts,
};
use crate::yaml::yaml;

/// Called workflows and actions of the repository are followed this far.
const DEEPEST: usize = 4;

pub(super) fn read(context: &mut Context<'_>, document: &Value) -> Result<Vec<Job>, String> {
    if !document["jobs"].is_object() {
        return Err("it has no jobs".to_owned());
    }
    // YAML 1.1 reads `on` as a truth.
    let on = if document["on"].is_null() { &document["true"] } else { &document["on"] };
    if on.is_null() {
        return Err("it has no `on`".to_owned());
    }
    let occasions = triggers(context, on);
    let mut jobs = jobs(context, document, occasions, 0);
    for name in texts(&on["workflow_run"]["workflows"]) {
        jobs.iter_mut().for_each(|job| job.needs.push(format!("workflow {name}")));
    }
    if !on["deployment_status"].is_null() || texts(on).iter().any(|name| name == "deployment_status") {
        jobs.iter_mut().for_each(|job| job.needs.push("a deployment".to_owned()));
    }
    Ok(jobs)
}

/// What `on` says.
fn triggers(context: &Context<'_>, on: &Value) -> Occasions {
    let names: Vec<(String, &Value)> = match on {
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), value)).collect(),
        other => texts(other).into_iter().map(|name| (name, &Value::Null)).collect(),
    };
    let of = |(name, settings): &(String, &Value)| match name.as_str() {
        // What a merge queue has checked is what comes to the default branch.
        "merge_group" => Occasions::of(&[Event::PullRequest, Event::DefaultBranch]),
        "pull_request" | "pull_request_target" => proposed(context, settings),
        "push" => pushed(context, settings),
        // It runs after another one, on the default branch's own code: it holds back nothing that is proposed.
        "workflow_run" => pushed(context, settings).and(Occasions::of(&[
            Event::DefaultBranch,
            Event::StagingBranch,
            Event::ProductionBranch,
        ])),
        "release" | "create" | "registry_package" => Occasions::of(&[Event::Tag]),
        "deployment_status" | "deployment" => Occasions::of(&[Event::DefaultBranch]),
        "schedule" => Occasions::of(&[Event::Schedule]),
        "workflow_dispatch" | "repository_dispatch" => Occasions::of(&[Event::Manual]),
        _ => Occasions::NEVER,
    };
    names.iter().map(of).fold(Occasions::NEVER, Occasions::or)
}

fn proposed(context: &Context<'_>, settings: &Value) -> Occasions {
    let types = texts(&settings["types"]);
    let has = |name: &str| types.iter().any(|own| own == name);
    if types.is_empty() || has("opened") || has("synchronize") {
        let on_paths = paths_fit(context, settings);
        let decide = |scenario: &Scenario| branch_fits(settings, &scenario.branch).min(on_paths);
        let on = tried(context.default_branches, decide).on(Event::PullRequest);
        return Occasions::NEVER.with(Event::PullRequest, on);
    }
    match has("closed") {
        // Together with a condition on `merged`, this is what comes to the default branch.
        true => Occasions::of(&[Event::DefaultBranch]),
        false => Occasions::NEVER.with(Event::PullRequest, Truth::Maybe),
    }
}

fn branch_fits(settings: &Value, branch: &str) -> Truth {
    let (only, ignored) = (texts(&settings["branches"]), texts(&settings["branches-ignore"]));
    listed(&only, branch).unwrap_or(true).min(!listed(&ignored, branch).unwrap_or(false)).into()
}

/// Whether the last pattern that fits is no `!pattern`; nothing when there is no list.
fn listed(patterns: &[String], name: &str) -> Option<bool> {
    if patterns.is_empty() {
        return None;
    }
    let mut is = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(pattern) if fits(pattern, name) => is = false,
            None if pattern == "$default-branch" || fits(pattern, name) => is = true,
            _ => {}
        }
    }
    Some(is)
}

fn pushed(context: &Context<'_>, settings: &Value) -> Occasions {
    let branches = ["branches", "branches-ignore"].iter().any(|key| !settings[*key].is_null());
    let tags = ["tags", "tags-ignore"].iter().any(|key| !settings[*key].is_null());
    // Of a tag nobody asks which paths it touches.
    let on_paths = paths_fit(context, settings);
    tried(context.default_branches, |scenario| match scenario.event {
        Event::Tag if tags => Truth::Yes,
        Event::Tag => (!branches).into(),
        Event::Schedule | Event::Manual | Event::PullRequest => Truth::No,
        _ if !branches && tags => Truth::No,
        _ => branch_fits(settings, &scenario.branch).min(on_paths),
    })
}

/// Whether every change to the source touches what the filter of paths names.
fn paths_fit(context: &Context<'_>, settings: &Value) -> Truth {
    let (only, ignored) = (texts(&settings["paths"]), texts(&settings["paths-ignore"]));
    let some = !only.is_empty() && !only.iter().any(|path| is_everything(path));
    if some || ignored.iter().any(|pattern| touches_source(context, pattern)) { Truth::Maybe } else { Truth::Yes }
}

/// Whether a pattern names any file that is source, documentation apart.
fn touches_source(context: &Context<'_>, pattern: &str) -> bool {
    const BESIDE: [&str; 5] = ["docs", "doc", "examples", "website", ".github"];
    let wild = |part: &str| part.contains(['*', '?', '[', '{']);
    let ending = pattern.rsplit_once("*.").map(|(_, ending)| ending);
    let words: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && !wild(part)).collect();
    let fixed: std::path::PathBuf = pattern.split('/').take_while(|part| !wild(part)).collect();
    let fitting = |path: &Path| {
        let has = |word: &&str| path.iter().any(|part| part == *word);
        path.starts_with(&fixed)
            && words.iter().all(has)
            && ending.is_none_or(|ending| path.extension().is_some_and(|own| own == ending))
            && !BESIDE.iter().any(|folder| path.starts_with(folder))
    };
    !pattern.starts_with('!') && context.repository.sources().keys().any(|path| fitting(path))
}

fn jobs(context: &mut Context<'_>, document: &Value, occasions: Occasions, depth: usize) -> Vec<Job> {
    let mut found: Vec<Job> = Vec::new();
    for (name, own) in entries(&document["jobs"]).take(super::super::context::MOST) {
        let condition = text(&own["if"]);
        let mut job = Job {
            name: name.to_owned(),
            line: context.line_of_key(name),
            occasions: occasions.and(when(context, condition.as_deref())),
            failure: allowed(&own["continue-on-error"], "continue-on-error"),
            environment: text(&own["environment"]).or_else(|| text(&own["environment"]["name"])),
            needs: texts(&own["needs"]),
            approval: None,
            steps: Vec::new(),
        };
        if let Some(uses) = text(&own["uses"]) {
            let called = called(context, &uses, &job, own, depth);
            found.extend(called);
            // What others need goes by the name of the calling job.
        } else {
            context.from = job.line.saturating_sub(1);
            job.steps = steps(context, document, own);
        }
        found.push(job);
    }
    hold_back(&mut found);
    found
}

/// What never runs holds back what needs it.
fn hold_back(jobs: &mut [Job]) {
    for _ in 0..jobs.len().min(20) {
        for index in 0..jobs.len() {
            let needs = jobs[index].needs.clone();
            let needed = jobs.iter().filter(|other| needs.contains(&other.name)).map(|other| other.occasions);
            let together = needed.fold(jobs[index].occasions, Occasions::and);
            jobs[index].occasions = together;
        }
    }
}

/// A workflow that a job calls.
fn called(context: &mut Context<'_>, uses: &str, job: &Job, own: &Value, depth: usize) -> Vec<Job> {
    let local = uses.strip_prefix("./").filter(|_| depth < DEEPEST);
    let source = local.and_then(|path| Some((path, context.repository.text(path)?)));
    let document = source.and_then(|(path, source)| Some((path, yaml(&source).ok()?.into_iter().next()?)));
    let Some((path, document)) = document else {
        context.elsewhere.push(format!("job {} calls {uses}", job.name));
        let mut step = context.action(None, uses, &inputs(&own["with"]));
        step.commands.iter_mut().for_each(|command| command.opaque = true);
        let (name, line) = (format!("{} of {uses}", job.name), job.line);
        return vec![Job {
            name,
            line,
            steps: vec![step],
            needs: job.needs.clone(),
            failure: job.failure.clone(),
            environment: None,
            approval: None,
            occasions: job.occasions,
        }];
    };
    let mut called = jobs(context, &document, job.occasions, depth + 1);
    for inner in &mut called {
        inner.name = format!("{} of {path}", inner.name);
        inner.failure = inner.failure.clone().and(&job.failure);
        inner.line = job.line;
        inner.needs.extend(job.needs.iter().cloned());
    }
    called
}

fn steps(context: &mut Context<'_>, document: &Value, job: &Value) -> Vec<Step> {
    let default = |key: &str| text(&job["defaults"]["run"][key]).or_else(|| text(&document["defaults"]["run"][key]));
    let folder = default("working-directory").unwrap_or_default();
    let shell = default("shell");
    let environment = (&job["env"], &document["env"]);
    let mut found: Vec<Step> = Vec::new();
    for own in items(&job["steps"]) {
        found.extend(step(context, own, &folder, shell.as_deref(), environment, 0));
        // The next one stands below.
        context.from = found.last().map_or(context.from, |last| context.from.max(last.line));
    }
    found
}

fn step(
    context: &mut Context<'_>,
    own: &Value,
    folder: &str,
    shell: Option<&str>,
    environment: (&Value, &Value),
    depth: usize,
) -> Vec<Step> {
    let name = text(&own["name"]);
    let mut found = if let Some(script) = text(&own["run"]) {
        let shell = text(&own["shell"]).or_else(|| shell.map(String::from));
        let folder = text(&own["working-directory"]).unwrap_or_else(|| folder.to_owned());
        let script = filled_in(&script, &[&own["env"], environment.0, environment.1]);
        vec![context.script(name.as_deref(), &script, shell_of(shell.as_deref()), &joined(Path::new(""), &folder))]
    } else if let Some(uses) = text(&own["uses"]) {
        match uses.strip_prefix("./").filter(|_| depth < DEEPEST) {
            Some(path) => composite(context, path, folder, depth),
            None => vec![ready_made(context, name.as_deref(), &uses, own, folder)],
        }
    } else {
        return Vec::new();
    };
    let occasions = when(context, text(&own["if"]).as_deref());
    let failure = allowed(&own["continue-on-error"], "continue-on-error");
    for step in &mut found {
        step.occasions = step.occasions.and(occasions);
        step.failure = step.failure.clone().and(&failure);
    }
    found
}

/// A script with the variables of the environment whose values the file says.
fn filled_in(script: &str, environments: &[&Value]) -> String {
    let mut whole = script.to_owned();
    let all = environments.iter().flat_map(|environment| entries(environment));
    for (name, value) in all.filter(|_| script.contains("env.")) {
        let Some(value) = text(value).filter(|value| value.len() < 500 && whole.len() < 100_000) else { continue };
        for form in [format!("${{{{ env.{name} }}}}"), format!("${{{{env.{name}}}}}")] {
            whole = whole.replace(&form, &value);
        }
    }
    whole
}

/// A ready-made step; some only run a command that they are given.
fn ready_made(context: &Context<'_>, name: Option<&str>, uses: &str, own: &Value, folder: &str) -> Step {
    let given = inputs(&own["with"]);
    let Some(script) = scripts::of(uses.split('@').next().unwrap_or(uses), &given) else {
        return context.action(name, uses, &given);
    };
    let folder = given.get("working-directory").map_or(folder, String::as_str);
    let mut step = context.script(name, &script, Shell::STOPS, &joined(Path::new(""), folder));
    step.line = context.line_of(uses);
    step.commands.iter_mut().for_each(|command| command.offset = 0);
    step
}

/// The steps of an action in the repository.
fn composite(context: &mut Context<'_>, path: &str, folder: &str, depth: usize) -> Vec<Step> {
    let path: PathBuf = joined(Path::new(""), path);
    let source = ["action.yml", "action.yaml"].iter().find_map(|name| context.repository.text(path.join(name)));
    let document = source.and_then(|source| yaml(&source).ok()?.into_iter().next());
    let line = context.line_of(&path.to_string_lossy());
    match document {
        Some(document) if document["runs"]["steps"].is_array() => {
            let steps = items(&document["runs"]["steps"])
                .flat_map(|own| step(context, own, folder, None, (&Value::Null, &Value::Null), depth + 1));
            let mut steps: Vec<Step> = steps.collect();
            for step in &mut steps {
                step.line = line;
                step.commands.iter_mut().for_each(|command| {
                    command.offset = 0;
                    command.through.insert(0, path.display().to_string());
                });
            }
            steps
        }
        _ => {
            let mut step = context.action(None, &format!("./{}", path.display()), &Default::default());
            step.commands.iter_mut().for_each(|command| command.opaque = true);
            vec![step]
        }
    }
}

/// What is not said is `bash -e`; `shell: bash` sets `pipefail` too.
fn shell_of(name: Option<&str>) -> Shell {
    match name {
        None | Some("sh") => Shell::STOPS,
        Some("bash") => Shell::STRICT,
        Some(own) if own.starts_with("bash") && own.contains("pipefail") => Shell::STRICT,
        Some(own) if own.contains(" -e") || own.contains(" -l") => Shell::STOPS,
        Some(_) => Shell::PLAIN,
    }
}

fn allowed(value: &Value, what: &str) -> Failure {
    // An expression is for some legs of a matrix.
    Failure::unless((*value == true || text(value).as_deref() == Some("true")).then(|| format!("`{what}: true`")))
}

fn when(context: &Context<'_>, condition: Option<&str>) -> Occasions {
    let Some(condition) = condition else { return Occasions::ALWAYS };
    tried(context.default_branches, |scenario| expression::evaluate(condition, &|name| known(name, scenario)))
}

/// The contexts of an expression.
fn known(name: &str, scenario: &Scenario) -> Known {
    let text = |text: &str| Known::Text(text.to_owned());
    let proposed = scenario.event == Event::PullRequest;
    let name = name.to_lowercase();
    match name.as_str() {
        "github.event_name" => text(match scenario.event {
            Event::PullRequest => "pull_request",
            Event::Schedule => "schedule",
            Event::Manual => "workflow_dispatch",
            _ => "push",
        }),
        "github.ref" => Known::Text(match scenario.event {
            Event::PullRequest => "refs/pull/1/merge".to_owned(),
            Event::Tag => "refs/tags/v1.0.0".to_owned(),
            _ => format!("refs/heads/{}", scenario.branch),
        }),
        "github.ref_name" if scenario.event == Event::Tag => text("v1.0.0"),
        "github.ref_name" if proposed => text("1/merge"),
        "github.ref_name" => Known::Text(scenario.branch.clone()),
        "github.ref_type" => text(if scenario.event == Event::Tag { "tag" } else { "branch" }),
        "github.base_ref" | "github.event.pull_request.base.ref" if proposed => Known::Text(scenario.branch.clone()),
        "github.head_ref" if proposed => text("some-feature"),
        "github.base_ref" | "github.head_ref" => Known::Nothing,
        "github.event.repository.default_branch" => Known::Text(scenario.default_branch.clone()),
        "github.event.action" if proposed => text("opened"),
        "github.event.pull_request.draft" | "github.event.pull_request.head.repo.fork" => Known::Truth(false),
        "github.event.repository.fork" | "github.event.deleted" => Known::Truth(false),
        "github.event.pull_request.merged" => Known::Truth(scenario.event == Event::DefaultBranch),
        "github.event.workflow_run.conclusion" => text("success"),
        "github.event.workflow_run.head_branch" => Known::Text(scenario.branch.clone()),
        "github.event.workflow_run.event" => text("push"),
        "github.repository" | "github.repository_owner" | "github.event.pull_request.head.repo.full_name" => {
            Known::Fits
        }
        "github.event.pull_request.base.repo.full_name" | "github.event.repository.full_name" => Known::Fits,
        "github.actor" | "github.triggering_actor" | "github.event.head_commit.message" => Known::Ordinary,
        _ if name.starts_with("github.event.pull_request.") || name.starts_with("github.event.head_commit") => {
            Known::Ordinary
        }
        "github.event.pull_request" => Known::Truth(proposed),
        _ if name.starts_with("github.event.label") || name.starts_with("github.event.sender") => Known::Ordinary,
        _ if name.starts_with("needs.") && name.ends_with(".result") => text("success"),
        _ if name.starts_with("steps.") && (name.ends_with(".outcome") || name.ends_with(".conclusion")) => {
            text("success")
        }
        // What the pipeline finds out about the change itself: which paths it touches.
        _ if name.starts_with("needs.") || name.starts_with("steps.") => Known::Fits,
        _ if name.starts_with("matrix.") || name.starts_with("runner.") || name.starts_with("job.") => Known::Fits,
        _ => Known::Unknown,
    }
}
