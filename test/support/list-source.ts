// A Source over a list in memory, and what runSource needs to run it against the real broker.
import { z } from 'zod'
import type { ConnectorError } from '../../contracts/connector-error.ts'
import type { Chunk, PullContext, PullEnd, RejectedItem, Source } from '../../contracts/ports.ts'
import { readerType } from '../../runtime/codecs.ts'
import { type ErrorReporter, createErrorReporter } from '../../runtime/error-reporter.ts'
import { createKafka } from '../../runtime/kafka/client.ts'
import { openLogReader } from '../../runtime/kafka/log-reader.ts'
import { openSession } from '../../runtime/kafka/session.ts'
import type { KafkaSettings } from '../../runtime/kafka/types.ts'
import { createLogger } from '../../runtime/log.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import type { RunSourceOptions, StreamTask } from '../../runtime/run-source.ts'

export const CONNECTION = 'prod'
export const STREAM = 'compute.hosts'
export const TENANT = 'acme'
const ENDPOINT = '/api/v1/hosts'
/** Longer than a test: a transaction left open is ended by a fence or not at all. */
const TRANSACTION_TIMEOUT_MS = 110_000

/** With `tooLargeBytes` it has no body. */
export type Item = { readonly unit: string; readonly tooLargeBytes?: number }
export type List = {
  /** Default: STREAM. */
  readonly stream?: string
  /** The chunks of the listing. */
  readonly chunks: readonly (readonly Item[])[]
  /** By the index of its chunk. */
  readonly rejected?: Readonly<Record<number, readonly RejectedItem[]>>
  /** False: chunks give no place to go on from. */
  readonly resumable?: boolean
  readonly end?: PullEnd
  /** Before the chunk of that index is given; the listing's end has the index after the last. */
  readonly before?: (index: number, context: PullContext) => Promise<void> | void
  /** Told where each pull began. */
  readonly onPull?: (from: ListCheckpoint | null) => void
}
const listCheckpoint = z.object({ next: z.int() })
export type ListCheckpoint = z.infer<typeof listCheckpoint>
export const COMPLETE: PullEnd = { verdict: 'COMPLETE', declared: null, reason: null }

/** `sizes` units per chunk: u0, u1 and so on. */
export function listOf(...sizes: number[]): Item[][] {
  let next = 0
  return sizes.map((size) => Array.from({ length: size }, () => ({ unit: `u${next++}` })))
}

export const bodyOf = (unit: string): Buffer => Buffer.from(`{ "_id": "${unit}", "n": 1.50 }`)

export function listSource(list: List): Source<null, unknown> {
  const { chunks, rejected = {}, resumable = true, end = COMPLETE } = list
  return {
    vendor: 'prisma-cloud',
    product: 'prisma-compute',
    stream: list.stream ?? STREAM,
    kind: 'SNAPSHOT',
    entities: 'both',
    checkpoint: listCheckpoint,
    async *pull(_client, from, context): AsyncGenerator<Chunk<ListCheckpoint>, PullEnd> {
      const start = from === null ? null : listCheckpoint.parse(from)
      list.onPull?.(start)
      for (let index = start?.next ?? 0; index < chunks.length; index++) {
        await list.before?.(index, context)
        yield {
          units: (chunks[index] ?? []).map(({ unit, tooLargeBytes }) => ({
            unit,
            assetNativeId: `host|${unit}`,
            body: tooLargeBytes === undefined ? bodyOf(unit) : null,
            sizeBytes: tooLargeBytes ?? bodyOf(unit).length,
            contentType: 'application/json',
            columns: null,
          })),
          rejected: rejected[index] ?? [],
          endpoint: ENDPOINT,
          fetchedAtMs: context.nowMs(),
          page: index + 1,
          checkpoint: resumable ? { next: index + 1 } : null,
        }
      }
      await list.before?.(chunks.length, context)
      return end
    },
  }
}

export const taskOf = (list: List): StreamTask<null> => ({
  connection: CONNECTION,
  tenant: TENANT,
  client: null,
  source: listSource(list),
})

const types = { run: readerType('Run'), error: readerType('ConnectorError') }

/** What runSource needs, of one process; `told` is every connector error it has sent. */
export function runOptions(settings: KafkaSettings): {
  options: RunSourceOptions
  told: ConnectorError[]
  reporter: ErrorReporter
  close: () => Promise<void>
} {
  const log = createLogger('test')
  const client = createKafka(settings, 'test-source', log)
  const reader = openLogReader(settings, log)
  const told: ConnectorError[] = []
  const reporter = createErrorReporter({
    prefix: settings.prefix,
    version: 'test',
    send: async (records) => {
      for (const { value } of records) {
        const decoded: unknown = types.error.fromBuffer(value ?? Buffer.alloc(0))
        told.push(decoded as ConnectorError)
      }
    },
    encode: (value) => types.error.toBuffer(value),
    open: [],
    readTail: async () => [],
    disconnectedAfterMs: 600_000,
    nowMs: Date.now,
    log,
  })
  const options: RunSourceOptions = {
    prefix: settings.prefix,
    openSession: (transactionalId) =>
      openSession(client, { transactionalId, transactionTimeoutMs: TRANSACTION_TIMEOUT_MS }),
    readToEnd: (topic, partition, onRecord) => reader.readToEnd(topic, partition, onRecord),
    encodeRun: (value) => types.run.toBuffer(value),
    reporter,
    counters: createMetrics().of(`${CONNECTION}|${STREAM}`),
    nowMs: Date.now,
    log,
    signal: new AbortController().signal,
  }
  return { options, told, reporter, close: () => reader.close() }
}
