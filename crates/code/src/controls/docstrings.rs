//! `ci.code-docstrings`: the share of public functions and classes that say what they do.

use seaworthy_repository::{Inspection, Repository, Sample, Sighting};

use super::share::{Shares, judge, offered};
use crate::code::Code;

pub(crate) struct Docstrings;

const CONTROL: &str = "ci.code-docstrings";

impl Inspection for Docstrings {
    fn control(&self) -> &'static str {
        CONTROL
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        Sample::of(&[(
            "app/a.py",
            "\"\"\"Orders.\"\"\"\n\n\ndef total(order):\n    \"\"\"The sum of an order, in cents.\"\"\"\n    return order\n\n\nclass Order:\n    \"\"\"What a customer wants.\"\"\"\n\n    def _inner(self):\n        pass\n",
        )])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[(
            "app/a.py",
            "# The sum of an order.\ndef total(order):\n    return order\n\n\ndef tax(order):\n    \"\"\"TODO\"\"\"\n    return order\n",
        )])
    }
}

fn look(repository: &Repository) -> Sighting {
    let code = Code::of(repository);
    let mut shares = Shares::default();
    for module in offered(&code, repository, CONTROL) {
        let functions = module.functions.iter().filter(|function| function.public);
        let functions = functions.map(|function| (function.documented, function.line, &function.name));
        let classes = module.classes.iter().filter(|class| class.public);
        let classes = classes.map(|class| (class.documented, class.line, &class.name));
        for (documented, line, name) in functions.chain(classes) {
            shares.entry(module.language.name()).or_default().take(documented, module, line, name);
        }
    }
    judge(&shares, &code, "say what they do", "public functions and classes")
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;
    use crate::controls::seen;

    #[test]
    fn documentation_is_found_where_each_language_has_it() {
        let whole = [
            (
                "a/a.ts",
                "/** Adds two. */\nexport const add = (a: number) => a;\n\n/**\n * A box.\n */\nexport class Box {\n  /** Opens it. */\n  @Hook()\n  open() {}\n  constructor() {}\n  private shut() {}\n}\n",
            ),
            (
                "a/a.js",
                "/** Adds two. */\nexports.add = function (a) { return a; };\n/** Takes one away. */\nmodule.exports.minus = (a) => a;\n",
            ),
            (
                "a/a.go",
                "package a\n\n// A adds\n// two numbers.\nfunc A(b int) int { return b }\n\n// B is a box.\ntype B struct{}\n\nfunc c() {}\n",
            ),
            ("a/a.rs", "/// Adds.\n#[must_use]\npub fn a(b: u8) -> u8 { b }\n\npub(crate) fn c() {}\n"),
            (
                "a/a.rb",
                "# A box of things.\nclass A\n  # Opens the box.\n  def open\n  end\n\n  private\n\n  def shut\n  end\nend\n",
            ),
        ];
        for file in whole {
            let seen = seen(look, &[file]);
            assert_eq!(seen.outcome, Outcome::Holds, "{file:?} {seen:?}");
        }
        // A method of a type that nobody else can name is not for others; its capital inside says nothing.
        let inner = "package a\n\n// A adds.\nfunc A() {}\n\nfunc (d *defaultValidator) Engine() {}\n\nfunc (jsonBinding[T]) Name() {}\n";
        assert_eq!(seen(look, &[("a/a.go", inner)]).outcome, Outcome::Holds);
        let bare = [
            ("a/a.go", "package a\n\nfunc (d *Validator[T]) Engine() {}\n"),
            ("a/a.ts", "// Adds two.\nexport const add = (a: number) => a;\n"),
            ("a/a.ts", "/** About something else. */\nconst x = 1;\n\nexport function add() {}\n"),
            ("a/a.go", "package a\n\n// Something else.\n\nfunc A(b int) int { return b }\n"),
            ("a/a.rs", "// Adds.\npub fn a() {}\n"),
        ];
        for file in bare {
            assert!(matches!(seen(look, &[file]).outcome, Outcome::Broken(_)), "{file:?}");
        }
    }
}
