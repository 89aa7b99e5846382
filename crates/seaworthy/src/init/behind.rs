//! What the app will see of a request that came through Seaworthy: host, scheme, and the client's address.
//!
//! Nothing is started. Each stack's file says which code or which flag makes it believe the forwarded headers; the tests in
//! `tests/e2e/frameworks.rs` hold those files against the real frameworks.

use std::path::PathBuf;

use super::{
    recognise::{Candidate, Surroundings},
    start::Chosen,
};
use seaworthy_repository::{Behind, Fact};

/// One fact, and whether the app has it right.
#[derive(Debug)]
pub struct Seen {
    /// Which.
    pub fact: Fact,
    /// Whether it is right.
    pub how: How,
}

/// Why a fact is right, or what it needs.
#[derive(Debug)]
pub enum How {
    /// It is, because of this.
    Right(String),
    /// It is not, until this is added.
    Missing {
        /// What to add.
        add: String,
        /// Where, relative to the tree.
        file: Option<PathBuf>,
    },
    /// Nothing is known of this stack.
    Unknown,
}

/// Looks at every fact.
pub fn look(around: &Surroundings<'_>, candidate: &Candidate<'_>, chosen: &Chosen<'_>) -> Vec<Seen> {
    let host = Seen { fact: Fact::Host, how: How::Right("Seaworthy passes Host on unchanged".into()) };
    let others = [Fact::Scheme, Fact::Client].map(|fact| Seen { fact, how: judge(around, candidate, chosen, fact) });
    [host].into_iter().chain(others).collect()
}

fn judge(around: &Surroundings<'_>, candidate: &Candidate<'_>, chosen: &Chosen<'_>, fact: Fact) -> How {
    let settings: Vec<&Behind> = candidate.stack.behind.iter().filter(|behind| behind.gives.contains(&fact)).collect();
    let there =
        settings.iter().find_map(|behind| around.first_match(candidate.stack, &candidate.folder, &behind.pattern));
    if let Some((file, line)) = there {
        return How::Right(format!("{}:{line}", file.display()));
    }
    if chosen.gives.contains(&fact) {
        return How::Right("the command, or the framework itself, believes this machine".into());
    }
    let Some(behind) = settings.first() else { return How::Unknown };
    let near = behind.near.as_ref().and_then(|near| around.first_match(candidate.stack, &candidate.folder, near));
    let app = chosen.application.as_ref().or(candidate.applications.first());
    let file = near.map(|(file, _)| file).or_else(|| Some(candidate.folder.join(&app?.file)));
    let object = app.filter(|app| !app.factory).and_then(|app| app.object.clone()).unwrap_or_else(|| "app".into());
    let add = behind.add.replace("{object}", &object);
    // The object is known inside of the function that makes it, and nowhere else.
    let inside = app.filter(|app| app.factory && behind.add.contains("{object}")).and_then(|app| app.object.as_deref());
    let add = inside.map_or(add.clone(), |name| format!("{add}   (inside {name}(), before it returns {object})"));
    How::Missing { add, file }
}
