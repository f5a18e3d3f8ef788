// The process that ends a container with us, however we end (container-guard.mjs).
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { startFault } from './server.ts'

const STOP_TIMEOUT_MS = 120_000
const SAID_MAX = 500

export type GuardPlan = {
  /** Where the engine answers. */
  readonly socket: string
  readonly name: string
  /** The volume to remove with the container; null where data are kept. */
  readonly volume: string | null
  readonly stopWaitS: number
}

/** Guards a container by its name, from before it is made. `stop` ends it. Safe to call twice. */
export function startContainerGuard(plan: GuardPlan): { stop: () => Promise<void> } {
  const guard = spawn(
    process.execPath,
    [join(import.meta.dirname, 'container-guard.mjs'), JSON.stringify(plan)],
    // Its own session: a Ctrl+C in the terminal is for us to answer, in our order.
    { stdio: ['pipe', 'ignore', 'pipe'], detached: true },
  )
  const exited = once(guard, 'exit')
  exited.catch(() => {
    // It could not be run: `stop` waits for the same promise, and says so.
  })
  let said = ''
  guard.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-SAID_MAX)
  })
  guard.stdin.on('error', () => {
    // The guard has ended: its exit says so, and why.
  })
  // Containers must not keep a process alive that has nothing left to do.
  guard.unref()
  for (const stream of [guard.stdin, guard.stderr]) {
    if ('unref' in stream) (stream.unref as () => void)()
  }
  return {
    async stop() {
      guard.ref()
      guard.stdin.end()
      const ended = await Promise.race([exited, pause(STOP_TIMEOUT_MS, null, { ref: false })])
      if (ended?.[0] === 0) return
      throw startFault(`The container ${plan.name} did not stop: ${said.trim() || 'no answer'}`)
    },
  }
}
