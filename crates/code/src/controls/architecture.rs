//! `ci.code-architecture`: imports go down the layers, and handlers do not touch the database.

use std::path::{Path, PathBuf};

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use crate::{
    code::Code,
    grammar::Language,
    habits::{habits_of, has_module, last},
    layers::{Edge, circles, edges},
    module::Module,
    resolve::Resolver,
    shipped::{folders, is_tool},
};

pub(crate) struct Architecture;

const CONTROL: &str = "ci.code-architecture";
/// Folders of handlers, and names that files have there. A function that looks like a handler is one of middleware, too.
const DOORS: &[&str] = &[
    "routers",
    "routes",
    "router",
    "controllers",
    "controller",
    "views",
    "handlers",
    "handler",
    "endpoints",
    "api",
    "resources",
    "web",
];
const DOOR_FILES: &[&str] =
    &["router", "routes", "controller", "controllers", "views", "handler", "handlers", "endpoints"];
/// Folders of services and of data access, and names that files have there: `orders.service.ts`.
const SERVICES: &[&str] =
    &["services", "service", "usecases", "use_cases", "use-cases", "interactors", "application", "domain"];
const SERVICE_FILES: &[&str] = &["service", "services", "usecase", "use_case"];
const STORES: &[&str] = &["repositories", "repository", "dal", "dao", "daos", "crud", "persistence"];
const STORE_FILES: &[&str] = &["repository", "repositories", "dao", "crud"];
/// So many files make a layer that nobody can mistake.
const PLAIN: usize = 2;
/// What a handler may name of a database: the type of what it hands on.
const ONLY_TYPES: &[&str] = &["Session", "AsyncSession", "Connection"];

impl Inspection for Architecture {
    fn control(&self) -> &'static str {
        CONTROL
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let route = |name: &str| {
            format!(
                "from fastapi import APIRouter, Depends\n\nfrom app.services.{name} import {name}\n\nrouter = APIRouter()\n\n\n@router.get(\"/{name}\")\ndef all_of(found=Depends({name})):\n    return found\n"
            )
        };
        let service =
            |name: &str| format!("from app.repositories.{name} import load\n\n\ndef {name}():\n    return load()\n");
        Sample::of(&[
            ("app/__init__.py", ""),
            ("app/routers/__init__.py", ""),
            ("app/routers/orders.py", &route("orders")),
            ("app/routers/users.py", &route("users")),
            ("app/services/__init__.py", ""),
            ("app/services/orders.py", &service("orders")),
            ("app/services/users.py", &service("users")),
            ("app/repositories/__init__.py", ""),
            ("app/repositories/orders.py", "from sqlalchemy import select\n\n\ndef load():\n    return select()\n"),
            ("app/repositories/users.py", "from sqlalchemy import select\n\n\ndef load():\n    return select()\n"),
        ])
    }

    fn absent(&self) -> Sample {
        self.present().with(&[("app/routers/users.py", "from fastapi import APIRouter\nfrom sqlalchemy import select\n\nrouter = APIRouter()\n\n\n@router.get(\"/users\")\ndef users(db):\n    return db.execute(select())\n")])
    }
}

fn look(repository: &Repository) -> Sighting {
    let code = Code::of(repository);
    if code.own().next().is_none() {
        return Sighting::not_applicable("there is no source of a language that is read as a tree");
    }
    let resolver = Resolver::new(&code, repository);
    let edges = edges(&code, &resolver);
    let circles = circles(&code, &edges);
    let mut cases = Cases::plan(0);
    circles
        .iter()
        .take(10)
        .for_each(|circle| cases.note(format!("import each other in a circle: {}", circle.join(", "))));
    code.unread().for_each(|line| cases.note(format!("not read: {line}")));
    if let Some(why) = &code.not_whole {
        cases.told_nothing(why.clone());
    }
    match repository.declared.layers.is_empty() {
        false => declared(cases, repository, &code, &edges),
        true => recognised(cases, repository, &code, &edges, &circles),
    }
}

/// Whether a path is in a layer, named as a folder or a module.
pub(crate) fn is_in(path: &Path, layer: &str) -> bool {
    let layer = layer.trim_matches('/');
    let folder = if layer.contains('/') { PathBuf::from(layer) } else { layer.split('.').collect() };
    let below = |folder: &Path| path.starts_with(folder) || path.with_extension("") == folder;
    below(&folder) || below(&Path::new("src").join(&folder)) || below(Path::new(layer))
}

/// The layers that the team says it has, from the top down.
fn declared(mut cases: Cases, repository: &Repository, code: &Code, edges: &[Edge]) -> Sighting {
    let layers = &repository.declared.layers;
    let layer = |at: usize| {
        let path = &code.modules[at].path;
        let fitting = layers.iter().enumerate().filter(|(_, layer)| is_in(path, layer));
        fitting.max_by_key(|(_, layer)| layer.len()).map(|(at, _)| at)
    };
    let mut counts = vec![0_usize; layers.len()];
    for at in 0..code.modules.len() {
        if let (Some(of), false) = (layer(at), code.modules[at].test) {
            counts[of] += 1;
        }
    }
    if let Some(empty) = counts.iter().position(|count| *count == 0) {
        return cases.gave_up(format!(
            "the layer {} has no source file: correct it in the settings, or is it not there yet?",
            layers[empty]
        ));
    }
    cases.plan_more(2);
    let (mut between, mut wrong) = (0, Vec::new());
    for edge in edges {
        let (Some(from), Some(to)) = (layer(edge.from), layer(edge.to)) else { continue };
        between += usize::from(from != to);
        let module = &code.modules[edge.from];
        if to < from && !repository.is_waived(CONTROL, &module.path) {
            wrong.push(format!(
                "{} ({}) imports {} ({})",
                module.at(edge.line),
                layers[from],
                code.modules[edge.to].path.display(),
                layers[to]
            ));
        }
    }
    let touching: Vec<String> = (0..code.modules.len())
        .filter(|at| {
            layer(*at) == Some(0) && layers.len() > 1 && !repository.is_waived(CONTROL, &code.modules[*at].path)
        })
        .filter_map(|at| touches_database(&code.modules[at]))
        .collect();
    wrong.iter().chain(&touching).take(40).for_each(|line| cases.note(line.clone()));
    let said = format!("{between} imports between {} layers", layers.len());
    cases.tried(wrong.is_empty(), first_of(&wrong, &format!("of {said} go up"), &format!("{said}, all downwards")));
    cases.tried(
        touching.is_empty(),
        first_of(&touching, "files of the top layer touch the database", "the top layer touches no database"),
    );
    let counted: Vec<String> = layers.iter().zip(&counts).map(|(layer, count)| format!("{layer} {count}")).collect();
    cases.sighting(format!(
        "{said} ({} files), all downwards, and no file of the top layer touches the database",
        counted.join(", ")
    ))
}

fn first_of(list: &[String], what: &str, none: &str) -> String {
    list.first().map_or(none.to_owned(), |first| format!("{} {what}, the first: {first}", list.len()))
}

/// Layers that folders and names show.
fn recognised(
    mut cases: Cases,
    repository: &Repository,
    code: &Code,
    edges: &[Edge],
    circles: &[Vec<String>],
) -> Sighting {
    let own = |module: &&Module| !is_tool(&module.path) && !repository.is_waived(CONTROL, &module.path);
    let modules: Vec<&Module> = code.own().filter(own).collect();
    let of = |layer: usize| modules.iter().filter(move |module| module.lines > 0 && rank(module) == Some(layer));
    let behind = |module: &Module| matches!(rank(module), Some(1 | 2));
    let handlers: Vec<&&Module> = modules.iter().filter(|module| has_handlers(module) && !behind(module)).collect();
    let (services, stores) = (of(1).count(), of(2).count());
    let declare = "declare the layers from the top down (`layers = [\"app/routers\", \"app/services\", \"app/repositories\"]`), and they are held against every import";
    let circle = circles
        .first()
        .map_or(String::new(), |circle| format!("; {} packages import each other in a circle", circle.len()));
    let counted = format!("{} files with handlers, {services} of services, {stores} of data access", handlers.len());
    cases.note(counted.clone());
    if handlers.is_empty() {
        return cases.gave_up(format!("no request handler was recognised{circle}: {declare}"));
    }
    let touching: Vec<String> =
        handlers.iter().filter(|module| !is_django(module)).filter_map(|module| touches_database(module)).collect();
    touching.iter().take(40).for_each(|line| cases.note(line.clone()));
    if !touching.is_empty() {
        cases.plan_more(1);
        let all = format!("of {} files with handlers touch the database", handlers.len());
        cases.tried(false, first_of(&touching, &all, ""));
        return cases.sighting("");
    }
    if of(0).count() < PLAIN || services < PLAIN || stores < PLAIN {
        return cases.gave_up(format!("no layout of layers is plain here ({counted}){circle}: {declare}"));
    }
    cases.plan_more(2);
    let (mut between, mut wrong) = (0, Vec::new());
    for edge in edges {
        let (from, to) = (&code.modules[edge.from], &code.modules[edge.to]);
        let (Some(above), Some(below)) = (rank(from), rank(to)) else { continue };
        between += usize::from(above != below);
        if below < above && own(&from) {
            wrong.push(format!("{} imports {}", from.at(edge.line), to.path.display()));
        }
    }
    wrong.iter().take(40).for_each(|line| cases.note(line.clone()));
    if between == 0 {
        return cases.gave_up(format!(
            "handlers, services and data access are there ({counted}), but none imports another: {declare}"
        ));
    }
    cases.tried(wrong.is_empty(), first_of(&wrong, "imports go up the layers", "no import goes up"));
    cases.tried(true, "no handler touches the database");
    if let Some(circle) = circles.first() {
        cases.plan_more(1);
        cases.tried(false, format!("packages import each other in a circle: {}", circle.join(", ")));
    }
    cases.sighting(format!(
        "{counted}: {between} imports between them, all downwards, and no handler touches the database"
    ))
}

fn has_handlers(module: &Module) -> bool {
    module.functions.iter().any(|function| function.handler)
}

fn is_kind(path: &Path, folder_names: &[&str], names: &[&str]) -> bool {
    let stem = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_lowercase();
    let named = |name: &str| {
        ["_", ".", "-"].iter().any(|mark| stem.contains(&format!("{mark}{name}.")))
            || stem.starts_with(&format!("{name}."))
    };
    folders(path).any(|folder| folder_names.contains(&folder)) || names.iter().any(|name| named(name))
}

/// Which layer a file shows to be of: 0 handlers, 1 services, 2 data access.
fn rank(module: &Module) -> Option<usize> {
    match () {
        () if is_kind(&module.path, STORES, STORE_FILES) => Some(2),
        () if is_kind(&module.path, SERVICES, SERVICE_FILES) => Some(1),
        () if has_handlers(module) && is_kind(&module.path, DOORS, DOOR_FILES) => Some(0),
        () => None,
    }
}

/// Django's views work on models by design.
fn is_django(module: &Module) -> bool {
    module.language == Language::Python
        && module
            .imports
            .iter()
            .any(|import| import.module.starts_with("django") || import.module.starts_with("rest_framework"))
}

/// How a file with handlers touches the database, if it does.
fn touches_database(module: &Module) -> Option<String> {
    let habits = &habits_of(module.language).habits;
    for import in
        module.imports.iter().filter(|import| !import.types_only && has_module(&habits.databases, &import.module))
    {
        let errors = |name: &str| name.ends_with("Error") || name.ends_with("Exception") || name == "NoResultFound";
        let types = !import.names.is_empty()
            && import.names.iter().all(|(there, _)| ONLY_TYPES.contains(&there.as_str()) || errors(there));
        if !types && !import.module.ends_with(".exc") {
            return Some(format!("{} imports {}", module.at(import.line), import.module));
        }
    }
    let sessions = ["db", "session", "conn", "connection", "cursor", "prisma", "knex"];
    // `session.get` is a visitor's session more often.
    let asks = ["query", "execute", "commit", "scalars", "scalar", "flush", "refresh", "exec"];
    let touching = module.calls.iter().find(|call| {
        let object = call.written.split('.').next().unwrap_or_default();
        let handler = module.around(call.function).any(|function| function.handler);
        handler && call.written.contains('.') && sessions.contains(&object) && asks.contains(&last(&call.written))
    });
    touching.map(|call| format!("{} calls {}", module.at(call.line), call.written))
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn seen_with(layers: &[&str], files: &[(&str, &str)]) -> Sighting {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        let mut repository = Repository::open(folder.path()).unwrap();
        repository.declared.layers = layers.iter().map(|layer| (*layer).to_owned()).collect();
        look(&repository)
    }

    #[test]
    fn declared_layers_are_held_against_every_import() {
        let down = [
            ("app/api/a.py", "from app.core import b\n"),
            ("app/core/b.py", "x = 1\n"),
            ("app/core/__init__.py", ""),
            ("app/__init__.py", ""),
            ("app/api/__init__.py", ""),
        ];
        assert_eq!(seen_with(&["app/api", "app.core"], &down).outcome, Outcome::Holds);
        let up = [("app/core/b.py", "def late():\n    from ..api.a import y\n")];
        let files: Vec<(&str, &str)> =
            down.iter().filter(|(name, _)| *name != "app/core/b.py").chain(&up).copied().collect();
        let seen = seen_with(&["app/api", "app.core"], &files);
        assert!(matches!(&seen.outcome, Outcome::Broken(why) if why.contains("app/core/b.py:2")), "{seen:?}");
        let typed =
            [("app/core/b.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..api.a import y\n")];
        let files: Vec<(&str, &str)> =
            down.iter().filter(|(name, _)| *name != "app/core/b.py").chain(&typed).copied().collect();
        assert_eq!(seen_with(&["app/api", "app/core"], &files).outcome, Outcome::Holds);
        assert!(matches!(seen_with(&["app/api", "app/nowhere"], &down).outcome, Outcome::Unclear(_)));
    }

    #[test]
    fn scripts_have_layers_too() {
        let files = [
            ("src/routes/a.ts", "import { b } from '@/services/b';\n"),
            ("src/services/b.ts", "export const b = 1;\nimport type { C } from '../routes/a';\n"),
            ("tsconfig.json", "{\"compilerOptions\": {\"baseUrl\": \".\", \"paths\": {\"@/*\": [\"src/*\"]}}}"),
        ];
        let layers = ["src/routes", "src/services"];
        assert_eq!(seen_with(&layers, &files).outcome, Outcome::Holds);
        let wrong = [files[0], ("src/services/b.ts", "export { x } from '../routes/a';\n"), files[2]];
        assert!(matches!(seen_with(&layers, &wrong).outcome, Outcome::Broken(_)));
        let database = [("src/routes/a.ts", "import { Pool } from 'pg';\n"), files[1]];
        assert!(matches!(seen_with(&layers, &database).outcome, Outcome::Broken(_)));
    }

    #[test]
    fn without_layers_that_are_plain_it_cannot_be_told() {
        let flat = [("app.py", "@app.get('/')\ndef a():\n    return 1\n")];
        assert!(matches!(seen_with(&[], &flat).outcome, Outcome::Unclear(_)));
    }
}
