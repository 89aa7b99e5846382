//! `deploy.auto-staging`: what is merged to the default branch goes to staging by itself, if its tests pass.

use seaworthy_repository::{
    Cases, Inspection, Repository, Sample, Sighting,
    pipeline::{Event, Failure, Truth},
};

use super::deployment::{Deployment, Target, deployments, none, sample, waits_for_tests};

pub(super) struct StagingDeploys;

impl Inspection for StagingDeploys {
    fn control(&self) -> &'static str {
        "deploy.auto-staging"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        sample(
            "staging:\n  stage: deploy\n  environment: staging\n  script: [helm upgrade app chart]\n  only: [main]\n",
        )
    }

    fn absent(&self) -> Sample {
        sample(
            "staging:\n  stage: deploy\n  needs: []\n  environment: staging\n  script: [helm upgrade app chart]\n  only: [main]\n",
        )
    }
}

fn look(repository: &Repository) -> Sighting {
    let mut cases = Cases::plan(2);
    let all = deployments(repository);
    all.iter().for_each(|one| cases.note(format!("{} deploys ({:?})", one.name(), one.target)));
    let staging: Vec<&Deployment<'_>> = all.iter().filter(|one| one.target == Target::Staging).collect();
    let on_default = |one: &&&Deployment<'_>| {
        one.run.placed.occasions().on(Event::DefaultBranch) == Truth::Yes
            && one.run.failure() == Failure::Stops
            && one.sure
            && one.approval().is_none()
    };
    let Some(found) = staging.iter().find(on_default) else { return not_there(cases, repository, &all, &staging) };
    cases.tried(true, format!("{} deploys the default branch to staging", found.name()));
    let held = waits_for_tests(repository, found);
    cases.tried(
        held,
        format!("{} {} for tests that can fail", found.name(), if held { "waits" } else { "does not wait" }),
    );
    cases.sighting(format!("{} deploys the default branch to staging, after tests that can hold it back", found.name()))
}

fn not_there(
    mut cases: Cases,
    repository: &Repository,
    all: &[Deployment<'_>],
    staging: &[&Deployment<'_>],
) -> Sighting {
    if let Some(one) = staging.first() {
        let occasions = one.run.placed.occasions();
        let why = match (one.run.failure(), one.approval()) {
            (Failure::Ignored(why) | Failure::Unsure(why), _) => why,
            (_, Some(how)) => format!("it waits for a person ({how})"),
            (Failure::Stops, None) if occasions.on(Event::StagingBranch) > Truth::No => {
                let what = format!("{} deploys another branch to staging", one.name());
                return cases
                    .gave_up(format!("{what}: whether what is merged gets there by itself is not in the files"));
            }
            (Failure::Stops, None) if occasions.on(Event::DefaultBranch) == Truth::Maybe || !one.sure => {
                return cases.gave_up(format!("{}: when it runs, or what it deploys, is not in the files", one.name()));
            }
            (Failure::Stops, None) => "it does not run for the default branch".to_owned(),
        };
        cases.tried(false, format!("{}: {why}", one.name()));
        return cases.sighting("");
    }
    if let Some(one) = all.iter().find(|one| one.target == Target::Unsaid) {
        return cases.gave_up(format!("{} deploys, but to which environment is not in the files", one.name()));
    }
    match none(repository, "deploys to staging") {
        Err(why) => cases.gave_up(why),
        Ok(why) => {
            cases.tried(false, why);
            cases.sighting("")
        }
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    #[test]
    fn another_branch_or_no_environment_cannot_be_told() {
        let outcome = |text: &str| {
            let folder = tempfile::tempdir().unwrap();
            sample(text).write(folder.path()).unwrap();
            look(&Repository::open(folder.path()).unwrap()).outcome
        };
        assert!(matches!(
            outcome("d:\n  environment: staging\n  script: [helm upgrade a b]\n  only: [develop]\n"),
            Outcome::Unclear(_)
        ));
        assert!(matches!(outcome("d:\n  script: [helm upgrade a b]\n  only: [main]\n"), Outcome::Unclear(_)));
        assert!(matches!(
            outcome("d:\n  environment: staging\n  script: [helm upgrade a b]\n  when: manual\n"),
            Outcome::Broken(_)
        ));
        assert!(matches!(
            outcome("d:\n  environment: production\n  script: [helm upgrade a b]\n  only: [main]\n"),
            Outcome::Broken(_)
        ));
    }
}
