//! What a tree of JavaScript or TypeScript says: imports, exports, calls, places.

use tree_sitter::Node;

use super::{Ahead, Kind, Walk, children, is_debug_switch, line_of};
use crate::{
    habits::{has_module, last},
    module::{Global, Import},
};

/// Methods of a router that take handlers.
const ROUTES: &[&str] = &["get", "post", "put", "patch", "delete", "del", "all", "use", "route", "options", "head"];
const FUNCTIONS: &[&str] = &["arrow_function", "function_expression", "function", "generator_function"];
/// What makes a failure a value.
const MAKES_VALUES: &[&str] = &[
    "fromPromise",
    "fromSafePromise",
    "fromAsyncThrowable",
    "fromThrowable",
    "tryPromise",
    "tryCatch",
    "tryCatchK",
    "attempt",
    "mayFail",
    "wrapAsync",
];

impl<'t> Walk<'t> {
    pub(super) fn enter_script(&mut self, node: Node<'t>, depth: usize) {
        match node.kind() {
            "import_statement" => self.script_import(node),
            "export_statement" => self.export(node),
            "lexical_declaration" | "variable_declaration" if self.statement_ended(node) => {
                self.statement = node.start_byte()
            }
            "expression_statement" => {
                self.statement = node.start_byte();
                self.floating(node);
            }
            "decorator" => self.decorators.push_str(self.of(node)),
            "variable_declarator" => self.declarator(node),
            "assignment_expression" => self.assignment(node),
            "call_expression" | "new_expression" => self.script_call(node, depth),
            "debugger_statement" => self.call_named(node, "debugger".to_owned()),
            "try_statement" => self.push(depth, Kind::Caught),
            "if_statement" | "ternary_expression" if is_debug_switch(self.field(node, "condition")) => {
                self.push(depth, Kind::DebugOnly);
            }
            "binary_expression" if is_debug_switch(self.field(node, "left")) => self.push(depth, Kind::DebugOnly),
            "identifier" | "type_identifier" if self.function().is_some() => self.note_use(self.of(node)),
            "type_alias_declaration" => self.type_alias(node),
            _ => self.script_types(node, depth),
        }
    }

    fn script_types(&mut self, node: Node<'t>, depth: usize) {
        match node.kind() {
            "type_annotation" => self.module.types.said += 1,
            "as_expression" => self.module.types.said += 1,
            "predefined_type" if self.of(node) == "any" => {
                self.module.types.any += 1;
                if self.module.types.first == 0 {
                    self.module.types.first = line_of(node);
                }
            }
            "non_null_expression" => self.module.types.non_null += 1,
            _ => self.definition(node, depth),
        }
    }

    /// A declaration inside an export belongs to the export's statement.
    fn statement_ended(&self, node: Node<'t>) -> bool {
        self.text
            .get(self.statement..node.start_byte())
            .is_none_or(|between| !matches!(between.trim(), "export" | "export default"))
    }

    fn script_import(&mut self, node: Node<'t>) {
        let module = unquoted(self.field(node, "source"));
        let mut import = Import { module: module.to_owned(), line: line_of(node), ..Import::default() };
        import.types_only = self.of(node).starts_with("import type ");
        self.module.terminal |= has_module(&self.known.habits.terminal, module);
        let base = module.trim_start_matches("node:").to_owned();
        let clause = children(node).into_iter().find(|child| child.kind() == "import_clause");
        for part in clause.map(children).unwrap_or_default() {
            match part.kind() {
                "identifier" => {
                    self.alias(self.of(part), base.clone());
                    import.names.push(("default".to_owned(), self.of(part).to_owned()));
                }
                "namespace_import" => {
                    let here = part.named_child(0).map_or("", |name| self.of(name));
                    self.alias(here, base.clone());
                    import.names.push(("*".to_owned(), here.to_owned()));
                }
                _ => {
                    for one in children(part) {
                        let there = self.field(one, "name");
                        let here = one.child_by_field_name("alias").map_or(there, |alias| self.of(alias));
                        self.alias(here, format!("{base}.{there}"));
                        import.names.push((there.to_owned(), here.to_owned()));
                    }
                }
            }
        }
        self.module.imports.push(import);
    }

    fn export(&mut self, node: Node<'t>) {
        self.statement = node.start_byte();
        if let Some(source) = node.child_by_field_name("source") {
            let types_only = self.of(node).starts_with("export type ");
            let module = unquoted(self.of(source)).to_owned();
            self.module.imports.push(Import { module, line: line_of(node), types_only, ..Import::default() });
            return;
        }
        for child in children(node) {
            match child.kind() {
                "export_clause" => {
                    let names = children(child).into_iter().map(|one| self.field(one, "name").to_owned());
                    self.exported.extend(names.collect::<Vec<_>>());
                }
                "identifier" => drop(self.exported.insert(self.of(child).to_owned())),
                "lexical_declaration" | "variable_declaration" => {
                    for one in children(child) {
                        self.exported.insert(self.field(one, "name").to_owned());
                    }
                }
                _ => {
                    let name = self.field(child, "name").to_owned();
                    let start = Some(node.start_byte());
                    let name = if name.is_empty() { "default".to_owned() } else { name };
                    self.exported.insert(name.clone());
                    self.ahead
                        .insert(child.id(), Ahead { name: Some(name), start, exported: true, ..Ahead::default() });
                }
            }
        }
    }

    fn declarator(&mut self, node: Node<'t>) {
        let (Some(name), Some(value)) = (node.child_by_field_name("name"), node.child_by_field_name("value")) else {
            return;
        };
        let value = if value.kind() == "await_expression" { value.named_child(0).unwrap_or(value) } else { value };
        if FUNCTIONS.contains(&value.kind()) {
            let typed = node.child_by_field_name("type").is_some_and(|kind| !self.of(kind).contains("any"));
            let ahead =
                Ahead { name: Some(self.of(name).to_owned()), start: Some(self.statement), typed, ..Ahead::default() };
            self.ahead.insert(value.id(), ahead);
            return;
        }
        let callee = value.child_by_field_name("function").or_else(|| value.child_by_field_name("constructor"));
        let Some(callee) = callee else { return };
        if self.of(callee) == "require" {
            return self.required(name, value);
        }
        if name.kind() == "identifier" && self.at_top() {
            self.global(self.of(name), callee, line_of(node));
        }
        // `require("knex")(…)`: the module itself is what is called.
        let of_module = callee.child_by_field_name("function").is_some_and(|inner| self.of(inner) == "require");
        let made_by = if of_module && self.at_top() { self.required_module(callee) } else { None };
        if let Some(made_by) = made_by.filter(|made_by| self.known.habits.clients.contains(made_by)) {
            self.module.globals.push(Global { name: self.of(name).to_owned(), made_by, line: line_of(node) });
        }
    }

    fn required_module(&self, call: Node<'t>) -> Option<String> {
        let argument = call.child_by_field_name("arguments")?.named_child(0)?;
        (argument.kind() == "string").then(|| unquoted(self.of(argument)).to_owned())
    }

    /// `const x = require("y")`, `const { a, b: c } = require("y")`.
    fn required(&mut self, name: Node<'t>, call: Node<'t>) {
        let Some(module) = self.required_module(call) else { return };
        self.module.terminal |= has_module(&self.known.habits.terminal, &module);
        let base = module.trim_start_matches("node:").to_owned();
        let mut names = Vec::new();
        if name.kind() == "identifier" {
            self.alias(self.of(name), base);
            names.push(("default".to_owned(), self.of(name).to_owned()));
        } else {
            for one in children(name) {
                let (there, here) = match one.kind() {
                    "pair_pattern" => (self.field(one, "key"), self.field(one, "value")),
                    _ => (self.of(one), self.of(one)),
                };
                self.alias(here, format!("{base}.{there}"));
                names.push((there.to_owned(), here.to_owned()));
            }
        }
        self.require(module, names, line_of(name));
    }

    fn require(&mut self, module: String, names: Vec<(String, String)>, line: u32) {
        let guarded = self.is_in(Kind::Caught);
        let late = self.function().is_some();
        self.module.imports.push(Import { module, names, line, guarded, late, types_only: false });
    }

    /// `module.exports = …`, `exports.a = …`, `a.b = function`.
    fn assignment(&mut self, node: Node<'t>) {
        let (Some(left), Some(right)) = (node.child_by_field_name("left"), node.child_by_field_name("right")) else {
            return;
        };
        let target = self.of(left);
        let exports =
            target == "module.exports" || target.starts_with("exports.") || target.starts_with("module.exports.");
        if FUNCTIONS.contains(&right.kind()) {
            let name = if exports { last(target) } else { target };
            let ahead = Ahead {
                name: Some(name.to_owned()),
                start: Some(node.start_byte()),
                exported: exports,
                ..Ahead::default()
            };
            self.ahead.insert(right.id(), ahead);
        }
        if !exports {
            return;
        }
        match right.kind() {
            "identifier" => drop(self.exported.insert(self.of(right).to_owned())),
            "object" => {
                for one in children(right) {
                    let name = if one.kind() == "pair" { self.field(one, "value") } else { self.of(one) };
                    self.exported.insert(name.to_owned());
                    // A method, or a function that is written there.
                    let written = one.child_by_field_name("value").unwrap_or(one);
                    if FUNCTIONS.contains(&written.kind()) || written.kind() == "method_definition" {
                        let name = self.field(one, if one.kind() == "pair" { "key" } else { "name" }).to_owned();
                        let start = Some(one.start_byte());
                        self.ahead.insert(
                            written.id(),
                            Ahead { name: Some(name), start, exported: true, ..Ahead::default() },
                        );
                    }
                }
            }
            _ => {}
        }
    }

    fn script_call(&mut self, node: Node<'t>, depth: usize) {
        let callee = node.child_by_field_name("function").or_else(|| node.child_by_field_name("constructor"));
        let Some(callee) = callee else { return };
        self.call(node, callee);
        self.promise(node, callee);
        let name = self.name_of(callee);
        let method = last(&name);
        let arguments = node.child_by_field_name("arguments").map(children).unwrap_or_default();
        if MAKES_VALUES.contains(&method) {
            self.push(depth, Kind::Typed);
        }
        // What is said when a server begins to listen is no leftover; nor is what a handler of signals says.
        if method == "listen" || name == "process.on" {
            self.push(depth, Kind::Apart);
        }
        if name == "require" && node.parent().is_none_or(|parent| parent.kind() != "variable_declarator") {
            if let Some(module) = self.required_module(node) {
                self.require(module, Vec::new(), line_of(node));
            }
            return;
        }
        let takes_path =
            arguments.first().is_some_and(|first| matches!(first.kind(), "string" | "template_string" | "regex"));
        if name.contains('.') && ROUTES.contains(&method) && (takes_path || name.starts_with("()") || method == "use") {
            for argument in arguments.iter().skip(usize::from(takes_path)) {
                self.route_argument(*argument);
            }
        }
    }

    /// A handler, or a call around one: `wrap(async (req, res) => …)`.
    fn route_argument(&mut self, argument: Node<'t>) {
        match argument.kind() {
            "identifier" => drop(self.handlers.insert(self.of(argument).to_owned())),
            "call_expression" => {
                for inner in argument.child_by_field_name("arguments").map(children).unwrap_or_default() {
                    if FUNCTIONS.contains(&inner.kind()) {
                        self.ahead.entry(inner.id()).or_default().handler = true;
                    }
                }
            }
            kind if FUNCTIONS.contains(&kind) => self.ahead.entry(argument.id()).or_default().handler = true,
            _ => {}
        }
    }

    /// A type of one's own that is a success or a failure.
    fn type_alias(&mut self, node: Node<'t>) {
        let value = self.field(node, "value");
        let marks = ["ok", "success", "isok", "_tag", "kind", "type", "status"];
        let value_small = value.to_lowercase().replace([' ', '\n', '"', '\'', ';', ',', '?'], "");
        let tagged = |tag: &str| value_small.matches(&format!("{tag}:")).count() > 1;
        let fails = ["error", "err", "fail", "reason"].iter().any(|word| value_small.contains(word));
        if value.contains('|') && value.contains('{') && fails && marks.iter().any(|tag| tagged(tag)) {
            self.module.results.push(self.field(node, "name").to_owned());
        }
    }
}

pub(super) fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\'', '`'])
}
