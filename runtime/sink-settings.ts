// The settings that every sink has: which events it gets, and where it begins.
import { z } from 'zod'
import { changeType, severity } from '../contracts/event-meta.ts'
import { SINK_KINDS } from '../contracts/ports.ts'

/** What is not named lets everything pass. */
const sinkFilter = z.strictObject({
  kinds: z.array(z.enum(SINK_KINDS)).min(1).optional(),
  /** Of findings, vulnerabilities and connector errors; others have none and pass. */
  severities: z.array(severity).min(1).optional(),
  /** Of assets, findings and vulnerabilities; others have none and pass. */
  changes: z.array(changeType).min(1).optional(),
  /** Names of connections; what is of none (an error of a sink) passes. */
  connections: z.array(z.string().min(1)).min(1).optional(),
  /** False: what a stream's first load brings is left out. */
  backfill: z.boolean().optional(),
})
export type SinkFilter = z.infer<typeof sinkFilter>

const ISO = z.iso.datetime({ offset: true, error: 'must be beginning, now, or an ISO time' })

/** Where a consumer group begins that has no offsets yet: `beginning`, `now`, or an ISO time. */
export const sinkStart = z.union([z.enum(['beginning', 'now']), ISO], {
  error: 'must be beginning, now, or an ISO time such as 2026-01-31T00:00:00Z',
})
export type SinkStart = z.infer<typeof sinkStart>

/** The common fields, to be spread into the strict object of a store's settings. */
export const commonSink = {
  filter: sinkFilter.optional(),
  /** Absent: `beginning`. */
  start: sinkStart.optional(),
}

/** The name of one of several sinks of a type: part of its consumer group, so never changed. */
export const sinkName = z.string().regex(/^[a-z0-9-]{1,40}$/, 'must be 1 to 40 of a-z, 0-9 and -')
