#!/usr/bin/env python3
"""An origin for bodies and connections: answers small files, hashes uploads, makes downloads, echoes WebSockets.

Usage: origin.py PORT. Nothing but the standard library, and one protocol object for each connection.

    GET  /1k                     1,024 bytes
    POST /hash                   the SHA-256 of the body and its length, as JSON
    POST /sleepy?seconds=S       like /hash, but reads nothing for S seconds
    GET  /download?bytes=N       N bytes of a known pattern; &chunked=1 without a Content-Length
    GET  / with Upgrade          a WebSocket that sends every frame back
"""

import asyncio
import base64
import hashlib
import json
import sys
import urllib.parse

BLOCK = bytes((index * 7 + index // 251) % 256 for index in range(1 << 18))
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def pattern(total):
    """Yield blocks of the known pattern, `total` bytes in all."""
    while total > 0:
        yield BLOCK[:total]
        total -= len(BLOCK)


class Connection(asyncio.Protocol):
    """One connection; a request at a time."""

    __slots__ = ("transport", "buffer", "left", "chunked", "digest", "length", "websocket", "task", "resume", "closing")

    def connection_made(self, transport):
        self.transport, self.buffer, self.websocket, self.task = transport, b"", False, None
        self.left, self.chunked, self.digest, self.length = 0, False, None, 0
        self.resume, self.closing = None, False

    def connection_lost(self, error):
        if self.task:
            self.task.cancel()

    def pause_writing(self):
        self.resume = asyncio.get_running_loop().create_future()

    def resume_writing(self):
        if self.resume and not self.resume.done():
            self.resume.set_result(None)
        self.resume = None

    def data_received(self, data):
        if self.digest is not None and not self.chunked and not self.buffer:
            self.body(data)
            return
        self.buffer += data
        self.go_on()

    def go_on(self):
        """Consume what is buffered."""
        while True:
            if self.websocket:
                self.frames()
                return
            if self.digest is not None and self.chunked:
                if not self.chunks():
                    return
            elif self.digest is not None:
                data, self.buffer = self.buffer, b""
                self.body(data)
                return
            elif b"\r\n\r\n" in self.buffer:
                head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
                self.head(head)
                if self.digest is None and not self.websocket and not self.buffer:
                    return
            else:
                return

    def head(self, head):
        """Begin a request."""
        line, *fields = head.split(b"\r\n")
        method, target, _ = line.split(b" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (field.partition(b":") for field in fields)}
        path, _, query = target.decode().partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        self.closing = headers.get(b"connection", b"").lower() == b"close"
        if headers.get(b"upgrade", b"").lower() == b"websocket":
            accept = base64.b64encode(hashlib.sha1(headers[b"sec-websocket-key"] + GUID).digest())
            self.transport.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                 b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            self.websocket = True
        elif method == b"POST":
            self.digest, self.length = hashlib.sha256(), 0
            self.chunked = b"chunked" in headers.get(b"transfer-encoding", b"")
            self.left = 0 if self.chunked else int(headers.get(b"content-length", b"0"))
            if path == "/sleepy":
                self.transport.pause_reading()
                asyncio.get_running_loop().call_later(float(query["seconds"]), self.transport.resume_reading)
            if not self.chunked and not self.left:
                self.finish()
        elif path == "/download":
            self.task = asyncio.ensure_future(self.download(int(query["bytes"]), "chunked" in query))
        else:
            self.answer(BLOCK[:1024])

    def body(self, data):
        """Take bytes of a body whose length is known."""
        part, self.buffer = data[:self.left], data[self.left:]
        self.digest.update(part)
        self.length += len(part)
        self.left -= len(part)
        if not self.left:
            self.finish()

    def chunks(self):
        """Take chunks; true when the body is over."""
        while True:
            if self.left:
                part = self.buffer[:self.left]
                self.buffer = self.buffer[len(part):]
                self.digest.update(part[:max(0, len(part) - max(0, 2 - (self.left - len(part))))])
                self.left -= len(part)
                if self.left:
                    return False
            size, found, rest = self.buffer.partition(b"\r\n")
            if not found:
                return False
            number = int(size.split(b";")[0], 16)
            if number:
                self.buffer, self.left = rest, number + 2
                self.length += number
                continue
            if not rest.startswith(b"\r\n"):
                return False
            self.buffer = rest[2:]
            self.finish()
            return True

    def finish(self):
        """Answer an upload."""
        text = json.dumps({"sha256": self.digest.hexdigest(), "bytes": self.length}).encode()
        self.digest, self.chunked = None, False
        self.answer(text)

    def answer(self, body):
        """Send a whole answer."""
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        if self.closing:
            self.transport.close()

    async def download(self, total, chunked):
        """Send the pattern as fast as the other side reads."""
        length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % total
        self.transport.write(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n\r\n")
        for block in pattern(total):
            self.transport.write(b"%x\r\n" % len(block) + block + b"\r\n" if chunked else block)
            await (self.resume or asyncio.sleep(0))
        if chunked:
            self.transport.write(b"0\r\n\r\n")
        if self.closing:
            self.transport.close()

    def frames(self):
        """Send short frames back, unmasked."""
        while len(self.buffer) >= 6:
            length = self.buffer[1] & 127
            if len(self.buffer) < 6 + length:
                return
            mask, payload = self.buffer[2:6], self.buffer[6:6 + length]
            first, self.buffer = self.buffer[:1], self.buffer[6 + length:]
            self.transport.write(first + bytes([length]) + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload)))


async def serve(port):
    """Serve until the process ends."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(serve(int(sys.argv[1])))
    except KeyboardInterrupt:
        pass
