//! Controls of the team's own: a command, an HTTP expectation, a query. The same evidence and the same rules as for ours: a
//! pass needs a control experiment that came out right in both directions.

mod command;
mod example;
mod expectation;
mod http;
mod settings;
mod sql;

use std::path::{Path, PathBuf};

use seaworthy_checklist::{Control, ControlKind};

pub use expectation::Expectation;
pub(crate) use settings::validate;
pub use settings::{CommandLine, Custom, HttpCheck, SqlCheck, SqlExpectation};

use crate::probe::Probe;

/// What an experiment tries in place of the team's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StandIn {
    /// Program and arguments.
    Command(Vec<String>),
    /// A query, and where; `None` where the team's own goes.
    Query {
        /// The address of a database.
        url: Option<String>,
        /// In its dialect.
        query: String,
    },
}

/// A probe for each control of the team's own. Commands run in `repo`.
pub fn custom_probes(custom: &[Custom], repo: Option<&Path>) -> Vec<Box<dyn Probe>> {
    custom.iter().filter_map(|one| probe(one, repo.map(Path::to_owned))).collect()
}

/// The same controls as entries of the catalogue, so that lines of a checklist can mean them.
pub fn custom_controls(custom: &[Custom]) -> Vec<Control> {
    custom.iter().map(control).collect()
}

fn probe(custom: &Custom, repo: Option<PathBuf>) -> Option<Box<dyn Probe>> {
    if let Some(command) = command::CommandProbe::new(custom, repo) {
        return Some(Box::new(command));
    }
    if let Some(http) = http::HttpProbe::new(custom) {
        return Some(Box::new(http));
    }
    sql::SqlProbe::new(custom).map(|sql| Box::new(sql) as Box<dyn Probe>)
}

fn control(custom: &Custom) -> Control {
    let name = custom.id.strip_prefix(settings::AREA).unwrap_or(&custom.id).replace('-', " ");
    let title = if custom.title.is_empty() { name } else { custom.title.clone() };
    let how = if custom.http.is_some() {
        "a request is answered as the team expects"
    } else if custom.sql.is_some() {
        "a query gives what the team expects"
    } else {
        "the team's command ends with exit status 0"
    };
    Control {
        id: custom.id.clone(),
        kind: ControlKind::Verify,
        means: format!("{title}: a control of the team's own."),
        title,
        proved: format!("{how}, and the same is refused where it must fail."),
        advice: format!("See [[check.custom]] with id = \"{}\" in the config.", custom.id),
        phrases: custom.phrases.clone(),
        needs: Vec::new(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One of each kind, for the tests that every probe must pass.
    pub(crate) fn examples() -> Vec<Box<dyn Probe>> {
        let text = "[[check.custom]]\nid = \"team.example-command\"\ncommand = \"sh -c 'exit 0'\"\n\
            must_fail = [\"sh\", \"-c\", \"exit 3\"]\n\
            [[check.custom]]\nid = \"team.example-http\"\n\
            http = { path = \"/version\", expect = { status = 200, header = { content-type = \"json\" }, json = { \"/build/ok\" = true }, max_time = \"1s\" } }\n\
            [[check.custom]]\nid = \"team.example-sql\"\nmust_fail = \"select 'another'\"\n\
            sql = { url = \"sqlite::memory:\", query = \"select 'as wanted'\", expect = { value = \"as wanted\" } }\n";
        custom_probes(&settings::tests::read(text).unwrap().custom, Some(Path::new(".")))
    }

    #[test]
    fn each_is_a_control_that_lines_can_mean() {
        let text = "[[check.custom]]\nid = \"team.cake-is-there\"\nphrases = [\"Buy cake\"]\ncommand = \"true\"\n";
        let controls = custom_controls(&settings::tests::read(text).unwrap().custom);
        assert_eq!((controls[0].id.as_str(), controls[0].title.as_str()), ("team.cake-is-there", "cake is there"));
        assert_eq!(controls[0].phrases, ["Buy cake"]);
    }
}
