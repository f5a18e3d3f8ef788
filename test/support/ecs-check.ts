// Holds ECS documents against the fields of the Elastic Common Schema that its sets have.
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import type { EcsDocument } from '../../sinks/ecs/document.ts'

type Field = {
  readonly type: string
  readonly array?: boolean
  readonly allowed?: readonly string[]
}
const { fields } = JSON.parse(
  readFileSync(new URL('./standards/ecs-9.4.0.json', import.meta.url), 'utf8'),
) as { fields: Readonly<Record<string, Field>> }

/** Fields beside ECS that Elastic's own pages on vulnerabilities read, and proposed ones. */
const BESIDE: Readonly<Record<string, Field>> = {
  'resource.id': { type: 'keyword' },
  'resource.name': { type: 'keyword' },
  'resource.type': { type: 'keyword' },
  'package.fixed_version': { type: 'keyword' },
  'vulnerability.status': {
    type: 'keyword',
    allowed: ['open', 'fixed', 'reopened', 'unknown'],
  },
}
const OWN = 'exposure'
/** Where dates of JavaScript end: beyond, epoch milliseconds are what indices read as well. */
const DATE_MS_MAX = 8.64e15
const isDate = (value: unknown): boolean =>
  (typeof value === 'string' && DATE.test(value)) ||
  (Number.isInteger(Number(value)) && Math.abs(Number(value)) > DATE_MS_MAX)
const DATE = /^[+-]?\d{4,6}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/

const FITS: Readonly<Record<string, (value: unknown) => boolean>> = {
  keyword: (value) => typeof value === 'string',
  wildcard: (value) => typeof value === 'string',
  match_only_text: (value) => typeof value === 'string',
  date: isDate,
  ip: (value) => typeof value === 'string' && isIP(value) !== 0,
  long: Number.isInteger,
  float: (value) => typeof value === 'number',
}

/** What is wrong with the document, as its reader gets it; empty: nothing. */
export function ecsFaults(document: EcsDocument): string[] {
  const read: unknown = JSON.parse(JSON.stringify(document))
  const { [OWN]: own, ...rest } = read as Readonly<Record<string, unknown>>
  return [...(own === undefined ? ['nothing of our own'] : []), ...faultsAt('', rest)]
}

function faultsAt(path: string, value: unknown): string[] {
  const field = fields[path] ?? BESIDE[path]
  if (field !== undefined) return fieldFaults(path, field, value)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [`${path} is no field of ECS`]
  }
  const inner = Object.entries(value)
  if (inner.length === 0) return [`${path} is empty`]
  return inner.flatMap(([name, one]) => faultsAt(path === '' ? name : `${path}.${name}`, one))
}

function fieldFaults(path: string, field: Field, value: unknown): string[] {
  if (Array.isArray(value) !== (field.array ?? false)) return [`${path}: a list, or none`]
  const values: unknown[] = Array.isArray(value) ? value : [value]
  if (values.length === 0) return [`${path} is empty`]
  return values.flatMap((one) => {
    const isAllowed = field.allowed === undefined || field.allowed.includes(String(one))
    const fits = FITS[field.type]?.(one) ?? false
    return fits && isAllowed ? [] : [`${path}: ${JSON.stringify(one)} is no ${field.type}`]
  })
}
