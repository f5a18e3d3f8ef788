// Connector errors to a webhook: RAISED opens, CLEARED resolves, in between there is silence.
import type { ConnectorError } from '../../contracts/connector-error.ts'
import { partitionKey } from '../../contracts/processing.ts'
import type { OpenSink, Rejection, Sink, SinkBatch, SinkRecord } from '../../contracts/ports.ts'
import type { WebhookConfig } from './config.ts'
import { type Delivery, createDelivery } from './deliver.ts'
import type { Action } from './messages.ts'

/** Conditions remembered; one forgotten is told again when it is raised again. */
const CONDITIONS_MAX = 10_000

/** At least once: a batch that comes again after a crash is told again, with the same dedup key. */
export function createWebhookSink(config: WebhookConfig): Sink {
  return {
    name: config.name,
    kinds: ['connector-error'],
    open: async () => openWebhook(config, createDelivery(config)),
    unasked: 'it passes messages on and keeps none',
  }
}

/** What was done of a partition in this process, so that a second try of a batch omits it. */
type Done = {
  next: bigint
  readonly refused: Map<bigint, string>
  /** The write before, whatever came of it. */
  before: Promise<unknown>
}

function openWebhook(config: WebhookConfig, delivery: Delivery): OpenSink {
  const conditions = createConditions(config)
  const places = new Map<string, Done>()
  return {
    storedOffset: async () => null,
    close: () => delivery.close(),
    write(batch) {
      const done = placeOf(places, batch)
      // One that has lost its partition unnoticed may still be at it: it is not told twice.
      const writing = done.before.then(() => write(batch, done))
      done.before = writing.catch(() => undefined)
      return writing
    },
  }

  async function write(batch: SinkBatch, done: Done): Promise<Rejection[]> {
    // What was refused before is dead-lettered now.
    if (batch.records.length === 0) done.refused.clear()
    const rejections: Rejection[] = []
    for (const [index, record] of batch.records.entries()) {
      if (record.offset >= done.next) {
        const reason = await tell(record)
        if (reason !== null) done.refused.set(record.offset, reason)
        done.next = record.offset + 1n
      }
      const reason = done.refused.get(record.offset)
      if (reason !== undefined) rejections.push({ index, reason })
    }
    return rejections
  }

  async function tell(record: SinkRecord): Promise<string | null> {
    if (record.kind !== 'connector-error' || record.value === null) return null
    const error = record.value
    // Of its own troubles it could tell nobody, and each try would be another one.
    if (error.sink_id === config.name) return null
    const action = conditions.actionOf(error)
    const reason = action === null ? null : await delivery.send(error, action)
    // Only now: what could not be sent is no news that was told.
    conditions.told(error)
    return reason
  }
}

function placeOf(places: Map<string, Done>, { topic, partition }: SinkBatch): Done {
  const key = partitionKey(topic, partition)
  const known = places.get(key)
  if (known !== undefined) return known
  const fresh: Done = { next: 0n, refused: new Map(), before: Promise.resolve() }
  places.set(key, fresh)
  return fresh
}

type Conditions = {
  /** Null: nothing is to be said. */
  actionOf(error: ConnectorError): Action | null
  told(error: ConnectorError): void
}

/** Which conditions are open, by fingerprint, as far as this process has told of them. */
function createConditions({ ongoing }: WebhookConfig): Conditions {
  const open = new Map<string, boolean>()
  return {
    actionOf({ fingerprint, state }) {
      const known = open.get(fingerprint)
      if (state === 'CLEARED') return known === false ? null : 'resolve'
      if (state === 'RAISED' && known !== true) return 'trigger'
      // Its end was told for a process in which it works; in another one it does not.
      if (state === 'ONGOING' && known === false) return 'trigger'
      // Raised again by another process is the same condition going on.
      return ongoing && state !== 'UNKNOWN' ? 'update' : null
    },
    told({ fingerprint, state }) {
      if (state === 'UNKNOWN') return
      open.delete(fingerprint)
      open.set(fingerprint, state !== 'CLEARED')
      const [oldest] = open.keys()
      if (open.size > CONDITIONS_MAX && oldest !== undefined) open.delete(oldest)
    },
  }
}
