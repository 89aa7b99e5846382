//! An instance while it is well and after: watched, replaced by a new process, drained, stopped.

use std::{convert::Infallible, time::Duration};

use seaworthy_core::{InstanceState, UpstreamAddress};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    group::Group,
    lifecycle::{Left, Lifecycle, NotStarted, Running, describe},
    memory::{Excess, Gauge},
    process::Process,
    pulse::Pulse,
    seams::{Interrupt, Order, Seams},
};

/// How often requests in flight are counted while an instance drains.
const COUNT_EVERY: Duration = Duration::from_millis(20);
/// So many counts in a row must be zero: a request may have chosen the instance just before it was closed.
const QUIET_AFTER: u32 = 3;

/// What happens to a process that is well.
enum Event {
    Ended(String),
    Interrupt(Interrupt),
    Excess(Excess),
    /// It has been well for long enough to forget how it ended before.
    Steady,
}

impl Lifecycle {
    /// Sends requests to a process that is well, until it leaves.
    pub(crate) async fn serve(&mut self, mut running: Running, orders: &mut mpsc::Receiver<Order>) -> Left {
        self.open(&running);
        let mut steady_after = self.plan.borrow().pacing.steady;
        loop {
            match self.next_event(&mut running, orders, steady_after).await {
                Event::Ended(status) => return self.left(&mut running, &status).await,
                Event::Steady => {
                    steady_after = Duration::MAX;
                    self.seams.board.update(&self.id, "", |report| report.crash_loop = false);
                }
                Event::Interrupt(Interrupt::Stop) => {
                    self.stop(running, false).await;
                    return Left::Stopped;
                }
                Event::Interrupt(Interrupt::Order(Order::Retire(reply))) => {
                    self.seams.traffic.close(&running.address);
                    let _ = reply.send(());
                    self.stop(running, true).await;
                    self.seams.board.remove(&self.id);
                    return Left::Stopped;
                }
                Event::Interrupt(Interrupt::Order(Order::Update(reply))) if self.is_current(&running) => {
                    let _ = reply.send(Ok(()));
                }
                Event::Interrupt(Interrupt::Order(Order::Replace(reply) | Order::Update(reply))) => {
                    if let Err(status) = self.replace(&mut running, Some(reply)).await {
                        return self.left(&mut running, &status).await;
                    }
                }
                Event::Excess(excess) => {
                    if let Err(status) = self.relieve(&mut running, excess).await {
                        return self.left(&mut running, &status).await;
                    }
                }
            }
        }
    }

    /// Whether a new process would be the same.
    fn is_current(&self, running: &Running) -> bool {
        !running.plan.needs_new_process(&self.plan.borrow())
    }

    async fn next_event(
        &self,
        running: &mut Running,
        orders: &mut mpsc::Receiver<Order>,
        steady_after: Duration,
    ) -> Event {
        let group = running.process.group();
        let steady = running.well_since.checked_add(steady_after);
        let until_steady = sleep_until(steady.unwrap_or(running.well_since));
        let Running { process, address, pulse, gauge, .. } = running;
        tokio::select! {
            status = process.ended() => Event::Ended(describe(&status)),
            interrupt = self.seams.interrupt(orders) => Event::Interrupt(interrupt),
            never = self.watch(pulse, address) => match never {},
            excess = self.until_excess(gauge, group) => Event::Excess(excess),
            () = until_steady, if steady.is_some() => Event::Steady,
        }
    }

    async fn watch(&self, pulse: &mut Pulse, address: &UpstreamAddress) -> Infallible {
        let checks = || self.plan.borrow().checks.clone();
        pulse.watch(address, checks, |change| self.seams.changed(&self.id, address, change)).await
    }

    /// Looks at the memory of the process's group whenever it is measured, and reaps its orphans on the way.
    async fn until_excess(&self, gauge: &mut Gauge, group: Group) -> Excess {
        let mut samples = self.seams.memory.clone();
        samples.mark_unchanged();
        loop {
            if samples.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            group.reap();
            let bytes = samples.borrow_and_update().get(&group.id()).copied();
            let limit = self.plan.borrow().memory_limit;
            if let (Some(bytes), Some(limit)) = (bytes, limit)
                && let Some(excess) = gauge.judge(bytes, limit)
            {
                return excess;
            }
        }
    }

    /// Does something about an instance that takes too much memory.
    async fn relieve(&mut self, running: &mut Running, excess: Excess) -> Result<(), String> {
        let limit = self.plan.borrow().memory_limit.unwrap_or_default();
        let (instance, pid) = (self.id.as_str(), running.process.id());
        match excess {
            Excess::FarOver(bytes) => {
                self.kill_for_memory(&running.process, bytes);
                Err(describe(&running.process.ended().await))
            }
            Excess::Over(_) if Instant::now() < self.spared_until => Ok(()),
            Excess::Over(bytes) => {
                tracing::warn!(instance, pid, bytes, limit, "app is over its memory limit and is replaced");
                // A limit that is too low for the app must not have it started again and again without a pause.
                let next = self.backoff.ended(running.well_since.elapsed(), &self.plan.borrow().pacing);
                self.spared_until = Instant::now() + next.pause;
                self.replace(running, None).await
            }
        }
    }

    fn kill_for_memory(&self, process: &Process, bytes: u64) {
        let limit = self.plan.borrow().memory_limit.unwrap_or_default();
        let (instance, pid) = (self.id.as_str(), process.id());
        tracing::error!(instance, pid, bytes, limit, "app is far over its memory limit and is killed");
        process.kill();
    }

    /// A new process takes the place of the old one, which finishes its requests and is stopped; that is not waited for.
    /// When the new one does not become well, the old one stays, unless it takes far too much memory. An error when the
    /// old one has ended meanwhile and there is no new one.
    async fn replace(
        &self,
        running: &mut Running,
        reply: Option<oneshot::Sender<Result<(), String>>>,
    ) -> Result<(), String> {
        let stopping = async {
            self.seams.lives.ordered().await;
            Interrupt::Stop
        };
        let mut starting = std::pin::pin!(self.start(false, stopping));
        let mut ended = None;
        let started = loop {
            let Running { process, address, pulse, gauge, .. } = &mut *running;
            let group = process.group();
            tokio::select! {
                started = &mut starting => break started,
                status = process.ended(), if ended.is_none() => {
                    self.seams.traffic.close(address);
                    ended = Some(describe(&status));
                }
                never = self.watch(pulse, address), if ended.is_none() => match never {},
                // Merely over the limit, it is being replaced already. Its end comes through the branch above.
                excess = self.until_excess(gauge, group), if ended.is_none() => {
                    if let Excess::FarOver(bytes) = excess {
                        self.kill_for_memory(process, bytes);
                    }
                }
            }
        };
        let result = match started {
            Ok(new) => {
                self.open(&new);
                let old = std::mem::replace(running, new);
                let (seams, id, patience) = (self.seams.clone(), self.id.clone(), self.plan.borrow().stop_timeout);
                self.seams.lives.spawn(async move { drain(old, &seams, &id, patience).await });
                if let Some(reply) = reply {
                    let _ = reply.send(Ok(()));
                }
                return Ok(());
            }
            // Whoever waits learns it from the silence.
            Err(NotStarted::Interrupted(_)) => None,
            Err(NotStarted::Failed(error)) => Some(error.to_string()),
        };
        if let Some(reason) = result {
            tracing::error!(instance = self.id, reason, "the new process is not well: the old one keeps running");
            if let Some(reply) = reply {
                let _ = reply.send(Err(reason));
            }
        }
        ended.map_or(Ok(()), Err)
    }

    /// Requests may go there.
    fn open(&self, running: &Running) {
        self.seams.traffic.open(&self.id, running.address.clone());
        self.seams.traffic.set_well(&running.address, true);
        self.seams.board.update(&self.id, "", |report| {
            report.pid = Some(running.process.id());
            report.address = running.address.to_string();
            report.state = InstanceState::Ready;
            report.memory_bytes = None;
        });
    }

    /// The process has ended by itself.
    async fn left(&self, running: &mut Running, status: &str) -> Left {
        self.seams.traffic.close(&running.address);
        tracing::error!(instance = self.id, pid = running.process.id(), status, "app ended by itself");
        let why = format!("it ended with {status}");
        self.seams.board.update(&self.id, &why, |report| {
            report.state = InstanceState::Down;
            report.last_exit = Some(status.to_owned());
        });
        let well_for = running.well_since.elapsed();
        // What it printed last may still be on its way through the pipe.
        sleep(COUNT_EVERY).await;
        Left::Ended { well_for, why, output: running.process.last_lines.text() }
    }

    /// Stops the process for good, after its requests when there still may be some.
    async fn stop(&self, mut running: Running, serving: bool) {
        self.seams.board.update(&self.id, "it is stopping", |report| report.state = InstanceState::Stopping);
        let patience = self.plan.borrow().stop_timeout;
        if serving {
            drain(running, &self.seams, &self.id, patience).await;
        } else {
            self.seams.traffic.close(&running.address);
            let status = running.process.stop(patience).await;
            tracing::info!(instance = self.id, status = describe(&status), "app stopped");
        }
        self.seams.board.update(&self.id, "it has stopped", |report| report.state = InstanceState::Down);
    }
}

/// Lets a process finish its requests, and stops it then. `patience` is for its requests, and again for itself.
async fn drain(mut old: Running, seams: &Seams, id: &str, patience: Duration) {
    seams.traffic.close(&old.address);
    let quiet = async {
        let mut counts = 0;
        while counts < QUIET_AFTER {
            sleep(COUNT_EVERY).await;
            counts = if seams.traffic.in_flight(&old.address) == 0 { counts + 1 } else { 0 };
        }
    };
    tokio::select! {
        () = quiet => {}
        _ = old.process.ended() => {}
        () = sleep(patience) => {
            let in_flight = seams.traffic.in_flight(&old.address);
            tracing::warn!(instance = id, in_flight, ?patience, "the old process is stopped with requests in flight");
        }
        // The edge has finished its requests before the app is told to stop.
        () = seams.lives.ordered() => {}
    }
    let pid = old.process.id();
    let status = old.process.stop(patience).await;
    tracing::info!(instance = id, pid, status = describe(&status), "old process stopped");
}
