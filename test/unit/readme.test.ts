// README.md and exposure.example.yaml against what the code has: every stream, every setting.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'
import { exposureConfig, startConfig } from '../../cli/config.ts'
import { CONNECTORS } from '../../producers/sources.ts'
import { checkConfig } from '../../runtime/config.ts'
import { postgresConfig } from '../../sinks/postgres/config.ts'

const textOf = (name: string): string =>
  readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8')
const readme = textOf('README.md')
const example = textOf('exposure.example.yaml')
const STREAMS = Object.values(CONNECTORS).flatMap(({ sources }) =>
  sources.map((source) => source.stream),
)

/** The part of the README under a heading of the second level. */
function section(heading: string): string {
  const [, after = ''] = readme.split(`\n## ${heading}\n`)
  return after.split('\n## ')[0] ?? ''
}

/** Cells of the rows of all tables in it, without heads and rules. */
const rowsOf = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .slice(1, -1)
        .split(' | ')
        .map((cell) => cell.trim()),
    )

const namesIn = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map((m) => m[1] ?? '')

/** With every setting that is commented out in force. */
const uncommented = example.replace(/^( *)# ((?:- | {2})?[a-zA-Z0-9.-]+:.*)$/gm, '$1$2')

type JsonSchema = {
  readonly properties?: Readonly<Record<string, JsonSchema>> | undefined
  readonly items?: JsonSchema | undefined
  readonly anyOf?: readonly JsonSchema[] | undefined
  readonly oneOf?: readonly JsonSchema[] | undefined
}

/** Dotted paths of the settings, members of lists under the list's own path. */
function pathsOf(schema: JsonSchema, path: readonly string[] = []): string[] {
  const forms = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])]
  const inner = schema.items === undefined ? forms : [...forms, schema.items]
  const members = Object.entries(schema.properties ?? {})
  const below = [
    ...inner.flatMap((form) => pathsOf(form, path)),
    ...members.flatMap(([name, member]) => pathsOf(member, [...path, name])),
  ]
  const own = path.join('.')
  const deeper = below.filter((found) => found !== own)
  return deeper.length === 0 ? [own] : [...new Set(deeper)]
}
const schema = z.toJSONSchema(exposureConfig, { io: 'input', unrepresentable: 'any' })
const settings = pathsOf(schema as JsonSchema)

/** Stands in the place of others that are shown. */
const INSTEAD = new Set(['sinks.opensearch.apiKey'])
/** Of every sink alike. */
const OF_SINKS = /^sinks\.[^.]+\.(name|start|filter\..+)$/
/** As the README names them: connections without their list, streams and sinks under one name. */
const documentedName = (path: string): string =>
  path
    .replace(/^connections\./, '')
    .replace(/^streams\.(.+)\.(enabled|every)$/, 'streams.*.$2')
    .replace(OF_SINKS, 'sinks.*.$1')

describe('README.md', () => {
  const rows = rowsOf(section('What is read today'))

  it('has a row for every stream there is, and for no other', () => {
    const named = rows.flatMap(([stream = '']) => namesIn(stream))
    expect(named.toSorted()).toEqual(STREAMS.toSorted())
  })

  it('says of each stream where it is from, what it needs and what it gives', () => {
    for (const row of rows) {
      expect(row).toHaveLength(4)
      for (const cell of row) expect(cell.length).toBeGreaterThan(3)
    }
  })

  it('has a row for every setting there is, and for no other', () => {
    expect(settings.length).toBeGreaterThan(50)
    const named = rowsOf(section('Settings')).flatMap(([name = '']) => namesIn(name))
    expect(named.toSorted()).toEqual([...new Set(settings.map(documentedName))].toSorted())
  })
})

describe('exposure.example.yaml', () => {
  it('is a valid configuration as it is, and with everything that is commented out', () => {
    const plain = checkConfig(parseYaml(example), startConfig, 'exposure.example.yaml')
    const full = checkConfig(parseYaml(uncommented), exposureConfig, 'uncommented')
    for (const { connections } of [plain, full]) {
      expect(connections.map((connection) => connection.type)).toContain('cortex')
    }
    expect(uncommented).not.toMatch(/^ *# *[a-zA-Z0-9.-]+:/m)
  })

  it('leaves to `npm start` what it starts', () => {
    expect(Object.keys(parseYaml(example) as object)).toEqual(['connections'])
  })

  it('has every setting and every stream', () => {
    const found = new Set(leavesOf(parseYaml(uncommented)))
    const missing = settings.filter((path) => !isShown(path, found))
    expect(missing).toEqual([])
  })

  it('shows defaults where it does not say otherwise', () => {
    const plain = checkConfig(parseYaml(example), startConfig, 'example')
    const full = checkConfig(parseYaml(uncommented), exposureConfig, 'uncommented')
    expect(full.disconnectedAfter).toBe(plain.disconnectedAfter)
    const url = full.sinks.postgres?.url
    expect(full.sinks.postgres).toMatchObject(postgresConfig.parse({ url }))
    for (const connection of plain.connections) {
      const same = full.connections.find(({ name }) => name === connection.name)
      expect(same).toMatchObject(connection)
    }
  })
})

/** Dotted paths of the values in a document, members of lists under the list's own path. */
function leavesOf(value: unknown, path: readonly string[] = []): string[] {
  if (Array.isArray(value)) return value.flatMap((member) => leavesOf(member, path))
  if (typeof value !== 'object' || value === null) return [path.join('.')]
  return Object.entries(value).flatMap(([name, member]) => leavesOf(member, [...path, name]))
}

/** `every` of one stream shows it for all, and what sinks have in common, one sink. */
const isShown = (path: string, found: ReadonlySet<string>): boolean =>
  found.has(path) ||
  INSTEAD.has(path) ||
  (OF_SINKS.test(path) &&
    [...found].some((other) => documentedName(other) === documentedName(path))) ||
  (/\.streams\..*\.every$/.test(path) && found.has(path.replace(/every$/, 'enabled')))
