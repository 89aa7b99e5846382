// Sends a token, waits to be told (POST) that it arrived, and sends the next: a proxy that buffers never gets a second one.
export const dynamic = "force-dynamic";

const state = (globalThis.seaworthyStream ??= { acknowledge: null, cancelled: 0 });

export function GET() {
  let number = 0;
  const encoder = new TextEncoder();
  const stream = new ReadableStream({
    async pull(controller) {
      if (number > 0) await new Promise((resolve) => (state.acknowledge = resolve));
      controller.enqueue(encoder.encode(`data: token ${number}\n\n`));
      number += 1;
      if (number === 5) controller.close();
    },
    cancel() {
      state.cancelled += 1;
    },
  }, { highWaterMark: 0 });
  return new Response(stream, { headers: { "content-type": "text/event-stream", "cache-control": "no-store" } });
}

export function POST() {
  state.acknowledge?.();
  return Response.json({ cancelled: state.cancelled });
}
