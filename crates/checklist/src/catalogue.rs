//! The controls: what production needs, how it is proved, and in what words people ask for it. Data, one file an area.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// One thing that production needs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// `area.what`.
    pub id: String,
    /// How it can be closed.
    pub kind: ControlKind,
    /// A few words.
    pub title: String,
    /// What production needs, in a sentence.
    pub means: String,
    /// What a probe tries.
    pub proved: String,
    /// What closes it when it fails.
    pub advice: String,
    /// Pieces of words of which a line (or its section, or the item above it) must have one, for a control that others are
    /// easily taken for: `docs.rollback` is not meant where nothing is written down.
    #[serde(default)]
    pub needs: Vec<String>,
    /// How teams word it in their lists.
    pub phrases: Vec<String>,
}

/// How a control can be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ControlKind {
    /// Seaworthy can provide and prove it.
    Provide,
    /// Seaworthy can prove it; the app or its pipeline provides it.
    Verify,
    /// Only a person can say.
    Attest,
}

/// All controls, in the order of their files.
#[derive(Debug)]
pub struct Catalogue {
    controls: Vec<Control>,
}

#[derive(Deserialize)]
struct File {
    control: Vec<Control>,
}

/// The files, by name.
const FILES: &[(&str, &str)] = &[
    ("identity", include_str!("../catalogue/identity.toml")),
    ("edge", include_str!("../catalogue/edge.toml")),
    ("protection", include_str!("../catalogue/protection.toml")),
    ("cache", include_str!("../catalogue/cache.toml")),
    ("jobs", include_str!("../catalogue/jobs.toml")),
    ("egress", include_str!("../catalogue/egress.toml")),
    ("observability", include_str!("../catalogue/observability.toml")),
    ("data", include_str!("../catalogue/data.toml")),
    ("deploy", include_str!("../catalogue/deploy.toml")),
    ("config", include_str!("../catalogue/config.toml")),
    ("frontend", include_str!("../catalogue/frontend.toml")),
    ("testing", include_str!("../catalogue/testing.toml")),
    ("ci", include_str!("../catalogue/ci.toml")),
    ("docs", include_str!("../catalogue/docs.toml")),
    ("process", include_str!("../catalogue/process.toml")),
];

static BUILT_IN: LazyLock<Catalogue> = LazyLock::new(|| {
    let read = |(name, text): &(&str, &str)| {
        #[expect(clippy::expect_used, reason = "compiled into the binary and read in every test")]
        toml::from_str::<File>(text)
            .map_err(|error| format!("{name}: {error}"))
            .expect("the catalogue is valid")
            .control
    };
    Catalogue { controls: FILES.iter().flat_map(read).collect() }
});

impl Catalogue {
    /// The catalogue of this release.
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    /// The same with more controls: a team's own.
    #[must_use]
    pub fn with(&self, more: impl IntoIterator<Item = Control>) -> Self {
        Self { controls: self.controls.iter().cloned().chain(more).collect() }
    }

    /// Just these.
    #[cfg(test)]
    pub(crate) fn of(controls: Vec<Control>) -> Self {
        Self { controls }
    }

    /// Every control.
    pub fn controls(&self) -> &[Control] {
        &self.controls
    }

    /// One control by id.
    pub fn find(&self, id: &str) -> Option<&Control> {
        self.controls.iter().find(|control| control.id == id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_control_is_whole_and_in_the_file_of_its_area() {
        assert_eq!(Catalogue::built_in().controls().len(), 218);
        for (area, text) in FILES {
            for control in toml::from_str::<File>(text).unwrap().control {
                assert_eq!(control.id.split('.').next(), Some(*area), "{}", control.id);
                for (field, text) in
                    [("means", &control.means), ("proved", &control.proved), ("advice", &control.advice)]
                {
                    assert!(text.len() > 20, "{}: {field} says too little", control.id);
                }
                for piece in &control.needs {
                    assert_eq!(*piece, piece.to_lowercase(), "{}", control.id);
                }
                assert!(control.phrases.len() >= 10, "{} has few phrases", control.id);
            }
        }
    }

    #[test]
    fn ids_and_phrases_belong_to_one_control() {
        let mut owners: HashMap<String, &str> = HashMap::new();
        for control in Catalogue::built_in().controls() {
            assert_eq!(owners.insert(format!("id {}", control.id), &control.id), None);
            for phrase in &control.phrases {
                let other = owners.insert(phrase.to_lowercase(), &control.id);
                assert_eq!(other, None, "`{phrase}` is in {} and {}", control.id, other.unwrap_or_default());
            }
        }
    }
}
