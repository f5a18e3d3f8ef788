// A fallback stream that has given way: what it showed is taken back, once, by an order of its own.
import { type Order, runIdOf, streamKey } from '../contracts/envelope.ts'
import type { Source } from '../contracts/ports.ts'
import {
  type Progress,
  type RunCheckpoint,
  checkpointRecord,
  forgetReleased,
} from './checkpoint.ts'
import { orderRecords } from './order-records.ts'
import { transactionalIdOf } from './run-names.ts'
import { RunInterrupted, type RunSourceOptions, progressOf } from './run-source.ts'

export type Fallback = {
  readonly connection: string
  readonly source: Pick<Source<never, unknown>, 'vendor' | 'stream'>
}
type Options = Pick<RunSourceOptions, 'prefix' | 'openSession' | 'readToEnd' | 'nowMs' | 'log'>

/**
 * Orders that the stream's units be forgotten and what only they show be closed, as soon as the
 * better stream has had a COMPLETE run since; before that it may not have shown it yet. Nothing
 * when the stream shows nothing or has not given way. `givenWay`: by stream the one that shows the
 * same, which may have given way itself.
 * @throws RunInterrupted when Kafka failed: call again
 */
export async function withdrawIfReplaced(
  { connection, source }: Fallback,
  givenWay: ReadonlyMap<string, string>,
  options: Options,
): Promise<void> {
  const { prefix, nowMs, log } = options
  const { vendor, stream } = source
  const better = shownBy(stream, givenWay)
  if (better === null) return
  const names = { connection, stream, better }
  if (replaced(names, await progressOf(options)) === null) return
  const session = await options
    .openSession(transactionalIdOf(prefix, connection, stream))
    .catch((cause: unknown) => {
      throw new RunInterrupted('the producer cannot be opened', { cause })
    })
  try {
    // Anew: only after the fence can nobody else move it any more.
    const saved = replaced(names, await progressOf(options))
    if (saved === null) return
    const orderedAtMs = Math.max(nowMs(), lastSeenMs(saved) + 1)
    const order: Order = {
      control: 'remove',
      keep: false,
      orderId: runIdOf(orderedAtMs, Math.floor(Math.random() * 0x1000000)),
      connection,
      stream,
      vendor,
      tenant: saved.tenant,
      orderedAtMs,
    }
    const withdrawn: RunCheckpoint = {
      ...saved,
      // Neither gone on with nor compared with: a later run is the first of its kind.
      position: null,
      lastComplete: null,
      newestFetchedAtMs: orderedAtMs,
      withdrawnAtMs: orderedAtMs,
    }
    const outputs = [
      ...orderRecords(prefix, order),
      checkpointRecord(prefix, { connection, stream }, withdrawn),
      forgetReleased(prefix, { connection, stream }),
    ]
    await session.commit({ outputs }).catch((cause: unknown) => {
      // Ambiguous or not: the checkpoint in the log says whether it is ordered.
      throw new RunInterrupted('the withdrawal was not committed', { cause })
    })
    log.info({ connection, stream, better }, 'a fallback stream is taken back')
  } finally {
    await session.close()
  }
}

/** The stream that is read in place of this one; null when it has not given way to any. */
function shownBy(stream: string, givenWay: ReadonlyMap<string, string>): string | null {
  let better = givenWay.get(stream)
  // Each may give way to a next one; more steps than entries would be a circle.
  for (let step = 0; step < givenWay.size && better !== undefined; step++) {
    const next = givenWay.get(better)
    if (next === undefined) return better
    better = next
  }
  return null
}

type Names = { readonly connection: string; readonly stream: string; readonly better: string }

/** The checkpoint of a stream that has something to take back and may do so; else null. */
function replaced(
  { connection, stream, better }: Names,
  { checkpoints }: Progress,
): RunCheckpoint | null {
  const saved = checkpoints.get(streamKey({ connection, stream }))
  if (saved === undefined || saved.withdrawnAtMs !== undefined) return null
  const { lastComplete, fetched, newestFetchedAtMs } = saved
  if (lastComplete === null && fetched === 0 && newestFetchedAtMs === undefined) return null
  const shown = checkpoints.get(streamKey({ connection, stream: better }))?.lastComplete
  if (shown === undefined || shown === null) return null
  const beganMs = Number(shown.runId.split('-')[0])
  return beganMs > lastSeenMs(saved) ? saved : null
}

const lastSeenMs = ({ startedAtMs, newestFetchedAtMs }: RunCheckpoint): number =>
  Math.max(startedAtMs, newestFetchedAtMs ?? 0)
