//! A drill on the live target: it is entered only in a steady state, kills one instance, sees that this landed, and sees
//! everything back in the end.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::{
    endpoint::Endpoint,
    http::Client,
    instances::{Instance, instances},
    probe::{Cases, Sighting},
    processes::{Processes, ThisMachine},
    steady::steady,
    subject::Subject,
};

/// A kill must be seen to land within this time.
const LANDING: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(50);

/// A live target whose instances run on this machine, and are all well.
pub(crate) struct LiveTarget {
    pub public: Client,
    pub instances: Vec<Instance>,
    admin: Client,
    processes: Arc<dyn Processes>,
}

/// What became of an instance that was killed.
pub(crate) enum Replacement {
    /// Another process took its place, so long after the kill.
    After(Duration),
    /// None did.
    Missing,
    /// Nobody could say.
    Unknown(String),
}

impl LiveTarget {
    /// Looks whether the drill is possible; why it is not, as what the probe saw.
    pub(crate) async fn enter(subject: &Subject) -> Result<Self, Sighting> {
        let (Some(public), Some(admin)) = (subject.client(), subject.admin_client()) else {
            return Err(Sighting::not_tried(
                "no command starts a scratch copy: [app] command in the config, or --start",
            ));
        };
        if !is_of_this_machine(admin.address()) {
            return Err(Sighting::not_tried(
                "the instances run on another machine: run the check there, or give --start",
            ));
        }
        let (public, admin) = (public.patience(Duration::from_secs(5)), admin.patience(Duration::from_secs(5)));
        if let Err(why) = steady(&public, Some(&admin)).await {
            let why = format!("the target is not in a steady state, and nothing was broken: {why}");
            return Err(Cases::plan(1).gave_up(why));
        }
        let processes = subject.processes.clone().unwrap_or_else(|| Arc::new(ThisMachine));
        let listed = instances(&admin).await.map_err(|why| Cases::plan(1).gave_up(why))?;
        let here = |one: &Instance| match one.process {
            Some(process) => processes.is_here(process, one.port()),
            None => Err(format!("{} has no process: it is not started by Seaworthy", one.id)),
        };
        match listed.iter().find_map(|one| here(one).err()) {
            Some(why) => Err(Sighting::not_tried(format!("no instance may be killed: {why}"))),
            None if listed.is_empty() => {
                Err(Sighting::not_tried("the admin API lists no instances that could be killed"))
            }
            None => Ok(Self { public, instances: listed, admin, processes }),
        }
    }

    /// Kills one of the instances and waits until it is seen gone.
    pub(crate) async fn kill(&self, victim: &Instance) -> Result<(), String> {
        let process = victim.process.ok_or("it has no process")?;
        // Between the first look and now another process may have got the number.
        self.processes.is_here(process, victim.port())?;
        self.processes.kill(process)?;
        self.public.transcript().note(format!("{} (process {process}) was killed (SIGKILL)", victim.id));
        let killed = Instant::now();
        while !self.processes.is_gone(process) {
            if killed.elapsed() > LANDING {
                return Err(format!("process {process} of {} runs on: the kill was not seen to land", victim.id));
            }
            sleep(STEP).await;
        }
        Ok(())
    }

    /// Waits until another process is ready in the place of one that was killed then.
    pub(crate) async fn replaced(&self, victim: &Instance, killed: Instant, patience: Duration) -> Replacement {
        let mut last = Err("the admin API was not asked".to_owned());
        let admin = self.admin.clone().quiet();
        while killed.elapsed() < patience {
            last = instances(&admin).await;
            let ready = |all: &Vec<Instance>| {
                let new = |one: &Instance| one.id == victim.id && one.is_ready() && one.process != victim.process;
                all.iter().any(new)
            };
            if last.as_ref().is_ok_and(ready) {
                return Replacement::After(killed.elapsed());
            }
            sleep(STEP).await;
        }
        last.map_or_else(Replacement::Unknown, |_| Replacement::Missing)
    }

    /// Whether all is as it was before: the undo of the drill.
    pub(crate) async fn is_back(&self) -> Result<(), String> {
        steady(&self.public, Some(&self.admin)).await?;
        let now = instances(&self.admin).await?.len();
        let before = self.instances.len();
        if now >= before { Ok(()) } else { Err(format!("{now} of {before} instances are there")) }
    }
}

/// Process ids mean something on the machine of the admin API alone.
fn is_of_this_machine(admin: &Endpoint) -> bool {
    match admin.host() {
        None => true,
        Some(host) => host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
    }
}
