//! Lock files of npm, Yarn and pnpm.

use serde_json::Value;

use super::{Ecosystem, Format, json};

pub(super) const PACKAGE_LOCK: Format = Format {
    name: "package-lock.json",
    ecosystem: Ecosystem::Npm,
    read: package_lock,
    sample: |version| {
        format!(
            "{{\"lockfileVersion\": 3, \"packages\": {{\"\": {{}}, \"node_modules/a/node_modules/seaworthy-canary\": {{\"version\": \"{version}\"}}}}}}"
        )
    },
};
pub(super) const SHRINKWRAP: Format = Format {
    name: "npm-shrinkwrap.json",
    ecosystem: Ecosystem::Npm,
    read: package_lock,
    sample: |version| {
        format!(
            "{{\"lockfileVersion\": 1, \"dependencies\": {{\"a\": {{\"version\": \"1.0.0\", \"dependencies\": {{\"seaworthy-canary\": {{\"version\": \"{version}\"}}}}}}}}}}"
        )
    },
};
pub(super) const YARN: Format = Format {
    name: "yarn.lock",
    ecosystem: Ecosystem::Npm,
    read: yarn,
    sample: |version| {
        format!("# yarn lockfile v1\n\nseaworthy-canary@^1.0.0, seaworthy-canary@^1.1.0:\n  version \"{version}\"\n")
    },
};
pub(super) const PNPM: Format = Format {
    name: "pnpm-lock.yaml",
    ecosystem: Ecosystem::Npm,
    read: pnpm,
    sample: |version| {
        format!(
            "lockfileVersion: '9.0'\n\npackages:\n\n  seaworthy-canary@{version}:\n    resolution: {{integrity: x}}\n"
        )
    },
};

/// Nested packages of the first format are followed this far.
const DEEPEST: usize = 30;

fn package_lock(text: &str) -> Result<Vec<(String, String)>, String> {
    let value = json(text)?;
    let mut found = Vec::new();
    if let Some(packages) = value["packages"].as_object() {
        for (path, own) in packages {
            let Some((_, name)) = path.rsplit_once("node_modules/") else { continue };
            let name = own["name"].as_str().unwrap_or(name);
            if let (Some(version), false) = (own["version"].as_str(), own["link"] == true) {
                found.push((name.to_owned(), version.to_owned()));
            }
        }
        return Ok(found);
    }
    nested(&value["dependencies"], &mut found, 0);
    Ok(found)
}

fn nested(dependencies: &Value, found: &mut Vec<(String, String)>, depth: usize) {
    for (name, own) in dependencies.as_object().into_iter().flatten() {
        if let Some(version) = own["version"].as_str() {
            found.push((name.clone(), version.to_owned()));
        }
        if depth < DEEPEST {
            nested(&own["dependencies"], found, depth + 1);
        }
    }
}

/// Both formats of Yarn: entries by what was asked for, with `version` below.
fn yarn(text: &str) -> Result<Vec<(String, String)>, String> {
    let (mut found, mut name) = (Vec::new(), None::<String>);
    for line in text.lines() {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        if !line.starts_with(' ') {
            name = entry(line);
            continue;
        }
        let line = line.trim();
        let version = line.strip_prefix("version ").or_else(|| line.strip_prefix("version: "));
        if let (Some(version), Some(own)) = (version, name.take_if(|_| version.is_some())) {
            let version = version.trim_matches('"');
            // A package of this repository itself.
            if version != "0.0.0-use.local" {
                found.push((own, version.to_owned()));
            }
        }
    }
    Ok(found)
}

/// The name in `"@a/b@npm:^1, @a/b@^2":`.
fn entry(line: &str) -> Option<String> {
    let first = line.trim_end_matches(':').trim_matches('"').split(", ").next()?.trim_matches('"');
    let at = first.get(1..)?.find('@')? + 1;
    let (name, range) = (&first[..at], &first[at + 1..]);
    // `a@npm:b@1` is b under another name.
    let alias = range.strip_prefix("npm:").filter(|rest| rest.get(1..).is_some_and(|rest| rest.contains('@')));
    let alias = alias.and_then(|rest| rest.get(..rest.get(1..)?.find('@')? + 1));
    (name != "__metadata").then(|| alias.unwrap_or(name).to_owned())
}

/// The keys below `packages`: `/a/1.0.0`, `/a@1.0.0(b@2)`, `a@1.0.0`. Such a file is too long for a reader that guards
/// against texts built to explode, and its form is a machine's.
fn pnpm(text: &str) -> Result<Vec<(String, String)>, String> {
    let (mut found, mut inside) = (Vec::new(), false);
    for line in text.lines() {
        if !line.starts_with(' ') && !line.trim().is_empty() {
            inside = line.trim_end() == "packages:";
            continue;
        }
        let key = line.strip_prefix("  ").filter(|rest| inside && !rest.starts_with(' '));
        let Some(key) = key.and_then(|key| key.trim_end().strip_suffix(':')) else { continue };
        let key = key.trim_matches(['\'', '"']).trim_start_matches('/');
        let key = key.split(['(', '_']).next().unwrap_or(key);
        let split = key.get(1..).and_then(|rest| rest.rfind('@').map(|at| at + 1)).or_else(|| key.rfind('/'));
        if let Some(at) = split.filter(|at| *at > 0) {
            let (name, version) = (&key[..at], &key[at + 1..]);
            if version.starts_with(|first: char| first.is_ascii_digit()) {
                found.push((name.to_owned(), version.to_owned()));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_form() {
        let berry = "__metadata:\n  version: 8\n\n\"@a/b@npm:^1.0.0, @a/b@npm:^1.1.0\":\n  version: 1.2.0\n  resolution: \"@a/b@npm:1.2.0\"\n\n\"x@npm:y@^2\":\n  version: 2.0.0\n\n\"me@workspace:.\":\n  version: 0.0.0-use.local\n";
        assert_eq!(yarn(berry).unwrap(), [("@a/b".into(), "1.2.0".into()), ("y".into(), "2.0.0".into())]);
        let old = "lockfileVersion: 5.4\npackages:\n\n  /@a/b/1.0.0:\n    dev: true\n\n  /c/2.0.0_react@18.0.0:\n    dev: true\n  '/@d/e@3.0.0(c@2.0.0)':\n    dev: true\nsnapshots:\n  f@1.0.0: {}\n";
        let names: Vec<String> =
            pnpm(old).unwrap().into_iter().map(|(name, version)| format!("{name} {version}")).collect();
        assert_eq!(names, ["@a/b 1.0.0", "c 2.0.0", "@d/e 3.0.0"]);
    }
}
