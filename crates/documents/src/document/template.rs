//! Texts that somebody meant to replace: those of generators, and those between brackets.

use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;

use super::section::Section;

#[derive(Deserialize)]
struct Templates {
    template: Vec<Template>,
}

#[derive(Deserialize)]
struct Template {
    name: String,
    all: Vec<String>,
}

#[expect(clippy::expect_used, reason = "a constant text, read in every test")]
static TEMPLATES: LazyLock<Templates> =
    LazyLock::new(|| toml::from_str(include_str!("templates.toml")).expect("the list of templates is valid"));

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| {
    let patterns = [
        r"\bTODO\b",
        r"\bTBD\b",
        r"\bFIXME\b",
        r"(?i)\blorem ipsum\b",
        r"(?i)\[(?:insert|add|describe|your|enter|fill in|name of)\b[^\]\n]*\]",
        r"(?i)<(?:insert|add|describe|your|enter|fill in)\b[^>\n]*>",
        r"(?i)\b(?:describe|explain|document) (?:it|this|that)? ?here\b",
        r"(?i)\bcoming soon\b",
        r"(?i)\bto be (?:written|done|documented|completed|filled|defined|determined)\b",
        r"(?i)\bwork in progress\b",
    ];
    Regex::new(&patterns.join("|")).expect("the pattern is valid")
});

/// The generator that wrote this text, when nobody has replaced it.
pub(super) fn template_of(text: &str) -> Option<&'static str> {
    let start: String = text.chars().take(40_000).collect();
    let start = start.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let fits = |template: &&Template| template.all.iter().all(|piece| start.contains(piece.as_str()));
    TEMPLATES.template.iter().find(fits).map(|template| template.name.as_str())
}

/// What in a section still waits to be written. A tag in code is none.
pub(super) fn placeholder(section: &Section) -> Option<String> {
    let found = PLACEHOLDER.find(&section.text)?;
    let code = section.codes.iter().any(|(_, code)| code.contains(found.as_str()));
    (!code).then(|| found.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_texts_and_placeholders_are_known() {
        let rails = "# README\n\nThis README would normally document whatever steps are necessary to get the\napplication up and running.\n";
        assert_eq!(template_of(rails), Some("rails new"));
        let vue = "This template should help get you started developing with Vue 3 in Vite.";
        assert_eq!(template_of(vue), Some("create-vue"));
        assert_eq!(template_of("# Orders\n\nTakes orders."), None);
        let of = |text: &str| placeholder(&Section { text: text.into(), ..Section::default() });
        for text in [
            "TODO: write",
            "Lorem ipsum dolor",
            "[Insert contact here]",
            "<your project> runs",
            "Describe here",
            "[Your Name]",
        ] {
            assert!(of(text).is_some(), "{text}");
        }
        for text in ["Runs a todo list", "Add [a link](x)", "Use the todo endpoint"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
