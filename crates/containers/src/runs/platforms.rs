//! Commands that hosting platforms and service managers are told to run.

use std::path::{Path, PathBuf};

use seaworthy_repository::yaml;
use serde_json::Value;

use super::{Reader, When, line_with};

/// Reads every file of a platform.
pub fn read(reader: &mut Reader<'_>) {
    let files: Vec<PathBuf> = reader.repository.files().map(Path::to_path_buf).collect();
    for path in files {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let reads: fn(&mut Reader<'_>, &Path, &str) = match name {
            "Procfile" => procfile,
            "fly.toml" => fly,
            "render.yaml" | "render.yml" => render,
            "app.json" => app_json,
            "heroku.yml" => heroku,
            "railway.toml" | "railway.json" => railway,
            "crontab" => crontab,
            _ if name.ends_with(".service") => unit,
            _ => continue,
        };
        if let Some(text) = reader.repository.text(&path) {
            reads(reader, &path, &text);
        }
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn procfile(reader: &mut Reader<'_>, path: &Path, text: &str) {
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#')) {
        let Some((name, command)) = line.split_once(':') else { continue };
        let when = if name.trim() == "release" { When::Release } else { When::Start };
        reader.add(when, &format!("Procfile {}", name.trim()), (path, index + 1), folder(path), command);
    }
}

fn fly(reader: &mut Reader<'_>, path: &Path, text: &str) {
    let Ok(table) = text.parse::<toml::Table>() else { return };
    let line = |key: &str| line_with(text, key).unwrap_or(1);
    if let Some(command) = table.get("deploy").and_then(|deploy| deploy.get("release_command")?.as_str()) {
        reader.add(When::Release, "fly.toml", (path, line("release_command")), folder(path), command);
    }
    for (name, command) in table.get("processes").and_then(toml::Value::as_table).into_iter().flatten() {
        if let Some(command) = command.as_str().filter(|command| !command.is_empty()) {
            reader.add(When::Start, &format!("fly.toml {name}"), (path, line(name)), folder(path), command);
        }
    }
}

fn render(reader: &mut Reader<'_>, path: &Path, text: &str) {
    let Some(document) = yaml(text).ok().and_then(|documents| documents.into_iter().next()) else { return };
    for service in document["services"].as_array().into_iter().flatten() {
        let name = service["name"].as_str().unwrap_or("service");
        let scheduled = service["type"] == "cron";
        let keys = [
            ("buildCommand", When::Build),
            ("preDeployCommand", When::Release),
            ("startCommand", When::Start),
            ("dockerCommand", When::Start),
        ];
        for (key, when) in keys {
            let Some(command) = service[key].as_str() else { continue };
            let when = if scheduled && when == When::Start { When::Schedule } else { when };
            let line = line_with(text, command.lines().next().unwrap_or(command)).unwrap_or(1);
            reader.add(when, name, (path, line), folder(path), command);
        }
    }
}

fn app_json(reader: &mut Reader<'_>, path: &Path, text: &str) {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    if let Some(command) = value["scripts"]["postdeploy"].as_str() {
        reader.add(
            When::Release,
            "app.json",
            (path, line_with(text, "postdeploy").unwrap_or(1)),
            folder(path),
            command,
        );
    }
}

fn heroku(reader: &mut Reader<'_>, path: &Path, text: &str) {
    let Some(document) = yaml(text).ok().and_then(|documents| documents.into_iter().next()) else { return };
    for command in document["release"]["command"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        reader.add(When::Release, "heroku.yml", (path, line_with(text, command).unwrap_or(1)), folder(path), command);
    }
    for (name, command) in document["run"].as_object().into_iter().flatten() {
        if let Some(command) = command.as_str().or_else(|| command["command"][0].as_str()) {
            reader.add(When::Start, name, (path, line_with(text, command).unwrap_or(1)), folder(path), command);
        }
    }
}

fn railway(reader: &mut Reader<'_>, path: &Path, text: &str) {
    let value: Option<Value> = match path.extension().is_some_and(|ending| ending == "json") {
        true => serde_json::from_str(text).ok(),
        false => toml::from_str(text).ok(),
    };
    let Some(value) = value else { return };
    for (key, when) in [("preDeployCommand", When::Release), ("startCommand", When::Start)] {
        let command = value["deploy"][key].as_str().or_else(|| value["deploy"][key][0].as_str());
        if let Some(command) = command {
            reader.add(when, "railway", (path, line_with(text, key).unwrap_or(1)), folder(path), command);
        }
    }
}

fn crontab(reader: &mut Reader<'_>, path: &Path, text: &str) {
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#')) {
        let named = line.trim_start().starts_with('@');
        let command: Vec<&str> = line.split_whitespace().skip(if named { 1 } else { 5 }).collect();
        if !command.is_empty() {
            reader.add(When::Schedule, "crontab", (path, index + 1), folder(path), &command.join(" "));
        }
    }
}

fn unit(reader: &mut Reader<'_>, path: &Path, text: &str) {
    let scheduled = reader.repository.has(path.with_extension("timer"));
    for (index, line) in text.lines().enumerate() {
        let Some((key, command)) = line.split_once('=') else { continue };
        let when = match key.trim() {
            "ExecStart" if scheduled => When::Schedule,
            "ExecStart" => When::Start,
            "ExecStartPre" => When::Release,
            _ => continue,
        };
        let command = command.trim().trim_start_matches(['-', '+', '!', ':', '@']);
        reader.add(when, &path.display().to_string(), (path, index + 1), Path::new(""), command);
    }
}
