//! From an item to the controls that it asks for: pins first, then what its text says.

use std::{collections::HashSet, sync::LazyLock};

use regex::Regex;
use serde::Serialize;

use super::{
    pins::{PinError, Pins},
    scores::{Best, Scorers},
    words::stems,
};
use crate::{
    catalogue::Catalogue,
    list::{Checklist, Damage, Form, Item},
};

/// What a line means.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Match {
    /// The control; `None` when nothing fits well enough.
    pub control: Option<String>,
    /// Further controls that a composite line asks for.
    pub also: Vec<String>,
    /// From 0 to 1: about how often a line that looks like this one is matched rightly. 1 for a pin.
    pub confidence: f64,
    /// Parts of it (items below it) that no control explains: it cannot be closed while there are any.
    pub not_understood: Vec<String>,
    /// What decided it.
    pub how: How,
    /// True when a pin says that the line asks for nothing.
    pub nothing: bool,
    /// The control that such a line reads like all the same: whoever pinned it should be seen to have done so.
    pub reads_like: Option<String>,
}

/// What decided a match.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// A comment on the line: `<!-- seaworthy: control=edge.cors -->`.
    Marker,
    /// A pattern of the config.
    Map,
    /// What the line says.
    #[default]
    Text,
}

/// Finds controls for lines. Building it takes some tens of milliseconds; keep it.
#[derive(Debug)]
pub struct Matcher {
    ids: Vec<String>,
    /// Controls that have a probe.
    provable: HashSet<String>,
    /// Controls that are about something that must go.
    removing: HashSet<String>,
    scorers: Scorers,
    pins: Pins,
}

/// Less is unmatched.
const THRESHOLD: f64 = 0.64;
/// The same for a control that has a probe: a wrong tick costs more than a line that stays open.
const PROVABLE_THRESHOLD: f64 = 0.65;
/// A part of a line names a further control from here on…
const COMPOSITE: f64 = 0.76;
/// …if its words explain this much of it.
const COMPOSITE_EXPLAINED: f64 = 0.4;
/// A line that says that the thing is not wanted asks for nothing.
static REFUSED: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
    Regex::new(r"(?i)\b(?:not (?:needed|required|applicable|necessary)|n/a)\b|^~~.*~~$").expect("the pattern is valid")
});
/// A line that wants something gone.
static REMOVED: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
    Regex::new(r"(?i)^\W*(?:remove|delete|drop|disable|get rid of)\b|\b(?:removed|deleted|dropped|disabled)\b")
        .expect("the pattern is valid")
});
/// The control of lines whose text is damaged.
const DAMAGED: &str = "process.damaged-item";

impl Matcher {
    /// Learns the catalogue; `provable` are the controls that have a probe.
    pub fn new(catalogue: &Catalogue, provable: &[&str]) -> Self {
        Self {
            ids: catalogue.controls().iter().map(|control| control.id.clone()).collect(),
            provable: provable.iter().map(|id| (*id).to_owned()).collect(),
            removing: catalogue
                .controls()
                .iter()
                .filter(|control| {
                    let words = ["remov", "delet", "drop", "disabl", "hidden", "secret", "expos", "not "];
                    control
                        .phrases
                        .iter()
                        .map(|phrase| phrase.to_lowercase())
                        .any(|phrase| words.iter().any(|word| phrase.contains(word)))
                })
                .map(|control| control.id.clone())
                .collect(),
            scorers: Scorers::new(catalogue),
            pins: Pins::default(),
        }
    }

    /// Takes lines by pattern: whole texts, whatever their case, with `*` for anything. The controls may be `none`.
    pub fn with_pins(mut self, pins: impl IntoIterator<Item = (String, Vec<String>)>) -> Result<Self, PinError> {
        self.pins = Pins::new(pins, &self.ids)?;
        Ok(self)
    }

    /// Marker comments of a list that name no control.
    pub fn unknown_markers(&self, checklist: &Checklist) -> Vec<PinError> {
        let of = |item: &Item| {
            let place = format!("{}:{}", checklist.name, item.line);
            super::pins::resolve(&place, item.pin.as_deref()?, &self.ids).err()
        };
        checklist.items.iter().filter_map(of).collect()
    }

    /// What each item of a checklist means, in their order.
    pub fn checklist(&self, checklist: &Checklist) -> Vec<Match> {
        checklist.items.iter().map(|item| self.item(item, &checklist.items)).collect()
    }

    fn item(&self, item: &Item, all: &[Item]) -> Match {
        let found = match (&item.pin, self.pins.find(&item.text)) {
            (Some(ids), _) => super::pins::resolve("", ids, &self.ids)
                .map_or(Match { how: How::Marker, ..Match::default() }, |controls| pinned(&controls, How::Marker)),
            (None, Some(controls)) => pinned(controls, How::Map),
            (None, None) => return self.by_text(item, all),
        };
        let reads_like = if found.nothing { self.by_text(item, all).control } else { None };
        Match { reads_like, ..found }
    }

    fn by_text(&self, item: &Item, all: &[Item]) -> Match {
        if item.damage.is_some_and(Damage::hides_the_meaning) && item.form == Form::Checkbox {
            return Match { control: Some(DAMAGED.into()), confidence: 1.0, ..Match::default() };
        }
        if REFUSED.is_match(&item.text) {
            return Match::default();
        }
        let section = item.section.last().map(String::as_str).unwrap_or_default();
        let parent =
            item.parent.and_then(|index| all.get(index)).map(|parent| parent.text.as_str()).unwrap_or_default();
        let Some(best) = self.scorers.best(&item.text, section, parent) else { return Match::default() };
        let confidence = round(best.probability);
        let parts = self.parts(&item.text, section);
        let mut named: Vec<String> = parts.iter().flatten().cloned().collect();
        named.dedup();
        // That the thing is there would tick a line that wants it gone.
        if REMOVED.is_match(&item.text) && !self.removing.contains(&self.ids[best.control]) {
            return Match { confidence, ..Match::default() };
        }
        if best.probability >= self.threshold(&best) {
            let id = self.ids[best.control].clone();
            let mut also: Vec<String> = Vec::new();
            for other in named {
                if other != id && !also.contains(&other) {
                    also.push(other);
                }
            }
            return Match { control: Some(id), also, confidence, ..Match::default() };
        }
        // Nothing fits the whole of a composite line well, but every part of it may be clear.
        if named.len() >= 2 && parts.iter().all(Option::is_some) {
            let (control, confidence) = (Some(named.remove(0)), COMPOSITE);
            return Match { control, also: named, confidence, ..Match::default() };
        }
        Match { confidence, ..Match::default() }
    }

    fn threshold(&self, best: &Best) -> f64 {
        if self.provable.contains(&self.ids[best.control]) { PROVABLE_THRESHOLD } else { THRESHOLD }
    }

    /// What single parts of a composite line name on their own; nothing for a line in one part.
    fn parts(&self, text: &str, section: &str) -> Vec<Option<String>> {
        static JOINT: LazyLock<Regex> = LazyLock::new(|| {
            #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
            Regex::new(r"\s+(?:&|and|\+|plus)\s+|[,;/()]|\s[-–—]\s").expect("the pattern is valid")
        });
        let parts: Vec<&str> = JOINT.split(text).filter(|part| !stems(part).is_empty()).take(20).collect();
        if parts.len() < 2 {
            return Vec::new();
        }
        let sure = |best: &Best| best.probability >= COMPOSITE && best.explained >= COMPOSITE_EXPLAINED;
        let name =
            |part: &str| self.scorers.best(part, section, "").filter(sure).map(|best| self.ids[best.control].clone());
        parts.into_iter().map(name).collect()
    }
}

/// The controls that a pin names; none of them is that the line asks for nothing.
fn pinned(controls: &[String], how: How) -> Match {
    let (control, also) = controls.split_first().map_or((None, &[][..]), |(first, rest)| (Some(first.clone()), rest));
    Match { nothing: control.is_none(), control, also: also.to_vec(), confidence: 1.0, how, ..Match::default() }
}

fn round(score: f64) -> f64 {
    (score.min(1.0) * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    static MATCHER: LazyLock<Matcher> = LazyLock::new(|| Matcher::new(Catalogue::built_in(), &[]));

    fn matches(text: &str) -> Vec<Match> {
        MATCHER.checklist(&Checklist::parse("list.md".into(), text.as_bytes().to_vec(), true))
    }

    fn control(text: &str) -> Option<String> {
        matches(&format!("- [ ] {text}\n"))[0].control.clone()
    }

    #[test]
    fn lines_in_other_words_find_their_control() {
        let expect = [
            ("Traffic is served over TLS only, plain HTTP redirects", "edge.https-only"),
            ("We throttle abusive callers (429)", "protection.rate-limit"),
            ("The /metrics endpoint is not public", "observability.metrics-secured"),
            ("On SIGTERM, in-flight requests finish", "deploy.graceful-shutdown"),
            ("Backups have been restored in a drill", "data.restore-test"),
            ("There is a LICENSE", "docs.license"),
            ("A global error handler hides stack traces", "edge.api-error-handler"),
        ];
        for (text, wanted) in expect {
            assert_eq!(control(text).as_deref(), Some(wanted), "{text}");
        }
    }

    #[test]
    fn nonsense_and_damaged_lines_are_not_guessed() {
        assert_eq!(control("Buy cake for the party"), None);
        assert_eq!(control("Ask Bob about the thing"), None);
        assert_eq!(control("**Database bac").as_deref(), Some(DAMAGED));
        assert_eq!(control("Remove the LICENSE file"), None);
        assert_eq!(control("LICENSE file deleted before going live"), None);
    }

    #[test]
    fn a_composite_line_names_all_its_controls() {
        let found = &matches("- [ ] Rate limiting and CORS and structured logging\n")[0];
        let all: Vec<&str> = found.control.iter().chain(&found.also).map(String::as_str).collect();
        for wanted in ["protection.rate-limit", "edge.cors", "observability.structured-logs"] {
            assert!(all.contains(&wanted), "{all:?}");
        }
    }

    #[test]
    fn a_marker_decides_and_says_so() {
        let text = "- [ ] Ask Bob <!-- seaworthy: control=edge.cors, data.backup -->\n\
                    - [ ] CORS <!-- seaworthy: control=none --> <!-- seaworthy: fail 2026-01-01 -->\n\
                    - [ ] CORS <!-- seaworthy: control=edge.corse -->\n- [ ] CORS\n";
        let found = matches(text);
        assert_eq!((found[0].control.as_deref(), found[0].how), (Some("edge.cors"), How::Marker));
        assert_eq!(found[0].also, ["data.backup"]);
        assert_eq!((found[1].control.as_deref(), found[1].nothing), (None, true));
        assert_eq!(found[1].reads_like.as_deref(), Some("edge.cors"));
        assert_eq!((found[2].control.as_deref(), found[2].nothing), (None, false), "an unknown id is not guessed");
        assert_eq!((found[3].control.as_deref(), found[3].how), (Some("edge.cors"), How::Text));
        let list = Checklist::parse("l.md".into(), text.as_bytes().to_vec(), true);
        let wrong: Vec<String> = MATCHER.unknown_markers(&list).iter().map(ToString::to_string).collect();
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].contains("l.md:3") && wrong[0].contains("`edge.cors`"), "{wrong:?}");
    }

    #[test]
    fn the_map_decides_where_no_marker_does() {
        let pins =
            [("ask * bob".to_owned(), vec!["edge.cors".to_owned()]), ("cors".to_owned(), vec!["none".to_owned()])];
        let matcher = Matcher::new(Catalogue::built_in(), &[]).with_pins(pins).unwrap();
        let text = "- [ ] Ask **our** Bob\n- [ ] CORS\n- [ ] CORS <!-- seaworthy: control=data.backup -->\n";
        let found = matcher.checklist(&Checklist::parse("l.md".into(), text.as_bytes().to_vec(), true));
        assert_eq!((found[0].control.as_deref(), found[0].how), (Some("edge.cors"), How::Map));
        assert!(found[1].nothing);
        assert_eq!((found[2].control.as_deref(), found[2].how), (Some("data.backup"), How::Marker));
    }
}
