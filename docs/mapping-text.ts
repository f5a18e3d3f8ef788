// Renders docs/mapping.md from the tables of transformers/mapping.
import { MAPPINGS, PROPERTIES } from '../transformers/mapping/mappings.ts'
import {
  ENTITIES,
  type Entity,
  type FieldSource,
  type StreamMapping,
  fieldsOf,
} from '../transformers/mapping/stream-mapping.ts'
import { NOT_READ, PREFACE, RULES } from './mapping-words.ts'

const PRODUCTS: Readonly<Record<string, string>> = {
  'prisma-compute': 'Prisma Cloud Compute',
  'prisma-cspm': 'Prisma Cloud CSPM',
  'cortex-xdr': 'Cortex XDR',
  'cortex-xpanse': 'Cortex Xpanse',
  'cortex-cloud': 'Cortex Cloud',
}
const NAMES: Readonly<Record<Entity, string>> = {
  asset: 'Assets',
  finding: 'Findings',
  vulnerability: 'Dictionary entries',
}
const NOTHING = '–'
const SAME = 'same'
/** Shorter cells are repeated. */
const SAME_CHARACTERS_MIN = 30

const code = (text: string): string => `\`${text.replaceAll('|', '\\|')}\``
const cellText = (text: string): string => text.replace(/(?<!\\)\|/g, '\\|')
const tableOf = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')

/** The whole page, with a newline at its end. */
export const mappingText = (): string =>
  [PREFACE, streamsText(), propertiesText(), ...Object.keys(PRODUCTS).map(productText), RULES]
    .concat(NOT_READ)
    .join('\n')

function streamsText(): string {
  const rows = MAPPINGS.map(({ stream, call, unit, tables }) => {
    const given = ENTITIES.filter((entity) => tables[entity] !== undefined)
    const gives = given.map((entity) => NAMES[entity].toLowerCase()).join(', ')
    const called = /^(GET|POST) /.test(call) ? code(call) : call
    return [code(stream), called, cellText(unit), gives]
  })
  return `${tableOf(['stream', 'vendor call', 'one raw record', 'gives'], rows)}\n`
}

/** Where users of the replaced integrations find what they had. */
function propertiesText(): string {
  const rows = Object.entries(PROPERTIES).map(([property, names]) => {
    const givers = MAPPINGS.filter(({ tables }) =>
      ENTITIES.some((entity) =>
        Object.keys(tables[entity] ?? {}).some((field) => names.includes(`${entity} ${field}`)),
      ),
    )
    const without = MAPPINGS.flatMap(({ stream, nothing }) => {
      const reason = nothing[property]
      return reason === undefined ? [] : [{ stream, reason }]
    })
    const reasons = [...Map.groupBy(without, ({ reason }) => reason)].map(
      ([reason, group]) => `${listText(group)}: ${reason}`,
    )
    const fields = names.map((name) => code(name.replace(' ', '.'))).join(', ')
    return [property, fields, giversText(givers), reasons.join('; ') || NOTHING]
  })
  const head = ['retrieved', 'fields', 'who gives it', 'who does not, and why']
  return `## What is asked for, and where it is\n\n${tableOf(head, rows)}\n`
}

const listText = (streams: readonly { stream: string }[]): string =>
  streams.map(({ stream }) => code(stream)).join(', ')

/** `all` where every stream of assets is one. */
function giversText(givers: readonly StreamMapping[]): string {
  const telling = MAPPINGS.filter(({ tables }) => tables.asset !== undefined)
  const others = givers.filter((mapping) => !telling.includes(mapping))
  const isAll = telling.every((mapping) => givers.includes(mapping))
  if (!isAll) return listText(givers)
  return ['all streams of assets', ...others.map(({ stream }) => code(stream))].join(', ')
}

function productText(product: string): string {
  const mappings = MAPPINGS.filter((mapping) => mapping.product === product)
  const tables = ENTITIES.flatMap((entity) => entityText(entity, mappings))
  return [`## ${PRODUCTS[product] ?? product}\n`, ...notesOf(mappings), ...tables].join('\n')
}

/** How paths are written here, and what moves more than its own field. */
function notesOf(mappings: readonly StreamMapping[]): string[] {
  const notes = mappings.flatMap(({ stream, lifted, each, deciding }) => [
    ...lifted.map((path) => `- ${code(stream)}: fields of ${code(path)} are named without it.`),
    ...(each?.endsWith('[]') === true
      ? [`- ${code(stream)}: in findings ${code('.name')} is ${code(`${each}.name`)}.`]
      : []),
    ...[...Map.groupBy(Object.entries(deciding), ([, why]) => why)].map(
      ([why, group]) =>
        `- ${code(stream)}: ${group.map(([path]) => code(path)).join(', ')}: ${why}.`,
    ),
  ])
  return notes.length === 0 ? [] : [`${merged(notes).join('\n')}\n`]
}

/** Notes that differ only in the stream as one. */
function merged(notes: readonly string[]): string[] {
  const groups = Map.groupBy(notes, (note) => note.replace(/^- `[^`]*`: /, ''))
  return [...groups].map(([text, group]) => {
    const streams = group.flatMap((note) => /^- (`[^`]*`): /.exec(note)?.[1] ?? [])
    return streams.length === 0 ? text : `- ${streams.join(', ')}: ${text}`
  })
}

type Column = { readonly streams: string[]; readonly cells: readonly string[] }

function entityText(entity: Entity, mappings: readonly StreamMapping[]): string[] {
  const fields = fieldsOf(entity)
  const columns: Column[] = []
  for (const mapping of mappings) {
    if (mapping.tables[entity] === undefined) continue
    const cells = fields.map((field) => sourceText(mapping.tables[entity]?.[field], mapping))
    const same = columns.find((column) => column.cells.every((cell, i) => cell === cells[i]))
    if (same === undefined) columns.push({ streams: [mapping.stream], cells })
    else same.streams.push(mapping.stream)
  }
  if (columns.length === 0) return []
  const isGiven = (_: string, i: number) => columns.some(({ cells }) => cells[i] !== NOTHING)
  const rows = fields
    .map((field, i) => [code(field), ...briefly(columns.map(({ cells }) => cells[i] ?? NOTHING))])
    .filter(([field = ''], i) => isGiven(field, i))
  const absent = fields.filter((field, i) => !isGiven(field, i)).map(code)
  const head = ['field', ...columns.map(({ streams }) => streams.map(code).join(', '))]
  return [
    `### ${NAMES[entity]}\n`,
    `${tableOf(head, rows)}\n`,
    ...(absent.length === 0 ? [] : [`From nobody here: ${absent.join(', ')}.\n`]),
  ]
}

/** Long cells that repeat the one before them say so. */
const briefly = (cells: readonly string[]): string[] =>
  cells.map((cell, i) => (cell.length > SAME_CHARACTERS_MIN && cell === cells[i - 1] ? SAME : cell))

function sourceText(source: FieldSource | undefined, { each }: StreamMapping): string {
  if (source === undefined) return NOTHING
  const prefix = each?.endsWith('[]') === true ? `${each}.` : null
  const short = (path: string): string =>
    prefix !== null && path.startsWith(prefix) ? path.slice(prefix.length - 1) : path
  const paths = source.from.map((path) => code(short(path))).join(', ')
  const rule = source.rule === null ? '' : cellText(source.rule)
  return [paths, rule].filter((part) => part !== '').join('; ')
}
