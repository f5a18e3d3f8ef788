// Delivers events in requests the collector takes: smaller ones where one is too large, without
// the events that it refuses, and until they are acknowledged where that is wanted.
import { PipelineError } from '../../contracts/errors.ts'
import { sleepMs } from '../../runtime/http-retry.ts'
import { type Channel, type Ticket, notAcknowledged } from './acks.ts'
import { NO_ACK } from './codes.ts'
import type { Collector } from './collector.ts'
import type { SplunkEvent } from './plan.ts'

/**
 * What Splunk advises for a request. Collectors allow 800 MB by default today; those of before
 * 6.6, and many proxies, 1 MB. Larger requests bring nothing, and are lost as one.
 */
const REQUEST_BYTES_MAX = 1_000_000
/** One that is refused costs a second request with those before it. */
const REQUEST_EVENTS_MAX = 500
/** So many refusals before anything was taken are no matter of single events. */
const REFUSED_FIRST_MAX = 3
const ACK_FIRST_MS = 200
const ACK_MAX_MS = 5_000

/** What is known of the batch at hand of one partition; it outlives a try that failed. */
export type Progress = {
  /** By offset: null where Splunk has it, else why it is refused for good. */
  readonly outcomes: Map<bigint, string | null>
  /** Taken, and not acknowledged yet. */
  tickets: readonly Ticket[]
}

export type Delivery = {
  readonly collector: Collector
  /** Null: what is taken counts as written. */
  readonly channel: Channel | null
  readonly signal: AbortSignal
  /** Whether it has taken any event since it was opened. */
  hasTaken: boolean
}

/**
 * Returns when `progress` knows what became of every event. @throws PipelineError when that
 * cannot be known now: what is known already is not sent again by the next try
 */
export async function deliver(
  delivery: Delivery,
  events: readonly SplunkEvent[],
  progress: Progress,
): Promise<void> {
  await settle(delivery, progress)
  progress.tickets = progress.tickets.filter((ticket) => isWaitedFor(delivery, ticket))
  const waiting = new Set(progress.tickets.flatMap(({ offsets }) => offsets))
  const fresh = events.filter(
    ({ offset }) => !progress.outcomes.has(offset) && !waiting.has(offset),
  )
  try {
    for (const request of packed(fresh)) await send(delivery, request, progress)
    if (!delivery.hasTaken && refusalsIn(progress) > 0) throw refusesAll(progress)
  } catch (error) {
    // What was said of the first events may have been said of all: they are tried again.
    if (!delivery.hasTaken) progress.outcomes.clear()
    throw error
  }
  for (let waitMs = ACK_FIRST_MS; progress.tickets.length > 0; waitMs *= 2) {
    await sleepMs(Math.min(waitMs, ACK_MAX_MS), delivery.signal)
    await settle(delivery, progress)
    const overdue = progress.tickets.filter((ticket) => !isWaitedFor(delivery, ticket)).length
    // They stay known: the next try asks once more before it sends them again.
    if (overdue > 0) throw notAcknowledged(`${overdue} requests were not acknowledged`)
  }
}

const refusalsIn = ({ outcomes }: Progress): number =>
  [...outcomes.values()].filter((reason) => reason !== null).length

/** Before it has taken any event, a refusal tells of the way there and not of an event. */
function refusesAll({ outcomes }: Progress): PipelineError {
  const [reason] = [...outcomes.values()].filter((one) => one !== null)
  const message = `Splunk has taken no event yet, and refuses the first ones: ${reason}`
  return new PipelineError('CONFIGURATION', 'SINK', message, {
    remediation:
      'Look for a proxy that changes requests on their way, and set gzip: false of the sink where it takes the encoding away. It goes on by itself when one event is taken.',
  })
}

const isWaitedFor = ({ channel }: Delivery, ticket: Ticket): boolean =>
  channel?.stands(ticket) === true && performance.now() < ticket.untilMs

/** Asks once for what is not acknowledged. */
async function settle({ collector, channel }: Delivery, progress: Progress): Promise<void> {
  if (channel === null) return
  const asked = progress.tickets.filter((ticket) => channel.stands(ticket))
  if (asked.length === 0) return
  const acked = await collector.acked(asked.map(({ ackId }) => ackId))
  progress.tickets = progress.tickets.filter((ticket) => {
    // Looked at again: the collector may have started anew since it was asked.
    if (!channel.stands(ticket) || !acked.has(ticket.ackId)) return true
    for (const offset of ticket.offsets) progress.outcomes.set(offset, null)
    return false
  })
}

function packed(events: readonly SplunkEvent[]): SplunkEvent[][] {
  const requests: SplunkEvent[][] = []
  let bytes = Infinity
  for (const event of events) {
    const last = requests.at(-1)
    if (
      last === undefined ||
      last.length >= REQUEST_EVENTS_MAX ||
      bytes + event.bytes > REQUEST_BYTES_MAX
    ) {
      requests.push([event])
      bytes = event.bytes
    } else {
      last.push(event)
      bytes += event.bytes
    }
  }
  return requests
}

async function send(
  delivery: Delivery,
  request: readonly SplunkEvent[],
  progress: Progress,
): Promise<void> {
  const [first] = request
  if (first === undefined) return
  if (!delivery.hasTaken && refusalsIn(progress) >= REFUSED_FIRST_MAX) throw refusesAll(progress)
  const answer = await delivery.collector.post(request.map(({ text }) => text).join('\n'))
  if (answer.taken) return taken(delivery, request, answer.ackId, progress)
  const { eventNumber, reason } = answer
  if (eventNumber !== null && eventNumber < request.length) {
    const refused = request[eventNumber]
    if (refused !== undefined) progress.outcomes.set(refused.offset, reason)
    // It may have read those before it, or not: once more, and alone, is the least that is sure.
    await send(delivery, request.slice(0, eventNumber), progress)
    return await send(delivery, request.slice(eventNumber + 1), progress)
  }
  if (request.length === 1) {
    progress.outcomes.set(first.offset, `${reason}; the event has ${first.bytes} bytes`)
    return
  }
  const middle = request.length >> 1
  await send(delivery, request.slice(0, middle), progress)
  await send(delivery, request.slice(middle), progress)
}

function taken(
  delivery: Delivery,
  request: readonly SplunkEvent[],
  ackId: number | null,
  progress: Progress,
): void {
  const { channel } = delivery
  delivery.hasTaken = true
  const offsets = request.map(({ offset }) => offset)
  if (channel === null) {
    for (const offset of offsets) progress.outcomes.set(offset, null)
  } else if (ackId === null) {
    const message = 'Splunk: it took events, and gave no id to ask for their acknowledgement'
    const { failure, remediation } = NO_ACK
    throw new PipelineError(failure, 'SINK', message, { remediation })
  } else progress.tickets = [...progress.tickets, channel.took(ackId, offsets)]
}
