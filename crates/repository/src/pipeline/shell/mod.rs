//! A shell script, read as far as it takes to know which commands it runs and whether their failure stops it.

mod syntax;
pub(super) mod walk;
mod words;

use std::path::PathBuf;

/// How a shell is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shell {
    /// The first command that fails ends it (`set -e`).
    pub stops_at_failure: bool,
    /// A pipe fails when any part of it does (`pipefail`).
    pub pipes_fail: bool,
}

impl Shell {
    /// `sh -c`: the last command alone decides.
    pub const PLAIN: Self = Self { stops_at_failure: false, pipes_fail: false };
    /// `sh -e`.
    pub const STOPS: Self = Self { stops_at_failure: true, pipes_fail: false };
    /// `bash -eo pipefail`.
    pub const STRICT: Self = Self { stops_at_failure: true, pipes_fail: true };
}

/// What a command's failure does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It makes what it is part of fail.
    Stops,
    /// That cannot be told; why.
    Unsure(String),
    /// Nothing; why.
    Ignored(String),
}

impl Failure {
    /// The weaker of both.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        match (&self, other) {
            (Self::Ignored(_), _) | (_, Self::Stops) => self,
            (_, Self::Ignored(_)) | (Self::Stops, Self::Unsure(_)) => other.clone(),
            (Self::Unsure(_), Self::Unsure(_)) => self,
        }
    }

    /// Ignored, when there is a reason.
    pub fn unless(ignored: Option<String>) -> Self {
        ignored.map_or(Self::Stops, Self::Ignored)
    }
}

/// One command of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simple {
    /// Its words, without quotes, redirections, and variables set for it.
    pub words: Vec<String>,
    /// Lines before it in the script.
    pub line: usize,
    /// What its failure does to the script.
    pub failure: Failure,
    /// The folder that it runs in, seen from the script's.
    pub folder: PathBuf,
}

/// A longer script was generated.
const LONGEST: usize = 256 << 10;

/// The commands of a script.
pub fn commands(script: &str, shell: Shell) -> Vec<Simple> {
    let end = (0..=script.len().min(LONGEST)).rev().find(|at| script.is_char_boundary(*at)).unwrap_or(0);
    let (script, shell) = (&script[..end], with_first_line(script, shell));
    let tokens = words::tokens(script);
    walk::commands(&syntax::list(&tokens), shell)
}

/// `#!/bin/bash -e`.
fn with_first_line(script: &str, mut shell: Shell) -> Shell {
    let first = script.lines().next().unwrap_or_default();
    if let Some(program) = first.strip_prefix("#!") {
        let mut options = program.split_whitespace().filter(|word| word.starts_with('-'));
        shell.stops_at_failure |= options.any(|word| word.contains('e') && !word.starts_with("--"));
    }
    shell
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(script: &str, shell: Shell) -> Vec<String> {
        let mark = |failure: &Failure| match failure {
            Failure::Stops => "!",
            Failure::Unsure(_) => "?",
            Failure::Ignored(_) => "-",
        };
        commands(script, shell).iter().map(|one| format!("{}{}", mark(&one.failure), one.words.join(" "))).collect()
    }

    #[test]
    fn words_quotes_comments_and_continued_lines() {
        let script = "# pytest\nA=1 B='x y' pytest \"a b\" 'c' \\\n  -k d > out.txt 2>&1 # why\necho 'it # is' $(date +%s) ${{ a.b || 'c' }}\n";
        assert_eq!(seen(script, Shell::STOPS), ["!pytest a b c -k d", "!echo it # is $(date +%s) ${{ a.b || 'c' }}"]);
        let two = commands("\n\na\nb", Shell::STOPS);
        assert_eq!(two.iter().map(|one| one.line).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(seen("cat <<EOF > x\npytest\nEOF\nruff check", Shell::STOPS), ["!cat", "!ruff check"]);
    }

    #[test]
    fn a_swallowed_failure_does_not_stop() {
        assert_eq!(seen("pytest || true", Shell::STOPS), ["-pytest", "!true"]);
        assert_eq!(seen("a && b || echo failed", Shell::STOPS), ["-a", "-b", "!echo failed"]);
        assert_eq!(seen("pytest || (docker logs && exit 1)", Shell::STOPS), ["!pytest", "!docker logs", "!exit 1"]);
        assert_eq!(seen("pytest || exit 0", Shell::STOPS), ["-pytest", "!exit 0"]);
        assert_eq!(seen("yarn audit || [ $? -lt 8 ]", Shell::STOPS)[0], "?yarn audit");
        assert_eq!(seen("set +e\npytest\nexit 0", Shell::STOPS), ["!set +e", "-pytest", "!exit 0"]);
        assert_eq!(seen("set +e\npytest\nstatus=$?\nlogs\nexit $status", Shell::STOPS)[1], "?pytest");
        assert_eq!(seen("pytest | tee out", Shell::STOPS)[0], "-pytest");
        assert_eq!(seen("pytest | tee out", Shell::STRICT)[0], "!pytest");
        assert_eq!(seen("set -o pipefail\npytest | tee out", Shell::STOPS)[1], "!pytest");
        assert_eq!(seen("server & pytest", Shell::STOPS), ["-server", "!pytest"]);
        assert_eq!(seen("exit 0\npytest", Shell::STOPS), ["!exit 0"]);
    }

    #[test]
    fn without_stopping_the_last_command_decides() {
        assert_eq!(seen("jest; exit 0", Shell::PLAIN), ["-jest", "!exit 0"]);
        assert_eq!(seen("lint && jest", Shell::PLAIN), ["!lint", "!jest"]);
        assert_eq!(seen("lint\njest", Shell::PLAIN), ["-lint", "!jest"]);
        assert_eq!(seen("#!/bin/bash -e\nlint\njest", Shell::PLAIN), ["!lint", "!jest"]);
        assert_eq!(seen("set -euo pipefail\nlint | cat\njest", Shell::PLAIN)[1], "!lint");
    }

    #[test]
    fn blocks_and_functions() {
        let script = "if [ -n \"$X\" ]; then\n pytest\nfi\nfor d in a b; do (cd $d && npm test); done\n";
        assert_eq!(seen(script, Shell::STOPS), ["?[ -n $X ]", "?pytest", "!cd $d", "!npm test"]);
        assert_eq!(seen("if ! pytest; then exit 1; fi", Shell::STOPS)[0], "?pytest");
        assert_eq!(seen("t() {\n  pytest\n}\nt\n", Shell::STOPS), ["!pytest"]);
        assert_eq!(seen("case $1 in\n a|b) pytest ;;\n *) ruff ;;\nesac", Shell::STOPS), ["?pytest", "?ruff"]);
        let moved = commands("cd web && npm ci\n(cd ../api; go test)\nnpm test", Shell::STOPS);
        let folders: Vec<_> = moved.iter().map(|one| one.folder.to_string_lossy().into_owned()).collect();
        assert_eq!(folders, ["", "web", "web", "api", "web"]);
    }

    #[test]
    fn hostile_scripts_end() {
        for script in ["(".repeat(200_000), "f() { f; f; }\nf\n".repeat(50), "if ".repeat(50_000), "$(".repeat(90_000)]
        {
            assert!(commands(&script, Shell::STOPS).len() < 200_000);
        }
        commands("a \"b", Shell::STOPS);
        commands("case x in a) case y in", Shell::STOPS);
        commands("<< EOF", Shell::STOPS);
        commands("é\\", Shell::STOPS);
    }
}
