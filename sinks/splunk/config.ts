// The settings of the sink for Splunk's HTTP Event Collector.
import { z } from 'zod'
import { commonConnection, duration } from '../../runtime/connection-config.ts'
import { secretReference } from '../../runtime/environment.ts'
import { commonSink, sinkName } from '../../runtime/sink-settings.ts'
import { OCSF_DEFAULT, OCSF_VERSIONS } from '../ocsf/event.ts'

/** The paths of the collector, which people paste with its address. */
const COLLECTOR_PATH = /\/+(services\/collector(\/.*)?)?$/
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/** A token must not cross a network in the clear; to a forwarder on this machine it does not. */
function isSafe(text: string): boolean {
  const url = URL.parse(text)
  return url?.protocol === 'https:' || (url !== null && LOOPBACK.test(url.hostname))
}

/** Words that are no control characters: they are metadata of Splunk. */
const word = z.string().regex(/^[^\p{Cc}]{1,200}$/u, 'must be 1 to 200 printable characters')

/** A member of `sinks.splunk` in the settings. */
export const splunkConfig = z.strictObject({
  ...commonSink,
  name: sinkName.default('splunk'),
  /** Of the collector, usually port 8088; a path before `/services` is kept. */
  url: z
    .url({ protocol: /^https?$/ })
    .refine((text) => URL.parse(text)?.username === '', 'must not contain user or password')
    .refine(isSafe, 'must begin with https://; http:// only to this machine itself')
    .transform((text) => text.replace(COLLECTOR_PATH, '')),
  token: secretReference,
  /** Absent: the index that the token has as its default. */
  index: z
    .string()
    .regex(/^[a-z0-9_][a-z0-9_-]{0,79}$/, 'must be 1 to 80 of a-z, 0-9, _ and -')
    .optional(),
  /** Absent: by kind, `exposure:finding`, `exposure:asset`, … */
  sourcetype: word.optional(),
  source: word.default('exposure-stream'),
  /** Absent: Splunk's own for the token. */
  host: word.optional(),
  /** What events are: OCSF, the Elastic Common Schema, or as the topics have them. */
  format: z.enum(['ocsf', 'ecs', 'event']).default('ocsf'),
  ocsfVersion: z.enum(OCSF_VERSIONS).default(OCSF_DEFAULT),
  /** True: events count as written when Splunk says that they are indexed. */
  ack: z.boolean().default(false),
  /** With `ack`, of one process only. Absent: made at its start. */
  channel: z.guid().optional(),
  /** In ms. What is not acknowledged by then is sent again. */
  ackTimeout: duration.default(120_000),
  gzip: z.boolean().default(true),
  proxy: commonConnection.proxy,
  caFile: commonConnection.caFile,
})

export type SplunkConfig = z.infer<typeof splunkConfig>
