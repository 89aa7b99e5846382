"""A WebSocket app: a chat room, as a first version is written (FastAPI; `uvicorn app:app`).

/ws sends every message to everyone in the room; GET /status tells how many are in it and how many left without a close.
"""

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()
room: set[WebSocket] = set()
counts = {"abrupt": 0, "closed": 0}


@app.get("/health")
async def health():
    """For the supervisor."""
    return {"status": "ok"}


@app.websocket("/ws")
async def chat(socket: WebSocket):
    """Join, talk, leave."""
    await socket.accept(subprotocol="chat" if "chat" in socket.scope["subprotocols"] else None)
    room.add(socket)
    await socket.send_json({"client": socket.headers.get("x-forwarded-for"), "scheme": socket.url.scheme})
    try:
        while True:
            text = await socket.receive_text()
            for other in list(room):
                await other.send_text(text)
    except WebSocketDisconnect as error:
        counts["abrupt" if error.code == 1006 else "closed"] += 1
    finally:
        room.discard(socket)


@app.get("/status")
async def status():
    """Who is there."""
    return {"room": len(room), **counts}
