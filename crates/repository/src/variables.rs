//! Every environment variable that the code reads, with the places and the default that the code itself has.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use regex::Captures;

use crate::{
    knowledge::{Knowledge, Reading},
    settings_class,
    source::Source,
    tree::Tree,
};

/// One variable.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Variable {
    /// What the code takes when it is not set, where that is written as a literal.
    pub default: Option<String>,
    /// Where it is read, in the order of files: path and line.
    pub places: Vec<(PathBuf, usize)>,
}

/// Variables that the system, a language or Seaworthy itself sets.
const LEFT_OUT: &[&str] = &[
    "PORT",
    "HOME",
    "PATH",
    "PWD",
    "USER",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TERM",
    "TMPDIR",
    "TEMP",
    "TMP",
    "HOSTNAME",
    "CI",
    "NO_COLOR",
    "DJANGO_SETTINGS_MODULE",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "NODE_PATH",
    "BUNDLE_GEMFILE",
    "MODE",
    "DEV",
    "PROD",
    "SSR",
    "BASE_URL",
];

/// Those of the above that only Vite sets: anywhere else they are the app's own.
const OF_VITE: &[&str] = &["MODE", "DEV", "PROD", "SSR", "BASE_URL"];

/// What the code reads.
#[derive(Debug, Default)]
pub struct Variables {
    /// By name.
    pub all: BTreeMap<String, Variable>,
    /// The code reads `PORT`.
    pub reads_port: bool,
}

impl Variables {
    /// Looks through all sources of a tree.
    pub fn find(tree: &Tree, knowledge: &Knowledge) -> Self {
        let mut found = Self::default();
        for (path, source) in &tree.sources {
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            let Some(language) = knowledge.language_of(extension) else { continue };
            for reading in &language.environment {
                if reading.requires.as_ref().is_none_or(|requires| requires.0.is_match(&source.code)) {
                    found.read(path, source, reading);
                }
            }
            if let Some(base) = &language.settings_class {
                for field in settings_class::fields(source, base) {
                    found.add(&field.name, path, source.line(field.offset), field.default);
                }
            }
        }
        for variable in found.all.values_mut() {
            variable.places.sort();
            variable.places.dedup();
        }
        found
    }

    fn read(&mut self, path: &Path, source: &Source, reading: &Reading) {
        for matched in source.matches(&reading.pattern.0).filter(|matched| matched.name("write").is_none()) {
            if let Some(names) = matched.name("names") {
                for (name, default) in destructured(names.as_str()) {
                    self.add(name, path, source.line(names.start()), default);
                }
                continue;
            }
            let whole = matched.get(0).map_or(0, |whole| whole.start());
            let name = matched.name("name");
            let offset = name.map_or(whole, |name| name.start());
            let Some(name) = name.map(|name| name.as_str()).or(reading.fixed.as_deref()) else { continue };
            if OF_VITE.contains(&name) && !matched[0].starts_with("import") {
                self.add_any(name, path, source.line(offset), default_of(&matched));
            } else {
                self.add(name, path, source.line(offset), default_of(&matched));
            }
        }
    }

    fn add(&mut self, name: &str, path: &Path, line: usize, default: Option<String>) {
        self.reads_port |= name == "PORT";
        let is_name = !name.starts_with(|first: char| first.is_ascii_digit());
        if is_name && !LEFT_OUT.contains(&name) && !name.starts_with("SEAWORTHY_") {
            self.add_any(name, path, line, default);
        }
    }

    fn add_any(&mut self, name: &str, path: &Path, line: usize, default: Option<String>) {
        let variable = self.all.entry(name.to_owned()).or_default();
        variable.default = variable.default.take().or(default);
        variable.places.push((path.to_owned(), line));
    }
}

impl Variable {
    /// The default that may be shown: a secret has none, also when the code has one.
    pub fn shown_default(&self, name: &str) -> Option<&str> {
        self.default.as_deref().filter(|default| !is_secret(name) && !has_credentials(default))
    }
}

/// Whether a variable of this name holds a secret.
pub fn is_secret(name: &str) -> bool {
    const PARTS: &[&str] = &[
        "KEY",
        "PASS",
        "PWD",
        "PASSWD",
        "PASSPHRASE",
        "CREDENTIAL",
        "CREDENTIALS",
        "PRIVATE",
        "SALT",
        "DSN",
        "PEPPER",
        "AUTH",
    ];
    let name = name.to_ascii_uppercase();
    name.split('_').any(|part| PARTS.contains(&part))
        || ["SECRET", "PASSWORD", "TOKEN", "APIKEY"].iter().any(|part| name.contains(part))
}

/// The value of a literal, without its quotes.
pub fn literal(text: &str) -> String {
    let inner = ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
    inner.unwrap_or(text).to_owned()
}

/// `user:password@` in an address.
fn has_credentials(value: &str) -> bool {
    let authority = value.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or(rest));
    authority.and_then(|authority| authority.rsplit_once('@')).is_some_and(|(user, _)| user.contains(':'))
}

fn default_of(matched: &Captures<'_>) -> Option<String> {
    matched.name("default").map(|default| literal(default.as_str()))
}

/// `A, B: local, C = "default"`.
fn destructured(names: &str) -> impl Iterator<Item = (&str, Option<String>)> {
    names.split(',').filter_map(|part| {
        let (left, default) = part.split_once('=').map_or((part, None), |(left, right)| (left, Some(right.trim())));
        let name = left.split(':').next().unwrap_or_default().trim();
        let is_name = !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
        let is_literal =
            |text: &&str| text.starts_with(['"', '\'']) || text.starts_with(|letter: char| letter.is_ascii_digit());
        is_name.then(|| (name, default.filter(is_literal).map(literal)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_folder::folder_with;

    /// `NAME=default@line` for each variable of one file.
    fn read(name: &str, text: &str) -> Vec<String> {
        let knowledge = Knowledge::load().unwrap();
        let folder = folder_with(&[(name, text)]);
        let found = Variables::find(&Tree::read(folder.path(), &knowledge).unwrap(), &knowledge);
        let show = |(name, variable): (&String, &Variable)| {
            let lines: Vec<String> = variable.places.iter().map(|(_, line)| line.to_string()).collect();
            format!("{name}={}@{}", variable.default.as_deref().unwrap_or("-"), lines.join(","))
        };
        found.all.iter().map(show).collect()
    }

    #[test]
    fn python() {
        let text = r#"
import os
A = os.environ["A"]
B = os.environ.get("B", "b")
C = os.getenv('C', 3)
D = os.getenv("D", compute())
os.environ["WRITTEN"] = "x"
if "E" in os.environ and os.environ["E"] == "1": pass
# os.environ["COMMENT"]
TEXT = "os.environ['TEXT']"
""" os.environ["DOC"] """
F = f"{os.environ['F']} os.environ['G']"
request.environ["REMOTE_ADDR"]
os.environ.get(
    "H",  # why
    default="h",
)
port = os.environ["PORT"]
os.environ["SEAWORTHY_URL"]
os.environ.get("I", "a" "b")
os.environ["256"]
"#;
        assert_eq!(read("a.py", text), ["A=-@3", "B=b@4", "C=3@5", "D=-@6", "E=-@8", "F=-@12", "H=h@15", "I=-@20"]);
    }

    #[test]
    fn python_libraries() {
        let text = "from decouple import config\nX = config('A', default=True, cast=bool)\nY = config('B', cast=int)\n";
        assert_eq!(read("a.py", text), ["A=True@2", "B=-@3"]);
        assert_eq!(read("a.py", "from other import config\nX = config('A')\n"), [] as [String; 0]);
        let text = "from os import environ, getenv\nA = environ['A']\nB = getenv('B', 'b')\nC = 'C' in environ\nD = environ.get('D')\n";
        assert_eq!(read("a.py", text), ["A=-@2", "B=b@3", "C=-@4", "D=-@5"]);
        // What a server hands to an app has the same name and is no environment.
        let text =
            "def app(environ, start):\n    a = environ.get('HTTP_REMOTE_USER'), environ['x.y'], 'B' in environ\n";
        assert_eq!(read("a.py", text), [] as [String; 0]);
        let text = "import environ\nenv = environ.Env()\nA = env('A')\nB = env.int('B', default=2)\nC = env.db()\nD = env.bool('D', False)\n";
        assert_eq!(read("a.py", text), ["A=-@3", "B=2@4", "D=False@6", "DATABASE_URL=-@5"]);
    }

    #[test]
    fn javascript() {
        let text = r#"
const a = process.env.A || "a";
const b = process.env["B"] ?? 5;
const { C, D: local = "d", ...rest } = process.env;
process.env.WRITTEN = "x";
if (process.env.E === "production") {}
// process.env.COMMENT
/* process.env.COMMENT */
const text = "process.env.TEXT";
const f = `${process.env.F}/process.env.G`;
const port = process.env.PORT ?? 3000;
const h = process.env.H!;
const i = import.meta.env.VITE_I, mode = import.meta.env.MODE;
const j = process.env?.J;
const k = process.env.MODE;
"#;
        let expected =
            ["A=a@2", "B=5@3", "C=-@4", "D=d@4", "E=-@6", "F=-@10", "H=-@12", "J=-@14", "MODE=-@15", "VITE_I=-@13"];
        assert_eq!(read("a.ts", text), expected);
    }

    #[test]
    fn other_languages() {
        let text = "ENV['A'] || 'a'\nENV.fetch(\"B\") { 5 }\nENV.fetch('C', 'c')\nENV['W'] = 'x'\n# ENV['COMMENT']\nENV.fetch('D')\n\"#{ENV['E']}\"\n";
        assert_eq!(read("a.rb", text), ["A=a@1", "B=5@2", "C=c@3", "D=-@6", "E=-@7"]);
        let text = "a := os.Getenv(\"A\")\nb, ok := os.LookupEnv(\"B\")\nc := cmp.Or(os.Getenv(\"C\"), \"c\")\n// os.Getenv(\"COMMENT\")\nd := \"os.Getenv(`TEXT`)\"\n";
        assert_eq!(read("a.go", text), ["A=-@1", "B=-@2", "C=c@3"]);
        let text = "import \"github.com/caarlos0/env/v11\"\ntype C struct {\n\tHome string `env:\"A,required\"`\n\tP int `env:\"B\" envDefault:\"3\"`\n}\n";
        assert_eq!(read("a.go", text), ["A=-@3", "B=3@4"]);
        let text = "let a = std::env::var(\"A\");\nlet b = env::var(\"B\").unwrap_or_else(|_| \"b\".into());\n// env::var(\"COMMENT\")\nlet c = \"env::var(C)\"; let d = env::var_os(\"D\");\n";
        assert_eq!(read("a.rs", text), ["A=-@1", "B=b@2", "D=-@4"]);
    }

    #[test]
    fn a_secret_shows_no_default() {
        let shown = |name: &str, default: &str| {
            Variable { default: Some(default.into()), places: Vec::new() }.shown_default(name).map(String::from)
        };
        assert_eq!(shown("LOG_LEVEL", "info").as_deref(), Some("info"));
        assert_eq!(shown("DATABASE_URL", "sqlite:///a.db").as_deref(), Some("sqlite:///a.db"));
        for (name, default) in [
            ("SECRET_KEY", "insecure"),
            ("STRIPE_APIKEY", "sk"),
            ("DB_PASS", "x"),
            ("authToken", "x"),
            ("DATABASE_URL", "postgres://me:hunter2@db/app"),
        ] {
            assert_eq!(shown(name, default), None, "{name}");
        }
        assert!(!is_secret("KEYBOARD") && !is_secret("COMPASS_URL") && !is_secret("AUTHOR"));
    }
}
