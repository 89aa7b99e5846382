//! Small projects with tools that need nothing but a shell.

use seaworthy_repository::Sample;

use super::found::Purpose;

/// Where the samples keep their pipeline.
pub const PIPELINE: &str = ".github/workflows/ci.yml";

const LINT: &str =
    "# Every file with a statement that belongs to a debugger.\nif grep -rn 'debugger' src; then exit 1; fi\n";
const FORMAT: &str = "# Every file with a blank at a line's end, or two blanks within a line.\nif grep -rnE ' $|[^ ]  +[^ ]' src; then exit 1; fi\n";
const TYPES: &str = "# --strict: a number that is given a text.\nif grep -rnE ': number = \"' src; then exit 1; fi\n";

fn project(name: &str, script: &str, program: (&str, &str), source: &str) -> Sample {
    let package = format!("{{\"scripts\": {{\"{name}\": \"{script}\"}}}}\n");
    let pipeline = format!(
        "on: [push, pull_request]\njobs:\n  check:\n    runs-on: ubuntu-latest\n    steps:\n      - run: npm run {name}\n"
    );
    Sample::of(&[("package.json", &package), program, ("src/app.ts", source), (PIPELINE, &pipeline)])
}

/// The tool is set up, clean, awake, and runs on each change.
pub fn kept(purpose: Purpose) -> Sample {
    let source = "export const answer: number = 42;\n";
    match purpose {
        Purpose::Lint => project("lint", "sh lint.sh", ("lint.sh", LINT), source),
        Purpose::Format => project("format:check", "sh format.sh", ("format.sh", FORMAT), source),
        Purpose::Types => project("typecheck", "sh types.sh --strict", ("types.sh", TYPES), source),
    }
}

/// The tool is set up, and finds something that nobody mended.
pub fn broken(purpose: Purpose) -> Sample {
    let source = match purpose {
        Purpose::Lint => "export const answer = 42;\ndebugger;\n",
        Purpose::Format => "export const answer   = 42;\n",
        Purpose::Types => "export const answer: number = \"42\";\n",
    };
    kept(purpose).with(&[("src/app.ts", source)])
}

/// Hooks that a package script installs, and that look at what is committed.
pub fn hooked() -> Sample {
    let package = "{\"scripts\": {\"lint\": \"sh lint.sh\", \"prepare\": \"chmod +x .githooks/pre-commit && git config core.hooksPath .githooks\"}}\n";
    kept(Purpose::Lint).with(&[("package.json", package), (".githooks/pre-commit", "#!/bin/sh\nexec sh lint.sh\n")])
}

/// Hooks are set up, and nothing installs them.
pub fn unhooked() -> Sample {
    kept(Purpose::Lint).with(&[(".githooks/pre-commit", "#!/bin/sh\nexec sh lint.sh\n"), ("README.md", "# Shop\n")])
}
