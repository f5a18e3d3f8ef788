// exposure.connections: which connections are polled, as versioned JSON, secrets as references.
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { partitionOf } from '../contracts/placement.ts'
import type { OutRecord } from '../contracts/processing.ts'
import { TOPICS, VENDOR_ID, topicName } from '../contracts/topics.ts'
import type { ReadToEnd } from './checkpoint.ts'

const definitionSchema = z.object({
  v: z.literal(1),
  name: z.string().min(1),
  vendor: z.string().regex(VENDOR_ID),
  /** Of the API: connections to one host share a partition, and so one process and its limits. */
  host: z.string().min(1),
  /** By the operator's command; exposure.yaml's own `paused` stands among the settings. */
  paused: z.boolean(),
  /** As exposure.yaml has them, defaults filled in. */
  settings: z.looseObject({
    paused: z.boolean().optional(),
    streams: z.record(z.string(), z.looseObject({ enabled: z.boolean().optional() })).optional(),
  }),
})
export type Definition = z.infer<typeof definitionSchema>

/** One record that is there. `definition` null: written by another version of exposure-stream. */
export type KnownConnection = {
  readonly name: string
  readonly partition: number
  readonly definition: Definition | null
}

const PARTITIONS = TOPICS.connections.partitions
const EVERY_PARTITION: readonly number[] = Array.from({ length: PARTITIONS }, (_, p) => p)

export const connectionPartition = (host: string): number => partitionOf(host, PARTITIONS)

/** Whoever paused it: nothing is polled, so nothing is closed. */
export const isPaused = ({ paused, settings }: Definition): boolean =>
  paused || settings.paused === true

/** No run of the stream comes until the operator has switched it on. */
export const isSwitchedOff = ({ settings }: Definition, stream: string): boolean =>
  settings.streams?.[stream]?.enabled === false

export const connectionRecord = (prefix: string, definition: Definition): OutRecord => ({
  ...tombstone(prefix, definition.name, connectionPartition(definition.host)),
  value: Buffer.from(JSON.stringify(definition)),
})

const tombstone = (prefix: string, name: string, partition: number): OutRecord => ({
  topic: topicName(prefix, 'connections'),
  partition,
  key: name,
  value: null,
  headers: { 'content-type': 'application/json' },
})

/** Tombstones wherever the name stands. */
export const forgetConnection = (
  prefix: string,
  name: string,
  known: readonly KnownConnection[],
): OutRecord[] =>
  known.filter((one) => one.name === name).map((one) => tombstone(prefix, name, one.partition))

/** What stands in these partitions, from their start; default: in all of them. */
export async function loadConnections(
  prefix: string,
  readToEnd: ReadToEnd,
  partitions: readonly number[] = EVERY_PARTITION,
): Promise<KnownConnection[]> {
  const topic = topicName(prefix, 'connections')
  const known: KnownConnection[] = []
  for (const partition of partitions) {
    const latest = new Map<string, Buffer>()
    await readToEnd(topic, partition, ({ key, value }) => {
      if (value === null) latest.delete(key)
      else latest.set(key, Buffer.from(value))
    })
    for (const [name, value] of latest) {
      known.push({ name, partition, definition: parseDefinition(value) })
    }
  }
  return known
}

function parseDefinition(value: Buffer): Definition | null {
  try {
    return definitionSchema.parse(JSON.parse(value.toString()))
  } catch {
    // Of another version: shown and left alone, never taken for something else.
    return null
  }
}

/** True while the topic says of the connection just what `definition` says. */
export async function definitionStands(
  prefix: string,
  readToEnd: ReadToEnd,
  definition: Definition,
): Promise<boolean> {
  const partition = connectionPartition(definition.host)
  const known = await loadConnections(prefix, readToEnd, [partition])
  return known.some((one) => isDeepStrictEqual(one.definition, definition))
}

/** What is to be written so that `wanted` stand there; the operator's pause stays. */
export function definitionChanges(
  prefix: string,
  wanted: readonly Definition[],
  known: readonly KnownConnection[],
): OutRecord[] {
  return wanted.flatMap((definition) => {
    const there = known.filter(({ name }) => name === definition.name)
    const paused = there.some((one) => one.definition?.paused === true)
    const next = { ...definition, paused }
    const partition = connectionPartition(next.host)
    const same = there.some(
      (one) => one.partition === partition && isDeepStrictEqual(one.definition, next),
    )
    // A name at another host must not be polled at both.
    const moved = there.filter((one) => one.partition !== partition)
    return [
      ...forgetConnection(prefix, next.name, moved),
      ...(same ? [] : [connectionRecord(prefix, next)]),
    ]
  })
}
