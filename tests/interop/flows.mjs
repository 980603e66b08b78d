// Many whole flows, of every kind: `node flows.mjs SETTINGS.json NUMBER SECRETS.json` writes every secret that a client
// or a browser saw, so that a test can look for them where they must not be.

import { readFileSync, writeFileSync } from 'node:fs'
import { createHash, randomBytes } from 'node:crypto'
import http from 'node:http'
import { Person } from './lib/person.mjs'

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const number = Number(process.argv[3])
const secrets = { code: new Set(), access_token: new Set(), refresh_token: new Set(), id_token: new Set(), cookie: new Set(),
  client_secret: new Set(), device_code: new Set(), user_code: new Set(), request_uri: new Set(), code_verifier: new Set() }
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code'
const agent = new http.Agent({ keepAlive: true })

const metadata = await fetch(`${settings.issuer}/.well-known/openid-configuration`).then((response) => response.json())

async function post(url, app, fields) {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  const form = new URLSearchParams({ ...fields, client_id: app.id })
  if (app.secret && app.method === 'client_secret_post') form.set('client_secret', app.secret)
  else if (app.secret) headers.authorization = `Basic ${Buffer.from(`${app.id}:${app.secret}`).toString('base64')}`
  if (app.secret) secrets.client_secret.add(app.secret)
  const response = await fetch(url, { method: 'POST', headers, body: form })
  const body = await response.text()
  if (response.status >= 300) throw new Error(`${url}: ${response.status} ${body}`)
  return body ? JSON.parse(body) : {}
}

function note(answer) {
  for (const name of ['access_token', 'refresh_token', 'id_token']) if (answer[name]) secrets[name].add(answer[name])
  return answer
}

async function flow(index) {
  const { basic, post: second, public: native, device } = settings.clients
  const person = new Person(`person-${index % 10}`, { provider: settings.provider, agent })
  if (index % 5 === 4) {
    const asked = await post(metadata.device_authorization_endpoint, device, { scope: 'openid profile' })
    secrets.device_code.add(asked.device_code)
    secrets.user_code.add(asked.user_code)
    await person.visit(asked.verification_uri_complete)
    note(await post(metadata.token_endpoint, device, { grant_type: DEVICE, device_code: asked.device_code }))
  } else {
    const app = [basic, second, native, basic][index % 5]
    const verifier = randomBytes(32).toString('base64url')
    secrets.code_verifier.add(verifier)
    let query = {
      response_type: 'code', redirect_uri: app.redirect, scope: 'openid profile email offline_access', prompt: 'consent',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256', state: `s${index}`, nonce: `n${index}`,
    }
    if (index % 5 === 3) {
      const pushed = await post(metadata.pushed_authorization_request_endpoint, app, query)
      secrets.request_uri.add(pushed.request_uri)
      query = { request_uri: pushed.request_uri }
    }
    const back = await person.visit(`${metadata.authorization_endpoint}?${new URLSearchParams({ ...query, client_id: app.id })}`, app.redirect)
    const code = back.searchParams.get('code')
    if (!code) throw new Error(`no code: ${back}`)
    secrets.code.add(code)
    // A code that is never redeemed stays a row.
    if (index % 10 !== 0) {
      let tokens = note(await post(metadata.token_endpoint, app, { grant_type: 'authorization_code', code, redirect_uri: app.redirect, code_verifier: verifier }))
      tokens = note(await post(metadata.token_endpoint, app, { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }))
      await fetch(metadata.userinfo_endpoint, { headers: { authorization: `Bearer ${tokens.access_token}` } })
      if (index % 7 === 0) await post(metadata.revocation_endpoint, app, { token: tokens.refresh_token })
      // A refusal must not tell the log what was refused.
      await post(metadata.token_endpoint, app, { grant_type: 'authorization_code', code, redirect_uri: app.redirect, code_verifier: verifier }).catch(() => {})
    }
  }
  for (const value of person.cookieValues(new URL(settings.issuer).host)) secrets.cookie.add(value)
}

for (let index = 0; index < number; index += 4) {
  await Promise.all([0, 1, 2, 3].map((more) => index + more).filter((each) => each < number).map(flow))
}
writeFileSync(process.argv[4], JSON.stringify(Object.fromEntries(Object.entries(secrets).map(([kind, values]) => [kind, [...values]]))))
process.exit(0)
