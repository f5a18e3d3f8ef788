// A run of the real processor whose right output is known, and what came out by a stranger's word.
import { randomBytes } from 'node:crypto'
import { createKafka } from '../../runtime/kafka/client.ts'
import { openLogReader, type LogReader } from '../../runtime/kafka/log-reader.ts'
import { runProcessor, type RunningProcessor } from '../../runtime/kafka/processor.ts'
import { openSession } from '../../runtime/kafka/session.ts'
import type { KafkaSettings, OutRecord } from '../../runtime/kafka/types.ts'
import { retrying } from '../../runtime/kafka/waiting.ts'
import {
  countingInput,
  countingProcessor,
  expectedOutputs,
  linesOf,
  OUT_PARTITIONS,
} from '../support/kafka-counting.ts'
import { openScene, testLog, type Scene } from '../support/kafka-scene.ts'
import { runPython } from '../support/python.ts'
import { waitFor } from '../support/wait-for.ts'

const CHUNK_RECORDS_MAX = 8
const SESSION_TIMEOUT_MS = 6_000
const READ_TIMEOUT_MS = 60_000
const WRITE_ATTEMPTS_MAX = 10
const WRITE_PAUSE_MS = 200
const TRANSACTION_TIMEOUT_MS = 20_000
const DIFFERENCES_MAX = 10
/** Values of bytes need none. */
const NO_REGISTRY = '-'

export type CountedOptions = {
  /** The brokers themselves: the input is written and the output read past every attack. */
  readonly brokers: readonly string[]
  readonly replicationFactor?: number
  readonly inputPartitions?: number
  /** Units of each listing, and listings. */
  readonly units: number
  readonly runs: number
  /** Settings of the state topic. */
  readonly stateConfig?: Readonly<Record<string, string>>
  readonly timeoutMs: number
}

export type Counted = {
  readonly scene: Scene
  readonly groupId: string
  readonly input: string
  readonly state: string
  readonly out: string
  /** How often owners met trouble, by the kind of failure. */
  readonly troubles: Map<string, number>
  /** Writes the next of the listings, each in a transaction of its own. False: all are written. */
  writeRun(settings?: KafkaSettings): Promise<boolean>
  /** Starts an owner that reaches Kafka through these brokers. */
  own(brokers: readonly string[]): RunningProcessor
  /** Resolves when the group stands at the end of its input. */
  caughtUp(): Promise<void>
  /** What came out, read by a client that is not kafkajs, beside what had to. */
  compare(): Promise<Comparison>
  /** Stops all owners, deletes the topics. */
  close(): Promise<void>
}

type Comparison = {
  readonly wanted: number
  readonly got: number
  /** One line for each key whose records differ, the first few. Empty: equal, in order. */
  readonly differences: readonly string[]
}

/** Makes the topics; nothing is written or running yet. */
export async function openCounted(options: CountedOptions): Promise<Counted> {
  const { brokers, replicationFactor = 1, inputPartitions = 4, timeoutMs } = options
  const scene = await openScene(brokers, `c-${randomBytes(4).toString('hex')}.`, replicationFactor)
  const input = await scene.topic('in', inputPartitions)
  const state = await scene.topic('state', inputPartitions, {
    'cleanup.policy': 'compact',
    ...options.stateConfig,
  })
  const out = await scene.topic('out', OUT_PARTITIONS)
  const tallies = await scene.topic('tallies', 1)
  const groupId = `${scene.settings.prefix}group`
  const all = countingInput(input, inputPartitions, options.units, options.runs)
  const left = [...Map.groupBy(all, ({ headers }) => headers['run']).values()]
  const written: OutRecord[] = []
  const troubles = new Map<string, number>()
  const owners = new Set<RunningProcessor>()
  const names = { groupId, input, state, out, troubles }

  return {
    ...names,
    scene,
    async writeRun(settings = scene.settings) {
      const records = left.shift()
      if (records === undefined) return false
      await writeOnce(settings, `${settings.prefix}source`, records)
      written.push(...records)
      return left.length > 0
    },
    own(through) {
      const owner = startOwner({ ...scene.settings, brokers: through }, { ...names, tallies })
      owners.add(owner)
      void owner.done.then(() => owners.delete(owner))
      return owner
    },
    caughtUp: () => caughtUp(scene, names, timeoutMs),
    async compare() {
      const expected = expectedOutputs({ out, tallies }, written)
      return comparison(expected, await readBy(brokers, out, tallies))
    },
    async close() {
      await Promise.all([...owners].map((owner) => owner.stop()))
      await scene.close()
    },
  }
}

type Names = Pick<Counted, 'groupId' | 'input' | 'state' | 'out' | 'troubles'>

function startOwner(
  settings: KafkaSettings,
  names: Names & { readonly tallies: string },
): RunningProcessor {
  const { groupId, input, state, out, tallies, troubles } = names
  return runProcessor({
    settings,
    groupId,
    inputTopic: input,
    stateTopic: state,
    transactionalIdPrefix: `${groupId}.${input}`,
    processor: countingProcessor({ out, tallies }),
    chunkRecordsMax: CHUNK_RECORDS_MAX,
    chunkBytesMax: 1_000_000,
    sessionTimeoutMs: SESSION_TIMEOUT_MS,
    concurrency: 4,
    log: testLog,
    onProgress: () => undefined,
    onTrouble: ({ failure }) => void troubles.set(failure, (troubles.get(failure) ?? 0) + 1),
  })
}

/**
 * Writes records once, whatever becomes of an attempt: the first of them says afterwards whether
 * one that failed has been committed after all.
 */
async function writeOnce(
  settings: KafkaSettings,
  transactionalId: string,
  records: readonly OutRecord[],
): Promise<void> {
  const [first] = records
  if (first === undefined) return
  const reader = openLogReader(settings, testLog)
  const client = createKafka(settings, 'chaos-source', testLog)
  const attempt = async (): Promise<void> => {
    // Who opens the id has decided what was under way; only then the log is asked.
    const session = await openSession(client, {
      transactionalId,
      transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
    })
    try {
      if (!(await holds(reader, first))) await session.commit({ outputs: records })
    } finally {
      await session.close()
    }
  }
  try {
    const bounds = { attemptsMax: WRITE_ATTEMPTS_MAX, pauseMs: WRITE_PAUSE_MS }
    await retrying(bounds, () => true, attempt)
  } finally {
    await reader.close()
  }
}

async function holds(reader: LogReader, { topic, partition, key, headers }: OutRecord) {
  let found = false
  await reader.readToEnd(topic, partition, (record) => {
    found ||= record.key === key && record.headers['run'] === headers['run']
  })
  return found
}

async function caughtUp(scene: Scene, names: Names, timeoutMs: number): Promise<void> {
  const done = async (): Promise<boolean> => {
    const lags = await scene.admin.lag(names.groupId, [names.input])
    return lags.every(({ lag, committed }) => lag === 0n && committed !== null)
  }
  await waitFor(done, { timeoutMs, what: 'the group reaches the end of its input' })
}

type Line = { readonly key: string; readonly value: Buffer | null }

/** Every committed record by librdkafka, in log order within each topic's partitions. */
export async function readBy(
  brokers: readonly string[],
  ...topics: readonly string[]
): Promise<Line[]> {
  const specs = topics.map((topic) => `${topic}=bytes`)
  const args = [brokers.join(','), NO_REGISTRY, ...specs]
  return (await runPython('read_topics.py', args, READ_TIMEOUT_MS)).map((line) => {
    const { key, value } = JSON.parse(line) as { key: string; value: string | null }
    return { key, value: value === null ? null : Buffer.from(value, 'base64') }
  })
}

/** Compares key by key, in order. */
function comparison(expected: readonly Line[], got: readonly Line[]): Comparison {
  const wantedLines = linesOf(expected)
  const gotLines = linesOf(got)
  const keys = [...new Set([...wantedLines.keys(), ...gotLines.keys()])]
  const differences = keys.flatMap((key) => {
    const wanted = (wantedLines.get(key) ?? []).join(' ')
    const found = (gotLines.get(key) ?? []).join(' ')
    return wanted === found ? [] : [`${key}: wanted ${wanted}, got ${found}`]
  })
  return {
    wanted: expected.length,
    got: got.length,
    differences: differences.slice(0, DIFFERENCES_MAX),
  }
}
