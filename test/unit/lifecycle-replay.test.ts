// Raw records written again: what the lifecycle makes of them, and what it must not.
import { describe, expect, it } from 'vitest'
import { type RawFacts, encodeOrder } from '../../contracts/envelope.ts'
import type { KafkaRecord } from '../../contracts/processing.ts'
import {
  LifecycleBench,
  RUN_1,
  RUN_2,
  T0,
  assetsIn,
  findingsIn,
  host,
  hostFacts,
  runEndOf,
  vulnerability,
} from '../support/lifecycle.ts'

const HOUR_MS = 3_600_000
const CVES = ['CVE-2024-0001', 'CVE-2024-0002']
const body = (cves: readonly string[], over: object = {}) =>
  host(
    cves.map((cve) => vulnerability(cve)),
    over,
  )

/** A record as `exposure replay raw` writes it. */
const again = (bench: LifecycleBench, facts: RawFacts, content: unknown): KafkaRecord => {
  const record = bench.record(facts, content)
  return { ...record, headers: { ...record.headers, 'x-replay': 'replay-1' } }
}

/** A bench whose memory is what another mapping has left, as after an upgrade. */
function upgraded(from: LifecycleBench, mappingVersion = '2'): LifecycleBench {
  const bench = new LifecycleBench(mappingVersion)
  bench.log.push(...from.log)
  bench.restore()
  // Another mapping told another name.
  for (const [id, entity] of bench.store.entities) {
    if (entity.kind !== 'asset') continue
    const contributions = entity.contributions.map((c) => ({
      ...c,
      state: { ...c.state, name: 'as the old mapping said' },
    }))
    bench.store.entities.set(id, { ...entity, contributions, hash: 'of the old state' })
  }
  return bench
}

describe('a raw record that is written again', () => {
  it('says nothing when the mapping is the same', () => {
    const bench = new LifecycleBench()
    bench.commit(bench.record(hostFacts(), body(CVES)))
    const before = bench.store.units.get('prod|compute.hosts|web-1')
    expect(bench.commit(again(bench, hostFacts(), body(CVES)))).toEqual([])
    expect(bench.store.units.get('prod|compute.hosts|web-1')).toMatchObject({
      runId: before?.runId,
      observedAtMs: before?.observedAtMs,
    })
  })

  it('is MAPPING also when its bytes are newer than those of the last change', () => {
    const first = new LifecycleBench('1')
    first.commit(first.record(hostFacts(), body(CVES)))
    const later = hostFacts({ runId: RUN_2, fetchedAtMs: T0 + HOUR_MS })
    const scanned = body(CVES, { scanTime: '2026-01-01T00:30:00Z' })
    expect(first.commit(first.record(later, scanned))).toEqual([])
    const bench = upgraded(first)
    const events = bench.commit(again(bench, later, scanned))
    expect(assetsIn(events).map(({ meta, name }) => [meta.change_type, name])).toEqual([
      ['UPDATED', 'web-1'],
    ])
    expect(assetsIn(events)[0]?.meta).toMatchObject({
      change_cause: 'MAPPING',
      changed_fields: ['name'],
      run_id: RUN_2,
    })
    expect(findingsIn(events)).toEqual([])
    expect(bench.commit(again(bench, later, scanned))).toEqual([])
  })

  it('is MAPPING too where the new mapping no longer shows a finding', () => {
    const first = new LifecycleBench('1')
    first.commit(first.record(hostFacts(), body(CVES)))
    const bench = upgraded(first)
    const events = findingsIn(bench.commit(again(bench, hostFacts(), body(CVES.slice(1)))))
    expect(events.map(({ meta, status }) => [meta.change_cause, status])).toEqual([
      ['MAPPING', 'RESOLVED'],
    ])
  })

  it('overwrites nothing newer', () => {
    const first = new LifecycleBench('1')
    first.commit(first.record(hostFacts(), body(CVES)))
    const later = hostFacts({ runId: RUN_2, fetchedAtMs: T0 + HOUR_MS })
    first.commit(first.record(later, body(CVES.slice(1))))
    const bench = upgraded(first)
    expect(bench.commit(again(bench, hostFacts(), body(CVES)))).toEqual([])
    expect(bench.store.units.get('prod|compute.hosts|web-1')?.runId).toBe(RUN_2)
  })

  it('does not bring back what is gone, also when a clock was put right in between', () => {
    const bench = new LifecycleBench()
    bench.commit(bench.record(hostFacts(), body(CVES)))
    bench.commitControl(bench.runEnd(runEndOf()))
    // The next run began, by its own clock, before the host was seen.
    const end = runEndOf({ runId: RUN_2, startedAtMs: T0 - HOUR_MS, endedAtMs: T0 + HOUR_MS })
    bench.commitControl(bench.runEnd(end))
    expect(bench.store.units.get('prod|compute.hosts|web-1')).toMatchObject({
      outcome: 'gone',
      observedAtMs: T0,
    })
    expect(bench.commit(again(bench, hostFacts(), body(CVES)))).toEqual([])
    expect(bench.store.units.get('prod|compute.hosts|web-1')?.outcome).toBe('gone')
  })

  it('does not bring back a connection that was removed', () => {
    const bench = new LifecycleBench()
    bench.commit(bench.record(hostFacts(), body(CVES)))
    const order = {
      control: 'remove',
      keep: false,
      orderId: 'order-1',
      connection: 'prod',
      vendor: 'prisma-cloud',
      tenant: 'acme',
      orderedAtMs: T0 + HOUR_MS,
    } as const
    expect(encodeOrder(order).key).toBe('prod|*')
    bench.commitControl(bench.order(order))
    expect(bench.commit(again(bench, hostFacts(), body(CVES)))).toEqual([])
    expect(bench.store.units.size).toBe(0)
  })

  it('does not confirm itself what it alone has told', () => {
    const many = Array.from({ length: 30 }, (_, i) => `CVE-2024-1${String(i).padStart(3, '0')}`)
    const bench = new LifecycleBench()
    bench.commit(bench.record(hostFacts(), body(many)))
    const later = hostFacts({ runId: RUN_2, fetchedAtMs: T0 + HOUR_MS })
    expect(findingsIn(bench.commit(bench.record(later, body(['CVE-2024-1000']))))).toEqual([])
    expect(bench.commit(again(bench, later, body(['CVE-2024-1000'])))).toEqual([])
    const next = hostFacts({ runId: `${T0 + 2 * HOUR_MS}-3`, fetchedAtMs: T0 + 2 * HOUR_MS })
    const confirmed = findingsIn(bench.commit(bench.record(next, body(['CVE-2024-1000']))))
    expect(confirmed).toHaveLength(29)
  })

  it('leaves the unit in the newest run that has seen it', () => {
    const first = new LifecycleBench('1')
    first.commit(first.record(hostFacts(), body(CVES)))
    // A clock put right: the second run tells an older time, and is believed in nothing else.
    const later = hostFacts({ runId: RUN_2, fetchedAtMs: T0 - HOUR_MS })
    first.commit(first.record(later, body(CVES)))
    const bench = upgraded(first)
    const events = bench.commit(again(bench, hostFacts(), body(CVES)))
    expect(assetsIn(events)).toHaveLength(1)
    expect(bench.store.units.get('prod|compute.hosts|web-1')?.runId).toBe(RUN_2)
    const end = runEndOf({ runId: RUN_2, startedAtMs: T0 - HOUR_MS, endedAtMs: T0 })
    bench.commitControl(bench.runEnd(end))
    expect(bench.store.units.get('prod|compute.hosts|web-1')?.outcome).toBe('ok')
    expect(RUN_1 < RUN_2).toBe(true)
  })
})
