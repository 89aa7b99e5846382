// What pages do with tus-js-client, one thing after the other: node clients.mjs ENDPOINT, with TUS naming the package.
import { createRequire } from "node:module";
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
const require = createRequire(import.meta.url);
const tus = require(process.env.TUS);
const endpoint = process.argv[2];
const content = Buffer.from("abcdefghij".repeat(30_000));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "tus-"));
const urls = new tus.FileUrlStorage(path.join(folder, "urls.json"));
const metadata = { filename: "a.txt", filetype: "text/plain", note: "grüße" };
const plain = { endpoint, metadata, urlStorage: urls, retryDelays: null, fingerprint: async () => "one" };

/** An upload to its end, or until so many bytes were taken. */
const run = ({ anew, ...options }, until = Infinity, source = content) => new Promise((done, fail) => {
  const upload = new tus.Upload(source, {
    ...plain, ...options, onError: fail,
    onSuccess: () => done({ upload, whole: true }),
    onChunkComplete: (_, taken) => { if (taken >= until) upload.abort().then(() => done({ upload, whole: false })); },
  });
  upload.findPreviousUploads().then(([last]) => {
    if (last && !anew) upload.resumeFromPreviousUpload(last);
    upload.start();
  }, fail);
});
const told = async (upload) => (await fetch(upload.url)).json();
const stored = async () => (await urls.findAllUploads()).length;
const refusal = async (promise) => {
  const error = await promise.then(() => assert.fail("it was taken"), (error) => error);
  return { status: error.originalResponse?.getStatus(), body: JSON.parse(error.originalResponse?.getBody() || "{}") };
};

const cases = {
  async "cut, found again and gone on with, and forgotten when it is done"() {
    const first = await run({ chunkSize: 100_000 }, 100_000);
    assert.equal(await stored(), 1);
    const second = await run({ chunkSize: 100_000, removeFingerprintOnSuccess: true });
    assert.equal(second.upload.url, first.upload.url);
    // It does not wait for that itself.
    while (await stored() > 0) await new Promise((wake) => setTimeout(wake, 10));
    const app = await told(second.upload);
    assert.equal(app.length, content.length);
    assert.equal(app.fields.note, "grüße");
  },
  async "with its creation"() {
    const { upload } = await run({ uploadDataDuringCreation: true, anew: true });
    assert.equal((await told(upload)).length, content.length);
  },
  async "by methods that pass everywhere"() {
    const { upload } = await run({ overridePatchMethod: true, chunkSize: 100_000, anew: true });
    assert.equal((await told(upload)).length, content.length);
  },
  async "ended"() {
    const { upload } = await run({ chunkSize: 100_000, anew: true }, 100_000);
    await tus.Upload.terminate(upload.url, { retryDelays: null });
    const head = await fetch(upload.url, { method: "HEAD", headers: { "tus-resumable": "1.0.0" } });
    assert.equal(head.status, 404);
  },
  async "begun anew when what was begun is gone"() {
    const { upload } = await run({ chunkSize: 100_000 }, 100_000);
    await tus.Upload.terminate(upload.url, { retryDelays: null });
    const second = await run({ chunkSize: 100_000, removeFingerprintOnSuccess: true });
    assert.notEqual(second.upload.url, upload.url);
    assert.equal((await told(second.upload)).length, content.length);
  },
  async "an empty file"() {
    const { upload } = await run({ anew: true }, Infinity, Buffer.alloc(0));
    assert.equal((await told(upload)).length, 0);
  },
  async "in parallel pieces, which are not offered"() {
    const said = await refusal(run({ parallelUploads: 2, anew: true }));
    assert.equal(said.status, 400);
    assert.match(said.body.detail, /parallelUploads/);
  },
  async "of unknown length, which is not offered"() {
    const said = await refusal(run({ uploadLengthDeferred: true, anew: true, chunkSize: 1000 }));
    assert.equal(said.status, 400);
    assert.match(said.body.detail, /Upload-Length/);
  },
  async "of a kind that is not taken"() {
    const said = await refusal(run({ metadata: { filename: "a.exe" }, anew: true }));
    assert.equal(said.status, 415);
    assert.equal(said.body.code, "SEA_UPLOADS_TYPE");
  },
};
let failed = 0;
for (const [name, check] of Object.entries(cases)) {
  try { await check(); console.log(`ok    ${name}`); } catch (error) { failed += 1; console.log(`FAIL  ${name}: ${error.message}`); }
  fs.rmSync(path.join(folder, "urls.json"), { force: true });
}
fs.rmSync(folder, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
