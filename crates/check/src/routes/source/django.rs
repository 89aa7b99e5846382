//! Django: `urlpatterns` from the root that the settings name, through `include`, and the routers of its REST framework.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    Declared, Tree,
    modules::{self, Module, find},
    text::{inside, literal, parts},
};

/// Includes that go deeper go round in circles.
const DEEPEST: usize = 8;

pub(super) fn read(tree: &Tree<'_>) -> Vec<Declared> {
    static ROOT: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r#"(?m)^ROOT_URLCONF\s*=\s*["']([\w.]+)["']"#).expect("the pattern is valid")
    });
    let modules = modules::all(tree);
    let named = |module: &Module| {
        let root = ROOT.captures(&module.text)?[1].to_owned();
        find(&modules, &module.path, &root)
    };
    let mut roots: Vec<usize> = modules.iter().filter_map(named).collect();
    roots.sort_unstable();
    roots.dedup();
    let mut found = Vec::new();
    for root in roots {
        of_file(&modules, root, "/", DEEPEST, &mut found);
    }
    found
}

fn of_file(modules: &[Module], file: usize, prefix: &str, steps: usize, found: &mut Vec<Declared>) {
    let Some(steps) = steps.checked_sub(1) else { return };
    let text = &modules[file].text;
    for list in lists(text, "urlpatterns") {
        of_list(modules, file, list, prefix, steps, found);
    }
    static WHOLE: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r"\burlpatterns\s*\+?=\s*(\w+)\.urls\b").expect("the pattern is valid")
    });
    for whole in WHOLE.captures_iter(text) {
        registered(text, &whole[1], prefix, found);
    }
}

/// The lists that are assigned or added to a name.
fn lists<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    static LIST: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r"(?m)^\s*(\w+)\s*(?::[^=\n]+)?\+?=\s*\[").expect("the pattern is valid")
    });
    let of_name = LIST.captures_iter(text).filter(|list| &list[1] == name);
    of_name.filter_map(|list| inside(text, list.get(0)?.end() - 1)).collect()
}

/// Each entry of a list; what is no plain `path(…)` is left out.
fn of_list(modules: &[Module], file: usize, list: &str, prefix: &str, steps: usize, found: &mut Vec<Declared>) {
    let Some(steps) = steps.checked_sub(1) else { return };
    let text = &modules[file].text;
    for entry in parts(list) {
        let Some(arguments) = entry.strip_prefix("path").and_then(|call| inside(call.trim_start(), 0)) else {
            continue;
        };
        let arguments = parts(arguments);
        let (Some(route), Some(view)) = (arguments.first().and_then(|one| literal(one)), arguments.get(1)) else {
            continue;
        };
        let here = format!("{prefix}{}", template(route));
        let Some(included) = view.strip_prefix("include").and_then(|call| inside(call.trim_start(), 0)) else {
            if *view != "admin.site.urls" && view.ends_with(".urls") {
                continue;
            }
            found.push(Declared::new("GET", here));
            continue;
        };
        let included = parts(included);
        let Some(first) = included.first() else { continue };
        // `include((patterns, "name"))` puts a pair where one thing is expected.
        let pair = first.starts_with('(').then(|| inside(first, 0)).flatten().map(parts);
        let target = pair.as_ref().and_then(|pair| pair.first()).unwrap_or(first);
        if let Some(module) = literal(target) {
            if let Some(next) = find(modules, &modules[file].path, module) {
                of_file(modules, next, &here, steps, found);
            }
        } else if let Some(router) = target.strip_suffix(".urls") {
            registered(text, router, &here, found);
        } else if target.starts_with('[') {
            of_list(modules, file, inside(target, 0).unwrap_or_default(), &here, steps, found);
        } else {
            for list in lists(text, target) {
                of_list(modules, file, list, &here, steps, found);
            }
        }
    }
}

/// `router.register("users", UserViewSet)`: a list and its entries.
fn registered(text: &str, router: &str, prefix: &str, found: &mut Vec<Declared>) {
    static REGISTER: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r"\b(\w+)\.register\(").expect("the pattern is valid")
    });
    for call in REGISTER.captures_iter(text).filter(|call| &call[1] == router) {
        let arguments = call.get(0).and_then(|whole| inside(text, whole.end() - 1)).map(parts).unwrap_or_default();
        let Some(name) = arguments.first().and_then(|one| literal(one)).filter(|name| !name.contains('(')) else {
            continue;
        };
        found.push(Declared::new("GET", format!("{prefix}{name}/")));
        found.push(Declared::new("GET", format!("{prefix}{name}/{{pk}}/")));
    }
}

/// `<int:id>` as `{id}`.
fn template(route: &str) -> String {
    static PARAMETER: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r"<(?:\w+:)?(\w+)>").expect("the pattern is valid")
    });
    PARAMETER.replace_all(route, "{$1}").into_owned()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::found, *};

    #[test]
    fn urls_are_followed_from_the_root_that_the_settings_name() {
        let urls = "from django.urls import include, path, re_path\nextra = [path(\"extra/\", views.extra)]\n\
            urlpatterns = [\n    path(\"admin/\", admin.site.urls),\n    path(\"\", views.home, name=\"home\"),\n    \
            path(\"shop/\", include(\"shop.urls\")),\n    path(\"api/\", include(router.urls)),\n    \
            path(\"more/\", include((extra, \"more\"))),\n    path(\"in/\", include([path(\"line/\", views.x)])),\n    \
            re_path(r\"^old/(\\d+)$\", views.old),\n    path(PREFIX + \"x/\", views.x),\n]\n\
            router = DefaultRouter()\nrouter.register(r\"users\", UserViewSet)\n";
        let shop = "urlpatterns = [path(\"items/<int:item_id>/\", views.item)]\nurlpatterns += [path(\"cart/\", views.cart)]\n";
        let files = [
            ("site/settings.py", "ROOT_URLCONF = \"site.urls\"\n"),
            ("site/urls.py", urls),
            ("shop/urls.py", shop),
            ("unused/urls.py", "urlpatterns = [path(\"unused/\", views.x)]\n"),
        ];
        let expected = [
            "GET /",
            "GET /admin/",
            "GET /api/users/",
            "GET /api/users/{pk}/",
            "GET /in/line/",
            "GET /more/extra/",
            "GET /shop/cart/",
            "GET /shop/items/{item_id}/",
        ];
        assert_eq!(found(read, &files), expected);
    }
}
