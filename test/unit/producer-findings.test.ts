// Cortex weaknesses from every listing a tenant may have: whole pulls, against the truth.
import { describe, expect, it } from 'vitest'
import type { Source } from '../../contracts/ports.ts'
import type { CortexClient } from '../../producers/cortex/client.ts'
import { cloudFindings } from '../../producers/cortex/cloud-findings.ts'
import { cloudIssues } from '../../producers/cortex/cloud-issues.ts'
import { xdrFindings } from '../../producers/cortex/xdr-findings.ts'
import { xdrIncidents } from '../../producers/cortex/xdr-incidents.ts'
import type { FindingsBehaviour } from '../../simulator/cortex/xql-behaviour.ts'
import { connectCortex, pullAll } from '../support/connect.ts'
import { findingsIn, saidOf, truthFor } from '../support/stream-truth.ts'
import { runSimulator } from '../support/simulator.ts'
import { QUICK } from '../support/sources.ts'

type AnySource = Source<CortexClient, unknown>
const OLD: Partial<FindingsBehaviour> = { issues: 'absent', datasets: ['va_endpoints', 'va_cves'] }
const NONE: Partial<FindingsBehaviour> = { datasets: [] }
const context = () => ({
  signal: new AbortController().signal,
  nowMs: Date.now,
  report: () => {},
})

const CASES = [
  ['dataset findings', cloudFindings, {}],
  ['dataset uvm_findings', cloudFindings, { datasets: ['uvm_findings', 'va_endpoints'] }],
  ['Host Insights', xdrFindings, OLD],
  ['Host Insights beside issues', xdrFindings, { datasets: ['va_endpoints', 'va_cves'] }],
  ['issues as tenants send them', cloudIssues, NONE],
  ['issues as specified', cloudIssues, { ...NONE, issues: 'spec' }],
  ['incidents', xdrIncidents, OLD],
] as const

describe('a tenant that tells its weaknesses', () => {
  it.each(CASES)('by %s is read to exactly what is true', async (_, source, behaviour) => {
    const simulator = await runSimulator({
      machines: 300,
      seed: 5,
      pageLimits: { xqlInline: 40 },
      cortexFindings: [behaviour, behaviour],
    })
    for (const access of simulator.cortex) {
      const { tenant } = access
      const { client, faults } = connectCortex(access, { tenant }, QUICK)
      expect(await source.available?.(client, context())).toBeNull()
      const { units, chunks, end } = await pullAll<typeof client, unknown>(source, client)
      expect(end.verdict).toBe('COMPLETE')
      expect(new Set(units.map((unit) => unit.unit)).size).toBe(units.length)
      expect(chunks.every((chunk) => chunk.rejected.length === 0)).toBe(true)
      const expected = truthFor(simulator.truth().findings, source.stream, tenant)
      expect(expected.length).toBeGreaterThan(20)
      expect(saidOf(findingsIn(source.stream, tenant, units))).toEqual(expected)
      expect(faults).toEqual([])
    }
  })

  it('reads no listing beside a better one', async () => {
    const missing = async (behaviour: Partial<FindingsBehaviour>, settings = {}) => {
      const simulator = await runSimulator({ cortexFindings: [behaviour, behaviour] })
      const { client } = connectCortex(simulator.cortex[0], settings, QUICK)
      const errors = await Promise.all(
        [cloudFindings, xdrFindings, cloudIssues, xdrIncidents].map(async (source) => {
          const error = await source.available?.(client, context())
          expect(error?.failure ?? 'NOT_LICENSED').toBe('NOT_LICENSED')
          return [source.stream, error === null] as const
        }),
      )
      return errors.filter(([, present]) => present).map(([stream]) => stream)
    }
    expect(await missing({})).toEqual(['cloud.findings'])
    expect(await missing({}, { issues: 'always' })).toEqual(['cloud.findings', 'cloud.issues'])
    expect(await missing({ datasets: ['uvm_findings', 'va_endpoints'] })).toEqual([
      'cloud.findings',
    ])
    expect(await missing(NONE)).toEqual(['cloud.issues'])
    expect(await missing(OLD)).toEqual(['xdr.findings', 'xdr.incidents'])
    expect(await missing({ ...NONE, issues: 'absent' })).toEqual(['xdr.incidents'])
  })

  it('finds a dataset that its list does not name', async () => {
    const simulator = await runSimulator()
    const unlisted = { vendor: 'cortex', endpoint: 'xql.datasets' } as const
    simulator.faults.set({ ...unlisted, times: 'forever', kind: 'status', answer: 'forbidden' })
    const { client } = connectCortex(simulator.cortex[0], {}, QUICK)
    expect(await cloudFindings.available?.(client, context())).toBeNull()
    expect((await pullAll(cloudFindings, client)).units.length).toBeGreaterThan(5)
  })
})

describe('one weakness', () => {
  it('has one finding_uid in every listing of Cortex Cloud', async () => {
    const uids = async (behaviour: Partial<FindingsBehaviour>, source: AnySource) => {
      const simulator = await runSimulator({ machines: 60, cortexFindings: [behaviour, behaviour] })
      const { client } = connectCortex(simulator.cortex[0], {}, QUICK)
      const { units } = await pullAll(source, client)
      const open = findingsIn(source.stream, 't', units).filter((f) => f.status === 'OPEN')
      return new Set(open.map((finding) => finding.finding_uid))
    }
    const findings = await uids({}, cloudFindings)
    expect(findings.size).toBeGreaterThan(50)
    expect(await uids({ datasets: ['uvm_findings'] }, cloudFindings)).toEqual(findings)
    const issues = await uids(NONE, cloudIssues)
    expect(issues.size).toBeGreaterThan(10)
    expect(issues.isSubsetOf(findings)).toBe(true)
  })
})
