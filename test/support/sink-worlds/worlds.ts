// The worlds of every type of sink; the compiler asks for those that are missing.
import type { SINKS } from '../../../sinks/sinks.ts'
import { kafkaJsonWorlds } from './kafka-json.ts'
import { openSearchWorldsIn } from './opensearch.ts'
import { parquetWorlds } from './parquet.ts'
import { postgresWorlds } from './postgres.ts'
import type { SinkWorlds } from './sink-world.ts'
import { splunkWorlds } from './splunk.ts'
import { webhookWorlds } from './webhook.ts'

export const SINK_WORLDS: Readonly<Record<keyof typeof SINKS, SinkWorlds>> = {
  'kafka-json': kafkaJsonWorlds,
  opensearch: openSearchWorldsIn('ecs'),
  parquet: parquetWorlds,
  postgres: postgresWorlds,
  splunk: splunkWorlds,
  webhook: webhookWorlds,
}
