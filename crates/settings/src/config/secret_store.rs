//! `config.secret-store`: secrets come from a store, and no file holds one in the clear. Rotation and the log of reads are the
//! store's own, and not seen here.

use std::{
    path::{Component, Path, PathBuf},
    sync::LazyLock,
};

use seaworthy_repository::{Cases, Inspection, Pattern, Repository, Sample, Sighting, is_test, yaml};
use serde::Deserialize;
use serde_json::Value;

use super::{
    starts::is_for_development,
    values::{holds_secret, is_placeholder, own_value, password_in},
};
use seaworthy_repository::environment::{Purpose, Setting, settings};

pub(super) struct SecretStore;

/// An app may offer it to its own users, so it does not decide alone; it is the last one of the list.
const READ_BY_THE_APP: &str = "a store that the app itself reads";

#[derive(Deserialize)]
struct Stores {
    store: Vec<Store>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Store {
    name: String,
    files: Vec<String>,
    endings: Vec<String>,
    starts: String,
    text: Option<Pattern>,
}

#[expect(clippy::expect_used, reason = "a constant text, read in every test")]
static STORES: LazyLock<Stores> =
    LazyLock::new(|| toml::from_str(include_str!("stores.toml")).expect("the list of stores is valid"));

impl Inspection for SecretStore {
    fn control(&self) -> &'static str {
        "config.secret-store"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        let mut cases = Cases::plan(2);
        let count = plaintext(repository, &mut cases);
        for_clusters(repository, &mut cases);
        let found = stores(repository);
        match found.first() {
            Some((name, place)) if *name == READ_BY_THE_APP => {
                cases.told_nothing(format!("{place}: the app can read a store; whether production's secrets are in it, only its deployment shows"));
            }
            Some((name, place)) => cases.tried(true, format!("{place}: {name}")),
            None => cases.told_nothing(
                "no file shows where secrets come from; a reference into a store, or the app as it runs, would tell",
            ),
        }
        if let Some(why) = repository.not_whole() {
            cases.told_nothing(why);
        }
        found.iter().for_each(|(name, place)| cases.note(format!("{place}: {name}")));
        let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
        cases.sighting(format!("{}; none of {count} secrets in files is in the clear", names.join(", ")))
    }

    fn present(&self) -> Sample {
        let deployment = "kind: Deployment\nspec:\n  containers:\n  - name: app\n    env:\n    - name: SECRET_KEY\n      valueFrom:\n        secretKeyRef: {name: orders, key: secret-key}\n";
        let external = "kind: ExternalSecret\nspec:\n  secretStoreRef: {name: vault, kind: ClusterSecretStore}\n";
        Sample::of(&[("k8s/app.yaml", deployment), ("k8s/secrets.yaml", external)])
    }

    fn absent(&self) -> Sample {
        let deployment = "kind: Deployment\nspec:\n  containers:\n  - name: app\n    env:\n    - name: SECRET_KEY\n      value: mv8rT2kqX0\n";
        Sample::of(&[("k8s/app.yaml", deployment), ("k8s/secrets.yaml", "kind: ExternalSecret\nspec: {}\n")])
    }
}

/// A case: no file for production has a secret's value; how many secrets were looked at.
fn plaintext(repository: &Repository, cases: &mut Cases) -> usize {
    let all = settings(repository);
    let of_files = all.iter().filter(|setting| setting.purpose != Purpose::Development);
    let secrets: Vec<_> =
        of_files.filter(|setting| holds_secret(&setting.name) || password_in(&setting.value).is_some()).collect();
    let in_clear = |setting: &&&Setting| {
        let value = own_value(&setting.value)
            .filter(|value| !setting.referenced && !value.starts_with('/') && !value.starts_with("ENC["));
        value.is_some_and(|value| match password_in(value) {
            Some((password, _)) => !is_placeholder(password),
            None => holds_secret(&setting.name) && !is_placeholder(value) && !["true", "false"].contains(&value),
        })
    };
    match secrets.iter().filter(in_clear).min_by_key(|setting| setting.ignored) {
        Some(setting) if setting.ignored => {
            cases.told_nothing(format!("{} has the value of {} in the clear on this machine; whether production has such a file, only its host tells", setting.place, setting.name));
        }
        Some(setting) => {
            cases.tried(false, format!("{} has the value of {} in the clear", setting.place, setting.name))
        }
        None => cases.tried(true, format!("none of {} secrets in files is in the clear", secrets.len())),
    }
    secrets.len()
}

/// Values of charts, and files that compose mounts as secrets: each in the clear is a case that fails.
fn for_clusters(repository: &Repository, cases: &mut Cases) {
    let (mut bad, mut doubtful) = (None, None);
    for path in repository.files().filter(|path| !is_test(path) && !is_for_development(path)) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (values, compose) = (name.starts_with("values"), name.contains("compose"));
        if !(values || compose) || !(name.ends_with(".yaml") || name.ends_with(".yml")) {
            continue;
        }
        let Some(text) = repository.text(path).filter(|text| text.len() < 1 << 20) else { continue };
        for document in yaml(&text).unwrap_or_default() {
            if values {
                let mut leaf = |name: &str, value: &str| {
                    let into = if may_be_a_name(name, value) { &mut doubtful } else { &mut bad };
                    into.get_or_insert(format!("{} has the value of {name} in the clear", path.display()));
                };
                secret_leaves(&document, 0, &mut leaf);
            } else if let Some(file) = mounted_in_clear(repository, path, &document) {
                bad.get_or_insert(format!("{} mounts {file} as a secret, which is in the repository", path.display()));
            }
        }
    }
    match (bad, doubtful) {
        (Some(bad), _) => {
            cases.plan_more(1);
            cases.tried(false, bad);
        }
        (None, Some(doubtful)) => cases.told_nothing(format!("{doubtful}, or the name of a secret that is elsewhere")),
        (None, None) => {}
    }
}

fn secret_leaves(value: &Value, depth: usize, leaf: &mut dyn FnMut(&str, &str)) {
    if depth > 24 {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let text = match inner {
                    Value::String(text) => text.clone(),
                    Value::Number(number) if name.to_lowercase().ends_with("password") => number.to_string(),
                    _ => String::new(),
                };
                if is_told_by_key(name) && is_clear(&text) {
                    leaf(name, &text);
                }
                secret_leaves(inner, depth + 1, leaf);
            }
        }
        Value::Array(items) => items.iter().for_each(|inner| secret_leaves(inner, depth + 1, leaf)),
        _ => {}
    }
}

/// Charts have many keys that are no secrets: `topologyKey`, `authDatabase`, `existingSecret`.
fn is_told_by_key(name: &str) -> bool {
    let snake = in_snake(name);
    let parts: Vec<&str> = snake.split('_').collect();
    let opens = ["API", "ACCESS", "PRIVATE", "ENCRYPTION", "SIGNING", "MASTER", "JWT", "ACCOUNT", "SESSION"];
    let telling = ["SECRET", "PASSWORD", "TOKEN", "APIKEY"].iter().any(|word| snake.contains(word))
        || parts.iter().any(|part| ["PASS", "PWD", "PASSWD", "PASSPHRASE", "SALT"].contains(part))
        || parts.ends_with(&["KEY"]) && parts.iter().any(|part| opens.contains(part));
    telling && holds_secret(&snake) && !snake.contains("EXISTING")
}

/// `adminPassword` as a variable would be named.
fn in_snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        let begins = letter.is_uppercase() && snake.ends_with(|last: char| last.is_lowercase() || last.is_numeric());
        snake.extend(begins.then_some('_'));
        snake.push(if letter == '-' || letter == '.' { '_' } else { letter });
    }
    snake.to_uppercase()
}

/// Neither nothing, nor encrypted, nor a reference to where it is.
fn is_clear(value: &str) -> bool {
    let references = ["/", "ENC[", "ref+", "vault:", "op://", "arn:", "$", "{"];
    own_value(value).is_some_and(|value| {
        !is_placeholder(value)
            && !["true", "false"].contains(&value)
            && !references.iter().any(|start| value.starts_with(start))
            && !ENCRYPTED.iter().any(|mark| value.contains(mark))
    })
}

const ENCRYPTED: &[&str] = &["ENC[AES256_GCM", "BEGIN AGE ENCRYPTED", "BEGIN PGP MESSAGE", "$ANSIBLE_VAULT"];

/// `secret: orders-db` and `passwordKey: password` name a secret of the cluster, or a key of it.
fn may_be_a_name(name: &str, value: &str) -> bool {
    let name = name.to_lowercase();
    let plain = |letter: char| letter.is_ascii_lowercase() || "-._".contains(letter);
    ["secret", "secrets", "key", "ref"].iter().any(|end| name.ends_with(end)) && value.chars().all(plain)
}

/// The file of a secret of compose, when it lies in the repository. Elsewhere, its host knows where it comes from.
fn mounted_in_clear(repository: &Repository, path: &Path, document: &Value) -> Option<String> {
    let files = document["secrets"].as_object()?.values().filter_map(|secret| secret["file"].as_str());
    let folder = path.parent().unwrap_or(Path::new(""));
    files.map(|file| inside(&folder.join(file))).find_map(|file| {
        let own = repository.files().any(|path| path == file);
        let text = repository.text(&file).filter(|_| own)?;
        is_clear_file(&text).then(|| file.display().to_string())
    })
}

fn is_clear_file(text: &str) -> bool {
    !is_placeholder(text) && !ENCRYPTED.iter().any(|mark| text.contains(mark))
}

/// Without `.` and `..`.
fn inside(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

fn stores(repository: &Repository) -> Vec<(&'static str, String)> {
    let mut found: Vec<(&'static str, String)> = Vec::new();
    let own: Vec<&Path> = repository.files().filter(|path| !is_test(path)).collect();
    for store in &STORES.store {
        let named = own.iter().find(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| store.files.iter().any(|own| own == name))
        });
        let holds = |path: &&&Path| {
            let ending = path.extension().and_then(|own| own.to_str()).unwrap_or_default();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let fits = store.endings.iter().any(|own| own == ending) && name.starts_with(&store.starts);
            let text = store.text.as_ref().filter(|_| fits);
            text.is_some_and(|pattern| match repository.sources().get(**path) {
                Some(source) => source.matches(&pattern.0).next().is_some(),
                None => repository
                    .text(path)
                    .is_some_and(|text| text.len() < 1 << 20 && pattern.0.is_match(&without_comments(&text))),
            })
        };
        if let Some(path) = named.or_else(|| own.iter().find(holds)) {
            found.push((&store.name, path.display().to_string()));
        }
    }
    found
}

/// YAML, TOML and HCL have the same.
fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        SecretStore.look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn only_a_visible_store_holds() {
        let compose = "services:\n  a:\n    build: .\n    environment: {SECRET_KEY_FILE: /run/secrets/key}\n    secrets: [key]\nsecrets:\n  key:\n    file: ./key.txt\n";
        assert!(matches!(outcome(&[("compose.yaml", compose)]), Outcome::Unclear(_)));
        let tracked = [("compose.yaml", compose), ("key.txt", "kX9vT2qL\n"), (".sops.yaml", "x: 1")];
        assert!(matches!(outcome(&tracked), Outcome::Broken(_)));
        let external = compose.replace("file: ./key.txt", "external: true");
        assert_eq!(outcome(&[("compose.yaml", &external)]), Outcome::Holds);
        let bare =
            "kind: Job\nspec:\n  env:\n  - name: SECRET_KEY\n    valueFrom:\n      secretKeyRef: {name: a, key: b}\n";
        assert!(matches!(outcome(&[("k/a.yaml", bare)]), Outcome::Unclear(_)));
        assert!(matches!(outcome(&[("a.py", "import os\nA = os.environ['SECRET_KEY']\n")]), Outcome::Unclear(_)));
        assert!(matches!(outcome(&[("k/a.yaml", "# kind: SealedSecret\nkind: Job\n")]), Outcome::Unclear(_)));
        assert!(matches!(
            outcome(&[("k8s/s.yaml", "kind: Secret\nstringData: {password: kX9vT2qL}\n")]),
            Outcome::Broken(_)
        ));
        assert!(matches!(
            outcome(&[
                (".sops.yaml", "x: 1"),
                ("compose.yaml", "services: {a: {build: ., environment: {DB_PASSWORD: kX9vT2qL}}}\n")
            ]),
            Outcome::Broken(_)
        ));
    }

    #[test]
    fn values_of_a_chart_are_walked() {
        let with = |values: &str| outcome(&[(".sops.yaml", "x: 1"), ("chart/values.yaml", values)]);
        assert!(matches!(with("postgresql:\n  auth:\n    adminPassword: kX9vT2qL\n"), Outcome::Broken(_)));
        assert!(matches!(with("auth:\n  secret: orders-db\n"), Outcome::Unclear(_)));
        let good = "topologyKey: kubernetes.io/hostname\nauth:\n  existingSecret: orders\n  password: \"\"\n  token: ENC[AES256_GCM,data:a]\n";
        assert_eq!(with(good), Outcome::Holds);
    }

    #[test]
    fn a_reference_counts_in_our_own_file_only() {
        let text = "key = \"file:./key\"\n";
        assert_eq!(outcome(&[("seaworthy.toml", text)]), Outcome::Holds);
        assert!(matches!(outcome(&[("other.toml", text)]), Outcome::Unclear(_)));
    }
}
