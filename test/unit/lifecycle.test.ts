// The lifecycle: what becomes an event, what does not, and what is remembered.
import { describe, expect, it } from 'vitest'
import { partitionOf } from '../../contracts/placement.ts'
import { asset } from '../../contracts/asset.ts'
import { finding } from '../../contracts/finding.ts'
import {
  LifecycleBench,
  RUN_1,
  RUN_2,
  RUN_3,
  T0,
  assetsIn,
  findingsIn,
  host,
  hostFacts,
  runEndOf,
  runsIn,
  vulnerability,
} from '../support/lifecycle.ts'

const HOUR = 3_600_000
const run2 = { runId: RUN_2, fetchedAtMs: T0 + HOUR }
const run3 = { runId: RUN_3, fetchedAtMs: T0 + 2 * HOUR }
const A = vulnerability('CVE-2025-0001')
const B = vulnerability('CVE-2025-0002', { severity: 'critical', cvss: 9.8 })

describe('the first sight', () => {
  it('creates the asset and its findings, valid by the contract and placed by the asset', () => {
    const bench = new LifecycleBench()
    const out = bench.commit(bench.record(hostFacts(), host([A, B])))
    const [machine] = assetsIn(out)
    const findings = findingsIn(out)
    expect(asset.parse(machine).meta.change_type).toBe('CREATED')
    expect(findings.map((f) => finding.parse(f).vuln_id).toSorted()).toEqual([
      'CVE-2025-0001',
      'CVE-2025-0002',
    ])
    expect(findings.every((f) => f.entity_uid === machine?.entity_uid)).toBe(true)
    expect(findings.every((f) => f.correlation_uid?.startsWith('cor_'))).toBe(true)
    const critical = findings.find((f) => f.severity === 'CRITICAL')
    const place = partitionOf(machine?.asset_uid ?? '', 6)
    expect(new Set(out.map((record) => record.partition))).toEqual(new Set([place]))
    expect(out.find((r) => r.key === critical?.finding_uid)?.headers).toMatchObject({
      ce_type: 'exposure.finding.created.v1',
      'x-change-type': 'CREATED',
      'x-severity-id': '5',
      'x-product': 'prisma-compute',
    })
  })

  it('is backfill until the first COMPLETE run of the stream has ended', () => {
    const bench = new LifecycleBench()
    const [first] = findingsIn(bench.commit(bench.record(hostFacts(), host([A]))))
    bench.commitControl(bench.runEnd(runEndOf()))
    const [second] = findingsIn(bench.commit(bench.record(hostFacts(run2), host([A, B]))))
    expect([first?.meta.backfill, second?.meta.backfill]).toEqual([true, false])
  })
})

describe('an unchanged unit', () => {
  it('emits nothing and costs one packed state record', () => {
    const bench = new LifecycleBench()
    bench.commit(bench.record(hostFacts(), host([A, B])))
    const before = bench.log.length
    expect(bench.commit(bench.record(hostFacts(run2), host([A, B])))).toEqual([])
    expect(bench.log.slice(before)).toHaveLength(1)
    expect(bench.log.at(-1)?.key).toMatch(/^s\|prod\|compute\.hosts\|/)
    expect(bench.store.units.get('prod|compute.hosts|web-1')?.runId).toBe(RUN_2)
  })

  it('emits nothing for scan times, order of arrays and float noise', () => {
    const bench = new LifecycleBench()
    bench.commit(bench.record(hostFacts(), host([A, B])))
    const noisy = host([B, { ...A, cvss: 7.500_000_1 }], { scanTime: '2026-01-01T00:30:00Z' })
    expect(bench.commit(bench.record(hostFacts(run2), noisy))).toEqual([])
  })

  it('changes nothing when the observation is older than what is known', () => {
    const bench = new LifecycleBench()
    bench.commit(bench.record(hostFacts(run2), host([A, B])))
    expect(bench.commit(bench.record(hostFacts(), host([A])))).toEqual([])
    expect(bench.store.units.get('prod|compute.hosts|web-1')?.runId).toBe(RUN_2)
  })

  it('is counted for a newer run that says to have seen it earlier', () => {
    const bench = new LifecycleBench()
    bench.commit(bench.record(hostFacts({ fetchedAtMs: T0 + HOUR }), host([A, B])))
    const early = hostFacts({ runId: RUN_2, fetchedAtMs: T0 })
    expect(bench.commit(bench.record(early, host([A])))).toEqual([])
    expect(bench.store.units.get('prod|compute.hosts|web-1')).toMatchObject({
      runId: RUN_2,
      observedAtMs: T0 + HOUR,
    })
    const [tally] = runsIn(bench.commitControl(bench.runEnd(runEndOf({ runId: RUN_2 }))))
    expect(tally?.tally?.units_seen).toBe(1)
  })
})

describe('a change', () => {
  it('gives one UPDATED event with the value before and after, and a higher revision', () => {
    const bench = new LifecycleBench()
    const [created] = findingsIn(bench.commit(bench.record(hostFacts(), host([A]))))
    const worse = { ...A, severity: 'critical' }
    const out = bench.commit(bench.record(hostFacts(run2), host([worse])))
    expect(assetsIn(out)).toEqual([])
    const [updated] = findingsIn(out)
    expect(updated?.meta.change_type).toBe('UPDATED')
    expect(updated?.meta.change_cause).toBe('VENDOR')
    expect(updated?.meta.changed_fields.toSorted()).toContain('severity')
    expect(updated?.meta.changes.find((c) => c.path === 'severity')).toEqual({
      path: 'severity',
      before: '"HIGH"',
      after: '"CRITICAL"',
    })
    expect(updated?.meta.revision).toBe(T0 + HOUR)
    expect(created?.meta.revision).toBe(T0)
    expect(updated?.meta.event_id).not.toBe(created?.meta.event_id)
  })

  it('is MAPPING when the bytes are the same and the mapping is another', () => {
    const old = new LifecycleBench('1')
    old.commit(old.record(hostFacts(), host([A])))
    const entity = [...old.store.entities].find(([, e]) => e.kind === 'finding')
    const bench = new LifecycleBench('2')
    for (const { key, value } of old.log) bench.store.load(key, value)
    // As if mapping 1 had read another title out of the same bytes.
    const [id, known] = entity ?? []
    const contributions = known?.contributions.map((c) => ({
      ...c,
      state: { ...c.state, title: 'as mapping 1 wrote it' },
    }))
    if (id && known && contributions)
      bench.store.entities.set(id, { ...known, hash: 'old', contributions })
    const [updated] = findingsIn(bench.commit(bench.record(hostFacts(run2), host([A]))))
    expect(updated?.meta.change_cause).toBe('MAPPING')
    expect(updated?.meta.changed_fields).toEqual(['title'])
  })
})

describe('a finding that vanishes inside a sound unit', () => {
  it('is RESOLVED at once, and REOPENED when it comes back with its first_seen kept', () => {
    const bench = new LifecycleBench()
    const [first] = findingsIn(bench.commit(bench.record(hostFacts(), host([A, B]))))
    const [resolved] = findingsIn(bench.commit(bench.record(hostFacts(run2), host([B]))))
    expect(resolved).toMatchObject({
      vuln_id: 'CVE-2025-0001',
      status: 'RESOLVED',
      resolution: 'ABSENT_FROM_SNAPSHOT',
      resolved_at: T0 + HOUR,
    })
    expect(resolved?.meta.change_type).toBe('RESOLVED')
    const later = { ...A, discovered: '2026-01-01T00:00:00Z' }
    const [reopened] = findingsIn(bench.commit(bench.record(hostFacts(run3), host([later, B]))))
    expect(reopened?.meta.change_type).toBe('REOPENED')
    expect(reopened).toMatchObject({ status: 'REOPENED', reopen_count: 1, resolved_at: null })
    expect(reopened?.first_seen).toBe(first?.first_seen)
  })

  it.each([null, undefined])('stays when the list is %s', (vulnerabilities) => {
    const bench = new LifecycleBench()
    bench.commit(bench.record(hostFacts(), host([A, B])))
    const out = bench.commit(bench.record(hostFacts(run2), host(vulnerabilities)))
    expect(findingsIn(out)).toEqual([])
  })

  it('is held when more than 20 and 80 % vanish, and believed when the next sight agrees', () => {
    const many = Array.from({ length: 30 }, (_, i) => vulnerability(`CVE-2025-1${100 + i}`))
    const bench = new LifecycleBench()
    bench.commit(bench.record(hostFacts(), host(many)))
    const few = host(many.slice(0, 2))
    expect(findingsIn(bench.commit(bench.record(hostFacts(run2), few)))).toEqual([])
    const out = findingsIn(bench.commit(bench.record(hostFacts(run3), few)))
    expect(out).toHaveLength(28)
    expect(new Set(out.map((f) => f.meta.change_type))).toEqual(new Set(['RESOLVED']))
  })
})

describe('several contributors', () => {
  const other = { connection: 'second' }

  it('make one entity with the union of versions; it closes with the last one', () => {
    const bench = new LifecycleBench()
    bench.commit(bench.record(hostFacts(), host([A])))
    const newer = { ...A, packageVersion: '1.2.9' }
    const [both] = findingsIn(bench.commit(bench.record(hostFacts(other), host([newer]))))
    expect(both?.package?.versions).toEqual(['1.2.3', '1.2.9'])
    const left = bench.commit(bench.record(hostFacts({ ...other, ...run2 }), host([B])))
    const changed = findingsIn(left).find((f) => f.vuln_id === 'CVE-2025-0001')
    expect(changed).toMatchObject({ status: 'OPEN', package: { versions: ['1.2.3'] } })
    const last = findingsIn(bench.commit(bench.record(hostFacts(run2), host([B]))))
    expect(last.find((f) => f.vuln_id === 'CVE-2025-0001')?.status).toBe('RESOLVED')
  })
})

describe('identity', () => {
  const row = {
    'xdm.finding.id': 'f-1',
    'xdm.finding.asset_id': 'asset-1',
    'xdm.finding.asset_name': 'web-1',
    'xdm.finding.name': 'CVE-2025-0001 in openssl',
    'xdm.finding.last_observed': T0,
    'xdm.finding.normalized_fields': {
      'xdm.vulnerability.cve_id': 'CVE-2025-0001',
      'xdm.vulnerability.severity': 'High',
      'xdm.vulnerability.cvss_score': 7.5,
    },
  }
  const cortex = { vendor: 'cortex', product: 'cortex-cloud', assetNativeId: 'asset-1' } as const
  const findingFacts = { ...cortex, stream: 'cloud.findings', unit: 'f-1' }
  const assetFacts = { ...cortex, stream: 'cloud.assets', unit: 'asset-1' }
  const machine = {
    'xdm.asset.id': 'asset-1',
    'xdm.asset.name': 'web-1',
    'xdm.asset.provider': 'AWS',
    'xdm.asset.strong_id': 'i-0abcdef1234567890',
    'xdm.asset.external_provider_id': 'i-0abcdef1234567890',
    'xdm.asset.realm': '123456789012',
    'xdm.asset.type.category': 'VM Instance',
    'xdm.asset.type.class': 'Compute',
  }

  it('a finding has no entity_uid while its asset is unknown; the next run corrects it', () => {
    const bench = new LifecycleBench()
    const [early] = findingsIn(bench.commit(bench.record(hostFacts(findingFacts), row)))
    expect([early?.entity_uid, early?.correlation_uid]).toEqual([null, null])
    const [known] = assetsIn(bench.commit(bench.record(hostFacts(assetFacts), machine)))
    const again = bench.record(hostFacts({ ...findingFacts, ...run2 }), row)
    const [corrected] = findingsIn(bench.commit(again))
    expect(corrected?.entity_uid).toBe(known?.entity_uid)
    expect(corrected?.meta.change_cause).toBe('IDENTITY')
    const third = bench.record(hostFacts({ ...findingFacts, ...run3 }), row)
    expect(bench.commit(third)).toEqual([])
  })

  it('the same machine at the other vendor has the same entity_uid', () => {
    const cortexBench = new LifecycleBench()
    const prismaBench = new LifecycleBench()
    const [a] = assetsIn(cortexBench.commit(cortexBench.record(hostFacts(assetFacts), machine)))
    const [b] = assetsIn(prismaBench.commit(prismaBench.record(hostFacts(), host([]))))
    expect(a?.asset_uid).not.toBe(b?.asset_uid)
    expect(a?.entity_uid).toBe(b?.entity_uid)
  })
})

describe('a batch done again', () => {
  it('gives the same bytes, before and after a restore from a compacted log', () => {
    const bench = new LifecycleBench()
    bench.commit(bench.record(hostFacts(), host([A, B])))
    bench.commit(
      bench.record(
        hostFacts({ unit: 'web-2', assetNativeId: 'host|web-2' }),
        host([A], { _id: 'web-2' }),
      ),
    )
    bench.commit(bench.record(hostFacts(run2), host([A, B])))
    const batch = [bench.record(hostFacts(run3), host([{ ...A, severity: 'low' }]))]
    const bytes = () =>
      bench.plan(batch).outputs.map((o) => [o.key, o.value?.toString('hex'), o.headers])
    const before = bytes()
    expect(before).toHaveLength(2)
    bench.restore()
    expect(bytes()).toEqual(before)
    bench.restore('marks first')
    expect(bytes()).toEqual(before)
    expect(bench.store.units.get('prod|compute.hosts|web-1')?.runId).toBe(RUN_2)
  })
})

describe('records that cannot be used', () => {
  it('go to the dead letters byte for byte; the unit counts as seen and closes nothing', () => {
    const bench = new LifecycleBench()
    bench.commit(bench.record(hostFacts(), host([A, B])))
    const broken = Buffer.from('{"_id": "web-1", "vulnerabilities": [')
    const out = bench.commit(bench.record(hostFacts(run2), broken))
    expect(out).toHaveLength(1)
    expect(out[0]?.topic).toBe('exposure.dlq')
    expect(out[0]?.value?.equals(broken)).toBe(true)
    expect(bench.deadLetters.map((e) => e.failure)).toEqual(['INVALID_RESPONSE'])
    const [answer] = runsIn(bench.commitControl(bench.runEnd(runEndOf({ runId: RUN_2 }))))
    expect(answer?.tally).toMatchObject({ units_seen: 1, dead_lettered: 1, closed: 0 })
    // The repaired unit shows the same again: nothing was lost, nothing is news.
    expect(bench.commit(bench.record(hostFacts(run3), host([A, B])))).toEqual([])
  })

  it('a record without its facts is a dead letter and stops nothing', () => {
    const bench = new LifecycleBench()
    const good = bench.record(hostFacts(), host([A]))
    const bad = {
      ...bench.record(hostFacts(), host([A])),
      headers: { 'x-stream': 'compute.hosts' },
    }
    const out = bench.commit(bad, good)
    expect(out.map((record) => record.topic)).toEqual([
      'exposure.dlq',
      'exposure.assets',
      'exposure.findings',
    ])
    expect(bench.deadLetters[0]?.details.violations?.join()).toContain('x-connection')
  })

  it('a damaged run-end is a dead letter, not a tally', () => {
    const bench = new LifecycleBench()
    const end = bench.runEnd(runEndOf())
    const out = bench.commitControl({ ...end, value: Buffer.from('{}') })
    expect(out.map((record) => record.topic)).toEqual(['exposure.dlq'])
  })

  it('a record without content is a dead letter, unless it says that it was too large', () => {
    const bench = new LifecycleBench()
    bench.commit(bench.record(hostFacts(), host([A])))
    const out = bench.commit(bench.record(hostFacts(run2), null))
    expect(out.map(({ topic, value }) => [topic, value])).toEqual([['exposure.dlq', null]])
    expect(bench.deadLetters.map((e) => e.message)).toEqual(['the raw record has no content'])
    bench.commitControl(bench.runEnd(runEndOf({ runId: RUN_2 })))
    expect([...bench.store.entities.values()].some((entity) => entity.closed)).toBe(false)
  })

  it('a unit too large to publish counts as seen', () => {
    const bench = new LifecycleBench()
    bench.commit(bench.record(hostFacts(), host([A])))
    bench.commit(bench.record(hostFacts({ ...run2, tooLargeBytes: 9_000_000 }), null))
    const [answer] = runsIn(bench.commitControl(bench.runEnd(runEndOf({ runId: RUN_2 }))))
    expect(answer?.tally?.units_seen).toBe(1)
    expect([...bench.store.entities.values()].some((entity) => entity.closed)).toBe(false)
  })
})

describe('the answer to run-end', () => {
  it('counts the units of that run and names the highest offsets ever written', () => {
    const bench = new LifecycleBench()
    const second = hostFacts({ unit: 'web-2', assetNativeId: 'host|web-2' })
    bench.commit(
      bench.record(hostFacts(), host([A])),
      bench.record(second, host([A], { _id: 'web-2' })),
    )
    const [first] = runsIn(bench.commitControl(bench.runEnd(runEndOf())))
    expect(first).toMatchObject({ phase: 'TALLY', verdict: 'COMPLETE', run_id: RUN_1 })
    expect(first?.tally?.units_seen).toBe(2)
    bench.restore()
    bench.commit(bench.record(hostFacts(run2), host([A])))
    const partial = runEndOf({ runId: RUN_2, verdict: 'PARTIAL' })
    const [next] = runsIn(bench.commitControl(bench.runEnd(partial)))
    expect(next?.tally?.units_seen).toBe(1)
    expect(next?.tally?.outputs).toEqual(first?.tally?.outputs)
    const written = bench.written.filter((r) => r.topic === 'exposure.findings').length
    const named = (next?.tally?.outputs ?? []).filter((o) => o.topic === 'exposure.findings')
    expect(named.reduce((sum, o) => sum + o.offset + 1, 0)).toBe(written)
  })

  it('says that a partition is clean by itself, unless a unit of the run is a dead letter', () => {
    const bench = new LifecycleBench()
    bench.commit(bench.record(hostFacts(), Buffer.from('not json')))
    bench.commitControl(bench.runEnd(runEndOf()))
    expect(bench.clean).toEqual([])
    bench.commit(bench.record(hostFacts(run2), host([A])))
    bench.commitControl(bench.runEnd(runEndOf({ runId: RUN_2, verdict: 'FAILED' })))
    expect(bench.clean).toEqual([])
    bench.commitControl(bench.runEnd(runEndOf({ runId: RUN_2 })))
    expect(bench.clean).toEqual([`0 ${RUN_2}`])
  })

  it('drops seen marks of older runs only after a COMPLETE one, and keeps its own', () => {
    const bench = new LifecycleBench()
    bench.commit(bench.record(hostFacts(), host([A])))
    bench.commit(bench.record(hostFacts(run2), host([A])))
    bench.commitControl(bench.runEnd(runEndOf({ runId: RUN_2, verdict: 'PARTIAL' })))
    bench.commit(bench.record(hostFacts(run3), host([A])))
    expect(bench.store.seenKeys.size).toBe(2)
    bench.commitControl(bench.runEnd(runEndOf({ runId: RUN_3 })))
    expect([...bench.store.seenKeys].map((key) => key.split('|')[3])).toEqual([RUN_3])
    bench.restore('marks first')
    expect(bench.store.units.get('prod|compute.hosts|web-1')?.runId).toBe(RUN_3)
  })
})
