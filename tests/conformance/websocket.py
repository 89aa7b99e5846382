#!/usr/bin/env python3
"""WebSocket frames of every shape through Seaworthy (RFC 6455 and 7692), to a real server and between raw sockets.

Needs the PyPI package websockets (target/test-python). Exit codes: 0 all well; 1 a `must` failed; 2 cannot run.
"""

import asyncio
import base64
import hashlib
import os
import pathlib
import struct
import sys
import time

from harness import Wrong, case, check, field, processes, run

processes.use_test_python("websockets")

import websockets  # noqa: E402

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SIZES = (0, 1, 125, 126, 127, 65535, 65536, 1_000_000)
KEY = base64.b64encode(b"0123456789abcdef")
ACCEPT = base64.b64encode(hashlib.sha1(KEY + GUID).digest())


def serve(port):
    """The real server: sends every message back; `close CODE` closes, `vanish` breaks off, `ping` pings first."""
    async def handle(connection):
        async for message in connection:
            if isinstance(message, str) and message.startswith("close "):
                await connection.close(int(message[6:]), "as asked")
            elif message == "vanish":
                connection.transport.abort()
            elif message == "ping":
                await (await connection.ping(b"from the app"))
                await connection.send("ponged")
            else:
                await connection.send(message)

    def choose(_, offered):
        return next((name for name in offered if name in ("chat", "superchat")), None)

    async def main():
        async with websockets.serve(handle, "127.0.0.1", port, max_size=None, select_subprotocol=choose):
            await asyncio.Future()

    asyncio.run(main())


def frame(opcode, payload=b"", final=True, mask=b"\x01\x02\x03\x04", rsv=0):
    """The bytes of a frame."""
    length, bit = len(payload), 0x80 if mask else 0
    head = bytes([(0x80 if final else 0) | rsv << 4 | opcode])
    head += bytes([bit | length]) if length < 126 else bytes([bit | 126]) + struct.pack(">H", length) if length < 65536 else \
        bytes([bit | 127]) + struct.pack(">Q", length)
    if mask:
        payload = (int.from_bytes(payload, "big") ^ int.from_bytes((mask * (length // 4 + 1))[:length], "big")).to_bytes(length, "big")
    return head + (mask or b"") + payload


def read_frame(client):
    """First byte, and payload of an unmasked frame."""
    first, second = client.read_bytes(2)
    length = second & 127
    if length == 126:
        length = struct.unpack(">H", client.read_bytes(2))[0]
    elif length == 127:
        length = struct.unpack(">Q", client.read_bytes(8))[0]
    check(not second & 0x80, "a masked frame from the server")
    return first, client.read_bytes(length)


def handshake(client, *lines, path="/"):
    """Open a WebSocket on a raw connection; return the answer."""
    client.send(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n")
    answer = client.read_answer()
    check(answer.status == 101, f"status {answer.status}")
    check(answer.field(b"sec-websocket-accept") == ACCEPT, "another Sec-WebSocket-Accept")
    return answer


def library(bench, talk, **options):
    """Run `talk(connection)` with the library as the client."""
    async def main():
        uri = "ws://{}:{}/".format(*bench.address)
        async with websockets.connect(uri, max_size=None, proxy=None, **options) as connection:
            return await asyncio.wait_for(talk(connection), 10)
    try:
        return asyncio.run(main())
    except (websockets.exceptions.WebSocketException, asyncio.TimeoutError) as error:
        raise Wrong(repr(error)) from None


@case("6455, 5.2")
def messages_of_every_length(bench):
    """Text and binary messages of every length class come back unchanged."""
    async def talk(connection):
        for size in SIZES:
            for message in (os.urandom(size), "ü" * (size // 2)):
                await connection.send(message)
                check(await connection.recv() == message, f"{size} bytes came back changed")
    library(bench, talk, compression=None)


@case("7692")
def messages_deflated(bench):
    """permessage-deflate is negotiated with the app, and messages of every length come back."""
    async def talk(connection):
        check("permessage-deflate" in connection.response.headers.get("Sec-WebSocket-Extensions", ""), "it was not negotiated")
        for size in SIZES:
            await connection.send("abc" * (size // 3))
            check(await connection.recv() == "abc" * (size // 3), f"{size} bytes came back changed")
    library(bench, talk)


@case("6455, 5.4")
def fragments(bench):
    """Fragmented messages, with a ping between the fragments."""
    with bench.client() as client:
        handshake(client)
        client.send(frame(1, b"one ", final=False))
        client.send(frame(0, b"two ", final=False))
        client.send(frame(9, b"between"))
        client.send(frame(0, b"", final=False) + frame(0, b"three"))
        seen = [read_frame(client), read_frame(client)]
    check((0x8A, b"between") in seen and (0x81, b"one two three") in seen, f"{seen}")


@case("6455, 5.2")
def one_byte_at_a_time(bench):
    """A frame that comes byte by byte."""
    with bench.client() as client:
        handshake(client)
        for byte in frame(2, b"slow" * 40):
            client.send(bytes([byte]))
        check(read_frame(client) == (0x82, b"slow" * 40), "another frame")


@case("6455, 5.2")
def many_frames_in_one_write(bench):
    """500 frames in one write come back in order."""
    with bench.client() as client:
        handshake(client)
        client.send(b"".join(frame(1, b"%d" % number) for number in range(500)))
        check([read_frame(client) for _ in range(500)] == [(0x81, b"%d" % number) for number in range(500)], "another order")


@case("6455, 4.1")
def frame_with_the_handshake(bench):
    """A frame that the client sends together with its handshake is not lost."""
    with bench.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    b"Sec-WebSocket-Key: " + KEY + b"\r\n\r\n" + frame(1, b"early"))
        check(client.read_answer().status == 101, "no 101")
        check(read_frame(client) == (0x81, b"early"), "another frame")


@case("6455, 4.2")
def frame_with_the_answer(bench):
    """A frame that the app sends together with its 101 is not lost."""
    def handle(connection):
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + ACCEPT +
                        b"\r\n\r\n" + frame(1, b"welcome", mask=None))
        connection.fill()
    raw(bench, "/greeting", handle, lambda client: check(read_frame(client) == (0x81, b"welcome"), "another frame"))


def raw(bench, path, handle, talk):
    """Talk through a Seaworthy of its own to the scripted app, which does what a real server would not."""
    bench.upstream.on(path, handle)
    with bench.scripted() as client:
        handshake(client, path=path)
        talk(client)


@case("6455, 5.5")
def pings_both_ways(bench):
    """Pings of both sides are answered by the other side, not by us."""
    async def talk(connection):
        await (await connection.ping(b"x" * 125))
        await connection.send("ping")
        check(await connection.recv() == "ponged", "no pong")
    library(bench, talk)


@case("6455, 7.4")
def close_codes(bench):
    """Close codes and reasons pass, whoever closes."""
    for code in (1000, 1001, 1008, 1011, 1012, 3000, 4999):
        with bench.client() as client:
            handshake(client)
            client.send(frame(1, b"close %d" % code))
            first, payload = read_frame(client)
            check(first == 0x88 and payload == struct.pack(">H", code) + b"as asked", f"{code}: {first:x} {payload!r}")
            client.send(frame(8, payload))
            check(client.closed(), f"{code}: it stays open")
        with bench.client() as client:
            handshake(client)
            client.send(frame(8, struct.pack(">H", code) + b"bye"))
            first, payload = read_frame(client)
            check(first == 0x88 and payload[:2] == struct.pack(">H", code), f"{code}: {first:x} {payload!r}")


@case("6455, 1.9")
def subprotocols(bench):
    """The app chooses the subprotocol."""
    for offered, chosen in ((b"superchat", b"superchat"), (b"unknown, chat", b"chat")):
        with bench.client() as client:
            answer = handshake(client, b"Sec-WebSocket-Protocol: " + offered)
            check(answer.field(b"sec-websocket-protocol") == chosen, f"{answer.field(b'sec-websocket-protocol')!r}")


@case("6455, 5.1")
def wrong_frames_reach_the_app(bench):
    """Unmasked frames, RSV bits, unknown opcodes and long pings reach the app, which closes with 1002 (or 1007)."""
    for name, data, code in (("unmasked", frame(1, b"x", mask=None), 1002), ("RSV1", frame(1, b"x", rsv=4), 1002), ("RSV2", frame(1, b"x", rsv=2), 1002),
                             ("RSV3", frame(1, b"x", rsv=1), 1002), ("opcode 3", frame(3, b"x"), 1002), ("opcode 11", frame(11, b"x"), 1002),
                             ("a ping of 126", frame(9, b"x" * 126), 1002), ("a fragmented ping", frame(9, b"x", final=False), 1002),
                             ("a continuation of nothing", frame(0, b"x"), 1002), ("no UTF-8", frame(1, b"\xff\xfe"), 1007),
                             ("a close of one byte", frame(8, b"x"), 1002)):
        with bench.client() as client:
            handshake(client)
            client.send(data)
            first, payload = read_frame(client)
            check(first == 0x88 and payload[:2] == struct.pack(">H", code), f"{name}: {first:x} {payload!r}")


@case("6455, 5.2")
def every_byte_passes_unharmed(bench):
    """What passes through the tunnel is not looked at: every first byte, masked and not, both ways."""
    data = b"".join(frame(first & 15, bytes([first]) * 3, bool(first & 128), mask, first >> 4 & 7)
                    for first in range(256) for mask in (None, b"abcd"))

    def handle(connection):
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n")
        connection.send(connection.read_bytes(len(data)))

    def talk(client):
        client.send(data)
        check(client.read_bytes(len(data)) == data, "other bytes")
    raw(bench, "/echo", handle, talk)


@case("6455, 7.1")
def half_close(bench):
    """When the client ends its direction, what the app still sends arrives."""
    def handle(connection):
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n")
        while connection.fill():
            pass
        time.sleep(0.1)
        connection.send(frame(1, b"last words", mask=None))

    def talk(client):
        client.send(frame(1, b"x"))
        client.sock.shutdown(1)
        check(read_frame(client) == (0x81, b"last words"), "another frame")
        check(client.closed(), "it stays open")
    raw(bench, "/half", handle, talk)


@case("6455, 7.1.7")
def the_app_breaks_off(bench):
    """When the app's connection breaks, so does the client's."""
    with bench.client() as client:
        handshake(client)
        client.send(frame(1, b"vanish"))
        check(client.closed(), "it stays open")


@case("6455, 7.1.7")
def the_client_breaks_off(bench):
    """When the client's connection breaks, so does the app's."""
    ended = []

    def handle(connection):
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n")
        connection.sock.settimeout(3)
        ended.append(not connection.fill())

    def talk(client):
        client.sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER of zero: a reset in place of an end
        client.sock.close()
        deadline = time.monotonic() + 3
        while not ended and time.monotonic() < deadline:
            time.sleep(0.02)
        check(ended == [True], f"{ended}")
    raw(bench, "/leave", handle, talk)


@case("6455, 4.4")
def refused_handshakes(bench):
    """A refusal of the app passes as it is: a wrong version, no key; the connection can be used again."""
    with bench.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 99\r\n"
                    b"Sec-WebSocket-Key: " + KEY + b"\r\n\r\n")
        check(client.read_answer().status in (400, 426), "another status")
    with bench.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n")
        check(client.read_answer().status in (400, 426), "another status")


@case("6455, 4.1", "should")
def upgrade_headers_pass(bench):
    """Upgrade and Connection of the answer are what a client looks for, in any case."""
    with bench.client() as client:
        answer = handshake(client)
    check(answer.field(b"upgrade").lower() == b"websocket" and b"upgrade" in answer.field(b"connection").lower(), f"{answer.head!r}")
    check(field(answer.head, b"content-length") == b"" and field(answer.head, b"transfer-encoding") == b"", "framing on 101")


@case("-")
def backpressure(bench):
    """An app that sends to a client that does not read is slowed down: our memory stays flat."""
    sent = []

    def handle(connection):
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n")
        connection.sock.settimeout(1)
        block = frame(2, b"x" * 65000, mask=None)
        try:
            for number in range(2000):
                connection.send(block)
                sent.append(number)
        except TimeoutError:
            pass

    raw(bench, "/flood", handle, lambda client: time.sleep(1.5))
    check(len(sent) < 1000, f"{len(sent) * 65} KB were taken for a client that reads nothing")


def prepare(folder, started):
    """The real server, and a second Seaworthy before the scripted one."""
    port = processes.free_port()
    app = processes.Process("websockets", [sys.executable, str(pathlib.Path(__file__).resolve()), "--serve", str(port)], folder, port)
    started.append(app)
    app.wait()
    return port


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(int(sys.argv[2]))
    else:
        sys.exit(run("websocket", __doc__, prepare=prepare, scripted=True))
