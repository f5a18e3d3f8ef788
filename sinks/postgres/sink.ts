// The PostgreSQL sink: rows and the offset after them in one transaction per batch.
import type { OpenSink, Sink, SinkBatch } from '../../contracts/ports.ts'
import { resolveSecret } from '../../runtime/environment.ts'
import type { Logger } from '../../runtime/log.ts'
import type { PostgresConfig } from './config.ts'
import { type Database, type Query, WRITE_LIMITS, openDatabase } from './database.ts'
import { MIGRATION_LIMITS, migrate } from './migrate.ts'
import { grantReader } from './reader.ts'
import { startSweeper } from './retention.ts'
import { writeRecords } from './write-batch.ts'

const POSTGRES = 'postgres'

export type PostgresSinkContext = {
  /** The consumer group by the name of the sink; offsets are stored under it. */
  readonly groupOf: (name: string) => string
  readonly log: Logger
}

/**
 * When a batch has rejections, its other rows are written but the stored offset stops at the first
 * of them: the caller dead-letters them, then writes the batch again without records, which moves
 * it on. A crash in between repeats dead letters, and loses none.
 */
export function createPostgresSink(
  config: PostgresConfig,
  { groupOf, log }: PostgresSinkContext,
): Sink {
  const url = () => resolveSecret(config.url)
  return {
    name: POSTGRES,
    async open() {
      const setup = openDatabase({ url, poolMax: 1, limits: MIGRATION_LIMITS, log })
      try {
        await migrate(setup, config.schema)
        const role = config.readOnlyRole
        if (role !== undefined) await grantReader(setup, config.schema, role)
      } finally {
        await setup.close()
      }
      const database = openDatabase({ url, poolMax: config.poolMax, limits: WRITE_LIMITS, log })
      const { schema, retention } = config
      const sweeper =
        retention === undefined ? null : startSweeper(database, schema, retention, log)
      const close = async () => {
        await sweeper?.stop()
        await database.close()
      }
      return { ...openSink(database, schema, groupOf(POSTGRES)), close }
    },
  }
}

function openSink(database: Database, schema: string, groupId: string): Omit<OpenSink, 'close'> {
  const rowOf = (topic: string, partition: number) => [groupId, topic, partition]
  const storedIn = async (query: Query, topic: string, partition: number, lock: string) => {
    const { rows } = await query(
      `SELECT next_offset::text AS next FROM "${schema}".sink_offset
       WHERE consumer_group = $1 AND topic = $2 AND partition = $3 ${lock}`,
      rowOf(topic, partition),
    )
    const next: unknown = rows[0]?.next
    return typeof next === 'string' ? BigInt(next) : null
  }

  const writeBatch = async (query: Query, batch: SinkBatch) => {
    const { topic, partition, firstOffset, nextOffset } = batch
    // Two writers of one partition (a member that lost it unnoticed) take turns at this row.
    await query(
      `INSERT INTO "${schema}".sink_offset (consumer_group, topic, partition, next_offset)
       VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
      [...rowOf(topic, partition), String(firstOffset)],
    )
    const stored = (await storedIn(query, topic, partition, 'FOR UPDATE')) ?? firstOffset
    if (stored >= nextOffset) return []
    // stored below firstOffset is no loss: control records and compaction leave holes.
    const rejections = await writeRecords(query, schema, batch, stored)
    const [first] = rejections
    const refused = first === undefined ? undefined : batch.records[first.index]
    await query(
      `UPDATE "${schema}".sink_offset SET next_offset = $4
       WHERE consumer_group = $1 AND topic = $2 AND partition = $3`,
      [...rowOf(topic, partition), String(refused?.offset ?? nextOffset)],
    )
    return rejections
  }

  return {
    async storedOffset(topic, partition) {
      const doing = 'reading the offset from PostgreSQL'
      const work = (query: Query) => storedIn(query, topic, partition, '')
      // No row: this database has nothing of the partition yet, whatever Kafka's group may say.
      return (await database.transaction(doing, work)) ?? 0n
    },
    write: (batch) =>
      database.transaction('writing to PostgreSQL', (query) => writeBatch(query, batch)),
  }
}
