// An error reporter whose events stay in memory.
import type { ConnectorError } from '../../contracts/connector-error.ts'
import { PipelineError } from '../../contracts/errors.ts'
import type { OutRecord } from '../../contracts/processing.ts'
import type { ErrorScope } from '../../runtime/error-event.ts'
import { type ReporterOptions, createErrorReporter } from '../../runtime/error-reporter.ts'
import { createLogger } from '../../runtime/log.ts'

export const MINUTE_MS = 60_000
export const FLUSH_MS = 5_000

export const scope: ErrorScope = {
  connection: 'prisma',
  vendor: 'prisma-cloud',
  product: 'prisma-compute',
  stream: 'compute.hosts',
  sink: null,
  runId: 'run-1',
}
export const away = new PipelineError('TEMPORARY_FAILURE', 'FETCH', 'GET /hosts: HTTP 502')
export const forbidden = new PipelineError('ACCESS_FORBIDDEN', 'FETCH', 'GET /hosts: HTTP 403')

/** A reporter by a clock that the test moves, and all that it has sent. */
export function reporterWith(options: Partial<ReporterOptions> = {}) {
  const clock = { nowMs: 1_700_000_000_000 }
  const records: OutRecord[] = []
  const reporter = createErrorReporter({
    prefix: 'p.',
    version: '1.2.3',
    send: (batch) => {
      records.push(...batch)
      return Promise.resolve()
    },
    encode: (event) => Buffer.from(JSON.stringify(event)),
    open: [],
    readTail: () => Promise.resolve([]),
    disconnectedAfterMs: 15 * MINUTE_MS,
    nowMs: () => clock.nowMs,
    log: createLogger('test').child({}, { level: 'silent' }),
    ...options,
  })
  const events = async (): Promise<ConnectorError[]> => {
    await reporter.flush(FLUSH_MS)
    return records.map(({ value }) => JSON.parse(String(value)) as ConnectorError)
  }
  const states = async () => (await events()).map((event) => [event.error_type, event.state])
  return { reporter, clock, records, events, states }
}
