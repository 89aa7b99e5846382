//! What all routes that take files have together: the scanner, the quarantine, and how many files are looked at at once.

use std::{io, path::Path, sync::Arc, thread, time::Duration};

use seaworthy_core::Shutdown;
use tokio::{task::spawn_blocking, time::sleep};

use crate::{
    layer::Upload,
    places::{Place, Places},
    problems::Refusal,
    quarantine::QuarantineFolder,
    scanner::Scanner,
    settings::{Settings, UploadPolicy},
    tus::{Resumable, Store},
};

/// A body that waits longer to be looked at is refused: it lies on the disk meanwhile.
const PLACE_WITHIN: Duration = Duration::from_secs(60);
/// How often the scanner is asked how it is.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Shared by all routes and cores; a clone is a pointer.
#[derive(Debug, Clone)]
pub struct Uploads(Arc<Joint>);

#[derive(Debug)]
pub(crate) struct Joint {
    pub settings: Settings,
    pub folder: Arc<Path>,
    pub scanner: Option<Scanner>,
    pub quarantine: QuarantineFolder,
    /// Resumable uploads.
    pub store: Store,
    /// Of all routes.
    pub judging: Places,
}

impl Default for Uploads {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

impl Uploads {
    /// As the config says; makes nothing on the disk yet.
    pub fn new(settings: Settings) -> Self {
        let folder: Arc<Path> = Path::new(&settings.folder).into();
        let scanner = settings.clamd.as_deref();
        let scanner = scanner.map(|address| Scanner::new(address, settings.scan_timeout.0, settings.scan_max.0));
        let quarantine = QuarantineFolder::new(&folder, settings.quarantine.0);
        // One route alone has half of them.
        let at_once = thread::available_parallelism().map_or(8, |cores| cores.get() * 4).max(8);
        let (store, judging) = (Store::new(&folder), Places::new(at_once));
        Self(Arc::new(Joint { settings, folder, scanner, quarantine, store, judging }))
    }

    /// The layer of a route that takes files.
    pub fn layer(&self, route: &str, policy: Option<&UploadPolicy>) -> Option<Upload> {
        policy.map(|policy| Upload::new(route, policy, self))
    }

    /// The layer of the places below a route where resumable uploads are made; `tasks` are of the core.
    pub fn resumable(&self, route: &str, policy: Option<&UploadPolicy>, tasks: &Shutdown) -> Option<Resumable> {
        policy.map(|policy| Resumable::new(route, policy, self, tasks))
    }

    /// What is in quarantine.
    pub fn quarantine(&self) -> QuarantineFolder {
        self.0.quarantine.clone()
    }

    /// The largest body that can be right for a policy.
    pub fn largest_body(&self, policy: &UploadPolicy) -> u64 {
        policy.largest_body(&self.0.settings)
    }

    /// For `/status`: `off`, `up`, or why the scanner cannot be asked.
    pub fn scanner_status(&self) -> String {
        match &self.0.scanner {
            None => "off".into(),
            Some(scanner) => scanner.fault().map_or_else(|| "up".into(), |why| format!("down: {why}")),
        }
    }

    /// Looks after the scanner, and ends resumable uploads that have expired, until the order to stop.
    pub async fn run(self, shutdown: Shutdown) {
        loop {
            let joint = self.0.clone();
            let looked = spawn_blocking(move || {
                joint.store.clean();
                joint.scanner.as_ref().map(|scanner| scanner.limit().is_ok())
            });
            // What it found is noted and told by the scanner itself.
            let _ = looked.await;
            tokio::select! {
                () = shutdown.ordered() => return,
                () = sleep(LOOK_EVERY) => {}
            }
        }
    }

    pub(crate) fn joint(&self) -> &Arc<Joint> {
        &self.0
    }
}

impl Joint {
    /// A place among those of the route that are looked at now.
    pub(crate) async fn place(&self, route: &str) -> Result<Place, Refusal> {
        let full = || Refusal::storage(&io::Error::other("too many files are looked at already"));
        self.judging.take(route, PLACE_WITHIN).await.ok_or_else(full)
    }
}
