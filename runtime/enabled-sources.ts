// Which streams of a connection are pulled, and in which order.
import type { Source } from '../contracts/ports.ts'
import type { ConnectionConfig } from './connection-config.ts'

const ORDER = { assets: 0, both: 1, findings: 2 } as const

/** The sources of a connection that are switched on, in the order in which they are pulled. */
export function enabledSources<Client>(
  config: ConnectionConfig,
  sources: readonly Source<Client, unknown>[],
): Source<Client, unknown>[] {
  return sources
    .filter((source) => config.streams?.[source.stream]?.enabled !== false)
    .toSorted((a, b) => ORDER[a.entities] - ORDER[b.entities])
}
