//! Sections that the tests of this crate read.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Document, Findings, HumanDuration, Override, Profile, SecretRef, Section};

/// The public side.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Edge {
    /// Where to serve.
    pub listen: String,
    pub workers: usize,
    pub hosts: Vec<String>,
    pub timeouts: Timeouts,
    pub tls: Option<Tls>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Timeouts {
    /// Until the first byte.
    pub first_byte: HumanDuration,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Tls {
    pub passphrase: Option<SecretRef>,
    pub keys: Vec<SecretRef>,
}

/// The app.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct App {
    pub to: Option<String>,
    pub env: BTreeMap<String, SecretRef>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Route {
    pub r#match: String,
    pub first_byte: Option<HumanDuration>,
    pub limit: Option<usize>,
}

/// Routes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Routes(pub Vec<Route>);

impl Section for Edge {
    const KEY: &'static str = "edge";

    fn validate(&self, findings: &mut Findings) {
        if self.workers > 64 {
            findings.add("edge.workers", "SEA_CONFIG_RANGE", "too many workers", "use at most 64");
        }
    }

    fn validate_for(&self, profile: &Profile, findings: &mut Findings) {
        if profile.is_production() && self.workers == 13 {
            findings.add("edge.workers", "SEA_CONFIG_RANGE", "13 is for development", "");
        }
    }
}

impl Section for App {
    const KEY: &'static str = "app";
}

impl Section for Routes {
    const KEY: &'static str = "route";
    const MATCHED_BY: Option<&'static str> = Some("match");
}

/// A config of two files.
pub(crate) fn two_files(base: &str, production: &str) -> Document {
    Document::parse("seaworthy.toml", base.into(), std::iter::empty())
        .unwrap()
        .with_profile(Profile::named("production"), "seaworthy.production.toml", production.into())
        .unwrap()
}

/// All sections, read.
pub(crate) fn sections(document: &mut Document) -> (App, Edge, Routes) {
    (document.section(), document.section(), document.section())
}

/// Every finding as a person sees it.
pub(crate) fn render(document: Document) -> String {
    let mut text = String::new();
    for finding in document.finish().unwrap_err().findings {
        miette::NarratableReportHandler::new().render_report(&mut text, &finding).unwrap();
    }
    text
}

/// A flag.
pub(crate) fn flag(key: &'static str, flag: &'static str, value: Option<&str>) -> Override {
    Override { key, flag, value: value.map(String::from) }
}
