//! Where the app keeps its data: addresses in configuration and code, services, drivers.

use std::{path::Path, sync::LazyLock};

use regex::Regex;
use seaworthy_containers::{
    Purpose, Runs, Service,
    engines::{Engine, Engines},
};
use seaworthy_repository::{Repository, is_for_development};

/// An address of a store.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// File and line.
    pub place: String,
    /// As it is written, defaults of variables put in.
    pub text: String,
    /// What it leads to.
    pub engine: &'static Engine,
    /// How sure it is that production uses it.
    pub of: Of,
}

/// What an address is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// Configuration of production.
    Production,
    /// Configuration that may be production's.
    Plain,
    /// Code: mostly the default of a variable.
    Code,
}

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\b(?P<scheme>[a-z][a-z0-9]{2,14}(?:\+[a-z0-9]+)?)://[^\s"'`<>]*"#).expect("the pattern is valid")
});

/// Every address of a store; tests, examples and documents left out.
pub(crate) fn addresses(repository: &Repository, runs: &Runs) -> Vec<Address> {
    let mut found = Vec::new();
    for composition in runs.compositions.iter().filter(|one| one.purpose != Purpose::Development) {
        let of = if composition.purpose == Purpose::Production { Of::Production } else { Of::Plain };
        for service in composition.services.values() {
            for (_, value) in service.environment() {
                found.extend(read(&value, &service.place, of));
            }
        }
    }
    for container in runs.cluster.containers(repository) {
        for variable in container.value["env"].as_array().into_iter().flatten() {
            found.extend(variable["value"].as_str().and_then(|value| read(value, &container.place, Of::Production)));
        }
    }
    for recipe in &runs.recipes {
        for one in recipe.file.instructions(recipe.shipped).filter(|one| one.keyword == "ENV") {
            found.extend(
                one.pairs().iter().filter_map(|(_, value)| read(value, &recipe.place(one.line), Of::Production)),
            );
        }
    }
    for (path, source) in repository.sources() {
        if is_beside_the_app(path) {
            continue;
        }
        for matched in ADDRESS.find_iter(&source.code).filter(|matched| {
            // It begins the text: one further in is described, not used.
            let before = matched.start().checked_sub(1);
            source.is_text(matched.start()) && before.is_some_and(|before| !source.is_text(before))
        }) {
            found.extend(read(
                matched.as_str(),
                &format!("{}:{}", path.display(), source.line(matched.start())),
                Of::Code,
            ));
        }
    }
    found
}

fn read(value: &str, place: &str, of: Of) -> Option<Address> {
    let matched = ADDRESS.captures(value)?;
    let engine = Engines::built_in().of_scheme(&matched["scheme"])?;
    Some(Address { place: place.to_owned(), text: matched[0].to_owned(), engine, of })
}

/// Scripts, examples and documents of a project are not what production runs.
pub(crate) fn is_beside_the_app(path: &Path) -> bool {
    let words = [
        "example",
        "examples",
        "docs",
        "doc",
        "scripts",
        "samples",
        "demo",
        "benchmarks",
        "tools",
        "contrib",
        "testing",
        "seeds",
        "stories",
        "docs_src",
        "t",
        "integration",
        "dummy_generator",
    ];
    path.components()
        .filter_map(|part| part.as_os_str().to_str())
        .any(|part| words.contains(&part.to_lowercase().as_str()))
}

/// Services of compose files that are stores, with their engine and image; those for development left out.
pub(crate) fn services(runs: &Runs) -> Vec<(Purpose, &Service, &'static Engine)> {
    let compositions = runs.compositions.iter().filter(|one| one.purpose != Purpose::Development);
    let all = compositions.flat_map(|one| one.services.values().map(move |service| (one, service)));
    let found = all.filter_map(|(composition, service)| {
        let name = format!("{}/{}", composition.name(), service.name);
        let image = image_of(runs, &name, service)?;
        Some((composition.purpose, service, Engines::built_in().of_image(&image)?))
    });
    found.collect()
}

/// The image of a service; of one that is built, the image below it.
fn image_of(runs: &Runs, name: &str, service: &Service) -> Option<String> {
    let recipe = runs.recipes.iter().find(|recipe| recipe.services.iter().any(|own| own == name));
    let built = recipe.map(|recipe| recipe.file.chain(recipe.shipped).1.to_owned());
    built.or_else(|| service.image())
}

/// The image of a service of any composition.
pub(crate) fn image(runs: &Runs, service: &Service) -> Option<String> {
    let composition = runs
        .compositions
        .iter()
        .find(|one| one.services.get(&service.name).is_some_and(|own| own.place == service.place))?;
    image_of(runs, &format!("{}/{}", composition.name(), service.name), service)
}

/// Whether any sign of a database is there: a driver, a mapper, an address, a service.
pub(crate) fn signs(repository: &Repository, runs: &Runs) -> Vec<String> {
    let mut found: Vec<String> = Engines::built_in()
        .of_drivers(repository)
        .filter(|one| one.is_database())
        .map(|one| one.name.clone())
        .collect();
    found.extend(
        Engines::built_in().mappers(repository).filter(|one| one.name != "Django ORM").map(|one| one.name.clone()),
    );
    found.extend(
        services(runs).iter().filter(|(_, _, engine)| engine.is_database()).map(|(_, _, engine)| engine.name.clone()),
    );
    found.extend(
        addresses(repository, runs).iter().filter(|one| one.engine.is_database()).map(|one| one.engine.name.clone()),
    );
    found.extend(django_engines(repository).iter().map(|(_, engine)| format!("Django with {engine}")));
    if repository.files().any(|path| path.file_name().is_some_and(|name| name == "schema.prisma")) {
        found.push("Prisma".into());
    }
    found.sort();
    found.dedup();
    found
}

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static DJANGO: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"["']ENGINE["']\s*[:,]\s*(?:\w+[\w.(]*\(\s*["']\w+["']\s*,\s*(?:default\s*=\s*)?)?["'](?P<engine>[\w.]+)["']"#).expect("the pattern is valid")
});

/// Engines that Django's settings name: place, and the last word of the engine.
pub(crate) fn django_engines(repository: &Repository) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (path, source) in repository.sources() {
        if !source.code.contains("DATABASES") || is_for_development(path) {
            continue;
        }
        for matched in DJANGO.captures_iter(&source.code) {
            let engine = &matched["engine"];
            let line = source.line(matched.get(0).map_or(0, |whole| whole.start()));
            let is_database = [
                "sqlite3",
                "postgresql",
                "mysql",
                "oracle",
                "postgis",
                "mssql",
                "postgresql_psycopg2",
                "postgresql_backend",
            ];
            if let Some(last) = engine.rsplit('.').next().filter(|last| is_database.contains(last)) {
                found.push((format!("{}:{line}", path.display()), last.to_owned()));
            }
        }
    }
    found
}

/// The answer where no database is seen at all.
pub(crate) fn without(repository: &Repository) -> seaworthy_repository::Sighting {
    use seaworthy_repository::Sighting;
    match repository.not_whole() {
        Some(why) => Sighting::unclear(why),
        None if repository.sources().is_empty() => Sighting::unclear("there is no source here"),
        None => Sighting::unclear("no database is seen here: no driver, mapper, address or service of one"),
    }
}

/// A service whose image has one of these names in it.
pub(crate) fn services_named(runs: &Runs, names: &[&str]) -> Option<String> {
    let services = runs.compositions.iter().flat_map(|one| one.services.values());
    let mut services =
        services.filter(|service| service.image().is_some_and(|image| names.iter().any(|name| image.contains(name))));
    services.next().map(|service| format!("{} ({})", service.place, service.name))
}

/// Whether a database server (no file) is seen.
pub(crate) fn uses_a_server(repository: &Repository, runs: &Runs) -> bool {
    use seaworthy_containers::engines::Kind;
    let is_server = |kind: Kind| matches!(kind, Kind::Relational | Kind::Document);
    Engines::built_in().of_drivers(repository).any(|engine| is_server(engine.kind))
        || services(runs).iter().any(|(_, _, engine)| is_server(engine.kind))
        || addresses(repository, runs).iter().any(|address| is_server(address.engine.kind))
        || django_engines(repository).iter().any(|(_, engine)| engine != "sqlite3")
}
