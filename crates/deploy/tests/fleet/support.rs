//! A fleet on a stage: traffic and output that remember, and words to wait with.

use std::{
    collections::BTreeMap,
    env,
    io::{Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use seaworthy_core::{
    AppOutput, InstanceReport, InstanceSource, InstanceState, Readiness, Secret, Shutdown, Traffic, UpstreamAddress,
};
use seaworthy_deploy::{Command, Fleet, FleetHandle, Health, HealthChecks, Pacing, Plan, Supervisor, SupervisorError};
use tokio::{sync::oneshot, time::sleep};

/// Far longer than anything takes; only a broken test waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Remembers where requests may go, and pretends that some are in flight.
#[derive(Debug, Default)]
pub struct Recorder {
    state: Mutex<Recorded>,
}

#[derive(Debug, Default)]
struct Recorded {
    /// Addresses and whether they are well.
    open: BTreeMap<String, bool>,
    in_flight: BTreeMap<String, usize>,
    /// The fewest open addresses since [`Recorder::count_from_now`].
    fewest: usize,
    lines: Vec<String>,
}

impl Recorder {
    pub fn open(&self) -> Vec<String> {
        self.state.lock().unwrap().open.keys().cloned().collect()
    }

    pub fn is_well(&self, address: &str) -> Option<bool> {
        self.state.lock().unwrap().open.get(address).copied()
    }

    pub fn hold(&self, address: &str, requests: usize) {
        self.state.lock().unwrap().in_flight.insert(address.into(), requests);
    }

    pub fn count_from_now(&self) {
        let mut state = self.state.lock().unwrap();
        state.fewest = state.open.len();
    }

    pub fn fewest(&self) -> usize {
        self.state.lock().unwrap().fewest
    }

    pub fn lines(&self) -> Vec<String> {
        self.state.lock().unwrap().lines.clone()
    }
}

impl Traffic for Recorder {
    fn open(&self, _instance: &str, address: UpstreamAddress) {
        self.state.lock().unwrap().open.insert(address.to_string(), true);
    }

    fn close(&self, address: &UpstreamAddress) {
        let mut state = self.state.lock().unwrap();
        state.open.remove(&address.to_string());
        state.fewest = state.fewest.min(state.open.len());
    }

    fn set_well(&self, address: &UpstreamAddress, well: bool) {
        if let Some(known) = self.state.lock().unwrap().open.get_mut(&address.to_string()) {
            *known = well;
        }
    }

    fn in_flight(&self, address: &UpstreamAddress) -> usize {
        self.state.lock().unwrap().in_flight.get(&address.to_string()).copied().unwrap_or(0)
    }
}

impl AppOutput for Recorder {
    fn line(&self, instance: &str, stream: &'static str, text: &str) {
        self.state.lock().unwrap().lines.push(format!("{instance} {stream} {text}"));
    }
}

/// A running fleet.
pub struct Stage {
    pub handle: FleetHandle,
    pub recorder: Arc<Recorder>,
    pub readiness: Readiness,
    shutdown: Shutdown,
    ended: oneshot::Receiver<Result<(), SupervisorError>>,
}

impl Stage {
    pub fn set(plan: impl Into<Plan>) -> Self {
        let (recorder, readiness, shutdown) = (Arc::new(Recorder::default()), Readiness::default(), Shutdown::new());
        let ready = readiness.declare("app", "its start");
        let (fleet, handle) = Fleet::new(plan, recorder.clone(), recorder.clone(), ready);
        let (sender, ended) = oneshot::channel();
        let order = shutdown.clone();
        shutdown.spawn(async move {
            let _ = sender.send(fleet.run(order).await);
        });
        Self { handle, recorder, readiness, shutdown, ended }
    }

    /// Waits until so many instances, and no others, are well.
    pub async fn well(&self, count: usize) -> Vec<InstanceReport> {
        self.until("the instances are well", |reports| {
            reports.len() == count && reports.iter().all(|report| report.state == InstanceState::Ready)
        })
        .await
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&[InstanceReport]) -> bool) -> Vec<InstanceReport> {
        let since = Instant::now();
        loop {
            let reports = self.handle.instances();
            // None are there before the fleet has begun.
            if !reports.is_empty() && holds(&reports) {
                return reports;
            }
            assert!(since.elapsed() < PATIENCE, "in vain until {what}: {reports:?}\n{:?}", self.recorder.lines());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Tells it to stop, and does not wait.
    pub fn begin_to_stop(&self) {
        self.shutdown.begin();
    }

    /// Stops it; every process must be gone then.
    pub async fn strike(self) {
        let pids = pids(&self.handle.instances());
        self.shutdown.begin();
        self.ended.await.unwrap().unwrap();
        assert!(pids.into_iter().all(is_gone));
        assert!(self.recorder.open().is_empty());
        assert!(self.readiness.conditions().is_empty());
    }

    /// Waits for the end of a fleet that cannot be run.
    pub async fn failed(self) -> SupervisorError {
        self.ended.await.unwrap().unwrap_err()
    }
}

/// Waits for a condition that no report shows.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "in vain until {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The test's own app, with more words.
pub fn app(words: &str) -> Supervisor {
    let own = env::current_exe().unwrap();
    Supervisor {
        command: Command::parse(&format!("'{}' app {words}", own.display())).unwrap(),
        environment: vec![("COLOUR".into(), Secret::new("blue"))],
        app_api: Some(("http://127.0.0.1:1/api".into(), Secret::new("token-1"))),
        launcher: None,
        instances: 1,
        memory_limit: None,
        checks: HealthChecks {
            health: Health::Path("/health".into()),
            interval: Duration::from_millis(50),
            timeout: Duration::from_secs(5),
        },
        start_timeout: Duration::from_secs(20),
        stop_timeout: Duration::from_secs(10),
        pacing: Pacing {
            first_pause: Duration::from_millis(10),
            longest_pause: Duration::from_millis(200),
            ..Pacing::default()
        },
    }
}

pub fn pids(reports: &[InstanceReport]) -> Vec<u32> {
    reports.iter().filter_map(|report| report.pid).collect()
}

pub fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

/// Ended, and its status taken.
pub fn is_gone(pid: u32) -> bool {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), None).is_err()
}

/// Ended; its status is for whoever inherits it.
pub fn is_zombie(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

/// Body of a GET.
pub fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address.strip_prefix("http://").unwrap()).unwrap();
    // In one piece: the app reads once.
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: app\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer.split_once("\r\n\r\n").map(|(_, body)| body.trim().to_owned()).unwrap_or_default()
}
