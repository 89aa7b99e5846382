//! `deploy.compose`: one command starts every service of the system, and each can become healthy.

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use crate::{
    container::{Composition, Purpose, Recipe, Service},
    engines::Engines,
};

pub(super) struct Compose;

impl Inspection for Compose {
    fn control(&self) -> &'static str {
        "deploy.compose"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let compose = "services:\n  web:\n    build: .\n    environment:\n      DATABASE_URL: postgres://app:${DB_PASSWORD}@db:5432/app\n    \
                       depends_on:\n      db: {condition: service_healthy}\n    healthcheck:\n      test: [CMD, curl, -f, http://localhost:8000/health]\n  \
                       db:\n    image: postgres:18\n    volumes: [\"data:/var/lib/postgresql\"]\n    healthcheck:\n      test: [CMD-SHELL, pg_isready]\n\
                       volumes:\n  data:\n";
        Sample::of(&[
            ("compose.yml", compose),
            ("Dockerfile", "FROM python:3.13-slim\nCMD [\"python\"]\n"),
            ("app.py", "x"),
        ])
    }

    fn absent(&self) -> Sample {
        // The web waits for a service of another name, and nothing has a health check.
        let compose = "services:\n  web:\n    build: .\n    depends_on: [db]\n    environment:\n      - DATABASE_URL=postgres://app@database/app\n  \
                       db:\n    image: postgres:18\n";
        Sample::of(&[("docker-compose.yml", compose), ("Dockerfile", "FROM python:3.13-slim\n"), ("app.py", "x")])
    }
}

fn look(repository: &Repository) -> Sighting {
    let compositions = Composition::all(repository);
    let Some(composition) = main_composition(&compositions) else {
        if let Some(why) = repository.not_whole() {
            return Sighting::unclear(why);
        }
        let mut cases = Cases::plan(1);
        cases.tried(false, format!("no compose file among {} files", repository.files().count()));
        return cases.sighting("");
    };
    let name = composition.name();
    let mut cases = Cases::plan(1);
    cases.note(format!("{name}: services {}", composition.services.keys().cloned().collect::<Vec<_>>().join(", ")));
    cases.tried(
        composition.problems.is_empty(),
        composition.problems.first().cloned().unwrap_or_else(|| format!("{name} parses")),
    );
    if !composition.problems.is_empty() {
        return cases.sighting("");
    }
    for service in composition.services.values() {
        cases.plan_more(1);
        match wrong_with(repository, composition, service) {
            Some(Wrong::Surely(reason)) => {
                cases.tried(false, format!("{}: service {} {reason}", service.place, service.name))
            }
            Some(Wrong::Perhaps(reason)) => {
                cases.told_nothing(format!("{}: service {} {reason}", service.place, service.name))
            }
            None => cases.tried(true, format!("{} is whole", service.name)),
        }
    }
    health(&mut cases, repository, composition);
    has_the_app(&mut cases, repository, composition);
    let services = composition.services.len();
    cases.sighting(format!(
        "{name}: {services} services, each with an image or a build that is there, what it needs, and a health check"
    ))
}

/// The one that a plain command reads; else the one for production; else any.
fn main_composition(all: &[Composition]) -> Option<&Composition> {
    let depth = |one: &&Composition| one.files.first().map_or(0, |path| path.components().count());
    let both = all.iter().filter(|one| one.files.len() > 1 && one.name().contains("override")).min_by_key(depth);
    let of = |purpose| all.iter().filter(move |one| one.purpose == purpose).min_by_key(depth);
    both.or_else(|| of(Purpose::Plain)).or_else(|| of(Purpose::Production)).or_else(|| of(Purpose::Development))
}

enum Wrong {
    Surely(String),
    Perhaps(String),
}

fn wrong_with(repository: &Repository, composition: &Composition, service: &Service) -> Option<Wrong> {
    made(repository, service)
        .or_else(|| waits_for_nothing(composition, service))
        .or_else(|| undeclared(composition, service))
        .or_else(|| variables(repository, composition, service))
        .or_else(|| reaches_nobody(composition, service))
}

fn made(repository: &Repository, service: &Service) -> Option<Wrong> {
    let Some(build) = service.build() else {
        return service.image().is_none().then(|| Wrong::Surely("has neither image nor build".into()));
    };
    let Some(context) = &build.context else {
        return Some(Wrong::Perhaps("is built from outside the repository".into()));
    };
    if !context.as_os_str().is_empty() && !repository.has_folder(context) {
        return Some(Wrong::Surely(format!("is built from {}, which is not there", context.display())));
    }
    let named = repository.has(&build.dockerfile) || repository.has(build.dockerfile.with_file_name("Containerfile"));
    if !build.inline && !named {
        return Some(Wrong::Surely(format!("is built by {}, which is not there", build.dockerfile.display())));
    }
    None
}

fn waits_for_nothing(composition: &Composition, service: &Service) -> Option<Wrong> {
    for (name, condition) in service.depends_on() {
        let Some(other) = composition.services.get(&name) else {
            return Some(Wrong::Surely(format!("depends on {name}, which is not there")));
        };
        // An image that is not ours may bring its own check.
        let checked = other.has_health_check() || other.build().is_some();
        if condition.as_deref() == Some("service_healthy")
            && (other.health_check_is_off() || !checked && !brings_check(other))
        {
            return Some(Wrong::Perhaps(format!(
                "waits until {name} is healthy, which has no health check of its own"
            )));
        }
    }
    None
}

fn brings_check(service: &Service) -> bool {
    service.image().is_none_or(|image| Engines::built_in().of_image(&image).is_none())
}

fn undeclared(composition: &Composition, service: &Service) -> Option<Wrong> {
    let names = |section: &str| composition.declared.get(section).cloned().unwrap_or_default();
    for mount in service.mounts().iter().filter(|mount| !mount.bind && !mount.memory) {
        let Some(source) = mount.source.as_deref().filter(|source| !source.contains('$')) else { continue };
        if !names("volumes").iter().any(|own| own == source) {
            return Some(Wrong::Surely(format!("uses the volume {source}, which is not declared")));
        }
    }
    for section in ["networks", "secrets", "configs"] {
        let own = &service.value[section];
        let listed =
            own.as_array().into_iter().flatten().filter_map(|one| one.as_str().or_else(|| one["source"].as_str()));
        let mapped = own.as_object().into_iter().flat_map(|own| own.keys().map(String::as_str));
        for name in listed.chain(mapped).filter(|name| *name != "default" && !name.contains('$')) {
            if !names(section).iter().any(|own| own == name) {
                return Some(Wrong::Surely(format!("uses {name} of {section}, which is not declared")));
            }
        }
    }
    None
}

/// A file of variables that a fresh checkout does not have, or a variable without which compose refuses to start.
fn variables(repository: &Repository, composition: &Composition, service: &Service) -> Option<Wrong> {
    for (file, needed) in service.variable_files() {
        let Some(path) = crate::container::below(&service.folder, &file).filter(|_| needed && !file.contains('$'))
        else {
            continue;
        };
        let in_checkout = repository.files().any(|own| own == path);
        if !in_checkout {
            let folder = path.parent().unwrap_or(std::path::Path::new("")).to_owned();
            let like = |own: &std::path::Path| {
                let name = own.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                own.parent() == Some(&folder)
                    && name.contains("env")
                    && ["example", "sample", "template", "dist", "default"].iter().any(|word| name.contains(word))
            };
            return Some(match repository.files().find(|own| like(own)) {
                Some(example) => {
                    Wrong::Perhaps(format!("needs {file}, which has to be made from {} first", example.display()))
                }
                None => Wrong::Surely(format!("needs {file}, which a fresh checkout does not have")),
            });
        }
    }
    let required = service.value.to_string().contains(":?");
    let given = repository.files().any(|own| own == service.folder.join(".env"));
    (required && !given).then(|| Wrong::Perhaps(format!("needs variables that {} does not give", composition.name())))
}

/// An address in a variable that names a host which is no service here.
fn reaches_nobody(composition: &Composition, service: &Service) -> Option<Wrong> {
    let network = service.value["network_mode"].as_str().unwrap_or_default();
    if network == "host" {
        return None;
    }
    let known = |host: &str| {
        composition.services.values().any(|other| {
            let aliases = other.value["networks"].to_string();
            other.name == host
                || ["container_name", "hostname"].iter().any(|key| other.value[*key] == host)
                || aliases.contains(&format!("\"{host}\""))
                || other.value["links"].to_string().contains(&format!(":{host}\""))
        }) || service.value["extra_hosts"].to_string().contains(host)
            || service.value["links"].to_string().contains(host)
            || service.value["external_links"].to_string().contains(host)
    };
    for (name, value) in service.environment() {
        let Some((scheme, rest)) = value.split_once("://") else { continue };
        if Engines::built_in().of_scheme(scheme).is_none() {
            continue;
        }
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
        if host.is_empty() || host.contains(['.', '$', '[']) || known(host) {
            continue;
        }
        let local = host == "localhost" && !network.starts_with("service:");
        return Some(if local || composition.declared.get("networks").is_none_or(Vec::is_empty) {
            Wrong::Surely(format!("has {name} with the host {host}, which is no service here"))
        } else {
            Wrong::Perhaps(format!("has {name} with the host {host}, which may be on another network"))
        });
    }
    None
}

fn health(cases: &mut Cases, repository: &Repository, composition: &Composition) {
    cases.plan_more(1);
    let recipes = Recipe::all(repository, std::slice::from_ref(composition));
    let by_image = |service: &Service| {
        let dockerfile = service.build().map(|build| build.dockerfile);
        let recipe = recipes.iter().find(|recipe| Some(&recipe.file.path) == dockerfile.as_ref());
        recipe
            .and_then(|recipe| recipe.file.last(recipe.shipped, "HEALTHCHECK"))
            .is_some_and(|check| check.words.first().is_some_and(|word| !word.eq_ignore_ascii_case("none")))
    };
    let lasting: Vec<&Service> =
        composition.services.values().filter(|service| !service.is_a_step(&composition.services)).collect();
    // Its check is switched off on purpose, and it is named after tests: it ends by itself.
    let is_test_runner = |service: &Service| {
        let build = service.build().map(|build| build.dockerfile.to_string_lossy().into_owned());
        let names = [Some(service.name.clone()), service.image(), build, service.line("command")];
        let word =
            |text: &str| text.split(|letter: char| !letter.is_alphanumeric()).any(|word| word.starts_with("test"));
        service.health_check_is_off() && names.iter().flatten().any(|text| word(&text.to_lowercase()))
    };
    let without: Vec<&Service> = lasting
        .iter()
        .copied()
        .filter(|service| !is_test_runner(service))
        .filter(|service| !service.has_health_check() && (service.health_check_is_off() || !by_image(service)))
        .collect();
    // Images of others may bring a check; those of stores do not.
    let (ours, others): (Vec<&Service>, Vec<&Service>) = without.iter().copied().partition(|service| {
        service.build().is_some() || service.image().is_some_and(|image| Engines::built_in().of_image(&image).is_some())
    });
    let names = |list: &[&Service]| list.iter().map(|service| service.name.clone()).collect::<Vec<_>>().join(", ");
    match (ours.first(), others.first()) {
        (Some(first), _) => cases.tried(
            false,
            format!(
                "{}: {} of {} services have no health check: {}",
                first.place,
                without.len(),
                lasting.len(),
                names(&without)
            ),
        ),
        (None, Some(first)) => cases.told_nothing(format!(
            "{}: no health check here for {}; the image may bring one",
            first.place,
            names(&others)
        )),
        (None, None) => cases.tried(true, format!("all {} lasting services have a health check", lasting.len())),
    }
}

fn has_the_app(cases: &mut Cases, repository: &Repository, composition: &Composition) {
    cases.plan_more(1);
    let built = composition.services.values().filter(|service| service.build().is_some()).count();
    let stores = composition
        .services
        .values()
        .filter(|service| service.image().is_some_and(|image| Engines::built_in().is_store(&image)))
        .count();
    match () {
        () if built > 0 => cases.tried(true, format!("{built} services are built here")),
        () if stores == composition.services.len() && !repository.sources().is_empty() => {
            cases.tried(false, format!("{} starts only stores: no service runs the app", composition.name()));
        }
        () => cases
            .told_nothing(format!("{} builds nothing: whether an image is this app's is not seen", composition.name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::tests::{broken, holds, outcome};
    use seaworthy_repository::Outcome;

    fn with(compose: &str) -> Outcome {
        let sample = Sample::of(&[
            ("Dockerfile", "FROM a:1\nHEALTHCHECK CMD x\nCMD x\n"),
            ("app.py", "x"),
            ("compose.yml", compose),
        ]);
        outcome(&Compose, &sample)
    }

    #[test]
    fn a_runner_of_tests_whose_check_is_off_on_purpose() {
        let with = |image: &str| {
            let text = format!(
                "services:\n  web:\n    build: .\n    healthcheck: {{test: [CMD, x]}}\n  runner:\n    image: {image}\n    build: .\n    healthcheck: {{disable: true}}\n"
            );
            crate::deploy::tests::outcome(
                &Compose,
                &Sample::of(&[("compose.yml", &text), ("Dockerfile", "FROM a:1\n"), ("app.py", "x")]),
            )
        };
        assert_eq!(with("js-testbed"), seaworthy_repository::Outcome::Holds);
        assert!(crate::deploy::tests::broken(&with("js-worker"), "no health check"));
    }

    #[test]
    fn what_keeps_it_from_coming_up() {
        assert!(holds(&with("services:\n  a:\n    build: .\n")));
        for (compose, word) in [
            ("services:\n  a: [\n", "cannot be read"),
            ("services:\n  a: {ports: [\"1:1\"]}\n", "neither"),
            ("services:\n  a: {build: ./no}\n", "not there"),
            ("services:\n  a: {build: {context: ., dockerfile: D}}\n", "D"),
            ("services:\n  a: {build: ., depends_on: [b]}\n", "depends on b"),
            ("services:\n  a: {build: ., volumes: [\"v:/x\"]}\n", "volume v"),
            ("services:\n  a: {build: ., networks: [back]}\n", "not declared"),
            ("services:\n  a: {build: ., env_file: .env}\n", ".env"),
            ("services:\n  a: {build: ., environment: [\"R=redis://localhost:6379\"]}\n", "localhost"),
            ("services:\n  a: {build: .}\n  db: {image: \"postgres:18\"}\n", "1 of 2"),
            ("services:\n  a: {build: ., healthcheck: {disable: true}}\n", "health"),
            ("services:\n  a: {extends: {file: no.yml, service: x}}\n", "no.yml"),
            ("services:\n  a: {extends: a}\n", "itself"),
        ] {
            let outcome = with(compose);
            assert!(broken(&outcome, word), "{compose}: {outcome:?}");
        }
        let only = with("services:\n  db: {image: \"postgres:18\", healthcheck: {test: [CMD, x]}}\n");
        assert!(broken(&only, "only stores"), "{only:?}");
    }

    #[test]
    fn anchors_overrides_steps_and_profiles() {
        let compose = "x-base: &base\n  build: .\nservices:\n  a:\n    <<: *base\n    depends_on:\n      m: {condition: service_completed_successfully}\n  \
                       m:\n    image: x:1\n  t: {image: \"t:1\", profiles: [tools]}\n";
        assert!(holds(&with(compose)), "{:?}", with(compose));
        let sample = Sample::of(&[
            ("Dockerfile", "FROM a:1\nHEALTHCHECK CMD x\nCMD x\n"),
            ("docker-compose.yml", "services:\n  a: {ports: [\"1:1\"]}\n"),
            ("docker-compose.override.yml", "services:\n  a: {build: .}\n"),
        ]);
        assert!(holds(&outcome(&Compose, &sample)));
        let sample = Sample::of(&[
            ("Dockerfile", "FROM a:1\nHEALTHCHECK CMD x\n"),
            (".env.example", ""),
            ("compose.yml", "services:\n  a: {build: ., env_file: .env}\n"),
        ]);
        assert!(matches!(outcome(&Compose, &sample), Outcome::Unclear(_)));
    }
}
