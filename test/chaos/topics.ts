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
const SCRIPTS = join(import.meta.dirname, '../python')

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

type Servers = Pick<StackAddresses, 'brokers' | 'registryUrl'>

/** By topic, in log order per partition. */
export type Lines<N extends TopicName> = Record<N, Line[]>

/**
 * All committed records of these topics.
 * @throws Error with what the reader says, or when it takes longer than 90 s
 */
export async function readTopics<N extends TopicName>(
  servers: Servers,
  prefix: string,
  topics: readonly N[],
): Promise<Lines<N>> {
  const reader = await startReader('read_topics.py', servers, prefix, topics)
  const late = setTimeout(() => reader.kill(), READ_TIMEOUT_MS)
  try {
    await reader.ended
    return reader.lines
  } finally {
    clearTimeout(late)
  }
}

export type Recorder<N extends TopicName> = {
  /** What the topics have had by now, whatever compaction has taken since. Once. */
  finish(): Promise<Lines<N>>
  /** The longest time in which a partition was not read to its end; known when it has finished. */
  readonly behindMs: () => number
  /** Ends it, finished or not. */
  close(): Promise<void>
}

/** Follows topics from their first record on, in a process of its own. */
export async function recordTopics<N extends TopicName>(
  servers: Servers,
  prefix: string,
  topics: readonly N[],
): Promise<Recorder<N>> {
  let behindMs = 0
  const reader = await startReader('follow_topics.py', servers, prefix, topics, (word) => {
    behindMs = (word as { behind_ms: number }).behind_ms
  })
  // Who waits for it is told; whoever closes it before has lost interest.
  reader.ended.catch(() => undefined)
  return {
    async finish() {
      const late = setTimeout(() => reader.kill(), READ_TIMEOUT_MS)
      reader.finish()
      try {
        await reader.ended
        return reader.lines
      } finally {
        clearTimeout(late)
      }
    },
    behindMs: () => behindMs,
    async close() {
      reader.kill()
      await reader.ended.catch(() => undefined)
    },
  }
}

type Reader<N extends TopicName> = {
  readonly lines: Lines<N>
  /** Rejects with what it says on stderr. */
  readonly ended: Promise<void>
  /** Ends its input. */
  finish(): void
  kill(): void
}

async function startReader<N extends TopicName>(
  script: string,
  { brokers, registryUrl }: Servers,
  prefix: string,
  topics: readonly N[],
  onWord: (word: unknown) => void = () => undefined,
): Promise<Reader<N>> {
  const specs = topics.map((topic) => `${topicName(prefix, topic)}=${formOf(topic)}`)
  const args = [join(SCRIPTS, script), brokers.join(','), registryUrl, ...specs]
  const child = spawn(await python(), args, { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  child.stderr.on('data', (piece: Buffer) => {
    said = (said + piece.toString()).slice(-SAID_CHARS_MAX)
  })
  // It may have ended when its input does: its code says how.
  child.stdin.on('error', () => undefined)
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  const lines = Object.fromEntries(topics.map((topic) => [topic, []])) as unknown as Lines<N>
  const names = new Map(topics.map((topic) => [topicName(prefix, topic), topic]))
  const collect = async (): Promise<void> => {
    for await (const text of createInterface({ input: child.stdout })) {
      const line = JSON.parse(text) as Line
      const topic = names.get(line.topic)
      if (topic === undefined) onWord(line)
      else lines[topic].push(line)
    }
    const [code, signal] = await closed
    if (code !== 0) throw new Error(`the reader ended with ${code ?? signal}: ${said}`)
  }
  return {
    lines,
    ended: collect(),
    finish: () => void child.stdin.end(),
    kill: () => void child.kill('SIGKILL'),
  }
}
