//! Calls that give a promise, and what becomes of its failure.

use tree_sitter::Node;

use super::{Kind, Walk, line_of};
use crate::{
    habits::last,
    module::{Fate, Promise},
};

/// Libraries whose calls go over the network.
const CLIENTS: &[&str] = &["axios", "ky", "superagent", "ofetch", "got", "wretch"];

impl<'t> Walk<'t> {
    pub(super) fn promise(&mut self, node: Node<'t>, callee: Node<'t>) {
        let name = self.name_of(callee);
        let whole = self.whole(&name);
        let first = whole.split('.').next().unwrap_or_default();
        let method = last(&name);
        let asks =
            ["get", "post", "put", "patch", "delete", "request", "head"].contains(&method) || !whole.contains('.');
        let is_fetch = ["fetch", "window.fetch", "globalThis.fetch", "$fetch"].contains(&name.as_str());
        let is_client = CLIENTS.contains(&first) && asks && node.kind() == "call_expression";
        if (is_fetch || is_client) && self.module.promises.len() < super::MOST_KEPT {
            let fate = self.fate(node);
            self.module.promises.push(Promise { name, line: line_of(node), function: self.function(), fate });
        }
    }

    /// What becomes of it: up the chain of `.then(…)`, and to whom that is given.
    fn fate(&self, node: Node<'t>) -> Fate {
        if self.is_in(Kind::Typed) {
            return Fate::Typed;
        }
        let mut at = node;
        // A chain is short; a hostile one is not followed.
        for _ in 0..40 {
            let Some(parent) = at.parent() else { return Fate::PassedOn };
            match parent.kind() {
                "member_expression" if self.field(parent, "property") == "catch" => return Fate::Caught,
                "member_expression" => {
                    let call = parent.parent().filter(|call| call.kind() == "call_expression");
                    let arguments = call.and_then(|call| call.child_by_field_name("arguments"));
                    if self.field(parent, "property") == "then"
                        && arguments.is_some_and(|list| list.named_child_count() > 1)
                    {
                        return Fate::Caught;
                    }
                }
                "call_expression" | "parenthesized_expression" | "as_expression" | "non_null_expression" => {}
                "await_expression" if self.is_in_try() => return Fate::Caught,
                "expression_statement" | "unary_expression" => return Fate::Floating,
                _ => return Fate::PassedOn,
            }
            at = parent;
        }
        Fate::PassedOn
    }

    /// A `try` around it in the same function.
    fn is_in_try(&self) -> bool {
        let inner = self.scopes.iter().rev().find(|(_, kind)| matches!(kind, Kind::Function(_) | Kind::Caught));
        inner.is_some_and(|(_, kind)| *kind == Kind::Caught)
    }

    /// A statement that is a chain with `.then(…)` and without `.catch(…)`: nobody hears of its failure.
    pub(super) fn floating(&mut self, statement: Node<'t>) {
        let Some(mut at) = statement.named_child(0) else { return };
        let (mut then, mut name) = (false, String::new());
        for _ in 0..40 {
            let callee = at.child_by_field_name("function");
            let Some(callee) = callee.filter(|callee| callee.kind() == "member_expression") else { break };
            let method = self.field(callee, "property");
            let arguments = at.child_by_field_name("arguments").map_or(0, |list| list.named_child_count());
            if method == "catch" || (method == "then" && arguments > 1) {
                return;
            }
            then |= method == "then";
            let Some(object) = callee.child_by_field_name("object") else { break };
            name = self.of(object).chars().take(60).take_while(|letter| *letter != '\n').collect();
            at = object;
        }
        let line = line_of(statement);
        if then && !self.is_in(Kind::Typed) && self.module.promises.len() < super::MOST_KEPT {
            self.module.promises.push(Promise { name, line, function: self.function(), fate: Fate::Floating });
        }
    }
}
