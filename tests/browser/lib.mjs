// What the browser tests share: a Chromium, programs that are started and stopped, and checks that
// hold on every page.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/** Where cargo puts what it builds. */
const root = fileURLToPath(new URL("../..", import.meta.url));
export const target = resolve(root, process.env.CARGO_TARGET_DIR ?? "target");

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--disable-dev-shm-usage",
    ],
  });

/** Starts a program, and waits for a line of its output that `pattern` matches. */
export const start = (command, args, pattern, options = {}) =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    let output = "";
    let waiting = true;
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`${command} did not get ready:\n${output}`));
    }, 60_000);
    const read = (chunk) => {
      if (!waiting) return;
      output += chunk;
      const match = output.match(pattern);
      if (!match) return;
      waiting = false;
      clearTimeout(timer);
      resolve({
        match,
        stop: () =>
          new Promise((done) => {
            child.once("exit", done);
            child.kill("SIGTERM");
            setTimeout(() => child.kill("SIGKILL"), 5_000).unref();
          }),
      });
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.once("exit", (code) => {
      clearTimeout(timer);
      if (waiting) reject(new Error(`${command} ended with ${code}:\n${output}`));
    });
  });

/** Collects what a page must not do: write to the console, throw, fail to load something. */
export const watch = (page) => {
  const found = [];
  page.on("console", (message) => {
    // A page that says 404 is in the console of Chromium; the test looks at the status itself.
    if (!/Failed to load resource: the server responded with a status of [45]\d\d/.test(message.text())) {
      found.push(`console: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => found.push(`error: ${error}`));
  page.on("requestfailed", (request) => found.push(`failed: ${request.url()} ${request.failure()?.errorText}`));
  return found;
};

/** Violations of WCAG 2.2 A and AA and of good practice that axe finds, one line each. */
export const axeViolations = async (page) => {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() =>
    globalThis.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }),
  );
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} (${failureSummary})`).join("; ")}`);
};

/** What axe does not look at: no script, and nothing wider than the window. */
export const shapeProblems = (page) =>
  page.evaluate(() => {
    const problems = [];
    if (document.scripts.length > 0) problems.push("there is a script");
    if (document.querySelector("[style], [onclick], [onload]")) problems.push("there is an inline style or handler");
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth > clientWidth) problems.push(`it is ${scrollWidth} wide in a window of ${clientWidth}`);
    if (document.querySelectorAll("h1").length !== 1) problems.push("there is not one h1");
    for (const control of document.querySelectorAll("button, main a, input:not([type=hidden])")) {
      const { width, height } = control.getBoundingClientRect();
      if (control.matches("button, .button") && (width < 24 || height < 24)) problems.push(`${control.outerHTML} is too small`);
    }
    return problems;
  });
