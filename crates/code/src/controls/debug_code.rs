//! `config.debug-code`: no prints, console logs or breakpoints are left in what ships.

use std::path::Path;

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use crate::{
    code::Code,
    habits::{habits_of, has, has_module},
    module::{Call, Module},
    pages::with_scripts,
    shipped::{front_ends, is_asset, serves, shipped},
};

pub(crate) struct DebugCode;

const CONTROL: &str = "config.debug-code";

impl Inspection for DebugCode {
    fn control(&self) -> &'static str {
        CONTROL
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        Sample::of(&[
            ("requirements.txt", "fastapi\n"),
            (
                "app/main.py",
                "import logging\n\nfrom fastapi import FastAPI\n\napp = FastAPI()\nlog = logging.getLogger(__name__)\n\n\n@app.get(\"/\")\ndef home():\n    # print(\"here\") is what we do not do\n    log.info(\"home\")\n    return {\"print\": \"breakpoint()\"}\n",
            ),
            ("scripts/seed.py", "print(\"seeded\")\n"),
            ("tests/test_main.py", "print(1)\n"),
        ])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[
            ("requirements.txt", "fastapi\n"),
            (
                "app/main.py",
                "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get(\"/\")\ndef home(q: str):\n    print(\"HERE\", q)\n    return {}\n",
            ),
        ])
    }
}

/// What was found, by how sure it is a leftover.
#[derive(Default)]
struct Found {
    files: usize,
    prints: Vec<String>,
    breakpoints: Vec<String>,
    /// Calls of a debugger that the project itself makes.
    own_debugger: Vec<String>,
    /// Prints in pages, which no terminal shows.
    in_pages: Vec<String>,
    meant: usize,
}

fn look(repository: &Repository) -> Sighting {
    let code = Code::of(repository);
    let dropped = dropped_by_builds(repository);
    let mut found = Found::default();
    let own = |module: &&Module| !is_asset(&module.path) && !makes_test_data(module);
    for module in shipped(&code, repository, CONTROL).filter(own) {
        found.files += 1;
        let drops = module.language.is_script() && dropped.iter().any(|folder| module.path.starts_with(folder));
        found.take(module, drops, repository);
    }
    for page in with_scripts(repository, CONTROL) {
        found.files += 1;
        let before = std::mem::take(&mut found.prints);
        found.take(&page, false, repository);
        found.in_pages.extend(std::mem::replace(&mut found.prints, before));
    }
    if found.files == 0 {
        return match code.own().next() {
            None => Sighting::not_applicable("there is no source of a language that is read as a tree"),
            Some(_) => {
                Sighting::unclear("every source file is a script, a test or an example: nothing that ships was found")
            }
        };
    }
    let mut cases = Cases::plan(2);
    code.unread().for_each(|line| cases.note(format!("not read: {line}")));
    dropped.iter().for_each(|folder| cases.note(format!("the build in {} drops console calls", shown(folder))));
    found
        .in_pages
        .iter()
        .chain(&found.prints)
        .chain(&found.breakpoints)
        .take(40)
        .for_each(|line| cases.note(line.clone()));
    if found.meant > 0 {
        cases.note(format!(
            "{} calls are guarded by a debug switch, waived by a comment, or say that a server listens",
            found.meant
        ));
    }
    if let Some(why) = &code.not_whole {
        cases.told_nothing(why.clone());
    }
    found.judge(&mut cases, repository);
    let meant = match found.meant {
        0 => String::new(),
        count => format!("; {count} calls are meant"),
    };
    cases.sighting(format!("no leftover print, console.log or breakpoint in {} source files{meant}", found.files))
}

impl Found {
    /// What is left of each kind; prints of a program that serves nobody tell nothing, but in its pages.
    fn judge(&self, cases: &mut Cases, repository: &Repository) {
        let said = |list: &[String], what: &str| match list {
            [] => format!("no {what} in {} files", self.files),
            [first, ..] => format!("{} {what}, the first: {first}", list.len()),
        };
        cases.tried(self.breakpoints.is_empty(), said(&self.breakpoints, "breakpoints"));
        if let Some(first) = self.own_debugger.first() {
            cases.told_nothing(format!(
                "{first} starts a debugger that the project itself makes: it may be what is offered"
            ));
        }
        if !self.in_pages.is_empty() {
            cases.tried(false, said(&self.in_pages, "leftover prints in pages"));
        } else if self.prints.is_empty() || serves(repository) {
            cases.tried(self.prints.is_empty(), said(&self.prints, "leftover prints"));
        } else {
            cases.told_nothing(format!(
                "{} calls print (the first: {}), and no web framework was recognised: they may be what the program is for",
                self.prints.len(),
                self.prints[0]
            ));
        }
    }

    fn take(&mut self, module: &Module, drops: bool, repository: &Repository) {
        let habits = &habits_of(module.language).habits;
        let own = |name: &str| module.functions.iter().any(|function| function.top && function.name == name);
        for call in module.calls.iter().filter(|call| !own(&call.written)) {
            let line = || format!("{} {}", module.at(call.line), call.written);
            if has(&habits.breakpoints, &call.name) {
                match call.waived || in_test(module, call) {
                    true => self.meant += 1,
                    false if is_own_debugger(repository, &call.name) => self.own_debugger.push(line()),
                    false => self.breakpoints.push(line()),
                }
            } else if has(&habits.prints, &call.name) {
                let meant = call.waived || call.debug_only || call.apart || call.directed || drops;
                match meant || module.terminal || in_main(module, call) {
                    true => self.meant += 1,
                    false => self.prints.push(line()),
                }
            }
        }
    }
}

/// Rust's tests stand in the file that they test.
fn in_test(module: &Module, call: &Call) -> bool {
    call.apart && module.language == crate::grammar::Language::Rust
}

/// `celery.contrib.rdb.set_trace` in Celery itself.
fn is_own_debugger(repository: &Repository, name: &str) -> bool {
    let Some((module, _)) = name.rsplit_once('.') else { return false };
    let file = format!("{}.py", module.replace('.', "/"));
    ["", "src"].iter().any(|folder| repository.sources().contains_key(&Path::new(folder).join(&file)))
}

/// A factory of records for tests: it imports what makes them up.
fn makes_test_data(module: &Module) -> bool {
    let makers = ["factory", "faker", "factory_boy", "model_bakery", "@faker-js/faker", "factory_bot"];
    module.imports.iter().any(|import| makers.iter().any(|maker| has_module(&[(*maker).to_owned()], &import.module)))
}

/// What a program's own start says is for who starts it.
fn in_main(module: &Module, call: &Call) -> bool {
    module.around(call.function).any(|function| function.name == "main" && function.top)
}

/// Folders of front ends whose build takes console calls out.
fn dropped_by_builds(repository: &Repository) -> Vec<&Path> {
    let drops = |folder: &Path, name: &str| {
        let source = repository.sources().get(&folder.join(name));
        source.is_some_and(|source| {
            let code = source.code.replace([' ', '\n', '"', '\''], "");
            let drop_list = code.split("drop:[").nth(1).and_then(|rest| rest.split(']').next());
            code.contains("drop_console:true")
                || code.contains("removeConsole:true")
                || drop_list.is_some_and(|list| list.contains("console"))
        })
    };
    let names = [
        "vite.config.ts",
        "vite.config.js",
        "vite.config.mjs",
        "next.config.js",
        "next.config.ts",
        "next.config.mjs",
        "webpack.config.js",
        "vue.config.js",
        "nuxt.config.ts",
    ];
    front_ends(repository).into_iter().filter(|folder| names.iter().any(|name| drops(folder, name))).collect()
}

fn shown(folder: &Path) -> String {
    if folder.as_os_str().is_empty() { "the root".to_owned() } else { folder.display().to_string() }
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;
    use crate::controls::seen;

    const SERVER: (&str, &str) = ("package.json", "{\"dependencies\": {\"express\": \"5\"}}");

    #[test]
    fn what_is_meant_is_no_leftover() {
        let app = "const app = require('express')();\napp.listen(80, () => console.log('up'));\nconsole.error('x');\n\
                   if (process.env.NODE_ENV !== 'production') { console.log('dev'); }\n\
                   console.log('kept'); // eslint-disable-line no-console\nlog.debug('a');\n";
        assert_eq!(seen(look, &[SERVER, ("app.js", app)]).outcome, Outcome::Holds);
        let cli = "#!/usr/bin/env node\nconsole.log('usage');\n";
        assert_eq!(seen(look, &[SERVER, ("src/tool.js", cli), ("app.js", "x();\n")]).outcome, Outcome::Holds);
    }

    #[test]
    fn leftovers_are_found_however_they_are_written() {
        for (name, text) in [
            ("src/a.js", "export function a() { console\n .log(1) }\n"),
            ("src/a.ts", "const a = (b: number) => { debugger; };\n"),
            ("src/a.tsx", "export const A = () => { console.log('x'); return <p/>; };\n"),
            ("src/A.vue", "<template><p/></template>\n<script setup lang=\"ts\">\nconsole.log('x')\n</script>\n"),
            ("app/a.py", "from pdb import set_trace as stop\n\ndef a():\n    stop()\n"),
            ("app/a.py", "def a():\n    import pdb; pdb.set_trace()\n"),
            ("internal/a.go", "package a\n\nimport \"fmt\"\n\nfunc A() { fmt.Println(1) }\n"),
            ("app/a.rb", "class A\n  def b\n    binding.pry\n  end\nend\n"),
            ("app/a.rb", "class A\n  def b\n    byebug\n  end\nend\n"),
            ("src/a.rs", "pub fn a() { dbg!(1); }\n"),
        ] {
            let seen = seen(look, &[SERVER, (name, text)]);
            assert!(matches!(seen.outcome, Outcome::Broken(_)), "{name} {text}: {seen:?}");
        }
    }

    #[test]
    fn what_others_wrote_or_a_program_made_is_not_judged_and_ones_own_is() {
        let library = ("static/js/carousel.js", "/*! Carousel, MIT */\nconsole.log(1);\n");
        assert_eq!(seen(look, &[SERVER, library, ("app.js", "x();\n")]).outcome, Outcome::Holds);
        let own = ("static/js/site.js", "console.log(1);\n");
        assert!(matches!(seen(look, &[SERVER, own, ("app.js", "x();\n")]).outcome, Outcome::Broken(_)));
        let licence = ("src/a.js", "/** @license MIT */\nconsole.log(1);\n");
        assert!(matches!(seen(look, &[SERVER, licence]).outcome, Outcome::Broken(_)));
        let settings = ("app/settings.py", "\"\"\"Generated by 'django-admin startproject'.\"\"\"\nprint(1)\n");
        assert!(matches!(seen(look, &[("requirements.txt", "django\n"), settings]).outcome, Outcome::Broken(_)));
    }

    #[test]
    fn scripts_in_pages_ship_too() {
        let go = ("main.go", "package main\n\nfunc main() {}\n");
        let page = "<html>\n<script>\n  console.log('added slash');\n</script>\n</html>\n";
        for path in ["ui/index.html", "app/templates/base.html"] {
            let seen = seen(look, &[go, (path, page)]);
            assert!(matches!(&seen.outcome, Outcome::Broken(why) if why.contains(&format!("{path}:3"))), "{seen:?}");
        }
        let data = "<script type=\"text/template\">console.log(1)</script>\n";
        for free in [("docs/index.html", page), ("ui/index.html", data), ("tests/page.html", page)] {
            assert_eq!(seen(look, &[go, free]).outcome, Outcome::Holds, "{free:?}");
        }
    }

    #[test]
    fn a_debugger_of_ones_own_and_made_up_records_are_no_leftovers() {
        let worker =
            ("shop/worker.py", "def install(sig):\n    from celery.contrib.rdb import set_trace\n    set_trace()\n");
        let own = ("celery/contrib/rdb.py", "def set_trace(frame=None):\n    pass\n");
        assert!(matches!(seen(look, &[worker, own]).outcome, Outcome::Unclear(_)));
        assert!(matches!(seen(look, &[worker]).outcome, Outcome::Broken(_)));
        let records = ("shop/factory.py", "import factory\n\ndef make():\n    print('made')\n");
        let django = ("requirements.txt", "django\n");
        assert_eq!(seen(look, &[django, records, ("shop/a.py", "x = 1\n")]).outcome, Outcome::Holds);
        let app = ("shop/factory.py", "from flask import Flask\n\ndef make():\n    print('made')\n");
        assert!(matches!(seen(look, &[django, app]).outcome, Outcome::Broken(_)));
    }

    #[test]
    fn a_waived_path_is_not_judged() {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(&[SERVER, ("src/report.js", "console.log(1);\n"), ("app.js", "x();\n")])
            .write(folder.path())
            .unwrap();
        let mut repository = Repository::open(folder.path()).unwrap();
        repository.declared.waived.insert(CONTROL.to_owned(), vec!["src/report.js".to_owned()]);
        assert_eq!(look(&repository).outcome, Outcome::Holds);
    }

    #[test]
    fn a_program_that_prints_for_a_living_is_not_broken() {
        let seen =
            seen(look, &[("pyproject.toml", "[project]\nname = \"a\"\n"), ("a/report.py", "def a():\n    print(1)\n")]);
        assert!(matches!(seen.outcome, Outcome::Unclear(_)), "{seen:?}");
    }

    #[test]
    fn a_build_that_drops_them_ships_none() {
        let page = ("package.json", "{\"dependencies\": {\"react\": \"19\"}}");
        let config = "export default { esbuild: { drop: ['console', 'debugger'] } }";
        let app = ("src/a.tsx", "console.log(1);\n");
        assert_eq!(seen(look, &[page, ("vite.config.ts", config), app]).outcome, Outcome::Holds);
        assert!(matches!(
            seen(look, &[page, ("vite.config.ts", "// drop: ['console']"), app]).outcome,
            Outcome::Broken(_)
        ));
    }
}
