//! One browser for a whole run, and contexts in it that know nothing of each other.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{connection::Connection, error::BrowserError, page::Page, process::Process, program, workers::Workers};

/// A cold disk and busy cores make a start slow.
const START: Duration = Duration::from_secs(40);
/// So many contexts work at once: more of them only wait for the same cores, and what is measured becomes noise.
const AT_ONCE: usize = 3;

/// How a browser is started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Launch {
    /// The program; `None`: as [`program::find`] finds it.
    pub program: Option<PathBuf>,
    /// A host name and the address where it is reached, whatever the resolver says.
    pub reached_at: Option<(String, String)>,
}

/// A running browser. Dropped, its processes are killed and its profile is removed.
pub struct Browser {
    connection: Arc<Connection>,
    workers: Arc<Workers>,
    agent: String,
    product: String,
    launch: Launch,
    places: Arc<Semaphore>,
    process: Mutex<Process>,
}

/// A browser within the browser: its own cookies, stores, caches and workers. Dropped, all of it goes.
pub struct Context {
    browser: Arc<Browser>,
    id: String,
    _place: OwnedSemaphorePermit,
}

/// Those that run in this process, so that all who need one meet in it.
static RUNNING: Mutex<Vec<Weak<Browser>>> = Mutex::new(Vec::new());

impl Browser {
    /// The browser that this process runs already in this way, or a new one. It ends with its last holder.
    ///
    /// # Errors
    /// When there is no program, or it does not start.
    pub async fn share(launch: &Launch) -> Result<Arc<Self>, BrowserError> {
        let running = || {
            let mut all = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|one| one.strong_count() > 0);
            let mut living = all.iter().filter_map(Weak::upgrade).filter(|one| !one.connection.has_ended());
            // One that resolves a name in its own way serves all who do not ask for that name as well.
            living.find(|one| {
                one.launch.program == launch.program
                    && (launch.reached_at.is_none() || one.launch.reached_at == launch.reached_at)
            })
        };
        static STARTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _one_at_a_time = STARTING.lock().await;
        if let Some(browser) = running() {
            return Ok(browser);
        }
        let browser = Arc::new(Self::start(launch.clone()).await?);
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&browser));
        Ok(browser)
    }

    /// Starts a browser.
    ///
    /// # Errors
    /// When there is no program, or it does not start.
    pub async fn start(launch: Launch) -> Result<Self, BrowserError> {
        let program = launch.program.clone().or_else(program::find).ok_or(BrowserError::Missing)?;
        let rule = launch.reached_at.as_ref().map(|(host, address)| {
            let address = if address.contains(':') { format!("[{address}]") } else { address.clone() };
            format!("--host-resolver-rules=MAP {host} {address}")
        });
        let (process, input, output) = Process::start(&program, rule.as_slice())?;
        let connection = Connection::over(input, output);
        let workers = Arc::new(Workers::default());
        connection.listen("", workers.clone());
        let silent = |process: &Process| BrowserError::Silent { program: program.clone(), said: process.said() };
        let version = match connection.call_within(START, "", "Browser.getVersion", json!({})).await {
            Ok(version) => version,
            Err(_) => return Err(silent(&process)),
        };
        connection.call("", "Target.setAutoAttach", Workers::announcing()).await?;
        let text = |key: &str| version[key].as_str().unwrap_or_default().to_owned();
        // A page must not be another one because nobody sits before it; and who asks is still to be told from people.
        let agent = text("userAgent").replace("HeadlessChrome", "Chrome");
        let agent = format!("{agent} seaworthy-check/{}", env!("CARGO_PKG_VERSION"));
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let (product, process) = (text("product"), Mutex::new(process));
        Ok(Self { connection, workers, agent, product, launch, places, process })
    }

    /// A context of its own, when one of a few places is free.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn context(self: &Arc<Self>) -> Result<Context, BrowserError> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| BrowserError::Ended)?;
        let made = self.connection.call("", "Target.createBrowserContext", json!({})).await?;
        let id = made["browserContextId"].as_str().ok_or(BrowserError::Ended)?.to_owned();
        Ok(Context { browser: self.clone(), id, _place: place })
    }

    /// Name and version, as it says.
    pub fn product(&self) -> &str {
        &self.product
    }

    /// Its process group, and the folder with its profile: for those who make sure that nothing is left of either.
    pub fn traces(&self) -> (i32, Option<PathBuf>) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        (process.group(), process.profile())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.connection.end();
    }
}

impl Context {
    /// A new empty page.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn page(&self) -> Result<Page, BrowserError> {
        Page::new(self.browser.connection.clone(), &self.id, &self.browser.agent).await
    }

    /// Cuts the network of every service worker in here, or gives it back. A page's own is cut with
    /// [`Page::offline`].
    pub fn cut_workers(&self, offline: bool) {
        self.browser.workers.cut(&self.browser.connection, &self.id, offline);
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let gone = json!({"browserContextId": self.id});
        self.browser.connection.tell("", "Target.disposeBrowserContext", gone);
        self.browser.workers.cut(&self.browser.connection, &self.id, false);
    }
}
