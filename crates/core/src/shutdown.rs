//! One order to stop, and one place that knows which tasks still run.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Handed to every `run`. Clones share the order and the count of tasks.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    order: CancellationToken,
    /// The order as a number to read: asked for every request, where the token takes a lock.
    begun: Arc<Begun>,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Begun {
    own: AtomicBool,
    whole: Option<Arc<Begun>>,
}

impl Begun {
    fn is_set(&self) -> bool {
        self.own.load(Ordering::Acquire) || self.whole.as_ref().is_some_and(|whole| whole.is_set())
    }
}

impl Shutdown {
    /// A fresh one: nothing runs, nobody was told to stop.
    pub fn new() -> Self {
        Self::default()
    }

    /// A part that can be told to stop on its own and stops with the whole; it counts its own tasks.
    #[must_use]
    pub fn child(&self) -> Self {
        let begun = Arc::new(Begun { own: AtomicBool::new(false), whole: Some(self.begun.clone()) });
        Self { order: self.order.child_token(), begun, tasks: TaskTracker::new() }
    }

    /// Tells everyone to stop.
    pub fn begin(&self) {
        self.begun.own.store(true, Ordering::Release);
        self.order.cancel();
    }

    /// True from [`Shutdown::begin`] on.
    pub fn has_begun(&self) -> bool {
        self.begun.is_set()
    }

    /// Resolves when the order is given (at once when it was).
    pub async fn ordered(&self) {
        self.order.cancelled().await;
    }

    /// Runs a task on the current runtime and counts it until it ends.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(task);
    }

    /// How many counted tasks still run.
    pub fn running(&self) -> usize {
        self.tasks.len()
    }

    /// Waits until every counted task has ended, at most this long. True when none is left.
    pub async fn finished<T>(&self, deadline: T) -> bool
    where
        T: Future<Output = ()>,
    {
        self.tasks.close();
        let mut deadline = std::pin::pin!(deadline);
        let mut wait = std::pin::pin!(self.tasks.wait());
        std::future::poll_fn(|context| {
            if wait.as_mut().poll(context).is_ready() {
                return std::task::Poll::Ready(true);
            }
            deadline.as_mut().poll(context).map(|()| false)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_for_its_tasks_and_gives_up_at_the_deadline() {
        let shutdown = Shutdown::new();
        let part = shutdown.child();
        let inner = part.clone();
        part.spawn(async move { inner.ordered().await });
        assert!(!part.finished(std::future::ready(())).await);
        assert!(!part.has_begun());
        assert_eq!(part.running(), 1);
        shutdown.begin();
        assert!(part.has_begun() && part.child().has_begun());
        assert!(part.finished(std::future::pending()).await);
        let whole = Shutdown::new();
        whole.child().begin();
        assert!(!whole.has_begun());
    }
}
