// npm `oauth4webapi` against an authority, every client authentication with every kind of request:
// `node oauth4webapi.mjs SETTINGS.json [CASE…]`.

import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { importJWK } from 'jose'
import { Person } from './lib/person.mjs'
import { settings, run, refuses } from './lib/cases.mjs'

const HTTP = { [oauth.allowInsecureRequests]: true }
const { clients } = settings
const SCOPE = 'openid profile email offline_access'
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code'

const issuer = new URL(settings.issuer)
const server = await oauth.discoveryRequest(issuer, HTTP).then((response) => oauth.processDiscoveryResponse(issuer, response))

async function prepare(app) {
  const client = { client_id: app.id, id_token_signed_response_alg: app.id_token_alg ?? 'RS256' }
  const proof = app.jwk
    ? oauth.PrivateKeyJwt({ key: await importJWK(app.jwk, 'ES256'), kid: app.jwk.kid })
    : !app.secret ? oauth.None()
      : app.method === 'client_secret_post' ? oauth.ClientSecretPost(app.secret) : oauth.ClientSecretBasic(app.secret)
  return { client, proof }
}

// Asks again, once, when the server wants its nonce in the proof.
async function withNonce(client, options, ask, read) {
  try {
    return await read(await ask(options))
  } catch (error) {
    if (!options.DPoP || !oauth.isDPoPNonceError(error)) throw error
    return read(await ask(options))
  }
}

async function flow(app, { par = false, dpop = false, person = new Person(settings.person), resource } = {}) {
  const { client, proof } = await prepare(app)
  const options = { ...HTTP, ...(dpop ? { DPoP: oauth.DPoP(client, await oauth.generateKeyPair('ES256')) } : {}) }
  const verifier = oauth.generateRandomCodeVerifier()
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()]
  let query = new URLSearchParams({
    client_id: app.id,
    response_type: 'code',
    redirect_uri: app.redirect,
    scope: SCOPE,
    prompt: 'consent',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    ...(resource ? { resource } : {}),
  })
  if (par) {
    const pushed = await withNonce(client, options,
      (with_) => oauth.pushedAuthorizationRequest(server, client, proof, query, with_),
      (response) => oauth.processPushedAuthorizationResponse(server, client, response))
    query = new URLSearchParams({ client_id: app.id, request_uri: pushed.request_uri })
  }
  const callback = await person.visit(`${server.authorization_endpoint}?${query}`, app.redirect)
  const parameters = oauth.validateAuthResponse(server, client, callback, state)
  const tokens = await withNonce(client, options,
    (with_) => oauth.authorizationCodeGrantRequest(server, client, proof, parameters, app.redirect, verifier, with_),
    (response) => oauth.processAuthorizationCodeResponse(server, client, response, { expectedNonce: nonce, requireIdToken: true }))
  return { client, proof, options, tokens, claims: oauth.getValidatedIdTokenClaims(tokens), parameters, verifier }
}

async function refresh({ client, proof, options }, token) {
  return withNonce(client, options,
    (with_) => oauth.refreshTokenGrantRequest(server, client, proof, token, with_),
    (response) => oauth.processRefreshTokenResponse(server, client, response))
}

async function userInfo({ client, options, claims }, token) {
  return withNonce(client, options,
    (with_) => oauth.userInfoRequest(server, client, token, with_),
    (response) => oauth.processUserInfoResponse(server, client, claims.sub, response))
}

// One row of the matrix: the login, its ID token's signature, userinfo, a refresh, and what the tokens are like.
async function checkFlow(app, kind) {
  const done = await flow(app, kind)
  assert.equal(done.tokens.token_type, kind.dpop ? 'dpop' : 'bearer')
  const header = JSON.parse(Buffer.from(done.tokens.id_token.split('.')[0], 'base64url'))
  assert.equal(header.alg, done.client.id_token_signed_response_alg)
  assert.equal((await userInfo(done, done.tokens.access_token)).sub, done.claims.sub)
  const next = await refresh(done, done.tokens.refresh_token)
  assert.equal((await userInfo(done, next.access_token)).sub, done.claims.sub)
}

const introspect = ({ client, proof }, token) =>
  oauth.introspectionRequest(server, client, proof, token, HTTP).then((response) => oauth.processIntrospectionResponse(server, client, response))
const revoke = ({ client, proof }, token) =>
  oauth.revocationRequest(server, client, proof, token, HTTP).then(oauth.processRevocationResponse)

const cases = {
  'metadata: RFC 8414 and discovery agree': async () => {
    const response = await oauth.discoveryRequest(issuer, { ...HTTP, algorithm: 'oauth2' })
    const other = await oauth.processDiscoveryResponse(issuer, response)
    for (const name of ['issuer', 'authorization_endpoint', 'token_endpoint', 'jwks_uri']) assert.equal(other[name], server[name])
  },
}

const KINDS = { plain: {}, PAR: { par: true }, DPoP: { dpop: true }, 'PAR + DPoP': { par: true, dpop: true } }
const METHODS = { none: 'public', client_secret_basic: 'basic', client_secret_post: 'post', private_key_jwt: 'jwt' }
for (const [method, name] of Object.entries(METHODS)) {
  for (const [kind, options] of Object.entries(KINDS)) {
    cases[`code, ${kind}: ${method}`] = () => checkFlow(clients[name], options)
  }
}

for (const [method, name] of Object.entries({ client_secret_basic: 'service', client_secret_post: 'service_post', private_key_jwt: 'service_jwt' })) {
  cases[`client credentials: ${method}`] = async () => {
    const { client, proof } = await prepare(clients[name])
    const response = await oauth.clientCredentialsGrantRequest(server, client, proof, { scope: settings.service_scope }, HTTP)
    const tokens = await oauth.processClientCredentialsResponse(server, client, response)
    assert.equal(tokens.token_type, 'bearer')
    const resource = JSON.parse(Buffer.from(tokens.access_token.split('.')[1], 'base64url')).aud
    const request = new Request('http://127.0.0.1/', { headers: { authorization: `Bearer ${tokens.access_token}` } })
    const claims = await oauth.validateJwtAccessToken(server, request, Array.isArray(resource) ? resource[0] : resource, HTTP)
    assert.equal(claims.client_id, client.client_id)
  }
}

for (const [method, name] of Object.entries({ client_secret_basic: 'basic', client_secret_post: 'post', private_key_jwt: 'jwt' })) {
  cases[`introspection, revocation: ${method}`] = async () => {
    const done = await flow(clients[name])
    assert.equal((await introspect(done, done.tokens.refresh_token)).active, true)
    await revoke(done, done.tokens.refresh_token)
    assert.equal((await introspect(done, done.tokens.refresh_token)).active, false)
    await refuses(refresh(done, done.tokens.refresh_token), 'invalid_grant', 400)
    await revoke(done, 'unknown')
  }
}

Object.assign(cases, {
  'revocation: none': async () => {
    const done = await flow(clients.public)
    await revoke(done, done.tokens.refresh_token)
    await refuses(refresh(done, done.tokens.refresh_token), 'invalid_grant', 400)
  },
  'code: used twice, everything it gave is dead': async () => {
    const done = await flow(clients.jwt)
    const again = await oauth.authorizationCodeGrantRequest(server, done.client, done.proof, done.parameters, clients.jwt.redirect, done.verifier, HTTP)
    await refuses(oauth.processAuthorizationCodeResponse(server, done.client, again), 'invalid_grant', 400)
    await refuses(refresh(done, done.tokens.refresh_token), 'invalid_grant', 400)
    assert.equal((await introspect(done, done.tokens.access_token)).active, false)
  },
  'DPoP: a bound access token is refused as Bearer': async () => {
    const done = await flow(clients.basic, { dpop: true })
    const response = await oauth.userInfoRequest(server, done.client, done.tokens.access_token, HTTP).catch((error) => error)
    assert.equal(response.status, 401)
  },
  'DPoP: a proof made for another key is refused': async () => {
    const done = await flow(clients.public, { dpop: true })
    done.options = { ...HTTP, DPoP: oauth.DPoP(done.client, await oauth.generateKeyPair('ES256')) }
    const refusal = await refresh(done, done.tokens.refresh_token).then(() => assert.fail('not refused'), (reason) => reason)
    assert.match(refusal.error, /^invalid_(grant|dpop_proof)$/)
  },
  'device: approved by a person': async () => {
    const { client, proof } = await prepare(clients.device)
    const response = await oauth.deviceAuthorizationRequest(server, client, proof, { scope: SCOPE }, HTTP)
    const device = await oauth.processDeviceAuthorizationResponse(server, client, response)
    await new Person(settings.person).visit(device.verification_uri_complete)
    const granted = await oauth.deviceCodeGrantRequest(server, client, proof, device.device_code, HTTP)
    const tokens = await oauth.processDeviceCodeResponse(server, client, granted)
    assert.ok(oauth.getValidatedIdTokenClaims(tokens).sub)
  },
  'device: a code nobody knows': async () => {
    const { client, proof } = await prepare(clients.device)
    const response = await oauth.deviceCodeGrantRequest(server, client, proof, 'unknown', HTTP)
    await refuses(oauth.processDeviceCodeResponse(server, client, response), 'invalid_grant', 400)
  },
  'private_key_jwt: an assertion counts once': async () => {
    const { client } = await prepare(clients.service_jwt)
    let used
    const key = await importJWK(clients.service_jwt.jwk, 'ES256')
    const once = oauth.PrivateKeyJwt({ key, kid: clients.service_jwt.jwk.kid }, {
      [oauth.modifyAssertion](_, payload) {
        used ??= payload.jti
        payload.jti = used
      },
    })
    const ask = () => oauth.clientCredentialsGrantRequest(server, client, once, { scope: settings.service_scope }, HTTP)
      .then((response) => oauth.processClientCredentialsResponse(server, client, response))
    await ask()
    await refuses(ask(), 'invalid_client')
  },
  'private_key_jwt: an audience other than the issuer is refused': async () => {
    const { client } = await prepare(clients.service_jwt)
    const key = await importJWK(clients.service_jwt.jwk, 'ES256')
    const other = oauth.PrivateKeyJwt({ key, kid: clients.service_jwt.jwk.kid }, {
      [oauth.modifyAssertion](_, payload) {
        payload.aud = 'https://elsewhere.example'
      },
    })
    const response = await oauth.clientCredentialsGrantRequest(server, client, other, { scope: settings.service_scope }, HTTP)
    await refuses(oauth.processClientCredentialsResponse(server, client, response), 'invalid_client')
  },
})
if (settings.resource) {
  cases['resource indicators: the access token is for that resource'] = async () => {
    const done = await flow(clients.basic, { resource: settings.resource })
    const payload = JSON.parse(Buffer.from(done.tokens.access_token.split('.')[1], 'base64url'))
    assert.deepEqual([payload.aud].flat(), [settings.resource])
  }
}

if (settings.registration_token) {
  const register = (metadata, initialAccessToken) => oauth.dynamicClientRegistrationRequest(server, metadata, { ...HTTP, initialAccessToken })
    .then(oauth.processDynamicClientRegistrationResponse)
  const redirect_uris = ['https://rp.example/callback']
  cases['registration: a client registers and logs a person in'] = async () => {
    const metadata = { redirect_uris, grant_types: ['authorization_code', 'refresh_token'], scope: SCOPE, token_endpoint_auth_method: 'client_secret_post', id_token_signed_response_alg: 'ES256' }
    const made = await register(metadata, settings.registration_token)
    assert.ok(made.client_secret && made.client_secret_expires_at > Date.now() / 1000)
    assert.equal(made.id_token_signed_response_alg, 'ES256')
    const app = { id: made.client_id, secret: made.client_secret, method: 'client_secret_post', id_token_alg: 'ES256', redirect: redirect_uris[0] }
    const done = await flow(app)
    assert.equal(oauth.getValidatedIdTokenClaims(done.tokens).aud, made.client_id)
  }
  cases['registration: with keys of its own'] = async () => {
    const { publicKey, privateKey } = await oauth.generateKeyPair('ES256', { extractable: true })
    const jwk = { ...(await crypto.subtle.exportKey('jwk', publicKey)), kid: 'own', use: 'sig', alg: 'ES256' }
    const metadata = { redirect_uris, grant_types: ['authorization_code', 'refresh_token'], scope: SCOPE, token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [jwk] } }
    const made = await register(metadata, settings.registration_token)
    const own = await crypto.subtle.exportKey('jwk', privateKey)
    const app = { id: made.client_id, jwk: { ...own, kid: 'own', alg: 'ES256' }, redirect: redirect_uris[0] }
    assert.ok((await flow(app)).tokens.access_token)
  }
  cases['registration: each refusal by its code'] = async () => {
    await refuses(register({ redirect_uris: ['https://elsewhere.example/'] }, settings.registration_token), 'invalid_redirect_uri', 400)
    await refuses(register({ redirect_uris, grant_types: ['implicit'] }, settings.registration_token), 'invalid_client_metadata', 400)
    await refuses(register({ redirect_uris, software_statement: 'e30.e30.' }, settings.registration_token), 'unapproved_software_statement', 400)
    await refuses(register({ redirect_uris }, 'dwt_wrong'), 'invalid_token', 401)
  }
}

await run(cases)
