#!/usr/bin/env python3
"""Real apps behind Seaworthy: tokens are not held back, a client that leaves is noticed, WebSockets and Next.js work.

    check.py [streaming] [websocket] [next]        starts the app and Seaworthy itself
    check.py streaming --url http://127.0.0.1:8080 looks at one that runs
    check.py --control                             puts a relay that holds answers back in Seaworthy's place: it must be found out

Needs target/test-python (fastapi, uvicorn[standard], websockets) and, for next, the built app in target/test-node/next-app.
Exit codes: 0 all well; 1 something was wrong; 2 cannot run.
"""

import argparse
import asyncio
import http.client
import json
import pathlib
import shutil
import sys
import tempfile
import time
import urllib.parse
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import processes  # noqa: E402

processes.use_test_python("websockets")

import websockets  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
NEXT = processes.ROOT / "target/test-node/next-app"
APPS = ("streaming", "websocket", "next")
PATIENCE_S = 3


class Wrong(Exception):
    """What was seen is not what must be."""


def ask(url, path, method="GET", body=None):
    """One request over a new connection; return status and body."""
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def ask_json(url, path, method="GET", body=None):
    """The same, as JSON with status 200."""
    status, text = ask(url, path, method, body)
    if status != 200:
        raise Wrong(f"{method} {path} is answered {status}: {text[:200]!r}")
    return json.loads(text)


def read_tokens(url, path, acknowledge, separator, count, leave_after=None):
    """Read tokens one by one, acknowledging each; return them. Fails when one does not come before it is acknowledged."""
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=PATIENCE_S)
    seen, buffer, answer = [], b"", None
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        while len(seen) < count:
            part = answer.read1(65536)
            if not part:
                raise Wrong(f"{path} ended after {seen}")
            buffer += part
            while separator in buffer:
                token, _, buffer = buffer.partition(separator)
                seen.append(token.decode())
                if leave_after == len(seen):
                    return seen
                ask(url, acknowledge, "POST")
        return seen
    except TimeoutError:
        raise Wrong(f"{path}: token {len(seen)} is held back ({len(buffer)} bytes came of it)") from None
    finally:
        if answer:
            answer.close()
        connection.close()


def wait_until(look, what):
    """Until a condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if look():
            return
        time.sleep(0.02)
    raise Wrong(what)


def check_streaming(url):
    """Each token arrives before the next is sent; a client that leaves ends the app's stream."""
    for kind, separator in (("sse", b"\n\n"), ("ndjson", b"\n")):
        run = uuid.uuid4().hex
        seen = read_tokens(url, f"/{kind}?run={run}", f"/acknowledge?run={run}", separator, 5)
        yield f"{kind}: {len(seen)} tokens, none held back"
        run, before = uuid.uuid4().hex, ask_json(url, "/status")["cancelled"]
        read_tokens(url, f"/{kind}?run={run}&count=100", f"/acknowledge?run={run}", separator, 100, leave_after=2)
        wait_until(lambda: ask_json(url, "/status")["cancelled"] == before + 1, f"{kind}: the app's stream goes on without its client")
        yield f"{kind}: a client that leaves ends the app's stream"
    wait_until(lambda: ask_json(url, "/status")["open"] == 0, "streams stay open")


def check_websocket(url):
    """A chat of 20, the client's address, a subprotocol, and leaving with and without a close."""
    async def talk():
        address = f"ws://{url.hostname}:{url.port}/ws"
        before = ask_json(url, "/status")
        people = [await websockets.connect(address, subprotocols=["chat"], proxy=None) for _ in range(20)]
        for person in people:
            hello = json.loads(await asyncio.wait_for(person.recv(), PATIENCE_S))
            if hello["client"] != "127.0.0.1" or person.subprotocol != "chat":
                raise Wrong(f"the app saw {hello}, the subprotocol is {person.subprotocol}")
        for number in range(10):
            await people[number].send(f"message {number} " + "ü" * 20_000)
            for person in people:
                if not (await asyncio.wait_for(person.recv(), PATIENCE_S)).startswith(f"message {number} "):
                    raise Wrong("messages came in another order")
        for person in people[:10]:
            await person.close()
        for person in people[10:]:
            person.transport.abort()
        return before

    try:
        before = asyncio.run(talk())
    except (websockets.exceptions.WebSocketException, asyncio.TimeoutError) as error:
        raise Wrong(repr(error)) from None
    yield "20 clients, 10 messages to each"
    wait_until(lambda: (now := ask_json(url, "/status"))["room"] == 0 and now["closed"] + now["abrupt"] == before["closed"] + before["abrupt"] + 20,
               f"the app does not know that all have left: {ask_json(url, '/status')}")
    yield "the app knows that all have left"


def check_next(url):
    """The page, the API route with a body, and the stream."""
    status, page = ask(url, "/")
    text = page.decode().replace("<!-- -->", "")
    if status != 200 or f"Hello from {url.netloc} over http" not in text:
        raise Wrong(f"the page is answered {status}: {text[:300]!r}")
    yield "the page knows host and scheme"
    script = text.partition('src="/_next/static/')[2].partition('"')[0]
    status, body = ask(url, "/_next/static/" + script)
    if status != 200 or not body:
        raise Wrong(f"the script {script} is answered {status}")
    yield "its scripts load"
    seen = ask_json(url, "/api/hello?x=1")
    if seen != {"hello": "world", "path": "/api/hello", "client": "127.0.0.1"}:
        raise Wrong(f"the API route answers {seen}")
    size = ask_json(url, "/api/hello", "POST", bytes(1_000_000))["bytes"]
    if size != 1_000_000:
        raise Wrong(f"the API route received {size} of 1000000 bytes")
    yield "the API route works, also with a body of 1 MB"
    seen = read_tokens(url, "/api/stream", "/api/stream", b"\n\n", 5)
    yield f"stream: {len(seen)} tokens, none held back"
    before = ask_json(url, "/api/stream", "POST")["cancelled"]
    read_tokens(url, "/api/stream", "/api/stream", b"\n\n", 5, leave_after=1)
    wait_until(lambda: ask_json(url, "/api/stream", "POST")["cancelled"] == before + 1, "the app's stream goes on without its client")
    yield "stream: a client that leaves ends the app's stream"


CHECKS = {"streaming": check_streaming, "websocket": check_websocket, "next": check_next}


def app(name, folder):
    """Start an app; return its process."""
    port = processes.free_port()
    if name == "next":
        node = shutil.which("node")
        if not node or not (NEXT / ".next/BUILD_ID").exists():
            raise processes.Missing(f"no built app in {NEXT}: see tests/apps/README.md")
        return processes.Process(name, [node, str(NEXT / "node_modules/next/dist/bin/next"), "start", str(NEXT), "--hostname", "127.0.0.1",
                                        "--port", str(port)], folder, port, {"NEXT_TELEMETRY_DISABLED": "1"})
    return processes.Process(name, [processes.python_program("uvicorn"), "--app-dir", str(HERE / name), "--host", "127.0.0.1", "--port", str(port),
                                    "--log-level", "warning", "app:app"], folder, port, {"PYTHONDONTWRITEBYTECODE": "1"})


def look(name, url):
    """Run the checks of one app; return the rows."""
    rows, began = [], time.monotonic()
    try:
        for line in CHECKS[name](url):
            rows.append({"app": name, "ok": True, "what": line})
    except (Wrong, OSError, ValueError, http.client.HTTPException) as error:
        rows.append({"app": name, "ok": False, "what": str(error) or type(error).__name__})
    if not rows:
        rows.append({"app": name, "ok": False, "what": "nothing was checked"})
    return [row | {"seconds": round(time.monotonic() - began, 2)} for row in rows]


def relay(folder, to):
    """Start the control."""
    port = processes.free_port()
    process = processes.Process("buffering", [sys.executable, str(HERE / "buffering.py"), str(port), str(to)], folder, port)
    process.wait()
    return process


def start_and_look(name, binary):
    """Start an app and Seaworthy (or, without a binary, the control), look, stop both."""
    started = []
    with tempfile.TemporaryDirectory(prefix="seaworthy-apps-") as folder:
        folder = pathlib.Path(folder)
        try:
            behind = app(name, folder)
            started.append(behind)
            behind.wait()
            front = (processes.seaworthy(binary, folder / "front", behind.port, 0, {"edge.errors": "unstructured"}) if binary else
                     relay(folder, behind.port))
            started.append(front)
            url = urllib.parse.urlsplit(f"http://127.0.0.1:{front.port}")
            wait_until(lambda: ask(url, "/")[0] != 503, "Seaworthy does not become ready")
            return look(name, url)
        finally:
            for process in reversed(started):
                process.stop()


def main():
    """Look at every app that was named; return the exit code."""
    parser = argparse.ArgumentParser(description="Checks of real apps behind Seaworthy.")
    parser.add_argument("apps", nargs="*", metavar="APP", help="of " + ", ".join(APPS) + " (default: all)")
    parser.add_argument("--url", help="a Seaworthy (or an app) that runs already; with one APP")
    parser.add_argument("--binary", type=pathlib.Path, default=processes.BINARY)
    parser.add_argument("--control", action="store_true", help="exit 0 when the streaming check finds a relay out that holds answers back")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    chosen = options.apps or list(APPS)
    if not set(chosen) <= set(APPS) or (options.url and len(chosen) != 1):
        parser.error("APP is one of " + ", ".join(APPS) + "; --url takes exactly one")
    rows = []
    try:
        if options.control:
            rows = start_and_look("streaming", None)
            found_out = any(not row["ok"] and "held back" in row["what"] for row in rows)
            print(f"control: {'found out' if found_out else 'NOT found out'}: {rows[-1]['what']}")
            return 0 if found_out else 1
        for name in chosen:
            rows += look(name, urllib.parse.urlsplit(options.url)) if options.url else start_and_look(name, options.binary.resolve())
    except (processes.Missing, OSError) as error:
        print(f"check: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps({"rows": rows}, indent=1))
    else:
        for row in rows:
            print(f"{'ok' if row['ok'] else 'FAIL':<5} {row['app']:<10} {row['what']}")
    return 0 if all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
