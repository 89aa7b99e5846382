//! `testing.unit`, `.integration`, `.api`, `.e2e`, `.frontend-component`, `.visual`: tests of that kind exist, check
//! something, and pass here; what can be planted for the kind is noticed.

use std::path::{Path, PathBuf};

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting, is_test};

use super::{NOT_ALLOWED, begin, passing, samples};
use crate::{
    cases::{TestFile, TestFiles},
    kinds::{Kind, reaches_out},
    mutants::Doubt,
    pipeline::Pipelines,
    results::Test,
    running::{Session, SuiteRun, tests_of},
};

/// Tests of one kind.
struct OfKind(Kind);

pub(super) fn all() -> impl Iterator<Item = Box<dyn Inspection>> {
    let kinds = [Kind::Api, Kind::Component, Kind::E2e, Kind::Integration, Kind::Unit, Kind::Visual];
    kinds.into_iter().map(|kind| Box::new(OfKind(kind)) as Box<dyn Inspection>)
}

impl Inspection for OfKind {
    fn control(&self) -> &'static str {
        match self.0 {
            Kind::Unit => "testing.unit",
            Kind::Integration => "testing.integration",
            Kind::Api => "testing.api",
            Kind::E2e => "testing.e2e",
            Kind::Component => "testing.frontend-component",
            Kind::Visual => "testing.visual",
        }
    }

    fn runs_code(&self) -> bool {
        true
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(self.0, repository)
    }

    fn present(&self) -> Sample {
        match self.0 {
            Kind::Unit => samples::checked(),
            Kind::Integration => samples::with_store(),
            Kind::Api => samples::with_calls(),
            Kind::E2e => samples::with_journey(),
            Kind::Component => samples::with_component(),
            Kind::Visual => samples::with_pictures(),
        }
    }

    fn absent(&self) -> Sample {
        match self.0 {
            Kind::Unit => samples::hollow(),
            Kind::Integration => samples::untested_store(),
            Kind::Api => samples::without_calls(),
            Kind::E2e => samples::without_journey(),
            Kind::Component => samples::without_component(),
            Kind::Visual => samples::without_pictures(),
        }
    }
}

/// The files with tests of a kind. Where the logic is tested through the database or over HTTP alone, those tests stand
/// for unit tests: what is asked is whether a change in the logic is noticed.
fn files_of(kind: Kind, tests: &TestFiles) -> Vec<&TestFile> {
    let own: Vec<&TestFile> = tests.of_kind(kind).collect();
    if kind != Kind::Unit || !own.is_empty() {
        return own;
    }
    tests.files.iter().filter(|file| !file.kinds.contains(&Kind::E2e) && !file.kinds.contains(&Kind::Visual)).collect()
}

fn look(kind: Kind, repository: &Repository) -> Sighting {
    let tests = tests_of(repository);
    let files = files_of(kind, &tests);
    let found = files.iter().map(|file| file.cases.len()).sum::<usize>();
    let checking = files.iter().flat_map(|file| &file.cases).filter(|case| case.checks).count();
    if found == 0 {
        return none(kind, repository, &tests);
    }
    let planted = usize::from(matches!(kind, Kind::Unit | Kind::E2e | Kind::Visual));
    let mut cases = Cases::plan(2 + planted);
    let names: Vec<String> = files.iter().map(|file| file.path.display().to_string()).collect();
    cases.note(format!("{} tests: {}", kind.name(), names.iter().take(20).cloned().collect::<Vec<_>>().join(", ")));
    let hollow =
        files.iter().flat_map(|file| file.cases.iter().map(move |case| (file, case))).filter(|(_, case)| !case.checks);
    for (file, case) in hollow.take(10) {
        cases.note(format!("checks nothing: {}:{} {}", file.path.display(), case.line, case.name));
    }
    let seen = format!("{checking} of {found} {} tests check something, in {} files", kind.name(), files.len());
    let first = files.first().map(|file| file.path.display().to_string()).unwrap_or_default();
    cases.tried(checking > 0, if checking > 0 { seen.clone() } else { format!("{seen}: {first}") });
    let pictures = pictures(repository);
    if kind == Kind::Visual {
        cases.plan_more(1);
        cases.tried(!pictures.is_empty(), format!("{} reference pictures are kept", pictures.len()));
    }
    if cases.is_broken() {
        return cases.sighting("");
    }
    if !repository.may_run {
        return Sighting::not_tried(format!("{seen}; {NOT_ALLOWED}"));
    }
    run(kind, repository, &tests, cases, &seen)
}

fn run(kind: Kind, repository: &Repository, tests: &TestFiles, mut cases: Cases, seen: &str) -> Sighting {
    let session = Session::of(repository);
    if let Err(why) = begin(&session, &mut cases) {
        return cases.gave_up(why);
    }
    let files = files_of(kind, tests);
    let is_of_kind = |test: &Test| {
        let own = tests.file_of(test.file.as_deref(), &test.name);
        own.is_some_and(|own| files.iter().any(|file| file.path == own.path))
    };
    // Suites that run some of them.
    let holds_some = |run: &&SuiteRun| {
        let own = session.suites.get(run.suite).map(|suite| suite.files.as_slice()).unwrap_or_default();
        files.iter().any(|file| own.contains(&file.path))
    };
    let runs: Vec<&SuiteRun> = session.runs.iter().filter(holds_some).collect();
    cases.plan_more(runs.len().saturating_sub(1));
    for run in &runs {
        let name = session.suites.get(run.suite).map_or("", |suite| suite.name.as_str());
        let own: Vec<&Test> = run.tests.iter().flatten().filter(|test| is_of_kind(test)).collect();
        match own.is_empty() && run.tests.is_ok() {
            true => cases.told_nothing(format!(
                "{name} named none of the {} tests here: they may have a command of their own",
                kind.name()
            )),
            false => passing::judge(&mut cases, run, name, &mut own.into_iter()),
        }
    }
    if cases.is_broken() || !runs.iter().all(|run| run.is_green()) {
        if !cases.is_broken() {
            cases.told_nothing("other tests of the same suite fail, so these could not be doubted");
        }
        return cases.sighting("");
    }
    match kind {
        Kind::Unit => doubt_units(&mut cases, repository),
        Kind::E2e => break_a_journey(&mut cases, repository, &session, &runs, &is_of_kind),
        Kind::Visual => change_the_style(&mut cases, repository, &session, &runs, &is_of_kind),
        Kind::Integration | Kind::Api | Kind::Component => {}
    }
    let told = match kind {
        Kind::Unit => format!("; {}", Doubt::of(repository).told()),
        Kind::E2e => "; a planted break was noticed".to_owned(),
        Kind::Visual => "; a planted change of style was noticed".to_owned(),
        Kind::Integration | Kind::Api | Kind::Component => String::new(),
    };
    cases.sighting(format!("{seen}; all that ran passed here{told}"))
}

fn doubt_units(cases: &mut Cases, repository: &Repository) {
    let doubt = Doubt::of(repository);
    doubt.notes.iter().for_each(|note| cases.note(note.clone()));
    let measured = Session::of(repository).runs.iter().all(|run| run.lines.is_ok());
    match &doubt.unclear {
        Some(why) => cases.told_nothing(why.clone()),
        None if !doubt.is_enough() && !measured => {
            cases.told_nothing(format!("{}; which lines they reach was not measured", doubt.told()));
        }
        None => cases.tried(doubt.is_enough(), doubt.told()),
    }
}

/// Changes in the app: one of them must turn a journey red.
fn break_a_journey(
    cases: &mut Cases,
    repository: &Repository,
    session: &Session,
    runs: &[&SuiteRun],
    is_of_kind: &dyn Fn(&Test) -> bool,
) {
    let doubt = Doubt::with(repository, session, runs, repository.stop(), is_of_kind);
    doubt.notes.iter().for_each(|note| cases.note(note.clone()));
    match doubt.killed {
        0 => cases.told_nothing(format!("no planted break was noticed by a journey: {}", doubt.told())),
        killed => cases.tried(true, format!("{killed} of {} planted breaks were noticed", doubt.tried())),
    }
}

/// What changes the look of everything.
const STYLE: &str = "\n* { transform: scale(0.9) !important; background: #0f0 !important; color: #f0f !important; }\n";

fn change_the_style(
    cases: &mut Cases,
    repository: &Repository,
    session: &Session,
    runs: &[&SuiteRun],
    is_of_kind: &dyn Fn(&Test) -> bool,
) {
    let styles: Vec<PathBuf> = repository.ending(&["css", "scss", "less"]).map(Path::to_owned).collect();
    let Ok(sandbox) = session.sandbox() else { return cases.told_nothing("there is no copy") };
    let mut before = Vec::new();
    for path in &styles {
        if let Some(text) = sandbox.text(path)
            && sandbox.write(path, &format!("{text}{STYLE}")).is_ok()
        {
            before.push((path, text));
        }
    }
    if before.is_empty() {
        return cases.told_nothing("there is no style sheet to plant a change in");
    }
    let noticed = runs.iter().any(|run| {
        session.suites.get(run.suite).is_some_and(|suite| {
            let budget = run.ran.took * 3 + std::time::Duration::from_secs(10);
            session.again(&sandbox, suite, (repository, repository.stop()), budget).noticed(is_of_kind)
        })
    });
    for (path, text) in before {
        if sandbox.write(path, &text).is_err() {
            cases.told_nothing("the copy cannot be changed");
        }
    }
    cases.tried(
        noticed,
        format!(
            "a change of style in {} style sheets was {}",
            styles.len(),
            if noticed { "noticed" } else { "not noticed" }
        ),
    );
}

/// Reference pictures beside tests.
fn pictures(repository: &Repository) -> Vec<&Path> {
    let marks = ["snapshots", "screenshots", "bitmaps_reference", "baseline", "visual", "image_snapshots", ".percy"];
    let kept = repository.ending(&["png", "jpg", "jpeg", "webp"]).filter(|path| {
        let text = path.to_string_lossy().to_lowercase();
        marks.iter().any(|mark| text.contains(mark))
    });
    kept.collect()
}

/// No test of the kind: missing, or nothing here that it could be of.
fn none(kind: Kind, repository: &Repository, tests: &TestFiles) -> Sighting {
    let mut cases = Cases::plan(1);
    if let Some(why) = repository.not_whole() {
        return cases.gave_up(why);
    }
    let besides = |path: &Path| {
        let besides = ["docs", "doc", "examples", "example", "samples", "public/docs"];
        is_test(path) || besides.iter().any(|folder| path.starts_with(folder))
    };
    let has = |endings: &[&str]| repository.ending(endings).any(|path| !besides(path));
    let components = has(&["jsx", "tsx", "vue", "svelte"]);
    let pages = components || has(&["html", "htm", "erb", "ejs", "hbs", "pug", "jinja", "j2", "njk", "twig"]);
    match kind {
        Kind::Component if !components => return Sighting::not_applicable("there are no components of an interface"),
        Kind::E2e | Kind::Visual if !pages => return Sighting::not_applicable("there is no page"),
        Kind::Api if answers_pages_alone(repository) => {
            return Sighting::not_applicable("Next.js answers pages alone: there is no route handler and no pages/api");
        }
        Kind::Api if !serves(repository) => {
            return cases.gave_up(
                "no web framework that we know is among the dependencies: nothing says that there are endpoints",
            );
        }
        _ => {}
    }
    if let Some(why) = maybe(kind, repository, tests) {
        return cases.gave_up(why);
    }
    let all = match (tests.count(), tests.files.len()) {
        (0, _) => "there is no test at all".to_owned(),
        (count, files) => format!("none of {count} tests in {files} files is one"),
    };
    cases.tried(false, format!("no {} test: {all}", kind.name()));
    cases.sighting("")
}

/// Signs of tests of the kind that are not recognised as such.
fn maybe(kind: Kind, repository: &Repository, tests: &TestFiles) -> Option<String> {
    let is_read = |path: &Path| tests.files.iter().any(|file| file.path == path);
    let named = repository.tests().keys().find(|path| kind.is_place(path) && !is_read(path));
    if let Some(path) = named {
        return Some(format!(
            "{} is named like a {} test, and holds none that is recognised",
            path.display(),
            kind.name()
        ));
    }
    let perhaps = repository.tests().iter().find(|(path, source)| kind.is_perhaps(path, source));
    if let Some((path, _)) = perhaps {
        return Some(format!(
            "{} may hold {} tests, by its folder or by the address that it takes from outside: what they drive is not seen",
            path.display(),
            kind.name()
        ));
    }
    if kind != Kind::Integration {
        return None;
    }
    let helper = repository.tests().iter().find(|(_, source)| kind.marks(source));
    if let Some((path, _)) = helper {
        return Some(format!("{} opens a real service; which tests use it is not seen", path.display()));
    }
    let services = Pipelines::of(repository).services;
    if services.is_none() && !reaches_out(repository) {
        return Some("no store, service or call over the network is seen in code or dependencies: whether there is anything to be integrated with cannot be told".to_owned());
    }
    services.map(|place| format!("{place} starts services for a pipeline; which tests use them is not seen"))
}

/// Next.js without a file that answers anything but pages, and no other server.
fn answers_pages_alone(repository: &Repository) -> bool {
    let mut recognised = repository.knowledge().stacks.iter().filter(|stack| stack.is_server()).filter(|stack| {
        let names: Vec<&str> = stack.recognise.dependencies.iter().map(String::as_str).collect();
        repository.depends_on(&stack.language, &names)
    });
    let is_next = |stack: &seaworthy_repository::Stack| stack.recognise.dependencies.iter().any(|name| name == "next");
    let answers = |path: &Path| {
        let stem = path.file_stem().is_some_and(|stem| stem == "route");
        stem || path.to_string_lossy().contains("pages/api/")
    };
    let acts = |source: &seaworthy_repository::Source| source.code.contains("use server");
    repository.depends_on("javascript", &["next"])
        && recognised.all(is_next)
        && !repository.sources().iter().any(|(path, source)| answers(path) || acts(source))
}

fn serves(repository: &Repository) -> bool {
    let servers = repository.knowledge().stacks.iter().filter(|stack| stack.is_server());
    let names: Vec<&str> = servers.flat_map(|stack| &stack.recognise.dependencies).map(String::as_str).collect();
    let mut all = repository.manifests().all.values();
    all.any(|manifest| names.iter().any(|name| manifest.dependency(name).is_some()))
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn seen(kind: Kind, sample: &Sample, may_run: bool) -> Sighting {
        let folder = tempfile::tempdir().unwrap();
        sample.write(folder.path()).unwrap();
        let mut repository = Repository::open(folder.path()).unwrap();
        repository.may_run = may_run;
        look(kind, &repository)
    }

    #[test]
    fn without_leave_nothing_runs_and_nothing_holds() {
        let sighting = seen(Kind::Unit, &samples::checked(), false);
        assert!(matches!(&sighting.outcome, Outcome::NotTried(why) if why.contains("2 of 2")), "{sighting:?}");
        let sighting = seen(Kind::Integration, &samples::untested_store(), false);
        assert!(matches!(sighting.outcome, Outcome::Broken(_)), "{sighting:?}");
        // With nothing to be integrated with, nothing is missing for certain.
        let sighting = seen(Kind::Integration, &samples::checked(), false);
        assert!(matches!(sighting.outcome, Outcome::Unclear(_)), "{sighting:?}");
    }

    #[test]
    fn a_test_that_checks_nothing_is_none() {
        let text = "import unittest\nimport price\n\nclass T(unittest.TestCase):\n    def test_a(self):\n        price.price(1)\n";
        let sample = samples::checked()
            .with(&[("tests/test_price.py", text), ("tests/price.test.js", "test('a', () => { price(1) })")]);
        let sighting = seen(Kind::Unit, &sample, false);
        assert!(matches!(&sighting.outcome, Outcome::Broken(why) if why.starts_with("0 of ")), "{sighting:?}");
    }

    #[test]
    fn what_cannot_be_there_is_not_missing() {
        let library = Sample::of(&[("a.py", "x = 1\n"), ("tests/test_a.py", "def test_a():\n    assert 1\n")]);
        assert!(matches!(seen(Kind::Component, &library, false).outcome, Outcome::NotApplicable(_)));
        assert!(matches!(seen(Kind::Visual, &library, false).outcome, Outcome::NotApplicable(_)));
        assert!(matches!(seen(Kind::Api, &library, false).outcome, Outcome::Unclear(_)));
        let pages = Sample::of(&[
            ("package.json", "{\"dependencies\": {\"next\": \"16\", \"react\": \"19\"}}\n"),
            ("src/app/page.tsx", "export default function Home() { return <p/>; }\n"),
        ]);
        assert!(matches!(seen(Kind::Api, &pages, false).outcome, Outcome::NotApplicable(_)));
        let answers =
            pages.with(&[("src/app/items/route.ts", "export function GET() { return Response.json([]); }\n")]);
        assert!(matches!(seen(Kind::Api, &answers, false).outcome, Outcome::Broken(_)));
    }

    #[test]
    fn tests_that_start_the_built_program_are_of_the_whole() {
        let helper = "pub fn server() { Command::new(cargo_bin!(\"shop\")).spawn().unwrap(); }\n";
        let test = "mod fixtures;\nuse fixtures::server;\n\n#[test]\nfn a_page_is_served() {\n    let s = server();\n    assert_eq!(s.status(), 200);\n}\n";
        let package = ("Cargo.toml", "[package]\nname = \"shop\"\n[dependencies]\nreqwest = \"1\"\n");
        let main = ("src/main.rs", "fn main() {}\n");
        let whole = Sample::of(&[package, main, ("tests/fixtures/mod.rs", helper), ("tests/api.rs", test)]);
        let sighting = seen(Kind::Integration, &whole, false);
        assert!(matches!(&sighting.outcome, Outcome::NotTried(why) if why.contains("1 of 1")), "{sighting:?}");
        let plain = whole.with(&[("tests/fixtures/mod.rs", "pub fn server() {}\n")]);
        assert!(matches!(seen(Kind::Integration, &plain, false).outcome, Outcome::Broken(_)));
    }

    #[test]
    fn what_a_folder_or_an_address_promises_is_not_missing_for_certain() {
        let case = "package test\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) {\n\tif run() != 1 {\n\t\tt.Fatal()\n\t}\n}\n";
        let page = ("ui/index.html", "<p>a</p>\n");
        let acceptance = Sample::of(&[("go.mod", "module a\n"), page, ("test/acceptance/a_test.go", case)]);
        assert!(matches!(seen(Kind::E2e, &acceptance, false).outcome, Outcome::Unclear(_)));
        let plain = Sample::of(&[("go.mod", "module a\n"), page, ("test/a_test.go", case)]);
        assert!(matches!(seen(Kind::E2e, &plain, false).outcome, Outcome::Broken(_)));
        let mail =
            "import os\nserver = os.getenv('TEST_MAILSERVER', 'mail')\n\ndef test_a():\n    assert sent(server)\n";
        let sender = ("app.py", "import smtplib\nsmtplib.SMTP('x')\n");
        assert!(matches!(
            seen(Kind::Integration, &Sample::of(&[sender, ("tests/test_mail.py", mail)]), false).outcome,
            Outcome::Unclear(_)
        ));
        let quiet = mail.replace("os.getenv('TEST_MAILSERVER', 'mail')", "1");
        assert!(matches!(
            seen(Kind::Integration, &Sample::of(&[sender, ("tests/test_mail.py", &quiet)]), false).outcome,
            Outcome::Broken(_)
        ));
    }
}
