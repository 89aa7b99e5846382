//! What `init` says: to a person, and to a machine.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{
    behind::{How, Seen},
    plan::{Found, PUBLIC, Plan},
    recognise::Candidate,
    template::LOAD_ENV,
    write::Written,
};
use seaworthy_repository::{Knowledge, is_secret};

/// A file and what became of it.
pub type Outcome = (&'static str, Written);

/// For a person.
pub fn text(plan: &Plan<'_>, folder: &Path, files: &[Outcome], dry: bool) -> String {
    let mut lines = Vec::new();
    if let Some(found) = &plan.found {
        lines.push(format!("found {}", described(found.candidate)));
        lines.extend(found.chosen.iter().map(|chosen| format!("  starts with    {}", chosen.command)));
        lines.extend(found.site.iter().map(|site| format!("  serves         {}/", site.display())));
        if let Some(health) = &found.health {
            let doubt = if health.whole { "" } else { ", perhaps under a prefix" };
            let place = format!("{}:{}", health.file.display(), health.line);
            lines.push(format!("  health check   {} ({place}{doubt})", health.path));
        }
        lines.extend(behind(found));
    }
    for (other, why) in &plan.others {
        let take = match &other.folder {
            folder if folder.as_os_str().is_empty() => String::new(),
            inner => {
                let place = folder.join(inner);
                format!("; `seaworthy init {}` takes it", place.strip_prefix(".").unwrap_or(&place).display())
            }
        };
        lines.push(format!("also  {}\n  not taken: {why}{take}", described(other)));
    }
    lines.extend(plan.notes.iter().map(|note| format!("note  {note}")));
    lines.extend(files.iter().map(|(name, written)| file_line(plan, name, written, dry)));
    if plan.example.is_some() && plan.found.is_some() {
        lines.push(format!("note  nothing reads .env by itself: `{LOAD_ENV}` sets its variables before you run"));
    }
    if plan.example.is_none() {
        lines.push("the code reads no environment variables".into());
    }
    if plan.found.is_some() && !dry {
        lines.push(format!("next  {}", next(plan, folder)));
    }
    lines.join("\n")
}

/// For a machine.
pub fn json(plan: &Plan<'_>, folder: &Path, files: &[Outcome]) -> Value {
    let candidate = |candidate: &Candidate<'_>| {
        json!({
            "stack": candidate.stack.name,
            "language": candidate.language.name,
            "folder": shown_folder(&candidate.folder),
            "reasons": candidate.reasons,
        })
    };
    let found = plan.found.as_ref().map(|found| {
        let mut value = candidate(found.candidate);
        value["command"] = json!(found.chosen.as_ref().map(|chosen| &chosen.command));
        value["site"] = json!(found.site);
        value["health"] = json!(found.health.as_ref().map(|health| json!({
            "path": health.path, "file": health.file, "line": health.line, "whole": health.whole,
        })));
        value["behind"] = found.behind.iter().map(|seen| (seen.fact.name().to_owned(), seen_json(seen))).collect();
        value
    });
    let others: Vec<Value> = plan
        .others
        .iter()
        .map(|(other, why)| {
            let mut value = candidate(other);
            value["why_not"] = json!(why);
            value
        })
        .collect();
    let place = |(file, line): &(PathBuf, usize)| format!("{}:{line}", file.display());
    let variables: Vec<Value> = plan
        .variables
        .all
        .iter()
        .map(|(name, variable)| {
            json!({
                "name": name,
                "default": variable.shown_default(name),
                "secret": is_secret(name),
                "places": variable.places.iter().map(place).collect::<Vec<_>>(),
            })
        })
        .collect();
    let files: Vec<Value> = files.iter().map(|(name, written)| file_json(name, written)).collect();
    json!({
        "folder": folder,
        "found": found,
        "others": others,
        "variables": variables,
        "files": files,
        "notes": plan.notes,
        "next": plan.found.as_ref().map(|_| next(plan, folder)),
    })
}

/// What was looked for, when nothing was found.
pub fn looked_for(knowledge: &Knowledge) -> String {
    let mut names: Vec<&str> = knowledge.stacks.iter().map(|stack| stack.name.as_str()).collect();
    names.sort_by_key(|name| name.to_lowercase());
    format!("{} (by their manifests, files and code)", names.join(", "))
}

fn described(candidate: &Candidate<'_>) -> String {
    let place = match shown_folder(&candidate.folder) {
        folder if folder == "." => String::new(),
        folder => format!(" in {folder}"),
    };
    format!("{}{place}: {}", candidate.stack.name, candidate.reasons.join(", "))
}

fn behind(found: &Found<'_>) -> Vec<String> {
    let mut last = None;
    let mut lines = Vec::new();
    for seen in &found.behind {
        let name = seen.fact.name();
        lines.push(match &seen.how {
            How::Right(why) => format!("  sees {name:<9} right: {why}"),
            How::Missing { add, .. } if last == Some(add) => format!("  sees {name:<9} wrong: the same helps"),
            How::Missing { add, file } => {
                last = Some(add);
                let file = file.as_ref().map(|file| format!(" to {}", file.display())).unwrap_or_default();
                format!("  sees {name:<9} wrong: add{file}\n                   {add}")
            }
            How::Unknown => format!("  sees {name:<9} unknown: it must read X-Forwarded-Proto and X-Forwarded-For"),
        });
    }
    lines
}

fn file_line(plan: &Plan<'_>, name: &str, written: &Written, dry: bool) -> String {
    let count = plan.variables.all.len();
    let what = if name == ".env.example" {
        format!("  {count} variable{} that the code reads", if count == 1 { "" } else { "s" })
    } else {
        String::new()
    };
    match (written, dry) {
        (Written::New, false) => format!("wrote {name}{what}"),
        (Written::New, true) => format!("would write {name}{what}"),
        (Written::Replaced, false) => format!("replaced {name}{what}"),
        (Written::Replaced, true) => format!("would replace {name}{what}"),
        (Written::Same, _) => format!("kept  {name}: it lacks nothing"),
        (Written::Kept(why), _) => format!("kept  {name}: it is there already and differs: {why}"),
    }
}

fn file_json(name: &str, written: &Written) -> Value {
    let (state, why) = match written {
        Written::New => ("new", None),
        Written::Replaced => ("replaced", None),
        Written::Same => ("same", None),
        Written::Kept(why) => ("kept", Some(why)),
    };
    json!({ "name": name, "state": state, "differs": why })
}

fn seen_json(seen: &Seen) -> Value {
    match &seen.how {
        How::Right(why) => json!({ "right": true, "why": why }),
        How::Missing { add, file } => json!({ "right": false, "add": add, "file": file }),
        How::Unknown => json!({ "right": null }),
    }
}

/// The command that comes after this one.
pub fn next(plan: &Plan<'_>, folder: &Path) -> String {
    let place = if folder == Path::new(".") {
        String::new()
    } else {
        format!("cd {} && ", shell_words::quote(&folder.display().to_string()))
    };
    let build = plan.found.as_ref().and_then(|found| Some((found.build?, &found.candidate.folder)));
    let build = build.map(|(build, inner)| match shown_folder(inner) {
        inner if inner == "." => format!("{build} && "),
        inner => format!("(cd {} && {build}) && ", shell_words::quote(&inner)),
    });
    let to_move = plan.found.as_ref().is_some_and(|found| found.to_move);
    let to_move = if to_move { format!("mkdir -p {PUBLIC} && mv index.html {PUBLIC}/ && ") } else { String::new() };
    format!("{place}{to_move}{}seaworthy run", build.unwrap_or_default())
}

fn shown_folder(folder: &Path) -> String {
    if folder.as_os_str().is_empty() { ".".into() } else { folder.display().to_string() }
}
