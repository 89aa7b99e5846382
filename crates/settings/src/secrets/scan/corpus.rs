//! Three corpora of planted secrets, and the share of them that is found. They are made here when the test runs, always the
//! same, so that no scanner finds them in our own source.

use super::{
    Live,
    dice::{ALL, Dice},
    rules::RULES,
    scan,
};

/// A file with one secret in it, and the line where it begins.
struct Planted {
    path: String,
    bytes: Vec<u8>,
    line: usize,
    what: String,
}

const CODE: &[(&str, &str, &str)] = &[
    (
        "app/service.py",
        "import os\n\ndef load(rows):\n    return [row for row in rows if row]\n\n",
        "\n\nclass Shop:\n    limit = 20\n",
    ),
    ("src/client.js", "'use strict';\nconst http = require('http');\n\n", "\nmodule.exports = { http };\n"),
    (
        "src/client.ts",
        "import { z } from 'zod';\n\nexport const Row = z.object({ id: z.string() });\n",
        "\nexport default Row;\n",
    ),
    ("internal/store.go", "package store\n\nimport \"fmt\"\n\n", "\nfunc Show() { fmt.Println(1) }\n"),
    ("src/main/java/Shop.java", "package shop;\n\npublic class Shop {\n", "\n}\n"),
    ("app/models/shop.rb", "class Shop\n  LIMIT = 20\n", "\nend\n"),
    ("src/Shop.php", "<?php\n\nnamespace App;\n\n", "\n\nfunction show() { return 1; }\n"),
    ("src/main.rs", "use std::env;\n\n", "\nfn main() {}\n"),
    ("src/Shop.cs", "namespace Shop;\n\npublic class Shop {\n", "\n}\n"),
    ("src/Shop.kt", "package shop\n\n", "\nfun main() {}\n"),
];

/// How each language gives a text to a name.
fn in_code(path: &str, name: &str, value: &str, style: usize) -> String {
    let (snake, camel) = (name.to_lowercase(), camel(name));
    match (path.rsplit('.').next().unwrap_or_default(), style % 3) {
        ("py", 0) => format!("{name} = \"{value}\""),
        ("py", 1) => format!("client = Client({snake}='{value}')"),
        ("py", _) => format!("config = {{\"{snake}\": \"{value}\"}}"),
        ("js", 0) => format!("const {camel} = '{value}';"),
        ("js", 1) => format!("const client = new Client({{ {camel}: \"{value}\" }});"),
        ("js", _) => format!("const {camel} = process.env.{name} || '{value}';"),
        ("ts", 0) => format!("const {camel}: string = '{value}';"),
        ("ts", 1) => format!("  private readonly {camel} = `{value}`;"),
        ("ts", _) => format!("export const settings = {{ '{snake}': '{value}' }};"),
        ("go", 0) => format!("const {camel} = \"{value}\""),
        ("go", 1) => format!("\t{camel} := \"{value}\""),
        ("go", _) => format!("var cfg = Config{{{}: \"{value}\"}}", capital(&camel)),
        ("java", 0) => format!("  private static final String {name} = \"{value}\";"),
        ("java", 1) => format!("  void a(Client c) {{ c.set{}(\"{value}\"); }}", capital(&camel)),
        ("java", _) => format!("  String {camel} = \"{value}\";"),
        ("rb", 0) => format!("  {name} = '{value}'"),
        ("rb", 1) => format!("  client = Client.new({snake}: '{value}')"),
        ("rb", _) => format!("  options = {{ :{snake} => \"{value}\" }}"),
        ("php", 0) => format!("${snake} = '{value}';"),
        ("php", 1) => format!("$config = ['{snake}' => '{value}'];"),
        ("php", _) => format!("define('{name}', '{value}');"),
        ("rs", 0) => format!("const {name}: &str = \"{value}\";"),
        ("rs", 1) => format!("let {snake} = \"{value}\".to_string();"),
        ("rs", _) => format!("let {snake} = String::from(\"{value}\");"),
        ("cs", 0) => format!("  private const string {} = \"{value}\";", capital(&camel)),
        ("cs", _) => format!("  public string {} {{ get; set; }} = \"{value}\";", capital(&camel)),
        (_, 0) => format!("const val {name} = \"{value}\""),
        (_, _) => format!("val {camel} = \"{value}\""),
    }
}

fn camel(name: &str) -> String {
    let mut parts = name.split('_').map(str::to_lowercase);
    let first = parts.next().unwrap_or_default();
    parts.fold(first, |whole, part| whole + &capital(&part))
}

fn capital(word: &str) -> String {
    word.split_at_checked(1).map_or_else(String::new, |(first, rest)| first.to_uppercase() + rest)
}

const NAMES: &[&str] = &[
    "DB_PASSWORD",
    "API_KEY",
    "JWT_SECRET",
    "CLIENT_SECRET",
    "SMTP_PASSWORD",
    "ENCRYPTION_KEY",
    "WEBHOOK_SECRET",
    "ADMIN_PASSWORD",
    "SIGNING_KEY",
    "ACCESS_TOKEN",
];

/// Every example of every rule that needs no file of its own, and passwords under telling names.
fn secrets(dice: &mut Dice) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    for rule in RULES.iter().filter(|rule| rule.files.is_empty()) {
        for example in &rule.examples {
            all.push((rule.id.clone(), String::new(), dice.fill(example)));
        }
    }
    for round in 0..15 {
        for name in NAMES {
            let value =
                if *name == "ACCESS_TOKEN" || *name == "API_KEY" { dice.of(ALL, 20 + round) } else { dice.password() };
            all.push((format!("assigned {name}"), (*name).to_owned(), value));
        }
    }
    all
}

fn planted(path: &str, before: &str, text: &str, behind: &str, what: &str) -> Planted {
    Planted {
        path: path.to_owned(),
        bytes: format!("{before}{text}{behind}").into_bytes(),
        line: before.matches('\n').count() + 1,
        what: format!("{what}: {text}"),
    }
}

/// Source code of several languages.
fn code(seed: u64) -> Vec<Planted> {
    let mut dice = Dice::new(seed * 3 + 1);
    let mut all = Vec::new();
    for (at, (what, name, value)) in secrets(&mut dice).into_iter().enumerate() {
        let (path, before, behind) = CODE[(at * 7 + at / 10) % CODE.len()];
        let quoted = value.replace('\n', "\\n").replace('"', "'");
        // A shape needs no name: it stands in any text.
        let text = match name.as_str() {
            "" if value.contains('"') || value.contains('\'') => {
                format!("{}{value}", if path.ends_with(".py") { "X = '''" } else { "X = `" })
            }
            "" => in_code(path, ["VALUE", "REMOTE", "HOOK"][at % 3], &quoted, at),
            name => in_code(path, name, &quoted, at),
        };
        all.push(planted(path, before, &text, behind, &what));
    }
    all
}

/// Settings of programs, containers, pipelines, clusters and clouds.
fn settings(seed: u64) -> Vec<Planted> {
    let mut dice = Dice::new(seed * 3 + 2);
    let mut all = Vec::new();
    for (at, (what, name, value)) in secrets(&mut dice).into_iter().enumerate() {
        let own = if name.is_empty() { "REMOTE" } else { &name };
        let snake = own.to_lowercase();
        let one = value.replace('\n', "\\n");
        let whole = name.is_empty() && (value.contains(['=', ':', ' ', '"']));
        let (path, before, text) = match at % 14 {
            _ if whole => ([".env", "deploy.yml", "app.conf", "setup.sh"][at % 4], "# settings\n", value.clone()),
            0 => (".env", "NODE_ENV=production\n", format!("{own}={one}")),
            1 => (".env.production", "NODE_ENV=production\n", format!("export {own}=\"{one}\"")),
            2 => (
                "docker-compose.yml",
                "services:\n  web:\n    image: shop\n    environment:\n",
                format!("      {own}: {one}"),
            ),
            3 => (
                "docker-compose.yml",
                "services:\n  web:\n    image: shop\n    environment:\n",
                format!("      - {own}={one}"),
            ),
            4 => ("Dockerfile", "FROM node:22\n", format!("ENV {own}={one}")),
            5 => ("Dockerfile", "FROM node:22\n", format!("ARG {own}=\"{one}\"")),
            6 => (
                ".github/workflows/ci.yml",
                "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    env:\n",
                format!("      {own}: '{one}'"),
            ),
            7 => (
                "k8s/web.yaml",
                "kind: Deployment\nspec:\n  env:\n",
                format!("    - name: {own}\n      value: \"{one}\""),
            ),
            8 => ("main.tf", "resource \"x\" \"y\" {\n", format!("  {snake} = \"{one}\"")),
            9 => ("variables.tf", "\n", format!("variable \"{snake}\" {{\n  type = string\n  default = \"{one}\"\n}}")),
            10 => ("application.properties", "server.port=8080\n", format!("spring.{}={one}", snake.replace('_', "-"))),
            11 => ("settings.json", "{\n  \"port\": 1,\n", format!("  \"{}\": \"{one}\"\n}}", camel(own))),
            12 => ("app.ini", "[main]\nport = 1\n", format!("{snake} = {one}")),
            _ => ("web.config", "<configuration>\n", format!("  <add key=\"{own}\" value=\"{}\" />", one)),
        };
        all.push(planted(path, before, &text, "\n", &what));
    }
    for rule in RULES.iter().filter(|rule| !rule.files.is_empty()) {
        for (at, example) in rule.examples.iter().enumerate() {
            let ending = &rule.files[at % rule.files.len()];
            let name = if ending.starts_with('.') || ending.contains('.') {
                format!("conf/a{ending}")
            } else {
                format!("conf/.{ending}")
            };
            all.push(planted(&name, "", &dice.fill(example), "\n", &rule.id));
        }
    }
    all
}

/// Notebooks, bundles, and texts that are written otherwise.
fn odd(seed: u64) -> Vec<Planted> {
    let mut dice = Dice::new(seed * 3 + 3);
    let filler = "function a(b,c){return b+c}var d=[1,2,3];".repeat(2_000);
    let mut all = Vec::new();
    for (at, (what, name, value)) in secrets(&mut dice).into_iter().enumerate() {
        let own = if name.is_empty() { "remote" } else { &name };
        let one = value.replace('\n', "\\n").replace('"', "'");
        let statement = format!("{} = \"{one}\"", own.to_lowercase());
        // No person's password can be told from a word among the thousands of a bundle.
        let random = dice.of(ALL, 28);
        let in_bundle = if name.is_empty() { &one } else { &random };
        let mut one = match at % 6 {
            0 => {
                let cell = serde_json::json!({"cells": [{"cell_type": "code", "source": ["import os\n", format!("{statement}\n")]}]});
                planted("analysis.ipynb", "", &serde_json::to_string(&cell).unwrap(), "", &what)
            }
            1 => planted(
                "public/app.min.js",
                "",
                &format!("{filler}x={{{}:\"{in_bundle}\"}};{filler}", camel(own)),
                "",
                &what,
            ),
            2 | 3 => {
                let text = format!("a = 1\r\n{statement}\r\nb = 2\r\n");
                let units = text.encode_utf16().flat_map(if at % 2 == 0 { u16::to_le_bytes } else { u16::to_be_bytes });
                let mark: &[u8] = if at % 2 == 0 { &[0xFF, 0xFE] } else { &[0xFE, 0xFF] };
                Planted {
                    path: "Settings.ps1".into(),
                    bytes: [mark.to_vec(), units.collect()].concat(),
                    line: 2,
                    what: what.clone(),
                }
            }
            4 => planted("src/windows.py", "import os\r\nA = 1\r\n", &format!("{statement}\r"), "\n", &what),
            _ => planted(
                "src/data.js",
                "",
                &format!("var rows=[{}];var {}=\"{in_bundle}\";", "\"aaa\",1,".repeat(9_000), camel(own)),
                "\n",
                &what,
            ),
        };
        one.what = format!("{}: {what}: {value}", one.path);
        all.push(one);
    }
    all
}

/// Several of one kind: one alone may be lucky.
fn corpora(kind: fn(u64) -> Vec<Planted>) -> Vec<Planted> {
    (1..=4).flat_map(kind).collect()
}

fn share_found(corpus: &[Planted]) -> f64 {
    let is_found = |planted: &&Planted| {
        let found = scan(&planted.bytes, &planted.path, &Live::default());
        let near = |place: &str| {
            place
                .rsplit_once(':')
                .and_then(|(_, line)| line.parse::<usize>().ok())
                .is_some_and(|line| (planted.line..planted.line + 4).contains(&line))
        };
        found.findings.iter().any(|finding| near(&finding.place))
    };
    let missed: Vec<&Planted> = corpus.iter().filter(|planted| !is_found(planted)).collect();
    for planted in &missed {
        eprintln!("missed in {}: {}", planted.path, planted.what.chars().take(160).collect::<String>());
    }
    let share = 1.0 - missed.len() as f64 / corpus.len() as f64;
    eprintln!("{} of {} found: {:.1}%", corpus.len() - missed.len(), corpus.len(), share * 100.0);
    share
}

#[test]
fn of_secrets_in_code_19_of_20_are_found() {
    assert!(share_found(&corpora(code)) >= 0.95);
}

#[test]
fn of_secrets_in_settings_19_of_20_are_found() {
    assert!(share_found(&corpora(settings)) >= 0.95);
}

#[test]
fn of_secrets_in_odd_files_19_of_20_are_found() {
    assert!(share_found(&corpora(odd)) >= 0.95);
}

#[test]
fn of_secrets_in_history_19_of_20_are_found() {
    use seaworthy_repository::{Git, Sample};
    let mut corpus = code(1);
    corpus.extend(settings(1));
    corpus.extend(odd(1));
    let folder = tempfile::tempdir().unwrap();
    for (at, planted) in corpus.iter().enumerate() {
        let (folders, name) = planted.path.rsplit_once('/').unwrap_or(("", &planted.path));
        let path = folder.path().join(folders).join(format!("s{at}")).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &planted.bytes).unwrap();
    }
    let keep = Sample::of(&[]).committed();
    keep.write(folder.path()).unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap().flatten().filter(|entry| entry.file_name() != ".git") {
        if entry.file_type().unwrap().is_dir() {
            std::fs::remove_dir_all(entry.path()).unwrap();
        } else {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    Sample::of(&[("a", "")]).committed().write(folder.path()).unwrap();
    let git = Git::open(folder.path()).unwrap();
    let mut found = 0;
    git.blobs(16 << 20, |blob| {
        found += usize::from(!scan(&blob.content, &blob.path, &Live::default()).findings.is_empty())
    })
    .unwrap();
    assert!(found as f64 >= corpus.len() as f64 * 0.95, "{found} of {}", corpus.len());
}

#[test]
fn there_are_sixty_kinds_and_each_finds_its_examples() {
    assert!(RULES.len() >= 60);
    let mut dice = Dice::new(4);
    for rule in RULES.iter() {
        assert!(!rule.examples.is_empty(), "{}", rule.id);
        let tries = (0..20).flat_map(|_| &rule.examples).map(|example| dice.fill(example)).collect::<Vec<_>>();
        let path = match rule.files.first() {
            Some(ending) => format!("conf/a{ending}"),
            None => "a.env".to_owned(),
        };
        let found = tries.iter().filter(|text| {
            let found = scan(format!("x\n{text}\ny\n").as_bytes(), &path, &Live::default());
            found.findings.iter().any(|finding| finding.title == rule.title)
                || rule.id == "rails-master-key"
                || !found.findings.is_empty()
        });
        let (found, tried) = (found.count(), tries.len());
        assert!(found * 100 >= tried * 80, "{}: {found} of {tried}, such as {}", rule.id, tries[0]);
    }
}

/// For measuring on trees that have none: `SEAWORTHY_MEASURE=DIR:DIR cargo test --release … -- --ignored measure`. Each
/// hit is to be judged by hand.
#[test]
#[ignore = "for measuring on folders that are given"]
fn measure_on_given_folders() {
    use seaworthy_repository::{Walk, bounded};
    let (mut files, mut hits, mut unique) = (0, 0, std::collections::BTreeSet::new());
    for root in std::env::split_paths(&std::env::var_os("SEAWORTHY_MEASURE").unwrap_or_default()) {
        let walked = Walk { skipped: &[&[".git"]], obeys_ignore: false, most: 1_000_000 }.through(&root).unwrap();
        for file in walked.files {
            let Some(bytes) = bounded(&root.join(&file.path), 16 << 20) else { continue };
            files += 1;
            // A package is a project here, not what others wrote.
            let path = file.path.to_string_lossy().into_owned();
            let own = ["node_modules/", "site-packages/", "dist-packages/"]
                .iter()
                .filter_map(|folder| Some(path.rfind(folder)? + folder.len()))
                .max();
            for finding in scan(&bytes, &path[own.unwrap_or(0)..], &Live::default()).findings {
                hits += 1;
                if unique.insert(finding.hash) {
                    let line =
                        finding.place.rsplit_once(':').and_then(|(_, line)| line.parse::<usize>().ok()).unwrap_or(1);
                    let text = super::readable(&bytes)
                        .unwrap_or_default()
                        .split(|byte| *byte == b'\n')
                        .nth(line - 1)
                        .map(|line| String::from_utf8_lossy(&line[..line.len().min(160)]).trim().to_owned());
                    eprintln!(
                        "HIT {} | {path}:{line} | {} | {}",
                        finding.title,
                        finding.shown,
                        text.unwrap_or_default()
                    );
                }
            }
        }
    }
    eprintln!("{hits} hits ({} values) in {files} files", unique.len());
}
