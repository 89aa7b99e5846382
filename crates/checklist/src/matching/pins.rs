//! Lines that the user ties to a control: by a comment in the file, or by a pattern in the config.

use thiserror::Error;

/// What stands in the place of an id for a line that asks for nothing.
const NOTHING: &str = "none";
/// Ids that differ more than this from a known one are not taken for a slip of it.
const RESEMBLING: f64 = 0.7;

/// A pin that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PinError {
    /// A slip, or a control of another release.
    #[error("{place}: there is no control `{id}`; {advice}")]
    UnknownControl {
        /// File and line, or the pattern.
        place: String,
        /// What was written.
        id: String,
        /// The nearest id, or where to find them.
        advice: String,
    },
    /// Such a pattern would take lines that nobody thought of.
    #[error("the pattern `{0}` fits every line; write some of the line's words")]
    TooWide(String),
    /// Neither a control nor `none`.
    #[error("{0} names no control; write an id, or `none` for a line that asks for nothing")]
    Empty(String),
}

/// Patterns and their controls, in the user's order.
#[derive(Debug, Default)]
pub(super) struct Pins(Vec<(Pattern, Vec<String>)>);

/// Pieces of text, in their order, with anything between them.
#[derive(Debug)]
struct Pattern(Vec<String>);

impl Pins {
    pub(super) fn new(
        pins: impl IntoIterator<Item = (String, Vec<String>)>,
        known: &[String],
    ) -> Result<Self, PinError> {
        let mut all = Vec::new();
        for (pattern, ids) in pins {
            let controls = resolve(&format!("the pattern `{pattern}`"), &ids, known)?;
            if !pattern.chars().any(char::is_alphanumeric) {
                return Err(PinError::TooWide(pattern));
            }
            all.push((Pattern::new(&pattern), controls));
        }
        Ok(Self(all))
    }

    /// The controls of the first pattern that fits; none of them means that the line asks for nothing.
    pub(super) fn find(&self, text: &str) -> Option<&[String]> {
        if self.0.is_empty() {
            return None;
        }
        let text = plain(&text.replace('*', ""));
        self.0.iter().find(|(pattern, _)| pattern.fits(&text)).map(|(_, controls)| controls.as_slice())
    }
}

/// The ids as written, or what is wrong with them; `none` is no id at all.
pub(super) fn resolve(place: &str, ids: &[String], known: &[String]) -> Result<Vec<String>, PinError> {
    if ids.is_empty() {
        return Err(PinError::Empty(place.to_owned()));
    }
    if ids == [NOTHING] {
        return Ok(Vec::new());
    }
    match ids.iter().find(|id| !known.contains(id)) {
        None => Ok(ids.to_vec()),
        Some(id) => {
            Err(PinError::UnknownControl { place: place.to_owned(), id: id.clone(), advice: advice(id, known) })
        }
    }
}

fn advice(id: &str, known: &[String]) -> String {
    let nearness = |other: &String| strsim::jaro_winkler(id, other);
    let nearest = known.iter().max_by(|left, right| nearness(left).total_cmp(&nearness(right)));
    match nearest.filter(|other| nearness(other) >= RESEMBLING) {
        Some(other) => format!("did you mean `{other}`?"),
        None => format!("`{NOTHING}` is for a line that asks for nothing"),
    }
}

/// Lower-case, without decoration, one space between words.
fn plain(text: &str) -> String {
    text.replace('`', "").to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Pattern {
    fn new(pattern: &str) -> Self {
        // Spaces beside a star stay: they keep it from reaching into a word.
        Self(pattern.to_lowercase().replace('`', "").split('*').map(collapse).collect())
    }

    fn fits(&self, text: &str) -> bool {
        let Some((first, rest)) = self.0.split_first() else { return false };
        let Some((last, middle)) = rest.split_last() else { return text == first.trim() };
        let Some(mut left) = text.strip_prefix(first.trim_start()) else { return false };
        for piece in middle {
            let Some(at) = left.find(piece.as_str()) else { return false };
            left = &left[at + piece.len()..];
        }
        left.ends_with(last.trim_end())
    }
}

/// Each run of white space as one space.
fn collapse(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_whitespace() {
            true if collapsed.ends_with(' ') => {}
            true => collapsed.push(' '),
            false => collapsed.push(character),
        }
    }
    collapsed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, text: &str) -> bool {
        let known = ["a.b".to_owned()];
        let pins = Pins::new([(pattern.to_owned(), known.to_vec())], &known).unwrap();
        pins.find(text).is_some()
    }

    #[test]
    fn patterns_fit_whole_texts_whatever_their_case() {
        assert!(fits("Rate limiting", "**rate  LIMITING**"));
        assert!(!fits("Rate limiting", "Rate limiting per user"));
        assert!(fits("rate limiting*", "Rate limiting per user"));
        assert!(fits("*per user", "Rate limiting per user"));
        assert!(fits("rate * user", "Rate limiting per user"));
        assert!(fits("*limit*", "Rate limiting"));
        assert!(!fits("rate * tenant", "Rate limiting per user"));
        assert!(!fits("ab*ba", "aba"), "pieces do not overlap");
    }

    #[test]
    fn wrong_pins_are_errors_that_help() {
        let known = ["edge.cors".to_owned(), "data.backup".to_owned()];
        let error = |pattern: &str, ids: &[&str]| {
            let ids = ids.iter().map(|id| (*id).to_owned()).collect();
            Pins::new([(pattern.to_owned(), ids)], &known).unwrap_err().to_string()
        };
        assert!(error("x", &["edge.cor"]).contains("did you mean `edge.cors`?"));
        assert!(error("x", &["zzz"]).contains("no control `zzz`"));
        assert!(error(" * ", &["none"]).contains("every line"));
        assert!(error("x", &[]).contains("names no control"));
        assert!(error("x", &["none", "edge.cors"]).contains("no control `none`"));
    }
}
