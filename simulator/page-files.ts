// Listings served from files: each element goes out with the very bytes it has in the file.
import { readFileSync } from 'node:fs'
import { PipelineError } from '../contracts/errors.ts'
import { type Row, type Value, rowOf } from './rows.ts'
import { STREAMS, type StreamName } from './truth.ts'

/** Where vendors' answers and exports keep their rows; the first that is there counts. */
const PLACES: readonly (readonly string[])[] = [
  [],
  ['reply', 'endpoints'],
  ['reply', 'data'],
  ['reply', 'results', 'data'],
  ['reply', 'DATA'],
  ['reply', 'issues'],
  ['reply', 'incidents'],
  ['reply', 'assets_internet_exposure'],
  ['reply', 'external_services'],
  ['reply', 'vulnerabilities'],
  ['findings'],
  ['assets'],
  ['endpoints'],
  ['hosts'],
  ['items'],
  ['resources'],
  ['assets_live_wire'],
]
const ID_FIELDS: Readonly<Record<StreamName, string>> = {
  'compute.hosts': '_id',
  'compute.images': '_id',
  'compute.registry': '_id',
  'compute.vms': '_id',
  'compute.serverless': '_id',
  'compute.containers': '_id',
  'compute.cloud-vms': '_id',
  'cspm.config': 'assetId',
  'cspm.inventory': 'unifiedAssetId',
  'cspm.vulnerabilities': 'ASSET_ID',
  'xdr.endpoints': 'endpoint_id',
  'cloud.assets': 'xdm.asset.id',
  'cloud.findings': 'xdm.finding.id',
  'xpanse.assets': 'asm_ids',
  'xpanse.services': 'service_id',
  'cloud.vulnerabilities': 'vulnerability_id',
  'xdr.findings': 'endpoint_id',
  'cloud.issues': 'id',
  'xdr.incidents': 'incident_id',
}

export type PageFiles = ReadonlyMap<StreamName, readonly Row[]>

/**
 * Reads a file per stream: a JSON array, or an object with one at a usual place.
 * @throws PipelineError CONFIGURATION naming the stream and what is wrong
 */
export function readPageFiles(files: Readonly<Record<string, string>>): PageFiles {
  const pages = new Map<StreamName, readonly Row[]>()
  for (const [name, path] of Object.entries(files)) {
    const stream = STREAMS.find((s) => s === name)
    if (stream === undefined) throw failed(`no stream is called ${name}`)
    pages.set(stream, readRows(stream, path))
  }
  return pages
}

function readRows(stream: StreamName, path: string): Row[] {
  let bytes: Buffer
  let root: unknown
  try {
    bytes = readFileSync(path)
    root = JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw failed(`the file for ${stream} cannot be read as JSON`, cause)
  }
  const place = PLACES.find((p) => Array.isArray(at(root, p)))
  if (place === undefined) throw failed(`the file for ${stream} holds no array of rows`)
  const start = place.reduce((from, key) => memberStart(bytes, from, key), 0)
  return elementsOf(bytes, start).map((element, i) => {
    const value: unknown = JSON.parse(element.toString('utf8'))
    const fields = typeof value === 'object' && value !== null ? (value as Value) : {}
    const id = fields[ID_FIELDS[stream]]
    const row = rowOf(typeof id === 'string' ? id : String(i), () => fields)
    return { ...row, bytes: () => element }
  })
}

const failed = (message: string, cause?: unknown): PipelineError =>
  new PipelineError('CONFIGURATION', 'CONFIG', message, cause === undefined ? {} : { cause })

function at(root: unknown, place: readonly string[]): unknown {
  return place.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null ? (value as Value)[key] : undefined,
    root,
  )
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPENING = new Set([0x7b, 0x5b])
const CLOSING = new Set([0x7d, 0x5d])
const SPACE = new Set([0x20, 0x09, 0x0a, 0x0d])

/** The elements of the array that opens at or after `start`. The text is valid JSON. */
function elementsOf(bytes: Buffer, start: number): Buffer[] {
  const elements: Buffer[] = []
  let position = skipSpace(bytes, skipSpace(bytes, start) + 1)
  while (position < bytes.length && !CLOSING.has(bytes[position] ?? 0)) {
    const end = valueEnd(bytes, position)
    elements.push(bytes.subarray(position, end))
    position = skipSpace(bytes, end)
    if (bytes[position] === COMMA) position = skipSpace(bytes, position + 1)
  }
  return elements
}

/** Where the value of member `key` begins in the object that opens at or after `start`. */
function memberStart(bytes: Buffer, start: number, key: string): number {
  let position = skipSpace(bytes, skipSpace(bytes, start) + 1)
  while (position < bytes.length) {
    const keyEnd = valueEnd(bytes, position)
    const name: unknown = JSON.parse(bytes.toString('utf8', position, keyEnd))
    const value = skipSpace(bytes, skipSpace(bytes, keyEnd) + 1)
    if (name === key) return value
    position = skipSpace(bytes, skipSpace(bytes, valueEnd(bytes, value)) + 1)
  }
  throw failed(`the file has no member ${key}`)
}

function skipSpace(bytes: Buffer, from: number): number {
  let position = from
  while (position < bytes.length && SPACE.has(bytes[position] ?? 0)) position++
  return position
}

/** One past the value that begins at `from`. */
function valueEnd(bytes: Buffer, from: number): number {
  let depth = 0
  let position = from
  while (position < bytes.length) {
    const byte = bytes[position] ?? 0
    if (byte === QUOTE) position = stringEnd(bytes, position)
    else if (OPENING.has(byte)) {
      depth++
      position++
    } else if (CLOSING.has(byte) && depth > 0) {
      depth--
      position++
    } else if (depth === 0 && endsScalar(byte)) return position
    else {
      position++
      continue
    }
    if (depth === 0) return position
  }
  return position
}

const endsScalar = (byte: number): boolean =>
  byte === COMMA || byte === 0x3a || CLOSING.has(byte) || SPACE.has(byte)

function stringEnd(bytes: Buffer, from: number): number {
  let position = from + 1
  while (position < bytes.length && bytes[position] !== QUOTE) {
    position += bytes[position] === BACKSLASH ? 2 : 1
  }
  return position + 1
}
