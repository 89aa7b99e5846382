//! Names that may be on a topic: “Installation” is a deployment where it shows `systemctl`, and none where it shows `pip`.

use std::path::Path;

use serde::Deserialize;

use super::{
    section::Section,
    topic::{Part, has_any},
};

/// Names that may be on a topic, and what decides.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Perhaps {
    /// Names of files or folders, as those of a topic.
    pub files: Vec<String>,
    /// Headings that are on the topic when the text shows what it must.
    pub headings: Vec<String>,
    /// Headings that leave it open even then.
    #[serde(default)]
    open: Vec<String>,
    /// Pieces of commands, of which one must be shown.
    shows: Vec<String>,
    /// A line with one of these shows something else.
    #[serde(default)]
    not_of: Vec<String>,
    /// A command with one of these beside it makes it doubtful.
    #[serde(default)]
    unless: Vec<String>,
    /// Documents, or sections below a heading, with these words are on something else.
    #[serde(default)]
    apart: Vec<String>,
    /// A short text that only leads out of the repository leaves it open.
    #[serde(default)]
    sends: bool,
}

/// What a name comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// It is on the topic.
    Sure,
    /// So it is, by what it shows; and what to say when that is little.
    Shown(String),
    /// That cannot be told: why.
    Open(String),
    /// It is not.
    None,
}

impl Perhaps {
    /// Of a section with those below it, by its heading.
    pub fn of_heading(&self, part: &Part<'_>) -> Weight {
        let title = part.sections.first().map_or("", |section| section.title.as_str());
        match (has_any(title, &self.headings), has_any(title, &self.open)) {
            (true, _) => self.weigh(part, false),
            (false, true) => self.weigh(part, true),
            (false, false) => Weight::None,
        }
    }

    /// Of a document or a section: by what it shows.
    pub fn weigh(&self, part: &Part<'_>, open: bool) -> Weight {
        if self.is_apart(part) {
            return Weight::None;
        }
        let own = part.sections.iter().filter(|section| !has_any(&section.title, &self.apart));
        let lines: Vec<String> = own.flat_map(|section| code_of(section)).collect();
        let has = |line: &String, words: &[String]| words.iter().any(|word| line.contains(word.as_str()));
        let shown = lines.iter().find(|line| has(line, &self.shows) && !has(line, &self.not_of));
        let other = lines.iter().find(|line| has(line, &self.unless));
        let place = part.place();
        match (shown, other) {
            (Some(shown), None) if !open => Weight::Shown(format!(
                "{place} shows `{}` and says little more: whether one could follow it cannot be told",
                shown.trim()
            )),
            (Some(shown), None) => Weight::Open(format!(
                "{place} shows `{}`: whether that is meant for production it does not say",
                shown.trim()
            )),
            (Some(shown), Some(other)) if !open => Weight::Open(format!(
                "{place} shows `{}` and `{}`: whether it brings up more than a developer's copy cannot be told",
                shown.trim(),
                other.trim()
            )),
            _ if self.sends && !open && lines.is_empty() => part.sends_out().map_or(Weight::None, Weight::Open),
            _ => Weight::None,
        }
    }

    fn is_apart(&self, part: &Part<'_>) -> bool {
        let stem = part.document.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let folders = part.document.path.parent().unwrap_or(Path::new("")).to_string_lossy();
        let Some(first) = part.sections.first() else { return true };
        let mut level = first.level;
        let mut above: Vec<&str> = vec![stem, &folders, &first.title];
        for section in part.document.sections.iter().rev().skip_while(|own| own.line >= first.line) {
            if section.level < level {
                level = section.level;
                above.push(&section.title);
            }
        }
        above.iter().any(|title| has_any(title, &self.apart))
    }
}

/// Lines of code, in lower case, without remarks.
fn code_of(section: &Section) -> Vec<String> {
    let blocks = section.blocks.iter().flat_map(|block| block.text.lines());
    let codes = section.codes.iter().map(|(_, code)| code.as_str()).filter(|code| code.contains(' '));
    let lines = blocks.chain(codes).filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    lines.map(|line| line.trim().trim_start_matches(['$', '>', '%']).trim().to_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::{Repository, Sample};

    use crate::document::{Documents, Found, Part, topic};

    fn found(topic_id: &str, files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        let documents = Documents::read(&Repository::open(folder.path()).unwrap());
        match topic(topic_id).unwrap().find(&documents) {
            Found::Parts(parts, _) => parts.iter().map(Part::place).collect::<Vec<_>>().join(" "),
            Found::Thin(what) => format!("thin: {what}"),
            Found::Elsewhere(what) => format!("open: {what}"),
            Found::Nothing(looked) => format!("nothing in {looked}"),
        }
    }

    const WORDS: &str = "It needs a machine with two gigabytes of memory and a disk for what people send to it; everything else comes with the image, and nothing has to be \
                         installed beforehand on it. Then do this, and look at the page that answers.";

    #[test]
    fn an_installation_is_a_deployment_where_a_service_is_brought_up() {
        let with = |heading: &str, code: &str| {
            found("deploy-guide", &[("README.md", &format!("# App\n## {heading}\n{WORDS}\n```sh\n{code}\n```\n"))])
        };
        for code in
            ["docker run -d --restart always -p 80:80 us/app", "sudo systemctl enable --now app", "gunicorn app:app"]
        {
            assert_eq!(with("Installation", code), "README.md:2", "{code}");
        }
        assert_eq!(with("🔧 How to install", "docker compose up -d"), "README.md:2");
        assert_eq!(with("Running as a service", "systemctl enable app"), "README.md:2");
        // A package and a development server are none, nor is the database beside them.
        for code in ["pip install app", "pip install app\nflask run", "docker run -d postgres:17\nnpm install"] {
            assert_eq!(with("Installation", code), "nothing in 1", "{code}");
        }
        assert!(with("Installation", "docker compose up -d\nnpm run dev").starts_with("open: README.md:2 shows"));
        assert!(with("Getting started", "docker compose up -d").starts_with("open: README.md:2 shows"));
        assert_eq!(with("Getting started", "docker compose up -d\nnpm run dev"), "nothing in 1");
        assert_eq!(with("Local installation", "docker compose up -d"), "nothing in 1");
        assert!(
            found(
                "deploy-guide",
                &[("README.md", "# A\n## Running as a service\n```sh\ndocker run -p 80:80 us/app\n```\n")]
            )
            .starts_with("open: README.md:2 shows `docker run")
        );
        // Copies to try, and to work on.
        let demo = format!(
            "# A\n## Installation\n{WORDS}\n### Demo\n```sh\ndocker run us/demo\n```\n### Production\nSee [it](https://a.invalid/docker).\n"
        );
        assert!(found("deploy-guide", &[("README.md", &demo)]).contains("sends readers to https://a.invalid/docker"));
        let developers = format!("# Contributing\n## Installation\n{WORDS}\n```sh\ndocker compose up\n```\n");
        assert_eq!(found("deploy-guide", &[("CONTRIBUTING.md", &developers)]), "nothing in 1");
    }

    #[test]
    fn an_installation_that_only_leads_out_is_written_elsewhere() {
        let out = "# App\n## Installation\nPlease see [the documentation](https://docs.invalid/installation/).\n";
        assert!(found("deploy-guide", &[("README.md", out)]).starts_with("open: README.md:2 sends readers to https"));
        let package = "# App\n## Installation\nSee [Node](https://nodejs.invalid).\n```sh\nnpm install app\n```\n";
        assert_eq!(found("deploy-guide", &[("README.md", package)]), "nothing in 1");
    }

    #[test]
    fn an_upgrade_is_on_migrations_where_the_schema_is_changed() {
        let with = |code: &str| {
            let text = format!("# Upgrading\n{WORDS}\n```sh\n{code}\n```\n");
            found("migrations", &[("docs/upgrading.md", &text)])
        };
        assert_eq!(with("flask db upgrade"), "docs/upgrading.md:1");
        assert_eq!(with("npm install -g app"), "nothing in 1");
    }
}
