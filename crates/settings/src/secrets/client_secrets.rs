//! `config.client-secrets`: what a browser downloads holds no secret of the server.
//!
//! Two things are looked at: source that puts a secret into the bundle by its name, and the bundle itself, with the
//! sources that its maps carry, for shapes and for the values of the project's own variables.

use std::{collections::BTreeMap, path::Path, sync::LazyLock};

use regex::Regex;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting, is_secret, is_test};

use super::{
    built::{self, Built},
    scan::{Finding, Live, constant, is_public_token, scan, variables_on_disk},
};

pub(super) struct ClientSecrets;

const CONTROL: &str = "config.client-secrets";

/// What a framework gives to browsers by the name of the variable.
const PUBLIC_PREFIXES: &[&str] = &[
    "VITE_",
    "NEXT_PUBLIC_",
    "REACT_APP_",
    "PUBLIC_",
    "NUXT_PUBLIC_",
    "VUE_APP_",
    "GATSBY_",
    "EXPO_PUBLIC_",
    "NG_APP_",
    "SNOWPACK_PUBLIC_",
    "STORYBOOK_",
    "RSBUILD_PUBLIC_",
    "NX_PUBLIC_",
];
/// Dependencies that build what runs in a browser.
const BUNDLED: &[&str] = &[
    "react-dom",
    "vue",
    "svelte",
    "next",
    "nuxt",
    "@angular/core",
    "vite",
    "react-scripts",
    "preact",
    "solid-js",
    "gatsby",
    "astro",
    "@sveltejs/kit",
    "webpack",
    "parcel",
    "lit",
    "@remix-run/react",
    "@builder.io/qwik",
    "ember-source",
    "rollup",
    "@vue/cli-service",
    "umi",
    "expo",
    "react-native",
];
/// Languages of what runs in a browser.
const SCRIPTS: &[&str] = &["js", "jsx", "ts", "tsx", "mjs", "cjs", "mts", "cts"];
/// Components, which are no source of one language.
const COMPONENTS: &[&str] = &["vue", "svelte", "astro", "html"];
const PAGES: &[&str] = &[
    "html", "htm", "jsx", "tsx", "vue", "svelte", "astro", "ejs", "hbs", "pug", "erb", "jinja", "jinja2", "j2", "twig",
];

static PUBLIC_NAME: LazyLock<Regex> =
    LazyLock::new(|| constant(&format!(r"\b(?:{})[A-Z0-9_]+\b", PUBLIC_PREFIXES.join("|"))));
/// The whole environment of the build goes into the bundle.
static WHOLE_ENVIRONMENT: LazyLock<Regex> = LazyLock::new(|| {
    constant(
        r#"(?:['"]process\.env['"]\s*:\s*(?:JSON\.stringify\(\s*)?(?:process\.env|\{\s*\.\.\.process\.env)\s*[,)}\n]|EnvironmentPlugin\(\s*Object\.keys\(\s*process\.env\s*\))"#,
    )
});
/// `env: { API_SECRET: process.env.API_SECRET }` of Next.js is written into the bundle.
static NEXT_ENVIRONMENT: LazyLock<Regex> =
    LazyLock::new(|| constant(r"\b(?:env|publicRuntimeConfig)\s*:\s*\{([^{}]{0,4000})\}"));
/// With one of these a Google key opens the models too, and is no longer one that a vendor makes for browsers.
static GOOGLE_MODELS: LazyLock<Regex> =
    LazyLock::new(|| constant(r"generativelanguage|@google/genai|@google/generative-ai"));
static NAME: LazyLock<Regex> = LazyLock::new(|| constant(r#"(?m)(?:^|[,{\s])['"]?([A-Za-z_][A-Za-z0-9_]+)['"]?\s*:"#));
/// The client library asks for this word before it takes a key in a browser.
static IN_BROWSER: LazyLock<Regex> = LazyLock::new(|| constant(r"\bdangerouslyAllowBrowser\s*:\s*true\b"));

impl Inspection for ClientSecrets {
    fn control(&self) -> &'static str {
        CONTROL
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        with_bundle("const u=\"https://api.internal\";fetch(u)")
    }

    fn absent(&self) -> Sample {
        // A variable of the server that the build was told to write into the bundle; no pattern fits it.
        with_bundle(&format!("const k=\"{}\";fetch(u,{{headers:{{x:k}}}})", server_value()))
    }
}

/// A value that stands in no other place, and has no shape.
fn server_value() -> String {
    format!("plover{}", "-Quay-71-lantern")
}

fn with_bundle(code: &str) -> Sample {
    Sample::of(&[
        ("package.json", r#"{"scripts": {"build": "vite build"}, "devDependencies": {"vite": "6"}}"#),
        ("src/main.ts", "fetch(import.meta.env.VITE_API_URL)\n"),
        (".gitignore", "dist\n.env\n"),
        (".env", &format!("VITE_API_URL=https://api.internal\nPARTNER_SECRET={}\n", server_value())),
        ("dist/index.html", "<script src=/assets/a.js></script>"),
        ("dist/assets/a.js", code),
    ])
}

fn look(repository: &Repository) -> Sighting {
    let live = server_values(repository);
    let (mut findings, mut google, mut models) = (Vec::new(), Vec::new(), false);
    let mut see = |path: &str, text: &[u8]| {
        models |= GOOGLE_MODELS.is_match(&String::from_utf8_lossy(text));
        if !repository.is_waived(CONTROL, Path::new(path)) {
            // Keys that a vendor makes for browsers are public.
            let of_text = scan(text, path, &live).findings.into_iter();
            let (of_google, others): (Vec<_>, Vec<_>) = of_text
                .filter(|finding| !is_public_token(finding, text))
                .partition(|finding| finding.title == "Google API key");
            findings.extend(others);
            google.extend(of_google);
        }
    };
    let built = built::read(repository.root(), repository, &mut see);
    let is_built = repository.depends_on("javascript", BUNDLED);
    let as_they_are = if is_built { 0 } else { built::read_unbuilt(repository, PAGES, &mut see) };
    if built.texts + as_they_are == 0 && !is_built {
        return Sighting::not_applicable("there is no front end: no page, no script for a browser, no bundle");
    }
    let mut cases = Cases::plan(1);
    let (shown, files) = shown_by_source(repository);
    cases.note(format!("{files} sources, settings and env files read for variables that browsers get"));
    shown.iter().for_each(|place| cases.note(place.clone()));
    let named = "no variable that browsers get has the name of a secret".to_owned();
    cases.tried(shown.is_empty(), shown.first().cloned().unwrap_or(named));
    if built.texts + as_they_are == 0 && !cases.is_broken() {
        let command = build_command(repository);
        return Sighting::not_tried(format!("there is no build to look at: run `{command}` and check again"));
    }
    cases.note(format!("{} values of the server's own variables were looked for", live.len()));
    // A bundle that speaks to the models has their key.
    if models {
        findings.append(&mut google);
    }
    look_at_findings(&built, built.texts + as_they_are, &findings, &mut cases);
    if let Some(project) = built::unbuilt(repository, BUNDLED) {
        cases.told_nothing(format!("{project} is not built: what browsers get of it cannot be looked at"));
    }
    if let Some(why) = google_of_server(repository, google.first()) {
        cases.told_nothing(why);
    }
    if let Some(why) = repository.not_whole() {
        cases.told_nothing(why);
    }
    let delivered = match built.texts {
        0 => format!("{as_they_are} pages and scripts that are delivered as they are"),
        built_files => format!(
            "{built_files} built files in {} ({} source maps) and {as_they_are} others",
            built.folders.join(", "),
            built.maps
        ),
    };
    cases.sighting(format!("{delivered}: no secret, and none of {} values of the server", live.len()))
}

/// Why a Google key that browsers get may be one for the models, when only other sources than the bundle use them.
fn google_of_server(repository: &Repository, key: Option<&Finding>) -> Option<String> {
    let key = key?;
    let (path, _) = repository.sources().iter().find(|(_, source)| GOOGLE_MODELS.is_match(&source.code))?;
    let used = path.display();
    Some(format!(
        "{}: a Google key, and {used} uses Google's models: whether it is their key cannot be told",
        key.place
    ))
}

fn look_at_findings(built: &Built, files: usize, findings: &[Finding], cases: &mut Cases) {
    cases.plan_more(2);
    match built::canary_is_found() {
        true => cases.tried(true, "a planted key was found in a bundle and in a source map"),
        false => cases.told_nothing("a planted key was not found in a bundle by the same scan"),
    }
    if built.cut {
        cases.told_nothing("the build has more or larger files than are read");
    }
    for finding in findings.iter().take(50) {
        cases.note(format!("{}: {} ({})", finding.place, finding.title, finding.shown));
    }
    let seen = match findings.first() {
        None => format!("no secret in {files} files that browsers get"),
        Some(first) => format!("{} in {} ({})", first.title, first.place, first.shown),
    };
    cases.tried(findings.is_empty(), seen);
}

/// What env files set and browsers must not get: secrets by name or by look, without those that are public too.
fn server_values(repository: &Repository) -> Live {
    let (mut public, mut values) = (Vec::new(), BTreeMap::new());
    for (path, name, value) in variables_on_disk(repository) {
        if is_public(&name) {
            public.push(value);
        } else if is_secret(&name) {
            values.entry(value).or_insert_with(|| format!("the value of {name} (in {path})"));
        }
    }
    for (name, value) in repository.live.values() {
        values.insert(value.to_owned(), format!("the live value of {name}"));
    }
    public.iter().for_each(|value| _ = values.remove(value));
    Live::new(values)
}

fn is_public(name: &str) -> bool {
    PUBLIC_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Places where the source itself gives a secret to browsers, and how many files were read.
fn shown_by_source(repository: &Repository) -> (Vec<String>, usize) {
    let (mut shown, mut files) = (Vec::new(), 0);
    let mut add = |path: &Path, line: usize, what: String| {
        if !repository.is_waived(CONTROL, path) {
            shown.push(format!("{}:{line} {what}", path.display()));
        }
    };
    let is_script =
        |path: &Path| path.extension().and_then(|own| own.to_str()).is_some_and(|own| SCRIPTS.contains(&own));
    for (path, source) in repository.sources().iter().filter(|(path, _)| is_script(path)) {
        files += 1;
        for name in PUBLIC_NAME.find_iter(&source.code).filter(|name| is_secret_of_server(name.as_str())) {
            add(path, source.line(name.start()), format!("gives {} to browsers", name.as_str()));
        }
        for found in source.matches(&IN_BROWSER) {
            let at = found.get(0).map_or(0, |whole| whole.start());
            add(path, source.line(at), "calls an AI provider from the browser, with its key".to_owned());
        }
        let stem = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if stem.contains(".config.") || stem.starts_with("webpack") {
            for found in WHOLE_ENVIRONMENT.find_iter(&source.code) {
                add(
                    path,
                    source.line(found.start()),
                    "writes the whole environment of the build into the bundle".into(),
                );
            }
        }
        if stem.starts_with("next.config.") {
            for (at, name) in NEXT_ENVIRONMENT.captures_iter(&source.code).flat_map(|found| names_in(&found)) {
                add(path, source.line(at), format!("writes {name} into the bundle"));
            }
        }
    }
    let components = repository.ending(COMPONENTS).filter(|path| !is_test(path));
    let settings: Vec<&Path> = repository.files().filter(|path| is_settings(path)).chain(components).collect();
    for path in settings {
        let Some(text) = repository.text(path) else { continue };
        files += 1;
        let is_comment = |line: &str| ["#", "//", "*", "<!--"].iter().any(|mark| line.trim_start().starts_with(mark));
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !is_comment(line)) {
            let set = PUBLIC_NAME.find(line).filter(|name| is_secret_of_server(name.as_str()));
            if let Some(name) = set {
                add(path, number + 1, format!("sets {}, which browsers get", name.as_str()));
            }
        }
    }
    (shown, files)
}

/// Secrets among the names of a block.
fn names_in(block: &regex::Captures<'_>) -> Vec<(usize, String)> {
    let Some(inner) = block.get(1) else { return Vec::new() };
    let names = NAME.captures_iter(inner.as_str()).filter_map(|found| found.get(1));
    let secret = names.filter(|name| is_secret_of_server(name.as_str()));
    secret.map(|name| (inner.start() + name.start(), name.as_str().to_owned())).collect()
}

/// Env files, container and pipeline files: where such variables are set.
fn is_settings(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with(".env")
        || name.starts_with("Dockerfile")
        || name.starts_with("docker-compose")
        || name.starts_with("compose.")
        || name == "netlify.toml"
        || name == "vercel.json"
        || path.starts_with(".github/workflows")
}

/// Services whose keys cost money. Their models and addresses are no secrets: a word for a key is asked for.
const SERVICES: &[&str] = &["GEMINI", "GOOGLE_AI", "GENAI", "GENERATIVE_AI", "DEEPSEEK", "OPENROUTER", "REPLICATE"];

/// A name that can only be a secret's. A token or key alone may be one that is made for browsers.
fn is_secret_of_server(name: &str) -> bool {
    const PUBLIC: &[&str] = &[
        "PUBLISHABLE",
        "ANON",
        "SITE_KEY",
        "SITEKEY",
        "CSRF",
        "PUBLIC_KEY",
        "_URL",
        "_PATH",
        "_NAME",
        "_LENGTH",
        "_ENABLED",
        "_REQUIRED",
        "MIN_",
        "MAX_",
        "RESET",
        "FORGOT",
        "CHANGE",
        "POLICY",
        "_HINT",
        "_LABEL",
        "_PAGE",
        "_ROUTE",
        "_ENDPOINT",
    ];
    const SECRET: &[&str] = &[
        "SECRET",
        "PASSWORD",
        "PASSWD",
        "PRIVATE_KEY",
        "SERVICE_ROLE",
        "ADMIN_KEY",
        "DATABASE_URL",
        "DB_PASS",
        "MASTER_KEY",
        "ACCESS_KEY_SECRET",
        "SIGNING_KEY",
        "ENCRYPTION_KEY",
        "OPENAI_API_KEY",
        "OPENAI_KEY",
        "ANTHROPIC_API_KEY",
        "SENDGRID_API_KEY",
        "GROQ_API_KEY",
        "MISTRAL_API_KEY",
        "COHERE_API_KEY",
        "TOGETHER_API_KEY",
        "STRIPE_SECRET",
        "CLIENT_SECRET",
        "CREDENTIALS",
        "MONGO_URI",
        "MONGODB_URI",
    ];
    let own = PUBLIC_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name).to_ascii_uppercase();
    let is_address = ["DATABASE_URL", "MONGO_URI", "MONGODB_URI"].contains(&own.as_str());
    let is_key = ["KEY", "TOKEN"].iter().any(|word| own.contains(word));
    let of_service = SERVICES.iter().any(|name| own == *name || is_key && own.contains(name));
    (of_service || SECRET.iter().any(|piece| own.contains(piece)))
        && (is_address || !PUBLIC.iter().any(|piece| own.contains(piece)))
}

fn build_command(repository: &Repository) -> &'static str {
    match () {
        () if repository.has("pnpm-lock.yaml") => "pnpm run build",
        () if repository.has("yarn.lock") => "yarn build",
        () if repository.has("bun.lock") || repository.has("bun.lockb") => "bun run build",
        () if repository.has("package.json") => "npm run build",
        () => "the build of the front end",
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        look(&Repository::open(folder.path()).unwrap()).outcome
    }

    const VITE: (&str, &str) = ("package.json", r#"{"devDependencies": {"vite": "6"}}"#);

    #[test]
    fn names_of_secrets() {
        for name in [
            "NEXT_PUBLIC_STRIPE_SECRET_KEY",
            "VITE_DB_PASSWORD",
            "REACT_APP_OPENAI_API_KEY",
            "VITE_DATABASE_URL",
            "NEXT_PUBLIC_SUPABASE_SERVICE_ROLE_KEY",
            "VITE_GEMINI_API_KEY",
            "VITE_GOOGLE_AI_KEY",
            "NEXT_PUBLIC_OPENROUTER_TOKEN",
        ] {
            assert!(is_secret_of_server(name), "{name}");
        }
        for name in [
            "NEXT_PUBLIC_API_URL",
            "VITE_MAPBOX_TOKEN",
            "REACT_APP_FIREBASE_API_KEY",
            "NEXT_PUBLIC_SUPABASE_ANON_KEY",
            "VITE_STRIPE_PUBLISHABLE_KEY",
            "VITE_PASSWORD_RESET_URL",
            "VITE_PASSWORD_MIN_LENGTH",
            "VITE_GEMINI_MODEL",
        ] {
            assert!(!is_secret_of_server(name), "{name}");
        }
    }

    #[test]
    fn source_alone_may_show_it() {
        for (name, text) in [
            ("src/a.ts", "const key = import.meta.env.VITE_API_SECRET\n"),
            (".env.example", "VITE_DB_PASSWORD=\n"),
            ("vite.config.ts", "export default { define: { 'process.env': process.env } }\n"),
            ("next.config.js", "module.exports = { env: { API_SECRET: process.env.API_SECRET } }\n"),
            ("src/ai.ts", "new OpenAI({ apiKey: k, dangerouslyAllowBrowser: true })\n"),
        ] {
            let outcome = outcome(&[VITE, (name, text)]);
            assert!(matches!(&outcome, Outcome::Broken(why) if why.contains(name)), "{name}: {outcome:?}");
        }
        for (name, text) in [
            ("src/a.ts", "// VITE_API_SECRET must never exist\nfetch(import.meta.env.VITE_API_URL)\n"),
            ("vite.config.ts", "export default { define: { 'process.env.NODE_ENV': process.env.NODE_ENV } }\n"),
            ("tests/a.test.ts", "import.meta.env.VITE_API_SECRET\n"),
        ] {
            assert!(matches!(outcome(&[VITE, (name, text)]), Outcome::NotTried(_)), "{name}");
        }
    }

    #[test]
    fn a_source_map_carries_sources() {
        let map =
            serde_json::json!({"sources": ["../src/a.ts"], "sourcesContent": [format!("k = '{}'", server_value())]});
        let files = [
            VITE,
            (".env", &format!("PARTNER_SECRET={}\n", server_value())),
            ("dist/index.html", ""),
            ("dist/a.js", "x"),
            ("dist/a.js.map", &map.to_string()),
        ];
        assert!(matches!(outcome(&files), Outcome::Broken(why) if why.contains("a.js.map!../src/a.ts")));
    }

    #[test]
    fn a_google_key_beside_the_models_is_a_secret() {
        let of = |bundle: &str, source: &str| {
            let key = format!("AIza{}", "SyB7kQ2vX9mL4nR8tW1yZ5cF3hJ6pD0gE_u");
            let bundle = format!("const k=\"{key}\";{bundle}");
            outcome(&[VITE, ("src/a.ts", source), ("dist/index.html", ""), ("dist/a.js", &bundle)])
        };
        assert_eq!(of("fetch('https://maps.googleapis.com')", "x()"), Outcome::Holds);
        let models = "fetch('https://generativelanguage.googleapis.com')";
        assert!(matches!(of(models, "x()"), Outcome::Broken(why) if why.contains("Google API key")));
        assert!(matches!(of("x()", "import { GoogleGenAI } from '@google/genai'\n"), Outcome::Unclear(_)));
    }

    #[test]
    fn every_bundled_project_is_built() {
        let web = r#"{"scripts": {"build": "vite build"}, "devDependencies": {"vite": "6"}}"#;
        let (app, admin) = (("app/package.json", web), ("admin/package.json", web));
        let built = [("app/dist/index.html", ""), ("app/dist/a.js", "x")];
        assert_eq!(outcome(&[app, built[0], built[1]]), Outcome::Holds);
        let half = outcome(&[app, admin, built[0], built[1]]);
        assert!(matches!(&half, Outcome::Unclear(why) if why.contains("admin/package.json")), "{half:?}");
        // What is committed beside the source is no build.
        let vendored = outcome(&[app, ("app/public/js/jquery.js", "x")]);
        assert!(matches!(vendored, Outcome::Unclear(_)), "{vendored:?}");
        // A folder that Git ignores is one that the build writes.
        let ignored = [app, (".gitignore", "js/\n"), ("app/public/js/a.js", "x")];
        assert_eq!(outcome(&ignored), Outcome::Holds);
    }

    #[test]
    fn no_front_end() {
        assert!(matches!(outcome(&[("app.py", "import os\n")]), Outcome::NotApplicable(_)));
        let server =
            [("package.json", r#"{"dependencies": {"express": "5"}}"#), ("dist/server.js", "x"), ("src/a.ts", "x")];
        assert!(matches!(outcome(&server), Outcome::NotApplicable(_)));
    }
}
