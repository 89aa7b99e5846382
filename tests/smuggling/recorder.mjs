// The same app as recorder.py for Node: writes down each request that it received whole, and answers what it saw.
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";

const [port, file] = process.argv.slice(2);

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("error", () => {});
  request.on("end", () => {
    const headers = [];
    for (let index = 0; index < request.rawHeaders.length; index += 2) {
      headers.push([request.rawHeaders[index], request.rawHeaders[index + 1]]);
    }
    const entry = {
      method: request.method,
      target: request.url,
      headers,
      body: Buffer.concat(parts).toString("latin1"),
      connection: `${request.socket.remoteAddress}:${request.socket.remotePort}`,
    };
    appendFileSync(file, JSON.stringify(entry) + "\n");
    const text = JSON.stringify({ method: entry.method, target: entry.target, length: entry.body.length });
    response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
    response.end(text);
  });
});
server.keepAliveTimeout = 60_000;
server.listen(Number(port), "127.0.0.1");
