//! GitLab CI: with local includes, `extends`, `!reference`, rules, and `only`/`except`.

use std::path::Path;

use serde_json::{Map, Value};

use super::super::{
    Event, Failure, Job, Occasions, Truth,
    context::{Context, entries, fits, is_everything, items, listed, text, texts},
    expression::{self, Value as Known},
    occasion::{Scenario, tried},
    shell::Shell,
};
use crate::yaml::yaml;

/// Keys of the top level that are no jobs.
const NO_JOBS: [&str; 13] = [
    "stages",
    "default",
    "variables",
    "include",
    "workflow",
    "image",
    "services",
    "before_script",
    "after_script",
    "cache",
    "spec",
    "pages:deploy",
    "interruptible",
];
/// Included files, and jobs that extend jobs, are followed this far.
const DEEPEST: usize = 8;
const MOST_FILES: usize = 60;

pub(super) fn read(context: &mut Context<'_>, document: &Value) -> Result<Vec<Job>, String> {
    let mut whole = Map::new();
    let mut files = 0;
    include(context, document, &mut whole, 0, &mut files);
    if !whole.iter().any(|(name, value)| is_job(name, value)) && context.elsewhere.is_empty() {
        return Err("it has no jobs".to_owned());
    }
    let whole = Value::Object(whole);
    let workflow = match whole["workflow"]["rules"].as_array() {
        Some(rules) => ruled(context, &whole, rules, &Value::Null).0,
        None => Occasions::ALWAYS,
    };
    let named: Vec<(String, Value)> = entries(&whole)
        .filter(|(name, value)| is_job(name, value) && !name.starts_with('.'))
        .map(|(name, _)| (name.to_owned(), merged(&whole, name, 0)))
        .take(super::super::context::MOST)
        .collect();
    let mut jobs: Vec<Job> = named.iter().map(|(name, own)| job(context, &whole, name, own, workflow)).collect();
    jobs.extend(templates(context, document, workflow));
    Ok(jobs)
}

fn is_job(name: &str, value: &Value) -> bool {
    !NO_JOBS.contains(&name) && value.is_object()
}

/// A file with what it includes, the later on top of the earlier.
fn include(
    context: &mut Context<'_>,
    document: &Value,
    whole: &mut Map<String, Value>,
    depth: usize,
    files: &mut usize,
) {
    for one in listed(&document["include"]) {
        let local = text(one).or_else(|| text(&one["local"]));
        let local = local.filter(|path| !path.starts_with("http"));
        let Some(pattern) = local else {
            if text(&one["template"]).is_none() {
                let what =
                    ["project", "remote", "component"].iter().find_map(|key| text(&one[*key])).or_else(|| text(one));
                context.elsewhere.push(format!("it includes {}", what.unwrap_or_else(|| "another file".to_owned())));
            }
            continue;
        };
        let pattern = pattern.trim_start_matches('/').to_owned();
        let found: Vec<_> = match pattern.contains('*') {
            true => context
                .repository
                .files()
                .filter(|path| path.to_str().is_some_and(|path| fits(&pattern, path)))
                .map(Path::to_owned)
                .collect(),
            false => vec![Path::new(&pattern).to_owned()],
        };
        for path in found {
            *files += 1;
            let source = context.repository.text(&path).filter(|_| depth < DEEPEST && *files <= MOST_FILES);
            let documents = source.and_then(|source| yaml(&source).ok()).unwrap_or_default();
            if documents.is_empty() {
                context.elsewhere.push(format!("it includes {}, which cannot be read", path.display()));
            }
            for included in &documents {
                include(context, included, whole, depth + 1, files);
            }
        }
    }
    for (name, value) in entries(document) {
        match whole.get_mut(name) {
            Some(there) if there.is_object() && value.is_object() => *there = over(there, value),
            _ => {
                whole.insert(name.to_owned(), value.clone());
            }
        }
    }
}

/// Maps are merged, everything else is replaced.
fn over(below: &Value, above: &Value) -> Value {
    let (Some(lower), Some(upper)) = (below.as_object(), above.as_object()) else { return above.clone() };
    let mut merged = lower.clone();
    for (name, value) in upper {
        let value = lower.get(name).map_or_else(|| value.clone(), |lower| over(lower, value));
        merged.insert(name.clone(), value);
    }
    Value::Object(merged)
}

/// A job on top of those that it extends.
fn merged(whole: &Value, name: &str, depth: usize) -> Value {
    let own = &whole[name];
    if depth > DEEPEST {
        return own.clone();
    }
    let bases = texts(&own["extends"]);
    let base = bases.iter().take(10).map(|base| merged(whole, base, depth + 1));
    let base = base.fold(Value::Object(Map::new()), |below, above| over(&below, &above));
    over(&base, own)
}

/// Lines of a script; `!reference [job, script]` comes as a list of two texts.
fn script(whole: &Value, value: &Value, depth: usize) -> Vec<String> {
    let referred = |list: &[Value]| {
        let [Value::String(job), Value::String(key)] = list else { return None };
        let target = &whole[job.as_str()][key.as_str()];
        (!target.is_null() && depth < DEEPEST).then(|| script(whole, target, depth + 1))
    };
    match value {
        Value::Array(list) => match referred(list) {
            Some(lines) => lines,
            None => items(value)
                .flat_map(|item| if depth < DEEPEST { script(whole, item, depth + 1) } else { Vec::new() })
                .collect(),
        },
        single => text(single).into_iter().collect(),
    }
}

fn job(context: &mut Context<'_>, whole: &Value, name: &str, own: &Value, workflow: Occasions) -> Job {
    let (occasions, manual, allowed) = match own["rules"].as_array() {
        Some(rules) => ruled(context, whole, rules, own),
        None => (filtered(context, own), text(&own["when"]).as_deref() == Some("manual"), None),
    };
    let never = ["never", "on_failure"].contains(&text(&own["when"]).unwrap_or_default().as_str());
    let mut occasions = if never { Occasions::NEVER } else { occasions.and(workflow) };
    // A push to a branch of somebody's work shows on its merge request.
    occasions = occasions.with(Event::PullRequest, occasions.before_merge());
    if manual {
        occasions = Occasions::NEVER.with(Event::Manual, occasions.ever());
    }
    let before = [&own["before_script"], &whole["default"]["before_script"], &whole["before_script"]];
    let before = before.into_iter().find(|value| !value.is_null()).map(|value| script(whole, value, 0));
    let lines: Vec<String> = before.into_iter().flatten().chain(script(whole, &own["script"], 0)).collect();
    let mut steps = Vec::new();
    if !lines.is_empty() {
        context.from = context.line_of_key(name).saturating_sub(1);
        let whole_script = lines.join("\n");
        let mut step = context.script(Some(name), &whole_script, Shell::STRICT, Path::new(""));
        let first = script(whole, &own["script"], 0).first().cloned().unwrap_or_default();
        // Lines come from several places: the job's own script is where a person looks.
        step.line = context.line_of(&first);
        for command in &mut step.commands {
            let at = context.line_of(whole_script.lines().nth(command.offset).unwrap_or_default());
            command.offset = at.saturating_sub(step.line);
        }
        steps.push(step);
    }
    if !own["trigger"].is_null() {
        let what = text(&own["trigger"])
            .or_else(|| text(&own["trigger"]["project"]))
            .unwrap_or_else(|| "a child pipeline".into());
        context.elsewhere.push(format!("job {name} starts {what}"));
    }
    // A manual job outside of rules may fail by default; that nobody has started it holds nothing back.
    let allowed = allowed.unwrap_or_else(|| own["allow_failure"].clone());
    let ignored = (allowed == true).then(|| "`allow_failure: true`".to_owned());
    Job {
        name: name.to_owned(),
        line: context.line_of_key(name),
        occasions,
        failure: Failure::unless(ignored),
        environment: text(&own["environment"]).or_else(|| text(&own["environment"]["name"])),
        needs: listed(&own["needs"])
            .into_iter()
            .filter_map(|need| text(need).or_else(|| text(&need["job"])))
            .chain(earlier(whole, own))
            .collect(),
        approval: manual.then(|| "`when: manual`".to_owned()),
        steps,
    }
}

/// Jobs of earlier stages, which a job without `needs` waits for.
fn earlier(whole: &Value, own: &Value) -> Vec<String> {
    if !own["needs"].is_null() {
        return Vec::new();
    }
    let stages = match whole["stages"].as_array() {
        Some(_) => texts(&whole["stages"]),
        None => ["build", "test", "deploy"].map(String::from).to_vec(),
    };
    let stage = |job: &Value| text(&job["stage"]).unwrap_or_else(|| "test".to_owned());
    let position = |stage: &str| stages.iter().position(|own| own == stage);
    let Some(at) = position(&stage(own)) else { return Vec::new() };
    let jobs = entries(whole).filter(|(name, value)| is_job(name, value) && !name.starts_with('.'));
    jobs.filter(|(name, _)| position(&stage(&merged(whole, name, 0))).is_some_and(|other| other < at))
        .map(|(name, _)| name.to_owned())
        .take(200)
        .collect()
}

/// What rules say: when, whether by hand, and whether failure is allowed.
fn ruled(context: &Context<'_>, whole: &Value, rules: &[Value], own: &Value) -> (Occasions, bool, Option<Value>) {
    let flat: Vec<&Value> =
        rules.iter().flat_map(|rule| if rule.is_array() { listed(rule) } else { vec![rule] }).collect();
    let default = text(&own["when"]).unwrap_or_else(|| "on_success".to_owned());
    let by_hand = |rule: &Value| text(&rule["when"]).unwrap_or_else(|| default.clone()) == "manual";
    let mut allowed = None;
    let first = |scenario: &Scenario| {
        let mut best = (Truth::No, false);
        for rule in flat.iter().take(100) {
            let fits = match text(&rule["if"]) {
                Some(condition) => expression::evaluate(&condition, &|name| known(whole, name, scenario)),
                // `exists` fits when the files are what the job is about.
                None => Truth::Yes,
            };
            let fits = fits.min(changes_fit(&rule["changes"]));
            let when = text(&rule["when"]).unwrap_or_else(|| default.clone());
            let runs = if when == "never" || when == "on_failure" { Truth::No } else { fits };
            best = if runs > best.0 { (runs, by_hand(rule)) } else { best };
            if fits == Truth::Yes {
                break;
            }
        }
        best
    };
    let alone = tried(context.default_branches, |scenario| match first(scenario) {
        (truth, false) => truth,
        (_, true) => Truth::No,
    });
    let manual =
        tried(context.default_branches, |scenario| if first(scenario).1 { first(scenario).0 } else { Truth::No });
    if let Some(rule) = flat.iter().find(|rule| !rule["allow_failure"].is_null()) {
        let all =
            flat.iter().all(|rule| rule["allow_failure"] == true || text(&rule["when"]).as_deref() == Some("never"));
        allowed = all.then(|| rule["allow_failure"].clone());
    }
    match alone.ever() {
        Truth::No if manual.ever() > Truth::No => (manual, true, allowed),
        _ => (alone, false, allowed),
    }
}

/// Whether every change touches what `changes` names.
fn changes_fit(changes: &Value) -> Truth {
    let paths = if changes.is_object() { texts(&changes["paths"]) } else { texts(changes) };
    if paths.is_empty() || paths.iter().any(|path| is_everything(path)) { Truth::Yes } else { Truth::Maybe }
}

/// `only` and `except`; without them a job runs in the pipelines of branches and tags.
fn filtered(context: &Context<'_>, own: &Value) -> Occasions {
    let refs = |value: &Value| match value {
        Value::Object(_) => texts(&value["refs"]),
        other => texts(other),
    };
    let (only, except) = (refs(&own["only"]), refs(&own["except"]));
    let by_variables = !own["only"]["variables"].is_null();
    let on_changes = changes_fit(&own["only"]["changes"]);
    tried(context.default_branches, |scenario| {
        let among = |list: &[String]| list.iter().any(|name| is_ref(name, scenario));
        let inside = match only.is_empty() {
            true => !matches!(scenario.event, Event::PullRequest),
            false => among(&only),
        };
        match inside && !among(&except) {
            true if by_variables => Truth::Maybe,
            inside => Truth::from(inside).min(on_changes),
        }
    })
}

fn is_ref(name: &str, scenario: &Scenario) -> bool {
    let on_branch = !matches!(scenario.event, Event::PullRequest | Event::Tag);
    match name {
        "branches" => on_branch,
        "tags" => scenario.event == Event::Tag,
        "merge_requests" => scenario.event == Event::PullRequest,
        "schedules" => scenario.event == Event::Schedule,
        "web" | "api" | "triggers" | "pipelines" => scenario.event == Event::Manual,
        "pushes" => on_branch && !matches!(scenario.event, Event::Schedule | Event::Manual),
        _ => match name.strip_prefix('/').and_then(|rest| rest.rsplit_once('/')) {
            Some((pattern, _)) => {
                let text = if scenario.event == Event::Tag { "v1.0.0" } else { scenario.branch.as_str() };
                scenario.event != Event::PullRequest
                    && regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
            }
            None => {
                on_branch
                    && (name == scenario.branch
                        || name == "$CI_DEFAULT_BRANCH" && scenario.branch == scenario.default_branch)
            }
        },
    }
}

fn known(whole: &Value, name: &str, scenario: &Scenario) -> Known {
    let name = name.trim_start_matches('$').trim_matches(['{', '}']);
    let text_of = |text: &str| Known::Text(text.to_owned());
    let proposed = scenario.event == Event::PullRequest;
    match name {
        "CI_PIPELINE_SOURCE" => text_of(match scenario.event {
            Event::PullRequest => "merge_request_event",
            Event::Schedule => "schedule",
            Event::Manual => "web",
            _ => "push",
        }),
        "CI_COMMIT_TAG" if scenario.event == Event::Tag => text_of("v1.0.0"),
        "CI_COMMIT_TAG" => Known::Nothing,
        "CI_COMMIT_BRANCH" if proposed || scenario.event == Event::Tag => Known::Nothing,
        "CI_COMMIT_REF_NAME" | "CI_COMMIT_REF_SLUG" if scenario.event == Event::Tag => text_of("v1.0.0"),
        "CI_COMMIT_REF_NAME" | "CI_COMMIT_REF_SLUG" if proposed => text_of("some-feature"),
        "CI_COMMIT_BRANCH" | "CI_COMMIT_REF_NAME" | "CI_COMMIT_REF_SLUG" => Known::Text(scenario.branch.clone()),
        "CI_DEFAULT_BRANCH" => Known::Text(scenario.default_branch.clone()),
        "CI_MERGE_REQUEST_IID" | "CI_MERGE_REQUEST_ID" if proposed => text_of("1"),
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME" if proposed => Known::Text(scenario.branch.clone()),
        _ if name.starts_with("CI_MERGE_REQUEST_") => {
            if proposed {
                Known::Unknown
            } else {
                Known::Nothing
            }
        }
        "CI_OPEN_MERGE_REQUESTS" => Known::Nothing,
        "CI" | "GITLAB_CI" => Known::Truth(true),
        "CI_PROJECT_PATH" | "CI_PROJECT_NAMESPACE" | "CI_PROJECT_NAME" | "CI_SERVER_HOST" => Known::Fits,
        "CI_COMMIT_MESSAGE" | "CI_COMMIT_TITLE" | "GITLAB_USER_LOGIN" => Known::Ordinary,
        _ => match &whole["variables"][name] {
            Value::Null => Known::Unknown,
            value => text(value).or_else(|| text(&value["value"])).map_or(Known::Unknown, Known::Text),
        },
    }
}

/// GitLab's own templates, as ready-made steps.
fn templates(context: &Context<'_>, document: &Value, workflow: Occasions) -> Vec<Job> {
    let named = listed(&document["include"]).into_iter().filter_map(|one| text(&one["template"]));
    named
        .map(|template| Job {
            name: template.clone(),
            line: context.line_of(&template),
            occasions: workflow,
            failure: Failure::Stops,
            environment: None,
            needs: Vec::new(),
            approval: None,
            steps: vec![context.action(None, &format!("template:{template}"), &Default::default())],
        })
        .collect()
}
