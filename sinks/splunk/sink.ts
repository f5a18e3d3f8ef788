// The sink for Splunk: events to the HTTP Event Collector, which can write and nothing else.
import { randomUUID } from 'node:crypto'
import { PipelineError } from '../../contracts/errors.ts'
import type { OpenSink, Rejection, Sink, SinkBatch } from '../../contracts/ports.ts'
import { partitionKey } from '../../contracts/processing.ts'
import { createChannel } from './acks.ts'
import { connectCollector } from './collector.ts'
import type { SplunkConfig } from './config.ts'
import { type Delivery, type Progress, deliver } from './deliver.ts'
import { type SplunkEvent, kindsOf, plannedOf } from './plan.ts'

/**
 * At least once: Splunk keeps what it gets, so that a batch which comes again after a crash is
 * there twice, with the same `exposure_event_uid`.
 */
export function createSplunkSink(config: SplunkConfig): Sink {
  // Of the process: a store that is opened again goes on in the same channel.
  const channelId = config.ack ? (config.channel ?? randomUUID()) : null
  return {
    name: config.name,
    kinds: kindsOf(config.format),
    unasked: 'its HTTP Event Collector takes events and answers no questions',
    async open() {
      const stopping = new AbortController()
      const { signal } = stopping
      const collector = connectCollector(config, channelId, signal)
      const channel = channelId === null ? null : createChannel(channelId, config.ackTimeout)
      const close = async () => {
        stopping.abort()
        await collector.close()
      }
      try {
        await collector.check()
      } catch (error) {
        await close()
        throw error
      }
      return openSplunk(config, { collector, channel, signal, hasTaken: false }, close)
    },
  }
}

/** What was done of a partition in this process, so that a second try of a batch omits it. */
type Place = Progress & {
  next: bigint
  /** The write before, whatever came of it. */
  before: Promise<unknown>
}

function openSplunk(
  config: SplunkConfig,
  delivery: Delivery,
  close: () => Promise<void>,
): OpenSink {
  const places = new Map<string, Place>()
  let isChecked = true

  const send = async (events: readonly SplunkEvent[], place: Place): Promise<void> => {
    try {
      // After trouble that somebody was to mend: nothing is sent that could not count as written.
      if (!isChecked) await delivery.collector.check()
      isChecked = true
      await deliver(delivery, events, place)
    } catch (error) {
      if (!(error instanceof PipelineError) || !error.retriable) isChecked = false
      throw error
    }
  }

  const write = async (batch: SinkBatch, place: Place): Promise<Rejection[]> => {
    forgetOthers(place, batch)
    const events: SplunkEvent[] = []
    const refused = new Map<bigint, string>()
    for (const record of batch.records) {
      if (record.offset < place.next) continue
      const planned = plannedOf(record, batch, config)
      if ('refused' in planned) refused.set(record.offset, planned.refused)
      else if (planned.event !== null) events.push(planned.event)
    }
    if (events.length > 0) await send(events, place)
    const rejections = batch.records.flatMap(({ offset }, index): Rejection[] => {
      const reason = refused.get(offset) ?? place.outcomes.get(offset) ?? null
      return reason === null ? [] : [{ index, reason }]
    })
    // Refusals are known until their dead letters are written: then it comes without records.
    if (rejections.length === 0) finish(place, batch)
    return rejections
  }

  return {
    storedOffset: async () => null,
    close,
    write(batch) {
      const place = placeOf(places, batch)
      // One that has lost its partition unnoticed may still be at it: it is not done twice.
      const writing = place.before.then(() => write(batch, place))
      place.before = writing.catch(() => undefined)
      return writing
    },
  }
}

/** The batch is written; what was known of it is no longer needed. */
function finish(place: Place, { nextOffset }: SinkBatch): void {
  if (place.next < nextOffset) place.next = nextOffset
  place.outcomes.clear()
  place.tickets = []
}

/** What is left over from a batch that another process has finished. */
function forgetOthers(place: Place, { firstOffset, nextOffset }: SinkBatch): void {
  const isOther = (offset: bigint) => offset < firstOffset || offset >= nextOffset
  for (const offset of place.outcomes.keys()) if (isOther(offset)) place.outcomes.delete(offset)
  place.tickets = place.tickets.filter(({ offsets }) => !offsets.some(isOther))
}

function placeOf(places: Map<string, Place>, { topic, partition }: SinkBatch): Place {
  const key = partitionKey(topic, partition)
  const known = places.get(key)
  if (known !== undefined) return known
  const fresh: Place = {
    next: 0n,
    outcomes: new Map(),
    tickets: [],
    before: Promise.resolve(),
  }
  places.set(key, fresh)
  return fresh
}
