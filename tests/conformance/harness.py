"""What the conformance programs share: a scripted upstream, Seaworthy before it, a raw client, a table of results."""

import argparse
import contextlib
import json
import pathlib
import socket
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import processes  # noqa: E402

CASES = []
TIMEOUT_S = 4


class Wrong(Exception):
    """What was seen is not what must be."""


def case(rule, level="must"):
    """Register a case; its name is the function's, its docstring says what must be. `should` cases do not fail a run."""
    def register(function):
        CASES.append((function.__name__, rule, level, function))
        return function
    return register


def check(condition, message):
    """Fail the case with a message."""
    if not condition:
        raise Wrong(message)


class Upstream:
    """An app that does exactly what a case says: `on(path, handler)`, where the handler gets the raw connection."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.socket.getsockname()[1]
        self.handlers, self.heads, self.ended = {}, {}, {}
        threading.Thread(target=self._accept, daemon=True).start()

    def on(self, path, handler):
        """`handler(connection)` answers; bytes that it returns are sent as they are."""
        self.handlers[path] = handler

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.socket.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        connection = Connection(sock, 30)
        with contextlib.suppress(OSError, Wrong, ValueError), sock:
            while True:
                head = connection.read_head()
                target = head.split(b" ", 2)[1].decode("latin-1")
                path = target.partition("?")[0]
                connection.head = head
                self.heads.setdefault(path, []).append(head)
                answer = self.handlers.get(path, lambda _: ok(b"hello"))(connection)
                if answer is None:
                    return
                sock.sendall(answer)


class Connection:
    """A raw connection with a buffer."""

    def __init__(self, sock, timeout=TIMEOUT_S):
        self.sock, self.buffer, self.head = sock, b"", b""
        sock.settimeout(timeout)

    def send(self, data):
        """Send bytes."""
        self.sock.sendall(data)

    def fill(self):
        """Read more; false at the end."""
        try:
            part = self.sock.recv(65536)
        except ConnectionResetError:
            return False
        except TimeoutError:
            raise Wrong(f"nothing more came in {self.sock.gettimeout()} s after {self.buffer[-200:]!r}") from None
        self.buffer += part
        return bool(part)

    def read_head(self):
        """A head with its last CRLF."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.fill():
                raise Wrong(f"the connection ended after {self.buffer[:200]!r}")
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head + b"\r\n"

    def read_bytes(self, count):
        """So many bytes."""
        while len(self.buffer) < count:
            if not self.fill():
                raise Wrong(f"the connection ended {count - len(self.buffer)} bytes early")
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_line(self):
        """A line without CRLF."""
        while b"\r\n" not in self.buffer:
            if not self.fill():
                raise Wrong("the connection ended in a line")
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def read_chunks(self):
        """A chunked body and its trailers."""
        body, trailers = b"", b""
        while True:
            size = int(self.read_line().split(b";")[0], 16)
            if not size:
                while line := self.read_line():
                    trailers += line + b"\r\n"
                return body, trailers
            body += self.read_bytes(size)
            check(self.read_bytes(2) == b"\r\n", "no CRLF after a chunk")

    def read_body(self, head):
        """The body that a head announces, and its trailers."""
        if field(head, b"transfer-encoding").lower() == b"chunked":
            return self.read_chunks()
        length = field(head, b"content-length")
        return (self.read_bytes(int(length)) if length else b""), b""

    def read_answer(self, method="GET", interim=None):
        """A final answer: status, head, body, trailers. Interim heads go to the list `interim`."""
        while True:
            head = self.read_head()
            status = int(head.split(b" ", 2)[1])
            if status >= 200 or status == 101:
                break
            if interim is not None:
                interim.append(head)
        if method == "HEAD" or status in (101, 204, 304):
            return Answer(status, head, b"", b"")
        if field(head, b"transfer-encoding") or field(head, b"content-length"):
            body, trailers = self.read_body(head)
        else:
            body, trailers = self.read_all(), b""
        return Answer(status, head, body, trailers)

    def read_all(self):
        """Everything until the end."""
        while self.fill():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def closed(self):
        """Whether the other side ends the connection without another byte."""
        return not self.buffer and not self.fill()


class Answer:
    """One answer."""

    def __init__(self, status, head, body, trailers):
        self.status, self.head, self.body, self.trailers = status, head, body, trailers

    def field(self, name):
        """A header's value."""
        return field(self.head, name)


def fields(head, name):
    """All values of a header in a head."""
    found = []
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name.lower():
            found.append(value.strip())
    return found


def field(head, name):
    """The first value of a header, empty when there is none."""
    return next(iter(fields(head, name)), b"")


def ok(body, *lines, status=b"200 OK"):
    """An ordinary answer."""
    return (b"HTTP/1.1 " + status + b"\r\n" + b"".join(line + b"\r\n" for line in lines) +
            b"Content-Length: %d\r\n\r\n" % len(body) + body)


class Bench:
    """What a case gets: the upstream, and connections to Seaworthy."""

    def __init__(self, address, upstream, process=None, second=None):
        self.address, self.upstream, self.process, self.second = address, upstream, process, second

    @contextlib.contextmanager
    def client(self, timeout=TIMEOUT_S):
        """A raw connection to Seaworthy."""
        with socket.create_connection(self.address, timeout=timeout) as sock:
            yield Connection(sock, timeout)

    @contextlib.contextmanager
    def scripted(self, timeout=TIMEOUT_S):
        """A raw connection to the Seaworthy before the scripted upstream, where `run` was told to start one."""
        with socket.create_connection(("127.0.0.1", self.second.port), timeout=timeout) as sock:
            yield Connection(sock, timeout)

    def ask(self, path, *lines, method="GET", body=b"", version="1.1", interim=None):
        """One request over a new connection; return the answer and what the app saw of the head."""
        with self.client() as client:
            client.send(request(path, *lines, method=method, body=body, version=version))
            answer = client.read_answer(method, interim)
        return answer, (self.upstream.heads.get(path.partition("?")[0]) or [b""])[-1]

    def cpu_s(self):
        """CPU seconds that Seaworthy has used, None when it is not ours."""
        if not self.process:
            return None
        text = pathlib.Path(f"/proc/{self.process.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(text[11]) + int(text[12])) / 100


def request(path, *lines, method="GET", body=b"", version="1.1"):
    """The bytes of a request."""
    length = (b"Content-Length: %d" % len(body),) if body else ()
    return (f"{method} ".encode() + (path if isinstance(path, bytes) else path.encode()) + f" HTTP/{version}\r\nHost: localhost\r\n".encode() +
            b"".join(line + b"\r\n" for line in (*lines, *length)) + b"\r\n" + body)


def run(name, description, settings=None, prepare=None, scripted=False):
    """Run every registered case and print the table; return the exit code. `prepare` starts another app than the scripted one;
    `scripted` adds a second Seaworthy before that one."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--binary", type=pathlib.Path, default=processes.BINARY)
    parser.add_argument("--match", default="", metavar="TEXT", help="only cases whose name has this in it")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=JSON", help="one more key of Seaworthy's config")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    options = parser.parse_args()
    more = dict(settings or {}) | {key.strip(): json.loads(value) for key, _, value in (text.partition("=") for text in options.set)}
    upstream, rows, started = Upstream(), [], []
    with tempfile.TemporaryDirectory(prefix=f"seaworthy-{name}-") as folder:
        folder = pathlib.Path(folder)
        try:
            port = prepare(folder, started) if prepare else upstream.port
            front = processes.seaworthy(options.binary.resolve(), folder / "front", port, 0, more)
            started.append(front)
            second = processes.seaworthy(options.binary.resolve(), folder / "second", upstream.port, 0, more) if scripted else None
            started += [second] if second else []
            bench = Bench(("127.0.0.1", front.port), upstream, front, second)
            deadline = time.monotonic() + 10
            while bench.ask("/")[0].status == 503 and time.monotonic() < deadline:  # not ready until it has seen the app
                time.sleep(0.05)
            for title, rule, level, function in CASES:
                if options.match in title:
                    rows.append(run_case(bench, title, rule, level, function))
            if front.process.poll() is not None and not getattr(front, "stopped_by_test", False):
                rows.append({"case": "the server lives", "rule": "", "level": "must", "result": "FAIL", "why": "it ended", "seconds": 0})
        except (OSError, processes.Missing) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
        finally:
            for process in reversed(started):
                process.stop()
    if options.json:
        print(json.dumps({"rows": rows}, indent=1))
    else:
        for row in rows:
            print("{result:<5} {level:<6} {case:<46} {rule:<18} {seconds:5.2f} s".format(**row) + (f"\n      {row['why']}" if row["why"] else ""))
    if not rows:
        print(f"{name}: no case matches", file=sys.stderr)
        return 2
    failed = [row for row in rows if row["result"] == "FAIL"]
    print(f"{name}: {len(rows)} cases, {len(failed)} failed, {sum(row['result'] == 'note' for row in rows)} noted", file=sys.stderr)
    return 1 if failed else 0


def run_case(bench, title, rule, level, function):
    """Run one case; return its row."""
    began, why = time.monotonic(), ""
    try:
        extra = function(bench)
        result, why = "ok", extra or ""
    except (Wrong, OSError) as error:
        result, why = ("FAIL" if level == "must" else "note"), f"{(function.__doc__ or '').strip()} But: {error or type(error).__name__}"
    except Exception:  # a case that is broken is a failed case
        result, why = "FAIL", traceback.format_exc(limit=-2).replace("\n", " ")
    return {"case": title, "rule": rule, "level": level, "result": result, "why": why, "seconds": time.monotonic() - began}
