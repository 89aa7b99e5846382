//! Task runners as people set them up, and which commands they come to.

use super::*;
use crate::sample_folder::folder_with;

fn seen(files: &[(&str, &str)], script: &str) -> Vec<String> {
    let folder = folder_with(files);
    let repository = Repository::open(folder.path()).unwrap();
    let commands = Tasks::of(&repository).script(script, Shell::STOPS, Path::new(""));
    let mark = |command: &Command| match (&command.failure, command.opaque) {
        (_, true) => "?",
        (Failure::Stops, _) => "",
        _ => "-",
    };
    commands.iter().map(|command| format!("{}{}", mark(command), command.words.join(" "))).collect()
}

#[test]
fn scripts_of_packages() {
    let package = r#"{"scripts": {"test": "npm run unit && run-s lint:*", "unit": "jest; exit 0", "pretest": "tsc",
        "lint:js": "eslint .", "loop": "npm run loop", "none": "echo \"Error: no test specified\" && exit 1"}}"#;
    let files = [("package.json", package), ("web/package.json", r#"{"scripts": {"test": "vitest run"}}"#)];
    let expected = ["npm test", "tsc", "npm run unit", "-jest", "exit 0", "run-s lint:*", "eslint ."];
    assert_eq!(seen(&files, "npm test"), expected);
    assert_eq!(seen(&files, "npm --prefix web test"), ["npm --prefix web test", "vitest run"]);
    assert_eq!(seen(&files, "cd web; yarn test")[2], "vitest run");
    assert_eq!(seen(&files, "pnpm -r test")[1], "vitest run");
    assert_eq!(seen(&files, "npx turbo run test")[1], "vitest run");
    assert_eq!(seen(&files, "yarn jest --ci"), ["jest --ci"]);
    assert_eq!(seen(&files, "npm run loop").len(), 2);
    assert_eq!(seen(&files, "npm run missing"), ["?npm run missing"]);
    assert_eq!(seen(&files, "npm ci"), ["npm ci"]);
}

#[test]
fn makefiles_justfiles_and_taskfiles() {
    let makefile = "PYTEST ?= poetry run pytest\n\n.PHONY: check\nall: build\ncheck: lint test\n\t@echo done\nlint:\n\t-ruff check .\n\
                    test: ## tests\n\t$(PYTEST) \\\n\t  -q\nbuild:\n\tgo build ./...\n";
    let files = [
        ("Makefile", makefile),
        ("justfile", "default: test\n\ntest arg='':\n    @pytest -q\n"),
        (
            "Taskfile.yml",
            "tasks:\n  test:\n    deps: [lint]\n    cmds:\n      - go test ./...\n      - task: fmt\n  lint: golangci-lint run\n  fmt:\n    cmds: ['gofmt -l .']\n",
        ),
    ];
    assert_eq!(seen(&files, "make check"), ["make check", "echo done", "pytest -q", "-ruff check ."]);
    assert_eq!(seen(&files, "make"), ["make", "go build ./..."]);
    assert_eq!(seen(&files, "make other"), ["?make other"]);
    assert_eq!(seen(&files, "just"), ["just", "pytest -q"]);
    assert_eq!(seen(&files, "task test"), ["task test", "go test ./...", "golangci-lint run", "gofmt -l ."]);
}

#[test]
fn tasks_of_python() {
    let files = [
        (
            "tox.ini",
            "[tox]\nenvlist = py\n[testenv]\ncommands =\n  pytest {posargs}\n[testenv:lint]\ncommands = - flake8\n",
        ),
        (
            "noxfile.py",
            "import nox\n@nox.session\ndef tests(session):\n    session.run('pytest', '-q')\ndef lint(session):\n    # session.run('x')\n    session.run('ruff', 'check')\n",
        ),
        (
            "pyproject.toml",
            "[tool.poe.tasks]\ntest = \"pytest\"\nall = [\"test\"]\n[tool.hatch.envs.default.scripts]\ncov = [\"pytest --cov\", \"coverage report\"]\n",
        ),
        (".pre-commit-config.yaml", "repos:\n- repo: x\n  hooks:\n  - id: ruff\n  - id: push\n    stages: [push]\n"),
        ("scripts/test.sh", "#!/bin/sh\nset -e\npytest || true\nmypy .\n"),
        ("scripts/run.py", "print(1)\n"),
    ];
    assert_eq!(seen(&files, "tox -e py312"), ["tox -e py312", "pytest"]);
    assert_eq!(seen(&files, "tox -e lint"), ["tox -e lint", "-flake8"]);
    assert_eq!(seen(&files, "nox -s tests"), ["nox -s tests", "pytest -q"]);
    assert_eq!(seen(&files, "nox").len(), 3);
    assert_eq!(seen(&files, "poetry run poe all"), ["poe all", "poe test", "pytest"]);
    assert_eq!(seen(&files, "hatch run cov"), ["hatch run cov", "pytest --cov", "coverage report"]);
    assert_eq!(seen(&files, "pre-commit run --all-files"), ["pre-commit run --all-files", "ruff"]);
    assert_eq!(seen(&files, "bash scripts/test.sh"), ["test.sh", "-set -e", "-pytest", "true", "mypy ."]);
    assert_eq!(seen(&files, "python scripts/run.py"), ["?scripts/run.py"]);
    assert_eq!(seen(&files, "bash -c 'pytest && mypy'"), ["pytest", "mypy"]);
}
