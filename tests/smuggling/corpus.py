"""Malformed and smuggling-shaped requests, each as the bytes that a client sends.

`{T}` in a case stands for its token, which is three characters long too. What a case expects:

    refuse   ambiguous or malformed: the first request must be answered 4xx or 501/505 by us, and nothing of it may
             reach the app (RFC 9112 calls most of these a MUST)
    pass     valid: the first request and the marker must both reach the app (the control: a test that refuses
             everything would otherwise be right)
    any      RFC 9110 and 9112 leave a choice; only the invariant counts
"""

import dataclasses

MARKER = b"GET /marker/{T} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SMUGGLED = b"GET /smuggled/{T} HTTP/1.1\r\nHost: localhost\r\n\r\n"
HOST = b"Host: localhost\r\n"


@dataclasses.dataclass(frozen=True)
class Case:
    """One thing that a client may send; the marker request follows on the same connection."""

    name: str
    data: bytes
    expect: str = "any"
    rule: str = ""


def head(*lines, method=b"POST", version=b"HTTP/1.1", target=b"/case/{T}", host=HOST):
    """A request head of header lines without their CRLF."""
    return (method + b" " + target + b" " + version + b"\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n")


def latin(data):
    """Bytes as a readable name."""
    return repr(data)[2:-1]


CHUNKED = b"5\r\nhello\r\n0\r\n\r\n"
EMPTY = b"0\r\n\r\n"


def lengths_with_chunks():
    """Content-Length beside Transfer-Encoding, in every order."""
    rule = "RFC 9112, 6.3"
    for coding in (b"chunked", b"Chunked", b"CHUNKED", b"\tchunked", b"chunked\t", b"  chunked  "):
        te = b"Transfer-Encoding:" + (b" " if not coding.startswith(b"\t") else b"") + coding
        for length in (0, 5, 6, len(EMPTY + SMUGGLED)):
            cl = b"Content-Length: %d" % length
            if length != 6 and coding != b"chunked":
                continue
            yield Case(f"CL.TE {latin(coding)} CL={length}", head(cl, te) + EMPTY + SMUGGLED, "refuse", rule)
            yield Case(f"TE.CL {latin(coding)} CL={length}", head(te, cl) + EMPTY + SMUGGLED, "refuse", rule)
    yield Case("CL.TE, one header between", head(b"Content-Length: 5", b"X: y", b"Transfer-Encoding: chunked") + CHUNKED,
               "refuse", rule)
    yield Case("CL.TE.CL", head(b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Content-Length: 5") + CHUNKED,
               "refuse", rule)
    yield Case("GET with CL.TE", head(b"Content-Length: 5", b"Transfer-Encoding: chunked", method=b"GET") + CHUNKED, "refuse",
               rule)
    yield Case("CL.TE where Connection names CL", head(
        b"Connection: Content-Length", b"Content-Length: 5", b"Transfer-Encoding: chunked") + CHUNKED, "refuse", rule)


def transfer_codings():
    """Transfer-Encoding in every disguise, alone and beside a length."""
    wrong = (b"xchunked", b"chunkedx", b"chunked, identity", b"chunked, gzip", b"identity", b"cow", b"chunked cow",
             b'"chunked"', b"'chunked'", b"chunked;q=1", b"chunked\x0b", b"\x0bchunked", b"\x0cchunked", b"chunked\x0c",
             b"chunk\x00ed", b"", b"chunked\xff", b"\xa0chunked", b"chunked\x00", b"chun ked", b"chunked\x01", b"[chunked]",
             b"\xc5\xbfchunked", b"chun\xe2\x84\xaaed")
    for coding in wrong:
        yield Case(f"TE {latin(coding)}", head(b"Transfer-Encoding: " + coding) + CHUNKED, "refuse", "RFC 9112, 6.3")
        yield Case(f"TE {latin(coding)} and CL", head(b"Transfer-Encoding: " + coding, b"Content-Length: 5") + CHUNKED, "refuse",
                   "RFC 9112, 6.3")
    # We do not undo these codings, and the app is not told of them: it would take a coded body for the plain one.
    for coding in (b"gzip, chunked", b"identity, chunked", b"chunked, chunked"):
        yield Case(f"TE {latin(coding)}", head(b"Transfer-Encoding: " + coding) + CHUNKED, "refuse", "RFC 9112, 6.1")
    for coding in (b",chunked", b"chunked,", b" , chunked ,"):
        yield Case(f"TE {latin(coding)}", head(b"Transfer-Encoding: " + coding) + CHUNKED)
    lines = {
        "space before the colon": (b"Transfer-Encoding : chunked", "refuse"),
        "tab before the colon": (b"Transfer-Encoding\t: chunked", "refuse"),
        "vertical tab before the colon": (b"Transfer-Encoding\x0b: chunked", "refuse"),
        "NUL before the colon": (b"Transfer-Encoding\x00: chunked", "refuse"),
        "space in the name": (b"Transfer Encoding: chunked", "refuse"),
        "leading space": (b" Transfer-Encoding: chunked", "refuse"),
        "leading tab": (b"\tTransfer-Encoding: chunked", "refuse"),
        "folded": (b"Transfer-Encoding:\r\n chunked", "refuse"),
        "folded by a tab": (b"Transfer-Encoding:\r\n\tchunked", "refuse"),
        "in a fold": (b"X: y\r\n Transfer-Encoding: chunked", "refuse"),
        "after a bare LF": (b"X: y\nTransfer-Encoding: chunked", "refuse"),
        "after a bare CR": (b"X: y\rTransfer-Encoding: chunked", "refuse"),
        "after LF CR": (b"X: y\n\rTransfer-Encoding: chunked", "refuse"),
        "after CR CR LF": (b"X: y\r\r\nTransfer-Encoding: chunked", "refuse"),
        "bare LF inside": (b"Transfer-Encoding\n: chunked", "refuse"),
        "bare CR inside": (b"Transfer-Encoding: chu\rnked", "refuse"),
        "no colon": (b"Transfer-Encoding chunked", "refuse"),
        "two colons": (b"Transfer-Encoding:: chunked", "refuse"),
        "chunked, then identity": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "refuse"),
        "identity, then chunked": (b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "refuse"),
        "chunked twice": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "refuse"),
        "chunked, then cow": (b"Transfer-Encoding: chunked\r\nTransfer-encoding: cow", "refuse"),
        "underscore": (b"Transfer_Encoding: chunked", "any"),
        "dot": (b"Transfer.Encoding: chunked", "any"),
    }
    for name, (line, expect) in lines.items():
        yield Case(f"TE {name}", head(line) + (CHUNKED if name not in ("underscore", "dot") else b""), expect)
        yield Case(f"TE {name} and CL", head(line, b"Content-Length: %d" % len(EMPTY + SMUGGLED)) + EMPTY + SMUGGLED,
                   expect)
    for spelling in (b"TRANSFER-ENCODING: chunked", b"transfer-encoding:chunked", b"Transfer-Encoding: CHUNKED"):
        yield Case(f"TE {latin(spelling)}", head(spelling) + CHUNKED, "pass")


def content_lengths():
    """One length in every spelling, and several."""
    for text in (b"+5", b"-5", b"0x5", b"5 5", b"5a", b"", b"5.0", b"5e0", b"5;", b'"5"', b"5\x0b", b"\x0b5", b"5\x00", b"5_0",
                 b"99999999999999999999", b"18446744073709551616", b"18446744073709551621", b"-0", b"\xd9\xa5", b"5, 6",
                 b"6, 5", b"5 , 7", b"5,+5", b"five", b"5\t5", b"NaN"):
        yield Case(f"CL {latin(text)}", head(b"Content-Length: " + text) + b"hello", "refuse", "RFC 9112, 6.3")
    for text in (b"5, 5", b"5,5", b"05", b"5,", b",5"):
        yield Case(f"CL {latin(text)}", head(b"Content-Length: " + text) + b"hello")
    yield Case("CL 5 twice", head(b"Content-Length: 5", b"Content-Length: 5") + b"hello")
    for first, second in ((5, 6), (6, 5), (0, 5), (5, 0), (0, len(SMUGGLED))):
        yield Case(f"CL {first} and CL {second}", head(b"Content-Length: %d" % first, b"Content-Length: %d" % second) +
                   (SMUGGLED if second > 6 else b"hello"), "refuse", "RFC 9112, 6.3")
    yield Case("CL 5 and content-length 05", head(b"Content-Length: 5", b"content-length: 05") + b"hello")
    for line in (b"Content-Length : 5", b"Content-Length\t: 5", b" Content-Length: 5", b"Content-Length:\r\n 5",
                 b"Content-Length: 5\r\n 0", b"Content-Length 5", b"Content Length: 5", b"X: y\nContent-Length: 5",
                 b"X: y\rContent-Length: 5", b"Content-Length\x00: 5"):
        yield Case(f"CL as {latin(line)}", head(line) + b"hello", "refuse")
    for line in (b"Content_Length: 5", b"Content.Length: 5", b"Content-Length-X: 5"):
        yield Case(f"CL as {latin(line)}", head(line))
        yield Case(f"CL beside {latin(line)}", head(b"Content-Length: 5", line[:-1] + b"%d" % len(SMUGGLED)) + b"hello")
    yield Case("CL tab before the number", head(b"Content-Length:\t5") + b"hello", "pass")
    yield Case("CL no space", head(b"content-length:5") + b"hello", "pass")


def line_ends():
    """Line feeds, carriage returns, NUL, folds and spaces where none belong."""
    for name, data in {
        "bare LF after the request line": b"GET /case/{T} HTTP/1.1\n" + HOST + b"\r\n",
        "bare LF after a header": b"GET /case/{T} HTTP/1.1\r\nX: y\n" + HOST + b"\r\n",
        "bare LF ends the head": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b"\n",
        "bare LF everywhere": b"GET /case/{T} HTTP/1.1\nHost: localhost\n\n",
        "LF LF inside a value": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b"X: y\n\n" + SMUGGLED,
        "bare CR after the request line": b"GET /case/{T} HTTP/1.1\r" + HOST + b"\r\n",
        "bare CR in a value": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n",
        "bare CR everywhere": b"GET /case/{T} HTTP/1.1\rHost: localhost\r\r",
        "CR CR LF": b"GET /case/{T} HTTP/1.1\r\r\n" + HOST + b"\r\r\n",
        "CR LF CR CR LF": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b"\r\r\n",
        "NUL in a name": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b"X\x00Y: z\r\n\r\n",
        "NUL in a value": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b"X: y\x00z\r\n\r\n",
        "NUL in the target": b"GET /case/{T}\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
        "NUL before the method": b"\x00GET /case/{T} HTTP/1.1\r\n" + HOST + b"\r\n",
        "fold by a space": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b"X: y\r\n z\r\n\r\n",
        "fold by a tab": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b"X: y\r\n\tz\r\n\r\n",
        "fold of nothing": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b"X: y\r\n \r\n\r\n",
        "fold of the first line": b"GET /case/{T} HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n",
        "fold of the host": b"GET /case/{T} HTTP/1.1\r\nHost:\r\n localhost\r\n\r\n",
        "space before the colon": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b"X : y\r\n\r\n",
        "tab before the colon": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b"X\t: y\r\n\r\n",
        "no name": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b": y\r\n\r\n",
        "no colon": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b"X y\r\n\r\n",
        "line of a space": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b" \r\n\r\n",
        "space line before the request": b" \r\nGET /case/{T} HTTP/1.1\r\n" + HOST + b"\r\n",
        "control byte in a value": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b"X: a\x01b\r\n\r\n",
    }.items():
        yield Case(name, data, "refuse", "RFC 9112, 2.2 and 5")
    for name, data in {
        "CRLF before the request": b"\r\nGET /case/{T} HTTP/1.1\r\n" + HOST + b"\r\n",
        "two CRLF before the request": b"\r\n\r\nGET /case/{T} HTTP/1.1\r\n" + HOST + b"\r\n",
        "LF before the request": b"\nGET /case/{T} HTTP/1.1\r\n" + HOST + b"\r\n",
        "CR before the request": b"\rGET /case/{T} HTTP/1.1\r\n" + HOST + b"\r\n",
        "DEL in a value": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b"X: a\x7fb\r\n\r\n",
        "vertical tab in a value": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b"X: a\x0bb\r\n\r\n",
        "bytes over 0x7f in a value": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b"X: \xe4\xff\r\n\r\n",
        "empty value": b"GET /case/{T} HTTP/1.1\r\n" + HOST + b"X:\r\n\r\n",
    }.items():
        yield Case(name, data)


def chunks():
    """Chunk sizes, extensions, ends and trailers."""
    te = b"Transfer-Encoding: chunked"
    for name, body in {
        "0x5": b"0x5\r\nhello\r\n0\r\n\r\n", "+5": b"+5\r\nhello\r\n0\r\n\r\n", "-5": b"-5\r\nhello\r\n0\r\n\r\n",
        "space before": b" 5\r\nhello\r\n0\r\n\r\n", "G": b"G\r\nhello\r\n0\r\n\r\n", "empty": b"\r\nhello\r\n0\r\n\r\n",
        "5_0": b"5_0\r\nhello\r\n0\r\n\r\n", "two numbers": b"5 5\r\nhello\r\n0\r\n\r\n",
        "17 digits": b"10000000000000005\r\nhello\r\n0\r\n\r\n", "2^64-1": b"FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        "2^65": b"20000000000000005\r\nhello\r\n0\r\n\r\n", "NUL": b"5\x00\r\nhello\r\n0\r\n\r\n",
        "bare LF after the size": b"5\nhello\r\n0\r\n\r\n", "bare CR after the size": b"5\rhello\r\n0\r\n\r\n",
        "LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n", "CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        "LF in a quoted extension": b'5;a="\n"\r\nhello\r\n0\r\n\r\n',
        "smuggling LF in an extension": b"5;a\nhello\r\n0\r\n\r\n" + SMUGGLED,
        "no CRLF after the data": b"5\r\nhello0\r\n\r\n", "bare LF after the data": b"5\r\nhello\n0\r\n\r\n",
        "bare CR after the data": b"5\r\nhello\r0\r\n\r\n", "other bytes after the data": b"5\r\nhelloXX0\r\n\r\n",
        "data longer than the size": b"4\r\nhello\r\n0\r\n\r\n", "last chunk ends by LF": b"5\r\nhello\r\n0\n\r\n",
        "LF ends the body": b"5\r\nhello\r\n0\r\n\n", "LF LF ends the body": b"5\r\nhello\r\n0\n\n",
        "last chunk is truncated": b"5\r\nhello\r\n0\r\n", "last chunk is missing": b"5\r\nhello\r\n",
        "trailer without a colon": b"5\r\nhello\r\n0\r\nX y\r\n\r\n",
        "trailer with a space before the colon": b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        "trailer by bare LF": b"5\r\nhello\r\n0\r\nX: y\n\r\n", "trailer folded": b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
        "trailer with NUL": b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n", "trailer of a space": b"5\r\nhello\r\n0\r\n \r\n\r\n",
        "brace": b"{5}\r\nhello\r\n0\r\n\r\n", "wide digits": b"\xef\xbc\x95\r\nhello\r\n0\r\n\r\n",
        "comma": b"5,\r\nhello\r\n0\r\n\r\n", "last chunk 0x0": b"5\r\nhello\r\n0x0\r\n\r\n",
        "vertical tab after the size": b"5\x0b\r\nhello\r\n0\r\n\r\n",
    }.items():
        yield Case(f"chunk {name}", head(te) + body, "refuse", "RFC 9112, 7.1")
    for name, body in {
        "leading zeros": b"0005\r\nhello\r\n0\r\n\r\n", "many zeros": b"0" * 40 + b"5\r\nhello\r\n0\r\n\r\n",
        "space after": b"5 \r\nhello\r\n0\r\n\r\n", "tab after": b"5\t\r\nhello\r\n0\r\n\r\n",
        "quoted extension": b'5;a="b c"\r\nhello\r\n0\r\n\r\n', "extension of nothing": b"5;\r\nhello\r\n0\r\n\r\n",
        "extension with spaces": b"5 ; a = b\r\nhello\r\n0\r\n\r\n", "extension with NUL": b"5;a=\x00\r\nhello\r\n0\r\n\r\n",
        "long extension": b"5;a=" + b"b" * 20000 + b"\r\nhello\r\n0\r\n\r\n", "last chunk 000": b"5\r\nhello\r\n000\r\n\r\n",
        "last chunk with an extension": b"5\r\nhello\r\n0;a=b\r\n\r\n",
        "trailer Content-Length": b"5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
        "trailer Transfer-Encoding": b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "trailer Host": b"5\r\nhello\r\n0\r\nHost: evil\r\n\r\n",
        "trailer X-Forwarded-For": b"5\r\nhello\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
        "many chunks of one byte": b"1\r\na\r\n" * 500 + b"0\r\n\r\n", "long trailers": b"5\r\nhello\r\n0\r\nX: " + b"y" * 60000 + b"\r\n\r\n",
    }.items():
        yield Case(f"chunk {name}", head(te) + body)
    for name, body in {"plain": CHUNKED, "capital digits": b"A\r\n0123456789\r\n0\r\n\r\n", "extension": b"5;a=b\r\nhello\r\n0\r\n\r\n",
                       "trailer": b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", "two": b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "none": EMPTY,
                       "a request as data": b"%x\r\n" % len(SMUGGLED) + b"{S}\r\n0\r\n\r\n"}.items():
        yield Case(f"chunk {name}", head(te) + body, "pass")


def hosts_and_targets():
    """Which host, which path."""
    def get(target, *lines, host=HOST):
        return head(*lines, method=b"GET", target=target, host=host)

    for name, host in {
        "twice": HOST + b"Host: evil\r\n", "the same twice": HOST + HOST, "absent": b"", "with a path": b"Host: localhost/evil\r\n",
        "with user info": b"Host: evil@localhost\r\n", "with a space": b"Host: localhost evil\r\n", "with a comma": b"Host: localhost, evil\r\n",
        "with a tab": b"Host: localhost\tevil\r\n", "port of letters": b"Host: localhost:abc\r\n", "open bracket": b"Host: [::1\r\n",
        "space before the colon": b"Host : localhost\r\n", "with a fragment": b"Host: localhost#evil\r\n",
        "with a query": b"Host: localhost?evil\r\n", "with a backslash": b"Host: localhost\\evil\r\n",
    }.items():
        yield Case(f"Host {name}", get(b"/case/{T}", host=host), "refuse", "RFC 9112, 3.2")
    for name, host in {
        "empty": b"Host:\r\n", "port 99999": b"Host: localhost:99999\r\n", "non-ASCII": b"Host: b\xfccher\r\n", "percent": b"Host: %6cocalhost\r\n",
        "empty port": b"Host: localhost:\r\n", "underscore twin": HOST + b"Ho_st: evil\r\n", "X-Forwarded-Host": HOST + b"X_Forwarded_Host: evil\r\n",
    }.items():
        yield Case(f"Host {name}", get(b"/case/{T}", host=host))
    for target in (b"http://evil/case/{T}", b"http://localhost:80/case/{T}", b"HTTP://localhost/case/{T}", b"https://localhost/case/{T}",
                   b"ftp://localhost/case/{T}", b"http://user@evil/case/{T}", b"http:///case/{T}", b"//evil/case/{T}", b"/case/{T}/../x",
                   b"/case/{T}/%2e%2e/x", b"/case/{T}%00", b"/case/{T};a=b", b"/case/{T}?a=%0d%0aX:%20y", b"/case/{T}\\x", b"/case/{T}\xff",
                   b"/case/{T}#fragment", b"/case/{T}%zz", b"/case/{T}|x", b"/case/{T}\"x", b"/case/{T}?x=<y>"):
        yield Case(f"target {latin(target)}", get(target))
    for target in (b"case/{T}", b"localhost:80/case/{T}", b"http://local host/case/{T}", b"/case/{T} x", b"/case/{T}\tx", b"?case/{T}",
                   b"*", b"localhost:80", b"\\case\\{T}"):
        yield Case(f"target {latin(target)}", get(target), "refuse")
    yield Case("OPTIONS *", b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nX-Case: {T}\r\n\r\n")
    yield Case("CONNECT", b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\nX-Case: {T}\r\n\r\n", "refuse")
    yield Case("CONNECT with a path", b"CONNECT /case/{T} HTTP/1.1\r\nHost: localhost\r\n\r\n", "refuse",
               "RFC 9110, 9.3.6")
    yield Case("absolute form without a Host", get(b"http://localhost/case/{T}", host=b""), "refuse", "RFC 9112, 3.2")


def request_lines():
    """Spaces, methods and versions."""
    for name, line in {
        "two spaces after the method": b"GET  /case/{T} HTTP/1.1", "two spaces before the version": b"GET /case/{T}  HTTP/1.1",
        "tabs": b"GET\t/case/{T}\tHTTP/1.1", "space before the method": b" GET /case/{T} HTTP/1.1", "no version": b"GET /case/{T}",
        "HTTP/2.0": b"GET /case/{T} HTTP/2.0", "HTTP/0.9": b"GET /case/{T} HTTP/0.9", "HTTP/1.10": b"GET /case/{T} HTTP/1.10",
        "HTTP/01.1": b"GET /case/{T} HTTP/01.1", "http/1.1": b"GET /case/{T} http/1.1", "HTTP/1,1": b"GET /case/{T} HTTP/1,1",
        "HTTP/1.1x": b"GET /case/{T} HTTP/1.1x", "HTTP/ 1.1": b"GET /case/{T} HTTP/ 1.1", "HTTP/-1.1": b"GET /case/{T} HTTP/-1.1",
        "method with a parenthesis": b"GE(T /case/{T} HTTP/1.1", "method with a colon": b"GET: /case/{T} HTTP/1.1",
        "method with NUL": b"G\x00T /case/{T} HTTP/1.1", "no method": b" /case/{T} HTTP/1.1", "HTTP/3.0": b"GET /case/{T} HTTP/3.0",
        "vertical tab": b"GET\x0b/case/{T} HTTP/1.1", "no target": b"GET HTTP/1.1", "space after the version": b"GET /case/{T} HTTP/1.1 ",
    }.items():
        yield Case(f"line {name}", line + b"\r\n" + HOST + b"\r\n", "refuse", "RFC 9112, 3")
    for name, line in {"HTTP/1.2": b"GET /case/{T} HTTP/1.2", "lowercase method": b"get /case/{T} HTTP/1.1", "unknown method": b"BREW /case/{T} HTTP/1.1",
                       "long method": b"X" * 300 + b" /case/{T} HTTP/1.1", "method with an underscore": b"G_T /case/{T} HTTP/1.1",
                       "TRACE": b"TRACE /case/{T} HTTP/1.1"}.items():
        yield Case(f"line {name}", line + b"\r\n" + HOST + b"\r\n")
    yield Case("HTTP/0.9", b"GET /case/{T}\r\n", "refuse")
    yield Case("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    yield Case("HTTP/1.0 with TE", head(b"Connection: keep-alive", b"Transfer-Encoding: chunked", version=b"HTTP/1.0") + CHUNKED, "refuse",
               "RFC 9112, 6.1")
    yield Case("HTTP/1.0 with CL.TE", head(b"Connection: keep-alive", b"Content-Length: 5", b"Transfer-Encoding: chunked", version=b"HTTP/1.0") +
               CHUNKED, "refuse", "RFC 9112, 6.1")
    yield Case("HTTP/1.0 with CL, kept", head(b"Connection: keep-alive", b"Content-Length: 5", version=b"HTTP/1.0") + b"hello", "pass")
    yield Case("HTTP/1.0 without Host, kept", head(b"Connection: keep-alive", method=b"GET", version=b"HTTP/1.0", host=b""), "pass")
    yield Case("HTTP/1.0, not kept", head(method=b"GET", version=b"HTTP/1.0"))


def upgrades_and_connections():
    """Upgrade, Connection and Expect."""
    h2c = (b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    for name, lines, body in (
            ("h2c", (b"Connection: Upgrade, HTTP2-Settings", *h2c), b""),
            ("H2C", (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: H2C", h2c[1]), b""),
            ("h2c among others", (b"Connection: Upgrade", b"Upgrade: foo, h2c", h2c[1]), b""),
            ("websocket, h2c", (b"Connection: Upgrade", b"Upgrade: websocket, h2c"), b""),
            ("h2c, not named by Connection", h2c, b""),
            ("h2c twice", (b"Connection: Upgrade", b"Upgrade: foo", b"Upgrade: h2c"), b""),
            ("h2c with a body", (b"Connection: Upgrade", *h2c, b"Content-Length: 5"), b"hello"),
            ("websocket without a key", (b"Connection: Upgrade", b"Upgrade: websocket"), b""),
            ("websocket with a body", (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
                                       b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"Content-Length: 5"), b"hello"),
            ("websocket of a wrong version", (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 777",
                                              b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), b""),
            ("TLS/1.0", (b"Connection: Upgrade", b"Upgrade: TLS/1.0"), b""),
            ("Connection without Upgrade", (b"Connection: upgrade",), b"")):
        yield Case(f"Upgrade {name}", head(*lines, method=b"GET") + body)
    for name, lines, body, expect in (
            ("names Content-Length", (b"Connection: Content-Length", b"Content-Length: 5"), b"hello", "any"),
            ("names Transfer-Encoding", (b"Connection: Transfer-Encoding", b"Transfer-Encoding: chunked"), CHUNKED, "any"),
            ("names Host", (b"Connection: Host", b"Content-Length: 5"), b"hello", "any"),
            ("names everything", (b"Connection: keep-alive, Content-Length, Host, Via, X-Request-Id", b"Content-Length: 5"), b"hello", "any"),
            ("names Content-Length around a request", (b"Connection: keep-alive, Content-Length", b"Content-Length: %d" % len(SMUGGLED)),
             b"{S}", "any"),
            ("names X-Forwarded-For", (b"Connection: X-Forwarded-For, X-Forwarded-Proto", b"Content-Length: 5"), b"hello", "pass"),
            ("names Expect", (b"Connection: Expect", b"Expect: 100-continue", b"Content-Length: 5"), b"hello", "any"),
            ("names itself", (b"Connection: Connection, keep-alive", b"Content-Length: 5"), b"hello", "any"),
            ("of odd tokens", (b"Connection: ,,@,(,keep-alive", b"Content-Length: 5"), b"hello", "any"),
            ("close and keep-alive", (b"Connection: close, keep-alive", b"Content-Length: 5"), b"hello", "any"),
            ("keep-alive with options", (b"Connection: keep-alive", b"Keep-Alive: timeout=1, max=1", b"Content-Length: 5"), b"hello", "pass"),
            ("as Proxy-Connection", (b"Proxy-Connection: close", b"Content-Length: 5"), b"hello", "pass")):
        yield Case(f"Connection {name}", head(*lines) + body, expect)
    for text, expect in ((b"100-continue", "pass"), (b"100-Continue", "pass"), (b"200-ok", "any"), (b"100-continue, foo", "any"), (b"", "any"),
                         (b"100-continue\x0b", "any"), (b"y 100-continue", "any")):
        yield Case(f"Expect {latin(text)}", head(b"Expect: " + text, b"Content-Length: 5") + b"hello", expect)
    yield Case("Expect without a body", head(b"Expect: 100-continue", method=b"GET"))
    yield Case("Expect with chunks", head(b"Expect: 100-continue", b"Transfer-Encoding: chunked") + CHUNKED, "pass")
    yield Case("Expect of HTTP/1.0", head(b"Expect: 100-continue", b"Connection: keep-alive", b"Content-Length: 5", version=b"HTTP/1.0") + b"hello")
    yield Case("Expect twice", head(b"Expect: 100-continue", b"Expect: 100-continue", b"Content-Length: 5") + b"hello")


def bodies_and_names():
    """Bodies of methods that seldom have one, odd header names, and a great many of them."""
    for method in (b"GET", b"DELETE", b"OPTIONS", b"PUT", b"PATCH", b"HEAD"):
        yield Case(f"{method.decode()} with a length", head(b"Content-Length: 5", method=method) + b"hello", "pass")
        yield Case(f"{method.decode()} with chunks", head(b"Transfer-Encoding: chunked", method=method) + CHUNKED, "pass")
        yield Case(f"{method.decode()} whose body is a request", head(b"Content-Length: %d" % len(SMUGGLED), method=method) + b"{S}", "pass")
    yield Case("TRACE with a body", head(b"Content-Length: 5", method=b"TRACE") + b"hello")
    yield Case("bytes after a POST without a length", head() + SMUGGLED)
    for line in (b"X(Y: z", b"X@Y: z", b"X\x7f: z", b"X\x80: z", b"X\xe4: z", b"X Y: z", b"X/Y: z", b"X\"Y: z", b"{X}: z"):
        yield Case(f"name {latin(line)}", head(line, method=b"GET"), "refuse", "RFC 9110, 5.1")
    for line in (b"X_Y: z", b"X.Y: z", b"X!Y: z", b"X-HTTP-Method-Override: DELETE", b"X_Seaworthy_User: admin", b"x-forwarded_for: 6.6.6.6",
                 b"X-Original-URL: /admin", b"CONTENT_LENGTH: 0", b"TRANSFER_ENCODING: chunked", b"HTTP_HOST: evil"):
        yield Case(f"name {latin(line)}", head(line, method=b"GET"), "pass" if line[:3] in (b"X_Y", b"X.Y", b"X!Y") else "any")
    yield Case("300 headers", head(*[b"X-%d: y" % index for index in range(300)], method=b"GET"))
    yield Case("a header of 100 KB", head(b"X: " + b"y" * 100_000, method=b"GET"))
    yield Case("a target of 100 KB", head(method=b"GET", target=b"/case/{T}?" + b"y" * 100_000))
    yield Case("three GETs", head(method=b"GET") + head(method=b"GET", target=b"/second/{T}") + head(method=b"GET", target=b"/third/{T}"), "pass")
    yield Case("POST, GET", head(b"Content-Length: 5") + b"hello" + head(method=b"GET", target=b"/second/{T}"), "pass")
    yield Case("POST in chunks, GET", head(b"Transfer-Encoding: chunked") + CHUNKED + head(method=b"GET", target=b"/second/{T}"), "pass")
    yield Case("length 0, GET", head(b"Content-Length: 0") + head(method=b"GET", target=b"/second/{T}"), "pass")
    yield Case("length too long by the marker", head(b"Content-Length: 60") + b"hello")
    yield Case("length too short", head(b"Content-Length: 3") + b"hello")


FAMILIES = {"lengths": lengths_with_chunks, "codings": transfer_codings, "content-length": content_lengths, "lines": line_ends,
            "chunks": chunks, "hosts": hosts_and_targets, "request-lines": request_lines, "connection": upgrades_and_connections,
            "bodies": bodies_and_names}


def cases():
    """All cases as (family, case); names are unique."""
    found = [(family, case) for family, make in FAMILIES.items() for case in make()]
    names = [case.name for _, case in found]
    doubles = {name for name in names if names.count(name) > 1}
    if doubles:
        raise ValueError(f"names of cases that are not unique: {sorted(doubles)}")
    return found


def fill(data, token):
    """Put the token in. It is as long as `{T}`, so that lengths stay right."""
    if len(token) != len("{T}"):
        raise ValueError(f"a token of {len(token)} characters changes the lengths")
    return data.replace(b"{S}", SMUGGLED).replace(b"{T}", token.encode())
