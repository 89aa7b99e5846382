"""Starts the upstreams of the differential test, and the control."""

import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from processes import BINARY, Missing, Process, free_port, python_program, seaworthy  # noqa: E402

__all__ = ["BINARY", "Missing", "UPSTREAMS", "gullible", "seaworthy", "upstream"]
UPSTREAMS = ("strict", "hyper", "gunicorn-sync", "gunicorn-gthread", "uvicorn-h11", "uvicorn-httptools", "node")


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


def gullible(folder, to):
    """Start the control in Seaworthy's place."""
    folder.mkdir()
    port, log = free_port(), folder / "access.log"
    process = Process("gullible", [sys.executable, str(HERE / "gullible.py"), str(port), str(to), str(log)], folder, port)
    process.access_log = log
    process.wait()
    return process
