//! `config.no-hardcoded-secrets`: none in the tree, none in any commit, none in what was built of them.
//!
//! Each look plants a canary in every kind of place that it scans and must find it again, so that a scan which silently
//! skipped everything cannot pass.

mod canary;
mod image;
mod places;

use std::path::Path;

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

pub(super) use canary::planted;

use super::{
    built,
    scan::{Finding, Live, is_public_token, scan},
};

pub(super) struct HardcodedSecrets;

const CONTROL: &str = "config.no-hardcoded-secrets";
/// Findings that the transcript lists.
const MOST_SHOWN: usize = 50;

impl Inspection for HardcodedSecrets {
    fn control(&self) -> &'static str {
        CONTROL
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let text = "KEY = os.environ[\"API_KEY\"]\nPASSWORD = \"changeme-please\"\n";
        Sample::of(&[("app.py", text)]).committed()
    }

    fn absent(&self) -> Sample {
        // Committed once and deleted since: only the history still has it.
        let sample = Sample::of(&[("settings.py", &format!("aws = \"{}\"\n", canary::planted()))]).committed();
        sample.with(&[("settings.py", "aws = None\n")]).committed()
    }
}

/// What was looked through, in words.
struct Scanned {
    findings: Vec<Finding>,
    places: Vec<String>,
    examples: usize,
}

fn look(repository: &Repository) -> Sighting {
    let root = repository.root();
    let live = Live::of(repository);
    let mut cases = Cases::plan(2);
    let tree = places::tree(root, &live);
    if tree.read == 0 {
        return cases.gave_up("there is no file to read");
    }
    found_again(&mut cases, canary::in_tree(), "the tree");
    if tree.skipped > 0 {
        cases.told_nothing(format!(
            "{} files could not be read or are larger than {} MiB",
            tree.skipped,
            places::LARGEST >> 20
        ));
    }
    if tree.cut {
        cases.told_nothing("there are more files or deeper folders than are read");
    }
    let mut scanned =
        Scanned { findings: tree.findings, places: vec![format!("{} files", tree.read)], examples: tree.examples };
    look_at_history(repository, &live, &mut cases, &mut scanned);
    look_at_built(repository, &live, &mut cases, &mut scanned);
    look_at_images(root, &live, &mut cases, &mut scanned);
    conclude(repository, cases, scanned, live.len())
}

fn found_again(cases: &mut Cases, found: bool, place: &str) {
    match found {
        true => cases.tried(true, format!("a planted key was found in {place}")),
        false => cases.told_nothing(format!("a planted key was not found in {place} by the same scan")),
    }
}

fn look_at_history(repository: &Repository, live: &Live, cases: &mut Cases, scanned: &mut Scanned) {
    let git = match repository.git() {
        Ok(git) => git,
        Err(why) => {
            if repository.root().join(".git").exists() {
                cases.plan_more(1);
                cases.told_nothing(format!("the history could not be read: {why}"));
            }
            scanned.places.push("no history: not a Git repository".into());
            return;
        }
    };
    cases.plan_more(2);
    if let Some(why) = git.incomplete() {
        cases.told_nothing(why);
    }
    match places::history(git, live) {
        Ok(seen) => {
            if seen.skipped > 0 {
                let limit = places::LARGEST >> 20;
                cases.note(format!(
                    "{} versions in the history are larger than {limit} MiB and were not read",
                    seen.skipped
                ));
            }
            found_again(cases, canary::in_history(), "a history");
            cases.tried(true, format!("{} versions in the history", seen.read));
            scanned.places.push(format!("{} versions in the history", seen.read));
            places::add_new(&mut scanned.findings, seen.findings);
        }
        Err(why) => cases.told_nothing(format!("the history could not be read: {why}")),
    }
}

/// What was built lies beside the sources, ignored by Git, and is delivered.
fn look_at_built(repository: &Repository, live: &Live, cases: &mut Cases, scanned: &mut Scanned) {
    let mut found = Vec::new();
    let built = built::read(repository.root(), repository, &mut |path, text| {
        found.extend(scan(text, path, live).findings.into_iter().filter(|finding| !is_public_token(finding, text)));
    });
    if built.texts == 0 {
        return;
    }
    cases.plan_more(1);
    found_again(cases, built::canary_is_found(), "a bundle");
    scanned.places.push(format!("{} built files", built.texts));
    places::add_new(&mut scanned.findings, found);
}

fn look_at_images(root: &Path, live: &Live, cases: &mut Cases, scanned: &mut Scanned) {
    for path in image::archives(root) {
        cases.plan_more(1);
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        match image::scan_archive(&path, &name, live) {
            Ok(seen) => {
                found_again(cases, canary::in_image(), "an image");
                scanned.places.push(format!("{} files of the image {name}", seen.read));
                places::add_new(&mut scanned.findings, seen.findings);
            }
            Err(why) => cases.told_nothing(format!("the image {name} could not be read: {why}")),
        }
    }
}

fn conclude(repository: &Repository, mut cases: Cases, scanned: Scanned, live: usize) -> Sighting {
    let path_of = |finding: &Finding| finding.place.rsplit_once(':').map_or(String::new(), |(path, _)| path.to_owned());
    let waived = |finding: &Finding| repository.is_waived(CONTROL, Path::new(&path_of(finding)));
    let (waived, findings): (Vec<Finding>, Vec<Finding>) = scanned.findings.into_iter().partition(waived);
    for finding in findings.iter().take(MOST_SHOWN) {
        cases.note(format!("{}: {} ({})", finding.place, finding.title, finding.shown));
    }
    if !waived.is_empty() {
        cases.note(format!("{} findings in paths that the team waived", waived.len()));
    }
    if scanned.examples > 0 {
        cases.note(format!(
            "{} texts in tests and documents have the shape of a secret and are examples",
            scanned.examples
        ));
    }
    if live > 0 {
        cases.note(format!("{live} live values were looked for as they are"));
    }
    let seen = match findings.first() {
        None => "no secret".to_owned(),
        Some(first) => {
            let more = if findings.len() > 1 { format!(", and {} more", findings.len() - 1) } else { String::new() };
            format!("{} in {} ({}){more}", first.title, first.place, first.shown)
        }
    };
    cases.tried(findings.is_empty(), seen);
    let aside = match scanned.examples {
        0 => String::new(),
        some => format!(", {some} texts in tests, documents and examples that have the shape of one set aside"),
    };
    cases.sighting(format!("no secret in {}{aside}; a planted key was found in each", scanned.places.join(", ")))
}

#[cfg(test)]
mod tests;
