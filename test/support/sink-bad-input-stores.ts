// Every store that bad input is tried on, and how its content is read back.
import {
  type ReadBack,
  readEcs,
  readEvent,
  readOcsf,
  readParquet,
  readPostgres,
} from './sink-read-back.ts'
import { openSearchWorldsIn } from './sink-worlds/opensearch.ts'
import type { SinkWorlds } from './sink-worlds/sink-world.ts'
import { SINK_WORLDS } from './sink-worlds/worlds.ts'

export type BadInputStore = {
  /** Its column in the table. */
  readonly name: string
  readonly type: keyof typeof SINK_WORLDS
  readonly worlds: SinkWorlds
  readonly read: ReadBack
}

const of = (type: keyof typeof SINK_WORLDS, read: ReadBack): BadInputStore => ({
  name: type,
  type,
  worlds: SINK_WORLDS[type],
  read,
})
const search = (format: 'ocsf' | 'ecs', read: ReadBack): BadInputStore => ({
  name: `opensearch, ${format.toUpperCase()}`,
  type: 'opensearch',
  worlds: openSearchWorldsIn(format),
  read,
})

export const BAD_INPUT_STORES: readonly BadInputStore[] = [
  of('postgres', readPostgres),
  search('ocsf', readOcsf),
  search('ecs', readEcs),
  of('parquet', readParquet),
  of('splunk', readOcsf),
  of('kafka-json', readOcsf),
  of('webhook', readEvent),
]
