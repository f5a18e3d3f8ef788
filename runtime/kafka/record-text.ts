// A record's key and headers as text, and as bytes as well where text would not say all.
import { isUtf8 } from 'node:buffer'
import type { ExactBytes, KafkaRecord } from '../../contracts/processing.ts'

/** Name and value of one header, as they lie in the record. */
export type HeaderBytes = ExactBytes['headers'][number]

/** Objects give names like these no place, or another one. */
const ODD_NAME = /^(\d+|__proto__)$/

/** `exact` is there only where the same text would not make the same bytes again. */
export function recordText(
  key: Buffer | null,
  pairs: readonly HeaderBytes[],
): Pick<KafkaRecord, 'key' | 'headers' | 'exact'> {
  const headers: Record<string, string> = {}
  let same = key !== null && isUtf8(key)
  for (const [nameBytes, value] of pairs) {
    const name = nameBytes.toString()
    same &&= value !== null && isUtf8(value) && isUtf8(nameBytes)
    if (ODD_NAME.test(name) || Object.hasOwn(headers, name)) same = false
    // Of a repeated header the first counts.
    else headers[name] = value?.toString() ?? ''
  }
  const text = { key: key?.toString() ?? '', headers }
  return same ? text : { ...text, exact: copied(key, pairs) }
}

/** What is read are views of a whole answer of the broker. */
const copied = (key: Buffer | null, pairs: readonly HeaderBytes[]): ExactBytes => ({
  key: key && Buffer.from(key),
  headers: pairs.map(([name, value]) => [Buffer.from(name), value && Buffer.from(value)]),
})
