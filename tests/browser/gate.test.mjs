// An app without a login, behind nginx with the shipped configuration and a sidecar with a gate:
// people sign in, look around in several tabs, sign out, and find a way on where something fails.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as listen } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { axeViolations, launch, shapeProblems, start, target, watch } from "./lib.mjs";

const pictures = `${target}/screenshots`;
const nginx = [`${target}/proxies/debian/usr/sbin/nginx`, "/usr/sbin/nginx"].find((path) => existsSync(path));
const skip = nginx ? false : "nginx is not installed (test.sh unpacks it)";
const shipped = fileURLToPath(new URL("../../examples/proxies/nginx/doorward.conf", import.meta.url));

const running = [];
let browser;
let base;
let site;
let operator;

const freePort = () =>
  new Promise((done) => {
    const server = listen().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

const until = async (what, condition) => {
  for (let round = 0; round < 300; round += 1) {
    if (await condition().catch(() => false)) return;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error(`${what} never came`);
};

/** The app: it shows what it is told of the person. */
const startApp = async () => {
  const server = createServer((request, response) => {
    response.writeHead(200, { "content-type": "text/html" });
    response.end(
      `<!doctype html><html lang="en"><title>Notes</title><link rel="icon" href="data:,"><h1>Notes</h1>` +
        `<p id="user">${request.headers["x-auth-user"] ?? ""}</p><p id="path">${request.url.replaceAll("&", "&amp;")}</p>` +
        `<p id="cookies">${request.headers.cookie ?? ""}</p><a href="/.doorward/sign-out">Sign out</a>`,
    );
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  running.push({ stop: () => new Promise((done) => server.close(done)) });
  return server.address().port;
};

/** nginx with the shipped configuration, its names and addresses apart. */
const startNginx = async (folder, port, sidecar, app) => {
  const text = readFileSync(shipped, "utf8")
    .replaceAll("127.0.0.1:7181", `127.0.0.1:${sidecar}`)
    .replaceAll("127.0.0.1:3000", `127.0.0.1:${app}`)
    .replaceAll("127.0.0.1:8080", `127.0.0.1:${port}`)
    .replaceAll("app.example", "localhost");
  writeFileSync(join(folder, "doorward.conf"), text);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${name};`);
  const main = `pid nginx.pid;\nerror_log log.txt notice;\nevents {}\nhttp {\naccess_log off;\n${temporary.join("\n")}\ninclude doorward.conf;\n}\n`;
  writeFileSync(join(folder, "nginx.conf"), main);
  const args = ["-c", "nginx.conf", "-e", "log.txt", "-p", folder, "-g", "daemon off; master_process off;"];
  const child = spawn(nginx, args, { stdio: "ignore" });
  running.push({
    stop: () =>
      new Promise((done) => {
        child.once("exit", done);
        child.kill("SIGTERM");
      }),
  });
  await until("nginx", async () => (await fetch(`http://127.0.0.1:${port}/`, { redirect: "manual" })).status > 0);
};

/** A sidecar of its own, enrolled at the authority of `doorward dev`. */
const startSidecar = async (folder, data, port, app) => {
  const [id, secret] = ["client_id", "client_secret"].map(
    (name) => readFileSync(join(data, "profile.toml"), "utf8").match(new RegExp(`^${name} = "(.*)"`, "m"))[1],
  );
  const token = await fetch(`${base}/oauth2/token`, {
    method: "POST",
    headers: { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}` },
    body: new URLSearchParams({ grant_type: "client_credentials", scope: "doorward:admin" }),
  });
  operator = { authorization: `Bearer ${(await token.json()).access_token}`, "content-type": "application/json" };
  const invited = await fetch(`${base}/v1/sidecars/join-tokens`, {
    method: "POST",
    headers: operator,
    body: JSON.stringify({ name: "gate" }),
  });
  const { join_token } = await invited.json();
  const program = `${target}/debug/doorward-sidecar`;
  execFileSync(program, ["enroll", "--authority", base, "--data", join(folder, "data")], {
    env: { ...process.env, DOORWARD_JOIN_TOKEN: join_token },
  });
  execFileSync(program, ["gate-keys", "new", join(folder, "gate.keys")]);
  writeFileSync(join(folder, "secret"), app.secret);
  writeFileSync(
    join(folder, "routes.toml"),
    `[[route]]\nname = "notes"\nhosts = ["localhost"]\npath = "/notes/{rest...}"\nsigned_in = true\n`,
  );
  const config = join(folder, "sidecar.toml");
  writeFileSync(
    config,
    `data = "data"\nroutes = "routes.toml"\n[listen.local]\naddress = "127.0.0.1:${port}"\n` +
      `[tokens]\nissuer = "${base}"\naudiences = ["${base}"]\n` +
      `[gate.notes]\nhosts = ["${site}"]\nclient_id = "notes"\nclient_secret_file = "secret"\nkeys_file = "gate.keys"\n`,
  );
  running.push(await start(program, ["serve", "--config", config], /answering checks/));
  await until("the copy", async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok);
};

before(async () => {
  if (skip) return;
  mkdirSync(pictures, { recursive: true });
  const data = mkdtempSync(join(tmpdir(), "doorward-gate-dev-"));
  const folder = mkdtempSync(join(tmpdir(), "doorward-gate-"));
  const program = `${target}/debug/doorward`;
  const args = ["dev", "--port", "0", "--sidecar-port", "0", "--data", data];
  const dev = await start(program, args, /authority\s+(http:\/\/127\.0\.0\.1:\d+)/);
  running.push(dev);
  base = dev.match[1];
  const [port, sidecar, behind] = [await freePort(), await freePort(), await startApp()];
  // Another host than the authority's: cookies do not tell ports apart.
  site = `http://localhost:${port}`;
  const notes = {
    name: "Notes",
    grant_types: ["authorization_code"],
    scope: "openid",
    redirect_uris: [`${site}/.doorward/callback`],
    post_logout_redirect_uris: [`${site}/.doorward/signed-out`],
  };
  const apps = join(data, "apps.json");
  writeFileSync(apps, JSON.stringify({ clients: { notes } }));
  const applied = execFileSync(
    program,
    ["--profile", join(data, "profile.toml"), "client", "apply", apps, "--yes", "--json"],
    { encoding: "utf8" },
  );
  const [{ client_secret: secret }] = JSON.parse(applied);
  await startSidecar(folder, data, sidecar, { secret });
  await startNginx(folder, port, sidecar, behind);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  for (const one of running.reverse()) await one.stop();
});

const visit = async (options = {}) => {
  const context = await browser.newContext({ locale: "en-GB", ...options });
  const page = await context.newPage();
  return { context, page, noise: watch(page) };
};

/** Through the sign-in page, as the demo's person at this place. */
const signIn = async (page, person = 0) => {
  await page.waitForURL(/\/login\?request=/);
  await page.locator("main button.choice").first().click();
  await page.waitForURL(/\/demo-provider\//);
  await page.locator("main button").nth(person).click();
};

const gateCookie = async (context) =>
  (await context.cookies(site)).find(({ name }) => name === "__Host-doorward-gate");

/** What a script of the page is answered, and whether it was sent elsewhere. The body is read: one that is left is aborted. */
const askedBy = (page, path) =>
  page.evaluate(async (path) => {
    const answer = await fetch(path);
    await answer.text();
    return `${answer.status} ${answer.redirected}`;
  }, path);

/** What holds on each page of the gate. */
const check = async (page, picture) => {
  assert.deepEqual(await shapeProblems(page), []);
  assert.deepEqual(await axeViolations(page), []);
  await page.screenshot({ path: `${pictures}/gate-${picture}.png`, fullPage: true });
};

test("somebody says no, is told so, tries again and is in", { skip }, async () => {
  const { context, page, noise } = await visit();
  await page.goto(`${site}/notes/today?list=1&sort=%2F`);
  await page.screenshot({ path: `${pictures}/gate-1-sign-in.png` });
  await signIn(page);
  await page.waitForURL(/\/consent\?/);
  await page.getByRole("button", { name: "Deny" }).click();
  await page.getByRole("heading", { name: "You are not signed in" }).waitFor();
  assert.ok(page.url().startsWith(`${site}/.doorward/callback?`));
  await check(page, "2-denied");
  await page.getByRole("link", { name: "Try again" }).click();
  await page.waitForURL(/\/consent\?/);
  await page.getByRole("button", { name: "Allow" }).click();
  await page.getByRole("heading", { name: "Notes" }).waitFor();
  assert.equal(page.url(), `${site}/notes/today?list=1&sort=%2F`);
  assert.match(await page.locator("#user").textContent(), /^[0-9a-f-]{36}$/);
  assert.equal(await page.locator("#cookies").textContent(), "");
  await page.screenshot({ path: `${pictures}/gate-3-inside.png` });
  const cookie = await gateCookie(context);
  assert.ok(cookie.secure && cookie.httpOnly && cookie.sameSite === "Lax" && cookie.path === "/");
  assert.deepEqual((await context.cookies(site)).filter(({ name }) => name.includes("try")), []);

  // Its scripts are in, too, and those of nobody get 401 and no redirect.
  const asked = () => askedBy(page, "/notes/x");
  assert.equal(await asked(), "200 false");
  await context.clearCookies({ name: "__Host-doorward-gate" });
  assert.equal(await asked(), "401 false");
  // The session at the authority answers at once: nobody is asked anything.
  await page.reload();
  await page.getByRole("heading", { name: "Notes" }).waitFor();
  assert.equal(await asked(), "200 false");
  assert.deepEqual(noise, []);
});

test("tabs that began together finish in any order", { skip }, async () => {
  const { context, page, noise } = await visit();
  const other = await context.newPage();
  await page.goto(`${site}/notes/one`);
  await other.goto(`${site}/notes/two`);
  const finish = async (tab, where) => {
    await signIn(tab, 1);
    await Promise.race([tab.waitForURL(/\/consent\?/), tab.waitForURL(`${site}/notes/${where}`)]);
    if (tab.url().includes("/consent?")) await tab.getByRole("button", { name: "Allow" }).click();
    await tab.waitForURL(`${site}/notes/${where}`);
  };
  await finish(other, "two");
  await finish(page, "one");
  const [first, second] = [page, other].map((tab) => tab.locator("#user").textContent());
  assert.equal(await first, await second);
  assert.deepEqual(noise, []);
});

test("whoever is signed out by an operator is at the sign-in page with the next click", { skip }, async () => {
  const { page, noise } = await visit();
  await page.goto(`${site}/notes/`);
  await signIn(page, 2);
  await page.getByRole("button", { name: "Allow" }).click();
  await page.getByRole("heading", { name: "Notes" }).waitFor();
  const user = await page.locator("#user").textContent();
  const out = await fetch(`${base}/v1/users/${user}/sign-out`, { method: "POST", headers: operator });
  assert.equal(out.status, 200);
  await until("the news", async () => {
    return (await askedBy(page, "/notes/")) === "401 false";
  });
  await page.reload();
  await page.waitForURL(/\/login\?request=/);
  assert.deepEqual(noise, []);
});

test("somebody signs out here and at the authority, and is asked before", { skip }, async () => {
  const { context, page, noise } = await visit();
  await page.goto(`${site}/notes/`);
  await signIn(page, 1);
  await page.getByRole("heading", { name: "Notes" }).waitFor();
  await page.getByRole("link", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign out?" }).waitFor();
  await check(page, "4-sign-out");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  assert.equal(page.url(), `${site}/.doorward/signed-out`);
  await check(page, "5-signed-out");
  assert.deepEqual((await context.cookies()).filter(({ name }) => /gate|hint|__Host-doorward$/.test(name)), []);
  await page.getByRole("link", { name: "Sign in again" }).click();
  await page.waitForURL(/\/login\?request=/);
  assert.deepEqual(noise, []);
});

test("an answer that is nobody's leads on, on a phone, in the dark, without JavaScript", { skip }, async () => {
  const { page, noise } = await visit({
    colorScheme: "dark",
    javaScriptEnabled: false,
    viewport: { width: 360, height: 640 },
  });
  const answer = await page.goto(`${site}/.doorward/callback?code=c&state=s`);
  assert.equal(answer.status(), 400);
  await page.getByRole("heading", { name: "This sign-in cannot be finished here" }).waitFor();
  await page.screenshot({ path: `${pictures}/gate-6-lost-phone.png`, fullPage: true });
  await page.getByRole("link", { name: "Try again" }).click();
  await page.waitForURL(/\/login\?request=/);
  assert.deepEqual(noise, []);
});
