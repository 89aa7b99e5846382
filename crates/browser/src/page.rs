//! A page: opened, waited for, looked at.

use std::{sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    connection::Connection,
    error::BrowserError,
    interception::{Asked, Then},
    observed::{Log, Observed, Request},
    workers,
};

/// Nothing was on its way for so long: then a page has settled.
const QUIET: Duration = Duration::from_millis(250);

/// So often an opening that was aborted is begun again.
const ABORTED: usize = 5;

/// A page in a context. Dropped, it is closed.
pub struct Page {
    pub(crate) connection: Arc<Connection>,
    pub(crate) session: String,
    target: String,
    pub(crate) log: Arc<Log>,
}

/// What a page is shown on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// CSS pixels.
    pub width: u32,
    /// CSS pixels.
    pub height: u32,
    /// A phone or tablet, where fingers touch and the page says how wide it wants to be.
    pub touch: bool,
}

/// How opening a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The status of the document.
    pub status: Option<u16>,
    /// The load event came within the budget.
    pub complete: bool,
}

impl Page {
    pub(crate) async fn new(connection: Arc<Connection>, context: &str, agent: &str) -> Result<Self, BrowserError> {
        // A window of its own: what is behind another one draws nothing.
        let target = json!({"url": "about:blank", "browserContextId": context, "newWindow": true,
            "width": 1280, "height": 800});
        let target = connection.call("", "Target.createTarget", target).await?;
        let target = target["targetId"].as_str().ok_or(BrowserError::Ended)?.to_owned();
        let attached = json!({"targetId": target, "flatten": true});
        let session = connection.call("", "Target.attachToTarget", attached).await?;
        let session = session["sessionId"].as_str().ok_or(BrowserError::Ended)?.to_owned();
        let log = Log::new(&session);
        connection.listen(&session, log.clone());
        let page = Self { connection, session, target, log };
        for (method, params) in [
            ("Page.enable", json!({})),
            ("Page.setLifecycleEventsEnabled", json!({"enabled": true})),
            ("Runtime.enable", json!({})),
            ("Log.enable", json!({})),
            ("Network.setBypassServiceWorker", json!({"bypass": true})),
            ("Emulation.setUserAgentOverride", json!({"userAgent": agent})),
            ("Emulation.setFocusEmulationEnabled", json!({"enabled": true})),
        ] {
            page.connection.tell(&page.session, method, params);
        }
        page.call("Network.enable", json!({"maxPostDataSize": 262_144})).await?;
        Ok(page)
    }

    pub(crate) async fn call(&self, method: &str, params: Value) -> Result<Value, BrowserError> {
        self.connection.call(&self.session, method, params).await
    }

    /// Opens an address and waits until it has loaded and its network is quiet, at most so long.
    ///
    /// # Errors
    /// When it cannot be opened at all.
    pub async fn open(&self, url: &str, budget: Duration) -> Result<Loaded, BrowserError> {
        for _ in 0..ABORTED {
            self.log.forget();
            let begun = self.call("Page.navigate", json!({"url": url})).await?;
            if begun["errorText"] != "net::ERR_ABORTED" {
                return self.follow(begun, url, budget).await;
            }
            // What a fresh window or the page before still had under way comes in between.
            sleep(Duration::from_millis(100)).await;
        }
        Err(BrowserError::Open { url: url.to_owned(), why: "net::ERR_ABORTED".into() })
    }

    /// Loads the same address again.
    ///
    /// # Errors
    /// When there is nothing to load.
    pub async fn reload(&self, budget: Duration) -> Result<Loaded, BrowserError> {
        let url = self.address().await?;
        self.open(&url, budget).await
    }

    async fn follow(&self, begun: Value, url: &str, budget: Duration) -> Result<Loaded, BrowserError> {
        if let Some(why) = begun["errorText"].as_str() {
            return Err(BrowserError::Open { url: url.to_owned(), why: why.to_owned() });
        }
        let deadline = Instant::now() + budget;
        let loader = begun["loaderId"].as_str().unwrap_or_default();
        let mut changes = self.log.changes();
        let mut complete = true;
        // Without a new document (another fragment of the same) there is nothing to wait for.
        while !loader.is_empty() && !self.log.has_loaded(loader) {
            let left = deadline.saturating_duration_since(Instant::now());
            if !matches!(timeout(left, changes.changed()).await, Ok(Ok(()))) {
                complete = false;
                break;
            }
        }
        self.settle(deadline.saturating_duration_since(Instant::now())).await;
        let observed = self.log.observed();
        let document = observed.requests.iter().rfind(|request| request.kind == "Document");
        Ok(Loaded { status: document.and_then(|one| Some(one.answer.as_ref()?.status)), complete })
    }

    /// Waits until nothing is on its way any more, for a while after the last press, and what came has been drawn; at most so
    /// long. True when it came to that.
    pub async fn settle(&self, budget: Duration) -> bool {
        let deadline = Instant::now() + budget;
        let mut changes = self.log.changes();
        loop {
            let quiet = self.log.quiet_for();
            if quiet >= QUIET {
                break;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.connection.has_ended() {
                return false;
            }
            // Either something happens, or it was quiet for long enough; what takes long stops to count by itself.
            let _ = timeout(left.min(QUIET.saturating_sub(quiet)), changes.changed()).await;
        }
        let drawn = "new Promise(done => requestAnimationFrame(() => setTimeout(done, 20)))";
        timeout(Duration::from_secs(1), self.evaluate(drawn)).await.is_ok()
    }

    /// What a script gives; a promise is waited for.
    ///
    /// # Errors
    /// When it throws.
    pub async fn evaluate(&self, script: &str) -> Result<Value, BrowserError> {
        let params = json!({"expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let mut answer = self.call("Runtime.evaluate", params).await?;
        if let Some(thrown) = answer.get("exceptionDetails") {
            let what = thrown["exception"]["description"].as_str().or(thrown["text"].as_str());
            return Err(BrowserError::Script(what.unwrap_or("it threw").to_owned()));
        }
        Ok(answer["result"]["value"].take())
    }

    /// Runs before every script of every document that is opened from now on.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn before_scripts(&self, script: &str) -> Result<(), BrowserError> {
        self.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await.map(drop)
    }

    /// Where it is by now.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn address(&self) -> Result<String, BrowserError> {
        Ok(self.evaluate("location.href").await?.as_str().unwrap_or_default().to_owned())
    }

    /// What happened since it was opened.
    pub fn observed(&self) -> Observed {
        self.log.observed()
    }

    /// The body of an answer, as text.
    ///
    /// # Errors
    /// When the browser does not keep it.
    pub async fn body(&self, request: &Request) -> Result<String, BrowserError> {
        let answer = self.call("Network.getResponseBody", json!({"requestId": request.id()})).await?;
        let text = answer["body"].as_str().unwrap_or_default();
        if answer["base64Encoded"] != true {
            return Ok(text.to_owned());
        }
        let bytes = BASE64_STANDARD.decode(text).unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Decides on every request from now on. The decision must not wait.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn intercept(&self, decide: impl Fn(&Asked) -> Then + Send + Sync + 'static) -> Result<(), BrowserError> {
        self.log.decide(Some(Arc::new(decide)));
        self.call("Fetch.enable", json!({"patterns": [{"urlPattern": "*"}]})).await.map(drop)
    }

    /// Lets every request go out again.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn let_pass(&self) -> Result<(), BrowserError> {
        self.log.decide(None);
        self.call("Fetch.disable", json!({})).await.map(drop)
    }

    /// Cuts its network, or gives it back.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn offline(&self, offline: bool) -> Result<(), BrowserError> {
        self.call("Network.emulateNetworkConditions", workers::network(offline)).await.map(drop)
    }

    /// Lets its service worker answer, as for people; at first none does, so that every request is seen here.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn use_workers(&self) -> Result<(), BrowserError> {
        self.call("Network.setBypassServiceWorker", json!({"bypass": false})).await.map(drop)
    }

    /// Does not look at certificates: for those who have looked at them in another way.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn trust_every_certificate(&self) -> Result<(), BrowserError> {
        self.call("Security.setIgnoreCertificateErrors", json!({"ignore": true})).await.map(drop)
    }

    /// How dialogs are answered from now on: at first every question is denied.
    pub fn accept_dialogs(&self, accepts: bool) {
        self.log.accept_dialogs(accepts);
    }

    /// Shows it on this device.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn show_on(&self, device: Device) -> Result<(), BrowserError> {
        let Device { width, height, touch } = device;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch});
        self.call("Emulation.setDeviceMetricsOverride", metrics).await?;
        self.call("Emulation.setTouchEmulationEnabled", json!({"enabled": touch})).await.map(drop)
    }

    /// What it looks like now, as PNG.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn screenshot(&self) -> Result<Vec<u8>, BrowserError> {
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"})).await?;
        Ok(BASE64_STANDARD.decode(picture["data"].as_str().unwrap_or_default()).unwrap_or_default())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.connection.forget(&self.session);
        self.connection.tell("", "Target.closeTarget", json!({"targetId": self.target}));
    }
}
