#!/usr/bin/env python3
"""HTTP/1.1 through Seaworthy, as RFC 9110 and 9112 have it. Exit codes: 0 all well; 1 a `must` failed; 2 cannot run."""

import sys
import time

from harness import case, check, field, fields, ok, request, run


@case("9112, 9.3")
def keeps_the_connection(bench):
    """Two requests go over one connection."""
    with bench.client() as client:
        for _ in range(3):
            client.send(request("/keep"))
            check(client.read_answer().body == b"hello", "another body")


@case("9112, 9.6")
def closes_when_asked(bench):
    """`Connection: close` ends the connection after the answer."""
    with bench.client() as client:
        client.send(request("/close", b"Connection: close"))
        check(client.read_answer().status == 200, "no answer")
        check(client.closed(), "it stays open")


@case("9112, 9.3")
def http_1_0_closes(bench):
    """HTTP/1.0 ends after one answer unless keep-alive is asked for."""
    with bench.client() as client:
        client.send(request("/old", version="1.0"))
        check(client.read_answer().status == 200, "no answer")
        check(client.closed(), "it stays open")


@case("9112, C.2.2", "should")
def http_1_0_keeps_alive(bench):
    """HTTP/1.0 with keep-alive stays open, and the answer says so."""
    with bench.client() as client:
        for _ in range(2):
            client.send(request("/old", b"Connection: keep-alive", version="1.0"))
            answer = client.read_answer()
            check(answer.field(b"connection").lower() == b"keep-alive", f"Connection: {answer.field(b'connection')!r}")


@case("9112, 6.1")
def http_1_0_gets_no_chunks(bench):
    """An HTTP/1.0 client never gets chunks."""
    bench.upstream.on("/old-chunks", lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n")
    with bench.client() as client:
        client.send(request("/old-chunks", version="1.0"))
        head = client.read_head()
        check(not field(head, b"transfer-encoding"), "Transfer-Encoding to HTTP/1.0")
        check(client.read_all() == b"helloworld", "another body")


@case("9110, 9.3.2")
def head_has_no_body(bench):
    """HEAD keeps the Content-Length of the app and has no body."""
    bench.upstream.on("/head", lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nETag: \"x\"\r\n\r\n")
    with bench.client() as client:
        client.send(request("/head", method="HEAD"))
        answer = client.read_answer("HEAD")
        check(answer.field(b"content-length") == b"500", f"Content-Length {answer.field(b'content-length')!r}")
        client.send(request("/keep"))
        check(client.read_answer().body == b"hello", "the connection is out of step")


@case("9110, 15.3.5")
def statuses_without_bodies(bench):
    """204 and 304 have no body, and the connection goes on; 204 has no Content-Length."""
    bench.upstream.on("/204", lambda _: b"HTTP/1.1 204 No Content\r\n\r\n")
    bench.upstream.on("/304", lambda _: b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nETag: \"x\"\r\n\r\n")
    with bench.client() as client:
        for path in ("/204", "/304", "/204"):
            client.send(request(path))
            answer = client.read_answer()
            check(answer.status == int(path[1:]), f"status {answer.status}")
            check(path != "/204" or not fields(answer.head, b"content-length"), "Content-Length on 204")
            check(not fields(answer.head, b"transfer-encoding"), "Transfer-Encoding")
        client.send(request("/keep"))
        check(client.read_answer().body == b"hello", "the connection is out of step")


def read_request_body(connection):
    body, trailers = connection.read_body(connection.head)
    return ok(b"%d %s %s" % (len(body), body[:50], trailers))


@case("9110, 10.1.1")
def continue_is_answered(bench):
    """A client that waits for 100 gets it, and its body arrives."""
    bench.upstream.on("/continue", read_request_body)
    with bench.client() as client:
        client.send(b"POST /continue HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        head = client.read_head()
        check(head.startswith(b"HTTP/1.1 100"), f"{head[:40]!r} in place of 100")
        client.send(b"hello")
        check(client.read_answer().body.startswith(b"5 hello"), "another body")


@case("9110, 10.1.1")
def continue_with_a_hasty_client(bench):
    """A client that does not wait for 100 gets its answer too, and the connection goes on."""
    bench.upstream.on("/continue", read_request_body)
    with bench.client() as client:
        for _ in range(2):
            client.send(b"POST /continue HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
            check(client.read_answer().body.startswith(b"5 hello"), "another body")


def refuse(connection):
    connection.send(ok(b"no", b"Connection: close", status=connection.head.split(b"\r\n")[0].split(b"?")[1].split(b" ")[0] + b" No"))


@case("9110, 10.1.1")
def refusal_in_place_of_continue(bench):
    """When the app refuses a body (417, 413, 401), the client gets that status."""
    bench.upstream.on("/refuse", refuse)
    for status in (417, 413, 401):
        with bench.client() as client:
            client.send(b"POST /refuse?%d HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n" % status)
            answer = client.read_answer()
            check(answer.status == status, f"status {answer.status} in place of {status}")


@case("9110, 10.1.1", "should")
def no_continue_before_a_refusal(bench):
    """When the app refuses, the client was not told to send the body: Expect is forwarded (9110, 10.1.1: a proxy MUST)."""
    bench.upstream.on("/refuse", refuse)
    interim = []
    with bench.client() as client:
        client.send(b"POST /refuse?417 HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        client.read_answer(interim=interim)
    check(not interim, "100 came first")


@case("9110, 6.5")
def answers_have_trailers(bench):
    """Trailers of the app's answer arrive at a client that takes them."""
    bench.upstream.on("/trailers", lambda _: b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n")
    answer, _ = bench.ask("/trailers", b"TE: trailers", b"Connection: TE")
    check(answer.body == b"hello" and b"x-sum: 42" in answer.trailers.lower(), f"trailers {answer.trailers!r}")


@case("9110, 6.5", "should")
def requests_have_trailers(bench):
    """Trailers of a request arrive at the app."""
    bench.upstream.on("/request-trailers", read_request_body)
    with bench.client() as client:
        client.send(b"POST /request-trailers HTTP/1.1\r\nHost: localhost\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n")
        body = client.read_answer().body
    check(b"x-sum: 42" in body.lower(), f"the app saw {body!r}")


@case("9110, 6.6.2", "should")
def trailers_without_an_announcement(bench):
    """Trailers pass both ways without a Trailer header, which a sender need not write."""
    bench.upstream.on("/bare-trailers", lambda connection: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Saw: " +
                      connection.read_body(connection.head)[1].strip() + b"\r\n\r\n0\r\nX-Sum: 42\r\n\r\n")
    with bench.client() as client:
        client.send(b"POST /bare-trailers HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"5\r\nhello\r\n0\r\nX-There: 41\r\n\r\n")
        answer = client.read_answer()
    check(b"41" in answer.field(b"x-saw") and b"42" in answer.trailers, f"the app saw {answer.field(b'x-saw')!r}, the client {answer.trailers!r}")


@case("9112, 7.1")
def chunks_both_ways(bench):
    """A chunked request and a chunked answer keep their bytes."""
    data = bytes(range(256)) * 400

    def handle(connection):
        body, _ = connection.read_body(connection.head)
        return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[index:index + 777] for index in range(0, len(body), 777))) + b"0\r\n\r\n")

    bench.upstream.on("/chunks", handle)
    with bench.client() as client:
        client.send(b"POST /chunks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for index in range(0, len(data), 1000):
            part = data[index:index + 1000]
            client.send(b"%x\r\n%s\r\n" % (len(part), part))
        client.send(b"0\r\n\r\n")
        check(client.read_answer().body == data, "other bytes")


@case("8297", "should")
def early_hints_pass(bench):
    """103 Early Hints reach the client before the answer."""
    bench.upstream.on("/hints", lambda _: b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" + ok(b"hello"))
    interim = []
    answer, _ = bench.ask("/hints", interim=interim)
    check(answer.body == b"hello", "no answer")
    check(any(b"a.css" in head for head in interim), "no 103")


@case("9110, 15.2")
def no_interim_answers_to_http_1_0(bench):
    """An HTTP/1.0 client never gets 1xx."""
    bench.upstream.on("/interim", lambda _: b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + ok(b"hello"))
    interim = []
    answer, _ = bench.ask("/interim", version="1.0", interim=interim)
    check(answer.body == b"hello" and not interim, f"{interim!r}")


@case("9112, 9.3.2")
def pipelined_answers_in_order(bench):
    """Requests sent at once are answered in order, also when the first is slow."""
    def handle(connection):
        number = connection.head.split(b"?")[1].split(b" ")[0]
        time.sleep(0.2 if number == b"0" else 0)
        return ok(number)

    bench.upstream.on("/pipeline", handle)
    with bench.client() as client:
        client.send(b"".join(request(f"/pipeline?{number}") for number in range(6)))
        seen = [client.read_answer().body for _ in range(6)]
    check(seen == [b"%d" % number for number in range(6)], f"{seen}")


@case("9110, 7.6.1")
def hop_by_hop_headers_of_requests(bench):
    """What belongs to the connection, and what Connection names, does not reach the app."""
    _, head = bench.ask("/hop", b"Connection: X-Hop, keep-alive", b"X-Hop: 1", b"Keep-Alive: timeout=9", b"Proxy-Connection: x", b"TE: gzip, trailers",
                        b"Proxy-Authorization: Basic eDp5", b"X-Kept: 1", b"Connection: X-Other", b"X-Other: 1")
    for name in (b"x-hop", b"x-other", b"keep-alive", b"proxy-connection", b"proxy-authorization"):
        check(not fields(head, name), f"{name!r} passed")
    check(field(head, b"x-kept") == b"1", "an ordinary header was lost")
    check(b"gzip" not in field(head, b"te"), "TE: gzip passed")


@case("9110, 7.6.1")
def hop_by_hop_headers_of_answers(bench):
    """The same for answers."""
    bench.upstream.on("/hop-back", lambda _: ok(b"x", b"Connection: X-Hop", b"X-Hop: 1", b"Keep-Alive: timeout=9", b"Proxy-Authenticate: Basic", b"X-Kept: 1"))
    answer, _ = bench.ask("/hop-back")
    for name in (b"x-hop", b"keep-alive"):
        check(not answer.field(name), f"{name!r} passed")
    check(answer.field(b"x-kept") == b"1", "an ordinary header was lost")


@case("9110, 7.6.3")
def via_both_ways(bench):
    """Via is appended to what is there, both ways."""
    bench.upstream.on("/via", lambda _: ok(b"x", b"Via: 1.0 app"))
    answer, head = bench.ask("/via", b"Via: 1.0 client")
    check(b"1.0 client" in b", ".join(fields(head, b"via")) and len(b", ".join(fields(head, b"via")).split(b",")) == 2, f"{fields(head, b'via')}")
    check(len(b", ".join(fields(answer.head, b"via")).split(b",")) == 2, f"{fields(answer.head, b'via')}")


@case("9110, 7.6.2", "should")
def max_forwards_ends_here(bench):
    """TRACE and OPTIONS with Max-Forwards: 0 are answered by us."""
    for method in ("TRACE", "OPTIONS"):
        bench.upstream.heads.pop("/hops", None)
        answer, head = bench.ask("/hops", b"Max-Forwards: 0", method=method)
        check(not head, f"{method} reached the app, status {answer.status}")


@case("9110, 9.3.7")
def options_of_the_server(bench):
    """`OPTIONS *` is answered, and the connection goes on or ends cleanly."""
    with bench.client() as client:
        client.send(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
        check(client.read_answer().status in (200, 204, 400, 404, 405, 501), "another status")


@case("9112, 3.2.2")
def absolute_form(bench):
    """The host of an absolute target wins over the Host header, and the app gets the path."""
    with bench.client() as client:
        client.send(b"GET http://other.example/absolute?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = client.read_answer()
    head = (bench.upstream.heads.get("/absolute") or [b""])[-1]
    if answer.status != 421:  # a server that knows its hosts may refuse others
        check(head.startswith(b"GET /absolute?x=1 ") and field(head, b"host") == b"other.example", f"{head[:80]!r}")


@case("9110, 15.5.15")
def long_target(bench):
    """A target of 100 KB is answered 414."""
    answer, _ = bench.ask("/long?" + "x" * 100_000)
    check(answer.status == 414, f"status {answer.status}")


def ask_wide(bench, *lines):
    """The status of the answer to a head that is too long; the answer may come in the middle."""
    with bench.client() as client:
        try:
            client.send(request("/wide", *lines))
        except OSError:
            pass
        return client.read_answer().status


@case("6585, 5")
def many_headers(bench):
    """5,000 headers are answered 431."""
    status = ask_wide(bench, *[b"X-%d: y" % number for number in range(5000)])
    check(status == 431, f"status {status}")


@case("6585, 5")
def a_long_header(bench):
    """A header of 600 KB is answered 431."""
    status = ask_wide(bench, b"X: " + b"y" * 600_000)
    check(status == 431, f"status {status}")


@case("9112, 9.6", "should")
def a_very_long_header(bench):
    """A client that goes on sending a header of 4 MB can still read its 431 (lingering close)."""
    status = ask_wide(bench, b"X: " + b"y" * 4_000_000)
    check(status == 431, f"status {status}")


@case("9110, 5.4", "should")
def ordinary_long_headers_pass(bench):
    """A header of 8 KB and a target of 8 KB pass."""
    answer, head = bench.ask("/ordinary?" + "x" * 8000, b"Cookie: " + b"y" * 8000)
    check(answer.status == 200 and len(head) > 16000, f"status {answer.status}")


@case("9110, 4.2.3")
def targets_are_untouched(bench):
    """Percent encodings, dots, doubled slashes and queries reach the app as they were sent."""
    for target in ("/a%2Fb%2e%2E/%7ex/%C3%BC?x=%20&y=+&z=%2f", "//double//slash/", "/dots/./and/../more", "/semi;v=1,2/@:!$&'()*+", "/q?a=b?c=d&&", "/e?"):
        answer, head = bench.ask(target)
        check(head.split(b" ")[1] == target.encode(), f"{target} became {head.split(b' ')[1:2]}, status {answer.status}")


@case("9110, 5.3")
def repeated_headers_keep_their_order(bench):
    """Set-Cookie lines stay apart and in order; repeated request headers too."""
    cookies = [b"a=1; Path=/", b"b=2", b"a=3; HttpOnly"]
    bench.upstream.on("/cookies", lambda _: ok(b"x", *[b"Set-Cookie: " + cookie for cookie in cookies]))
    answer, head = bench.ask("/cookies", b"X-Many: 1", b"X-Other: x", b"X-Many: 2", b"X-Many: 3")
    check(fields(answer.head, b"set-cookie") == cookies, f"{fields(answer.head, b'set-cookie')}")
    check(b", ".join(fields(head, b"x-many")) == b"1, 2, 3", f"{fields(head, b'x-many')}")


@case("9110, 5.5")
def bytes_over_ascii_in_headers(bench):
    """Bytes from 0x80 pass both ways unchanged."""
    bench.upstream.on("/bytes", lambda _: ok(b"x", b"X-Back: \xe4\xf6\xfc\xff", b"Content-Disposition: attachment; filename=\"\xc3\xbc.txt\""))
    answer, head = bench.ask("/bytes", b"X-There: \xe4\xf6\xfc\xff")
    check(field(head, b"x-there") == b"\xe4\xf6\xfc\xff", f"there: {field(head, b'x-there')!r}")
    check(answer.field(b"x-back") == b"\xe4\xf6\xfc\xff" and b"\xc3\xbc" in answer.field(b"content-disposition"), "back")


@case("9112, 6.3")
def answer_until_the_end(bench):
    """An answer that ends with the connection arrives whole."""
    bench.upstream.on("/until-end", lambda connection: connection.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 50_000))
    answer, _ = bench.ask("/until-end")
    check(answer.body == b"x" * 50_000, f"{len(answer.body)} bytes")


@case("9112, 8")
def short_answers_are_seen_as_short(bench):
    """When the app breaks off, the client can tell: no last chunk, fewer bytes than announced."""
    bench.upstream.on("/short", lambda connection: connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello"))
    bench.upstream.on("/short-chunks", lambda connection: connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"))
    for path in ("/short", "/short-chunks"):
        with bench.client() as client:
            client.send(request(path))
            head = client.read_head()
            data = client.read_all()
            whole = data.endswith(b"0\r\n\r\n") if field(head, b"transfer-encoding") else len(data) >= int(field(head, b"content-length") or 0)
            check(b" 502 " in head.split(b"\r\n")[0] or not whole, f"{path} looks complete: {data!r}")


@case("9112, 6.3")
def one_framing_to_the_client(bench):
    """An answer with both framings reaches the client with one, or is a 502."""
    bench.upstream.on("/both", lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    bench.upstream.on("/two", lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")
    for path in ("/both", "/two"):
        answer, _ = bench.ask(path)
        lengths, codings = fields(answer.head, b"content-length"), fields(answer.head, b"transfer-encoding")
        check(len(lengths) + len(codings) == 1, f"{path}: {lengths} {codings}")


@case("9112, 5")
def broken_answers_are_502(bench):
    """What is no HTTP, or has bad headers, is answered 502."""
    good = 0
    for index, data in enumerate((b"what?\r\n\r\n", b"HTTP/1.1 200 OK\r\nX Y: z\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 99999 OK\r\n\r\n", b"",
                                  b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nhello", b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n")):
        bench.upstream.on(f"/broken-{index}", lambda connection, data=data: connection.send(data))
        good += bench.ask("/keep")[0].status == 200  # so that no breaker opens
        answer, _ = bench.ask(f"/broken-{index}")
        check(answer.status == 502, f"status {answer.status} for {data!r}")
    check(good == 6, "good answers between were refused")


@case("9112, 9.2")
def answers_nobody_asked_for(bench):
    """Bytes after an answer never become the answer to the next request."""
    bench.upstream.on("/extra", lambda _: ok(b"first") + ok(b"POISON"))
    bench.ask("/extra")
    for _ in range(6):
        answer, _ = bench.ask("/keep")
        check(answer.body == b"hello", f"{answer.body!r}")


@case("9112, 9.5", "should")
def slow_heads_end(bench):
    """A head that never ends is given up, with 408 or without."""
    with bench.client(timeout=6) as client:
        client.send(b"GET /slow HTTP/1.1\r\nHost: localhost\r\nX-")
        data = client.read_all()
    check(not data or b" 408 " in data[:20], f"{data[:40]!r}")


@case("9112, 9.6")
def a_client_that_leaves_cancels(bench):
    """When the client leaves, the app's connection ends."""
    ended = []

    def handle(connection):
        connection.sock.settimeout(3)
        try:
            ended.append(connection.sock.recv(1) == b"")
        except OSError as error:
            ended.append(isinstance(error, ConnectionResetError))

    bench.upstream.on("/cancel", handle)
    with bench.client() as client:
        client.send(request("/cancel"))
        time.sleep(0.2)
    deadline = time.monotonic() + 4
    while not ended and time.monotonic() < deadline:
        time.sleep(0.02)
    check(ended == [True], f"{ended}")


@case("9112, 9.3")
def early_answer_to_an_upload(bench):
    """An app that answers before the body is over: the client gets that answer."""
    def handle(connection):
        connection.send(ok(b"too much", b"Connection: close", status=b"413 Content Too Large"))
        time.sleep(0.2)

    bench.upstream.on("/early", handle)
    with bench.client() as client:
        client.send(b"POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 100_000)
        answer = client.read_answer()
    check(answer.status == 413, f"status {answer.status}")


@case("9110, 8.6")
def post_without_a_body(bench):
    """A POST without a body reaches the app with a length of 0 or without framing, not as chunks."""
    _, head = bench.ask("/no-body", b"Content-Length: 0", method="POST")
    check(field(head, b"content-length") in (b"0", b"") and not fields(head, b"transfer-encoding"), f"{head!r}")


@case("9110, 9.1")
def methods_pass(bench):
    """Every method reaches the app as it is, case included."""
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT", "M-SEARCH", "purge"):
        _, head = bench.ask("/method", method=method)
        check(head.startswith(method.encode() + b" "), f"{method} became {head[:20]!r}")


@case("9110, 2.5")
def version_is_ours(bench):
    """Each connection has its own version: an HTTP/1.0 app gives HTTP/1.1 answers through us."""
    bench.upstream.on("/ten", lambda connection: connection.send(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
    answer, _ = bench.ask("/ten")
    check(answer.head.startswith(b"HTTP/1.1 200"), f"{answer.head[:20]!r}")


@case("9110, 5.6.7", "should")
def answers_have_a_date(bench):
    """Date is there once, the app's when it sent one."""
    bench.upstream.on("/date", lambda _: ok(b"x", b"Date: Tue, 15 Nov 1994 08:12:31 GMT"))
    answer, _ = bench.ask("/date")
    check(fields(answer.head, b"date") == [b"Tue, 15 Nov 1994 08:12:31 GMT"], f"{fields(answer.head, b'date')}")
    answer, _ = bench.ask("/keep")
    check(len(fields(answer.head, b"date")) == 1, "no Date")


@case("9112, 11.2")
def answers_cannot_be_split(bench):
    """A CR or LF in an app's header never becomes a header of its own at the client."""
    bench.upstream.on("/split", lambda _: b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n")
    answer, _ = bench.ask("/split")
    check(not fields(answer.head, b"set-cookie") and b"\r\r" not in answer.head, f"{answer.head!r}")


if __name__ == "__main__":
    sys.exit(run("http1", __doc__))
