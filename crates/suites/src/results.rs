//! What became of each test, as the runners write it down.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::tools::Format;

/// What became of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It held.
    Passed,
    /// It did not.
    Failed,
    /// It was not run.
    Skipped,
}

/// One test that was collected.
#[derive(Debug, Clone, Deserialize)]
pub struct Test {
    /// As the runner names it.
    pub name: String,
    /// Its file, as the runner names it.
    pub file: Option<PathBuf>,
    /// What became of it.
    pub state: State,
    /// What the runner says of it.
    #[serde(default)]
    pub detail: String,
}

#[derive(Deserialize)]
struct Ours {
    tests: Vec<Test>,
}

/// Reads results; nothing when there are none. `place` is the folder that files are named in.
pub fn read(format: Format, written: Option<&str>, said: &str, place: &Path) -> Option<Vec<Test>> {
    let json = || written.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let mut tests = match format {
        Format::Ours => serde_json::from_str::<Ours>(written?).ok()?.tests,
        Format::OursLines => written?.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
        Format::Jest => jest(&json()?)?,
        Format::Mocha => mocha(&json().or_else(|| first_object(said))?)?,
        Format::Playwright => playwright(&json()?)?,
        Format::Go => go(written?),
        Format::Cargo => cargo(said),
        Format::Rspec => rspec(&json()?)?,
        Format::Words => words(said)?,
    };
    for test in &mut tests {
        if let Some(file) = &test.file {
            let file = file.strip_prefix(place).unwrap_or(file);
            test.file = Some(file.strip_prefix("./").unwrap_or(file).to_owned());
        }
    }
    Some(tests)
}

fn first_object(text: &str) -> Option<Value> {
    let start = text.find("{\n").or_else(|| text.find('{'))?;
    serde_json::Deserializer::from_str(&text[start..]).into_iter().next()?.ok()
}

fn test(name: &str, file: Option<&str>, state: State, detail: &str) -> Test {
    let detail = detail.chars().take(2000).collect();
    Test { name: name.to_owned(), file: file.map(PathBuf::from), state, detail }
}

fn jest(value: &Value) -> Option<Vec<Test>> {
    let mut tests = Vec::new();
    for file in value["testResults"].as_array()? {
        let path = file["name"].as_str();
        let cases = file["assertionResults"].as_array().map(Vec::as_slice).unwrap_or_default();
        for case in cases {
            let state = match case["status"].as_str() {
                Some("passed") => State::Passed,
                Some("failed") => State::Failed,
                _ => State::Skipped,
            };
            let name = case["fullName"].as_str().unwrap_or_default();
            let detail: Vec<&str> =
                case["failureMessages"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            tests.push(test(name, path, state, &detail.join("\n")));
        }
        if cases.is_empty() && file["status"] == "failed" {
            tests.push(test("(the file itself)", path, State::Failed, file["message"].as_str().unwrap_or_default()));
        }
    }
    Some(tests)
}

fn mocha(value: &Value) -> Option<Vec<Test>> {
    let name = |case: &Value| case["fullTitle"].as_str().map(str::to_owned);
    let pending: Vec<Option<String>> = value["pending"].as_array().into_iter().flatten().map(name).collect();
    let of = |case: &Value| {
        let error = case["err"].as_object().filter(|error| !error.is_empty());
        let detail = error.map(|_| {
            format!(
                "{} {}",
                case["err"]["message"].as_str().unwrap_or_default(),
                case["err"]["stack"].as_str().unwrap_or_default()
            )
        });
        let state = match &detail {
            Some(_) => State::Failed,
            None if pending.contains(&name(case)) => State::Skipped,
            None => State::Passed,
        };
        test(&name(case).unwrap_or_default(), case["file"].as_str(), state, &detail.unwrap_or_default())
    };
    let mut tests: Vec<Test> = value["tests"].as_array()?.iter().map(of).collect();
    // A hook that fails is no test, and fails the suite.
    let failures = value["failures"].as_array().into_iter().flatten().map(of);
    let hooks: Vec<Test> = failures.filter(|one| !tests.iter().any(|other| other.name == one.name)).collect();
    tests.extend(hooks);
    Some(tests)
}

fn playwright(value: &Value) -> Option<Vec<Test>> {
    let mut tests = Vec::new();
    let folder = value["config"]["rootDir"].as_str().unwrap_or_default();
    let mut suites: Vec<&Value> = value["suites"].as_array()?.iter().collect();
    while let Some(suite) = suites.pop() {
        suites.extend(suite["suites"].as_array().into_iter().flatten());
        for spec in suite["specs"].as_array().into_iter().flatten() {
            let file = spec["file"].as_str().map(|file| format!("{folder}/{file}"));
            for run in spec["tests"].as_array().into_iter().flatten() {
                let state = match run["status"].as_str() {
                    Some("expected") => State::Passed,
                    Some("skipped") => State::Skipped,
                    _ => State::Failed,
                };
                let detail = run["results"][0]["error"]["message"].as_str().unwrap_or_default();
                tests.push(test(spec["title"].as_str().unwrap_or_default(), file.as_deref(), state, detail));
            }
        }
    }
    let errors = value["errors"].as_array().into_iter().flatten();
    tests.extend(
        errors
            .map(|error| test("(the run itself)", None, State::Failed, error["message"].as_str().unwrap_or_default())),
    );
    Some(tests)
}

fn go(text: &str) -> Vec<Test> {
    let mut tests = Vec::new();
    let mut said: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    for line in text.lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        let package = event["Package"].as_str().or_else(|| event["ImportPath"].as_str()).unwrap_or_default();
        let name = event["Test"].as_str();
        let key = format!("{package} {}", name.unwrap_or_default());
        let state = match event["Action"].as_str() {
            Some("output" | "build-output") => {
                let kept = said.entry(key).or_default();
                if kept.len() < 2000 {
                    kept.push_str(event["Output"].as_str().unwrap_or_default());
                }
                continue;
            }
            Some("pass") => State::Passed,
            Some("fail" | "build-fail") => State::Failed,
            Some("skip") => State::Skipped,
            _ => continue,
        };
        let detail = said.get(&key).map(String::as_str).unwrap_or_default();
        match name {
            Some(name) => tests.push(test(name, None, state, detail)),
            // A package that fails without a test that fails: it does not build, or it panicked.
            None if state == State::Failed && !tests.iter().any(|one| one.state == State::Failed) => {
                tests.push(test(package, None, state, detail));
            }
            None => {}
        }
    }
    tests
}

pattern!(CARGO: r"(?m)^test (?P<name>\S.*?)(?: - should panic)? \.\.\. (?P<state>ok|FAILED|ignored)");
pattern!(NUMBER: r"(?i)\b(?P<number>\d+)\s+(?P<word>passed|passing|failed|failing|failures?|errors?|skipped|pending|ignored|runs|tests|examples)\b");
pattern!(RAN: r"(?m)^Ran (?P<number>\d+) tests? in");
pattern!(PAIR: r"\b(?P<word>failures|errors|skipped)=(?P<number>\d+)");
pattern!(TAP: r"(?m)^# (?P<word>tests|pass|fail|skipped|todo) (?P<number>\d+)");

fn cargo(said: &str) -> Vec<Test> {
    let of = |found: regex::Captures<'_>| {
        let state = match &found["state"] {
            "ok" => State::Passed,
            "FAILED" => State::Failed,
            _ => State::Skipped,
        };
        test(&found["name"], None, state, "")
    };
    CARGO.captures_iter(said).map(of).collect()
}

fn rspec(value: &Value) -> Option<Vec<Test>> {
    let of = |case: &Value| {
        let state = match case["status"].as_str() {
            Some("passed") => State::Passed,
            Some("failed") => State::Failed,
            _ => State::Skipped,
        };
        let detail = case["exception"]["message"].as_str().unwrap_or_default();
        test(case["full_description"].as_str().unwrap_or_default(), case["file_path"].as_str(), state, detail)
    };
    let mut tests: Vec<Test> = value["examples"].as_array()?.iter().map(of).collect();
    if value["summary"]["errors_outside_of_examples_count"].as_u64().unwrap_or(0) > 0 {
        let detail: Vec<&str> = value["messages"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        tests.push(test("(outside of examples)", None, State::Failed, &detail.join("\n")));
    }
    Some(tests)
}

/// Numbers from the last words of a runner that we do not know; the tests then have no names.
fn words(said: &str) -> Option<Vec<Test>> {
    let (mut all, mut passed, mut failed, mut skipped) = (None, None, 0, 0);
    let numbers = NUMBER.captures_iter(said).chain(TAP.captures_iter(said));
    for found in numbers {
        let number: usize = found["number"].parse().ok()?;
        match found["word"].to_lowercase().as_str() {
            "passed" | "passing" | "pass" => passed = Some(number),
            "failed" | "failing" | "failure" | "failures" | "error" | "errors" | "fail" => failed = failed.max(number),
            "skipped" | "pending" | "ignored" | "todo" => skipped = number,
            _ => all = Some(number),
        }
    }
    for found in PAIR.captures_iter(said) {
        let number: usize = found["number"].parse().ok()?;
        if &found["word"] == "skipped" { skipped = number } else { failed += number }
    }
    if let Some(found) = RAN.captures(said) {
        all = found["number"].parse().ok();
    }
    let passed = passed.or_else(|| Some(all?.saturating_sub(failed + skipped)))?;
    let many = |count: usize, state| std::iter::repeat_with(move || test("", None, state, "")).take(count.min(100_000));
    let tests = many(passed, State::Passed).chain(many(failed, State::Failed));
    Some(tests.chain(many(skipped, State::Skipped)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(format: Format, written: Option<&str>, said: &str) -> Option<[usize; 3]> {
        let tests = read(format, written, said, Path::new("/p"))?;
        let count = |state| tests.iter().filter(|test| test.state == state).count();
        Some([count(State::Passed), count(State::Failed), count(State::Skipped)])
    }

    #[test]
    fn machine_formats() {
        let text = r#"{"tests": [{"name": "a", "file": "t.py", "state": "passed"}, {"name": "b", "file": null, "state": "failed", "detail": "x"}]}"#;
        assert_eq!(counts(Format::Ours, Some(text), ""), Some([1, 1, 0]));
        let text = r#"{"testResults": [{"name": "/p/a.js", "status": "failed", "assertionResults": [{"fullName": "a", "status": "passed", "failureMessages": []}, {"fullName": "b", "status": "pending", "failureMessages": []}]}, {"name": "/p/b.js", "status": "failed", "message": "Cannot find", "assertionResults": []}]}"#;
        assert_eq!(counts(Format::Jest, Some(text), ""), Some([1, 1, 1]));
        let tests = read(Format::Jest, Some(text), "", Path::new("/p")).unwrap();
        assert_eq!(tests[0].file.as_deref(), Some(Path::new("a.js")));
        let text = r#"{"tests": [{"fullTitle": "a", "file": "/p/a.js", "err": {}}, {"fullTitle": "b", "err": {}}, {"fullTitle": "c", "err": {"message": "m"}}], "pending": [{"fullTitle": "b", "err": {}}], "failures": [{"fullTitle": "c", "err": {"message": "m"}}, {"fullTitle": "hook", "err": {"message": "m"}}]}"#;
        assert_eq!(counts(Format::Mocha, Some(text), ""), Some([1, 2, 1]));
        assert_eq!(counts(Format::Mocha, None, &format!("noise\n{text}\nnoise")), Some([1, 2, 1]));
        let text = "{\"Action\":\"output\",\"Package\":\"a\",\"Test\":\"TestA\",\"Output\":\"x\"}\n{\"Action\":\"pass\",\"Package\":\"a\",\"Test\":\"TestA\"}\n{\"Action\":\"pass\",\"Package\":\"a\"}\n{\"Action\":\"fail\",\"Package\":\"b\"}\n";
        assert_eq!(counts(Format::Go, Some(text), ""), Some([1, 1, 0]));
        let text = r#"{"examples": [{"full_description": "a", "file_path": "./spec/a_spec.rb", "status": "passed"}, {"full_description": "b", "status": "pending"}], "summary": {"errors_outside_of_examples_count": 1}}"#;
        assert_eq!(counts(Format::Rspec, Some(text), ""), Some([1, 1, 1]));
    }

    #[test]
    fn words_of_runners() {
        let said = "running 2 tests\ntest a::b ... ok\ntest c ... FAILED\ntest d ... ignored, why\ntest e - should panic ... ok\ntest result: FAILED.";
        assert_eq!(counts(Format::Cargo, None, said), Some([2, 1, 1]));
        assert_eq!(counts(Format::Words, None, "==== 3 passed, 1 failed, 2 skipped in 0.1s"), Some([3, 1, 2]));
        assert_eq!(counts(Format::Words, None, "Ran 4 tests in 0.1s\n\nFAILED (errors=1)"), Some([3, 1, 0]));
        assert_eq!(counts(Format::Words, None, "# tests 3\n# pass 2\n# fail 1\n"), Some([2, 1, 0]));
        assert_eq!(counts(Format::Words, None, "5 runs, 9 assertions, 1 failures, 0 errors, 0 skips"), Some([4, 1, 0]));
        assert_eq!(counts(Format::Words, None, "all fine"), None);
    }

    #[test]
    fn what_is_no_result_is_none() {
        assert_eq!(counts(Format::Ours, Some("{"), ""), None);
        assert_eq!(counts(Format::Jest, None, ""), None);
        assert_eq!(counts(Format::Jest, Some("[]"), ""), None);
    }
}
