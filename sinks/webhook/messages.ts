// From a connector error to the body that a webhook takes. Pure.
import type { ConnectorError } from '../../contracts/connector-error.ts'
import { FAILURES } from '../../contracts/errors.ts'
import type { Severity } from '../../contracts/event-meta.ts'

/** What the other side is to do with its incident of that fingerprint. */
export type Action = 'trigger' | 'update' | 'resolve'

/** Of Slack, for the text of a section. */
const SLACK_CHARACTERS_MAX = 2_900
/** Of PagerDuty, for a summary. */
const SUMMARY_CHARACTERS_MAX = 1_000

const titleOf = ({ error_type: type }: ConnectorError): string =>
  type === 'UNKNOWN' ? 'Unknown failure' : FAILURES[type].title

/** `prisma-prod compute.hosts`, `sink postgres`, or where in the product it is. */
function placeOf(error: ConnectorError): string {
  const { connection_id: connection, stream, sink_id: sink, stage } = error
  const names = [connection, stream, sink === null ? null : `sink ${sink}`]
  const known = names.filter((name) => name !== null)
  return known.length === 0 ? stage : known.join(' ')
}

/** Neither half of a surrogate pair nor a piece of what `escaped` has put in stays at its end. */
const cut = (text: string, charactersMax: number): string =>
  text.length <= charactersMax
    ? text
    : text.slice(0, charactersMax).replace(/(?:[\uD800-\uDBFF]|&[a-z]{0,3})$/, '')

const iso = (ms: number): string => new Date(ms).toISOString()

// --- Slack ----------------------------------------------------------------------------------

/** What Slack would read as a link, a mention or an entity. */
const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

const HEADS = { trigger: ':rotating_light:', update: ':hourglass:', resolve: ':white_check_mark:' }
const WORDS = { trigger: '', update: ' goes on', resolve: ' is over' }

/** A message of blocks; `text` is what notifications show. */
export function slackBody(error: ConnectorError, action: Action): object {
  const title = `${titleOf(error)}${WORDS[action]}: ${placeOf(error)}`
  const next = action === 'resolve' ? [] : [`*Next step:* ${escaped(error.remediation)}`]
  const body = cut([escaped(error.message), ...next].join('\n'), SLACK_CHARACTERS_MAX)
  const times = `${error.severity} · since ${iso(error.first_at)} · ${error.occurrences} times`
  return {
    text: escaped(title),
    blocks: [
      { type: 'section', text: { type: 'mrkdwn', text: `${HEADS[action]} *${escaped(title)}*` } },
      { type: 'section', text: { type: 'mrkdwn', text: body } },
      {
        type: 'context',
        elements: [{ type: 'mrkdwn', text: `${times} · ${error.fingerprint}` }],
      },
    ],
  }
}

// --- PagerDuty ------------------------------------------------------------------------------

const PAGERDUTY_SEVERITIES: Readonly<Record<Severity, string>> = {
  UNKNOWN: 'warning',
  INFORMATIONAL: 'info',
  LOW: 'info',
  MEDIUM: 'warning',
  HIGH: 'error',
  CRITICAL: 'critical',
}

/** Of the Events API v2. An update triggers again, which PagerDuty adds to its incident. */
export function pagerDutyBody(error: ConnectorError, action: Action, routingKey: string): object {
  const summary = `${titleOf(error)}: ${placeOf(error)}: ${error.message}`
  const head = { routing_key: routingKey, dedup_key: error.fingerprint }
  if (action === 'resolve') return { ...head, event_action: 'resolve' }
  return {
    ...head,
    event_action: 'trigger',
    client: 'exposure-stream',
    payload: {
      summary: cut(summary, SUMMARY_CHARACTERS_MAX),
      source: error.instance ?? 'exposure-stream',
      severity: PAGERDUTY_SEVERITIES[error.severity],
      timestamp: iso(error.first_at),
      component: placeOf(error),
      group: error.vendor ?? 'exposure-stream',
      class: error.error_type,
      custom_details: {
        stage: error.stage,
        remediation: error.remediation,
        occurrences: error.occurrences,
        last_at: iso(error.last_at),
        run_id: error.run_id,
        http_status: error.http?.status ?? null,
      },
    },
  }
}

// --- anything else --------------------------------------------------------------------------

/** The whole event as the contract has it; times are epoch milliseconds. */
export const jsonBody = (error: ConnectorError, action: Action): object => ({
  type: 'exposure.connector-error.v1',
  action,
  dedup_key: error.fingerprint,
  error,
})
