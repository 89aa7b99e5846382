//! What a tree of Python says.

use tree_sitter::Node;

use super::{Ahead, Kind, Walk, children, has_word, is_debug_switch, line_of, says_something};
use crate::{
    habits::{has_module, last},
    module::{Class, Function, Import},
};

/// Methods of a router that take a path.
const ROUTES: &[&str] =
    &["get", "post", "put", "patch", "delete", "head", "options", "route", "api_route", "websocket"];

/// Methods of a class of views that answer requests.
const VERBS: &[&str] = &["get", "post", "put", "patch", "delete"];

impl<'t> Walk<'t> {
    pub(super) fn enter_python(&mut self, node: Node<'t>, depth: usize) {
        match node.kind() {
            "decorated_definition" => self.decorated(node),
            "function_definition" => self.python_function(node, depth),
            "class_definition" => self.python_class(node, depth),
            "lambda" => self.push(depth, Kind::Deferred),
            "call" => {
                if let Some(callee) = node.child_by_field_name("function") {
                    self.call(node, callee);
                }
            }
            "import_statement" | "import_from_statement" => self.python_import(node),
            "try_statement" => self.push(depth, Kind::Caught),
            "if_statement" => self.python_condition(node, depth),
            "assignment" if self.at_top() => self.python_assignment(node),
            "identifier" if self.function().is_some() => self.note_use(self.of(node)),
            _ => {}
        }
    }

    fn decorated(&mut self, node: Node<'t>) {
        let Some(definition) = node.child_by_field_name("definition") else { return };
        let decorators = self.text.get(node.start_byte()..definition.start_byte()).unwrap_or_default().to_owned();
        self.ahead.insert(definition.id(), Ahead { decorators, ..Ahead::default() });
    }

    fn python_condition(&mut self, node: Node<'t>, depth: usize) {
        let condition = self.field(node, "condition");
        self.push(depth, Kind::Conditional);
        if condition.contains("TYPE_CHECKING") {
            self.push(depth, Kind::TypesOnly);
        } else if condition.contains("__name__") {
            self.module.terminal |= self.module.functions.is_empty() && self.module.classes.is_empty();
            self.push(depth, Kind::Apart);
        } else if is_debug_switch(condition) {
            self.push(depth, Kind::DebugOnly);
        }
    }

    fn python_assignment(&mut self, node: Node<'t>) {
        let (Some(left), Some(right)) = (node.child_by_field_name("left"), node.child_by_field_name("right")) else {
            return;
        };
        let right = if right.kind() == "await" { right.named_child(0).unwrap_or(right) } else { right };
        if left.kind() != "identifier" {
            return;
        }
        if right.kind() == "call"
            && let Some(callee) = right.child_by_field_name("function")
        {
            self.global(self.of(left), callee, line_of(node));
        }
        let value = self.of(right);
        if value.len() < 400 && self.known.habits.injection.iter().any(|word| value.contains(&format!("{word}("))) {
            self.module.handed.push(self.of(left).to_owned());
        }
    }

    fn python_function(&mut self, node: Node<'t>, depth: usize) {
        let ahead = self.ahead.remove(&node.id()).unwrap_or_default();
        let name = self.field(node, "name");
        let (class, top) = (self.class(), self.at_top());
        let is_static = ahead.decorators.contains("staticmethod");
        let parameters = node.child_by_field_name("parameters").map(children).unwrap_or_default();
        let kept: Vec<(String, String)> = parameters.iter().filter_map(|one| self.python_parameter(*one)).collect();
        let own = &kept[usize::from(class.is_some() && !is_static && !kept.is_empty())..];
        let untyped = own.iter().any(|(name, kind)| kind.is_empty() && name != "_");
        let returns = node.child_by_field_name("return_type").is_some();
        let second = ["overload", ".setter", ".deleter"].iter().any(|word| ahead.decorators.contains(word));
        let public = !name.starts_with('_') && (top || class.is_some()) && !second;
        let in_view = class.is_some_and(|at| self.module.classes[at].controller);
        let function = Function {
            name: name.to_owned(),
            line: line_of(node),
            public: public && class.is_none_or(|at| self.module.classes[at].public),
            top: top && class.is_none(),
            asynchronous: has_word(node, "async"),
            documented: self.docstring(node),
            typed: returns && !untyped,
            handler: self.is_python_handler(&ahead.decorators, own) || in_view && VERBS.contains(&name),
            injected: kept.iter().any(|(_, kind)| self.hands_in(kind)) || self.hands_in(&ahead.decorators),
            class,
            parameters: kept,
            ..Function::default()
        };
        self.add_function(function, depth);
    }

    fn hands_in(&self, text: &str) -> bool {
        let calls = |word: &String| text.contains(&format!("{word}(")) || text.contains(&format!("{word}["));
        let decorates = |word: &String| text.contains(&format!("@{word}\n"));
        self.known.habits.injection.iter().any(|word| calls(word) || decorates(word))
    }

    /// A parameter's name and type; with its default, which may hand something in.
    fn python_parameter(&self, node: Node<'t>) -> Option<(String, String)> {
        let kind = self.field(node, "type");
        let value = self.field(node, "value");
        Some(match node.kind() {
            "identifier" | "list_splat_pattern" | "dictionary_splat_pattern" => {
                (self.of(node).to_owned(), String::new())
            }
            "default_parameter" => {
                let handed = if self.hands_in(value) { value } else { "" };
                (self.field(node, "name").to_owned(), handed.to_owned())
            }
            "typed_default_parameter" => (self.field(node, "name").to_owned(), format!("{kind} = {value}")),
            "typed_parameter" => {
                let name = node.named_child(0).map_or("", |name| self.of(name));
                (name.to_owned(), kind.to_owned())
            }
            _ => return None,
        })
    }

    fn is_python_handler(&self, decorators: &str, own: &[(String, String)]) -> bool {
        let routes = |line: &str| {
            let (name, rest) = line.trim().trim_start_matches('@').split_once('(').unwrap_or((line.trim(), ""));
            let takes_path = rest.trim_start().starts_with(['"', '\'']) || rest.trim_start().starts_with("path");
            let empty = rest.is_empty() || rest.trim_start().starts_with(')');
            name.contains('.') && ROUTES.contains(&last(name)) && (takes_path || (empty && rest.contains(')')))
        };
        // The path may stand in the line below.
        let decorators = decorators.replace("(\n", "(");
        let path = self.module.path.to_string_lossy();
        let views = path.ends_with("views.py") || path.contains("/views/") || path.starts_with("views/");
        let takes_request = own.first().is_some_and(|(name, _)| name == "request");
        decorators.lines().filter(|line| line.trim_start().starts_with('@')).any(routes)
            || decorators.contains("@api_view")
            || (views && takes_request)
    }

    fn python_class(&mut self, node: Node<'t>, depth: usize) {
        let name = self.field(node, "name");
        let bases = self.field(node, "superclasses");
        let nested = !self.at_top();
        let class = Class {
            name: name.to_owned(),
            line: line_of(node),
            public: !name.starts_with('_') && !nested,
            top: !nested,
            documented: self.docstring(node),
            controller: bases.contains("View") || bases.contains("Resource"),
            constructed: false,
        };
        self.add_class(class, depth);
    }

    fn docstring(&self, node: Node<'t>) -> bool {
        let body = node.child_by_field_name("body");
        let first = body.and_then(|body| children(body).into_iter().find(|child| child.kind() != "comment"));
        let text = first.filter(|first| first.kind() == "expression_statement").and_then(|first| first.named_child(0));
        text.or(first)
            .filter(|text| matches!(text.kind(), "string" | "concatenated_string"))
            .is_some_and(|text| says_something(self.of(text)))
    }

    fn python_import(&mut self, node: Node<'t>) {
        let from = node.child_by_field_name("module_name");
        let module = from.map_or("", |from| self.of(from));
        let mut import = Import {
            module: module.to_owned(),
            line: line_of(node),
            types_only: self.is_in(Kind::TypesOnly),
            guarded: self.is_in(Kind::Caught) || self.is_in(Kind::Conditional),
            late: self.function().is_some(),
            names: Vec::new(),
        };
        for name in node.children_by_field_name("name", &mut node.walk()) {
            let (there, here) = match name.kind() {
                "aliased_import" => (self.field(name, "name"), self.field(name, "alias")),
                _ => (self.of(name), self.of(name)),
            };
            self.module.terminal |=
                has_module(&self.known.habits.terminal, if from.is_some() { module } else { there });
            if from.is_some() {
                self.alias(here, format!("{module}.{there}"));
                import.names.push((there.to_owned(), here.to_owned()));
                continue;
            }
            if here != there {
                self.alias(here, there.to_owned());
            }
            let names = vec![("*".to_owned(), here.to_owned())];
            self.module.imports.push(Import { module: there.to_owned(), names, ..import_like(&import) });
        }
        if from.is_some() {
            if children(node).iter().any(|child| child.kind() == "wildcard_import") {
                import.names.push(("*".to_owned(), String::new()));
            }
            self.module.imports.push(import);
        }
    }
}

fn import_like(import: &Import) -> Import {
    Import {
        types_only: import.types_only,
        guarded: import.guarded,
        late: import.late,
        line: import.line,
        ..Import::default()
    }
}
