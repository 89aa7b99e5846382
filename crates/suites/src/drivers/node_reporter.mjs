// A reporter for `node --test`: one line of JSON for each test that ended.
import path from 'node:path';

export default async function* report(source) {
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const suite = data.details?.type === 'suite';
    // A file without tests is reported as a test that passed.
    const isFile = data.file && (data.name === data.file || path.resolve(data.name) === data.file);
    if ((suite || isFile) && type === 'test:pass') continue;
    const failedBelow = data.details?.error?.failureType === 'subtestsFailed';
    if (type === 'test:fail' && failedBelow) continue;
    const skipped = data.skip !== undefined || data.todo !== undefined;
    const state = skipped ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed';
    const error = data.details?.error;
    const detail = String(error?.cause?.stack ?? error?.cause ?? error?.message ?? '').slice(-2000);
    const file = data.file ? path.relative(process.cwd(), data.file) : null;
    yield JSON.stringify({ name: data.name, file, state, detail }) + '\n';
  }
}
