//! `ci.image-scan`: an image that is built is scanned by a pipeline, and findings count.

use std::path::{Path, PathBuf};

use seaworthy_repository::{
    Cases, Inspection, Repository, Sample, Sighting, is_test,
    pipeline::{Event, Occasions, Purpose, Truth},
};

use super::gate::{Gate, Wanted, gate, listed};

pub(super) struct ImageScan;

const WANTED: Wanted<'static> = Wanted {
    purpose: Purpose::ImageScan,
    name: "a scanner of images",
    when: by_itself,
    when_name: "by itself",
    hints: &["scan", "trivy", "grype", "secur", "shared library", "uploads a pipeline"],
    others: &[],
};

/// On changes, on releases, or by the clock: what runs may be scanned without a change.
fn by_itself(occasions: &Occasions) -> Truth {
    let others = occasions.on(Event::Schedule).max(occasions.on(Event::Tag));
    occasions
        .on_changes()
        .max(others)
        .max(occasions.on(Event::StagingBranch))
        .max(occasions.on(Event::ProductionBranch))
}

impl Inspection for ImageScan {
    fn control(&self) -> &'static str {
        "ci.image-scan"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        sample("trivy image --exit-code 1 --severity HIGH,CRITICAL app:ci")
    }

    fn absent(&self) -> Sample {
        sample("trivy image --severity HIGH,CRITICAL app:ci")
    }
}

fn sample(command: &str) -> Sample {
    let text = format!(
        "on: [push, pull_request]\njobs:\n  image:\n    runs-on: ubuntu-latest\n    steps:\n      - run: docker build -t app:ci .\n      - run: {command}\n"
    );
    Sample::of(&[(".github/workflows/image.yml", &text), ("Dockerfile", "FROM python:3.13-slim\nCMD [\"python\"]\n")])
        .committed()
}

/// Files that images are built from, those for development and tests apart.
pub(super) fn image_files(repository: &Repository) -> Vec<PathBuf> {
    let is_one = |path: &&Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_lowercase();
        let named = name == "dockerfile"
            || name == "containerfile"
            || name.starts_with("dockerfile.")
            || name.ends_with(".dockerfile");
        let aside = [".devcontainer", "example", "docs"].iter().any(|word| path.to_string_lossy().contains(word));
        // `dockerfile.toml` says something of one, and is none.
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        let data =
            ["dockerignore", "toml", "md", "txt", "json", "yml", "yaml", "rs", "py", "js", "ts", "go", "rb", "php"];
        let others = data.contains(&ending) || ["dev", "test"].iter().any(|word| name.contains(word));
        named && !aside && !others && !is_test(path)
    };
    repository.files().filter(is_one).map(Path::to_owned).collect()
}

fn look(repository: &Repository) -> Sighting {
    let files = image_files(repository);
    let builds = repository.pipelines().runs(Purpose::ImageBuild);
    let scans = repository.pipelines().runs(Purpose::ImageScan);
    if files.is_empty() && builds.is_empty() && scans.is_empty() {
        return match repository.not_whole() {
            Some(cut) => Sighting::unclear(cut),
            None => Sighting::not_applicable("no image is built: no Dockerfile, and no pipeline builds one"),
        };
    }
    let mut cases = Cases::plan(1);
    files.iter().for_each(|file| cases.note(format!("an image is built from {}", file.display())));
    match gate(repository, &WANTED) {
        Gate::Holds(runs) => {
            runs.iter().for_each(|run| cases.note(format!("{} at {}", run.placed.name(), run.placed.place())));
            let summary = format!(
                "{} scans the image, and findings count; {} image files, {} builds in pipelines",
                listed(&runs),
                files.len(),
                builds.len()
            );
            cases.tried(true, summary.clone());
            cases.sighting(summary)
        }
        Gate::Broken(why) => {
            let first =
                files.first().map(|file| format!("{} makes an image, but ", file.display())).unwrap_or_default();
            cases.tried(false, format!("{first}{why}"));
            cases.sighting("")
        }
        Gate::Unclear(why) => cases.gave_up(why),
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(steps: &str) -> Outcome {
        let text = format!("on: [push, pull_request]\njobs:\n  image:\n    runs-on: x\n    steps:\n{steps}");
        let folder = tempfile::tempdir().unwrap();
        sample("x").with(&[(".github/workflows/image.yml", &text)]).write(folder.path()).unwrap();
        look(&Repository::open(folder.path()).unwrap()).outcome
    }

    #[test]
    fn a_scan_that_only_prints_is_none() {
        let action = |with: &str| {
            format!("      - uses: aquasecurity/trivy-action@0.28.0\n        with: {{image-ref: a, {with}}}\n")
        };
        assert_eq!(outcome(&action("exit-code: '1'")), Outcome::Holds);
        assert!(matches!(outcome(&action("format: table")), Outcome::Broken(_)));
        let upload = "      - uses: github/codeql-action/upload-sarif@v3\n";
        assert_eq!(outcome(&format!("{}{upload}", action("format: sarif"))), Outcome::Holds);
        assert!(matches!(
            outcome("      - uses: aquasecurity/trivy-action@0.28.0\n        with: {scan-type: fs, exit-code: '1'}\n"),
            Outcome::Broken(_)
        ));
    }

    #[test]
    fn without_images_it_does_not_apply() {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(&[("app.py", ""), ("stacks/dockerfile.toml", ""), ("tests/Dockerfile", "")])
            .write(folder.path())
            .unwrap();
        let seen = look(&Repository::open(folder.path()).unwrap());
        assert!(matches!(seen.outcome, Outcome::NotApplicable(_)));
    }
}
