// Processes of `exposure run` under a supervisor: killed, stalled and replaced, as machines do it.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

export type Stage = 'producers' | 'transformers' | 'sinks'

export type Instance = {
  readonly stage: Stage
  readonly pid: number
  readonly startedAtMs: number
  /** Its log, the last of it. */
  said(): string
}

type Running = Instance & { readonly child: ChildProcess; retired: boolean; stalled: boolean }

const MAIN = join(import.meta.dirname, '../../cli/main.ts')
// It ends a process whose parent is gone: nothing outlives a test run that is killed.
const LIVENESS = pathToFileURL(join(import.meta.dirname, '../../bin/liveness.mjs')).href
const SAID_CHARS_MAX = 20_000
const STOP_TIMEOUT_MS = 30_000
/** So many ends are bad luck, as servers may be away; after more, nothing is started again. */
const ENDS_MAX = 200
const RESTART_PAUSE_MS = 250

export class Fleet {
  readonly #configFile: string
  readonly #env: Readonly<Record<string, string>>
  readonly #running = new Set<Running>()
  readonly #logs: string[] = []
  #ends = 0
  #closed = false
  kills = 0
  stalls = 0
  starts = 0

  constructor(configFile: string, env: Readonly<Record<string, string>>) {
    this.#configFile = configFile
    this.#env = env
  }

  /** Instances that run, stalled ones included. */
  instances(stage?: Stage): Instance[] {
    return [...this.#running].filter((one) => stage === undefined || one.stage === stage)
  }

  /** Starts one that is replaced when it ends, however it ends, until it is retired. */
  start(stage: Stage): Instance {
    const args = ['--import', LIVENESS, MAIN, 'run', stage, '--config', this.#configFile]
    const child = spawn(process.execPath, args, {
      env: { ...process.env, NODE_ENV: 'development', NODE_OPTIONS: '', ...this.#env },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr.on('data', (piece: Buffer) => {
      said = (said + piece.toString()).slice(-SAID_CHARS_MAX)
    })
    const instance: Running = {
      stage,
      pid: child.pid ?? -1,
      startedAtMs: Date.now(),
      said: () => said,
      child,
      retired: false,
      stalled: false,
    }
    this.starts += 1
    this.#running.add(instance)
    child.once('close', (code, signal) => {
      this.#running.delete(instance)
      this.#logs.push(`${stage} ${instance.pid} ended by ${signal ?? code}\n${said}`)
      if (this.#logs.length > ENDS_MAX) this.#logs.shift()
      if (!instance.retired) this.#replace(stage)
    })
    return instance
  }

  #replace(stage: Stage): void {
    this.#ends += 1
    if (this.#closed || this.#ends > ENDS_MAX) return
    setTimeout(() => {
      if (!this.#closed) this.start(stage)
    }, RESTART_PAUSE_MS)
  }

  /** As a power cut: no clean-up. The supervisor starts another. */
  async kill(instance: Instance): Promise<void> {
    const one = this.#find(instance)
    if (one === undefined) return
    const closed = once(one.child, 'close')
    one.child.kill('SIGKILL')
    this.kills += 1
    await closed
  }

  /** The process stands still, with all its connections open, until `wake`. */
  stall(instance: Instance): void {
    const one = this.#find(instance)
    if (one === undefined || one.stalled) return
    one.stalled = true
    one.child.kill('SIGSTOP')
    this.stalls += 1
  }

  wake(instance: Instance): void {
    const one = this.#find(instance)
    if (one === undefined || !one.stalled) return
    one.stalled = false
    one.child.kill('SIGCONT')
  }

  wakeAll(): void {
    for (const one of this.#running) this.wake(one)
  }

  /** Ends in order, for good: SIGTERM, and SIGKILL when that takes longer than 30 s. */
  async retire(instance: Instance): Promise<void> {
    const one = this.#find(instance)
    if (one === undefined) return
    one.retired = true
    this.wake(one)
    const closed = once(one.child, 'close')
    one.child.kill('SIGTERM')
    const late = setTimeout(() => one.child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    try {
      await closed
    } finally {
      clearTimeout(late)
    }
  }

  async retireAll(stage?: Stage): Promise<void> {
    await Promise.all(this.instances(stage).map((one) => this.retire(one)))
  }

  /** Kills whatever is left; nothing is started any more. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(
      [...this.#running].map(async (one) => {
        one.retired = true
        const closed = once(one.child, 'close')
        one.child.kill('SIGKILL')
        await closed
      }),
    )
  }

  /** What all of them said, for whoever looks for a cause. */
  logs(): string {
    const present = [...this.#running].map((one) => `${one.stage} ${one.pid} runs\n${one.said()}`)
    return [...this.#logs, ...present].join('\n')
  }

  #find(instance: Instance): Running | undefined {
    return [...this.#running].find((one) => one.pid === instance.pid)
  }
}
