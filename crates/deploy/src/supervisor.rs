//! Keeps the app running: start, wait until it is well, watch, start again with growing pauses, stop.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, TcpListener},
    process::ExitStatus,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use seaworthy_core::{Condition, InstanceReport, InstanceSource, ReadinessHandle, Secret, Shutdown, UpstreamAddress};
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::{command::Command, health::Health, process::Process};

/// Pause between two questions while the app starts.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// Pause between two questions while the app runs.
const WATCH_EVERY: Duration = Duration::from_secs(2);
/// So many answers in a row must be bad before an app counts as unwell.
const UNWELL_AFTER: u32 = 2;
/// First pause before a restart; it doubles each time, up to [`LONGEST_PAUSE`], and half of it is random.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// An app that was well for this long starts over with the first pause.
const STEADY: Duration = Duration::from_secs(30);
/// An app that never was well is given up after this many starts: most likely the command is wrong.
const HOPELESS: u32 = 3;

/// What the supervisor needs to know of the app.
#[derive(Debug)]
pub struct Supervisor {
    /// How to start it.
    pub command: Command,
    /// Added to its environment.
    pub environment: Vec<(String, Secret)>,
    /// When it counts as well.
    pub health: Health,
    /// From start to well.
    pub start_timeout: Duration,
    /// From SIGTERM to SIGKILL.
    pub stop_timeout: Duration,
}

/// The app cannot be run at all.
#[derive(Debug, Error)]
pub enum SupervisorError {
    /// No such program, or not allowed.
    #[error("cannot start `{program}`: {source}")]
    Spawn {
        /// As written in the command.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It never became well.
    #[error("the app did not start: {reason}\n{output}hint: {hint}")]
    NeverWell {
        /// What was seen.
        reason: String,
        /// Its last lines.
        output: String,
        /// What to try.
        hint: String,
    },
}

/// What the supervisor tells of its instance.
#[derive(Debug, Clone)]
pub struct Instances(Arc<Mutex<InstanceReport>>);

/// How one life of the process ended.
enum Life {
    /// We were told to stop.
    Stopped,
    /// It was well for this long, then ended.
    Ended(Duration),
    /// It was never well.
    NeverWell { reason: String, output: String },
}

impl Supervisor {
    /// The report that [`Supervisor::run`] keeps up to date.
    pub fn instances() -> Instances {
        Instances(Arc::new(Mutex::new(InstanceReport {
            id: "app-1".into(),
            pid: None,
            address: String::new(),
            state: "down".into(),
            restarts: 0,
        })))
    }

    /// Runs the app until `shutdown`. `traffic` is told where requests may go, or `None` while they may not.
    pub async fn run(
        self,
        shutdown: Shutdown,
        readiness: ReadinessHandle,
        instances: Instances,
        traffic: impl Fn(Option<UpstreamAddress>),
    ) -> Result<(), SupervisorError> {
        let mut pause = Pause::default();
        let mut starts_in_vain = 0;
        let mut was_well = false;
        loop {
            let life = match self.live(&shutdown, &readiness, &instances, &traffic).await {
                // A program that could be started once may come back: a deploy is replacing it, or memory is short.
                Err(error) if was_well => {
                    tracing::error!(%error, "the app cannot be started again yet");
                    Life::Ended(Duration::ZERO)
                }
                life => life?,
            };
            traffic(None);
            match life {
                Life::Stopped => {
                    readiness.retire();
                    return Ok(());
                }
                Life::Ended(well_for) => {
                    (was_well, starts_in_vain) = (true, 0);
                    if well_for >= STEADY {
                        pause = Pause::default();
                    }
                }
                Life::NeverWell { reason, output } => {
                    starts_in_vain += 1;
                    if !was_well && starts_in_vain >= HOPELESS {
                        return Err(SupervisorError::NeverWell { reason, output, hint: self.hint() });
                    }
                    tracing::warn!(reason, hint = self.hint(), "the app did not become healthy");
                }
            }
            let next = pause.next(&mut fastrand::Rng::new());
            readiness.set(Condition::Failed("the app is down and will be started again".into()));
            instances.update(|report| {
                report.pid = None;
                report.state = "down".into();
                report.restarts += 1;
            });
            tracing::warn!(pause_ms = next.as_millis() as u64, "starting the app again after a pause");
            tokio::select! {
                () = sleep(next) => {}
                () = shutdown.ordered() => {
                    readiness.retire();
                    return Ok(());
                }
            }
        }
    }

    /// One process from its start to its end.
    async fn live(
        &self,
        shutdown: &Shutdown,
        readiness: &ReadinessHandle,
        instances: &Instances,
        traffic: &impl Fn(Option<UpstreamAddress>),
    ) -> Result<Life, SupervisorError> {
        let id = instances.lock().id.clone();
        let spawn = |source| SupervisorError::Spawn { program: self.command.program().into(), source };
        let port = free_port().map_err(spawn)?;
        let address = UpstreamAddress::Tcp { host: Ipv4Addr::LOCALHOST.to_string(), port };
        let mut process = Process::start(&self.command, &self.environment, port, &id, shutdown).map_err(spawn)?;
        instances.update(|report| {
            report.pid = Some(process.id());
            report.address = address.to_string();
            report.state = "starting".into();
        });
        tracing::info!(instance = id, pid = process.id(), %address, "app started, waiting until it is healthy");
        let started = Instant::now();
        if let Err(life) = self.until_well(&mut process, &address, shutdown).await {
            return Ok(life);
        }
        tracing::info!(instance = id, after_ms = started.elapsed().as_millis() as u64, "app is healthy");
        let well_since = Instant::now();
        instances.update(|report| report.state = "ready".into());
        traffic(Some(address.clone()));
        readiness.set(Condition::Ready);
        let watching = self.watch(&address, readiness, instances);
        tokio::select! {
            status = process.ended() => {
                tracing::error!(instance = id, status = describe(&status), "app ended by itself");
                Ok(Life::Ended(well_since.elapsed()))
            }
            never = watching => match never {},
            () = shutdown.ordered() => {
                instances.update(|report| report.state = "stopping".into());
                let status = process.stop(self.stop_timeout).await;
                instances.update(|report| report.state = "down".into());
                tracing::info!(instance = id, status = describe(&status), "app stopped");
                Ok(Life::Stopped)
            }
        }
    }

    /// Asks a running app for its health and posts what it says, for as long as it runs. Requests still go to an app that
    /// is not well: a failing health check is not yet a failing service, and there is no other instance.
    async fn watch(&self, address: &UpstreamAddress, readiness: &ReadinessHandle, instances: &Instances) -> Infallible {
        let mut failures = 0;
        loop {
            sleep(WATCH_EVERY).await;
            match self.health.ask(address).await {
                Ok(()) if failures >= UNWELL_AFTER => {
                    tracing::info!("app is healthy again");
                    readiness.set(Condition::Ready);
                    instances.update(|report| report.state = "ready".into());
                    failures = 0;
                }
                Ok(()) => failures = 0,
                Err(reason) => {
                    failures += 1;
                    if failures == UNWELL_AFTER {
                        tracing::warn!(reason, "app is not healthy");
                        readiness.set(Condition::Failed(reason));
                        instances.update(|report| report.state = "unhealthy".into());
                    }
                }
            }
        }
    }

    async fn until_well(
        &self,
        process: &mut Process,
        address: &UpstreamAddress,
        shutdown: &Shutdown,
    ) -> Result<(), Life> {
        let asking = async {
            loop {
                match self.health.ask(address).await {
                    Ok(()) => return,
                    Err(reason) => tracing::debug!(reason, "not healthy yet"),
                }
                sleep(ASK_EVERY).await;
            }
        };
        let last_lines = process.last_lines.clone();
        let reason = tokio::select! {
            biased;
            () = shutdown.ordered() => {
                let _ = process.stop(self.stop_timeout).await;
                return Err(Life::Stopped);
            }
            status = process.ended() => format!("it ended with {}", describe(&status)),
            () = asking => return Ok(()),
            () = sleep(self.start_timeout) => {
                let seen = self.health.ask(address).await.err().unwrap_or_default();
                format!("it was not healthy within {} s ({seen})", self.start_timeout.as_secs_f32())
            }
        };
        let _ = process.stop(self.stop_timeout).await;
        // What it printed last may still be on its way through the pipe.
        sleep(ASK_EVERY).await;
        Err(Life::NeverWell { reason, output: last_lines.text() })
    }

    fn hint(&self) -> String {
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

impl Instances {
    fn lock(&self) -> MutexGuard<'_, InstanceReport> {
        // Each update leaves a whole report behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut InstanceReport)) {
        change(&mut self.lock());
    }
}

impl InstanceSource for Instances {
    fn instances(&self) -> Vec<InstanceReport> {
        vec![self.lock().clone()]
    }
}

/// Growing pauses: doubled each time, half random so that many nodes do not start in step.
#[derive(Debug, Default)]
struct Pause {
    restarts: u32,
}

impl Pause {
    fn next(&mut self, random: &mut fastrand::Rng) -> Duration {
        let whole = FIRST_PAUSE.saturating_mul(1 << self.restarts.min(16)).min(LONGEST_PAUSE);
        self.restarts += 1;
        whole.mul_f64(0.5 + random.f64() / 2.0)
    }
}

/// A loopback port that is free now. Another program may take it before the app does; then the app is started again
/// with another one.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn describe(status: &io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => format!("unknown status ({error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut pause = Pause::default();
        let pauses: Vec<Duration> = (0..20).map(|_| pause.next(&mut random)).collect();
        assert!(pauses[0] >= FIRST_PAUSE / 2 && pauses[0] <= FIRST_PAUSE);
        assert!(pauses[3] >= FIRST_PAUSE * 4 && pauses[3] <= FIRST_PAUSE * 8);
        assert!(pauses[19] <= LONGEST_PAUSE && pauses[19] >= LONGEST_PAUSE / 2);
        assert_ne!(pauses[18], pauses[19]);
    }
}
