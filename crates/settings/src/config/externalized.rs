//! `config.externalized`: no address of an environment is in code: hosts with ports, connection strings, internal names, accounts.

use std::{path::Path, sync::LazyLock};

use regex::Regex;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting, Source};

use super::starts::is_for_development;
use seaworthy_repository::environment::{is_tool, tests_begin};

pub(super) struct Externalized;

/// What, and the text that has it; all stand within quotes.
const SHAPES: &[(&str, &str)] = &[
    (
        "an address on one machine",
        r#"["'`](?:https?|wss?|redis|rediss|postgres(?:ql)?(?:\+\w+)?|mysql(?:\+\w+)?|mongodb(?:\+srv)?|amqps?|kafka|nats|ftp|smtp|grpc)://(?:[^\s"'`@/]*@)?(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])[:/"'`]"#,
    ),
    (
        "a connection string",
        r#"["'`](?:redis|rediss|postgres(?:ql)?(?:\+\w+)?|mysql(?:\+\w+)?|mongodb(?:\+srv)?|amqps?|nats)://(?:[^\s"'`@/{}$%<>]*@)?[a-z0-9][\w.-]*(?::\d+)?(?:/[\w-]*)?["'`]"#,
    ),
    (
        "a private network's address",
        r#"["'`](?:https?://)?(?:10\.\d{1,3}\.\d{1,3}\.\d{1,3}|192\.168\.\d{1,3}\.\d{1,3}|172\.(?:1[6-9]|2\d|3[01])\.\d{1,3}\.\d{1,3})(?::\d+)?(?:/[a-z][^"'`\n]*)?["'`]"#,
    ),
    (
        "a host of one environment",
        r#"["'`](?:\w+://)?[\w.-]+\.(?:rds\.amazonaws\.com|cache\.amazonaws\.com|elb\.amazonaws\.com|svc\.cluster\.local|herokuapp\.com|ngrok\.io|ngrok-free\.app|azurewebsites\.net|database\.windows\.net|onrender\.com|fly\.dev|up\.railway\.app|internal|supabase\.co)(?::\d+)?(?:/[^"'`\n]*)?["'`]"#,
    ),
    ("an account of a cloud", r#"["'`]arn:aws[\w-]*:[\w-]+:[\w-]*:\d{12}:[^"'`\n]*["'`]"#),
    ("a bucket", r#"["'`](?:s3|gs)://[a-z0-9][a-z0-9.-]{2,62}(?:/[^"'`{}\n]*)?["'`]"#),
    (
        "a host and its port",
        r#"\b(?:host|hostname|bootstrap_servers|brokers)\s*[=:]\s*["'`](?:localhost|127\.0\.0\.1)(?::\d+)?["'`]\s*,\s*(?:port|db|user|username|password|database)\b"#,
    ),
];

#[expect(clippy::expect_used, reason = "constant patterns, compiled in every test")]
static PATTERNS: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    SHAPES.iter().map(|(what, shape)| (*what, Regex::new(shape).expect("the pattern is valid"))).collect()
});

/// On the same line these make it a default of a variable, a check, a message, or a command's option.
const EXCUSES: &[&str] = &[
    "environ",
    "getenv",
    "process.env",
    "import.meta.env",
    "env(",
    "env.",
    "Env(",
    "ENV[",
    "ENV.fetch",
    "config(",
    "Field(",
    "default=",
    "default:",
    "DEFAULT_",
    "default_",
    "||",
    "??",
    "print(",
    "console.",
    "logger",
    "logging",
    "log.",
    ".info(",
    ".debug(",
    "echo(",
    "help=",
    "help:",
    "description=",
    "description:",
    "example",
    "placeholder",
    "==",
    "!=",
    ".startswith(",
    ".startsWith(",
    ".includes(",
    " in (",
    " in [",
    "add_argument",
    "add_option",
    "ALLOWED_HOSTS",
    "allowed_hosts",
    "allow_origins",
    "allowedHosts",
    "CSRF",
    "raise ",
    "throw ",
    "Error(",
    ".listen(",
    "uvicorn.run(",
    "app.run(",
    "new URL(",
    "assert",
    "click.",
    "fallback",
    "$schema",
    "schema.json",
    "default'",
    "default\"",
    "host.docker.internal",
];

/// Excuses that are also parts of other words: `catalog(`, `original`.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static WORDS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:^|[^A-Za-z])(?:log\(|(?:origins?|warn(?:ings?)?|cors|CORS)(?:[^a-z]|$))")
        .expect("the pattern is valid")
});

/// The default of a dictionary; the address that `requests.get` asks is none.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static DEFAULT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"\.get\(\s*["'][^"'\n]+["']\s*,\s*$"#).expect("the pattern is valid"));

/// The own machine, with a port that the code puts in.
const OWN_PORT: &[&str] = &[
    "://127.0.0.1:{",
    "://localhost:{",
    "://127.0.0.1:$",
    "://localhost:$",
    "://127.0.0.1:%",
    "://localhost:%",
    "://0.0.0.0:{",
    "://0.0.0.0:$",
];

impl Inspection for Externalized {
    fn control(&self) -> &'static str {
        "config.externalized"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        Sample::of(&[("app/main.py", "import os, redis\ncache = redis.from_url(os.environ[\"REDIS_URL\"])\n")])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[(
            "app/main.py",
            "import redis\ncache = redis.from_url(\"redis://cache-1.orders.internal:6379/0\")\n",
        )])
    }
}

fn look(repository: &Repository) -> Sighting {
    let mut cases = Cases::plan(1);
    let sources: Vec<(&Path, &Source)> = repository
        .sources()
        .iter()
        .map(|(path, source)| (path.as_path(), source))
        .filter(|(path, _)| is_looked_at(path) && !repository.is_waived("config.externalized", path))
        .collect();
    if sources.is_empty() {
        return Sighting::unclear("there is no source in a language that is read here");
    }
    let (mut found, mut doubtful) = (Vec::new(), Vec::new());
    for (path, source) in &sources {
        for (what, pattern) in PATTERNS.iter() {
            // Below `__main__` it is for the developer who starts the file.
            let program = source.code.find("if __name__").unwrap_or(source.code.len());
            let end = tests_begin(source).unwrap_or(usize::MAX);
            for hit in pattern
                .find_iter(&source.code[..program])
                .take(MOST_OF_A_FILE)
                .filter(|hit| !is_excused(source, hit.start()))
            {
                let line = source.line(hit.start());
                let into = if is_parameter(source, hit.start()) { &mut doubtful } else { &mut found };
                into.extend((line < end).then(|| format!("{}:{line} has {what} in code", path.display())));
            }
        }
    }
    found.dedup();
    found.iter().take(50).for_each(|hit| cases.note(hit.clone()));
    match found.first() {
        None => cases.tried(true, format!("none in {} sources", sources.len())),
        Some(first) => cases.tried(false, format!("{first} ({} such in {} sources)", found.len(), sources.len())),
    }
    if let Some(first) = doubtful.first() {
        cases.told_nothing(format!(
            "{first}, as the default of a parameter: whether a caller gives another, only a run tells"
        ));
    }
    if let Some(why) = repository.not_whole() {
        cases.told_nothing(why);
    }
    if repository.variables().all.is_empty() {
        cases.told_nothing(format!("no address is found in {} sources, but none of them reads a variable either: where would settings come from?", sources.len()));
    }
    cases.sighting(format!(
        "no host, connection string, private address, account or bucket in {} sources; {} variables are read",
        sources.len(),
        repository.variables().all.len()
    ))
}

/// Files of settings are where such things belong, at least as defaults; tools are not the app.
fn is_looked_at(path: &Path) -> bool {
    let text = path.to_string_lossy().to_lowercase();
    let settings = text.split(['/', '.', '_', '-']).any(|word| {
        [
            "config",
            "configs",
            "configuration",
            "settings",
            "setting",
            "conf",
            "constants",
            "literals",
            "const",
            "defaults",
            "env",
            "environment",
            "environments",
            "example",
            "examples",
            "seed",
            "seeds",
            "fixtures",
            "mock",
            "mocks",
            "stories",
            "testing",
            "cli",
            "generated",
            "schema",
            "schemas",
        ]
        .contains(&word)
    });
    !settings && !is_tool(path) && !is_for_development(path) && !text.ends_with(".min.js")
}

/// The default of a parameter, which its callers may well set; or a socket between two processes of the app.
fn is_parameter(source: &Source, at: usize) -> bool {
    let start = source.code[..at].rfind('\n').map_or(0, |before| before + 1);
    let before = piece(&source.code, start.max(at.saturating_sub(WINDOW)), at).trim_start();
    let line = piece(&source.code, start.max(at.saturating_sub(WINDOW)), at + WINDOW)
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end();
    let annotated = before.ends_with("= ") && before.contains(": ") && line.ends_with([',', '"', '\'']);
    let annotated = annotated && !before.contains('(') && !before.starts_with("const ");
    // The app speaks of itself, on a port that it was given.
    let rest = piece(&source.code, at, at + WINDOW).lines().next().unwrap_or_default();
    let own_port = OWN_PORT.iter().any(|text| rest.contains(text));
    let loopback = line.contains("127.0.0.1") && line.contains("host") && !line.contains("://");
    annotated
        || own_port
        || is_in_signature(&source.code[..at])
        || loopback
        || before.starts_with("def ")
        || before.starts_with("async def ")
}

/// The parenthesis that is open here is that of a Python function's parameters.
fn is_in_signature(before: &str) -> bool {
    let mut depth = 0_usize;
    for (at, letter) in before.char_indices().rev().take(2_000) {
        match letter {
            ')' => depth += 1,
            '(' if depth > 0 => depth -= 1,
            '(' => {
                let line =
                    piece(before, at.saturating_sub(WINDOW), at).rsplit('\n').next().unwrap_or_default().trim_start();
                return line.starts_with("def ") || line.starts_with("async def ");
            }
            _ => {}
        }
    }
    false
}

fn is_excused(source: &Source, at: usize) -> bool {
    let code = &source.code;
    let start = code[..at].rfind('\n').map_or(0, |before| before + 1);
    let line = piece(code, start.max(at.saturating_sub(WINDOW)), at + WINDOW).lines().next().unwrap_or_default();
    // A call that began on a line above, with its default here.
    let above = piece(code, start.saturating_sub(WINDOW), start);
    let last_two = above.lines().rev().take(2);
    let opened = above.trim_end().ends_with('(')
        && last_two.into_iter().any(|line| EXCUSES[..12].iter().any(|word| line.contains(word)));
    let alternative = above.trim_end().ends_with(['|', '?']);
    let default = DEFAULT.is_match(piece(code, at.saturating_sub(WINDOW), at));
    let said = EXCUSES.iter().any(|word| line.contains(word)) || WORDS.is_match(line);
    source.is_text(at)
        || opened
        || alternative
        || default
        || said
        || is_last_resort(code, start, at)
        || is_for_developers(code, at)
}

/// `NAME = "` right before the address.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static CONSTANT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:export\s+)?(?:const\s+|let\s+|var\s+)?([A-Za-z_]\w*)\s*(?::\s*\w+\s*)?=\s*$")
        .expect("the pattern is valid")
});

/// A constant that is used only where something that was configured comes first: `given or NAME`.
fn is_last_resort(code: &str, start: usize, at: usize) -> bool {
    let Some(name) = code.get(start..at).and_then(|before| CONSTANT.captures(before)?.get(1)) else { return false };
    let word = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    let mut uses = 0;
    for (used, name) in code.match_indices(name.as_str()).filter(|(used, _)| !(start..at).contains(used)) {
        let before = &code[..used];
        if word(before.chars().next_back()) || word(code[used + name.len()..].chars().next()) {
            continue;
        }
        let before = before.trim_end();
        if !(before.ends_with(" or") || before.ends_with("||") || before.ends_with("??")) {
            return false;
        }
        uses += 1;
    }
    uses > 0
}

/// A condition that only a developer's machine meets.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static DEVELOPMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\bif\b[^\n{]*(?:[^!]==?=?\s*["']development["']|!==?\s*["']production["'])[^\n{]*\{"#)
        .expect("the pattern is valid")
});

/// Inside the braces of such a condition.
fn is_for_developers(code: &str, at: usize) -> bool {
    let before = piece(code, at.saturating_sub(5 * WINDOW), at);
    DEVELOPMENT.find_iter(before).any(|condition| {
        let mut depth = 1_i32;
        before[condition.end()..].chars().all(|letter| {
            depth += i32::from(letter == '{') - i32::from(letter == '}');
            depth > 0
        })
    })
}

/// One is enough to know; all of a generated file would take long.
const MOST_OF_A_FILE: usize = 100;

/// So many bytes around a place tell what it is for; lines of generated code are longer than anyone reads.
const WINDOW: usize = 400;

/// What is between two places, moved to where characters begin.
fn piece(text: &str, from: usize, to: usize) -> &str {
    let from = text.ceil_char_boundary(from.min(text.len()));
    let to = text.floor_char_boundary(to.min(text.len()));
    text.get(from..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn count(name: &str, text: &str) -> usize {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(&[(name, text), ("b.py", "import os\nA = os.environ['A']\n")]).write(folder.path()).unwrap();
        let seen = look(&Repository::open(folder.path()).unwrap());
        match seen.outcome {
            Outcome::Holds => 0,
            Outcome::Broken(_) => seen.notes.len(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn addresses_of_one_environment_are_found() {
        for text in [
            "fetch(\"http://localhost:8000/api/orders\")\n",
            "const pool = new Pool({ host: 'localhost', port: 5432 })\n",
            "const r = connect('redis://cache:6379')\n",
            "const u = 'http://10.0.3.7:9200'\n",
            "const b = \"s3://orders-production/files\"\n",
            "axios.get(\"http://localhost:4000\")\n",
            "const items = catalog('http://localhost:4000/x')\n",
            "const original = 'http://localhost:4000/x'\n",
            "const d = 'orders.abc123.eu-central-1.rds.amazonaws.com'\n",
        ] {
            assert_eq!(count("src/a.js", text), 1, "{text}");
        }
    }

    #[test]
    fn what_is_no_setting_is_left_alone() {
        for text in [
            "const u = process.env.API_URL || 'http://localhost:8000'\n",
            "console.log(`on http://localhost:${port}`)\n",
            "const s = 'https://json-schema.org/draft/2020-12/schema'\n",
            "const s = 'https://api.stripe.com/v1'\n",
            "if (host === 'localhost') {}\n",
            "app.listen(3000, '0.0.0.0')\n",
            "const u = options.get('url', 'http://localhost:8000')\n",
            "const corsOptions = ['http://localhost:8000']\n",
            "// see http://localhost:3000/x\n",
            "const v = '10.0.3.7-beta'\n",
            "const OLLAMA = 'http://localhost:11434'\nconst base = options.base || OLLAMA\n",
            "if (config.get('env') === 'development') {\n  app.get('/x', () => {\n    res.redirect(`http://localhost:4200/x`);\n  });\n}\n",
        ] {
            assert_eq!(count("src/a.js", text), 0, "{text}");
        }
        let used = "OLLAMA = 'http://localhost:11434'\nbase = (given or OLLAMA).rstrip('/')\n";
        assert_eq!(count("a.py", used), 0);
        assert_eq!(count("a.py", &format!("{used}get(OLLAMA)\n")), 1);
        assert_eq!(count("a.py", "OLLAMA = 'http://localhost:11434'\n"), 1);
        let ended = "if (env === 'development') {\n  x();\n}\nfetch('http://localhost:4200/x');\n";
        assert_eq!(count("src/a.js", ended), 1);
        assert_eq!(count("src/a.js", "if (env === 'production') {\n  fetch('http://localhost:4200/x');\n}\n"), 1);
        assert_eq!(count("a/literals.py", "ENDPOINT = 'http://localhost:11434/api'\n"), 0);
        assert_eq!(count("src/config.js", "export const u = 'http://localhost:8000/x'\n"), 0);
        assert_eq!(count("a.py", "if __name__ == '__main__':\n    go('http://localhost:80/')\n"), 0);
        assert_eq!(count("a.py", "def f():\n    \"\"\"\n    f('redis://localhost')\n    \"\"\"\n"), 0);
    }
}
