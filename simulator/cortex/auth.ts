// Checks a Cortex API key: Standard as it is, Advanced by hash, nonce and time.
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export type SecurityLevel = 'standard' | 'advanced'
export type ApiKey = {
  readonly apiKey: string
  readonly apiKeyId: number
  readonly securityLevel: SecurityLevel
  /** Epoch milliseconds; null: it does not end. */
  readonly endsMs: number | null
}

/** Clocks may differ by this much. */
export const SKEW_MS_MAX = 300_000
const NONCE_CHARACTERS = 64

/** Hex of sha256 over key, nonce and time, set side by side. */
export const advancedHash = (apiKey: string, nonce: string, timestamp: string): string =>
  createHash('sha256').update(`${apiKey}${nonce}${timestamp}`, 'utf8').digest('hex')

export type KeyCheck = (
  headers: IncomingHttpHeaders,
  nowMs: number,
  level?: SecurityLevel,
) => boolean

/** Remembers nonces for as long as their time would be accepted. */
export function createKeyCheck(key: ApiKey): KeyCheck {
  let used = new Map<string, number>()
  return (headers, nowMs, level = key.securityLevel) => {
    const given = one(headers['authorization'])
    if (one(headers['x-xdr-auth-id']) !== String(key.apiKeyId)) return false
    if (key.endsMs !== null && nowMs >= key.endsMs) return false
    if (level === 'standard') return same(given, key.apiKey)
    const nonce = one(headers['x-xdr-nonce'])
    const timestamp = one(headers['x-xdr-timestamp'])
    if (nonce.length !== NONCE_CHARACTERS || !/^\d{13}$/.test(timestamp)) return false
    if (Math.abs(nowMs - Number(timestamp)) > SKEW_MS_MAX || used.has(nonce)) return false
    if (!same(given, advancedHash(key.apiKey, nonce, timestamp))) return false
    used = new Map([...used].filter(([, untilMs]) => untilMs > nowMs))
    used.set(nonce, nowMs + 2 * SKEW_MS_MAX)
    return true
  }
}

/** The level that `level` is not. */
export const otherLevel = (level: SecurityLevel): SecurityLevel =>
  level === 'standard' ? 'advanced' : 'standard'

const one = (value: string | string[] | undefined): string =>
  Array.isArray(value) ? (value[0] ?? '') : (value ?? '')

function same(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}
