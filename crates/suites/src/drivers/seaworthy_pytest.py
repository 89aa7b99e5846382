"""A pytest plugin that writes down what became of each test."""

import os
import sys

record = sys.modules["seaworthy_record"].record


def pytest_runtest_logreport(report):
    if report.when == "call" or (report.when == "setup" and not report.passed):
        state = "skipped" if report.skipped else report.outcome
        record(report.nodeid, path_of(report), state, text_of(report))
    elif report.when == "teardown" and report.failed:
        record(report.nodeid + " (teardown)", path_of(report), "failed", text_of(report))


def pytest_collectreport(report):
    if report.failed:
        record(report.nodeid + " (collection)", None, "failed", text_of(report))


def pytest_configure(config):
    global rootpath
    rootpath = str(config.rootpath) if hasattr(config, "rootpath") else str(config.rootdir)


def path_of(report):
    return os.path.join(rootpath, report.location[0])


def text_of(report):
    try:
        return report.longreprtext
    except Exception:
        return ""
