#!/usr/bin/env python3
"""A relay that holds answers back until 64 KB or the end: the control of the streaming checks, which must find it out.

Usage: buffering.py PORT APP_PORT
"""

import asyncio
import sys

HELD_BYTES = 1 << 16


async def answers(reader, writer):
    """App to client, in large pieces."""
    held = b""
    while part := await reader.read(HELD_BYTES):
        held += part
        head, found, body = held.partition(b"\r\n\r\n")
        whole = found and (b"chunked" not in head.lower() or body.endswith(b"0\r\n\r\n"))
        if whole or len(held) >= HELD_BYTES:
            writer.write(held)
            await writer.drain()
            held = b""
    writer.write(held)


async def requests(reader, writer):
    """Client to app, at once."""
    while part := await reader.read(HELD_BYTES):
        writer.write(part)
        await writer.drain()


async def serve(reader, writer, to):
    """One connection."""
    inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", to)
    ways = [asyncio.create_task(requests(reader, inner_writer)), asyncio.create_task(answers(inner_reader, writer))]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    for way in ways:
        way.cancel()
    await asyncio.gather(*ways, return_exceptions=True)
    for end in (inner_writer, writer):
        end.close()


async def main(port, to):
    """Serve until the process ends."""
    server = await asyncio.start_server(lambda reader, writer: serve(reader, writer, to), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
