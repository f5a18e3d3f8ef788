// Stores side by side: one that refuses holds back no other, and is told about by itself.
import { rmSync, writeFileSync } from 'node:fs'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { PipelineError } from '../../contracts/errors.ts'
import { startSinks } from '../../sinks/main.ts'
import { postgresConfig } from '../../sinks/postgres/config.ts'
import { findingEvent } from '../support/events.ts'
import { eventTopics } from '../support/event-topics.ts'
import { queryLake, testLake } from '../support/lake.ts'
import { secretFile, testDatabase, testLog } from '../support/postgres.ts'
import { waitFor } from '../support/stack.ts'

/** A database whose password file is not there yet, and a lake. */
async function openWorld() {
  const topics = await eventTopics()
  const database = await testDatabase()
  const url = secretFile(database.url)
  const path = url.slice('file:'.length)
  rmSync(path)
  const raised: { readonly error: PipelineError; readonly sink: string | null }[] = []
  const { settings, codecs } = topics
  const pipeline = {
    settings,
    prefix: settings.prefix,
    codecs,
    log: testLog,
    reporter: {
      raise: (error: PipelineError, { sink }: { readonly sink: string | null }) =>
        void raised.push({ error, sink }),
      clear: () => undefined,
    },
  }
  return {
    topics,
    database,
    raised,
    pipeline,
    postgres: postgresConfig.parse({ url }),
    parquet: testLake({ rowsMax: 1 }).config,
    mend: () => writeFileSync(path, database.url),
  }
}

describe('a store that refuses', () => {
  it('is told about and asked again, while the one beside it is written to', async () => {
    const world = await openWorld()
    const { topics, database, raised, pipeline, postgres, parquet } = world
    await topics.put('findings', 'f1', findingEvent('f1'))
    const sinks = await startSinks(pipeline, { postgres, parquet })
    onTestFinished(sinks.stop)
    const inLake = () => queryLake(parquet.path, 'SELECT uid FROM findings').catch(() => [])
    await waitFor(async () => (await inLake()).length === 1, { what: 'the lake has it' })
    expect(raised[0]).toMatchObject({ error: { failure: 'CONFIGURATION' }, sink: 'postgres' })
    world.mend()
    const stored = () => database.query('SELECT finding_uid FROM exposure.finding').catch(() => [])
    await waitFor(async () => (await stored()).length === 1, { what: 'the database has it' })
  })

  it('ends the start when there is no other', async () => {
    const { pipeline, postgres } = await openWorld()
    const starting = startSinks(pipeline, { postgres })
    await expect(starting).rejects.toMatchObject({ failure: 'CONFIGURATION' })
  })
})
