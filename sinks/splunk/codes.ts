// What the codes and statuses of Splunk's HTTP Event Collector mean, and the operator's next step.
import { z } from 'zod'
import type { Failure } from '../../contracts/errors.ts'
import type { AnswerFacts, Refusal } from '../../runtime/http.ts'

export const EVENT_PATH = '/services/collector/event'
export const ACK_PATH = '/services/collector/ack'

/** What the collector says of a request. */
export const answerShape = z.looseObject({
  code: z.int(),
  text: z.string().optional(),
  ackId: z.int().min(0).optional(),
  'invalid-event-number': z.int().min(0).optional(),
})
type Meaning = { readonly failure: Failure; readonly remediation?: string }

const TOKEN: Meaning = {
  failure: 'AUTHORIZATION_FAILURE',
  remediation:
    'Check the token of the sink against Splunk: Settings > Data inputs > HTTP Event Collector. The secret is read again at every call.',
}
const DISABLED: Meaning = {
  failure: 'AUTHORIZATION_FAILURE',
  remediation:
    'The token is disabled. Enable it in Splunk: Settings > Data inputs > HTTP Event Collector; also Global Settings > All Tokens.',
}
const INDEX: Meaning = {
  failure: 'CONFIGURATION',
  remediation:
    'Make the index in Splunk, add it to the allowed indexes of the token, or change index of the sink. It goes on by itself then.',
}
const NEEDS_ACK: Meaning = {
  failure: 'CONFIGURATION',
  remediation:
    'The token has indexer acknowledgement switched on: set ack: true of the sink, or switch it off for the token.',
}
const CHANNEL: Meaning = {
  failure: 'CONFIGURATION',
  remediation: 'Leave channel of the sink out, or give a GUID that no other process uses.',
}
export const NO_ACK = {
  failure: 'CONFIGURATION',
  remediation:
    'The token has indexer acknowledgement switched off: switch it on in Splunk (Splunk Cloud has none), or set ack: false of the sink.',
} as const
export const ADDRESS = {
  failure: 'CONFIGURATION',
  remediation:
    'Check url of the sink: the address of the HTTP Event Collector, usually port 8088, not that of Splunk Web; or look for a proxy that answers in its place.',
} as const
const OF_EVENT: Meaning = { failure: 'BAD_REQUEST' }
const LATER: Meaning = { failure: 'TEMPORARY_FAILURE' }

/** The codes of the collector that say more than the status beside them. */
const BY_CODE: ReadonlyMap<number, Meaning> = new Map([
  [1, DISABLED],
  [2, TOKEN],
  [3, TOKEN],
  [4, TOKEN],
  [5, OF_EVENT],
  [6, OF_EVENT],
  [7, INDEX],
  [8, LATER],
  [9, LATER],
  [10, NEEDS_ACK],
  [11, CHANNEL],
  [12, OF_EVENT],
  [13, OF_EVENT],
  [14, NO_ACK],
  [15, OF_EVENT],
])
const BY_STATUS: ReadonlyMap<number, Meaning> = new Map([
  [401, TOKEN],
  [403, { ...ADDRESS, failure: 'ACCESS_FORBIDDEN' }],
  [408, LATER],
  [413, { failure: 'PAYLOAD_TOO_LARGE' }],
  [429, LATER],
])
const OK = 0
/** The collector found no event in a request. */
export const NO_DATA = '5'
/** Before the number of an event in what an error keeps of the answer. */
export const EVENT_NUMBER = 'invalid-event-number '

/** The collector's table for the HTTP client. */
export function classify({ path, status, text }: AnswerFacts): Refusal | null {
  const said = saidIn(text)
  const isSuccess = status >= 200 && status < 300
  // Nothing but its own word for success: a page of a proxy may come with 200 as well.
  if (isSuccess && (path === ACK_PATH || said?.code === OK)) return null
  const byStatus = BY_STATUS.get(status) ?? (status >= 500 || isSuccess ? LATER : ADDRESS)
  const meaning = (isSuccess || said === null ? undefined : BY_CODE.get(said.code)) ?? byStatus
  const number = said?.['invalid-event-number']
  return {
    ...meaning,
    vendorCode: said === null ? null : String(said.code),
    vendorMessage: said?.text ?? null,
    vendorExtra: number === undefined ? null : `${EVENT_NUMBER}${number}`,
    ...(said === null ? { hint: 'the answer is not that of a collector' } : {}),
  }
}

function saidIn(text: string): z.infer<typeof answerShape> | null {
  try {
    return answerShape.safeParse(JSON.parse(text)).data ?? null
  } catch {
    return null // a proxy has answered in its place
  }
}
