#!/usr/bin/env python3
"""A proxy that does what none should: it believes Content-Length, knows no chunks, forwards bytes as they came, and lets
all clients share one connection. The control of the differential test, which must find it out.

Usage: gullible.py PORT UPSTREAM_PORT ACCESS_LOG
"""

import asyncio
import json
import re
import sys


class Upstream:
    """The one connection to the app."""

    def __init__(self, port):
        self.port, self.streams, self.lock = port, None, asyncio.Lock()

    async def exchange(self, data):
        """Send a request; return the next answer that comes, whoever it is for."""
        async with self.lock:
            for _ in range(2):
                if not self.streams:
                    self.streams = await asyncio.open_connection("127.0.0.1", self.port)
                reader, writer = self.streams
                try:
                    writer.write(data)
                    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 0.3)
                    length = re.search(rb"(?i)content-length: *(\d+)", head)
                    return head + await reader.readexactly(int(length[1]) if length else 0)
                except (asyncio.TimeoutError, asyncio.IncompleteReadError, OSError):
                    writer.close()
                    self.streams = None
            return b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"


async def serve(reader, writer, upstream, log):
    """One client."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d{1,6})", head)
            body = await asyncio.wait_for(reader.readexactly(int(length[1]) if length else 0), 1)
            answer = await upstream.exchange(head + body)
            words = head.split(b" ", 2)
            log.write(json.dumps({"method": words[0].decode("latin-1"), "path": words[1].partition(b"?")[0].decode("latin-1"),
                                  "status": int(answer.split(b" ")[1])}).encode() + b"\n")
            writer.write(answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.TimeoutError, OSError, IndexError):
        pass
    writer.close()


async def main(port, to, path):
    """Serve until the process ends."""
    upstream = Upstream(to)
    with open(path, "ab", buffering=0) as log:
        server = await asyncio.start_server(lambda reader, writer: serve(reader, writer, upstream, log), "127.0.0.1", port)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
