//! Which controls can be tried by this release, and what the others wait for.

use seaworthy_checklist::{Catalogue, Control, ControlKind};

use crate::probe::About;

/// What can be done about a control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// A probe tries it.
    Probe(About),
    /// A person says so.
    Person,
    /// It waits for this.
    Waits(&'static str),
}

/// Every control of the catalogue with its state, in the catalogue's order.
pub fn states() -> Vec<(&'static Control, State)> {
    let probes = crate::probes::all();
    let about = |id: &str| probes.iter().map(|probe| probe.about()).find(|about| about.control == id);
    // What only a person can say, a probe can at most see to be missing.
    let state = |control: &'static Control| match about(&control.id) {
        Some(about) if control.kind != ControlKind::Attest => State::Probe(about),
        _ => untried(control),
    };
    Catalogue::built_in().controls().iter().map(|control| (control, state(control))).collect()
}

/// What a control without a probe waits for.
pub(crate) fn untried(control: &Control) -> State {
    if control.kind == ControlKind::Attest {
        return State::Person;
    }
    let area = control.id.split('.').next().unwrap_or_default();
    State::Waits(match (area, control.kind) {
        ("identity", _) => "the release that brings sign-in, users and keys",
        ("jobs", _) => "the release that brings jobs and schedules",
        ("egress", _) => "the release that brings outbound calls, their retries and costs",
        ("observability", _) => "the release that brings alerts, traces and error tracking",
        ("data", ControlKind::Provide) => "the release that brings migrations, backups and restore drills",
        ("deploy", ControlKind::Provide) => "the release that brings deploys and rollbacks",
        ("protection" | "cache" | "edge", _) => "a later release: no probe of it is in this one",
        _ => "a later release: it shows neither in a repository nor at an address alone",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_has_a_state_and_every_probe_is_among_them() {
        let states = states();
        assert_eq!(states.len(), 218);
        let probes = states.iter().filter(|(_, state)| matches!(state, State::Probe(_))).count();
        let for_people = |probe: &dyn crate::Probe| {
            Catalogue::built_in().find(&probe.control()).is_some_and(|control| control.kind == ControlKind::Attest)
        };
        assert_eq!(probes, crate::probes::all().iter().filter(|probe| !for_people(&***probe)).count());
        let people = states.iter().filter(|(_, state)| *state == State::Person).count();
        let attest = states.iter().filter(|(control, _)| control.kind == ControlKind::Attest).count();
        assert_eq!(people, attest);
    }
}
