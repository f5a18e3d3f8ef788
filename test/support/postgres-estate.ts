// A small estate with a past, of which every answer is known: for the views and documented queries.
import type { Asset } from '../../contracts/asset.ts'
import type { EventMeta } from '../../contracts/event-meta.ts'
import type { Finding } from '../../contracts/finding.ts'
import type { OpenSink, SinkRecord } from '../../contracts/ports.ts'
import type { Run } from '../../contracts/run.ts'
import type { Vulnerability } from '../../contracts/vulnerability.ts'
import { assetEvent, errorEvent, findingEvent, runEvent } from './events.ts'
import { batchOf } from './postgres.ts'

type Told = Omit<SinkRecord, 'offset'>
const DAY_MS = 86_400_000
const NOW_MS = Date.now()
/** So many days ago, in epoch ms. */
export const ago = (days: number): number => NOW_MS - Math.round(days * DAY_MS)

const PRISMA = {
  vendor: 'prisma-cloud',
  product: 'prisma-compute',
  connection_id: 'prisma-prod',
  stream: 'compute.hosts',
} as const
const CORTEX = {
  vendor: 'cortex',
  product: 'cortex-cloud',
  connection_id: 'cortex-prod',
  stream: 'cloud.findings',
} as const
type Source = typeof PRISMA | typeof CORTEX

function metaAt(event: { meta: EventMeta }, days: number, source: Source, more: object): EventMeta {
  const { meta } = event
  const at = { revision: ago(days), observed_at: ago(days), ingested_at: ago(days) + 5 }
  return { ...meta, ...at, source: { ...meta.source, ...source }, ...more }
}

const asset = (uid: string, source: Source, more: Partial<Asset>): Told => {
  const event = assetEvent(uid, 1, more)
  return {
    kind: 'asset',
    key: uid,
    value: { ...event, meta: metaAt(event, 60, source, {}) },
  } as Told
}

type Step = Partial<Omit<Finding, 'meta'>> & {
  readonly days: number
  readonly type: keyof typeof STATUS
  readonly meta?: Partial<EventMeta>
}
const STATUS = {
  CREATED: 'OPEN',
  UPDATED: 'OPEN',
  REOPENED: 'REOPENED',
  RESOLVED: 'RESOLVED',
} as const

/** The revisions of one finding, each `days` ago. */
function finding(uid: string, source: Source, all: Partial<Finding>, steps: Step[]): Told[] {
  return steps.map(({ days, type, meta = {}, ...more }) => {
    const [first] = steps
    const status = { status: STATUS[type] }
    const sight = { first_seen: ago(first?.days ?? days) }
    const event = findingEvent(uid, 1, { ...sight, ...status, package: null, ...all, ...more })
    const whole = metaAt(event, days, source, { change_type: type, ...meta })
    return { kind: 'finding', key: uid, value: { ...event, meta: whole } } as Told
  })
}
const onWeb = { asset_uid: 'ast_web', entity_uid: 'ent_web' }
const onCloudWeb = { asset_uid: 'ast_cloud_web', entity_uid: 'ent_web' }
const db = findingEvent('x').asset
const onDb = { asset_uid: 'ast_db', entity_uid: 'ent_db', asset: { ...db, name: 'db-1' } }
const critical = { severity: 'CRITICAL', severity_id: 5 } as const
const medium = { severity: 'MEDIUM', severity_id: 3 } as const
const low = { severity: 'LOW', severity_id: 2 } as const
const gone = { resolution: 'ASSET_GONE' } as const
const aged = { available: true, versions: ['3.0.2'], fixed_at: null, text: null, url: null }
const backfill = { meta: { backfill: true } }

const ASSETS: Told[] = [
  asset('ast_web', PRISMA, { entity_uid: 'ent_web', name: 'web-1', internet_exposed: null }),
  asset('ast_cloud_web', CORTEX, {
    entity_uid: 'ent_web',
    name: 'web-1.example.com',
    internet_exposed: true,
  }),
  asset('ast_db', PRISMA, { entity_uid: 'ent_db', name: 'db-1', internet_exposed: false }),
  asset('ast_old_db', CORTEX, {
    entity_uid: 'ent_db',
    name: 'db-1',
    status: 'GONE',
    internet_exposed: true,
  }),
]

const FINDINGS: Told[] = [
  ...finding('f_web', PRISMA, { ...onWeb, ...critical, known_exploited: true }, [
    { days: 10.5, type: 'CREATED' },
  ]),
  ...finding('f_cloud_web', CORTEX, onCloudWeb, [
    { days: 8, type: 'CREATED' },
    { days: 6, type: 'RESOLVED', resolution: 'VENDOR_CLOSED' },
  ]),
  ...finding('f_again', PRISMA, { ...onDb, vuln_id: 'CVE-2026-0002' }, [
    { days: 20, type: 'CREATED' },
    { days: 18, type: 'RESOLVED', resolution: 'ABSENT_FROM_SNAPSHOT' },
    { days: 10, type: 'REOPENED', reopen_count: 1 },
    { days: 9, type: 'RESOLVED', resolution: 'ABSENT_FROM_SNAPSHOT', reopen_count: 1 },
  ]),
  ...finding('f_first_load', PRISMA, { ...onDb, ...low, vuln_id: 'CVE-2026-0003' }, [
    { days: 100.5, type: 'CREATED', ...backfill },
  ]),
  ...finding('f_old_done', PRISMA, { ...onDb, vuln_id: 'CVE-2026-0004' }, [
    { days: 30, type: 'CREATED', ...backfill },
    { days: 5, type: 'RESOLVED', resolution: 'ABSENT_FROM_SNAPSHOT' },
  ]),
  ...finding('f_cortex', CORTEX, { ...onCloudWeb, ...medium, vuln_id: 'CVE-2026-0005' }, [
    { days: 3.5, type: 'CREATED', fix: aged, package: findingEvent('x').package },
  ]),
  ...finding('f_rated', PRISMA, { ...onDb, vuln_id: 'CVE-2026-0006' }, [
    { days: 4.5, type: 'CREATED', ...low },
    {
      days: 2,
      type: 'UPDATED',
      ...medium,
      meta: {
        changed_fields: ['severity'],
        changes: [{ path: 'severity', before: '"LOW"', after: '"MEDIUM"' }],
      },
    },
  ]),
  ...finding('f_purged', PRISMA, { ...onDb, ...medium, vuln_id: 'CVE-2026-0007' }, [
    { days: 50, type: 'CREATED' },
    { days: 40, type: 'RESOLVED', ...gone },
  ]),
  { kind: 'finding', key: 'f_purged', value: null, timestampMs: ago(35) },
]

const run = (runId: string, source: Source, days: number, more: Partial<Run>): Told => {
  const { vendor, product, connection_id, stream } = source
  const times = { started_at: ago(days), at: ago(days) + 60_000 }
  const value = runEvent(runId, { vendor, product, connection_id, stream, ...times, ...more })
  return { kind: 'run', key: `${connection_id}|${stream}`, value } as Told
}
const totals = { units_seen: 9, dead_lettered: 0, closed: 1, held: 0, purged: 0, duration_ms: 9 }
const complete = { phase: 'FINISHED', verdict: 'COMPLETE', totals } as const

const RUNS: Told[] = [
  run('r1', PRISMA, 4, complete),
  run('r2', PRISMA, 1, { ...complete, totals: { ...totals, dead_lettered: 2 }, too_large: 1 }),
  run('r3', PRISMA, 0.8, { ...complete, verdict: 'PARTIAL' }),
  run('r4', PRISMA, 0.6, { ...complete, totals: { ...totals, held: 5 } }),
  run('r5', PRISMA, 0.4, { ...complete, hold: 'fewer than before' }),
  run('r6', PRISMA, 0.3, { ...complete, kind: 'INCREMENTAL' }),
  run('r7', PRISMA, 0.2, { phase: 'FETCHED', verdict: 'COMPLETE' }),
  run('r8', CORTEX, 0.1, { ...complete, verdict: 'FAILED' }),
]

const { meta } = findingEvent('v')
/** What a finding does not say itself: that its weakness is exploited. */
const DICTIONARY: Vulnerability = {
  meta,
  vulnerability_uid: 'vln_1',
  vuln_id: 'CVE-2026-0005',
  title: null,
  description: null,
  severity: 'HIGH',
  severity_id: 4,
  severity_raw: 'high',
  cvss_score: null,
  cvss: [],
  epss: null,
  known_exploited: true,
  exploit: null,
  packages: [],
  vendors: [],
  distributions: [],
  references: [],
  published_at: null,
  modified_at: null,
  status: 'LISTED',
  first_seen: null,
  last_seen: ago(1),
  unmapped: {},
}

/** Writes it all. */
export async function writeEstate(sink: OpenSink): Promise<void> {
  const parts: [topic: string, told: readonly Told[]][] = [
    ['exposure.assets', ASSETS],
    ['exposure.findings', FINDINGS],
    ['exposure.runs', RUNS],
    [
      'exposure.vulnerabilities',
      [{ kind: 'vulnerability', key: 'vln_1', value: DICTIONARY } as Told],
    ],
    [
      'exposure.connector-errors',
      [
        { kind: 'connector-error', key: 'p1', value: errorEvent('e1', 'p1') } as Told,
        {
          kind: 'connector-error',
          key: 'p2',
          value: errorEvent('e2', 'p2', { state: 'CLEARED' }),
        } as Told,
      ],
    ],
  ]
  for (const [topic, told] of parts) {
    const rejections = await sink.write(batchOf(told, { topic }))
    if (rejections.length > 0) throw new Error(`refused: ${JSON.stringify(rejections)}`)
  }
}
