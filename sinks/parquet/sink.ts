// The Parquet lake: rows wait in memory until they are worth a file; the manifest says what is in.
import { access, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { OpenSink, Rejection, Sink, SinkBatch } from '../../contracts/ports.ts'
import type { Logger } from '../../runtime/log.ts'
import { auditParquet } from './audit.ts'
import type { ParquetConfig } from './config.ts'
import { lakeError } from './faults.ts'
import { compactOne } from './compact.ts'
import { commitEntry, moveFiles, newestEntry, sweepStaging } from './manifest.ts'
import { rowOf } from './rows.ts'
import { TABLES } from './tables.ts'
import { VIEWS_FILE, lakeViews } from './views.ts'
import { type ParquetWriter, openWriter } from './writer.ts'
import { type Waiting, isWaiting, restarted } from './waiting.ts'

/** Of all rows that wait, as text; beyond it the partition with most of them becomes a file. */
const WAITING_BYTES_MAX = 64 * 1024 * 1024
/** How often rows that wait are looked at. */
const LOOK_MS = 1_000
const WRITING = 'writing to the Parquet lake'

/**
 * Rows that only wait are lost with the process and read again: the stored offset is that of the
 * newest entry of the manifest, and whoever is given a partition begins there.
 */
export function createParquetSink(config: ParquetConfig, { log }: { readonly log: Logger }): Sink {
  return {
    name: 'parquet',
    async open() {
      let writer: ParquetWriter | null = null
      try {
        await access(config.path)
        await sweepStaging(config.path)
        writer = await openWriter()
        for (const table of Object.values(TABLES)) {
          await moveFiles(config.path, { files: [await writer.empty(config.path, table)] })
        }
        await writeFile(join(config.path, VIEWS_FILE), lakeViews(config.path))
        return new Lake(config, writer, log)
      } catch (error) {
        writer?.close()
        throw lakeError(error, 'opening the Parquet lake')
      }
    },
    audit: () => auditParquet(config),
  }
}

const keyOf = (topic: string, partition: number) => `${topic}-${partition}`

class Lake implements OpenSink {
  readonly #config: ParquetConfig
  readonly #writer: ParquetWriter
  readonly #log: Logger
  readonly #partitions = new Map<string, Waiting>()
  /** Another member has written there: rows of ours are gone, and must be read again first. */
  readonly #lost = new Set<string>()
  readonly #timer: NodeJS.Timeout
  #turn: Promise<unknown> = Promise.resolve()
  #compactedMs = performance.now()
  #closing: Promise<void> | null = null

  constructor(config: ParquetConfig, writer: ParquetWriter, log: Logger) {
    this.#config = config
    this.#writer = writer
    this.#log = log
    this.#timer = setInterval(() => {
      this.#compactInTime()
      // The next batch meets the same fault, and whoever writes it tells of it.
      this.#inTurn(WRITING, () => this.#flushAged()).catch((error: unknown) =>
        log.debug({ err: error }, 'rows of the lake go on waiting'),
      )
    }, LOOK_MS)
    this.#timer.unref()
  }

  storedOffset(topic: string, partition: number): Promise<bigint> {
    return this.#inTurn('reading the manifest of the Parquet lake', async () => {
      const key = keyOf(topic, partition)
      const waiting = this.#partitions.get(key)
      if (waiting !== undefined) {
        await this.#flush(waiting).catch((error: unknown) =>
          this.#log.debug({ err: error }, 'rows of the lake are read again'),
        )
      }
      // Dealt anew: another member may have gone on meanwhile, so only the manifest counts.
      this.#partitions.delete(key)
      this.#lost.delete(key)
      return BigInt((await newestEntry(this.#config.path, topic, partition))?.next ?? 0)
    })
  }

  write(batch: SinkBatch): Promise<Rejection[]> {
    return this.#inTurn(WRITING, async () => {
      if (this.#closing !== null) throw new Error('the lake is closed')
      const waiting = await this.#waitingOf(batch)
      const rejections = add(waiting, batch)
      // Until its dead letters are out no offset may move beyond them: the next call says so.
      waiting.isHeld = rejections.length > 0
      if (waiting.isHeld) return rejections
      const { rowsMax, every } = this.#config
      const isDue = waiting.rows.length >= rowsMax || performance.now() - waiting.sinceMs >= every
      if (isDue) await this.#flush(waiting)
      await this.#makeRoom()
      return rejections
    })
  }

  flush(): Promise<void> {
    return this.#inTurn(WRITING, async () => {
      for (const waiting of this.#partitions.values()) await this.#flush(waiting)
    })
  }

  close(): Promise<void> {
    this.#closing ??= this.#inTurn('closing the Parquet lake', async () => {
      clearInterval(this.#timer)
      for (const waiting of this.#partitions.values()) await this.#flush(waiting)
    })
      .catch((error: unknown) => this.#log.debug({ err: error }, 'rows of the lake are read again'))
      .finally(() => this.#writer.close())
    return this.#closing
  }

  /** One at a time: all share DuckDB, and a partition must not be written twice at once. */
  #inTurn<T>(doing: string, work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work).catch((error: unknown) => {
      throw lakeError(error, doing)
    })
    this.#turn = mine.catch(() => undefined)
    return mine
  }

  async #waitingOf({ topic, partition, firstOffset }: SinkBatch): Promise<Waiting> {
    const key = keyOf(topic, partition)
    if (this.#lost.has(key)) throw lakeError(null, `${key} must be read again`)
    const known = this.#partitions.get(key)
    if (known !== undefined) return known
    const { path } = this.#config
    let newest = await newestEntry(path, topic, partition)
    if (newest === null) {
      const range = { first: `${firstOffset}`, next: `${firstOffset}` }
      newest = { topic, partition, ...range, rows: 0, files: [] }
      // A group that began later than the log does must not be sent to its beginning.
      await commitEntry(path, newest)
    }
    const waiting = restarted(topic, partition, BigInt(newest.next))
    this.#partitions.set(key, waiting)
    return waiting
  }

  async #flush(waiting: Waiting): Promise<void> {
    if (!isWaiting(waiting) || waiting.isHeld) return
    const { topic, partition, first, next, rows, table } = waiting
    const { path } = this.#config
    const key = keyOf(topic, partition)
    const name = `${key}-${first}-${next - 1n}`
    const files = table === null ? [] : await this.#writer.stage(path, table, rows, name)
    const range = { first: `${first}`, next: `${next}` }
    const entry = { topic, partition, ...range, rows: rows.length, files }
    if (await commitEntry(path, entry)) {
      this.#partitions.set(key, restarted(topic, partition, next))
      return
    }
    this.#partitions.delete(key)
    this.#lost.add(key)
    throw lakeError(null, `another member has written ${key} from offset ${first}`)
  }

  async #flushAged(): Promise<void> {
    const oldestMs = performance.now() - this.#config.every
    const aged = [...this.#partitions.values()].filter(({ sinceMs }) => sinceMs <= oldestMs)
    for (const waiting of aged) await this.#flush(waiting)
  }

  /** One folder at a look, so that batches wait for no more than that. */
  #compactInTime(): void {
    const { path, compactEvery } = this.#config
    if (performance.now() - this.#compactedMs < compactEvery) return
    const before = this.#compactedMs
    this.#compactedMs = performance.now()
    const again = (hasMore: boolean) => {
      if (hasMore) this.#compactedMs = before
    }
    this.#inTurn('compacting the Parquet lake', () => compactOne(path, this.#writer, Date.now()))
      .then(again)
      .catch((error: unknown) => this.#log.debug({ err: error }, 'the lake keeps small files'))
  }

  async #makeRoom(): Promise<void> {
    const all = [...this.#partitions.values()].toSorted((a, b) => b.bytes - a.bytes)
    let bytes = all.reduce((sum, waiting) => sum + waiting.bytes, 0)
    for (const waiting of all) {
      if (bytes <= WAITING_BYTES_MAX) return
      await this.#flush(waiting)
      bytes -= waiting.bytes
    }
  }
}

/** Takes in the rows that are not there yet. */
function add(waiting: Waiting, { topic, partition, records, nextOffset }: SinkBatch): Rejection[] {
  const rejections: Rejection[] = []
  if (!isWaiting(waiting)) waiting.sinceMs = performance.now()
  for (const [index, record] of records.entries()) {
    if (record.offset < waiting.next) continue
    const row = rowOf(record, topic, partition)
    if (typeof row === 'string') {
      rejections.push({ index, reason: row })
      continue
    }
    waiting.table = TABLES[record.kind]
    waiting.bytes += row.bytes
    waiting.rows.push(row)
  }
  if (nextOffset > waiting.next) waiting.next = nextOffset
  return rejections
}
