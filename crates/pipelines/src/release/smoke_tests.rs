//! `deploy.smoke-tests`: behind each deployment a step asks the live release, and can fail.

use seaworthy_repository::{
    Cases, Inspection, Repository, Sample, Sighting,
    pipeline::{Failure, Purpose, Run},
};

use super::deployment::{Deployment, Target, deployments, needed, none, sample};

pub(super) struct SmokeTests;

impl Inspection for SmokeTests {
    fn control(&self) -> &'static str {
        "deploy.smoke-tests"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        sample(&format!(
            "{DEPLOY}smoke:\n  stage: check\n  script: ['curl --fail https://app.example.com/health']\n  only: [main]\n"
        ))
    }

    fn absent(&self) -> Sample {
        sample(&format!(
            "{DEPLOY}smoke:\n  stage: check\n  script: ['curl https://app.example.com/health']\n  only: [main]\n"
        ))
    }
}

const DEPLOY: &str =
    "production:\n  stage: deploy\n  environment: production\n  script: [helm upgrade app chart]\n  only: [main]\n";

fn look(repository: &Repository) -> Sighting {
    let all = deployments(repository);
    let mut cases = Cases::plan(0);
    all.iter().for_each(|one| cases.note(format!("{} deploys ({:?})", one.name(), one.target)));
    // Of several environments the last one counts most; of steps of one job only the last.
    let named = all.iter().any(|one| one.target == Target::Production);
    let wanted: Vec<&Deployment<'_>> =
        all.iter().filter(|one| !named || one.target == Target::Production).filter(|one| one.sure).collect();
    if wanted.is_empty() {
        cases.plan_more(1);
        return match (all.first(), none(repository, "deploys, so none tests what is deployed")) {
            (Some(one), _) => cases.gave_up(format!("{} may deploy something else than the app", one.name())),
            (None, Err(why)) => cases.gave_up(why),
            (None, Ok(why)) => cases.gave_up(format!("{why}: what tests a release is not in the files")),
        };
    }
    let runs = repository.pipelines().runs(Purpose::Smoke);
    let mut jobs: Vec<&Deployment<'_>> = Vec::new();
    for one in &wanted {
        if !jobs.iter().any(|seen| std::ptr::eq(seen.run.placed.job, one.run.placed.job)) {
            jobs.push(one);
        }
    }
    for one in &jobs {
        cases.plan_more(1);
        judge(&mut cases, one, &runs);
    }
    cases.sighting(format!(
        "behind each of {} deployments a step asks the release and can fail; rolling back is for a drill",
        jobs.len()
    ))
}

fn judge(cases: &mut Cases, one: &Deployment<'_>, runs: &[Run<'_>]) {
    let behind: Vec<&Run<'_>> = runs.iter().filter(|run| is_behind(one, run) && !asks_itself(run)).collect();
    match (behind.iter().find(|run| run.failure() == Failure::Stops), behind.first()) {
        (Some(run), _) => cases.tried(true, format!("{} is behind {}", run.placed.name(), one.name())),
        (None, Some(run)) => match run.failure() {
            Failure::Unsure(why) => {
                cases.told_nothing(format!("{} at {}: {why}", run.placed.name(), run.placed.place()))
            }
            Failure::Ignored(why) => {
                cases.tried(false, format!("{} at {} cannot fail: {why}", run.placed.name(), run.placed.place()))
            }
            Failure::Stops => {}
        },
        (None, None) => match opaque_behind(one) {
            Some(step) => {
                cases.told_nothing(format!("{step} is behind {}: whether it asks the release is not known", one.name()))
            }
            None => cases.tried(false, format!("nothing behind {} asks the release", one.name())),
        },
    }
}

/// Whether a run comes after a deployment: further down in its job, in a job that needs it, or when one is reported.
fn is_behind(one: &Deployment<'_>, run: &Run<'_>) -> bool {
    let (deploy, smoke) = (one.run.placed, run.placed);
    let position = |step| deploy.job.steps.iter().position(|own| std::ptr::eq(own, step));
    let further_down = std::ptr::eq(deploy.job, smoke.job)
        && match (position(deploy.step), position(smoke.step)) {
            (Some(first), Some(second)) if first == second => deploy.command.offset < smoke.command.offset,
            (Some(first), Some(second)) => first < second,
            _ => false,
        };
    let needs = std::ptr::eq(deploy.pipeline, smoke.pipeline)
        && needed(smoke.pipeline, smoke.job).iter().any(|job| std::ptr::eq(*job, deploy.job));
    let reported = smoke.job.needs.iter().any(|need| need == "a deployment");
    further_down || needs || reported
}

/// Whether it asks the machine that it runs on.
fn asks_itself(run: &Run<'_>) -> bool {
    run.placed.command.words.iter().any(|word| word.contains("localhost") || word.contains("127.0.0.1"))
}

/// A step behind a deployment that cannot be followed, or looks for something in its name.
fn opaque_behind(one: &Deployment<'_>) -> Option<String> {
    let placed = one.run.placed;
    let behind = placed.job.steps.iter().skip_while(|step| !std::ptr::eq(*step, placed.step)).skip(1);
    let after = placed
        .pipeline
        .jobs
        .iter()
        .filter(|job| needed(placed.pipeline, job).iter().any(|other| std::ptr::eq(*other, placed.job)));
    let mut steps = behind.chain(after.flat_map(|job| &job.steps));
    let hints = ["smoke", "health", "verify", "check", "e2e", "test"];
    let looks = |text: &str| hints.iter().any(|hint| text.to_lowercase().contains(hint));
    steps
        .find(|step| looks(&step.name) || step.commands.iter().any(|command| command.opaque))
        .map(|step| step.name.clone())
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    #[test]
    fn what_asks_before_the_deploy_or_itself_is_no_smoke_test() {
        let outcome = |text: &str| {
            let folder = tempfile::tempdir().unwrap();
            sample(text).write(folder.path()).unwrap();
            look(&Repository::open(folder.path()).unwrap()).outcome
        };
        let with = |stage: &str, line: &str| format!("{DEPLOY}s:\n  stage: {stage}\n  script: ['{line}']\n");
        assert_eq!(outcome(&with("check", "curl -fsS https://a.example/health")), Outcome::Holds);
        assert!(matches!(outcome(&with("test", "curl -fsS https://a.example/health")), Outcome::Broken(_)));
        assert!(matches!(outcome(&with("check", "curl -fsS http://localhost:8000/")), Outcome::Broken(_)));
        assert!(matches!(outcome(&with("check", "curl -fsS https://a.example/ || true")), Outcome::Broken(_)));
        assert!(matches!(outcome(&with("check", "./smoke.sh")), Outcome::Broken(_) | Outcome::Unclear(_)));
        assert!(matches!(outcome("x:\n  script: [pytest]\n"), Outcome::Unclear(_)));
    }
}
