// The views, and the queries of docs/postgres.md, on data of which every answer is known.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { type TestDatabase, openedSink, testDatabase } from '../support/postgres.ts'
import { ago, writeEstate } from '../support/postgres-estate.ts'

const text = readFileSync(new URL('../../docs/postgres.md', import.meta.url), 'utf8')
/** By heading: the SQL below it. */
const QUERIES = new Map(
  text
    .split('\n### ')
    .slice(1)
    .map((part): [string, string] => [
      part.slice(0, part.indexOf('\n')),
      /```sql\n([\s\S]*?)```/.exec(part)?.[1] ?? '',
    ]),
)

async function estate(): Promise<TestDatabase> {
  const database = await testDatabase()
  await writeEstate(await openedSink(database))
  return database
}

/** From when to when, in days ago, each finding of the estate was open. */
const OPEN: readonly (readonly [number, number])[] = [
  [10.5, 0],
  [8, 6],
  [20, 18],
  [10, 9],
  [100.5, 0],
  [30, 5],
  [3.5, 0],
  [4.5, 0],
  [50, 40],
]
const openAt = (ms: number) => OPEN.filter(([from, to]) => ago(from) < ms && ago(to) >= ms).length

type Answer = readonly object[] | ((rows: readonly Record<string, unknown>[]) => void)

const ANSWERS: Readonly<Record<string, Answer>> = {
  'What is open, by severity and age?': [
    row('CRITICAL', '7-29 days', { findings: '1', assets: '1', known_exploited: '1', fix: '1' }),
    row('MEDIUM', '0-6 days', { findings: '2', assets: '2', known_exploited: '0', fix: '2' }),
    row('LOW', '90+ days', { findings: '1', assets: '1', known_exploited: '0', fix: '1' }),
  ],
  'What has been open for more than 30 days, worst first?': [
    {
      severity: 'LOW',
      age_days: 100,
      asset_name: 'db-1',
      vuln_id: 'CVE-2026-0003',
      package_name: null,
      fix_versions: ['1.1.2'],
    },
  ],
  'How long does it take to resolve?': [
    resolved('cortex-prod', 'HIGH', '1', '0', 48),
    resolved('prisma-prod', 'HIGH', '2', '0', 36),
    resolved('prisma-prod', 'MEDIUM', '1', '1', 240),
  ],
  'How long does a repair take, per severity, wherever it was?': [
    { severity: 'HIGH', repairs: '3', mean_hours: 40 },
  ],
  'Which assets can the internet reach that have an exploited weakness?': [
    reached('web-1', 'prisma-compute', 'CVE-2026-0001'),
    reached('web-1.example.com', 'cortex-cloud', 'CVE-2026-0005'),
  ],
  'Which machines do both vendors see?': [
    {
      names: ['web-1', 'web-1.example.com'],
      products: ['cortex-cloud', 'prisma-compute'],
      matched_by: 'cloud_instance_id',
      matched_value: 'i-0abc',
    },
  ],
  'Where do the vendors disagree about a weakness?': [
    {
      names: ['web-1', 'web-1.example.com'],
      vuln_id: 'CVE-2026-0001',
      vendors: ['cortex', 'prisma-cloud'],
      open_at: ['prisma-cloud'],
      lowest_severity_id: 4,
      highest_severity_id: 5,
    },
  ],
  'Which open findings has no listing confirmed for two days?': [
    {
      connection_id: 'cortex-prod',
      stream: 'cloud.findings',
      findings: '1',
      since: new Date(ago(3.5)),
    },
  ],
  'What was open a week ago?': [
    { vuln_id: 'CVE-2026-0001', severity: 'CRITICAL', asset: 'web-1' },
    { vuln_id: 'CVE-2026-0001', severity: 'HIGH', asset: 'web-1' },
    { vuln_id: 'CVE-2026-0004', severity: 'HIGH', asset: 'db-1' },
    { vuln_id: 'CVE-2026-0003', severity: 'LOW', asset: 'db-1' },
  ],
  'How many were open at the end of each of the last five days?': (rows) => {
    const ends = rows.map(({ day }) => {
      const [year, month, date] = String(day).split('-').map(Number)
      return Date.UTC(year ?? 0, (month ?? 1) - 1, (date ?? 0) + 1)
    })
    expect(rows.map(({ open }) => Number(open))).toEqual(ends.map(openAt))
    expect(rows).toHaveLength(5)
  },
  'What happened to one weakness, and why?': [
    happened('CREATED', 'LOW', [], [null, null, null]),
    happened('UPDATED', 'MEDIUM', ['severity'], ['severity', '"LOW"', '"MEDIUM"']),
  ],
  'What is new and what is done, week by week?': (rows) => {
    const sum = (name: string) => rows.reduce((all, { [name]: some }) => all + Number(some), 0)
    expect(['opened', 'reopened', 'resolved'].map(sum)).toEqual([6, 1, 5])
    expect(rows.length).toBeGreaterThan(4)
  },
  'Which one upgrade would close most?': [
    { package_name: null, fix_versions: ['1.1.2'], findings: '3', assets: '2' },
    { package_name: 'openssl', fix_versions: ['3.0.2'], findings: '1', assets: '1' },
  ],
  'How fresh is each stream?': [
    {
      connection_id: 'cortex-prod',
      stream: 'cloud.findings',
      last_run: new Date(ago(0.1)),
      last_complete_run: null,
    },
    {
      connection_id: 'prisma-prod',
      stream: 'compute.hosts',
      last_run: new Date(ago(0.2)),
      last_complete_run: new Date(ago(1)),
    },
  ],
  'What is broken, and what is to be done?': [
    {
      error_type: 'AUTHORIZATION_FAILURE',
      connection_id: 'prod',
      stream: 'xdr.endpoints',
      message: 'refused',
      remediation: 'check the key',
    },
  ],
}

function row(
  severity: string,
  age_band: string,
  { fix, ...counts }: { findings: string; assets: string; known_exploited: string; fix: string },
) {
  return { severity, age_band, ...counts, with_fix: fix }
}
function resolved(connection_id: string, severity: string, all: string, gone: string, h: number) {
  const hours = { mean_hours: h, median_hours: h }
  return { connection_id, severity, resolved: all, resolved_asset_gone: gone, ...hours }
}
function reached(name: string, product: string, vuln: string) {
  return { name, product, exposure_told_by: ['cortex-cloud'], vuln_ids: [vuln], findings: '1' }
}
function happened(
  change_type: string,
  severity: string,
  changed_fields: string[],
  [path, before, after]: readonly [string | null, string | null, string | null],
) {
  const common = { change_type, change_cause: 'VENDOR', status: 'OPEN' }
  return { ...common, severity, changed_fields, path, before, after }
}

describe('docs/postgres.md', () => {
  it('has an answer in this test for every query, and none for others', () => {
    expect([...QUERIES.keys()].toSorted()).toEqual(Object.keys(ANSWERS).toSorted())
    expect([...text.matchAll(/```sql/g)]).toHaveLength(QUERIES.size)
  })

  it('has queries that answer what is known', async () => {
    const database = await estate()
    // Days end by the zone of the session.
    await database.query(
      `DO $$ BEGIN
         EXECUTE format('ALTER DATABASE %I SET timezone = ''UTC''', current_database());
       END $$`,
    )
    for (const [heading, sql] of QUERIES) {
      const rows = await database.query(sql)
      const answer = ANSWERS[heading]
      if (typeof answer === 'function') answer(rows)
      else expect.soft(rows, heading).toEqual(answer)
    }
  })

  it('names every view there is', async () => {
    const database = await estate()
    const views = await database.query(
      `SELECT viewname FROM pg_views WHERE schemaname = 'exposure' ORDER BY 1`,
    )
    for (const { viewname } of views) expect(text).toContain(`\`${String(viewname)}\``)
  })
})

describe('a view', () => {
  it('confirms what is open by the last whole listing that held nothing back', async () => {
    const database = await estate()
    const rows = await database.query(
      `SELECT finding_uid, last_confirmed_at AS at, confirming_run_id AS run,
         confirming_run_unread_units::int AS unread FROM exposure.open_finding ORDER BY 1`,
    )
    const confirmed = { at: new Date(ago(1)), run: 'r2', unread: 3 }
    expect(rows).toEqual([
      { finding_uid: 'f_cortex', at: new Date(ago(3.5)), run: null, unread: null },
      { finding_uid: 'f_first_load', ...confirmed },
      { finding_uid: 'f_rated', ...confirmed },
      { finding_uid: 'f_web', ...confirmed },
    ])
  })

  it('counts each opening as an episode, also of what was forgotten', async () => {
    const database = await estate()
    const rows = await database.query(
      `SELECT finding_uid AS uid, episode::int, opened_at AS from, resolved_at AS to, backfill
       FROM exposure.finding_episode WHERE finding_uid IN ('f_again', 'f_purged', 'f_old_done',
         'f_web') ORDER BY 1, 2`,
    )
    const at = (days: number) => new Date(ago(days))
    expect(rows).toEqual([
      { uid: 'f_again', episode: 1, from: at(20), to: at(18), backfill: false },
      { uid: 'f_again', episode: 2, from: at(10), to: at(9), backfill: false },
      { uid: 'f_old_done', episode: 1, from: at(30), to: at(5), backfill: true },
      { uid: 'f_purged', episode: 1, from: at(50), to: at(40), backfill: false },
      { uid: 'f_web', episode: 1, from: at(10.5), to: null, backfill: false },
    ])
  })
})

describe('an index', () => {
  it('finds the few worst open findings among many that are closed', async () => {
    const database = await estate()
    await multiply(database, 20_000)
    const plan = await explained(
      database,
      `SELECT * FROM exposure.open_finding WHERE severity_id = 5 ORDER BY age_days`,
    )
    expect(plan).toContain('finding_open_severity')
    expect(plan).not.toContain('Seq Scan on finding ')
  })

  it('finds the past of one finding, and what is exploited, among many', async () => {
    const database = await estate()
    await multiply(database, 20_000)
    const one = `SELECT * FROM exposure.finding_history WHERE finding_uid = 'f_web'`
    expect(await explained(database, one)).toContain('finding_history_pkey')
    const exploited = `SELECT * FROM exposure.exposed_known_exploited`
    const plan = await explained(database, exploited)
    expect(plan).toContain('finding_open_known_exploited')
  })
})

/** Copies of a closed finding, and no open one. */
async function multiply(database: TestDatabase, copies: number): Promise<void> {
  const [names] = await database.query(
    `SELECT string_agg(quote_ident(attname), ', ') AS names FROM pg_attribute
     WHERE attrelid = 'exposure.finding'::regclass AND attnum > 0 AND attname <> 'finding_uid'`,
  )
  const list = String(names?.['names'])
  await database.query(
    `INSERT INTO exposure.finding (finding_uid, ${list})
     SELECT 'copy-' || n, ${list.replace(/\bstate\b/, `'{}'::jsonb`)}
     FROM exposure.finding, generate_series(1, ${copies}) AS n WHERE finding_uid = 'f_again'`,
  )
  await database.query(
    `INSERT INTO exposure.finding_history (finding_uid, ${list}, changed_fields, ingested_at,
       valid_from) SELECT finding_uid, ${list}, '{}', observed_at, observed_at
     FROM exposure.finding WHERE finding_uid LIKE 'copy-%'`,
  )
  await database.query('ANALYZE')
}

async function explained(database: TestDatabase, sql: string): Promise<string> {
  const rows = await database.query(`EXPLAIN ${sql}`)
  return rows.map((line) => String(line['QUERY PLAN'])).join('\n')
}
