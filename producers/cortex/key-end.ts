// When the API key ends, where its role may read that: told 14, 7 and 1 day before.
import { z } from 'zod'
import { PipelineError } from '../../contracts/errors.ts'
import { memberAt } from '../../runtime/json-members.ts'
import type { PullContext } from '../../contracts/ports.ts'
import type { CortexClient } from './client.ts'

const KEYS_PATH = '/public_api/v1/api_keys/get_api_keys/'
const DAY_MS = 86_400_000
/** Days before the end; the smallest that fits is told. */
const THRESHOLDS_DAYS = [1, 7, 14] as const
/** A key does not end within minutes of being well, and its role may not even allow to ask. */
const ASKED_EVERY_MS = 3_600_000

const keyRow = z.looseObject({
  id: z.union([z.string(), z.number()]).transform(String),
  expiration: z.number().nullish().catch(null),
})

/**
 * Epoch ms; null: the key does not end; undefined: nobody tells, for most roles may not read it.
 * @throws PipelineError only when `signal` came
 */
async function readKeyEnd(
  client: CortexClient,
  signal: AbortSignal,
): Promise<number | null | undefined> {
  let rows: unknown
  try {
    const filters = [{ field: 'id', operator: 'in', value: [Number(client.keyId())] }]
    const options = { body: { request_data: { filters } }, quiet: true, attemptsMax: 1, signal }
    const { value } = await client.http.json('POST', KEYS_PATH, options)
    rows = memberAt(value, ['reply', 'DATA']) ?? memberAt(value, ['reply', 'data'])
  } catch (error) {
    if (error instanceof PipelineError && !signal.aborted) return undefined
    throw error
  }
  const keys = (Array.isArray(rows) ? rows : []).map((row) => keyRow.safeParse(row).data)
  const own = keys.find((key) => key?.id === client.keyId())
  if (own === undefined) return undefined
  return typeof own.expiration === 'number' && own.expiration > 0 ? own.expiration : null
}

/** The warning that is due at `nowMs`; null while the end is far. Its subject is the threshold. */
export function keyEndWarning(endsAtMs: number, nowMs: number): PipelineError | null {
  const leftMs = endsAtMs - nowMs
  const days = THRESHOLDS_DAYS.find((threshold) => leftMs <= threshold * DAY_MS)
  if (days === undefined) return null
  const message = `the API key ends at ${new Date(endsAtMs).toISOString()}`
  return new PipelineError('CREDENTIAL_EXPIRING', 'AUTH', message, { subject: `${days}d` })
}

/** The warning for the connection test; null when there is none, or nobody tells. */
export async function keyEndFound(
  client: CortexClient,
  signal: AbortSignal,
): Promise<PipelineError | null> {
  const endsAtMs = await readKeyEnd(client, signal)
  return typeof endsAtMs === 'number' ? keyEndWarning(endsAtMs, client.nowMs()) : null
}

const askedMs = new WeakMap<CortexClient, number>()

/** Reports the end that is near, and says when it is far again. Asks once an hour. */
export async function reportKeyEnd(client: CortexClient, context: PullContext): Promise<void> {
  const nowMs = client.nowMs()
  const lastMs = askedMs.get(client)
  if (lastMs !== undefined && nowMs - lastMs < ASKED_EVERY_MS) return
  askedMs.set(client, nowMs)
  const endsAtMs = await readKeyEnd(client, context.signal)
  if (endsAtMs === undefined) return
  const warning = endsAtMs === null ? null : keyEndWarning(endsAtMs, nowMs)
  if (warning !== null) context.report(warning)
  else client.onOver('CREDENTIAL_EXPIRING')
}
