//! reStructuredText and AsciiDoc, as far as headings, code, links and tables of them go.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::Regex;

use super::section::{Block, Link, Section};

#[expect(clippy::expect_used, reason = "constant patterns, compiled in every test")]
static LINKS: LazyLock<[Regex; 6]> = LazyLock::new(|| {
    [
        r"`(?P<text>[^`<]*)<(?P<target>[^>`]+)>`__?",
        r":doc:`(?:(?P<text>[^`<]*)<)?(?P<target>[^>`]+)>?`",
        r":ref:`(?:(?P<text>[^`<]*)<)?(?P<target>[^>`]+)>?`",
        // A name that stands with its target somewhere else in the text.
        r"(?:^|[^`:\w])`(?P<target>(?P<text>[^`<>]+))`_(?:[^_\w]|$)",
        r"(?:link|xref):(?P<target>[^\[\s]+)\[(?P<text>[^\]]*)\]",
        r"(?P<target>https?://[^\s\[\]<>`]+)(?:\[(?P<text>[^\]]*)\])?",
    ]
    .map(|pattern| Regex::new(pattern).expect("the pattern is valid"))
});
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static CODE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"``([^`\n]+)``|`([^`<>\n]+)`").expect("the pattern is valid"));

/// What a link to a named section begins with, until it is known which document has that.
pub(super) const REFERENCE: &str = "ref:";

/// The sections of a text.
pub(super) fn read(text: &str, asciidoc: bool) -> Vec<Section> {
    let lines: Vec<&str> = text.lines().collect();
    let targets = if asciidoc { BTreeMap::new() } else { targets(&lines) };
    let mut reader = Reader { lines: &lines, at: 0, asciidoc, targets, levels: Vec::new(), sections: Vec::new() };
    reader.sections.push(Section { line: 1, ..Section::default() });
    while reader.at < lines.len() {
        reader.step();
    }
    reader.sections
}

/// Names that are given a target in a text, in lower case: `.. _name: target`, which may stand in the next line.
fn targets(lines: &[&str]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(rest) = line.trim().strip_prefix(".. _") else { continue };
        let quoted = rest.strip_prefix('`').and_then(|rest| rest.split_once("`:"));
        let Some((name, target)) = quoted.or_else(|| rest.split_once(": ").or_else(|| rest.split_once(':'))) else {
            continue;
        };
        let next = lines.get(at + 1).filter(|next| next.starts_with(' ')).map_or("", |next| next.trim());
        let target = if target.trim().is_empty() { next } else { target.trim() };
        found.insert(name.to_lowercase(), target.to_owned());
    }
    found
}

/// Names that sections are given: `.. _name:`, without a target.
pub(super) fn labels(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    targets(&lines).into_iter().filter(|(_, target)| target.is_empty()).map(|(name, _)| name).collect()
}

struct Reader<'a> {
    lines: &'a [&'a str],
    at: usize,
    asciidoc: bool,
    /// Names and where they lead.
    targets: BTreeMap<String, String>,
    /// What underlines mean: the first one that is seen is the highest.
    levels: Vec<char>,
    sections: Vec<Section>,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> &str {
        self.lines.get(at).copied().unwrap_or_default()
    }

    fn step(&mut self) {
        if let Some((level, title, taken)) = self.heading() {
            self.sections.push(Section { level, title, line: self.at + 1, ..Section::default() });
            self.at += taken;
        } else if let Some(language) = self.block_begins() {
            self.block(language);
        } else {
            self.plain();
        }
    }

    fn heading(&mut self) -> Option<(u8, String, usize)> {
        let line = self.line(self.at).to_owned();
        if self.asciidoc {
            let level = line.chars().take_while(|letter| *letter == '=').count();
            let title = line.get(level..).filter(|rest| (1..=6).contains(&level) && rest.starts_with(' '))?;
            return Some((u8::try_from(level).ok()?, title.trim().to_owned(), 1));
        }
        // A line above is only decoration.
        let (title, mark, taken) = match underline(&line) {
            Some(mark) if underline(self.line(self.at + 2)) == Some(mark) => {
                (self.line(self.at + 1).to_owned(), mark, 3)
            }
            _ => (line, underline(self.line(self.at + 1))?, 2),
        };
        let long_enough = self.line(self.at + taken - 1).chars().count() + 1 >= title.trim_end().chars().count();
        if title.trim().is_empty()
            || !long_enough
            || (taken == 2 && title.starts_with(' '))
            || underline(&title).is_some()
        {
            return None;
        }
        let known = self.levels.iter().position(|own| *own == mark);
        let level = known.unwrap_or_else(|| {
            self.levels.push(mark);
            self.levels.len() - 1
        });
        Some((u8::try_from(level + 1).unwrap_or(6), title.trim().to_owned(), taken))
    }

    /// The language of a code block that begins in this line.
    fn block_begins(&self) -> Option<String> {
        let line = self.line(self.at).trim();
        if self.asciidoc {
            let fence =
                |line: &str| line.len() >= 4 && line.bytes().all(|byte| byte == b'-' || byte == b'.') || line == "```";
            if fence(line) {
                return Some(String::new());
            }
            let source = line.strip_prefix("[source")?;
            let language = source.trim_matches([',', ']', '%']).split(',').next().unwrap_or_default();
            return fence(self.line(self.at + 1).trim()).then(|| language.trim().to_lowercase());
        }
        for directive in [
            ".. code-block::",
            ".. code::",
            ".. sourcecode::",
            ".. prompt::",
            ".. parsed-literal::",
            ".. mermaid::",
            ".. graphviz::",
            ".. uml::",
        ] {
            if let Some(rest) = line.strip_prefix(directive) {
                let named = directive.trim_matches(['.', ' ', ':']);
                let language =
                    rest.split_whitespace().next().unwrap_or(if named.contains("code") { "" } else { named });
                return Some(language.to_lowercase());
            }
        }
        (line.ends_with("::") && !line.starts_with("..")).then(String::new)
    }

    fn block(&mut self, language: String) {
        let begin = self.line(self.at).to_owned();
        let mut text = String::new();
        if self.asciidoc {
            self.at += usize::from(begin.trim().starts_with("[source"));
            let fence = self.line(self.at).trim().to_owned();
            self.at += 1;
            let line = self.at + 1;
            while self.at < self.lines.len() && self.line(self.at).trim() != fence {
                text.push_str(self.line(self.at));
                text.push('\n');
                self.at += 1;
            }
            self.at += 1;
            return self.with(|section| section.blocks.push(Block { language, text, line }));
        }
        if !begin.trim().starts_with("..") {
            self.add_text(begin.trim_end_matches(':'));
        }
        let outer = indent(&begin);
        self.at += 1;
        let mut first = None;
        while self.at < self.lines.len() {
            let line = self.line(self.at).to_owned();
            if !line.trim().is_empty() && indent(&line) <= outer {
                break;
            }
            let option = first.is_none() && line.trim_start().starts_with(':');
            if !line.trim().is_empty() && !option {
                first.get_or_insert(self.at + 1);
            }
            if first.is_some() {
                text.push_str(line.trim_start());
                text.push('\n');
            }
            self.at += 1;
        }
        let line = first.unwrap_or(self.at);
        self.with(|section| section.blocks.push(Block { language, text, line }));
    }

    fn plain(&mut self) {
        let line = self.line(self.at).to_owned();
        self.at += 1;
        let trimmed = line.trim();
        for (mark, image) in [(".. image::", true), (".. figure::", true), ("image::", true), (".. include::", false)] {
            if let Some(target) = trimmed.strip_prefix(mark) {
                let target = target.split('[').next().unwrap_or(target).trim().to_owned();
                let link = Link { target, text: String::new(), line: self.at, image };
                return self.with(|section| section.links.push(link));
            }
        }
        if trimmed.starts_with("..")
            || trimmed.starts_with("//")
            || (trimmed.starts_with(':') && trimmed.ends_with(':'))
        {
            return;
        }
        if trimmed.starts_with(['*', '-', '|']) {
            self.with(|section| section.items += 1);
        }
        if let Some(row) = trimmed.strip_prefix('|') {
            let row =
                row.trim_end_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect();
            self.with(|section| section.rows.push(row));
        }
        self.add_text(&line);
    }

    fn add_text(&mut self, line: &str) {
        let at = self.at.max(1);
        let asciidoc = self.asciidoc;
        let found = LINKS.iter().enumerate().flat_map(|(kind, pattern)| {
            let of_kind = move |found| (kind, found);
            pattern.captures_iter(line).map(of_kind)
        });
        let found = found.filter_map(|(kind, found)| {
            let part = |name| found.name(name).map_or("", |part| part.as_str()).trim().to_owned();
            let target = part("target");
            let known =
                |name: &str| self.targets.get(&name.to_lowercase()).filter(|target| !target.is_empty()).cloned();
            let target = match (kind, target.strip_suffix('_')) {
                (3, _) => known(&target)?,
                _ if asciidoc => target,
                (0, Some(name)) => known(name).unwrap_or(target),
                (1, _) => format!("{}.rst", target.trim_end_matches('/')),
                (2, _) => format!("{REFERENCE}{}", target.to_lowercase()),
                _ => target,
            };
            Some(Link { target, text: part("text"), line: at, image: false })
        });
        let links: Vec<Link> = found.collect();
        let codes = CODE.captures_iter(line).filter_map(|code| code.get(1).or(code.get(2)));
        let codes: Vec<(usize, String)> = codes.map(|code| (at, code.as_str().to_owned())).collect();
        self.with(|section| {
            section.links.extend(links);
            section.codes.extend(codes);
            section.add_text(line);
            section.add_text("\n");
        });
    }

    fn with(&mut self, change: impl FnOnce(&mut Section)) {
        if let Some(section) = self.sections.last_mut() {
            change(section);
        }
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The character of a line that is nothing but one.
fn underline(line: &str) -> Option<char> {
    let line = line.trim_end();
    let first = line.chars().next().filter(|first| "=-~^\"'`#*+.:_".contains(*first))?;
    (line.len() >= 3 && line.chars().all(|letter| letter == first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restructured_text() {
        let text = "=====\nTitle\n=====\n\nSee `the guide <guide.rst>`_ and :doc:`other`.\n\nDeploy\n------\n\nRun::\n\n    $ make deploy\n    $ make check\n\n\
                    .. code-block:: console\n   :caption: x\n\n   $ alembic upgrade head\n\nUse ``A_B``.\n";
        let sections = read(text, false);
        let titles: Vec<(&str, u8)> = sections.iter().map(|section| (section.title.as_str(), section.level)).collect();
        assert_eq!(titles, [("", 0), ("Title", 1), ("Deploy", 2)]);
        assert_eq!(
            sections[1].links.iter().map(|link| link.target.as_str()).collect::<Vec<_>>(),
            ["guide.rst", "other.rst"]
        );
        let blocks: Vec<(&str, &str)> =
            sections[2].blocks.iter().map(|block| (block.language.as_str(), block.text.as_str())).collect();
        assert_eq!(blocks, [("", "$ make deploy\n$ make check\n\n"), ("console", "$ alembic upgrade head\n\n")]);
        assert_eq!(sections[2].codes[0].1, "A_B");
    }

    #[test]
    fn names_lead_to_their_targets() {
        let text = "Read `Contributing to it`_, `the wiki <wiki_>`_ and `nothing`_.\nSee :ref:`set up <Setting-Up>`.\n\n\
                    .. _`Contributing to it`:\n    https://a.b/c\n.. _wiki: https://w.x\n\n.. _here:\n\nHere\n----\n";
        let sections = read(text, false);
        let shown: Vec<(&str, &str)> =
            sections[0].links.iter().map(|link| (link.target.as_str(), link.text.as_str())).collect();
        let expected =
            [("https://w.x", "the wiki"), ("https://a.b/c", "Contributing to it"), ("ref:setting-up", "set up")];
        assert_eq!(shown[..3], expected);
        assert!(shown.iter().all(|(target, _)| !target.contains("nothing")));
        assert_eq!(labels(text), ["here"]);
    }

    #[test]
    fn asciidoc() {
        let text = "= Title\n\n== Deploy\n[source,sh]\n----\nmake deploy\n----\nSee link:a.adoc[the guide].\n";
        let sections = read(text, true);
        assert_eq!(sections[2].title, "Deploy");
        assert_eq!(
            (sections[2].blocks[0].language.as_str(), sections[2].blocks[0].text.as_str()),
            ("sh", "make deploy\n")
        );
        assert_eq!(sections[2].links[0].target, "a.adoc");
    }
}
