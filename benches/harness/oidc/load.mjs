// What `compare.py` asks a server, tried once and printed: `node load.mjs JOB.json` prints the request that `load` or
// `flow` of ../bare-hyper then make as fast as they can. The cookies and tokens in it come from real logins.

import { readFileSync } from 'node:fs'
import { createHash, randomBytes } from 'node:crypto'
import http from 'node:http'
import { Person } from '../../../tests/interop/lib/person.mjs'

const job = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const { settings, kind, connections } = job
const agent = new http.Agent({ keepAlive: true, maxSockets: connections })
const get = async (path) => JSON.parse((await ask('GET', settings.issuer + path)).body)
const metadata = await get('/.well-known/openid-configuration')

function ask(method, url, headers = {}, body = '') {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, agent, headers: { ...headers, 'content-length': Buffer.byteLength(body) } }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk) => (text += chunk))
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: text }))
    })
    request.on('error', reject)
    request.end(body)
  })
}

const basic = (app) => `Basic ${Buffer.from(`${encodeURIComponent(app.id)}:${encodeURIComponent(app.secret)}`).toString('base64')}`

async function form(url, app, fields) {
  return checked(posted(url, app, fields))
}

const posted = (url, app, fields) => ({
  method: 'POST', url, type: 'application/x-www-form-urlencoded',
  authorization: app.method === 'client_secret_post' ? undefined : basic(app),
  body: new URLSearchParams({ ...proof(app), ...fields }).toString(),
})

async function checked({ method, url, type, authorization, body }) {
  const answer = await ask(method, url, { ...(type && { 'content-type': type }), ...(authorization && { authorization }) }, body)
  if (answer.status !== 200) throw new Error(`${url}: ${answer.status} ${answer.body}`)
  return JSON.parse(answer.body)
}

const verifier = randomBytes(32).toString('base64url')

const authorization = (app, more) => `${metadata.authorization_endpoint}?${new URLSearchParams({
  client_id: app.id, response_type: 'code', redirect_uri: app.redirect, scope: 'openid profile email',
  code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
  state: 'state', nonce: 'nonce', ...more,
})}`

const redemption = (app) => ({ grant_type: 'authorization_code', redirect_uri: app.redirect, code_verifier: verifier })

// One code flow; the person has a session after the first.
async function flow(person, app, more) {
  const back = await person.visit(authorization(app, more), app.redirect)
  const code = back.searchParams.get('code')
  if (!code) throw new Error(`no code: ${back}`)
  return form(metadata.token_endpoint, app, { ...redemption(app), code })
}

// A client that sends its secret in the form has nothing in the head.
const proof = (app) => (app.method === 'client_secret_post' ? { client_id: app.id, client_secret: app.secret } : {})

// What is asked again and again without a change, for all kinds but the last.
async function fixed() {
  switch (kind) {
    case 'discovery': return { method: 'GET', url: `${settings.issuer}/.well-known/openid-configuration` }
    case 'jwks': return { method: 'GET', url: metadata.jwks_uri }
    case 'client_credentials':
      return posted(metadata.token_endpoint, settings.clients.service, { grant_type: 'client_credentials', scope: settings.service_scope })
    case 'introspection': {
      const { access_token: token } = await flow(new Person(settings.person, { provider: settings.provider, agent }), settings.clients.basic, {})
      return posted(metadata.introspection_endpoint, settings.clients.basic, { token })
    }
    default: throw new Error(`no such kind: ${kind}`)
  }
}

// People with a session each, and what they do again and again.
async function flows(app) {
  const cookies = []
  for (let number = 0; number < connections; number++) {
    const person = new Person(settings.person, { provider: settings.provider, agent })
    await flow(person, app, {})
    await flow(person, app, { prompt: 'none' })
    cookies.push(person.cookieHeader(new URL(settings.issuer).host))
  }
  const { url, authorization: head, body } = posted(metadata.token_endpoint, app, redemption(app))
  const path = (full) => full.slice(new URL(full).origin.length)
  return {
    address: new URL(url).host, authorize: path(authorization(app, { prompt: 'none' })), cookies,
    token: path(url), authorization: head ?? '', body: `${body}&code=`,
  }
}

async function prepare() {
  if (kind === 'authorize_token') return flows(settings.clients.post)
  if (kind === 'authorize_token_rs256') return flows(settings.clients.basic)
  const request = await fixed()
  const told = await checked(request)
  if (kind === 'introspection' && told.active !== true) throw new Error('not active')
  return request
}

console.log(JSON.stringify(await prepare()))
process.exit(0)
