//! A control that asks for a document on a topic: that it is there, says something, and names nothing that is not.

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use crate::document::{Documents, Found, Grounds, Part, Resolver, commands, dead_in, target_of, topic};

/// A document that must be written.
pub(super) struct Written {
    /// The control, and behind the dot the topic.
    pub control: &'static str,
    /// A person has to say the rest.
    pub person: bool,
    /// What to say when it cannot apply, or when that cannot be told.
    pub beside_the_point: fn(&Repository) -> Option<Sighting>,
    /// What else must be so.
    pub check: fn(&Look<'_>, &mut Cases),
    /// Samples.
    pub present: fn() -> Sample,
    /// The common mistake.
    pub absent: fn() -> Sample,
}

/// What was found, for further checks.
pub(super) struct Look<'l> {
    /// The repository.
    pub repository: &'l Repository,
    /// All its documents.
    pub documents: &'l Documents,
    /// Those on the topic; the one that says most first.
    pub parts: Vec<Part<'l>>,
    /// Where another place sends readers to for it: what is not said here may be there.
    elsewhere: Option<String>,
}

/// So many parts are looked at closely: a word in a heading far away is not the guide.
const LOOKED_AT: usize = 3;

impl Inspection for Written {
    fn control(&self) -> &'static str {
        self.control
    }

    fn look(&self, repository: &Repository) -> Sighting {
        if let Some(sighting) = (self.beside_the_point)(repository) {
            return sighting;
        }
        let mut cases = Cases::plan(1);
        let documents = Documents::read(repository);
        let id = self.control.split('.').nth(1).unwrap_or_default();
        let Some(topic) = topic(id) else { return cases.gave_up(format!("no topic {id} is known; an error of ours")) };
        cases.note(format!("{} documents read", documents.all.len()));
        let found = topic.find(&documents);
        if let (Found::Nothing(_) | Found::Thin(_), Some(what)) = (&found, topic.on_a_page(repository)) {
            return cases.gave_up(what);
        }
        match found {
            Found::Nothing(looked) => {
                if let Some(why) =
                    repository.not_whole().or(documents.cut.then_some("there are more documents than are read"))
                {
                    return cases.gave_up(why);
                }
                let seen = format!("none of {looked} documents is about {}, by its name or a heading", topic.name);
                cases.tried(false, seen);
            }
            Found::Thin(what) => cases.tried(false, what),
            Found::Elsewhere(what) => return cases.gave_up(what),
            Found::Parts(mut parts, elsewhere) => {
                parts.truncate(LOOKED_AT);
                let look = Look { repository, documents: &documents, parts, elsewhere };
                return self.closer(&look, cases);
            }
        }
        cases.sighting("")
    }

    fn present(&self) -> Sample {
        (self.present)()
    }

    fn absent(&self) -> Sample {
        (self.absent)()
    }
}

impl Written {
    fn closer(&self, look: &Look<'_>, mut cases: Cases) -> Sighting {
        let words: usize = look.parts.iter().map(Part::words).sum();
        cases.tried(true, format!("{}: {words} words", look.places()));
        let commands = look.commands_exist(&mut cases);
        let links = look.links_exist(&mut cases);
        (self.check)(look, &mut cases);
        let summary = format!(
            "{}: {words} words, {commands} commands and {links} links, none to what is not there",
            look.places()
        );
        let sighting = cases.sighting(summary);
        if self.person { sighting.for_a_person() } else { sighting }
    }
}

impl Look<'_> {
    /// Where the parts are.
    pub fn places(&self) -> String {
        self.parts.iter().map(Part::place).collect::<Vec<_>>().join(", ")
    }

    /// All that is said, in lower case.
    pub fn said(&self) -> String {
        self.parts.iter().map(Part::said).collect::<Vec<_>>().join("\n")
    }

    /// All commands, as lines in lower case.
    pub fn command_lines(&self) -> Vec<String> {
        let sections = self.parts.iter().flat_map(|part| &part.sections);
        sections.flat_map(|section| commands(section)).map(|command| command.words.join(" ").to_lowercase()).collect()
    }

    /// Whether what is asked for is there: when it is not, and readers are sent elsewhere too, that cannot be told.
    pub fn asked(&self, cases: &mut Cases, there: bool, seen: String) {
        match (&self.elsewhere, there) {
            (Some(elsewhere), false) => cases.told_nothing(format!("{seen}; {elsewhere}")),
            _ => cases.tried(there, seen),
        }
    }

    /// A case: one of these words is said.
    pub fn says(&self, cases: &mut Cases, what: &str, words: &[&str]) {
        cases.plan_more(1);
        let said = self.said();
        let found = words.iter().find(|word| said.contains(*word));
        let seen = match found {
            Some(word) => format!("{what} is named (“{word}”)"),
            None => format!("{} says nothing of {what}", self.places()),
        };
        self.asked(cases, found.is_some(), seen);
    }

    /// Commands of the documents that the parts lead to, with their paths.
    pub fn linked_command_lines(&self) -> Vec<(String, String)> {
        let links = self.parts.iter().flat_map(|part| part.links().map(move |link| (part, link)));
        let paths = links
            .filter(|(_, link)| link.is_relative())
            .filter_map(|(part, link)| target_of(&part.document.path, &link.target));
        let documents = paths.filter_map(|path| self.documents.at(&path)).take(20);
        documents
            .flat_map(|document| {
                let lines = document.sections.iter().flat_map(commands);
                lines.map(|command| (document.path.display().to_string(), command.words.join(" ").to_lowercase()))
            })
            .collect()
    }

    /// A case: at least so many commands.
    pub fn has_commands(&self, cases: &mut Cases, least: usize) {
        cases.plan_more(1);
        let count = self.command_lines().len();
        let seen = match count >= least {
            true => format!("{count} commands"),
            false => format!("{} shows {count} commands, {least} are the least that one could follow", self.places()),
        };
        self.asked(cases, count >= least, seen);
    }

    /// A case: every command names something that is there, or nothing of the repository.
    fn commands_exist(&self, cases: &mut Cases) -> usize {
        let resolver = Resolver::of(self.repository);
        let (mut count, mut there) = (0, 0);
        let mut missing = None;
        for part in &self.parts {
            for command in part.sections.iter().flat_map(|section| commands(section)) {
                count += 1;
                match resolver.look(&command, part.document) {
                    Grounds::There => there += 1,
                    Grounds::Elsewhere => {}
                    Grounds::Missing(what) => {
                        let seen =
                            format!("{} shows `{}`, but {what}", part.document.place(command.line), command.shown());
                        cases.note(seen.clone());
                        missing.get_or_insert(seen);
                    }
                }
            }
        }
        if count > 0 {
            cases.plan_more(1);
            let seen = format!("{count} commands, {there} of them name something of the repository that is there");
            cases.tried(missing.is_none(), missing.unwrap_or(seen));
        }
        count
    }

    fn links_exist(&self, cases: &mut Cases) -> usize {
        let found: Vec<(Vec<String>, usize)> = self.parts.iter().map(|part| dead_in(self.repository, part)).collect();
        let tried: usize = found.iter().map(|(_, tried)| tried).sum();
        let dead: Vec<String> = found.into_iter().flat_map(|(dead, _)| dead).collect();
        if tried > 0 {
            cases.plan_more(1);
            let seen = dead.first().cloned().unwrap_or_else(|| format!("{tried} relative links lead somewhere"));
            cases.tried(dead.is_empty(), seen);
        }
        tried
    }
}

/// The control always applies.
pub(super) fn always(_: &Repository) -> Option<Sighting> {
    None
}

/// Nothing else is asked.
pub(super) fn nothing_else(_: &Look<'_>, _: &mut Cases) {}
