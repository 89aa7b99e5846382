//! What a text is made of: the program's own words, and what is put between them.

use std::collections::HashMap;

use tree_sitter::{Node, Tree};

use crate::grammar::Language;

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// The program's own words.
    Literal(String),
    /// What is put in, as it is written.
    Inserted(String),
}

/// Expressions in expressions; nobody glues so deep.
const DEEPEST: usize = 24;
const MOST: usize = 200;

/// A file, and what its variables hold.
pub(super) struct Scope<'t> {
    text: &'t str,
    language: Language,
    /// By function and name, in order.
    variables: HashMap<(usize, &'t str), Vec<Assigned<'t>>>,
}

/// A value that a variable was given.
#[derive(Clone, Copy)]
struct Assigned<'t> {
    at: usize,
    value: Node<'t>,
    /// It is put behind what was there before (`+=`).
    added: bool,
}

impl<'t> Scope<'t> {
    /// Notes what variables are given.
    pub(super) fn read(text: &'t str, tree: &'t Tree, language: Language) -> Self {
        let mut scope = Self { text, language, variables: HashMap::new() };
        let mut cursor = tree.walk();
        loop {
            scope.assignment(cursor.node());
            if cursor.goto_first_child() {
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return scope;
                }
            }
        }
    }

    fn assignment(&mut self, node: Node<'t>) {
        let (name, value) = match node.kind() {
            "assignment"
            | "augmented_assignment"
            | "assignment_expression"
            | "augmented_assignment_expression"
            | "operator_assignment"
            | "short_var_declaration"
            | "assignment_statement" => ("left", "right"),
            "variable_declarator" => ("name", "value"),
            "let_declaration" => ("pattern", "value"),
            _ => return,
        };
        let (Some(name), Some(value)) = (node.child_by_field_name(name), node.child_by_field_name(value)) else {
            return;
        };
        // Go has lists on both sides.
        let value = if value.kind() == "expression_list" { value.named_child(0).unwrap_or(value) } else { value };
        let name = of(self.text, name).split(',').next().unwrap_or_default().trim();
        let between = node.child_by_field_name("operator").map_or("=", |operator| of(self.text, operator));
        let added = between == "+=" || between == "<<=" || node.kind().starts_with("augmented");
        let key = (function(node), name);
        self.variables.entry(key).or_default().push(Assigned { at: node.start_byte(), value, added });
    }

    /// What an expression is made of.
    pub(super) fn parts(&self, node: Node<'t>, depth: usize) -> Vec<Part> {
        let text = of(self.text, node);
        let inserted = || vec![Part::Inserted(text.to_owned())];
        if depth > DEEPEST {
            return inserted();
        }
        let field = |name: &str| node.child_by_field_name(name);
        match node.kind() {
            "string" | "template_string" | "heredoc_body" => self.string(node),
            "concatenated_string" | "chained_string" => {
                let mut cursor = node.walk();
                join(node.named_children(&mut cursor).map(|one| self.parts(one, depth + 1)))
            }
            "interpreted_string_literal" | "raw_string_literal" | "string_literal" => {
                vec![Part::Literal(unquoted(text))]
            }
            "parenthesized_expression" | "reference_expression" | "parenthesized_statements" => {
                node.named_child(0).map_or_else(inserted, |inner| self.parts(inner, depth + 1))
            }
            "binary_operator" | "binary_expression" | "binary" => {
                let (Some(left), Some(right)) = (field("left"), field("right")) else { return inserted() };
                let operator = field("operator").map_or("", |operator| of(self.text, operator));
                match operator {
                    "+" => join([self.parts(left, depth + 1), self.parts(right, depth + 1)]),
                    "%" => filled(self.parts(left, depth + 1), &["%s", "%r", "%("], of(self.text, right)),
                    _ => inserted(),
                }
            }
            "call" | "call_expression" => self.call(node, depth).unwrap_or_else(inserted),
            "macro_invocation" if text.starts_with("format!") || text.starts_with("std::format!") => format_macro(text),
            "identifier" => self.variable(node, depth).unwrap_or_else(inserted),
            _ => inserted(),
        }
    }

    /// A literal, with what stands between its words.
    fn string(&self, node: Node<'t>) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            let text = of(self.text, child);
            match child.kind() {
                "interpolation" | "template_substitution" => {
                    let inner = text.trim_start_matches(['$', '#']).trim_start_matches('{').trim_end_matches('}');
                    parts.push(Part::Inserted(inner.to_owned()));
                }
                "string_start" | "string_end" | "heredoc_end" => {}
                _ => parts.push(Part::Literal(text.to_owned())),
            }
        }
        if parts.is_empty() { vec![Part::Literal(unquoted(of(self.text, node)))] } else { parts }
    }

    /// Calls that give a text: `"…".format(x)`, `fmt.Sprintf("…", x)`, `text("…")`.
    fn call(&self, node: Node<'t>, depth: usize) -> Option<Vec<Part>> {
        let arguments = node.child_by_field_name("arguments")?;
        let first = arguments.named_child(0);
        let rest = || of(self.text, arguments).to_owned();
        match (called(self.text, node)?, self.language) {
            ("format", Language::Python) => {
                let object = node.child_by_field_name("function")?.child_by_field_name("object")?;
                Some(filled(self.parts(object, depth + 1), &["{"], &rest()))
            }
            ("Sprintf", Language::Go) => Some(filled(self.parts(first?, depth + 1), &["%s", "%v", "%q"], &rest())),
            ("text" | "SQL" | "strip" | "dedent" | "trim", _) => Some(self.parts(first?, depth + 1)),
            ("AssertSqlSafe" | "from" | "as_str", Language::Rust) => Some(self.parts(first?, depth + 1)),
            _ => None,
        }
    }

    /// What a variable of the same function was given last before.
    fn variable(&self, node: Node<'t>, depth: usize) -> Option<Vec<Part>> {
        let given = self.variables.get(&(function(node), of(self.text, node)))?;
        let before: Vec<&Assigned<'t>> = given.iter().filter(|one| one.value.end_byte() < node.start_byte()).collect();
        let start = before.iter().rposition(|one| !one.added)?;
        let own = before[start..].iter().filter(|one| one.at < node.start_byte());
        Some(join(own.take(DEEPEST).map(|one| self.parts(one.value, depth + 4))))
    }
}

/// The last name of what is called.
pub(super) fn called<'t>(text: &'t str, node: Node<'_>) -> Option<&'t str> {
    let callee = ["method", "function"].iter().find_map(|field| node.child_by_field_name(field))?;
    let name = of(text, callee);
    let name = name.split("::<").next().unwrap_or(name);
    let name = name.rsplit(['.', ':']).next().unwrap_or(name).trim();
    Some(name.split(['<', '(']).next().unwrap_or(name))
}

/// Whether a text is a statement by its words.
pub(super) fn is_statement(parts: &[Part]) -> bool {
    let words: String = parts.iter().filter_map(Part::literal).collect::<Vec<_>>().join(" ").to_uppercase();
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let begins = |word: &str| words.starts_with(word);
    (begins("SELECT ") && words.contains(" FROM ") || begins("SELECT ") && words.ends_with(" FROM"))
        || (begins("INSERT ") || begins("REPLACE ")) && words.contains("INTO")
        || begins("UPDATE ") && words.contains(" SET")
        || begins("DELETE FROM")
        || begins("WITH ") && words.contains("SELECT ")
}

/// Whether it begins with words of the program: a name alone is no text.
pub(super) fn is_text(parts: &[Part]) -> bool {
    matches!(parts, [Part::Literal(_), _, ..])
}

/// What is put in and may matter, and whether it stands in a value's place.
pub(super) fn inserted(parts: &[Part]) -> Vec<(bool, &str)> {
    let mut before = String::new();
    let mut found = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        match part {
            Part::Literal(text) => before.push_str(text),
            Part::Inserted(what) => {
                let quoted = before.matches('\'').count() % 2 == 1;
                let so_far = before.trim_end().to_uppercase();
                let compared = ["=", ">", "<", " LIKE", " ILIKE", "(", ","].iter().any(|end| so_far.ends_with(end));
                // A list in brackets is mostly one of placeholders; what follows `SET` or `SELECT` are names.
                let listed = so_far.ends_with(['(', ',']);
                let numbered = before.ends_with(['$', ':', '@', '?']);
                // `{table}.id` begins with a name, and what the program's own classes and calls give is mostly its own text.
                let next = parts.get(place + 1).and_then(Part::literal).unwrap_or_default();
                let own = what.trim().starts_with(|letter: char| letter.is_ascii_uppercase()) || what.ends_with("()");
                let value = compared && !listed && !next.starts_with('.') && !own;
                if !numbered && !is_harmless(what) {
                    found.push((quoted || value, what.as_str()));
                }
                before.push('x');
            }
        }
    }
    found
}

/// A constant by its name, a number, or what has been made one.
fn is_harmless(what: &str) -> bool {
    let what = what.trim();
    let last = what.rsplit(['.', ':']).next().unwrap_or(what);
    // `user.ID` is a value like any other.
    let constant = (last.len() > 3 || last.contains('_'))
        && last.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_');
    let lower = what.to_ascii_lowercase();
    let made = ["int(", "float(", "len(", "number(", "parseint(", "parsefloat(", "strconv.itoa(", "math."];
    let ends = [".length", ".to_i", ".to_f", ".len()", ".size"];
    // Not `params` or `identifier`: those are what requests bring.
    let says = [
        "placeholder",
        "quote(",
        "quoted",
        "quote_",
        "escape(",
        "escaped",
        "sanitize_sql",
        "table_name",
        "column_name",
    ];
    constant
        || what.parse::<f64>().is_ok()
        || made.iter().any(|start| lower.starts_with(start))
        || ends.iter().any(|end| lower.ends_with(end))
        || says.iter().any(|word| lower.contains(word))
}

/// A text whose places are filled: each becomes what fills them.
fn filled(parts: Vec<Part>, places: &[&str], with: &str) -> Vec<Part> {
    let mut found = Vec::new();
    for part in parts {
        let Part::Literal(text) = part else {
            found.push(part);
            continue;
        };
        let mut rest = text.as_str();
        while let Some((at, place)) = places.iter().filter_map(|place| Some((rest.find(place)?, *place))).min() {
            found.push(Part::Literal(rest[..at].to_owned()));
            found.push(Part::Inserted(with.to_owned()));
            rest = &rest[at + place.len()..];
            rest = match place {
                "{" => rest.split_once('}').map_or("", |(_, after)| after),
                "%(" => rest.split_once(")s").map_or("", |(_, after)| after),
                _ => rest,
            };
        }
        found.push(Part::Literal(rest.to_owned()));
    }
    found
}

/// `format!("…", x)`: its first literal, with what stands in its braces.
fn format_macro(text: &str) -> Vec<Part> {
    let literal = text.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map_or("", |(literal, _)| literal);
    let mut found = Vec::new();
    let mut rest = literal;
    while let Some((before, after)) = rest.split_once('{') {
        found.push(Part::Literal(before.to_owned()));
        let (inside, after) = after.split_once('}').unwrap_or((after, ""));
        found.push(Part::Inserted(if inside.is_empty() { text.to_owned() } else { inside.to_owned() }));
        rest = after;
    }
    found.push(Part::Literal(rest.to_owned()));
    found
}

fn join(all: impl IntoIterator<Item = Vec<Part>>) -> Vec<Part> {
    all.into_iter().flatten().take(MOST).collect()
}

fn of<'t>(text: &'t str, node: Node<'_>) -> &'t str {
    text.get(node.byte_range()).unwrap_or_default()
}

/// The function that a place is in, by its start; 0 for the file itself.
fn function(node: Node<'_>) -> usize {
    let mut at = node.parent();
    for _ in 0..200 {
        let Some(parent) = at else { return 0 };
        let kind = parent.kind();
        if kind.contains("function")
            || kind.contains("method_d")
            || kind == "method"
            || kind == "lambda"
            || kind == "func_literal"
        {
            return parent.start_byte() + 1;
        }
        at = parent.parent();
    }
    0
}

fn unquoted(text: &str) -> String {
    text.trim_start_matches(['b', 'r', 'R', '#']).trim_matches(['"', '\'', '`', '#']).to_owned()
}
