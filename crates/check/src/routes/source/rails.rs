//! Rails: `config/routes.rb`, line by line, with the blocks around each line.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    Declared, Tree,
    text::{keyword, literal, literals, parts},
};

/// What stands around a line.
enum Block {
    /// Paths inside begin with this.
    Below(String),
    /// Paths inside belong to each entry (`member`) or to all (`collection`) of the resources around.
    Member,
    Collection,
    /// Resources: where the list is, and the name of an entry's parameter.
    Resources {
        list: String,
        parameter: String,
    },
    /// Nothing inside can be told.
    Hidden,
}

pub(super) fn read(tree: &Tree<'_>) -> Vec<Declared> {
    let is_routes = |path: &&str| *path == "config/routes.rb" || path.ends_with("/config/routes.rb");
    let mut found = Vec::new();
    for path in tree.ending(&["rb"]).filter(is_routes) {
        let base = path.strip_suffix("config/routes.rb").unwrap_or_default();
        let application = tree.text(&format!("{base}config/application.rb")).unwrap_or_default();
        let has_forms = !application.contains("api_only = true");
        if let Some(text) = tree.text(path) {
            routes(&text, has_forms, &mut found);
        }
    }
    found
}

fn routes(text: &str, has_forms: bool, found: &mut Vec<Declared>) {
    static OPENS: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
        Regex::new(r"\bdo\s*(?:\|[^|]*\|)?\s*$").expect("the pattern is valid")
    });
    let mut blocks: Vec<Block> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line == "end" || line.starts_with("end ") {
            blocks.pop();
            continue;
        }
        let (word, rest) =
            line.split_once(|letter: char| letter.is_whitespace() || letter == '(').unwrap_or((line, ""));
        let opens = OPENS.is_match(line);
        let rest = OPENS.replace(rest, "").into_owned();
        let arguments = parts(rest.trim().trim_end_matches(')'));
        let hidden = blocks.iter().any(|block| matches!(block, Block::Hidden));
        if !hidden {
            declare(word, &arguments, &blocks, has_forms, found);
        }
        if opens || matches!(word, "if" | "unless" | "case" | "begin") {
            blocks.push(block(word, &arguments, &blocks));
        }
    }
}

/// What a line declares.
fn declare(word: &str, arguments: &[&str], blocks: &[Block], has_forms: bool, found: &mut Vec<Declared>) {
    let here = around(blocks, keyword(arguments, "on"));
    let mut add = |method: &str, path: String| found.push(Declared::new(method, path));
    match word {
        "root" if !here.is_empty() => add("GET", here),
        "root" => add("GET", "/".into()),
        "get" | "post" | "put" | "patch" | "delete" => {
            let Some(first) = arguments.first() else { return };
            // `get "/a" => "b#c"` has its path before the arrow.
            let path = first.split("=>").next().unwrap_or(first);
            if let Some(path) = name(path).filter(|path| !path.contains(['*', '('])) {
                add(word, format!("{here}{}", template(path)));
            }
        }
        "resources" => {
            for list in arguments.iter().filter_map(|one| name(one)) {
                let Some(list) = listed_at(list, arguments).map(|list| format!("{here}{list}")) else { return };
                let parameter = parameter(arguments);
                let actions = [
                    ("index", list.clone()),
                    ("new", format!("{list}/new")),
                    ("show", format!("{list}/{{{parameter}}}")),
                    ("edit", format!("{list}/{{{parameter}}}/edit")),
                ];
                let exists =
                    |action: &str| wanted(arguments, action) && (has_forms || !matches!(action, "new" | "edit"));
                actions.into_iter().filter(|(action, _)| exists(action)).for_each(|(_, path)| add("GET", path));
                if wanted(arguments, "create") {
                    add("POST", list);
                }
            }
        }
        "resource" => {
            let Some(path) = arguments.first().and_then(|one| listed_at(name(one)?, arguments)) else { return };
            if wanted(arguments, "show") {
                add("GET", format!("{here}{path}"));
            }
        }
        _ => {}
    }
}

/// What a line that opens a block means for the lines inside.
fn block(word: &str, arguments: &[&str], blocks: &[Block]) -> Block {
    let here = around(blocks, None);
    let first = arguments.first().and_then(|one| name(one));
    match word {
        "namespace" | "resource" => match first.and_then(|name| listed_at(name, arguments)) {
            Some(path) => Block::Below(path),
            None => Block::Hidden,
        },
        "scope" => match (first, keyword(arguments, "path")) {
            (_, Some(path)) => literal(path).map_or(Block::Hidden, |path| Block::Below(template(path))),
            (Some(path), None) => Block::Below(template(path)),
            (None, None) if arguments.iter().all(|one| one.contains(':')) => Block::Below(String::new()),
            (None, None) => Block::Hidden,
        },
        "resources" => match first.and_then(|name| listed_at(name, arguments)) {
            Some(list) => Block::Resources { list: format!("{here}{list}"), parameter: parameter(arguments) },
            None => Block::Hidden,
        },
        "member" => Block::Member,
        "collection" => Block::Collection,
        // Who may come here is another question; a concern is no route by itself.
        "authenticate" | "authenticated" | "constraints" | "defaults" | "Rails.application.routes.draw" => {
            Block::Below(String::new())
        }
        _ => Block::Hidden,
    }
}

/// The path that the blocks around give to what is inside; `on` is what a line itself says of the resources around it.
fn around(blocks: &[Block], on: Option<&str>) -> String {
    let mut path = String::new();
    for (index, block) in blocks.iter().enumerate() {
        match block {
            Block::Below(prefix) => path.push_str(prefix),
            Block::Resources { list, parameter } => {
                path.clone_from(list);
                match (blocks.get(index + 1), on) {
                    (Some(Block::Collection), _) | (None, Some(":collection")) => {}
                    (Some(Block::Member), _) | (None, Some(":member")) => path.push_str(&format!("/{{{parameter}}}")),
                    // Rails names the parameter after the resources there; names make no difference to us.
                    _ => path.push_str(&format!("/{{parent_{parameter}}}")),
                }
            }
            Block::Member | Block::Collection | Block::Hidden => {}
        }
    }
    path
}

/// A symbol or a literal.
fn name(part: &str) -> Option<&str> {
    let part = part.trim();
    let is_name =
        |name: &&str| name.chars().all(|letter| letter.is_alphanumeric() || letter == '_') && !name.is_empty();
    part.strip_prefix(':').filter(is_name).or_else(|| literal(part))
}

/// Where resources of this name are, unless an option says otherwise; `None` when that is computed.
fn listed_at(name: &str, arguments: &[&str]) -> Option<String> {
    match keyword(arguments, "path") {
        Some(path) => literal(path).map(template),
        None => Some(template(name)),
    }
}

fn parameter(arguments: &[&str]) -> String {
    keyword(arguments, "param").and_then(name).unwrap_or("id").to_owned()
}

/// Whether `only` and `except` leave an action.
fn wanted(arguments: &[&str], action: &str) -> bool {
    let listed = |text: &str| {
        let words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        words.chain(literals(text)).any(|word| word == action)
    };
    keyword(arguments, "only").is_none_or(listed) && !keyword(arguments, "except").is_some_and(listed)
}

/// With a slash in front, and `:id` as `{id}`.
fn template(path: &str) -> String {
    let segments = path.trim_matches('/').split('/').filter(|segment| !segment.is_empty());
    let shown = segments.map(|segment| match segment.strip_prefix(':') {
        Some(name) => format!("/{{{name}}}"),
        None => format!("/{segment}"),
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::found, *};

    #[test]
    fn resources_and_scopes_are_read() {
        let routes = "Rails.application.routes.draw do\n  root \"home#index\"\n  get \"/about\", to: \"home#about\"\n  \
            get \"/old\" => \"home#old\"\n  # get \"/commented\"\n  get \"files/*path\", to: \"files#show\"\n  \
            namespace :admin do\n    resources :users, only: [:index, :show]\n  end\n  \
            scope \"/api\", defaults: { format: :json } do\n    resources :posts, only: %i[index create] do\n      \
            get \"recent\", on: :collection\n      resources :comments, only: :index\n      member do\n        get :preview\n      \
            end\n    end\n  end\n  resource :profile, only: :show\n  concern :x do\n    get \"/hidden\"\n  end\n  \
            if Rails.env.development?\n    get \"/dev\", to: \"x#y\"\n  end\nend\n";
        let expected = [
            "GET /",
            "GET /about",
            "GET /admin/users",
            "GET /admin/users/{id}",
            "GET /api/posts",
            "GET /api/posts/recent",
            "GET /api/posts/{id}/preview",
            "GET /api/posts/{parent_id}/comments",
            "GET /old",
            "GET /profile",
            "POST /api/posts",
        ];
        let all = found(read, &[("config/routes.rb", routes)]);
        assert_eq!(all, expected);
    }

    #[test]
    fn an_interface_without_pages_has_no_forms() {
        let files = [
            ("config/routes.rb", "Rails.application.routes.draw do\n  resources :items\nend\n"),
            ("config/application.rb", "config.api_only = true\n"),
        ];
        assert_eq!(found(read, &files), ["GET /items", "GET /items/{id}", "POST /items"]);
        assert_eq!(found(read, &files[..1]).len(), 5);
    }
}
