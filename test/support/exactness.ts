// What must hold of the committed topics after any number of kills: nothing lost, nothing twice.
import { expect } from 'vitest'
import type { Asset } from '../../contracts/asset.ts'
import {
  type RawFacts,
  type RunEnd,
  controlOf,
  parseRawFacts,
  parseRunEnd,
  rawKey,
  streamKey,
} from '../../contracts/envelope.ts'
import type { Finding } from '../../contracts/finding.ts'
import { eventId } from '../../contracts/identity.ts'
import type { KafkaRecord } from '../../contracts/processing.ts'
import type { Run } from '../../contracts/run.ts'
import { RAW_PARTITIONS } from '../../contracts/topics.ts'
import type { RunCheckpoint } from '../../runtime/checkpoint.ts'
import type { Product } from './product.ts'
import type { FinalState } from './truth.ts'

type Unit = { readonly facts: RawFacts; readonly record: KafkaRecord }
export type RawLog = {
  readonly units: readonly Unit[]
  readonly ends: readonly { readonly end: RunEnd; readonly record: KafkaRecord }[]
}

export async function readRaw(product: Product): Promise<RawLog> {
  const records = [
    ...(await product.records('rawPrismaCloud')),
    ...(await product.records('rawCortex')),
  ]
  const isEnd = (record: KafkaRecord) => controlOf(record.headers) === 'run-end'
  return {
    units: records
      .filter((record) => !isEnd(record))
      .map((record) => ({ facts: parseRawFacts(record.headers), record })),
    ends: records
      .filter(isEnd)
      .map((record) => ({ end: parseRunEnd(record.value ?? Buffer.alloc(0)), record })),
  }
}

/** The end of every run, and how many units of it are there. */
export type EndedRuns = ReadonlyMap<string, { readonly end: RunEnd; readonly units: number }>

/** One run of one stream; run ids alone may meet by chance. */
const runKey = (run: { connection: string; stream: string; runId: string }): string =>
  `${streamKey(run)}|${run.runId}`

/** @returns the ended runs, by connection, stream and run id */
export function expectRawExact({ units, ends }: RawLog, unitsOf: ReadonlyMap<string, Set<string>>) {
  const byRun = Map.groupBy(units, ({ facts }) => runKey(facts))
  for (const [run, of] of byRun) {
    const keys = of.map(({ facts }) => rawKey(facts))
    expect({ run, keys: new Set(keys).size }).toEqual({ run, keys: keys.length })
  }
  const ended = new Map<string, { end: RunEnd; units: number }>()
  for (const [run, of] of Map.groupBy(ends, ({ end }) => runKey(end))) {
    const [first] = of
    if (first === undefined) continue
    // One per partition, all saying the same, each behind every unit of its run there.
    const partitions = of.map(({ record }) => record.partition).toSorted((a, b) => a - b)
    expect({ run, partitions }).toEqual({ run, partitions: [0, 1, 2, 3, 4, 5] })
    expect(of.map(({ end }) => end)).toEqual(of.map(() => first.end))
    const shown = byRun.get(run) ?? []
    for (const { record } of shown) {
      const end = of.find(({ record: r }) => r.partition === record.partition)?.record
      expect(end?.offset).toBeGreaterThan(record.offset)
    }
    expect({ run, published: first.end.published }).toEqual({ run, published: shown.length })
    if (first.end.verdict === 'COMPLETE') {
      const names = new Set(shown.map(({ facts }) => facts.unit))
      expect(names).toEqual(unitsOf.get(streamKey(first.end)) ?? names)
    }
    ended.set(run, { end: first.end, units: shown.length })
  }
  return ended
}

/** The checkpoint of every run says exactly what of it is in the raw topic, never more. */
export async function expectCheckpointsExact(
  product: Product,
  { units }: RawLog,
  ended: EndedRuns,
): Promise<void> {
  const byRun = Map.groupBy(units, ({ facts }) => runKey(facts))
  const last = new Map<string, RunCheckpoint>()
  for (const { key, value } of await product.records('checkpoints')) {
    const checkpoint = JSON.parse(value?.toString() ?? 'null') as RunCheckpoint
    last.set(`${key}|${checkpoint.runId}`, checkpoint)
  }
  expect([...byRun.keys()].filter((run) => !last.has(run))).toEqual([])
  for (const [run, { published, verdict }] of last) {
    const there = byRun.get(run)?.length ?? 0
    expect({ run, published }).toEqual({ run, published: there })
    if (verdict !== null) expect(ended.get(run)?.end.verdict).toBe(verdict)
  }
}

/** One STARTED and one FETCHED per ended run, one tally per partition, adding up to its units. */
export async function expectLedgerExact(product: Product, ended: EndedRuns): Promise<void> {
  const lines = await product.events<Run>('runs')
  const keyOf = (run: Run) =>
    runKey({ connection: run.connection_id, stream: run.stream, runId: run.run_id })
  const byRun = Map.groupBy(lines, keyOf)
  expect(new Set(byRun.keys())).toEqual(new Set(ended.keys()))
  for (const [run, { end, units }] of ended) {
    const of = byRun.get(run) ?? []
    const phases = (phase: Run['phase']) => of.filter((line) => line.phase === phase)
    expect({ run, started: phases('STARTED').length }).toEqual({ run, started: 1 })
    expect({ run, fetched: phases('FETCHED').map((line) => line.verdict) }).toEqual({
      run,
      fetched: [end.verdict],
    })
    const tallies = phases('TALLY').map((line) => line.tally)
    const partitions = tallies.map((tally) => tally?.partition ?? -1).toSorted((a, b) => a - b)
    expect({ run, partitions }).toEqual({
      run,
      partitions: Array.from({ length: RAW_PARTITIONS }, (_, partition) => partition),
    })
    const seen = tallies.reduce((sum, tally) => sum + (tally?.units_seen ?? 0), 0)
    expect({ run, seen }).toEqual({ run, seen: units })
  }
}

/** No event twice, revisions that rise with every key; returns the last event of each key. */
export async function expectEventsExact(product: Product): Promise<FinalState> {
  const assets = await product.events<Asset>('assets')
  const findings = await product.events<Finding>('findings')
  return {
    assets: lastOf(assets, (event) => event.asset_uid),
    findings: lastOf(findings, (event) => event.finding_uid),
  }
}

function lastOf<E extends Asset | Finding>(events: readonly E[], keyOf: (event: E) => string): E[] {
  const ids = events.map((event) => event.meta.event_id)
  expect(new Set(ids).size).toBe(ids.length)
  return [...Map.groupBy(events, keyOf)].map(([key, of]) => {
    const revisions = of.map((event) => event.meta.revision)
    const rising = revisions.every((r, i) => i === 0 || r > (revisions[i - 1] ?? Infinity))
    expect({ key, revisions, rising }).toMatchObject({ rising: true })
    expect(of.map((event) => event.meta.event_id)).toEqual(revisions.map((r) => eventId(key, r)))
    expect(of.filter((event) => event.meta.change_type === 'CREATED')).toHaveLength(1)
    const last = of.at(-1)
    if (last === undefined) throw new TypeError('a group is never empty')
    return last
  })
}

/** The tables hold the last event of every key, and every run with its tallies. */
export async function expectStoreExact(
  product: Product,
  state: FinalState,
  ended: EndedRuns,
): Promise<void> {
  const stored = async (table: 'asset' | 'finding') => {
    const rows = await product.query<{ key: string; event_id: string }>(
      `select ${table}_uid as key, event_id from exposure.${table}`,
    )
    return rows.map(({ key, event_id }) => `${key} ${event_id}`).toSorted()
  }
  expect(await stored('asset')).toEqual(
    state.assets.map((a) => `${a.asset_uid} ${a.meta.event_id}`).toSorted(),
  )
  expect(await stored('finding')).toEqual(
    state.findings.map((f) => `${f.finding_uid} ${f.meta.event_id}`).toSorted(),
  )
  const runs = await product.query<{ run: string; verdict: string; tallies: number }>(
    `select concat_ws('|', connection_id, stream, run_id) as run, verdict,
            (select count(*)::int from exposure.run_tally t
             where (t.connection_id, t.stream, t.run_id)
                 = (r.connection_id, r.stream, r.run_id)) as tallies
     from exposure.run r`,
  )
  const wanted = [...ended].map(([run, { end }]) => ({
    run,
    verdict: end.verdict,
    tallies: RAW_PARTITIONS,
  }))
  const byRun = (a: { run: string }, b: { run: string }) => (a.run < b.run ? -1 : 1)
  expect(runs.toSorted(byRun)).toEqual(wanted.toSorted(byRun))
}
