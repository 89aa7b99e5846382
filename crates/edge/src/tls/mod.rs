//! TLS: which certificate a client gets, where certificates come from, and that they are renewed in time.
//!
//! Handshakes read a table behind one pointer ([`resolver`]). Beside them, on the control plane, [`Tls::run`] watches
//! files and orders certificates, and swaps the table when something changed.

mod acme;
mod atomic_file;
mod certificate;
mod error;
mod handshake;
mod inventory;
mod report;
mod resolver;
mod self_signed;
mod settings;
mod watched;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::{ServerConfig, server::ProducesTickets};
use seaworthy_core::{Clock, Condition, ReadinessHandle, Shutdown, SystemClock};
use tokio::{sync::Notify, task::spawn_blocking, time::sleep};
use tracing::{debug, error};

pub use error::TlsError;
pub use handshake::ACME_TLS_ALPN;
pub use report::{CertificateReport, CertificateSource};
pub use settings::{AcmeSettings, CertificateFiles, ChallengeKind, SelfSigned, TlsSettings, TlsVersion};

use acme::Step;
use inventory::Inventory;
use resolver::Resolver;

/// How often we see whether a certificate is due; a look costs no request.
const ACME_INTERVAL: Duration = Duration::from_secs(1);

/// TLS of one edge. Clones share everything.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    resolver: Arc<Resolver>,
    ticketer: Arc<dyn ProducesTickets>,
    config: ArcSwap<ServerConfig>,
    inventory: Mutex<Inventory>,
    replaced: Notify,
}

impl Tls {
    /// Reads the certificates, signs one where that is allowed, and opens the store; orders nothing yet. `hosts` are
    /// `edge.hosts`; in `production` nothing is served without a certificate, unless `self_signed` says so.
    ///
    /// # Errors
    /// When a file cannot be used or a host would be without certificate; each error says what to do.
    pub fn build(
        hosts: &[String],
        tls: &TlsSettings,
        acme: Option<&AcmeSettings>,
        production: bool,
    ) -> Result<Self, TlsError> {
        let inventory = Inventory::load(hosts, tls, acme, production, now())?;
        let resolver = Arc::new(Resolver::new(inventory.table()));
        let ticketer = handshake::ticketer()?;
        let challenges = inventory.acme().is_some();
        let config = handshake::server_config(tls, resolver.clone(), ticketer.clone(), challenges)?;
        report::publish(&inventory.reports(now()));
        Ok(Self(Arc::new(Shared {
            resolver,
            ticketer,
            config: ArcSwap::from_pointee(config),
            inventory: Mutex::new(inventory),
            replaced: Notify::new(),
        })))
    }

    /// For the acceptor: ask again for each connection, [`Tls::replace`] may have changed it. Certificates change inside
    /// it. A connection that agreed on [`ACME_TLS_ALPN`] is to be closed after the handshake.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.0.config.load_full()
    }

    /// The answer to `GET /.well-known/acme-challenge/{token}` (RFC 8555, 8.3), as `application/octet-stream`; also for
    /// orders of other nodes that share the store. Reads a file.
    pub fn challenge(&self, token: &str) -> Option<String> {
        self.0.resolver.challenges()?.key_authorization(token)
    }

    /// What each host's clients get now.
    pub fn certificates(&self) -> Vec<CertificateReport> {
        self.0.lock().reports(now())
    }

    /// Takes new settings as a whole, or refuses them as a whole and keeps the old.
    ///
    /// # Errors
    /// As [`Tls::build`].
    pub fn replace(
        &self,
        hosts: &[String],
        tls: &TlsSettings,
        acme: Option<&AcmeSettings>,
        production: bool,
    ) -> Result<(), TlsError> {
        let inventory = Inventory::load(hosts, tls, acme, production, now())?;
        let (resolver, ticketer) = (self.0.resolver.clone(), self.0.ticketer.clone());
        let config = handshake::server_config(tls, resolver, ticketer, inventory.acme().is_some())?;
        let mut held = self.0.lock();
        *held = inventory;
        self.0.resolver.swap(held.table());
        self.0.config.store(Arc::new(config));
        report::publish(&held.reports(now()));
        drop(held);
        self.0.replaced.notify_waiters();
        Ok(())
    }

    /// Watches files, obtains and renews certificates until told to stop.
    ///
    /// `readiness` is pending while a host waits for its first certificate, and ready from then on. Leave it out where
    /// the authority's challenge reaches us only when we are ready, behind a load balancer for example: each would wait
    /// for the other.
    pub async fn run(self, readiness: Option<ReadinessHandle>, shutdown: Shutdown) {
        let work = async { tokio::join!(self.watch(readiness.as_ref()), self.order()) };
        tokio::select! {
            _ = work => {}
            () = shutdown.ordered() => {}
        }
        if let Some(readiness) = readiness {
            readiness.retire();
        }
    }

    async fn watch(&self, readiness: Option<&ReadinessHandle>) {
        let mut waiting = readiness;
        loop {
            let (interval, awaited) = {
                let inventory = self.0.lock();
                (inventory.settings().reload_interval.0, inventory.awaited().join(", "))
            };
            match (waiting, awaited.is_empty()) {
                (Some(handle), true) => {
                    handle.set(Condition::Ready);
                    waiting = None;
                }
                (Some(handle), false) => handle.set(Condition::Pending(format!("a certificate for {awaited}"))),
                (None, _) => {}
            }
            tokio::select! {
                () = sleep(interval) => {}
                () = self.0.replaced.notified() => {}
            }
            self.refresh().await;
        }
    }

    async fn order(&self) {
        loop {
            let acme = self.0.lock().acme();
            for host in acme.iter().flat_map(|acme| acme.hosts()) {
                let Some(acme) = &acme else { break };
                let current = self.0.lock().obtained(host);
                match acme.tend(host, current.as_deref()).await {
                    Step::NotDue => self.0.lock().note(host, None),
                    Step::Elsewhere => debug!(host, "another node orders this certificate"),
                    Step::Stored => self.refresh().await,
                    Step::Waits(problem) => self.0.lock().note(host, Some(problem)),
                }
            }
            tokio::select! {
                () = sleep(ACME_INTERVAL) => {}
                () = self.0.replaced.notified() => {}
            }
        }
    }

    /// Looks at every file, on a thread that may wait for a disk.
    async fn refresh(&self) {
        let shared = self.0.clone();
        let looked = spawn_blocking(move || {
            let mut inventory = shared.lock();
            if inventory.refresh(now()) {
                shared.resolver.swap(inventory.table());
                report::publish(&inventory.reports(now()));
            }
        });
        if looked.await.is_err() {
            error!("the look at certificate files panicked; the certificates in use stay");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inventory> {
        // A holder that panicked leaves usable certificates behind: each is replaced whole.
        self.inventory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.certificates()).finish()
    }
}

fn now() -> i64 {
    SystemClock.unix_micros() / 1_000_000
}
