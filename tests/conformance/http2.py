#!/usr/bin/env python3
"""HTTP/2 at Seaworthy (RFC 9113): conformance, and abuse that must cost the attacker, not us.

Over cleartext with prior knowledge, or with --tls over TLS with ALPN. Needs the PyPI package h2 (target/test-python).
Exit codes: 0 all well; 1 a `must` failed; 2 cannot run.
"""

import contextlib
import pathlib
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time

from harness import Wrong, case, check, field, ok, processes, request, run

processes.use_test_python("h2")

import h2.config  # noqa: E402
import h2.connection  # noqa: E402
import h2.events  # noqa: E402
import h2.exceptions  # noqa: E402
import h2.settings  # noqa: E402
import hpack  # noqa: E402

TLS_PORT = None  # set by --tls
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
ATTACK_S = 2.0


class Client:
    """A connection that speaks frames; the h2 library keeps the state of well-behaved ones."""

    def __init__(self, bench, settings=None, timeout=4):
        self.sock = socket.create_connection((bench.address[0], TLS_PORT or bench.address[1]), timeout=timeout)
        if TLS_PORT:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["h2"])
            self.sock = context.wrap_socket(self.sock)
            check(self.sock.selected_alpn_protocol() == "h2", "ALPN chose no h2")
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False))
        if settings:
            self.h2.local_settings = h2.settings.Settings(client=True, initial_values=settings)
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        """Send what the library has to say."""
        self.sock.sendall(self.h2.data_to_send())

    def headers(self, path="/h2", *more, method=b"GET", end=True, pseudo=None):
        """Begin a stream; return its number."""
        stream = self.h2.get_next_available_stream_id()
        base = pseudo if pseudo is not None else [(b":method", method), (b":scheme", b"http"), (b":authority", b"localhost"), (b":path", path.encode())]
        self.h2.send_headers(stream, [*base, *more], end_stream=end)
        self.flush()
        return stream

    def events(self, window=True):
        """The next events; raises Wrong when nothing comes, and ends at the end of the connection."""
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            raise Wrong(f"nothing came in {self.sock.gettimeout()} s") from None
        except OSError:
            data = b""
        if not data:
            raise EOFError
        found = self.h2.receive_data(data)
        for event in found:
            if window and isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                with contextlib.suppress(h2.exceptions.ProtocolError):
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        with contextlib.suppress(OSError):
            self.flush()
        return found

    def answer(self, stream, window=True):
        """The answer of a stream: (status, headers, body, trailers), or ("reset", code), or ("goaway", code)."""
        headers, body, trailers = [], b"", []
        try:
            while True:
                for event in self.events(window):
                    mine = getattr(event, "stream_id", None) == stream
                    if isinstance(event, h2.events.ResponseReceived) and mine:
                        headers = event.headers
                    elif isinstance(event, h2.events.DataReceived) and mine:
                        body += event.data
                    elif isinstance(event, h2.events.TrailersReceived) and mine:
                        trailers = event.headers
                    elif isinstance(event, h2.events.StreamReset) and mine:
                        return ("reset", int(event.error_code), body, dict(headers))
                    elif isinstance(event, h2.events.ConnectionTerminated) and event.error_code:
                        return ("goaway", int(event.error_code))
                    elif isinstance(event, h2.events.StreamEnded) and mine:
                        return (int(dict(headers)[b":status"]), headers, body, trailers)
        except EOFError:
            return ("closed", None)

    def close(self):
        """End the connection."""
        self.sock.close()


@contextlib.contextmanager
def client(bench, **options):
    """A client that is closed at the end."""
    opened = Client(bench, **options)
    try:
        yield opened
    finally:
        opened.close()


def frame(kind, flags=0, stream=0, payload=b""):
    """The bytes of a frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def refused(outcome):
    """Whether a malformed request was refused: a stream or connection error, or 400."""
    return outcome[0] in ("reset", "goaway", "closed") or outcome[0] in (400, 431, 421, 501)


@case("9113, 8")
def an_ordinary_request(bench):
    """A request reaches the app as HTTP/1.1 with one Host and no pseudo-headers."""
    with client(bench) as link:
        outcome = link.answer(link.headers("/ordinary?x=1", (b"x-one", b"1"), (b"cookie", b"a=1"), (b"cookie", b"b=2")))
    check(outcome[0] == 200 and outcome[2] == b"hello", f"{outcome}")
    head = bench.upstream.heads["/ordinary"][-1]
    check(field(head, b"host") == b"localhost" and head.startswith(b"GET /ordinary?x=1 HTTP/1.1\r\n"), f"{head!r}")
    check(field(head, b"cookie") == b"a=1; b=2", f"cookie {field(head, b'cookie')!r} (9113, 8.2.3)")
    check(b"\r\n:" not in head and b"http2" not in head.lower(), f"{head!r}")
    check(not any(name in (b"connection", b"transfer-encoding", b"keep-alive") for name, _ in outcome[1]), "connection headers in the answer")


@case("9113, 8.2.2")
def forbidden_headers(bench):
    """Connection headers, te other than trailers, uppercase and malformed names and values are refused."""
    for name, value in ((b"connection", b"close"), (b"transfer-encoding", b"chunked"), (b"keep-alive", b"1"), (b"upgrade", b"h2c"),
                        (b"proxy-connection", b"close"), (b"te", b"gzip"), (b"X-Upper", b"1"), (b"x y", b"1"), (b"x:y", b"1"), (b"", b"1"),
                        (b"x", b"a\r\nb: c"), (b"x", b"a\x00b"), (b"x", b"a\nb")):
        with client(bench) as link:
            bench.upstream.heads.pop("/forbidden", None)
            outcome = link.answer(link.headers("/forbidden", (name, value)))
            check(refused(outcome), f"{name!r}: {value!r} got {outcome[:1]}")
            check("/forbidden" not in bench.upstream.heads, f"{name!r} reached the app")


@case("9113, 8.2.2")
def te_trailers(bench):
    """`te: trailers` is allowed."""
    with client(bench) as link:
        check(link.answer(link.headers("/te", (b"te", b"trailers")))[0] == 200, "it was refused")


@case("9113, 8.3")
def pseudo_headers(bench):
    """Missing, double, unknown, late and empty pseudo-headers are refused."""
    method, scheme, authority, path = (b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"localhost"), (b":path", b"/pseudo")
    for name, pseudo in {
        "no method": [scheme, authority, path], "no scheme": [method, authority, path], "no path": [method, scheme, authority],
        "two methods": [method, method, scheme, authority, path], "two paths": [method, scheme, authority, path, (b":path", b"/other")],
        "unknown": [method, scheme, authority, path, (b":evil", b"1")], "a status": [method, scheme, authority, path, (b":status", b"200")],
        "late": [method, scheme, authority, (b"x", b"1"), path], "an empty path": [method, scheme, authority, (b":path", b"")],
        "a path without a slash": [method, scheme, authority, (b":path", b"pseudo")], "two authorities": [method, scheme, authority, authority, path],
        "a space in the path": [method, scheme, authority, (b":path", b"/pseudo x")],
        "a request line in the path": [method, scheme, authority, (b":path", b"/pseudo HTTP/1.1\r\nX: y\r\n\r\nGET /smuggled")],
        "a request line in the method": [(b":method", b"GET /smuggled HTTP/1.1\r\n\r\nGET"), scheme, authority, path],
        "a line in the authority": [method, scheme, (b":authority", b"localhost\r\nX: y"), path], "no authority, no host": [method, scheme, path],
        "user info": [method, scheme, (b":authority", b"user@localhost"), path],
    }.items():
        with client(bench) as link:
            bench.upstream.heads.clear()
            outcome = link.answer(link.headers(pseudo=pseudo))
            check(refused(outcome), f"{name}: {outcome[:1]}")
            check("/smuggled" not in bench.upstream.heads, f"{name}: smuggled")


@case("9113, 8.3.1")
def host_and_authority(bench):
    """A Host that differs from :authority never wins; the app sees one Host."""
    with client(bench) as link:
        outcome = link.answer(link.headers("/two-hosts", (b"host", b"evil")))
    head = (bench.upstream.heads.get("/two-hosts") or [b"Host: localhost"])[-1]
    check(refused(outcome) or (b"evil" not in head and head.lower().count(b"\r\nhost:") == 1), f"{head!r}")


def read_body(connection):
    body, trailers = connection.read_body(connection.head)
    return ok(b"%d %s" % (len(body), trailers))


@case("9113, 8.1.1")
def content_length_mismatch(bench):
    """A body longer or shorter than content-length is a stream error; nothing is smuggled to the app."""
    bench.upstream.on("/length", read_body)
    for length, data in ((b"5", b"hello, this is longer\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"), (b"50", b"short"), (b"5, 6", b"hello"),
                         (b"-5", b"hello"), (b"+5", b"hello"), (b"abc", b"hello")):
        with client(bench) as link:
            stream = link.headers("/length", (b"content-length", length), method=b"POST", end=False)
            with contextlib.suppress(OSError):
                link.h2.send_data(stream, data, end_stream=True)
                link.flush()
            outcome = link.answer(stream)
            check(refused(outcome), f"{length!r} with {len(data)} bytes: {outcome[:1]}")
    check("/smuggled" not in bench.upstream.heads, "smuggled")


@case("9113, 8.1.1", "should")
def content_length_of_zero_with_a_body(bench):
    """content-length: 0 with a body is a stream error, though the request was complete without it."""
    bench.upstream.on("/length", read_body)
    with client(bench) as link:
        stream = link.headers("/length", (b"content-length", b"0"), method=b"POST", end=False)
        link.h2.send_data(stream, b"x", end_stream=True)
        link.flush()
        check(refused(link.answer(stream)), "it was accepted")


@case("9113, 8.1.1")
def two_content_lengths(bench):
    """Two content-lengths that differ are refused."""
    bench.upstream.on("/length", read_body)
    with client(bench) as link:
        stream = link.headers("/length", (b"content-length", b"5"), (b"content-length", b"6"), method=b"POST", end=False)
        link.h2.send_data(stream, b"hello", end_stream=True)
        link.flush()
        check(refused(link.answer(stream)), "they were accepted")


@case("9113, 8.1")
def bodies_and_trailers(bench):
    """A body of 300 KB arrives; request trailers do too, and answers' trailers come back."""
    bench.upstream.on("/upload", read_body)
    bench.upstream.on("/trailers", lambda _: b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n")
    with client(bench) as link:
        stream, left = link.headers("/upload", (b"trailer", b"x-sum"), method=b"POST", end=False), 300_000
        while left:
            room = min(left, link.h2.local_flow_control_window(stream), link.h2.max_outbound_frame_size)
            if not room:
                link.events()
                continue
            link.h2.send_data(stream, b"x" * room)
            link.flush()
            left -= room
        link.h2.send_headers(stream, [(b"x-sum", b"43")], end_stream=True)
        link.flush()
        outcome = link.answer(stream)
        check(outcome[0] == 200 and outcome[2].startswith(b"300000"), f"{outcome[:1]} {outcome[2:]}")
        check(b"x-sum: 43" in outcome[2].lower(), f"the app saw the trailers {outcome[2]!r}")
        outcome = link.answer(link.headers("/trailers", (b"te", b"trailers")))
        check(dict(outcome[3]).get(b"x-sum") == b"42", f"trailers {outcome[3]}")


@case("9113, 6.10")
def continuation(bench):
    """A head in four frames, and nothing between them."""
    block = hpack.Encoder().encode([(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/parts"), ("x-one", "1" * 200)])
    with client(bench) as link:
        size = len(block) // 4 + 1
        parts = [block[index:index + size] for index in range(0, len(block), size)]
        link.sock.sendall(frame(HEADERS, END_STREAM, 1, parts[0]) + b"".join(
            frame(CONTINUATION, END_HEADERS if index == len(parts) - 2 else 0, 1, part) for index, part in enumerate(parts[1:])))
        seen = raw_frames(link, until=lambda kind, flags, stream, payload: kind in (HEADERS, GOAWAY, RST))
        check(seen and seen[-1][0] == HEADERS, f"{seen}")
    with client(bench) as link:
        link.sock.sendall(frame(HEADERS, END_STREAM, 1, block[:20]) + frame(PING, 0, 0, b"12345678"))
        check(ended(link), "a PING between was accepted")


def raw_frames(link, until, seconds=4.0):
    """Frames (kind, flags, stream, payload) until one fits or the connection ends."""
    seen, buffer, deadline = [], b"", time.monotonic() + seconds
    link.sock.settimeout(0.2)
    while time.monotonic() < deadline:
        try:
            part = link.sock.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            break
        if not part:
            break
        buffer += part
        while len(buffer) >= 9 and len(buffer) >= 9 + int.from_bytes(buffer[:3], "big"):
            length = int.from_bytes(buffer[:3], "big")
            entry = (buffer[3], buffer[4], int.from_bytes(buffer[5:9], "big") & 0x7FFFFFFF, buffer[9:9 + length])
            buffer = buffer[9 + length:]
            seen.append(entry)
            if until(*entry):
                return seen
    return seen


def ended(link, seconds=4.0):
    """Whether the server ends the connection with GOAWAY or a close; returns the error code in a list."""
    seen = raw_frames(link, lambda kind, *_: kind == GOAWAY, seconds)
    if seen and seen[-1][0] == GOAWAY:
        return [int.from_bytes(seen[-1][3][4:8], "big")]
    try:
        link.sock.settimeout(0.2)
        return ["closed"] if link.sock.recv(1) == b"" else []
    except TimeoutError:
        return []
    except OSError:
        return ["closed"]


@case("9113, 4 and 6")
def wrong_frames(bench):
    """Frames of a wrong size, on a wrong stream or out of order end the connection with GOAWAY."""
    for name, data in {"DATA on stream 0": frame(DATA, 0, 0, b"x"), "HEADERS on stream 0": frame(HEADERS, END_HEADERS | END_STREAM, 0, b"\x82"),
                       "an even stream": frame(HEADERS, END_HEADERS | END_STREAM, 2, b"\x82"), "SETTINGS of 5 bytes": frame(SETTINGS, 0, 0, b"12345"),
                       "SETTINGS on a stream": frame(SETTINGS, 0, 1, b""), "PING of 7 bytes": frame(PING, 0, 0, b"1234567"),
                       "PING on a stream": frame(PING, 0, 1, b"12345678"), "WINDOW_UPDATE of 0": frame(WINDOW, 0, 0, bytes(4)),
                       "a window over 2^31": frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff"), "CONTINUATION alone": frame(CONTINUATION, END_HEADERS, 1, b"\x82"),
                       "DATA on an idle stream": frame(DATA, 0, 1, b"x"), "RST on an idle stream": frame(RST, 0, 1, bytes(4)),
                       "PUSH_PROMISE": frame(5, END_HEADERS, 1, bytes(4) + b"\x82"), "a frame of 1 MB": frame(DATA, 0, 1, bytes(1 << 20)),
                       "bad HPACK": frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
                       "initial window of 2^31": frame(SETTINGS, 0, 0, b"\x00\x04\x80\x00\x00\x00"), "frame size of 1": frame(SETTINGS, 0, 0, b"\x00\x05\x00\x00\x00\x01"),
                       "push of 2": frame(SETTINGS, 0, 0, b"\x00\x02\x00\x00\x00\x02")}.items():
        with client(bench) as link:
            with contextlib.suppress(OSError):
                link.sock.sendall(data)
            check(ended(link), f"{name}: it goes on")


@case("9113, 5.5")
def unknown_frames_are_ignored(bench):
    """Unknown frames and settings are ignored, PING is answered."""
    with client(bench) as link:
        link.sock.sendall(frame(0x40, 0xFF, 0, b"whatever") + frame(SETTINGS, 0, 0, b"\xff\x00\x00\x00\x00\x01") + frame(PING, 0, 0, b"abcdefgh"))
        seen = raw_frames(link, lambda kind, flags, stream, payload: kind == PING or kind == GOAWAY)
        check(seen and seen[-1][0] == PING and seen[-1][3] == b"abcdefgh", f"{seen}")


@case("9113, 6.9")
def tiny_windows(bench):
    """A client with a window of 1 byte gets its body byte by byte, and never more than it allowed."""
    with client(bench, settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1}) as link:
        stream, body = link.headers("/tiny"), b""
        while len(body) < 5:
            for event in link.events(window=False):
                if isinstance(event, h2.events.DataReceived) and event.data:
                    check(len(event.data) == 1, f"{len(event.data)} bytes into a window of 1")
                    body += event.data
                    with contextlib.suppress(h2.exceptions.ProtocolError):
                        link.h2.increment_flow_control_window(1, stream)
            link.flush()
        check(body == b"hello", f"{body!r}")


@case("9113, 5.1.2")
def many_streams(bench):
    """100 streams at once on one connection are all answered."""
    with client(bench) as link:
        streams = [link.headers(f"/many?{number}") for number in range(100)]
        done = set()
        while len(done) < len(streams):
            try:
                done |= {event.stream_id for event in link.events() if isinstance(event, h2.events.StreamEnded)}
            except EOFError:
                raise Wrong(f"the connection ended after {len(done)} answers") from None


@case("9113, 5.1.2")
def too_many_streams(bench):
    """There is a limit on streams at once, and it is announced."""
    with client(bench) as link:
        link.answer(link.headers("/limit"))
        limit = link.h2.remote_settings.max_concurrent_streams
    check(limit and limit <= 1000, f"the limit is {limit}")
    return f"limit {limit}"


@case("9113, 5.4.2")
def reset_cancels(bench):
    """RST_STREAM of the client cancels the request to the app."""
    gone = []

    def handle(connection):
        connection.sock.settimeout(3)
        with contextlib.suppress(OSError):
            gone.append(connection.sock.recv(1) == b"")

    bench.upstream.on("/reset", handle)
    with client(bench) as link:
        stream = link.headers("/reset")
        time.sleep(0.3)
        link.h2.reset_stream(stream, 8)
        link.flush()
        deadline = time.monotonic() + 3
        while not gone and time.monotonic() < deadline:
            time.sleep(0.02)
    check(gone == [True], "the app's connection goes on")


@case("9113, 8.2")
def header_bombs(bench):
    """An HPACK bomb (one long entry, referred to again and again) and 2 MB of headers are refused without much memory."""
    bomb = hpack.Encoder()
    first = bomb.encode([(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/bomb"), ("x-bomb", "y" * 3900)])
    with client(bench) as link:
        link.sock.sendall(frame(HEADERS, END_HEADERS | END_STREAM, 1, first + b"\xbe" * 12_000))
        seen = raw_frames(link, lambda kind, flags, stream, payload: kind in (GOAWAY, RST, HEADERS))
    answered = seen and seen[-1][0] == HEADERS and b"200" in repr(hpack.Decoder().decode(seen[-1][3])).encode()
    check(not answered, "47 MB of headers were accepted")
    before = rss_mib(bench)
    with client(bench) as link:
        with contextlib.suppress(OSError):
            link.sock.sendall(frame(HEADERS, END_STREAM, 1, first[:16000]))
            for _ in range(200):
                link.sock.sendall(frame(CONTINUATION, 0, 1, b"\x00\x01x\x7f\x80\x7e" + b"y" * 16000))
        check(ended(link), "3 MB of CONTINUATION were accepted")
    check(rss_mib(bench) - before < 10, f"memory grew by {rss_mib(bench) - before:.1f} MiB")


def rss_mib(bench):
    """Resident size of Seaworthy."""
    return int(pathlib.Path(f"/proc/{bench.process.process.pid}/statm").read_text().split()[1]) * 4096 / (1 << 20)


def attack(bench, send, gentle):
    """Send frames as fast as they are taken for a while. The connection must end, or it must cost us little; others are served.

    `gentle` is a little of the same, which must be accepted: else the flood would be refused for its shape, not its amount.
    """
    if gentle:
        with client(bench) as link:
            link.sock.sendall(gentle + frame(PING, 0, 0, b"stillyou"))
            seen = raw_frames(link, lambda kind, flags, stream, payload: kind == GOAWAY or payload == b"stillyou")
            check(seen and seen[-1][0] == PING, f"a little of it is refused already: {seen[-1:]}")
    began, cpu, memory, sent, over, back = time.monotonic(), bench.cpu_s(), rss_mib(bench), 0, False, b""
    slowest, next_look, number = 0.0, time.monotonic(), 0
    link = Client(bench)
    link.sock.setblocking(False)
    try:
        while time.monotonic() - began < ATTACK_S and not over:
            data = send(number)
            number += 1
            while data and not over and time.monotonic() - began < ATTACK_S:
                try:
                    count = link.sock.send(data)
                    sent, data = sent + count, data[count:]
                except (BlockingIOError, ssl.SSLWantWriteError):
                    time.sleep(0.002)
                except OSError:
                    over = True
            part = take(link)
            over, back = over or part is None, (back + (part or b""))[-(1 << 16):]
            if time.monotonic() > next_look:
                look = time.monotonic()
                with bench.client() as other:
                    other.send(request("/others"))
                    check(other.read_answer().status == 200, "others are not served")
                slowest, next_look = max(slowest, time.monotonic() - look), time.monotonic() + 0.2
        while part := take(link):
            back += part
    finally:
        link.close()
    seconds, used = time.monotonic() - began, bench.cpu_s() - cpu
    words = goaway_words(back)
    text = (f"{'ended' if over else 'NOT ended'} after {seconds:.2f} s, {number} writes, {sent / 1024:.0f} KiB sent{words}; our CPU {used:.2f} s; "
            f"memory +{rss_mib(bench) - memory:.1f} MiB; others waited {1000 * slowest:.0f} ms at most")
    check(over, "the connection goes on: " + text)
    check(used <= max(0.3, seconds), "it costs more than half of the machine: " + text)
    check(slowest < 0.5, "others wait: " + text)
    check(rss_mib(bench) - memory < 20, "memory grows: " + text)
    return text


def take(link):
    """What has come on a connection that does not block; None when it has ended."""
    try:
        return link.sock.recv(1 << 16) or None
    except (BlockingIOError, ssl.SSLWantReadError):
        return b""
    except OSError:
        return None


def goaway_words(back):
    """Code and text of a GOAWAY in what came back."""
    while len(back) >= 9:
        length = int.from_bytes(back[:3], "big")
        if back[3] == GOAWAY and length >= 8:
            return f", GOAWAY {int.from_bytes(back[13:17], 'big')} {back[17:9 + length].decode('latin-1')!r}"
        back = back[9 + length:]
    return ""


def request_block(path="/flood"):
    """A header block that does not use the table, so that it can be sent again and again."""
    return b"\x82\x86" + b"\x04" + bytes([len(path)]) + path.encode() + b"\x01\x09localhost"


@case("CVE-2023-44487")
def rapid_reset(bench):
    """Streams that are opened and reset at once end the connection."""
    block = request_block()
    return attack(bench, lambda number: b"".join(
        frame(HEADERS, END_HEADERS | END_STREAM, stream, block) + frame(RST, 0, stream, b"\0\0\0\x08")
        for stream in range(number * 200 + 1, number * 200 + 201, 2)),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, block) + frame(RST, 0, 1, b"\0\0\0\x08"))


@case("CVE-2025-8671")
def made_you_reset(bench):
    """Streams that we have to reset because of the client's errors end the connection, the first one or soon."""
    block = request_block()
    return attack(bench, lambda number: b"".join(
        frame(HEADERS, END_HEADERS | END_STREAM, stream, block) + frame(WINDOW, 0, stream, bytes(4))
        for stream in range(number * 200 + 1, number * 200 + 201, 2)), b"")


@case("CVE-2019-9512", "should")
def ping_flood(bench):
    """Floods of PING end the connection."""
    return attack(bench, lambda _: frame(PING, 0, 0, b"12345678") * 200, frame(PING, 0, 0, b"12345678") * 3)


@case("CVE-2019-9515", "should")
def settings_flood(bench):
    """Floods of SETTINGS end the connection."""
    return attack(bench, lambda _: frame(SETTINGS, 0, 0, b"\x00\x03\x00\x00\x00\x64") * 200,
                  frame(SETTINGS, 0, 0, b"\x00\x03\x00\x00\x00\x64"))


@case("CVE-2019-9518")
def empty_data_flood(bench):
    """Floods of empty DATA frames end the connection."""
    bench.upstream.on("/empty", lambda connection: None if connection.fill() else None)
    opened = frame(HEADERS, END_HEADERS, 1, request_block("/empty").replace(b"\x82", b"\x83", 1))
    return attack(bench, lambda number: (opened if not number else b"") + frame(DATA, 0, 1) * 200, opened + frame(DATA, 0, 1) * 2)


@case("CVE-2019-9513", "should")
def priority_flood(bench):
    """Floods of PRIORITY end the connection."""
    return attack(bench, lambda _: frame(PRIORITY, 0, 1, bytes(4) + b"\x10") * 200, frame(PRIORITY, 0, 1, bytes(4) + b"\x10"))


@case("VU#421644")
def continuation_flood(bench):
    """A head that never ends ends the connection."""
    opened = frame(HEADERS, END_STREAM, 1, request_block())
    return attack(bench, lambda number: (opened if not number else b"") + frame(CONTINUATION, 0, 1, b"\x00\x01x\x01y") * 200,
                  opened + frame(CONTINUATION, END_HEADERS, 1, b"\x00\x01x\x01y"))


@case("CVE-2024-27316")
def empty_continuation_flood(bench):
    """Floods of empty CONTINUATION frames end the connection."""
    opened = frame(HEADERS, END_STREAM, 1, request_block())
    return attack(bench, lambda number: (opened if not number else b"") + frame(CONTINUATION, 0, 1) * 200,
                  opened + frame(CONTINUATION, END_HEADERS, 1))


@case("CVE-2019-9511")
def window_dribble(bench):
    """A client that asks for much and takes nothing holds no memory of ours."""
    bench.upstream.on("/large", lambda _: ok(bytes(1_000_000)))
    before = rss_mib(bench)
    links = [Client(bench, settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}) for _ in range(5)]
    try:
        for link in links:
            for _ in range(50):
                link.headers("/large")
        time.sleep(1.5)
        grown = rss_mib(bench) - before
    finally:
        for link in links:
            link.close()
    check(grown < 64, f"250 streams that take nothing hold {grown:.1f} MiB")
    return f"250 streams that take nothing hold {grown:.1f} MiB"


@case("9113, 6.8")
def goaway_at_shutdown(bench):
    """At SIGTERM a request in flight is answered, and the connection gets GOAWAY without an error. Runs last: it stops the server."""
    def handle(_):
        time.sleep(0.8)
        return ok(b"late")

    bench.upstream.on("/late", handle)
    with client(bench) as link:
        stream = link.headers("/late")
        time.sleep(0.3)
        bench.process.process.send_signal(signal.SIGTERM)
        bench.process.stopped_by_test = True
        seen, buffer, deadline = [], b"", time.monotonic() + 5
        link.sock.settimeout(1)
        while time.monotonic() < deadline:
            try:
                part = link.sock.recv(65536)
            except TimeoutError:
                continue
            if not part:
                break
            buffer += part
            while len(buffer) >= 9 and len(buffer) >= (size := 9 + int.from_bytes(buffer[:3], "big")):
                seen.append((buffer[3], buffer[4], int.from_bytes(buffer[5:9], "big"), buffer[9:size]))
                buffer = buffer[size:]
                if seen[-1][0] == PING and not seen[-1][1] & 1:  # the server wants to know what we have already sent
                    link.sock.sendall(frame(PING, 1, 0, seen[-1][3]))
    check(any(entry[0] == GOAWAY for entry in seen), f"no GOAWAY: {seen}")
    check(all(entry[3][4:8] == bytes(4) for entry in seen if entry[0] == GOAWAY), f"GOAWAY with an error: {seen}")
    check(b"".join(entry[3] for entry in seen if entry[0] == DATA and entry[2] == stream) == b"late", f"the request in flight was lost: {seen}")


def main():
    """Start with or without TLS; return the exit code."""
    global TLS_PORT
    if "--tls" not in sys.argv:
        return run("http2", __doc__)
    sys.argv.remove("--tls")
    TLS_PORT = processes.free_port()
    with tempfile.TemporaryDirectory(prefix="seaworthy-h2-") as folder:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", f"{folder}/key.pem",
                        "-out", f"{folder}/cert.pem"], check=True, capture_output=True)
        return run("http2", __doc__, settings={"edge.https": f"127.0.0.1:{TLS_PORT}", "edge.redirect": False, "edge.tls.certificates": [
            {"certificate": f"{folder}/cert.pem", "key": f"{folder}/key.pem"}]})


if __name__ == "__main__":
    sys.exit(main())
