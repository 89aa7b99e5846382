//! What all instances share: where requests go, where output goes, what is known of whom.

use std::sync::Arc;

use seaworthy_core::{AppOutput, InstanceState, Shutdown, Traffic, UpstreamAddress};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{board::Board, guard::Guard, memory::Samples, ports::Ports, pulse::Change, spawner::Spawner};

/// Handed to each instance.
#[derive(Clone)]
pub(crate) struct Seams {
    pub traffic: Arc<dyn Traffic>,
    pub output: Arc<dyn AppOutput>,
    pub board: Board,
    pub ports: Ports,
    pub spawner: Spawner,
    pub guard: Guard,
    pub memory: watch::Receiver<Samples>,
    /// Tells the instances to stop, and counts them.
    pub lives: Shutdown,
    /// Counts the tasks that read output; nobody waits for them, since a stranger may hold a pipe open.
    pub readers: Shutdown,
}

/// What the fleet asks of one instance. A reply that nobody takes is no matter.
#[derive(Debug)]
pub(crate) enum Order {
    /// A new process takes the place of the running one; says why when it could not.
    Replace(oneshot::Sender<Result<(), String>>),
    /// The same, unless the running one is what the plan asks for.
    Update(oneshot::Sender<Result<(), String>>),
    /// No new requests, which is answered; then finish and end for good.
    Retire(oneshot::Sender<()>),
}

/// Why an instance must look up from what it is doing.
#[derive(Debug)]
pub(crate) enum Interrupt {
    /// Everything stops.
    Stop,
    /// See [`Order`].
    Order(Order),
}

impl Seams {
    /// Waits for an order, or for the end of everything.
    pub(crate) async fn interrupt(&self, orders: &mut mpsc::Receiver<Order>) -> Interrupt {
        tokio::select! {
            biased;
            () = self.lives.ordered() => Interrupt::Stop,
            Some(order) = orders.recv() => Interrupt::Order(order),
            // Without a fleet there are no more orders, but the order to stop still comes.
            else => {
                self.lives.ordered().await;
                Interrupt::Stop
            }
        }
    }

    /// Passes on what the health check has found.
    pub(crate) fn changed(&self, id: &str, address: &UpstreamAddress, change: Change) {
        match change {
            Change::Well(first) => {
                if first {
                    tracing::info!(instance = id, %address, "app is healthy");
                } else {
                    tracing::info!(instance = id, %address, "app is healthy again");
                }
                self.traffic.set_well(address, true);
                self.board.update(id, "", |report| report.state = InstanceState::Ready);
            }
            Change::Unwell(reason) => {
                tracing::warn!(instance = id, %address, reason, "app is not healthy");
                self.traffic.set_well(address, false);
                self.board.update(id, &reason, |report| report.state = InstanceState::Unhealthy);
            }
        }
    }
}
