//! FastAPI and Flask: decorators on an app, a router or a blueprint, with the prefixes under which those are included.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    Declared, Tree, join,
    modules::{self, Module, resolve},
    text::{inside, keyword, literal, literals, parts},
};

/// An app, a router or a blueprint.
struct Holder {
    file: usize,
    name: String,
    is_app: bool,
    is_fastapi: bool,
    own: Prefix,
}

/// A path in front of others; `None` when it is computed.
type Prefix = Option<String>;

/// One holder is reached through another.
struct Inclusion {
    parent: usize,
    child: usize,
    prefix: Prefix,
    /// Instead of the child's own prefix, and not in front of it (Flask).
    replaces: bool,
}

pub(super) fn read(tree: &Tree<'_>) -> Vec<Declared> {
    let modules = modules::all(tree);
    let holders: Vec<Holder> = modules.iter().enumerate().flat_map(|(file, module)| holders(file, module)).collect();
    let inclusions: Vec<Inclusion> = (0..modules.len()).flat_map(|file| inclusions(&modules, file, &holders)).collect();
    let mut found = Vec::new();
    for file in 0..modules.len() {
        for (holder, path, methods, needs_query) in decorated(&modules, file, &holders) {
            for prefix in prefixes(holder, &holders, &inclusions, 8) {
                let Some(template) = template(&join(&prefix, &path)) else { continue };
                let one = |method: &String| Declared { needs_query, ..Declared::new(method, template.clone()) };
                found.extend(methods.iter().map(one));
            }
        }
    }
    found
}

fn holders(file: usize, module: &Module) -> Vec<Holder> {
    static MADE: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r"\b(\w+)\s*(?::\s*[\w.]+\s*)?=\s*(?:\w+\.)?(FastAPI|APIRouter|Flask|Quart|Blueprint)\(")
            .expect("the pattern is valid")
    });
    let holder = |made: regex::Captures<'_>| {
        let arguments = parts(inside(&module.text, made.get(0)?.end() - 1)?);
        let given = keyword(&arguments, "prefix").or_else(|| keyword(&arguments, "url_prefix"));
        Some(Holder {
            file,
            name: made[1].to_owned(),
            is_app: matches!(&made[2], "FastAPI" | "Flask" | "Quart"),
            is_fastapi: matches!(&made[2], "FastAPI" | "APIRouter"),
            own: given.map_or(Some(String::new()), |given| literal(given).map(str::to_owned)),
        })
    };
    MADE.captures_iter(&module.text).filter_map(holder).collect()
}

/// The holder that a name in a file means.
fn holder(modules: &[Module], file: usize, name: &str, holders: &[Holder]) -> Option<usize> {
    let at = |file: usize, name: &str| holders.iter().position(|one| one.file == file && one.name == name);
    let (file, name) = resolve(modules, file, name, &|file, name| at(file, name).is_some())?;
    at(file, &name)
}

fn inclusions(modules: &[Module], file: usize, holders: &[Holder]) -> Vec<Inclusion> {
    static CALL: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r"\b([\w.]+)\.(include_router|register_blueprint|mount)\(").expect("the pattern is valid")
    });
    let text = &modules[file].text;
    let inclusion = |call: regex::Captures<'_>| {
        let arguments = parts(inside(text, call.get(0)?.end() - 1)?);
        let mounts = &call[2] == "mount";
        let child = arguments.get(usize::from(mounts))?;
        let given = match mounts {
            true => Some(*arguments.first()?),
            false => keyword(&arguments, "prefix").or_else(|| keyword(&arguments, "url_prefix")),
        };
        Some(Inclusion {
            parent: holder(modules, file, &call[1], holders)?,
            child: holder(modules, file, child, holders)?,
            prefix: given.map_or(Some(String::new()), |given| literal(given).map(str::to_owned)),
            replaces: &call[2] == "register_blueprint" && given.is_some(),
        })
    };
    CALL.captures_iter(text).filter_map(inclusion).collect()
}

/// Every path under which a holder is reached. An app that another one mounts is reached there alone.
fn prefixes(of: usize, holders: &[Holder], inclusions: &[Inclusion], steps: usize) -> Vec<String> {
    let Some(steps) = steps.checked_sub(1) else { return Vec::new() };
    let into: Vec<&Inclusion> = inclusions.iter().filter(|one| one.child == of).collect();
    if into.is_empty() {
        return if holders[of].is_app { vec![String::new()] } else { Vec::new() };
    }
    let mut found = Vec::new();
    for one in into {
        let own = if one.replaces { Some(String::new()) } else { holders[of].own.clone() };
        let (Some(prefix), Some(own)) = (&one.prefix, own) else { continue };
        let parents = prefixes(one.parent, holders, inclusions, steps);
        found.extend(parents.iter().map(|parent| format!("{}{prefix}{own}", parent.trim_end_matches('/'))));
    }
    found
}

/// What decorators in a file declare: holder, path, methods, and whether a query is needed.
fn decorated(modules: &[Module], file: usize, holders: &[Holder]) -> Vec<(usize, String, Vec<String>, bool)> {
    static DECORATOR: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r"(?m)^[ \t]*@([\w.]+)\.(get|post|put|patch|delete|route|api_route)\(")
            .expect("the pattern is valid")
    });
    let text = &modules[file].text;
    let one = |found: regex::Captures<'_>| {
        let open = found.get(0)?.end() - 1;
        let inner = inside(text, open)?;
        let arguments = parts(inner);
        let given = keyword(&arguments, "path").or_else(|| keyword(&arguments, "rule"));
        let path = literal(given.or_else(|| arguments.first().copied())?)?.to_owned();
        let holder = holder(modules, file, &found[1], holders)?;
        let methods = match (&found[2], keyword(&arguments, "methods")) {
            ("route" | "api_route", Some(listed)) => literals(listed).into_iter().map(str::to_owned).collect(),
            ("route" | "api_route", None) => vec!["GET".to_owned()],
            (method, _) => vec![method.to_owned()],
        };
        let needs_query = holders[holder].is_fastapi && needs_query(&text[open + inner.len() + 2..], &path);
        Some((holder, path, methods, needs_query))
    };
    DECORATOR.captures_iter(text).filter_map(one).collect()
}

/// FastAPI takes a parameter of a plain type that the path does not have from the query; without a default it must be
/// there.
fn needs_query(after: &str, path: &str) -> bool {
    static FUNCTION: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r"\A\s*(?:@[^\n]*\n\s*)*(?:async\s+)?def\s+\w+\(").expect("the pattern is valid")
    });
    let Some(inner) = FUNCTION.find(after).and_then(|found| inside(after, found.end() - 1)) else { return false };
    parts(inner).iter().any(|parameter| {
        let Some((name, kind)) = parameter.split_once(':') else { return false };
        let in_path = path.contains(&format!("{{{}", name.trim()));
        !in_path && matches!(kind.trim(), "str" | "int" | "float" | "bool")
    })
}

/// Both ways to write parameters as `{name}`; `None` when something else is left.
fn template(path: &str) -> Option<String> {
    static PARAMETER: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r"<(?:\w+(?:\([^)]*\))?:)?(\w+)>|\{(\w+)(?::\w+)?\}").expect("the pattern is valid")
    });
    let template = PARAMETER.replace_all(path, "{$1$2}").into_owned();
    (!template.contains(['<', '>', ' '])).then_some(template)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::found, *};

    #[test]
    fn fastapi_routers_are_found_under_their_prefixes() {
        let main = "from fastapi import FastAPI\nfrom .routers import items, hidden\nfrom app.users import router as users\n\
            from app.settings import settings\napp = FastAPI(title=\"x\")\n\
            app.include_router(items.router, prefix=\"/api/v1\", tags=[\"items\"])\n\
            app.include_router(users)\napp.include_router(hidden.router, prefix=settings.prefix)\n\
            @app.get(\"/health\")\nasync def health() -> dict: ...\n\
            # @app.get(\"/commented\")\n@app.get(f\"/{x}\")\ndef computed(): ...\n";
        let items = "router = APIRouter(prefix=\"/items\")\n@router.get(\"/\")\ndef all(q: str, page: int = 1): ...\n\
            @router.get(\"/{item_id}\", response_model=Item)\n@cached\nasync def one(item_id: int, db: Session = Depends(x)): ...\n\
            @router.post(\n    \"\",\n    status_code=201,\n)\ndef create(item: Item): ...\n";
        let files = [
            ("app/main.py", main),
            ("app/routers/__init__.py", ""),
            ("app/routers/items.py", items),
            ("app/routers/hidden.py", "router = APIRouter()\n@router.get('/hidden')\ndef x(): ...\n"),
            ("app/users.py", "router: APIRouter = APIRouter()\n@router.get('/users/me')\ndef me(user: User): ...\n"),
            ("app/orphan.py", "router = APIRouter()\n@router.get('/orphan')\ndef x(): ...\n"),
        ];
        assert_eq!(
            found(read, &files),
            [
                "GET /api/v1/items/ ?",
                "GET /api/v1/items/{item_id}",
                "GET /health",
                "GET /users/me",
                "POST /api/v1/items"
            ]
        );
    }

    #[test]
    fn flask_blueprints_are_found_under_their_prefixes() {
        let app = "from flask import Flask\nfrom .views import pages\nfrom .admin import admin\ndef create_app():\n    \
            app = Flask(__name__)\n    app.register_blueprint(pages)\n    \
            app.register_blueprint(admin, url_prefix='/manage')\n    return app\n";
        let pages = "pages = Blueprint('pages', __name__, url_prefix='/pages')\n@pages.route('/<int:page_id>')\n\
            def page(page_id): ...\n@pages.route('/', methods=['GET', 'POST'])\ndef all(): ...\n";
        let admin =
            "admin = Blueprint('admin', __name__, url_prefix='/admin')\n@admin.get('/users')\ndef users(): ...\n";
        let files = [("shop/__init__.py", app), ("shop/views.py", pages), ("shop/admin.py", admin)];
        assert_eq!(found(read, &files), ["GET /manage/users", "GET /pages/", "GET /pages/{page_id}", "POST /pages/"]);
        assert_eq!(found(read, &[("a.py", "@app.get('/x')\ndef x(): ...\n")]), Vec::<String>::new());
    }
}
