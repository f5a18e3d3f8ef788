// Schemas that change: old reads new, new reads old, and what would not is refused before a start.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import avro from 'avsc'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { stringify } from 'yaml'
import type { SchemaName } from '../../contracts/schemas.ts'
import { TOPICS, subjectName, topicName } from '../../contracts/topics.ts'
import type { Vulnerability } from '../../contracts/vulnerability.ts'
import { AVRO_TOPICS, type AvroTopic } from '../../runtime/codecs.ts'
import { openPublisher } from '../../runtime/kafka/publisher.ts'
import { createLogger } from '../../runtime/log.ts'
import { openRegistry } from '../../runtime/registry.ts'
import { assetEvent, errorEvent, findingEvent, runEvent } from '../support/events.ts'
import { python, runPython } from '../support/python.ts'
import { type Product, runExposure, startProduct } from '../support/product.ts'
import {
  type Document,
  NEW_FIELD,
  NEW_SYMBOL,
  documentOf,
  enumPathOf,
  enumsOf,
  refusedChanges,
  withOptionalField,
  withSymbol,
} from '../support/schema-versions.ts'
import { randomPrefix, stack, waitFor } from '../support/stack.ts'

const TIMEOUT_MS = 20_000
const TEST_TIMEOUT_MS = 180_000
const PYTHON_TIMEOUT_MS = 50_000
const MAIN = new URL('../../cli/main.ts', import.meta.url).pathname
const open = () => openRegistry({ url: stack().registryUrl, timeoutMs: TIMEOUT_MS })

async function register(prefix: string, topic: AvroTopic, document: Document): Promise<number> {
  const url = `${stack().registryUrl}/subjects/${subjectName(prefix, topic)}/versions`
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    body: JSON.stringify({ schema: JSON.stringify(document) }),
  })
  const { id } = (await answer.json()) as { id: number }
  expect([subjectName(prefix, topic), answer.status]).toEqual([subjectName(prefix, topic), 200])
  return id
}

const schemaNameOf = (topic: AvroTopic): SchemaName => TOPICS[topic].schema ?? 'Asset'

type Value = { [key: string]: unknown }
const { meta } = findingEvent('fnd_1')
const vulnerability: Vulnerability = {
  meta,
  vulnerability_uid: 'vul_1',
  vuln_id: 'CVE-2024-0001',
  title: 'a flaw',
  description: null,
  severity: 'HIGH',
  severity_id: 4,
  severity_raw: 'high',
  cvss_score: 7.5,
  cvss: [],
  epss: null,
  known_exploited: null,
  exploit: null,
  packages: ['openssl'],
  vendors: [],
  distributions: [],
  references: [],
  published_at: null,
  modified_at: null,
  status: 'LISTED',
  first_seen: null,
  last_seen: 1_767_225_600_000,
  unmapped: {},
}
const VALUES: Readonly<Record<AvroTopic, object>> = {
  assets: assetEvent('ast_1'),
  findings: findingEvent('fnd_1'),
  vulnerabilities: vulnerability,
  connectorErrors: errorEvent('e1', 'f1'),
  runs: runEvent('r1'),
}

const typeOf = (document: Document) => avro.Type.forSchema(document as unknown as avro.Schema)
const wire = (id: number, document: Document, value: object): Buffer => {
  const head = Buffer.alloc(5)
  head.writeInt32BE(id, 1)
  return Buffer.concat([head, typeOf(document).toBuffer(value)])
}

/** A build before this one: without one optional field, and without a symbol that is not used. */
function before(name: SchemaName): { document: Document; field: string; byDefault: unknown } {
  const document = documentOf(name)
  const removed = document.fields.findLast((field) => 'default' in field)
  if (removed === undefined) throw new Error(`${name} has no optional field`)
  document.fields = document.fields.filter((field) => field !== removed)
  enumsOf(document)[0]?.symbols.pop()
  return { document, field: removed.name, byDefault: removed.default }
}

/** With the new symbol where the first enum of the schema is, and the new field. */
function evolved(value: object, path: readonly string[]): Value {
  const copy = structuredClone(value) as Value
  const place = path.slice(0, -1).reduce<Value>((node, key) => node[key] as Value, copy)
  place[path.at(-1) ?? ''] = NEW_SYMBOL
  copy[NEW_FIELD] = 'told by a newer build'
  return copy
}

/** What a reader without the symbol gets. */
function withDefaultSymbol(value: object, name: SchemaName): Value {
  const path = enumPathOf(documentOf(name))
  const copy = structuredClone(value) as Value
  const place = path.slice(0, -1).reduce<Value>((node, key) => node[key] as Value, copy)
  place[path.at(-1) ?? ''] = enumsOf(documentOf(name))[0]?.default
  return copy
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value)) as unknown

beforeAll(async () => void (await python()))

describe('an optional field and a symbol that are added', () => {
  it.each(AVRO_TOPICS)('leave both builds able to read %s', async (topic) => {
    const name = schemaNameOf(topic)
    const prefix = randomPrefix()
    const value = VALUES[topic]
    const older = before(name)
    const olderId = await register(prefix, topic, older.document)
    await open().apply(prefix)
    const checks = await open().check(prefix)
    expect(checks.flatMap(({ misfits }) => misfits)).toEqual([])
    const codecs = await open().lookup(prefix)
    const next = withSymbol(withOptionalField(documentOf(name)))
    const nextId = await register(prefix, topic, next)
    const path = enumPathOf(documentOf(name))
    const newer = wire(nextId, next, evolved(value, path))

    // Old with new: the present build has the field that the one before lacked.
    const fromOlder = await codecs.decodeAny(wire(olderId, older.document, value))
    expect(plain(fromOlder.value)).toEqual(plain({ ...value, [older.field]: older.byDefault }))
    // New with old: the present build lacks what the next one tells.
    expect(plain((await codecs.decodeAny(newer)).value)).toEqual(
      plain(withDefaultSymbol(value, name)),
    )
    // The same for a reader of another make, and for the next build reading this one's events.
    const present = codecs.encode(topic, value as never)
    const cases = [
      { value: wire(olderId, older.document, value), reader: documentOf(name) },
      { value: present, reader: older.document },
      { value: newer, reader: documentOf(name) },
      { value: present, reader: next },
    ]
    const [a, b, c, d] = await readByPython(cases)
    expect(a).toEqual(plain({ ...value, [older.field]: older.byDefault }))
    expect(b).toEqual(plain({ ...value, [older.field]: undefined }))
    expect(c).toEqual(plain(withDefaultSymbol(value, name)))
    expect(d).toEqual(plain({ ...value, [NEW_FIELD]: null }))
    // The build at hand starts beside the next one: a rolling upgrade, or the way back.
    const beside = await open().check(prefix)
    expect(beside.flatMap(({ misfits }) => misfits)).toEqual([])
  })
})

async function readByPython(cases: readonly { value: Buffer; reader: Document }[]) {
  const folder = await mkdtemp(join(tmpdir(), 'exposure-evolved-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'cases.json')
  const coded = cases.map(({ value, reader }) => ({ value: value.toString('base64'), reader }))
  await writeFile(file, JSON.stringify(coded))
  const args = [file, stack().registryUrl]
  const lines = await runPython('read_evolved.py', args, PYTHON_TIMEOUT_MS)
  return lines.map((line) => JSON.parse(line) as Value)
}

async function configFor(prefix: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'exposure-schemas-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'exposure.yaml')
  const { brokers, registryUrl } = stack()
  await writeFile(file, stringify({ kafka: { brokers, prefix }, registry: { url: registryUrl } }))
  return file
}

const versionsOf = async (prefix: string, topic: AvroTopic): Promise<unknown> => {
  const url = `${stack().registryUrl}/subjects/${subjectName(prefix, topic)}/versions`
  return (await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) })).json()
}

/** What this build would change, were `from` registered: the change the other way round. */
const changesBack = (name: SchemaName) => {
  const [requiredField, , , requiredGone] = refusedChanges(name)
  const symbol = withSymbol(documentOf(name))
  const typed = documentOf(name)
  const field = typed.fields.find(({ type, ...rest }) => type === 'string' && !('default' in rest))
  Object.assign(field ?? {}, { type: 'long' })
  return [
    { from: requiredGone?.next, path: requiredGone?.path, reason: 'added without default' },
    { from: requiredField?.next, path: requiredField?.path, reason: 'removed' },
    {
      from: symbol,
      path: enumPathOf(symbol).join('.'),
      reason: `symbol ${NEW_SYMBOL} was removed`,
    },
    { from: typed, path: field?.name, reason: 'the type was long and is string' },
  ]
}

describe('exposure schemas check', { timeout: TEST_TIMEOUT_MS }, () => {
  it('registers nothing, and tells of subjects that are not there', async () => {
    const prefix = randomPrefix()
    const config = await configFor(prefix)
    const ended = await runExposure(['schemas', 'check', '--config', config], {})
    expect([ended.code, ended.stderr]).toEqual([0, ''])
    for (const topic of AVRO_TOPICS) {
      expect(ended.stdout).toContain(`${subjectName(prefix, topic)}: not there yet`)
      expect(await versionsOf(prefix, topic)).toMatchObject({ error_code: 40401 })
    }
    await open().apply(prefix)
    const applied = await runExposure(['schemas', 'check', '--config', config], {})
    const lines = applied.stdout.trimEnd().split('\n')
    const subjects = AVRO_TOPICS.map((topic) => subjectName(prefix, topic))
    expect(lines).toEqual(subjects.map((subject) => `${subject}: fits (version 1)`))
  })

  it.each(AVRO_TOPICS)('refuses what %s must not become, with path and reason', async (topic) => {
    for (const { from, path, reason } of changesBack(schemaNameOf(topic))) {
      const prefix = randomPrefix()
      if (from === undefined) throw new Error('no such change')
      await register(prefix, topic, from)
      const checks = await open().check(prefix)
      const [check, ...others] = checks.filter(({ misfits }) => misfits.length > 0)
      expect(others).toEqual([])
      // Nobody has set it: the registry's own default is in force.
      expect(check).toMatchObject({ subject: subjectName(prefix, topic), level: 'NONE' })
      const found = check?.misfits.map((misfit) => `${misfit.path}: ${misfit.reason}`) ?? []
      expect(found.join('\n')).toContain(`${path}: `)
      expect(found.join('\n')).toContain(reason)
    }
  })

  it('ends with 3, and every command that begins is refused before it does', async () => {
    const product = await startProduct({ connections: ['prisma'], streams: ['compute.hosts'] })
    const { prefix } = product
    const [change] = changesBack('Finding')
    if (change?.from === undefined) throw new Error('no such change')
    await register(prefix, 'findings', change.from)
    const subject = subjectName(prefix, 'findings')
    const line = `${subject} version 1: ${change.path}: a field was added without default`
    const checked = await product.exposure(['schemas', 'check'])
    expect([checked.code, checked.stderr]).toEqual([3, ''])
    expect(checked.stdout).toContain(`${subject}: does not fit (version 1)\n`)
    expect(checked.stdout).toContain('  its compatibility is NONE, not FULL_TRANSITIVE')
    expect(checked.stdout).toContain(`  ${line}\n`)
    expect(checked.stdout).toMatch(/\n {2}next step: Run a build whose schemas fit/)
    const commands = [['schemas', 'apply'], ['run'], ['run', 'sinks']]
    for (const begin of [...commands.map((words) => product.exposure(words)), product.once()]) {
      const ended = await begin
      expect([ended.code, ended.summary]).toEqual([1, null])
      expect(ended.stderr).toContain(`schemas of this build are incompatible with ${subject}\n`)
      expect(ended.stderr).toContain(`  ${line}\n`)
    }
    expect(await versionsOf(prefix, 'findings')).toEqual([1])
    expect(await versionsOf(prefix, 'assets')).toMatchObject({ error_code: 40401 })
    await expect(product.records('runs')).rejects.toThrow()
  })
})

/** `exposure run sinks` as a process of its own; ends with the test. */
function startSinks(product: Product) {
  const child = spawn(process.execPath, [MAIN, 'run', 'sinks', '--config', product.configFile], {
    env: { ...process.env, NODE_OPTIONS: '', ...product.secrets },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const exited = once(child, 'exit')
  const stop = async () => {
    child.kill('SIGTERM')
    await exited
  }
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
  })
  let stderr = ''
  child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString()))
  return { stop, said: () => stderr }
}

describe('a rolling upgrade', { timeout: TEST_TIMEOUT_MS }, () => {
  it('leaves a process of the old build reading what the new one writes', async () => {
    const product = await startProduct({ connections: ['prisma'], streams: ['compute.hosts'] })
    const { prefix, settings } = product
    for (const what of ['topics', 'schemas']) {
      expect((await product.exposure([what, 'apply'])).code).toBe(0)
    }
    const codecs = await open().lookup(prefix)
    const publisher = openPublisher(settings, createLogger('test'))
    onTestFinished(() => publisher.close())
    const topic = topicName(prefix, 'findings')
    const put = (key: string, value: Buffer) =>
      publisher.send([{ topic, partition: 0, key, value, headers: {} }])
    const stored = async (count: number, said: () => string) => {
      const sql = 'select finding_uid, vuln_id from exposure.finding order by 1'
      return waitFor(
        async () => {
          const rows = await product.query<{ finding_uid: string; vuln_id: string }>(sql)
          return rows.length === count && rows
        },
        { what: `${count} findings in the store\n${said()}`, timeoutMs: 60_000 },
      )
    }
    const old = startSinks(product)
    await put('fnd_1', codecs.encode('findings', findingEvent('fnd_1')))
    await stored(1, old.said)

    const next = withSymbol(withOptionalField(documentOf('Finding')))
    const nextId = await register(prefix, 'findings', next)
    const path = enumPathOf(documentOf('Finding'))
    const newer = (uid: string) => evolved(findingEvent(uid, 1, { vuln_id: 'CVE-2026-4242' }), path)
    await put('fnd_2', wire(nextId, next, newer('fnd_2')))
    await put('fnd_3', codecs.encode('findings', findingEvent('fnd_3')))
    const rows = await stored(3, old.said)
    expect(rows[1]).toEqual({ finding_uid: 'fnd_2', vuln_id: 'CVE-2026-4242' })

    // Started again while the next version is registered, as on the way back.
    await old.stop()
    const again = startSinks(product)
    await put('fnd_4', wire(nextId, next, newer('fnd_4')))
    await stored(4, again.said)
    expect(await product.records('dlq')).toEqual([])
  })
})
