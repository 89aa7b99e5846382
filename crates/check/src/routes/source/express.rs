//! Express: calls on an app or a router, with the paths under which routers are used.

use std::{collections::HashMap, sync::LazyLock};

use regex::Regex;

use super::{
    Declared, Tree, join,
    text::{inside, literal, parts, without_comments},
};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

struct File {
    path: String,
    text: String,
    /// Routers and apps that are made here; whether each is an app.
    holders: HashMap<String, bool>,
    /// Alias → the file it comes from as it is written, and the name there (`None`: what the file exports as a whole).
    imports: HashMap<String, (String, Option<String>)>,
    exported: Option<String>,
}

/// A router or an app: its file, and its name there.
type Holder = (usize, String);

/// Which routers are used by whom, and where.
struct Usage {
    parent: Holder,
    child: Holder,
    prefix: String,
}

pub(super) fn read(tree: &Tree<'_>) -> Vec<Declared> {
    let paths = tree.ending(&["js", "mjs", "cjs", "ts"]);
    let files: Vec<File> = paths.filter_map(|path| file(path, &tree.text(path)?)).collect();
    if !files.iter().any(|file| file.holders.values().any(|is_app| *is_app)) {
        return Vec::new();
    }
    let usages: Vec<Usage> = (0..files.len()).flat_map(|index| usages(&files, index)).collect();
    let mut found = Vec::new();
    for (index, file) in files.iter().enumerate() {
        for (name, method, path) in calls(&file.text) {
            let Some(holder) = resolve(&files, index, &name, 5) else { continue };
            let Some(template) = template(&path) else { continue };
            let prefixes = prefixes(&files, &usages, &holder, 8);
            found.extend(prefixes.iter().map(|prefix| Declared::new(&method, join(prefix, &template))));
        }
    }
    found
}

fn file(path: &str, text: &str) -> Option<File> {
    static MADE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r#"\b(?:const|let|var)\s+(\w+)(?:\s*:\s*[\w.<>]+)?\s*=\s*(?:new\s+)?(?:(express|require\(['"]express['"]\))\(\)|(?:express\.|require\(['"]express['"]\)\.)?Router\()"#,
        )
    });
    static IMPORT: LazyLock<Regex> =
        LazyLock::new(|| pattern(r#"\bimport\s+(?:(\w+)\s*,?\s*)?(?:\{([^}]*)\}\s*)?from\s*['"](\.[^'"]*)['"]"#));
    static REQUIRE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r#"\b(?:const|let|var)\s+(?:(\w+)|\{([^}]*)\})\s*=\s*require\(\s*['"](\.[^'"]*)['"]\s*\)(?:\.(\w+))?"#)
    });
    static EXPORTED: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?m)^\s*(?:module\.exports\s*=|export\s+default)\s+(\w+)\s*;?\s*$"));
    let text = without_comments(text, "//");
    let mut imports = HashMap::new();
    for (import, is_require) in
        IMPORT.captures_iter(&text).map(|one| (one, false)).chain(REQUIRE.captures_iter(&text).map(|one| (one, true)))
    {
        let from = import[3].to_owned();
        if let Some(alias) = import.get(1) {
            let inner = is_require.then(|| import.get(4)).flatten().map(|name| name.as_str().to_owned());
            imports.insert(alias.as_str().to_owned(), (from.clone(), inner));
        }
        for name in import.get(2).map_or("", |names| names.as_str()).split(',') {
            let mut words =
                name.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty());
            let Some(name) = words.next() else { continue };
            let alias = words.next_back().unwrap_or(name);
            imports.insert(alias.to_owned(), (from.clone(), Some(name.to_owned())));
        }
    }
    let knows_express = text.contains("'express'") || text.contains("\"express\"");
    let made = MADE.captures_iter(&text).filter(|_| knows_express);
    let holders: HashMap<String, bool> = made.map(|one| (one[1].to_owned(), one.get(2).is_some())).collect();
    let exported = EXPORTED.captures(&text).map(|one| one[1].to_owned());
    (!holders.is_empty() || !imports.is_empty()).then(|| File {
        path: path.to_owned(),
        text,
        holders,
        imports,
        exported,
    })
}

/// What a name, or a `require("./file")`, means in a file.
fn resolve(files: &[File], index: usize, name: &str, steps: usize) -> Option<Holder> {
    let steps = steps.checked_sub(1)?;
    let file = files.get(index)?;
    if file.holders.contains_key(name) {
        return Some((index, name.to_owned()));
    }
    let required = name.strip_prefix("require").and_then(|call| literal(inside(call, 0)?));
    let (from, inner) = match required {
        Some(from) => (from.to_owned(), None),
        None => file.imports.get(name)?.clone(),
    };
    let next = find(files, &file.path, &from)?;
    let name = inner.or_else(|| files[next].exported.clone())?;
    resolve(files, next, &name, steps)
}

/// The file of a relative import.
fn find(files: &[File], from: &str, import: &str) -> Option<usize> {
    let mut folder: Vec<&str> = from.split('/').collect();
    folder.pop();
    for part in import.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(folder.pop()?),
            part => folder.push(part),
        }
    }
    let stem = folder.join("/");
    // TypeScript writes `./x.js` for `./x.ts`.
    let bare = stem.strip_suffix(".js").unwrap_or(&stem);
    let fits = |path: &str| {
        path == stem
            || path.strip_prefix(bare).is_some_and(|rest| {
                let rest = rest.strip_prefix("/index").unwrap_or(rest);
                [".js", ".ts", ".mjs", ".cjs"].contains(&rest)
            })
    };
    files.iter().position(|file| fits(&file.path))
}

fn usages(files: &[File], index: usize) -> Vec<Usage> {
    static USE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(\w+)\.use\("));
    let text = &files[index].text;
    let mut found = Vec::new();
    for call in USE.captures_iter(text) {
        let Some(parent) = resolve(files, index, &call[1], 5) else { continue };
        let arguments = call.get(0).and_then(|whole| inside(text, whole.end() - 1)).map(parts).unwrap_or_default();
        let Some(first) = arguments.first() else { continue };
        let (prefix, rest) = match literal(first).and_then(template) {
            Some(prefix) => (prefix, &arguments[1..]),
            // A path that is computed, or several of them.
            None if first.starts_with(['"', '\'', '`', '[', '/']) => continue,
            None => (String::new(), &arguments[..]),
        };
        for child in rest.iter().filter_map(|name| resolve(files, index, name, 5)) {
            // A first argument that is neither a literal nor a router may be the path.
            let sure = !prefix.is_empty() || resolve(files, index, first, 5).is_some();
            if sure {
                found.push(Usage { parent: parent.clone(), child, prefix: prefix.clone() });
            }
        }
    }
    found
}

fn prefixes(files: &[File], usages: &[Usage], of: &Holder, steps: usize) -> Vec<String> {
    let Some(steps) = steps.checked_sub(1) else { return Vec::new() };
    let mut found: Vec<String> = usages
        .iter()
        .filter(|one| one.child == *of)
        .flat_map(|one| {
            let parents = prefixes(files, usages, &one.parent, steps);
            parents
                .into_iter()
                .map(|parent| format!("{}{}", parent.trim_end_matches('/'), one.prefix.trim_end_matches('/')))
        })
        .collect();
    if found.is_empty() && files[of.0].holders.get(&of.1) == Some(&true) {
        found.push(String::new());
    }
    found
}

/// Every call that declares a route: on what, method, path as it is written.
fn calls(text: &str) -> Vec<(String, String, String)> {
    static CALL: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(\w+)\.(get|post|put|patch|delete|all|route)\("));
    let mut found = Vec::new();
    for call in CALL.captures_iter(text) {
        let Some((open, inner)) = call.get(0).and_then(|whole| Some((whole.end() - 1, inside(text, whole.end() - 1)?)))
        else {
            continue;
        };
        let arguments = parts(inner);
        let Some(path) = arguments.first().and_then(|one| literal(one)).filter(|path| path.starts_with('/')) else {
            continue;
        };
        let mut add = |method: &str| found.push((call[1].to_owned(), method.to_owned(), path.to_owned()));
        match &call[2] {
            "route" => chained(&text[open + inner.len() + 2..]).into_iter().for_each(add),
            "all" if arguments.len() > 1 => add("get"),
            // `app.get("setting")` reads a setting.
            method if arguments.len() > 1 => add(method),
            _ => {}
        }
    }
    found
}

/// The methods that are called on a `route(…)`.
fn chained(mut text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    while let Some(rest) = text.trim_start().strip_prefix('.') {
        let Some(open) = rest.find('(') else { break };
        let Some(inner) = inside(rest, open) else { break };
        found.extend(METHODS.iter().copied().filter(|method| *method == rest[..open].trim()));
        text = &rest[open + inner.len() + 2..];
    }
    found
}

/// `:id` as `{id}`; `None` for what is no plain path: options, wildcards, expressions.
fn template(path: &str) -> Option<String> {
    if !path.starts_with('/') || path.contains(['*', '?', '(', '+', '{', ' ']) {
        return None;
    }
    let segment = |segment: &str| match segment.strip_prefix(':') {
        Some(name) if name.chars().all(|letter| letter.is_alphanumeric() || letter == '_') => {
            Some(format!("{{{name}}}"))
        }
        None if !segment.contains(':') => Some(segment.to_owned()),
        _ => None,
    };
    Some(path.split('/').map(segment).collect::<Option<Vec<_>>>()?.join("/"))
}

fn pattern(text: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "constant patterns, compiled in every test")]
    Regex::new(text).expect("the pattern is valid")
}

#[cfg(test)]
mod tests {
    use super::{super::tests::found, *};

    #[test]
    fn routers_are_found_where_they_are_used() {
        let app = "const express = require('express');\nconst items = require('./routes/items');\n\
            const { admin } = require('./routes/admin');\nconst app = express();\napp.set('x', 1);\n\
            app.use(express.json());\napp.use('/api/items', auth, items);\napp.use(`/admin`, admin);\n\
            app.use('/late', require('./routes/late'));\napp.use(PREFIX, require('./routes/lost'));\n\
            app.get('/', (request, response) => response.send('x'));\napp.get('setting');\n\
            // app.get('/commented', x);\napp.get('/files/*', x);\napp.route('/book').get(one).post((a, b) => { c.get('/x', y) });\n";
        let items = "const router = require('express').Router();\nrouter.get('/', all);\nrouter.get('/:id', one);\n\
            router.post('/', express.json(), create);\nmodule.exports = router;\n";
        let admin = "const express = require(\"express\");\nconst admin = express.Router();\nadmin.get('/users', x);\n\
            module.exports = { admin };\n";
        let other =
            "const { Router } = require('express');\nconst r = Router();\nr.get('/x', y);\nmodule.exports = r;\n";
        let files = [
            ("app.js", app),
            ("routes/items.js", items),
            ("routes/admin/index.js", admin),
            ("routes/late.js", other),
            ("routes/lost.js", other),
        ];
        let expected = [
            "GET /",
            "GET /admin/users",
            "GET /api/items/",
            "GET /api/items/{id}",
            "GET /book",
            "GET /late/x",
            "POST /api/items/",
            "POST /book",
        ];
        assert_eq!(found(read, &files), expected);
    }

    #[test]
    fn typescript_modules_are_followed() {
        let app = "import express, { Express } from 'express';\nimport users from './users.js';\nconst app: Express = express();\n\
            app.use('/v1', users);\nexport default app;\n";
        let users = "import { Router } from \"express\";\nconst router: Router = Router();\nrouter.get(\"/users\", list);\n\
            export default router;\n";
        assert_eq!(found(read, &[("src/app.ts", app), ("src/users.ts", users)]), ["GET /v1/users"]);
        assert!(found(read, &[("src/users.ts", users)]).is_empty());
    }
}
