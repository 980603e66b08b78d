// One kind of request, again and again, at a server that `compare.py` measures: `node load.mjs JOB.json` prints
// {"count": N} when its time is over. Answers are checked; a wrong one ends the run.

import { readFileSync } from 'node:fs'
import { createHash, randomBytes } from 'node:crypto'
import http from 'node:http'
import { Person } from '../../../tests/interop/lib/person.mjs'

const job = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const { settings, kind, seconds, connections } = job
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
  const answer = await ask('POST', url, { 'content-type': 'application/x-www-form-urlencoded', authorization: basic(app) }, new URLSearchParams(fields).toString())
  if (answer.status !== 200) throw new Error(`${url}: ${answer.status} ${answer.body}`)
  return JSON.parse(answer.body)
}

// One code flow; the person has a session after the first.
async function flow(person, more) {
  const app = settings.clients.basic
  const verifier = randomBytes(32).toString('base64url')
  const query = new URLSearchParams({
    client_id: app.id, response_type: 'code', redirect_uri: app.redirect, scope: 'openid profile email',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
    state: 'state', nonce: 'nonce', ...more,
  })
  const back = await person.visit(`${metadata.authorization_endpoint}?${query}`, app.redirect)
  const code = back.searchParams.get('code')
  if (!code) throw new Error(`no code: ${back}`)
  return form(metadata.token_endpoint, app, { grant_type: 'authorization_code', code, redirect_uri: app.redirect, code_verifier: verifier })
}

async function prepare() {
  const expect = (answer) => {
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`)
  }
  switch (kind) {
    case 'discovery': return async () => expect(await ask('GET', `${settings.issuer}/.well-known/openid-configuration`))
    case 'jwks': return async () => expect(await ask('GET', metadata.jwks_uri))
    case 'client_credentials': {
      const fields = { grant_type: 'client_credentials', scope: settings.service_scope }
      return () => form(metadata.token_endpoint, settings.clients.service, fields)
    }
    case 'introspection': {
      const { access_token: token } = await flow(new Person(settings.person, { provider: settings.provider, agent }), {})
      return async () => {
        const told = await form(metadata.introspection_endpoint, settings.clients.basic, { token })
        if (told.active !== true) throw new Error('not active')
      }
    }
    case 'authorize_token': {
      const people = []
      for (let number = 0; number < connections; number++) {
        const person = new Person(settings.person, { provider: settings.provider, agent })
        await flow(person, {})
        people.push(person)
      }
      return (worker) => flow(people[worker], { prompt: 'none' })
    }
    default: throw new Error(`no such kind: ${kind}`)
  }
}

const once = await prepare()
for (let warm = 0; warm < 20; warm++) await once(0)
// The server's CPU is read between this line and the last one.
console.log('ready')
await new Promise((resolve) => process.stdin.once('data', resolve))
const end = performance.now() + seconds * 1000
let count = 0
await Promise.all(Array.from({ length: connections }, async (_, worker) => {
  while (performance.now() < end) {
    await once(worker)
    count++
  }
}))
console.log(JSON.stringify({ count }))
process.exit(0)
