// npm oidc-provider, controlled by JSON lines on standard input: {"claims": {…}}, {"fail": "/token"}, {"rotate": true}.
// node provider.mjs NOW REDIRECT_URI
import './clock.mjs';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { Provider } from 'oidc-provider';

const redirectUri = process.argv[3];
let claims = {};
let failing = new Set();
let answer = (request, response) => response.end();

const key = () => ({
  ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }),
  kid: randomUUID(), use: 'sig', alg: 'RS256',
});

const server = createServer((request, response) => {
  const path = new URL(request.url, 'http://x').pathname;
  if (failing.has(path)) {
    response.statusCode = 500;
    response.end('out of order');
  } else {
    answer(request, response);
  }
});

server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const start = () => {
    const provider = new Provider(issuer, {
      jwks: { keys: [key()] },
      clients: [{
        client_id: 'doorward-test', client_secret: 's3cr&t +/', redirect_uris: [redirectUri],
        grant_types: ['authorization_code'], response_types: ['code'],
      }],
      claims: { openid: ['sub', 'groups'], email: ['email', 'email_verified'], profile: ['name', 'picture', 'locale'] },
      conformIdTokenClaims: true,
      findAccount: (context, sub) => ({ accountId: sub, claims: () => ({ sub, ...claims }) }),
      cookies: { keys: ['test'] },
      pkce: { required: () => true },
    });
    answer = provider.callback();
  };
  start();
  createInterface({ input: process.stdin }).on('line', (line) => {
    const command = JSON.parse(line);
    if (command.claims) claims = command.claims;
    if (command.fail) failing.add(command.fail);
    if (command.mend) failing = new Set();
    if (command.rotate) start();
    console.log('done');
  });
  console.log(issuer);
});
process.stdin.on('end', () => process.exit(0));
