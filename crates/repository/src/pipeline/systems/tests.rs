//! Pipelines of every system, as people write them, and what is understood of each.

use super::super::{Event, Failure, Purpose, Truth};
use super::*;
use crate::sample_folder::folder_with;

fn with<T>(files: &[(&str, &str)], see: impl FnOnce(&Pipelines) -> T) -> T {
    let folder = folder_with(files);
    let repository = Repository::open(folder.path()).unwrap();
    see(&super::read(&repository))
}

/// The tests that a pipeline runs: what their failure does, then letters for the events.
fn tests(files: &[(&str, &str)]) -> Vec<String> {
    with(files, |pipelines| {
        assert_eq!(pipelines.unreadable, Vec::<String>::new());
        let letter = |truth: Truth, letter: &str| match truth {
            Truth::Yes => letter.to_owned(),
            Truth::Maybe => format!("{letter}?"),
            Truth::No => String::new(),
        };
        let runs = pipelines.runs(Purpose::Test);
        runs.iter()
            .map(|run| {
                let mark = match run.failure() {
                    Failure::Stops => "!",
                    Failure::Unsure(_) => "?",
                    Failure::Ignored(_) => "-",
                };
                let on = |event, name| letter(run.placed.occasions().on(event), name);
                format!(
                    "{mark} {}{}{}{}{}",
                    on(Event::PullRequest, "P"),
                    on(Event::DefaultBranch, "D"),
                    on(Event::Tag, "T"),
                    on(Event::Schedule, "S"),
                    on(Event::Manual, "M")
                )
            })
            .collect()
    })
}

fn github(on: &str, job: &str) -> Vec<String> {
    let text = format!("on: {on}\njobs:\n  test:\n    runs-on: ubuntu-latest\n{job}");
    tests(&[(".github/workflows/ci.yml", &text)])
}

const STEPS: &str = "    steps:\n      - run: pytest\n";

#[test]
fn github_triggers() {
    assert_eq!(github("[push, pull_request]", STEPS), ["! PDT"]);
    assert_eq!(github("push", STEPS), ["! DT"]);
    assert_eq!(github("{push: {branches: [main]}, pull_request: {branches: [main]}}", STEPS), ["! PD"]);
    assert_eq!(github("{push: {branches: [release/*]}}", STEPS), ["! "]);
    assert_eq!(github("{pull_request: {branches: [release]}}", STEPS), ["! "]);
    assert_eq!(github("workflow_dispatch", STEPS), ["! M"]);
    assert_eq!(github("{schedule: [{cron: '0 0 * * *'}]}", STEPS), ["! S"]);
    assert_eq!(github("{push: {tags: ['v*']}}", STEPS), ["! T"]);
    assert_eq!(github("{pull_request: {types: [labeled]}}", STEPS), ["! P?"]);
}

#[test]
fn a_filter_of_paths_may_leave_a_change_out() {
    let github = |on: &str| {
        let text = format!("on: {on}\njobs:\n  test:\n    runs-on: ubuntu-latest\n{STEPS}");
        tests(&[(".github/workflows/ci.yml", &text), ("api/main.py", "x = 1\n"), ("docs/conf.py", "x = 1\n")])
    };
    assert_eq!(github("{push: {paths: ['web/**']}, pull_request: {paths: ['web/**']}}"), ["! P?D?T"]);
    assert_eq!(github("{push: {paths: ['**', '!docs/**']}}"), ["! DT"]);
    assert_eq!(github("{pull_request: {paths-ignore: ['docs/**', '**.md', '**/docs/**', 'LICENSE']}}"), ["! P"]);
    assert_eq!(github("{pull_request: {paths-ignore: ['api/**']}}"), ["! P?"]);
    assert_eq!(github("{pull_request: {paths-ignore: ['**/*.py']}}"), ["! P?"]);
    let gitlab = |rest: &str| tests(&[(".gitlab-ci.yml", &format!("test:\n  script: pytest\n{rest}"))]);
    assert!(gitlab("  rules:\n    - changes: [web/**/*]\n")[0].starts_with("! P?D?"));
    assert!(gitlab("  rules:\n    - changes:\n        paths: ['**/*']\n")[0].starts_with("! PD"));
    assert!(gitlab("  only:\n    refs: [branches]\n    changes: [web/**/*]\n")[0].starts_with("! P?D?"));
}

#[test]
fn github_steps_that_do_not_count() {
    let on = "pull_request";
    assert_eq!(github(on, "    steps:\n      - run: pytest || true\n"), ["- P"]);
    assert_eq!(github(on, "    steps:\n      - run: pytest\n        continue-on-error: true\n"), ["- P"]);
    assert_eq!(github(on, "    continue-on-error: true\n    steps:\n      - run: pytest\n"), ["- P"]);
    assert_eq!(github(on, "    if: false\n    steps:\n      - run: pytest\n"), ["! "]);
    assert_eq!(github(on, "    steps:\n      - run: pytest\n        if: github.event_name == 'push'\n"), ["! "]);
    assert_eq!(github(on, "    steps:\n      # - run: pytest\n      - run: echo pytest\n"), Vec::<String>::new());
    assert_eq!(github(on, "    steps:\n      - run: pytest | tee out\n"), ["- P"]);
    assert_eq!(github(on, "    steps:\n      - run: pytest | tee out\n        shell: bash\n"), ["! P"]);
    assert_eq!(
        github(on, "    steps:\n      - run: |\n          set +e\n          pytest\n          echo done\n"),
        ["- P"]
    );
}

#[test]
fn github_calls_of_workflows_and_actions() {
    let files = [
        (
            ".github/workflows/ci.yml",
            "on: pull_request\njobs:\n  a:\n    uses: ./.github/workflows/inner.yml\n  b:\n    runs-on: x\n    steps:\n      - uses: ./.github/actions/t\n  c:\n    needs: never\n    runs-on: x\n    steps: [{run: pytest}]\n  never:\n    if: false\n    runs-on: x\n    steps: [{run: 'true'}]\n",
        ),
        (
            ".github/workflows/inner.yml",
            "on: workflow_call\njobs:\n  x:\n    runs-on: x\n    defaults: {run: {working-directory: web}}\n    steps:\n      - run: npm test\n",
        ),
        (
            ".github/actions/t/action.yml",
            "runs:\n  using: composite\n  steps:\n    - run: go test ./...\n      shell: bash\n",
        ),
        ("web/package.json", "{\"scripts\": {\"test\": \"vitest run\"}}"),
    ];
    assert_eq!(tests(&files), ["! P", "! P", "! ", "! "]);
    let remote = [(".github/workflows/ci.yml", "on: push\njobs:\n  a:\n    uses: x/y/.github/workflows/z.yml@v1\n")];
    assert!(with(&remote, |pipelines| pipelines.opaque().len() == 2));
}

#[test]
fn gitlab() {
    let of = |text: &str| tests(&[(".gitlab-ci.yml", text)]);
    assert_eq!(of("test:\n  script: [pytest]\n"), ["! PDTSM"]);
    assert_eq!(of("test:\n  script: pytest\n  allow_failure: true\n"), ["- PDTSM"]);
    assert_eq!(of("test:\n  script: pytest\n  when: manual\n"), ["! M"]);
    assert_eq!(of("test:\n  script: pytest\n  only: [main]\n"), ["! DSM"]);
    assert_eq!(
        of(
            ".b:\n  script: &s [pytest -q]\n  rules:\n    - if: $CI_PIPELINE_SOURCE == \"merge_request_event\"\ntest:\n  extends: .b\n"
        ),
        ["! P"]
    );
    assert_eq!(
        of(
            ".s:\n  script: [pytest]\ntest:\n  script:\n    - !reference [.s, script]\n    - echo\n  rules:\n    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\n    - when: never\n"
        ),
        ["! DSM"]
    );
    assert_eq!(of("workflow:\n  rules:\n    - if: $CI_COMMIT_TAG\ntest:\n  script: pytest\n"), ["! T"]);
    let included = [
        (".gitlab-ci.yml", "include:\n  - local: /ci/*.yml\n"),
        ("ci/a.yml", "test:\n  script:\n    - cd x && pytest\n"),
    ];
    assert_eq!(tests(&included), ["! PDTSM"]);
    let files = [(".gitlab-ci.yml", "include:\n  - project: a/b\n    file: x.yml\n")];
    assert!(with(&files, |pipelines| pipelines.opaque().len() == 1));
    let files = [(
        ".gitlab-ci.yml",
        "a:\n  script: [make]\n  stage: build\nb:\n  stage: deploy\n  script: [ssh x]\n  environment: production\n  when: manual\n",
    )];
    with(&files, |pipelines| {
        let job = &pipelines.all[0].jobs[1];
        assert!(job.approval.is_some() && job.needs == ["a"] && job.environment.as_deref() == Some("production"));
    });
}

#[test]
fn a_proposal_has_no_branchs_name() {
    let named = "    if: github.event.repository.default_branch == github.ref_name\n";
    assert_eq!(github("[push, pull_request]", &format!("{named}{STEPS}")), ["! D"]);
}

#[test]
fn circle_and_travis() {
    let config = "version: 2.1\ncommands:\n  t:\n    steps:\n      - run: {name: tests, command: pytest}\njobs:\n  test:\n    docker: [{image: x}]\n    steps: [checkout, t]\n  deploy:\n    docker: [{image: x}]\n    steps: [{run: kubectl apply -f k}]\nworkflows:\n  main:\n    jobs:\n      - test\n      - hold: {type: approval, requires: [test]}\n      - deploy: {requires: [hold], filters: {branches: {only: main}}}\n";
    let files = [(".circleci/config.yml", config)];
    assert_eq!(tests(&files), ["! PD"]);
    with(&files, |pipelines| {
        let run = &pipelines.runs(Purpose::Deploy)[0];
        assert!(run.placed.job.approval.is_some());
        assert_eq!(run.placed.occasions().on(Event::PullRequest), Truth::No);
    });
    assert_eq!(tests(&[(".travis.yml", "language: go\n")]), ["! PDT"]);
    assert_eq!(tests(&[(".travis.yml", "language: go\nafter_success:\n  - pytest\n")]), ["! PDT", "- PDT"]);
    assert_eq!(tests(&[(".travis.yml", "language: python\nscript:\n  - pytest\n  - echo\n")]), ["! PDT"]);
}

#[test]
fn azure_and_bitbucket() {
    let text = "trigger: [main]\npr: [main]\nsteps:\n- template: ci/t.yml\n- script: |\n    pytest\n    echo\n- script: pytest\n  continueOnError: true\n";
    let files = [("azure-pipelines.yml", text), ("ci/t.yml", "steps:\n- bash: pytest\n")];
    assert_eq!(tests(&files), ["! PDM", "- PDM", "- PDM"]);
    let text = "pipelines:\n  default:\n    - step:\n        script: [pytest]\n  branches:\n    main:\n      - step:\n          script: [pytest]\n      - step:\n          deployment: production\n          trigger: manual\n          script: [pytest]\n";
    assert_eq!(tests(&[("bitbucket-pipelines.yml", text)]), ["! PD", "! D", "! M"]);
}

#[test]
fn jenkins_drone_and_buildkite() {
    let text = "pipeline {\n  agent any\n  stages {\n    stage('Test') {\n      steps {\n        sh 'pytest'\n        // sh 'pytest'\n        sh 'pytest || true'\n        catchError { sh 'pytest' }\n      }\n    }\n    stage('Deploy') {\n      when { branch 'main' }\n      input { message 'ok?' }\n      steps { sh './x' }\n    }\n  }\n}\n";
    let files = [("Jenkinsfile", text)];
    assert_eq!(tests(&files), ["! P?D?T?M?", "- P?D?T?M?", "- P?D?T?M?"]);
    with(&files, |pipelines| assert!(pipelines.all[0].jobs[1].approval.is_some()));
    let text = "kind: pipeline\nsteps:\n- name: a\n  image: x\n  commands: [pytest]\n- name: b\n  image: x\n  failure: ignore\n  commands: [pytest]\n  when: {event: [tag]}\n";
    assert_eq!(tests(&[(".drone.yml", text)]), ["! PDT", "- T"]);
    let text = "steps:\n  - command: pytest\n  - label: x\n    soft_fail: true\n    commands: [pytest]\n  - block: go\n  - command: pytest\n";
    assert_eq!(tests(&[(".buildkite/pipeline.yml", text)]), ["! P?DT?S?M?", "- P?DT?S?M?", "! M"]);
}

#[test]
fn what_cannot_be_read_is_named() {
    let files = [(".github/workflows/a.yml", "on: [\n"), (".gitlab-ci.yml", "# nothing\n"), ("appveyor.yml", "x: 1")];
    with(&files, |pipelines| {
        assert_eq!((pipelines.unreadable.len(), pipelines.unread.len(), pipelines.all.len()), (2, 1, 0));
    });
}
