//! From what was reported to the policy that would allow it. It is a proposal: anybody can send reports, so a person reads it.

use serde_json::{Value, json};

use super::{
    policy::Policy,
    settings::CspSettings,
    summary::{CspFindings, Seen},
};

impl CspFindings {
    /// What was seen under these settings, and a policy that allows what at least so many addresses reported, as JSON.
    pub fn proposal(&self, settings: &CspSettings, min_clients: usize) -> Value {
        let base = settings.policy().unwrap_or_else(Policy::strict);
        let seen = self.seen();
        let (policy, left) = propose(&base, &seen, min_clients);
        let (ignored, dropped) = self.left_out();
        let directives: serde_json::Map<String, Value> =
            policy.directives().map(|(name, sources)| (name.to_owned(), json!(sources.join(" ")))).collect();
        json!({
            "report_only": settings.report_only,
            "reports_to": settings.report_to(),
            "policy": base.to_string(),
            "seen": seen,
            "ignored": ignored,
            "dropped": dropped,
            "min_clients": min_clients,
            "proposed": policy.to_string(),
            "directives": directives,
            "left_out": left,
        })
    }
}

/// The policy with what was reported, and what it still forbids with the reason.
fn propose(base: &Policy, seen: &[Seen], min_clients: usize) -> (Policy, Vec<Value>) {
    let mut policy = base.clone();
    let mut left = Vec::new();
    for one in seen {
        let mut leave =
            |why: &str| left.push(json!({ "directive": one.directive, "blocked": one.blocked, "why": why }));
        let Some(source) = one.violation.blocked.source() else {
            leave(match one.blocked.as_str() {
                "eval" => "'unsafe-eval' lets an injected text run: change the code that needs it",
                _ if one.directive.ends_with("-attr") => "move the handler or style out of its attribute",
                _ => "set `nonces = true`, or move it into a file",
            });
            continue;
        };
        if one.clients < min_clients {
            leave("too few addresses reported it");
            continue;
        }
        if matches!(
            (one.directive, source.as_str()),
            ("script-src" | "script-src-elem" | "object-src", "data:" | "blob:")
        ) {
            leave("whoever can write into a page could write a script this way");
            continue;
        }
        // What falls back to a wider directive gets its own, so that nothing else is opened.
        let directive = one
            .directive
            .strip_suffix("-elem")
            .filter(|wider| policy.find(one.directive).is_none() && !wider.is_empty());
        let directive = directive.unwrap_or(one.directive);
        let mut sources = policy.counting(directive).unwrap_or_default().to_vec();
        sources.retain(|known| known != "'none'");
        if !sources.contains(&source) {
            sources.push(source);
        }
        policy.set(directive, sources);
    }
    (policy, left)
}

#[cfg(test)]
mod tests {
    use super::{
        super::report::{Batch, Blocked, Violation},
        *,
    };

    fn proposed(reports: &[(&'static str, Blocked, u8)]) -> Value {
        let findings = CspFindings::default();
        for (directive, blocked, clients) in reports {
            for number in 0..*clients {
                let violation = Violation { directive, blocked: blocked.clone() };
                let batch = Batch { violations: vec![(violation, "/".into())], ignored: 0 };
                findings.add(batch, Some([192, 0, 2, number].into()), 1);
            }
        }
        findings.proposal(&CspSettings { report_only: true, ..CspSettings::default() }, 2)
    }

    #[test]
    fn what_several_clients_need_is_allowed_and_nothing_beside_it() {
        let cdn = || Blocked::Origin("https://cdn.example".into());
        let value = proposed(&[("script-src-elem", cdn(), 3), ("img-src", Blocked::Scheme("data:"), 2)]);
        assert_eq!(
            value["proposed"],
            "default-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; script-src 'self' https://cdn.example; \
             img-src 'self' data:"
        );
        assert_eq!(value["directives"]["img-src"], "'self' data:");
        // It can be taken as it is.
        let directives = serde_json::from_value(value["directives"].clone()).unwrap();
        assert!(Policy::read(&directives).1.is_empty());
    }

    #[test]
    fn what_would_open_a_door_is_named_and_not_proposed() {
        let evil = Blocked::Origin("https://evil.example".into());
        let value = proposed(&[
            ("script-src-elem", Blocked::Inline, 5),
            ("script-src", Blocked::Eval, 5),
            ("script-src-elem", Blocked::Scheme("data:"), 5),
            ("script-src-elem", evil, 1),
        ]);
        assert_eq!(value["proposed"], value["policy"]);
        let why: Vec<&str> =
            value["left_out"].as_array().unwrap().iter().map(|one| one["why"].as_str().unwrap()).collect();
        assert!(
            why.iter().any(|why| why.contains("nonces")) && why.iter().any(|why| why.contains("too few")),
            "{why:?}"
        );
        assert_eq!(why.len(), 4);
    }
}
