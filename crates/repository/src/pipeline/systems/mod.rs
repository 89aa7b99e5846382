//! The formats of pipelines: which files each system reads, and what they mean.

mod actions;
mod azure;
mod bitbucket;
mod buildkite;
mod circle;
mod drone;
mod gitlab;
mod groovy;
mod jenkins;
mod precommit;
mod travis;

use std::path::Path;

use serde_json::Value;

use super::{Job, Pipeline, Pipelines, context::Context, tools::Tool};
use crate::{repository::Repository, yaml::yaml};

/// Files of systems that are not read.
const UNREAD: [(&str, &str); 12] = [
    ("appveyor.yml", "AppVeyor"),
    (".appveyor.yml", "AppVeyor"),
    (".cirrus.yml", "Cirrus CI"),
    (".semaphore/semaphore.yml", "Semaphore"),
    ("cloudbuild.yaml", "Google Cloud Build"),
    ("cloudbuild.yml", "Google Cloud Build"),
    ("buildspec.yml", "AWS CodeBuild"),
    ("buildspec.yaml", "AWS CodeBuild"),
    (".build.yml", "builds.sr.ht"),
    ("wercker.yml", "Wercker"),
    (".teamcity/settings.kts", "TeamCity"),
    ("codeship-steps.yml", "Codeship"),
];

/// What a reader makes of a file: its jobs.
type Reader = fn(&mut Context<'_>, &Value) -> Result<Vec<Job>, String>;

/// A reader by a file's place.
fn reader(path: &Path) -> Option<(&'static str, Reader)> {
    let text = path.to_str()?;
    let yaml = text.ends_with(".yml") || text.ends_with(".yaml");
    let file = super::tasks::file_name(text);
    let in_folder = |folder: &str| yaml && text.strip_prefix(folder).is_some_and(|rest| !rest.contains('/'));
    let at = |names: &[&str]| names.contains(&text);
    Some(match () {
        () if in_folder(".github/workflows/") => ("GitHub Actions", actions::read as Reader),
        () if in_folder(".forgejo/workflows/") => ("Forgejo Actions", actions::read),
        () if in_folder(".gitea/workflows/") => ("Gitea Actions", actions::read),
        () if at(&[".gitlab-ci.yml", ".gitlab-ci.yaml"]) => ("GitLab CI", gitlab::read),
        () if at(&[".circleci/config.yml", ".circleci/config.yaml", "circle.yml"]) => ("CircleCI", circle::read),
        () if yaml
            && (file.starts_with("azure-pipelines")
                || in_folder(".azure-pipelines/")
                || in_folder(".azuredevops/")) =>
        {
            ("Azure Pipelines", azure::read)
        }
        () if at(&["bitbucket-pipelines.yml"]) => ("Bitbucket Pipelines", bitbucket::read),
        () if at(&[".pre-commit-config.yaml"]) => ("pre-commit.ci", precommit::read),
        () if at(&[".travis.yml"]) => ("Travis CI", travis::read),
        () if at(&[".drone.yml", ".drone.yaml"]) => ("Drone", drone::read),
        () if at(&[".woodpecker.yml", ".woodpecker.yaml"]) || in_folder(".woodpecker/") => ("Woodpecker", drone::read),
        () if at(&["buildkite.yml", "buildkite.yaml"]) || in_folder(".buildkite/") => ("Buildkite", buildkite::read),
        () if file == "Jenkinsfile" || (file.starts_with("Jenkinsfile.") && text == file) => ("Jenkins", jenkins::read),
        () => return None,
    })
}

/// More pipelines are not read.
const MOST: usize = 300;

pub(super) fn read(repository: &Repository) -> Pipelines {
    let default_branches: Vec<String> =
        repository.git().ok().map(crate::git::Git::default_branches).unwrap_or_default();
    let mut pipelines = Pipelines::default();
    let found = repository.files().filter_map(|path| Some((path, reader(path)?)));
    for (path, (system, reader)) in found.take(MOST) {
        let Some(text) = repository.text(path) else {
            pipelines.unreadable.push(format!("{} cannot be read", path.display()));
            continue;
        };
        // Jenkins has no YAML.
        let documents = if system == "Jenkins" { Ok(vec![Value::Null]) } else { documents(&text) };
        let file = path.to_owned();
        let mut context = Context {
            repository,
            file,
            text: &text,
            default_branches: &default_branches,
            from: 0,
            elsewhere: Vec::new(),
        };
        let jobs = documents.and_then(|documents| {
            let all = documents.iter().map(|document| reader(&mut context, document)).collect::<Result<Vec<_>, _>>()?;
            Ok(all.into_iter().flatten().collect::<Vec<_>>())
        });
        match jobs {
            // Hooks are no pipeline where the service is not asked to run them.
            Ok(jobs) if jobs.is_empty() && system == "pre-commit.ci" => {}
            Ok(jobs) => {
                pipelines.all.push(Pipeline { system, file: path.to_owned(), jobs, elsewhere: context.elsewhere })
            }
            Err(_) if system == "pre-commit.ci" => {}
            Err(reason) => pipelines.unreadable.push(format!("{} cannot be read: {reason}", path.display())),
        }
    }
    let jobs = pipelines.all.iter_mut().flat_map(|pipeline| &mut pipeline.jobs);
    for command in jobs.flat_map(|job| &mut job.steps).flat_map(|step| &mut step.commands) {
        command.tools = Tool::of(command);
    }
    for (file, system) in UNREAD {
        if repository.has(file) {
            pipelines.unread.push(format!("{file} ({system} is not read)"));
        }
    }
    pipelines
}

/// The documents of a file.
fn documents(text: &str) -> Result<Vec<Value>, String> {
    let documents = yaml(text)?;
    if documents.iter().all(Value::is_null) {
        return Err("it is empty".to_owned());
    }
    Ok(documents)
}

#[cfg(test)]
mod tests;
