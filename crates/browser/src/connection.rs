//! The protocol: commands with answers, and events, as JSON texts that each end with a zero byte.
//!
//! Two threads carry it, so that a browser belongs to no runtime and its end waits for none.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    process::{ChildStdin, ChildStdout},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{sync::oneshot, time::timeout};

use crate::error::BrowserError;

/// A longer message than this ends the connection: no page may fill our memory.
const LONGEST: u64 = 256 << 20;
/// A command is waited for this long where nothing else is said.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Whoever wants to know what happens in a session. Called by the thread that reads: it must not wait.
pub(crate) trait Listener: Send + Sync {
    fn event(&self, connection: &Connection, method: &str, params: &Value);
}

/// One end of the protocol.
pub(crate) struct Connection {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    /// `None` when the connection has ended.
    outbox: Option<Sender<Vec<u8>>>,
    waiting: HashMap<u64, oneshot::Sender<Result<Value, String>>>,
    /// By session; the browser's own has the empty name.
    listeners: HashMap<String, Arc<dyn Listener>>,
}

impl Connection {
    /// Talks over these pipes until one of them ends.
    pub(crate) fn over(input: ChildStdin, output: ChildStdout) -> Arc<Self> {
        let (outbox, letters) = mpsc::channel();
        let connection = Arc::new(Self { state: Mutex::new(State { outbox: Some(outbox), ..State::default() }) });
        let reader = connection.clone();
        thread::spawn(move || write(input, &letters));
        thread::spawn(move || reader.read(output));
        connection
    }

    /// Does a command and waits for what it gives. `session` is empty for the browser itself.
    pub(crate) async fn call(&self, session: &str, method: &str, params: Value) -> Result<Value, BrowserError> {
        self.call_within(PATIENCE, session, method, params).await
    }

    pub(crate) async fn call_within(
        &self,
        patience: Duration,
        session: &str,
        method: &str,
        params: Value,
    ) -> Result<Value, BrowserError> {
        let (answer, answered) = oneshot::channel();
        self.send(session, method, params, Some(answer));
        let method = method.to_owned();
        match timeout(patience, answered).await {
            Err(_) => Err(BrowserError::Slow { method, patience }),
            Ok(Err(_)) => Err(BrowserError::Ended),
            Ok(Ok(Err(why))) => Err(BrowserError::Refused { method, why }),
            Ok(Ok(Ok(value))) => Ok(value),
        }
    }

    /// Does a command whose answer does not matter.
    pub(crate) fn tell(&self, session: &str, method: &str, params: Value) {
        self.send(session, method, params, None);
    }

    pub(crate) fn listen(&self, session: &str, listener: Arc<dyn Listener>) {
        self.state().listeners.insert(session.to_owned(), listener);
    }

    pub(crate) fn forget(&self, session: &str) {
        self.state().listeners.remove(session);
    }

    /// No more commands; those that wait learn of it.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.outbox = None;
        state.waiting.clear();
        state.listeners.clear();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.state().outbox.is_none()
    }

    fn send(&self, session: &str, method: &str, params: Value, answer: Option<oneshot::Sender<Result<Value, String>>>) {
        let mut state = self.state();
        state.last += 1;
        let mut message = json!({"id": state.last, "method": method, "params": params});
        if !session.is_empty() {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        let sent = state.outbox.as_ref().is_some_and(|outbox| outbox.send(bytes).is_ok());
        if let (true, Some(answer)) = (sent, answer) {
            let id = state.last;
            state.waiting.insert(id, answer);
        }
    }

    fn read(&self, output: ChildStdout) {
        let mut output = BufReader::with_capacity(1 << 16, output);
        loop {
            let mut message = Vec::new();
            match output.by_ref().take(LONGEST).read_until(0, &mut message) {
                Ok(_) if message.pop() == Some(0) => {}
                _ => break,
            }
            if let Ok(message) = serde_json::from_slice::<Value>(&message) {
                self.take(message);
            }
        }
        self.end();
    }

    fn take(&self, mut message: Value) {
        if let Some(id) = message["id"].as_u64() {
            let Some(answer) = self.state().waiting.remove(&id) else { return };
            let result = match message["error"]["message"].as_str() {
                Some(why) => Err(why.to_owned()),
                None => Ok(message["result"].take()),
            };
            // Who asked may have stopped waiting.
            let _ = answer.send(result);
            return;
        }
        let listener = self.state().listeners.get(message["sessionId"].as_str().unwrap_or_default()).cloned();
        if let (Some(listener), Some(method)) = (listener, message["method"].as_str()) {
            listener.event(self, method, &message["params"]);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(mut input: ChildStdin, letters: &Receiver<Vec<u8>>) {
    while let Ok(letter) = letters.recv() {
        if input.write_all(&letter).and_then(|()| input.flush()).is_err() {
            return;
        }
    }
}
