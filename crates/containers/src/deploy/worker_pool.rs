//! `deploy.worker-pool`: every pool of workers has a size that is written down, and a measurement that chose it.

use std::{path::Path, sync::LazyLock};

use regex::Regex;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting, is_for_development, records::measurement};

use super::servers::{Pool, Servers};
use crate::runs::{Run, Runs, When};

pub(super) struct WorkerPool;

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static CLUSTER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bcluster\.fork\s*\(").expect("the pattern is valid"));
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static QUEUE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"new\s+Worker\s*(?:<[^>]*>)?\s*\(\s*["'`\w]"#).expect("the pattern is valid"));

impl Inspection for WorkerPool {
    fn control(&self) -> &'static str {
        "deploy.worker-pool"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let document = "# Load sweep of gunicorn workers (2026-05-02)\n\n| workers | req/s | p95 ms |\n|---|---|---|\n| 2 | 410 | 80 |\n| 4 | 760 | 85 |\n| 8 | 770 | 140 |\n";
        Sample::of(&[
            ("Dockerfile", "FROM python:3.13-slim\nCMD [\"gunicorn\", \"app:app\", \"--workers\", \"4\"]\n"),
            ("docs/load-sweep.md", document),
            ("app.py", "x"),
        ])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[("Dockerfile", "FROM python:3.13-slim\nCMD [\"gunicorn\", \"app:app\"]\n"), ("app.py", "x")])
    }
}

fn look(repository: &Repository) -> Sighting {
    let runs = Runs::read(repository);
    let mut cases = Cases::plan(0);
    let mut pools = Vec::new();
    for run in runs.at(&[When::Start]) {
        for pool in Servers::built_in().pool.iter().filter(|pool| pool.command.0.is_match(&run.text)) {
            let explicit = is_explicit(repository, &runs, run, pool);
            let command: String = run.text.chars().take(60).collect();
            cases.plan_more(1);
            match &explicit {
                Some(place) => cases.tried(true, format!("{}: {}'s size is set in {place}", run.place, pool.name)),
                None => cases.tried(
                    false,
                    format!("{}: `{command}` leaves the number of {}'s workers to its default", run.place, pool.name),
                ),
            }
            pools.push(pool.name.to_lowercase());
        }
    }
    of_javascript(&mut cases, repository, &mut pools);
    if pools.is_empty() {
        return Sighting::unclear("no command here starts a program whose pool of workers is known");
    }
    pools.sort();
    pools.dedup();
    if cases.is_broken() {
        return cases.sighting("");
    }
    cases.plan_more(1);
    match measurement(repository, &["worker", "thread", "concurren", "process"], &["req", "rps", "throughput", "p95", "latency", "jobs/s", "ms"]) {
        Some(place) => cases.tried(true, format!("{place} records a sweep")),
        None => cases.told_nothing("sizes are written down; no measurement of at least three sizes is on file, and only a load sweep tells whether they are good"),
    }
    cases.sighting(format!("{} pools ({}) have explicit sizes, and a sweep is on file", pools.len(), pools.join(", ")))
}

fn is_explicit(repository: &Repository, runs: &Runs, run: &Run, pool: &Pool) -> Option<String> {
    if pool.explicit.0.is_match(&run.text) {
        return Some(run.place.clone());
    }
    let named = |name: &str| pool.variables.iter().any(|own| own == name);
    for recipe in &runs.recipes {
        let set = recipe.file.instructions(recipe.shipped).filter(|one| one.keyword == "ENV");
        if let Some(one) =
            set.filter(|one| one.pairs().iter().any(|(name, value)| named(name) && !value.is_empty())).last()
        {
            return Some(recipe.place(one.line));
        }
    }
    for service in runs.compositions.iter().flat_map(|one| one.services.values()) {
        if service.environment().iter().any(|(name, value)| named(name) && !value.is_empty()) {
            return Some(service.place.clone());
        }
    }
    for container in runs.cluster.containers(repository) {
        let variables = container.value["env"].as_array().into_iter().flatten();
        if variables.filter_map(|one| one["name"].as_str()).any(named) {
            return Some(container.place);
        }
    }
    let setting = pool.setting.as_ref()?;
    let fits = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        pool.files.iter().any(|file| file.strip_prefix('*').map_or(*file == name, |ending| name.ends_with(ending)))
    };
    repository.files().filter(|path| fits(path) && !seaworthy_repository::is_test(path)).find_map(|path| {
        // A comment is no setting: sources have none, other files are read by line.
        let text = match repository.sources().get(path) {
            Some(source) => source.code.clone(),
            None => repository
                .text(path)?
                .lines()
                .map(|line| if line.trim_start().starts_with(['#', ';']) { "" } else { line })
                .collect::<Vec<_>>()
                .join("\n"),
        };
        let found = setting.0.find(&text)?;
        let line =
            1 + text[..found.start()].matches('\n').count() + usize::from(text[found.start()..].starts_with('\n'));
        Some(format!("{}:{line}", path.display()))
    })
}

/// Pools that JavaScript makes in its own code.
fn of_javascript(cases: &mut Cases, repository: &Repository, pools: &mut Vec<String>) {
    let queue = repository.depends_on("javascript", &["bullmq", "bull"]);
    for (path, source) in repository.sources() {
        if is_for_development(path) {
            continue;
        }
        if source.code.contains("cluster")
            && CLUSTER.is_match(&source.code)
            && source.matches(&CLUSTER).next().is_some()
        {
            cases.plan_more(1);
            let explicit = ["WEB_CONCURRENCY", "WORKERS", "availableParallelism", "cpus()"]
                .iter()
                .any(|word| source.code.contains(word));
            cases.tried(
                explicit,
                format!(
                    "{}: the number of forked processes is {}",
                    path.display(),
                    if explicit { "set" } else { "not set" }
                ),
            );
            pools.push("cluster".into());
        }
        if !queue || !source.code.contains("bull") {
            continue;
        }
        for found in source.matches(&QUEUE) {
            let start = found.get(0).map_or(0, |whole| whole.start());
            let call = call_at(&source.code[start..]);
            cases.plan_more(1);
            let explicit = call.contains("concurrency");
            let place = format!("{}:{}", path.display(), source.line(start));
            if explicit || !call.ends_with(')') {
                cases.tried(true, format!("{place}: concurrency is set"));
            } else if call.matches(',').count() >= 2
                && call.trim_end_matches(')').trim_end().ends_with(|letter: char| letter.is_alphanumeric())
            {
                cases.told_nothing(format!("{place}: the worker's options are made elsewhere"));
            } else {
                cases.tried(false, format!("{place}: a BullMQ worker without concurrency does one job at a time"));
            }
            pools.push("bullmq".into());
        }
    }
}

/// A call up to its closing bracket.
fn call_at(code: &str) -> &str {
    let mut depth = 0_usize;
    for (index, letter) in code.char_indices().take(20_000) {
        match letter {
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return &code[..=index];
                }
            }
            _ => {}
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::tests::{broken, outcome};
    use seaworthy_repository::Outcome;

    fn with(files: &[(&str, &str)]) -> Outcome {
        outcome(&WorkerPool, &Sample::of(files))
    }

    #[test]
    fn where_a_size_may_be_written() {
        let unclear = |files: &[(&str, &str)]| matches!(with(files), Outcome::Unclear(_));
        let file = "FROM a:1\nCMD gunicorn a:b\n";
        assert!(unclear(&[("Dockerfile", "FROM a:1\nENV WEB_CONCURRENCY=4\nCMD exec gunicorn a:b\n")]));
        assert!(unclear(&[("Dockerfile", file), ("gunicorn.conf.py", "workers = 4\n")]));
        assert!(broken(&with(&[("Dockerfile", file), ("gunicorn.conf.py", "# workers = 4\n")]), "default"));
        assert!(broken(&with(&[("Procfile", "web: gunicorn a:b -w 4\nworker: celery -A a worker\n")]), "Celery"));
        assert!(unclear(&[("Procfile", "worker: celery -A a worker -c 8\n")]));
        assert!(unclear(&[
            ("Procfile", "worker: celery -A a worker\n"),
            ("celery_app.py", "app.conf.worker_concurrency = 4\n")
        ]));
        assert!(broken(
            &with(&[
                ("package.json", "{\"dependencies\": {\"bullmq\": \"5\"}}"),
                ("w.js", "const {Worker} = require('bullmq');\nnew Worker('q', async job => {});\n")
            ]),
            "w.js:2"
        ));
        assert!(unclear(&[
            ("package.json", "{\"dependencies\": {\"bullmq\": \"5\"}}"),
            ("w.js", "import {Worker} from 'bullmq';\nnew Worker('q', f, { concurrency: 5 });\n")
        ]));
    }
}
