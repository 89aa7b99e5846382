//! `config.secret-store`: secrets come from a store, and no file holds one in the clear. Rotation and the log of reads are the
//! store's own, and not seen here.

use std::{path::Path, sync::LazyLock};

use seaworthy_repository::{Cases, Inspection, Pattern, Repository, Sample, Sighting, is_test};
use serde::Deserialize;

use super::values::{holds_secret, is_placeholder, own_value, password_in};
use crate::environment::{Purpose, Setting, settings};

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
            let text = store.text.as_ref().filter(|_| store.endings.iter().any(|own| own == ending));
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
        assert_eq!(outcome(&[("compose.yaml", compose)]), Outcome::Holds);
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
}
