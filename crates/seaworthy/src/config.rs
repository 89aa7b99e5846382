//! The whole config: every room's section, and the routes that several rooms share.

mod source;

use schemars::JsonSchema;
use seaworthy_config::{ConfigError, Document, Findings, Profile, Section};
use seaworthy_core::Handler;
use seaworthy_edge::{Pattern, RouteTable};
use serde::Deserialize;
pub use source::ConfigSource;

/// The sections, each owned by its room.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Which profile it was read for.
    pub profile: Profile,
    /// `[app]`.
    pub app: seaworthy_deploy::Settings,
    /// `[edge]`.
    pub edge: seaworthy_edge::Settings,
    /// `[admin]`.
    pub admin: seaworthy_console::Settings,
    /// `[observability]`.
    pub observability: seaworthy_observability::Settings,
    /// `[protection]`.
    pub protection: seaworthy_protection::Settings,
    /// `[validation]`.
    pub validation: seaworthy_validation::Settings,
    /// `[uploads]`.
    pub uploads: seaworthy_uploads::Settings,
    /// `[identity]`.
    pub identity: seaworthy_identity::Settings,
    /// `[cache]`.
    pub cache: seaworthy_cache::Settings,
    /// `[store]`.
    pub store: seaworthy_store::Settings,
    /// `[api]`.
    pub api: seaworthy_api::Settings,
    /// `[check]`.
    pub check: seaworthy_check::Settings,
    /// `[[route]]`.
    pub routes: Vec<RouteEntry>,
}

/// One route: which requests, and what is different for them.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RouteEntry {
    /// The way to the app.
    #[serde(flatten)]
    pub edge: seaworthy_edge::RoutePolicy,
    /// Limits.
    #[serde(flatten)]
    pub protection: seaworthy_protection::RoutePolicy,
    /// Comparison with the API's document.
    #[serde(flatten)]
    pub validation: seaworthy_validation::RoutePolicy,
    /// Who may ask.
    #[serde(flatten)]
    pub identity: seaworthy_identity::RoutePolicy,
    /// The cache.
    #[serde(flatten)]
    pub cache: seaworthy_cache::RoutePolicy,
    /// Habits of an API.
    #[serde(flatten)]
    pub api: seaworthy_api::RoutePolicy,
    /// Files that clients send.
    #[serde(flatten)]
    pub uploads: seaworthy_uploads::RoutePolicy,
}

/// The policy of some requests; what a route leaves out is as in the sections above.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Routes(Vec<RouteEntry>);

impl Section for Routes {
    const KEY: &'static str = "route";
    const MATCHED_BY: Option<&'static str> = Some("match");

    fn validate(&self, findings: &mut Findings) {
        for (index, route) in self.0.iter().enumerate() {
            route.edge.validate(&format!("route.{index}"), findings);
            route.protection.validate(&format!("route.{index}"), findings);
            route.cache.validate(&format!("route.{index}"), findings);
            let serves_files = route.edge.files.is_some();
            route.api.validate(&format!("route.{index}"), &route.edge.r#match, serves_files, findings);
            route.uploads.validate(&format!("route.{index}"), findings);
        }
        // Conflicts show when a table is made of them; its handlers are never called.
        let unused =
            || Handler::new(tower::service_fn(|_| async { Ok(http::Response::new(seaworthy_core::empty_body())) }));
        let mut table = RouteTable::builder(unused(), unused());
        for (index, route) in self.0.iter().enumerate() {
            let Ok(pattern) = route.edge.r#match.parse::<Pattern>() else { return };
            let tried = table.route(&pattern, unused()).and_then(|table| Ok((table.clone().build()?, table).1));
            table = match tried {
                Ok(table) => table,
                Err(error) => {
                    let help = "keep one of the two, or make one more specific";
                    return findings.add(format!("route.{index}.match"), "SEA_CONFIG_PATTERN", error.to_string(), help);
                }
            };
        }
    }
}

impl Config {
    /// Whether an app is named; without one, only folders are served.
    pub fn has_app(&self) -> bool {
        self.app.command.is_some() || self.app.to.is_some()
    }

    /// Whether a route looks at `Idempotency-Key`.
    pub fn has_idempotency(&self) -> bool {
        let routes = self.routes.iter().filter_map(|route| route.api.idempotency.as_ref());
        routes.chain([&self.api.idempotency]).any(seaworthy_api::IdempotencySetting::is_on)
    }

    /// The path where browsers report what content security policies forbid, when one of them is to be answered here.
    pub fn csp_report_path(&self) -> Option<String> {
        let headers = &self.protection.headers;
        let routes = self.routes.iter().filter_map(|route| route.protection.headers.as_ref());
        let mut all = std::iter::once(headers.clone()).chain(routes.map(|route| headers.with(Some(route))));
        all.find_map(|one| one.report_to().filter(|place| place.starts_with('/')).map(str::to_owned))
    }

    /// Reads everything that the source names.
    pub fn load_with(source: &ConfigSource) -> Result<Self, ConfigError> {
        let mut document = source.open()?;
        let config = Self::read(&mut document);
        document.finish()?;
        Ok(config)
    }

    /// Takes every section from a document; what is wrong with them, [`Document::finish`] tells.
    pub fn read(document: &mut Document) -> Self {
        Self {
            profile: document.profile().clone(),
            app: document.section(),
            edge: document.section(),
            routes: document.section::<Routes>().0,
            validation: document.section(),
            protection: document.section(),
            uploads: document.section(),
            cache: document.section(),
            api: document.section(),
            observability: document.section(),
            admin: document.section(),
            identity: document.section(),
            store: document.section(),
            check: document.section(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{env, path::Path};

    use seaworthy_config::{ByteSize, HumanDuration, reference_markdown};

    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let mut document = Document::parse("seaworthy.toml", text.into(), std::iter::empty())?;
        let config = Config::read(&mut document);
        document.finish().map(|()| config)
    }

    #[test]
    fn a_route_takes_keys_of_every_room_and_refuses_others() {
        let config = read(
            "[app]\ncommand = \"node server.js\"\n[[route]]\nmatch = \"POST /api/documents\"\nfirst_byte = \"5s\"\n\
             body_limit = \"20MB\"\n",
        );
        let route = &config.unwrap().routes[0];
        assert_eq!(route.edge.first_byte, Some(HumanDuration::seconds(5)));
        assert_eq!(route.protection.body_limit, Some(ByteSize(20_000_000)));
        let error = read("[[route]]\nmatch = \"/a\"\nbody_limt = \"1MB\"\n").unwrap_err();
        assert_eq!(error.findings.len(), 1);
        assert_eq!(error.findings[0].help.as_deref(), Some("did you mean `body_limit`?"));
        assert_eq!(read("[[route]]\nmatch = \"a\"\n").unwrap_err().findings[0].code, "SEA_CONFIG_PATTERN");
        let twice = "[[route]]\nmatch = \"/a/{x}\"\n[[route]]\nmatch = \"/a/{y}\"\nfirst_byte = \"soon\"\n";
        let error = read(twice).unwrap_err();
        let messages: Vec<&str> = error.findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(messages.len(), 2, "{messages:?}");
    }

    /// The reference is generated: run with `UPDATE_DOCS=1` after changing a doc comment of a `Settings`.
    #[test]
    fn the_reference_is_up_to_date() {
        let sections = [
            reference_markdown::<seaworthy_deploy::Settings>("app"),
            reference_markdown::<seaworthy_edge::Settings>("edge"),
            reference_markdown::<Routes>("[route]"),
            reference_markdown::<seaworthy_protection::Settings>("protection"),
            reference_markdown::<seaworthy_uploads::Settings>("uploads"),
            reference_markdown::<seaworthy_validation::Settings>("validation"),
            reference_markdown::<seaworthy_identity::Settings>("identity"),
            reference_markdown::<seaworthy_cache::Settings>("cache"),
            reference_markdown::<seaworthy_api::Settings>("api"),
            reference_markdown::<seaworthy_observability::Settings>("observability"),
            reference_markdown::<seaworthy_console::Settings>("admin"),
            reference_markdown::<seaworthy_store::Settings>("store"),
            reference_markdown::<seaworthy_check::Settings>("check"),
        ];
        let head = "# Configuration reference\n\nGenerated from the code; every key has a default. A variable \
                    `SEAWORTHY_SECTION__KEY` goes over the file, a flag over both.\n\n";
        let text = format!("{head}{}", sections.join("\n")).replace("[[[route]]]", "[[route]]");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/configuration.md");
        if env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(there == text, "docs/reference/configuration.md is out of date: UPDATE_DOCS=1 cargo test -p seaworthy");
    }
}
