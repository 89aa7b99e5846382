export function GET(request) {
  return Response.json({ hello: "world", path: new URL(request.url).pathname, client: request.headers.get("x-forwarded-for") });
}

export async function POST(request) {
  const body = await request.arrayBuffer();
  return Response.json({ bytes: body.byteLength });
}
