//! What happened in a page: requests, console, uncaught errors, dialogs. Written by the thread that reads the protocol.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    connection::{Connection, Listener},
    interception::{Asked, Then},
};

/// No page may fill our memory: more requests and messages are not kept, and no longer texts.
const MOST: usize = 5000;
const LONGEST: usize = 4000;
const LONGEST_BODY: usize = 256 << 10;
/// A request that takes longer is a stream or waits for news: a page is not held to be loading for it.
const LONG: Duration = Duration::from_millis(2500);

/// Everything that was seen since the page was last opened.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// In the order in which they were sent.
    pub requests: Vec<Request>,
    /// What was printed to the console, the browser's own words among them.
    pub console: Vec<Message>,
    /// Errors that nobody caught.
    pub errors: Vec<String>,
    /// Dialogs of the kind that stops a page.
    pub dialogs: Vec<Dialog>,
}

/// A request of a page.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where to.
    pub url: String,
    /// In capitals.
    pub method: String,
    /// `Document`, `Script`, `Stylesheet`, `Fetch`, `XHR`, `Image`, `Ping`, … as the protocol calls it.
    pub kind: String,
    /// What it carried.
    pub body: Option<String>,
    /// What came back, when something did.
    pub answer: Option<Answer>,
    /// Bytes of the answer as they came over the network, heads included.
    pub transferred: u64,
    /// Bytes of its body, unpacked.
    pub size: u64,
    /// Why it failed.
    pub failure: Option<String>,
    /// From its start to its end.
    pub took: Option<Duration>,
    /// We decided on it: it did not reach the network.
    pub ours: bool,
    id: String,
    started: Instant,
}

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// The type that the browser works with.
    pub mime: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    /// A service worker gave it.
    pub by_worker: bool,
}

/// A line of the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `error`, `warning`, `log`, …
    pub level: String,
    /// What it says.
    pub text: String,
    /// Whether the page's own code wrote it; the browser itself writes of calls that failed, policies that were broken, and the like.
    pub by_page: bool,
}

/// A dialog that stopped the page; it was answered at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialog {
    /// `alert`, `confirm`, `prompt` or `beforeunload`.
    pub kind: String,
    /// What it says.
    pub text: String,
    /// When it came, as the number of requests before it.
    pub after: usize,
}

/// Decides on requests.
pub(crate) type Decide = Arc<dyn Fn(&Asked) -> Then + Send + Sync>;

/// Listens to one page.
pub(crate) struct Log {
    session: String,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

struct State {
    observed: Observed,
    /// Where the requests are, by the protocol's id.
    places: HashMap<String, usize>,
    /// Requests that were decided before they were told of: the two come in any order.
    decided: HashSet<String>,
    decide: Option<Decide>,
    accepts_dialogs: bool,
    /// Loads that are done.
    loaded: Vec<String>,
    busy_at: Instant,
}

impl Log {
    pub(crate) fn new(session: &str) -> Arc<Self> {
        let state = State {
            observed: Observed::default(),
            places: HashMap::new(),
            decided: HashSet::new(),
            decide: None,
            accepts_dialogs: false,
            loaded: Vec::new(),
            busy_at: Instant::now(),
        };
        Arc::new(Self { session: session.to_owned(), state: Mutex::new(state), changed: watch::Sender::new(0) })
    }

    pub(crate) fn observed(&self) -> Observed {
        self.state().observed.clone()
    }

    /// How many requests there are by now: what comes later is seen as new.
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.observed = Observed::default();
        state.places.clear();
        state.busy_at = Instant::now();
    }

    pub(crate) fn decide(&self, decide: Option<Decide>) {
        self.state().decide = decide;
    }

    pub(crate) fn accept_dialogs(&self, accepts: bool) {
        self.state().accepts_dialogs = accepts;
    }

    pub(crate) fn has_loaded(&self, loader: &str) -> bool {
        self.state().loaded.iter().any(|one| one == loader)
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// For how long nothing was on its way.
    pub(crate) fn quiet_for(&self) -> Duration {
        let state = self.state();
        let busy = state.observed.requests.iter().any(Request::keeps_the_page_loading);
        if busy { Duration::ZERO } else { state.busy_at.elapsed() }
    }

    /// Something was done to the page: what comes of it has not begun yet, and it is not quiet.
    pub(crate) fn touched(&self) {
        self.state().busy_at = Instant::now();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Request {
    fn keeps_the_page_loading(&self) -> bool {
        let streams = matches!(self.kind.as_str(), "WebSocket" | "EventSource" | "Ping" | "Media" | "Preflight");
        self.took.is_none() && !streams && self.started.elapsed() < LONG
    }

    /// Something may change on the other side.
    pub fn changes_something(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }

    /// A script of the page asked for data.
    pub fn is_call(&self) -> bool {
        matches!(self.kind.as_str(), "XHR" | "Fetch")
    }

    /// A header of the answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.answer.as_ref()?.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl State {
    fn request(&mut self, params: &Value) -> Option<&mut Request> {
        let place = *self.places.get(params["requestId"].as_str()?)?;
        self.observed.requests.get_mut(place)
    }

    fn begin(&mut self, params: &Value) {
        // A redirect is a request of its own, with the same id.
        if let Some(before) = params.get("redirectResponse")
            && let Some(request) = self.request(params)
        {
            request.answer = Some(head(before));
            request.took = Some(request.started.elapsed());
        }
        let asked = &params["request"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if self.observed.requests.len() >= MOST || text(&asked["url"]).starts_with("data:") {
            return;
        }
        let id = text(&params["requestId"]);
        self.places.insert(id.clone(), self.observed.requests.len());
        self.observed.requests.push(Request {
            url: text(&asked["url"]),
            method: text(&asked["method"]).to_uppercase(),
            kind: text(&params["type"]),
            body: body(asked),
            answer: None,
            transferred: 0,
            size: 0,
            failure: None,
            took: None,
            ours: self.decided.remove(&id),
            id,
            started: Instant::now(),
        });
    }

    fn end(&mut self, params: &Value, failure: Option<String>) {
        if let Some(request) = self.request(params) {
            request.took = Some(request.started.elapsed());
            request.transferred = params["encodedDataLength"].as_f64().unwrap_or_default() as u64;
            request.failure = failure;
        }
    }

    fn printed(&mut self, level: &Value, text: String, by_page: bool) {
        if self.observed.console.len() < MOST {
            let level = level.as_str().unwrap_or_default().to_owned();
            self.observed.console.push(Message { level, text: shortened(text), by_page });
        }
    }

    fn network(&mut self, method: &str, params: &Value) {
        match method {
            "Network.requestWillBeSent" => self.begin(params),
            "Network.responseReceived" => {
                if let Some(request) = self.request(params) {
                    request.answer = Some(head(&params["response"]));
                }
            }
            "Network.dataReceived" => {
                if let Some(request) = self.request(params) {
                    request.size += params["dataLength"].as_u64().unwrap_or_default();
                }
            }
            "Network.loadingFinished" => self.end(params, None),
            "Network.loadingFailed" => {
                let why = params["blockedReason"].as_str().or(params["errorText"].as_str()).unwrap_or("it failed");
                self.end(params, Some(why.to_owned()));
            }
            _ => return,
        }
        self.busy_at = Instant::now();
    }

    fn page(&mut self, method: &str, params: &Value) {
        match method {
            "Page.lifecycleEvent" if params["name"] == "load" => {
                self.loaded.extend(params["loaderId"].as_str().map(str::to_owned));
                self.busy_at = Instant::now();
            }
            "Runtime.consoleAPICalled" => {
                let parts = params["args"].as_array().map(Vec::as_slice).unwrap_or_default();
                let texts: Vec<String> = parts.iter().map(printed_value).collect();
                self.printed(&params["type"], texts.join(" "), true);
            }
            "Log.entryAdded" => {
                let entry = &params["entry"];
                self.printed(&entry["level"], entry["text"].as_str().unwrap_or_default().to_owned(), false);
            }
            "Runtime.exceptionThrown" if self.observed.errors.len() < MOST => {
                let about = &params["exceptionDetails"];
                let thrown = about["exception"]["description"].as_str().map(str::to_owned);
                let value = || printed_value(&about["exception"]);
                self.observed.errors.push(shortened(thrown.unwrap_or_else(value)));
            }
            _ => {}
        }
    }
}

impl Listener for Log {
    fn event(&self, connection: &Connection, method: &str, params: &Value) {
        let mut state = self.state();
        match method {
            "Fetch.requestPaused" => {
                let asked = Asked::read(params);
                let decide = state.decide.clone();
                let then = decide.map_or(Then::Pass, |decide| decide(&asked));
                if then != Then::Pass
                    && let Some(id) = params["networkId"].as_str()
                {
                    let place = state.places.get(id).copied();
                    match place.and_then(|place| state.observed.requests.get_mut(place)) {
                        Some(request) => request.ours = true,
                        None => drop(state.decided.insert(id.to_owned())),
                    }
                }
                let (method, command) = then.command(&params["requestId"], &asked);
                connection.tell(&self.session, method, command);
            }
            "Page.javascriptDialogOpening" => {
                let text = |key: &str| params[key].as_str().unwrap_or_default().to_owned();
                let (after, accepts) = (state.observed.requests.len(), state.accepts_dialogs);
                state.observed.dialogs.push(Dialog { kind: text("type"), text: text("message"), after });
                // To leave a page is never what a dialog of ours is about.
                let accept = accepts || params["type"] == "beforeunload" || params["type"] == "alert";
                connection.tell(&self.session, "Page.handleJavaScriptDialog", json!({"accept": accept}));
            }
            _ if method.starts_with("Network.") => state.network(method, params),
            _ => state.page(method, params),
        }
        drop(state);
        self.changed.send_modify(|count| *count += 1);
    }
}

fn head(response: &Value) -> Answer {
    let headers = response["headers"].as_object().into_iter().flatten();
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap_or_default().to_owned()));
    Answer {
        status: response["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or_default(),
        mime: response["mimeType"].as_str().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        by_worker: response["fromServiceWorker"].as_bool().unwrap_or_default(),
    }
}

/// What a request carries, as text where it is any.
fn body(request: &Value) -> Option<String> {
    if let Some(text) = request["postData"].as_str() {
        return Some(text.chars().take(LONGEST_BODY).collect());
    }
    let parts = request["postDataEntries"].as_array()?;
    let bytes = parts.iter().filter_map(|part| BASE64_STANDARD.decode(part["bytes"].as_str()?).ok());
    let bytes: Vec<u8> = bytes.flatten().take(LONGEST_BODY).collect();
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A value as the console would show it.
fn printed_value(value: &Value) -> String {
    match (&value["value"], value["description"].as_str()) {
        (Value::String(text), _) => text.clone(),
        (Value::Null, Some(text)) => text.to_owned(),
        (Value::Null, None) => value["type"].as_str().unwrap_or_default().to_owned(),
        (other, _) => other.to_string(),
    }
}

fn shortened(text: String) -> String {
    if text.len() <= LONGEST { text } else { text.chars().take(LONGEST).collect() }
}

impl Request {
    /// The protocol's id, for those who want the body.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}
