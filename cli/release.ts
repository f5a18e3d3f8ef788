// `exposure runs release RUN`: closes what was held back, and makes the run the measure.
import { setTimeout as sleep } from 'node:timers/promises'
import { EVERY_STREAM, type Order, runIdOf } from '../contracts/envelope.ts'
import { PipelineError } from '../contracts/errors.ts'
import type { Run } from '../contracts/run.ts'
import { VENDORS } from '../contracts/topics.ts'
import { releasedRecord } from '../runtime/checkpoint.ts'
import { createKafka } from '../runtime/kafka/client.ts'
import { openSession } from '../runtime/kafka/session.ts'
import { createLogger } from '../runtime/log.ts'
import { orderRecords } from '../runtime/order-records.ts'
import { holdingAfter } from '../transformers/ledger.ts'
import { UsageError, parse, stopSignal } from './command.ts'
import { loadConfig } from './config.ts'
import { answersToCome } from './orders.ts'
import {
  type RunPlaces,
  type RunStory,
  holdingRun,
  isFinished,
  readSteps,
  tell,
} from './run-story.ts'
import { type RunsLog, stepsOf, withRuns } from './runs.ts'

const TRANSACTION_TIMEOUT_MS = 30_000
/** Above what a walk over a partition of a million entities takes. */
const ANSWER_TIMEOUT_MS = 120_000
/** Until the ledger has summed the answers up. */
const SUMMED_TIMEOUT_MS = 10_000
const POLL_MS = 200

export async function releaseRun(args: readonly string[]): Promise<number> {
  const options = {
    config: { type: 'string' },
    yes: { type: 'boolean', default: false },
    timeout: { type: 'string', default: String(ANSWER_TIMEOUT_MS / 1_000) },
  } as const
  const { values, positionals } = parse(args, options, 1)
  const [runId] = positionals
  if (runId === undefined) throw new UsageError('runs release takes one run')
  const timeoutMs = Number(values.timeout) * 1_000
  if (!(timeoutMs > 0)) throw new UsageError('--timeout takes seconds')
  const config = loadConfig(values.config)
  return await withRuns(config, async (runs) => {
    const { run, end } = await releasable(runs, runId)
    console.log(heldText(run))
    if (!values.yes) {
      console.log('Nothing was written. To do it: the same command with --yes')
      return 0
    }
    const order = orderOf(run, Date.now())
    const { reader, codecs, settings } = runs
    const signal = stopSignal()
    const answered = await answersToCome({ prefix: settings.prefix, reader, codecs })
    await write(runs, run, order)
    const released = { phase: 'RELEASED', runId, orderedAtMs: order.orderedAtMs } as const
    const closed = await answered(released, timeoutMs, signal)
    const overtaking = await overtakenBy(runs, run, end, signal)
    console.log(`closed ${closed} assets and findings; ${afterwards(run, overtaking)}`)
    return 0
  })
}

function heldText(run: Run): string {
  const { run_id: runId, stream, connection_id: connection } = run
  const why = run.hold ?? 'held back'
  const held = run.totals?.held ?? 0
  // Released, it says that there is nothing, and later ones like it are no news.
  if (held === 0) return `run ${runId} of ${stream} of ${connection} has nothing to close: ${why}`
  const what = `${held} assets and findings of ${stream} of ${connection}`
  return `run ${runId} holds back the closing of ${what}: ${why}`
}

/**
 * The run as it finished, and where the topic ended then.
 * @throws PipelineError that says why it cannot be released
 */
async function releasable(runs: RunsLog, runId: string): Promise<{ run: Run; end: RunPlaces }> {
  const [first] = await stepsOf(runs, runId)
  if (first === undefined) throw refused(`there is no run ${runId}`)
  const { connection_id: connection, stream } = first.run
  const stories = new Map<string, RunStory>()
  const { reader, codecs, settings } = runs
  const stepsOfStream = (name: { connection: string; stream: string }) =>
    readSteps(reader, codecs, settings.prefix, name, (step) => tell(stories, step))
  // A removal of the connection ends the holds of all its streams.
  await stepsOfStream({ connection, stream: EVERY_STREAM })
  const end = await stepsOfStream({ connection, stream })
  const story = stories.get(`${connection}|${stream}|${runId}`)
  if (story === undefined || !isFinished(story)) {
    throw refused(`run ${runId} has not been answered by all partitions yet`)
  }
  const holding = holdingRun(stories.values())
  if (holding?.run_id === runId) return { run: holding, end }
  if (holding !== null) {
    throw refused(
      `what run ${runId} held back is now held by a later one, ${holding.run_id}`,
      `exposure runs release ${holding.run_id}`,
    )
  }
  const { hold, totals } = story.run
  if (hold === null && totals?.held === 0) throw refused(`run ${runId} holds nothing back`)
  const since = 'a later run has listed the stream, or it was removed'
  throw refused(`what run ${runId} held back is held no more: ${since}`)
}

const refused = (message: string, nextStep = 'exposure runs list shows what is held back.') =>
  new PipelineError('CONFIGURATION', 'SNAPSHOT', message, { remediation: nextStep })

/** @throws PipelineError when the run is of a vendor that this build does not know */
function orderOf(run: Run, nowMs: number): Order {
  const vendor = VENDORS.find((known) => known === run.vendor)
  if (vendor === undefined) throw refused(`run ${run.run_id} is of an unknown vendor`)
  // Never before what it closes was told.
  const orderedAtMs = Math.max(nowMs, run.at + 1)
  return {
    control: 'release',
    orderId: runIdOf(orderedAtMs, Math.floor(Math.random() * 0x1000000)),
    connection: run.connection_id,
    vendor,
    product: run.product,
    tenant: run.tenant,
    stream: run.stream,
    runId: run.run_id,
    orderedAtMs,
  }
}

/** All of it or nothing: the order to every raw partition, and the producer's new measure. */
async function write({ settings }: RunsLog, run: Run, order: Order): Promise<void> {
  const { prefix } = settings
  const name = { connection: run.connection_id, stream: run.stream }
  const { run_id: runId, fetched, scope } = run
  const released = releasedRecord(prefix, name, { runId, fetched, scope })
  const client = createKafka(settings, 'exposure-runs-release', createLogger('runs'))
  const session = await openSession(client, {
    transactionalId: `${prefix}runs-release.${name.connection}.${name.stream}`,
    transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
  })
  try {
    await session.commit({ outputs: [...orderRecords(prefix, order), released] })
  } finally {
    await session.close()
  }
}

/**
 * Once the order is carried out: the run that has ended meanwhile and taken the hold over or ended
 * it; null when there is none. The ledger then writes the released run anew, which is waited for.
 */
async function overtakenBy(
  { reader, codecs, settings }: RunsLog,
  run: Run,
  end: RunPlaces,
  signal: AbortSignal,
): Promise<Run | null> {
  const deadlineMs = Date.now() + SUMMED_TIMEOUT_MS
  const name = { connection: run.connection_id, stream: run.stream }
  let from = end
  let overtaking: Run | null = null
  let summed = false
  const onStep = ({ run: step }: { run: Run }) => {
    if (step.phase !== 'FINISHED') return
    if (step.run_id === run.run_id) summed = true
    else if (holdingAfter(run, step) !== run) overtaking = step
  }
  for (;;) {
    from = await readSteps(reader, codecs, settings.prefix, name, onStep, from)
    // What is closed is closed: of a ledger that is away nothing is waited for.
    const over = summed || signal.aborted || Date.now() > deadlineMs
    if (over || overtaking !== null) return overtaking
    await sleep(POLL_MS)
  }
}

function afterwards(run: Run, overtaking: Run | null): string {
  if (overtaking === null) return 'the next run is compared with this one'
  const { run_id: newer } = overtaking
  return holdingAfter(run, overtaking) === null
    ? `run ${newer} has ended meanwhile and holds nothing back`
    : `run ${newer} has ended meanwhile and holds back: exposure runs release ${newer}`
}
