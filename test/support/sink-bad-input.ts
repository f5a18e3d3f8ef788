// Input that is wrong or strange: what each store keeps of it, or refuses, is in docs/sinks.md.
import type { Asset } from '../../contracts/asset.ts'
import type { ConnectorError } from '../../contracts/connector-error.ts'
import type { Finding } from '../../contracts/finding.ts'
import { errorEvent, assetEvent, findingEvent } from './events.ts'
import type { Told } from './sink-history.ts'

/** One kind of it: a finding, an asset, or a report of a condition that has it; null: none can. */
export type BadInput = {
  /** As in the table. */
  readonly name: string
  readonly finding: ((uid: string) => Finding) | null
  readonly asset: ((uid: string) => Asset) | null
  readonly error: ((uid: string) => ConnectorError) | null
  /** From a plain uid that of the entity; default: itself. */
  readonly uid?: (plain: string) => string
}

const MIB = 1_048_576
const YEAR_0_MS = -62_167_219_200_000
const YEAR_9999_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999)
const CALENDAR_MS_MAX = 8.64e15
const MANY = 10_000
const LEVELS = 5_000
const KEY_BYTES = 600

/** Unlike an object written out, one that has a member of such a name. */
const named = (name: string, value = 'v'): Record<string, string> =>
  Object.fromEntries([[name, value]])
const many = Object.fromEntries(Array.from({ length: MANY }, (_, i) => [`name ${i}`, `v ${i}`]))

type Parts = {
  readonly finding?: Partial<Finding>
  readonly asset?: Partial<Asset>
  readonly error?: Partial<ConnectorError>
  readonly uid?: BadInput['uid']
}

const bad = (name: string, { finding, asset, error, uid }: Parts): BadInput => ({
  name,
  finding: finding === undefined ? null : (id) => findingEvent(id, 7, finding),
  asset: asset === undefined ? null : (id) => assetEvent(id, 7, asset),
  error: error === undefined ? null : (id) => errorEvent(`of ${id}`, id, error),
  ...(uid === undefined ? {} : { uid }),
})

const text = (name: string, words: string): BadInput =>
  bad(name, {
    finding: { title: words, description: words, unmapped: { words }, references: [words] },
    asset: { name: words, tags: { words }, owners: [words] },
    error: { message: words, remediation: words, violations: [words] },
  })
const time = (name: string, ms: number): BadInput =>
  bad(name, {
    finding: { first_seen: ms, last_seen: ms, published_at: ms, due_at: ms },
    asset: { first_seen: ms, last_seen: ms, vendor_created_at: ms },
    error: { first_at: ms, last_at: ms },
  })
const score = (name: string, value: number): BadInput =>
  bad(name, {
    finding: { risk_score: value, cvss_score: value },
    asset: { criticality: { level: 'HIGH', score: value, raw: 'high' } },
  })
const tags = (name: string, given: Record<string, string>): BadInput =>
  bad(name, { finding: { unmapped: given }, asset: { tags: given, unmapped: given } })

function ofSource(name: string, words: string): BadInput {
  const metaOf = <T extends Finding | Asset>(event: T): T => {
    const { source } = event.meta
    const more = { stream: words, connection_id: words, product: words, native_id: words }
    return { ...event, meta: { ...event.meta, source: { ...source, ...more } } }
  }
  return {
    name,
    finding: (uid) => metaOf(findingEvent(uid, 7)),
    asset: (uid) => metaOf(assetEvent(uid, 7)),
    error: (uid) => errorEvent(`of ${uid}`, uid, { connection_id: words, stream: words }),
  }
}

const key = (name: string, uid: (plain: string) => string): BadInput =>
  bad(name, { finding: {}, asset: {}, error: {}, uid })

/** In the order of the table. */
export const BAD_INPUT: readonly BadInput[] = [
  text('NUL in a text', 'before\u0000after'),
  text('half of a surrogate pair in a text', 'half \ud800 of one'),
  text('quotes, backslashes, braces, NULL, tabs, emoji, text from right to left', STRANGE()),
  text('line feeds and carriage returns in a text', 'one\r\ntwo\nthree\r'),
  text('empty texts', ''),
  bad('a description of 1 MiB', {
    finding: { description: 'd'.repeat(MIB) },
    error: { message: 'm'.repeat(MIB) },
  }),
  tags('tags named `__proto__` and `constructor`', { ...named('__proto__'), constructor: 'c' }),
  tags('a tag without a name', named('')),
  tags('tags named by dots', { '.': 'a', 'a..b': 'b', 'a.b': 'c', a: 'd' }),
  tags('a tag of 10,000 characters', named('n'.repeat(MANY), 'v'.repeat(MANY))),
  tags('a tag with a value of 40,000 characters', named('long', 'v'.repeat(4 * MANY))),
  tags('10,000 tags', many),
  tags('JSON of 5,000 levels in a tag', named('deep', '['.repeat(LEVELS) + ']'.repeat(LEVELS))),
  {
    name: 'a whole number beyond 2^53',
    finding: (uid) => findingEvent(uid, 2 ** 53 + 2),
    asset: (uid) => assetEvent(uid, 2 ** 53 + 2),
    error: (uid) => errorEvent(`of ${uid}`, uid, { occurrences: 2 ** 53 + 2 }),
  },
  bad('a whole number beyond 32 bits in a field of 32 bits', {
    finding: { reopen_count: 2 ** 40 },
    asset: { reopen_count: 2 ** 40 },
    error: { attempt: 2 ** 40 },
  }),
  score('the greatest double', Number.MAX_VALUE),
  score('the smallest double', Number.MIN_VALUE),
  bad('a CVSS score of 1e300', {
    finding: {
      cvss: [{ version: '3.1', vector: null, base_score: 1e300, severity: null, source: null }],
    },
  }),
  score('NaN', Number.NaN),
  score('Infinity', Number.POSITIVE_INFINITY),
  time('a time in the year 0', YEAR_0_MS),
  time('a time before 1970', -1),
  time('the last millisecond of the year 9999', YEAR_9999_MS),
  time('the first of the year 10000', YEAR_9999_MS + 1),
  time("the last time of JavaScript's calendar", CALENDAR_MS_MAX),
  time('a time behind it', CALENDAR_MS_MAX + 1),
  key('letters of any script, emoji and punctuation in a key', (uid) => `${uid} ключ/😀?#%'"\\`),
  key('a key of 600 bytes', (uid) => uid.padEnd(KEY_BYTES, 'k')),
  bad('an empty key', { finding: {}, error: {}, uid: () => '' }),
  key('half of a surrogate pair in a key', (uid) => `${uid}\udc00`),
  key('NUL in a key', (uid) => `${uid}\u0000`),
  ofSource('line feeds in the names of connection, stream and product', 'a\r\nX-Evil: 1'),
  ofSource('names of connection, stream and product that climb', '../../up'),
]

function STRANGE(): string {
  return `quote " ' back \\ \\ud800 \\u0000 brace {} $1 %s null NULL tab \t 😀 \u202e`
}

/** As a record of a topic. */
export function toldOf(kind: 'finding' | 'asset' | 'error', input: BadInput, uid: string): Told {
  const event = input[kind]?.(uid)
  if (event === undefined) throw new TypeError(`no ${kind} has ${input.name}`)
  const words = kind === 'error' ? 'connector-error' : kind
  return { kind: words, key: uid, value: event, timestampMs: 0 } as Told
}
