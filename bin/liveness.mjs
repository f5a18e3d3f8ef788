// Loaded into the process a launcher starts: ends it in order when the launcher is gone, and shows
// by a file's time that it still turns (EXPOSURE_HEARTBEAT_FILE; bin/health.mjs looks at it).
import { writeFileSync } from 'node:fs'

const POLL_MS = 500
const BEAT_MS = 5_000
const parent = process.ppid
const file = process.env.EXPOSURE_HEARTBEAT_FILE

setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, 'SIGTERM')
}, POLL_MS).unref()

if (file) {
  writeFileSync(file, '')
  setInterval(() => writeFileSync(file, ''), BEAT_MS).unref()
}
