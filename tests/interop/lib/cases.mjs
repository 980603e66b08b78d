// Runs named cases and prints one JSON line for each: {"case", "ok"} or {"case", "ok": false, "error"}.

import { readFileSync } from 'node:fs'
import assert from 'node:assert/strict'

// What the test wrote down about the authority and its clients: `node SCRIPT SETTINGS.json [CASE…]`.
export const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'))

const wanted = process.argv.slice(3)

export async function run(cases) {
  let failed = false
  const skip = settings.skip ?? []
  for (const [name, body] of Object.entries(cases)) {
    if (skip.includes(name) || (wanted.length && !wanted.some((part) => name.includes(part)))) continue
    const begin = performance.now()
    try {
      await within(body(), 30_000)
      console.log(JSON.stringify({ case: name, ok: true, ms: Math.round(performance.now() - begin) }))
    } catch (error) {
      failed = true
      console.log(JSON.stringify({ case: name, ok: false, error: describe(error) }))
    }
  }
  // Sockets that are kept alive must not keep the script alive.
  process.exit(failed ? 1 : 0)
}

// A case that hangs fails.
function within(promise, ms) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${ms} ms`)), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

function describe(error) {
  const parts = [error.stack ?? String(error)]
  for (const key of ['error', 'error_description', 'code', 'status']) if (error[key] !== undefined) parts.push(`${key}: ${error[key]}`)
  if (error.cause !== undefined) parts.push(`cause: ${error.cause.stack ?? JSON.stringify(error.cause)}`)
  return parts.join('\n')
}

// The promise must fail with this OAuth error.
export async function refuses(promise, error, status) {
  const refusal = await promise.then((value) => assert.fail(`not refused: ${JSON.stringify(value)}`), (reason) => reason)
  if (refusal instanceof assert.AssertionError) throw refusal
  // With a challenge (RFC 6749, 5.2) the libraries leave the body to the caller.
  const body = refusal.response?.bodyUsed === false ? await refusal.response.json().catch(() => ({})) : {}
  const found = body.error ?? refusal.error ?? refusal.cause?.error ?? refusal.cause?.parameters?.error ?? refusal.cause?.[0]?.parameters?.error
  if (found !== error) throw refusal
  if (status !== undefined) assert.equal(refusal.status, status)
}
