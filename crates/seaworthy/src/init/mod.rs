//! `seaworthy init`: looks at a folder, says what app is in it and why, and writes its first `seaworthy.toml` and
//! `.env.example`. What it knows of frameworks is data of `seaworthy-repository`.

mod application;
mod behind;
mod health;
mod hints;
mod plan;
mod recognise;
mod report;
mod start;
#[cfg(test)]
mod stories;
mod template;
mod write;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use self::{
    plan::Plan,
    recognise::Surroundings,
    report::Outcome,
    write::{Manner, Written},
};
use crate::{cli::InitArguments, failure::Failure, terminal};
use seaworthy_repository::{Knowledge, Manifests, Tree, Variables};

const CONFIG: &str = "seaworthy.toml";
const EXAMPLE: &str = ".env.example";

/// Looks, writes and tells.
pub fn main(arguments: InitArguments) -> Result<ExitCode, Failure> {
    let folder = arguments.folder.clone().unwrap_or_else(|| PathBuf::from("."));
    let knowledge = Knowledge::load().map_err(|error| Failure::new("SEA_INIT_KNOWLEDGE", &error))?;
    let tree = Tree::read(&folder, &knowledge).map_err(|error| {
        let text = format!("cannot look at {}: {error}; name the folder of your app", folder.display());
        Failure::text("SEA_INIT_FOLDER", text)
    })?;
    let manifests = Manifests::read(&tree);
    let variables = Variables::find(&tree, &knowledge);
    let around = Surroundings { knowledge: &knowledge, tree, manifests };
    let candidates = around.candidates();
    let plan = Plan::new(&around, &candidates, &variables);
    let nothing = plan.found.is_none();
    let files =
        if arguments.probe || (nothing && !arguments.force) { Vec::new() } else { write(&plan, &folder, &arguments)? };
    tell(&plan, &folder, &files, &arguments);
    if nothing && !arguments.force {
        let text = nothing_text(&plan, &folder, &knowledge);
        return Err(Failure::text("SEA_INIT_NOTHING", text));
    }
    let kept = files.iter().filter(|(_, written)| matches!(written, Written::Kept(_)));
    let kept: Vec<&str> = kept.map(|(name, _)| *name).collect();
    if !kept.is_empty() {
        let text = format!("{} was left as it is; --force replaces it, --dry-run shows what with", kept.join(" and "));
        return Err(Failure::text("SEA_INIT_EXISTS", text));
    }
    let unseen = arguments.probe && !plan.sees_all();
    Ok(ExitCode::from(u8::from(unseen)))
}

fn nothing_text(plan: &Plan<'_>, folder: &Path, knowledge: &Knowledge) -> String {
    let what = match plan.others.first() {
        Some((other, _)) => format!("{} is here, but nothing says how it is started", other.stack.name),
        None => format!("nothing was recognised in {}; looked for {}", folder.display(), report::looked_for(knowledge)),
    };
    format!("{what}. Name the folder of the app, or use --force for a template with a place for its command")
}

fn write(plan: &Plan<'_>, folder: &Path, arguments: &InitArguments) -> Result<Vec<Outcome>, Failure> {
    let manner = Manner { force: arguments.force, dry: arguments.dry_run };
    let explain = |(path, error): (PathBuf, std::io::Error)| {
        let text = format!("cannot write {}: {error}; look at the folder's permissions", path.display());
        Failure::text("SEA_INIT_WRITE", text)
    };
    let mut files =
        vec![(CONFIG, write::write(folder, CONFIG, &plan.config, manner, write::config_differs).map_err(explain)?)];
    if let Some(example) = &plan.example {
        files.push((EXAMPLE, write::write(folder, EXAMPLE, example, manner, write::example_differs).map_err(explain)?));
    }
    Ok(files)
}

fn tell(plan: &Plan<'_>, folder: &Path, files: &[Outcome], arguments: &InitArguments) {
    if arguments.json {
        let mut value = report::json(plan, folder, files);
        if arguments.dry_run {
            value["content"] = serde_json::json!({ CONFIG: plan.config, EXAMPLE: plan.example });
        }
        return terminal::line(&value.to_string());
    }
    let text = report::text(plan, folder, files, arguments.dry_run || arguments.probe);
    if !text.is_empty() {
        terminal::line(&text);
    }
    if arguments.dry_run {
        for (name, text) in [(CONFIG, Some(&plan.config)), (EXAMPLE, plan.example.as_ref())] {
            if let Some(text) = text.filter(|_| files.iter().any(|(file, _)| *file == name)) {
                terminal::line(&format!("\n--- {name}\n{}", text.trim_end()));
            }
        }
    }
}
