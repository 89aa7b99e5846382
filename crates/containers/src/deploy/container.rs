//! `deploy.container`: the image builds from a fresh checkout, as far as its file shows, runs as an ordinary user, and can
//! become healthy.

use std::path::{Path, PathBuf};

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use crate::{
    container::{Images, Recipe, expression},
    runs::{Runs, When},
};

pub(super) struct Container;

impl Inspection for Container {
    fn control(&self) -> &'static str {
        "deploy.container"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let file = "FROM python:3.13-slim\nWORKDIR /app\nCOPY requirements.txt .\nRUN pip install --no-cache-dir -r requirements.txt\n\
                    COPY src/ src/\nUSER 1000\nHEALTHCHECK CMD [\"python\", \"-c\", \"import urllib.request as u; u.urlopen('http://localhost:8000/health')\"]\n\
                    CMD [\"gunicorn\", \"src.app:app\", \"--bind\", \"0.0.0.0:8000\"]\n";
        Sample::of(&[("Dockerfile", file), ("requirements.txt", "flask\ngunicorn\n"), ("src/app.py", "app = 1\n")])
    }

    fn absent(&self) -> Sample {
        // Runs as root, and nobody asks whether it is well.
        let file = "FROM python:3.13\nCOPY . .\nRUN pip install -r requirements.txt\nCMD python app.py\n";
        Sample::of(&[("Dockerfile", file), ("requirements.txt", "flask\n"), ("app.py", "app = 1\n")])
    }
}

fn look(repository: &Repository) -> Sighting {
    let runs = Runs::read(repository);
    let mut cases = Cases::plan(0);
    if runs.recipes.is_empty() {
        return without_recipe(repository, &runs);
    }
    for recipe in &runs.recipes {
        cases.note(format!(
            "{}: {} stages, ships {}",
            recipe.file.path.display(),
            recipe.file.stages.len(),
            recipe.shipped
        ));
        if is_bare_base(repository, recipe) {
            cases.note(format!("{} is a base for others: no command", recipe.file.path.display()));
            continue;
        }
        if recipe.is_a_store() {
            cases.note(format!("{} makes a store, not the app", recipe.file.path.display()));
            continue;
        }
        if !parses(&mut cases, recipe) {
            continue;
        }
        copies_what_is_there(&mut cases, repository, recipe, &runs);
        has_command(&mut cases, recipe, &runs);
        is_no_root(&mut cases, recipe, &runs, repository);
        has_health_check(&mut cases, recipe, &runs, repository);
    }
    cases.sighting(format!(
        "{} of {} container files parse, copy only what a checkout has, start a command as an ordinary user and have a health check",
        runs.recipes.len(),
        runs.recipes.len()
    ))
}

fn without_recipe(repository: &Repository, runs: &Runs) -> Sighting {
    let made_otherwise =
        ["project.toml", "nixpacks.toml", ".ko.yaml", "heroku.yml", "Procfile", "railway.toml", "app.yaml"];
    if let Some(file) = repository.root_file(&made_otherwise) {
        return Sighting::unclear(format!("no Dockerfile; {} may have a platform build the image", file.display()));
    }
    let images = runs
        .compositions
        .iter()
        .flat_map(|one| one.services.values())
        .any(|service| service.build().is_some_and(|build| build.inline));
    if images || repository.not_whole().is_some() {
        return Sighting::unclear(repository.not_whole().unwrap_or("the image is written inside the compose file"));
    }
    let mut cases = Cases::plan(1);
    cases.tried(false, format!("no Dockerfile or Containerfile of the app among {} files", repository.files().count()));
    cases.sighting("")
}

/// A file in a monorepo that others build on: it has no command and nobody runs it.
fn is_bare_base(repository: &Repository, recipe: &Recipe) -> bool {
    let name = recipe.file.path.to_string_lossy().to_lowercase();
    let command = recipe.file.last(recipe.shipped, "CMD").or_else(|| recipe.file.last(recipe.shipped, "ENTRYPOINT"));
    command.is_none() && name.contains("base") && recipe.services.is_empty() && repository.has(&recipe.file.path)
}

fn parses(cases: &mut Cases, recipe: &Recipe) -> bool {
    cases.plan_more(1);
    let problem = recipe.file.problems.first();
    let seen = problem.map_or_else(
        || format!("{} parses", recipe.file.path.display()),
        |(line, reason)| format!("{}: {reason}", recipe.place(*line)),
    );
    cases.tried(problem.is_none(), seen);
    problem.is_none()
}

/// What is known of a source.
enum Source {
    There,
    Missing(&'static str),
    Unknown(String),
}

/// Where a pipeline builds it from a folder that a checkout does not have: what is copied was made before.
fn built_from_elsewhere(repository: &Repository, recipe: &Recipe, runs: &Runs) -> Option<String> {
    let file = recipe.file.path.to_string_lossy();
    runs.at(&[When::Pipeline]).find_map(|run| {
        let words = shell_words::split(&run.text).ok()?;
        let builder = words.iter().position(|word| ["docker", "podman", "buildah"].contains(&word.as_str()))?;
        let builds = words.get(builder + 1..)?.iter().take(3).any(|word| ["build", "bud"].contains(&word.as_str()));
        let context = words.last().filter(|word| !word.starts_with('-') && !word.contains("://"))?;
        let named = words.iter().any(|word| *word == file || word.strip_prefix("--file=") == Some(&file));
        let there =
            context == "." || repository.has_folder(context) || repository.files().any(|own| own == Path::new(context));
        (builds && named && !there)
            .then(|| format!("{} builds {file} from {context}, which a checkout does not have", run.place))
    })
}

fn copies_what_is_there(cases: &mut Cases, repository: &Repository, recipe: &Recipe, runs: &Runs) {
    cases.plan_more(1);
    if let Some(why) = built_from_elsewhere(repository, recipe, runs) {
        return cases.told_nothing(format!("{why}: what it copies is not seen"));
    }
    let (mut looked, mut unknown) = (0, None);
    for stage in &recipe.file.stages {
        for instruction in &stage.instructions {
            let Some((sources, _)) =
                instruction.copied().filter(|_| instruction.flag("from").is_none() && !instruction.heredoc)
            else {
                continue;
            };
            let mut found = 0;
            let mut lost = Vec::new();
            for source in sources.iter().filter(|source| !source.contains("://") && !source.starts_with("git@")) {
                looked += 1;
                let place = format!("{} copies {source}", recipe.place(instruction.line));
                match in_any_context(repository, recipe, source) {
                    Source::There => found += 1,
                    Source::Missing(why) => lost.push((source.contains('*'), format!("{place}, which {why}"))),
                    Source::Unknown(why) => unknown = Some(format!("{place}: {why}")),
                }
            }
            // A pattern that fits nothing is passed over, as long as something is copied.
            if let Some((_, why)) = lost.into_iter().find(|(pattern, _)| !pattern || found == 0) {
                return cases.tried(false, why);
            }
        }
    }
    match unknown {
        Some(why) => cases.told_nothing(why),
        None => {
            cases.tried(true, format!("all {looked} sources of {} are in the checkout", recipe.file.path.display()))
        }
    }
}

/// Built from several folders: the first in which it is found counts.
fn in_any_context(repository: &Repository, recipe: &Recipe, source: &str) -> Source {
    let seen = recipe.contexts.iter().map(|context| find(repository, recipe, context, source));
    let better = |best: Source, next: Source| if matches!(next, Source::There) { next } else { best };
    seen.reduce(better).unwrap_or(Source::There)
}

/// Folders that a build makes, which a pipeline may have done before.
const MADE: &[&str] = &["dist", "build", "out", "target", "bin", "public", "release", "artifacts", "publish", "wheels"];

fn find(repository: &Repository, recipe: &Recipe, context: &Path, source: &str) -> Source {
    let source = source.trim_start_matches('/').trim_start_matches("./").trim_end_matches('/');
    if source.contains('$') {
        return Source::Unknown("a variable that only the build gives".into());
    }
    if source.is_empty() || source == "." {
        return Source::There;
    }
    let path = PathBuf::from(source);
    let ignored = recipe.ignored(repository, context);
    let is_ignored = |path: &Path| ignored.as_ref().is_some_and(|ignored| ignored.is_ignored(path));
    if source.contains(['*', '?', '[']) {
        let Some(pattern) = expression(source) else {
            return Source::Unknown("a pattern that is not understood".into());
        };
        let mut files = repository.files().filter_map(|file| file.strip_prefix(context).ok());
        let fits = |file: &Path| {
            file.ancestors().any(|part| part.to_str().is_some_and(|part| !part.is_empty() && pattern.is_match(part)))
        };
        return match files.any(|file| fits(file) && !is_ignored(file)) {
            true => Source::There,
            false => missing(source),
        };
    }
    let whole = context.join(&path);
    if !repository.has(&whole) && !repository.has_folder(&whole) {
        return missing(source);
    }
    if is_ignored(&path)
        && !ignored.as_ref().is_some_and(|ignored| repository.has_folder(&whole) && ignored.has_exceptions())
    {
        return Source::Missing(".dockerignore keeps out");
    }
    let outside_git = repository.git().is_ok_and(|git| git.ignores(&whole.to_string_lossy()).unwrap_or(false));
    if outside_git && !repository.files().any(|file| file.starts_with(&whole)) {
        return Source::Missing(".gitignore keeps out of a fresh checkout");
    }
    Source::There
}

fn missing(source: &str) -> Source {
    let first = source.split('/').find(|part| MADE.contains(part));
    match first {
        Some(folder) => Source::Unknown(format!("{folder} is not in the checkout; a step before may make it")),
        None => Source::Missing("is not there"),
    }
}

fn has_command(cases: &mut Cases, recipe: &Recipe, runs: &Runs) {
    cases.plan_more(1);
    let file = &recipe.file;
    let own = file.last(recipe.shipped, "CMD").or_else(|| file.last(recipe.shipped, "ENTRYPOINT"));
    let base = recipe.base();
    let by_service = runs.all.iter().find(|run| run.when == When::Start && recipe.services.contains(&run.of));
    match (own, by_service) {
        (Some(command), _) => cases.tried(true, format!("{} {}", recipe.place(command.line), command.keyword)),
        (None, Some(run)) => cases.tried(true, format!("{} gives the command", run.place)),
        (None, None) if Images::built_in().has_command(&base) => {
            cases.tried(true, format!("{} brings a command", base.name))
        }
        (None, None) if base.open || !Images::built_in().knows(&base) => {
            cases.told_nothing(format!("{} has no command, and {} may bring one", file.path.display(), base.name));
        }
        (None, None) => cases.tried(false, format!("{} has neither CMD nor ENTRYPOINT", file.path.display())),
    }
}

fn is_no_root(cases: &mut Cases, recipe: &Recipe, runs: &Runs, repository: &Repository) {
    cases.plan_more(1);
    if let Some(user) = recipe.user() {
        return cases.tried(true, format!("{} runs as {user}", recipe.file.path.display()));
    }
    let services =
        runs.compositions.iter().flat_map(|one| one.services.values().map(move |service| (one.name(), service)));
    let mut own = services.filter(|(name, service)| recipe.services.contains(&format!("{name}/{}", service.name)));
    let user_of_service = own.find_map(|(_, service)| {
        service.value["user"].as_str().filter(|user| !user.starts_with("root") && !user.starts_with('0'))
    });
    let containers = runs.cluster.containers(repository);
    let in_cluster = !containers.is_empty()
        && containers.iter().filter(|one| one.is_lasting()).all(|one| one.ordinary_user() == Some(true));
    let leaves = leaves_root(repository, recipe);
    if let Some(user) = user_of_service {
        return cases.tried(true, format!("{} runs as {user}, by the compose file", recipe.file.path.display()));
    }
    if in_cluster {
        return cases.tried(true, "the cluster's manifests run every container as an ordinary user");
    }
    if let Some(place) = leaves {
        return cases.tried(true, format!("{place} starts as root and changes to an ordinary user"));
    }
    let base = recipe.base();
    let line = recipe.file.last(recipe.shipped, "USER").map(|user| user.line);
    let line = line.or_else(|| recipe.stage().map(|stage| stage.line)).unwrap_or(1);
    match line {
        _ if recipe.file.last(recipe.shipped, "USER").is_none() && (base.open || !Images::built_in().knows(&base)) => {
            cases.told_nothing(format!("{} has no USER, and {} may have one", recipe.file.path.display(), base.name));
        }
        _ => cases.tried(false, format!("{} runs as root: no USER after it", recipe.place(line))),
    }
}

/// An entry script that becomes another user.
fn leaves_root(repository: &Repository, recipe: &Recipe) -> Option<String> {
    let words = ["ENTRYPOINT", "CMD"]
        .iter()
        .filter_map(|keyword| recipe.file.last(recipe.shipped, keyword))
        .flat_map(|one| &one.words);
    for word in words {
        if ["gosu", "su-exec", "setpriv"].contains(&word.as_str()) {
            return Some(recipe.file.path.display().to_string());
        }
        let name = word.rsplit('/').next().unwrap_or(word);
        let script = repository.files().find(|path| path.file_name().is_some_and(|own| own == name));
        let Some((path, text)) = script.and_then(|path| Some((path, repository.text(path)?))) else { continue };
        let changes = |line: &&str| {
            let line = line.trim();
            !line.starts_with('#')
                && ["exec gosu ", "exec su-exec ", "exec setpriv ", "exec runuser ", "exec chpst ", "exec su "]
                    .iter()
                    .any(|start| line.contains(start))
        };
        if let Some(line) = text.lines().position(|line| changes(&line)) {
            return Some(format!("{}:{}", path.display(), line + 1));
        }
    }
    None
}

fn has_health_check(cases: &mut Cases, recipe: &Recipe, runs: &Runs, repository: &Repository) {
    cases.plan_more(1);
    if let Some(check) = recipe.file.last(recipe.shipped, "HEALTHCHECK") {
        let none = check.words.first().is_some_and(|word| word.eq_ignore_ascii_case("none"));
        return cases.tried(
            !none,
            format!("{} HEALTHCHECK {}", recipe.place(check.line), if none { "NONE" } else { "is set" }),
        );
    }
    for composition in &runs.compositions {
        for service in composition.services.values() {
            let own = recipe.services.contains(&format!("{}/{}", composition.name(), service.name));
            if own && service.has_health_check() {
                return cases.tried(true, format!("{} has a health check", service.place));
            }
        }
    }
    let probes = |value: &serde_json::Value| value["livenessProbe"].is_object() || value["readinessProbe"].is_object();
    if let Some(one) = runs.cluster.containers(repository).iter().find(|one| one.is_lasting() && probes(one.value)) {
        return cases.tried(true, format!("{} has a probe", one.place));
    }
    let platform = [
        ("fly.toml", "checks"),
        ("render.yaml", "healthCheckPath"),
        ("railway.json", "healthcheckPath"),
        ("railway.toml", "healthcheckPath"),
    ];
    let by_platform =
        platform.iter().find(|(file, word)| repository.text(file).is_some_and(|text| text.contains(word)));
    if let Some((file, word)) = by_platform {
        return cases.tried(true, format!("{file} has {word}"));
    }
    if repository.has("config/deploy.yml") && repository.has("Gemfile") {
        return cases.told_nothing("config/deploy.yml: Kamal asks for the app's health by itself");
    }
    if !runs.cluster.templates.is_empty() {
        return cases
            .told_nothing(format!("{} is a template that may hold a probe", runs.cluster.templates[0].display()));
    }
    cases.tried(
        false,
        format!("{} has no HEALTHCHECK, and no compose file or manifest has one for it", recipe.file.path.display()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::tests::{broken, holds, outcome};

    const APP: &[(&str, &str)] = &[("app.py", "x"), ("requirements.txt", "flask")];
    const END: &str = "USER 1000\nHEALTHCHECK CMD x\nCMD [\"python\", \"app.py\"]\n";

    fn seen(file: &str, more: &[(&str, &str)]) -> seaworthy_repository::Outcome {
        outcome(&Container, &Sample::of(APP).with(&[("Dockerfile", file)]).with(more))
    }

    #[test]
    fn what_is_copied_must_be_in_a_fresh_checkout() {
        assert!(holds(&seen(&format!("FROM python:3.13\nCOPY *.txt app.py ./\n{END}"), &[])));
        assert!(broken(&seen(&format!("FROM python:3.13\nCOPY nothing.py ./\n{END}"), &[]), "nothing.py"));
        assert!(broken(
            &seen(&format!("FROM python:3.13\nCOPY app.py ./\n{END}"), &[(".dockerignore", "*.py\n")]),
            ".dockerignore"
        ));
        assert!(holds(&seen(
            &format!("FROM python:3.13\nCOPY app.py ./\n{END}"),
            &[(".dockerignore", "*\n!app.py\n")]
        )));
        let built = seen(&format!("FROM python:3.13\nCOPY dist/app.whl ./\n{END}"), &[]);
        assert!(matches!(built, seaworthy_repository::Outcome::Unclear(_)), "{built:?}");
        let staged = format!("FROM node:22 AS web\nCOPY app.py .\nFROM python:3.13\nCOPY --from=web /made /x\n{END}");
        assert!(holds(&seen(&staged, &[])));
    }

    #[test]
    fn a_context_that_a_pipeline_makes() {
        let file = format!("FROM debian:13-slim\nCOPY server /app/\n{END}");
        let pipeline = |line: &str| {
            format!("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: {line}\n")
        };
        let with = |line: &str| seen(&file, &[(".github/workflows/a.yml", &pipeline(line))]);
        let elsewhere = with("podman build --manifest a -f Dockerfile target/x86_64/release");
        assert!(
            matches!(&elsewhere, seaworthy_repository::Outcome::Unclear(why) if why.contains("target/x86_64")),
            "{elsewhere:?}"
        );
        assert!(broken(&with("docker build -f Dockerfile ."), "copies server"));
    }

    #[test]
    fn a_context_above_and_one_that_compose_names() {
        let file = format!("FROM python:3.13\nCOPY app.py ./\n{END}");
        let sample = Sample::of(APP).with(&[("docker/Dockerfile", &file)]);
        assert!(holds(&outcome(&Container, &sample)), "built from the folder above");
        let sample = sample.with(&[("docker/compose.yml", "services:\n  a:\n    build: .\n")]);
        assert!(broken(&outcome(&Container, &sample), "app.py"));
    }

    #[test]
    fn root_by_the_file_but_not_in_the_end() {
        let file = "FROM python:3.13\nCOPY . .\nENTRYPOINT [\"/app/entrypoint.sh\"]\nHEALTHCHECK CMD x\n";
        assert!(broken(&seen(file, &[("entrypoint.sh", "#!/bin/sh\nexec python app.py\n")]), "root"));
        assert!(holds(&seen(file, &[("entrypoint.sh", "#!/bin/sh\nexec gosu app python app.py\n")])));
        let distroless = "FROM gcr.io/distroless/static-debian12:nonroot\nCOPY app.py /\nCMD [\"/app\"]\n";
        assert!(broken(&seen(distroless, &[]), "HEALTHCHECK"));
        let compose = "services:\n  a:\n    build: .\n    healthcheck: {test: [CMD, x]}\n";
        assert!(holds(&seen(distroless, &[("compose.yml", compose)])));
        let back = format!("FROM python:3.13\nUSER app\nCOPY app.py .\n{END}USER root\n");
        assert!(broken(&seen(&back, &[]), "root"));
    }
}
