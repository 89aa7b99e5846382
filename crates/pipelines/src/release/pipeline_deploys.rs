//! `deploy.automated`: a pipeline deploys on a push or a tag, with no hand in between.

use seaworthy_repository::{
    Cases, Inspection, Repository, Sample, Sighting,
    pipeline::{Failure, Truth},
};

use super::deployment::{Deployment, deployments, none, sample};

pub(super) struct PipelineDeploys;

impl Inspection for PipelineDeploys {
    fn control(&self) -> &'static str {
        "deploy.automated"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        sample("deploy:\n  stage: deploy\n  script: [kubectl apply -f k8s]\n  only: [main]\n")
    }

    fn absent(&self) -> Sample {
        sample("deploy:\n  stage: deploy\n  script: [docker push registry/app]\n  only: [main]\n")
    }
}

fn look(repository: &Repository) -> Sighting {
    let mut cases = Cases::plan(1);
    let all = deployments(repository);
    all.iter().for_each(|one| cases.note(format!("{} deploys ({:?})", one.name(), one.target)));
    let counts = |one: &&Deployment<'_>| {
        one.by_itself() == Truth::Yes && one.run.failure() == Failure::Stops && one.sure && one.approval().is_none()
    };
    let effective: Vec<&Deployment<'_>> = all.iter().filter(counts).collect();
    if let Some(first) = effective.first() {
        let summary = format!(
            "{} of {} deployments in pipelines run on a push or tag by themselves: {} ({})",
            effective.len(),
            all.len(),
            first.name(),
            first.run.tool.name
        );
        cases.tried(true, summary.clone());
        return cases.sighting(format!("{summary}; that the release arrives is for a drill"));
    }
    let Some(first) = all.first() else {
        return match none(repository, "deploys") {
            Err(why) => cases.gave_up(why),
            Ok(why) => {
                cases.tried(false, why);
                cases.sighting("")
            }
        };
    };
    if let Some(one) = all.iter().find(|one| one.approval().is_some()) {
        let how = one.approval().unwrap_or_default();
        return cases
            .gave_up(format!("{} waits for a person ({how}): whether that is meant is not in the files", one.name()));
    }
    if let Some(one) = all.iter().find(|one| !one.sure || one.by_itself() == Truth::Maybe) {
        return cases.gave_up(format!(
            "{} may deploy the app, or something else; or when it runs is set on the server",
            one.name()
        ));
    }
    let why = match first.run.failure() {
        Failure::Ignored(why) | Failure::Unsure(why) => why,
        Failure::Stops => "it runs only by hand".to_owned(),
    };
    cases.tried(false, format!("{}: {why}", first.name()));
    cases.sighting("")
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(text: &str) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        sample(text).write(folder.path()).unwrap();
        look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn by_hand_or_for_show_is_not_automated() {
        let unclear = |text: &str| matches!(outcome(text), Outcome::Unclear(_));
        let broken = |text: &str| matches!(outcome(text), Outcome::Broken(_));
        assert!(unclear("deploy:\n  script: [kubectl apply -f k]\n  when: manual\n"));
        assert!(broken("deploy:\n  script: [kubectl apply -f k]\n  only: [web]\n"));
        assert!(broken("deploy:\n  script: ['kubectl apply --dry-run=client -f k']\n  only: [main]\n"));
        assert!(broken("deploy:\n  script: ['kubectl apply -f k || true']\n  only: [main]\n"));
        assert!(unclear("pages:\n  script: ['rsync -a docs/ host:/docs']\n  only: [main]\n"));
        assert!(broken("e2e:\n  script: [helm install app chart]\n"));
    }
}
