// What a tenant has bought: the licences it tells of, and a probe of each stream's endpoint.
import { PipelineError } from '../../contracts/errors.ts'
import type { Source } from '../../contracts/ports.ts'
import { PROBE_ATTEMPTS_MAX, type ProbedSource } from '../../runtime/connector.ts'
import { memberAt } from '../../runtime/json-members.ts'
import { isObject } from '../../runtime/offset-listing.ts'
import type { CortexClient } from './client.ts'
import { reportKeyEnd } from './key-end.ts'

/** One cheap request that shows whether an endpoint serves this tenant. */
export type Probe = {
  readonly path: string
  /** The whole `request_data`. */
  readonly data: Readonly<Record<string, unknown>>
  /** The list in `reply` in which a key that sees anything sees something. */
  readonly rows?: string
}

/** Names in get_tenant_info, without `_expiration`; one of them is enough. */
export const XPANSE_LICENCES: readonly string[] = ['xsiam_premium', 'attack_surface_management']
export const CLOUD_LICENCES: readonly string[] = ['xsiam_premium', 'pro_cloud']
export const ENDPOINT_LICENCES: readonly string[] = [
  'xsiam_premium',
  'pro_per_endpoint',
  'pro_cloud',
  'prevent',
]

/** When a licence ends, epoch ms; 0: never had it; null: a form that we cannot read. */
export type Licences = ReadonlyMap<string, number | null>

const TENANT_INFO_PATH = '/public_api/v1/system/get_tenant_info/'
const SUFFIX = '_expiration'
/** What was bought since is seen after this long. */
const LICENCES_KEPT_MS = 3_600_000
/** Numbers below are seconds: as milliseconds they would lie before 1974. */
const SECONDS_BELOW = 1e11
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
/** `Nov 7th 2025 07:59:59`. */
const WORDED = /^([a-z]{3})[a-z]* (\d{1,2})(?:st|nd|rd|th)? (\d{4})(?: (\d{2}):(\d{2}):(\d{2}))?$/i

/** The licences by name, from the answer of get_tenant_info. Empty when it has none. */
export function readLicences(answer: unknown): Licences {
  const reply = memberAt(answer, ['reply'])
  if (!isObject(reply)) return new Map()
  const ends = Object.entries(reply).filter(([name]) => name.endsWith(SUFFIX))
  return new Map(ends.map(([name, end]) => [name.slice(0, -SUFFIX.length), licenceEndMs(end)]))
}

/** 0, a number of seconds or milliseconds, or words; null for anything else. */
function licenceEndMs(end: unknown): number | null {
  if (typeof end === 'number' && end >= 0) return end < SECONDS_BELOW ? end * 1_000 : end
  if (typeof end !== 'string') return null
  if (/^\d{1,16}$/.test(end)) return licenceEndMs(Number(end))
  const [, month = '', day, year, hours = 0, minutes = 0, seconds = 0] = WORDED.exec(end) ?? []
  const index = MONTHS.indexOf(month.toLowerCase())
  if (index < 0) return null
  return Date.UTC(Number(year), index, Number(day), Number(hours), Number(minutes), Number(seconds))
}

/** True when the tenant names at least one of `wanted`, and none that it names is in force. */
export function lacksAll(licences: Licences, wanted: readonly string[], nowMs: number): boolean {
  const ends = wanted.filter((name) => licences.has(name)).map((name) => licences.get(name))
  return ends.length > 0 && ends.every((end) => typeof end === 'number' && end <= nowMs)
}

type Kept = { readonly readMs: number; readonly licences: Licences }
const kept = new WeakMap<CortexClient, Kept>()

/** Empty when the tenant does not tell: its key may not read it, or it is too old to know. */
async function licencesOf(client: CortexClient, signal: AbortSignal): Promise<Licences> {
  const known = kept.get(client)
  if (known !== undefined && client.nowMs() - known.readMs < LICENCES_KEPT_MS) return known.licences
  let licences: Licences = new Map()
  try {
    const options = { body: { request_data: {} }, quiet: true, attemptsMax: 1, signal }
    const { value } = await client.http.json('POST', TENANT_INFO_PATH, options)
    licences = readLicences(value)
  } catch (error) {
    if (!(error instanceof PipelineError) || signal.aborted) throw error
  }
  kept.set(client, { readMs: client.nowMs(), licences })
  return licences
}

/**
 * Whether the tenant has a stream, by its probe; what it tells of its licences decides where the
 * probe is refused without saying why. Any other fault is left to the pull, which tries again.
 */
export function availability(
  stream: string,
  wanted: readonly string[],
  probe: Probe,
): NonNullable<Source<CortexClient, unknown>['available']> {
  return async (client, context) => {
    const { error } = await tried(client, probe, context.signal)
    if (error === null) {
      await reportKeyEnd(client, context)
      return null
    }
    const missing = await asMissing(client, stream, wanted, error, context.signal)
    if (missing === null && error.retriable) context.report(error)
    return missing
  }
}

/**
 * Calls the probe for the connection test and gives its answer.
 * @throws PipelineError NOT_LICENSED when the tenant does not have the stream, else as the call
 */
export async function tryProbe(
  client: CortexClient,
  stream: string,
  wanted: readonly string[],
  probe: Probe,
): Promise<unknown> {
  const { signal } = new AbortController()
  const { error, value } = await tried(client, probe, signal, PROBE_ATTEMPTS_MAX, requireRows)
  if (error === null) return value
  throw (await asMissing(client, stream, wanted, error, signal)) ?? error
}

/** The connection test of a stream that has one endpoint. */
export const probedBy =
  (
    stream: string,
    wanted: readonly string[],
    probe: Probe,
  ): ProbedSource<CortexClient, unknown>['probe'] =>
  async (client, ask) => {
    await ask(null, () => tryProbe(client, stream, wanted, probe))
  }

function requireRows({ rows }: Probe, answer: unknown): void {
  if (rows === undefined) return
  const list = memberAt(answer, ['reply', rows])
  if (!Array.isArray(list) || list.length > 0) return
  throw new PipelineError('MISSING_DATA', 'FETCH', `this key sees nothing: reply.${rows} is empty`)
}

type Tried = { readonly error: PipelineError | null; readonly value: unknown }

async function tried(
  client: CortexClient,
  probe: Probe,
  signal: AbortSignal,
  attemptsMax = 1,
  look: (probe: Probe, answer: unknown) => void = () => undefined,
): Promise<Tried> {
  const body = { request_data: probe.data }
  try {
    const { value } = await client.http.json('POST', probe.path, { body, attemptsMax, signal })
    look(probe, value)
    return { error: null, value }
  } catch (error) {
    if (error instanceof PipelineError && !signal.aborted) return { error, value: null }
    throw error
  }
}

/** The error as NOT_LICENSED, when that is what it is; else null. */
async function asMissing(
  client: CortexClient,
  stream: string,
  wanted: readonly string[],
  error: PipelineError,
  signal: AbortSignal,
): Promise<PipelineError | null> {
  const status = error.details.http?.status ?? null
  const isSaid = error.failure === 'NOT_LICENSED'
  // An unlicensed path answers 500 on some tenants, without a word of licences.
  if (!isSaid && status !== 500 && status !== 404) return null
  const licences = await licencesOf(client, signal)
  if (!isSaid && !lacksAll(licences, wanted, client.nowMs())) return null
  const message = `${stream} is not licensed: ${error.message}${told(licences, wanted)}`
  const { http } = error.details
  return new PipelineError('NOT_LICENSED', 'FETCH', message, {
    cause: error,
    ...(http === undefined ? {} : { http }),
  })
}

function told(licences: Licences, wanted: readonly string[]): string {
  const texts = wanted.flatMap((name) => {
    const end = licences.get(name)
    if (end === undefined || end === null) return []
    return [end === 0 ? `no ${name}` : `${name} until ${new Date(end).toISOString().slice(0, 10)}`]
  })
  return texts.length === 0 ? '' : `; the tenant says: ${texts.join(', ')}`
}
