//! Steps of pipelines that put a release where it runs.

use seaworthy_repository::{
    Repository, Sample,
    pipeline::{Event, Failure, Job, Occasions, Pipeline, Purpose, Run, Truth},
};

/// Where a deployment goes, as its words say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Staging,
    Production,
    Unsaid,
}

/// One deployment.
pub(super) struct Deployment<'p> {
    pub(super) run: Run<'p>,
    pub(super) target: Target,
    /// Its words say that it deploys the app; what copies files or applies a plan may do something else.
    pub(super) sure: bool,
}

const STAGING: [&str; 9] = ["staging", "stage", "preprod", "pre-prod", "uat", "qa", "preview", "development", "dev"];
const PRODUCTION: [&str; 4] = ["production", "prod", "live", "prd"];
/// What these do may be a deployment, or something else with the same program.
const AMBIGUOUS: [&str; 4] = ["a shell on the server", "Terraform", "GitHub Pages", "Ansible"];

/// Every deployment, in the order of the files. What runs on each proposed change without an environment is a test of a
/// deployment, on a cluster of its own.
pub(super) fn deployments(repository: &Repository) -> Vec<Deployment<'_>> {
    let runs = repository.pipelines().runs(Purpose::Deploy);
    let real = runs.into_iter().filter(|run| {
        let proposed = run.placed.occasions().on(Event::PullRequest) == Truth::Yes;
        !proposed || run.placed.job.environment.is_some()
    });
    real.filter(|run| run.placed.occasions().ever() > Truth::No).map(judged).collect()
}

fn judged(run: Run<'_>) -> Deployment<'_> {
    let placed = run.placed;
    let environment = placed.job.environment.clone().unwrap_or_default();
    let file = placed.pipeline.file.to_string_lossy().into_owned();
    let own = [placed.job.name.clone(), placed.step.name.clone(), placed.command.words.join(" "), file];
    let target = target_of(&environment).or_else(|| own.iter().find_map(|text| target_of(text)));
    let occasions = placed.occasions();
    let by_branch = match () {
        () if occasions.on(Event::DefaultBranch) > Truth::No => None,
        () if occasions.on(Event::StagingBranch) == Truth::Yes
            && occasions.on(Event::ProductionBranch) == Truth::No =>
        {
            Some(Target::Staging)
        }
        () if occasions.on(Event::ProductionBranch) == Truth::Yes
            && occasions.on(Event::StagingBranch) == Truth::No =>
        {
            Some(Target::Production)
        }
        () => None,
    };
    let says_deploy = own.iter().any(|text| text.to_lowercase().contains("deploy")) || placed.job.environment.is_some();
    let of_documents =
        own[..2].iter().any(|text| ["doc", "storybook", "pages"].iter().any(|word| text.to_lowercase().contains(word)));
    // A plan of infrastructure is no release, whatever its job is called.
    let tool = run.tool.name.as_str();
    let by_words = says_deploy && !["GitHub Pages", "Terraform"].contains(&tool);
    let sure = !of_documents && (!AMBIGUOUS.contains(&tool) || by_words);
    Deployment { target: target.or(by_branch).unwrap_or(Target::Unsaid), sure, run }
}

/// Whether a text has one of the words that stand for an environment.
fn target_of(text: &str) -> Option<Target> {
    let text = text.to_lowercase();
    let words: Vec<&str> = text.split(|letter: char| !letter.is_alphanumeric()).collect();
    let any = |list: &[&str]| list.iter().any(|word| words.contains(word));
    match (any(&STAGING), any(&PRODUCTION)) {
        (true, false) => Some(Target::Staging),
        (false, true) => Some(Target::Production),
        _ => None,
    }
}

impl Deployment<'_> {
    /// As people call it.
    pub(super) fn name(&self) -> String {
        format!("{} at {}", self.run.placed.name(), self.run.placed.place())
    }

    /// How the pipeline waits for a person before it.
    pub(super) fn approval(&self) -> Option<&str> {
        let job = self.run.placed.job;
        let steps = job.steps.iter().take_while(|step| !std::ptr::eq(*step, self.run.placed.step));
        job.approval.as_deref().or_else(|| steps.into_iter().find_map(|step| step.approval.as_deref()))
    }

    /// It runs when something is pushed or released, with nobody's hand.
    pub(super) fn by_itself(&self) -> Truth {
        by_itself(&self.run.placed.occasions())
    }
}

/// On a push to any branch that is deployed, or on a tag.
pub(super) fn by_itself(occasions: &Occasions) -> Truth {
    let events = [Event::DefaultBranch, Event::StagingBranch, Event::ProductionBranch, Event::Tag];
    events.into_iter().map(|event| occasions.on(event)).max().unwrap_or(Truth::No)
}

/// Every job that this one needs, however far away.
pub(super) fn needed<'p>(pipeline: &'p Pipeline, job: &'p Job) -> Vec<&'p Job> {
    let mut found: Vec<&Job> = Vec::new();
    let mut open: Vec<&String> = job.needs.iter().collect();
    while let Some(name) = open.pop() {
        let of_name = pipeline.jobs.iter().filter(|other| same(&other.name, name));
        for other in of_name {
            if !found.iter().any(|seen| std::ptr::eq(*seen, other)) {
                found.push(other);
                open.extend(&other.needs);
            }
        }
    }
    found
}

/// A job of a called workflow goes by the calling job's name too.
fn same(own: &str, wanted: &str) -> bool {
    own == wanted || own.starts_with(&format!("{wanted} of "))
}

/// Whether tests that fail hold a deployment back: in an earlier step, in a job that it needs, or in a pipeline before.
pub(super) fn waits_for_tests(repository: &Repository, deployment: &Deployment<'_>) -> bool {
    let placed = deployment.run.placed;
    let before = needed(placed.pipeline, placed.job);
    if placed.job.needs.iter().any(|need| need.starts_with("workflow ")) {
        return true;
    }
    let tests = repository.pipelines().runs(Purpose::Test);
    tests.iter().filter(|test| test.failure() == Failure::Stops).any(|test| {
        let in_job = before.iter().any(|job| std::ptr::eq(*job, test.placed.job));
        let earlier = std::ptr::eq(placed.job, test.placed.job) && test.placed.step.line <= placed.step.line;
        in_job || earlier
    })
}

/// A repository with this in its pipeline of GitLab.
pub(super) fn sample(text: &str) -> Sample {
    let pipeline = format!("stages: [test, deploy, check]\ntest:\n  stage: test\n  script: [pytest]\n{text}");
    Sample::of(&[
        (".gitlab-ci.yml", &pipeline),
        ("app.py", "print(1)\n"),
        ("tests/test_app.py", "def test():\n    pass\n"),
    ])
    .committed()
}

/// Why no deployment is seen; `Err` when it cannot be told.
pub(super) fn none(repository: &Repository, what: &str) -> Result<String, String> {
    let hidden = repository.pipelines().opaque().into_iter().find(|(text, _)| {
        let text = text.to_lowercase();
        [
            "deploy",
            "release",
            "publish",
            "ship",
            "cd",
            "template",
            "includes",
            "shared library",
            "uploads a pipeline",
            "starts",
            "cannot be read",
            "is not read",
        ]
        .iter()
        .any(|word| text.contains(word))
    });
    if let Some((hidden, _)) = hidden {
        return Err(format!("no pipeline that can be seen {what}, but this may: {hidden}"));
    }
    // A platform may deploy what is pushed; whether it does is set there.
    let platforms = [
        "vercel.json",
        "netlify.toml",
        "render.yaml",
        "fly.toml",
        "railway.json",
        "railway.toml",
        "app.yaml",
        "Procfile",
        "app.json",
        "captain-definition",
        "nixpacks.toml",
        "wrangler.toml",
        "wrangler.jsonc",
        "firebase.json",
        "amplify.yml",
        "appspec.yml",
    ];
    if let Some(file) = platforms.iter().find(|file| repository.has(file)) {
        return Err(format!("no pipeline {what}; {file} is for a platform that may, which is set there"));
    }
    if let Some(cut) = repository.not_whole() {
        return Err(cut.to_owned());
    }
    let (files, commands) = (repository.pipelines().all.len(), repository.pipelines().commands().count());
    Ok(format!("none of the {commands} commands in {files} pipeline files {what}"))
}
