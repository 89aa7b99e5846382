//! What a tree of Go says.

use tree_sitter::Node;

use super::{Kind, Walk, is_debug_switch, line_of, says_something};
use crate::{
    habits::has_module,
    module::{Class, Function, Import},
};

impl<'t> Walk<'t> {
    pub(super) fn enter_go(&mut self, node: Node<'t>, depth: usize) {
        match node.kind() {
            "package_clause" => self.module.package = self.of(node).trim_start_matches("package").trim().to_owned(),
            "import_spec" => self.go_import(node),
            "function_declaration" | "method_declaration" => self.go_function(node, depth),
            "type_spec" if self.at_top() => self.go_type(node),
            "call_expression" => {
                if let Some(callee) = node.child_by_field_name("function") {
                    self.call(node, callee);
                }
            }
            "if_statement" if is_debug_switch(self.field(node, "condition")) => self.push(depth, Kind::DebugOnly),
            "type_declaration" | "var_declaration" => self.statement = node.start_byte(),
            "var_spec" if self.at_top() => self.go_variable(node),
            "identifier" if self.function().is_some() => self.note_use(self.of(node)),
            _ => {}
        }
    }

    fn go_import(&mut self, node: Node<'t>) {
        let module = self.field(node, "path").trim_matches(['"', '`']).to_owned();
        let here = match self.field(node, "name") {
            "" => module.rsplit('/').next().unwrap_or_default().to_owned(),
            name => name.to_owned(),
        };
        self.module.terminal |= has_module(&self.known.habits.terminal, &module);
        let names = vec![("*".to_owned(), here)];
        self.module.imports.push(Import { module, names, line: line_of(node), ..Import::default() });
    }

    fn go_function(&mut self, node: Node<'t>, depth: usize) {
        let name = self.field(node, "name");
        let parameters = self.field(node, "parameters");
        let receiver = self.field(node, "receiver");
        // A method of a type that is not exported is not for others.
        let of_public = receiver.is_empty() || receiver_type(receiver).starts_with(char::is_uppercase);
        let handler = self.known.habits.handler_parameters.iter().any(|kind| parameters.contains(kind.as_str()));
        let function = Function {
            name: name.to_owned(),
            line: line_of(node),
            public: name.starts_with(char::is_uppercase) && of_public && self.module.package != "main",
            top: true,
            documented: self.comment_before(node.start_byte()).is_some_and(says_something),
            typed: true,
            handler,
            injected: !receiver.is_empty(),
            ..Function::default()
        };
        self.add_function(function, depth);
    }

    fn go_type(&mut self, node: Node<'t>) {
        let name = self.field(node, "name");
        let comment = self.comment_before(node.start_byte()).or_else(|| self.comment_before(self.statement));
        self.module.classes.push(Class {
            name: name.to_owned(),
            line: line_of(node),
            public: name.starts_with(char::is_uppercase) && self.module.package != "main",
            top: true,
            documented: comment.is_some_and(says_something),
            ..Class::default()
        });
    }

    fn go_variable(&mut self, node: Node<'t>) {
        let value = node.child_by_field_name("value").and_then(|values| values.named_child(0));
        if let Some(callee) = value.and_then(|value| value.child_by_field_name("function")) {
            self.global(self.field(node, "name"), callee, line_of(node));
        }
    }
}

/// The name of the type in `(name *Type[T])`.
fn receiver_type(receiver: &str) -> &str {
    let plain = receiver.trim_matches(['(', ')']).split('[').next().unwrap_or_default().trim_end();
    plain.rsplit([' ', '*', '\t']).next().unwrap_or_default()
}
