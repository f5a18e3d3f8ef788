// Runs one server for the process that started it, and ends it when that process is gone.
//
// The parent holds our standard input open and writes nothing to it. When the parent ends, however
// it ends, the pipe closes, and the server's whole process group is stopped: a parent that was
// killed with SIGKILL can do no cleaning up itself.
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { constants } from 'node:os'
import { dirname } from 'node:path'

const LOCK_POLL_MS = 50
const LOCK_WAIT_MAX_MS = 25_000

const plan = JSON.parse(process.argv[2] ?? '{}')
let child
let ending = false

process.on('SIGINT', () => {})
process.on('SIGTERM', end)
process.stdin.on('end', end)
process.stdin.on('error', end)
process.stdin.resume()
await holdLock()
if (ending) process.exit(0)
run()

// A guard of an earlier run may still be stopping the same server: two must never have one data
// folder. Only an abstract socket dies with its holder and leaves nothing behind; where there are
// none the server's own lock file has to do.
async function holdLock() {
  if (process.platform !== 'linux') return
  const deadline = Date.now() + LOCK_WAIT_MAX_MS
  while (Date.now() < deadline && !ending) {
    if (await listens()) {
      // Left behind by a run that was killed: nobody but us can be using the folder now.
      if (plan.staleLock !== undefined) rmSync(plan.staleLock, { force: true })
      return
    }
    await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS))
  }
  if (!ending) fail('an earlier run of the same server has not ended')
}

function listens() {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (e) => (e.code === 'EADDRINUSE' ? resolve(false) : reject(e)))
    server.listen(`\0${plan.lock}`, () => resolve(true))
  })
}

function run() {
  mkdirSync(dirname(plan.logFile), { recursive: true })
  const log = openSync(plan.logFile, 'w')
  child = spawn(plan.command, plan.args, {
    cwd: plan.cwd,
    env: { ...process.env, ...plan.env },
    stdio: ['ignore', log, log],
    // Its own process group, so that what the server starts is ended with it.
    detached: true,
    ...(plan.uid === undefined ? {} : { uid: plan.uid, gid: plan.gid }),
  })
  closeSync(log)
  child.once('error', (error) => fail(`${plan.command} cannot be run: ${error.message}`))
  child.once('exit', (code, signal) => {
    killGroup()
    process.exit(code ?? 128 + (constants.signals[signal] ?? 0))
  })
  if (child.pid !== undefined) process.stdout.write(`${child.pid}\n`)
}

function end() {
  if (ending) return
  ending = true
  if (child === undefined) return
  // Politely only to the server itself: it ends its own helpers in its own order.
  child.kill(plan.stopSignal)
  setTimeout(killGroup, plan.stopWaitMs)
}

function killGroup() {
  if (child?.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}

function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
