// The vendors' published specifications, which lie beside the repository: finding a call in them,
// and holding a request or an answer against them.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv, type ValidateFunction } from 'ajv'
import { documentPath } from './samples.ts'
import type { Exchange } from './recording-proxy.ts'

type Json = Readonly<Record<string, unknown>>
const isJson = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const member = (value: unknown, key: string): unknown => (isJson(value) ? value[key] : undefined)

/** A call as a specification has it. */
export type SpecCall = {
  /** `GET /api/v34.04/hosts` */
  readonly name: string
  /** What is wrong with the request: `where keyword message`. Empty: nothing. */
  requestFaults(exchange: Exchange): string[]
  answerFaults(exchange: Exchange): string[]
}

export type Specs = { find(method: string, path: string): SpecCall | null }

/** All slices in the folders of both vendors. */
export function readSpecs(): Specs {
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false, logger: false })
  const coercing = new Ajv({ strict: false, coerceTypes: 'array', validateFormats: false })
  const calls: { method: string; pattern: RegExp; call: SpecCall }[] = []
  for (const vendor of ['cortex', 'prisma-cloud']) {
    const folder = documentPath(join('specs', vendor))
    for (const file of readdirSync(folder)) {
      const document = mended(JSON.parse(readFileSync(join(folder, file), 'utf8'))) as Json
      ajv.addSchema(document, file, undefined, false)
      for (const [template, methods] of Object.entries(document['paths'] as Json)) {
        for (const [method, operation] of Object.entries(methods as Json)) {
          const place = { document, file, template, method }
          const call = specCall(ajv, coercing, place, operation as Json)
          calls.push({ method: method.toUpperCase(), pattern: patternOf(template), call })
        }
      }
    }
  }
  return {
    find: (method, path) => {
      const plain = path.replace(/^\/us-sim-1(?=\/)/, '').replace(/(?<=.)\/$/, '')
      const found = calls.find((c) => c.method === method && c.pattern.test(plain))
      return found?.call ?? null
    },
  }
}

/** The version of Compute's console is a parameter, as is all in braces. */
function patternOf(template: string): RegExp {
  const parts = template
    .replace(/\/$/, '')
    .split(/(\{[^}]+\}|(?<=^\/api\/)v[\d.]+)/)
    .map((part) => {
      if (part.startsWith('{')) return '[^/]+'
      return /^v[\d.]+$/.test(part) ? 'v[\\d.]+' : part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&')
    })
  return new RegExp(`^${parts.join('')}$`)
}

type Place = { document: Json; file: string; template: string; method: string }

function specCall(ajv: Ajv, coercing: Ajv, place: Place, operation: Json): SpecCall {
  const pointer = `#/paths/${escaped(place.template)}/${place.method}`
  const body = schemaAt(place, `${pointer}/requestBody`)
  const answer = schemaAt(place, `${pointer}/responses/200`)
  const parameters = (operation['parameters'] as Json[] | undefined) ?? []
  const compile = once((at: string) => ajv.compile({ $ref: place.file + at }))
  return {
    name: `${place.method.toUpperCase()} ${place.template}`,
    requestFaults: ({ query, body: sent }) => [
      ...queryFaults(coercing, parameters, query),
      ...(body === null || sent === '' ? [] : faultsOf(compile(body), JSON.parse(sent))),
    ],
    answerFaults: ({ answer: bytes }) =>
      answer === null ? [] : faultsOf(compile(answer), JSON.parse(bytes.toString())),
  }
}

function once(compile: (at: string) => ValidateFunction): (at: string) => ValidateFunction {
  const known = new Map<string, ValidateFunction>()
  return (at) => {
    const found = known.get(at) ?? compile(at)
    known.set(at, found)
    return found
  }
}

/** Pointer to the schema of a body or an answer; null where the specification has none. */
function schemaAt({ document }: Place, pointer: string): string | null {
  const node = resolve(document, pointer)
  const reference = member(node, '$ref')
  if (typeof reference === 'string') return schemaAt({ document } as Place, reference)
  const content = member(node, 'content')
  if (!isJson(content)) return null
  const type = Object.keys(content).find((name) => /json/.test(name))
  if (type === undefined || member(content[type], 'schema') === undefined) return null
  return `${pointer}/content/${escaped(type)}/schema`
}

const escaped = (key: string): string =>
  encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))
const resolve = (document: Json, pointer: string): unknown =>
  pointer
    .slice(2)
    .split('/')
    .map((part) => decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<unknown>(member, document)

function queryFaults(ajv: Ajv, parameters: readonly Json[], query: URLSearchParams): string[] {
  const known = new Map(
    parameters.filter((p) => p['in'] === 'query').map((p) => [String(p['name']), p]),
  )
  const missing = [...known]
    .filter(([name, parameter]) => parameter['required'] === true && !query.has(name))
    .map(([name]) => `query ${name} required`)
  const wrong = [...query].flatMap(([name, text]) => {
    const parameter = known.get(name)
    if (parameter === undefined) return [`query ${name} unknown`]
    const validate = ajv.compile({ type: 'object', properties: { value: parameter['schema'] } })
    return validate({ value: text }) ? [] : [`query ${name} type`]
  })
  return [...missing, ...wrong]
}

/** `where keyword`, each once; indexes of lists are written as []. */
function faultsOf(validate: ValidateFunction, value: unknown): string[] {
  if (validate(value)) return []
  const faults = (validate.errors ?? []).map(({ instancePath, keyword, params }) => {
    const extra = params as Record<string, unknown>
    const what = extra['missingProperty'] ?? extra['additionalProperty'] ?? extra['type'] ?? ''
    const where = instancePath.replace(/\/\d+(?=\/|$)/g, '[]')
    return `${where} ${keyword} ${typeof what === 'string' ? what : ''}`.trim()
  })
  return [...new Set(faults)]
}

/** Slips of the specifications' own form, which no validator takes: see the comments. */
function mended(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(mended)
  if (!isJson(value)) return value
  const entries = Object.entries(value).flatMap(([key, inner]): [string, unknown][] => {
    // A list of words within a list.
    if (key === 'enum' && Array.isArray(inner)) return [[key, inner.flat()]]
    // `required: true` at a property, where the list of names belongs to the object.
    if (key === 'required' && typeof inner === 'boolean' && !('in' in value)) return []
    // Null beside no type, or beside a reference: any type is meant.
    if (key === 'nullable' && !('type' in value)) return []
    if (key === 'example' || key === 'examples' || key === 'x-examples') return []
    return [[key, mended(inner)]]
  })
  return Object.fromEntries(entries)
}
