// Tokens by jose: `issue.mjs FOLDER` writes keys there and prints tokens with what must become of them. As issue.py, with
// another library. JOSE is the folder of the npm package jose.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

const { SignJWT, UnsecuredJWT, exportJWK, exportSPKI, generateKeyPair } = await import(join(process.env.JOSE, 'dist/webapi/index.js'))
const folder = process.argv[2]
const secret = 'a shared secret that is longer than thirty-two bytes'
const pairs = {}
for (const algorithm of ['RS256', 'ES256', 'EdDSA']) pairs[algorithm] = await generateKeyPair(algorithm, { extractable: true })

writeFileSync(join(folder, 'HS256'), secret)
const keys = []
for (const [algorithm, pair] of Object.entries(pairs)) {
  writeFileSync(join(folder, algorithm), await exportSPKI(pair.publicKey))
  keys.push({ ...(await exportJWK(pair.publicKey)), kid: `first-${algorithm}`, use: 'sig', alg: algorithm })
}
writeFileSync(join(folder, 'jwks.json'), JSON.stringify({ keys }))

const claims = { tenant: 'acme', roles: ['editor', 'a,b'], scope: 'read write' }
const sign = (algorithm, change = (token) => token, header = {}, key = pairs[algorithm]?.privateKey ?? new TextEncoder().encode(secret)) =>
  change(new SignJWT(claims).setSubject('u-7').setIssuer('https://id.test').setAudience('app').setExpirationTime('10m'))
    .setProtectedHeader({ alg: algorithm, ...header })
    .sign(key)
const stranger = await generateKeyPair('ES256')
const tokens = []
const add = (name, token, right = false) => tokens.push({ name, token, right })
for (const algorithm of ['HS256', 'RS256', 'ES256', 'EdDSA']) {
  add(algorithm, await sign(algorithm), true)
  add(`${algorithm} with the name of its key`, await sign(algorithm, undefined, { kid: `first-${algorithm}`, typ: 'at+jwt' }), true)
}
add('no algorithm', new UnsecuredJWT(claims).setSubject('u-7').setIssuer('https://id.test').setAudience('app').setExpirationTime('10m').encode())
add('expired', await sign('ES256', (token) => token.setExpirationTime('1 hour ago')))
add('not yet', await sign('ES256', (token) => token.setNotBefore('1 hour from now')))
add('another issuer', await sign('EdDSA', (token) => token.setIssuer('https://other.test')))
add('another audience', await sign('RS256', (token) => token.setAudience(['other'])))
add('a stranger', await sign('ES256', undefined, { kid: 'first-ES256' }, stranger.privateKey))
console.log(JSON.stringify(tokens))
