//! Commands of pipelines: steps that are off or may fail do not count.

use std::path::{Path, PathBuf};

use seaworthy_repository::yaml;
use serde_json::Value;

use super::{Reader, When, line_with};

const KEYS: &[&str] = &["run", "script", "before_script", "after_script", "bash", "command", "commands"];

/// Reads every pipeline's file.
pub fn read(reader: &mut Reader<'_>) {
    let files: Vec<PathBuf> =
        reader.repository.ending(&["yml", "yaml"]).filter(|path| is_pipeline(path)).map(Path::to_path_buf).collect();
    for path in files {
        let Some(text) = reader.repository.text(&path) else { continue };
        for document in yaml(&text).unwrap_or_default() {
            let scheduled = document["on"]["schedule"].is_array()
                && document["on"]
                    .as_object()
                    .is_some_and(|on| !on.contains_key("push") && !on.contains_key("pull_request"));
            let when = if scheduled { When::Schedule } else { When::Pipeline };
            walk(reader, &path, &text, when, &document, "", 0);
        }
    }
}

fn is_pipeline(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    path.starts_with(".github/workflows")
        || path.starts_with(".gitea/workflows")
        || path.starts_with(".forgejo/workflows")
        || path.starts_with(".circleci")
        || path.starts_with(".woodpecker")
        || name.starts_with(".gitlab-ci")
        || [
            "bitbucket-pipelines.yml",
            "azure-pipelines.yml",
            ".travis.yml",
            ".drone.yml",
            ".woodpecker.yml",
            "cloudbuild.yaml",
        ]
        .contains(&name)
}

fn is_off(value: &Value) -> bool {
    let condition = &value["if"];
    let off =
        condition == false || condition.as_str().is_some_and(|text| ["false", "${{ false }}"].contains(&text.trim()));
    off || value["continue-on-error"] == true
        || value["allow_failure"] == true
        || value["when"] == "never"
        || value["when"] == "manual" && value["script"].is_null()
}

fn walk(reader: &mut Reader<'_>, path: &Path, text: &str, when: When, value: &Value, job: &str, depth: usize) {
    match value {
        Value::Object(own) if !is_off(value) => {
            for (key, inner) in own {
                if KEYS.contains(&key.as_str()) && depth > 0 {
                    let lines: Vec<&str> = inner
                        .as_str()
                        .into_iter()
                        .chain(inner.as_array().into_iter().flatten().filter_map(Value::as_str))
                        .collect();
                    if !lines.is_empty() {
                        let folder = own
                            .get("working-directory")
                            .and_then(Value::as_str)
                            .unwrap_or_default()
                            .trim_start_matches("./")
                            .to_owned();
                        for line in lines {
                            let first = line.lines().next().unwrap_or(line);
                            let at = line_with(text, first).unwrap_or(1);
                            reader.add(when, job, (path, at), Path::new(&folder), line);
                        }
                        continue;
                    }
                }
                let named = format!("{}#{key}", path.display());
                // Jobs are the second level in most formats, the first in GitLab's.
                let job = if depth == 0 && key != "jobs" || depth == 1 && job.ends_with("#jobs") || job.is_empty() {
                    &named
                } else {
                    job
                };
                walk(reader, path, text, when, inner, job, depth + 1);
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| walk(reader, path, text, when, inner, job, depth + 1)),
        _ => {}
    }
}
