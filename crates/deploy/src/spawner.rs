//! The one thread that starts processes.

use std::{io, sync::mpsc, thread};

use tokio::{
    process::{Child, Command},
    runtime::Handle,
    sync::oneshot,
};

use crate::family::{self, Kin};

/// Starts processes from a thread that lives until the last clone of this is dropped.
///
/// The kernel sends the parent-death signal (see `launch.rs`) when the *thread* that forked ends, not the process. The
/// threads of a runtime come and go as it likes, so each process is started by a thread of ours, and holds it.
#[derive(Debug, Clone)]
pub(crate) struct Spawner(mpsc::Sender<Job>);

type Job = Box<dyn FnOnce() + Send>;

impl Spawner {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        let (sender, jobs) = mpsc::channel::<Job>();
        thread::Builder::new().name("spawner".into()).spawn(move || {
            for job in jobs {
                job();
            }
        })?;
        Ok(Self(sender))
    }

    /// Starts a process.
    pub(crate) async fn spawn(&self, mut command: Command) -> io::Result<Child> {
        let (reply, answer) = oneshot::channel();
        let runtime = Handle::current();
        let job = move || {
            // The child's pipes and its end are watched by the runtime that asked.
            let _inside = runtime.enter();
            let started = family::start(Kin::Leader, || command.spawn(), Child::id);
            // Nobody waits any more: the child is dropped, which ends it.
            if let Err(Ok(child)) = reply.send(started) {
                child.id().into_iter().for_each(family::forget);
            }
        };
        let gone = || io::Error::other("the thread that starts processes has ended");
        self.0.send(Box::new(job)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}
