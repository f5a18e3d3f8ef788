// The headers that prove the API key: plain for Standard, a fresh hash per attempt for Advanced.
import { createHash, randomBytes } from 'node:crypto'
import type { HttpHeaders } from '../../runtime/http-transport.ts'
import type { SecurityLevel } from './config.ts'

export type KeyFacts = {
  readonly key: string
  readonly keyId: string
  readonly level: SecurityLevel
}

const NONCE_BYTES = 32

/** 64 characters, never the same twice: the vendor refuses replays. */
export const freshNonce = (): string => randomBytes(NONCE_BYTES).toString('hex')

/**
 * Standard: the key itself. Advanced: hex(sha256(key + nonce + timestamp)), the timestamp in ms.
 * @see https://docs-cortex.paloaltonetworks.com "Get Started with APIs" (read 2026-11)
 */
export function authHeaders(facts: KeyFacts, nonce: string, nowMs: number): HttpHeaders {
  const { key, keyId, level } = facts
  if (level === 'standard') return { authorization: key, 'x-xdr-auth-id': keyId }
  const timestamp = String(nowMs)
  const hash = createHash('sha256')
    .update(key + nonce + timestamp, 'utf8')
    .digest('hex')
  return {
    authorization: hash,
    'x-xdr-auth-id': keyId,
    'x-xdr-nonce': nonce,
    'x-xdr-timestamp': timestamp,
  }
}
