// A producer that reads 300,000 findings: it publishes while the body arrives, and stays small.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import type { Run } from '../../contracts/run.ts'
import { CORTEX_STREAMS } from '../../producers/cortex/config.ts'
import { startProduct } from '../support/product.ts'
import { stack } from '../support/stack.ts'
import { waitFor } from '../support/wait-for.ts'

const TEST_TIMEOUT_MS = 400_000
const RUN_TIMEOUT_MS = 300_000
const POLL_MS = 1_000
const SEED = 7
/** Of these the first tenant's inventory has a little more than 300,000 open findings. */
const MACHINES = 80_000
const ROWS_MIN = 300_000
const RSS_MB_MAX = 400

/** A child under plain node, gone with the test. */
function startNode(script: string, args: readonly string[], env: Record<string, string> = {}) {
  const path = fileURLToPath(new URL(`../../${script}`, import.meta.url))
  const child = spawn(process.execPath, [path, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '', ...env },
  })
  child.stderr.resume()
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const closed = once(child, 'close')
    child.kill('SIGKILL')
    await closed
  })
  return child
}

/** The most memory a process has had resident so far, in MB. */
const peakRssMb = ({ pid }: ChildProcess): number => {
  const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kilobytes) / 1_024
}

it.skipIf(process.platform !== 'linux')(
  `a producer of ${ROWS_MIN} findings stays below ${RSS_MB_MAX} MB`,
  async () => {
    const size = ['--seed', String(SEED), '--machines', String(MACHINES)]
    const simulator = startNode('simulator/main.ts', [...size, '--no-rate-limits'])
    const [line] = (await once(createInterface(simulator.stdout), 'line')) as [string]
    const { cortex } = JSON.parse(line) as { cortex: { url: string }[] }
    const others = CORTEX_STREAMS.filter((stream) => stream !== 'cloud.findings')
    const product = await startProduct({
      // Keys come from the seed alone; the estate itself is in the other process.
      simulator: { seed: SEED, machines: 0 },
      connections: ['alpha'],
      connection: {
        url: cortex[0]?.url,
        streams: Object.fromEntries(others.map((stream) => [stream, { enabled: false }])),
      },
    })
    expect((await product.exposure(['topics', 'apply'])).code).toBe(0)
    expect((await product.exposure(['schemas', 'apply'])).code).toBe(0)
    const run = ['run', 'producers', '--config', product.configFile]
    const producer = startNode('cli/main.ts', run, {
      ...product.secrets,
      EXPOSURE_KAFKA_BROKERS: stack().brokers.join(','),
      EXPOSURE_REGISTRY_URL: stack().registryUrl,
    })
    const fetched = async (): Promise<Run | undefined> => {
      // Reading the topic takes processor time from those that are measured.
      await pause(POLL_MS)
      return (await product.events<Run>('runs')).find(({ phase }) => phase === 'FETCHED')
    }
    const ended = await waitFor(fetched, { what: 'the run to end', timeoutMs: RUN_TIMEOUT_MS })
    const rssMb = peakRssMb(producer)
    expect(ended).toMatchObject({ verdict: 'COMPLETE', stream: 'cloud.findings' })
    expect(ended.published).toBeGreaterThan(ROWS_MIN)
    expect(ended.published).toBe(ended.declared)
    console.info(`${ended.published} findings, peak RSS ${rssMb.toFixed(0)} MB`)
    expect(rssMb).toBeGreaterThan(20)
    expect(rssMb).toBeLessThan(RSS_MB_MAX)
  },
  TEST_TIMEOUT_MS,
)
