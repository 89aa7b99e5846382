//! One instance that we start: its processes, one after the other, until it is told to stop.

use std::{
    io,
    net::Ipv4Addr,
    process::ExitStatus,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use seaworthy_core::{InstanceState, UpstreamAddress};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep},
};

use crate::{
    backoff::Backoff,
    board::Presence,
    error::SupervisorError,
    memory::Gauge,
    plan::Supervisor,
    ports::Port,
    process::{Launch, Process},
    pulse::Pulse,
    seams::{Interrupt, Order, Seams},
};

/// Pause between two questions while the app starts.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// One instance.
pub(crate) struct Lifecycle {
    /// `app-1`.
    pub id: String,
    /// What to run; the newest counts from the next start on, and health and limits at once.
    pub plan: watch::Receiver<Arc<Supervisor>>,
    pub seams: Seams,
    pub backoff: Backoff,
    /// Takes the reason when the app cannot be run at all.
    pub hopeless: mpsc::Sender<SupervisorError>,
    /// Starts in a row that came to nothing.
    pub starts_in_vain: u32,
    /// Waits for the next start to succeed or fail.
    pub waiting: Option<oneshot::Sender<Result<(), String>>>,
    /// Not replaced for its memory before this.
    pub spared_until: Instant,
}

/// A process that is well.
pub(crate) struct Running {
    pub process: Process,
    /// What it was started from. The plan may be another one by now.
    pub plan: Arc<Supervisor>,
    pub address: UpstreamAddress,
    pub well_since: Instant,
    pub pulse: Pulse,
    pub gauge: Gauge,
    /// Ours until the process has ended.
    pub _port: Port,
}

/// A start that came to nothing.
pub(crate) enum NotStarted {
    /// We were told something else meanwhile.
    Interrupted(Interrupt),
    /// It could not be started, or did not become well.
    Failed(SupervisorError),
}

/// How a process left.
pub(crate) enum Left {
    /// For good: we were told to stop.
    Stopped,
    /// By itself.
    Ended { well_for: Duration, why: String, output: String },
}

impl Lifecycle {
    /// Runs until told to stop, or until the app proves hopeless.
    pub(crate) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let _presence = Presence { board: self.seams.board.clone(), id: self.id.clone() };
        loop {
            let started = self.start(true, self.seams.interrupt(&mut orders)).await;
            let pause = match started {
                Ok(running) => {
                    self.starts_in_vain = 0;
                    self.reply(Ok(()));
                    match self.serve(running, &mut orders).await {
                        Left::Stopped => return,
                        Left::Ended { well_for, why, output } => self.pause_after(well_for, &why, &output),
                    }
                }
                Err(NotStarted::Interrupted(interrupt)) => match self.obey(interrupt) {
                    true => return,
                    false => continue,
                },
                Err(NotStarted::Failed(error)) => match self.failed(error).await {
                    Some(pause) => pause,
                    None => return,
                },
            };
            tokio::select! {
                () = sleep(pause) => {}
                interrupt = self.seams.interrupt(&mut orders) => if self.obey(interrupt) { return },
            }
        }
    }

    /// Starts a process and waits until it is well. `alone` when no other process serves for this instance meanwhile.
    pub(crate) async fn start(
        &self,
        alone: bool,
        interrupt: impl Future<Output = Interrupt>,
    ) -> Result<Running, NotStarted> {
        let plan = self.plan.borrow().clone();
        let failed =
            |source| NotStarted::Failed(SupervisorError::Spawn { program: plan.command.program().into(), source });
        let port = self.seams.ports.free().map_err(failed)?;
        let address = UpstreamAddress::Tcp { host: Ipv4Addr::LOCALHOST.to_string(), port: port.number };
        let Seams { spawner, guard, output, readers, .. } = &self.seams;
        let launch = Launch { plan: &plan, instance: &self.id, port: port.number, spawner, guard, output, readers };
        let mut process = Process::start(launch).await.map_err(failed)?;
        if alone {
            self.seams.board.update(&self.id, "it is starting", |report| {
                report.pid = Some(process.id());
                report.address = address.to_string();
                report.state = InstanceState::Starting;
            });
        }
        tracing::info!(instance = self.id, pid = process.id(), %address, "app started, waiting until it is healthy");
        let started = Instant::now();
        self.until_well(&mut process, &address, &plan, interrupt).await?;
        tracing::info!(
            instance = self.id,
            pid = process.id(),
            after_ms = started.elapsed().as_millis() as u64,
            "app is healthy"
        );
        let (pulse, gauge) = (Pulse::well(), Gauge::default());
        Ok(Running { process, plan, address, well_since: Instant::now(), pulse, gauge, _port: port })
    }

    async fn until_well(
        &self,
        process: &mut Process,
        address: &UpstreamAddress,
        plan: &Supervisor,
        interrupt: impl Future<Output = Interrupt>,
    ) -> Result<(), NotStarted> {
        let ask = || async {
            let checks = self.plan.borrow().checks.clone();
            checks.ask(address).await
        };
        let asking = async {
            while let Err(reason) = ask().await {
                tracing::debug!(reason, "not healthy yet");
                sleep(ASK_EVERY).await;
            }
        };
        let last_lines = process.last_lines.clone();
        let (reason, alive) = tokio::select! {
            biased;
            interrupt = interrupt => {
                let _ = process.stop(plan.stop_timeout).await;
                return Err(NotStarted::Interrupted(interrupt));
            }
            status = process.ended() => (format!("it ended with {}", describe(&status)), false),
            () = asking => return Ok(()),
            () = sleep(plan.start_timeout) => {
                let seen = ask().await.err().unwrap_or_default();
                (format!("it was not healthy within {} s ({seen})", plan.start_timeout.as_secs_f32()), true)
            }
        };
        let _ = process.stop(plan.stop_timeout).await;
        // What it printed last may still be on its way through the pipe.
        sleep(ASK_EVERY).await;
        let output = last_lines.text();
        let hint = if alive { plan.hint() } else { Supervisor::hint_after_end(&output) };
        Err(NotStarted::Failed(SupervisorError::NeverWell { reason, output, hint }))
    }

    /// Follows an order that came while nothing ran. True when that was the last one.
    fn obey(&mut self, interrupt: Interrupt) -> bool {
        match interrupt {
            Interrupt::Stop => true,
            Interrupt::Order(Order::Retire(reply)) => {
                self.seams.board.remove(&self.id);
                let _ = reply.send(());
                true
            }
            Interrupt::Order(Order::Replace(reply) | Order::Update(reply)) => {
                self.waiting = Some(reply);
                false
            }
        }
    }

    /// Notes a start that came to nothing. The pause before the next one, or `None` when there is no hope.
    async fn failed(&mut self, error: SupervisorError) -> Option<Duration> {
        self.starts_in_vain += 1;
        self.reply(Err(error.to_string()));
        let plan = self.plan.borrow().clone();
        // A program that could be started once may come back: a deploy is replacing it, or memory is short.
        if !self.seams.board.ever_well() {
            let hopeless = match &error {
                SupervisorError::NeverWell { .. } => self.starts_in_vain >= plan.pacing.hopeless,
                _ => true,
            };
            if hopeless {
                // Another instance may have said so first.
                let _ = self.hopeless.try_send(error);
                return None;
            }
        }
        let (why, output) = match error {
            SupervisorError::NeverWell { reason, output, hint } => {
                tracing::warn!(instance = self.id, reason, hint, "the app did not become healthy");
                (reason, output)
            }
            error => {
                tracing::error!(instance = self.id, %error, "the app cannot be started again yet");
                (error.to_string(), String::new())
            }
        };
        self.seams.board.update(&self.id, &why, |report| report.last_exit = Some(why.clone()));
        Some(self.pause_after(Duration::ZERO, &why, &output))
    }

    /// Notes that no process runs and why, and how long to wait before the next.
    fn pause_after(&mut self, well_for: Duration, why: &str, output: &str) -> Duration {
        let next = self.backoff.ended(well_for, &self.plan.borrow().pacing);
        let why = format!("{why}; next start at {}", time_of_day(SystemTime::now() + next.pause));
        if next.began {
            tracing::error!(
                instance = self.id,
                early_ends = next.early_ends,
                "the app is in a crash loop: it ends soon after each start, and is now started again only at the longest \
                 pause. Its last lines:\n{output}"
            );
        }
        self.seams.board.update(&self.id, &why, |report| {
            report.pid = None;
            report.memory_bytes = None;
            report.state = if next.crash_loop { InstanceState::CrashLoop } else { InstanceState::Down };
            report.crash_loop = next.crash_loop;
            report.restarts += 1;
        });
        let pause_ms = next.pause.as_millis() as u64;
        tracing::warn!(instance = self.id, pause_ms, "starting the app again after a pause");
        next.pause
    }

    /// Tells whoever waits for a new process.
    fn reply(&mut self, result: Result<(), String>) {
        if let Some(waiting) = self.waiting.take() {
            let _ = waiting.send(result);
        }
    }
}

/// For a person, to the second.
fn time_of_day(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() % 86_400;
    format!("{:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A status for a person.
pub(crate) fn describe(status: &io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => format!("unknown status ({error})"),
    }
}
