// What stores show, read back as the fields of the event that was sent: to compare one by one.
import type { Asset } from '../../contracts/asset.ts'
import type { ConnectorError } from '../../contracts/connector-error.ts'
import type { Finding } from '../../contracts/finding.ts'
import type { Row } from './sink-worlds/sink-world.ts'

type Event = Finding | Asset | ConnectorError
/** Fields of an event by their dotted names; what is not known is not among them. */
export type Fields = Readonly<Record<string, unknown>>
/** How a type of store is read back: the fields that it shows apart from the whole. */
export type ReadBack = (row: Row) => Fields

/** The value at a dotted place; undefined where there is none. */
const at = (row: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((value, name) => {
    if (typeof value !== 'object' || value === null) return undefined
    return Object.getOwnPropertyDescriptor(value, name)?.value as unknown
  }, row)

const FINDING_FIELDS = [
  'finding_uid',
  'title',
  'description',
  'references',
  'unmapped',
  'risk_score',
  'cvss_score',
  'cvss',
  'first_seen',
  'last_seen',
  'published_at',
  'due_at',
  'reopen_count',
]
const ASSET_FIELDS = [
  'asset_uid',
  'name',
  'tags',
  'owners',
  'unmapped',
  'criticality',
  'first_seen',
  'last_seen',
  'vendor_created_at',
  'reopen_count',
]
const META_FIELDS = ['revision', 'source.stream', 'source.connection_id', 'source.native_id']

/** Standards leave out what is not known of an assessment, so that its score is compared. */
const FIRST_SCORE = 'score of the first CVSS'

/** The fields that are compared, of an event as it was sent. */
export function fieldsOf(event: Event): Fields {
  if (!('meta' in event)) return event
  const names = 'finding_uid' in event ? FINDING_FIELDS : ASSET_FIELDS
  const paths = [...names, ...META_FIELDS.map((name) => `meta.${name}`)]
  const fields = Object.fromEntries(paths.map((path) => [path, at(event, path)]))
  return 'finding_uid' in event ? { ...fields, [FIRST_SCORE]: event.cvss[0]?.base_score } : fields
}

/** Standards say only what is known: nothing, and empty lists and objects, are no fields. */
export const isSaid = (value: unknown): boolean =>
  value !== null && value !== undefined && JSON.stringify(value) !== '[]' && !isEmpty(value)
const isEmpty = (value: unknown): boolean => JSON.stringify(value) === '{}'

// --- stores that keep the whole event, and columns beside it -----------------------------------

const TIMES = ['first_seen', 'last_seen', 'published_at', 'due_at', 'vendor_created_at']
const DATE = /^(\d{4,6})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?[^ ]*( BC| \(BC\))?$/

/** Epoch milliseconds of what SQL shows; with a fraction where it shows more than those. */
function msOf(shown: unknown): unknown {
  const parts = DATE.exec(String(shown))
  if (parts === null) return shown
  const [, year, month, day, hour, minute, second, fraction = '', bc] = parts
  const date = new Date(0)
  date.setUTCFullYear(bc === undefined ? Number(year) : 1 - Number(year), Number(month) - 1)
  date.setUTCDate(Number(day))
  date.setUTCHours(Number(hour), Number(minute), Number(second))
  return date.getTime() + Number(fraction.padEnd(6, '0')) / 1_000
}

/** The columns that have names of their own: `as` gives that of the field. */
function columnsOf(row: Row, as: Readonly<Record<string, string>>): Fields {
  const fields = Object.entries(row).map(([name, value]): [string, unknown] => {
    const isTime = TIMES.includes(name)
    return [as[name] ?? name, isTime && value !== null ? msOf(value) : value]
  })
  return Object.fromEntries(fields)
}

const only = (fields: Fields, names: readonly string[]): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => names.includes(name)))

const SQL_FIELDS = [
  ...TIMES,
  'title',
  'risk_score',
  'cvss_score',
  'reopen_count',
  'meta.revision',
  'meta.source.stream',
  'meta.source.connection_id',
  'meta.source.native_id',
]
const SQL_NAMES = {
  revision: 'meta.revision',
  stream: 'meta.source.stream',
  connection_id: 'meta.source.connection_id',
  native_id: 'meta.source.native_id',
}

/** Columns, and the whole of it in `state`: where both tell a field, both must be right. */
export const readPostgres: ReadBack = (row) => {
  const name = 'finding_uid' in row ? 'title' : 'name'
  const columns = only(columnsOf(row, { ...SQL_NAMES, name }), [...SQL_FIELDS, 'name'])
  return { ...prefixed('column ', columns), ...fieldsOf(row['state'] as Event) }
}

/** As PostgreSQL; numbers beyond 32 bits come as text. */
export const readParquet: ReadBack = (row) => {
  const columns = only(columnsOf(row, SQL_NAMES), [...SQL_FIELDS, 'name'])
  const revision = columns['meta.revision']
  const whole = { ...columns, 'meta.revision': Number(revision) }
  const state = JSON.parse(String(row['state'])) as Event
  return { ...prefixed('column ', whole), ...fieldsOf(state) }
}

const prefixed = (prefix: string, fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [prefix + name, value]))

/** The event itself. */
export const readEvent: ReadBack = (row) => row

// --- the standards -----------------------------------------------------------------------------

type Pair = { readonly name?: unknown; readonly value?: unknown }
const fromPairs = (pairs: unknown): unknown =>
  Array.isArray(pairs)
    ? Object.fromEntries((pairs as Pair[]).map(({ name, value }) => [name, value]))
    : pairs

const named = (row: Row, places: Readonly<Record<string, string>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(places).map(([name, path]) => [name, at(row, path)]))

/** Of an OCSF event. */
export const readOcsf: ReadBack = (row) => {
  const common = named(row, {
    'meta.revision': 'unmapped.revision',
    'meta.source.stream': 'metadata.log_name',
    'meta.source.connection_id': 'unmapped.connection_id',
    'meta.source.native_id': 'metadata.original_event_uid',
    unmapped: 'unmapped.vendor_fields',
    reopen_count: 'unmapped.reopen_count',
  })
  if (row['finding_info'] !== undefined) {
    const [weakness] = row['vulnerabilities'] as readonly Row[]
    const scores = at(weakness, 'cve.cvss') as readonly Row[] | undefined
    return {
      ...common,
      ...named(row, {
        finding_uid: 'finding_info.uid',
        title: 'message',
        description: 'finding_info.desc',
        first_seen: 'finding_info.first_seen_time',
        last_seen: 'finding_info.last_seen_time',
        risk_score: 'unmapped.risk_score',
        cvss_score: 'unmapped.cvss_score',
        due_at: 'unmapped.due_at',
      }),
      published_at: at(weakness, 'cve.created_time'),
      references: at(weakness, 'references'),
      [FIRST_SCORE]: scores?.[0]?.['base_score'],
    }
  }
  const place = row['device'] === undefined ? 'resources' : 'device'
  const one = place === 'device' ? row['device'] : (row['resources'] as readonly Row[])[0]
  const times = place === 'device' ? one : row['unmapped']
  return {
    ...common,
    ...named(row, {
      name: 'message',
      owners: 'unmapped.owners',
      criticality: 'unmapped.criticality',
    }),
    asset_uid: at(one, place === 'device' ? 'uid' : 'uid_alt'),
    tags: place === 'device' ? at(row, 'unmapped.tags') : fromPairs(at(one, 'tags')),
    first_seen: at(times, place === 'device' ? 'first_seen_time' : 'first_seen'),
    last_seen: at(times, place === 'device' ? 'last_seen_time' : 'last_seen'),
    vendor_created_at: at(one, 'created_time'),
  }
}

const ECS_FIELDS = ['references', 'risk_score', 'cvss_score', 'reopen_count', 'owners']

/** Of an ECS document; its times are texts. */
export const readEcs: ReadBack = (row) => {
  const own = row['exposure'] as Row
  const isFinding = 'finding_uid' in own
  const scores = own['cvss'] as readonly Row[] | undefined
  const times = TIMES.map((name): [string, unknown] => {
    const shown = own[name]
    return [name, typeof shown === 'string' ? Date.parse(shown) : shown]
  })
  return {
    ...Object.fromEntries(times),
    ...only(own, ECS_FIELDS),
    ...named(row, {
      'meta.revision': 'exposure.revision',
      'meta.source.stream': 'exposure.source.stream',
      'meta.source.connection_id': 'exposure.source.connection_id',
      'meta.source.native_id': 'exposure.source.native_id',
      unmapped: 'exposure.vendor_fields',
      [isFinding ? 'title' : 'name']: 'message',
      ...(isFinding
        ? { description: 'vulnerability.description', finding_uid: 'exposure.finding_uid' }
        : { asset_uid: 'exposure.asset_uid', criticality: 'exposure.criticality' }),
    }),
    ...(isFinding
      ? { [FIRST_SCORE]: scores?.[0]?.['base_score'] }
      : { tags: fromPairs(own['tags']) }),
  }
}
