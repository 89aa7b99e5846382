//! Ready-made steps that only run a command that they are given.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadyMade {
    actions: Vec<String>,
    script: String,
}

#[derive(Debug, Default, Deserialize)]
struct File {
    step: Vec<ReadyMade>,
}

static STEPS: LazyLock<Vec<ReadyMade>> =
    LazyLock::new(|| toml::from_str::<File>(include_str!("scripts.toml")).unwrap_or_default().step);

/// The script that an action runs with these inputs.
pub(in crate::pipeline) fn of(action: &str, inputs: &BTreeMap<String, String>) -> Option<String> {
    let own = STEPS.iter().find(|step| step.actions.iter().any(|name| name.eq_ignore_ascii_case(action)))?;
    let (mut script, mut rest) = (String::new(), own.script.as_str());
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        script.push_str(before);
        script.push_str(inputs.get(name).map_or("", String::as_str));
        rest = after;
    }
    script.push_str(rest);
    (!script.trim().is_empty()).then_some(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_make_the_command() {
        let inputs: BTreeMap<String, String> =
            [("command", "test"), ("toolchain", "x")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(of("actions-rs/cargo", &inputs).as_deref(), Some("cargo test "));
        assert_eq!(of("actions-rs/toolchain", &inputs), None);
        assert_eq!(of("nick-fields/retry", &BTreeMap::new()), None);
    }
}
