// One native server under its guard: started, watched until ready, stopped within a bound.
import { spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { PipelineError } from '../contracts/errors.ts'

const POLL_MS = 50
const STOP_WAIT_MS = 15_000
const GUARD_WAIT_MS = 5_000

export type ServerPlan = {
  /** As people call it: Kafka, registry, PostgreSQL. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** The folder whose data it alone may use. */
  readonly dataDir: string
  readonly logFile: string
  /** The server's own lock file, which may survive it. */
  readonly staleLock?: string
  readonly stopSignal: 'SIGTERM' | 'SIGINT'
  /** The user to run as, when it is not ours. */
  readonly user?: { readonly uid: number; readonly gid: number }
  readonly readyTimeoutMs: number
  /** Resolves when the server answers; a rejection means "not yet". */
  readonly ready: () => Promise<void>
}

export type Server = {
  /** Resolves with one sentence, which names the log file, when the server ends by itself. */
  readonly exited: Promise<string>
  readonly stop: () => Promise<void>
  /** Ends it as a power cut would: nothing is written out, nobody is told. */
  readonly kill: () => Promise<void>
}

/**
 * Starts a server and waits until it is ready.
 * @throws PipelineError CONFIGURATION naming the log file when it ends or does not get ready
 */
export async function startServer(plan: ServerPlan): Promise<Server> {
  const guard = spawnGuard(plan)
  let serverPid: number | undefined
  guard.stdout?.on('data', (chunk: Buffer) => {
    serverPid ??= Number(chunk.toString().trim())
  })
  let said = ''
  guard.stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-500)
  })
  let stopping = false
  const exited = new Promise<string>((resolve) => {
    guard.once('exit', (code, signal) => {
      const how = code === null ? String(signal) : `code ${code}`
      if (!stopping) resolve(`${plan.name} has ended (${how}): see the end of ${plan.logFile}`)
    })
  })
  const stop = () => {
    stopping = true
    return stopGuard(guard, serverPid)
  }
  const kill = async () => {
    stopping = true
    if (serverPid !== undefined && Number.isInteger(serverPid)) killGroup(serverPid)
    // The guard ends with its server.
    await stopGuard(guard, serverPid)
  }
  try {
    await untilReady(plan, guard)
  } catch (error) {
    await stop()
    if (said === '' || !(error instanceof PipelineError)) throw error
    throw startFault(`${plan.name} did not start: ${said.trim()}`)
  }
  return { exited, stop, kill }
}

function spawnGuard(plan: ServerPlan): ChildProcess {
  const task = {
    lock: `exposure-${createHash('sha256').update(plan.dataDir).digest('hex').slice(0, 24)}`,
    command: plan.command,
    args: plan.args,
    env: plan.env,
    // Neither the package's folder nor ours need be readable for the user it runs as.
    cwd: plan.dataDir,
    logFile: plan.logFile,
    staleLock: plan.staleLock,
    stopSignal: plan.stopSignal,
    stopWaitMs: STOP_WAIT_MS,
    ...plan.user,
  }
  const guard = spawn(
    process.execPath,
    [join(import.meta.dirname, 'guard.mjs'), JSON.stringify(task)],
    // Its own session: a Ctrl+C in the terminal is for us to answer, in our order.
    { stdio: ['pipe', 'pipe', 'pipe'], detached: true },
  )
  // Servers must not keep a process alive that has nothing left to do.
  guard.unref()
  for (const stream of guard.stdio) {
    if (stream !== null && stream !== undefined && 'unref' in stream) (stream.unref as () => void)()
  }
  guard.stdin?.on('error', () => {
    // The guard has ended: its exit says so, and why.
  })
  return guard
}

async function untilReady(plan: ServerPlan, guard: ChildProcess): Promise<void> {
  const deadline = performance.now() + plan.readyTimeoutMs
  let last: unknown
  while (performance.now() < deadline) {
    if (ended(guard)) {
      throw startFault(`${plan.name} ended while it started: see the end of ${plan.logFile}`)
    }
    try {
      await plan.ready()
      return
    } catch (error) {
      last = error
    }
    await pause(POLL_MS)
  }
  throw startFault(
    `${plan.name} was not ready after ${plan.readyTimeoutMs} ms: see the end of ${plan.logFile}`,
    last,
  )
}

async function stopGuard(guard: ChildProcess, serverPid: number | undefined): Promise<void> {
  if (ended(guard)) return
  guard.ref()
  const exited = once(guard, 'exit')
  guard.stdin?.end()
  const waitMs = STOP_WAIT_MS + GUARD_WAIT_MS
  const inTime = await Promise.race([exited, pause(waitMs, undefined, { ref: false })])
  if (inTime !== undefined) return
  guard.kill('SIGKILL')
  if (serverPid !== undefined && Number.isInteger(serverPid)) killGroup(serverPid)
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function ended(guard: ChildProcess): boolean {
  return guard.exitCode !== null || guard.signalCode !== null
}

/** A failure to start, as one sentence. */
export function startFault(message: string, cause?: unknown): PipelineError {
  return new PipelineError('CONFIGURATION', 'CONFIG', message, { cause })
}
