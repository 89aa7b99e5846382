#!/usr/bin/env python3
"""Scans Seaworthy's HTTPS with sslyze, and holds the result against Mozilla's intermediate profile.

Starts the release binary in front of a small app, with a self-signed certificate for localhost. The certificate itself is
not judged here: it is signed by nobody, on purpose.

Needs PyPI `sslyze` (6.2 or later) in the interpreter that runs this. Exit codes: 0 the profile is met; 1 it is not; 2 cannot run.
"""

import argparse
import http.server
import json
import pathlib
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# What the profile says of certificates is for public ones.
ABOUT_CERTIFICATES = ("certificate", "ocsp", "hsts", "key size", "maximum_lifespan")

try:
    from sslyze import Scanner, ServerNetworkLocation, ServerScanRequest
    from sslyze.mozilla_tls_profile.tls_config_checker import (
        MozillaTlsConfiguration, ServerNotCompliantWithTlsConfiguration, TlsConfigurationEnum,
        check_server_against_tls_configuration)
except ImportError as error:
    print(f"profile: {error}: pip install sslyze", file=sys.stderr)
    sys.exit(2)


class App(http.server.BaseHTTPRequestHandler):
    """Answers everything."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=str(ROOT / "target/release/seaworthy"), metavar="PATH")
    binary = parser.parse_args().binary
    app = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "seaworthy.toml").write_text(
            f'[app]\nto = "http://127.0.0.1:{app.server_port}"\n'
            '[edge]\nlisten = "127.0.0.1:0"\nhttps = "127.0.0.1:0"\nhosts = ["localhost"]\n'
            '[admin]\nlisten = "127.0.0.1:0"\n[observability]\naccess_log = "off"\n')
        running = subprocess.Popen([binary, "run", "--json"], cwd=folder, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        try:
            line = running.stdout.readline()
            if not line:
                print("profile: seaworthy did not start", file=sys.stderr)
                return 2
            host, _, port = json.loads(line)["https"].rpartition(":")
            return scan(host, int(port))
        finally:
            running.terminate()
            running.wait(20)


def scan(address, port):
    """Scan, print what was found, return the exit code."""
    scanner = Scanner()
    scanner.queue_scans([ServerScanRequest(ServerNetworkLocation("localhost", port, address))])
    result = next(iter(scanner.get_results()))
    profile = MozillaTlsConfiguration.get(TlsConfigurationEnum.MOZILLA_INTERMEDIATE)
    try:
        check_server_against_tls_configuration(result, profile)
        issues = {}
    except ServerNotCompliantWithTlsConfiguration as error:
        issues = error.issues
    ours = {name: text for name, text in issues.items()
            if not any(word in f"{name} {text}".lower() for word in ABOUT_CERTIFICATES)}
    for name in issues.keys() - ours.keys():
        print(f"set aside {name}: {issues[name]}")
    commands = result.scan_result
    versions = {"TLS 1.3": commands.tls_1_3_cipher_suites, "TLS 1.2": commands.tls_1_2_cipher_suites,
                "TLS 1.1": commands.tls_1_1_cipher_suites, "TLS 1.0": commands.tls_1_0_cipher_suites}
    for version, attempt in versions.items():
        if attempt.result is None:
            print(f"profile: {version} was not scanned: {attempt.status}", file=sys.stderr)
            return 2
        names = [suite.cipher_suite.name for suite in attempt.result.accepted_cipher_suites]
        print(f"{version}: {', '.join(names) or 'refused'}")
    flaws = {
        "heartbleed": commands.heartbleed.result and commands.heartbleed.result.is_vulnerable_to_heartbleed,
        "ccs injection": (commands.openssl_ccs_injection.result
                          and commands.openssl_ccs_injection.result.is_vulnerable_to_ccs_injection),
        "compression": commands.tls_compression.result and commands.tls_compression.result.supports_compression,
    }
    for name in [name for name, present in flaws.items() if present]:
        ours[name] = "vulnerable"
    for name, text in ours.items():
        print(f"NOT MET  {name}: {text}")
    print("Mozilla intermediate:", "not met" if ours else "met")
    return 1 if ours else 0


if __name__ == "__main__":
    sys.exit(main())
