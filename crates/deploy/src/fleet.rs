//! All instances together: started, counted, replaced one after the other, changed to another plan.

use std::{collections::HashMap, path::Path, sync::Arc};

use seaworthy_core::{AppOutput, ReadinessHandle, Shutdown, Traffic, UpstreamAddress};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::spawn_blocking,
    time::{Instant, sleep},
};

use crate::{
    backoff::Backoff,
    board::Board,
    error::{FleetError, SupervisorError},
    family::{inherit_orphans, reap_inherited},
    guard::Guard,
    handle::{Command, FleetHandle},
    lifecycle::Lifecycle,
    memory::{Samples, measure},
    plan::{Plan, Supervisor, Watched},
    ports::Ports,
    seams::{Order, Seams},
    spawner::Spawner,
    watched::watch_address,
};

/// Commands and orders that wait; each asker waits for its answer, so few are enough.
const WAITING: usize = 8;

/// Every instance of the app, built and not yet running.
pub struct Fleet {
    plan: Plan,
    traffic: Arc<dyn Traffic>,
    output: Arc<dyn AppOutput>,
    board: Board,
    commands: mpsc::Receiver<Command>,
}

/// A fleet that runs.
struct Conductor {
    seams: Seams,
    source: Source,
    slots: Vec<Slot>,
    hopeless: mpsc::Sender<SupervisorError>,
}

/// The plan as it is now; the instances look at it themselves.
enum Source {
    Processes(watch::Sender<Arc<Supervisor>>),
    Addresses(watch::Sender<Arc<Watched>>),
}

/// One instance as seen from above.
struct Slot {
    number: u16,
    id: String,
    /// `None` for one that we start.
    address: Option<UpstreamAddress>,
    orders: mpsc::Sender<Order>,
}

impl Fleet {
    /// Builds it; nothing runs yet. `traffic` learns where requests may go, `output` gets what the app prints.
    pub fn new(
        plan: impl Into<Plan>,
        traffic: Arc<dyn Traffic>,
        output: Arc<dyn AppOutput>,
        readiness: ReadinessHandle,
    ) -> (Self, FleetHandle) {
        let board = Board::new(readiness);
        let (sender, commands) = mpsc::channel(WAITING);
        let handle = FleetHandle::new(sender, board.clone());
        (Self { plan: plan.into(), traffic, output, board, commands }, handle)
    }

    /// Runs the app until `shutdown`; resolves when every process has ended. An error when no instance ever became well.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), SupervisorError> {
        let Self { plan, traffic, output, board, mut commands } = self;
        let _hold = board.hold();
        let spawner = Spawner::start().map_err(SupervisorError::System)?;
        let guard = match &plan {
            Plan::Processes(plan) => guard(plan.launcher.as_deref()),
            Plan::Addresses(_) => Guard::default(),
        };
        let (samples, memory) = watch::channel(Samples::default());
        let (ports, lives) = (Ports::default(), shutdown.child());
        let readers = shutdown.clone();
        let seams = Seams { traffic, output, board, ports, spawner, guard, memory, lives: lives.clone(), readers };
        let (hopeless, mut reasons) = mpsc::channel(1);
        let board = seams.board.clone();
        let mut conductor = Conductor::start(plan, seams, hopeless);
        let plan = conductor.supervisor();
        let measuring = async {
            match plan {
                Some(plan) => watch_memory(plan, &board, &samples).await,
                None => std::future::pending().await,
            }
        };
        let working = async {
            while let Some(command) = commands.recv().await {
                conductor.obey(command).await;
            }
            std::future::pending::<()>().await;
        };
        let reason = tokio::select! {
            biased;
            () = shutdown.ordered() => None,
            reason = reasons.recv() => reason,
            () = working => None,
            () = measuring => None,
        };
        lives.begin();
        lives.finished(std::future::pending()).await;
        match reason {
            Some(reason) => Err(reason),
            None => {
                board.retire();
                Ok(())
            }
        }
    }
}

impl Conductor {
    /// Starts the first instances, all at once.
    fn start(plan: Plan, seams: Seams, hopeless: mpsc::Sender<SupervisorError>) -> Self {
        match plan {
            Plan::Processes(plan) => {
                inherit_orphans();
                let count = plan.instances;
                let source = Source::Processes(watch::Sender::new(Arc::from(plan)));
                let mut conductor = Self { seams, source, slots: Vec::new(), hopeless };
                (1..=count).for_each(|number| conductor.add(number, None));
                conductor
            }
            Plan::Addresses(plan) => {
                let addresses = plan.addresses.clone();
                let source = Source::Addresses(watch::Sender::new(Arc::new(plan)));
                let mut conductor = Self { seams, source, slots: Vec::new(), hopeless };
                for address in addresses {
                    conductor.add(conductor.free_number(), Some(address));
                }
                conductor
            }
        }
    }

    fn supervisor(&self) -> Option<watch::Receiver<Arc<Supervisor>>> {
        match &self.source {
            Source::Processes(plan) => Some(plan.subscribe()),
            Source::Addresses(_) => None,
        }
    }

    async fn obey(&mut self, command: Command) {
        // Whoever asked may have lost interest.
        match command {
            Command::Restart(reply) => drop(reply.send(self.restart().await)),
            Command::Reconfigure(plan, reply) => drop(reply.send(self.reconfigure(plan).await)),
        }
    }

    async fn restart(&self) -> Result<(), FleetError> {
        if matches!(self.source, Source::Addresses(_)) {
            return Err(FleetError::NotOurs);
        }
        tracing::info!(instances = self.slots.len(), "restarting the app, one instance after the other");
        self.replace(&self.slots).await
    }

    async fn reconfigure(&mut self, plan: Plan) -> Result<(), FleetError> {
        match (&self.source, plan) {
            (Source::Processes(_), Plan::Processes(plan)) => self.reconfigure_processes(*plan).await,
            (Source::Addresses(_), Plan::Addresses(plan)) => self.reconfigure_addresses(plan).await,
            _ => Err(FleetError::OtherKind),
        }
    }

    /// All or nothing: when an instance does not become well with the new plan, all that have got it go back, also those
    /// that were started again by themselves meanwhile.
    async fn reconfigure_processes(&mut self, next: Supervisor) -> Result<(), FleetError> {
        let Source::Processes(plan) = &self.source else { return Err(FleetError::OtherKind) };
        let (count, next) = (usize::from(next.instances), Arc::new(next));
        let old = plan.send_replace(next.clone());
        if old.needs_new_process(&next) {
            let staying = &self.slots[..count.min(self.slots.len())];
            if let Err(error) = self.replace(staying).await {
                plan.send_replace(old);
                self.go_back().await;
                return Err(error);
            }
        }
        if count < self.slots.len() {
            let leaving = self.slots.split_off(count);
            self.retire(leaving).await;
        }
        (self.slots.len() + 1..=count).for_each(|_| self.add(self.free_number(), None));
        Ok(())
    }

    async fn reconfigure_addresses(&mut self, next: Watched) -> Result<(), FleetError> {
        let Source::Addresses(plan) = &self.source else { return Err(FleetError::OtherKind) };
        let addresses = next.addresses.clone();
        plan.send_replace(Arc::new(next));
        let stays = |slot: &Slot| slot.address.as_ref().is_some_and(|address| addresses.contains(address));
        let (staying, leaving) = std::mem::take(&mut self.slots).into_iter().partition(stays);
        self.slots = staying;
        for address in addresses {
            if !self.slots.iter().any(|slot| slot.address.as_ref() == Some(&address)) {
                self.add(self.free_number(), Some(address));
            }
        }
        // Last, so that requests have somewhere to go.
        self.retire(leaving).await;
        Ok(())
    }

    /// Replaces the processes one after the other, up to the first that cannot be replaced.
    async fn replace(&self, slots: &[Slot]) -> Result<(), FleetError> {
        for slot in slots {
            slot.obey(Order::Replace).await?;
        }
        Ok(())
    }

    /// Replaces every process that was started from another plan.
    async fn go_back(&self) {
        for slot in &self.slots {
            if let Err(error) = slot.obey(Order::Update).await {
                tracing::error!(%error, "an instance is not back with the old config yet");
            }
        }
    }

    /// Ends instances for good, all at once, each after its requests. Resolves when they get no more requests.
    async fn retire(&self, slots: Vec<Slot>) {
        let mut answers = Vec::new();
        for slot in slots {
            let (reply, answer) = oneshot::channel();
            let _ = slot.orders.send(Order::Retire(reply)).await;
            answers.push(answer);
        }
        for answer in answers {
            let _ = answer.await;
        }
    }

    fn add(&mut self, number: u16, address: Option<UpstreamAddress>) {
        let id = format!("app-{number}");
        let (orders, receiver) = mpsc::channel(WAITING);
        let seams = self.seams.clone();
        seams.board.add(number, &id, address.as_ref().map(ToString::to_string).unwrap_or_default());
        match (&self.source, &address) {
            (Source::Addresses(plan), Some(address)) => {
                let watching = watch_address(id.clone(), address.clone(), plan.subscribe(), seams, receiver);
                self.seams.lives.spawn(watching);
            }
            (Source::Processes(plan), _) => {
                let lifecycle = Lifecycle {
                    id: id.clone(),
                    plan: plan.subscribe(),
                    seams,
                    backoff: Backoff::new(fastrand::Rng::new()),
                    hopeless: self.hopeless.clone(),
                    starts_in_vain: 0,
                    waiting: None,
                    spared_until: Instant::now(),
                };
                self.seams.lives.spawn(lifecycle.run(receiver));
            }
            (Source::Addresses(_), None) => return,
        }
        let at = self.slots.partition_point(|slot| slot.number < number);
        self.slots.insert(at, Slot { number, id, address, orders });
    }

    /// The lowest number that no instance has, one that still finishes its requests included.
    fn free_number(&self) -> u16 {
        let is_free = |number: &u16| !self.seams.board.has(*number);
        (1..=u16::MAX).find(is_free).unwrap_or(u16::MAX)
    }
}

impl Slot {
    /// Gives an order that is answered when the new process is well or has failed.
    async fn obey(&self, order: impl FnOnce(oneshot::Sender<Result<(), String>>) -> Order) -> Result<(), FleetError> {
        let (reply, answer) = oneshot::channel();
        // A lifecycle that is gone drops the reply.
        let _ = self.orders.send(order(reply)).await;
        match answer.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(FleetError::NotReplaced { instance: self.id.clone(), reason }),
            Err(_) => Err(FleetError::Stopping),
        }
    }
}

/// The guard, where there is a launcher to start it by. An app without one is better than none.
fn guard(launcher: Option<&Path>) -> Guard {
    let started = launcher.map_or(Ok(Guard::default()), Guard::start);
    started.unwrap_or_else(|error| {
        tracing::warn!(%error, "no guard: what the app starts may outlive a Seaworthy that is killed");
        Guard::default()
    })
}

/// Measures all instances together, in one walk over the processes of the machine, and reaps what they left behind.
async fn watch_memory(plan: watch::Receiver<Arc<Supervisor>>, board: &Board, samples: &watch::Sender<Samples>) {
    loop {
        let interval = plan.borrow().checks.interval;
        sleep(interval).await;
        let groups = board.groups();
        let looking = move || {
            reap_inherited();
            measure(Path::new("/proc"), &groups)
        };
        let measured = spawn_blocking(looking).await;
        let measured: HashMap<u32, u64> = measured.unwrap_or_default();
        board.note_memory(|group| measured.get(&group).copied());
        samples.send_replace(Arc::new(measured));
    }
}
