// The worlds of every type of sink that holds state; the compiler asks for those that are missing.
import type { StateSinkType } from '../../../sinks/sinks.ts'
import { openSearchWorlds } from './opensearch.ts'
import { parquetWorlds } from './parquet.ts'
import { postgresWorlds } from './postgres.ts'
import type { SinkWorlds } from './sink-world.ts'

export const SINK_WORLDS: Readonly<Record<StateSinkType, SinkWorlds>> = {
  opensearch: openSearchWorlds,
  parquet: parquetWorlds,
  postgres: postgresWorlds,
}
