//! Running every suite of a project once; what several inspections ask.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, MutexGuard},
    time::Duration,
};

use regex::Regex;
use seaworthy_repository::{Repository, Stop};

use crate::{
    cases::TestFiles,
    coverage::{self, Lines},
    results::{self, State, Test},
    sandbox::{ENDED, Order, Ran, Sandbox},
    suites::{self, Suite},
    tools::Measure,
};

/// A suite may take so long.
const BUDGET: Duration = Duration::from_secs(600);
/// One that builds first.
const SLOW_BUDGET: Duration = Duration::from_secs(1200);

/// What came of one suite.
#[derive(Debug)]
pub struct SuiteRun {
    /// Which one, by its place among the suites.
    pub suite: usize,
    /// Its tests; the error says why there are none.
    pub tests: Result<Vec<Test>, String>,
    /// The lines that it reached; the error says why that is not known.
    pub lines: Result<Lines, String>,
    /// How the command ended.
    pub ran: Ran,
}

/// Every suite of a project, and what came of each.
#[derive(Debug)]
pub struct Session {
    /// Its suites.
    pub suites: Vec<Suite>,
    /// What came of them.
    pub runs: Vec<SuiteRun>,
    /// For the transcript.
    pub notes: Vec<String>,
    sandbox: Result<Mutex<Sandbox>, String>,
}

/// A repository, and what tells commands in its copy to end: those of one look, whoever else uses what they find.
pub type Stoppable<'a> = (&'a Repository, &'a Stop);

/// Why a test that failed says nothing of the project.
pub fn excuse(test: &Test) -> Option<&'static str> {
    pattern!(SERVICE: r"ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ENETUNREACH|[Cc]onnection refused|Name or service not known|getaddrinfo|Network is unreachable|[Cc]ould not connect|name resolution|Cannot connect to the Docker daemon|docker\.errors|NewConnectionError|ServerSelectionTimeout|ERR_CONNECTION_REFUSED|ERR_INTERNET_DISCONNECTED|ERR_NAME_NOT_RESOLVED|Could not find a working container runtime|[Nn]o address associated|no such host|dial tcp");
    pattern!(BROWSER: r"Executable doesn't exist|browserType\.launch|Could not find (?:Chrome|browser)|NoSuchDriverException|Unable to obtain driver");
    pattern!(MODULE: r"No module named|Cannot find (?:module|package)|Failed to (?:load url|resolve import)|cannot load such file|no required module provides package|ModuleNotFoundError|ERR_MODULE_NOT_FOUND|fixture '\w+' not found|cannot import name [^\n]*(?:site-packages|dist-packages)");
    pattern!(MACHINE: r"Read-only file system|EROFS|No space left|MemoryError|ENOMEM|heap out of memory");
    let pairs: [(&LazyLock<Regex>, &str); 4] = [
        (&SERVICE, "needs a service or the network, which the copy does not have"),
        (&BROWSER, "needs a browser that is not installed"),
        (&MODULE, "needs a dependency that is not installed"),
        (&MACHINE, "needs more of the machine than it may have"),
    ];
    pairs.iter().find(|(pattern, _)| pattern.is_match(&test.detail)).map(|(_, why)| *why)
}

/// What came of a suite when something had been changed.
#[derive(Debug)]
pub struct Again {
    tests: Option<Vec<Test>>,
    succeeded: bool,
}

impl Again {
    /// One of these tests failed, or they did not come to an end.
    pub fn noticed(&self, counts: &dyn Fn(&Test) -> bool) -> bool {
        let Some(tests) = &self.tests else { return true };
        let own: Vec<&Test> = tests.iter().filter(|test| counts(test)).collect();
        let passed = own.iter().any(|test| test.state == State::Passed);
        // Of all tests, the runner's own word counts too.
        let all_of_them = own.len() == tests.len();
        !passed || own.iter().any(|test| test.state == State::Failed) || (all_of_them && !self.succeeded)
    }
}

impl SuiteRun {
    /// Tests of this state.
    pub fn of(&self, state: State) -> impl Iterator<Item = &Test> {
        self.tests.iter().flatten().filter(move |test| test.state == state)
    }

    /// Something ran, nothing failed, and the runner agrees.
    pub fn is_green(&self) -> bool {
        self.of(State::Passed).next().is_some() && self.of(State::Failed).next().is_none() && self.ran.succeeded()
    }
}

impl Session {
    /// The session of a repository that may run; made once.
    pub fn of(repository: &Repository) -> Arc<Self> {
        // A session that was cut off is kept as such: the next look would only be cut off as well.
        let stop = repository.stop();
        repository.derived(|repository| Self::start((repository, stop)))
    }

    fn start(of: Stoppable<'_>) -> Self {
        let (repository, stop) = of;
        let tests = tests_of(repository);
        let suites = suites::find(repository, &tests);
        let mut session =
            Self { suites, runs: Vec::new(), notes: Vec::new(), sandbox: Err("there is no suite".into()) };
        if session.suites.is_empty() {
            return session;
        }
        match Sandbox::of(repository, stop) {
            Ok(sandbox) => {
                session.notes.extend(sandbox.notes().iter().cloned());
                for (number, suite) in session.suites.iter().enumerate() {
                    let run = run(of, &sandbox, number, suite);
                    session.notes.push(told(suite, &run));
                    session.runs.push(run);
                }
                session.sandbox = Ok(Mutex::new(sandbox));
            }
            Err(error) => session.sandbox = Err(error.to_string()),
        }
        session
    }

    /// The copy, one user at a time.
    ///
    /// # Errors
    /// Why there is none.
    pub fn sandbox(&self) -> Result<MutexGuard<'_, Sandbox>, &str> {
        let sandbox = self.sandbox.as_ref().map_err(String::as_str)?;
        // A look that was broken off may have left its changes in it.
        sandbox.lock().map_err(|_| ENDED)
    }

    /// Runs a suite again, without measuring.
    pub fn again(&self, sandbox: &Sandbox, suite: &Suite, of: Stoppable<'_>, budget: Duration) -> Again {
        let (tests, ran) = once(of, sandbox, suite, false, budget);
        Again { tests, succeeded: ran.succeeded() }
    }
}

/// The tests of a repository as they stand in the source; read once.
pub fn tests_of(repository: &Repository) -> Arc<TestFiles> {
    repository.derived(TestFiles::of)
}

fn told(suite: &Suite, run: &SuiteRun) -> String {
    let place =
        if suite.folder.as_os_str().is_empty() { String::new() } else { format!(" in {}", suite.folder.display()) };
    match &run.tests {
        Ok(_) => {
            let count = |state| run.of(state).count();
            format!(
                "{}{place}: {} passed, {} failed, {} skipped in {:.1} s",
                suite.name,
                count(State::Passed),
                count(State::Failed),
                count(State::Skipped),
                run.ran.took.as_secs_f32()
            )
        }
        Err(why) => format!("{}{place}: {why}", suite.name),
    }
}

fn run(of: Stoppable<'_>, sandbox: &Sandbox, number: usize, suite: &Suite) -> SuiteRun {
    let failed = |why: String, ran: Ran| SuiteRun { suite: number, lines: Err(why.clone()), tests: Err(why), ran };
    if suite.line.is_none() {
        return failed("no runner for these tests was found: name it as test_command".into(), Ran::default());
    }
    // A runner that comes with its language is not asked for.
    if let Some(runner) = suite.runner.filter(|runner| runner.probe != "true") {
        let probe = order(of, sandbox, suite, &runner.probe, false, Duration::from_secs(60));
        let ran = sandbox.run(&probe);
        if of.1.is_set() {
            return failed(ENDED.into(), ran);
        }
        if ran.status == Some(97) {
            return failed(format!("the copy could not be set up: {}", ran.last_words()), ran);
        }
        if !ran.succeeded() {
            return failed(format!("{} is not installed: `{}` would install it", suite.name, runner.install), ran);
        }
    }
    let slow = suite.runner.is_some_and(|runner| runner.slow);
    let budget = if slow { SLOW_BUDGET } else { BUDGET };
    let measures = suite.runner.is_some_and(|runner| runner.reads.is_some());
    let (mut tests, mut ran) = once(of, sandbox, suite, measures, budget);
    let lines = lines_of(of.0, sandbox, suite, &ran);
    // Measuring can disturb: what fails under it is asked again without.
    let disturbed = tests.as_ref().is_none_or(|tests| tests.iter().any(|test| test.state == State::Failed));
    if measures && !ran.timed_out && (disturbed || !ran.succeeded()) {
        (tests, ran) = once(of, sandbox, suite, false, budget);
    }
    let tests = tests.filter(|tests| !tests.is_empty() || ran.succeeded());
    let tests = tests.ok_or_else(|| match ran.timed_out {
        true if of.1.is_set() => ENDED.to_owned(),
        true => format!("{} did not end within {} s", suite.name, budget.as_secs()),
        false => format!("{} left no results: {}", suite.name, ran.last_words()),
    });
    SuiteRun { suite: number, tests, lines, ran }
}

fn once(
    of: Stoppable<'_>,
    sandbox: &Sandbox,
    suite: &Suite,
    measures: bool,
    budget: Duration,
) -> (Option<Vec<Test>>, Ran) {
    let Some(line) = &suite.line else { return (None, Ran::default()) };
    let written = sandbox.results().join("results");
    // The last run's results are none of this one's.
    let _ = std::fs::remove_file(&written);
    let coverage = sandbox.results().join("coverage");
    let _ = if coverage.is_dir() { std::fs::remove_dir_all(&coverage) } else { std::fs::remove_file(&coverage) };
    let ran = sandbox.run(&order(of, sandbox, suite, line, measures, budget));
    let text = std::fs::metadata(&written).ok().filter(|metadata| metadata.is_file() && metadata.len() < 64 << 20);
    let text = text.and_then(|_| std::fs::read(&written).ok());
    let text = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let place = sandbox.place().join(&suite.folder);
    let mut tests = results::read(suite.format, text.as_deref(), &ran.text(), &place);
    for test in tests.iter_mut().flatten() {
        test.file = test.file.take().map(|file| suite.folder.join(file));
    }
    (tests.filter(|_| !ran.timed_out), ran)
}

fn lines_of(repository: &Repository, sandbox: &Sandbox, suite: &Suite, ran: &Ran) -> Result<Lines, String> {
    let (Some(runner), Some(toolbox)) = (suite.runner, suite.toolbox) else {
        return Err("the coverage of this runner is not measured".into());
    };
    let Some(measure) = runner.reads else {
        return Err(format!("the coverage of {} is not measured", runner.name));
    };
    let written = sandbox.results().join("coverage");
    let cannot = runner.cannot_measure.as_ref().is_some_and(|pattern| pattern.0.is_match(&ran.text()));
    let read = coverage::read(measure, &written, sandbox.place(), repository);
    let sources = coverage::measured_sources(repository, toolbox, &suite.folder);
    let translated =
        |path: &Path| path.extension().is_some_and(|own| ["ts", "tsx", "mts"].iter().any(|one| own == *one));
    if measure == Measure::V8 && sources.iter().any(|path| translated(path)) {
        return Err("TypeScript that is translated while it runs is not measured".into());
    }
    match read {
        // Tests that reach nothing at all are rarer than a measure that does not work.
        Some(lines) if !cannot && lines.count().1 == 0 => {
            Err(format!("{} ran, and its measure of coverage saw no line of the app", runner.name))
        }
        Some(lines) if !cannot => Ok(lines.only(repository, &sources)),
        _ => Err(format!("{} left no measure of coverage; its coverage provider may be missing", runner.name)),
    }
}

/// The command with its placeholders filled in.
fn order(of: Stoppable<'_>, sandbox: &Sandbox, suite: &Suite, line: &str, measures: bool, budget: Duration) -> Order {
    let (repository, stop) = of;
    let place = sandbox.place();
    let folder = place.join(&suite.folder);
    let written = sandbox.results();
    let mut pairs: Vec<(&str, String)> = Vec::new();
    let runner = suite.runner;
    pairs.push(("{measure}", runner.filter(|_| measures).map(|runner| runner.measure.clone()).unwrap_or_default()));
    pairs.push(("{python}", python(repository, &suite.folder, place)));
    pairs.push(("{drivers}", sandbox.drivers().display().to_string()));
    pairs.push(("{results}", written.join("results").display().to_string()));
    pairs.push(("{coverage}", written.join("coverage").display().to_string()));
    pairs.push(("{sources}", written.join("sources").display().to_string()));
    pairs.push(("{cache}", written.join("cache").display().to_string()));
    pairs.push(("{root}", folder.display().to_string()));
    pairs.push(("{where}", unittest_folder(repository, suite)));
    let source = folder.join("src");
    let modules = [folder.clone(), source];
    let modules: Vec<String> = modules.iter().map(|path| path.display().to_string()).collect();
    pairs.push(("{import}", modules.join(":")));
    let fill = |text: &str| pairs.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    if let Some(toolbox) = suite.toolbox.filter(|_| measures) {
        let sources = coverage::measured_sources(repository, toolbox, &suite.folder);
        let own = sources.iter().filter_map(|path| path.strip_prefix(&suite.folder).ok());
        let list: Vec<String> = own.map(|path| path.display().to_string()).collect();
        // Without the list nothing is measured, and that is said.
        let _ = sandbox.leave("sources", &list.join("\n"));
    }
    let of = runner.into_iter().flat_map(|runner| &runner.environment);
    let measuring = runner.filter(|_| measures).into_iter().flat_map(|runner| &runner.measure_environment);
    let environment = of.chain(measuring).map(|(name, value)| (name.clone(), fill(value))).collect();
    Order { line: fill(line), folder: suite.folder.clone(), environment, budget, stop: stop.clone() }
}

/// The interpreter of the project's own environment, or the machine's.
pub fn python(repository: &Repository, folder: &Path, place: &Path) -> String {
    let folders = [folder, Path::new("")];
    let mut own = folders.iter().flat_map(|folder| [".venv", "venv", "env"].map(|name| folder.join(name)));
    match own.find(|environment| repository.has(environment.join("bin/python"))) {
        Some(environment) => place.join(environment).join("bin/python").display().to_string(),
        None => "python3".into(),
    }
}

/// Where `unittest` looks for tests: a folder that is no package is not found from above.
fn unittest_folder(repository: &Repository, suite: &Suite) -> String {
    let folders: Vec<PathBuf> = suite.files.iter().filter_map(|file| file.parent().map(Path::to_owned)).collect();
    let Some(first) = folders.iter().min_by_key(|folder| folder.components().count()) else { return String::new() };
    let together = folders.iter().all(|folder| folder.starts_with(first));
    let package = repository.has(first.join("__init__.py"));
    let start = first.strip_prefix(&suite.folder).unwrap_or(first);
    let names = suite.files.iter().filter_map(|file| file.file_name()?.to_str());
    let pattern = if names.clone().all(|name| name.starts_with("test")) { "" } else { " -p '*test*.py'" };
    match together && !package && !start.as_os_str().is_empty() {
        true => format!("-s '{}'{pattern}", start.display()),
        false => pattern.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Instant};

    use seaworthy_repository::Sample;

    use super::*;
    use crate::tests::has;

    #[test]
    fn a_session_that_was_cut_off_is_kept_as_that_and_is_green_for_nobody() {
        if !has("python3") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let suite = "import time\nimport unittest\n\n\nclass A(unittest.TestCase):\n    def test_it(self):\n        \
                     time.sleep(3600)\n        self.assertTrue(1)\n";
        Sample::of(&[("app.py", "A = 1\n"), ("test_app.py", suite)]).write(folder.path()).unwrap();
        let mut repository = Repository::open(folder.path()).unwrap();
        repository.may_run = true;
        let stop = Stop::default();
        let first = repository.for_look(stop.clone());
        let looking = thread::spawn(move || Session::of(&first));
        thread::sleep(Duration::from_secs(2));
        stop.set();
        let session = looking.join().unwrap();
        assert!(session.runs.iter().all(|run| !run.is_green()) && session.runs.len() == 1, "{session:?}");
        assert_eq!(session.runs[0].tests.as_ref().unwrap_err(), ENDED);
        let asked = Instant::now();
        let again = Session::of(&repository.for_look(Stop::default()));
        assert!(asked.elapsed() < Duration::from_secs(1) && Arc::ptr_eq(&session, &again));
        // A look that broke off with the copy in its hands leaves it to nobody.
        assert!(session.sandbox().is_ok());
        let broken_off = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _sandbox = session.sandbox();
            stop.check();
        }));
        assert!(broken_off.is_err());
        assert_eq!(session.sandbox().err(), Some(ENDED));
    }
}
