// Loaded into the process a launcher starts: ends it in order when the launcher is gone.
const POLL_MS = 500
const parent = process.ppid

setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, 'SIGTERM')
}, POLL_MS).unref()
