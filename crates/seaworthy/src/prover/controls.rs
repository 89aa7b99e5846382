//! `seaworthy check --controls`: the whole catalogue, and what can be done about each control.

use seaworthy_check::{State, states};
use serde_json::json;

use crate::terminal;

/// Lists them; for a machine one object a line.
pub fn list(as_json: bool) {
    let states = states();
    for (control, state) in &states {
        let (word, more) = match state {
            State::Probe(about) => ("probe", json!({ "kind": about.kind, "class": about.class })),
            State::Person => ("person", json!({ "why": "only a person can say: seaworthy attest" })),
            State::Waits(what) => ("not-run", json!({ "why": format!("waits for {what}") })),
        };
        if as_json {
            let object = json!({
                "control": control.id, "kind": control.kind, "title": control.title, "means": control.means,
                "proved": control.proved, "state": word, "probe": more.get("class").map(|_| &more),
                "why": more.get("why"),
            });
            terminal::line(&object.to_string());
        } else {
            let how = match state {
                State::Probe(about) => format!(
                    "{} probe",
                    serde_json::to_value(about.kind).ok().as_ref().and_then(|kind| kind.as_str()).unwrap_or_default()
                ),
                State::Person => "a person".to_owned(),
                State::Waits(_) => "not yet".to_owned(),
            };
            terminal::line(&format!("{:38} {:13} {}", control.id, how, control.title));
        }
    }
    if !as_json {
        let count = |wanted: fn(&State) -> bool| states.iter().filter(|(_, state)| wanted(state)).count();
        terminal::line(&format!(
            "{} controls: {} with a probe, {} that only a person can answer for, {} that wait for a later release (--json says for \
             which)",
            states.len(),
            count(|state| matches!(state, State::Probe(_))),
            count(|state| matches!(state, State::Person)),
            count(|state| matches!(state, State::Waits(_)))
        ));
    }
}
