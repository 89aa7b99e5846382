//! `testing.load`: a load test with a target and a load is kept; whether the system carried it, a person says.

use std::{path::Path, sync::LazyLock};

use regex::Regex;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

pub(super) struct Load;

pattern!(K6: r#"(?:from|require\()\s*["']k6(?:/|["'])"#);
pattern!(LOCUST: r"(?m)^class \w+\((?:locust\.)?(?:\w*HttpUser|User|SequentialTaskSet|TaskSet|LoadTestShape)\b");
pattern!(LOCUST_IMPORT: r"(?m)^\s*(?:from|import)\s+locust\b");
pattern!(GATLING: r"io\.gatling\.|\bextends Simulation\b");
pattern!(ARTILLERY: r"(?m)^config:[\s\S]{0,4000}?\bphases:");
pattern!(JMETER: r"<jmeterTestPlan\b");
pattern!(COMMAND: r"(?m)(?:^|[\s\x22'=;&|@])(?P<at>(?:autocannon|wrk2?|hey|oha|vegeta|ab|bombardier|k6 run|locust|artillery (?:run|quick)|drill|goose)\s+[^\n#]*(?:https?://|-c\s*\d|-n\s*\d|--users|-u\s*\d|--vus|-rate)[^\n]*)");
pattern!(TARGET: r#"https?://|BASE_URL|baseUrl|BASE_URI|__ENV\.|(?m)^\s*host\s*=|\.baseUrl\(|\btarget:|HTTPSampler\.domain|--host|TARGET"#);
pattern!(LOAD: r#"\bvus\b|\bstages\b|\bscenarios\b|\barrivalRate\b|arrival-rate|\bwait_time\b|\bconstant_pacing\b|LoadTestShape|rampUsers|constantUsersPerSec|atOnceUsers|injectOpen|ThreadGroup\.num_threads|\s-c\s*\d|\s-n\s*\d|--users|\s-u\s*\d|-rate|\brampTo\b"#);

impl Inspection for Load {
    fn control(&self) -> &'static str {
        "testing.load"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let text = "import http from 'k6/http';\n\nexport const options = { vus: 200, duration: '10m', thresholds: { http_req_duration: ['p(95)<500'] } };\n\n\
                    export default () => http.get(`${__ENV.BASE_URL}/items`);\n";
        Sample::of(&[("load/items.js", text)])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[
            ("package.json", "{\"devDependencies\": {\"autocannon\": \"8\"}}\n"),
            ("docs/load.md", "Use k6 for load tests.\n"),
        ])
    }
}

/// A load test: its file, its tool, its text.
struct Found<'r> {
    path: &'r Path,
    tool: &'static str,
    text: String,
}

fn look(repository: &Repository) -> Sighting {
    let mut cases = Cases::plan(2);
    let found = tests(repository);
    let mut read = 0;
    for one in &found {
        read += 1;
        cases.note(format!("{}: {}", one.path.display(), one.tool));
    }
    let whole = found.iter().find(|one| TARGET.is_match(&one.text) && LOAD.is_match(&one.text));
    match (whole, found.first()) {
        (Some(one), _) => {
            cases.tried(true, format!("{} is a load test with {}", one.path.display(), one.tool));
            cases.tried(true, "it names a target and a load");
            let sighting = cases.sighting(format!(
                "{} ({}) names a target and a load; {read} load tests in all",
                one.path.display(),
                one.tool
            ));
            sighting.for_a_person()
        }
        (None, Some(one)) => {
            cases.tried(true, format!("{} is a load test with {}", one.path.display(), one.tool));
            let missing = if TARGET.is_match(&one.text) { "how much load" } else { "which target" };
            cases.told_nothing(format!("{} does not say {missing}", one.path.display()));
            cases.sighting("")
        }
        (None, None) => {
            if let Some(why) = repository.not_whole() {
                return cases.gave_up(why);
            }
            let files = repository.files().count();
            cases.tried(
                false,
                format!(
                    "no load test among {files} files: no script for k6, Locust, JMeter, Gatling, Artillery or the like"
                ),
            );
            cases.sighting("")
        }
    }
}

fn tests(repository: &Repository) -> Vec<Found<'_>> {
    let mut found = Vec::new();
    let sources = repository.sources().iter().chain(repository.tests());
    for (path, source) in sources {
        // The import is code: its name is a text.
        let code = |pattern: &Regex| source.matches(pattern).next().is_some();
        let tool = if code(&K6) {
            "k6"
        } else if code(&LOCUST) && code(&LOCUST_IMPORT) {
            "Locust"
        } else {
            continue;
        };
        found.push(Found { path, tool, text: source.code.clone() });
    }
    for path in repository.ending(&["yml", "yaml", "jmx", "scala", "kt", "java"]) {
        let Some(text) = repository.text(path) else { continue };
        let known: [(&LazyLock<Regex>, &'static str); 3] =
            [(&ARTILLERY, "Artillery"), (&JMETER, "JMeter"), (&GATLING, "Gatling")];
        if let Some((_, tool)) = known.into_iter().find(|(pattern, _)| pattern.is_match(&text)) {
            found.push(Found { path, tool, text: text.to_string() });
        }
    }
    for path in repository.files() {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let runs = ["Makefile", "justfile", "package.json", "Taskfile.yml"].contains(&name) || name.ends_with(".sh");
        let Some(text) = repository.text(path).filter(|_| runs) else { continue };
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        if let Some(command) = COMMAND.captures(&lines.join("\n")) {
            found.push(Found { path, tool: "a load generator", text: command["at"].to_owned() });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn tools_are_told_apart_from_their_names() {
        let locust = "from locust import HttpUser, task, between\n\nclass U(HttpUser):\n    host = 'https://staging.example.com'\n    wait_time = between(1, 2)\n";
        assert!(matches!(outcome(&[("tests/load/locustfile.py", locust)]), Outcome::ForAPerson(_)));
        let artillery = "config:\n  target: https://a.example\n  phases:\n    - duration: 60\n      arrivalRate: 20\n";
        assert!(matches!(outcome(&[("load.yml", artillery)]), Outcome::ForAPerson(_)));
        let script = r#"{"scripts": {"load": "autocannon -c 100 -d 30 http://localhost:3000"}}"#;
        assert!(matches!(outcome(&[("package.json", script)]), Outcome::ForAPerson(_)));
        assert!(matches!(outcome(&[("Makefile", "# wrk -c 10 http://a\nx:\n\ttar -c 1\n")]), Outcome::Broken(_)));
        assert!(matches!(
            outcome(&[("a.js", "// from 'k6/http'\nconst x = \"from 'k6/http'\";\n")]),
            Outcome::Broken(_)
        ));
        assert!(matches!(outcome(&[("a.js", "import http from 'k6/http';\n")]), Outcome::Unclear(_)));
    }
}
