//! Lock files of Python.

use super::{Ecosystem, Format, json, toml_packages};

pub(super) const REQUIREMENTS: Format = Format {
    name: "requirements.txt",
    ecosystem: Ecosystem::PyPi,
    read: requirements,
    sample: |version| {
        format!("# comment\nseaworthy_canary=={version} ; python_version > '3' \\\n    --hash=sha256:0\nother>=1\n")
    },
};
pub(super) const POETRY: Format =
    Format { name: "poetry.lock", ecosystem: Ecosystem::PyPi, read: toml_packages, sample: package };
pub(super) const UV: Format =
    Format { name: "uv.lock", ecosystem: Ecosystem::PyPi, read: toml_packages, sample: package };
pub(super) const PDM: Format =
    Format { name: "pdm.lock", ecosystem: Ecosystem::PyPi, read: toml_packages, sample: package };
pub(super) const PIPFILE: Format = Format {
    name: "Pipfile.lock",
    ecosystem: Ecosystem::PyPi,
    read: pipfile,
    sample: |version| {
        format!("{{\"default\": {{\"seaworthy-canary\": {{\"version\": \"=={version}\"}}}}, \"develop\": {{}}}}")
    },
};

fn package(version: &str) -> String {
    format!("[[package]]\nname = \"seaworthy-canary\"\nversion = \"{version}\"\n")
}

/// Lines with a pin.
fn requirements(text: &str) -> Result<Vec<(String, String)>, String> {
    let pin = |line: &str| {
        let line = line.split(['#', ';', '\\']).next().unwrap_or_default().trim();
        let (name, version) = line.split_once("==")?;
        let name = name.split('[').next().unwrap_or_default().trim();
        let version = version.trim_start_matches('=').split([',', ' ']).next().unwrap_or_default().trim();
        let plain = !name.is_empty() && !name.contains([' ', '>', '<', '~', '!']) && !version.contains('*');
        (plain && !version.is_empty()).then(|| (name.to_owned(), version.to_owned()))
    };
    Ok(text.lines().filter_map(pin).collect())
}

fn pipfile(text: &str) -> Result<Vec<(String, String)>, String> {
    let value = json(text)?;
    let sections = ["default", "develop"].into_iter().flat_map(|key| value[key].as_object().into_iter().flatten());
    let of = |(name, own): (&String, &serde_json::Value)| {
        Some((name.clone(), own["version"].as_str()?.trim_start_matches('=').to_owned()))
    };
    Ok(sections.filter_map(of).collect())
}
