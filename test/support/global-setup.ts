// Starts one stack for all projects that need one, and takes it down after the last of them.
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startStack, type RunningStack } from '../../stack/stack.ts'

export type StackAddresses = {
  readonly brokers: string[]
  readonly registryUrl: string
  readonly postgresUrl: string
}

declare module 'vitest' {
  export interface ProvidedContext {
    stack: StackAddresses
  }
}

type Shared = { users: number; starting: Promise<RunningStack> }

// Each project loads this file for itself, so that only the process can hold what they share.
const SHARED = Symbol.for('exposure.test-stack')
const holder = globalThis as { [SHARED]?: Shared }
const home = resolve(import.meta.dirname, '../../.exposure')
const dataDir = join(home, `test-${process.pid}`)

/** Starts the stack, or joins the one another project has started. */
export async function setup(project: TestProject): Promise<void> {
  const shared = holder[SHARED] ?? { users: 0, starting: start() }
  holder[SHARED] = shared
  shared.users += 1
  const { brokers, registryUrl, postgresUrl } = await shared.starting
  project.provide('stack', { brokers, registryUrl, postgresUrl })
}

/** Stops the stack when no project uses it any more. */
export async function teardown(): Promise<void> {
  const shared = holder[SHARED]
  if (shared === undefined) return
  shared.users -= 1
  if (shared.users > 0) return
  delete holder[SHARED]
  try {
    // One that did not start has said so in setup, and has left nothing to stop.
    const stack = await shared.starting.catch(() => null)
    await stack?.stop()
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
}

function start(): Promise<RunningStack> {
  removeAbandoned()
  mkdirSync(dataDir, { recursive: true })
  const log = (line: string) => console.error(line)
  return startStack({ dataDir, fresh: true, temporary: true, log })
}

/** Data of test runs that were killed. */
function removeAbandoned(): void {
  mkdirSync(home, { recursive: true })
  for (const name of readdirSync(home)) {
    const pid = /^test-(\d+)$/.exec(name)?.[1]
    if (pid === undefined || isAlive(Number(pid))) continue
    rmSync(join(home, name), { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // Another user's process is one all the same.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
