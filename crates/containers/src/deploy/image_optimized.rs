//! `deploy.image-optimized`: what is shipped is small, pinned and free of build tools.

use std::{path::Path, sync::LazyLock};

use regex::Regex;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use crate::container::{Composition, Images, Instruction, Recipe};

pub(super) struct ImageOptimized;

/// Packages that only a build needs.
const TOOLS: &[&str] = &[
    "build-essential",
    "gcc",
    "g++",
    "clang",
    "make",
    "cmake",
    "build-base",
    "musl-dev",
    "libc-dev",
    "libc6-dev",
    "autoconf",
    "automake",
    "cargo",
    "rustc",
    "golang",
    "go",
    "python3-dev",
    "python-dev",
    "python3-devel",
    "gcc-c++",
    "pkg-config",
    "linux-headers",
    "openjdk-17-jdk",
    "openjdk-21-jdk",
    "maven",
    "gfortran",
    "libtool",
    "nodejs-dev",
];

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static INSTALL: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"\b(apt-get|apt|apk|yum|dnf|microdnf)\s+(?:-\S+\s+)*(?:install|add)\b([^;&|\n]*)";
    Regex::new(pattern).expect("the pattern is valid")
});

impl Inspection for ImageOptimized {
    fn control(&self) -> &'static str {
        "deploy.image-optimized"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let file = "FROM python:3.13 AS build\nWORKDIR /app\nCOPY requirements.txt .\nRUN pip wheel -r requirements.txt -w /wheels\n\
                    FROM python:3.13-slim\nCOPY --from=build /wheels /wheels\nRUN pip install --no-cache-dir /wheels/*.whl\nCOPY . .\nCMD [\"gunicorn\", \"app:app\"]\n";
        let ignored = ".git\n.env*\n**/node_modules\n**/__pycache__\n";
        Sample::of(&[("Dockerfile", file), (".dockerignore", ignored), ("requirements.txt", "flask"), ("app.py", "x")])
    }

    fn absent(&self) -> Sample {
        let file = "FROM python:latest\nCOPY . .\nRUN apt-get update && apt-get install -y build-essential\nRUN pip install -r requirements.txt\nCMD python app.py\n";
        Sample::of(&[("Dockerfile", file), ("requirements.txt", "flask"), ("app.py", "x")])
    }
}

fn look(repository: &Repository) -> Sighting {
    let mut recipes = Recipe::all(repository, &Composition::all(repository));
    recipes.retain(|recipe| !recipe.is_a_store());
    if recipes.is_empty() {
        return Sighting::unclear("there is no Dockerfile here: where the image is made is not seen");
    }
    let mut cases = Cases::plan(0);
    if !recipes.iter().any(brings_the_app) {
        let names: Vec<String> = recipes.iter().map(|recipe| recipe.file.path.display().to_string()).collect();
        cases.plan_more(1);
        cases.told_nothing(format!(
            "{} brings no source and starts nothing: it is a base, and the image of the app is not seen",
            names.join(", ")
        ));
    }
    let (mut digests, mut read) = (0, 0);
    for recipe in &recipes {
        let Some(stage) = recipe.stage().filter(|_| recipe.file.problems.is_empty()) else {
            cases.plan_more(1);
            cases.told_nothing(format!("{} does not parse", recipe.file.path.display()));
            continue;
        };
        read += 1;
        let base = recipe.base();
        digests += usize::from(base.digest);
        cases.note(format!(
            "{}: {} stages, shipped from {}:{} {}",
            recipe.file.path.display(),
            recipe.file.stages.len(),
            base.name,
            base.tag.as_deref().unwrap_or("(no tag)"),
            if base.digest { "by digest" } else { "by tag" }
        ));
        pinned(&mut cases, recipe);
        small(&mut cases, recipe, stage.line);
        no_tools(&mut cases, recipe);
        no_caches(&mut cases, recipe);
        dependencies_first(&mut cases, recipe);
        little_is_sent(&mut cases, repository, recipe);
    }
    let pins = if digests == read { "by digest".to_owned() } else { format!("by version, {digests} by digest") };
    cases.sighting(format!(
        "{read} container files: small base pinned {pins}, no build tools or caches shipped, dependencies before source"
    ))
}

/// Whether an image holds the app: something is copied, added or fetched, or it starts something.
fn brings_the_app(recipe: &Recipe) -> bool {
    let mut all = recipe.file.stages.iter().flat_map(|stage| &stage.instructions);
    all.any(|one| ["COPY", "ADD", "CMD", "ENTRYPOINT"].contains(&one.keyword.as_str()))
}

fn pinned(cases: &mut Cases, recipe: &Recipe) {
    cases.plan_more(1);
    // Stages that are only built from count too: they make what is shipped.
    for stage in &recipe.file.stages {
        let earlier = recipe.file.stages.iter().any(|other| other.name.as_deref() == Some(&stage.base.to_lowercase()));
        let image = crate::container::Image::read(&stage.base);
        if !earlier && image.open {
            return cases.told_nothing(format!(
                "{}: the base {} has a variable without a default",
                recipe.place(stage.line),
                image.name
            ));
        }
        if !earlier && !image.is_pinned() {
            let tag = image.tag.as_deref().unwrap_or("no tag");
            return cases.tried(false, format!("{}: {} is not pinned ({tag})", recipe.place(stage.line), image.name));
        }
    }
    cases.tried(true, "every base is pinned");
}

fn small(cases: &mut Cases, recipe: &Recipe, line: usize) {
    cases.plan_more(1);
    let (images, base) = (Images::built_in(), recipe.base());
    let shown = format!("{}:{}", base.name, base.tag.as_deref().unwrap_or("latest"));
    match () {
        () if base.open => cases.told_nothing(format!(
            "{}: which variant of {} is shipped is a variable",
            recipe.place(line),
            base.name
        )),
        () if images.has_compilers(&base) => {
            cases.tried(
                false,
                format!("{} ships {shown}, which brings compilers: take its slim variant", recipe.place(line)),
            );
        }
        () if images.is_slim(&base) || images.is_plain(&base) => cases.tried(true, format!("{shown} is small")),
        () => cases
            .told_nothing(format!("{}: how large {shown} is and what it brings is not known here", recipe.place(line))),
    }
}

fn no_tools(cases: &mut Cases, recipe: &Recipe) {
    cases.plan_more(1);
    for run in recipe.file.instructions(recipe.shipped).filter(|one| one.keyword == "RUN") {
        // Taken away in the same layer, they are not shipped.
        let removed = [
            "apk del",
            "apt-get purge",
            "apt-get remove",
            "apt-get -y purge",
            "apt-get autoremove",
            "apt purge",
            "apt remove",
            "purge -y",
            "remove -y",
            "yum remove",
            "dnf remove",
        ];
        if removed.iter().any(|words| run.text.contains(words)) {
            continue;
        }
        for found in INSTALL.captures_iter(&run.text) {
            let tool = found[2].split_whitespace().find(|word| is_tool(word));
            if let Some(tool) = tool {
                return cases
                    .tried(false, format!("{} ships {tool}: install it in an earlier stage", recipe.place(run.line)));
            }
        }
    }
    cases.tried(true, "no build tools are installed in what is shipped");
}

fn is_tool(word: &str) -> bool {
    let name = word.split(['=', '~', '<', '>']).next().unwrap_or(word);
    TOOLS.contains(&name)
        || (name.ends_with("-dev") || name.ends_with("-devel"))
            && !name.starts_with('-')
            && !name.starts_with("--virtual")
}

fn no_caches(cases: &mut Cases, recipe: &Recipe) {
    cases.plan_more(1);
    let instructions: Vec<&Instruction> = recipe.file.instructions(recipe.shipped).collect();
    let environment = |name: &str| {
        instructions
            .iter()
            .filter(|one| one.keyword == "ENV")
            .flat_map(|one| one.pairs())
            .any(|(key, value)| key == name && value != "0")
    };
    for run in instructions.iter().filter(|one| one.keyword == "RUN") {
        let mounted = run.flags.iter().any(|(name, value)| name == "mount" && value.contains("type=cache"));
        let has = |words: &str| run.text.contains(words);
        let apt = (has("apt-get install") || has("apt install") || has("apt-get update")) && !has("/var/lib/apt/lists");
        let pip = (has("pip install") || has("pip3 install"))
            && !has("--no-cache-dir")
            && !has("uv pip")
            && !has("--no-cache")
            && !environment("PIP_NO_CACHE_DIR")
            && !has(".cache");
        let apk = has("apk add") && !has("--no-cache") && !has("/var/cache/apk");
        let yum = (has("yum install") || has("dnf install")) && !has("clean all");
        let left = [("apt lists", apt), ("pip's cache", pip), ("apk's cache", apk), ("yum's cache", yum)];
        if let Some((what, _)) = left.iter().find(|(_, left)| *left && !mounted) {
            return cases.tried(false, format!("{} leaves {what} in the image", recipe.place(run.line)));
        }
    }
    cases.tried(true, "package caches are cleaned");
}

/// Where everything is copied before dependencies are installed, every change installs them again.
fn dependencies_first(cases: &mut Cases, recipe: &Recipe) {
    cases.plan_more(1);
    let installs = [
        "pip install -r",
        "pip install --no-cache-dir -r",
        "pip install .",
        "npm ci",
        "npm install",
        "yarn install",
        "pnpm install",
        "bundle install",
        "go mod download",
        "poetry install",
        "uv sync",
        "pipenv install",
        "composer install",
    ];
    for stage in &recipe.file.stages {
        let mut whole = None;
        for one in &stage.instructions {
            let copied = one.copied().filter(|_| one.flag("from").is_none());
            if copied.is_some_and(|(sources, _)| sources.iter().any(|source| source == "." || source == "./")) {
                whole.get_or_insert(one.line);
            }
            let installs = one.keyword == "RUN" && installs.iter().any(|words| one.text.contains(words));
            if let Some(line) = whole.filter(|_| installs) {
                let before = stage.instructions.iter().take_while(|other| other.line < line);
                let already =
                    before.filter(|other| other.keyword == "RUN").any(|other| INSTALLS_ANY.is_match(&other.text));
                if !already && one.flag("mount").is_none() {
                    return cases.tried(
                        false,
                        format!(
                            "{} copies everything before line {} installs dependencies",
                            recipe.place(line),
                            one.line
                        ),
                    );
                }
            }
        }
    }
    cases.tried(true, "dependencies are installed before the source is copied");
}

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static INSTALLS_ANY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(?:pip3? (?:install|wheel|sync)|npm (?:ci|i|install)|yarn|pnpm (?:i|install|fetch)|bundle|go mod|poetry|uv|pipenv|composer)\b").expect("the pattern is valid")
});

fn little_is_sent(cases: &mut Cases, repository: &Repository, recipe: &Recipe) {
    let is_whole = |one: &&Instruction| {
        let copied = one.copied().filter(|_| one.flag("from").is_none());
        copied.is_some_and(|(sources, _)| sources.iter().any(|source| source == "." || source == "./"))
    };
    // What an earlier stage is sent is not shipped; only much of it is slow.
    let whole = recipe.file.instructions(recipe.shipped).find(is_whole);
    let Some(copy) = whole else { return };
    cases.plan_more(1);
    let ignored = recipe.contexts.iter().find_map(|context| recipe.ignored(repository, context));
    let Some(ignored) = ignored else {
        return cases
            .tried(false, format!("{} copies everything, and there is no .dockerignore", recipe.place(copy.line)));
    };
    let javascript = repository.manifests().all.keys().any(|(_, language)| *language == "javascript");
    let mut paths = vec![".git", ".env"];
    if javascript {
        paths.push("node_modules");
    }
    let sent = paths.iter().find(|path| !ignored.is_ignored(Path::new(path)));
    let seen = sent.map_or_else(
        || ".dockerignore covers .git, .env and what is installed".to_owned(),
        |path| format!("{} copies everything, and .dockerignore lets {path} in", recipe.place(copy.line)),
    );
    cases.tried(sent.is_none(), seen);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::tests::{broken, holds, outcome};
    use seaworthy_repository::Outcome;

    fn seen(file: &str) -> Outcome {
        outcome(&ImageOptimized, &Sample::of(&[("Dockerfile", file), ("a.py", "x"), (".dockerignore", ".git\n.env\n")]))
    }

    #[test]
    fn a_base_without_the_app_is_not_the_image_of_the_app() {
        let base = "FROM ubuntu:24.04\nRUN apt-get update && apt-get install -y git && rm -rf /var/lib/apt/lists/*\nRUN adduser app\n";
        let seen =
            crate::deploy::tests::outcome(&ImageOptimized, &Sample::of(&[("base/Dockerfile", base), ("app.py", "x")]));
        assert!(
            matches!(&seen, seaworthy_repository::Outcome::Unclear(why) if why.contains("base/Dockerfile")),
            "{seen:?}"
        );
    }

    #[test]
    fn what_is_shipped_counts_and_not_what_builds() {
        assert!(holds(&seen("FROM golang:1.25 AS b\nRUN apt-get install -y gcc\nFROM scratch\nCOPY --from=b /a /a\n")));
        for (file, word) in [
            ("FROM golang:1.25\nCOPY a.py .\n", "compilers"),
            ("FROM node:lts-slim\n", "not pinned"),
            ("FROM node AS b\nFROM nginx:1.29\n", "not pinned"),
            ("FROM debian:12\nRUN apt-get install -y gcc && rm -rf /var/lib/apt/lists/*\n", "gcc"),
            ("FROM python:3.13-slim AS base\nRUN apk add --no-cache libpq-dev\nFROM base\n", "libpq-dev"),
            ("FROM debian:12\nRUN apt-get update\n", "apt lists"),
            ("FROM python:3.13-slim\nRUN pip install flask\n", "pip's cache"),
            ("FROM python:3.13-slim\nCOPY . .\nRUN pip install --no-cache-dir -r r.txt\n", "before line 3"),
        ] {
            let outcome = seen(file);
            assert!(broken(&outcome, word), "{file}: {outcome:?}");
        }
        for file in [
            "FROM python:3.13-slim\nENV PIP_NO_CACHE_DIR=1\nRUN apk add --no-cache --virtual .b gcc && pip install x && apk del .b\nCMD x\n",
            "ARG V=3.13\nFROM python:$V-slim\nRUN --mount=type=cache,target=/root/.cache pip install flask\nCMD x\n",
            "FROM python:3.13-slim\nCOPY r.txt .\nRUN pip install --no-cache-dir -r r.txt\nCOPY . .\nRUN pip install --no-cache-dir .\n",
        ] {
            assert!(holds(&seen(file)), "{file}: {:?}", seen(file));
        }
        assert!(matches!(seen("ARG V\nFROM python:$V\n"), Outcome::Unclear(_)));
        assert!(matches!(seen("FROM example.com/own/image:1.2\n"), Outcome::Unclear(_)));
    }
}
