// A large upload by tus-js-client, cut and resumed: node resume.mjs ENDPOINT FILE CUTS, with NODE_PATH or TUS naming the package.
import { createRequire } from "node:module";
import fs from "node:fs";
const require = createRequire(import.meta.url);
const tus = require(process.env.TUS);
const [endpoint, path, cuts] = process.argv.slice(2);
const size = fs.statSync(path).size;
let left = Number(cuts), url = null;
const run = () => new Promise((done, fail) => {
  const stopAt = left > 0 ? Math.floor(size * (Number(cuts) - left + 1) / (Number(cuts) + 1)) : Infinity;
  const upload = new tus.Upload(fs.createReadStream(path), {
    endpoint, uploadUrl: url, uploadSize: size, chunkSize: 32 << 20, retryDelays: [200, 500, 1000, 2000, 4000],
    metadata: { filename: "large.txt", filetype: "text/plain", note: "from tus-js-client" },
    onProgress: (sent) => { if (sent >= stopAt) { url = upload.url; left -= 1; upload.abort().then(() => done(false)); } },
    onError: fail,
    onSuccess: () => { url = upload.url; done(true); },
  });
  if (url) upload.url = url;
  upload.start();
});
while (!(await run())) await new Promise((wake) => setTimeout(wake, 300));
const told = await (await fetch(url)).json();
console.log(JSON.stringify({ cuts: Number(cuts) - left, ...told }));
