"""An app with two doors: a sign-in that knows one password, and work that four workers do, 50 ms each. `/hang` never ends."""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

WORKERS = threading.Semaphore(4)
SEEN = {"logins": 0, "last": ""}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path.startswith("/work"):
            with WORKERS:
                time.sleep(0.05)
        if self.path == "/hang":
            time.sleep(3600)
        self.answer(200, json.dumps(SEEN) if self.path == "/seen" else "ok")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
        if self.path == "/slow":
            time.sleep(2)
        SEEN["logins"] += 1
        SEEN["last"] = body
        if body.startswith("{"):
            password = json.loads(body).get("password")
        else:
            password = parse_qs(body).get("password", [""])[0]
        self.answer(200 if password == "right" else 401, "in" if password == "right" else "out")

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
