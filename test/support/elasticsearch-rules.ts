// What Elasticsearch 8 and 9 publish of the requests we make: names, bodies, bulk lines, fields.
import type { Received } from './http-server.ts'

type Json = Readonly<Record<string, unknown>>

/** Index names: lower case, at most 255 bytes, none of these characters, none of these starts. */
const NAME = /^(?![-_+.])[^\\/*?"<>| ,#:A-Z]{1,255}$/
const TEMPLATE = /^\/_index_template\/([^/?]+)$/
const DATA_STREAM = /^\/_data_stream\/([^/?]+)$/
const MAPPING = /^\/([^/_][^/?]*)\/_mapping$/
const INDEX = /^\/([^/_?][^/?]*)$/
const BULK = /^\/_bulk\?filter_path=[\w.*,%]+$/
/** The priority of the template that Elasticsearch itself has for `logs-*-*`. */
const BUILT_IN_PRIORITY = 100
/** `http.max_content_length`. */
const CONTENT_BYTES_MAX = 100 * 1024 * 1024
const ID_BYTES_MAX = 512

/** The parameters that each type of field takes, of those types that we use. */
const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  keyword: ['ignore_above'],
  text: ['fields'],
  long: [],
  float: [],
  boolean: [],
  date: [],
  ip: ['ignore_malformed'],
  flattened: ['ignore_above', 'depth_limit'],
}
const TEMPLATE_KEYS = ['index_patterns', 'template', 'data_stream', 'priority', '_meta']
const SETTINGS = [
  'number_of_shards',
  'number_of_replicas',
  'mapping.total_fields.limit',
  'gc_deletes',
]
const ACTION_KEYS = ['_index', '_id', 'version', 'version_type']
const EXTERNAL = new Set(['external', 'external_gte'])

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
const objectOf = (value: unknown): Json => (value ?? {}) as Json
const others = (value: Json, allowed: readonly string[]): string[] =>
  Object.keys(value).filter((key) => !allowed.includes(key))

/** What breaks a rule in one request, in words; empty when it keeps all of them. */
export function brokenBy(asked: Received): string[] {
  const path = decodeURIComponent(asked.url)
  const call = `${asked.method} ${path}`
  const told = (problems: readonly string[]) => problems.map((problem) => `${call}: ${problem}`)
  if (Buffer.byteLength(asked.body) > CONTENT_BYTES_MAX) return told(['the body is too large'])
  if (asked.method === 'PUT') return told(brokenByPut(path, asked.body))
  if (asked.method === 'POST' && path === '/_mget') return told(brokenByGet(asked.body))
  if (asked.method === 'POST' && BULK.test(asked.url)) return told(brokenByBulk(asked))
  return told(['is no call of ours'])
}

function brokenByPut(path: string, body: string): string[] {
  const json = body === '' ? {} : objectOf(JSON.parse(body))
  if (TEMPLATE.test(path)) return brokenByTemplate(json)
  if (MAPPING.test(path)) return brokenByMapping(json)
  const name = (DATA_STREAM.exec(path) ?? INDEX.exec(path))?.[1] ?? ''
  return [...brokenByName(name), ...(body === '' ? [] : ['has a body'])]
}

const brokenByName = (name: string) => (NAME.test(name) ? [] : [`${name} is no name of an index`])

function brokenByTemplate(json: Json): string[] {
  const patterns = json['index_patterns'] as readonly string[]
  const template = objectOf(json['template'])
  const mappings = objectOf(template['mappings'])
  const settings = objectOf(objectOf(template['settings'])['index'])
  const timestamp = objectOf(objectOf(mappings['properties'])['@timestamp'])
  const isStream = 'data_stream' in json
  return [
    ...others(json, TEMPLATE_KEYS).map((key) => `a template has no ${key}`),
    ...others(template, ['settings', 'mappings', 'aliases']).map((key) => `no ${key} in template`),
    ...others(settings, SETTINGS).map((key) => `index.${key} is no setting`),
    ...patterns.flatMap(brokenByName),
    ...brokenByMapping(mappings),
    ...(isStream && timestamp['type'] !== 'date' ? ['a data stream needs a date @timestamp'] : []),
    ...(isStream && 'aliases' in template ? ['a data stream has no aliases in its template'] : []),
    ...(Number(json['priority']) > BUILT_IN_PRIORITY ? [] : ['the built-in template wins']),
  ]
}

function brokenByMapping(mapping: Json): string[] {
  return [
    ...others(mapping, ['dynamic', 'properties']).map((key) => `a mapping has no ${key}`),
    ...(mapping['dynamic'] === 'strict' ? [] : ['dynamic is not strict']),
    ...brokenByFields(objectOf(mapping['properties'])),
  ]
}

function brokenByFields(fields: Json): string[] {
  return Object.entries(fields).flatMap(([name, given]) => {
    const { type, properties, ...parameters } = objectOf(given)
    if (type === undefined) return brokenByFields(objectOf(properties))
    const allowed = PARAMETERS[textOf(type)]
    if (allowed === undefined) return [`${name} is of type ${textOf(type)}, which is none`]
    const unknown = others(parameters, allowed).map((key) => `${name} takes no ${key}`)
    return [...unknown, ...brokenByFields(objectOf(parameters['fields']))]
  })
}

function brokenByGet(body: string): string[] {
  const { docs, ...rest } = objectOf(JSON.parse(body))
  const unknown = (docs as readonly Json[]).flatMap((doc) =>
    others(doc, ['_index', '_id', '_source']),
  )
  return [...Object.keys(rest), ...unknown].map((key) => `_mget takes no ${key}`)
}

function brokenByBulk({ body, headers }: Received): string[] {
  const problems: string[] = []
  if (headers['content-type'] !== 'application/x-ndjson') problems.push('is not NDJSON')
  if (!body.endsWith('\n')) problems.push('the last line has no end')
  for (const { action, about, document } of bulkLines(body)) {
    problems.push(...brokenByAction(action, about, document))
  }
  return problems
}

function brokenByAction(action: string, about: Json, document: Json | null): string[] {
  const isStream = textOf(about['_index']).startsWith('logs-')
  const isVersioned = 'version' in about || 'version_type' in about
  const id = textOf(about['_id'])
  const problems: string[] = []
  const unless = (isKept: boolean, problem: string) => void (isKept || problems.push(problem))
  unless(others(about, ACTION_KEYS).length === 0, 'an action has a key that there is not')
  unless(id !== '' && Buffer.byteLength(id) <= ID_BYTES_MAX, 'an id is empty or too long')
  unless(!isStream || action === 'create', 'a data stream takes create only')
  unless(!isStream || document?.['@timestamp'] !== undefined, 'it needs a @timestamp')
  unless(action !== 'create' || !isVersioned, 'create takes no version')
  if (!isVersioned) return problems
  unless(EXTERNAL.has(textOf(about['version_type'])), 'the type of version is not external')
  const version = about['version']
  unless(Number.isSafeInteger(version) && Number(version) >= 0, 'a version is no whole number')
  return problems
}

export type BulkLine = {
  readonly action: string
  readonly about: Json
  readonly document: Json | null
}

/** The operations of a bulk request, in order. */
export function bulkLines(body: string): BulkLine[] {
  const lines = body.trimEnd().split('\n')
  const found: BulkLine[] = []
  for (let i = 0; i < lines.length; i += 1) {
    const [[action, about] = ['', {}]] = Object.entries(JSON.parse(lines[i] ?? '{}') as Json)
    const hasDocument = action !== 'delete'
    if (hasDocument) i += 1
    const document = hasDocument ? objectOf(JSON.parse(lines[i] ?? '{}')) : null
    found.push({ action, about: objectOf(about), document })
  }
  return found
}
