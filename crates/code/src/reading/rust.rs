//! What a tree of Rust says.

use tree_sitter::Node;

use super::{Kind, Walk, children, has_word, is_debug_switch, line_of, says_something};
use crate::{
    habits::has_module,
    module::{Class, Function, Import},
};

impl<'t> Walk<'t> {
    pub(super) fn enter_rust(&mut self, node: Node<'t>, depth: usize) {
        match node.kind() {
            "function_item" => self.rust_function(node, depth),
            "struct_item" | "enum_item" | "trait_item" | "union_item" | "type_item" => self.rust_type(node),
            "mod_item" if self.field(node, "name").starts_with("test") => self.push(depth, Kind::Apart),
            "closure_expression" => self.push(depth, Kind::Deferred),
            "call_expression" => {
                if let Some(callee) = node.child_by_field_name("function") {
                    self.call(node, callee);
                }
            }
            "macro_invocation" => {
                let name = self.field(node, "macro").to_owned();
                if self.known.names(&name) {
                    self.call_named(node, name);
                }
            }
            "use_declaration" => self.rust_use(node),
            "if_expression" if is_debug_switch(self.field(node, "condition")) => self.push(depth, Kind::DebugOnly),
            _ => {}
        }
    }

    fn rust_function(&mut self, node: Node<'t>, depth: usize) {
        let is_async = children(node)
            .iter()
            .any(|child| child.kind() == "function_modifiers" && self.of(*child).contains("async"));
        let function = Function {
            name: self.field(node, "name").to_owned(),
            line: line_of(node),
            public: self.is_public(node) && !self.is_in(Kind::Apart),
            top: self.at_top(),
            asynchronous: is_async || has_word(node, "async"),
            documented: self.rust_doc(node),
            typed: true,
            ..Function::default()
        };
        self.add_function(function, depth);
    }

    fn is_public(&self, node: Node<'t>) -> bool {
        children(node).iter().any(|child| child.kind() == "visibility_modifier" && self.of(*child) == "pub")
    }

    fn rust_doc(&self, node: Node<'t>) -> bool {
        let comment = self.comment_before(node.start_byte());
        let is_doc =
            |text: &str| text.lines().any(|line| line.trim_start().starts_with("///")) || text.starts_with("/**");
        comment.is_some_and(|text| is_doc(text) && says_something(text))
    }

    fn rust_type(&mut self, node: Node<'t>) {
        self.module.classes.push(Class {
            name: self.field(node, "name").to_owned(),
            line: line_of(node),
            public: self.is_public(node) && !self.is_in(Kind::Apart),
            top: true,
            documented: self.rust_doc(node),
            ..Class::default()
        });
    }

    fn rust_use(&mut self, node: Node<'t>) {
        let path = self.field(node, "argument").to_owned();
        self.module.terminal |= has_module(&self.known.habits.terminal, &path);
        for (whole, here) in spread(&path) {
            self.alias(&here, whole.replace("::", "."));
        }
        let names = vec![("*".to_owned(), String::new())];
        let late = self.function().is_some() || self.is_in(Kind::Apart);
        self.module.imports.push(Import { module: path, names, line: line_of(node), late, ..Import::default() });
    }
}

/// `a::{b, c as d}` as single paths with their names here; deeper braces are left out.
fn spread(path: &str) -> Vec<(String, String)> {
    let (before, list) = path.split_once('{').map_or(("", path), |(before, list)| (before, list.trim_end_matches('}')));
    let one = |part: &str| {
        let part = part.trim();
        let (whole, here) = part.split_once(" as ").unwrap_or((part, part.rsplit("::").next().unwrap_or(part)));
        let name = here.trim().to_owned();
        let whole = if whole == "self" { before.trim_end_matches("::").to_owned() } else { format!("{before}{whole}") };
        let name = if part == "self" { whole.rsplit("::").next().unwrap_or_default().to_owned() } else { name };
        (whole, name)
    };
    list.split(',').filter(|part| !part.trim().is_empty() && !part.contains(['{', '}'])).map(one).collect()
}
