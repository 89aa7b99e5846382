//! What a route says about the folder that it serves.

use schemars::JsonSchema;
use seaworthy_config::{Findings, HumanDuration};
use serde::Deserialize;

use super::path;

/// Serves files of a folder in place of the app.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FilesPolicy {
    /// The folder, relative to the working folder. It is looked up for each request, so a new build may replace it.
    pub root: String,
    /// For single-page apps: a browser's navigation to a path that is no file, and looks like none, gets the root's
    /// `index` with status 200. Everything else that is missing stays a 404.
    pub spa: bool,
    /// The file that answers for a folder. A folder without one is a 404: nothing is ever listed.
    pub index: String,
    /// What is taken off the front of a request's path. Without it, the part of `match` before its `*` or first `{`:
    /// `/assets/*` finds `/assets/a.js` as `a.js`. A `match` without either takes nothing off; `""` never does.
    pub strip: Option<String>,
    /// How long a client may use a file without asking again. `0s` lets it keep the file and ask each time, which costs
    /// an answer of no body. HTML is always asked for; hashed names never are.
    pub max_age: HumanDuration,
    /// Tell clients to keep files for a year whose names carry a hash of their content (`index-BxY12abc.js`,
    /// `main.3f2a9c1b.css`, all of `/_next/static/`). A name that could also be a person's choice does not count.
    pub hashed_names: bool,
    /// Folders below the root in which no file ever changes under one name, for example `["assets/"]`: kept for a year,
    /// whatever the names look like. HTML is excepted.
    pub immutable: Vec<String>,
}

impl Default for FilesPolicy {
    fn default() -> Self {
        Self {
            root: String::new(),
            spa: false,
            index: "index.html".into(),
            strip: None,
            max_age: HumanDuration::seconds(0),
            hashed_names: true,
            immutable: Vec::new(),
        }
    }
}

impl FilesPolicy {
    /// Checks what types cannot say, without looking at the disk; `path` is the place of this table in the config.
    pub fn validate(&self, path: &str, findings: &mut Findings) {
        if self.root.trim().is_empty() {
            let help = "name the folder that the build writes, for example \"dist\"";
            findings.add(format!("{path}.root"), "SEA_CONFIG_EMPTY", "`files` needs a `root`", help);
        }
        if self.index.is_empty() || self.index.starts_with('.') || self.index.contains(['/', '\\', '\0']) {
            let message = format!("`{}` is not the name of a file that can be served", self.index);
            findings.add(format!("{path}.index"), "SEA_CONFIG_PATH", message, "write for example \"index.html\"");
        }
        if let Some(strip) = &self.strip
            && path::prefix(strip).is_none()
        {
            let message = format!("`{strip}` is not the front of a path");
            findings.add(format!("{path}.strip"), "SEA_CONFIG_PATH", message, "write for example \"/assets\"");
        }
        for (index, folder) in self.immutable.iter().enumerate() {
            if folder.trim_matches('/').split('/').any(|segment| matches!(segment, "" | "." | "..")) {
                let message = format!("`{folder}` is not a folder below the root");
                let help = "write for example \"assets/\"";
                findings.add(format!("{path}.immutable.{index}"), "SEA_CONFIG_PATH", message, help);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_config::{Document, Section};

    use super::*;
    use crate::settings::RoutePolicy;

    /// As the binary reads it.
    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(transparent)]
    struct Routes(Vec<Entry>);

    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Entry {
        #[serde(flatten)]
        edge: RoutePolicy,
    }

    impl Section for Routes {
        const KEY: &'static str = "route";

        fn validate(&self, findings: &mut Findings) {
            self.0
                .iter()
                .enumerate()
                .for_each(|(index, route)| route.edge.validate(&format!("route.{index}"), findings));
        }
    }

    fn read(files: &str) -> Result<FilesPolicy, Vec<String>> {
        let text = format!("[[route]]\nmatch = \"/*\"\nfiles = {{ {files} }}\n");
        let mut document = Document::parse("seaworthy.toml", text, std::iter::empty()).unwrap();
        let routes: Routes = document.section();
        match document.finish() {
            Ok(_) => Ok(routes.0.into_iter().next().unwrap().edge.files.unwrap()),
            Err(error) => Err(error.findings.iter().map(|found| format!("{found} {:?}", found.help)).collect()),
        }
    }

    #[test]
    fn a_route_names_a_folder_in_one_line_and_mistakes_are_explained() {
        let policy = read("root = \"dist\", spa = true, max_age = \"5m\", immutable = [\"build/\"]").unwrap();
        assert!(policy.spa && policy.hashed_names);
        assert_eq!((policy.index.as_str(), policy.max_age), ("index.html", HumanDuration::seconds(300)));
        let findings = read("rot = \"dist\", max_age = \"soon\"").unwrap_err();
        let all = findings.join("\n");
        for expected in ["did you mean `root`", "does not start with a number"] {
            assert!(all.contains(expected), "{expected}: {all}");
        }
        assert!(read("index = \"x\"").unwrap_err().join("").contains("needs a `root`"));
    }

    fn places(policy: &FilesPolicy) -> String {
        let mut findings = Findings::default();
        policy.validate("route.0.files", &mut findings);
        format!("{findings:?}")
    }

    #[test]
    fn every_wrong_value_is_found_at_its_place() {
        let good = FilesPolicy { root: "dist".into(), ..FilesPolicy::default() };
        assert!(!places(&good).contains("SEA_"), "{}", places(&good));
        let bad = FilesPolicy {
            root: " ".into(),
            index: "../index.html".into(),
            strip: Some("assets/..".into()),
            immutable: vec!["assets/".into(), "/../x".into()],
            ..FilesPolicy::default()
        };
        let found = places(&bad);
        for place in ["files.root", "files.index", "files.strip", "files.immutable.1"] {
            assert!(found.contains(place), "{place}: {found}");
        }
        assert!(!found.contains("files.immutable.0"));
    }
}
