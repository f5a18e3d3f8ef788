// The container's health check: says whether the product's process still turns.
import { statSync } from 'node:fs'

const AGE_MAX_MS = 30_000
const file = process.env.EXPOSURE_HEARTBEAT_FILE

if (!file) fail('EXPOSURE_HEARTBEAT_FILE is not set')
let ageMs
try {
  ageMs = Date.now() - statSync(file).mtimeMs
} catch (error) {
  fail(`no heartbeat: ${error.message}`)
}
if (ageMs > AGE_MAX_MS) fail(`the last heartbeat was ${Math.round(ageMs / 1000)} s ago`)

function fail(sentence) {
  process.stderr.write(`${sentence}\n`)
  process.exit(1)
}
