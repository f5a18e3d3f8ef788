// Which core who has: workers that are measured have one for themselves, where taskset is there.
import { execFile } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'

const TASKSET = 'taskset'
const TASKSET_TIMEOUT_MS = 5_000
const WORKER_CORE = '0'

let isPinned = false

/** True when `leaveCoreOfWorkers` has kept a core free. */
export const workersArePinned = (): boolean => isPinned

/**
 * Takes this process off the workers' core, and with it every server that it starts from now on.
 * Where that cannot be done, it says so, and workers share their core with all else.
 */
export async function leaveCoreOfWorkers(log: (line: string) => void): Promise<void> {
  const last = availableParallelism() - 1
  if (last < 1) return log('bench: one core only, so that all share it')
  try {
    const args = ['-a', '-p', '-c', `1-${last}`, String(process.pid)]
    await promisify(execFile)(TASKSET, args, { timeout: TASKSET_TIMEOUT_MS })
    isPinned = true
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    log(`bench: no core is kept free, taskset failed: ${why}`)
  }
}

/** What starts a worker, on its core where one is kept free. */
export const workerCommand = (args: readonly string[]): readonly [string, readonly string[]] =>
  isPinned ? [TASKSET, ['-c', WORKER_CORE, process.execPath, ...args]] : [process.execPath, args]
