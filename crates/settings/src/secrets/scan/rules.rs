//! Secrets that show by their shape. They are data: `rules.toml`.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

/// Where a hit of a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Counts {
    /// Anywhere: nothing else has this shape.
    Everywhere,
    /// Not in tests, documents, and what others wrote: there it is an example.
    OutsideExamples,
}

/// One kind of credential.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// Its id.
    #[cfg_attr(not(test), expect(dead_code, reason = "for those who read the file, and for tests"))]
    pub id: String,
    /// What it is, as a report says it.
    pub title: String,
    /// Words one of which stands in or right before every hit, whatever the case: only around them is looked.
    pub keywords: Vec<String>,
    /// The shape; the first group is the value.
    pub pattern: Pattern,
    /// What the value must have at least, in bits for each character.
    #[serde(default)]
    pub entropy: f64,
    /// Where it counts.
    pub counts: Counts,
    /// What shows within some hundred bytes that it is public or none.
    pub unless: Option<Pattern>,
    /// Endings of the paths where it counts at all; everywhere when there is none.
    #[serde(default)]
    pub files: Vec<String>,
    /// Bytes before and behind the keyword that belong to it.
    #[serde(default = "usual_reach")]
    pub reach: [usize; 2],
    /// Texts that have one, for the tests: `{a40}` stands for 40 letters and digits (`u` capitals and digits, `l` small
    /// ones and digits, `h` hexadecimal, `b` base64 for addresses, `d` digits, `p` a password), so that no scanner finds
    /// them here.
    #[cfg_attr(not(test), expect(dead_code, reason = "for tests"))]
    pub examples: Vec<String>,
}

/// A pattern for bytes.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Pattern(pub Regex);

impl TryFrom<String> for Pattern {
    type Error = regex::Error;

    fn try_from(text: String) -> Result<Self, regex::Error> {
        RegexBuilder::new(&text).unicode(false).build().map(Self)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule: Vec<Rule>,
}

fn usual_reach() -> [usize; 2] {
    [48, 320]
}

/// All of them.
pub(super) static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant file, read in every test")]
    toml::from_str::<File>(include_str!("rules.toml")).expect("the rules are valid").rule
});
