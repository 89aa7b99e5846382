//! Languages whose source is read as a tree, and how a text becomes one: within bounds, whatever the text.

use std::{
    ops::ControlFlow,
    path::Path,
    time::{Duration, Instant},
};

use tree_sitter::{ParseOptions, ParseState, Parser, Tree};

/// A language with a grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Language {
    Python,
    JavaScript,
    TypeScript,
    Tsx,
    Go,
    Ruby,
    Rust,
}

/// A text of this size takes a tenth of this; what takes longer was built to.
const LONGEST_PARSE: Duration = Duration::from_secs(2);

impl Language {
    /// By the file's ending; Vue and Svelte say it in the file (see [`script_of`]).
    pub(crate) fn of(path: &Path) -> Option<Self> {
        Some(match path.extension()?.to_str()? {
            "py" => Self::Python,
            "js" | "mjs" | "cjs" | "jsx" => Self::JavaScript,
            "ts" | "mts" | "cts" => Self::TypeScript,
            "tsx" | "vue" | "svelte" => Self::Tsx,
            "go" => Self::Go,
            "rb" | "rake" => Self::Ruby,
            "rs" => Self::Rust,
            _ => return None,
        })
    }

    /// For people; the languages of one compiler are one.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Python => "Python",
            Self::JavaScript => "JavaScript",
            Self::TypeScript | Self::Tsx => "TypeScript",
            Self::Go => "Go",
            Self::Ruby => "Ruby",
            Self::Rust => "Rust",
        }
    }

    /// JavaScript, with types or without.
    pub(crate) fn is_script(self) -> bool {
        matches!(self, Self::JavaScript | Self::TypeScript | Self::Tsx)
    }

    /// JavaScript with types.
    pub(crate) fn is_typescript(self) -> bool {
        matches!(self, Self::TypeScript | Self::Tsx)
    }

    fn grammar(self) -> tree_sitter::Language {
        match self {
            Self::Python => tree_sitter_python::LANGUAGE.into(),
            Self::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
            Self::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
            Self::Tsx => tree_sitter_typescript::LANGUAGE_TSX.into(),
            Self::Go => tree_sitter_go::LANGUAGE.into(),
            Self::Ruby => tree_sitter_ruby::LANGUAGE.into(),
            Self::Rust => tree_sitter_rust::LANGUAGE.into(),
        }
    }
}

/// Turns texts into trees; one for each thread.
pub(crate) struct Trees {
    parser: Parser,
}

impl Trees {
    pub(crate) fn new() -> Self {
        Self { parser: Parser::new() }
    }

    /// The tree of a text; nothing when it takes too long.
    pub(crate) fn parse(&mut self, text: &str, language: Language) -> Option<Tree> {
        self.parser.set_language(&language.grammar()).ok()?;
        // What was begun and given up must not be gone on with.
        self.parser.reset();
        let begun = Instant::now();
        let mut in_time = |_: &ParseState| match begun.elapsed() < LONGEST_PARSE {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        };
        let bytes = text.as_bytes();
        let mut read = |from: usize, _| bytes.get(from..).unwrap_or_default();
        self.parser.parse_with_options(&mut read, None, Some(ParseOptions::new().progress_callback(&mut in_time)))
    }
}

/// The scripts of a Vue or Svelte file, everything else blank, and whether they are typed.
pub(crate) fn script_of(text: &str) -> (String, bool) {
    let mut kept = String::with_capacity(text.len());
    let (mut rest, mut typed) = (text, false);
    while let Some(at) = rest.find("<script") {
        let Some(open) = rest[at..].find('>').map(|end| at + end + 1) else { break };
        let tag = &rest[at..open];
        typed |= tag.contains("lang=\"ts\"") || tag.contains("lang='ts'") || tag.contains("lang=\"tsx\"");
        let end = rest[open..].find("</script").map_or(rest.len(), |end| open + end);
        blank(&mut kept, &rest[..open]);
        // `type="text/template"` and the like hold something else.
        let is_script = !tag.contains("type=")
            || ["javascript", "module", "babel", "typescript"].iter().any(|kind| tag.contains(kind));
        match is_script {
            true => kept.push_str(&rest[open..end]),
            false => blank(&mut kept, &rest[open..end]),
        }
        rest = &rest[end..];
    }
    blank(&mut kept, rest);
    (kept, typed)
}

fn blank(kept: &mut String, text: &str) {
    kept.extend(text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grammar_reads_its_language() {
        let samples = [
            (Language::Python, "async def a(b: int) -> str:\n    return f'{b}'\n"),
            (Language::JavaScript, "export const a = async ({b}) => <p>{b}</p>;\n"),
            (Language::TypeScript, "const a = <T,>(b: T) => b as unknown satisfies T;\n"),
            (Language::Tsx, "const a = (b: string) => <p>{b!}</p>;\n"),
            (Language::Go, "package a\nfunc A[T any](b T) (T, error) { return b, nil }\n"),
            (Language::Ruby, "class A\n  def b(c:) = c\nend\n"),
            (Language::Rust, "pub async fn a<'b>(c: &'b str) -> &'b str { c }\n"),
        ];
        for (language, text) in samples {
            let tree = Trees::new().parse(text, language).unwrap();
            assert!(!tree.root_node().has_error(), "{language:?}");
        }
    }

    #[test]
    fn a_text_built_to_hurt_is_survived() {
        let mut trees = Trees::new();
        for open in ["(", "[", "{", "a(", "if x:\n ", "`${", "<a>", "def a():\n", "'", "\u{0}", "é\u{fffd}"] {
            for language in [Language::Python, Language::Tsx, Language::Go, Language::Ruby, Language::Rust] {
                let begun = Instant::now();
                drop(trees.parse(&open.repeat(8_000), language));
                assert!(begun.elapsed() < LONGEST_PARSE * 10, "{language:?} {open}");
            }
        }
    }

    #[test]
    fn scripts_keep_their_lines() {
        let (text, typed) =
            script_of("<template>\n</template>\n<script setup lang=\"ts\">\nlet é = 1\n</script>\n<style/>");
        assert_eq!(text.lines().nth(3), Some("let é = 1"));
        assert!(typed && !text.contains("template"));
        let (text, _) = script_of("<script type=\"text/template\">a()</script><script type=\"module\">b()</script>");
        assert_eq!(text.trim(), "b()");
    }
}
