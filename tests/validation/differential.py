"""Requests that schemathesis makes from a document, right ones and wrong ones, through `seaworthy run` with validation: what
is right must pass and what is wrong must not. Two referees say which is which where that is in doubt: openapi-core, which
knows the document, and the app's own validation (pydantic), which goes beyond it here and stays behind it there.

    target/test-validation/bin/python tests/validation/differential.py fastapi
    target/test-validation/bin/python tests/validation/differential.py orders --examples 200 --binary target/debug/seaworthy
    … --control      with validation off: wrong requests pass, or this test sees nothing

Where schemathesis and the outcome differ, and both are right:

- It writes `null` as a text for an optional number. Nothing is written for null: openapi-core and pydantic refuse it too.
- It calls a list wrong that it gave one plain value, or a text it gave a number: on the wire they are the same.
- A separated list that is an empty text is a list of nothing in OpenAPI's table of styles, and one empty item elsewhere.
"""

import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile
import urllib.parse

import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest
from schemathesis import GenerationMode

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent


class Run:
    """The binary around one of the apps."""

    def __init__(self, binary, name, mode):
        self.folder = tempfile.TemporaryDirectory()
        script, document = {"fastapi": ("app.py", "/openapi.json"), "orders": ("echo.py", f"file:{HERE / 'openapi-3.0.yaml'}")}[name]
        health = '\nhealth = "/health"' if name == "fastapi" else ""
        pathlib.Path(self.folder.name, "seaworthy.toml").write_text(
            f'[app]\ncommand = "\'{sys.executable}\' {HERE / script} $PORT"{health}\n'
            f'[validation]\nopenapi = "{document}"\nmode = "{mode}"\n'
        )
        command = [binary, "run", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--access-log", "off"]
        self.log = open(pathlib.Path(self.folder.name, "stderr.log"), "w+")
        self.process = subprocess.Popen(command, cwd=self.folder.name, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            sys.exit(f"seaworthy did not start:\n{self.log.read()}")
        told = json.loads(line)
        self.url, self.admin = f"http://{told['listen']}", f"http://{told['admin']}"
        self.app = requests.get(f"{self.admin}/status").json()["instances"][0]["address"]
        if name == "fastapi":
            self.document = requests.get(f"{self.app}/openapi.json").json()
        else:
            self.document = yaml.safe_load((HERE / "openapi-3.0.yaml").read_text())

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


def by_document(openapi, base, prepared):
    """What openapi-core says of a request: None when it is right."""
    url = urllib.parse.urlsplit(prepared.url)
    query = collections.defaultdict(list)
    for name, value in urllib.parse.parse_qsl(url.query, keep_blank_values=True):
        query[name].append(value)
    cookies = dict(pair.strip().split("=", 1) for pair in prepared.headers.get("cookie", "").split(";") if "=" in pair)
    body = prepared.body
    body = body.encode() if isinstance(body, str) else body
    request = MockRequest(
        base,
        prepared.method.lower(),
        urllib.parse.unquote(url.path),
        args=query,
        headers=dict(prepared.headers),
        cookies=cookies,
        data=body,
        content_type=prepared.headers.get("content-type", "").split(";")[0] or "application/json",
    )
    try:
        errors = list(openapi.iter_request_errors(request))
    except Exception as error:  # It fails in many ways on odd requests; then it does not know.
        return f"? {type(error).__name__}"
    try:
        return f"{type(errors[0]).__name__}: {errors[0]} {errors[0].__cause__ or ''}" if errors else None
    except UnicodeDecodeError:  # It wants to show a body that is no text.
        return type(errors[0]).__name__


def is_list_of_nothing(prepared):
    """A separated list written as an empty text: no item for OpenAPI's table of styles, one empty item for openapi-core."""
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(prepared.url).query, keep_blank_values=True)
    return prepared.headers.get("x-fields") == "" or query.get("ids") == [""] or query.get("states") == [""]


def try_one(run, session, case, mode, seen):
    """One request: through Seaworthy, and where that leaves a doubt past it."""
    arguments = case.as_transport_kwargs(base_url=run.url + run.prefix)
    arguments.pop("timeout", None)
    try:
        prepared = session.prepare_request(requests.Request(**{k: v for k, v in arguments.items() if k not in ("stream", "verify", "allow_redirects")}))
        answer = session.send(prepared, allow_redirects=False, timeout=20)
    except (requests.exceptions.RequestException, UnicodeError, ValueError):
        seen["not sendable"] += 1
        return
    ours = answer.headers.get("x-app") is None
    if ours and answer.status_code not in (422, 415):
        code = answer.json().get("code") if "json" in answer.headers.get("content-type", "") else None
        seen[f"refused before validation ({answer.status_code} {code})"] += 1
        return
    label = "right" if mode == GenerationMode.POSITIVE else "wrong"
    if ours == (label == "wrong"):
        seen[f"{label}, and {'refused' if ours else 'passed'}"] += 1
        return
    # Against what schemathesis meant: what the referees say.
    app = answer.headers.get("x-app")
    if ours:
        direct = requests.Request(**{k: v for k, v in case.as_transport_kwargs(base_url=run.app + run.prefix).items() if k not in ("stream", "verify", "timeout", "allow_redirects")})
        app = session.send(session.prepare_request(direct), allow_redirects=False, timeout=20).headers.get("x-app")
    document = by_document(run.openapi, run.url, prepared)
    key = f"meant to be {label}, {'refused' if ours else 'passed'}; document says {'right' if document is None else document[:1] == '?' and 'unknown' or 'wrong'}; app {app}"
    if document and "Missing required path parameter" in document:
        key = f"explained (the referee reads no parameters that begin with ; or .): {key}"
    if is_list_of_nothing(prepared):
        key = f"explained (a list of nothing): {key}"
    seen[key] += 1
    told = answer.json().get("detail") if ours else ""
    body = prepared.body if isinstance(prepared.body, (str, bytes)) else ""
    example = f"{prepared.method} {prepared.url[len(run.url):][:160]} cookie={prepared.headers.get('cookie', '')!r} x={ {k: v for k, v in prepared.headers.items() if k.lower().startswith('x-')} } {body[:300]!r}\n      ours: {told}\n      referee: {str(document)[:300]}"
    run.examples.setdefault(key, []).append(example)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("app", choices=["fastapi", "orders"])
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/debug/seaworthy")
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--show", type=int, default=3)
    parser.add_argument("--control", action="store_true")
    arguments = parser.parse_args()
    run = Run(arguments.binary.resolve(), arguments.app, "off" if arguments.control else "enforce")
    run.prefix = "/api" if arguments.app == "orders" else ""
    run.examples = {}
    seen = collections.Counter()
    try:
        document = dict(run.document)
        document["servers"] = [{"url": run.url + run.prefix}]
        run.openapi = OpenAPI.from_dict(document)
        schema = schemathesis.openapi.from_dict(document)
        session = requests.Session()
        for result in schema.get_all_operations():
            operation = result.ok()
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                if mode == GenerationMode.NEGATIVE and not (list(operation.iter_parameters()) or operation.body):
                    continue

                @settings(max_examples=arguments.examples, deadline=None, database=None, phases=[Phase.generate],
                          suppress_health_check=list(HealthCheck))
                @given(case=operation.as_strategy(generation_mode=mode))
                def each(case):
                    try_one(run, session, case, mode, seen)

                each()
    finally:
        run.stop()
    for key, count in sorted(seen.items()):
        print(f"{count:7}  {key}")
        for example in run.examples.get(key, [])[: arguments.show]:
            print(f"      {example}")
    wrongly_refused = sum(count for key, count in seen.items() if key.startswith("meant to be right, refused; document says right"))
    let_through = sum(count for key, count in seen.items() if key.startswith("meant to be wrong, passed; document says wrong"))
    judged = seen["right, and passed"] + seen["wrong, and refused"]
    print(f"{arguments.app}: {judged} as meant; {wrongly_refused} wrongly refused; {let_through} let through against the document")
    if arguments.control:
        sys.exit(0 if let_through else "with validation off nothing passed: the test sees nothing")
    sys.exit(bool(wrongly_refused or let_through or not seen["right, and passed"] or not seen["wrong, and refused"]))


main()
