//! The document on a topic: found by its name or a heading, and looked at for substance.

use std::{path::Path, sync::LazyLock};

use seaworthy_repository::Repository;
use serde::Deserialize;

use super::{
    Document, Documents, commands,
    links::{dead_links, target_of},
    pages::{Page, pages},
    perhaps::{Perhaps, Weight},
    section::{Link, Section},
    template::placeholder,
};

/// What documents on a topic are called.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Topic {
    id: String,
    /// As it is named to people.
    pub name: String,
    files: Vec<String>,
    headings: Vec<String>,
    /// Headings with these words are on something else.
    #[serde(default)]
    except: Vec<String>,
    minimum: usize,
    /// Names that may as well be on something else.
    perhaps: Option<Perhaps>,
}

#[derive(Deserialize)]
struct Topics {
    topic: Vec<Topic>,
}

#[expect(clippy::expect_used, reason = "a constant text, read in every test")]
static TOPICS: LazyLock<Topics> =
    LazyLock::new(|| toml::from_str(include_str!("topics.toml")).expect("the list of topics is valid"));

/// The topic of this id.
pub(crate) fn topic(id: &str) -> Option<&'static Topic> {
    TOPICS.topic.iter().find(|topic| topic.id == id)
}

/// What there is on a topic.
#[derive(Debug)]
pub(crate) enum Found<'d> {
    /// These say something; and where another place sends readers to, when one does.
    Parts(Vec<Part<'d>>, Option<String>),
    /// There is a place for it, and little or nothing in it; the sentence says where.
    Thin(String),
    /// It is said to be written somewhere else; the sentence says where.
    Elsewhere(String),
    /// Nothing, among so many documents.
    Nothing(usize),
}

/// A document, or the sections of it that are on a topic.
#[derive(Debug, Clone)]
pub(crate) struct Part<'d> {
    /// The document.
    pub document: &'d Document,
    /// Its sections on the topic.
    pub sections: Vec<&'d Section>,
}

impl<'d> Part<'d> {
    /// Where it begins: `path:line`.
    pub fn place(&self) -> String {
        self.document.place(self.sections.first().map_or(1, |section| section.line))
    }

    /// Words of its text.
    pub fn words(&self) -> usize {
        self.sections.iter().map(|section| section.words).sum()
    }

    /// All that it says in lower case, code blocks and headings too.
    pub fn said(&self) -> String {
        let mut said = String::new();
        for section in &self.sections {
            said.push_str(&section.title);
            said.push('\n');
            said.push_str(&section.text);
            for block in &section.blocks {
                said.push('\n');
                said.push_str(&block.text);
            }
        }
        said.to_lowercase()
    }

    /// Its links.
    pub fn links(&self) -> impl Iterator<Item = &'d Link> {
        self.sections.iter().flat_map(|section| &section.links)
    }

    /// It says little and has a link out of the repository: the sentence says where.
    pub(super) fn sends_out(&self) -> Option<String> {
        let link = self.links().find(|link| link.is_outside() && self.words() < 60)?;
        Some(format!("{} sends readers to {}, which is not read here", self.place(), link.target))
    }

    fn substance(&self) -> usize {
        let commands: usize = self.sections.iter().map(|section| commands(section).len()).sum();
        let rows: usize = self.sections.iter().map(|section| section.rows.len()).sum();
        let blocks: usize = self.sections.iter().map(|section| section.blocks.len()).sum();
        self.words() + 5 * commands + 2 * rows + 3 * blocks
    }

    /// What in it still waits to be written, when that is much of it.
    fn unwritten(&self) -> Option<(usize, String)> {
        let waiting: Vec<(usize, String)> =
            self.sections.iter().filter_map(|section| Some((section.line, placeholder(section)?))).collect();
        let much = waiting.len() * 3 >= self.sections.len().max(1);
        waiting.into_iter().next().filter(|_| much)
    }
}

impl Topic {
    /// What the documents say on it.
    pub fn find<'d>(&self, documents: &'d Documents) -> Found<'d> {
        let mut good = Vec::new();
        let mut thin = None;
        let mut elsewhere = None;
        for (part, weight) in self.parts(documents) {
            let little = match weight {
                Weight::Sure => None,
                Weight::Shown(why) => Some(why),
                Weight::Open(why) => {
                    elsewhere.get_or_insert(why);
                    continue;
                }
                Weight::None => continue,
            };
            let part = with_linked(part, documents, self.minimum);
            let (substance, place) = (part.substance(), part.place());
            if substance >= self.minimum && part.unwritten().is_none() {
                let named = |link: &&Link| link.is_outside() && has_any(&link.text, &self.headings);
                if let Some(link) = part.links().find(named) {
                    elsewhere
                        .get_or_insert(format!("{place} sends readers to {}, which is not read here", link.target));
                }
                good.push(part);
                continue;
            }
            if let Some(why) = little {
                elsewhere.get_or_insert(why);
                continue;
            }
            if let Some(sentence) = part.sends_out() {
                elsewhere.get_or_insert(sentence);
            }
            thin.get_or_insert(match part.unwritten() {
                Some((line, what)) => format!("{} is still a template: “{what}”", part.document.place(line)),
                None => format!("{place} has the heading and {} words below it", part.words()),
            });
        }
        // The part that says most comes first.
        good.sort_by_key(|part: &Part<'_>| std::cmp::Reverse(part.substance().min(400)));
        if !good.is_empty() {
            return Found::Parts(good, elsewhere);
        }
        let open = elsewhere.or_else(|| self.linked(documents)).or_else(|| self.of_a_part(documents));
        match (open, thin.or_else(|| self.template(documents))) {
            (Some(where_to), _) => Found::Elsewhere(where_to),
            (None, Some(what)) => Found::Thin(what),
            (None, None) => Found::Nothing(documents.all.len()),
        }
    }

    fn parts<'d>(&self, documents: &'d Documents) -> Vec<(Part<'d>, Weight)> {
        let mut found = Vec::new();
        for document in documents.own().filter(|document| document.is_prominent()) {
            let whole = Part { document, sections: document.sections.iter().collect() };
            if names(&self.files, &document.path) {
                found.push((whole, Weight::Sure));
                continue;
            }
            let may_be = self.perhaps.as_ref().filter(|perhaps| names(&perhaps.files, &document.path));
            match may_be.map_or(Weight::None, |perhaps| perhaps.weigh(&whole, false)) {
                Weight::None => self.sections_of(document, &mut found),
                weight => found.push((whole, weight)),
            }
        }
        found
    }

    fn sections_of<'d>(&self, document: &'d Document, found: &mut Vec<(Part<'d>, Weight)>) {
        let mut at = 0;
        while let Some(section) = document.sections.get(at) {
            at += 1;
            if section.level == 0
                || section.title.split_whitespace().count() > 9
                || has_any(&section.title, &self.except)
            {
                continue;
            }
            let below = document.sections[at..].iter().take_while(|below| below.level > section.level);
            let part = Part { document, sections: std::iter::once(section).chain(below).collect() };
            let weight = match &self.perhaps {
                _ if has_any(&section.title, &self.headings) => Weight::Sure,
                Some(perhaps) => perhaps.of_heading(&part),
                None => Weight::None,
            };
            // Below what is left open there may be what is sure.
            if matches!(weight, Weight::Sure | Weight::Shown(_)) {
                at += part.sections.len() - 1;
            }
            if weight != Weight::None {
                found.push((part, weight));
            }
        }
    }

    /// A link whose text names the topic, and that leads out.
    fn linked(&self, documents: &Documents) -> Option<String> {
        // Deep in a tree such links lead to what others wrote of other things.
        for document in documents.own().filter(|document| document.path.components().count() <= 2) {
            for link in document.sections.iter().flat_map(|section| &section.links) {
                let short = link.text.split_whitespace().count() <= 6;
                if link.is_outside() && short && has_any(&link.text, &self.headings) {
                    let place = document.place(link.line);
                    return Some(format!("{place} sends readers to {}, which is not read here", link.target));
                }
            }
        }
        None
    }

    /// A document of this name deep in the tree: of a part of the app, or of the whole?
    fn of_a_part(&self, documents: &Documents) -> Option<String> {
        let named = |document: &&Document| {
            let Some(stem) = document.path.file_stem().and_then(|stem| stem.to_str()) else { return false };
            names(&self.files, &document.path)
                && has_any(stem, &self.files)
                && document.is_for_people()
                && !document.is_prominent()
        };
        let document = documents.own().filter(named).find(|document| {
            let part = Part { document, sections: document.sections.iter().collect() };
            part.substance() >= self.minimum && part.unwritten().is_none()
        })?;
        let path = document.path.display();
        Some(format!("{path} is about {}, of one part: whether it speaks of the whole app cannot be told", self.name))
    }

    /// A page of which only the headings are read, and its name or one of them is on this: the sentence says where.
    pub fn on_a_page(&self, repository: &Repository) -> Option<String> {
        let pages = pages(repository);
        let headed = |(_, title): &&(usize, String)| {
            title.split_whitespace().count() <= 6 && has_any(title, &self.headings) && !has_any(title, &self.except)
        };
        let first = |page: &Page| page.headings.first().cloned();
        let mut named = pages.iter().filter(|page| names(&self.files, &page.path));
        let named = named.find_map(|page| Some((page, first(page)?)));
        let any = || pages.iter().find_map(|page| Some((page, page.headings.iter().find(headed)?.clone())));
        let (page, (line, title)) = named.or_else(any)?;
        let kind = if page.of_app { "a page of the app" } else { "a rendered page" };
        Some(format!("{}:{line} is {kind} with “{title}”, of which only the headings are read", page.path.display()))
    }

    /// A generated text with such a name or heading.
    fn template(&self, documents: &Documents) -> Option<String> {
        let named = |document: &&Document| {
            let mut titles = document.sections.iter().filter(|section| section.level > 0);
            document.template.is_some()
                && (names(&self.files, &document.path) || titles.any(|one| has_any(&one.title, &self.headings)))
        };
        let document = documents.all.iter().find(named)?;
        Some(format!("{} is still the text of {}", document.path.display(), document.template.unwrap_or_default()))
    }
}

/// A short part that sends on to other documents of the repository says what they say.
fn with_linked<'d>(mut part: Part<'d>, documents: &'d Documents, minimum: usize) -> Part<'d> {
    if part.words() >= minimum.max(60) {
        return part;
    }
    let targets: Vec<_> = part
        .links()
        .filter(|link| link.is_relative())
        .take(5)
        .filter_map(|link| target_of(&part.document.path, &link.target))
        .collect();
    for document in targets.iter().filter_map(|target| documents.at(target)).filter(|document| !document.checklist) {
        if document.path != part.document.path && document.template.is_none() {
            part.sections.extend(&document.sections);
        }
    }
    part
}

/// A file's name, or that of the folder it is in below `docs`; a folder's README speaks of what the folder is called.
fn names(known: &[String], path: &Path) -> bool {
    // A description of an API is about what its headings say.
    if path.extension().is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|own| ending == *own)) {
        return false;
    }
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    let is_whole = known.iter().any(|own| own.trim_start_matches('=') == words_of(folder).trim());
    let is_readme = stem.eq_ignore_ascii_case("readme");
    has_any(stem, known) || (path.components().count() > 1 && (is_whole || (is_readme && has_any(folder, known))))
}

pub(super) fn has_any(text: &str, names: &[String]) -> bool {
    let text = words_of(text);
    names.iter().any(|name| match name.strip_prefix('=') {
        Some(whole) => text.trim() == whole,
        None => text.contains(&format!(" {name} ")),
    })
}

/// Lower case, one blank between words and around them.
fn words_of(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    format!(" {} ", words.collect::<Vec<_>>().join(" "))
}

/// Dead links of a part.
pub(crate) fn dead_in(repository: &Repository, part: &Part<'_>) -> (Vec<String>, usize) {
    dead_links(
        repository,
        part.document,
        part.links().filter(|link| {
            part.document.sections.iter().any(|section| section.links.iter().any(|own| std::ptr::eq(own, *link)))
        }),
    )
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Sample;

    use super::*;

    fn found(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        let documents = Documents::read(&Repository::open(folder.path()).unwrap());
        match topic("rollback").unwrap().find(&documents) {
            Found::Parts(parts, _) => parts.iter().map(Part::place).collect::<Vec<_>>().join(" "),
            Found::Thin(what) => format!("thin: {what}"),
            Found::Elsewhere(what) => format!("elsewhere: {what}"),
            Found::Nothing(looked) => format!("nothing in {looked}"),
        }
    }

    const LONG: &str = "Find the earlier release in the list of releases, then tell the platform to start it again; the database stays as it is, since every change is made to fit both.";

    #[test]
    fn a_document_is_found_by_name_or_heading_and_must_say_something() {
        assert_eq!(found(&[("docs/rollback.md", LONG)]), "docs/rollback.md:1");
        assert_eq!(found(&[("README.md", &format!("# App\n## Rolling back\n{LONG}\n## Other\n"))]), "README.md:2");
        assert!(found(&[("README.md", "# App\n## Rollback\n\n## Other\n")]).starts_with("thin"));
        assert!(found(&[("ROLLBACK.md", &format!("# Rollback\nTODO: write\n{LONG}"))]).starts_with("thin"));
        assert_eq!(found(&[("README.md", "# App\nRolls back."), ("CHANGELOG.md", "# Rollback\nx")]), "nothing in 1");
        assert!(
            found(&[("README.md", "# App\n## Rollback\nSee [the wiki](https://wiki/x).\n")]).starts_with("elsewhere")
        );
        assert_eq!(
            found(&[("README.md", "# App\n## Rollback\nSee [it](docs/back.md).\n"), ("docs/back.md", LONG)]),
            "README.md:2"
        );
        assert_eq!(
            found(&[("README.md", "# App\n## Rollback\nSee [it](docs/gone.md).\n")]),
            "thin: README.md:2 has the heading and 2 words below it"
        );
        let boxes = "# Launch\n## Rollback\n- [ ] Rollback plan written down and tried by somebody else than its author in a drill\n- [ ] b\n- [ ] c\n- [ ] d\n- [ ] e\n";
        assert_eq!(found(&[("CHECKLIST.md", boxes)]), "nothing in 1");
    }

    #[test]
    fn a_document_of_one_part_is_neither_there_nor_missing() {
        let deep = found(&[("README.md", "# App\nIt is."), ("web/app/src/ROLLBACK.md", LONG)]);
        assert!(deep.starts_with("elsewhere: web/app/src/ROLLBACK.md is about"), "{deep}");
        assert_eq!(found(&[("README.md", "# App\nIt is."), ("web/app/src/AGENTS.md", LONG)]), "nothing in 2");
        // The README of a folder is about what the folder is called.
        assert_eq!(found(&[("ops-rollback/README.md", LONG)]), "ops-rollback/README.md:1");
    }

    #[test]
    fn a_heading_of_a_generated_text_is_said_to_be_one() {
        let text = "# App\n[Nest](https://github.com/nestjs/nest) framework TypeScript starter repository.\n## Rollback\nSee the platform.\n";
        assert_eq!(found(&[("README.md", text)]), "thin: README.md is still the text of nest new");
    }

    #[test]
    fn a_heading_of_an_example_is_none() {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(&[("README.md", &format!("# App\n## Access control example\n{LONG}{LONG}\n"))])
            .write(folder.path())
            .unwrap();
        let documents = Documents::read(&Repository::open(folder.path()).unwrap());
        assert!(matches!(topic("security-policies").unwrap().find(&documents), Found::Nothing(1)));
    }

    #[test]
    fn every_topic_is_whole() {
        for topic in &TOPICS.topic {
            assert!(topic.minimum > 0 && !topic.files.is_empty() && !topic.headings.is_empty(), "{}", topic.id);
            let perhaps = topic.perhaps.iter().flat_map(|own| own.files.iter().chain(&own.headings));
            let mut all = topic.files.iter().chain(&topic.headings).chain(perhaps);
            assert!(all.all(|name| words_of(name).trim() == name.trim_start_matches('=')), "{}", topic.id);
        }
    }
}
