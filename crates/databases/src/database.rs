//! `data.database`: a supported database that outlives the process and the release.

use seaworthy_containers::{
    Image, Purpose, Runs, Service,
    engines::{Engine, Engines, Kind},
};
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use super::stores::{self, Of};

pub(super) struct Database;

impl Inspection for Database {
    fn control(&self) -> &'static str {
        "data.database"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let compose = "services:\n  web:\n    build: .\n    environment: {DATABASE_URL: \"postgres://app:${DB_PASSWORD}@db/app\"}\n  \
                       db:\n    image: postgres:18\n    volumes: [\"data:/var/lib/postgresql\"]\nvolumes:\n  data:\n";
        Sample::of(&[
            ("compose.yml", compose),
            ("Dockerfile", "FROM a:1\n"),
            ("requirements.txt", "psycopg\n"),
            ("app.py", "x = 1\n"),
        ])
    }

    fn absent(&self) -> Sample {
        let app = "from sqlalchemy import create_engine\nengine = create_engine(\"sqlite:///./app.db\")\n";
        Sample::of(&[
            ("app.py", app),
            ("requirements.txt", "sqlalchemy\n"),
            ("Dockerfile", "FROM python:3.13-slim\nCOPY . .\nCMD [\"python\", \"app.py\"]\n"),
        ])
    }
}

fn look(repository: &Repository) -> Sighting {
    let runs = Runs::read(repository);
    let signs = stores::signs(repository, &runs);
    if signs.is_empty() {
        return stores::without(repository);
    }
    let mut cases = Cases::plan(0);
    cases.note(format!("signs of a database: {}", signs.join(", ")));
    let services: Vec<_> = stores::services(&runs).into_iter().filter(|(_, _, engine)| engine.is_database()).collect();
    let addresses = stores::addresses(repository, &runs);
    let server_driver = Engines::built_in()
        .of_drivers(repository)
        .any(|engine| matches!(engine.kind, Kind::Relational | Kind::Document));
    let mut used = 0;
    for (_, service, engine) in &services {
        cases.plan_more(2);
        keeps_its_data(&mut cases, service, &engine.data);
        is_supported(&mut cases, service, engine, &stores::image(&runs, service).unwrap_or_default());
        used += 1;
    }
    for address in addresses.iter().filter(|one| one.engine.kind == Kind::File && one.of != Of::Code) {
        cases.plan_more(1);
        cases.tried(in_a_volume(&runs, &address.text), format!("{}: SQLite in a file of the container", address.place));
        used += 1;
    }
    file_in_code(&mut cases, repository, &runs, &addresses, server_driver, !services.is_empty());
    if cases.is_broken() {
        return cases.sighting("");
    }
    if used == 0 {
        let named: Vec<String> = signs.iter().take(4).cloned().collect();
        return Sighting::unclear(format!(
            "the code works with {}; which server production has, and its version, is not in the repository",
            named.join(", ")
        ));
    }
    let connected = addresses.iter().any(|one| one.of != Of::Code && one.engine.is_database()) || server_driver;
    cases.plan_more(1);
    match connected {
        true => cases.tried(true, "the app is connected to it"),
        false => cases.told_nothing("nothing shows that the app uses the database of the compose file"),
    }
    if services.iter().all(|(purpose, _, _)| *purpose != Purpose::Production)
        && has_another_production(repository, &runs)
    {
        cases.told_nothing("production is described elsewhere (a cluster or platform), and its database is not");
    }
    cases.sighting(format!(
        "{used} databases ({}), with data that outlives the container and in a supported version",
        signs.join(", ")
    ))
}

fn is_supported(cases: &mut Cases, service: &Service, engine: &Engine, image: &str) {
    let (place, name) = (&service.place, &engine.name);
    let Some(version) = Image::read(image).version() else {
        return cases.told_nothing(format!("{place}: the image of {name} names no version"));
    };
    match engine.supports(&version) {
        Some(true) => cases.tried(true, format!("{place}: {name} {version} is supported")),
        Some(false) => cases.tried(false, format!("{place}: {name} {version} is no longer supported")),
        None => cases.told_nothing(format!("{place}: until when {name} {version} is supported is not known here")),
    }
}

fn has_another_production(repository: &Repository, runs: &Runs) -> bool {
    let platform = ["fly.toml", "render.yaml", "Procfile", "app.yaml", "railway.json"];
    repository.root_file(&platform).is_some()
        || !runs.cluster.objects.is_empty()
        || runs.compositions.iter().any(|one| one.purpose == Purpose::Production)
}

fn keeps_its_data(cases: &mut Cases, service: &Service, folders: &[String]) {
    let mounts = service.mounts();
    let holds = |target: &str| {
        folders.iter().any(|folder| {
            target.starts_with(folder.as_str()) || folder.starts_with(&format!("{}/", target.trim_end_matches('/')))
        })
    };
    let mount = mounts.iter().find(|mount| holds(&mount.target) && mount.source.is_some() && !mount.memory);
    let memory = mounts.iter().any(|mount| mount.memory && holds(&mount.target));
    let moved = service.environment().iter().any(|(name, _)| name == "PGDATA");
    match mount {
        Some(mount) => cases.tried(
            !memory,
            format!("{}: {} is kept in {}", service.place, mount.target, mount.source.as_deref().unwrap_or_default()),
        ),
        None if moved && mounts.iter().any(|mount| mount.source.is_some()) => {
            cases.told_nothing(format!("{}: PGDATA may be in one of its volumes", service.place))
        }
        None => {
            cases.tried(false, format!("{}: service {} has no named volume for its data", service.place, service.name))
        }
    }
}

/// Whether a file's folder is on a volume of some container.
fn in_a_volume(runs: &Runs, address: &str) -> bool {
    let path = address.split_once("://").map_or(address, |(_, rest)| rest.trim_start_matches('/'));
    let kept = runs.compositions.iter().flat_map(|one| one.services.values()).flat_map(Service::mounts);
    let mut kept = kept.filter(|mount| mount.source.is_some() && !mount.memory);
    kept.any(|mount| {
        let target = mount.target.trim_matches('/');
        !target.is_empty()
            && (path.starts_with(target) || path.contains(&format!("{}/", target.rsplit('/').next().unwrap_or(target))))
    })
}

/// SQLite, or nothing but memory, named by the code itself.
fn file_in_code(
    cases: &mut Cases,
    repository: &Repository,
    runs: &Runs,
    addresses: &[stores::Address],
    server: bool,
    service: bool,
) {
    let django = stores::django_engines(repository);
    let in_code: Vec<(String, &str)> = addresses
        .iter()
        .filter(|one| one.engine.kind == Kind::File && one.of == Of::Code && !one.text.contains(":memory:"))
        .map(|one| (one.place.clone(), "SQLite"))
        .chain(django.iter().filter(|(_, engine)| engine == "sqlite3").map(|(place, _)| (place.clone(), "SQLite")))
        .collect();
    let others = server
        || service
        || addresses.iter().any(|one| matches!(one.engine.kind, Kind::Relational | Kind::Document))
        || django.iter().any(|(_, engine)| engine != "sqlite3");
    let Some((place, name)) = in_code.first() else { return };
    if others {
        return cases.note(format!("{place}: {name} too, beside a server; it may be a default for development"));
    }
    cases.plan_more(1);
    let volumes = runs
        .compositions
        .iter()
        .flat_map(|one| one.services.values())
        .flat_map(Service::mounts)
        .any(|mount| mount.source.is_some());
    let volumes = volumes
        || runs.recipes.iter().any(|recipe| recipe.file.last(recipe.shipped, "VOLUME").is_some())
        || repository.text("fly.toml").is_some_and(|text| text.contains("[mounts]") || text.contains("[[mounts]]"));
    if runs.recipes.is_empty() && runs.compositions.is_empty() {
        cases.told_nothing(format!(
            "{place}: {name} in a file, and nothing else; whether that file outlives a release is not seen"
        ));
    } else if volumes {
        cases.told_nothing(format!("{place}: {name} in a file, which may be on one of the volumes"));
    } else {
        cases.tried(false, format!("{place}: {name} in a file of the container, and no volume keeps it"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{broken, outcome};
    use seaworthy_repository::Outcome;

    #[test]
    fn volumes_versions_and_files() {
        let with = |db: &str| {
            let compose = format!(
                "services:\n  web: {{build: ., environment: {{DATABASE_URL: 'postgres://a@db/a'}}}}\n  db: {{{db}}}\nvolumes: {{v: {{}}}}\n"
            );
            outcome(
                &Database,
                &Sample::of(&[("compose.yml", &compose), ("Dockerfile", "FROM a:1\n"), ("a.py", "x = 1\n")]),
            )
        };
        assert_eq!(with("image: 'postgres:18', volumes: ['v:/var/lib/postgresql']"), Outcome::Holds);
        assert!(broken(&with("image: 'postgres:18'"), "volume"));
        assert!(broken(&with("image: 'postgres:18', tmpfs: /var/lib/postgresql/data"), "volume"));
        assert!(broken(&with("image: 'postgres:18', volumes: ['v:/backups']"), "volume"));
        assert!(broken(&with("image: 'postgres:12', volumes: ['v:/var/lib/postgresql/data']"), "supported"));
        assert!(matches!(with("image: postgres, volumes: ['v:/var/lib/postgresql/data']"), Outcome::Unclear(_)));
        let sqlite = outcome(
            &Database,
            &Sample::of(&[("a.py", "E = create_engine('sqlite:////data/a.db')\n"), ("requirements.txt", "sqlalchemy")]),
        );
        assert!(matches!(sqlite, Outcome::Unclear(_)), "{sqlite:?}");
    }
}
