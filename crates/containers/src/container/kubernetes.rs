//! Kubernetes manifests, as far as they say how containers run.

use std::path::{Path, PathBuf};

use seaworthy_repository::{Repository, yaml};
use serde_json::Value;

use super::{compose::is_beside, place::line_of};

/// What the manifests of a repository say.
#[derive(Debug, Default)]
pub struct Cluster {
    /// Every object: its file and itself.
    pub objects: Vec<(PathBuf, Value)>,
    /// Manifests that are templates and cannot be read before they are filled in.
    pub templates: Vec<PathBuf>,
}

/// A container of a workload.
#[derive(Debug)]
pub struct Container<'c> {
    /// The file and line of its workload.
    pub place: String,
    /// The kind of the workload.
    pub kind: &'c str,
    /// It runs before the others and ends.
    pub first: bool,
    /// The container.
    pub value: &'c Value,
    /// The pod's specification.
    pub pod: &'c Value,
}

const WORKLOADS: &[&str] =
    &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod", "Job", "CronJob", "Rollout"];

impl Cluster {
    /// Reads every YAML file that holds objects of a cluster.
    pub fn read(repository: &Repository) -> Self {
        let mut found = Self::default();
        for path in repository.ending(&["yml", "yaml"]).filter(|path| !in_tests(path)) {
            let Some(text) = repository.text(path) else { continue };
            if !text.contains("apiVersion:") || !text.contains("kind:") {
                continue;
            }
            match yaml(&text) {
                Ok(documents) => {
                    let objects =
                        documents.into_iter().filter(|one| one["kind"].is_string() && one["apiVersion"].is_string());
                    found.objects.extend(objects.map(|object| (path.to_owned(), object)));
                }
                Err(_) => found.templates.push(path.to_owned()),
            }
        }
        found
    }

    /// Every container of every workload.
    pub fn containers(&self, repository: &Repository) -> Vec<Container<'_>> {
        let mut found = Vec::new();
        for (path, object) in &self.objects {
            let kind = object["kind"].as_str().unwrap_or_default();
            if !WORKLOADS.contains(&kind) {
                continue;
            }
            let pod = match kind {
                "Pod" => &object["spec"],
                "CronJob" => &object["spec"]["jobTemplate"]["spec"]["template"]["spec"],
                _ => &object["spec"]["template"]["spec"],
            };
            let text = repository.text(path).unwrap_or_default();
            for (key, first) in [("initContainers", true), ("containers", false)] {
                for value in pod[key].as_array().into_iter().flatten() {
                    let name = value["name"].as_str().unwrap_or_default();
                    let line = line_of_name(&text, name).unwrap_or_else(|| line_of(&text, &["spec"]));
                    found.push(Container { place: format!("{}:{line}", path.display()), kind, first, value, pod });
                }
            }
        }
        found
    }
}

impl Container<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        self.value["name"].as_str().unwrap_or("?")
    }

    /// Command and arguments in one line.
    pub fn line(&self) -> Option<String> {
        let words = |key: &str| self.value[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        let line = words("command").chain(words("args")).collect::<Vec<_>>().join(" ");
        (!line.is_empty()).then_some(line)
    }

    /// It serves, as opposed to a job.
    pub fn is_lasting(&self) -> bool {
        !self.first && self.kind != "Job" && self.kind != "CronJob"
    }

    /// Whether it is said to run as an ordinary user: `None` when nothing is said.
    pub fn ordinary_user(&self) -> Option<bool> {
        let of = |context: &Value| {
            let user = context["runAsUser"].as_u64().map(|user| user != 0);
            user.or_else(|| context["runAsNonRoot"].as_bool().filter(|set| *set))
        };
        of(&self.value["securityContext"]).or_else(|| of(&self.pod["securityContext"]))
    }
}

fn line_of_name(text: &str, name: &str) -> Option<usize> {
    let is_it = |line: &str| {
        let value = line.trim().trim_start_matches("- ").strip_prefix("name:");
        value.is_some_and(|value| value.trim().trim_matches(['"', '\'']) == name)
    };
    text.lines().enumerate().filter(|(_, line)| is_it(line)).map(|(index, _)| index + 1).last()
}

/// A chart's own `templates` folder is not left out: what is plain YAML there counts.
fn in_tests(path: &Path) -> bool {
    let charts = path.components().any(|part| part.as_os_str() == "templates");
    is_beside(path) && !charts
}
