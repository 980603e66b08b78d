// The certified npm `oidc-provider` with the clients the scripts want: `node yardstick.mjs PORT SETTINGS.json` writes
// their settings once it listens. The scripts must pass against it; it is the identity provider upstream of the
// authority under test (UPSTREAM_REDIRECT is the authority's callback), and the peer of the speed harness.

import { appendFileSync, renameSync, writeFileSync } from 'node:fs'
import { Provider } from 'oidc-provider'
import { generateKeyPair, exportJWK } from 'jose'

const port = Number(process.argv[2] ?? 0)
const { privateKey } = await generateKeyPair('ES256', { extractable: true })
const jwk = { ...(await exportJWK(privateKey)), kid: 'client-key', alg: 'ES256', use: 'sig' }
const { d: _, ...publicJwk } = jwk
const signing = []
for (const alg of ['RS256', 'ES256']) {
  const pair = await generateKeyPair(alg, { extractable: true })
  signing.push({ ...(await exportJWK(pair.privateKey)), alg, use: 'sig', kid: alg })
}

// Where Apache will be: the same for a test that starts both.
const APACHE = process.env.APACHE_HOME ?? 'http://127.0.0.1:7392'
const WEB = 'https://rp.example/callback'
const NATIVE = 'http://127.0.0.1/callback'
const AFTER = 'https://rp.example/bye'
const LOGIN = ['authorization_code', 'refresh_token']
const secret = 'yardstick-secret-yardstick-secret'
const web = { redirect_uris: [WEB], grant_types: LOGIN, post_logout_redirect_uris: [AFTER], client_secret: secret }
const native = { redirect_uris: [NATIVE], grant_types: LOGIN, application_type: 'native', token_endpoint_auth_method: 'none' }
const service = { redirect_uris: [], response_types: [], grant_types: ['client_credentials'], client_secret: secret }
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code'

// Its own store forgets all but the last thousand things: sessions among them, when many log in at once.
const remembering = async () => {
  const { default: MemoryAdapter } = await import('oidc-provider/lib/adapters/memory_adapter.js')
  const { default: LRU } = await import('oidc-provider/lib/helpers/lru.js')
  const store = new LRU({ maxSize: 1_000_000 })
  return { adapter: (model) => new MemoryAdapter(model, store) }
}

let server
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    { client_id: 'basic', ...web },
    { client_id: 'post', ...web, token_endpoint_auth_method: 'client_secret_post', id_token_signed_response_alg: 'ES256' },
    { client_id: 'jwt', ...web, client_secret: undefined, token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [publicJwk] } },
    { client_id: 'par', ...web, require_pushed_authorization_requests: true },
    { client_id: 'dpop', ...web, dpop_bound_access_tokens: true },
    { client_id: 'public', ...native },
    { client_id: 'device', ...native, redirect_uris: [], response_types: [], grant_types: [DEVICE, 'refresh_token'] },
    { client_id: 'apache', ...web, application_type: 'native', redirect_uris: [`${APACHE}/protected/redirect`], post_logout_redirect_uris: [`${APACHE}/bye`] },
    ...(process.env.UPSTREAM_REDIRECT
      ? [{ client_id: 'doorward', redirect_uris: [process.env.UPSTREAM_REDIRECT], client_secret: secret }]
      : []),
    { client_id: 'service', ...service },
    { client_id: 'service-post', ...service, token_endpoint_auth_method: 'client_secret_post' },
    { client_id: 'service-jwt', ...service, client_secret: undefined, token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [publicJwk] } },
  ],
  jwks: { keys: signing },
  conformIdTokenClaims: false,
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: id, email: `${id}@example.com`, email_verified: true }) }),
  rotateRefreshToken: true,
  // As the authority does: for the speed harness, which compares the same tokens.
  ...(process.env.SAME_TOKENS && await remembering()),
  ...(process.env.SAME_TOKENS && { issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token') }),
  pkce: { required: () => true },
  scopes: ['openid', 'profile', 'email', 'offline_access', 'api:read'],
  enabledJWA: { clientAuthSigningAlgValues: ['ES256', 'RS256'] },
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    pushedAuthorizationRequests: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    backchannelLogout: { enabled: true },
    userinfo: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (context) =>
        (process.env.SAME_TOKENS && context.oidc.client?.clientId !== 'basic') || context.oidc.body?.grant_type === 'client_credentials' ? 'https://api.example' : undefined,
      ...(process.env.SAME_TOKENS && { useGrantedResource: async () => true }),
      getResourceServerInfo: () => ({ scope: 'api:read', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }),
    },
  },
})
if (process.env.TOKENS_FILE) {
  // What it gave out, one a line: for a test that looks where it must not be.
  provider.use(async (context, next) => {
    await next()
    for (const name of ['access_token', 'refresh_token', 'id_token']) {
      if (context.path === '/token' && context.body?.[name]) appendFileSync(process.env.TOKENS_FILE, `${context.body[name]}\n`)
    }
  })
}
server = provider.listen(port, '127.0.0.1', () => {
  const app = (id, more) => ({ id, secret, redirect: WEB, after_logout: AFTER, ...more })
  const settings = {
    issuer: `http://127.0.0.1:${server.address().port}`,
    person: 'alice',
    service_scope: 'api:read',
    clients: {
      basic: app('basic'),
      post: app('post', { method: 'client_secret_post', id_token_alg: 'ES256' }),
      jwt: app('jwt', { secret: undefined, jwk }),
      par: app('par'),
      dpop: app('dpop'),
      public: app('public', { secret: undefined, redirect: 'http://127.0.0.1:49321/callback' }),
      device: app('device', { secret: undefined, redirect: undefined }),
      apache: app('apache', { redirect: `${APACHE}/protected/redirect` }),
      service: { id: 'service', secret },
      service_post: { id: 'service-post', secret, method: 'client_secret_post' },
      service_jwt: { id: 'service-jwt', jwk },
    },
  }
  // In one step: whoever waits for the file finds all of it.
  writeFileSync(`${process.argv[3]}.new`, JSON.stringify(settings))
  renameSync(`${process.argv[3]}.new`, process.argv[3])
})
