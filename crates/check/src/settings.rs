//! `[check]`.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use schemars::JsonSchema;
use seaworthy_checklist::Catalogue;
use seaworthy_config::{ByteSize, Findings, HumanDuration, SecretRef, Section};
use serde::Deserialize;

use crate::{
    allowed::{Canary, LoginSettings, upload_route},
    custom::{self, Custom},
    endpoint::Endpoint,
    probes::Outside,
    stores::Stores,
    subject::{ClaimedUpload, Hints},
    tls::Trust,
};

/// What the probes must know of the app and cannot find out.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// A path that takes as long as asked, with `{seconds}` where the number goes: `/slow?seconds={seconds}`.
    pub slow_path: Option<String>,
    /// A path on which the app fails with an unhandled error.
    pub error_path: Option<String>,
    /// A path that takes a POST with a body.
    pub upload_path: Option<String>,
    /// A route that takes files in a form: `"POST /api/documents"`. Behind Seaworthy, and from OpenAPI, it is known.
    pub upload: Option<String>,
    /// The field of that form that takes the file.
    pub upload_field: String,
    /// The path where resumable uploads (tus 1.0) for that route are made. Behind Seaworthy the admin API tells it.
    pub upload_resumable: Option<String>,
    /// The largest file that it should take. Behind Seaworthy the admin API tells it.
    pub upload_max: Option<ByteSize>,
    /// Paths that answer lists.
    pub list_paths: Vec<String>,
    /// More paths to sample.
    pub paths: Vec<String>,
    /// Where the app takes plain HTTP, when `--url` is HTTPS on a port other than 443: `http://app.example.com:8080`.
    pub plain_url: Option<String>,
    /// The app's search, with `{query}` where its words go: `/search?q={query}`.
    pub search_path: Option<String>,
    /// Where the app's vector store tells its metrics in Prometheus' text format: `http://qdrant:6333/metrics`. Without it,
    /// searches of pgvector are counted in `database`.
    pub vector_metrics: Option<String>,
    /// Where a check may write a marked text, as a user would, and which pages then show it. It stays there.
    pub canary: Option<Canary>,
    /// DNS servers that are asked for the app's hosts: two that do not belong together.
    pub resolvers: Vec<SocketAddr>,
    /// Ports that the internet may reach beside 80, 443 and the app's own: 22 for SSH, say.
    pub open_ports: Vec<u16>,
    /// The app's Redis, Valkey or the like: `redis://`, `rediss://` or `unix:///`, best as `env:NAME`. Without it, what
    /// `[app] env` tells the app. Probes only look at it; what they break is a copy.
    pub redis: Option<SecretRef>,
    /// The app's PostgreSQL: `postgres://`, best as `env:NAME`, with a role that may read `pg_stat_statements`. Without it,
    /// what `[app] env` tells the app. Probes only read.
    pub database: Option<SecretRef>,
    /// A path that answers which release the live app is (a version, a commit): evidence is bound to it too.
    pub release_path: Option<String>,
    /// A PEM file with certificate authorities to trust beside those of this machine.
    pub ca: Option<PathBuf>,
    /// Environment variables without which the app must refuse to start. `.env.example` may mark them with `# required`.
    pub required_env: Vec<String>,
    /// Origins whose pages may read the app's answers (CORS). Behind Seaworthy the admin API tells them.
    pub cors_origins: Vec<String>,
    /// Bearer tokens of two users, to see whose requests a limit counts: `["env:TOKEN_A", "env:TOKEN_B"]`.
    pub tokens: Vec<SecretRef>,
    /// How people sign in, to try wrong passwords there: with a made-up account, or one for tests. Behind
    /// Seaworthy the admin API tells the routes with `login`.
    pub login: Option<LoginSettings>,
    /// The limit on request bodies that the app claims. Behind Seaworthy the admin API tells it.
    pub body_limit: Option<ByteSize>,
    /// The limit on the time to the first byte of an answer that the app claims. Behind Seaworthy the admin API tells it.
    pub first_byte: Option<HumanDuration>,
    /// The limit on the time of a request's head that the app claims. Behind Seaworthy the admin API tells it.
    pub request_head: Option<HumanDuration>,
    /// How many bytes of compressed scripts and styles a first visit of the front page may load.
    pub script_budget: ByteSize,
    /// How long one look of a probe may take.
    pub budget: HumanDuration,
    /// How long one look may take that runs the project's own commands (`--run-tests`).
    pub test_budget: HumanDuration,
    /// How long a whole run may take, without what runs the project's own commands. What did not get its turn by then is *not-run*, and says so.
    pub whole_budget: HumanDuration,
    /// The command that runs the project's tests, for `--run-tests`, when it is not found out rightly.
    pub test_command: Option<String>,
    /// A folder of advisories in the format of OSV (one JSON file each), to hold lock files against without a network.
    pub advisories: Option<PathBuf>,
    /// Layers of the code from the top down, as folders or modules: each may import those below it alone.
    pub layers: Vec<String>,
    /// By control: paths that do not count there, with `*` for anything, or `{ because = "…" }` when the team does without it
    /// as a whole. The report names both, and the latter is never a tick.
    pub waived: BTreeMap<String, Waiver>,
    /// Controls of the team's own.
    pub custom: Vec<Custom>,
    /// What lines mean that are not understood, or wrongly: the line's text, or a pattern with `*`, and its control or
    /// controls; `"none"` for a line that asks for nothing.
    pub map: BTreeMap<String, Pinned>,
    /// Where evidence is kept, one line a control and run.
    pub evidence: PathBuf,
    /// The Ed25519 key that evidence is signed with; made at the first check, readable by its owner alone.
    pub evidence_key: PathBuf,
    /// How long what a probe saw counts, when release and config stay the same.
    pub evidence_valid: HumanDuration,
    /// Where the ticked checklists are written.
    pub reports: PathBuf,
}

/// What a team has judged and accepts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Waiver {
    /// These paths do not count.
    Paths(Vec<String>),
    /// The whole control is done without.
    Whole {
        /// Why, as the report shows it.
        because: String,
    },
}

/// One control or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Pinned {
    /// One.
    One(String),
    /// All of these.
    Many(Vec<String>),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slow_path: None,
            error_path: None,
            upload_path: None,
            upload: None,
            upload_field: "file".into(),
            upload_resumable: None,
            upload_max: None,
            list_paths: Vec::new(),
            paths: Vec::new(),
            plain_url: None,
            search_path: None,
            vector_metrics: None,
            canary: None,
            resolvers: vec![SocketAddr::from(([1, 1, 1, 1], 53)), SocketAddr::from(([8, 8, 8, 8], 53))],
            open_ports: Vec::new(),
            redis: None,
            database: None,
            release_path: None,
            ca: None,
            required_env: Vec::new(),
            cors_origins: Vec::new(),
            tokens: Vec::new(),
            login: None,
            body_limit: None,
            first_byte: None,
            request_head: None,
            script_budget: ByteSize(350 << 10),
            budget: HumanDuration::seconds(60),
            whole_budget: HumanDuration::seconds(600),
            test_command: None,
            advisories: None,
            test_budget: HumanDuration::seconds(900),
            layers: Vec::new(),
            waived: BTreeMap::new(),
            custom: Vec::new(),
            map: BTreeMap::new(),
            evidence: ".seaworthy/evidence.jsonl".into(),
            evidence_key: ".seaworthy/evidence-key.pem".into(),
            evidence_valid: HumanDuration::seconds(90 * 86_400),
            reports: ".seaworthy/reports".into(),
        }
    }
}

impl Settings {
    /// The hints that probes get.
    pub fn hints(&self) -> Hints {
        Hints {
            slow_path: self.slow_path.clone(),
            error_path: self.error_path.clone(),
            upload_path: self.upload_path.clone(),
            upload: self.upload.as_deref().and_then(upload_route).map(|(method, path)| ClaimedUpload {
                method: method.to_owned(),
                path: path.to_owned(),
                field: self.upload_field.clone(),
                types: Vec::new(),
                max: self.upload_max.map(|size| size.0),
                resumable: self.upload_resumable.clone(),
            }),
            list_paths: self.list_paths.clone(),
            paths: self.paths.clone(),
            plain: self.plain_url.as_ref().and_then(|url| url.parse().ok()),
            required_env: self.required_env.clone(),
            cors_origins: self.cors_origins.clone(),
            search_path: self.search_path.clone(),
            vector_metrics: self.vector_metrics.clone(),
            canary: self.canary.clone(),
            cached_paths: Vec::new(),
            version_prefix: None,
            unversioned: Vec::new(),
            deprecated: Vec::new(),
            rates: Vec::new(),
            // One that leads nowhere is as if it was not named: the probe says what it needs.
            tokens: self.tokens.iter().filter_map(|token| token.resolve().ok()).collect(),
            login: self.login.as_ref().map(LoginSettings::hint),
            body_limit: self.body_limit.map(|size| size.0),
            first_byte: self.first_byte.map(|duration| duration.0),
            request_head: self.request_head.map(|duration| duration.0),
            script_budget: self.script_budget.0,
        }
    }

    /// The stores of the app: those named here, else those that the app is told in `[app] env`.
    pub fn stores(&self, app: &BTreeMap<String, SecretRef>) -> Stores {
        Stores::of(self.redis.as_ref(), self.database.as_ref(), app)
    }

    /// What the internet should see of an app with these hosts.
    pub fn outside(&self, hosts: &[String]) -> Outside {
        let hosts = hosts.iter().filter(|host| !host.starts_with('*')).cloned().collect();
        Outside { hosts, resolvers: self.resolvers.clone(), open_ports: self.open_ports.clone(), known: None }
    }

    /// What the team has said of its repository.
    pub fn declared(&self) -> seaworthy_repository::Declared {
        seaworthy_repository::Declared {
            layers: self.layers.clone(),
            test_command: self.test_command.clone(),
            advisories: self.advisories.clone(),
            waived: self.waived.iter().filter_map(|(id, one)| Some((id.clone(), one.paths()?.to_vec()))).collect(),
            accepted: self
                .waived
                .iter()
                .filter_map(|(id, one)| Some((id.clone(), one.because()?.to_owned())))
                .collect(),
            started: false,
        }
    }

    /// Lines and their controls, as `map` says.
    pub fn pins(&self) -> Vec<(String, Vec<String>)> {
        let ids = |pinned: &Pinned| match pinned {
            Pinned::One(id) => vec![id.clone()],
            Pinned::Many(ids) => ids.clone(),
        };
        self.map.iter().map(|(line, pinned)| (line.clone(), ids(pinned))).collect()
    }

    /// The team's own controls.
    pub fn custom_ids(&self) -> Vec<String> {
        self.custom.iter().map(|custom| custom.id.clone()).collect()
    }

    /// Whom probes trust with TLS.
    pub fn trust(&self) -> Trust {
        Trust::new(self.ca.clone())
    }
}

impl Waiver {
    fn paths(&self) -> Option<&[String]> {
        match self {
            Self::Paths(paths) => Some(paths),
            Self::Whole { .. } => None,
        }
    }

    fn because(&self) -> Option<&str> {
        match self {
            Self::Whole { because } => Some(because.trim()),
            Self::Paths(_) => None,
        }
    }
}

impl Settings {
    fn validate_waivers(&self, findings: &mut Findings) {
        for (control, waiver) in &self.waived {
            let key = format!("check.waived.\"{control}\"");
            if Catalogue::built_in().find(control).is_none() && !self.custom.iter().any(|one| one.id == *control) {
                let message = format!("there is no control `{control}` that could be waived");
                let help = "seaworthy check --controls lists them";
                findings.add(key.clone(), "SEA_CONFIG_WRONG_VALUE", message, help);
            }
            if waiver.because().is_some_and(str::is_empty) {
                let message = format!("`{control}` is waived without a reason");
                let help = "say why the team does without it: { because = \"…\" }";
                findings.add(key, "SEA_CONFIG_WRONG_VALUE", message, help);
            }
        }
    }
}

impl Section for Settings {
    const KEY: &'static str = "check";

    fn validate(&self, findings: &mut Findings) {
        custom::validate(&self.custom, findings);
        self.validate_waivers(findings);
        let single = [
            ("slow_path", &self.slow_path),
            ("error_path", &self.error_path),
            ("upload_path", &self.upload_path),
            ("upload_resumable", &self.upload_resumable),
            ("release_path", &self.release_path),
            ("search_path", &self.search_path),
        ];
        let lists = [("list_paths", &self.list_paths), ("paths", &self.paths)];
        let single = single.iter().filter_map(|(key, path)| Some((*key, path.as_ref()?)));
        for (key, path) in
            single.chain(lists.iter().flat_map(|(key, paths)| paths.iter().map(move |path| (*key, path))))
        {
            // A brace is fine in our own placeholder, and in no real path.
            let filled = path.replace("{seconds}", "1").replace("{query}", "1");
            if !filled.starts_with('/') || filled.parse::<http::Uri>().is_err() {
                let message = format!("`{path}` is not a path");
                findings.add(
                    format!("check.{key}"),
                    "SEA_CONFIG_PATH",
                    message,
                    "begin it with `/`, and write spaces and the like percent-encoded",
                );
            }
        }
        if let Some(text) = self.upload.as_deref().filter(|text| upload_route(text).is_none()) {
            let message = format!("`{text}` is no route that a file can be sent to");
            let help = "write a method and a path without placeholders: \"POST /api/documents\"";
            findings.add("check.upload", "SEA_CONFIG_PATH", message, help);
        }
        let is_plain = |url: &String| matches!(url.parse::<Endpoint>(), Ok(Endpoint::Http { .. }));
        if let Some(url) = self.plain_url.as_ref().filter(|url| !is_plain(url)) {
            let message = format!("`{url}` is no address of plain HTTP");
            findings.add("check.plain_url", "SEA_CONFIG_ADDRESS", message, "write http://HOST:PORT, without a path");
        }
        if self.search_path.as_ref().is_some_and(|path| !path.contains("{query}")) {
            let help = "write for example \"/search?q={query}\"";
            findings.add("check.search_path", "SEA_CONFIG_PATH", "the search does not say where its words go", help);
        }
        if self.vector_metrics.as_ref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            let help = "write for example http://qdrant:6333/metrics";
            findings.add("check.vector_metrics", "SEA_CONFIG_ADDRESS", "the metrics are at no address of HTTP", help);
        }
        if let Some(canary) = &self.canary {
            canary.validate(findings);
        }
        if self.slow_path.as_ref().is_some_and(|path| !path.contains("{seconds}")) {
            let help = "write for example \"/slow?seconds={seconds}\"";
            findings.add("check.slow_path", "SEA_CONFIG_PATH", "the slow path does not say where the seconds go", help);
        }
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_config::Document;

    use super::*;

    /// The settings, or the codes and words of what is wrong with them.
    fn read(text: &str) -> Result<Settings, String> {
        let mut document = Document::parse("seaworthy.toml", text.into(), std::iter::empty()).unwrap();
        let settings = document.section::<Settings>();
        document.finish().map(|_| settings).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn a_waiver_is_paths_or_a_reason_and_of_a_control_that_exists() {
        let waived =
            "[check.waived]\n\"config.debug-code\" = [\"scripts/*\"]\n\"edge.cors\" = { because = \" a widget \" }\n";
        let declared = read(waived).unwrap().declared();
        assert_eq!(declared.waived["config.debug-code"], ["scripts/*"]);
        assert_eq!(declared.accepted["edge.cors"], "a widget");
        assert_eq!((declared.waived.len(), declared.accepted.len()), (1, 1));
        for (wrong, word) in [
            ("\"edge.corse\" = [\"a\"]", "no control"),
            ("\"edge.cors\" = { because = \" \" }", "without a reason"),
            ("\"edge.cors\" = { paths = [\"a\"] }", ""),
        ] {
            let why = read(&format!("[check.waived]\n{wrong}\n")).unwrap_err();
            assert!(why.contains(word), "{wrong}: {why}");
        }
    }

    #[test]
    fn what_probes_are_told_of_stores_and_pages_must_be_possible() {
        let well = "[check]\nsearch_path = \"/s?q={query}\"\nvector_metrics = \"http://v:6333/metrics\"\n\
                    resolvers = [\"192.0.2.1:53\"]\nopen_ports = [22]\nredis = \"redis://cache\"\n\
                    canary = { post = \"/c\", body = \"t={canary}\", pages = [\"/c\"] }\n";
        let settings = read(well).unwrap();
        assert_eq!(settings.outside(&["a.example.com".into(), "*.b.example.com".into()]).hosts, ["a.example.com"]);
        assert!(settings.stores(&BTreeMap::new()).redis.is_some());
        for (wrong, word) in [
            ("search_path = \"/s\"", "where its words go"),
            ("vector_metrics = \"v:6333\"", "no address of HTTP"),
            ("resolvers = [\"one.one.one.one\"]", ""),
            ("canary = { post = \"c\", body = \"t={canary}\", pages = [\"/c\"] }", "is not a path"),
            ("canary = { post = \"/c\", body = \"t=1\", pages = [\"/c\"] }", "no place in its body"),
            ("canary = { post = \"/c\", body = \"t={canary}\", pages = [] }", "no page that shows it"),
        ] {
            let why = read(&format!("[check]\n{wrong}\n")).unwrap_err();
            assert!(why.contains(word), "{wrong}: {why}");
        }
    }
}
