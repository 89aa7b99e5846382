#!/usr/bin/env python3
"""Sends malformed and smuggling-shaped requests through Seaworthy to real servers, and compares what each understood.

For each case and upstream: the case's bytes, then a marker request on the same connection, then a victim's request on
another connection. The invariant: the requests that the app received are those that Seaworthy logged as answered, in the
same order and with the same bodies for every upstream; nobody's bytes are found in another one's request or answer.

    refused   answered 4xx, 501 or 505 by us (or the connection was closed); the app saw nothing of it
    same      the app and we agree
    OPEN      the app and we agree, but the case must be refused
    WRONG     a valid request was not answered
    DESYNC    we disagree

    --control puts a deliberately gullible proxy in our place: the test must find it out.

Needs target/test-python with gunicorn and uvicorn[standard], and Node. Exit codes: 0 all well; 1 at least one case is
OPEN, WRONG or DESYNC; 2 cannot run.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import pathlib
import re
import sys
import tempfile
import time

import corpus
import servers

DIGITS = "abcdefghijklmnopqrstuvwxyz0123456789"
OURS = {400, 405, 408, 413, 414, 417, 421, 431, 501, 505}
SILENCE_S = 0.6
AT_ONCE = 6
TOKEN_IN = re.compile(r"/(?:case|marker|smuggled|second|third|victim|evil/case)/([a-z0-9]{3})(?![a-z0-9])")


def token_of(number):
    """A number as three characters."""
    return "".join(DIGITS[number // len(DIGITS) ** power % len(DIGITS)] for power in (2, 1, 0))


async def exchange(port, data, patience):
    """Send bytes; return all that comes back until the end or a silence, and whether the end came."""
    answer, ended = b"", False
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return b"", True
    try:
        writer.write(data)
        with contextlib.suppress(OSError):
            await writer.drain()
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            wait = SILENCE_S if answer else deadline - time.monotonic()
            part = await asyncio.wait_for(reader.read(65536), wait)
            if not part:
                ended = True
                break
            answer += part
    except (asyncio.TimeoutError, OSError) as error:
        ended = isinstance(error, OSError)
    finally:
        writer.close()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), 1)
    return answer, ended


def split_answers(data, methods):
    """Split a stream of answers by their framing; `methods` tells which have no body. Returns (status, body) pairs."""
    answers = []
    while data.startswith(b"HTTP/1."):
        head, found, data = data.partition(b"\r\n\r\n")
        if not found:
            break
        status = int(head.split(b" ", 2)[1])
        if status < 200 and status != 101:
            continue
        fields = {name.strip().lower(): value.strip() for name, _, value in
                  (line.partition(b":") for line in head.split(b"\r\n")[1:])}
        method = methods[len(answers)] if len(answers) < len(methods) else "GET"
        body = b""
        if method == "HEAD" or status in (101, 204, 304):
            pass
        elif fields.get(b"transfer-encoding", b"").lower() == b"chunked":
            while True:
                size, _, data = data.partition(b"\r\n")
                number = int(size.split(b";")[0] or b"0", 16)
                body, data = body + data[:number], data[number + 2:]
                if not number:
                    break
        elif b"content-length" in fields:
            length = int(fields[b"content-length"])
            body, data = data[:length], data[length:]
        else:
            body, data = data, b""
        answers.append((status, body))
    return answers, data


def read_json_lines(path):
    """The lines of a file that are JSON."""
    found = []
    for line in path.read_bytes().splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def by_token(entries, key):
    """Group entries by the token in their path."""
    groups = collections.defaultdict(list)
    for entry in entries:
        found = TOKEN_IN.search(entry.get(key, ""))
        groups[found[1] if found else None].append(entry)
    return groups


async def run_upstream(port, todo):
    """Send every case through one Seaworthy; return {token: (answer, ended, victim's answer)}."""
    results, gate = {}, asyncio.Semaphore(AT_ONCE)

    async def one(token, case):
        async with gate:
            data = corpus.fill(case.data + corpus.MARKER, token)
            answer, ended = await exchange(port, data, 4)
            victim = f"GET /victim/{token} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            after, _ = await exchange(port, victim, 4)
            results[token] = (answer, ended, after)

    await asyncio.gather(*(one(token, case) for token, _, case in todo))
    return results


def path_of(target):
    """The path of a target as the access log shows it."""
    return target.partition("?")[0]


def forged_headers(entry):
    """What an app would believe about the client, and the client said itself."""
    folded = [(re.sub("[_.]", "-", name).lower(), value) for name, value in entry["headers"]]
    forged = [f"{name}: {value}" for name, value in folded if name.startswith("x-seaworthy-") or
              (name.startswith("x-forwarded-") and ("6.6.6.6" in value or "evil" in value and "evil" not in entry["target"] and
                                                    not any(key == "host" and "evil" in text for key, text in folded)))]
    return [f"a forged header reached the app: {line}" for line in forged]


def compare_one(token, case, result, lines, records, reference):
    """Judge one case behind one upstream; return (verdict, status, why)."""
    answer, ended, after = result
    victims = [entry for entry in records if entry["target"].startswith("/victim/")]
    records = [entry for entry in records if not entry["target"].startswith("/victim/")]
    lines = [line for line in lines if not line["path"].startswith("/victim/")]
    whys = []
    answers, rest = split_answers(answer, [line["method"] for line in lines])
    statuses = [status for status, _ in answers]
    logged = [(line["method"], line["path"]) for line in lines]
    received = [(entry["method"], path_of(entry["target"])) for entry in records]
    answered = [(line["method"], line["path"]) for line in lines if line["status"] == 200 and "problem" not in line]
    position = 0
    for request in received:  # what was received must be in the log, in order
        while position < len(logged) and logged[position] != request:
            position += 1
        if position == len(logged):
            whys.append(f"the app received {request}, which we did not log at this place; we logged {logged}")
            break
        position += 1
    missing = collections.Counter(answered) - collections.Counter(received)
    if missing:
        whys.append(f"we logged {list(missing)} as answered by the app, which did not receive it")
    for entry in records:
        whys += forged_headers(entry)
        body = entry["body"]
        if "/marker/" in body and "length too long" not in case.name:
            whys.append(f"the marker was swallowed by {entry['method']} {entry['target']}")
        strangers = set(TOKEN_IN.findall(body + entry["target"])) - {token}
        if strangers:
            whys.append(f"bytes of {strangers} are in a request of {token}")
    echoes = []
    for status, body in answers:
        with contextlib.suppress(ValueError, UnicodeDecodeError):
            seen = json.loads(body)
            if seen.get("target", "*") != "*":  # `OPTIONS *` has no path, and so no token
                echoes.append((seen["method"], path_of(seen["target"])))
    expected = [request for request in answered if request[0] != "HEAD"]
    if echoes != expected[:len(echoes)]:
        whys.append(f"answers {echoes} do not belong to the requests {expected}")
    if len(answers) > len(lines) + 1:
        whys.append(f"{len(answers)} answers for {len(lines)} logged requests")
    if reference is not None:
        wanted = [(entry["method"], entry["target"], entry["body"]) for entry in reference
                  if not entry["target"].startswith("/victim/")]
        got = [(entry["method"], entry["target"], entry["body"]) for entry in records]
        # A server may refuse what the strict one takes (400 of its own); it may not see other requests.
        if [request for request in got if request not in wanted]:
            whys.append(f"received {got}, but the strict upstream {wanted}")
    if b" 200 " not in after[:20] or f'"/victim/{token}"'.encode() not in after or len(victims) != 1:
        whys.append(f"the victim got {after[:60]!r}, and the app received {len(victims)} of its requests")
    status = statuses[0] if statuses else ("closed" if ended and not answer else "h2" if answer[:3] == b"\0\0\x12" else "nothing")
    if whys:
        return "DESYNC", status, whys
    first = f"/case/{token}" in " ".join(entry["target"] for entry in records[:1])
    ours = not records or not first
    if case.expect == "refuse" and not (ours and (status in OURS or status == "closed")):
        return "OPEN", status, ["must be refused" + (f" ({case.rule})" if case.rule else "")]
    if case.expect == "pass" and (not first or not any("/marker/" in entry["target"] for entry in records)):
        return "WRONG", status, [f"valid, but the app received {received}; answers {statuses}"]
    return ("refused" if ours and (status in OURS or status == "closed") else "same"), status, []


def judge(options, name, todo, results, access_log, file, references):
    """Compare everything that one upstream received; return a list of rows."""
    records, lines = by_token(read_json_lines(file), "target"), by_token(read_json_lines(access_log), "path")
    rows = []
    for token, family, case in todo:
        reference = references.get(case.name) if name != "strict" else None
        errors = [entry for entry in records[token] if "error" in entry]
        mine = [entry for entry in records[token] if "error" not in entry]
        if name == "strict":
            references[case.name] = [entry | {key: entry[key] for key in ("target", "body")} for entry in mine]
        else:
            reference = [entry | {key: re.sub(rf"/{other}(?![a-z0-9])", f"/{token}", entry[key]) for key in ("target", "body")}
                         for other in [options.tokens["strict", case.name]] for entry in reference]
        verdict, status, why = compare_one(token, case, results[token], lines[token], mine, reference)
        if errors:
            verdict, why = "DESYNC", [entry["error"] for entry in errors] + why
        rows.append({"upstream": name, "family": family, "case": case.name, "expect": case.expect, "token": token,
                     "verdict": verdict, "status": status, "why": why, "received": len(mine)})
    for entry in (entry for entry in records[None] if entry["target"] != "*"):
        rows.append({"upstream": name, "family": "-", "case": "a request that nobody sent", "expect": "refuse", "token": None,
                     "verdict": "DESYNC" if "error" in entry else "same", "status": "-", "why": [json.dumps(entry)[:300]], "received": 1})
    return rows


def measure(options):
    """Run all upstreams, the strict one first; return the rows."""
    rows, references, number = [], {}, 0
    options.tokens = {}
    wanted = [(family, case) for family, case in corpus.cases() if not options.match or re.search(options.match, case.name)]
    if options.control:
        wanted = [(family, case) for family, case in wanted if family == "lengths"]
    with tempfile.TemporaryDirectory(prefix="seaworthy-smuggling-") as base:
        for name in options.upstreams:
            todo = []
            for family, case in wanted:
                todo.append((token_of(number), family, case))
                options.tokens[name, case.name] = token_of(number)
                number += 1
            began, running = time.monotonic(), []
            folder = pathlib.Path(base) / name
            try:
                processes, port, file = servers.upstream(name, folder, options.binary)
                running += processes
                processes[0].wait()
                front = (servers.gullible(folder / "front", port) if options.control else
                         servers.seaworthy(options.binary, folder / "front", port, 0, dict(options.set)))
                running.append(front)
                results = asyncio.run(run_upstream(front.port, todo))
                time.sleep(0.5)  # the access log is written in batches
                if front.process.poll() is not None:
                    raise OSError(f"Seaworthy ended: {front.log.read_text()[-1000:]}")
            finally:
                for process in reversed(running):
                    process.stop()
            found = judge(options, name, todo, results, front.access_log, file, references)
            rows += found
            counts = collections.Counter(row["verdict"] for row in found)
            print(f"{name}: {len(todo)} cases in {time.monotonic() - began:.1f} s: " +
                  ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())), file=sys.stderr, flush=True)
    return rows


def print_table(rows, upstreams, everything):
    """One line a case, one column an upstream; only the remarkable ones unless asked."""
    table = collections.defaultdict(dict)
    for row in rows:
        table[row["family"], row["case"]][row["upstream"]] = row
    print(f"{'case':<58} " + " ".join(f"{name:<17}" for name in upstreams))
    for (family, case), row in table.items():
        bad = [entry for entry in row.values() if entry["verdict"] in ("OPEN", "WRONG", "DESYNC")]
        if not (bad or everything):
            continue
        print(f"{case[:58]:<58} " + " ".join(
            f"{row[name]['verdict'] + ' ' + str(row[name]['status']) if name in row else '-':<17}" for name in upstreams))
        for why in dict.fromkeys(why for entry in bad for why in entry["why"]):
            print(f"    {why[:300]}")


def parse_options():
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Differential test of request parsing.")
    parser.add_argument("--binary", type=pathlib.Path, default=servers.BINARY)
    parser.add_argument("--upstreams", default=",".join(servers.UPSTREAMS), metavar="A,B", help="of " + ", ".join(servers.UPSTREAMS))
    parser.add_argument("--match", metavar="REGEX", help="only cases whose name matches")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=JSON", help="one more key of Seaworthy's config")
    parser.add_argument("--all", action="store_true", help="print every case, not only the bad ones")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    parser.add_argument("--control", action="store_true", help="put a gullible proxy in Seaworthy's place: exit 0 when it is found out")
    parser.add_argument("--allow-open", action="store_true", help="cases that are OPEN do not fail the run")
    options = parser.parse_args()
    chosen = [name.strip() for name in options.upstreams.split(",")]
    if not set(chosen) <= set(servers.UPSTREAMS):
        parser.error("--upstreams takes " + ", ".join(servers.UPSTREAMS))
    # The strict one is the reference of the others, so it always runs.
    options.upstreams = [name for name in servers.UPSTREAMS if name in chosen or name == "strict"]
    options.set = [(key.strip(), json.loads(value)) for key, _, value in (text.partition("=") for text in options.set)]
    options.binary = options.binary.resolve()
    return options


def main():
    """Run; return the exit code."""
    options = parse_options()
    try:
        rows = measure(options)
    except (servers.Missing, OSError) as error:
        print(f"differential: {error}", file=sys.stderr)
        return 2
    if not rows:
        print("differential: no case matches", file=sys.stderr)
        return 2
    if options.control:
        found = sum(row["verdict"] == "DESYNC" for row in rows)
        print(f"control: {found} of {len(rows)} cases are found out on a proxy that is gullible by intention")
        return 0 if found >= 10 else 1
    if options.json:
        print(json.dumps({"rows": rows}, indent=1))
    else:
        print_table(rows, options.upstreams, options.all)
    bad = {"WRONG", "DESYNC"} | (set() if options.allow_open else {"OPEN"})
    return 1 if any(row["verdict"] in bad for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
