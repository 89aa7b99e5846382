"""The app behind gunicorn and uvicorn: writes down each request that it received whole, and answers what it saw.

RECORD names the file, one JSON line a request: method, target, headers, body (Latin-1), connection.
"""

import json
import os


def record(entry):
    """Append a line; one write, so that processes do not mix."""
    with open(os.environ["RECORD"], "ab", buffering=0) as file:
        file.write(json.dumps(entry).encode() + b"\n")


def answer(entry):
    """What the client gets: enough to see whose answer it is."""
    return json.dumps({"method": entry["method"], "target": entry["target"], "length": len(entry["body"])}).encode()


def wsgi(environ, start_response):
    """For gunicorn."""
    headers = [[name[5:], value] for name, value in environ.items() if name.startswith("HTTP_")]
    body = environ["wsgi.input"].read()
    entry = {"method": environ["REQUEST_METHOD"], "target": environ["RAW_URI"], "headers": headers, "body": body.decode("latin-1"),
             "connection": f"{environ.get('REMOTE_ADDR')}:{environ.get('REMOTE_PORT')}"}
    record(entry)
    text = answer(entry)
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
    return [text]


async def asgi(scope, receive, send):
    """For uvicorn."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    query = scope.get("query_string", b"")
    entry = {"method": scope.get("method", "GET"), "target": (scope["raw_path"] + (b"?" + query if query else b"")).decode("latin-1"),
             "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
             "body": "", "connection": ":".join(map(str, scope.get("client") or ()))}
    if scope["type"] == "websocket":
        record(entry)
        await send({"type": "websocket.close"})
        return
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message.get("body", b""), message.get("more_body", False)
    entry["body"] = body.decode("latin-1")
    record(entry)
    text = answer(entry)
    await send({"type": "http.response.start", "status": 200, "headers": [
        (b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]})
    await send({"type": "http.response.body", "body": text})
