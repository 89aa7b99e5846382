//! What a tree of Ruby says.

use tree_sitter::Node;

use super::{Kind, Walk, is_debug_switch, line_of, says_something};
use crate::module::{Class, Function};

impl<'t> Walk<'t> {
    pub(super) fn enter_ruby(&mut self, node: Node<'t>, depth: usize) {
        match node.kind() {
            "class" | "module" => self.ruby_class(node, depth),
            "method" | "singleton_method" => self.ruby_method(node, depth),
            "call" => self.ruby_call(node),
            "identifier" => self.ruby_word(node),
            "if" | "if_modifier" if is_debug_switch(self.field(node, "condition")) => self.push(depth, Kind::DebugOnly),
            _ => {}
        }
    }

    fn ruby_class(&mut self, node: Node<'t>, depth: usize) {
        self.private = false;
        let class = Class {
            name: self.field(node, "name").to_owned(),
            line: line_of(node),
            // A module only holds the classes of a gem together.
            public: node.kind() == "class",
            top: true,
            documented: self.ruby_doc(node),
            ..Class::default()
        };
        self.add_class(class, depth);
    }

    fn ruby_method(&mut self, node: Node<'t>, depth: usize) {
        let name = self.field(node, "name");
        let before =
            self.text.get(self.comment.map_or(0, |comment| comment.end)..node.start_byte()).unwrap_or_default();
        // A signature is short.
        let cut = before.len().saturating_sub(400);
        let before =
            before.char_indices().rev().take_while(|(at, _)| *at >= cut).last().map_or("", |(at, _)| &before[at..]);
        let line_above = before.trim_end().lines().last().unwrap_or_default().trim();
        let function = Function {
            name: name.to_owned(),
            line: line_of(node),
            public: !self.private && name != "initialize" && !name.starts_with('_') && self.function().is_none(),
            top: self.at_top(),
            documented: self.ruby_doc(node),
            typed: line_above.starts_with("sig ") || line_above == "end" && before.contains("sig do"),
            class: self.class(),
            ..Function::default()
        };
        self.add_function(function, depth);
    }

    fn ruby_doc(&self, node: Node<'t>) -> bool {
        self.comment_before(node.start_byte()).is_some_and(|text| {
            let magic = ["frozen_string_literal", "rubocop:", "encoding:", "typed:"];
            says_something(text) && !magic.iter().any(|word| text.lines().last().unwrap_or_default().contains(word))
        })
    }

    fn ruby_call(&mut self, node: Node<'t>) {
        let method = self.field(node, "method");
        if (method == "private" || method == "protected") && node.child_by_field_name("arguments").is_none() {
            self.private = true;
        }
        let receiver = self.field(node, "receiver");
        // `p` and `puts` of an object are its own.
        let written = if receiver.is_empty() { method.to_owned() } else { format!("{receiver}.{method}") };
        let printed = node.child_by_field_name("arguments").is_some() || written.contains('.');
        if printed && self.known.names(&written) {
            self.call_named(node, written);
        }
    }

    fn ruby_word(&mut self, node: Node<'t>) {
        let word = self.of(node);
        match word {
            "private" | "protected" => {
                self.private |= node.parent().is_some_and(|parent| parent.kind() == "body_statement")
            }
            "public" => self.private = false,
            "byebug" | "debugger" => {
                let alone = node.parent().is_some_and(|parent| {
                    matches!(
                        parent.kind(),
                        "body_statement" | "program" | "then" | "block_body" | "do_block" | "else" | "block"
                    )
                });
                if alone {
                    self.call_named(node, word.to_owned());
                }
            }
            _ => {}
        }
    }
}
