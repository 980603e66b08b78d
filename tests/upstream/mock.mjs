// npm oauth2-mock-server, whose ID tokens are changed by JSON lines on standard input:
// {"alg": "PS256"} generates another key, {"payload": {…}, "header": {…}} goes over the next tokens, {"cut": true}
// damages their signatures. node mock.mjs NOW
import './clock.mjs';
import { createInterface } from 'node:readline';
import { OAuth2Server } from 'oauth2-mock-server';

const server = new OAuth2Server();
let change = {};
await server.issuer.keys.generate('RS256');
await server.start(0, '127.0.0.1');
server.issuer.url = `http://127.0.0.1:${server.address().port}`;

const lay = (over, onto) => {
  for (const [name, value] of Object.entries(over ?? {})) {
    if (value === null) delete onto[name];
    else onto[name] = value;
  }
};
server.service.on('beforeTokenSigning', (token) => {
  if (!('nonce' in token.payload)) return;
  Object.assign(token.payload, { email: 'ada@example.com', email_verified: true, name: 'Ada' });
  lay(change.payload, token.payload);
  lay(change.header, token.header);
});
server.service.on('beforeResponse', (answer) => {
  if (!change.cut || !answer.body.id_token) return;
  const [header, payload, signature] = answer.body.id_token.split('.');
  const bytes = Buffer.from(signature, 'base64url');
  bytes[10] ^= 1;
  answer.body.id_token = [header, payload, bytes.toString('base64url')].join('.');
});
server.service.on('beforeResponse', (answer) => {
  if (!change.unsigned || !answer.body.id_token) return;
  const header = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
  answer.body.id_token = [header, answer.body.id_token.split('.')[1], ''].join('.');
});
createInterface({ input: process.stdin }).on('line', async (line) => {
  const command = JSON.parse(line);
  change = command;
  // Keys take turns in signing: only the newest shall.
  if (command.alg) {
    const key = await server.issuer.keys.generate(command.alg);
    server.issuer.keys.get = () => server.issuer.keys.toJSON(true).find((one) => one.kid === key.kid);
  }
  console.log('done');
});
console.log(server.issuer.url);
process.stdin.on('end', () => process.exit(0));
