//! One service of a composition, as its keys say it.

use std::{
    collections::HashMap,
    path::{Component, Path, PathBuf},
};

use serde_json::Value;

use super::{dockerfile::substituted, merge::as_mapping};

/// One service.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// File and line.
    pub place: String,
    /// The folder of the first file.
    pub folder: PathBuf,
    /// Everything else.
    pub value: Value,
}

/// How it is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The folder that is sent; nothing when it is elsewhere (an address, or above the repository).
    pub context: Option<PathBuf>,
    /// Its Dockerfile, relative to the repository.
    pub dockerfile: PathBuf,
    /// The text of it, where it is written in the compose file.
    pub inline: bool,
    /// The stage.
    pub target: Option<String>,
}

/// A volume or folder in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// A folder of the host, a volume's name, or nothing.
    pub source: Option<String>,
    /// Where it is seen.
    pub target: String,
    /// A folder or file of the host.
    pub bind: bool,
    /// Kept in memory.
    pub memory: bool,
}

impl Service {
    /// Its image, defaults of variables put in.
    pub fn image(&self) -> Option<String> {
        self.value["image"].as_str().map(plain)
    }

    /// How it is built.
    pub fn build(&self) -> Option<Build> {
        let build = &self.value["build"];
        if build.is_null() {
            return None;
        }
        let context = plain(build.as_str().or_else(|| build["context"].as_str()).unwrap_or("."));
        let is_address = context.contains("://") || context.starts_with("git@") || context.contains('$');
        let context = if is_address { None } else { below(&self.folder, &context) };
        let file = build["dockerfile"].as_str().map_or_else(|| "Dockerfile".to_owned(), plain);
        let dockerfile = context.as_deref().and_then(|context| below(context, &file)).unwrap_or_else(|| file.into());
        let inline = build["dockerfile_inline"].is_string();
        Some(Build { context, dockerfile, inline, target: build["target"].as_str().map(plain) })
    }

    /// Variables that are set here, defaults put in.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mapping = as_mapping("environment", self.value["environment"].clone());
        let own = mapping.as_object().into_iter().flatten();
        own.map(|(name, value)| (name.clone(), plain(&text_of(value)))).collect()
    }

    /// The same as they are written.
    pub fn environment_as_written(&self) -> Vec<(String, String)> {
        let mapping = as_mapping("environment", self.value["environment"].clone());
        mapping.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), text_of(value))).collect()
    }

    /// Volumes and folders.
    pub fn mounts(&self) -> Vec<Mount> {
        let list = self.value["volumes"].as_array().into_iter().flatten();
        let mut mounts: Vec<Mount> = list.map(mount).collect();
        let memory = &self.value["tmpfs"];
        let targets = memory.as_array().into_iter().flatten().chain([memory]).filter_map(Value::as_str);
        mounts.extend(targets.map(|target| Mount { source: None, target: target.into(), bind: false, memory: true }));
        mounts
    }

    /// Ports that the host answers on: the address it is bound to, and the port inside.
    pub fn published(&self) -> Vec<(Option<String>, String)> {
        let list = self.value["ports"].as_array().into_iter().flatten();
        let port = |value: &Value| match value {
            Value::Object(own) => {
                let target = own.get("target").map(text_of).unwrap_or_default();
                own.get("published").map(|_| (own.get("host_ip").map(text_of), target))
            }
            other => {
                let text = plain(&text_of(other));
                let text = text.split('/').next().unwrap_or_default();
                let (left, target) = text.rsplit_once(':').unwrap_or(("", text));
                let address = left.rsplit_once(':').map(|(address, _)| address.to_owned());
                Some((address, target.to_owned()))
            }
        };
        list.filter_map(port).collect()
    }

    /// What it waits for, and for which condition.
    pub fn depends_on(&self) -> Vec<(String, Option<String>)> {
        match &self.value["depends_on"] {
            Value::Array(names) => names.iter().filter_map(|name| Some((name.as_str()?.to_owned(), None))).collect(),
            Value::Object(own) => {
                own.iter().map(|(name, one)| (name.clone(), one["condition"].as_str().map(String::from))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether it has a health check of its own.
    pub fn has_health_check(&self) -> bool {
        let check = &self.value["healthcheck"];
        (check["test"].is_string() || check["test"].is_array()) && !self.health_check_is_off()
    }

    /// Whether the health check of its image is switched off.
    pub fn health_check_is_off(&self) -> bool {
        let check = &self.value["healthcheck"];
        check["disable"] == true || check["test"].as_str() == Some("NONE") || check["test"][0].as_str() == Some("NONE")
    }

    /// A command or an entrypoint in one line.
    pub fn line(&self, key: &str) -> Option<String> {
        match &self.value[key] {
            Value::String(text) => Some(plain(text)),
            Value::Array(words) if !words.is_empty() => {
                Some(words.iter().map(|word| plain(&text_of(word))).collect::<Vec<_>>().join(" "))
            }
            _ => None,
        }
    }

    /// Whether it ends by itself: another service waits for its end, or it is never started again.
    pub fn is_a_step(&self, services: &std::collections::BTreeMap<String, Self>) -> bool {
        let waited = services.values().flat_map(Self::depends_on).any(|(name, condition)| {
            name == self.name && condition.as_deref() == Some("service_completed_successfully")
        });
        waited || !self.profiles().is_empty() || self.value["deploy"]["replicas"] == 0
    }

    /// Profiles without which it is not started.
    pub fn profiles(&self) -> Vec<String> {
        let list = self.value["profiles"].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(String::from).collect()
    }

    /// Restart policy, in the words of compose.
    pub fn restart(&self) -> Option<String> {
        let deploy = self.value["deploy"]["restart_policy"]["condition"].as_str().map(String::from);
        let deploy = deploy.or_else(|| self.value["deploy"]["restart_policy"].is_object().then(|| "any".to_owned()));
        let own = self.value.get("restart").map(text_of).map(|text| plain(&text));
        own.or(deploy).filter(|policy| !["no", "none", "false", ""].contains(&policy.as_str()))
    }

    /// Limits of memory and of processor time.
    pub fn limits(&self) -> (bool, bool) {
        let limits = &self.value["deploy"]["resources"]["limits"];
        let set = |keys: &[&str]| keys.iter().any(|key| !self.value[*key].is_null());
        (!limits["memory"].is_null() || set(&["mem_limit"]), !limits["cpus"].is_null() || set(&["cpus", "cpu_quota"]))
    }

    /// Files of variables: the path, and whether it must be there.
    pub fn variable_files(&self) -> Vec<(String, bool)> {
        let one = |value: &Value| match value {
            Value::String(text) => Some((plain(text), true)),
            Value::Object(own) => Some((plain(own.get("path")?.as_str()?), own.get("required") != Some(&false.into()))),
            _ => None,
        };
        match &self.value["env_file"] {
            Value::Array(list) => list.iter().filter_map(one).collect(),
            other => one(other).into_iter().collect(),
        }
    }
}

fn mount(value: &Value) -> Mount {
    if let Value::Object(own) = value {
        let text = |key: &str| own.get(key).map(text_of);
        let kind = text("type").unwrap_or_default();
        let (bind, memory) = (kind == "bind", kind == "tmpfs");
        return Mount { source: text("source"), target: text("target").unwrap_or_default(), bind, memory };
    }
    let text = plain(&text_of(value));
    let mut parts = text.split(':');
    match (parts.next(), parts.next()) {
        (Some(source), Some(target)) => {
            let bind = source.starts_with(['.', '/', '~', '$']);
            Mount { source: Some(source.to_owned()), target: target.to_owned(), bind, memory: false }
        }
        _ => Mount { source: None, target: text, bind: false, memory: false },
    }
}

/// A text with the defaults of its variables.
pub fn plain(text: &str) -> String {
    substituted(text, &HashMap::new())
}

/// A scalar as it is written.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A path joined and made plain; nothing when it leads above the repository.
pub fn below(folder: &Path, path: &str) -> Option<PathBuf> {
    let mut made = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::Normal(part) => made.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !made.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(value: Value) -> Service {
        Service { name: "a".into(), place: "c.yml:1".into(), folder: "deploy".into(), value }
    }

    #[test]
    fn builds_mounts_ports_and_conditions() {
        let one = service(json!({
            "build": {"context": "..", "dockerfile": "docker/Dockerfile", "target": "prod"},
            "environment": ["A=${A:-x}", "B"], "volumes": ["./a:/b:ro", "d:/data", "/x", {"type": "tmpfs", "target": "/t"}],
            "ports": ["127.0.0.1:5432:5432", "80:8080/tcp", 3000, {"target": 1, "published": "2"}],
            "depends_on": {"db": {"condition": "service_healthy"}}, "healthcheck": {"test": ["CMD", "x"]},
            "restart": false, "env_file": [".env", {"path": "b", "required": false}], "command": ["a", "b c"]
        }));
        let build = one.build().unwrap();
        assert_eq!((build.context, build.dockerfile), (Some(PathBuf::new()), "docker/Dockerfile".into()));
        assert_eq!(one.environment(), [("A".into(), "x".into()), ("B".into(), String::new())]);
        let kinds: Vec<(bool, bool)> = one.mounts().iter().map(|mount| (mount.bind, mount.memory)).collect();
        assert_eq!(kinds, [(true, false), (false, false), (false, false), (false, true)]);
        let ports = one.published();
        assert_eq!(ports[0], (Some("127.0.0.1".into()), "5432".into()));
        assert_eq!((ports[1].1.as_str(), ports[2].1.as_str(), ports[3].1.as_str()), ("8080", "3000", "1"));
        assert_eq!(one.depends_on(), [("db".into(), Some("service_healthy".into()))]);
        assert!(one.has_health_check() && one.restart().is_none() && one.line("command").unwrap() == "a b c");
        assert_eq!(one.variable_files(), [(".env".into(), true), ("b".into(), false)]);
        assert_eq!(service(json!({"build": "../.."})).build().unwrap().context, None);
    }
}
