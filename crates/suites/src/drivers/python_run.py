"""Runs a Python test runner as it is, and writes down what became of each test and which lines were reached.

    python_run.py --results FILE --root FOLDER [--coverage FILE --sources FILE] (-m MODULE | SCRIPT) ARGUMENTS...

It stands between the runner and nothing else: tests are recorded through unittest's own results and a pytest plugin.
"""

import ast
import importlib.util
import json
import os
import runpy
import sys
import threading
import unittest

TESTS = []
ROOT = os.getcwd()


def record(name, path, state, detail=""):
    if path:
        path = os.path.relpath(os.path.realpath(path), os.path.realpath(ROOT))
    TESTS.append({"name": name, "file": path, "state": state, "detail": detail[-2000:]})


def listen_to_unittest():
    result = unittest.TestResult

    def recording(method, state):
        before = getattr(result, method)

        def after(self, test, *arguments):
            before(self, test, *arguments)
            module = sys.modules.get(type(test).__module__)
            path = getattr(module, "__file__", None) if not type(test).__module__.startswith("unittest") else None
            detail = ""
            if arguments:
                error = arguments[-1]
                detail = self._exc_info_to_string(error, test) if isinstance(error, tuple) else str(error)
            if method != "addSubTest":
                record(test.id(), path, state, detail)
            elif arguments[-1] is not None:
                record(test.id(), path, "failed", detail)

        setattr(result, method, after)

    for method, state in {
        "addSuccess": "passed",
        "addFailure": "failed",
        "addError": "failed",
        "addSkip": "skipped",
        "addExpectedFailure": "skipped",
        "addUnexpectedSuccess": "failed",
        "addSubTest": "failed",
    }.items():
        recording(method, state)


class Reached:
    """The lines of our files that ran."""

    def __init__(self, paths):
        self.lines = {os.path.realpath(path): set() for path in paths}
        self.known = {}

    def of(self, path):
        if path not in self.known:
            self.known[path] = self.lines.get(os.path.realpath(path))
        return self.known[path]

    def start(self):
        if hasattr(sys, "monitoring"):
            monitoring, tool = sys.monitoring, 4
            monitoring.use_tool_id(tool, "seaworthy")

            def line(code, number):
                lines = self.of(code.co_filename)
                if lines is not None:
                    lines.add(number)
                return monitoring.DISABLE

            monitoring.register_callback(tool, monitoring.events.LINE, line)
            monitoring.set_events(tool, monitoring.events.LINE)
            return

        def enter(frame, event, _):
            lines = self.of(frame.f_code.co_filename)
            if lines is None:
                return None

            def step(frame, event, _):
                if event == "line":
                    lines.add(frame.f_lineno)
                return step

            lines.add(frame.f_lineno)
            return step

        threading.settrace(enter)
        sys.settrace(enter)

    def result(self):
        return {path: statements_of(path, lines) for path, lines in self.lines.items()}


def statements_of(path, reached):
    """First lines of statements that ran, and of those that did not."""
    try:
        with open(path, "rb") as file:
            text = file.read()
        tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return {"executed": [], "missing": [], "unreadable": True}
    excluded = {number for number, line in enumerate(text.splitlines(), 1) if b"pragma: no cover" in line}
    executed, missing = [], []
    pending = list(tree.body)
    while pending:
        node = pending.pop()
        if node.lineno in excluded or (isinstance(node, ast.If) and is_never_reached(node.test)):
            continue
        blocks = [getattr(node, name, None) or [] for name in ("body", "orelse", "finalbody")]
        inner = [child for block in blocks if isinstance(block, list) for child in block]
        for part in list(getattr(node, "handlers", [])) + list(getattr(node, "cases", [])):
            if getattr(part, "lineno", 0) not in excluded:
                inner.extend(part.body)
        pending.extend(inner)
        constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        silent = (ast.Try, ast.Global, ast.Nonlocal, ast.Pass)
        bare = isinstance(node, ast.AnnAssign) and node.value is None
        if constant or bare or isinstance(node, silent):
            continue
        end = min((child.lineno for child in inner), default=node.end_lineno + 1)
        lines = set(range(node.lineno, max(end, node.lineno + 1)))
        for decorator in getattr(node, "decorator_list", []):
            lines.add(decorator.lineno)
        (executed if lines & reached else missing).append(node.lineno)
    return {"executed": sorted(set(executed)), "missing": sorted(set(missing) - set(executed))}


def is_never_reached(test):
    """`if TYPE_CHECKING` and `if __name__ == "__main__"`."""
    text = ast.dump(test)
    return "TYPE_CHECKING" in text or "__main__" in text


def main(arguments):
    global ROOT
    options = {}
    while arguments and arguments[0].startswith("--"):
        options[arguments[0][2:]] = arguments[1]
        arguments = arguments[2:]
    ROOT = os.path.realpath(options.get("root", "."))
    reached = None
    if "coverage" in options:
        with open(options["sources"], encoding="utf-8", errors="surrogateescape") as file:
            reached = Reached([os.path.join(ROOT, path) for path in file.read().split("\n") if path])
    listen_to_unittest()
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[0] = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
    if arguments[:2] == ["-m", "pytest"]:
        arguments += ["-p", "seaworthy_pytest", "-p", "no:cacheprovider"]
        arguments += ["-n0"] if importlib.util.find_spec("xdist") else []
        arguments += ["--no-cov"] if importlib.util.find_spec("pytest_cov") else []
        sys.modules["seaworthy_record"] = sys.modules["__main__"]
    writer = os.getpid()
    try:
        if arguments[0] == "-m":
            sys.argv = arguments[1:]
            run = lambda: runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = arguments
            run = lambda: runpy.run_path(arguments[0], run_name="__main__")
        if reached:
            reached.start()
        run()
    finally:
        sys.settrace(None)
        if os.getpid() == writer:
            with open(options["results"], "w", encoding="utf-8", errors="replace") as file:
                json.dump({"tests": TESTS}, file)
            if reached:
                with open(options["coverage"], "w", encoding="utf-8", errors="replace") as file:
                    json.dump({"files": reached.result()}, file)


if __name__ == "__main__":
    main(sys.argv[1:])
