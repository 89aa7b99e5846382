"""Resumable uploads by clients that are not ours: tus-js-client (cut and resumed) and tuspy, through a Seaworthy whose memory
is watched; then what else pages do with tus-js-client (clients.mjs).

    python3 tests/uploads/resume.py --seaworthy target/release/seaworthy --tus target/test-uploads/node_modules/tus-js-client \
        --tuspy target/test-uploads/bin/python --megabytes 1000 --cuts 10
"""
import argparse, hashlib, json, os, pathlib, random, subprocess, sys, tempfile, threading, time

APP = r'''
import hashlib, http.server, json, re, sys
class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self): self.answer("ok")
    def do_POST(self):
        left, kept, file, inside = int(self.headers["content-length"]), b"", hashlib.sha256(), False
        end = b"\r\n--" + self.headers["content-type"].split("boundary=")[1].encode() + b"--\r\n"
        length, fields = 0, []
        while left:
            piece = self.rfile.read(min(left, 1 << 20))
            left -= len(piece)
            kept += piece
            if not inside:
                at = kept.find(b"\r\n\r\n", kept.index(b"filename="))
                if at < 0: continue
                fields = re.findall(rb'name="([^"]*)"\r\n\r\n(.*?)\r\n--', kept[:at], re.S)
                kept, inside = kept[at + 4:], True
            cut = max(0, len(kept) - len(end))
            file.update(kept[:cut]); length += cut
            kept = kept[cut:]
        fields = {name.decode(): value.decode() for name, value in fields}
        self.answer({"sha256": file.hexdigest(), "length": length, "ends_well": kept == end, "fields": fields})
    def log_message(self, *rest): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), App).serve_forever()
'''

def memory(pid):
    """Anonymous memory in MiB: pages of files that the system keeps for us are not ours."""
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024

def main():
    arguments = argparse.ArgumentParser()
    for name, default in [("--seaworthy", None), ("--tus", None), ("--tuspy", None)]:
        arguments.add_argument(name, required=default is None)
    arguments.add_argument("--megabytes", type=int, default=1000)
    arguments.add_argument("--cuts", type=int, default=10)
    arguments = arguments.parse_args()
    scripts = pathlib.Path(__file__).resolve().parent
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "app.py").write_text(APP)
        (folder / "seaworthy.toml").write_text(
            f"[app]\ncommand = \"'{sys.executable}' app.py $PORT\"\nhealth = \"/\"\n[edge.timeouts]\nfirst_byte = \"300s\"\n"
            "[[route]]\nmatch = \"POST /files\"\nupload = { max = \"2GB\", types = [\"txt\"], resumable = true }\n")
        digest, line = hashlib.sha256(), bytearray()
        generator = random.Random(7)
        with open(folder / "large.txt", "wb") as large:
            for _ in range(arguments.megabytes):
                piece = generator.randbytes(500_000).hex().encode()
                digest.update(piece)
                large.write(piece)
        seaworthy = subprocess.Popen(
            [os.path.abspath(arguments.seaworthy), "run", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
            cwd=folder, stdout=subprocess.PIPE, stderr=open(folder / "stderr.log", "w"))
        failed = []
        try:
            endpoint = "http://" + json.loads(seaworthy.stdout.readline())["listen"] + "/files/tus"
            before, most, done = memory(seaworthy.pid), [0], threading.Event()
            def watch():
                while not done.wait(0.2): most[0] = max(most[0], memory(seaworthy.pid) or 0)
            threading.Thread(target=watch, daemon=True).start()
            clients = [("tus-js-client", ["node", scripts / "resume.mjs", endpoint, folder / "large.txt", str(arguments.cuts)]),
                       ("tuspy", [arguments.tuspy, scripts / "resume_tuspy.py", endpoint, folder / "large.txt", str(arguments.cuts)])]
            for name, command in clients:
                began = time.time()
                environment = {**os.environ, "TUS": os.path.abspath(arguments.tus)}
                run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1800)
                told = json.loads(run.stdout.strip().splitlines()[-1]) if run.stdout.strip() else {}
                right = (told.get("sha256"), told.get("ends_well"), told.get("cuts")) == (digest.hexdigest(), True, arguments.cuts)
                print(f"{name}: {told.get('length')} bytes, {told.get('cuts')} cuts, {time.time() - began:.0f} s, identical: {right}")
                if not right:
                    failed.append(f"{name}: {told} {run.stderr[-2000:]}")
            done.set()
            run = subprocess.run(["node", scripts / "clients.mjs", endpoint], text=True, timeout=600, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, env={**os.environ, "TUS": os.path.abspath(arguments.tus)})
            print(run.stdout, end="")
            if run.returncode: failed.append("clients.mjs failed")
            growth = most[0] - before
            print(f"memory: {before:.1f} MiB before, {most[0]:.1f} MiB at most, growth {growth:.1f} MiB")
            if growth >= 64: failed.append("memory grew by 64 MiB or more")
        finally:
            seaworthy.terminate()
            seaworthy.wait(30)
            if failed: print((folder / "stderr.log").read_text()[-2000:])
        if failed: sys.exit("\n".join(failed))

main()
