//! Waiting for a client that has nothing to say: only the socket is kept, neither buffers nor a parser.

use std::time::Duration;

use seaworthy_core::Shutdown;
use tokio::{net::TcpStream, sync::Notify, time::sleep};

use crate::server::LAST_REQUESTS;

/// Waits until the client sends something (or leaves, which the next read tells). False when the connection shall be
/// closed instead: it was idle for too long, its place is needed, or we were told to stop.
pub(crate) async fn until_readable(stream: &TcpStream, patience: Duration, order: &Shutdown, crowded: &Notify) -> bool {
    tokio::select! {
        biased;
        ready = stream.readable() => ready.is_ok(),
        () = sleep(patience) => false,
        () = crowded.notified() => false,
        () = order.ordered() => {
            // A request that is on its way is still answered.
            tokio::select! {
                ready = stream.readable() => ready.is_ok(),
                () = sleep(LAST_REQUESTS) => false,
            }
        }
    }
}
