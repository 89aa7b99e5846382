//! Variables that files set: compose, Kubernetes, Helm, container files, platforms' own files, and `.env`.

use std::path::Path;

use crate::{Repository, is_test, yaml};
use serde_json::Value;

use super::{entries, examples};

/// A variable that a file sets.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value as it stands there; empty when it comes from somewhere else.
    pub value: String,
    /// The value is kept in a store, and the file only names it.
    pub referenced: bool,
    /// `path:line`.
    pub place: String,
    /// What the file is for.
    pub purpose: Purpose,
    /// Git ignores the file: it is on this machine alone.
    pub ignored: bool,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Its name says production, or nothing else can be meant.
    Production,
    /// It does not say.
    Open,
    /// Development and tests.
    Development,
}

/// Everything that files set, examples and tests apart.
pub fn settings(repository: &Repository) -> Vec<Setting> {
    let mut found = Vec::new();
    let shown = examples(repository);
    let env_files = [".env", ".env.production", ".env.prod", ".env.production.local", ".env.staging"].map(Path::new);
    let unseen =
        env_files.iter().copied().filter(|path| repository.has(path) && !repository.files().any(|own| own == *path));
    let all: Vec<&Path> =
        repository.files().chain(unseen).filter(|path| !is_test(path) && !shown.contains(path)).collect();
    for path in all {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let ending = path.extension().and_then(|own| own.to_str()).unwrap_or_default();
        let is_env = name == ".env"
            || name.starts_with(".env.")
            || (ending == "env" && !name.contains("example") && !name.contains("sample"));
        let is_container =
            name.starts_with("Dockerfile") || name.starts_with("Containerfile") || ending == "dockerfile";
        let kept = ["yml", "yaml", "toml", "json"].contains(&ending);
        let Some(text) = (is_env || is_container || kept)
            .then(|| repository.text(path))
            .flatten()
            .filter(|text| text.len() < 1 << 20)
        else {
            continue;
        };
        let ignored = !repository.files().any(|own| own == path);
        let mut reader = Reader { path, text: &text, purpose: purpose_of(path), ignored, found: &mut found };
        match (is_env, is_container, ending, name) {
            (true, ..) => reader.env_file(),
            (_, true, ..) => reader.container_file(),
            (_, _, "yml" | "yaml", _) if might_set(&text) => reader.yaml_file(name),
            (_, _, _, "fly.toml") => reader.fly(),
            (_, _, _, "app.json") => reader.app_json(),
            _ => {}
        }
    }
    found
}

/// By its name: a folder or a file of development, or of production.
fn purpose_of(path: &Path) -> Purpose {
    let text = path.to_string_lossy().to_lowercase();
    let words: Vec<&str> = text.split(|letter: char| !letter.is_alphanumeric()).collect();
    let any = |names: &[&str]| words.iter().any(|word| names.contains(word));
    if any(&[
        "dev",
        "develop",
        "development",
        "local",
        "test",
        "tests",
        "testing",
        "override",
        "ci",
        "e2e",
        "example",
        "examples",
        "sample",
        "devcontainer",
        "debug",
        "demo",
        "localhost",
        "github",
        "gitlab",
        "template",
    ]) {
        return Purpose::Development;
    }
    if any(&["prod", "production", "live", "deploy", "deployment", "k8s", "kubernetes", "helm", "fly", "render"]) {
        Purpose::Production
    } else {
        Purpose::Open
    }
}

fn might_set(text: &str) -> bool {
    ["services:", "kind:", "env:", "environment:", "envVars:", "stringData:"].iter().any(|key| text.contains(key))
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    purpose: Purpose,
    ignored: bool,
    found: &'a mut Vec<Setting>,
}

impl Reader<'_> {
    fn add(&mut self, name: &str, value: &str, referenced: bool) {
        let line = self.text.lines().position(|line| line.contains(name) && (value.is_empty() || line.contains(value)));
        let line = line.or_else(|| self.text.lines().position(|line| line.contains(name))).map_or(1, |at| at + 1);
        let place = format!("{}:{line}", self.path.display());
        self.found.push(Setting {
            name: name.to_owned(),
            value: value.to_owned(),
            referenced,
            place,
            purpose: self.purpose,
            ignored: self.ignored,
        });
    }

    fn env_file(&mut self) {
        let all = entries(self.text);
        let value_of = |name: &str| {
            all.iter()
                .find(|entry| entry.name.ends_with(name) && !entry.commented)
                .map(|entry| entry.value.to_lowercase())
        };
        let develops = ["NODE_ENV", "APP_ENV", "ENVIRONMENT", "RAILS_ENV", "FLASK_ENV"]
            .iter()
            .filter_map(|name| value_of(name))
            .any(|value| ["development", "dev", "local"].contains(&value.as_str()));
        if develops || value_of("DEBUG").is_some_and(|value| ["1", "true", "on", "yes"].contains(&value.as_str())) {
            self.purpose = Purpose::Development;
        }
        for entry in all.iter().filter(|entry| !entry.commented) {
            let referenced = entry.value.starts_with("${") || is_reference(&entry.value);
            self.add(&entry.name, &entry.value, referenced);
        }
    }

    /// `ENV` of the last stage and of those before it; `ARG` is no setting.
    fn container_file(&mut self) {
        let joined = self.text.replace("\\\n", " ");
        for line in joined.lines().map(str::trim).filter(|line| line.to_uppercase().starts_with("ENV ")) {
            let rest = line[4..].trim();
            let words = shell_words::split(rest).unwrap_or_default();
            let pairs: Vec<(&str, &str)> = match words.first().map(|first| first.contains('=')) {
                Some(true) => words.iter().filter_map(|word| word.split_once('=')).collect(),
                _ => rest.split_once(char::is_whitespace).into_iter().collect(),
            };
            for (name, value) in pairs {
                self.add(name, value.trim(), value.contains('$'));
            }
        }
    }

    fn yaml_file(&mut self, name: &str) {
        let Ok(documents) = yaml(self.text) else { return };
        for document in documents {
            if document["services"].is_object() && document["kind"].is_null() {
                self.compose(&document);
            } else if document["kind"].is_string() || name.starts_with("values") {
                self.purpose = if self.purpose == Purpose::Open { Purpose::Production } else { self.purpose };
                self.kubernetes(&document, 0);
            } else if name.starts_with("render.y") {
                self.purpose = Purpose::Production;
                self.render(&document);
            }
        }
    }

    fn compose(&mut self, document: &Value) {
        let before = self.purpose;
        let services = document["services"].as_object();
        let all: Vec<&Value> = services.into_iter().flatten().map(|(_, service)| service).collect();
        let mounts_source = |service: &&Value| {
            let volumes = service["volumes"].as_array().into_iter().flatten().filter_map(Value::as_str);
            volumes
                .map(|volume| volume.split(':').next().unwrap_or_default())
                .any(|source| [".", "./", "./src", "./app", "./backend", "./frontend"].contains(&source))
        };
        let command = |service: &&Value| {
            service["command"].to_string().contains("--reload") || service["command"].to_string().contains("runserver")
        };
        // Without an app of its own, or with its source mounted, it is the one for a developer's machine.
        let builds = all.iter().any(|service| !service["build"].is_null() || !service["env_file"].is_null());
        if before == Purpose::Open && (all.iter().any(mounts_source) || all.iter().any(command) || !builds) {
            self.purpose = Purpose::Development;
        }
        for service in all {
            let environment = &service["environment"];
            for (name, value) in environment.as_object().into_iter().flatten() {
                let value = plain(value);
                self.add(name, &value, refers(&value));
            }
            for pair in environment.as_array().into_iter().flatten().filter_map(Value::as_str) {
                // A name alone hands the host's own value through.
                let handed = format!("${{{pair}}}");
                let (name, value) = pair.split_once('=').unwrap_or((pair, &handed));
                self.add(name, value, refers(value));
            }
        }
        self.purpose = before;
    }

    /// `env` lists anywhere in an object, config maps and secrets.
    fn kubernetes(&mut self, value: &Value, depth: usize) {
        if depth > 24 {
            return;
        }
        let kind = value["kind"].as_str().unwrap_or_default();
        if kind == "ConfigMap" || kind == "Secret" {
            for (name, data) in
                ["data", "stringData"].iter().flat_map(|key| value[*key].as_object().into_iter().flatten())
            {
                let data = plain(data);
                self.add(name, &data, refers(&data));
            }
        }
        for item in value["env"].as_array().into_iter().flatten() {
            let Some(name) = item["name"].as_str() else { continue };
            let data = plain(&item["value"]);
            self.add(name, &data, !item["valueFrom"].is_null() || refers(&data));
        }
        if depth > 0 || kind.is_empty() {
            for (name, data) in value["env"].as_object().into_iter().flatten().filter(|(_, data)| !data.is_object()) {
                let data = plain(data);
                self.add(name, &data, refers(&data));
            }
        }
        match value {
            Value::Object(fields) => fields.values().for_each(|inner| self.kubernetes(inner, depth + 1)),
            Value::Array(items) => items.iter().for_each(|inner| self.kubernetes(inner, depth + 1)),
            _ => {}
        }
    }

    fn render(&mut self, document: &Value) {
        for service in document["services"].as_array().into_iter().flatten() {
            for item in service["envVars"].as_array().into_iter().flatten() {
                let Some(name) = item["key"].as_str() else { continue };
                let value = plain(&item["value"]);
                let referenced = ["fromDatabase", "fromService", "generateValue", "fromGroup"]
                    .iter()
                    .any(|key| !item[*key].is_null());
                self.add(name, &value, referenced || item["sync"] == false);
            }
        }
    }

    fn fly(&mut self) {
        self.purpose = Purpose::Production;
        let Ok(table) = self.text.parse::<toml::Table>() else { return };
        for (name, value) in table.get("env").and_then(toml::Value::as_table).into_iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), String::from);
            self.add(name, &value, refers(&value));
        }
    }

    fn app_json(&mut self) {
        self.purpose = Purpose::Production;
        let Ok(document) = serde_json::from_str::<Value>(self.text) else { return };
        for (name, value) in document["env"].as_object().into_iter().flatten() {
            let shown = value["value"].as_str().or(value.as_str()).unwrap_or_default().to_owned();
            self.add(name, &shown, value["generator"] == "secret");
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value that only names another one; one with a default has a value.
fn refers(value: &str) -> bool {
    let open = value.contains("${") && !value.contains(":-") && !value.contains("-") || value.contains("{{");
    let bare = value.starts_with('$') && !value.contains(":-");
    open || bare || (value.contains("${") && value.contains(":?")) || is_reference(value)
}

/// A reference into a store of secrets.
pub fn is_reference(value: &str) -> bool {
    const STARTS: &[&str] = &[
        "vault:",
        "file:",
        "env:",
        "age:",
        "aws-sm:",
        "aws-ssm:",
        "azure-kv:",
        "gcp-sm:",
        "op://",
        "sops:",
        "ENC[",
        "doppler:",
        "ref+",
        "arn:aws:secretsmanager",
        "arn:aws:ssm",
        "/run/secrets/",
        "sm://",
        "infisical:",
    ];
    STARTS.iter().any(|start| value.starts_with(start))
}

#[cfg(test)]
mod tests {
    use crate::Sample;

    use super::*;

    #[test]
    fn settings_are_read_from_every_kind_of_file() {
        let folder = tempfile::tempdir().unwrap();
        let compose = "services:\n  a:\n    build: .\n    environment:\n      - A=1\n      - B\n      - C=${C:-x}\n  b:\n    image: x\n    environment: {D: \"${D}\", E: 5}\n";
        let k8s = "kind: Deployment\nspec:\n  containers:\n  - env:\n    - {name: F, value: f}\n    - name: G\n      valueFrom: {secretKeyRef: {name: s, key: g}}\n";
        Sample::of(&[
            ("docker-compose.yml", compose),
            ("deploy/app.yaml", k8s),
            ("Dockerfile", "FROM x\nENV H=1 I=2\nENV J three four\n"),
            ("fly.toml", "[env]\nK = \"k\"\n"),
            (".env", "L=l\n"),
            (".gitignore", ".env\n"),
            (".env.example", "M=\n"),
            ("docker-compose.dev.yml", "services: {a: {environment: {N: en}}}\n"),
        ])
        .write(folder.path())
        .unwrap();
        let all = settings(&Repository::open(folder.path()).unwrap());
        let mut shown: Vec<String> = all
            .iter()
            .map(|one| format!("{}={}{}{:?}", one.name, one.value, if one.referenced { "*" } else { " " }, one.purpose))
            .collect();
        shown.sort();
        assert_eq!(
            shown,
            [
                "A=1 Open",
                "B=${B}*Open",
                "C=${C:-x} Open",
                "D=${D}*Open",
                "E=5 Open",
                "F=f Production",
                "G=*Production",
                "H=1 Open",
                "I=2 Open",
                "J=three four Open",
                "K=k Production",
                "L=l Open",
                "N=en Development"
            ]
        );
    }
}
