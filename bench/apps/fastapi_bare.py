"""A FastAPI app without middleware: a list of 12 rows, some 1.2 KB of JSON."""

from fastapi import FastAPI

app = FastAPI()
ROWS = [{"id": number, "name": f"Item {number}", "tags": ["red", "green"], "price": 9.5 + number, "note": "x" * 20}
        for number in range(12)]


@app.get("/health")
async def health():
    return {"status": "ok"}


@app.get("/api/items")
async def items():
    return ROWS
