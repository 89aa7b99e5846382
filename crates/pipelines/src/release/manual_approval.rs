//! `deploy.manual-approval`: the pipeline waits for a person before production.

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting, pipeline::Truth};

use super::deployment::{Deployment, Target, deployments, none, sample};

pub(super) struct ManualApproval;

impl Inspection for ManualApproval {
    fn control(&self) -> &'static str {
        "deploy.manual-approval"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        sample(
            "production:\n  stage: deploy\n  environment: production\n  script: [helm upgrade app chart]\n  rules:\n    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\n      when: manual\n",
        )
    }

    fn absent(&self) -> Sample {
        sample(
            "production:\n  stage: deploy\n  environment: production\n  script: [helm upgrade app chart]\n  only: [main]\n",
        )
    }
}

fn look(repository: &Repository) -> Sighting {
    let all = deployments(repository);
    let mut cases = Cases::plan(0);
    all.iter().for_each(|one| cases.note(format!("{} deploys ({:?})", one.name(), one.target)));
    let named = all.iter().any(|one| one.target == Target::Production);
    let wanted =
        |one: &&Deployment<'_>| if named { one.target == Target::Production } else { one.target == Target::Unsaid };
    let production: Vec<&Deployment<'_>> = all.iter().filter(wanted).collect();
    cases.plan_more(production.len().max(1));
    if production.is_empty() {
        return match none(repository, "deploys to production") {
            Err(why) => cases.gave_up(why),
            Ok(why) => cases.gave_up(format!("{why}: how production is approved is not in the files")),
        };
    }
    for one in &production {
        judge(&mut cases, one);
    }
    cases.sighting(format!(
        "all {} deployments to production wait for a person ({}); that it is not the author is for the server",
        production.len(),
        production.first().and_then(|one| one.approval()).unwrap_or_default()
    ))
}

fn judge(cases: &mut Cases, one: &Deployment<'_>) {
    let environment = one.run.placed.job.environment.as_deref();
    let by_actions = one.run.placed.pipeline.system.ends_with("Actions");
    let azure = one.run.placed.pipeline.system == "Azure Pipelines";
    let name = one.name();
    match (one.approval(), environment) {
        (Some(how), _) => cases.tried(true, format!("{name} waits for a person ({how})")),
        (None, Some(environment)) if by_actions || azure => cases.told_nothing(format!(
            "{name} goes to the environment {environment}: who must approve there is set on the server"
        )),
        (None, _) if one.by_itself() == Truth::No => {
            cases.told_nothing(format!(
                "{name} runs only by hand: whether its author may start it is set on the server"
            ));
        }
        (None, _) if one.target != Target::Production || !one.sure || one.by_itself() == Truth::Maybe => {
            cases.told_nothing(format!(
                "{name} waits for nobody, but whether it deploys to production is not in the files"
            ));
        }
        (None, _) => cases.tried(false, format!("{name} deploys to production and waits for nobody")),
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    #[test]
    fn reviewers_of_github_are_on_its_server() {
        let text = "on: {push: {branches: [main]}}\njobs:\n  production:\n    environment: production\n    runs-on: x\n    steps: [{run: flyctl deploy}]\n";
        let outcome = |text: &str| {
            let folder = tempfile::tempdir().unwrap();
            Sample::of(&[(".github/workflows/cd.yml", text)]).write(folder.path()).unwrap();
            look(&Repository::open(folder.path()).unwrap()).outcome
        };
        assert!(matches!(outcome(text), Outcome::Unclear(_)));
        assert!(matches!(outcome(&text.replace("    environment: production\n", "")), Outcome::Broken(_)));
    }
}
