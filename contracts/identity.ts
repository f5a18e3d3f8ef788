// Ids of entities and events: deterministic, so that the same input gives the same id for ever.
import { createHash } from 'node:crypto'

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'
const UID_CHARACTERS = 26

/**
 * `prefix` + 130 bits of sha256 over the JSON of `parts`, base32 lower-case. JSON of an array, so
 * that no separator can be forged.
 */
export function uid(
  prefix: 'ast_' | 'fnd_' | 'vln_' | 'ent_' | 'cor_',
  parts: readonly string[],
): string {
  const digest = createHash('sha256').update(JSON.stringify(parts)).digest()
  let text = ''
  let bits = 0
  let value = 0
  for (const byte of digest) {
    value = ((value << 8) | byte) & 0xfff
    bits += 8
    while (bits >= 5 && text.length < UID_CHARACTERS) {
      bits -= 5
      text += ALPHABET[(value >>> bits) & 31]
    }
    if (text.length === UID_CHARACTERS) break
  }
  return prefix + text
}

/** The id of one asset as one source sees it; never changes, never merges. */
export const assetUid = (a: {
  vendor: string
  product: string
  tenant: string
  nativeId: string
}): string => uid('ast_', [a.vendor, a.product, a.tenant, a.nativeId])

/** The same event emitted again has the same id. */
export const eventId = (entityUid: string, revision: number): string =>
  createHash('sha256').update(`${entityUid}|${revision}`).digest('hex').slice(0, 32)
