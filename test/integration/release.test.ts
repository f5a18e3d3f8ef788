// What the fuse holds back: held once, told once, released by the operator or cleared by itself.
import { spawn } from 'node:child_process'
import { once as event } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import type { Asset } from '../../contracts/asset.ts'
import { controlOf } from '../../contracts/envelope.ts'
import type { Finding } from '../../contracts/finding.ts'
import type { KafkaRecord } from '../../contracts/processing.ts'
import type { Run } from '../../contracts/run.ts'
import { type Product, type ProductOptions, startProduct } from '../support/product.ts'
import { waitFor } from '../support/wait-for.ts'

const TIMEOUT_MS = 480_000
const WAIT_MS = 120_000
const STREAM = 'compute.hosts'
const LOSS = {
  vendor: 'prisma-cloud',
  endpoint: STREAM,
  kind: 'missing-rows',
  share: 0.6,
  times: 'forever',
} as const

const start = (onFinished: NonNullable<ProductOptions['onFinished']>, connection: object = {}) =>
  startProduct({
    connection,
    connections: ['prisma'],
    streams: [STREAM],
    simulator: { machines: 40 },
    onFinished,
  })

/** One run of the stream; returns its id. */
async function poll(product: Product, ends = 0): Promise<string> {
  const { code, stderr, summary } = await product.once()
  expect([code, code === ends ? '' : stderr]).toEqual([ends, ''])
  return summary?.runs[0]?.run ?? ''
}

async function closings(product: Product): Promise<Asset['meta'][]> {
  const assets = await product.events<Asset>('assets')
  const findings = await product.events<Finding>('findings')
  return [...assets, ...findings]
    .map(({ meta }) => meta)
    .filter(({ change_type }) => change_type === 'GONE' || change_type === 'RESOLVED')
}

/** States of MISSING_DATA in order, ONGOING left out. */
async function missing(product: Product): Promise<string[]> {
  const events = await product.connectorErrors()
  return events
    .filter(({ error_type, state }) => error_type === 'MISSING_DATA' && state !== 'ONGOING')
    .toSorted((a, b) => a.last_at - b.last_at)
    .map(({ state }) => state)
}

async function finished(product: Product, runId: string): Promise<Run | undefined> {
  const runs = await product.events<Run>('runs')
  return runs.findLast(({ phase, run_id }) => phase === 'FINISHED' && run_id === runId)
}

/** Waits until a producer has ended a run after `before`, whoever has answered it. */
function ended(product: Product, before: string): Promise<unknown> {
  const isNewer = ({ phase, run_id }: Run) => phase === 'FETCHED' && run_id > before
  return waitFor(async () => (await product.events<Run>('runs')).some(isNewer), {
    what: 'the end of the next run',
    timeoutMs: WAIT_MS,
  })
}

/** Waits until the order to release is written. */
function ordered(product: Product): Promise<unknown> {
  const isOrder = ({ headers }: KafkaRecord) => controlOf(headers) === 'release'
  return waitFor(async () => (await product.records('rawPrismaCloud')).some(isOrder), {
    what: 'the order to release',
    timeoutMs: WAIT_MS,
  })
}

const withTransformers = <T>(product: Product, work: () => Promise<T>): Promise<T> =>
  withStage(product, 'transformers', work)

/** A stage in a process of its own while `work` goes on. */
async function withStage<T>(
  product: Product,
  stage: 'producers' | 'transformers',
  work: () => Promise<T>,
): Promise<T> {
  const main = new URL('../../cli/main.ts', import.meta.url).pathname
  const args = [main, 'run', stage, '--config', product.configFile]
  const child = spawn(process.execPath, args, {
    env: { ...process.env, NODE_OPTIONS: '', ...product.secrets },
    stdio: 'ignore',
  })
  const exited = event(child, 'exit')
  try {
    return await work()
  } finally {
    child.kill('SIGTERM')
    await exited
  }
}

it.concurrent(
  'are closed by a release, and the small estate is the measure from then on',
  async ({ onTestFinished }) => {
    const product = await start(onTestFinished)
    const first = await poll(product)
    expect(await missing(product)).toEqual([])

    product.simulator.faults.set(LOSS)
    const lost = await poll(product)
    expect(await closings(product)).toEqual([])
    expect(await missing(product)).toEqual(['RAISED'])
    const held = (await finished(product, lost))?.totals?.held ?? 0
    expect(held).toBeGreaterThan(20)

    const list = await product.exposure(['runs', 'list', '--json'])
    const [newest, oldest] = list.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object)
    expect(newest).toMatchObject({
      run: lost,
      verdict: 'COMPLETE',
      closed: 0,
      held,
      stream: STREAM,
    })
    expect(oldest).toMatchObject({ run: first, held: 0 })
    const shown = await product.exposure(['runs', 'show', lost])
    expect(shown.stdout.match(/TALLY \d/g)).toHaveLength(6)

    const refused = await product.exposure(['runs', 'release', first, '--yes'])
    expect([refused.code, refused.stdout]).toEqual([1, ''])
    expect(refused.stderr).toContain(`exposure runs release ${lost}`)
    const asked = await product.exposure(['runs', 'release', lost])
    expect([asked.code, asked.stderr]).toEqual([0, ''])
    expect(asked.stdout).toContain(`closing of ${held} assets and findings of ${STREAM}`)

    const released = await withTransformers(product, () =>
      product.exposure(['runs', 'release', lost, '--yes']),
    )
    expect([released.code, released.stderr]).toEqual([0, ''])
    expect(released.stdout).toContain(`closed ${held} assets and findings`)
    const closed = await closings(product)
    expect(closed).toHaveLength(held)
    expect(new Set(closed.map((meta) => `${meta.change_cause} ${meta.run_id}`))).toEqual(
      new Set([`OPERATOR ${lost}`]),
    )
    expect(await finished(product, lost)).toMatchObject({
      hold: null,
      totals: { held: 0, closed: held },
    })
    expect(await missing(product)).toEqual(['RAISED', 'CLEARED'])
    const again = await product.exposure(['runs', 'release', lost, '--yes'])
    expect([again.code, again.stderr.split('\n')[0]]).toEqual([
      1,
      `exposure: run ${lost} holds nothing back`,
    ])

    await poll(product)
    expect(await closings(product)).toHaveLength(held)
    expect(await missing(product)).toEqual(['RAISED', 'CLEARED'])
  },
  TIMEOUT_MS,
)

it.concurrent(
  'stay open when they come back, which ends the hold by itself',
  async ({ onTestFinished }) => {
    const product = await start(onTestFinished)
    await poll(product)
    product.simulator.faults.set(LOSS)
    const lost = await poll(product)
    await poll(product)
    expect(await missing(product)).toEqual(['RAISED'])

    product.simulator.faults.clear()
    await poll(product)
    expect(await closings(product)).toEqual([])
    expect(await missing(product)).toEqual(['RAISED', 'CLEARED'])
    const refused = await product.exposure(['runs', 'release', lost, '--yes'])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain('is held no more')
  },
  TIMEOUT_MS,
)

it.concurrent(
  'are none any more of a connection that was removed',
  async ({ onTestFinished }) => {
    const product = await start(onTestFinished)
    await poll(product)
    product.simulator.faults.set(LOSS)
    const lost = await poll(product)
    const removed = await withTransformers(product, async () => {
      const { code } = await product.exposure(['connections', 'remove', 'prisma', '--keep'])
      const isSummed = ({ phase, stream }: Run) => phase === 'FINISHED' && stream === '*'
      await waitFor(async () => (await product.events<Run>('runs')).some(isSummed), {
        what: 'the end of the removal',
        timeoutMs: WAIT_MS,
      })
      return code
    })
    expect(removed).toBe(0)
    expect(await missing(product)).toEqual(['RAISED', 'CLEARED'])
    const refused = await product.exposure(['runs', 'release', lost, '--yes'])
    expect([refused.code, refused.stdout]).toEqual([1, ''])
    expect(refused.stderr).toContain('or it was removed')
  },
  TIMEOUT_MS,
)

it.concurrent(
  'are told with the run that has ended meanwhile, when it overtakes the release',
  async ({ onTestFinished }) => {
    const product = await start(onTestFinished, { every: '1s' })
    await poll(product)
    product.simulator.faults.set(LOSS)
    const lost = await poll(product)
    product.simulator.faults.clear()
    // Polled and not yet answered: the order comes behind it.
    await withStage(product, 'producers', () => ended(product, lost))
    const release = product.exposure(['runs', 'release', lost, '--yes'])
    await ordered(product)
    const released = await withTransformers(product, () => release)
    expect([released.code, released.stderr]).toEqual([0, ''])
    expect(released.stdout).toMatch(
      /^closed 0 assets and findings; run \S+ has ended meanwhile and holds nothing back$/m,
    )
    expect(await closings(product)).toEqual([])
  },
  TIMEOUT_MS,
)

it.concurrent(
  'are none of a stream that never had rows: released, it is empty and no news any more',
  async ({ onTestFinished }) => {
    const product = await start(onTestFinished)
    product.simulator.faults.set({ ...LOSS, share: 1 })
    const empty = await poll(product)
    expect(await missing(product)).toEqual(['RAISED'])
    const released = await withTransformers(product, () =>
      product.exposure(['runs', 'release', empty, '--yes']),
    )
    expect([released.code, released.stderr]).toEqual([0, ''])
    expect(released.stdout).toContain(`run ${empty} of ${STREAM} of prisma has nothing to close`)
    expect(released.stdout).toContain('closed 0 assets and findings; the next run is compared')
    expect(await missing(product)).toEqual(['RAISED', 'CLEARED'])
    await poll(product)
    expect(await missing(product)).toEqual(['RAISED', 'CLEARED'])
  },
  TIMEOUT_MS,
)

/** As an operator changes the file: fewer searches of the configuration. */
async function narrow(product: Product, configApis: readonly string[]): Promise<void> {
  const document = parse(await readFile(product.configFile, 'utf8')) as { connections: object[] }
  const connections = document.connections.map((connection) => ({ ...connection, configApis }))
  await writeFile(product.configFile, stringify({ ...document, connections }))
}

it.concurrent(
  'stay open too when other filters list them no more, until they are released',
  async ({ onTestFinished }) => {
    const product = await startProduct({
      connections: ['prisma'],
      streams: ['cspm.config'],
      simulator: { machines: 40 },
      onFinished: onTestFinished,
    })
    await poll(product)
    const machines = await product.events<Asset>('assets')
    const others = machines.filter(({ cloud }) => cloud?.provider !== 'aws')
    expect(others.length).toBeGreaterThan(3)

    await narrow(product, ['aws-ec2-describe-instances'])
    const narrowed = await poll(product)
    expect(await closings(product)).toEqual([])
    expect(await missing(product)).toEqual(['RAISED'])
    const [told] = (await product.connectorErrors()).filter((e) => e.error_type === 'MISSING_DATA')
    expect(told?.message).toContain('last seen under other filters')
    expect(told?.remediation).toContain(`exposure runs release ${narrowed}`)
    // It stays so, and is no news, until somebody says what they are.
    const second = await poll(product)
    expect(await closings(product)).toEqual([])

    const released = await withTransformers(product, () =>
      product.exposure(['runs', 'release', second, '--yes']),
    )
    expect([released.code, released.stderr]).toEqual([0, ''])
    const gone = (await product.events<Asset>('assets')).filter(({ status }) => status === 'GONE')
    expect(gone.map((asset) => asset.asset_uid).toSorted()).toEqual(
      others.map((asset) => asset.asset_uid).toSorted(),
    )
    expect(await missing(product)).toEqual(['RAISED', 'CLEARED'])
  },
  TIMEOUT_MS,
)
