"""An app that streams tokens, as server-sent events and as chunked NDJSON (FastAPI; `uvicorn app:app`).

After each token it waits until the client has acknowledged it by POST /acknowledge?run=…, so that whoever buffers never
gets a second one. GET /status tells how many streams are open and how many their clients have left.
"""

import asyncio
import json

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
acknowledged: dict[str, asyncio.Semaphore] = {}
counts = {"open": 0, "finished": 0, "cancelled": 0}


async def tokens(run: str, count: int, line):
    """Yield tokens, each after the one before was acknowledged."""
    gate = acknowledged.setdefault(run, asyncio.Semaphore(0))
    counts["open"] += 1
    finished = False
    try:
        for number in range(count):
            yield line(number)
            await gate.acquire()
        finished = True
    finally:
        counts["open"] -= 1
        counts["finished" if finished else "cancelled"] += 1
        acknowledged.pop(run, None)


@app.get("/health")
async def health():
    """For the supervisor."""
    return {"status": "ok"}


@app.get("/sse")
async def events(run: str, count: int = 5):
    """Server-sent events."""
    return StreamingResponse(tokens(run, count, lambda number: f"id: {number}\ndata: token {number}\n\n"), media_type="text/event-stream",
                             headers={"cache-control": "no-store"})


@app.get("/ndjson")
async def lines(run: str, count: int = 5):
    """One JSON object a line, in chunks."""
    return StreamingResponse(tokens(run, count, lambda number: json.dumps({"token": number}) + "\n"), media_type="application/x-ndjson")


@app.post("/acknowledge")
async def acknowledge(run: str):
    """The client has the last token."""
    gate = acknowledged.get(run)
    if gate:
        gate.release()
    return {"known": gate is not None}


@app.get("/status")
async def status():
    """What became of the streams."""
    return counts
