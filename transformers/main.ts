// The stage of transformers: raw topics of every vendor through the lifecycle to exposure events.
import { PipelineError } from '../contracts/errors.ts'
import type { Drift, Transformer } from '../contracts/ports.ts'
import { EVERY_STREAM, type RawFacts, type RunEnd, streamKey } from '../contracts/envelope.ts'
import type { KafkaRecord, PartitionStore } from '../contracts/processing.ts'
import { type Run, isRemoval } from '../contracts/run.ts'
import { VENDORS, type VendorId, rawTopic, stateTopic, topicName } from '../contracts/topics.ts'
import { attemptsOf, deadLetter } from '../runtime/dead-letter.ts'
import type { ErrorScope } from '../runtime/error-event.ts'
import {
  type ProcessorOptions,
  type RunningProcessor,
  runProcessor,
} from '../runtime/kafka/processor.ts'
import type { Pipeline } from '../runtime/pipeline.ts'
import { stageTrouble } from '../runtime/stage-trouble.ts'
import { releaseStep } from '../runtime/run-ledger.ts'
import { type Because, createLedger } from './ledger.ts'
import type { ClosingRules } from './lifecycle/listings.ts'
import { createLifecycle } from './lifecycle/processor.ts'
import { MAPPING_VERSION } from './mapping-version.ts'
import { TRANSFORMERS } from './transformers.ts'

const LOG_CHARACTERS_MAX = 200
const CHUNK_RECORDS_MAX = 1_000
const CHUNK_BYTES_MAX = 8 * 1024 * 1024
const SESSION_TIMEOUT_MS = 30_000
const CONCURRENCY = 6
const DAY_MS = 86_400_000

export type RunningTransformers = { readonly stop: () => Promise<void> }

export const transformerGroup = (prefix: string, vendor: VendorId): string =>
  `${prefix}transformer.${vendor}`

export const ledgerGroup = (prefix: string): string => `${prefix}ledger`

/** What is read. */
export type TransformerLists = {
  readonly vendors: readonly VendorId[]
  readonly transformers: readonly Transformer[]
}

/** One consumer group per vendor, and one for the ledger; instances share their partitions. */
export function startTransformers(
  pipeline: Pipeline,
  closing: ClosingRules,
  { vendors, transformers }: TransformerLists = { vendors: VENDORS, transformers: TRANSFORMERS },
): RunningTransformers {
  const running = vendors.map((vendor) => {
    const own = transformers.filter((transformer) => transformer.vendor === vendor)
    return startVendor(pipeline, vendor, own, closing)
  })
  running.push(startLedger(pipeline))
  return {
    stop: async () => {
      await Promise.all(running.map((processor) => processor.stop()))
    },
  }
}

function startVendor(
  pipeline: Pipeline,
  vendor: VendorId,
  transformers: readonly Transformer[],
  closing: ClosingRules,
): RunningProcessor {
  const { prefix, codecs, metrics } = pipeline
  const scope = { connection: null, vendor, product: null, stream: null, sink: null, runId: null }
  const processor = createLifecycle({
    prefix,
    mappingVersion: MAPPING_VERSION,
    closing,
    transformers,
    encode: {
      asset: (value) => codecs.encode('assets', value),
      finding: (value) => codecs.encode('findings', value),
      vulnerability: (value) => codecs.encode('vulnerabilities', value),
      run: (value) => codecs.encode('runs', value),
    },
    deadLetter: (record, error) => deadLetter(prefix, record, error, attemptOf(record)),
    onDrift: (drift, day, facts) => reportDrift(pipeline, drift, day, facts),
    onDeadLetter: (error, record, facts) =>
      reportDeadLetter(pipeline, vendor, error, record, facts),
    onCommit: ({ stream, events, deadLettered }) => {
      const counters = metrics.of(stream)
      counters.events += events
      counters.errors += deadLettered
    },
    onCleanPartition: (end, partition) => clearNormalize(pipeline, vendor, end, partition),
  })
  return runStage(pipeline, scope, {
    groupId: transformerGroup(prefix, vendor),
    inputTopic: prefix + rawTopic(vendor).name,
    stateTopic: prefix + stateTopic(vendor).name,
    processor,
  })
}

function startLedger(pipeline: Pipeline): RunningProcessor {
  const { prefix, codecs } = pipeline
  const processor = createLedger({
    prefix,
    prepare: async (values) => {
      for (const value of values) await loadWriter(codecs, value)
    },
    decode: (value) => {
      const { schemaName, value: run } = codecs.decode(value)
      if (schemaName === 'Run') return run
      throw new PipelineError('SERIALIZATION', 'REGISTRY', `a ${schemaName} is no run`)
    },
    encode: (value) => codecs.encode('runs', value),
    deadLetter: (record, error) => deadLetter(prefix, record, error, attemptOf(record)),
    onFinished: (run, because) => reportHeld(pipeline, run, because),
  })
  const scope = { connection: null, vendor: null, product: null, stream: null }
  return runStage(
    pipeline,
    { ...scope, sink: null, runId: null },
    {
      groupId: ledgerGroup(prefix),
      inputTopic: topicName(prefix, 'runs'),
      stateTopic: topicName(prefix, 'stateRuns'),
      processor,
    },
  )
}

/** Poison is met again, and told, where it is decoded. */
async function loadWriter(codecs: Pipeline['codecs'], value: Buffer): Promise<void> {
  try {
    await codecs.decodeAny(value)
  } catch (error) {
    if (!(error instanceof PipelineError) || error.retriable) throw error
  }
}

/** Tells apart what a partition holds from what the producer has already told. */
const HELD = 'held closures'

function reportHeld({ reporter }: Pipeline, run: Run, because: Because): void {
  const { connection_id: connection, product, stream, run_id: runId, totals } = run
  const vendor = VENDORS.find((known) => known === run.vendor) ?? null
  if (isRemoval(run)) {
    reporter.clearEverywhere([stream === EVERY_STREAM ? { connection } : { connection, stream }])
    return
  }
  const held = totals?.held ?? 0
  const whole = run.verdict === 'COMPLETE' || run.verdict === 'DRIFTED'
  if (held === 0 && !whole) return
  // What the producer has held it has told itself: one condition, not two.
  if (held === 0 || because === 'held-by-producer') {
    const condition = { connection, stream, failures: ['MISSING_DATA'] } as const
    const subjects = because === 'released' ? [HELD, null] : [HELD]
    reporter.clearEverywhere(subjects.map((subject) => ({ ...condition, subject })))
    return
  }
  const message = `${held} assets and findings of ${stream} stay open: ${run.hold ?? 'held back'}`
  const remediation = releaseStep(runId)
  const error = new PipelineError('MISSING_DATA', 'SNAPSHOT', message, {
    subject: HELD,
    remediation,
  })
  // A process that had the stream before may have told it already.
  reporter.raiseEverywhere(error, { connection, vendor, product, stream, sink: null, runId })
}

type StageNames<S extends PartitionStore> = Pick<
  ProcessorOptions<S>,
  'groupId' | 'inputTopic' | 'stateTopic' | 'processor'
>

function runStage<S extends PartitionStore>(
  { settings, log, reporter }: Pipeline,
  scope: ErrorScope,
  names: StageNames<S>,
): RunningProcessor {
  return runProcessor({
    ...names,
    settings,
    transactionalIdPrefix: names.groupId,
    chunkRecordsMax: CHUNK_RECORDS_MAX,
    chunkBytesMax: CHUNK_BYTES_MAX,
    sessionTimeoutMs: SESSION_TIMEOUT_MS,
    concurrency: CONCURRENCY,
    log,
    ...stageTrouble(reporter, scope, names.groupId),
  })
}

/** What only a unit of this partition can have raised, and the run has shown to be over. */
const DEAD_LETTERS = ['SCHEMA_VIOLATION', 'SERIALIZATION', 'INVALID_RESPONSE', 'INTERNAL'] as const

function clearNormalize(
  { reporter }: Pipeline,
  vendor: VendorId,
  { connection, stream }: RunEnd,
  partition: number,
): void {
  // PARSE is the producers', who clear it themselves.
  const ours = { vendor, sink: null, stages: ['NORMALIZE'] } as const
  reporter.clearEverywhere([
    { ...ours, connection, stream, failures: DEAD_LETTERS, partition },
    // Told once a day: what was told a day ago has been told again, or is over.
    { ...ours, connection, stream, failures: ['CONTRACT_DRIFT'], quietMs: DAY_MS },
    // Records that do not say whose they are: no run can show that they are over.
    { ...ours, connection: null, stream: null, failures: DEAD_LETTERS, quietMs: DAY_MS },
  ])
}

function reportDrift(pipeline: Pipeline, drift: Drift, day: string, facts: RawFacts): void {
  const { kind, path, detail } = drift
  const message = `${facts.stream}: ${kind} at ${path}: ${detail}`
  const subject = `${kind} ${path} ${day}`
  const { connection, vendor, product, stream, runId } = facts
  const scope = { connection, vendor, product, stream, sink: null, runId }
  pipeline.reporter.raise(
    new PipelineError('CONTRACT_DRIFT', 'NORMALIZE', message, { subject }),
    scope,
  )
}

/** A replayed dead letter carries how often it was tried before. */
const attemptOf = ({ headers }: KafkaRecord): number => attemptsOf(headers) + 1

function reportDeadLetter(
  pipeline: Pipeline,
  vendor: VendorId,
  error: PipelineError,
  record: KafkaRecord,
  facts: RawFacts | null,
): void {
  const pointer = {
    topic: record.topic,
    partition: record.partition,
    offset: Number(record.offset),
    key: record.key,
  }
  const told = { reason: error.failure, stream: facts && streamKey(facts), ...pointer }
  pipeline.log.warn(told, `dead letter: ${error.message.slice(0, LOG_CHARACTERS_MAX)}`)
  // With stack and every violation: too much for a screen that many letters pass.
  pipeline.log.debug({ err: error, ...pointer }, 'dead letter in full')
  pipeline.reporter.raise(
    error,
    {
      connection: facts?.connection ?? null,
      vendor,
      product: facts?.product ?? null,
      stream: facts?.stream ?? null,
      sink: null,
      runId: facts?.runId ?? null,
    },
    pointer,
  )
}
