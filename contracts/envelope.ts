// The raw record: a unit's bytes as received, its facts in headers. And the control records beside
// it.
import { z } from 'zod'
import type { RunKind, Verdict } from './run.ts'
import { VENDOR_ID, type VendorId } from './topics.ts'

export type Headers = Readonly<Record<string, string>>

/** What the headers of a raw record say. */
export type RawFacts = {
  readonly connection: string
  readonly vendor: VendorId
  /** prisma-cspm | prisma-compute | cortex-xdr | cortex-xpanse | cortex-cloud */
  readonly product: string
  readonly tenant: string
  readonly stream: string
  /** The vendor's id of the unit, unique within connection and stream. */
  readonly unit: string
  /** The native id of the asset it belongs to; with the product it decides the partition. */
  readonly assetNativeId: string
  readonly runId: string
  readonly fetchedAtMs: number
  /** Path of the API call, without query. */
  readonly endpoint: string
  readonly page: number
  readonly contentType: string
  /** Header row of a CSV unit; null for everything else. */
  readonly columns: string | null
  /**
   * Set when the unit exceeded UNIT_BYTES_MAX: the record has no body and only marks it as seen.
   */
  readonly tooLargeBytes: number | null
}

/**
 * What a run-end record says. It is written to every raw partition with the last chunk of a run.
 */
export type RunEnd = {
  readonly connection: string
  readonly vendor: VendorId
  readonly product: string
  readonly tenant: string
  readonly stream: string
  readonly runId: string
  readonly kind: RunKind
  readonly verdict: Verdict
  readonly scope: string
  readonly startedAtMs: number
  readonly endedAtMs: number
  readonly declared: number | null
  readonly pages: number
  readonly fetched: number
  readonly published: number
  readonly tooLarge: number
  readonly reason: string | null
  /** Why closures are held; null when they are not. */
  readonly hold: string | null
}

export const rawKey = (facts: { connection: string; stream: string; unit: string }): string =>
  `${facts.connection}|${facts.stream}|${facts.unit}`
export const streamKey = (facts: { connection: string; stream: string }): string =>
  `${facts.connection}|${facts.stream}`
/** What decides a raw record's partition. */
export const placementKey = (product: string, assetNativeId: string): string =>
  `${product}|${assetNativeId}`

/** A new run id: sorts by start. `random` is any 24-bit integer. */
export const runIdOf = (startedAtMs: number, random: number): string =>
  `${String(startedAtMs).padStart(13, '0')}-${(random & 0xffffff).toString(16).padStart(6, '0')}`

export function rawHeaders(facts: RawFacts): Headers {
  return {
    ce_specversion: '1.0',
    ce_id: `${facts.runId}/${facts.stream}/${facts.unit}`,
    ce_source: `/connectors/${facts.connection}`,
    ce_type: `raw.${facts.vendor}.${facts.stream}.v1`,
    ce_time: new Date(facts.fetchedAtMs).toISOString(),
    ce_subject: facts.unit,
    'content-type': facts.contentType,
    'x-connection': facts.connection,
    'x-vendor': facts.vendor,
    'x-product': facts.product,
    'x-tenant': facts.tenant,
    'x-stream': facts.stream,
    'x-unit': facts.unit,
    'x-asset': facts.assetNativeId,
    'x-run-id': facts.runId,
    'x-fetched-at': String(facts.fetchedAtMs),
    'x-endpoint': facts.endpoint,
    'x-page': String(facts.page),
    ...(facts.columns === null ? {} : { 'x-columns': facts.columns }),
    ...(facts.tooLargeBytes === null ? {} : { 'x-too-large': String(facts.tooLargeBytes) }),
  }
}

const count = z.coerce.number().int().min(0)
const vendor = z.string().regex(VENDOR_ID)
const rawFactsSchema = z
  .looseObject({
    'content-type': z.string(),
    'x-connection': z.string().min(1),
    'x-vendor': vendor,
    'x-product': z.string().min(1),
    'x-tenant': z.string().min(1),
    'x-stream': z.string().min(1),
    'x-unit': z.string().min(1),
    'x-asset': z.string().min(1),
    'x-run-id': z.string().min(1),
    'x-fetched-at': count,
    'x-endpoint': z.string(),
    'x-page': count,
    'x-columns': z.string().optional(),
    'x-too-large': count.optional(),
  })
  .transform((h): RawFacts => ({
    connection: h['x-connection'],
    vendor: h['x-vendor'],
    product: h['x-product'],
    tenant: h['x-tenant'],
    stream: h['x-stream'],
    unit: h['x-unit'],
    assetNativeId: h['x-asset'],
    runId: h['x-run-id'],
    fetchedAtMs: h['x-fetched-at'],
    endpoint: h['x-endpoint'],
    page: h['x-page'],
    contentType: h['content-type'],
    columns: h['x-columns'] ?? null,
    tooLargeBytes: h['x-too-large'] ?? null,
  }))

/** The facts of a raw record. @throws ZodError naming every header that is missing or wrong. */
export const parseRawFacts = (headers: Headers): RawFacts => rawFactsSchema.parse(headers)

/** `run-end`, `release`, `remove`, or null for a record of data. */
export const controlOf = (headers: Headers): string | null => headers['x-control'] ?? null

/** The replay that wrote a raw record again; null for what a producer wrote. */
export const replayOf = (headers: Headers): string | null => headers['x-replay'] ?? null

/** The headers of a raw record that is written again, unchanged but for the replay's id. */
export const replayedHeaders = (headers: Headers, replayId: string): Headers => ({
  ...headers,
  'x-replay': replayId,
})

const runEndSchema = z.object({
  connection: z.string().min(1),
  vendor,
  product: z.string().min(1),
  tenant: z.string().min(1),
  stream: z.string().min(1),
  runId: z.string().min(1),
  kind: z.enum(['SNAPSHOT', 'INCREMENTAL']),
  verdict: z.enum(['COMPLETE', 'DRIFTED', 'PARTIAL', 'FAILED']),
  scope: z.string(),
  startedAtMs: z.number(),
  endedAtMs: z.number(),
  declared: z.number().nullable(),
  pages: z.number(),
  fetched: z.number(),
  published: z.number(),
  tooLarge: z.number(),
  reason: z.string().nullable(),
  hold: z.string().nullable(),
})

/** Key, value and headers of a run-end record. */
export function encodeRunEnd(end: RunEnd): { key: string; value: Buffer; headers: Headers } {
  const headers = {
    'content-type': 'application/json',
    'x-control': 'run-end',
    'x-connection': end.connection,
    'x-stream': end.stream,
    'x-run-id': end.runId,
    'x-verdict': end.verdict,
    'x-fetched-at': String(end.endedAtMs),
  }
  return { key: streamKey(end), value: Buffer.from(JSON.stringify(end)), headers }
}

/** @throws ZodError or SyntaxError when the value is not a run-end record. */
export const parseRunEnd = (value: Buffer): RunEnd =>
  runEndSchema.parse(JSON.parse(value.toString()))

/**
 * An operator's order to the lifecycle of one connection, written to every raw partition of its
 * vendor. RELEASE closes what the named run would have closed but for the fuse; REMOVE ends the
 * connection: what it alone showed is closed, or with `keep` left as it is and forgotten.
 */
export type Order = {
  readonly orderId: string
  readonly connection: string
  readonly vendor: VendorId
  readonly tenant: string
  readonly orderedAtMs: number
} & (
  | {
      readonly control: 'release'
      readonly product: string
      readonly stream: string
      readonly runId: string
    }
  | { readonly control: 'remove'; readonly keep: boolean }
)

const orderFacts = {
  orderId: z.string().min(1),
  connection: z.string().min(1),
  vendor,
  tenant: z.string().min(1),
  orderedAtMs: z.number(),
}
const orderSchema = z.discriminatedUnion('control', [
  z.object({
    ...orderFacts,
    control: z.literal('release'),
    product: z.string().min(1),
    stream: z.string().min(1),
    runId: z.string().min(1),
  }),
  z.object({ ...orderFacts, control: z.literal('remove'), keep: z.boolean() }),
])

/** Key, value and headers of an order. */
export function encodeOrder(order: Order): { key: string; value: Buffer; headers: Headers } {
  const headers = {
    'content-type': 'application/json',
    'x-control': order.control,
    'x-connection': order.connection,
    'x-fetched-at': String(order.orderedAtMs),
  }
  const stream = order.control === 'release' ? order.stream : EVERY_STREAM
  const key = streamKey({ connection: order.connection, stream })
  return { key, value: Buffer.from(JSON.stringify(order)), headers }
}

/** Stands for the stream where an order, and what answers it, is of a whole connection. */
export const EVERY_STREAM = '*'

/** @throws ZodError or SyntaxError when the value is not an order. */
export const parseOrder = (value: Buffer): Order => orderSchema.parse(JSON.parse(value.toString()))
