"""Programs that a test starts: in process groups of their own, on free ports, ended at the end."""

import contextlib
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = ROOT / "target/release/seaworthy"
PYTHON = ROOT / "target/test-python/bin/python"
INSTALL = "target/test-python/bin/pip install gunicorn fastapi 'uvicorn[standard]' websockets h2"


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
    """A port that is free now, below those that the system takes for outgoing connections: so it most likely stays free."""
    while True:
        port = random.randrange(15000, 32000)
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            return port


def python_program(name):
    """A program of the virtual environment for tests."""
    path = ROOT / "target/test-python/bin" / name
    if not path.exists():
        raise Missing(f"{path} is missing: {INSTALL}")
    return str(path)


def seaworthy(binary, folder, to, workers, more):
    """Start Seaworthy in front of a port; its access log is `folder/access.log`."""
    folder.mkdir()
    port = free_port()
    settings = {"app.to": f"http://127.0.0.1:{to}", "edge.listen": f"127.0.0.1:{port}", "edge.workers": workers,
                "edge.errors": "pass", "edge.timeouts.request_head": "2s", "edge.timeouts.request_body_idle": "2s",
                "observability.access_log": str(folder / "access.log"), "observability.format": "json",
                "admin.listen": "127.0.0.1:0", "admin.socket": ""} | more
    config = folder / "seaworthy.toml"
    config.write_text("".join(f"{key} = {toml(value)}\n" for key, value in settings.items()))
    process = Process("seaworthy", [str(binary), "run", "--config", str(config)], folder, port)
    process.access_log = folder / "access.log"
    process.wait()
    return process


def toml(value):
    """A value as TOML, where tables are inline."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def use_test_python(module):
    """Go on in target/test-python when this Python lacks a module; ends the program when that has none either."""
    try:
        __import__(module)
    except ImportError:
        if PYTHON.exists() and pathlib.Path(sys.prefix).resolve() != PYTHON.parent.parent.resolve():
            os.execv(PYTHON, [str(PYTHON), *sys.argv])
        print(f"{pathlib.Path(sys.argv[0]).name}: {module} is missing: {INSTALL}", file=sys.stderr)
        sys.exit(2)
