// CSPM's vulnerabilities: the download as zipped CSV, and the searches behind the console's views.
import { gzipSync } from 'node:zlib'
import { z } from 'zod'
import { type WeakRow, type WeakType, cspmSeverity, weakRows } from '../cloud-resources.ts'
import { type Answer, json, text } from '../delivery.ts'
import type { Estate } from '../estate.ts'
import { ROWS_HERE, type Value, jsonAround, pageRows, rowOf, shownRows } from '../rows.ts'
import type { Call } from '../site.ts'
import type { World } from '../world.ts'
import type { CspmBehaviour } from './cspm-behaviour.ts'
import { parsed } from './cspm.ts'

/** Types as the query names them, and as rows do. */
const TYPES: ReadonlyMap<string, WeakType> = new Map<string, WeakType>([
  ['host', 'host'],
  ['package', 'package'],
  ['iac', 'iac'],
  ['deployed image', 'deployedImage'],
  ['container registry image', 'registryImage'],
  ['serverless function', 'serverlessFunction'],
  ['vm image', 'vmImage'],
])
const LIFECYCLES: Readonly<Record<WeakType, string>> = {
  package: 'code',
  iac: 'code',
  registryImage: 'deploy',
  vmImage: 'deploy',
  host: 'run',
  deployedImage: 'run',
  serverlessFunction: 'run',
}

const queryBody = z.looseObject({ query: z.string() })
const assetsBody = queryBody.extend({
  cveId: z.string(),
  assetLifecycle: z.string(),
  assetType: z.string(),
})

type Filter = Readonly<Record<string, ReadonlySet<string>>>

/** `vulnerability where a IN ('x', 'y') AND b IN ('z')`; null for anything else. */
function filterOf(query: string): Filter | null {
  const clauses = /^vulnerability where (.+)$/.exec(query)?.[1]?.split(/ AND /)
  const parts = clauses?.map((clause) => {
    const [, name, list] = /^(asset\.type|severity|cve\.id) IN \(([^()]+)\)$/.exec(clause) ?? []
    const words = [...(list ?? '').matchAll(/'([^']*)'/g)].map(([, word]) => word ?? '')
    return name === undefined ? null : ([name, new Set(words.map((w) => w.toLowerCase()))] as const)
  })
  if (parts === undefined || parts.includes(null)) return null
  return Object.fromEntries(parts.filter((part) => part !== null))
}

function matching(estate: Estate, filter: Filter): WeakRow[] {
  const types = [...(filter['asset.type'] ?? [])].map((word) => TYPES.get(word))
  return weakRows(estate).filter(
    (row) =>
      (filter['asset.type'] === undefined || types.includes(row.assetType)) &&
      (filter['severity']?.has(wordOf(row)) ?? true) &&
      (filter['cve.id']?.has(row.weakness.id.toLowerCase()) ?? true),
  )
}

/** As `matching`, for rows of a file. */
function fits(row: Value, filter: Filter): boolean {
  const types = [...(filter['asset.type'] ?? [])].map((word) => TYPES.get(word))
  const field = (name: string) => fieldOf(row, name).toLowerCase()
  return (
    (filter['asset.type'] === undefined || types.some((t) => t === row['ASSET_TYPE'])) &&
    (filter['severity']?.has(field('SEVERITY')) ?? true) &&
    (filter['cve.id']?.has(field('CVE_ID')) ?? true)
  )
}

const wordOf = ({ weakness }: WeakRow): string => cspmSeverity(weakness).word
const refused = (status: number, message: string): Answer =>
  json(status, { code: 'BadArgument', message, target: 'query' })

/** `POST /uve/api/v1/vulnerabilities/search/download`; answers 202 as often as it should. */
export function createDownload(world: World, behaviour: CspmBehaviour): (call: Call) => Answer {
  const asked = new Map<string, number>()
  return (call) => {
    const body = queryBody.safeParse(parsed(call.body))
    const query = body.data?.query ?? ''
    const filter = filterOf(query)
    if (filter === null) return refused(400, 'the query is not understood')
    const times = asked.get(query) ?? 0
    asked.set(query, times + 1)
    if (times < behaviour.downloadNotReady) return text(202, '')
    asked.delete(query)
    const estate = world.estate()
    const rows =
      world.files.get('cspm.vulnerabilities')?.filter((row) => fits(row.value(), filter)) ??
      matching(estate, filter).map((row) => rowOf(rowId(row), () => csvValue(estate, row)))
    const shown = pageRows(shownRows(rows, call.fault).rows, call.fault)
    const cut = shown.slice(0, behaviour.downloadRowsMax).map((row) => row.value())
    const headers = { 'content-type': 'application/octet-stream' }
    if (cut.length === 0 && behaviour.emptyDownload === 'nothing') return text(200, '', headers)
    return { status: 200, headers, body: gzipSync(Buffer.from(csvOf(cut)), { level: 1 }) }
  }
}

const rowId = (row: WeakRow): string => `${row.assetId}|${row.weakness.id}|${row.packageName}`

/** `POST /uve/api/v1/vulnerabilities/search?view=cve`. */
export function searchVulnerabilities(world: World, behaviour: CspmBehaviour, call: Call): Answer {
  const filter = filterOf(queryBody.safeParse(parsed(call.body)).data?.query ?? '')
  if (filter === null) return refused(400, 'the query is not understood')
  const rows = matching(world.estate(), filter)
  const groups = [...Map.groupBy(rows, (row) => row.weakness.id)].toSorted(([a], [b]) =>
    a < b ? -1 : 1,
  )
  const page = pageOf(groups, call.query.get('page_token'), behaviour.searchRowsMax)
  const data = {
    totalRows: groups.length,
    totalAssets: new Set(rows.map((row) => row.assetId)).size,
    totalVulnerabilities: groups.length,
    items: page.items.map(([cveId, of]) => cveDetails(cveId, of)),
    ...page.next,
  }
  const timeRange = { type: 'to_now', value: 'epoch' }
  return json(200, { id: 'simulated', searchType: 'vulnerability', timeRange, data })
}

function cveDetails(cveId: string, rows: readonly WeakRow[]): Value {
  const [first] = rows
  const weakness = first?.weakness
  return {
    cveId,
    name: cveId,
    cvssScore: weakness?.cvss ?? 0,
    epssScore: Math.round((weakness?.epss ?? 0) * 100),
    completeEpssScore: weakness?.epss ?? 0,
    totalImpactedAssets: new Set(rows.map((row) => row.assetId)).size,
    riskFactors: weakness?.fix === null ? [] : ['Patchable'],
    published: weakness?.publishedMs ?? 0,
    exploitable: weakness?.exploit !== 'none',
    patchable: weakness?.fix !== null,
    severity: first === undefined ? 'low' : wordOf(first),
  }
}

/** `POST /uve/api/v1/vulnerabilities/search/asset`. */
export function searchAssets(world: World, behaviour: CspmBehaviour, call: Call): Answer {
  const body = assetsBody.safeParse(parsed(call.body))
  const filter = filterOf(body.data?.query ?? '')
  if (!body.success || filter === null) return refused(400, 'a field is missing')
  const { cveId, assetLifecycle, assetType } = body.data
  const rows = matching(world.estate(), filter).filter(
    (row) =>
      row.weakness.id === cveId &&
      row.assetType === assetType &&
      LIFECYCLES[row.assetType] === assetLifecycle,
  )
  const assets = [...new Map(rows.map((row) => [row.assetId, row])).values()]
  const shown = shownRows(
    assets.map((row) =>
      rowOf(row.assetId, () => ({
        id: row.assetId,
        name: `asset ${row.assetId.slice(0, 8)}`,
        atRisk: false,
        internetExposed: row.isExposed,
      })),
    ),
    call.fault,
  )
  const page = pageOf(shown.rows, call.query.get('page_token'), behaviour.searchRowsMax)
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: jsonAround({ value: ROWS_HERE, ...page.next }, pageRows(page.items, call.fault)),
  }
}

function pageOf<T>(all: readonly T[], token: string | null, rowsMax: number) {
  const from = token === null ? 0 : Number(token)
  const end = from + rowsMax
  return {
    items: all.slice(from, end),
    next: end < all.length ? { nextPageToken: String(end) } : {},
  }
}

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ')
const twoDigits = (value: number): string => String(value).padStart(2, '0')

/** `Oct 31 2025`. */
function dayText(ms: number): string {
  const day = new Date(ms)
  return `${MONTHS[day.getUTCMonth()]} ${twoDigits(day.getUTCDate())} ${day.getUTCFullYear()}`
}

const NONE = 'N/A'
const flag = (value: boolean): string => (value ? 'Y' : 'N')
/** `8.8E-4`, as the vendor writes small numbers. */
const small = (value: number): string =>
  value >= 0.001 ? String(value) : value.toExponential().toUpperCase()

function csvValue(estate: Estate, row: WeakRow): Value {
  const { weakness, fixes } = row
  const isNetwork = weakness.vector.includes('/AV:N/')
  return {
    ASSET_ID: row.assetId,
    ASSET_TYPE: row.assetType,
    CVE_ID: weakness.id,
    CVE_LINK: `https://vulnerabilities.example/${weakness.id}`,
    SEVERITY: wordOf(row),
    CVSS_BASE_SCORE: weakness.cvss === null ? NONE : String(weakness.cvss),
    EPSS_SCORE: small(estate.epss.get(weakness.id) ?? weakness.epss),
    PACKAGE_NAME: row.packageName,
    INSTALLED_VERSIONS: `[${row.versions.join(', ')}]`,
    FIX_VERSION: fixes.length === 0 ? `[${NONE}]` : `[${fixes.join(', ')}]`,
    FIX_DATE: weakness.fix === null ? NONE : dayText(weakness.fix.atMs),
    PUBLISHED_DATE: dayText(weakness.publishedMs),
    DISCOVERED_DATE: dayText(row.discoveredMs),
    PATCHABLE: flag(fixes.length > 0),
    EXPLOITABLE: flag(weakness.exploit !== 'none'),
    CISA_KEV: flag(weakness.exploit === 'in-the-wild'),
    '3RD_PARTY_EXPLOIT_SOURCE': weakness.exploit === 'poc' ? 'github.gist, exploit-db' : NONE,
    INTERNET_EXPOSED: flag(row.isExposed),
    PACKAGE_IN_USE: 'false',
    AT_RISK: 'N',
    ATTACK_VECTOR: isNetwork ? 'Network' : NONE,
    ATTACK_COMPLEXITY: weakness.vector.includes('/AC:L/') ? 'Low' : NONE,
    PRIVILEGES_REQUIRED: 'None',
    USER_INTERACTION: 'None',
    DOS: NONE,
    CLOUD_ACCOUNT_ID: row.accountId ?? NONE,
    SERVICE_PROVIDER: row.provider,
    DISTRIBUTION: row.distribution ?? NONE,
    OS_RELEASE: row.release ?? NONE,
    // A field may hold anything: commas, quotes, line breaks.
    REGISTRY: row.assetType === 'registryImage' ? 'registry "eu",\nregistry "us"' : NONE,
  }
}

/** These are there also without rows. */
const COLUMNS =
  `3RD_PARTY_EXPLOIT_SOURCE ASSET_ID ASSET_TYPE ATTACK_COMPLEXITY ATTACK_VECTOR AT_RISK
  CISA_KEV CLOUD_ACCOUNT_ID CVE_ID CVE_LINK CVSS_BASE_SCORE DISCOVERED_DATE DISTRIBUTION DOS
  EPSS_SCORE EXPLOITABLE FIX_DATE FIX_VERSION INSTALLED_VERSIONS INTERNET_EXPOSED OS_RELEASE
  PACKAGE_IN_USE PACKAGE_NAME PATCHABLE PRIVILEGES_REQUIRED PUBLISHED_DATE REGISTRY
  SERVICE_PROVIDER SEVERITY USER_INTERACTION`.split(/\s+/)

const fieldOf = (row: Value, name: string): string => {
  const value = row[name] ?? ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}

const quoted = (field: string): string =>
  /[",\n\r]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field

function csvOf(rows: readonly Value[]): string {
  const columns = [...new Set([...COLUMNS, ...rows.flatMap(Object.keys)])]
  return [columns, ...rows.map((row) => columns.map((name) => fieldOf(row, name)))]
    .map((fields) => `${fields.map(quoted).join(',')}\n`)
    .join('')
}
