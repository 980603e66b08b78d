// Consent through a real client: an app of somebody else's asks, the person reads and decides, and
// is asked again only about what is new.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { axeViolations, launch, shapeProblems, start, target, watch } from "./lib.mjs";

const pictures = `${target}/screenshots`;
const program = `${target}/debug/doorward`;

let browser;
let dev;
let base;
let app;

/** A web app: sends people to `authorize`, and shows what came of it. */
const webApp = async () => {
  const answers = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url, "http://127.0.0.1");
    if (url.pathname === "/callback") answers.push(Object.fromEntries(url.searchParams));
    response.writeHead(url.pathname === "/callback" ? 200 : 404, { "content-type": "text/html" });
    response.end("<!doctype html><title>Reader</title><h1>Back at the app</h1>");
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const callback = `http://127.0.0.1:${server.address().port}/callback`;
  return { answers, callback, stop: () => new Promise((done) => server.close(done)) };
};

/** A request for these scopes, with the verifier that its code is bound to. */
const ask = (scope, other = {}) => {
  const verifier = randomBytes(32).toString("base64url");
  const query = new URLSearchParams({
    client_id: "reader",
    response_type: "code",
    redirect_uri: app.callback,
    scope,
    state: randomBytes(8).toString("hex"),
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
    ...other,
  });
  return { verifier, state: query.get("state"), url: `${base}/oauth2/authorize?${query}` };
};

/** What the app gets for a code. */
const exchange = async (code, verifier) => {
  const answer = await fetch(`${base}/oauth2/token`, {
    method: "POST",
    headers: { authorization: `Basic ${Buffer.from(`reader:${app.secret}`).toString("base64")}` },
    body: new URLSearchParams({
      grant_type: "authorization_code",
      redirect_uri: app.callback,
      code_verifier: verifier,
      code,
    }),
  });
  assert.equal(answer.status, 200);
  return answer.json();
};

before(async () => {
  mkdirSync(pictures, { recursive: true });
  const data = mkdtempSync(join(tmpdir(), "doorward-consent-"));
  const args = ["dev", "--port", "0", "--sidecar-port", "0", "--data", data];
  dev = await start(program, args, /authority\s+(http:\/\/127\.0\.0\.1:\d+)/);
  base = dev.match[1];
  app = await webApp();

  const run = (...command) =>
    execFileSync(program, ["--profile", join(data, "profile.toml"), ...command], { encoding: "utf8" });
  const manifest = join(data, "shelf.json");
  writeFileSync(
    manifest,
    JSON.stringify({
      service: "shelf",
      permissions: {
        book: { read: "See the books on your shelf", add: "Put books on your shelf" },
        loan: { end: "Give borrowed books back" },
      },
      roles: {},
      scopes: { "shelf:read": ["book:read"], "shelf:manage": ["book:*", "loan:*"] },
    }),
  );
  run("manifest", "apply", manifest, "--yes");
  const apps = join(data, "apps.json");
  const reader = {
    name: "Reader",
    redirect_uris: [app.callback],
    scope: "openid profile email shelf:read shelf:manage",
    policy_uri: "https://reader.example/privacy",
  };
  writeFileSync(apps, JSON.stringify({ clients: { reader } }));
  [{ client_secret: app.secret }] = JSON.parse(run("client", "apply", apps, "--yes", "--json"));
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await app?.stop();
  await dev?.stop();
});

const visit = async (options = {}) => {
  const context = await browser.newContext({ locale: "en-GB", ...options });
  const page = await context.newPage();
  return { context, page, noise: watch(page) };
};

/** Through the sign-in page, as the demo's person at this place. */
const signIn = async (page, person = 0) => {
  await page.locator("main button.choice").first().click();
  await page.waitForURL(/\/demo-provider\//);
  await page.locator("main button").nth(person).click();
};

const asked = (page) => page.locator("ul.scopes li").allTextContents();

test("a person reads what an app may do, allows it, and is asked again only about what is new", async () => {
  const { page, noise } = await visit();
  const first = ask("openid profile shelf:read");
  await page.goto(first.url);
  await signIn(page);
  await page.waitForURL(/\/consent\?/);
  assert.deepEqual(await asked(page), [
    "Know that it is you",
    "See your name and your picture",
    "See the books on your shelf",
  ]);
  await page.getByText(`You will be sent to ${new URL(app.callback).host}.`).waitFor();
  assert.deepEqual(await shapeProblems(page), []);
  assert.deepEqual(await axeViolations(page), []);
  await page.screenshot({ path: `${pictures}/consent-1-first.png`, fullPage: true });
  await page.getByRole("button", { name: "Allow" }).click();
  await page.getByRole("heading", { name: "Back at the app" }).waitFor();
  const answer = app.answers.at(-1);
  assert.equal(answer.state, first.state);
  assert.equal(answer.iss, base);
  const tokens = await exchange(answer.code, first.verifier);
  assert.deepEqual(tokens.scope.split(" ").sort(), ["openid", "profile", "shelf:read"]);

  // Remembered: the same again, and less, come back without a question.
  for (const scope of ["openid profile shelf:read", "openid"]) {
    const again = ask(scope);
    await page.goto(again.url);
    await page.getByRole("heading", { name: "Back at the app" }).waitFor();
    assert.equal(app.answers.at(-1).state, again.state);
    assert.ok(app.answers.at(-1).code);
  }

  const more = ask("openid shelf:read shelf:manage");
  await page.goto(more.url);
  await page.waitForURL(/\/consent\?/);
  const lines = await asked(page);
  assert.match(lines[0], /^Know that it is you\s+allowed before$/);
  assert.equal(
    lines.find((line) => line.includes("Give borrowed")),
    "Put books on your shelf · See the books on your shelf · Give borrowed books back",
  );
  assert.match(
    lines.find((line) => line.startsWith("See the books")),
    /allowed before$/,
  );
  await page.screenshot({ path: `${pictures}/consent-2-more.png`, fullPage: true });
  await page.getByRole("button", { name: "Allow" }).click();
  await page.getByRole("heading", { name: "Back at the app" }).waitFor();

  // It stands on the account page, and is taken back there: then everything is asked anew.
  await page.goto(`${base}/account`);
  await page.getByText("Reader").first().waitFor();
  await page.screenshot({ path: `${pictures}/consent-3-account.png`, fullPage: true });
  await page.getByRole("button", { name: /Remove access/ }).click();
  // The next page would cut this one off while it loads.
  await page.waitForURL(/done=app-revoked/);
  await page.goto(ask("openid").url);
  await page.waitForURL(/\/consent\?/);
  assert.deepEqual(await asked(page), ["Know that it is you"]);
  assert.deepEqual(noise, []);
});

test("a person says no, and the app is told so, each time it asks", async () => {
  const { page, noise } = await visit();
  for (const round of [1, 2]) {
    const request = ask("openid shelf:manage");
    await page.goto(request.url);
    if (round === 1) await signIn(page, 1);
    await page.waitForURL(/\/consent\?/);
    await page.getByRole("button", { name: "Deny" }).click();
    await page.getByRole("heading", { name: "Back at the app" }).waitFor();
    const answer = app.answers.at(-1);
    assert.equal(answer.error, "access_denied");
    assert.equal(answer.state, request.state);
    assert.equal(answer.code, undefined);
  }
  assert.deepEqual(noise, []);
});

test("the question works in German, on a phone, in the dark, without JavaScript", async () => {
  const { page, noise } = await visit({
    locale: "de-DE",
    colorScheme: "dark",
    javaScriptEnabled: false,
    viewport: { width: 360, height: 720 },
  });
  const request = ask("openid email shelf:manage");
  await page.goto(request.url);
  await signIn(page, 2);
  await page.waitForURL(/\/consent\?/);
  assert.ok((await asked(page)).includes("Sie wiedererkennen"));
  await page.screenshot({ path: `${pictures}/consent-4-phone-de.png`, fullPage: true });
  await page.getByRole("button", { name: "Erlauben" }).click();
  await page.getByRole("heading", { name: "Back at the app" }).waitFor();
  assert.ok(app.answers.at(-1).code);
  assert.deepEqual(noise, []);
});
