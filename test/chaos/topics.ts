// Topics as a stranger reads them: committed records only, by a client that shares no code with us.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { TOPICS, type TopicName, topicName } from '../../contracts/topics.ts'
import type { StackAddresses } from '../support/global-setup.ts'
import { python } from '../support/python.ts'

const READ_TIMEOUT_MS = 90_000
const SAID_CHARS_MAX = 4_000
const SCRIPT = join(import.meta.dirname, '../python/read_topics.py')

/** One record; `value` by the topic: an event, parsed JSON, or base64 of the bytes. */
export type Line<V = unknown> = {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Epoch milliseconds. */
  readonly timestamp: number
  readonly key: string | null
  readonly headers: Readonly<Record<string, string>>
  readonly value: V | null
}

/** How values of a topic are read. */
const formOf = (topic: TopicName): 'avro' | 'json' | 'bytes' => {
  if (TOPICS[topic].schema !== null) return 'avro'
  return topic === 'checkpoints' || topic === 'connections' ? 'json' : 'bytes'
}

/**
 * All committed records of these topics by topic, in log order per partition.
 * @throws Error with what the reader says, or when it takes longer than 90 s
 */
export async function readTopics<N extends TopicName>(
  { brokers, registryUrl }: Pick<StackAddresses, 'brokers' | 'registryUrl'>,
  prefix: string,
  topics: readonly N[],
): Promise<Record<N, Line[]>> {
  const specs = topics.map((topic) => `${topicName(prefix, topic)}=${formOf(topic)}`)
  const child = spawn(await python(), [SCRIPT, brokers.join(','), registryUrl, ...specs], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: READ_TIMEOUT_MS,
  })
  let said = ''
  child.stderr.on('data', (piece: Buffer) => {
    said = (said + piece.toString()).slice(-SAID_CHARS_MAX)
  })
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  const lines = Object.fromEntries(topics.map((topic) => [topic, []])) as unknown as Record<
    N,
    Line[]
  >
  const names = new Map(topics.map((topic) => [topicName(prefix, topic), topic]))
  for await (const text of createInterface({ input: child.stdout })) {
    const line = JSON.parse(text) as Line
    const topic = names.get(line.topic)
    if (topic !== undefined) lines[topic].push(line)
  }
  const [code, signal] = await closed
  if (code === 0) return lines
  throw new Error(`the reader ended with ${code ?? signal}: ${said}`)
}
