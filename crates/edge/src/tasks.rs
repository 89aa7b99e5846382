//! Lets the HTTP library start tasks that are counted and waited for.

use std::future::Future;

use hyper::rt::Executor;
use seaworthy_core::Shutdown;

/// Starts tasks on the current runtime.
#[derive(Debug, Clone)]
pub(crate) struct TaskExecutor(pub Shutdown);

impl<F> Executor<F> for TaskExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
