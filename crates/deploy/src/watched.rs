//! One address where an app runs that we do not start.

use std::sync::Arc;

use seaworthy_core::UpstreamAddress;
use tokio::sync::{mpsc, watch};

use crate::{
    plan::Watched,
    pulse::{Change, Pulse},
    seams::{Interrupt, Order, Seams},
};

/// Watches one address until it is retired or everything stops. It is opened at its first good answer and stays open: a
/// health check that fails is not yet a service that does, and `Traffic` prefers instances that are well.
pub(crate) async fn watch_address(
    id: String,
    address: UpstreamAddress,
    plan: watch::Receiver<Arc<Watched>>,
    seams: Seams,
    mut orders: mpsc::Receiver<Order>,
) {
    let mut pulse = Pulse::default();
    let changed = |change: Change| {
        if change == Change::Well(true) {
            seams.traffic.open(&id, address.clone());
        }
        seams.changed(&id, &address, change);
    };
    let watching = async {
        let never = pulse.watch(&address, || plan.borrow().checks.clone(), changed).await;
        match never {}
    };
    let obeying = async {
        loop {
            match seams.interrupt(&mut orders).await {
                Interrupt::Stop => return None,
                Interrupt::Order(Order::Retire(reply)) => return Some(reply),
                Interrupt::Order(Order::Replace(reply) | Order::Update(reply)) => {
                    let _ = reply.send(Err("it is not ours to start".into()));
                }
            }
        }
    };
    let retired = tokio::select! {
        never = watching => never,
        retired = obeying => retired,
    };
    seams.traffic.close(&address);
    seams.board.remove(&id);
    if let Some(reply) = retired {
        let _ = reply.send(());
    }
}
