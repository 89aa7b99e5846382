//! What a probe looks at: the real target, or a small known one that shows whether the probe can tell good from bad.

use std::{any::Any, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use seaworthy_core::Secret;

use crate::{
    allowed::Canary,
    browsing::Browsing,
    custom::StandIn,
    endpoint::Endpoint,
    http::{Client, Transcript},
    probes::{Outside, Source},
    processes::Processes,
    routes::Gathered,
    scratch::Launcher,
    stores::Stores,
    tls::Trust,
};

/// Everything that is known of a target. What is `None` is not known, and a probe that needs it does not run.
#[derive(Clone, Default)]
pub struct Subject {
    /// The public address.
    pub url: Option<Endpoint>,
    /// Where the host of `url` is reached when that is known better than by its name: it may lead to another machine, or
    /// nowhere yet.
    pub address: Option<IpAddr>,
    /// The admin API of the Seaworthy around it.
    pub admin: Option<Endpoint>,
    /// The app's source.
    pub repo: Option<PathBuf>,
    /// The same as read once, with what the team has said of it.
    pub source: Source,
    /// Whether the project's own commands may be run, in a copy of it.
    pub run_code: bool,
    /// The config's profile: what this environment is called.
    pub environment: Option<String>,
    /// SHA-256 of the config.
    pub config: Option<String>,
    /// Which release the live app says it is.
    pub release: Option<String>,
    /// Starts scratch copies for drills.
    pub launcher: Option<Arc<dyn Launcher>>,
    /// Ends instances of the live target, when a disruptive drill may; `None`: whoever can do that on this machine.
    pub processes: Option<Arc<dyn Processes>>,
    /// The access log, as a file.
    pub access_log: Option<PathBuf>,
    /// Where to look in the app, and what it claims.
    pub hints: Hints,
    /// The stores that the app keeps its data in.
    pub stores: Stores,
    /// What the internet should see of it.
    pub outside: Outside,
    /// The routes of the app, gathered once for all probes.
    pub routes: Gathered,
    /// The browser and the pages of the run, for all probes.
    pub browsing: Browsing,
    /// What the experiment of a custom control tries in place of the team's own.
    pub stand_in: Option<StandIn>,
    /// Whom to trust with TLS.
    pub trust: Trust,
    /// What was sent and seen.
    pub transcript: Transcript,
}

/// Facts about the app that cannot be guessed; `[check]` and the admin API give them.
#[derive(Debug, Clone)]
pub struct Hints {
    /// A path that takes as long as asked: `/slow?seconds={seconds}`.
    pub slow_path: Option<String>,
    /// A path on which the app fails with an unhandled error.
    pub error_path: Option<String>,
    /// A path that takes a POST with a body.
    pub upload_path: Option<String>,
    /// A route that takes files.
    pub upload: Option<ClaimedUpload>,
    /// Paths that answer lists.
    pub list_paths: Vec<String>,
    /// More paths to sample.
    pub paths: Vec<String>,
    /// The address that takes plain HTTP, when the public one is HTTPS on a port of its own.
    pub plain: Option<Endpoint>,
    /// Variables without which the app must not start.
    pub required_env: Vec<String>,
    /// Origins whose pages may read answers, as the team or the Seaworthy around the app says.
    pub cors_origins: Vec<String>,
    /// The app's search, with `{query}` where its words go.
    pub search_path: Option<String>,
    /// Where the vector store tells its metrics.
    pub vector_metrics: Option<String>,
    /// Where a marked text may be written, and where it shows.
    pub canary: Option<Canary>,
    /// Paths that the Seaworthy around the app says it caches.
    pub cached_paths: Vec<String>,
    /// The prefix below which the Seaworthy around the app says it serves it.
    pub version_prefix: Option<String>,
    /// Routes that it says need no version.
    pub unversioned: Vec<String>,
    /// Routes that it says are deprecated.
    pub deprecated: Vec<String>,
    /// Rates that the Seaworthy around the app says it holds.
    pub rates: Vec<ClaimedRate>,
    /// Bearer tokens of different users.
    pub tokens: Vec<Secret>,
    /// How people sign in.
    pub login: Option<LoginHint>,
    /// The claimed limit on request bodies, in bytes.
    pub body_limit: Option<u64>,
    /// The claimed limit on the time to the first byte of an answer.
    pub first_byte: Option<Duration>,
    /// The claimed limit on the time of a request's head.
    pub request_head: Option<Duration>,
    /// Bytes of compressed scripts and styles that a first visit may load.
    pub script_budget: u64,
}

impl Default for Hints {
    fn default() -> Self {
        Self {
            slow_path: None,
            error_path: None,
            upload_path: None,
            upload: None,
            list_paths: Vec::new(),
            paths: Vec::new(),
            plain: None,
            required_env: Vec::new(),
            cors_origins: Vec::new(),
            search_path: None,
            vector_metrics: None,
            canary: None,
            cached_paths: Vec::new(),
            version_prefix: None,
            unversioned: Vec::new(),
            deprecated: Vec::new(),
            rates: Vec::new(),
            tokens: Vec::new(),
            login: None,
            body_limit: None,
            first_byte: None,
            request_head: None,
            script_budget: 350 << 10,
        }
    }
}

/// A route that takes files, as somebody says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedUpload {
    /// In capitals.
    pub method: String,
    /// A path without placeholders.
    pub path: String,
    /// The field of the form that takes the file.
    pub field: String,
    /// Kinds of files, by extension; none: not known.
    pub types: Vec<String>,
    /// The largest file in bytes.
    pub max: Option<u64>,
    /// Where resumable uploads (tus 1.0) for it are made.
    pub resumable: Option<String>,
}

impl Default for ClaimedUpload {
    fn default() -> Self {
        Self {
            method: "POST".into(),
            path: "/".into(),
            field: "file".into(),
            types: Vec::new(),
            max: None,
            resumable: None,
        }
    }
}

/// A rate that is claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedRate {
    /// A path that a GET meets it on, when there is one.
    pub path: Option<String>,
    /// So many…
    pub requests: u64,
    /// …in so long.
    pub window_seconds: u64,
    /// Of each user: who brings no token may meet it too, but it is not counted by address alone.
    pub per_user: bool,
}

/// A sign-in that may be tried with wrong passwords.
#[derive(Debug, Clone)]
pub struct LoginHint {
    /// The path that takes a POST.
    pub path: String,
    /// Names of the two fields.
    pub fields: (String, String),
    /// Whether it takes a form, and not JSON.
    pub form: bool,
    /// An account for tests, with its password.
    pub owner: Option<(String, Secret)>,
}

/// A known target with what keeps it alive.
pub struct Fixture {
    /// As a probe sees it.
    pub subject: Subject,
    /// Servers and folders that end when this is dropped.
    pub(crate) _keep: Vec<Box<dyn Any + Send>>,
}

impl Subject {
    /// A client for the public address.
    pub fn client(&self) -> Option<Client> {
        let url = self.url.clone()?;
        Some(Client::new(url, self.transcript.clone()).trusting(self.trust.clone()).reached_at(self.address))
    }

    /// A client for the admin API.
    pub fn admin_client(&self) -> Option<Client> {
        self.admin.clone().map(|admin| Client::new(admin, self.transcript.clone()).trusting(self.trust.clone()))
    }
}

impl Hints {
    /// How long a request in flight may take: as long as wanted, and well under the claimed time limit.
    pub fn seconds_in_flight(&self, wanted: f64) -> f64 {
        self.first_byte.map_or(wanted, |limit| wanted.min(limit.as_secs_f64() * 0.6))
    }

    /// Whether the app is known to fail on this path: then it is no call that should work, whatever describes it.
    pub fn fails_on(&self, path: &str) -> bool {
        let known = self.error_path.as_deref().and_then(|known| known.split('?').next());
        known == path.split('?').next()
    }

    /// The slow path for this long.
    pub fn slow(&self, seconds: f64) -> Option<String> {
        self.slow_path.as_ref().map(|path| path.replace("{seconds}", &seconds.to_string()))
    }
}
