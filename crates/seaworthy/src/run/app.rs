//! The app of `seaworthy run`: started by us, or running elsewhere and watched.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use seaworthy_core::{AppOutput, InstanceSource, NoInstances, Readiness, Secret, Shutdown, Traffic};
use seaworthy_deploy::{
    Command, Fleet, FleetHandle, Health, HealthChecks, Pacing, Plan, Supervisor, SupervisorError, Watched,
    kill_descendants,
};
use tokio::sync::oneshot;

use crate::{config::Config, failure::Failure};

/// A process that was killed ends within moments, unless it is in an uninterruptible call.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// The app, however it came to be there.
pub struct App {
    /// None where only files are served.
    handle: Option<FleetHandle>,
    order: Shutdown,
    result: oneshot::Receiver<Result<(), SupervisorError>>,
}

impl App {
    /// Starts it, or begins to watch it. `app_api` is the URL and the token of the app API.
    pub fn start(
        config: &Config,
        readiness: &Readiness,
        traffic: Arc<dyn Traffic>,
        output: Arc<dyn AppOutput>,
        app_api: (String, Secret),
    ) -> Result<Self, Failure> {
        let (sender, result) = oneshot::channel();
        let order = Shutdown::new();
        if !config.has_app() {
            order.spawn({
                let order = order.clone();
                async move {
                    order.ordered().await;
                    let _ = sender.send(Ok(()));
                }
            });
            return Ok(Self { handle: None, order, result });
        }
        let plan = plan(config, app_api)?;
        let ready = readiness.declare("app", "waits for the app's health");
        let (fleet, handle) = Fleet::new(plan, traffic, output, ready);
        let fleet_order = order.clone();
        order.spawn(async move {
            let ended = fleet.run(fleet_order).await;
            // Whoever waits for it may be gone already.
            let _ = sender.send(ended);
        });
        Ok(Self { handle: Some(handle), order, result })
    }

    /// To change it while it runs.
    pub fn handle(&self) -> Option<FleetHandle> {
        self.handle.clone()
    }

    /// What the admin API shows of it.
    pub fn instances(&self) -> Arc<dyn InstanceSource> {
        match &self.handle {
            Some(handle) => Arc::new(handle.clone()),
            None => Arc::new(NoInstances),
        }
    }

    /// Resolves at the first healthy answer.
    pub async fn well(&mut self) -> Result<(), Failure> {
        let Some(handle) = &self.handle else { return Ok(()) };
        tokio::select! {
            () = handle.well() => Ok(()),
            result = &mut self.result => Err(explain(result)),
        }
    }

    /// Resolves only when the app cannot be kept running at all.
    pub async fn failed(&mut self) -> Failure {
        explain((&mut self.result).await)
    }

    /// Stops it; resolves when it has ended.
    pub async fn stop(&mut self) -> Result<(), Failure> {
        self.order.begin();
        match (&mut self.result).await {
            Ok(Ok(())) => Ok(()),
            other => Err(explain(other)),
        }
    }
}

impl Drop for App {
    /// However it ended, a second signal included, nothing that the app has started outlives us.
    fn drop(&mut self) {
        // Nobody starts it again meanwhile.
        self.order.begin();
        if self.handle.is_some() {
            kill_descendants(LAST_PATIENCE);
        }
    }
}

/// What the config says of the app. Also for a reload: `FleetHandle::reconfigure` takes it.
pub fn plan(config: &Config, app_api: (String, Secret)) -> Result<Plan, Failure> {
    let app = &config.app;
    let checks = HealthChecks {
        health: app.health.clone().map_or(Health::Connect, Health::Path),
        interval: app.health_interval.0,
        timeout: app.health_timeout.0,
    };
    if let Some(to) = &app.to {
        let addresses = to.parse().map_err(|error| Failure::new("SEA_RUN_TO", &error).with_status(2))?;
        return Ok(Watched { addresses, checks }.into());
    }
    let command = Command::parse(app.command.as_deref().unwrap_or_default());
    let command = command.map_err(|error| Failure::new("SEA_RUN_COMMAND", &error).with_status(2))?;
    let mut environment = Vec::new();
    for (name, reference) in &app.env {
        let value = reference
            .resolve()
            .map_err(|error| Failure::text("SEA_RUN_ENV", format!("app.env.{name}: {error}")).with_status(2))?;
        environment.push((name.clone(), value));
    }
    Ok(Supervisor {
        command,
        environment,
        app_api: Some(app_api),
        launcher: launcher(),
        instances: app.instances,
        memory_limit: app.memory_limit.map(|limit| limit.0),
        checks,
        start_timeout: app.start_timeout.0,
        stop_timeout: app.stop_timeout.0,
        pacing: Pacing::default(),
    }
    .into())
}

/// Ourselves. The link still leads to us after an update has replaced our file.
fn launcher() -> Option<PathBuf> {
    let link = Path::new("/proc/self/exe");
    if link.exists() { Some(link.to_owned()) } else { env::current_exe().ok() }
}

fn explain(result: Result<Result<(), SupervisorError>, oneshot::error::RecvError>) -> Failure {
    match result {
        Ok(Err(error)) => Failure::new("SEA_RUN_APP", &error),
        _ => Failure::text("SEA_RUN_APP", "the supervisor of the app ended by itself; this is a bug of Seaworthy"),
    }
}
