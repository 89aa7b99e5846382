"""What validation costs: CPU of Seaworthy for a POST of 1 KB of JSON, with and without it, in turns. nginx is the app.

    python3 tests/validation/cost.py --binary target/release/seaworthy
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

ITEM = {"name": "a" * 20, "price": 9.5, "count": 3, "size": "small", "tags": ["b" * 12] * 5,
        "maker": {"name": "c" * 20, "country": "DE"}, "parts": [{"name": "d" * 30, "count": n, "note": "e" * 40} for n in range(6)], "note": "f" * 150}
TEXT = {"type": "string", "minLength": 1, "maxLength": 200}
SCHEMA = {
    "type": "object", "required": ["name", "price", "maker"], "additionalProperties": False,
    "properties": {
        "name": TEXT, "price": {"type": "number", "exclusiveMinimum": 0}, "count": {"type": "integer", "minimum": 0},
        "size": {"enum": ["small", "large"]}, "tags": {"type": "array", "items": TEXT, "maxItems": 8},
        "maker": {"type": "object", "required": ["name"], "properties": {"name": TEXT, "country": {"type": "string", "pattern": "^[A-Z]{2}$"}}},
        "parts": {"type": "array", "items": {"type": "object", "required": ["name"], "properties": {"name": TEXT, "count": {"type": "integer"}, "note": TEXT}}},
        "note": {"anyOf": [TEXT, {"type": "null"}]},
    },
}


def cpu(process):
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default="target/release/seaworthy")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2)
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.binary)
    with tempfile.TemporaryDirectory() as folder:
        here = pathlib.Path(folder)
        operation = {"post": {"requestBody": {"required": True, "content": {"application/json": {"schema": SCHEMA}}}}}
        (here / "openapi.json").write_text(json.dumps({"openapi": "3.1.0", "paths": {"/with": operation, "/without": operation}}))
        body = json.dumps(ITEM)
        (here / "post.lua").write_text(f'wrk.method = "POST"\nwrk.body = [[{body}]]\nwrk.headers["Content-Type"] = "application/json"\n')
        (here / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {here}/nginx.pid; error_log /dev/null; events {{}}\n"
            f"http {{ access_log off; client_body_temp_path {here}/b; server {{ listen unix:{here}/app.sock; keepalive_requests 10000000; location / {{ return 200; }} }} }}\n")
        (here / "seaworthy.toml").write_text('[validation]\nopenapi = "openapi.json"\n[[route]]\nmatch = "/without"\nvalidate = "off"\n')
        nginx = subprocess.Popen(["/usr/sbin/nginx", "-p", folder, "-c", here / "nginx.conf"], stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        run = subprocess.Popen([binary, "run", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--access-log", "off",
                                "--to", f"unix:{here}/app.sock"], cwd=folder, stdout=subprocess.PIPE, text=True)
        try:
            url = "http://" + json.loads(run.stdout.readline())["listen"]
            each = {"with": [], "without": []}
            for _ in range(arguments.rounds):
                for path in each:
                    before = cpu(run.pid)
                    shown = subprocess.run(["wrk", "-t1", "-c8", f"-d{arguments.seconds}", "-s", here / "post.lua", f"{url}/{path}"], capture_output=True, text=True, check=True).stdout
                    assert "Non-2xx" not in shown, shown
                    count = next(int(line.split()[0]) for line in shown.splitlines() if "requests in" in line)
                    each[path].append((cpu(run.pid) - before) / count * 1e6)
            medians = {path: statistics.median(values) for path, values in each.items()}
            print(f"{len(body)} bytes; CPU µs a request: without {medians['without']:.1f}, with {medians['with']:.1f}, ratio {medians['with'] / medians['without']:.2f}")
            print({path: [round(value, 1) for value in values] for path, values in each.items()})
        finally:
            run.terminate()
            run.wait(20)
            nginx.terminate()
            nginx.wait(20)


main()
