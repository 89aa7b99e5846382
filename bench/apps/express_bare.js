// An Express app without middleware: a list of 12 rows, some 1.2 KB of JSON.
const app = require('express')();
const rows = Array.from({ length: 12 }, (_, number) => (
  { id: number, name: `Item ${number}`, tags: ['red', 'green'], price: 9.5 + number, note: 'x'.repeat(20) }));
app.get('/health', (request, response) => response.json({ status: 'ok' }));
app.get('/api/items', (request, response) => response.json(rows));
app.listen(Number(process.env.PORT), '127.0.0.1');
