//! `config.debug-off`: the debug switches of files and starts are off. What a visitor sees of an error, only a live look tells.

use std::{path::Path, sync::LazyLock};

use seaworthy_repository::{Cases, Inspection, Pattern, Repository, Sample, Sighting, Source};
use serde::Deserialize;

use super::starts::{ProductionStart, is_for_development, production_starts};
use seaworthy_repository::environment::{Purpose, is_tool, settings};

pub(super) struct DebugOff;

#[derive(Deserialize)]
struct Switches {
    switch: Vec<Switch>,
    start: Vec<StartPiece>,
    variable: Vec<VariableValue>,
}

#[derive(Deserialize)]
struct Switch {
    name: String,
    extensions: Vec<String>,
    requires: Option<Pattern>,
    #[serde(default)]
    files: Vec<String>,
    on: Pattern,
    off: Option<Pattern>,
    set: Option<Pattern>,
    unsure: Option<Pattern>,
    #[serde(default)]
    served: bool,
}

#[derive(Deserialize)]
struct StartPiece {
    piece: String,
}

#[derive(Deserialize)]
struct VariableValue {
    name: String,
    on: Vec<String>,
}

#[expect(clippy::expect_used, reason = "a constant text, read in every test")]
static SWITCHES: LazyLock<Switches> =
    LazyLock::new(|| toml::from_str(include_str!("switches.toml")).expect("the list of switches is valid"));

impl Inspection for DebugOff {
    fn control(&self) -> &'static str {
        "config.debug-off"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        let starts = production_starts(repository);
        let mut cases = Cases::plan(0);
        let code = of_code(repository, &starts, &mut cases);
        of_starts(&starts, &mut cases);
        let set = of_variables(repository, &mut cases);
        node(repository, &starts, &mut cases);
        if let Some(why) = repository.not_whole() {
            cases.told_nothing(why);
        }
        let sighting = cases.sighting(format!(
            "{code} switches in code, {} production starts and {set} variables in files: all off",
            starts.len()
        ));
        if sighting.planned == 0 && repository.not_whole().is_none() {
            return Sighting::unclear(
                "no debug switch that is known here and no start for production is seen; the live app would tell",
            );
        }
        sighting
    }

    fn present(&self) -> Sample {
        Sample::of(&[
            ("shop/settings.py", DJANGO),
            ("Dockerfile", "FROM python:3.14\nCMD [\"gunicorn\", \"shop.wsgi\"]\n"),
        ])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[
            ("shop/settings.py", &DJANGO.replace("default=False", "default=True")),
            ("Dockerfile", "FROM python:3.14\nCMD [\"gunicorn\", \"shop.wsgi\"]\n"),
        ])
    }
}

const DJANGO: &str = "import environ\nenv = environ.Env()\nDEBUG = env.bool(\"DEBUG\", default=False)\nINSTALLED_APPS = []\nROOT_URLCONF = \"shop.urls\"\n";

/// Servers that import an app, and do not run what is below `__main__`.
const SERVERS: &[&str] = &[
    "gunicorn",
    "uvicorn",
    "hypercorn",
    "daphne",
    "waitress",
    "uwsgi",
    "granian",
    "mod_wsgi",
    "flask run",
    "fastapi run",
];

fn of_code(repository: &Repository, starts: &[ProductionStart], cases: &mut Cases) -> usize {
    let served = starts.iter().any(|start| SERVERS.iter().any(|server| start.command.contains(server)));
    let mut count = 0;
    for switch in &SWITCHES.switch {
        let mut on: Option<String> = None;
        let mut doubtful: Option<String> = None;
        let (mut off, mut off_in_production) = (0, false);
        for (path, source) in repository.sources().iter().filter(|(path, _)| switch.fits(path)) {
            if switch.requires.as_ref().is_some_and(|requires| source.matches(&requires.0).next().is_none()) {
                continue;
            }
            let hits: Vec<usize> =
                source.matches(&switch.on.0).map(|found| found.get(0).map_or(0, |whole| whole.start())).collect();
            let (conditional, certain): (Vec<usize>, Vec<usize>) =
                hits.into_iter().partition(|at| is_below_condition(source, *at));
            if let Some(at) = conditional.first() {
                cases.told_nothing(format!(
                    "{}:{} switches {} on in some case; which one, only a run tells",
                    path.display(),
                    source.line(*at),
                    switch.name
                ));
            }
            let bad = certain.first().map(|at| source.line(*at));
            let good = bad.is_none().then(|| switch.off_in(source));
            if let Some(Off::Doubtful(line)) = good {
                doubtful.get_or_insert(format!("{}:{line}", path.display()));
            }
            let good = good == Some(Off::Yes);
            if let Some(line) = bad {
                on.get_or_insert(format!("{}:{line}", path.display()));
            }
            off += usize::from(good);
            off_in_production |= good && is_for_production(path);
        }
        let ignored = off_in_production || (switch.served && served);
        if let Some(place) = doubtful.filter(|_| !ignored) {
            cases.told_nothing(format!("{place} sets {} to what only a run tells", switch.name));
        }
        match on.filter(|_| !ignored) {
            Some(place) => cases.tried(false, format!("{place} switches {} on", switch.name)),
            None if off > 0 => cases.tried(true, format!("{} is off in {off} files", switch.name)),
            None => continue,
        }
        cases.plan_more(1);
        count += 1;
    }
    count
}

/// A word of the path says so; `products` does not.
fn is_for_production(path: &Path) -> bool {
    let text = path.to_string_lossy().to_lowercase();
    text.split(|letter: char| !letter.is_alphanumeric()).any(|word| ["prod", "production"].contains(&word))
}

/// Whether a file switches it off.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Off {
    Yes,
    /// It sets it on this line, to what only a run tells.
    Doubtful(usize),
    Unsaid,
}

/// The line above begins an `if`, other than the one of a program that is run by itself.
fn is_below_condition(source: &Source, at: usize) -> bool {
    let start = source.code[..at].rfind('\n').map_or(0, |before| before + 1);
    let indented = source.code[start..].starts_with([' ', '\t']);
    let above = source.code[..start].lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let condition = ["if ", "elif ", "else", "} else", "when "].iter().any(|word| above.trim_start().starts_with(word));
    indented && condition && !above.contains("__name__")
}

impl Switch {
    fn off_in(&self, source: &Source) -> Off {
        let starts = |pattern: &Option<Pattern>| -> Vec<usize> {
            let found = pattern.iter().flat_map(|pattern| source.matches(&pattern.0));
            found.filter_map(|found| found.get(0)).map(|whole| whole.start()).collect()
        };
        let unsure = starts(&self.unsure);
        let off: Vec<usize> = starts(&self.off).into_iter().filter(|at| !unsure.contains(at)).collect();
        // What `environ.Env` is told elsewhere in the file says it for `env("DEBUG")` too.
        let set = starts(&self.set);
        let elsewhere = off.iter().any(|at| !set.contains(at)) && !set.is_empty();
        match set.iter().find(|at| !off.contains(at)).filter(|_| !elsewhere) {
            Some(at) => Off::Doubtful(source.line(*at)),
            None if off.is_empty() => Off::Unsaid,
            None => Off::Yes,
        }
    }

    fn fits(&self, path: &Path) -> bool {
        let ending = path.extension().and_then(|own| own.to_str()).unwrap_or_default();
        let text = path.to_string_lossy();
        let config = !self.files.is_empty();
        self.extensions.iter().any(|own| own == ending)
            && (!config || self.files.iter().any(|piece| text.contains(piece.as_str())))
            && (config || (!is_tool(path) && !is_for_development(path)))
    }
}

fn of_starts(starts: &[ProductionStart], cases: &mut Cases) {
    for start in starts {
        cases.plan_more(1);
        let command = &start.command;
        // `vite` alone is its development server.
        let bare_vite = command.ends_with("→ vite")
            || command.trim() == "vite"
            || command.contains("npx vite ") && !command.contains("build") && !command.contains("preview");
        let piece = SWITCHES
            .start
            .iter()
            .map(|start| start.piece.as_str())
            .find(|piece| command.contains(piece))
            .or(bare_vite.then_some("vite"));
        match piece {
            Some(piece) => cases.tried(false, format!("{} starts the app for development (`{piece}`)", start.place)),
            None => cases.tried(true, format!("{} starts it for production", start.place)),
        }
    }
}

fn of_variables(repository: &Repository, cases: &mut Cases) -> usize {
    let mut count = 0;
    for setting in settings(repository).iter().filter(|setting| setting.purpose != Purpose::Development) {
        let Some(known) = SWITCHES.variable.iter().find(|known| known.name == setting.name) else { continue };
        let value = super::values::own_value(&setting.value).map(str::to_lowercase);
        let on = value.is_some_and(|value| known.on.contains(&value));
        count += 1;
        cases.plan_more(1);
        let seen = format!(
            "{} sets {} {}",
            setting.place,
            setting.name,
            if on { "to a value for development" } else { "to no value for development" }
        );
        cases.tried(!on, seen);
    }
    count
}

/// Express shows stack traces unless it is told that this is production.
fn node(repository: &Repository, starts: &[ProductionStart], cases: &mut Cases) {
    let own =
        repository.depends_on("javascript", &["express", "koa", "@nestjs/platform-express", "@feathersjs/express"]);
    let in_container = |start: &&ProductionStart| {
        let words = ["node ", "npm ", "yarn ", "pnpm ", "pm2"];
        start.in_container
            && words.iter().any(|word| start.command.contains(word))
            && !start.command.contains("next start")
    };
    let Some(start) = starts.iter().find(in_container).filter(|_| own) else { return };
    let told = settings(repository).iter().any(|setting| setting.name == "NODE_ENV" && setting.value.contains("prod"))
        || starts.iter().any(|start| start.command.contains("NODE_ENV=production"))
        || repository.sources().values().any(|source| {
            source.code.contains("NODE_ENV = \"production\"") || source.code.contains("NODE_ENV = 'production'")
        });
    cases.plan_more(1);
    let seen = if told {
        "NODE_ENV is production".to_owned()
    } else {
        format!("{} starts Express, and no file sets NODE_ENV=production: errors then show their stack", start.place)
    };
    cases.tried(told, seen);
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        DebugOff.look(&Repository::open(folder.path()).unwrap()).outcome
    }

    fn is_broken(files: &[(&str, &str)]) -> bool {
        matches!(outcome(files), Outcome::Broken(_))
    }

    #[test]
    fn switches_that_are_on() {
        for text in [
            "DEBUG = True\nINSTALLED_APPS = []\n",
            "DEBUG = os.getenv('DEBUG', 'True') == 'True'\nINSTALLED_APPS = []\n",
            "DEBUG = config('DEBUG', default=True, cast=bool)\nINSTALLED_APPS = []\n",
        ] {
            assert!(is_broken(&[("shop/settings.py", text)]), "{text}");
        }
        assert!(is_broken(&[("app.py", "app.run(host='0.0.0.0', debug=True)\n")]));
        assert!(is_broken(&[("app.py", "x"), ("Dockerfile", "FROM x\nCMD uvicorn app:app --reload\n")]));
        assert!(is_broken(&[
            ("package.json", "{\"scripts\": {\"start\": \"nodemon a.js\"}}"),
            ("Procfile", "web: npm start\n")
        ]));
        assert!(is_broken(&[
            ("package.json", "{\"dependencies\": {\"express\": \"5\"}}"),
            ("Dockerfile", "FROM node\nCMD node a.js\n")
        ]));
        assert!(is_broken(&[("config/environments/production.rb", "  config.consider_all_requests_local = true\n")]));
        assert!(is_broken(&[("next.config.js", "module.exports = { productionBrowserSourceMaps: true }\n")]));
    }

    #[test]
    fn a_text_is_true_and_what_is_unsure_tells_nothing() {
        let django = |text: &str| outcome(&[("s/settings.py", &format!("{text}\nINSTALLED_APPS = []\n"))]);
        for text in [
            "DEBUG = os.environ.get(\"DEBUG\", \"False\")",
            "DEBUG = bool(os.getenv(\"DEBUG\", \"0\"))",
            "DEBUG = int(os.environ.get(\"DEBUG\", 1))",
        ] {
            assert!(matches!(django(text), Outcome::Broken(_)), "{text}");
        }
        for text in [
            "DEBUG = False",
            "DEBUG = int(os.environ.get(\"DEBUG\", 0))",
            "DEBUG = bool(int(os.getenv(\"DEBUG\", \"0\")))",
            "DEBUG = config(\"DEBUG\", default=False, cast=bool)",
            "DEBUG = os.getenv(\"DEBUG\") == \"1\"",
            "DEBUG = strtobool(os.getenv(\"DEBUG\", \"no\"))",
            "env = environ.Env(DEBUG=(bool, False))\nDEBUG = env(\"DEBUG\")",
        ] {
            assert_eq!(django(text), Outcome::Holds, "{text}");
        }
        for text in [
            "DEBUG = local",
            "DEBUG = env(\"DEBUG\")",
            "DEBUG = os.environ.get(\"DEBUG\")",
            "DEBUG = not config(\"PROD\", default=False, cast=bool)",
        ] {
            assert!(matches!(django(text), Outcome::Unclear(_)), "{text}");
        }
        assert_eq!(outcome(&[("a.py", "app = FastAPI(lifespan=load(), title=\"a\")\n")]), Outcome::Holds);
        assert_eq!(outcome(&[("a.py", "app = FastAPI(title=\"a\", debug=False)\n")]), Outcome::Holds);
        assert!(matches!(outcome(&[("a.py", "app = FastAPI(debug=settings.debug)\n")]), Outcome::Unclear(_)));
    }

    #[test]
    fn products_are_no_production() {
        let on = ("s/base.py", "DEBUG = True\nINSTALLED_APPS = []\n");
        assert!(is_broken(&[on, ("products/settings.py", "DEBUG = False\nINSTALLED_APPS = []\n")]));
    }

    #[test]
    fn switches_that_are_off_or_for_development() {
        let base = "DEBUG = True\nINSTALLED_APPS = []\n";
        assert_eq!(
            outcome(&[("s/base.py", base), ("s/production.py", "from .base import *\nDEBUG = False\n")]),
            Outcome::Holds
        );
        assert_eq!(
            outcome(&[
                ("app.py", "if __name__ == '__main__':\n    app.run(debug=True)\n"),
                ("Procfile", "web: gunicorn app:app\n")
            ]),
            Outcome::Holds
        );
        let node = "{\"dependencies\": {\"express\": \"5\"}}";
        assert_eq!(
            outcome(&[("package.json", node), ("Dockerfile", "FROM node\nENV NODE_ENV=production\nCMD node a.js\n")]),
            Outcome::Holds
        );
        let asked = "DEBUG = os.getenv('DEBUG', 'False').lower() in ('1', 'true', 'yes')\nINSTALLED_APPS = []\n";
        assert_eq!(outcome(&[("s/settings.py", asked)]), Outcome::Holds);
        assert!(matches!(
            outcome(&[("a.py", "def a(debug):\n    if debug:\n        app.debug = True\n")]),
            Outcome::Unclear(_)
        ));
        assert!(matches!(outcome(&[("s/dev.py", base), ("a.py", "x = 1")]), Outcome::Unclear(_)));
    }
}
