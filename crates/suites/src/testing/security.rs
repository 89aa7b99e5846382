//! `testing.security`: a pipeline attacks the running system; what it found, a person says.

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use crate::{pipeline::Pipelines, running::tests_of};

pub(super) struct Security;

pattern!(SCANNER: r"(?i)\bzaproxy/action-|\bzap[-_.](?:baseline|full-scan|api-scan|full|cli)\b|\bzap\.sh\b|\bzap-(?:baseline|full|api)-?scan|stackhawk/|\bhawk scan\b|projectdiscovery/nuclei|\bnuclei\s+-|\bnikto\b|\bwapiti\b|\bdastardly\b|portswigger|burp(?:suite)?-?(?:ci|scan)|DAST\S*\.gitlab-ci\.yml|\bDAST\b|\barachni\b|\bskipfish\b|\bacunetix\b|\bnetsparker\b|\binvicti\b|\bprobely\b|\bbright(?:sec)?\b.*scan");
pattern!(TARGET: r"(?i)https?://|target|url|plan|openapi|hawk|-u\s|DAST_WEBSITE|localhost");
pattern!(SIGNED_IN: r"(?i)auth|login|token|bearer|session|context|cookie|header|zap-?hook|-n\s|user");
pattern!(SOFT: r#"(?i)fail_action\W+false|-I\b|"fail_action":"?false"#);
pattern!(ATTACK: r"(?i)sql_?injection|xss|csrf|traversal|ssrf|brute_?force|idor|forged?|tamper|injection|unauthori[sz]ed|forbidden|other_users?|privilege");

impl Inspection for Security {
    fn control(&self) -> &'static str {
        "testing.security"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        workflow(
            "      - uses: zaproxy/action-full-scan@v0.12\n        with:\n          target: https://staging.example.com\n          cmd_options: -n .zap/login.context -U tester\n",
        )
    }

    fn absent(&self) -> Sample {
        workflow("      - run: bandit -r app && npm audit\n")
    }
}

fn workflow(steps: &str) -> Sample {
    let text = format!(
        "on:\n  push:\n  schedule:\n    - cron: '0 3 * * *'\njobs:\n  attack:\n    runs-on: ubuntu-latest\n    steps:\n{steps}"
    );
    Sample::of(&[(".github/workflows/security.yml", &text), ("app.py", "x = 1\n")])
}

fn look(repository: &Repository) -> Sighting {
    let pipelines = Pipelines::of(repository);
    let mut cases = Cases::plan(3);
    cases.note(format!("{} steps in {} pipeline files", pipelines.steps.len(), pipelines.files.len()));
    if let Some(why) = pipelines.unreadable.first() {
        cases.told_nothing(why.clone());
    }
    let tests = tests_of(repository);
    let attacks = tests
        .files
        .iter()
        .flat_map(|file| &file.cases)
        .filter(|case| case.checks && ATTACK.is_match(&case.name))
        .count();
    cases.note(format!("{attacks} tests of the project are named after an attack"));
    let Some(step) = pipelines.running(&SCANNER) else {
        if let Some(why) = repository.not_whole() {
            return cases.gave_up(why);
        }
        if attacks > 0 {
            return cases.gave_up(format!("{attacks} tests of the project attack it, but no pipeline step runs a dynamic scanner against the running system"));
        }
        let all = pipelines.steps.len();
        cases.tried(
            false,
            format!("none of {all} pipeline steps attacks the running system, and no test is named after an attack"),
        );
        return cases.sighting("");
    };
    cases.tried(true, format!("{} attacks the running system", step.place));
    match TARGET.is_match(&step.text) {
        true => cases.tried(
            !SOFT.is_match(&step.text),
            match SOFT.is_match(&step.text) {
                true => format!("{}: findings do not fail the scan", step.place),
                false => "findings fail it".to_owned(),
            },
        ),
        false => cases.told_nothing(format!("{} does not say what it attacks", step.place)),
    }
    match SIGNED_IN.is_match(&step.text) {
        true => cases.tried(true, "it is signed in"),
        false => cases.told_nothing(format!("{}: nothing says that the scan is signed in", step.place)),
    }
    let sighting = cases.sighting(format!(
        "{} scans, signed in; {attacks} tests of attacks besides. What the last scan found, a person says",
        step.place
    ));
    sighting.for_a_person()
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(sample: &Sample) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        sample.write(folder.path()).unwrap();
        look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn a_scan_that_stops_nothing_or_sees_only_the_front_door_is_not_enough() {
        let soft = "      - uses: zaproxy/action-baseline@v0.12\n        with:\n          target: https://a.example\n          token: x\n          fail_action: false\n";
        assert!(matches!(outcome(&workflow(soft)), Outcome::Broken(_)));
        let outside = "      - run: docker run zaproxy/zap-stable zap-baseline.py -t https://a.example\n";
        assert!(matches!(outcome(&workflow(outside)), Outcome::Unclear(_)));
        let tests = workflow("      - run: pytest\n")
            .with(&[("tests/test_a.py", "def test_sql_injection_is_refused():\n    assert 1\n")]);
        assert!(matches!(outcome(&tests), Outcome::Unclear(_)));
        assert!(matches!(outcome(&Sample::of(&[("a.py", "")])), Outcome::Broken(_)));
    }
}
