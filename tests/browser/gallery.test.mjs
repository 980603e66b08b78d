// Every page, in light, dark and on a phone, in both languages: looked at by axe, photographed for people.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { axeViolations, launch, shapeProblems, start, target, watch } from "./lib.mjs";

const pictures = `${target}/screenshots`;
const looks = {
  light: { colorScheme: "light", viewport: { width: 1100, height: 800 }, lang: "en" },
  dark: { colorScheme: "dark", viewport: { width: 1100, height: 800 }, lang: "en" },
  phone: { colorScheme: "light", viewport: { width: 360, height: 740 }, lang: "de", deviceScaleFactor: 2 },
  "phone-dark": { colorScheme: "dark", viewport: { width: 320, height: 640 }, lang: "en", deviceScaleFactor: 2 },
};

let browser;
let gallery;
let base;
let names;

before(async () => {
  mkdirSync(pictures, { recursive: true });
  gallery = await start(`${target}/debug/examples/page_gallery`, [], /(http:\/\/127\.0\.0\.1:\d+)/);
  base = gallery.match[1];
  browser = await launch();
  const page = await browser.newPage();
  await page.goto(base);
  names = await page.locator("a").allTextContents();
  await page.close();
});

after(async () => {
  await browser?.close();
  await gallery?.stop();
});

for (const [look, { lang, ...options }] of Object.entries(looks)) {
  test(`every page passes axe, fits and is quiet: ${look}`, async () => {
    assert.ok(names.length >= 20, `${names.length} pages`);
    const found = [];
    for (const name of names) {
      const context = await browser.newContext(options);
      const page = await context.newPage();
      const noise = watch(page);
      await page.goto(`${base}/${name}?lang=${lang}`);
      // First what the page is by itself: taking a picture and axe both write styles into it.
      const problems = await shapeProblems(page);
      await page.screenshot({ path: `${pictures}/${name}-${look}.png`, fullPage: true });
      problems.push(...(await axeViolations(page)));
      problems.push(...noise);
      found.push(...problems.map((problem) => `${name}: ${problem}`));
      await context.close();
    }
    assert.deepEqual(found, []);
  });
}
