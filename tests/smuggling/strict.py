#!/usr/bin/env python3
"""An upstream that takes RFC 9112 at its word: it parses what Seaworthy sends byte by byte and forgives nothing.

Usage: strict.py PORT FILE. Each request becomes a JSON line like recorder.py's; whatever the grammar does not allow
becomes a line with "error", and the connection is closed. It is the reference for what Seaworthy really sent.
"""

import asyncio
import json
import re
import sys

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
LINE = re.compile(rb"^(" + TOKEN + rb") ([\x21-\x7e\x80-\xff]+) HTTP/1\.1$")
FIELD = re.compile(rb"^(" + TOKEN + rb"):[ \t]*([\x20-\x7e\x80-\xff\t]*?)[ \t]*$")
CHUNK = re.compile(rb"^([0-9A-Fa-f]{1,16})$")


class Broken(Exception):
    """Not as the grammar says."""


async def read_line(reader):
    """A line that ends in CRLF and has no other CR or LF; empty bytes only at the end of the connection."""
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise Broken(f"the connection ended inside a line: {error.partial[:80]!r}") from None
        return None
    except asyncio.LimitOverrunError:
        raise Broken("a line of more than 256 KB") from None
    if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
        raise Broken(f"a line without CRLF: {line[:80]!r}")
    return line[:-2]


async def read_fields(reader):
    """Header or trailer fields up to the empty line."""
    fields = []
    while line := await read_line(reader):
        found = FIELD.match(line)
        if not found:
            raise Broken(f"no field: {line[:80]!r}")
        fields.append((found[1].decode("latin-1"), found[2].decode("latin-1")))
    if line is None:
        raise Broken("the connection ended inside a head")
    return fields


async def read_body(reader, fields):
    """The body by the one framing that the head announces."""
    def values(name):
        return [value for key, value in fields if key.lower() == name]

    lengths, codings = values("content-length"), values("transfer-encoding")
    if lengths and codings:
        raise Broken("both Content-Length and Transfer-Encoding")
    if codings:
        if codings != ["chunked"]:
            raise Broken(f"Transfer-Encoding: {codings}")
        body = b""
        while True:
            line = await read_line(reader)
            found = CHUNK.match(line or b"")
            if not found:
                return None if line is None else Broken(f"chunk {line[:40]!r}")
            size = int(found[1], 16)
            if not size:
                fields += [("trailer " + name, value) for name, value in await read_fields(reader)]
                return body
            body += await reader.readexactly(size)
            if await reader.readexactly(2) != b"\r\n":
                raise Broken("no CRLF after a chunk")
    if lengths:
        if len(lengths) != 1 or not re.fullmatch("[0-9]{1,19}", lengths[0]):
            raise Broken(f"Content-Length: {lengths}")
        return await reader.readexactly(int(lengths[0]))
    return b""


async def serve(reader, writer, file):
    """One connection."""
    name = "{}:{}".format(*writer.get_extra_info("peername")[:2])
    raw = None

    def write(entry):
        file.write(json.dumps(entry | {"connection": name}).encode() + b"\n")

    try:
        while (raw := await read_line(reader)) is not None:
            line = LINE.match(raw)
            if not line:
                raise Broken(f"no request line: {raw[:80]!r}")
            fields = await read_fields(reader)
            hosts = sum(key.lower() == "host" for key, _ in fields)
            if hosts != 1:
                raise Broken(f"{hosts} Host fields")
            try:
                body = await read_body(reader, fields)
            except asyncio.IncompleteReadError:
                body = None
            if isinstance(body, Broken):
                raise body
            if body is None:  # the client's body broke off, and so did ours: nothing was received whole
                break
            entry = {"method": line[1].decode(), "target": line[2].decode("latin-1"), "headers": fields, "body": body.decode("latin-1")}
            write(entry)
            text = json.dumps({"method": entry["method"], "target": entry["target"], "length": len(body)}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(text) +
                         (b"" if entry["method"] == "HEAD" else text))
            await writer.drain()
    except Broken as error:
        write({"error": str(error), "target": (raw or b"").decode("latin-1")})
    except OSError:
        pass
    writer.close()


async def main(port, path):
    """Serve until the process ends."""
    with open(path, "ab", buffering=0) as file:
        server = await asyncio.start_server(lambda reader, writer: serve(reader, writer, file), "127.0.0.1", port, limit=1 << 18)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
