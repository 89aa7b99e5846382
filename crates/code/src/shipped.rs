//! Which code is the app itself, and not a tool beside it.

use std::{
    path::{Component, Path},
    sync::LazyLock,
};

use seaworthy_repository::{Repository, Sighting};
use serde::Deserialize;

use crate::{code::Code, module::Module};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Places {
    folders: Vec<String>,
    files: Vec<String>,
    parts: Vec<String>,
    assets: Vec<String>,
    others: Vec<String>,
    servers: Vec<String>,
}

static PLACES: LazyLock<Places> =
    LazyLock::new(|| toml::from_str(include_str!("habits/places.toml")).unwrap_or_default());

/// The app's own modules: no tests, no tools, nothing that was made or copied, nothing that is waived for the control.
pub(crate) fn shipped<'c>(
    code: &'c Code,
    repository: &'c Repository,
    control: &'c str,
) -> impl Iterator<Item = &'c Module> {
    code.own().filter(move |module| !is_tool(&module.path) && !repository.is_waived(control, &module.path))
}

/// A script, an example, a step of a migration, a build's configuration.
pub(crate) fn is_tool(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    let is_named = |list: &[String], name: &str| list.iter().any(|one| one == name);
    path.extension().is_some_and(|ending| ending == "rake")
        || folders(path).any(|folder| is_named(&PLACES.folders, folder))
        || is_named(&PLACES.files, stem)
        || PLACES.parts.iter().any(|part| name.contains(part.as_str()))
}

/// Scripts that a browser gets as they are, from others.
pub(crate) fn is_asset(path: &Path) -> bool {
    let is_in = |list: &[String]| folders(path).any(|folder| list.iter().any(|one| one == folder));
    path.extension().is_some_and(|ending| ending == "js") && is_in(&PLACES.assets) && is_in(&PLACES.others)
}

/// A page of a tool, an example or the documentation; templates are what the app's pages are made of.
pub(crate) fn is_tool_page(path: &Path) -> bool {
    folders(path).any(|folder| folder != "templates" && PLACES.folders.iter().any(|one| one == folder))
}

/// A page among the assets of others.
pub(crate) fn is_others_page(path: &Path) -> bool {
    let is_in = |list: &[String]| folders(path).any(|folder| list.iter().any(|one| one == folder));
    is_in(&PLACES.assets) && is_in(&PLACES.others)
}

/// A script that a browser gets from its folder as it is: what it imports are addresses.
pub(crate) fn is_served(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "js")
        && folders(path).any(|folder| PLACES.assets.iter().any(|one| one == folder && one != "assets"))
}

/// The folders that a path is in.
pub(crate) fn folders(path: &Path) -> impl Iterator<Item = &str> {
    let parts = path.parent().into_iter().flat_map(Path::components);
    parts.filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    })
}

/// Frameworks that show pages.
const PAGES: &[&str] = &[
    "react",
    "react-dom",
    "vue",
    "svelte",
    "@angular/core",
    "preact",
    "solid-js",
    "next",
    "nuxt",
    "@sveltejs/kit",
    "@remix-run/react",
    "lit",
    "astro",
    "@builder.io/qwik",
    "alpinejs",
];

/// Folders of packages that show pages.
pub(crate) fn front_ends(repository: &Repository) -> Vec<&Path> {
    let shows =
        |manifest: &seaworthy_repository::Manifest| PAGES.iter().any(|name| manifest.dependency(name).is_some());
    let all = repository
        .manifests()
        .all
        .iter()
        .filter(|((_, language), manifest)| *language == "javascript" && shows(manifest));
    all.map(|((folder, _), _)| folder.as_path()).collect()
}

/// A front end's own modules: of its folder, and not the server that may be beside it there.
pub(crate) fn is_page_code(module: &Module, folder: &Path) -> bool {
    let served = |name: &str| PLACES.servers.iter().any(|one| one == name);
    let inner = module.path.strip_prefix(folder);
    let handles = module.functions.iter().any(|function| function.handler);
    module.language.is_script() && !handles && inner.is_ok_and(|inner| !folders(inner).any(served))
}

/// Why there is no front end to look at, or that it is one that cannot be judged.
pub(crate) fn no_front_end(code: &Code) -> Sighting {
    let own =
        code.own().filter(|module| is_served(&module.path) && !is_asset(&module.path) && module.lines > 20).count();
    match own {
        0 => Sighting::not_applicable(
            "no package.json names a framework for pages (React, Vue, Svelte, Angular, …) and no scripts are served: there is no front end with code of its own",
        ),
        _ => Sighting::unclear(format!(
            "{own} plain scripts are served as they are, without types; which of them are the project's own cannot be told: no framework for pages was recognised"
        )),
    }
}

/// Whether it serves: a framework for servers or pages is known of it.
pub(crate) fn serves(repository: &Repository) -> bool {
    let stacks = repository.knowledge().stacks.iter().filter(|stack| stack.is_server() || stack.site.is_some());
    let depends = |stack: &seaworthy_repository::Stack| {
        let names: Vec<&str> = stack.recognise.dependencies.iter().map(String::as_str).collect();
        repository.depends_on(&stack.language, &names)
    };
    let says = |stack: &seaworthy_repository::Stack| {
        let extensions =
            repository.knowledge().languages.get(stack.language.as_str()).map(|language| &language.extensions);
        let pattern = stack.recognise.source.as_ref();
        pattern.zip(extensions).is_some_and(|(pattern, extensions)| {
            let mut sources = repository.tree().sources_in(Path::new(""), extensions);
            sources.any(|(_, source)| source.matches(&pattern.0).next().is_some())
        })
    };
    !front_ends(repository).is_empty() || stacks.clone().any(depends) || stacks.clone().any(says)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_told_from_the_app() {
        for tool in [
            "scripts/a.py",
            "vite.config.ts",
            "manage.py",
            "app/management/commands/x.py",
            "db/migrations/1.js",
            ".eslintrc.js",
            "lib/tasks/a.rake",
        ] {
            assert!(is_tool(Path::new(tool)), "{tool}");
        }
        for app in ["app/main.py", "src/pages/build-list.tsx", "server.js", "src/setupProxy.js"] {
            assert!(!is_tool(Path::new(app)), "{app}");
        }
        assert!(is_asset(Path::new("static/lib/jquery.js")) && !is_asset(Path::new("lib/a.js")));
    }
}
