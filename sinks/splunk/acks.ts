// Acknowledgements of one channel: what was sent under which id, and whether it still stands.
import { PipelineError } from '../../contracts/errors.ts'

/** A request that was taken, and is not known to be indexed yet. */
export type Ticket = {
  readonly ackId: number
  readonly generation: number
  /** Offsets of the records whose events are in it. */
  readonly offsets: readonly bigint[]
  /** By `performance.now()`: who waits longer sends again. */
  readonly untilMs: number
}

export type Channel = {
  /** A GUID. */
  readonly id: string
  took(ackId: number, offsets: readonly bigint[]): Ticket
  /** False: the collector has forgotten the request, and its id is another one's by now. */
  stands(ticket: Ticket): boolean
}

/**
 * Ids of a channel grow. One that does not is from a collector that has started anew, or is
 * another one behind the same address: what the one before had taken may be lost, and its ids
 * would be mistaken for those of new requests.
 */
export function createChannel(id: string, timeoutMs: number): Channel {
  let last = -1
  let generation = 0
  return {
    id,
    took(ackId, offsets) {
      if (ackId <= last) generation += 1
      last = ackId
      return { ackId, generation, offsets, untilMs: performance.now() + timeoutMs }
    },
    stands: (ticket) => ticket.generation === generation,
  }
}

/** For a batch that is sent again. */
export const notAcknowledged = (what: string) =>
  new PipelineError('SINK_UNAVAILABLE', 'SINK', `Splunk: ${what}; the events are sent again`, {
    remediation:
      'Nothing to do yet. If it lasts: are the indexers behind, or does a load balancer send the requests of one client to several collectors?',
  })
