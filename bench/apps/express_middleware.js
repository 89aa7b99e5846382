// The same app with what teams put into it by hand: helmet, express-rate-limit, cors, compression, pino, prom-client, jsonwebtoken.
const { randomUUID } = require('node:crypto');
const compression = require('compression');
const cors = require('cors');
const express = require('express');
const { rateLimit } = require('express-rate-limit');
const helmet = require('helmet');
const jwt = require('jsonwebtoken');
const pino = require('pino-http');
const metrics = require('prom-client');

const app = express();
const rows = Array.from({ length: 12 }, (_, number) => (
  { id: number, name: `Item ${number}`, tags: ['red', 'green'], price: 9.5 + number, note: 'x'.repeat(20) }));
const seconds = new metrics.Histogram({ name: 'http_seconds', help: 'time', labelNames: ['method', 'route', 'status'] });

app.use(pino({ genReqId: () => randomUUID() }));
app.use((request, response, next) => {
  const end = seconds.startTimer();
  response.setHeader('X-Request-Id', request.id);
  response.on('finish', () => end({ method: request.method, route: request.route?.path ?? '*', status: response.statusCode }));
  next();
});
app.use(helmet());
app.use(cors({ origin: ['https://app.example.com'] }));
app.use(compression({ level: 6 }));
app.get('/health', (request, response) => response.json({ status: 'ok' }));
app.get('/metrics', async (request, response) => response.type(metrics.register.contentType).send(await metrics.register.metrics()));
app.use((request, response, next) => {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ');
  try {
    request.user = scheme === 'Bearer' && jwt.verify(token, process.env.JWT_SECRET, { algorithms: ['HS256'] }).sub;
  } catch { request.user = undefined; }
  return request.user ? next() : response.status(401).json({ error: 'sign in' });
});
app.use(rateLimit({ windowMs: 1000, limit: 1e6, standardHeaders: 'draft-8', legacyHeaders: false,
  keyGenerator: (request) => request.user }));
app.get('/api/items', (request, response) => response.json(rows));
app.listen(Number(process.env.PORT), '127.0.0.1');
