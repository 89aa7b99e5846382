//! Names, what they stand for, and calls of what is looked for.

use tree_sitter::Node;

use super::{Kind, MOST_KEPT, Walk, line_of};
use crate::module::{Call, Function, Global};

impl<'t> Walk<'t> {
    /// A name, dotted; of what is called on the value of an expression, only the method.
    pub(super) fn name_of(&self, node: Node<'_>) -> String {
        let text = self.of(node);
        let plain = |letter: char| letter.is_alphanumeric() || "_$.:?!@".contains(letter);
        if text.len() <= 160 {
            let text: String = text.split_whitespace().collect();
            if text.chars().all(plain) {
                return text.replace("::", ".").replace(['?', '!'], "");
            }
        }
        let method = ["attribute", "property", "field", "name", "method"];
        let method = method.iter().find_map(|field| node.child_by_field_name(field));
        method.map_or_else(String::new, |method| format!("().{}", self.of(method)))
    }

    /// What a name stands for, after its imports.
    pub(super) fn whole(&self, written: &str) -> String {
        let (first, rest) = written.split_once('.').map_or((written, ""), |(first, rest)| (first, rest));
        match self.aliases.get(first) {
            None => written.to_owned(),
            Some(whole) if rest.is_empty() => whole.clone(),
            Some(whole) => format!("{whole}.{rest}"),
        }
    }

    pub(super) fn alias(&mut self, here: &str, whole: String) {
        if self.aliases.len() < MOST_KEPT {
            if self.known.names(&whole) {
                self.watched_aliases.insert(here.to_owned());
            }
            self.aliases.insert(here.to_owned(), whole);
        }
    }

    /// A call; kept when it may be one that is looked for, or when asynchronous code calls something of its own.
    pub(super) fn call(&mut self, node: Node<'t>, callee: Node<'t>) {
        let written = self.name_of(callee);
        let function = self.function();
        let waits = |function: &Function| function.asynchronous || function.handler;
        let is_script = self.module.language.is_script();
        let around = self.module.around(function).take(if is_script { 8 } else { 1 });
        let asynchronous = around.into_iter().any(waits);
        // `crud.load()` is one of its own too, where `crud` is imported.
        let by_module = written
            .split_once('.')
            .is_none_or(|(object, method)| !method.contains('.') && self.aliases.contains_key(object));
        let own = asynchronous && !written.is_empty() && by_module;
        let watched = self.known.watches(&written) || self.watched_aliases.contains(&written);
        if !(own || watched) || self.module.calls.len() >= MOST_KEPT {
            return;
        }
        let deferred = self.scopes.iter().rev().find(|(_, kind)| matches!(kind, Kind::Function(_) | Kind::Deferred));
        let arguments = node.child_by_field_name("arguments").map_or("", |arguments| self.of(arguments));
        let awaited =
            node.parent().is_some_and(|parent| parent.kind() == "await" || parent.kind() == "await_expression");
        self.module.calls.push(Call {
            name: self.whole(&written),
            written,
            line: line_of(node),
            function: function.filter(|_| deferred.is_none_or(|(_, kind)| *kind != Kind::Deferred)),
            awaited,
            debug_only: self.is_in(Kind::DebugOnly),
            apart: self.is_in(Kind::Apart),
            waived: false,
            directed: arguments.contains("file=") || arguments.contains("file ="),
        });
    }

    /// A call by this name; for languages where a call is not always one.
    pub(super) fn call_named(&mut self, node: Node<'t>, name: String) {
        if self.module.calls.len() < MOST_KEPT {
            self.module.calls.push(Call {
                name: name.clone(),
                written: name,
                line: line_of(node),
                function: self.function(),
                awaited: false,
                debug_only: self.is_in(Kind::DebugOnly),
                apart: self.is_in(Kind::Apart),
                waived: false,
                directed: false,
            });
        }
    }

    /// A name of the module that a call makes.
    pub(super) fn global(&mut self, name: &str, callee: Node<'t>, line: u32) {
        let made_by = self.whole(&self.name_of(callee));
        let habits = &self.known.habits;
        if habits.clients.contains(&made_by) || habits.client_factories.contains(&made_by) {
            self.module.globals.push(Global { name: name.to_owned(), made_by, line });
        }
    }

    /// Takes down that the functions around use a name.
    pub(super) fn note_use(&mut self, name: &str) {
        let mut at = self.function();
        while let Some(function) = at {
            let own = &self.module.functions[function];
            if own.handler || own.asynchronous {
                let uses = self.uses.entry(function).or_default();
                if uses.len() < MOST_KEPT && !uses.contains(name) {
                    uses.insert(name.to_owned());
                }
            }
            at = own.inside;
        }
    }
}
