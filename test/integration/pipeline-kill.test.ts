// The promise of the whole pipeline: killed anywhere, again and again, it ends with the truth.
import { describe, expect, it } from 'vitest'
import { encodeRunEnd, rawHeaders, rawKey } from '../../contracts/envelope.ts'
import type { KafkaRecord, OutRecord } from '../../contracts/processing.ts'
import { RAW_PARTITIONS, TOPICS, VENDORS } from '../../contracts/topics.ts'
import { readerType } from '../../runtime/codecs.ts'
import { FAILPOINTS, SOURCE_FAILPOINTS } from '../../runtime/kafka/failpoints.ts'
import { openSession } from '../../runtime/kafka/session.ts'
import { sinkGroup } from '../../runtime/run-sink.ts'
import { transformerGroup } from '../../transformers/main.ts'
import { buryMembers } from '../support/dead-members.ts'
import {
  expectCheckpointsExact,
  expectEventsExact,
  expectLedgerExact,
  expectRawExact,
  expectStoreExact,
  readRaw,
} from '../support/exactness.ts'
import { startChild } from '../support/kafka-processes.ts'
import { openWorld, type World } from '../support/kafka-world.ts'
import {
  RUN_1,
  RUN_2,
  T0,
  host,
  hostFacts,
  rawPartitionOf,
  runEndOf,
  vulnerability,
} from '../support/lifecycle.ts'
import type { LifecycleJob } from '../support/lifecycle-worker.ts'
import { type Product, startProduct } from '../support/product.ts'
import { waitFor } from '../support/stack.ts'
import { expectStateIsTruth, expectStoreIsTruth } from '../support/truth.ts'

const SOURCE_HITS = [1, 3]
/** Stages of all connections pass these, so that late ones fall among the transformers. */
const CORE_HITS = [1, 3, 9]
/** Pages so small that a listing takes several chunks, and so several places to die between. */
const PAGE_LIMITS = { computeHosts: 3 }

/** Kills one process after the other at `points`; who lives ends with one of `codes`. */
async function killAndFinish(
  product: Product,
  points: readonly string[],
  codes: readonly number[],
  between: () => void,
): Promise<string[]> {
  const fine = (point: string) => ({ point, code: expect.toBeOneOf(codes) as unknown, said: '' })
  const died: string[] = []
  const groups = VENDORS.map((vendor) => transformerGroup(product.prefix, vendor))
  groups.push(sinkGroup(product.prefix, 'postgres'))
  for (const point of points) {
    const ended = await product.once({ EXPOSURE_FAILPOINT: point })
    if (ended.signal === 'SIGKILL') died.push(point)
    // A place that is passed less often than that: the run came to its end.
    else expect({ point, code: ended.code, said: ended.stderr }).toEqual(fine(point))
    await buryMembers(product.settings.brokers, groups)
    between()
  }
  const resumed = await product.once()
  expect({ point: 'none', code: resumed.code, said: resumed.stderr }).toEqual(fine('none'))
  const ended = await product.once()
  expect({ code: ended.code, said: ended.stderr }).toEqual({ code: 0, said: '' })
  return died
}

/** Every promise that the topics and the store have to keep; returns the last state of all keys. */
async function expectExact(product: Product, unitsOf: ReadonlyMap<string, Set<string>>) {
  const raw = await readRaw(product)
  const ended = expectRawExact(raw, unitsOf)
  await expectCheckpointsExact(product, raw, ended)
  await expectLedgerExact(product, ended)
  const state = await expectEventsExact(product)
  await expectStoreExact(product, state, ended)
  expect(await product.records('dlq')).toEqual([])
  return state
}

/** The units that a COMPLETE run shows: those whose vendor ids stand in the truth itself. */
function unitsInTruth(product: Product): Map<string, Set<string>> {
  const { assets } = product.truth()
  const connections = { 'sim-alpha': 'alpha', 'sim-beta': 'beta' }
  const streamOf = (asset: (typeof assets)[number]) => {
    const connection = connections[asset.tenant as keyof typeof connections] ?? 'prisma'
    return `${connection}|${asset.stream}`
  }
  const units = Map.groupBy(assets, streamOf)
  return new Map(
    [...units].map(([stream, of]) => [
      stream,
      new Set(of.map(({ nativeId }) => nativeId.replace(/^host\|/, ''))),
    ]),
  )
}

/** All three vendors' connections, and an estate that stands still. */
async function throughAllConnections(points: readonly string[]): Promise<string[]> {
  const product = await startProduct({ simulator: { machines: 10, pageLimits: PAGE_LIMITS } })
  const died = await killAndFinish(product, points, [0], () => undefined)
  const state = await expectExact(product, unitsInTruth(product))
  expectStateIsTruth(state, product.truth())
  await expectStoreIsTruth(product, product.truth())
  return died
}

/** Prisma Cloud alone, and an estate that moves on after every kill: findings come, go, return. */
async function throughChanges(points: readonly string[]): Promise<string[]> {
  const product = await startProduct({
    simulator: { machines: 10, pageLimits: PAGE_LIMITS },
    connections: ['prisma'],
  })
  // A run that goes on in an estate that has moved meanwhile may well be DRIFTED or PARTIAL.
  const moveOn = () => void product.simulator.evolve(2)
  const died = await killAndFinish(product, points, [0, 3], moveOn)
  const state = await expectExact(product, new Map())
  const truth = product.truth()
  const ours = ({ product: of }: { product: string }) => of === 'prisma-compute'
  expectStateIsTruth(state, {
    ...truth,
    assets: truth.assets.filter(ours),
    findings: truth.findings.filter(ours),
  })
  const types = new Set(state.findings.map((finding) => finding.meta.change_type))
  expect([...types]).toEqual(expect.arrayContaining(['CREATED', 'RESOLVED']))
  return died
}

describe('exposure start --once, killed again and again', () => {
  it('ends with the truth, nothing lost and nothing twice', { timeout: 600_000 }, async () => {
    const at = (names: readonly string[], hits: readonly number[]) =>
      hits.flatMap((hit) => names.map((name) => `${name}:${hit}`))
    const points = [...at(SOURCE_FAILPOINTS, SOURCE_HITS), ...at(FAILPOINTS, CORE_HITS)]
    const chains = [0, 1, 2, 3].map((chain) => points.filter((_, i) => i % 4 === chain))
    const [a = [], b = [], c = [], d = []] = chains
    const lanes = [
      async () => [...(await throughAllConnections(a)), ...(await throughChanges(b))],
      async () => [...(await throughChanges(c)), ...(await throughAllConnections(d))],
    ]
    const died = (await Promise.all(lanes.map((lane) => lane()))).flat()
    const names = new Set(died.map((point) => point.split(':')[0]))
    expect(names).toEqual(new Set<string>([...SOURCE_FAILPOINTS, ...FAILPOINTS]))
  })
})

const HOSTS = 30
const HOUR_MS = 3_600_000

/** Two runs over some hosts; in the second every third has lost a weakness and got another. */
function twoRuns(topic: string): OutRecord[] {
  const units = (runId: string, fetchedAtMs: number, second: boolean) =>
    Array.from({ length: HOSTS }, (_, i): OutRecord => {
      const name = `host-${i}`
      const assetNativeId = `host|${name}`
      const facts = hostFacts({ unit: name, assetNativeId, runId, fetchedAtMs })
      const cves = second && i % 3 === 0 ? [3, 4] : [3, 5]
      const found = cves.map((n) => vulnerability(`CVE-2026-000${n}`))
      const body = JSON.stringify(host(found, { _id: name, hostname: name }))
      const [key, headers] = [rawKey(facts), rawHeaders(facts)]
      return { topic, partition: rawPartitionOf(facts), key, value: Buffer.from(body), headers }
    })
  const end = (runId: string, endedAtMs: number) =>
    Array.from({ length: RAW_PARTITIONS }, (_, partition) => ({
      topic,
      partition,
      ...encodeRunEnd(runEndOf({ runId, endedAtMs, fetched: HOSTS, published: HOSTS })),
    }))
  return [
    ...units(RUN_1, T0, false),
    ...end(RUN_1, T0 + 1),
    ...units(RUN_2, T0 + HOUR_MS, true),
    ...end(RUN_2, T0 + HOUR_MS + 1),
  ]
}

/** The lifecycle over `input`, killed at each point; what it has committed by key and revision. */
async function committedEvents(
  world: World,
  input: string,
  name: string,
  points: readonly string[],
): Promise<{ events: Map<string, string>; abortedRecords: number }> {
  const outputs = ['assets', 'findings'] as const
  const made = [...outputs, 'runs', 'dlq'] as const
  for (const topic of made) {
    await world.topic(`${name}.${TOPICS[topic].name}`, TOPICS[topic].partitions)
  }
  const job: LifecycleJob = {
    settings: world.settings,
    groupId: `${world.settings.prefix}${name}.group`,
    input,
    state: await world.topic(`${name}.state`, RAW_PARTITIONS),
    outputPrefix: `${world.settings.prefix}${name}.`,
    chunkRecordsMax: 2,
  }
  const worker = (failpoint: string) =>
    startChild('lifecycle-worker.ts', {
      EXPOSURE_TEST_WORKER: JSON.stringify(job),
      EXPOSURE_FAILPOINT: failpoint,
    })
  for (const point of points) {
    expect({ point, ...(await worker(point).ended) }).toMatchObject({ signal: 'SIGKILL' })
    await buryMembers(world.settings.brokers, [job.groupId])
  }
  const heir = worker('')
  await waitFor(
    async () => {
      const lags = await world.admin.lag(job.groupId, [input])
      return lags.every(({ lag, committed }) => lag === 0n && committed !== null)
    },
    { timeoutMs: 90_000, what: `${name} comes to the end: ${heir.stderr()}` },
  )
  heir.process.kill('SIGTERM')
  expect({ ...(await heir.ended), said: heir.stderr() }).toMatchObject({ code: 0, said: '' })
  const events = new Map<string, string>()
  let abortedRecords = 0
  for (const topic of outputs) {
    const { records, results } = await world.readAll(`${job.outputPrefix}${TOPICS[topic].name}`)
    for (const record of records) {
      const place = `${topic} ${record.key} ${revisionOf(topic, record)}`
      expect(events.has(place)).toBe(false)
      events.set(place, JSON.stringify([record.value?.toString('base64'), record.headers]))
    }
    abortedRecords += results.reduce((sum, result) => sum + result.abortedRecords, 0)
  }
  return { events, abortedRecords }
}

const types = { assets: readerType('Asset'), findings: readerType('Finding') }

function revisionOf(topic: 'assets' | 'findings', { value }: KafkaRecord): number {
  const event = types[topic].fromBuffer(value ?? Buffer.alloc(0)) as {
    meta: { revision: number }
  }
  return event.meta.revision
}

describe('a batch done again', () => {
  it('writes the very same bytes as one that was never disturbed', async () => {
    const world = await openWorld()
    const input = await world.topic('raw', RAW_PARTITIONS)
    const transactionalId = `${world.settings.prefix}source`
    const session = await openSession(world.client, {
      transactionalId,
      transactionTimeoutMs: 20_000,
    })
    await session.commit({ outputs: twoRuns(input) })
    await session.close()
    const points = ['outputs-sent:2', 'follow-up-sent:5', 'offsets-sent:7', 'outputs-sent:9']
    const [calm, killed] = await Promise.all([
      committedEvents(world, input, 'calm', []),
      committedEvents(
        world,
        input,
        'killed',
        points.map((point) => `session.${point}`),
      ),
    ])
    expect(calm.abortedRecords).toBe(0)
    expect(killed.abortedRecords).toBeGreaterThan(0)
    // An asset and two findings each; then one resolved and one created for every third host.
    expect(calm.events.size).toBe(HOSTS * 3 + (HOSTS / 3) * 2)
    expect(killed.events).toEqual(calm.events)
  })
})
