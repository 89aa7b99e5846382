//! Doubting tests: small changes in lines that they reach must turn them red.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use seaworthy_repository::{Repository, Stop};

use crate::{
    coverage::measured_sources,
    results::Test,
    running::{Session, SuiteRun},
    sandbox::ENDED,
    suites::Suite,
};

/// So many are tried at most.
const SAMPLE: usize = 10;
/// Fewer say nothing of the rest.
const FEWEST: usize = 3;
/// All of them together.
const BUDGET: Duration = Duration::from_secs(300);
/// Of a hundred that are tried, so many must be noticed. Good suites notice 60 to 90; running code without a check
/// notices what makes it crash.
pub const FLOOR: usize = 40;

/// A changed line.
#[derive(Debug, Clone)]
pub struct Mutant {
    /// The file.
    pub path: PathBuf,
    /// Its line, from 1.
    pub line: usize,
    /// What was done.
    pub name: String,
    /// The line as it becomes.
    becomes: String,
}

/// What came of the sample.
#[derive(Debug, Default)]
pub struct Doubt {
    /// Those that a suite noticed.
    pub killed: usize,
    /// Those that none did.
    pub survived: Vec<Mutant>,
    /// Why nothing can be said.
    pub unclear: Option<String>,
    /// For the transcript.
    pub notes: Vec<String>,
}

impl Doubt {
    /// The doubt of a whole project; found out once.
    pub fn of(repository: &Repository) -> Arc<Self> {
        let (session, stop) = (Session::of(repository), repository.stop());
        repository.derived(|repository| {
            let green: Vec<&SuiteRun> = session.runs.iter().filter(|run| run.is_green()).collect();
            Self::with(repository, &session, &green, stop, &|_| true)
        })
    }

    /// Tries a sample against some suites, all of them green; those of their tests that count must notice.
    pub fn with(
        repository: &Repository,
        session: &Session,
        runs: &[&SuiteRun],
        stop: &Stop,
        counts: &dyn Fn(&Test) -> bool,
    ) -> Self {
        let mut doubt = Self::default();
        let mut sample: Vec<(&Suite, &SuiteRun, Mutant)> = Vec::new();
        for run in runs {
            let Some(suite) = session.suites.get(run.suite) else { continue };
            sample.extend(candidates(repository, suite, run).into_iter().map(|mutant| (suite, *run, mutant)));
        }
        sample.sort_by_key(|(_, _, mutant)| (mark(mutant), mutant.path.clone(), mutant.line));
        sample.truncate(SAMPLE);
        if sample.len() < FEWEST {
            doubt.unclear = Some(format!("only {} places could be changed to doubt the tests", sample.len()));
            return doubt;
        }
        let sandbox = match session.sandbox() {
            Ok(sandbox) => sandbox,
            Err(why) => return Self { unclear: Some(why.to_owned()), ..doubt },
        };
        let until = Instant::now() + BUDGET;
        for (suite, run, mutant) in sample {
            let left = until.saturating_duration_since(Instant::now());
            let budget = (run.ran.took * 3 + Duration::from_secs(5)).min(left);
            if left.is_zero() || (budget < run.ran.took * 2) {
                break;
            }
            let Some(before) = sandbox.text(&mutant.path) else { continue };
            let changed = sandbox.write(&mutant.path, &changed(&before, &mutant));
            let noticed = session.again(&sandbox, suite, (repository, stop), budget).noticed(counts);
            let restored = sandbox.write(&mutant.path, &before);
            if changed.is_err() || restored.is_err() {
                doubt.unclear = Some("the copy cannot be changed".into());
                return doubt;
            }
            // What was ended noticed nothing.
            if stop.is_set() {
                doubt.unclear = Some(ENDED.into());
                return doubt;
            }
            let word = if noticed { "noticed" } else { "not noticed" };
            doubt.notes.push(format!("{}:{} {}: {word}", mutant.path.display(), mutant.line, mutant.name));
            if noticed {
                doubt.killed += 1;
            } else {
                doubt.survived.push(mutant);
            }
        }
        if doubt.tried() < FEWEST {
            doubt.unclear = Some(format!("the tests take too long to be doubted: {} changes tried", doubt.tried()));
        }
        doubt
    }

    /// How many were tried.
    pub fn tried(&self) -> usize {
        self.killed + self.survived.len()
    }

    /// Enough of them were noticed.
    pub fn is_enough(&self) -> bool {
        self.unclear.is_none() && self.tried() >= FEWEST && self.killed * 100 >= FLOOR * self.tried()
    }

    /// In a few words.
    pub fn told(&self) -> String {
        let all = format!("{} of {} changes in lines they reach were noticed", self.killed, self.tried());
        match self.survived.first() {
            Some(first) if !self.is_enough() => {
                format!("{all}; not: {}:{} ({})", first.path.display(), first.line, first.name)
            }
            _ => all,
        }
    }
}

fn changed(text: &str, mutant: &Mutant) -> String {
    let mut lines: Vec<&str> = text.split('\n').collect();
    if let Some(line) = mutant.line.checked_sub(1).and_then(|at| lines.get_mut(at)) {
        *line = &mutant.becomes;
    }
    lines.join("\n")
}

/// Every place that could be changed, in lines that the suite reaches; one for each line.
fn candidates(repository: &Repository, suite: &Suite, run: &SuiteRun) -> Vec<Mutant> {
    let Some(toolbox) = suite.toolbox else { return Vec::new() };
    let mut found = Vec::new();
    for path in measured_sources(repository, toolbox, &suite.folder) {
        let Some(source) = repository.sources().get(&path) else { continue };
        let reached = run.lines.as_ref().ok().map(|lines| lines.0.get(&path));
        let Some(text) = repository.text(&path) else { continue };
        let mut start = 0;
        for (number, (line, code)) in text.split('\n').zip(source.code.split('\n')).enumerate() {
            let here = start;
            start += code.len() + 1;
            // Without a measure any line may be one; a sample of those proves less, and never that tests are bad.
            if reached.is_some_and(|lines| lines.and_then(|lines| lines.get(&(number + 1))) != Some(&true)) {
                continue;
            }
            let first = toolbox.mutant.iter().find_map(|mutation| {
                let place = mutation.pattern.0.find_iter(code).find(|place| {
                    // The blank before a text is code.
                    !source.is_text(here + place.start()) && !source.is_text(here + place.end().saturating_sub(1))
                })?;
                let changed = mutation.pattern.0.replace(&line[place.start()..], mutation.becomes.as_str());
                Some((mutation, format!("{}{changed}", &line[..place.start()])))
            });
            if let Some((mutation, becomes)) = first.filter(|(_, becomes)| becomes != line) {
                found.push(Mutant { path: path.clone(), line: number + 1, name: mutation.name.clone(), becomes });
            }
        }
    }
    found
}

/// Puts places into an order that has nothing to do with what they are, and is the same each time (FNV-1a).
fn mark(mutant: &Mutant) -> u64 {
    let text = format!("{}:{}", mutant.path.display(), mutant.line);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |mark: u64, byte| (mark ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use seaworthy_repository::Sample;

    use super::*;
    use crate::{sandbox::Ran, tools::toolboxes};

    fn changes(name: &str, text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(&[(name, text)]).write(folder.path()).unwrap();
        let repository = Repository::open(folder.path()).unwrap();
        let language =
            repository.knowledge().language_of(name.rsplit('.').next().unwrap()).unwrap().name.to_lowercase();
        let toolbox = toolboxes().iter().find(|toolbox| toolbox.language == language);
        let suite = Suite {
            name: String::new(),
            folder: Path::new("").to_owned(),
            toolbox,
            runner: None,
            line: None,
            format: crate::tools::Format::Words,
            files: Vec::new(),
        };
        let run = SuiteRun { suite: 0, tests: Err(String::new()), lines: Err(String::new()), ran: Ran::default() };
        candidates(&repository, &suite, &run).into_iter().map(|mutant| mutant.becomes).collect()
    }

    #[test]
    fn changes_leave_a_program() {
        let text = "def f(a):\n    # a == b\n    if a == 'x == y' and not b:\n        return True\n    s = \"a < b\"\n    return a + 1\n    return g(a,\n        b)\n";
        let expected =
            ["    if a != 'x == y' and not b:".to_owned(), "        return False".into(), "    return None".into()];
        assert_eq!(changes("a.py", text), expected);
        let text = "const f = (a) => {\n  if (!a) return <p>a &lt; b</p>;\n  if (a < 2) { return true; }\n  return a * 2;\n};\n";
        let expected = [
            "  if (a) return <p>a &lt; b</p>;".to_owned(),
            "  if (a >= 2) { return true; }".into(),
            "  return undefined;".into(),
        ];
        assert_eq!(changes("a.js", text), expected);
        assert_eq!(changes("a.rs", "fn f<T: A>(a: Vec<T>) -> bool {\n    a.len() == 1\n}\n"), ["    a.len() != 1"]);
    }

    #[test]
    fn a_line_is_changed_in_its_place() {
        let mutant = Mutant { path: PathBuf::new(), line: 2, name: String::new(), becomes: "X".into() };
        assert_eq!(changed("a\nb\nc\n", &mutant), "a\nX\nc\n");
    }

    #[test]
    fn too_few_changes_prove_nothing() {
        let doubt = Doubt { killed: 2, ..Doubt::default() };
        assert!(!doubt.is_enough());
        assert!(Doubt { killed: 3, ..Doubt::default() }.is_enough());
    }
}
