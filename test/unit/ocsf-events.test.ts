// Every event there is, as OCSF and as ECS, against the schemas: of the estate, of the samples,
// of faults, and any that the contract allows.
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { type Asset, asset } from '../../contracts/asset.ts'
import { type ConnectorError, connectorError } from '../../contracts/connector-error.ts'
import { ERROR_TYPES, FAILURES, STAGES } from '../../contracts/errors.ts'
import type { EventMeta } from '../../contracts/event-meta.ts'
import { type Finding, finding } from '../../contracts/finding.ts'
import { ecsOfAsset } from '../../sinks/ecs/asset.ts'
import { ecsOfFinding } from '../../sinks/ecs/finding.ts'
import { OCSF_VERSIONS } from '../../sinks/ocsf/event.ts'
import { type OcsfSubject, ocsfOf } from '../../sinks/ocsf/ocsf.ts'
import { TRANSFORMERS } from '../../transformers/transformers.ts'
import { arbitraryOf } from '../support/contract-arbitraries.ts'
import { ecsFaults } from '../support/ecs-check.ts'
import { errorEvent } from '../support/events.ts'
import { type Lives, livesOf, wholeLives } from '../support/lives.ts'
import { madeUpUnits } from '../support/mapping-records.ts'
import { sampleUnits, simulatedUnits } from '../support/mapping-units.ts'
import { ocsfFaults } from '../support/ocsf-check.ts'

const PREPARE_MS = 120_000
/** Streams whose events are no assets and no findings. */
const DICTIONARIES = ['cloud.vulnerabilities']

let lives: ReadonlyMap<string, Lives> = new Map()
beforeEach(async () => {
  if (lives.size > 0) return
  const all = [...madeUpUnits(), ...sampleUnits(), ...(await simulatedUnits())]
  const units = Map.groupBy(all, ({ stream }) => stream)
  lives = new Map(
    TRANSFORMERS.map(({ stream }) => [stream, livesOf(stream, units.get(stream) ?? [])]),
  )
}, PREPARE_MS)

const faultsOf = (event: OcsfSubject): string[] => [
  ...OCSF_VERSIONS.flatMap((version) => ocsfFaults(ocsfOf(event, version), version)),
  ...(event.kind === 'asset' ? ecsFaults(ecsOfAsset(event.value)) : []),
  ...(event.kind === 'finding' ? ecsFaults(ecsOfFinding(event.value)) : []),
]
const subjectsIn = ({ assets, findings }: Lives): OcsfSubject[] => [
  ...assets.map((value) => ({ kind: 'asset', value }) as const),
  ...findings.map((value) => ({ kind: 'finding', value }) as const),
]

describe.each(TRANSFORMERS.map(({ stream }) => stream))('events of %s', (stream) => {
  it('are what the schemas allow, at every turn of their lives', () => {
    const subjects = subjectsIn(lives.get(stream) ?? { assets: [], findings: [] })
    const told = new Set(
      subjects.map(({ value }) => (value as { meta: EventMeta }).meta.change_type),
    )
    if (!DICTIONARIES.includes(stream)) {
      expect(told).toContain('CREATED')
      expect(told).toContain('REOPENED')
      expect(told.has('GONE') || told.has('RESOLVED')).toBe(true)
    }
    const faults = subjects.flatMap(faultsOf)
    expect([...new Set(faults)]).toEqual([])
  })
})

describe('a host and its finding', () => {
  it('are what the schemas allow when they come, change, go and come back', () => {
    const { assets, findings } = wholeLives()
    const turns = (events: readonly { meta: EventMeta }[]) =>
      events.map(({ meta }) => meta.change_type)
    expect(turns(assets)).toEqual(['CREATED', 'UPDATED', 'GONE', 'REOPENED'])
    expect(turns(findings)).toEqual(['CREATED', 'UPDATED', 'RESOLVED', 'REOPENED'])
    const faults = subjectsIn({ assets, findings }).flatMap(faultsOf)
    expect(faults).toEqual([])
    const activities = findings.map((value) => ocsfOf({ kind: 'finding', value }).activity_id)
    expect(activities).toEqual([1, 2, 3, 1])
  })
})

describe('connector errors', () => {
  const http = {
    method: 'GET',
    url: 'https://api.example.com/hosts',
    status: 429,
    retry_after_ms: 1_000,
    request_id: 'r-1',
    vendor_code: null,
    vendor_message: 'slow down',
    vendor_extra: null,
  }

  it.each(ERROR_TYPES)('of type %s are what the schema allows, in every state', (errorType) => {
    const facts = errorType === 'UNKNOWN' ? null : FAILURES[errorType]
    const states = ['UNKNOWN', 'RAISED', 'ONGOING', 'CLEARED'] as const
    const faults = states.flatMap((state) =>
      STAGES.flatMap((stage) =>
        [null, http].flatMap((call) => {
          const more = { state, stage, error_type: errorType, http: call }
          const severity = state === 'CLEARED' ? 'INFORMATIONAL' : (facts?.severity ?? 'UNKNOWN')
          const value = errorEvent('e-1', 'f-1', { ...more, severity })
          return faultsOf({ kind: 'connector-error', value })
        }),
      ),
    )
    expect([...new Set(faults)]).toEqual([])
  })
})

describe('any event that the contract allows', () => {
  it.each([
    ['asset', asset],
    ['finding', finding],
    ['connector-error', connectorError],
  ] as const)('is what the schemas allow: %s', (kind, schema) => {
    fc.assert(
      fc.property(arbitraryOf(schema), (value) => {
        expect(schema.safeParse(value).error).toBeUndefined()
        const event = { kind, value: value as Asset & Finding & ConnectorError }
        const before = JSON.stringify(value)
        expect(faultsOf(event)).toEqual([])
        expect(JSON.stringify(value)).toBe(before)
      }),
      { numRuns: 300 },
    )
  })
})
