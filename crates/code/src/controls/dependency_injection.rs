//! `ci.code-dependency-injection`: handlers are handed what they use; none makes a client or takes one from its module.

use std::collections::{HashMap, HashSet};

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use crate::{
    code::Code,
    habits::{habits_of, has_module},
    module::{Function, Global, Module},
    resolve::Resolver,
    shipped::shipped,
};

pub(crate) struct DependencyInjection;

const CONTROL: &str = "ci.code-dependency-injection";

impl Inspection for DependencyInjection {
    fn control(&self) -> &'static str {
        CONTROL
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        Sample::of(&[
            ("app/deps.py", "from openai import OpenAI\n\n\ndef get_client() -> OpenAI:\n    return OpenAI()\n"),
            (
                "app/routes.py",
                "from fastapi import APIRouter, Depends\nfrom openai import OpenAI\n\nfrom .deps import get_client\n\nrouter = APIRouter()\n\n\n@router.post(\"/chat\")\ndef chat(client: OpenAI = Depends(get_client)):\n    return client.chat\n",
            ),
            ("app/__init__.py", ""),
        ])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[(
            "app/routes.py",
            "from fastapi import APIRouter\nfrom openai import OpenAI\n\nrouter = APIRouter()\nclient = OpenAI()\n\n\n@router.post(\"/chat\")\ndef chat():\n    return client.chat\n",
        )])
    }
}

/// So many of a hundred handlers show a habit; some need nothing.
const MOST: usize = 60;

/// Clients that modules keep: by module and name, what made them and where.
type Globals<'c> = HashMap<(usize, &'c str), String>;

#[derive(Default)]
struct Found {
    handlers: usize,
    injected: usize,
    wrong: Vec<String>,
}

fn look(repository: &Repository) -> Sighting {
    let code = Code::of(repository);
    let resolver = Resolver::new(&code, repository);
    let mut globals: Globals<'_> = HashMap::new();
    for (at, module) in code.modules.iter().enumerate().filter(|(_, module)| !module.test) {
        let said = |global: &Global| format!("{} in {}", global.made_by, module.at(global.line));
        globals.extend(module.globals.iter().map(|global| ((at, global.name.as_str()), said(global))));
    }
    let handed: HashSet<&str> = code.own().flat_map(|module| &module.handed).map(String::as_str).collect();
    let mut found = Found::default();
    for module in shipped(&code, repository, CONTROL) {
        found.take(module, &resolver, &globals, &handed);
    }
    if code.own().next().is_none() {
        return Sighting::not_applicable("there is no source of a language that is read as a tree");
    }
    if found.handlers == 0 {
        return Sighting::unclear(
            "no request handler was recognised (FastAPI, Flask, Django, Express, Koa, Nest, Go's net/http and gin are)",
        );
    }
    let mut cases = Cases::plan(1);
    found.wrong.iter().take(40).for_each(|line| cases.note(line.clone()));
    code.unread().for_each(|line| cases.note(format!("not read: {line}")));
    if let Some(why) = &code.not_whole {
        cases.told_nothing(why.clone());
    }
    let summary = format!(
        "{} of {} handlers are handed what they use, and none takes a client from a module or makes one",
        found.injected, found.handlers
    );
    match found.wrong.first() {
        Some(first) => cases.tried(false, format!("{} uses of clients that nobody handed in, in {} handlers, the first: {first}", found.wrong.len(), found.handlers)),
        None if found.injected == 0 => cases.told_nothing(format!(
            "none of {} handlers is handed anything, and none uses a client that is known: whether they use services cannot be told",
            found.handlers
        )),
        // Services that are modules of one's own are not known as clients: only a habit of handing in tells.
        None if found.injected * 100 < found.handlers * MOST => cases.told_nothing(format!(
            "only {} of {} handlers are handed something; what the others use comes from their modules, and whether that is a service cannot be told",
            found.injected, found.handlers
        )),
        None => cases.tried(true, summary.clone()),
    }
    cases.sighting(summary)
}

impl Found {
    fn take(&mut self, module: &Module, resolver: &Resolver<'_>, globals: &Globals<'_>, handed: &HashSet<&str>) {
        let habits = &habits_of(module.language).habits;
        let own = resolver.at(module).unwrap_or(usize::MAX);
        let container = module.imports.iter().any(|import| has_module(&habits.injection, &import.module));
        for function in module.functions.iter().filter(|function| function.handler) {
            self.handlers += 1;
            self.injected += usize::from(is_injected(module, function, handed, container));
            for name in &function.uses {
                let global = globals.get(&(own, name.as_str()));
                let global = global.or_else(|| globals.get(&resolver.name(module, name)?));
                // A session factory is taken only to make a session; that is the next case.
                if let Some(made_by) = global.filter(|_| !function.parameters.iter().any(|(own, _)| own == name)) {
                    let at = module.at(function.line);
                    self.wrong
                        .push(format!("{at} {} uses {name}, which a module keeps (made by {made_by})", function.name));
                }
            }
        }
        // Call by call, and not handler by handler: a file may be built of fifty thousand of each.
        for call in module.calls.iter().filter(|call| habits.clients.contains(&call.name)) {
            for function in module.around(call.function).filter(|function| function.handler) {
                self.wrong.push(format!("{} {} makes a client: {}", module.at(call.line), function.name, call.written));
            }
        }
    }
}

/// Whether something is handed in: by a parameter, by the class's constructor, by the function around it.
fn is_injected(module: &Module, function: &Function, handed: &HashSet<&str>, container: bool) -> bool {
    let by_type = |(_, kind): &(String, String)| {
        kind.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| handed.contains(word))
    };
    let class = function.class.and_then(|at| module.classes.get(at));
    let around = function.inside.and_then(|at| module.functions.get(at));
    function.injected
        || function.parameters.iter().any(by_type)
        || class.is_some_and(|class| class.constructed && (class.controller || container))
        || around.is_some_and(|around| {
            !around.handler && module.language.is_script() && !around.parameters.is_empty() && takes_services(around)
        })
}

/// `({ orders, mailer }) => (req, res) => …`, `createRouter(orders)`; not `(app) => …`.
fn takes_services(around: &Function) -> bool {
    let plain = ["app", "router", "server", "fastify", "options", "opts", "done", "next", "_", "instance"];
    around.parameters.iter().any(|(name, _)| !plain.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;
    use crate::controls::seen;

    #[test]
    fn handlers_that_are_handed_their_services() {
        let nest = "@Controller('cats')\nexport class CatsController {\n  constructor(private readonly cats: CatsService) {}\n  @Get()\n  find() { return this.cats.all(); }\n}\n";
        assert_eq!(seen(look, &[("src/cats.controller.ts", nest)]).outcome, Outcome::Holds);
        let factory = "export const routes = (orders) => { const r = Router(); r.get('/', async (req, res) => res.json(await orders.all())); return r; };\n";
        assert_eq!(seen(look, &[("src/routes.js", factory)]).outcome, Outcome::Holds);
        let alias = "SessionDep = Annotated[Session, Depends(get_db)]\n";
        let route = "from app.deps import SessionDep\n\n@router.get('/')\ndef a(db: SessionDep):\n    return db\n";
        let files = [("app/deps.py", alias), ("app/a.py", route), ("app/__init__.py", "")];
        assert_eq!(seen(look, &files).outcome, Outcome::Holds);
    }

    #[test]
    fn handlers_that_help_themselves() {
        let db = (
            "src/db.js",
            "const { PrismaClient } = require('@prisma/client');\nconst prisma = new PrismaClient();\nmodule.exports = { prisma };\n",
        );
        let route = (
            "src/routes.js",
            "const { prisma } = require('./db');\nrouter.get('/', async (req, res) => { res.json(await prisma.user.findMany()); });\n",
        );
        let made = ("app/a.py", "import boto3\n\n@app.route('/')\ndef a():\n    return boto3.client('s3')\n");
        let go = (
            "a/a.go",
            "package a\n\nvar db, _ = sql.Open(\"x\", \"y\")\n\nfunc Home(w http.ResponseWriter, r *http.Request) { db.Query(\"x\") }\n",
        );
        for files in [vec![db, route], vec![made], vec![go]] {
            let seen = seen(look, &files);
            assert!(matches!(seen.outcome, Outcome::Broken(_)), "{files:?} {seen:?}");
        }
    }

    #[test]
    fn one_handler_that_is_handed_something_does_not_speak_for_all() {
        let few = "@app.get('/a')\ndef a(db = Depends(get_db)):\n    return db\n\n@app.get('/b')\ndef b():\n    return service.run()\n\n@app.get('/c')\ndef c():\n    return service.run()\n";
        assert!(matches!(seen(look, &[("app/a.py", few)]).outcome, Outcome::Unclear(_)));
        let view = "import boto3\ns3 = boto3.client('s3')\n\nclass Files(MethodView):\n    def get(self):\n        return s3.list_objects()\n";
        assert!(matches!(seen(look, &[("app/views.py", view)]).outcome, Outcome::Broken(_)));
        let express = "import { Pool } from 'pg';\nconst pool = new Pool();\nexport const list = async (req, res) => { res.json(await pool.query('x')); };\n";
        assert!(matches!(seen(look, &[("src/orders.controller.ts", express)]).outcome, Outcome::Broken(_)));
    }

    #[test]
    fn no_handler_or_no_service_tells_nothing() {
        for file in [("a.py", "def a(): pass\n"), ("app/a.py", "@app.get('/')\ndef a():\n    return 1\n")] {
            assert!(matches!(seen(look, &[file]).outcome, Outcome::Unclear(_)), "{file:?}");
        }
    }
}
