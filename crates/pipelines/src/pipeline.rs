//! `ci.pipeline`: files that parse, and checks that can fail on what is proposed and on the default branch.

use seaworthy_repository::{
    Cases, Inspection, Repository, Sample, Sighting,
    pipeline::{CommandKind, Event, Failure, Pipelines, Purpose, Run, Truth},
};

use super::gate::{listed, path_filter};

pub(super) struct CheckedPipeline;

/// Whose pipelines are read.
const KNOWN: &str =
    "GitHub, GitLab, CircleCI, Azure, Bitbucket, Jenkins, Travis, Drone, Woodpecker, Buildkite, Forgejo, Gitea";

/// What can refuse a change.
const CHECKS: [Purpose; 9] = [
    Purpose::Test,
    Purpose::Lint,
    Purpose::Format,
    Purpose::Types,
    Purpose::Build,
    Purpose::CodeScan,
    Purpose::DependencyScan,
    Purpose::SecretScan,
    Purpose::ImageBuild,
];

impl Inspection for CheckedPipeline {
    fn control(&self) -> &'static str {
        "ci.pipeline"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        sample("on:\n  push:\n    branches: [main]\n  pull_request:\n", "      - run: npm test\n")
    }

    fn absent(&self) -> Sample {
        sample("on: workflow_dispatch\n", "      - run: npm test || true\n")
    }
}

fn sample(on: &str, steps: &str) -> Sample {
    let text = format!(
        "{on}jobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n{steps}"
    );
    Sample::of(&[(".github/workflows/ci.yml", &text), ("package.json", "{\"scripts\": {\"test\": \"jest\"}}")])
        .committed()
}

fn look(repository: &Repository) -> Sighting {
    let pipelines = repository.pipelines();
    let mut cases = Cases::plan(3);
    for pipeline in &pipelines.all {
        let steps: usize = pipeline.jobs.iter().map(|job| job.steps.len()).sum();
        let (file, jobs) = (pipeline.file.display(), pipeline.jobs.len());
        cases.note(format!("{file} ({}): {jobs} jobs, {steps} steps", pipeline.system));
    }
    pipelines.opaque().into_iter().take(20).for_each(|(what, _)| cases.note(format!("not followed: {what}")));
    if !parses(&mut cases, pipelines, repository) {
        return cases.sighting("");
    }
    let checks: Vec<Run<'_>> = CHECKS.iter().flat_map(|purpose| pipelines.runs(*purpose)).collect();
    let counts: Vec<Run<'_>> = checks.iter().filter(|run| run.failure() == Failure::Stops).cloned().collect();
    let (before, after): (Vec<Run<'_>>, Vec<Run<'_>>) = (
        counts.iter().filter(|run| run.placed.occasions().before_merge() == Truth::Yes).cloned().collect(),
        counts.iter().filter(|run| run.placed.occasions().on(Event::DefaultBranch) == Truth::Yes).cloned().collect(),
    );
    proposed(&mut cases, repository, &checks, &before);
    // Without any known check there is nothing to ask of the default branch.
    if !checks.is_empty() {
        merged(&mut cases, &counts, &before, &after);
    }
    cases.sighting(format!(
        "{} pipeline file{} parse; of {} checks {} can fail on each proposed change ({}), {} on the default branch",
        pipelines.all.len(),
        if pipelines.all.len() == 1 { "" } else { "s" },
        checks.len(),
        before.len(),
        listed(&before),
        after.len(),
    ))
}

/// Whether there are pipelines to judge.
fn parses(cases: &mut Cases, pipelines: &Pipelines, repository: &Repository) -> bool {
    match (pipelines.unreadable.first(), pipelines.all.is_empty()) {
        (Some(first), _) => cases.tried(false, first.clone()),
        (None, false) => cases.tried(true, format!("{} pipeline files parse", pipelines.all.len())),
        (None, true) => match (pipelines.unread.first(), repository.not_whole()) {
            (Some(unread), _) => cases.told_nothing(unread.clone()),
            (None, Some(cut)) => cases.told_nothing(cut),
            (None, None) => cases.tried(false, format!("there is no pipeline file ({KNOWN})")),
        },
    }
    !pipelines.all.is_empty()
}

/// Whether anything can refuse what is proposed.
fn proposed(cases: &mut Cases, repository: &Repository, checks: &[Run<'_>], before: &[Run<'_>]) {
    let pipelines = repository.pipelines();
    let maybe = |run: &&Run<'_>| {
        run.placed.occasions().before_merge() >= Truth::Maybe && !matches!(run.failure(), Failure::Ignored(_))
    };
    let hidden = pipelines.opaque().into_iter().find(|(_, occasions)| occasions.before_merge() >= Truth::Maybe);
    match (before.first(), checks.iter().find(maybe), hidden) {
        (Some(_), _, _) => cases.tried(true, format!("{} checks can refuse a proposed change", before.len())),
        (None, Some(run), _) => {
            let place = run.placed.place();
            let why = path_filter(repository, run)
                .unwrap_or_else(|| "whether it runs there and counts is not in the files".to_owned());
            cases.told_nothing(format!("{} at {place} may refuse a change; {why}", run.placed.name()));
        }
        (None, None, Some((what, _))) => {
            cases.told_nothing(format!("what checks a change is not in these files: {what}"))
        }
        (None, None, None) => {
            let swallowed =
                checks.iter().find_map(|run| match (run.placed.occasions().before_merge(), run.failure()) {
                    (Truth::Yes, Failure::Ignored(why)) => {
                        Some(format!("{} at {}: {why}", run.placed.name(), run.placed.place()))
                    }
                    _ => None,
                });
            let on_change = pipelines.commands().any(|placed| placed.occasions().before_merge() == Truth::Yes);
            let why = swallowed.unwrap_or_else(|| match on_change {
                true => "what runs on a proposed change builds and checks nothing that we know".to_owned(),
                false => format!("none of {} pipelines runs on a proposed change", pipelines.all.len()),
            });
            // Commands that we do not know may be checks.
            match unknown(pipelines).filter(|_| checks.is_empty()) {
                Some(command) => cases.told_nothing(format!("{why}: whether {command} is a check is not known")),
                None => cases.tried(false, format!("nothing can refuse a proposed change: {why}")),
            }
        }
    }
}

/// What prepares, shows or carries something, and refuses nothing.
const NO_CHECKS: [&str; 34] = [
    "echo", "printf", "cd", "ls", "cat", "mkdir", "cp", "mv", "rm", "export", "set", "true", "exit", "pwd", "env",
    "sleep", "apt-get", "apt", "apk", "brew", "pip", "pip3", "git", "chmod", "tar", "curl", "wget", "npm", "yarn",
    "pnpm", "bundle", "source", "which", "date",
];

/// A command on proposed changes of which we do not know what it is.
fn unknown(pipelines: &Pipelines) -> Option<String> {
    let on_change = pipelines.commands().filter(|placed| placed.occasions().before_merge() >= Truth::Maybe);
    let shell = on_change.filter(|placed| placed.command.kind == CommandKind::Shell);
    let mut open =
        shell.filter(|placed| placed.command.words.first().is_some_and(|word| !NO_CHECKS.contains(&word.as_str())));
    open.next().map(|placed| format!("{} at {}", placed.name(), placed.place()))
}

/// Whether the default branch is checked too: a push straight to it passes no pull request.
fn merged(cases: &mut Cases, counts: &[Run<'_>], before: &[Run<'_>], after: &[Run<'_>]) {
    let maybe = counts.iter().any(|run| run.placed.occasions().on(Event::DefaultBranch) == Truth::Maybe);
    match (after.is_empty(), before.is_empty(), maybe) {
        (false, _, _) => cases.tried(true, format!("{} checks run on the default branch", after.len())),
        (true, _, true) => {
            cases.told_nothing("whether a check runs on the default branch is set on the server, or by a filter of paths")
        }
        (true, false, false) => cases.told_nothing(
            "no check runs on the default branch: whether commits can be pushed there past the pull request is set on the server",
        ),
        (true, true, false) => cases.tried(false, "no check that can fail runs on the default branch"),
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(on: &str, steps: &str) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        sample(on, steps).write(folder.path()).unwrap();
        look(&Repository::open(folder.path()).unwrap()).outcome
    }

    const BOTH: &str = "on: [push, pull_request]\n";

    #[test]
    fn a_filter_of_paths_is_named() {
        let on = "on:\n  push:\n    paths: ['web/**']\n  pull_request:\n    paths: ['web/**']\n";
        let seen = outcome(on, "      - run: npm test\n");
        assert!(matches!(&seen, Outcome::Unclear(why) if why.contains("`paths`")), "{seen:?}");
    }

    #[test]
    fn steps_that_cannot_fail_refuse_nothing() {
        assert_eq!(outcome(BOTH, "      - run: npm test\n"), Outcome::Holds);
        for steps in [
            "      - run: npm test\n        continue-on-error: true\n",
            "      - run: npm test\n        if: ${{ false }}\n",
            "      - run: npm test | tee log\n",
        ] {
            assert!(matches!(outcome(BOTH, steps), Outcome::Broken(_)), "{steps}");
        }
        assert!(matches!(outcome(BOTH, "      - run: echo npm test\n"), Outcome::Broken(_)));
        assert!(matches!(outcome(BOTH, "      - run: frobnicate\n"), Outcome::Unclear(_)));
        assert!(matches!(outcome("on: pull_request\n", "      - run: npm test\n"), Outcome::Unclear(_)));
        assert!(matches!(outcome("on: {push: {branches: [main]}}\n", "      - run: npm test\n"), Outcome::Broken(_)));
    }
}
