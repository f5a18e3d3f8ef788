// `exposure tail TOPIC`: the committed records of a topic as JSON lines.
import type { KafkaRecord } from '../contracts/processing.ts'
import { PipelineError } from '../contracts/errors.ts'
import { TOPICS } from '../contracts/topics.ts'
import type { Codecs } from '../runtime/codecs.ts'
import { registrySettings } from '../runtime/config.ts'
import { type LogReader, openLogReader } from '../runtime/kafka/log-reader.ts'
import { createLogger } from '../runtime/log.ts'
import { openRegistry } from '../runtime/registry.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import { UsageError, parse, stopSignal } from './command.ts'
import { loadConfig } from './config.ts'
import { reachKafka } from './reach.ts'

const REGISTRY_TIMEOUT_MS = 10_000
const FOLLOW_PAUSE_MS = 300
/** Records of one partition are decoded and printed in lots, so that memory stays bounded. */
const LOT_RECORDS_MAX = 500

export async function tail(args: readonly string[]): Promise<number> {
  const options = {
    config: { type: 'string' },
    limit: { type: 'string' },
    follow: { type: 'boolean', default: false },
    'from-end': { type: 'boolean', default: false },
  } as const
  const { values, positionals } = parse(args, options, 1)
  const [name] = positionals
  if (name === undefined) throw new UsageError('tail takes one topic')
  const limit = values.limit === undefined ? Infinity : Number(values.limit)
  const isCount = limit === Infinity || (Number.isSafeInteger(limit) && limit > 0)
  if (!isCount) throw new UsageError('--limit takes a whole number above 0')
  const config = loadConfig(values.config)
  const settings = await reachKafka(config)
  const ours = Object.values(TOPICS).some((spec) => spec.name === name)
  const topic = ours ? settings.prefix + name : name
  const registry = openRegistry({
    ...registrySettings(config.registry),
    timeoutMs: REGISTRY_TIMEOUT_MS,
  })
  const codecs = await registry.lookup(settings.prefix)
  const reader = openLogReader(settings, createLogger('tail'))
  // It only reads: what waits for a broker that is gone, for minutes at times, is left as it is.
  stopSignal().addEventListener('abort', () => process.exit(0), { once: true })
  const follow = values.follow || values['from-end']
  const next = new Map<number, bigint>()
  let left = limit
  try {
    const partitions = await partitionsOf(reader, topic, ours)
    for (const partition of partitions) {
      next.set(partition, values['from-end'] ? await reader.endOffset(topic, partition) : 0n)
    }
    while (left > 0) {
      let printed = 0
      for (const partition of partitions) {
        const from = next.get(partition) ?? 0n
        const lot = await readLot(reader, topic, partition, from, Math.min(left, LOT_RECORDS_MAX))
        for (const record of lot.records) {
          console.log(JSON.stringify(await readable(record, codecs)))
        }
        next.set(partition, lot.next)
        left -= lot.records.length
        printed += lot.records.length
        if (left <= 0) break
      }
      if (printed === 0 && !follow) break
      if (printed === 0) await sleep(FOLLOW_PAUSE_MS)
    }
    return 0
  } finally {
    await reader.close()
  }
}

async function partitionsOf(reader: LogReader, topic: string, ours: boolean): Promise<number[]> {
  try {
    return await reader.partitions(topic)
  } catch (cause) {
    const isMissing = cause instanceof PipelineError && cause.failure === 'CONFIGURATION'
    if (ours || !isMissing) throw cause
    const names = Object.values(TOPICS).map((spec) => spec.name)
    throw new PipelineError('CONFIGURATION', 'CONFIG', `there is no topic ${topic}`, {
      cause,
      remediation: `Name one that is there. Ours are ${names.join(', ')}.`,
    })
  }
}

/** Ends a read early. */
class LotFull extends Error {}

async function readLot(
  reader: LogReader,
  topic: string,
  partition: number,
  from: bigint,
  recordsMax: number,
): Promise<{ records: KafkaRecord[]; next: bigint }> {
  const records: KafkaRecord[] = []
  const onRecord = (record: KafkaRecord) => {
    if (records.length === recordsMax) throw new LotFull()
    records.push(copied(record))
  }
  try {
    const { end } = await reader.readToEnd(topic, partition, onRecord, { from })
    return { records, next: end }
  } catch (error) {
    if (!(error instanceof LotFull)) throw error
    return { records, next: (records.at(-1)?.offset ?? from) + 1n }
  }
}

const copied = (record: KafkaRecord): KafkaRecord => ({
  ...record,
  value: record.value === null ? null : Buffer.from(record.value),
})

async function readable(record: KafkaRecord, codecs: Codecs): Promise<object> {
  const { partition, offset, timestampMs, key, headers } = record
  const place = {
    partition,
    offset: String(offset),
    time: new Date(timestampMs).toISOString(),
    key,
  }
  return { ...place, headers, value: await content(record.value, codecs) }
}

async function content(value: Buffer | null, codecs: Codecs): Promise<unknown> {
  if (value === null) return null
  if (value[0] === 0) {
    const decoded = await codecs.decodeAny(value).catch(() => null)
    if (decoded !== null) return decoded.value
  }
  try {
    return JSON.parse(value.toString()) as unknown
  } catch {
    return { base64: value.toString('base64') }
  }
}
