// A newcomer with `doorward dev`: signs in with the demo provider, looks at the account, signs out.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { axeViolations, launch, shapeProblems, start, target, watch } from "./lib.mjs";

const pictures = `${target}/screenshots`;

let browser;
let dev;
let base;

before(async () => {
  mkdirSync(pictures, { recursive: true });
  const data = mkdtempSync(join(tmpdir(), "doorward-browser-"));
  const program = `${target}/debug/doorward`;
  const args = ["dev", "--port", "0", "--sidecar-port", "0", "--data", data];
  dev = await start(program, args, /authority\s+(http:\/\/127\.0\.0\.1:\d+)/);
  base = dev.match[1];
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await dev?.stop();
});

/** A new person's browser. */
const visit = async (options = {}) => {
  const context = await browser.newContext({ locale: "en-GB", ...options });
  const page = await context.newPage();
  return { context, page, noise: watch(page) };
};

/** From the sign-in page to the account, as the demo's first person. */
const signIn = async (page) => {
  await page.getByRole("button", { name: /Continue with/ }).click();
  await page.waitForURL(/\/demo-provider\//);
  await page.locator("main button").first().click();
  await page.waitForURL(/\/account/);
};

test("somebody signs in, ends another session, and signs out", async () => {
  const { context, page, noise } = await visit();
  await page.goto(`${base}/account`);
  assert.match(page.url(), /\/login\?request=/);
  await page.screenshot({ path: `${pictures}/flow-1-sign-in.png` });
  await page.getByRole("button", { name: /Continue with/ }).click();
  await page.waitForURL(/\/demo-provider\//);
  assert.deepEqual(await shapeProblems(page), []);
  await page.screenshot({ path: `${pictures}/flow-2-demo-provider.png` });
  assert.deepEqual(await axeViolations(page), []);
  await page.locator("main button").first().click();
  await page.waitForURL(/\/account/);
  await page.getByRole("heading", { name: "Your account" }).waitFor();
  const cookie = (await context.cookies()).find(({ name }) => name === "__Host-doorward");
  assert.ok(cookie?.secure && cookie.httpOnly && cookie.sameSite === "Lax");

  const other = await visit();
  await other.page.goto(`${base}/account`);
  await signIn(other.page);
  await page.reload();
  assert.deepEqual(await shapeProblems(page), []);
  await page.screenshot({ path: `${pictures}/flow-3-account.png`, fullPage: true });
  assert.deepEqual(await axeViolations(page), []);
  await page.getByRole("button", { name: "Sign out everywhere else" }).click();
  await page.getByText("You are signed out everywhere else.").waitFor();
  await other.page.reload();
  assert.match(other.page.url(), /\/login\?request=/);

  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  await page.screenshot({ path: `${pictures}/flow-4-signed-out.png` });
  assert.equal((await context.cookies()).find(({ name }) => name === "__Host-doorward"), undefined);
  await page.goto(`${base}/account`);
  assert.match(page.url(), /\/login\?request=/);
  assert.deepEqual([...noise, ...other.noise], []);
});

test("it all works without JavaScript, in German", async () => {
  const { page, noise } = await visit({ javaScriptEnabled: false, locale: "de-DE" });
  await page.goto(`${base}/account`);
  await page.getByRole("button", { name: /^Weiter mit/ }).click();
  await page.waitForURL(/\/demo-provider\//);
  await page.locator("main button").first().click();
  await page.waitForURL(/\/account/);
  await page.getByRole("heading", { name: "Ihr Konto" }).waitFor();
  await page.getByRole("button", { name: "Abmelden", exact: true }).click();
  await page.getByRole("heading", { name: "Sie sind abgemeldet" }).waitFor();
  assert.deepEqual(noise, []);
});

test("it all works with the keyboard alone, and the focus is seen", async () => {
  const { page, noise } = await visit();
  await page.goto(`${base}/account`);
  const press = async (find) => {
    for (let count = 0; count < 60; count += 1) {
      await page.keyboard.press("Tab");
      const focused = page.locator(":focus");
      if ((await focused.count()) === 0) continue;
      const outline = await focused.evaluate((element) => getComputedStyle(element).outlineStyle);
      assert.notEqual(outline, "none", "the focus is seen");
      if (find(((await focused.textContent()) ?? "").trim())) return page.keyboard.press("Enter");
    }
    throw new Error("the keyboard does not get there");
  };
  await page.keyboard.press("Tab");
  assert.equal(await page.locator(":focus").textContent(), "Skip to content");
  await press((text) => text.includes("Continue with"));
  await page.waitForURL(/\/demo-provider\//);
  const first = (await page.locator("main button").first().textContent()).trim();
  await press((text) => text === first);
  await page.waitForURL(/\/account/);
  await press((text) => text === "Sign out");
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  assert.deepEqual(noise, []);
});

test("a path that is not there has a page", async () => {
  const { page } = await visit();
  const answer = await page.goto(`${base}/nowhere`);
  assert.equal(answer.status(), 404);
  await page.getByRole("heading", { name: "There is nothing here" }).waitFor();
});
