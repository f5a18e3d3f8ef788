// The registry client against a real registry: rules first, exact ids, other writers' schemas.
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import avro from 'avsc'
import { PipelineError } from '../../contracts/errors.ts'
import { avroOf } from '../../contracts/schemas.ts'
import { subjectName } from '../../contracts/topics.ts'
import { AVRO_TOPICS, EVENT_BYTES_MAX } from '../../runtime/codecs.ts'
import { openRegistry } from '../../runtime/registry.ts'
import { assetEvent, errorEvent, findingEvent, runEvent } from '../support/events.ts'
import { randomPrefix, stack } from '../support/stack.ts'

const TIMEOUT_MS = 20_000
const open = () => openRegistry({ url: stack().registryUrl, timeoutMs: TIMEOUT_MS })

type Field = { name: string; type: unknown; default?: unknown; doc?: string }
type Document = { fields: Field[]; namespace: string; name: string }
const documentOf = (name: 'Asset' | 'Finding'): Document =>
  structuredClone(avroOf(name)) as unknown as Document

async function call(method: string, path: string, body?: unknown) {
  const answer = await fetch(stack().registryUrl + path, {
    method,
    headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: answer.status, value: (await answer.json()) as Record<string, unknown> }
}
const post = (subject: string, document: unknown) =>
  call('POST', `/subjects/${subject}/versions`, { schema: JSON.stringify(document) })

/** The failure that `work` ends with, as ours. */
async function failureOf(work: () => unknown): Promise<PipelineError> {
  try {
    await work()
  } catch (error) {
    if (error instanceof PipelineError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

/** A value of ours under another schema, as a newer writer would put it on the wire. */
function written(id: number, document: unknown, value: unknown): Buffer {
  const head = Buffer.alloc(5)
  head.writeInt32BE(id, 1)
  return Buffer.concat([head, avro.Type.forSchema(document as avro.Schema).toBuffer(value)])
}

describe('apply', () => {
  it('sets FULL_TRANSITIVE before anything is registered, and is safe to repeat', async () => {
    const prefix = randomPrefix()
    const first = await open().apply(prefix)
    expect(Object.keys(first)).toEqual(AVRO_TOPICS.map((topic) => subjectName(prefix, topic)))
    for (const subject of Object.keys(first)) {
      expect((await call('GET', `/config/${subject}`)).value).toMatchObject({
        compatibilityLevel: 'FULL_TRANSITIVE',
      })
    }
    expect(await open().apply(prefix)).toEqual(first)
    const versions = await call('GET', `/subjects/${subjectName(prefix, 'assets')}/versions`)
    expect(versions.value).toEqual([1])
  })

  it('asks for the compatibility of each subject before its first registration', async () => {
    const asked: string[] = []
    const server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`)
      request.resume()
      response.setHeader('content-type', 'application/json')
      response.end('{"id":1,"compatibilityLevel":"FULL_TRANSITIVE"}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = server.address() as AddressInfo
      const registry = openRegistry({ url: `http://127.0.0.1:${port}/`, timeoutMs: 5_000 })
      const subjects = Object.keys(await registry.apply('p.'))
      for (const subject of subjects) {
        const changes = (line: string) => /^PUT|^POST \/subjects/.test(line)
        const ours = asked.filter((line) => line.includes(`/${subject}`) && changes(line))
        expect(ours[0]).toBe(`PUT /config/${subject}`)
        expect(ours.at(-1)).toBe(`POST /subjects/${subject}/versions`)
      }
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })

  it('leaves a registry that refuses an incompatible change', async () => {
    const prefix = randomPrefix()
    await open().apply(prefix)
    const changed = documentOf('Finding')
    changed.fields.push({ name: 'must_have', type: 'string' })
    expect((await post(subjectName(prefix, 'findings'), changed)).status).toBe(409)
  })

  it('is refused with subject and reason when what is registered does not fit', async () => {
    const prefix = randomPrefix()
    const subject = subjectName(prefix, 'assets')
    const other = documentOf('Asset')
    other.fields = [{ name: 'name', type: 'long' }]
    expect((await post(subject, other)).status).toBe(200)
    const error = await failureOf(() => open().apply(prefix))
    expect(error).toMatchObject({ failure: 'CONFIGURATION', stage: 'REGISTRY' })
    expect(error.message).toContain(subject)
    expect(error.message).toMatch(/ncompatible/)
  })
})

describe('lookup', () => {
  it('refuses to start when a schema is missing and says what to run', async () => {
    const error = await failureOf(() => open().lookup(randomPrefix()))
    expect(error).toMatchObject({ failure: 'CONFIGURATION', stage: 'REGISTRY' })
    expect(error.message).toContain('exposure schemas apply')
  })

  it('refuses when the subject holds another version only', async () => {
    const prefix = randomPrefix()
    await open().apply(prefix)
    const stranger = randomPrefix()
    const older = documentOf('Asset')
    older.fields = older.fields.filter((field) => field.name !== 'gone_at')
    await post(subjectName(stranger, 'assets'), older)
    const error = await failureOf(() => open().lookup(stranger))
    expect(error.message).toContain(subjectName(stranger, 'assets'))
  })

  it('registers nothing', async () => {
    const prefix = randomPrefix()
    await failureOf(() => open().lookup(prefix))
    const answer = await call('GET', `/subjects/${subjectName(prefix, 'assets')}/versions`)
    expect(answer.status).toBe(404)
  })
})

describe('codecs', () => {
  it('gives back every kind of event as plain data, equal to what was encoded', async () => {
    const prefix = randomPrefix()
    const ids = await open().apply(prefix)
    const codecs = await open().lookup(prefix)
    const finding = findingEvent('fnd_1')
    const asset = assetEvent('ast_1')
    const error = errorEvent('e1', 'f1')
    const run = runEvent('r1', {
      tally: {
        partition: 1,
        units_seen: 2,
        dead_lettered: 0,
        closed: 1,
        held: 0,
        outputs: [],
        hold: null,
        purged: 0,
      },
    })
    const wire = codecs.encode('findings', finding)
    expect(wire.subarray(0, 5)).toEqual(
      Buffer.from([0, 0, 0, 0, 0].map((_, i) => (i === 0 ? 0 : byteOf(ids, prefix, i)))),
    )
    expect(codecs.decode(wire)).toStrictEqual({ schemaName: 'Finding', value: finding })
    expect(codecs.decode(codecs.encode('assets', asset))).toStrictEqual({
      schemaName: 'Asset',
      value: asset,
    })
    expect(codecs.decode(codecs.encode('connectorErrors', error)).value).toStrictEqual(error)
    expect(codecs.decode(codecs.encode('runs', run)).value).toStrictEqual(run)
    expect(Object.getPrototypeOf(codecs.decode(wire).value)).toBe(Object.prototype)
  })

  it('hands out bytes that a later encoding does not change', async () => {
    const prefix = randomPrefix()
    await open().apply(prefix)
    const codecs = await open().lookup(prefix)
    const first = codecs.encode('findings', findingEvent('fnd_first'))
    const before = Buffer.from(first)
    codecs.encode('findings', findingEvent('fnd_x', 2, { title: 't'.repeat(200_000) }))
    codecs.encode('findings', findingEvent('fnd_second'))
    expect(first).toEqual(before)
  })

  it('names the paths of an event that does not fit, and refuses one too big', async () => {
    const prefix = randomPrefix()
    await open().apply(prefix)
    const codecs = await open().lookup(prefix)
    const wrong = { ...findingEvent('fnd_1'), title: 7 as unknown as string }
    const misfit = await failureOf(() => codecs.encode('findings', wrong))
    expect(misfit.failure).toBe('SERIALIZATION')
    expect(misfit.details.violations).toEqual(['title: is not string'])
    const big = findingEvent('fnd_1', 1, { description: 'x'.repeat(EVENT_BYTES_MAX) })
    expect((await failureOf(() => codecs.encode('findings', big))).failure).toBe('SERIALIZATION')
  })

  it('reads a newer writer: an added field is dropped, a new symbol reads as UNKNOWN', async () => {
    const prefix = randomPrefix()
    await open().apply(prefix)
    const codecs = await open().lookup(prefix)
    const newer = documentOf('Finding')
    newer.fields.push({ name: 'brand_new', type: ['null', 'string'], default: null })
    const status = newer.fields.find((field) => field.name === 'status')?.type
    ;(status as { symbols: string[] }).symbols.push('SNOOZED')
    const answer = await post(subjectName(prefix, 'findings'), newer)
    expect(answer.status).toBe(200)
    const value = { ...findingEvent('fnd_1'), status: 'SNOOZED', brand_new: 'hello' }
    const wire = written(Number(answer.value['id']), newer, value)
    expect((await failureOf(() => codecs.decode(wire))).message).toContain('not loaded')
    const expected = { ...findingEvent('fnd_1'), status: 'UNKNOWN' }
    expect((await codecs.decodeAny(wire)).value).toStrictEqual(expected)
    expect(codecs.decode(wire).value).toStrictEqual(expected)
  })

  it('tells poison: bad magic, too short, unknown id, foreign schema, cut, trailing', async () => {
    const prefix = randomPrefix()
    await open().apply(prefix)
    const codecs = await open().lookup(prefix)
    const good = codecs.encode('findings', findingEvent('fnd_1'))
    const unknown = Buffer.from(good)
    unknown.writeInt32BE(2_000_000_000, 1)
    const foreign = { type: 'record', name: 'Thing', namespace: 'else', fields: [] }
    const answer = await post(`${prefix}other-value`, foreign)
    const bytes = {
      magic: Buffer.concat([Buffer.from([1]), good.subarray(1)]),
      short: good.subarray(0, 4),
      empty: Buffer.alloc(0),
      unknown,
      foreign: written(Number(answer.value['id']), foreign, {}),
      cut: good.subarray(0, good.length - 1),
      trailing: Buffer.concat([good, Buffer.from([0])]),
    }
    for (const [what, value] of Object.entries(bytes)) {
      const error = await failureOf(() => codecs.decodeAny(value))
      expect([what, error.failure]).toEqual([what, 'SERIALIZATION'])
    }
  })
})

describe('a registry that does not answer', () => {
  it('is a temporary failure when the connection is refused', async () => {
    const refused = openRegistry({ url: 'http://127.0.0.1:1/apis', timeoutMs: 2_000 })
    for (const work of [() => refused.lookup(''), () => refused.apply('')]) {
      const error = await failureOf(work)
      expect(error).toMatchObject({ failure: 'TEMPORARY_FAILURE', stage: 'REGISTRY' })
      expect(error.retriable).toBe(true)
    }
  })

  it('is a temporary failure when it stays silent, or hangs up in mid-answer', async () => {
    const answers = {
      silent: () => undefined,
      cut: (socket: Socket) => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"id"', () => socket.destroy())
      },
      broken: (socket: Socket) => {
        socket.end('HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
      },
    }
    for (const [what, answer] of Object.entries(answers)) {
      const server = createServer((request) => answer(request.socket))
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      try {
        const { port } = server.address() as AddressInfo
        const registry = openRegistry({ url: `http://127.0.0.1:${port}`, timeoutMs: 150 })
        const error = await failureOf(() => registry.lookup('p.'))
        expect([what, error.failure]).toEqual([what, 'TEMPORARY_FAILURE'])
      } finally {
        server.closeAllConnections()
        server.close()
      }
    }
  })

  it('tells wrong credentials apart and repeats no secret', async () => {
    let header = ''
    const server = createServer((request, response) => {
      header = request.headers.authorization ?? ''
      response.writeHead(401, { 'content-type': 'application/json' })
      response.end('{"error_code":401,"message":"no"}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = server.address() as AddressInfo
      const url = `http://127.0.0.1:${port}`
      const registry = openRegistry({ url, username: 'u', password: 'canary', timeoutMs: 5_000 })
      const error = await failureOf(() => registry.lookup('p.'))
      expect(error.failure).toBe('AUTHORIZATION_FAILURE')
      expect(header).toBe(`Basic ${Buffer.from('u:canary').toString('base64')}`)
      expect(`${error.message} ${String(error.cause)}`).not.toContain('canary')
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })

  it('refuses an address that holds a password, without repeating it', async () => {
    const url = 'http://user:canary@127.0.0.1:1'
    const error = await failureOf(() => openRegistry({ url, timeoutMs: 1_000 }))
    expect(error.failure).toBe('CONFIGURATION')
    expect(error.message).not.toContain('canary')
  })
})

/** Byte `index` of the wire prefix of a finding. */
function byteOf(ids: Readonly<Record<string, number>>, prefix: string, index: number): number {
  const id = ids[subjectName(prefix, 'findings')] ?? -1
  return (id >>> (8 * (4 - index))) & 0xff
}
