//! Functions and classes of JavaScript and TypeScript.

use tree_sitter::Node;

use super::{Walk, children, has_word, line_of, says_something};
use crate::module::{Class, Function};

/// First parameters of what answers a request.
const REQUESTS: &[&str] = &["req", "request", "_req", "_request", "_", "ctx", "context", "c", "event"];
const ANSWERS: &[&str] = &["res", "response", "reply", "_res"];

impl<'t> Walk<'t> {
    pub(super) fn definition(&mut self, node: Node<'t>, depth: usize) {
        match node.kind() {
            "function_declaration"
            | "generator_function_declaration"
            | "function_expression"
            | "arrow_function"
            | "generator_function"
            | "method_definition" => self.script_function(node, depth),
            "class_declaration" | "abstract_class_declaration" | "class" => self.script_class(node, depth),
            _ => {}
        }
    }

    fn script_function(&mut self, node: Node<'t>, depth: usize) {
        let ahead = self.ahead.remove(&node.id()).unwrap_or_default();
        let is_method = node.kind() == "method_definition";
        let decorators = if is_method { std::mem::take(&mut self.decorators) } else { String::new() };
        let (class, top) = (self.class(), self.at_top());
        let own_name = self.field(node, "name");
        let name = ahead.name.clone().unwrap_or_else(|| own_name.to_owned());
        let parameters = self.script_parameters(node);
        let start = ahead.start.unwrap_or(node.start_byte());
        let doc = self.comment_before(start).or_else(|| self.comment_before(node.start_byte()));
        let doc = doc.filter(|text| text.starts_with("/**"));
        if let Some(at) = class.filter(|_| is_method && name == "constructor") {
            self.module.classes[at].constructed |= !parameters.is_empty();
        }
        let hidden =
            name.starts_with(['_', '#']) || name == "constructor" || self.is_hidden(node) || has_word(node, "set");
        // What an outer function gives back has its types from there.
        let public = if is_method && class.is_some() { !hidden } else { ahead.exported && !name.starts_with('_') };
        let names =
            |at: usize, list: &[&str]| parameters.get(at).is_some_and(|(name, _)| list.contains(&name.as_str()));
        let answers = names(0, REQUESTS) && names(1, ANSWERS);
        let in_controller = class.is_some_and(|at| self.module.classes[at].controller);
        let decorated = ["@Get(", "@Post(", "@Put(", "@Patch(", "@Delete(", "@All(", "@Query(", "@Mutation("];
        let route_file = self.module.path.file_stem().is_some_and(|stem| stem == "route" || stem == "+server");
        let verb = ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&name.as_str()) && route_file;
        let function = Function {
            line: line_of(node),
            public,
            top: top && class.is_none(),
            asynchronous: has_word(node, "async"),
            documented: doc.is_some_and(says_something),
            typed: ahead.typed || self.script_typed(node, doc.unwrap_or_default(), &parameters),
            handler: answers
                || verb
                || (ahead.handler && (names(0, REQUESTS) || parameters.is_empty()))
                || (in_controller && decorated.iter().any(|mark| decorators.contains(mark))),
            class,
            parameters: if answers || in_controller { Vec::new() } else { parameters },
            name,
            ..Function::default()
        };
        self.add_function(function, depth);
    }

    fn is_hidden(&self, node: Node<'t>) -> bool {
        let marks = ["accessibility_modifier"];
        children(node).iter().any(|child| marks.contains(&child.kind()) && self.of(*child) != "public")
    }

    /// Names and types; a pattern has no name.
    fn script_parameters(&self, node: Node<'t>) -> Vec<(String, String)> {
        if let Some(single) = node.child_by_field_name("parameter") {
            return vec![(self.of(single).to_owned(), String::new())];
        }
        let list = node.child_by_field_name("parameters").map(children).unwrap_or_default();
        let list = list.into_iter().filter(|one| !one.kind().ends_with("comment") && one.kind() != "decorator");
        let one = |one: Node<'t>| {
            let name = one.child_by_field_name("pattern").or_else(|| one.child_by_field_name("left")).unwrap_or(one);
            let value = self.field(one, "value");
            let mut kind = self.field(one, "type").trim_start_matches(':').trim().to_owned();
            // The compiler has the type from the default.
            if kind.is_empty() && !value.is_empty() {
                kind = format!("= {}", value.chars().take(20).collect::<String>());
            }
            (self.of(name).chars().take(60).collect(), kind)
        };
        list.map(one).collect()
    }

    fn script_typed(&self, node: Node<'t>, doc: &str, parameters: &[(String, String)]) -> bool {
        let returns = self.field(node, "return_type").trim_start_matches(':').trim();
        if self.module.language.is_typescript() {
            let says = |kind: &str| !kind.is_empty() && !has_any(kind);
            return parameters.iter().all(|(_, kind)| says(kind)) && !has_any(returns);
        }
        let documented = doc.matches("@param {").count();
        let whole = doc.contains("@type {") || (documented > 0 && documented >= parameters.len());
        // `/** @type {string} */ name` in the list itself. What a getter gives is inferred.
        let inline = self.field(node, "parameters").matches("@type {").count();
        let stated = inline > 0 && inline >= parameters.len();
        let getter = parameters.is_empty() && has_word(node, "get");
        whole
            || stated
            || getter
            || (parameters.is_empty() && (doc.contains("@return {") || doc.contains("@returns {")))
    }

    fn script_class(&mut self, node: Node<'t>, depth: usize) {
        let ahead = self.ahead.remove(&node.id()).unwrap_or_default();
        let mut decorators = std::mem::take(&mut self.decorators);
        for child in children(node).into_iter().filter(|child| child.kind() == "decorator") {
            decorators.push_str(self.of(child));
        }
        let start = ahead.start.unwrap_or(node.start_byte());
        let doc = self.comment_before(start).or_else(|| self.comment_before(node.start_byte()));
        let name = self.field(node, "name");
        let class = Class {
            name: name.to_owned(),
            line: line_of(node),
            public: ahead.exported,
            top: self.at_top(),
            documented: doc.is_some_and(|text| text.starts_with("/**") && says_something(text)),
            controller: decorators.contains("@Controller(") || decorators.contains("@Resolver("),
            constructed: false,
        };
        self.decorators.clear();
        self.add_class(class, depth);
    }
}

/// Whether a type has the word that stands for none.
fn has_any(kind: &str) -> bool {
    kind.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == "any")
}
