// The XQL datasets that tell weaknesses, which of them a tenant has, and how many rows they hold.
import { PipelineError } from '../../contracts/errors.ts'
import { countOf, memberAt } from '../../runtime/json-members.ts'
import type { PullContext } from '../../contracts/ports.ts'
import { type ItemIds, isObject } from '../../runtime/offset-listing.ts'
import type { CortexClient } from './client.ts'
import { requireQuota, xqlRows } from './xql.ts'

export type DatasetName = 'findings' | 'uvm_findings' | 'va_endpoints'
/** The best first: what a later one tells an earlier one tells better. */
const DATASETS: readonly DatasetName[] = ['findings', 'uvm_findings', 'va_endpoints']

type Row = Readonly<Record<string, unknown>>
export type Dataset = {
  readonly name: DatasetName
  readonly filter: string
  readonly fields: readonly string[]
  /** Fields that not every tenant has: left out where the query fails with them. */
  readonly fieldsMaybe: readonly string[]
  /** What slices are cut by. Not unique: rows may share it, and stand on both sides of a cut. */
  readonly key: { readonly field: string; readonly unique: boolean }
  /** The ids of a row, or what it lacks. */
  readonly identify: (row: Row) => ItemIds | readonly string[]
}

const FINDING_FIELDS = [
  'id',
  'asset_id',
  'asset_name',
  'asset_type',
  'name',
  'description_template',
  'first_observed',
  'last_observed',
  'normalized_fields',
].map((name) => `xdm.finding.${name}`)

/** One row per asset, package and CVE. */
export const FINDINGS: Dataset = {
  name: 'findings',
  filter: 'filter xdm.finding.category = "VULNERABILITY" and xdm.finding.is_active = true',
  fields: FINDING_FIELDS,
  fieldsMaybe: [],
  key: { field: 'xdm.finding.id', unique: true },
  identify: (row) => {
    const [unit, assetNativeId] = [row['xdm.finding.id'], row['xdm.finding.asset_id']]
    return idsOf(
      { 'xdm.finding.id': unit, 'xdm.finding.asset_id': assetNativeId },
      ([id, asset]) => ({
        unit: id,
        assetNativeId: asset,
      }),
    )
  },
}

/** The same grain in flat columns; rows have no id of their own. */
export const UVM_FINDINGS: Dataset = {
  name: 'uvm_findings',
  filter: 'filter vulnerability_id != null',
  fields: (
    'asset_id asset_name asset_category asset_type vulnerability_id cvss_score cvss_severity ' +
    'epss_score affected_software package_version package_purl fix_available fix_versions ' +
    'first_observed last_observed cve_publish_date exploitable exploit_level cve_risk_factors ' +
    'cortex_vulnerability_risk_score'
  ).split(' '),
  fieldsMaybe: ['package_type', 'os_distribution'],
  key: { field: 'asset_id', unique: false },
  identify: (row) => {
    const { asset_id, vulnerability_id, affected_software, package_version } = row
    return idsOf({ asset_id, vulnerability_id }, ([asset, weakness]) => ({
      unit: [asset, weakness, textOf(affected_software), textOf(package_version)].join('|'),
      assetNativeId: asset,
    }))
  },
}

/** Host Insights of older tenants: one row per endpoint with the list of its CVEs. */
export const VA_ENDPOINTS: Dataset = {
  name: 'va_endpoints',
  filter: 'filter cves != null',
  fields: [],
  fieldsMaybe: [],
  key: { field: 'endpoint_id', unique: true },
  identify: ({ endpoint_id }) =>
    idsOf({ endpoint_id }, ([id]) => ({ unit: id, assetNativeId: id })),
}

const BY_NAME = {
  findings: FINDINGS,
  uvm_findings: UVM_FINDINGS,
  va_endpoints: VA_ENDPOINTS,
} as const

/** A column as text; a list as JSON, nothing as nothing. */
const textOf = (value: unknown): string => {
  if (typeof value === 'string') return value
  return value === null || value === undefined ? '' : JSON.stringify(value)
}

function idsOf(
  required: Row,
  ids: (texts: readonly [string, string]) => ItemIds,
): ItemIds | readonly string[] {
  const missing = Object.entries(required).flatMap(([name, value]) =>
    typeof value === 'string' && value !== '' ? [] : [`${name}: must be a text that is not empty`],
  )
  const [first, second] = Object.values(required)
  return missing.length > 0 ? missing : ids([String(first), String(second)])
}

/** Where a query begins: the dataset and its filter. */
export const sourceOf = ({ name, filter }: Dataset): string => `dataset = ${name} | ${filter}`

export type Chosen = {
  readonly dataset: Dataset
  readonly rows: number
  /** To be asked for; empty asks for all there are. */
  readonly fields: readonly string[]
}

const CHOICE_LIFE_MS = 600_000
const DATASETS_PATH = '/public_api/v1/xql/get_datasets/'
type Context = Pick<PullContext, 'signal' | 'nowMs'>
type Known = {
  readonly untilMs: number
  present: readonly DatasetName[] | null
  readonly counted: Map<DatasetName, Chosen | null>
}
/** Several streams ask in one turn, and every query costs quota. */
const known = new WeakMap<CortexClient, Known>()

function knownOf(client: CortexClient, context: Context): Known {
  const found = known.get(client)
  if (found !== undefined && context.nowMs() < found.untilMs) return found
  const untilMs = context.nowMs() + CHOICE_LIFE_MS
  const fresh: Known = { untilMs, present: null, counted: new Map() }
  known.set(client, fresh)
  return fresh
}

/**
 * The datasets that the tenant has: as it lists them; where it lists none of them or cannot say,
 * those that answer a query.
 */
export async function presentDatasets(
  client: CortexClient,
  context: Context,
): Promise<readonly DatasetName[]> {
  const cache = knownOf(client, context)
  if (cache.present !== null) return cache.present
  const names = await listedNames(client, context)
  const listed = DATASETS.filter((name) => names.has(name))
  cache.present = listed.length > 0 ? listed : await answering(client, context)
  return cache.present
}

async function answering(client: CortexClient, context: Context): Promise<DatasetName[]> {
  const found: DatasetName[] = []
  for (const name of DATASETS) {
    if ((await countedRows(client, name, context)) !== null) found.push(name)
  }
  return found
}

async function listedNames(client: CortexClient, context: Context): Promise<ReadonlySet<string>> {
  const { signal } = context
  try {
    const options = { body: { request_data: {} }, signal, quiet: true, attemptsMax: 1 }
    const { value } = await client.http.json('POST', DATASETS_PATH, options)
    const rows = memberAt(value, ['reply'])
    return new Set(
      (Array.isArray(rows) ? rows : []).filter(isObject).map((row) => textOf(row['Dataset Name'])),
    )
  } catch (error) {
    // Not every tenant has the call. What else may be wrong shows at the queries.
    if (error instanceof PipelineError && !signal.aborted) return new Set()
    throw error
  }
}

/** The rows of a dataset; null when the tenant does not have it. @throws PipelineError */
async function countedRows(
  client: CortexClient,
  name: DatasetName,
  context: Context,
): Promise<Chosen | null> {
  const { counted } = knownOf(client, context)
  const before = counted.get(name)
  if (before !== undefined) return before
  if (counted.size === 0) await requireQuota(client, context)
  const chosen = await count(client, BY_NAME[name], context)
  counted.set(name, chosen)
  return chosen
}

async function count(
  client: CortexClient,
  dataset: Dataset,
  context: Context,
): Promise<Chosen | null> {
  const all = [...dataset.fields, ...dataset.fieldsMaybe]
  for (const fields of dataset.fieldsMaybe.length > 0 ? [all, dataset.fields] : [dataset.fields]) {
    try {
      return { dataset, rows: await probe(client, dataset, fields, context), fields }
    } catch (error) {
      if (!(error instanceof PipelineError)) throw error
      if (error.failure === 'NOT_LICENSED') return null
      if (error.failure !== 'BAD_REQUEST' || fields === dataset.fields) throw error
    }
  }
  return null
}

const fieldsOf = (fields: readonly string[]): string =>
  fields.length === 0 ? '' : ` | fields ${fields.join(', ')}`

async function probe(
  client: CortexClient,
  dataset: Dataset,
  fields: readonly string[],
  context: Context,
): Promise<number> {
  const query = `${sourceOf(dataset)}${fieldsOf(fields)} | comp count() as n`
  const rows = xqlRows(client, { query, windowMs: client.config.findingsWindow }, context)
  let n: unknown
  for await (const { element } of rows) n = memberAt(element.value, ['n'])
  // An aggregate over nothing may be no row at all.
  return countOf(n) ?? 0
}

/**
 * Whether the tenant lets queries of its datasets run: the first one of `wanted` that it has is
 * asked for a single row. False when it has none. @throws PipelineError
 */
export async function probeDatasets(
  client: CortexClient,
  wanted: readonly DatasetName[],
): Promise<boolean> {
  const context = { signal: new AbortController().signal, nowMs: client.nowMs }
  const present = await presentDatasets(client, context)
  const name = wanted.find((dataset) => present.includes(dataset))
  if (name === undefined) return false
  await requireQuota(client, context)
  const dataset = BY_NAME[name]
  const query = `${sourceOf(dataset)}${fieldsOf(dataset.fields)} | limit 1`
  const rows = xqlRows(client, { query, windowMs: client.config.findingsWindow }, context)
  while ((await rows.next()).done !== true);
  return true
}

/**
 * Of `wanted` the first that holds rows, else the first that is there; null when none is.
 * @throws PipelineError QUOTA_EXHAUSTED, or as XQL fails
 */
export async function chooseDataset(
  client: CortexClient,
  wanted: readonly DatasetName[],
  context: Context,
): Promise<Chosen | null> {
  const present = await presentDatasets(client, context)
  let empty: Chosen | null = null
  for (const name of wanted.filter((dataset) => present.includes(dataset))) {
    const chosen = await countedRows(client, name, context)
    if (chosen !== null && chosen.rows > 0) return chosen
    empty ??= chosen
  }
  return empty
}
