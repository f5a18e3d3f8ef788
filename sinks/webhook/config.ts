// The settings of webhooks for connector errors: Slack, PagerDuty, or JSON to anything else.
import { z } from 'zod'
import { commonConnection, pastedUrl } from '../../runtime/connection-config.ts'
import { secretReference } from '../../runtime/environment.ts'
import { commonSink, sinkName, sinkStart } from '../../runtime/sink-settings.ts'

const common = {
  ...commonSink,
  name: sinkName.default('webhook'),
  /** Unlike a store, nobody wants to be woken for what is long over. */
  start: sinkStart.default('now'),
  /** Tells of a condition that goes on as well, each time it is told: once a minute at most. */
  ongoing: z.boolean().default(false),
  proxy: commonConnection.proxy,
  caFile: commonConnection.caFile,
}

/** A member of `sinks.webhook` in the settings. The address of most webhooks is a secret. */
export const webhookConfig = z.discriminatedUnion('format', [
  z.strictObject({ ...common, format: z.literal('slack'), url: secretReference }),
  z.strictObject({
    ...common,
    format: z.literal('pagerduty'),
    /** Of the service's integration "Events API v2". */
    routingKey: secretReference,
    /** `https://events.eu.pagerduty.com` for accounts in the EU. */
    eventsUrl: pastedUrl.default('https://events.pagerduty.com'),
  }),
  z.strictObject({
    ...common,
    format: z.literal('json'),
    url: secretReference,
    /** The key of the signature; without it, calls are not signed. */
    signingKey: secretReference.optional(),
  }),
])

export type WebhookConfig = z.infer<typeof webhookConfig>
