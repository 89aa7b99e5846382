//! Next.js: the folders `app` and `pages` are the routes.

use std::sync::LazyLock;

use regex::Regex;

use super::{Declared, Tree};

const KINDS: [&str; 4] = ["js", "jsx", "ts", "tsx"];

pub(super) fn read(tree: &Tree<'_>) -> Vec<Declared> {
    let packages = tree.paths.iter().filter(|path| path.ends_with("package.json"));
    let projects = packages.filter(|path| tree.text(path).is_some_and(|text| depends_on_next(&text)));
    let bases = projects.map(|path| path.strip_suffix("package.json").unwrap_or_default().to_owned());
    let mut found = Vec::new();
    for base in bases {
        let Some(prefix) = base_path(tree, &base) else { continue };
        for path in tree.ending(&KINDS) {
            let Some(inner) = path.strip_prefix(base.as_str()) else { continue };
            let inner = inner.strip_prefix("src/").unwrap_or(inner);
            let declared = match inner.split_once('/') {
                Some(("app", file)) => in_app(tree, path, file),
                Some(("pages", file)) => in_pages(tree, path, file),
                _ => Vec::new(),
            };
            let prefixed = |one: Declared| match (prefix.as_str(), one.template.as_str()) {
                ("", _) => one,
                (prefix, "/") => Declared { template: prefix.to_owned(), ..one },
                (prefix, path) => Declared { template: format!("{prefix}{path}"), ..one },
            };
            found.extend(declared.into_iter().map(prefixed));
        }
    }
    found
}

fn depends_on_next(text: &str) -> bool {
    let package: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    ["dependencies", "devDependencies"].iter().any(|key| package[*key]["next"].is_string())
}

/// What every path begins with; `None` when it is computed.
fn base_path(tree: &Tree<'_>, base: &str) -> Option<String> {
    static BASE: LazyLock<Regex> = LazyLock::new(|| pattern(r#"\bbasePath\s*:\s*(?:['"]([^'"]*)['"]\s*[,}\n])?"#));
    let configs = ["js", "mjs", "ts"].map(|kind| format!("{base}next.config.{kind}"));
    let texts = configs.iter().filter(|path| tree.paths.contains(path)).filter_map(|path| tree.text(path));
    for text in texts {
        if let Some(found) = BASE.captures(&text) {
            return found.get(1).map(|path| path.as_str().trim_end_matches('/').to_owned());
        }
    }
    Some(String::new())
}

/// `app`: pages, and handlers that export the methods they take.
fn in_app(tree: &Tree<'_>, path: &str, file: &str) -> Vec<Declared> {
    static EXPORT: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?m)^\s*export\s+(?:async\s+)?(?:function|const)\s+(GET|POST|PUT|PATCH|DELETE)\b"));
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    let stem = name.split('.').next().unwrap_or_default();
    let Some(template) = template(folder) else { return Vec::new() };
    match stem {
        "page" => vec![Declared::new("GET", template)],
        "route" => {
            let text = tree.text(path).unwrap_or_default();
            EXPORT.captures_iter(&text).map(|found| Declared::new(&found[1], template.clone())).collect()
        }
        _ => Vec::new(),
    }
}

/// `pages`: a file each. What is below `api` takes every method, and says in its text which ones it means.
fn in_pages(tree: &Tree<'_>, path: &str, file: &str) -> Vec<Declared> {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let name = stem.rsplit('/').next().unwrap_or(stem);
    if name.starts_with('_') || matches!(name, "404" | "500") {
        return Vec::new();
    }
    let place = if name == "index" { stem.strip_suffix("index").unwrap_or(stem).trim_end_matches('/') } else { stem };
    let Some(template) = template(place) else { return Vec::new() };
    if file.starts_with("api/") {
        let text = tree.text(path).unwrap_or_default();
        if !["'GET'", "\"GET\""].iter().any(|method| text.contains(method)) {
            return Vec::new();
        }
    }
    vec![Declared::new("GET", template)]
}

/// A folder as a path; `None` for private folders, slots and intercepted routes.
fn template(folder: &str) -> Option<String> {
    let mut path = String::new();
    for segment in folder.split('/').filter(|segment| !segment.is_empty()) {
        if segment.starts_with(['_', '@']) || segment.starts_with("(.") {
            return None;
        }
        if segment.starts_with('(') && segment.ends_with(')') {
            continue;
        }
        path.push('/');
        match segment.strip_prefix('[') {
            Some(name) => {
                path.push('{');
                path.push_str(name.trim_matches(['[', ']', '.']));
                path.push('}');
            }
            None => path.push_str(segment),
        }
    }
    Some(if path.is_empty() { "/".into() } else { path })
}

fn pattern(text: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "constant patterns, compiled in every test")]
    Regex::new(text).expect("the pattern is valid")
}

#[cfg(test)]
mod tests {
    use super::{super::tests::found, *};

    #[test]
    fn folders_are_routes() {
        let files = [
            ("web/package.json", "{\"dependencies\":{\"next\":\"15.0.0\"}}"),
            ("web/src/app/page.tsx", ""),
            ("web/src/app/layout.tsx", ""),
            ("web/src/app/(shop)/items/[id]/page.tsx", ""),
            ("web/src/app/@modal/items/page.tsx", ""),
            ("web/src/app/_parts/page.tsx", ""),
            ("web/src/app/api/items/route.ts", "export async function GET() {}\nexport const POST = handler\n"),
            ("web/src/pages/_app.tsx", ""),
            ("web/src/pages/about.tsx", ""),
            ("web/src/pages/blog/index.tsx", ""),
            ("web/src/pages/api/send.ts", "export default function send() {}"),
            ("web/src/pages/api/list.ts", "if (request.method === 'GET') {}"),
            ("other/app/page.tsx", ""),
        ];
        let expected = [
            "GET /",
            "GET /about",
            "GET /api/items",
            "GET /api/list",
            "GET /blog",
            "GET /items/{id}",
            "POST /api/items",
        ];
        assert_eq!(found(read, &files), expected);
    }

    #[test]
    fn a_base_path_comes_first_and_a_computed_one_hides_everything() {
        let package = ("package.json", "{\"devDependencies\":{\"next\":\"15.0.0\"}}");
        let page = ("app/about/page.jsx", "");
        let with = |config| found(read, &[package, page, ("next.config.mjs", config)]);
        assert_eq!(with("export default { basePath: '/docs' }"), ["GET /docs/about"]);
        assert!(with("export default { basePath: process.env.BASE }").is_empty());
        assert_eq!(with("export default {}"), ["GET /about"]);
    }
}
