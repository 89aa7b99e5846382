//! What to keep running: processes that we start, or addresses where an app runs already.

use std::{path::PathBuf, time::Duration};

use seaworthy_core::{Secret, UpstreamAddress};

use crate::{command::Command, pulse::HealthChecks};

/// The whole app. A running one takes another plan through `FleetHandle::reconfigure`.
#[derive(Debug, Clone)]
pub enum Plan {
    /// We start it, watch it and stop it.
    Processes(Box<Supervisor>),
    /// Something else starts it; we only watch it.
    Addresses(Watched),
}

/// An app that we start.
#[derive(Debug, Clone)]
pub struct Supervisor {
    /// How to start one instance.
    pub command: Command,
    /// Added to its environment.
    pub environment: Vec<(String, Secret)>,
    /// URL and token of the app API: `SEAWORTHY_URL` and `SEAWORTHY_TOKEN` in its environment.
    pub app_api: Option<(String, Secret)>,
    /// Seaworthy itself, whose `launch-app` ties the app's life to ours; without it the app is started directly.
    pub launcher: Option<PathBuf>,
    /// How many processes.
    pub instances: u16,
    /// The most bytes that one instance may take, with everything that it starts.
    pub memory_limit: Option<u64>,
    /// When an instance counts as well.
    pub checks: HealthChecks,
    /// From start to well.
    pub start_timeout: Duration,
    /// For the requests in flight when an instance is replaced, and then from SIGTERM to SIGKILL.
    pub stop_timeout: Duration,
    /// Pauses between starts.
    pub pacing: Pacing,
}

/// An app that runs elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Each one is an instance.
    pub addresses: Vec<UpstreamAddress>,
    /// When an instance counts as well.
    pub checks: HealthChecks,
}

/// How patient we are with an app that ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pacing {
    /// Pause before the first restart; it doubles each time, and half of it is random so that many nodes do not start in
    /// step.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// An instance that was well for this long starts over with the first pause.
    pub steady: Duration,
    /// So many early ends in a row are a crash loop.
    pub crash_loop: u32,
    /// An app that never was well is given up after this many starts: most likely the command is wrong.
    pub hopeless: u32,
}

impl Default for Pacing {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(30),
            steady: Duration::from_secs(60),
            crash_loop: 5,
            hopeless: 3,
        }
    }
}

impl Supervisor {
    /// True when a running process cannot become what `next` describes without being started again.
    pub(crate) fn needs_new_process(&self, next: &Self) -> bool {
        let pairs = |list: &[(String, Secret)]| -> Vec<(String, String)> {
            list.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect()
        };
        let api = |plan: &Self| plan.app_api.as_ref().map(|(url, token)| (url.clone(), token.expose().to_owned()));
        self.command != next.command || pairs(&self.environment) != pairs(&next.environment) || api(self) != api(next)
    }

    /// What to try when it ended before it was well: the port is hardly the reason.
    pub(crate) fn hint_after_end(output: &str) -> String {
        let text = match output.is_empty() {
            true => "The app ended by itself and printed nothing. Run the command without Seaworthy to see why.",
            false => "The app ended by itself; its last lines, above, say why.",
        };
        text.to_owned()
    }

    /// What to try when it runs and does not become well.
    pub(crate) fn hint(&self) -> String {
        let place = match self.command.names_port() {
            true => "Check the command, or give the app longer with `app.start_timeout`.",
            false => {
                "We gave it a port in the environment variable PORT, but the command does not name it: write '$PORT' where \
                 the app takes its port (for example `--port '$PORT'`), or use --to for an app that runs already."
            }
        };
        place.to_owned()
    }
}

impl From<Supervisor> for Plan {
    fn from(supervisor: Supervisor) -> Self {
        Self::Processes(Box::new(supervisor))
    }
}

impl From<Watched> for Plan {
    fn from(watched: Watched) -> Self {
        Self::Addresses(watched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Health;

    #[test]
    fn an_app_that_ended_is_not_told_about_ports() {
        for output in ["", "  | no such file\n"] {
            assert!(!Supervisor::hint_after_end(output).contains("PORT"));
        }
        assert!(Supervisor::hint_after_end("  | no such file\n").contains("last lines"));
    }

    #[test]
    fn only_what_a_process_is_made_of_asks_for_a_new_one() {
        let plan = Supervisor {
            command: Command::parse("node server.js").unwrap(),
            environment: vec![("A".into(), Secret::new("1"))],
            app_api: None,
            launcher: None,
            instances: 1,
            memory_limit: None,
            checks: HealthChecks {
                health: Health::Connect,
                interval: Duration::from_secs(2),
                timeout: Duration::from_secs(5),
            },
            start_timeout: Duration::from_secs(1),
            stop_timeout: Duration::from_secs(1),
            pacing: Pacing::default(),
        };
        let mut other = Supervisor { instances: 4, memory_limit: Some(1), ..plan.clone() };
        other.checks.health = Health::Path("/health".into());
        assert!(!plan.needs_new_process(&other));
        let command = Command::parse("node other.js").unwrap();
        assert!(plan.needs_new_process(&Supervisor { command, ..plan.clone() }));
        let environment = vec![("A".into(), Secret::new("2"))];
        assert!(plan.needs_new_process(&Supervisor { environment, ..plan.clone() }));
        let app_api = Some(("http://127.0.0.1:1".into(), Secret::new("token")));
        assert!(plan.needs_new_process(&Supervisor { app_api, ..plan.clone() }));
    }
}
