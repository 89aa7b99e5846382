//! The app of `seaworthy run`: started by us, or running elsewhere and watched.

use std::{sync::Arc, time::Duration};

use seaworthy_core::{
    Condition, InstanceSource, NoInstances, Readiness, ReadinessHandle, Shutdown, Traffic, UpstreamAddress,
};
use seaworthy_deploy::{Command, Health, Instances, Supervisor, SupervisorError};
use seaworthy_edge::Upstream;
use tokio::{
    sync::{oneshot, watch},
    time::sleep,
};

use crate::{config::Config, failure::Failure};

/// The app, however it came to be there.
pub struct App {
    /// What the admin API shows of it.
    pub instances: Arc<dyn InstanceSource>,
    order: Shutdown,
    well: watch::Receiver<bool>,
    result: oneshot::Receiver<Result<(), SupervisorError>>,
}

impl App {
    /// Starts it, or begins to watch it.
    pub fn start(config: &Config, readiness: &Readiness, upstream: &Arc<Upstream>) -> Result<Self, Failure> {
        let ready = readiness.declare("app", "waits for the app's health");
        let health = config.app.health.clone().map_or(Health::Connect, Health::Path);
        let (well_sender, well) = watch::channel(false);
        let (result_sender, result) = oneshot::channel();
        let order = Shutdown::new();
        let (upstream, app_order) = (upstream.clone(), order.clone());
        if let Some(to) = &config.app.to {
            let address: UpstreamAddress =
                to.parse().map_err(|error| Failure::new("SEA_RUN_TO", &error).with_status(2))?;
            order.spawn(async move {
                watch_address(address, health, &app_order, &ready, &upstream, &well_sender).await;
                let _ = result_sender.send(Ok(()));
            });
            return Ok(Self { instances: Arc::new(NoInstances), order, well, result });
        }
        let command = Command::parse(config.app.command.as_deref().unwrap_or_default());
        let command = command.map_err(|error| Failure::new("SEA_RUN_COMMAND", &error).with_status(2))?;
        let mut environment = Vec::new();
        for (name, reference) in &config.app.env {
            let value = reference
                .resolve()
                .map_err(|error| Failure::text("SEA_RUN_ENV", format!("app.env.{name}: {error}")).with_status(2))?;
            environment.push((name.clone(), value));
        }
        let supervisor = Supervisor {
            command,
            environment,
            health,
            start_timeout: config.app.start_timeout.0,
            stop_timeout: config.app.stop_timeout.0,
        };
        let instances: Instances = Supervisor::instances();
        let reported = instances.clone();
        order.spawn(async move {
            let current = std::sync::Mutex::new(None::<UpstreamAddress>);
            let traffic = |address: Option<UpstreamAddress>| {
                let mut current = current.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Some(old) = current.take() {
                    upstream.close(&old);
                }
                if let Some(address) = address {
                    upstream.open("app-1", address.clone());
                    *current = Some(address);
                    well_sender.send_replace(true);
                }
            };
            let ended = supervisor.run(app_order, ready, reported, traffic).await;
            // Whoever waits for it may be gone already.
            let _ = result_sender.send(ended);
        });
        Ok(Self { instances: Arc::new(instances), order, well, result })
    }

    /// Resolves at the first healthy answer.
    pub async fn well(&mut self) -> Result<(), Failure> {
        tokio::select! {
            well = self.well.wait_for(|well| *well) => if well.is_ok() { return Ok(()) },
            result = &mut self.result => return Err(explain(result)),
        }
        Err(explain((&mut self.result).await))
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

fn explain(result: Result<Result<(), SupervisorError>, oneshot::error::RecvError>) -> Failure {
    match result {
        Ok(Err(error)) => Failure::new("SEA_RUN_APP", &error),
        _ => Failure::text("SEA_RUN_APP", "the supervisor of the app ended by itself; this is a bug of Seaworthy"),
    }
}

/// Keeps asking an app that we do not start; traffic goes there from its first healthy answer on.
async fn watch_address(
    address: UpstreamAddress,
    health: Health,
    order: &Shutdown,
    ready: &ReadinessHandle,
    upstream: &Upstream,
    well: &watch::Sender<bool>,
) {
    const WHILE_UNWELL: Duration = Duration::from_millis(250);
    const WHILE_WELL: Duration = Duration::from_secs(2);
    let mut was_well = None;
    while !order.has_begun() {
        let answer = health.ask(&address).await;
        let is_well = answer.is_ok();
        match answer {
            Ok(()) if was_well != Some(true) => {
                tracing::info!(%address, "app is healthy");
                if was_well.is_none() || !*well.borrow() {
                    upstream.open("app", address.clone());
                }
                upstream.set_well(&address, true);
                ready.set(Condition::Ready);
                well.send_replace(true);
            }
            Err(reason) if was_well != Some(false) => {
                // Requests still go there: a health check that fails is not yet a service that does.
                tracing::warn!(%address, reason, "app is not healthy");
                ready.set(Condition::Failed(reason));
            }
            _ => {}
        }
        was_well = Some(is_well);
        tokio::select! {
            () = order.ordered() => {}
            () = sleep(if is_well { WHILE_WELL } else { WHILE_UNWELL }) => {}
        }
    }
}
