//! Certificates from an authority (RFC 8555): when one is due, who orders it, and what happens when that fails.

mod challenges;
mod client;
mod lease;
mod order;
mod schedule;
mod store;

use std::{
    collections::HashMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex as StdMutex, OnceLock, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use instant_acme::{Account, CertificateIdentifier, NewAccount};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

use super::{certificate::Certificate, error::TlsError, now, settings::AcmeSettings};
use client::Client;
use lease::Lease;
use order::{Obtained, OrderError, Wanted};
use store::{Failure, Store};

pub(super) use challenges::Challenges;

/// An attempt that takes longer has hung.
const ATTEMPT: Duration = Duration::from_secs(10 * 60);
/// Until the authority is asked again when to renew, after it could not be asked.
const RENEWAL_INFO_RETRY: i64 = 60 * 60;

/// The orders of one node.
pub(super) struct Acme {
    settings: AcmeSettings,
    hosts: Vec<String>,
    store: Store,
    challenges: Arc<Challenges>,
    trust: Vec<CertificateDer<'static>>,
    client: OnceLock<Client>,
    /// Our account, once it is known.
    account: Mutex<Option<Account>>,
    suggestions: StdMutex<HashMap<String, Suggestion>>,
}

/// What the authority said of the renewal of one certificate.
#[derive(Debug, Clone)]
struct Suggestion {
    serial: Option<String>,
    window: Option<(i64, i64)>,
    ask_again: i64,
}

/// What was done for a host.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing is to be done.
    NotDue,
    /// Another node is at it.
    Elsewhere,
    /// The store holds a new certificate, of ours or another node's.
    Stored,
    /// The last attempt failed; the next one has its time.
    Waits(String),
}

impl Acme {
    /// Opens the store.
    pub fn open(settings: &AcmeSettings, hosts: Vec<String>) -> Result<Self, TlsError> {
        let root = PathBuf::from(&settings.store);
        let unwritable = |source: io::Error| TlsError::Unwritable { path: root.clone(), source };
        let store = Store::open(&root, &settings.directory).map_err(unwritable)?;
        let trust = settings.trust.as_deref().map(|path| trusted(Path::new(path))).transpose()?.unwrap_or_default();
        let challenges = Arc::new(Challenges::new(store.clone(), hosts.clone()));
        Ok(Self {
            settings: settings.clone(),
            hosts,
            store,
            challenges,
            trust,
            client: OnceLock::new(),
            account: Mutex::default(),
            suggestions: StdMutex::default(),
        })
    }

    /// Hosts whose certificates come from the authority.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Where the host's certificate is kept.
    pub fn certificate_path(&self, host: &str) -> PathBuf {
        self.store.certificate_path(host)
    }

    /// Answers to open challenges.
    pub fn challenges(&self) -> Arc<Challenges> {
        self.challenges.clone()
    }

    /// Does what is due for a host; `current` is the certificate in use.
    pub async fn tend(&self, host: &str, current: Option<&Certificate>) -> Step {
        if !self.is_due(current).await {
            return Step::NotDue;
        }
        match self.attempt(host, current).await {
            Ok(step) => step,
            Err(OrderError::Lost) => Step::Elsewhere,
            Err(error) => Step::Waits(error.to_string()),
        }
    }

    async fn is_due(&self, current: Option<&Certificate>) -> bool {
        let Some(current) = current else { return true };
        let window = self.window(current).await;
        let seed = current.leaf().map_or(0, |leaf| {
            let digest = Sha256::digest(leaf);
            digest.iter().take(8).fold(0_u64, |seed, byte| seed << 8 | u64::from(*byte))
        });
        now() >= schedule::renew_at(current.not_before, current.not_after, window, seed)
    }

    /// With the lease, unless a failure of any node says to wait.
    async fn attempt(&self, host: &str, current: Option<&Certificate>) -> Result<Step, OrderError> {
        if let Some(wait) = self.wait(host)? {
            return Ok(wait);
        }
        let Some(lease) = Lease::acquire(&self.store.leases(), host)? else { return Ok(Step::Elsewhere) };
        // Between our look and the lease another node may have come and gone.
        if self.has_newer(host, current) {
            return Ok(Step::Stored);
        }
        if let Some(wait) = self.wait(host)? {
            return Ok(wait);
        }
        info!(host, directory = self.settings.directory, renewal = current.is_some(), "ordering a certificate");
        let attempts = self.store.failure(host)?.map_or(0, |failure| failure.attempts);
        let outcome = tokio::select! {
            outcome = timeout(ATTEMPT, self.obtain(host, current, attempts)) => {
                outcome.unwrap_or_else(|_| Err(OrderError::Other("the attempt took longer than ten minutes".into())))
            }
            error = keep(&lease) => Err(error),
        };
        match outcome {
            Ok(obtained) => {
                self.accept(host, &obtained)?;
                Ok(Step::Stored)
            }
            Err(OrderError::Lost) => Err(OrderError::Lost),
            Err(error) => self.record(host, attempts + 1, &error).await,
        }
    }

    fn wait(&self, host: &str) -> io::Result<Option<Step>> {
        let waits = self.store.failure(host)?.filter(|failure| failure.next > now());
        Ok(waits.map(|failure| Step::Waits(failure.why)))
    }

    fn has_newer(&self, host: &str, current: Option<&Certificate>) -> bool {
        let path = self.certificate_path(host);
        let stored = Certificate::load(&path, &path).ok();
        stored.is_some_and(|stored| current.is_none_or(|current| stored.not_after > current.not_after))
    }

    async fn obtain(&self, host: &str, current: Option<&Certificate>, attempts: u32) -> Result<Obtained, OrderError> {
        let account = self.account().await?;
        let mut challenges = self.settings.challenges.clone();
        let turn = attempts as usize % challenges.len().max(1);
        challenges.rotate_left(turn);
        let replaces = current.and_then(|current| {
            let suggestion = self.suggestion(current)?;
            suggestion.window?;
            CertificateIdentifier::try_from(current.leaf()?).ok().map(CertificateIdentifier::into_owned)
        });
        Wanted { account: &account, store: &self.store, host, challenges, replaces }.obtain().await
    }

    /// Nothing is kept that could not be served.
    fn accept(&self, host: &str, obtained: &Obtained) -> Result<(), OrderError> {
        let path = self.certificate_path(host);
        let certificate = Certificate::parse(obtained.chain.as_bytes(), obtained.key.as_bytes(), &path, &path)
            .map_err(|error| OrderError::Other(format!("the authority's certificate cannot be used: {error}")))?;
        if !certificate.covers(host) {
            return Err(OrderError::Other("the authority's certificate names another host".into()));
        }
        self.store.put_certificate(host, &obtained.key, &obtained.chain)?;
        self.store.remove_order(host)?;
        self.store.remove_failure(host)?;
        info!(host, not_after = certificate.not_after, "a certificate was obtained");
        Ok(())
    }

    async fn record(&self, host: &str, attempts: u32, error: &OrderError) -> Result<Step, OrderError> {
        let asked = self.client.get().and_then(Client::take_retry_after);
        if error.is_unknown_account() {
            warn!(host, "the authority does not know our account any more: a new one is made");
            self.store.remove_account()?;
            *self.account.lock().await = None;
        }
        let kind = if error.is_unknown_account() { schedule::Kind::Unreachable } else { error.kind() };
        let pause = schedule::pause(kind, attempts, fastrand::f64()).as_secs();
        let asked = asked.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |time| time.as_secs());
        let next = now().saturating_add_unsigned(pause).max(i64::try_from(asked).unwrap_or(0));
        let why = error.to_string();
        let file = self.store.failure_path(host);
        let seconds = next - now();
        warn!(
            host,
            attempts,
            "no certificate: {why}; next attempt in {seconds} s, remove {} for one now",
            file.display()
        );
        self.store.put_failure(host, &Failure { attempts, next, why: why.clone() })?;
        Ok(Step::Waits(why))
    }

    /// Our account: of this process, of the store, or a new one.
    async fn account(&self) -> Result<Account, OrderError> {
        let mut held = self.account.lock().await;
        if let Some(account) = held.as_ref() {
            return Ok(account.clone());
        }
        let client = self.client()?;
        let account = match self.stored_account(client).await? {
            Some(account) => account,
            None => self.create_account(client).await?,
        };
        Ok(held.insert(account).clone())
    }

    fn client(&self) -> Result<&Client, OrderError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::new(&self.trust).map_err(|error| OrderError::Other(error.to_string()))?;
        Ok(self.client.get_or_init(|| client))
    }

    async fn stored_account(&self, client: &Client) -> Result<Option<Account>, OrderError> {
        let Some(credentials) = self.store.account()? else { return Ok(None) };
        let credentials = serde_json::from_str(&credentials).map_err(|_| {
            OrderError::Other("account.json in the store is damaged; restore it, or remove it for a new account".into())
        })?;
        let builder = Account::builder_with_http(Box::new(client.clone()));
        Ok(Some(builder.from_credentials(credentials).await?))
    }

    async fn create_account(&self, client: &Client) -> Result<Account, OrderError> {
        // Another node makes one at this moment: its account will be ours in a second or two.
        let lease = Lease::acquire(&self.store.leases(), "account")?;
        let Some(_lease) = lease else { return Err(OrderError::Lost) };
        if let Some(account) = self.stored_account(client).await? {
            return Ok(account);
        }
        let contact = self.settings.email.as_ref().map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let wanted = NewAccount {
            contact: &contact,
            terms_of_service_agreed: self.settings.terms_accepted,
            only_return_existing: false,
        };
        let builder = Account::builder_with_http(Box::new(client.clone()));
        let (account, credentials) = builder.create(&wanted, self.settings.directory.clone(), None).await?;
        let credentials = serde_json::to_string(&credentials).map_err(|error| OrderError::Other(error.to_string()))?;
        self.store.put_account(&credentials)?;
        info!(directory = self.settings.directory, "an account was made");
        Ok(account)
    }

    /// The window in which the authority wants this certificate renewed (RFC 9773); asked as often as it says.
    async fn window(&self, current: &Certificate) -> Option<(i64, i64)> {
        let known = self.suggestion(current);
        if let Some(known) = &known
            && now() < known.ask_again
        {
            return known.window;
        }
        let (window, ask_again) = match self.ask_window(current).await {
            Ok((window, pause)) => (Some(window), now().saturating_add_unsigned(pause.as_secs().max(60))),
            Err(error) => {
                debug!("the authority does not say when to renew: {error}");
                (known.and_then(|known| known.window), now() + RENEWAL_INFO_RETRY)
            }
        };
        let serial = serial(current);
        let suggestion = Suggestion { serial: serial.clone(), window, ask_again };
        let mut suggestions = self.suggestions.lock().unwrap_or_else(PoisonError::into_inner);
        suggestions.insert(current.names.first().cloned().unwrap_or_default(), suggestion);
        window
    }

    fn suggestion(&self, current: &Certificate) -> Option<Suggestion> {
        let suggestions = self.suggestions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = suggestions.get(current.names.first()?)?;
        (known.serial == serial(current)).then(|| known.clone())
    }

    async fn ask_window(&self, current: &Certificate) -> Result<((i64, i64), Duration), OrderError> {
        let leaf = current.leaf().ok_or_else(|| OrderError::Other("no certificate".into()))?;
        let identifier = CertificateIdentifier::try_from(leaf).map_err(OrderError::Other)?;
        if self.store.account()?.is_none() {
            return Err(OrderError::Other("no account, and none is made for a question".into()));
        }
        let (info, pause) = self.account().await?.renewal_info(&identifier).await?;
        let window = info.suggested_window;
        Ok(((window.start.unix_timestamp(), window.end.unix_timestamp()), pause))
    }
}

impl fmt::Debug for Acme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acme").field("hosts", &self.hosts).field("store", &self.store).finish_non_exhaustive()
    }
}

/// Extends the lease; returns when it is lost.
async fn keep(lease: &Lease) -> OrderError {
    loop {
        sleep(lease::BEAT).await;
        match lease.renew() {
            Ok(true) => {}
            Ok(false) => return OrderError::Lost,
            Err(error) => return error.into(),
        }
    }
}

fn serial(certificate: &Certificate) -> Option<String> {
    let identifier = CertificateIdentifier::try_from(certificate.leaf()?).ok()?;
    Some(identifier.to_string())
}

fn trusted(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = fs::read(path).map_err(|source| TlsError::Unreadable { path: path.into(), source })?;
    let read: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    if read.is_empty() {
        let reason = "it holds no `BEGIN CERTIFICATE`; the authority's root in PEM is expected".to_owned();
        return Err(TlsError::Malformed { path: path.into(), reason });
    }
    Ok(read)
}
