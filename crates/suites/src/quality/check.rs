//! `ci.lint`, `ci.format`, `ci.typecheck`: the tool is set up and runs on each change; it is clean here, and does not let
//! a planted violation pass.

use std::{path::Path, sync::Mutex, time::Duration};

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use super::{
    found::{Found, Purpose, Tools, hook_service, places},
    samples,
};
use crate::{
    pipeline::Pipelines,
    sandbox::{ENDED, Order, Ran, Sandbox},
    testing::NOT_ALLOWED,
};

pattern!(FINDING: r"(?i)\berror\b|\bwarning\b|:\d+|would reformat|^Diff in");

/// A tool for one purpose.
struct Check(Purpose);

pub(super) fn all() -> impl Iterator<Item = Box<dyn Inspection>> {
    let purposes = [Purpose::Format, Purpose::Lint, Purpose::Types];
    purposes.into_iter().map(|purpose| Box::new(Check(purpose)) as Box<dyn Inspection>)
}

impl Inspection for Check {
    fn control(&self) -> &'static str {
        match self.0 {
            Purpose::Lint => "ci.lint",
            Purpose::Format => "ci.format",
            Purpose::Types => "ci.typecheck",
        }
    }

    fn runs_code(&self) -> bool {
        true
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(self.0, repository)
    }

    fn present(&self) -> Sample {
        samples::kept(self.0)
    }

    fn absent(&self) -> Sample {
        samples::broken(self.0)
    }
}

fn look(purpose: Purpose, repository: &Repository) -> Sighting {
    let pipelines = Pipelines::of(repository);
    let tools = Tools::of(repository, purpose, &pipelines);
    let name = purpose.name();
    let mut cases = Cases::plan(1);
    if tools.lines == 0 {
        return cases.gave_up(format!("there is no code that a {name} would read"));
    }
    let Some(first) = tools.found.first() else {
        if let Some(why) = repository.not_whole() {
            return cases.gave_up(why);
        }
        if let Some((tool, file)) = purpose.perhaps(repository) {
            return cases.gave_up(format!(
                "{tool} can be a {name} too, and {file} configures it: no script or step that is in the repository asks it to be one"
            ));
        }
        let languages: Vec<&str> = tools.without.keys().copied().collect();
        cases.tried(false, format!("no {name} is set up for {} lines of {}", tools.lines, languages.join(" and ")));
        return cases.sighting("");
    };
    cases.tried(true, format!("{} is set up by {}", first.tool.name, first.shown_by));
    for found in &tools.found {
        cases.note(format!("{} in `{}`, shown by {}", found.tool.name, found.folder.display(), found.shown_by));
    }
    for (language, lines) in &tools.without {
        cases.note(format!("{lines} lines of {language} have no {name}"));
        if lines * 4 > tools.lines {
            cases.told_nothing(format!("{lines} of {} lines are {language} without a {name}", tools.lines));
        }
    }
    on_each_change(&mut cases, repository, &pipelines, &tools);
    if purpose == Purpose::Types {
        strict(&mut cases, repository, &pipelines, &tools);
    }
    if cases.is_broken() {
        return cases.sighting("");
    }
    let names: Vec<&str> = tools.found.iter().map(|found| found.tool.name.as_str()).collect();
    let names = names.join(" and ");
    if !repository.may_run {
        return Sighting::not_tried(format!("{names} is set up; {NOT_ALLOWED}"));
    }
    let stop = repository.stop();
    let workshop = repository.derived(|repository| {
        Workshop(Sandbox::of(repository, stop).map(Mutex::new).map_err(|error| error.to_string()))
    });
    let sandbox = match workshop.0.as_ref().map(Mutex::lock) {
        Ok(Ok(sandbox)) => sandbox,
        // A look that was broken off may have left its violation in it.
        Ok(Err(_)) => return cases.gave_up(ENDED),
        Err(why) => return cases.gave_up(why.clone()),
    };
    sandbox.notes().iter().for_each(|note| cases.note(note.clone()));
    for found in &tools.found {
        cases.plan_more(2);
        let bench = Bench { repository, pipelines: &pipelines, sandbox: &sandbox, found };
        bench.try_out(&mut cases, purpose);
    }
    cases.sighting(format!("{names}: clean here, a planted violation is caught, and the pipeline runs it"))
}

/// The copy that tools run in.
struct Workshop(Result<Mutex<Sandbox>, String>);

fn on_each_change(cases: &mut Cases, repository: &Repository, pipelines: &Pipelines, tools: &Tools) {
    cases.plan_more(tools.found.len());
    for found in &tools.found {
        let name = &found.tool.name;
        let hooked = found.tool.hook.is_some() && hook_service(repository);
        match pipelines.running(&found.tool.mention.0) {
            Some(step) => cases.tried(true, format!("{} runs {name}", step.place)),
            None if hooked => cases.tried(true, format!("pre-commit.ci runs {name}")),
            None if pipelines.files.is_empty() => {
                cases.told_nothing(format!("no pipeline is kept here that would run {name} on each change"));
            }
            None if !pipelines.unreadable.is_empty() => {
                cases.told_nothing(pipelines.unreadable.join("; "));
            }
            None => cases.tried(
                false,
                format!(
                    "{name} is set up, but none of {} pipeline steps runs it ({})",
                    pipelines.steps.len(),
                    pipelines.files[0].display()
                ),
            ),
        }
    }
}

fn strict(cases: &mut Cases, repository: &Repository, pipelines: &Pipelines, tools: &Tools) {
    cases.plan_more(tools.found.len());
    for found in &tools.found {
        let name = &found.tool.name;
        match found.is_strict(repository, pipelines) {
            Some(true) => cases.tried(true, format!("{name} is strict")),
            Some(false) => cases.tried(false, format!("{name} is not strict ({})", found.shown_by)),
            None => cases.told_nothing(format!("where {name} takes its settings from is not read here")),
        }
    }
}

struct Bench<'r> {
    repository: &'r Repository,
    pipelines: &'r Pipelines,
    sandbox: &'r Sandbox,
    found: &'r Found,
}

impl Bench<'_> {
    fn run(&self, line: &str, seconds: u64) -> Ran {
        let place = self.sandbox.place();
        let cache = self.sandbox.results().join("cache");
        let fill = |text: &str| self.found.fill(text, self.repository, self.pipelines, place, &cache);
        let environment = self.found.tool.environment.iter().map(|(name, value)| (name.clone(), fill(value))).collect();
        let budget = Duration::from_secs(seconds);
        let (folder, stop) = (self.found.folder.clone(), self.repository.stop().clone());
        self.sandbox.run(&Order { line: fill(line), folder, environment, budget, stop })
    }

    fn try_out(&self, cases: &mut Cases, purpose: Purpose) {
        let tool = self.found.tool;
        let name = &tool.name;
        if tool.probe != "true" && !self.run(&tool.probe, 60).succeeded() {
            return cases.told_nothing(format!("{name} is not installed: `{}` would install it", tool.install));
        }
        let line = self.found.script.as_deref().unwrap_or(&tool.check);
        let clean = self.run(line, 600);
        if clean.timed_out {
            return cases.told_nothing(format!("{name} did not end within 600 s"));
        }
        let status = clean.status.unwrap_or(-1);
        if status != 0 {
            return self.not_clean(cases, status, &clean);
        }
        cases.tried(true, format!("{name} finds nothing"));
        match self.plant(line) {
            Ok(true) => cases.tried(true, format!("{name} catches a planted violation")),
            Ok(false) if purpose == Purpose::Types => {
                cases.told_nothing(format!(
                    "{name} lets a planted type error pass: it may not read the files that were tried"
                ));
            }
            Ok(false) => cases.tried(
                false,
                format!("{name} does not end with an error for a planted violation ({})", self.found.shown_by),
            ),
            Err(why) => cases.told_nothing(why),
        }
    }

    fn not_clean(&self, cases: &mut Cases, status: i32, ran: &Ran) {
        let name = &self.found.tool.name;
        if !self.found.tool.findings.contains(&status) || is_unresolved(&ran.text()) {
            return cases.told_nothing(format!("{name} does not work here (status {status}): {}", ran.last_words()));
        }
        let text = ran.text();
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
        // What a tool says of itself comes before what it found.
        let found = lines().find(|line| FINDING.is_match(line)).or_else(|| lines().next());
        let first: String = found.unwrap_or_default().chars().take(200).collect();
        // A program of the machine may be another version than the project's.
        match self.is_the_projects_own() {
            true => cases.tried(false, format!("{name} is not clean: {first}")),
            false => cases.told_nothing(format!("{name} of this machine, not of the project, finds: {first}")),
        }
    }

    fn is_the_projects_own(&self) -> bool {
        if self.found.tool.always
            || self.found.tool.check == "false"
            || ["go", "rust", "ruby"].contains(&self.found.toolbox.language.as_str())
        {
            return true;
        }
        let program = self.found.tool.probe.replace("command -v ", "");
        let program = program.split_whitespace().next().unwrap_or_default();
        let ran = self.run(&format!("command -v {program}"), 20);
        let place = self.sandbox.place().display().to_string();
        Path::new(ran.output.trim()).starts_with(place)
    }

    /// Adds a violation to a file of the project: to one after the other, until it is caught.
    fn plant(&self, line: &str) -> Result<bool, String> {
        let places = places(self.repository, self.found);
        if places.is_empty() {
            return Err(format!("there is no file that a violation for {} could be planted in", self.found.tool.name));
        }
        for path in &places {
            let Some(before) = self.sandbox.text(path) else { continue };
            let written = self.sandbox.write(path, &format!("{before}{}", self.found.tool.planted));
            let ran = self.run(line, 600);
            let restored = self.sandbox.write(path, &before);
            if written.is_err() || restored.is_err() {
                return Err("the copy cannot be changed".into());
            }
            if ran.status.is_some_and(|status| status != 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Findings that come from dependencies which are not there.
fn is_unresolved(text: &str) -> bool {
    [
        "Cannot find module",
        "import-not-found",
        "Library stubs not installed",
        "could not be resolved",
        "ERR_MODULE_NOT_FOUND",
        "no matching package",
        "failed to get `",
        "Cannot find type definition",
        "missing library stubs",
        "failed to download",
        "no required module provides",
    ]
    .iter()
    .any(|sign| text.contains(sign))
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(purpose: Purpose, sample: &Sample, may_run: bool) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        sample.write(folder.path()).unwrap();
        let mut repository = Repository::open(folder.path()).unwrap();
        repository.may_run = may_run;
        look(purpose, &repository).outcome
    }

    #[test]
    fn a_tool_that_no_pipeline_runs_is_not_enough() {
        let kept = samples::kept(Purpose::Lint);
        assert!(matches!(outcome(Purpose::Lint, &kept, false), Outcome::NotTried(_)));
        let idle = kept
            .clone()
            .with(&[(samples::PIPELINE, "on: [push]\njobs:\n  a:\n    steps:\n      - run: npm run build\n")]);
        assert!(matches!(outcome(Purpose::Lint, &idle, false), Outcome::Broken(_)));
        let none = kept.without(samples::PIPELINE);
        assert!(matches!(outcome(Purpose::Lint, &none, true), Outcome::Unclear(_)));
    }

    #[test]
    fn findings_are_named_and_a_tool_that_sleeps_is_found_out() {
        let dirty = samples::kept(Purpose::Lint).with(&[("src/b.js", "debugger;\n")]);
        assert!(matches!(outcome(Purpose::Lint, &dirty, true), Outcome::Broken(why) if why.contains("src/b.js")));
        let asleep = samples::kept(Purpose::Lint).with(&[("lint.sh", "exit 0\n")]);
        assert!(matches!(outcome(Purpose::Lint, &asleep, true), Outcome::Broken(why) if why.contains("planted")));
    }

    #[test]
    fn nothing_set_up_is_broken_and_a_tool_that_is_missing_is_not() {
        let code = Sample::of(&[("app.py", "x = 1\n")]);
        assert!(matches!(outcome(Purpose::Lint, &code, false), Outcome::Broken(_)));
        assert!(matches!(outcome(Purpose::Types, &code, false), Outcome::Broken(_)));
        let config = code.with(&[
            (".pylintrc", ""),
            (samples::PIPELINE, "on: [push]\njobs:\n  a:\n    steps:\n      - run: pylint app.py\n"),
        ]);
        assert!(
            matches!(outcome(Purpose::Lint, &config, true), Outcome::Unclear(why) if why.contains("not installed"))
        );
    }

    #[test]
    fn a_formatter_is_found_where_it_is_set_up() {
        let code = Sample::of(&[("app.py", "x = 1\n")]);
        let seen = |file: (&str, &str)| outcome(Purpose::Format, &code.clone().with(&[file]), false);
        for file in [
            ("setup.cfg", "[yapf]\nbased_on_style = pep8\n"),
            ("setup.py", "setup(extras_require={\n    \"test\": [\n        \"black==24.4.2\",\n    ],\n})\n"),
            (
                "pyproject.toml",
                "[tool.hatch.envs.lint.scripts]\nformat = [\"ruff check .\", \"ruff format --check\"]\n",
            ),
            ("pyproject.toml", "[tool.poe.tasks]\nformat = {cmd = \"ruff format --check\"}\n"),
            ("pyproject.toml", "[tool.pdm.scripts]\nformat = \"ruff format --check\"\n"),
        ] {
            let found = seen(file);
            assert!(!matches!(&found, Outcome::Broken(why) if why.contains("is set up for")), "{file:?} {found:?}");
        }
        let linter = seen(("pyproject.toml", "[tool.ruff]\nline-length = 120\n"));
        assert!(matches!(&linter, Outcome::Unclear(why) if why.contains("ruff")), "{linter:?}");
        for file in [
            ("setup.py", "setup(keywords=['blackbox', 'blacken-docs'])\n"),
            ("pyproject.toml", "[project]\nname = \"a\"\n"),
        ] {
            assert!(matches!(seen(file), Outcome::Broken(_)), "{file:?}");
        }
    }

    #[test]
    fn types_that_are_not_strict_are_not_enough() {
        let strict = "{\"compilerOptions\": {\"strict\": true}}";
        let loose = "{\"compilerOptions\": {\n  // \"strict\": true\n}}";
        let project = |config: &str| {
            Sample::of(&[
                ("tsconfig.json", config),
                ("a.ts", "export const a = 1;\n"),
                (samples::PIPELINE, "on: [push]\njobs:\n  a:\n    steps:\n      - run: npx tsc --noEmit\n"),
            ])
        };
        assert!(matches!(outcome(Purpose::Types, &project(strict), false), Outcome::NotTried(_)));
        assert!(matches!(outcome(Purpose::Types, &project(loose), false), Outcome::Broken(_)));
    }
}
