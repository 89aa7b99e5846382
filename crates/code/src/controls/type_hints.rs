//! `ci.code-type-hints`: the share of public functions that state their types.

use seaworthy_repository::{Inspection, Repository, Sample, Sighting};

use super::share::{Shares, judge, offered};
use crate::{code::Code, grammar::Language};

pub(crate) struct TypeHints;

const CONTROL: &str = "ci.code-type-hints";

impl Inspection for TypeHints {
    fn control(&self) -> &'static str {
        CONTROL
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        Sample::of(&[(
            "app/a.py",
            "def a(b: int, *, c: str = \"\") -> str:\n    return c\n\n\nclass D:\n    def __init__(self, e):\n        self.e = e\n\n    def f(self) -> None:\n        def inner(x):\n            return x\n\n    def _g(self, h):\n        pass\n",
        )])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[(
            "app/a.py",
            "def a(b: int) -> int:\n    return b\n\n\ndef process(data, options=None):\n    return data\n",
        )])
    }
}

fn look(repository: &Repository) -> Sighting {
    let code = Code::of(repository);
    let stubs = repository.has_folder("sig") || repository.has_folder("sorbet");
    if stubs && code.own().all(|module| module.language == Language::Ruby) {
        return Sighting::unclear(
            "the types of Ruby are in files of their own (sig/, sorbet/), which are not compared with the code",
        );
    }
    let mut shares = Shares::default();
    for module in offered(&code, repository, CONTROL) {
        for function in module.functions.iter().filter(|function| function.public) {
            let share = shares.entry(module.language.name()).or_default();
            share.take(function.typed, module, function.line, &function.name);
        }
    }
    judge(&shares, &code, "state their types", "public functions")
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;
    use crate::controls::seen;

    #[test]
    fn what_is_stated_in_each_language() {
        let whole = [
            (
                "a/a.py",
                "from typing import overload\n\n\nclass A:\n    @staticmethod\n    def a(b: int) -> int: ...\n\n    @property\n    def c(self) -> str: ...\n\n    @classmethod\n    async def d(cls, *e: int, **f: str) -> None: ...\n",
            ),
            (
                "a/a.ts",
                "export const a = (b: string, c = 1) => b;\nexport class D { e(f: number) { return f; } private g(h) {} }\nexport const i: Handler = (j, k) => {};\n",
            ),
            (
                "a/a.js",
                "/** Adds.\n * @param {number} a\n * @returns {number}\n */\nexport function add(a) { return a; }\nfunction inner(b) {}\n",
            ),
            (
                "a/b.js",
                "export function add(/** @type {number} */ a, /** @type {number} */ b) { return a; }\nexport class C { get d() { return 1; } }\n",
            ),
            ("a/a.go", "package a\n\nfunc A(b int) int { return b }\n"),
            ("a/a.rs", "pub fn a(b: u8) -> u8 { b }\n"),
        ];
        for file in whole {
            assert_eq!(seen(look, &[file]).outcome, Outcome::Holds, "{file:?}");
        }
        let bare = [
            ("a/a.py", "def a(b: int):\n    return b\n"),
            ("a/a.py", "def a(*b) -> int:\n    return b\n"),
            ("a/a.py", "class A:\n    def b(self, c) -> int:\n        return c\n"),
            ("a/a.ts", "export const a = (b: any) => b;\n"),
            ("a/a.ts", "export function a(b): any { return b; }\n"),
            ("a/a.ts", "export const a = (b: Record<string, any>) => b;\n"),
            ("a/a.ts", "export class A { b(c) { return c; } }\n"),
            ("a/a.js", "export function a(/** @type {number} */ b, c) {}\n"),
            ("a/a.js", "function a(b) {}\nmodule.exports = { a };\n"),
            ("a/a.rb", "class A\n  def b(c)\n  end\nend\n"),
        ];
        for file in bare {
            assert!(matches!(seen(look, &[file]).outcome, Outcome::Broken(_)), "{file:?}");
        }
    }

    #[test]
    fn one_language_does_not_hide_another() {
        let typed: String = (0..300).map(|at| format!("export function a{at}(b: number) {{ return b; }}\n")).collect();
        let bare: String = (0..6).map(|at| format!("def a{at}(b):\n    return b\n")).collect();
        let seen = seen(look, &[("a/a.ts", &typed), ("a/a.py", &bare)]);
        assert!(matches!(&seen.outcome, Outcome::Broken(why) if why.contains("Python: 0 of 6")), "{seen:?}");
    }

    #[test]
    fn no_public_function_tells_nothing() {
        assert!(matches!(seen(look, &[("app.js", "const a = (b) => b;\n")]).outcome, Outcome::Unclear(_)));
        assert!(matches!(seen(look, &[("README.md", "x")]).outcome, Outcome::NotApplicable(_)));
    }
}
