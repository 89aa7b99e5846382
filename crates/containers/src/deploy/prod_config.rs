//! `deploy.prod-config`: containers run the production command, with limits and a restart policy, and without mounted
//! source, open databases or rights they do not need.

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use super::servers::Servers;
use crate::{
    container::{Composition, Purpose, Service},
    engines::Engines,
    runs::{Run, Runs, When},
};

pub(super) struct ProdConfig;

impl Inspection for ProdConfig {
    fn control(&self) -> &'static str {
        "deploy.prod-config"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let development =
            "services:\n  web:\n    build: .\n    command: uvicorn app:app --reload\n    volumes: [\".:/app\"]\n";
        let production = "services:\n  web:\n    image: registry.example.com/app:1.2.3\n    command: uvicorn app:app --host 0.0.0.0\n    restart: unless-stopped\n    \
                          deploy:\n      resources:\n        limits: {memory: 512M, cpus: \"1.0\"}\n";
        Sample::of(&[
            ("docker-compose.yml", development),
            ("docker-compose.prod.yml", production),
            ("Dockerfile", "FROM python:3.13-slim\nCMD [\"uvicorn\", \"app:app\"]\n"),
            ("app.py", "x"),
        ])
    }

    fn absent(&self) -> Sample {
        let compose = "services:\n  web:\n    build: .\n    command: uvicorn app:app --reload\n    volumes: [\".:/app\"]\n  \
                       db:\n    image: postgres:18\n    ports: [\"5432:5432\"]\n";
        Sample::of(&[
            ("docker-compose.yml", compose),
            ("Dockerfile", "FROM python:3.13-slim\nCMD [\"uvicorn\", \"app:app\"]\n"),
            ("app.py", "x"),
        ])
    }
}

fn look(repository: &Repository) -> Sighting {
    let runs = Runs::read(repository);
    let mut cases = Cases::plan(0);
    let containers = runs.cluster.containers(repository);
    let lasting: Vec<_> = containers.iter().filter(|one| one.is_lasting()).collect();
    let production: Vec<&Composition> =
        runs.compositions.iter().filter(|one| one.purpose == Purpose::Production).collect();
    let plain: Vec<&Composition> = runs.compositions.iter().filter(|one| one.purpose == Purpose::Plain).collect();
    let platform = ["fly.toml", "render.yaml", "Procfile", "app.yaml", "railway.json", "railway.toml", "heroku.yml"];
    let platform = repository.root_file(&platform);
    let (judged, only_plain) = if production.is_empty() && lasting.is_empty() && platform.is_none() {
        (plain, true)
    } else {
        (production, false)
    };
    commands(&mut cases, &runs, &judged);
    for composition in &judged {
        cases.note(format!("judged as production: {}", composition.name()));
        for service in composition.services.values() {
            of_service(&mut cases, composition, service);
        }
    }
    for container in &lasting {
        of_container(&mut cases, container);
    }
    let services: usize = judged.iter().map(|one| one.services.len()).sum();
    if let Some(problem) = judged.iter().flat_map(|one| &one.problems).next() {
        cases.told_nothing(problem.clone());
    } else if services == 0 && lasting.is_empty() && !judged.is_empty() {
        cases.told_nothing("the compose files hold no service");
    }
    if judged.is_empty() && lasting.is_empty() {
        match (platform, runs.recipes.is_empty()) {
            (Some(file), _) => {
                cases.told_nothing(format!("{} leaves limits and restarts to the platform", file.display()))
            }
            (None, false) => cases.told_nothing(
                "limits and restart policy are set outside the repository: no compose file or manifest is here",
            ),
            (None, true) => return without_anything(repository, cases),
        }
    }
    let sighting = cases.sighting(format!(
        "{} compose services and {} containers of a cluster: production command, limits, restarts, no mounted source",
        services,
        lasting.len()
    ));
    // One compose file that is none for production is the common mistake; its own problem names the place.
    match sighting.outcome {
        seaworthy_repository::Outcome::Broken(why) if only_plain => Sighting {
            outcome: seaworthy_repository::Outcome::Broken(format!(
                "{why}; there is no compose file or manifest for production"
            )),
            ..sighting
        },
        _ => sighting,
    }
}

fn without_anything(repository: &Repository, mut cases: Cases) -> Sighting {
    if let Some(why) = repository.not_whole() {
        return Sighting::unclear(why);
    }
    if cases.is_broken() {
        return cases.sighting("");
    }
    cases.told_nothing("nothing here says how containers are run: no Dockerfile, compose file or manifest");
    cases.sighting("")
}

/// Commands that production starts: images, clusters, platforms, and the compositions that are judged.
fn commands(cases: &mut Cases, runs: &Runs, judged: &[&Composition]) {
    let of_compositions: Vec<String> = runs.compositions.iter().map(Composition::name).collect();
    let judged: Vec<String> = judged.iter().map(|one| one.name()).collect();
    let counts = |run: &&Run| {
        let composition =
            run.of.rsplit_once('/').map(|(name, _)| name.to_owned()).filter(|name| of_compositions.contains(name));
        composition.is_none_or(|name| judged.contains(&name))
    };
    let started: Vec<&Run> = runs.at(&[When::Start]).filter(counts).collect();
    if started.is_empty() {
        return;
    }
    cases.plan_more(1);
    let development = started.iter().find_map(|run| Some((run, Servers::built_in().development(&run.text)?)));
    let seen = match development {
        Some((run, why)) => format!("{}: `{}` {why}", run.place, run.text.chars().take(60).collect::<String>()),
        None => format!("none of {} start commands is a development server", started.len()),
    };
    cases.tried(development.is_none(), seen);
}

fn of_service(cases: &mut Cases, composition: &Composition, service: &Service) {
    if service.is_a_step(&composition.services) {
        return;
    }
    cases.plan_more(1);
    let wrong = wrong_with(service);
    let seen = match &wrong {
        Some(reason) => format!("{}: service {} {reason}", service.place, service.name),
        None => format!("{} is set for production", service.name),
    };
    cases.tried(wrong.is_none(), seen);
}

fn wrong_with(service: &Service) -> Option<String> {
    let image = service.image().unwrap_or_default();
    let store = Engines::built_in().is_store(&image);
    let built = service.build().is_some();
    if service.value["privileged"] == true {
        return Some("is privileged".into());
    }
    for mount in service.mounts().iter().filter(|mount| mount.bind) {
        let source = mount.source.as_deref().unwrap_or_default();
        // A proxy or a monitor reads the socket by design; an app does not need it.
        if source.ends_with("docker.sock") && built {
            return Some("mounts the engine's socket".into());
        }
        let context = service.build().and_then(|build| build.context);
        let here = crate::container::below(&service.folder, source);
        let is_source =
            built && (source == "." || source == "./" || here.is_some() && here == context || is_code(source));
        if is_source {
            return Some(format!("mounts its source ({source}:{})", mount.target));
        }
    }
    if store {
        let open = service.published().into_iter().find(|(address, _)| {
            address.as_deref().is_none_or(|address| {
                !address.starts_with("127.") && address != "localhost" && address != "::1" && address != "[::1]"
            })
        });
        if let Some((_, port)) = open {
            return Some(format!("publishes the port {port} of a store on every address"));
        }
    }
    if service.restart().is_none() {
        return Some("has no restart policy".into());
    }
    match service.limits() {
        (false, false) => Some("has no limit of memory or processor".into()),
        (false, true) => Some("has no limit of memory".into()),
        (true, false) => Some("has no limit of processor time".into()),
        (true, true) => None,
    }
}

/// A folder that holds code by its name.
fn is_code(source: &str) -> bool {
    let last = source.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    source.starts_with('.') && ["src", "app", "backend", "frontend", "api", "server", "lib", "web"].contains(&last)
}

fn of_container(cases: &mut Cases, container: &crate::container::Container<'_>) {
    cases.plan_more(1);
    let value = container.value;
    let limits = &value["resources"]["limits"];
    let processor = !limits["cpu"].is_null() || !value["resources"]["requests"]["cpu"].is_null();
    let socket = container.pod["volumes"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|volume| volume["hostPath"]["path"].as_str().is_some_and(|path| path.ends_with("docker.sock")));
    let wrong = match () {
        () if value["securityContext"]["privileged"] == true => Some("is privileged"),
        () if socket => Some("mounts the engine's socket"),
        () if limits["memory"].is_null() => Some("has no limit of memory"),
        () if !processor => Some("has neither limit nor request of processor time"),
        () => None,
    };
    let seen =
        format!("{}: container {} {}", container.place, container.name(), wrong.unwrap_or("is set for production"));
    cases.tried(wrong.is_none(), seen);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::tests::{broken, holds, outcome};
    use seaworthy_repository::Outcome;

    const GOOD: &str = "restart: always, mem_limit: 1g, cpus: 1";

    fn with(service: &str) -> Outcome {
        let compose = format!("services:\n  web: {{{service}}}\n");
        outcome(
            &ProdConfig,
            &Sample::of(&[
                ("compose.yml", &compose),
                ("Dockerfile", "FROM a:1\nCMD [\"node\", \"a.js\"]\n"),
                ("a.js", "x"),
            ]),
        )
    }

    #[test]
    fn each_wrong_setting_alone_is_enough() {
        assert!(holds(&with(&format!("build: ., {GOOD}"))));
        for (service, word) in [
            (format!("build: ., command: npx nodemon a.js, {GOOD}"), "reloads"),
            (format!("build: ., privileged: true, {GOOD}"), "privileged"),
            (format!("build: ., volumes: ['./:/app'], {GOOD}"), "source"),
            (format!("build: ., volumes: ['/var/run/docker.sock:/x'], {GOOD}"), "socket"),
            (format!("image: 'postgres:18', ports: ['5432:5432'], {GOOD}"), "publishes"),
            ("build: ., mem_limit: 1g, cpus: 1".into(), "restart"),
            ("build: ., restart: 'no', mem_limit: 1g, cpus: 1".into(), "restart"),
            ("build: ., restart: always, cpus: 1".into(), "memory"),
        ] {
            let outcome = with(&service);
            assert!(broken(&outcome, word), "{service}: {outcome:?}");
        }
        assert!(holds(&with(&format!("image: 'postgres:18', ports: ['127.0.0.1:5432:5432'], {GOOD}"))));
    }

    #[test]
    fn files_without_a_service_prove_nothing() {
        let dockerfile = ("Dockerfile", "FROM a:1\nCMD [\"node\", \"a.js\"]\n");
        for text in ["services: [1, 2]\n", "services: {}\n", "a: [\n"] {
            let seen = outcome(&ProdConfig, &Sample::of(&[dockerfile, ("compose.prod.yml", text), ("a.js", "x")]));
            assert!(matches!(seen, Outcome::Unclear(_)), "{text}: {seen:?}");
        }
    }

    #[test]
    fn a_script_of_the_image_is_followed_and_a_cluster_is_read() {
        let dockerfile = "FROM node:22\nCMD [\"npm\", \"start\"]\n";
        let sample =
            Sample::of(&[("Dockerfile", dockerfile), ("package.json", "{\"scripts\": {\"start\": \"next dev\"}}")]);
        assert!(broken(&outcome(&ProdConfig, &sample), "development"));
        let sample = sample.with(&[("package.json", "{\"scripts\": {\"start\": \"next start\"}}")]);
        assert!(matches!(outcome(&ProdConfig, &sample), Outcome::Unclear(_)));
        let manifest = |limits: &str| {
            format!(
                "apiVersion: apps/v1\nkind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - name: web\n          image: a:1\n          resources: {{{limits}}}\n"
            )
        };
        let with = |limits: &str| outcome(&ProdConfig, &sample.clone().with(&[("k8s/web.yaml", &manifest(limits))]));
        assert!(holds(&with("limits: {memory: 1Gi}, requests: {cpu: 100m}")));
        assert!(broken(&with("requests: {cpu: 100m}"), "memory"));
    }
}
