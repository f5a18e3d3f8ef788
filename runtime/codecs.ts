// Avro on the wire: magic byte, schema id, avsc bytes. Encodes our events, decodes every writer's.
import avro from 'avsc'
import type { z } from 'zod'
import { PipelineError } from '../contracts/errors.ts'
import { NAMESPACE, type SCHEMAS, type SchemaName, avroOf } from '../contracts/schemas.ts'
import { TOPICS, type TopicName } from '../contracts/topics.ts'

/** The topics whose values are Avro, and the schema of each. */
export type AvroTopics = {
  assets: 'Asset'
  findings: 'Finding'
  vulnerabilities: 'Vulnerability'
  connectorErrors: 'ConnectorError'
  runs: 'Run'
}
export type AvroTopic = keyof AvroTopics
export const AVRO_TOPICS: readonly AvroTopic[] = [
  'assets',
  'findings',
  'vulnerabilities',
  'connectorErrors',
  'runs',
]

/** The event type of a schema. */
export type EventOf<N extends SchemaName> = z.infer<(typeof SCHEMAS)[N]>

/** What a value says: which schema wrote it, and its event as this build's schema reads it. */
export type Decoded = {
  [N in SchemaName]: { readonly schemaName: N; readonly value: EventOf<N> }
}[SchemaName]

export type Codecs = {
  /** @throws PipelineError SERIALIZATION with the paths that do not fit, or when it is too big. */
  encode<T extends AvroTopic>(topic: T, value: EventOf<AvroTopics[T]>): Buffer
  /**
   * Plain objects, synchronously, for writer ids that are loaded: ours from the start, others once
   * `decodeAny` has met them. @throws PipelineError SERIALIZATION for anything else.
   */
  decode(buffer: Buffer): Decoded
  /**
   * As `decode`; asks the registry for a writer id it has not met.
   * @throws PipelineError SERIALIZATION (poison), or TEMPORARY_FAILURE: the registry is away
   */
  decodeAny(buffer: Buffer): Promise<Decoded>
}

/** Kafka's default `max.message.bytes` is 1 MiB for a whole batch: this leaves room. */
export const EVENT_BYTES_MAX = 1_000_000
const PREFIX_BYTES = 5
const POOL_BYTES_START = 64 * 1024
const PATHS_MAX = 20
/** Schema ids exist once per registered version: more than this is a registry gone wrong. */
const WRITERS_MAX = 10_000

type Reader = { readonly schemaName: SchemaName; readonly type: avro.Type }
type Resolver = ReturnType<avro.Type['createResolver']>
type Writer = Reader & { readonly resolver: Resolver | undefined }

/** The avsc type of this build's schema `name`. */
export const readerType = (name: SchemaName): avro.Type =>
  avro.Type.forSchema(avroOf(name) as avro.Schema, { omitRecordMethods: true })

/**
 * `ids` are the registered ids of this build's schemas; `fetchType` asks the registry for the
 * schema of an id and throws PipelineError.
 */
export function createCodecs(
  ids: Readonly<Record<AvroTopic, number>>,
  fetchType: (id: number) => Promise<avro.Type>,
): Codecs {
  const readers = new Map<SchemaName, avro.Type>()
  const writers = new Map<number, Writer>()
  for (const topic of AVRO_TOPICS) {
    const name = schemaOf(topic)
    const type = readerType(name)
    readers.set(name, type)
    writers.set(ids[topic], { schemaName: name, type, resolver: undefined })
  }
  const encoder = createEncoder()

  const load = async (id: number): Promise<Writer> => {
    const writer = writerOf(await fetchType(id), readers, id)
    if (writers.size < WRITERS_MAX) writers.set(id, writer)
    return writer
  }

  return {
    encode(topic, value) {
      const type = readers.get(schemaOf(topic))
      if (type === undefined) throw poison(`no schema is loaded for ${topic}`)
      return encoder(ids[topic], type, value)
    },
    decode(buffer) {
      const id = writerId(buffer)
      const writer = writers.get(id)
      if (writer === undefined) throw poison(`schema id ${id} is not loaded`)
      return read(writer, buffer)
    },
    async decodeAny(buffer) {
      const id = writerId(buffer)
      return read(writers.get(id) ?? (await load(id)), buffer)
    },
  }
}

const schemaOf = (topic: TopicName): SchemaName => {
  const name = TOPICS[topic].schema
  if (name === null) throw poison(`topic ${topic} has no schema`)
  return name
}

function poison(message: string, violations: readonly string[] = [], cause?: unknown) {
  return new PipelineError('SERIALIZATION', 'REGISTRY', message, { violations, cause })
}

function writerId(buffer: Buffer): number {
  if (buffer.length < PREFIX_BYTES) throw poison(`${buffer.length} bytes are too few for an event`)
  if (buffer[0] !== 0) throw poison(`the value begins with byte ${buffer[0]}, not with 0`)
  return buffer.readInt32BE(1)
}

/** One resolver per writer id: building it per message would be several hundred times slower. */
function writerOf(type: avro.Type, readers: ReadonlyMap<SchemaName, avro.Type>, id: number) {
  const fullName = type.name ?? '(unnamed)'
  for (const [schemaName, reader] of readers) {
    if (`${NAMESPACE}.${schemaName}` !== fullName) continue
    try {
      return { schemaName, type: reader, resolver: reader.createResolver(type) }
    } catch (cause) {
      throw poison(`schema ${id} (${fullName}) cannot be read by this version`, [], cause)
    }
  }
  throw poison(`schema ${id} (${fullName}) is not one of ours`)
}

function read(writer: Writer, buffer: Buffer): Decoded {
  let value: unknown
  try {
    // avsc refuses bytes left over and values that end too soon.
    value = writer.type.fromBuffer(buffer.subarray(PREFIX_BYTES), writer.resolver)
  } catch (cause) {
    throw poison(`the bytes do not fit schema ${writer.schemaName}`, [], cause)
  }
  return { schemaName: writer.schemaName, value: plain(value) } as Decoded
}

/** avsc gives instances of generated classes; events are plain data all the way down. */
function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(plain)
  const copy: Record<string, unknown> = { ...value }
  for (const key of Object.keys(copy)) {
    const inner = copy[key]
    if (typeof inner === 'object' && inner !== null) copy[key] = plain(inner)
  }
  return copy
}

/** Encodes into one pooled buffer and hands out a copy of exactly the bytes. */
function createEncoder(): (id: number, type: avro.Type, value: unknown) => Buffer {
  let pool = Buffer.alloc(POOL_BYTES_START)
  return (id, type, value) => {
    let end: number
    try {
      end = type.encode(value, pool, PREFIX_BYTES)
      if (end < 0) {
        const bytes = pool.length - end
        if (bytes > EVENT_BYTES_MAX) throw tooBig(type, bytes)
        pool = Buffer.alloc(bytes)
        end = type.encode(value, pool, PREFIX_BYTES)
      }
    } catch (cause) {
      if (cause instanceof PipelineError) throw cause
      throw poison(`an event does not fit ${type.name}`, invalidPaths(type, value), cause)
    }
    if (end > EVENT_BYTES_MAX) throw tooBig(type, end)
    pool.writeUInt8(0, 0)
    pool.writeInt32BE(id, 1)
    return Buffer.from(pool.subarray(0, end))
  }
}

const tooBig = (type: avro.Type, bytes: number) =>
  poison(`an event of ${type.name} has ${bytes} bytes, at most ${EVENT_BYTES_MAX} fit a topic`)

function invalidPaths(type: avro.Type, value: unknown): string[] {
  const paths: string[] = []
  type.isValid(value, {
    errorHook: (path, _value, expected) => {
      if (paths.length < PATHS_MAX) {
        paths.push(`${path.join('.') || '(root)'}: is not ${expected.typeName}`)
      }
    },
  })
  return paths
}
