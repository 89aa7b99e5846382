// RFC 9111 by somebody else's tests: the npm package http-cache-tests (https://cache-tests.fyi), with Seaworthy as the
// reverse proxy between its client and its origin server.
//
//   npm install --prefix target/test-cache http-cache-tests
//   node tests/cache/http_cache_tests.mjs [--binary PATH] [--id TEST,…] [--control] [--disk] [--all] [--alone PATH] [--at-once N]
//
// Exit status 0: at least 150 of the tests that the package marks as required pass, and each of the others is explained
// below. 1: fewer, or a failure that is not explained, or an explained one that passes. 2: something is missing. With
// --disk the memory is so small that most answers come from the disk below it; one that memory gives up before it is
// written is asked of the app again, so that an optional test may now and then differ. With
// --control the cache is off: then nothing that must come from a cache can pass, and the run must find that out. --alone
// takes the example `caching_proxy` of crates/cache in place of the binary, for who works on the cache.

import { spawn } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { createRequire } from 'node:module'
import { parseArgs } from 'node:util'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')
const suite = path.join(root, 'target/test-cache/node_modules/http-cache-tests')
const MUST_PASS = 150

// Required by the package, and not passed: why.
const NO_ANSWER = 'the origin closes the connection, and the test takes our own 502, which has none of its headers, for a stored answer; no proxy can pass it'
const SURROGATE = 'Surrogate-Control was never a standard; RFC 9213 has CDN-Cache-Control in its place, and that is what we read'
const EXPLAINED = {
  'stale-close-must-revalidate': NO_ANSWER,
  'stale-close-proxy-revalidate': NO_ANSWER,
  'stale-close-no-cache': NO_ANSWER,
  'stale-close-s-maxage=2': NO_ANSWER,
  'surrogate-max-age-0-expires': SURROGATE,
  'surrogate-max-age-long-cc-max-age': SURROGATE,
  'surrogate-no-store-cc-fresh': SURROGATE,
  'surrogate-fresh-cc-nostore': SURROGATE,
  'age-parse-prefix': 'an Age that is a list is not trusted; the package asks for that in five other tests (`0, 0`)'
}

const { values: options } = parseArgs({
  options: {
    binary: { type: 'string', default: path.join(root, 'target/release/seaworthy') },
    alone: { type: 'string' },
    'at-once': { type: 'string', default: '8' },
    id: { type: 'string' },
    control: { type: 'boolean', default: false },
    disk: { type: 'boolean', default: false },
    all: { type: 'boolean', default: false }
  }
})

function missing (what) {
  console.error(what)
  process.exit(2)
}

if (options.alone !== undefined) options.binary = path.resolve(options.alone)
if (!fs.existsSync(options.binary)) missing(`${options.binary} is missing: cargo build --release, or name one with --binary`)
if (!fs.existsSync(suite)) missing('http-cache-tests is missing: npm install --prefix target/test-cache http-cache-tests')

const load = name => import(pathToFileURL(path.join(suite, name)))

function freePort () {
  return new Promise((resolve, reject) => {
    const server = net.createServer().on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

async function listening (port, child) {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) break
    const open = await new Promise(resolve => {
      const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true) })
      socket.on('error', () => resolve(false))
    })
    if (open) return
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  throw new Error('the origin server of the package did not start')
}

function origin (port, folder) {
  const environment = { ...process.env, npm_config_protocol: 'http', npm_config_port: String(port), npm_config_pidfile: path.join(folder, 'origin.pid') }
  return spawn(process.execPath, ['--no-warnings', 'server/server.mjs'], { cwd: suite, env: environment, stdio: ['ignore', 'ignore', 'inherit'] })
}

// So little memory that most of what is given comes from the disk.
const DISK = 'memory = "24KiB"\nlargest = "12KiB"\ndisk = "64MiB"\n'

// A shared cache that does what the headers say; `share_set_cookie` because two of the tests store Set-Cookie. The origin
// breaks connections off on purpose, several tests in a row, and is to be asked again all the same: no ejection.
function configuration (port) {
  const policy = options.control ? 'false' : '{ share_set_cookie = true }'
  return `[app]\nto = "http://127.0.0.1:${port}"\n[edge]\nerrors = "pass"\n[edge.balance]\neject_after = 0\n[protection.headers]\nenabled = false\n[cache]\npolicy = ${policy}\n${options.disk ? DISK : ''}`
}

function seaworthy (folder, port) {
  const run = ['run', '--json', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--access-log', 'off']
  const child = spawn(options.binary, options.alone === undefined ? run : [`127.0.0.1:${port}`], {
    cwd: folder, stdio: ['ignore', 'pipe', fs.openSync(path.join(folder, 'seaworthy.log'), 'w')]
  })
  const url = new Promise((resolve, reject) => {
    let text = ''
    child.stdout.on('data', data => {
      text += data
      if (text.includes('\n')) resolve(`http://${JSON.parse(text.split('\n')[0]).listen}`)
    })
    child.on('exit', () => reject(new Error(`seaworthy ended: ${fs.readFileSync(path.join(folder, 'seaworthy.log'))}`)))
  })
  return { child, url }
}

async function results (base) {
  const tests = (await load('tests/index.mjs')).default.concat((await load('tests/surrogate-control.mjs')).default)
  const fetch = createRequire(path.join(suite, 'package.json'))('node-fetch')
  const { runTests, getResults } = await load('client/runner.mjs')
  const wanted = options.id === undefined
    ? tests
    : tests.map(one => ({ ...one, tests: one.tests.filter(test => options.id.split(',').includes(test.id)) }))
  // Fewer at once than the package's own runner has: some answers stay fresh for two seconds, also on a busy machine.
  await runTests(wanted, fetch, false, base, Number(options['at-once']))
  const kinds = new Map(tests.flatMap(one => one.tests).map(test => [test.id, test.kind ?? 'required']))
  return Object.entries(getResults()).map(([id, result]) => ({ id, kind: kinds.get(id), result }))
}

function judge (found) {
  const words = result => result === true ? 'passed' : result.join(': ')
  for (const kind of ['required', 'optimal', 'check']) {
    const those = found.filter(one => one.kind === kind)
    console.log(`${kind}: ${those.filter(one => one.result === true).length} of ${those.length}`)
    if (options.all || options.id) for (const one of those) console.log(`  ${one.id}: ${words(one.result)}`)
  }
  const required = found.filter(one => one.kind === 'required')
  const passed = required.filter(one => one.result === true)
  const failed = required.filter(one => one.result !== true)
  for (const one of failed) console.log(`  not passed: ${one.id}: ${words(one.result)}${EXPLAINED[one.id] ? ` (${EXPLAINED[one.id]})` : ''}`)
  const wrong = [
    ...failed.filter(one => !EXPLAINED[one.id]).map(one => `not explained: ${one.id}`),
    ...passed.filter(one => EXPLAINED[one.id]).map(one => `explained, and passes: ${one.id}`)
  ]
  if (passed.length < MUST_PASS) wrong.push(`${passed.length} required tests pass, fewer than ${MUST_PASS}`)
  return wrong
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'http-cache-tests-'))
const port = await freePort()
const server = origin(port, folder)
let proxy
let status = 1
try {
  await listening(port, server)
  fs.writeFileSync(path.join(folder, 'seaworthy.toml'), configuration(port))
  proxy = seaworthy(folder, port)
  const wrong = judge(await results(await proxy.url))
  for (const one of options.id ? [] : wrong) console.log(`  ${one}`)
  const found = wrong.length > 0
  if (options.control) console.log(found ? 'control: found out' : 'control: a proxy without a cache was not found out')
  status = (options.id || found === options.control) ? 0 : 1
} finally {
  proxy?.child.removeAllListeners('exit')
  proxy?.child.kill('SIGTERM')
  server.kill('SIGTERM')
  fs.rmSync(folder, { recursive: true, force: true })
}
process.exit(status)
