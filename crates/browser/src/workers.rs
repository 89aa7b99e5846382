//! Service workers: they reach the network by themselves, so that cutting a page's network does not cut theirs.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use serde_json::{Value, json};

use crate::connection::{Connection, Listener};

/// Knows every service worker of a browser, and which contexts have no network.
#[derive(Default)]
pub(crate) struct Workers(Mutex<State>);

#[derive(Default)]
struct State {
    /// By session: its context.
    sessions: HashMap<String, String>,
    cut: HashSet<String>,
}

/// What the network of a session is from now on.
pub(crate) fn network(offline: bool) -> Value {
    json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1})
}

impl Workers {
    /// Have the workers of a browser announced, each stopped until its network is as it should be.
    pub(crate) fn announcing() -> Value {
        let filter = json!([{"type": "service_worker", "exclude": false}, {"exclude": true}]);
        json!({"autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true, "filter": filter})
    }

    /// Cuts or restores the network of a context's workers, of those to come as well.
    pub(crate) fn cut(&self, connection: &Connection, context: &str, offline: bool) {
        let mut state = self.state();
        match offline {
            true => state.cut.insert(context.to_owned()),
            false => state.cut.remove(context),
        };
        for (session, _) in state.sessions.iter().filter(|(_, of)| *of == context) {
            connection.tell(session, "Network.emulateNetworkConditions", network(offline));
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Workers {
    fn event(&self, connection: &Connection, method: &str, params: &Value) {
        let session = params["sessionId"].as_str().unwrap_or_default();
        match method {
            "Target.attachedToTarget" if params["targetInfo"]["type"] == "service_worker" => {
                let context = params["targetInfo"]["browserContextId"].as_str().unwrap_or_default();
                let mut state = self.state();
                state.sessions.insert(session.to_owned(), context.to_owned());
                connection.tell(session, "Network.enable", json!({}));
                connection.tell(session, "Network.emulateNetworkConditions", network(state.cut.contains(context)));
                connection.tell(session, "Runtime.runIfWaitingForDebugger", json!({}));
            }
            "Target.detachedFromTarget" => {
                self.state().sessions.remove(session);
            }
            _ => {}
        }
    }
}
