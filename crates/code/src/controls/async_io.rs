//! `ci.code-async-io`: asynchronous code makes no call that holds up the thread, nor calls a function that does.

use std::collections::HashMap;

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use crate::{
    code::Code,
    grammar::Language,
    habits::{habits_of, has},
    module::{Call, Function, Import, Module},
    resolve::Resolver,
    shipped::shipped,
};

pub(crate) struct AsyncIo;

const CONTROL: &str = "ci.code-async-io";

impl Inspection for AsyncIo {
    fn control(&self) -> &'static str {
        CONTROL
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        Sample::of(&[(
            "app/main.py",
            "import asyncio\nimport time\n\nimport httpx\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get(\"/\")\nasync def home():\n    await asyncio.sleep(1)\n    await asyncio.to_thread(time.sleep, 1)\n    async with httpx.AsyncClient() as client:\n        return (await client.get(\"https://example.com\")).json()\n\n\n@app.get(\"/slow\")\ndef slow():\n    time.sleep(1)  # runs in the thread pool\n",
        )])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[(
            "app/main.py",
            "import requests\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get(\"/\")\nasync def home():\n    return requests.get(\"https://example.com\").json()\n",
        )])
    }
}

/// Functions of scripts that run before there are requests.
const AT_START: &[&str] = &[
    "main",
    "bootstrap",
    "start",
    "init",
    "initialize",
    "setup",
    "configure",
    "run",
    "serve",
    "startServer",
    "createServer",
    "getStaticProps",
    "getStaticPaths",
    "generateStaticParams",
    "lifespan",
    "startup",
    "shutdown",
    "on_startup",
    "onModuleInit",
    "register",
];

#[derive(Default)]
struct Found {
    functions: usize,
    files: usize,
    blocking: Vec<String>,
    perhaps: Vec<String>,
    at_start: usize,
}

fn look(repository: &Repository) -> Sighting {
    let code = Code::of(repository);
    let resolver = Resolver::new(&code, repository);
    let helpers = blocking_helpers(&code);
    let clients = blocking_globals(&code);
    let mut found = Found::default();
    for module in shipped(&code, repository, CONTROL) {
        let asynchronous = module.functions.iter().filter(|function| is_concurrent(module, function)).count();
        found.functions += asynchronous;
        found.files += usize::from(asynchronous > 0);
        if asynchronous > 0 {
            found.take(module, &resolver, &helpers, &clients);
        }
    }
    found.stores(&code, repository);
    if found.functions == 0 {
        return match code.own().next() {
            None => Sighting::not_applicable("there is no source of a language that is read as a tree"),
            Some(_) => Sighting::not_applicable(
                "no asynchronous function and no request handler on an event loop is in the code",
            ),
        };
    }
    let mut cases = Cases::plan(1);
    found.blocking.iter().take(40).for_each(|line| cases.note(line.clone()));
    if found.at_start > 0 {
        cases.note(format!("{} such calls are made while the program starts", found.at_start));
    }
    code.unread().for_each(|line| cases.note(format!("not read: {line}")));
    if let Some(why) = &code.not_whole {
        cases.told_nothing(why.clone());
    }
    if let Some(first) = found.perhaps.first() {
        cases.told_nothing(format!(
            "{} calls hold up the thread if they ask the disk, the first: {first}; its type would tell",
            found.perhaps.len()
        ));
    }
    let summary =
        format!("no blocking call in {} asynchronous functions and handlers of {} files", found.functions, found.files);
    let seen = match found.blocking.first() {
        None => summary.clone(),
        Some(first) => format!(
            "{} blocking calls in {} asynchronous functions, the first: {first}",
            found.blocking.len(),
            found.functions
        ),
    };
    cases.tried(found.blocking.is_empty(), seen);
    cases.sighting(summary)
}

/// Asynchronous, or a handler where one thread answers everybody.
fn is_concurrent(module: &Module, function: &Function) -> bool {
    function.asynchronous || (module.language.is_script() && function.handler)
}

/// Functions that are not asynchronous and hold up the thread: by module and name, the call that does.
fn blocking_helpers(code: &Code) -> HashMap<(usize, &str), String> {
    let mut found = HashMap::new();
    for (at, module) in code.modules.iter().enumerate().filter(|(_, module)| !module.test) {
        let habits = &habits_of(module.language).habits;
        for call in module.calls.iter().filter(|call| has(&habits.blocking, &call.name) && !call.apart && !call.waived)
        {
            let Some(function) = call.function.and_then(|function| module.functions.get(function)) else { continue };
            if function.top && !function.asynchronous {
                let said = format!("{} in {}", call.written, module.at(call.line));
                found.entry((at, function.name.as_str())).or_insert(said);
            }
        }
    }
    found
}

/// Clients that modules keep and that hold up the thread.
fn blocking_globals(code: &Code) -> HashMap<(usize, &str), &str> {
    let mut found = HashMap::new();
    for (at, module) in code.modules.iter().enumerate() {
        let habits = &habits_of(module.language).habits;
        for global in module.globals.iter().filter(|global| habits.blocking_clients.contains(&global.made_by)) {
            found.insert((at, global.name.as_str()), global.made_by.as_str());
        }
    }
    found
}

impl Found {
    fn take(
        &mut self,
        module: &Module,
        resolver: &Resolver<'_>,
        helpers: &HashMap<(usize, &str), String>,
        clients: &HashMap<(usize, &str), &str>,
    ) {
        for call in module.calls.iter().filter(|call| !call.awaited && !call.waived) {
            let Some(function) = call.function.and_then(|at| module.functions.get(at)) else { continue };
            // A plain function inside an asynchronous one is for a thread, as a rule; one of a script is called back.
            let called_back =
                module.language.is_script() && module.around(call.function).any(|around| is_concurrent(module, around));
            if !is_concurrent(module, function) && !called_back {
                continue;
            }
            let perhaps = has(&habits_of(module.language).habits.perhaps, &call.name) && !is_of_async(module, call);
            if perhaps && !call.apart {
                self.perhaps.push(format!("{} {}: {}", module.at(call.line), function.name, call.written));
                continue;
            }
            let Some(why) = why_blocking(module, call, function, resolver, helpers, clients) else { continue };
            let starts = module.around(call.function).any(|function| AT_START.contains(&function.name.as_str()));
            if call.apart || (starts && !function.handler) {
                self.at_start += 1;
                continue;
            }
            self.blocking.push(format!("{} {}: {why}", module.at(call.line), function.name));
        }
    }
}

impl Found {
    /// Calls of a store, where the code makes one whose every call waits for the disk.
    fn stores(&mut self, code: &Code, repository: &Repository) {
        let mut imports = code.own().flat_map(|module| module.imports.iter().map(move |import| (module, import)));
        let is_store =
            |module: &Module, import: &Import| habits_of(module.language).habits.sync_stores.contains(&import.module);
        let Some((maker, import)) = imports.find(|(module, import)| is_store(module, import)) else { return };
        for module in shipped(code, repository, CONTROL) {
            let calls = &habits_of(module.language).habits.store_calls;
            for call in
                module.calls.iter().filter(|call| !call.awaited && !call.waived && calls.contains(&call.written))
            {
                if module.around(call.function).any(|around| is_concurrent(module, around)) {
                    let made = format!("{} is imported in {}", import.module, maker.at(import.line));
                    self.perhaps.push(format!("{} {} ({made})", module.at(call.line), call.written));
                }
            }
        }
    }
}

/// It belongs to what waits for nobody.
fn is_of_async(module: &Module, call: &Call) -> bool {
    let first = call.name.split('.').next().unwrap_or_default();
    habits_of(module.language).habits.asynchronous.iter().any(|name| name == first)
}

/// It waits for the disk: not in a program for the terminal, and not where the module has a function of that name.
fn waits_for_disk(module: &Module, call: &Call) -> bool {
    let own = module.functions.iter().any(|function| function.top && function.name == call.written);
    has(&habits_of(module.language).habits.files, &call.name) && !module.terminal && !own
}

/// Why a call holds up the thread, if it does.
fn why_blocking(
    module: &Module,
    call: &Call,
    function: &Function,
    resolver: &Resolver<'_>,
    helpers: &HashMap<(usize, &str), String>,
    clients: &HashMap<(usize, &str), &str>,
) -> Option<String> {
    let habits = &habits_of(module.language).habits;
    let own = resolver.at(module)?;
    if is_of_async(module, call) {
        return None;
    }
    if has(&habits.blocking, &call.name) || waits_for_disk(module, call) {
        return Some(call.written.clone());
    }
    if let Some((object, method)) = call.written.split_once('.') {
        // A function of another module, by the module's name; a parameter of that name is something else.
        let hidden = function.parameters.iter().any(|(name, _)| name == object);
        let there = resolver.module_named(module, object).filter(|_| !hidden);
        if let Some(blocking) = there.and_then(|at| helpers.get(&(at, method))) {
            return Some(format!("{}, which calls {blocking}", call.written));
        }
        if !has(&habits.sessions, &call.written) {
            return None;
        }
        let parameter = function.parameters.iter().find(|(name, _)| name == object);
        if let Some((_, kind)) = parameter {
            let kind = kind.split('=').next().unwrap_or_default().trim();
            let kind = kind.trim_start_matches("Annotated[").split(',').next().unwrap_or_default();
            let whole = resolver.whole(module, kind);
            return habits.session_types.contains(&whole).then(|| format!("{} on a synchronous session", call.written));
        }
        let global = clients.get(&(own, object)).copied().or_else(|| {
            let (at, name) = resolver.name(module, object)?;
            clients.get(&(at, name)).copied()
        });
        return global.map(|made_by| format!("{} on a client made by {made_by}", call.written));
    }
    // One of its own functions, from here or from another module. Its thread is the caller's.
    if !matches!(module.language, Language::Python) && !module.language.is_script() {
        return None;
    }
    let helper = helpers.get(&(own, call.written.as_str()));
    let helper = helper.or_else(|| helpers.get(&resolver.name(module, &call.written)?));
    helper.map(|blocking| format!("{}, which calls {blocking}", call.written))
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;
    use crate::controls::seen;

    #[test]
    fn what_blocks_in_each_language() {
        let blocking: &[&[(&str, &str)]] = &[
            &[("a.py", "from time import sleep as nap\n\nasync def a():\n    nap(1)\n")],
            &[("a.py", "import time\n\ndef helper():\n    time.sleep(1)\n\nasync def a():\n    helper()\n")],
            &[
                ("app/__init__.py", ""),
                ("app/b.py", "import requests\n\ndef fetch():\n    return requests.get('x')\n"),
                ("app/a.py", "from .b import fetch\n\nasync def a():\n    return fetch()\n"),
            ],
            &[
                ("app/__init__.py", ""),
                ("app/crud.py", "import requests\n\ndef load():\n    return requests.get('x')\n"),
                ("app/a.py", "from app import crud\n\nasync def a():\n    return crud.load()\n"),
            ],
            &[(
                "a.py",
                "from sqlalchemy.orm import Session\n\nasync def a(db: Session = Depends(get_db)):\n    return db.query(User).all()\n",
            )],
            &[(
                "a.py",
                "from openai import OpenAI\n\nclient = OpenAI()\n\nasync def a():\n    return client.chat.completions.create(model='x')\n",
            )],
            &[(
                "a.js",
                "const fs = require('node:fs');\napp.get('/', (req, res) => { res.send(fs.readFileSync('x')); });\n",
            )],
            &[(
                "a.js",
                "const fs = require('fs');\nfunction load() { return fs.readFileSync('x'); }\napp.get('/', (req, res) => { all(() => load()); });\n",
            )],
            &[("a.ts", "import { execSync } from 'child_process';\nexport async function a() { execSync('x'); }\n")],
            &[("a.rs", "use std::{fs, time};\nasync fn a() { std::thread::sleep(d); }\n")],
            &[("a.rs", "use std::fs;\npub async fn a() { fs::read_to_string(\"x\"); }\n")],
        ];
        let asks_the_disk: &[&[(&str, &str)]] = &[
            &[("a.py", "async def a():\n    with open('x', 'wb') as file:\n        file.write(b)\n")],
            &[("a.py", "from pathlib import Path\n\nasync def a():\n    return Path('x').read_text()\n")],
            &[("a.js", "var fs = require('fs');\nm.locales = function (req, res, next) { fs.accessSync('x'); };\n")],
            &[
                (
                    "src/file.js",
                    "var fs = require('fs');\nvar file = module.exports;\nfile.existsSync = function (path) { return fs.statSync(path); };\n",
                ),
                (
                    "src/a.js",
                    "var file = require('./file');\nvar c = {};\nc.get = function (req, res, next) { if (file.existsSync('x')) { next(); } };\n",
                ),
            ],
            &[("a.rs", "pub async fn a(conf: C) { let root = conf.path.canonicalize().map_err(f); }\n")],
            &[("a.rs", "pub async fn a(p: &Path) { actix_files::NamedFile::open(p) }\n")],
        ];
        for files in blocking.iter().chain(asks_the_disk) {
            let seen = seen(look, files);
            assert!(matches!(seen.outcome, Outcome::Broken(_)), "{files:?} {seen:?}");
        }
    }

    #[test]
    fn what_does_not_block() {
        let free: &[&[(&str, &str)]] = &[
            &[(
                "a.py",
                "import time\n\nasync def a():\n    def inner():\n        time.sleep(1)\n    await run_in_threadpool(inner)\n    await loop.run_in_executor(None, lambda: time.sleep(1))\n",
            )],
            &[(
                "a.py",
                "from sqlalchemy.ext.asyncio import AsyncSession\n\nasync def a(db: AsyncSession):\n    await db.execute(q)\n",
            )],
            &[(
                "a.js",
                "const fs = require('fs');\nconst page = fs.readFileSync('x');\napp.get('/', async (req, res) => { res.send(page); });\n",
            )],
            &[(
                "a.ts",
                "import fs from 'fs';\nasync function bootstrap() { fs.readFileSync('key'); }\nasync function b() {}\n",
            )],
            &[(
                "a.py",
                "import aiofiles\nfrom anyio import Path\n\nasync def a():\n    async with aiofiles.open('x') as f:\n        await f.read()\n    await Path('x').read_text()\n",
            )],
            &[("a.py", "import argparse\n\nasync def a():\n    return open('x').read()\n")],
            &[("a.rs", "use tokio::fs;\nasync fn a() { fs::canonicalize(p).await; let job = fs::canonicalize(q); }\n")],
            &[("a.rs", "async fn a() { spawn_blocking(|| std::fs::read(\"x\")).await; }\n")],
        ];
        for files in free {
            let seen = seen(look, files);
            assert_eq!(seen.outcome, Outcome::Holds, "{files:?} {seen:?}");
        }
        assert!(matches!(seen(look, &[("a.py", "import time\ntime.sleep(1)\n")]).outcome, Outcome::NotApplicable(_)));
    }

    #[test]
    fn what_a_name_alone_does_not_tell_is_no_pass() {
        let path = [("a.rs", "async fn a(path: &Path) { if path.exists() { b(); } }\n")];
        assert!(matches!(seen(look, &path).outcome, Outcome::Unclear(why) if why.contains("a.rs:1 a: path.exists")));
        let write = ("write.js", "module.exports = (db) => (req, res, next) => { db.write(); next(); };\n");
        let store = ("index.js", "const FileSync = require('lowdb/adapters/FileSync');\n");
        assert!(
            matches!(seen(look, &[write, store]).outcome, Outcome::Unclear(why) if why.contains("write.js:1 db.write"))
        );
        assert_eq!(seen(look, &[write, ("index.js", "x();\n")]).outcome, Outcome::Holds);
    }
}
