// What Splunk is sent: events in three formats, their metadata and indexed fields, and purges.
import { describe, expect, it } from 'vitest'
import type { SinkEvent, SinkRecord } from '../../contracts/ports.ts'
import { ecsOfFinding } from '../../sinks/ecs/finding.ts'
import { ocsfOf } from '../../sinks/ocsf/ocsf.ts'
import { type SplunkConfig, splunkConfig } from '../../sinks/splunk/config.ts'
import { kindsOf, plannedOf } from '../../sinks/splunk/plan.ts'
import { BASE_MS, assetEvent, errorEvent, findingEvent, runEvent } from '../support/events.ts'

const given = { url: 'https://splunk.example.com:8088', token: 'env:TOKEN' }
const settings = (more: object = {}): SplunkConfig => splunkConfig.parse({ ...given, ...more })
const PLACE = { topic: 'exposure.findings', partition: 2 }

const recordOf = (event: SinkEvent, key = 'k'): SinkRecord =>
  ({ ...event, key, offset: 7n, timestampMs: BASE_MS + 60_000 }) as SinkRecord
const finding = recordOf({ kind: 'finding', value: findingEvent('f1', BASE_MS) })
const asset = recordOf({ kind: 'asset', value: assetEvent('a1', 3) })
const error = recordOf({ kind: 'connector-error', value: errorEvent('e1', 'print-1') })
const run = recordOf({ kind: 'run', value: runEvent('r1') })

type Sent = {
  readonly time: number
  readonly sourcetype: string
  readonly event: Record<string, unknown>
  readonly fields: Record<string, string>
  readonly [name: string]: unknown
}

function sent(record: SinkRecord, more: object = {}): Sent | null {
  const planned = plannedOf(record, PLACE, settings(more))
  if ('refused' in planned) throw new Error(planned.refused)
  return planned.event === null ? null : (JSON.parse(planned.event.text) as Sent)
}

describe('an event for Splunk', () => {
  it('is that of OCSF, at the time at which it was seen, in seconds', () => {
    const told = findingEvent('f1', BASE_MS)
    const value = { ...told, meta: { ...told.meta, observed_at: BASE_MS + 123 } }
    expect(sent(recordOf({ kind: 'finding', value }))).toEqual({
      time: BASE_MS / 1_000 + 0.123,
      source: 'exposure-stream',
      sourcetype: 'exposure:finding',
      event: JSON.parse(JSON.stringify(ocsfOf({ kind: 'finding', value }))) as object,
      fields: {
        exposure_kind: 'finding',
        exposure_uid: 'f1',
        exposure_event_uid: value.meta.event_id,
        exposure_revision: String(BASE_MS),
        exposure_change: 'CREATED',
        exposure_status: 'OPEN',
        exposure_entity_uid: 'ent_1',
        exposure_connection: 'prod',
        exposure_backfill: 'false',
        exposure_asset_uid: 'ast_1',
        exposure_vuln_id: 'CVE-2026-0001',
        exposure_severity: 'HIGH',
        exposure_record: 'exposure.findings/2/7',
      },
    })
  })

  it('is of the version of OCSF that the settings name', () => {
    const { event } = sent(finding, { ocsfVersion: '1.7.0' }) ?? {}
    expect(event).toMatchObject({ metadata: { version: '1.7.0' } })
  })

  it('is an ECS document or our own where that is wanted; errors are OCSF in both', () => {
    const document = JSON.parse(JSON.stringify(ecsOfFinding(findingEvent('f1', BASE_MS)))) as object
    expect(sent(finding, { format: 'ecs' })?.event).toEqual(document)
    expect(sent(asset, { format: 'ecs' })?.event).toHaveProperty('ecs.version')
    expect(sent(error, { format: 'ecs' })?.event).toMatchObject({ class_uid: 6008 })
    expect(sent(finding, { format: 'event' })?.event).toEqual(findingEvent('f1', BASE_MS))
    expect(sent(error, { format: 'event' })?.event).toEqual(errorEvent('e1', 'print-1'))
  })

  it('has a source type by its kind, or the one that is given', () => {
    const types = [finding, asset, error].map((record) => sent(record)?.sourcetype)
    expect(types).toEqual(['exposure:finding', 'exposure:asset', 'exposure:connector_error'])
    const same = [finding, asset, error].map((record) => sent(record, { sourcetype: 'x' }))
    expect(same.map((one) => one?.sourcetype)).toEqual(['x', 'x', 'x'])
  })

  it('names index and host only where they are given', () => {
    expect(Object.keys(sent(finding) ?? {})).not.toContain('index')
    expect(Object.keys(sent(finding) ?? {})).not.toContain('host')
    const more = { index: 'exposure', host: 'connector-1', source: 'mine' }
    expect(sent(finding, more)).toMatchObject(more)
  })

  it('of a fault is told by its fingerprint, at its latest occurrence', () => {
    const value = errorEvent('e2', 'print-1', { state: 'CLEARED', last_at: BASE_MS + 5_000 })
    expect(sent(recordOf({ kind: 'connector-error', value }))).toMatchObject({
      time: BASE_MS / 1_000 + 5,
      fields: {
        exposure_uid: 'print-1',
        exposure_event_uid: 'e2',
        exposure_status: 'CLEARED',
        exposure_error_type: 'AUTHORIZATION_FAILURE',
      },
    })
  })

  it('has fields of flat text only, and none of what is not known', () => {
    const records = [
      recordOf({ kind: 'finding', value: findingEvent('f1', 1, { entity_uid: null }) }),
      recordOf({
        kind: 'connector-error',
        value: errorEvent('e1', 'p', { connection_id: null }),
      }),
      run,
    ]
    for (const record of records) {
      const fields = sent(record, { format: 'event' })?.fields ?? {}
      expect(Object.values(fields).every((value) => typeof value === 'string')).toBe(true)
      expect(Object.values(fields)).not.toContain('null')
    }
    expect(sent(records[0] as SinkRecord)?.fields).not.toHaveProperty('exposure_entity_uid')
    expect(sent(records[1] as SinkRecord)?.fields).not.toHaveProperty('exposure_connection')
  })

  it('is the same, byte for byte, each time it is made', () => {
    expect(plannedOf(finding, PLACE, settings())).toEqual(plannedOf(finding, PLACE, settings()))
  })

  it('is told of runs in our own format only, by their phase', () => {
    expect(sent(run)).toBeNull()
    expect(sent(run, { format: 'event' })).toMatchObject({
      sourcetype: 'exposure:run',
      fields: { exposure_uid: 'r1', exposure_status: 'STARTED', exposure_event_uid: PLACE_ID },
    })
    expect(kindsOf('ocsf')).toEqual(['asset', 'finding', 'connector-error'])
    expect(kindsOf('ecs')).toEqual(kindsOf('ocsf'))
    expect(kindsOf('event').toSorted()).toEqual(
      ['asset', 'connector-error', 'finding', 'run', 'vulnerability'].toSorted(),
    )
  })

  it('is refused where JSON would change it', () => {
    const halfPair = findingEvent('f1', 1, { title: 'half \ud800' })
    const noNumber = findingEvent('f1', 1, { risk_score: Number.NaN })
    for (const value of [halfPair, noNumber]) {
      const planned = plannedOf(recordOf({ kind: 'finding', value }), PLACE, settings())
      expect(planned).toEqual({ refused: expect.stringMatching(/pair|NaN/) as string })
    }
  })
})

const PLACE_ID = 'exposure.findings/2/7'

describe('a tombstone', () => {
  it('is an event that says so, newer than every revision before it', () => {
    const purge = recordOf({ kind: 'finding', value: null }, 'f1')
    expect(sent(purge)).toEqual({
      time: BASE_MS / 1_000 + 60,
      source: 'exposure-stream',
      sourcetype: 'exposure:purged',
      event: { kind: 'finding', uid: 'f1', change_type: 'PURGED' },
      fields: {
        exposure_kind: 'finding',
        exposure_uid: 'f1',
        exposure_event_uid: PLACE_ID,
        exposure_revision: String(BASE_MS + 60_000),
        exposure_change: 'PURGED',
        exposure_status: 'PURGED',
        exposure_record: PLACE_ID,
      },
    })
  })

  it('of an error or of a run is nothing', () => {
    for (const kind of ['connector-error', 'run'] as const) {
      expect(sent(recordOf({ kind, value: null }), { format: 'event' })).toBeNull()
    }
  })
})

describe('the settings', () => {
  const urlOf = (url: string) => splunkConfig.parse({ ...given, url }).url
  const problemWith = (more: object) =>
    splunkConfig.safeParse({ ...given, ...more }).error?.issues.map(({ path }) => path.join('.'))

  it('take the address with the path of the collector, and keep what is before it', () => {
    expect(urlOf('https://a.example:8088/services/collector/event')).toBe('https://a.example:8088')
    expect(urlOf('https://a.example/hec/services/collector')).toBe('https://a.example/hec')
    expect(urlOf('https://a.example:8088/')).toBe('https://a.example:8088')
  })

  it('take http to this machine only: a token must not cross a network in the clear', () => {
    expect(urlOf('http://127.0.0.1:8088')).toBe('http://127.0.0.1:8088')
    expect(urlOf('http://localhost:8088')).toBe('http://localhost:8088')
    expect(urlOf('http://[::1]:8088')).toBe('http://[::1]:8088')
    expect(problemWith({ url: 'http://splunk.example.com:8088' })).toEqual(['url'])
    expect(problemWith({ url: 'http://127.0.0.1.example.com' })).toEqual(['url'])
    expect(problemWith({ url: 'https://me:secret@splunk.example.com' })).toEqual(['url'])
  })

  it('refuse a token in the place of its reference, and a channel that is no GUID', () => {
    expect(problemWith({ token: '1b9c0f3e-2b7a-4d58-9a51-0c8e7d3b9f42' })).toEqual(['token'])
    expect(problemWith({ channel: 'mine' })).toEqual(['channel'])
    expect(problemWith({ index: 'Not An Index' })).toEqual(['index'])
    expect(problemWith({ format: 'cef' })).toEqual(['format'])
  })
})
