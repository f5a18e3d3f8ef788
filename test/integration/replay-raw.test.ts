// `exposure replay raw` on real topics: a mapping that changed, shown, then published.
import { describe, expect, it, onTestFinished } from 'vitest'
import { startStages } from '../../cli/stages.ts'
import { loadConfig } from '../../cli/config.ts'
import type { Asset } from '../../contracts/asset.ts'
import {
  controlOf,
  encodeRunEnd,
  parseRawFacts,
  parseRunEnd,
  rawHeaders,
  replayOf,
} from '../../contracts/envelope.ts'
import type { Finding } from '../../contracts/finding.ts'
import type { Transformer } from '../../contracts/ports.ts'
import type { KafkaRecord, OutRecord } from '../../contracts/processing.ts'
import { RAW_PARTITIONS, stateTopic, topicName } from '../../contracts/topics.ts'
import { kafkaSettings, registrySettings } from '../../runtime/config.ts'
import { deadLetter } from '../../runtime/dead-letter.ts'
import { openAdmin } from '../../runtime/kafka/admin.ts'
import { runProcessor } from '../../runtime/kafka/processor.ts'
import { openPublisher } from '../../runtime/kafka/publisher.ts'
import { createLogger } from '../../runtime/log.ts'
import { type Pipeline, openPipeline } from '../../runtime/pipeline.ts'
import { CLOSING_DEFAULTS } from '../../transformers/lifecycle/listings.ts'
import { createLifecycle } from '../../transformers/lifecycle/processor.ts'
import { type Entity, LifecycleStore } from '../../transformers/lifecycle/state.ts'
import { transformerGroup } from '../../transformers/main.ts'
import { MAPPING_VERSION } from '../../transformers/mapping-version.ts'
import { TRANSFORMERS } from '../../transformers/transformers.ts'
import { LifecycleBench } from '../support/lifecycle.ts'
import { type Ended, type Product, runExposure, startProduct } from '../support/product.ts'
import { waitFor } from '../support/stack.ts'

const TEST_TIMEOUT_MS = 240_000
const STEP_TIMEOUT_MS = 60_000
const HOUR_MS = 3_600_000
const STREAM = 'compute.hosts'
const log = createLogger('test')

/** `<key> <field>`: what differs between the mapping before and this build's. */
type Pairs = Set<string>
const OLD = 'as the mapping before said: '

/** The mapping before this build's: other titles for a third of the CVEs, other names of hosts. */
function mappingBefore(pairs: Map<string, Pairs>): Transformer[] {
  return TRANSFORMERS.filter(({ vendor }) => vendor === 'prisma-cloud').map((transformer) => ({
    ...transformer,
    transform(raw) {
      const seen = transformer.transform(raw)
      const own: Pairs = new Set()
      pairs.set(raw.facts.unit, own)
      const findings = seen.findings.map((finding) => {
        if (Number(finding.vuln_id.at(-1)) % 3 !== 0) return finding
        own.add(`${finding.finding_uid} title`)
        return { ...finding, title: OLD + finding.title }
      })
      const assets = seen.assets.map((asset) => {
        if (!/[02468]/.test(asset.name.replace(/\D/g, '').slice(-1))) return asset
        own.add(`${asset.asset_uid} name`)
        return { ...asset, name: OLD + asset.name }
      })
      return { ...seen, assets, findings }
    },
  }))
}

/** The transformers of the build before, in the group of the product. */
function startBefore({ settings, prefix, codecs }: Pipeline, transformers: readonly Transformer[]) {
  const group = transformerGroup(prefix, 'prisma-cloud')
  return runProcessor({
    settings,
    groupId: group,
    inputTopic: topicName(prefix, 'rawPrismaCloud'),
    stateTopic: topicName(prefix, 'statePrismaCloud'),
    transactionalIdPrefix: group,
    processor: createLifecycle({
      prefix,
      mappingVersion: 'before',
      closing: CLOSING_DEFAULTS,
      transformers,
      encode: {
        asset: (value) => codecs.encode('assets', value),
        finding: (value) => codecs.encode('findings', value),
        vulnerability: (value) => codecs.encode('vulnerabilities', value),
        run: (value) => codecs.encode('runs', value),
      },
      deadLetter: (record, error) => deadLetter(prefix, record, error, 1),
      onDrift: () => undefined,
      onDeadLetter: (error) => log.warn({ err: error }, 'dead letter'),
      onCleanPartition: () => undefined,
      onCommit: () => undefined,
    }),
    chunkRecordsMax: 1_000,
    chunkBytesMax: 8_000_000,
    sessionTimeoutMs: 10_000,
    concurrency: RAW_PARTITIONS,
    log,
    onProgress: () => undefined,
    onTrouble: (error) => log.warn({ err: error }, 'trouble'),
  })
}

async function opened(product: Product) {
  for (const what of ['topics', 'schemas']) {
    expect((await product.exposure([what, 'apply'])).code).toBe(0)
  }
  Object.assign(process.env, product.secrets)
  const config = loadConfig(product.configFile)
  const settings = kafkaSettings(config.kafka)
  const registry = registrySettings(config.registry)
  const pipeline = await openPipeline(settings, registry, { disconnectedAfterMs: HOUR_MS, log })
  onTestFinished(() => pipeline.close())
  const admin = await openAdmin(settings, log)
  onTestFinished(() => admin.close())
  const publisher = openPublisher(settings, log)
  onTestFinished(() => publisher.close())
  const group = transformerGroup(settings.prefix, 'prisma-cloud')
  const rawTopic = topicName(settings.prefix, 'rawPrismaCloud')
  /** Nothing is left to read for the transformers. */
  const caughtUp = () =>
    waitFor(
      async () => {
        const lag = await admin.lag(group, [rawTopic])
        return lag.every((partition) => partition.lag === 0n)
      },
      { what: 'transformers that have read all', timeoutMs: STEP_TIMEOUT_MS },
    )
  return { config, pipeline, publisher, caughtUp, rawTopic }
}
type Opened = Awaited<ReturnType<typeof opened>>

const asOut = ({ topic, partition, key, value, headers }: KafkaRecord): OutRecord => ({
  topic,
  partition,
  key,
  value,
  headers,
})

/** The same units an hour later, in a run of their own, but for those left out. */
function nextRun(records: readonly KafkaRecord[], runId: string, without: string): OutRecord[] {
  return records.flatMap((record) => {
    if (controlOf(record.headers) !== null) {
      const end = parseRunEnd(record.value ?? Buffer.alloc(0))
      const times = {
        startedAtMs: end.startedAtMs + HOUR_MS,
        endedAtMs: end.endedAtMs + HOUR_MS,
      }
      const { key, value, headers } = encodeRunEnd({ ...end, ...times, runId })
      return [{ ...asOut(record), key, value, headers }]
    }
    const facts = parseRawFacts(record.headers)
    if (facts.unit === without) return []
    const later = { ...facts, runId, fetchedAtMs: facts.fetchedAtMs + HOUR_MS }
    return [{ ...asOut(record), headers: rawHeaders(later) }]
  })
}

/** The unit again, in a run that is under way, with other bytes. */
function touched(records: readonly KafkaRecord[], unit: string, runId: string): OutRecord[] {
  const [record] = records.filter(({ headers }) => headers['x-unit'] === unit)
  if (record?.value == null) throw new Error(`no record of ${unit}`)
  const facts = parseRawFacts(record.headers)
  const later = { ...facts, runId, fetchedAtMs: facts.fetchedAtMs + 2 * HOUR_MS }
  const text = record.value.toString().replace('"vulnerabilities"', '"touched":1,"vulnerabilities"')
  expect(text).toContain('"touched":1')
  return [{ ...asOut(record), value: Buffer.from(text), headers: rawHeaders(later) }]
}

type Line = { unit?: string; key: string; change: string; field: string; published?: number }
const linesOf = (ended: Ended): Line[] => {
  expect([ended.code, ended.stderr]).toEqual([0, ''])
  const lines = ended.stdout.trimEnd().split('\n')
  return lines.map((line) => JSON.parse(line) as Line)
}
const pairsIn = (lines: readonly Line[]): string[] =>
  lines.slice(0, -1).map(({ key, field }) => `${key} ${field}`)

type Event = Asset | Finding
const keyOf = (event: Event) => ('finding_uid' in event ? event.finding_uid : event.asset_uid)
async function allEvents(product: Product): Promise<Event[]> {
  return [
    ...(await product.events<Asset>('assets')),
    ...(await product.events<Finding>('findings')),
  ]
}

const openHashes = (entities: ReadonlyMap<string, Entity>) =>
  [...entities].flatMap(([id, { closed, hash }]) => (closed ? [] : [`${id} ${hash}`])).toSorted()

async function liveState({ pipeline }: Opened): Promise<string[]> {
  const hashes: string[] = []
  for (let partition = 0; partition < RAW_PARTITIONS; partition++) {
    const store = new LifecycleStore()
    const topic = pipeline.prefix + stateTopic('prisma-cloud').name
    await pipeline.reader.readToEnd(topic, partition, ({ key, value }) => store.load(key, value))
    hashes.push(...openHashes(store.entities))
  }
  return hashes.toSorted()
}

/** What this build's mapping makes of the vendor's records alone. */
function fromScratch(records: readonly KafkaRecord[]): string[] {
  const hashes: string[] = []
  for (let partition = 0; partition < RAW_PARTITIONS; partition++) {
    const bench = new LifecycleBench(MAPPING_VERSION)
    for (const record of records) {
      if (record.partition !== partition || replayOf(record.headers) !== null) continue
      if (controlOf(record.headers) === null) bench.commit(record)
      else bench.commitControl(record)
    }
    hashes.push(...openHashes(bench.store.entities))
  }
  return hashes.toSorted()
}

it(
  'shows what another mapping changes, then publishes just that, as MAPPING',
  async () => {
    const product = await startProduct({ connections: ['prisma'], streams: [STREAM] })
    const scene = await opened(product)
    const { config, pipeline, publisher, caughtUp } = scene
    const replay = (...more: string[]) => {
      const words = ['replay', 'raw', '--connection', 'prisma', '--stream', STREAM, '--json']
      return product.exposure([...words, ...more])
    }
    const raw = () => product.records('rawPrismaCloud')

    // The build before reads one whole run, and another in which one host is no more.
    const pairs = new Map<string, Pairs>()
    const before = startBefore(pipeline, mappingBefore(pairs))
    onTestFinished(() => before.stop())
    const signal = AbortSignal.timeout(TEST_TIMEOUT_MS)
    const options = { once: true, signal }
    const [turn] = await (await startStages(pipeline, config, ['producers'], options)).producers
    expect(turn?.verdict).toBe('COMPLETE')
    const run1 = turn?.runId ?? ''
    const first = await raw()
    await caughtUp()
    const changing = [...pairs].flatMap(([unit, own]) => (own.size > 0 ? [unit] : []))
    const [closed = '', refetched = ''] = changing
    expect(changing.length).toBeGreaterThan(4)
    const runIdAfter = (hours: number) =>
      `${Number(run1.slice(0, 13)) + hours * HOUR_MS}${run1.slice(13)}`
    await publisher.send(nextRun(first, runIdAfter(1), closed))
    await caughtUp()
    await before.stop()
    // Fetched again meanwhile, and waiting for the transformers.
    await publisher.send(touched(first, refetched, runIdAfter(2)))

    const eventsBefore = await allEvents(product)
    const rawBefore = await raw()
    const isLeft = ([unit]: [string, Pairs]) => unit !== closed
    const wanted = [...pairs].filter(isLeft).flatMap(([, own]) => [...own])
    const shown = linesOf(await replay('--from', run1, '--diff'))
    expect(pairsIn(shown).toSorted()).toEqual(wanted.toSorted())
    expect(shown.at(-1)).toMatchObject({ published: 0, outcomes: { gone: 1 } })
    expect((await raw()).length).toBe(rawBefore.length)
    expect((await allEvents(product)).length).toBe(eventsBefore.length)

    const units = changing.length - 1
    const publishing = replay('--from', run1)
    await waitFor(async () => (await raw()).length === rawBefore.length + units, {
      what: 'records written again',
      timeoutMs: STEP_TIMEOUT_MS,
    })
    const now = await startStages(pipeline, config, ['transformers'], { once: false, signal })
    onTestFinished(() => now.stop())
    const told = linesOf(await publishing)
    const touchedPairs = pairs.get(refetched) ?? new Set()
    const expected = wanted.filter((pair) => !touchedPairs.has(pair))
    expect(told.at(-1)).toMatchObject({ published: units, events: expected.length })
    const events = (await allEvents(product)).filter(
      (event) => !eventsBefore.some(({ meta }) => meta.event_id === event.meta.event_id),
    )
    const byReplay = events.filter(({ meta }) => meta.run_id !== runIdAfter(2))
    expect(
      byReplay.map((event) => `${keyOf(event)} ${event.meta.changed_fields.join(',')}`).toSorted(),
    ).toEqual(expected.toSorted())
    for (const { meta } of byReplay) {
      expect([meta.change_type, meta.change_cause]).toEqual(['UPDATED', 'MAPPING'])
    }
    expect(JSON.stringify(byReplay.map((event) => ({ ...event, meta: null })))).not.toContain(OLD)

    const all = await raw()
    expect(await liveState(scene)).toEqual(fromScratch(all))
    const again = linesOf(await replay('--from', run1))
    expect(again).toEqual([expect.objectContaining({ published: 0, events: 0, entities: 0 })])
    expect((await raw()).length).toBe(all.length)
    const forced = linesOf(await replay('--from', run1, '--force'))
    expect(forced).toEqual([expect.objectContaining({ published: pairs.size - 1, events: 0 })])
    expect(await liveState(scene)).toEqual(fromScratch(await raw()))
    // Of the last whole run: the one the producer has told of.
    expect(linesOf(await replay('--diff')).at(-1)).toMatchObject({ units: pairs.size })
  },
  TEST_TIMEOUT_MS,
)

describe('a call that cannot be meant', () => {
  it.concurrent.for([
    [[], 'replay raw takes --connection NAME'],
    [['--connection', 'a'], 'replay raw takes --stream NAME'],
    [['--connection', 'a', '--stream', 'b', '--from', '7'], '--from takes a run id'],
    [['--connection', 'a', '--stream', 'b', '--diff', '--force'], '--diff publishes nothing'],
  ] as const)('is refused: %j', async ([args, sentence]) => {
    const ended = await runExposure(['replay', 'raw', ...args], {})
    expect([ended.code, ended.stdout]).toEqual([2, ''])
    expect(ended.stderr).toContain(`exposure: ${sentence}`)
  })

  it('is told which connections and streams there are', async () => {
    const product = await startProduct({ connections: ['prisma'] })
    const replay = (connection: string, stream: string) =>
      product.exposure(['replay', 'raw', '--connection', connection, '--stream', stream])
    expect(await replay('nobody', STREAM)).toMatchObject({ code: 2 })
    const ended = await replay('prisma', 'xdr.endpoints')
    expect(ended.code).toBe(2)
    expect(ended.stderr).toContain('no stream "xdr.endpoints" of prisma-cloud: compute.hosts')
  })
})
