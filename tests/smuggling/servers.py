"""Starts the upstreams, and Seaworthy in front of each."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
UPSTREAMS = ("strict", "hyper", "gunicorn-sync", "gunicorn-gthread", "uvicorn-h11", "uvicorn-httptools", "node")


class Missing(Exception):
    """A program is not there."""


class Process:
    """A program in a process group of its own; what it says goes to a file."""

    def __init__(self, name, command, folder, port, env=None):
        self.name, self.port = name, port
        self.log = folder / f"{name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, process_group=0,
                                            env=os.environ | (env or {}))

    def wait(self):
        """Until it accepts a connection."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.05)
        raise OSError(f"{self.name} did not start:\n{self.log.read_text(errors='replace')[-1500:]}")

    def stop(self):
        """Politely, then by force."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def free_port():
    """A port that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def python_program(name):
    """A program of the virtual environment for tests."""
    path = ROOT / "target/test-python/bin" / name
    if not path.exists():
        raise Missing(f"{path} is missing: target/test-python/bin/pip install gunicorn 'uvicorn[standard]'")
    return str(path)


def upstream(name, folder, binary):
    """Start an upstream; return its processes, its port and the file of its records."""
    folder.mkdir()
    port, file = free_port(), folder / "records.jsonl"
    file.touch()
    env = {"RECORD": str(file), "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
    bind = f"127.0.0.1:{port}"
    if name in ("strict", "hyper"):
        processes = [Process("strict", [sys.executable, str(HERE / "strict.py"), str(port), str(file)], folder, port)]
        if name == "hyper":  # what a hyper server makes of it: a second Seaworthy, whose own upstream is the strict one
            processes[0].wait()
            second = seaworthy(binary, folder / "second", port, 0, {})
            return [*processes, second], second.port, file
    elif name.startswith("gunicorn"):
        kind = name.partition("-")[2]
        shape = ["--workers", "8"] if kind == "sync" else ["--threads", "16", "--keep-alive", "60"]
        processes = [Process(name, [python_program("gunicorn"), "--bind", bind, "--worker-class", kind, *shape, "--timeout", "60",
                                    "--limit-request-line", "0", "--limit-request-field_size", "0", "recorder:wsgi"], folder, port, env)]
    elif name.startswith("uvicorn"):
        kind = name.partition("-")[2]
        processes = [Process(name, [python_program("uvicorn"), "--host", "127.0.0.1", "--port", str(port), "--http", kind,
                                    "--timeout-keep-alive", "60", "--log-level", "warning", "recorder:asgi"], folder, port, env)]
    else:
        node = shutil.which("node")
        if not node:
            raise Missing("node is missing: apt install nodejs")
        processes = [Process(name, [node, str(HERE / "recorder.mjs"), str(port), str(file)], folder, port)]
    return processes, port, file


def seaworthy(binary, folder, to, workers, more):
    """Start Seaworthy in front of a port; its access log is `folder/access.log`."""
    folder.mkdir()
    port = free_port()
    settings = {"app.to": f"http://127.0.0.1:{to}", "edge.listen": f"127.0.0.1:{port}", "edge.workers": workers,
                "edge.errors": "pass", "edge.timeouts.request_head": "2s", "edge.timeouts.request_body_idle": "2s",
                "observability.access_log": str(folder / "access.log"), "observability.format": "json",
                "admin.listen": f"127.0.0.1:{free_port()}", "admin.socket": ""} | more
    config = folder / "seaworthy.toml"
    config.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))
    process = Process("seaworthy", [str(binary), "run", "--config", str(config)], folder, port)
    process.access_log = folder / "access.log"
    process.wait()
    return process


def gullible(folder, to):
    """Start the control in Seaworthy's place."""
    folder.mkdir()
    port, log = free_port(), folder / "access.log"
    process = Process("gullible", [sys.executable, str(HERE / "gullible.py"), str(port), str(to), str(log)], folder, port)
    process.access_log = log
    process.wait()
    return process
