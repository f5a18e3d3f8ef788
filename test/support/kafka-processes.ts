// Child processes of tests: started with plain node, never left behind.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

export type Child = {
  readonly process: ChildProcess
  /** Resolves when it has ended, with the signal that killed it or null. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  /** What it has printed so far. */
  stdout(): string
  stderr(): string
}

/** Runs a script of test/support; `env` is added to the environment. Killed with the test. */
export function startChild(script: string, env: Record<string, string>): Child {
  const path = fileURLToPath(new URL(`./${script}`, import.meta.url))
  const process_ = spawn(process.execPath, [path], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  let out = ''
  let err = ''
  process_.stdout.on('data', (bytes: Buffer) => (out += bytes.toString()))
  process_.stderr.on('data', (bytes: Buffer) => (err += bytes.toString()))
  const ended = once(process_, 'close').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
  }))
  onTestFinished(async () => {
    process_.kill('SIGKILL')
    await ended
  })
  return { process: process_, ended, stdout: () => out, stderr: () => err }
}
