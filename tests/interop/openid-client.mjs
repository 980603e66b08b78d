// npm `openid-client` against an authority: `node openid-client.mjs SETTINGS.json [CASE…]`.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import * as client from 'openid-client'
import { importJWK } from 'jose'
import { Person } from './lib/person.mjs'
import { settings, run, refuses } from './lib/cases.mjs'

const issuer = new URL(settings.issuer)
const { clients } = settings
const SCOPE = 'openid profile email offline_access'

async function authentication(app) {
  if (app.jwk) return client.PrivateKeyJwt({ key: await importJWK(app.jwk, 'ES256'), kid: app.jwk.kid })
  if (!app.secret) return client.None()
  return app.method === 'client_secret_post' ? client.ClientSecretPost(app.secret) : client.ClientSecretBasic(app.secret)
}

async function discover(app) {
  return client.discovery(issuer, app.id, { id_token_signed_response_alg: app.id_token_alg ?? 'RS256' }, await authentication(app), {
    execute: [client.allowInsecureRequests],
  })
}

// Sends a person through the authorization endpoint; gives what the token request needs.
async function authorize(config, app, { person = new Person(settings.person), par = false, DPoP, ...parameters } = {}) {
  const verifier = client.randomPKCECodeVerifier()
  const checks = {
    pkceCodeVerifier: verifier,
    expectedState: client.randomState(),
    expectedNonce: client.randomNonce(),
    idTokenExpected: true,
    ...(parameters.max_age !== undefined ? { maxAge: Number(parameters.max_age) } : {}),
  }
  const query = {
    redirect_uri: app.redirect,
    scope: SCOPE,
    prompt: 'consent',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state: checks.expectedState,
    nonce: checks.expectedNonce,
    ...parameters,
  }
  if (query.prompt === undefined) delete query.prompt
  const url = par
    ? await client.buildAuthorizationUrlWithPAR(config, query, { DPoP })
    : client.buildAuthorizationUrl(config, DPoP ? { ...query, dpop_jkt: await DPoP.calculateThumbprint() } : query)
  const callback = await person.visit(url.href, app.redirect)
  return { callback, checks, person }
}

// The whole login: gives the tokens.
async function login(app, { token, ...options } = {}) {
  const config = options.config ?? await discover(app)
  delete options.config
  const { callback, checks, person } = await authorize(config, app, options)
  assert.equal(callback.searchParams.get('iss'), config.serverMetadata().issuer)
  const tokens = await client.authorizationCodeGrant(config, callback, checks, token, { DPoP: options.DPoP })
  return { config, tokens, callback, checks, person, claims: tokens.claims() }
}

async function checkLogin(app, options = {}) {
  const { config, tokens, claims } = await login(app, options)
  assert.equal(claims.iss, settings.issuer)
  assert.equal(claims.aud, app.id)
  assert.ok(tokens.access_token && tokens.refresh_token && tokens.expires_in > 0)
  const info = await client.fetchUserInfo(config, tokens.access_token, claims.sub, { DPoP: options.DPoP })
  assert.equal(info.sub, claims.sub)
  assert.ok(info.name, 'the scope profile gives a name')
  const next = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP: options.DPoP })
  assert.ok(next.access_token)
  assert.equal((await client.fetchUserInfo(config, next.access_token, claims.sub, { DPoP: options.DPoP })).sub, claims.sub)
  return { config, tokens, claims, next }
}

const dead = (config, token, subject) =>
  assert.rejects(client.fetchUserInfo(config, token, subject), (error) =>
    error.code === 'OAUTH_WWW_AUTHENTICATE_CHALLENGE' && error.status === 401 && error.cause[0].parameters.error === 'invalid_token')

// Clients that register themselves, where the settings hold an initial access token.
const WEB = 'https://rp.example/callback'
const registering = { execute: [client.allowInsecureRequests], initialAccessToken: settings.registration_token }
const registration = {
  'registration: a client that registered logs a person in': async () => {
    for (const method of ['client_secret_basic', 'client_secret_post', 'none']) {
      const metadata = { client_name: 'Registered', redirect_uris: [WEB], grant_types: ['authorization_code', 'refresh_token'], scope: SCOPE, token_endpoint_auth_method: method }
      const authentication = { client_secret_basic: client.ClientSecretBasic(), client_secret_post: client.ClientSecretPost(), none: client.None() }[method]
      const config = await client.dynamicClientRegistration(issuer, metadata, authentication, registering)
      const made = config.clientMetadata()
      assert.equal(made.token_endpoint_auth_method, method)
      const app = { id: made.client_id, redirect: WEB }
      const { tokens, claims, person } = await login(app, { config })
      assert.equal(claims.aud, made.client_id)
      assert.ok(person.pages.some((page) => String(page.url).includes('/consent')), 'the person is asked')
      assert.ok((await client.refreshTokenGrant(config, tokens.refresh_token)).access_token)
    }
  },
  'registration: it looks after itself and goes': async () => {
    const metadata = { redirect_uris: [WEB], scope: 'openid' }
    const config = await client.dynamicClientRegistration(issuer, metadata, undefined, registering)
    const made = config.clientMetadata()
    const manage = (method, token, body) => fetch(made.registration_client_uri, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body ? { 'content-type': 'application/json' } : {}) },
      body: body && JSON.stringify(body),
    })
    const shown = await (await manage('GET', made.registration_access_token)).json()
    assert.deepEqual(shown.redirect_uris, [WEB])
    const changed = await manage('PUT', made.registration_access_token, { ...metadata, client_id: made.client_id, client_name: 'Changed' })
    assert.equal(changed.status, 200)
    const { client_name, registration_access_token } = await changed.json()
    assert.equal(client_name, 'Changed')
    assert.equal((await manage('GET', made.registration_access_token)).status, 401)
    assert.equal((await manage('DELETE', registration_access_token)).status, 204)
    assert.equal((await manage('GET', registration_access_token)).status, 401)
  },
  'registration: refused without a token, and beyond what it allows': async () => {
    const insecure = { execute: [client.allowInsecureRequests] }
    const nobody = await client.dynamicClientRegistration(issuer, { redirect_uris: [WEB] }, undefined, insecure).then(() => assert.fail('not refused'), (reason) => reason)
    assert.equal(nobody.status ?? nobody.cause?.status, 401)
    await refuses(client.dynamicClientRegistration(issuer, { redirect_uris: ['https://elsewhere.example/'] }, undefined, registering), 'invalid_redirect_uri', 400)
    await refuses(client.dynamicClientRegistration(issuer, { redirect_uris: [WEB], scope: 'admin' }, undefined, registering), 'invalid_client_metadata', 400)
  },
}

// A client whose id is the URL of a document that describes it.
const documents = {
  'metadata document: a client that nobody registered logs a person in': async () => {
    let document
    const server = createServer((_, response) => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(document))
    }).listen(0, '127.0.0.1')
    try {
      await once(server, 'listening')
      const id = `http://127.0.0.1:${server.address().port}/client.json`
      document = { client_id: id, client_name: 'By its document', redirect_uris: ['http://127.0.0.1/callback'], grant_types: ['authorization_code', 'refresh_token'], token_endpoint_auth_method: 'none' }
      const app = { id, redirect: 'http://127.0.0.1:45678/callback' }
      const config = await discover(app)
      assert.equal(config.serverMetadata().client_id_metadata_document_supported, true)
      const { tokens, claims } = await login(app, { config })
      assert.equal(claims.aud, id)
      assert.ok((await client.refreshTokenGrant(config, tokens.refresh_token)).access_token)
    } finally {
      server.close()
    }
  },
}

await run({
  'discovery: the metadata are as the library wants them': async () => {
    const metadata = (await discover(clients.basic)).serverMetadata()
    assert.equal(metadata.issuer, settings.issuer)
    assert.ok(metadata.supportsPKCE('S256'))
    assert.ok(metadata.authorization_response_iss_parameter_supported)
    for (const name of ['authorization_endpoint', 'token_endpoint', 'userinfo_endpoint', 'jwks_uri', 'end_session_endpoint',
      'introspection_endpoint', 'revocation_endpoint', 'pushed_authorization_request_endpoint', 'device_authorization_endpoint']) {
      assert.ok(metadata[name]?.startsWith(settings.issuer), name)
    }
  },
  'discovery: the metadata of RFC 8414 name the same endpoints': async () => {
    const config = await client.discovery(issuer, 'x', undefined, client.None(), { algorithm: 'oauth2', execute: [client.allowInsecureRequests] })
    assert.equal(config.serverMetadata().token_endpoint, (await discover(clients.basic)).serverMetadata().token_endpoint)
  },
  'code + PKCE, userinfo, refresh: client_secret_basic': () => checkLogin(clients.basic),
  'code + PKCE, userinfo, refresh: client_secret_post': () => checkLogin(clients.post),
  'code + PKCE, userinfo, refresh: private_key_jwt': () => checkLogin(clients.jwt),
  'code + PKCE, userinfo, refresh: a public client on any loopback port': () => checkLogin(clients.public),
  'code + PKCE: a request without scope offline_access or prompt': async () => {
    const { claims, tokens } = await login(clients.basic, { scope: 'openid', prompt: undefined })
    assert.ok(claims.sub && tokens.access_token)
  },
  'code: one that is redeemed again takes its grant along': async () => {
    const { config, tokens, callback, checks, claims } = await login(clients.basic)
    await client.fetchUserInfo(config, tokens.access_token, claims.sub)
    await refuses(client.authorizationCodeGrant(config, callback, checks), 'invalid_grant')
    await dead(config, tokens.access_token, claims.sub)
    await refuses(client.refreshTokenGrant(config, tokens.refresh_token), 'invalid_grant')
  },
  'code: a wrong verifier gets nothing': async () => {
    const config = await discover(clients.basic)
    const { callback, checks } = await authorize(config, clients.basic)
    await refuses(client.authorizationCodeGrant(config, callback, { ...checks, pkceCodeVerifier: client.randomPKCECodeVerifier() }), 'invalid_grant')
  },
  'code: another client gets nothing for it': async () => {
    const { callback, checks } = await authorize(await discover(clients.basic), clients.basic)
    await refuses(client.authorizationCodeGrant(await discover(clients.post), callback, checks), 'invalid_grant')
  },
  'refresh: an old token used again ends the grant': async () => {
    const { config, tokens } = await login(clients.public)
    const second = await client.refreshTokenGrant(config, tokens.refresh_token)
    assert.notEqual(second.refresh_token, tokens.refresh_token)
    const third = await client.refreshTokenGrant(config, second.refresh_token)
    await refuses(client.refreshTokenGrant(config, tokens.refresh_token), 'invalid_grant')
    await refuses(client.refreshTokenGrant(config, third.refresh_token), 'invalid_grant')
  },
  'refresh: fewer scopes are given when fewer are asked for': async () => {
    const { config, tokens } = await login(clients.basic)
    const fewer = await client.refreshTokenGrant(config, tokens.refresh_token, { scope: 'openid' })
    assert.equal(fewer.scope, 'openid')
  },
  'client authentication: a wrong secret is 401 invalid_client': async () => {
    const config = await discover({ ...clients.basic, secret: 'wrong' })
    await refuses(client.clientCredentialsGrant(config), 'invalid_client', 401)
  },
  'client credentials: basic': async () => {
    const tokens = await client.clientCredentialsGrant(await discover(clients.service), { scope: settings.service_scope, ...settings.service_parameters })
    assert.equal(tokens.token_type, 'bearer')
    assert.equal(tokens.refresh_token, undefined)
  },
  'PAR: a pushed request': () => checkLogin(clients.basic, { par: true }),
  'PAR: private_key_jwt': () => checkLogin(clients.jwt, { par: true }),
  'PAR: a client that must push may not ask directly': async () => {
    await checkLogin(clients.par, { par: true })
    const config = await discover(clients.par)
    const { callback, checks } = await authorize(config, clients.par)
    await refuses(client.authorizationCodeGrant(config, callback, checks), 'invalid_request')
  },
  'DPoP: tokens bound to a key, with the nonce the server asks for': async () => {
    const config = await discover(clients.basic)
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
    const { tokens, claims } = await checkLogin(clients.basic, { config, DPoP })
    assert.equal(tokens.token_type, 'dpop')
    const bearer = await fetch(config.serverMetadata().userinfo_endpoint, { headers: { authorization: `Bearer ${tokens.access_token}` } })
    assert.equal(bearer.status, 401)
    assert.ok(claims.sub)
  },
  'DPoP: a refresh token of a public client is bound to its key': async () => {
    const config = await discover(clients.public)
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
    const { tokens } = await login(clients.public, { config, DPoP })
    const other = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
    await assert.rejects(client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP: other }))
    assert.ok((await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })).access_token)
  },
  'DPoP: with PAR': async () => {
    const config = await discover(clients.dpop)
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
    const { tokens } = await checkLogin(clients.dpop, { config, DPoP, par: true })
    assert.equal(tokens.token_type, 'dpop')
  },
  'device: approved by a person, polled until then': async () => {
    const config = await discover(clients.device)
    const device = await client.initiateDeviceAuthorization(config, { scope: SCOPE })
    assert.ok(device.verification_uri_complete)
    await refuses(client.genericGrantRequest(config, 'urn:ietf:params:oauth:grant-type:device_code', { device_code: device.device_code }), 'authorization_pending')
    await new Person(settings.person).visit(device.verification_uri_complete)
    const tokens = await client.pollDeviceAuthorizationGrant(config, device)
    const subject = tokens.claims().sub
    assert.equal((await client.fetchUserInfo(config, tokens.access_token, subject)).sub, subject)
    await refuses(client.genericGrantRequest(config, 'urn:ietf:params:oauth:grant-type:device_code', { device_code: device.device_code }), 'invalid_grant')
  },
  'introspection and revocation: a refresh token': async () => {
    const { config, tokens, claims } = await login(clients.basic)
    const before = await client.tokenIntrospection(config, tokens.refresh_token, { token_type_hint: 'refresh_token' })
    assert.equal(before.active, true)
    assert.equal(before.client_id, clients.basic.id)
    await client.tokenRevocation(config, tokens.refresh_token)
    assert.deepEqual(await client.tokenIntrospection(config, tokens.refresh_token), { active: false })
    await refuses(client.refreshTokenGrant(config, tokens.refresh_token), 'invalid_grant')
    await dead(config, tokens.access_token, claims.sub)
  },
  'introspection and revocation: an access token': async () => {
    const { config, tokens, claims } = await login(clients.basic)
    const before = await client.tokenIntrospection(config, tokens.access_token)
    assert.equal(before.active, true)
    assert.equal(before.sub, claims.sub)
    assert.deepEqual(await client.tokenIntrospection(config, 'not-a-token'), { active: false })
    await client.tokenRevocation(config, tokens.access_token, { token_type_hint: 'access_token' })
    assert.deepEqual(await client.tokenIntrospection(config, tokens.access_token), { active: false })
  },
  'revocation: nothing is said about a token of another client': async () => {
    const { config, tokens } = await login(clients.basic)
    await client.tokenRevocation(await discover(clients.post), tokens.refresh_token).catch(() => {})
    assert.equal((await client.tokenIntrospection(config, tokens.refresh_token)).active, true)
  },
  'prompt=none: a live session gives a code without a page': async () => {
    const { person, claims } = await login(clients.basic)
    const again = await login(clients.basic, { person, prompt: 'none' })
    assert.equal(person.pages.length, 0)
    assert.equal(again.claims.sub, claims.sub)
    assert.equal(again.claims.auth_time ?? 0, claims.auth_time ?? 0)
  },
  'prompt=none: login_required without a session': async () => {
    const config = await discover(clients.basic)
    const { callback, checks } = await authorize(config, clients.basic, { prompt: 'none', scope: 'openid' })
    await refuses(client.authorizationCodeGrant(config, callback, checks), 'login_required')
  },
  'prompt=login: the person is asked again': async () => {
    const { person } = await login(clients.basic)
    const { claims } = await login(clients.basic, { person, prompt: 'login', max_age: '300' })
    assert.ok(person.pages.length > 0)
    assert.ok(claims.auth_time > 0)
  },
  'max_age: auth_time is told and young enough': async () => {
    const { claims } = await login(clients.basic, { max_age: '60' })
    assert.ok(claims.auth_time >= Date.now() / 1000 - 60)
  },
  'logout: with an ID token and a way back': async () => {
    const { config, tokens, person } = await login(clients.basic)
    const state = client.randomState()
    const url = client.buildEndSessionUrl(config, {
      id_token_hint: tokens.id_token,
      post_logout_redirect_uri: clients.basic.after_logout,
      state,
    })
    const back = await person.visit(url.href, clients.basic.after_logout)
    assert.equal(back.searchParams.get('state'), state)
    const { callback, checks } = await authorize(config, clients.basic, { person, prompt: 'none', scope: 'openid' })
    await refuses(client.authorizationCodeGrant(config, callback, checks), 'login_required')
  },
  ...(settings.registration_token ? registration : {}),
  ...(settings.metadata_documents ? documents : {}),
})
