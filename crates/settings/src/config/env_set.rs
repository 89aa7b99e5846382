//! `config.env-set`: the files for production set every variable that the app needs, and none to a placeholder.

use std::collections::BTreeMap;

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use super::{
    env_example::nothing_read,
    values::{is_placeholder, is_weak, own_value},
};
use seaworthy_repository::environment::{Purpose, Setting, first_few, is_of_build, read_by_app, settings};

pub(super) struct EnvSet;

impl Inspection for EnvSet {
    fn control(&self) -> &'static str {
        "config.env-set"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        let read = read_by_app(repository);
        if read.is_empty() {
            return nothing_read(repository);
        }
        let needed: Vec<&str> = read
            .iter()
            .filter(|read| read.variable.default.is_none() && !is_of_build(read.name))
            .map(|read| read.name)
            .collect();
        let all = settings(repository);
        let mut set: BTreeMap<&str, Vec<&Setting>> = BTreeMap::new();
        for setting in all.iter().filter(|setting| setting.purpose != Purpose::Development) {
            set.entry(&setting.name).or_default().push(setting);
        }
        let files = all.iter().filter(|setting| setting.purpose == Purpose::Production).count();
        let mut cases = Cases::plan(1);
        cases.note(format!(
            "{} variables read, {} without a default; {} set by files, {files} of them by files for production",
            read.len(),
            needed.len(),
            set.len()
        ));
        if let Some(place) = placeholder(&set, &read.iter().map(|read| read.name).collect::<Vec<_>>()) {
            cases.tried(false, place);
            return cases.sighting("");
        }
        if needed.is_empty() {
            return cases.gave_up("every variable that the code reads has a default; whether production needs another value, only the live process tells");
        }
        // A name with nothing behind it is not set.
        let blank = |setting: &&Setting| !setting.referenced && setting.value.trim_matches(['"', '\'', ' ']).is_empty();
        let unset = |name: &&str| set.get(*name).is_none_or(|all| all.iter().all(blank));
        let missing: Vec<&str> = needed.iter().copied().filter(unset).collect();
        let referenced = needed
            .iter()
            .filter(|name| {
                set.get(*name).is_some_and(|all| all.iter().all(|setting| own_value(&setting.value).is_none()))
            })
            .count();
        if !missing.is_empty() {
            return cases.gave_up(format!("{} of {} variables without a default are set by no file for production ({}); the environment of the live process would tell", missing.len(), needed.len(), first_few(missing.iter().copied(), 3)));
        }
        // A name that is handed through has its value elsewhere.
        let hands_on = |setting: &&Setting| {
            setting.value.starts_with('$') && !setting.value.contains(":?") && own_value(&setting.value).is_none()
        };
        let from_host = |name: &&&str| set.get(**name).is_some_and(|all| all.iter().all(hands_on));
        let open: Vec<&str> = needed.iter().filter(from_host).copied().collect();
        if !open.is_empty() {
            return cases.gave_up(format!("{} of {} variables without a default are handed through from the host ({}), whose environment is not seen here", open.len(), needed.len(), first_few(open.iter().copied(), 3)));
        }
        cases.tried(true, format!("all {} are set", needed.len()));
        cases.sighting(format!("all {} variables without a default are set by files for production, {referenced} of them by reference; no placeholder", needed.len()))
    }

    fn present(&self) -> Sample {
        let deployment = "kind: Deployment\nspec:\n  containers:\n  - name: app\n    env:\n    - {name: API_BASE, value: \"https://orders.invalid\"}\n    - name: SECRET_KEY\n      valueFrom: {secretKeyRef: {name: orders, key: key}}\n";
        Sample::of(&[("app.py", CODE), ("k8s/app.yaml", deployment)])
    }

    fn absent(&self) -> Sample {
        let deployment = "kind: Deployment\nspec:\n  containers:\n  - name: app\n    env:\n    - {name: API_BASE, value: \"https://your-domain.com\"}\n    - name: SECRET_KEY\n      valueFrom: {secretKeyRef: {name: orders, key: key}}\n";
        Sample::of(&[("app.py", CODE), ("k8s/app.yaml", deployment)])
    }
}

const CODE: &str = "import os\nBASE = os.environ[\"API_BASE\"]\nKEY = os.environ[\"SECRET_KEY\"]\nLEVEL = os.getenv(\"LOG_LEVEL\", \"info\")\n";

/// A variable that the code reads and a file for production sets to words that stand for a value.
fn placeholder(set: &BTreeMap<&str, Vec<&Setting>>, read: &[&str]) -> Option<String> {
    let all = read.iter().filter_map(|name| set.get(name)).flatten();
    let stands_for = |setting: &&&Setting| {
        let value = own_value(&setting.value).filter(|_| !setting.referenced && setting.purpose == Purpose::Production);
        value.is_some_and(|value| {
            is_placeholder(value) || (super::values::holds_secret(&setting.name) && is_weak(value))
        })
    };
    all.clone().find(stands_for).map(|setting| format!("{} sets {} to a placeholder", setting.place, setting.name))
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    #[test]
    fn what_no_file_sets_only_the_process_tells() {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(&[("app.py", CODE), ("fly.toml", "[env]\nAPI_BASE = \"https://orders.invalid\"\n")])
            .write(folder.path())
            .unwrap();
        let found = EnvSet.look(&Repository::open(folder.path()).unwrap());
        assert!(matches!(&found.outcome, Outcome::Unclear(why) if why.contains("SECRET_KEY")), "{found:?}");
        let compose = "services: {a: {build: ., environment: {API_BASE: \"https://o.invalid\", SECRET_KEY: \"${SECRET_KEY}\"}}}\n";
        Sample::of(&[("docker-compose.prod.yml", compose)]).write(folder.path()).unwrap();
        let found = EnvSet.look(&Repository::open(folder.path()).unwrap());
        assert!(matches!(&found.outcome, Outcome::Unclear(why) if why.contains("handed through")), "{found:?}");
        let compose = "services: {a: {build: ., environment: {API_BASE: \"https://o.invalid\", SECRET_KEY: \"\"}}}\n";
        Sample::of(&[("docker-compose.prod.yml", compose)]).write(folder.path()).unwrap();
        let found = EnvSet.look(&Repository::open(folder.path()).unwrap());
        assert!(matches!(&found.outcome, Outcome::Unclear(why) if why.contains("SECRET_KEY")), "{found:?}");
    }
}
