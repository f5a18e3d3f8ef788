// `exposure runs release RUN`: closes what was held back, and makes the run the measure.
import { setTimeout as sleep } from 'node:timers/promises'
import { type Order, encodeOrder, runIdOf } from '../contracts/envelope.ts'
import { PipelineError } from '../contracts/errors.ts'
import type { OutRecord } from '../contracts/processing.ts'
import type { Run } from '../contracts/run.ts'
import { RAW_PARTITIONS, rawTopic, VENDORS } from '../contracts/topics.ts'
import { releasedRecord } from '../runtime/checkpoint.ts'
import { createKafka } from '../runtime/kafka/client.ts'
import { openSession } from '../runtime/kafka/session.ts'
import { createLogger } from '../runtime/log.ts'
import { UsageError, parse, stopSignal } from './command.ts'
import { loadConfig } from './config.ts'
import { type RunStory, countsOf, holdingRun, isFinished, readSteps, tell } from './run-story.ts'
import { type RunsLog, stepsOf, withRuns } from './runs.ts'

const TRANSACTION_TIMEOUT_MS = 30_000
/** Above what a walk over a partition of a million entities takes. */
const ANSWER_TIMEOUT_MS = 120_000
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
    const { held } = countsOf({ run, tallies: new Map() })
    const what = `${held} assets and findings of ${run.stream} of ${run.connection_id}`
    console.log(`run ${runId} holds back the closing of ${what}: ${run.hold ?? 'held back'}`)
    if (!values.yes) {
      console.log('Nothing was written. To close them: the same command with --yes')
      return 0
    }
    const order = orderOf(run, Date.now())
    await write(runs, run, order)
    const closed = await answered(runs, run, order, end, timeoutMs)
    console.log(`closed ${closed} assets and findings; the next run is compared with this one`)
    return 0
  })
}

/**
 * The run as it finished, and where the topic ended then.
 * @throws PipelineError that says why it cannot be released
 */
async function releasable(runs: RunsLog, runId: string): Promise<{ run: Run; end: bigint }> {
  const [first] = await stepsOf(runs, runId)
  if (first === undefined) throw refused(`there is no run ${runId}`)
  const { connection_id: connection, stream } = first.run
  const stories = new Map<string, RunStory>()
  const { reader, codecs, settings } = runs
  const name = { connection, stream }
  const end = await readSteps(reader, codecs, settings.prefix, name, (step) => tell(stories, step))
  const story = stories.get(`${connection}|${stream}|${runId}`)
  if (story === undefined || !isFinished(story)) {
    throw refused(`run ${runId} has not been answered by all partitions yet`)
  }
  const holding = holdingRun(stories.values())
  if (holding?.run.run_id === runId) return { run: story.run, end }
  if (holding !== null) {
    throw refused(
      `what run ${runId} held back is now held by a later one, ${holding.run.run_id}`,
      `exposure runs release ${holding.run.run_id}`,
    )
  }
  if (countsOf(story).held === 0) throw refused(`run ${runId} holds nothing back`)
  throw refused(`what run ${runId} held back is held no more: a later run has listed the stream`)
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
  const topic = prefix + rawTopic(order.vendor).name
  const record = encodeOrder(order)
  const orders: OutRecord[] = Array.from({ length: RAW_PARTITIONS }, (_, partition) => ({
    topic,
    partition,
    ...record,
  }))
  const name = { connection: run.connection_id, stream: run.stream }
  const released = releasedRecord(prefix, name, { runId: run.run_id, fetched: run.fetched })
  const client = createKafka(settings, 'exposure-runs-release', createLogger('runs'))
  const session = await openSession(client, {
    transactionalId: `${prefix}runs-release.${name.connection}.${name.stream}`,
    transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
  })
  try {
    await session.commit({ outputs: [...orders, released] })
  } finally {
    await session.close()
  }
}

/**
 * Entities closed, once every raw partition has answered this order and the ledger has summed up.
 * @throws PipelineError when that takes longer than `timeoutMs`; the order stands nevertheless
 */
async function answered(
  { reader, codecs, settings }: RunsLog,
  run: Run,
  order: Order,
  end: bigint,
  timeoutMs: number,
): Promise<number> {
  const signal = stopSignal()
  const deadlineMs = Date.now() + timeoutMs
  const name = { connection: run.connection_id, stream: run.stream }
  const closed = new Map<number, number>()
  let finished = false
  let from = end
  for (;;) {
    const onStep = ({ run: step }: { run: Run }) => {
      if (step.run_id !== run.run_id) return
      const isAnswer = step.phase === 'RELEASED' && step.started_at === order.orderedAtMs
      if (isAnswer && step.tally !== null) closed.set(step.tally.partition, step.tally.closed)
      if (step.phase === 'FINISHED' && closed.size === RAW_PARTITIONS) finished = true
    }
    from = await readSteps(reader, codecs, settings.prefix, name, onStep, from)
    if (finished) return [...closed.values()].reduce((sum, count) => sum + count, 0)
    if (signal.aborted || Date.now() > deadlineMs) throw unanswered(run.run_id, closed.size)
    await sleep(POLL_MS)
  }
}

function unanswered(runId: string, answers: number): PipelineError {
  const text = `the order is written, but ${answers} of ${RAW_PARTITIONS} partitions have answered`
  return new PipelineError('TEMPORARY_FAILURE', 'NORMALIZE', text, {
    remediation: `Start the transformers, which then carry it out: exposure runs show ${runId}`,
  })
}
