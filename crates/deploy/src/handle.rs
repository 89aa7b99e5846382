//! What others may ask of a running fleet.

use seaworthy_core::{InstanceReport, InstanceSource};
use tokio::sync::{mpsc, oneshot};

use crate::{board::Board, error::FleetError, plan::Plan};

/// A way to a fleet. Clones lead to the same one.
#[derive(Debug, Clone)]
pub struct FleetHandle {
    commands: mpsc::Sender<Command>,
    board: Board,
}

/// What is asked, with the way back. Commands are followed one after the other.
#[derive(Debug)]
pub(crate) enum Command {
    Restart(oneshot::Sender<Result<(), FleetError>>),
    Reconfigure(Plan, oneshot::Sender<Result<(), FleetError>>),
}

impl FleetHandle {
    pub(crate) fn new(commands: mpsc::Sender<Command>, board: Board) -> Self {
        Self { commands, board }
    }

    /// Replaces every process by a new one, one instance after the other: a new process must be well before the old one
    /// gets no more requests, and the old one ends when it has answered those it has. Resolves when the last new process
    /// is well; old ones may still finish their requests then. The first new process that does not become well ends it; what ran there keeps running.
    pub async fn restart(&self) -> Result<(), FleetError> {
        self.ask(Command::Restart).await
    }

    /// Changes to another plan and acts only on what is different. Health checks, time limits and the memory limit count
    /// at once; more instances are started and superfluous ones drained; another command or environment replaces the
    /// processes as [`FleetHandle::restart`] does. When a new process does not become well, everything stays with, or goes
    /// back to, the old plan.
    pub async fn reconfigure(&self, plan: impl Into<Plan>) -> Result<(), FleetError> {
        let plan = plan.into();
        self.ask(|reply| Command::Reconfigure(plan, reply)).await
    }

    /// Resolves while at least one instance is well; never for a fleet that has ended.
    pub async fn well(&self) {
        let mut well = self.board.well();
        // The board, and so the sender, lives as long as this handle.
        let _ = well.wait_for(|count| *count > 0).await;
    }

    async fn ask(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), FleetError>>) -> Command,
    ) -> Result<(), FleetError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| FleetError::Stopping)?;
        answer.await.unwrap_or(Err(FleetError::Stopping))
    }
}

impl InstanceSource for FleetHandle {
    fn instances(&self) -> Vec<InstanceReport> {
        self.board.reports()
    }
}
