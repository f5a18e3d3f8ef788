// `exposure replay raw`: kept raw records read again by this build, shown, then published.
import { randomBytes } from 'node:crypto'
import { PipelineError } from '../contracts/errors.ts'
import { RAW_PARTITIONS, rawTopic, type VendorId } from '../contracts/topics.ts'
import { kafkaSettings, registrySettings } from '../runtime/config.ts'
import { type Admin, openAdmin } from '../runtime/kafka/admin.ts'
import { type LogReader, openLogReader } from '../runtime/kafka/log-reader.ts'
import { createLogger } from '../runtime/log.ts'
import { openRegistry } from '../runtime/registry.ts'
import type { Codecs } from '../runtime/codecs.ts'
import type { KafkaSettings } from '../runtime/kafka/types.ts'
import { TRANSFORMERS } from '../transformers/transformers.ts'
import { UsageError, parse, stopSignal } from './command.ts'
import { type Connection, loadConfig } from './config.ts'
import { endsOf, eventsSince, eventTopicsOf, latestCompleteRun, passed } from './replay-follow.ts'
import { openRewriter } from './replay-write.ts'
import { type Reading, readPartition } from './replay-read.ts'
import { jsonReport, noTotals, textReport } from './replay-report.ts'

const REGISTRY_TIMEOUT_MS = 30_000
const RUN_ID = /^\d{13}-[0-9a-f]{6}$/

export async function replayRaw(args: readonly string[]): Promise<number> {
  const { values } = parse(args, {
    config: { type: 'string' },
    connection: { type: 'string' },
    stream: { type: 'string' },
    from: { type: 'string', default: 'latest' },
    diff: { type: 'boolean', default: false },
    force: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  })
  const { connection: name, stream, from, diff, force } = values
  if (name === undefined) throw new UsageError('replay raw takes --connection NAME')
  if (stream === undefined) throw new UsageError('replay raw takes --stream NAME')
  if (diff && force) throw new UsageError('--diff publishes nothing, and --force is about that')
  if (from !== 'latest' && !RUN_ID.test(from)) {
    throw new UsageError('--from takes a run id, as in exposure.runs, or latest')
  }
  const config = loadConfig(values.config)
  const connection = config.connections.find((candidate) => candidate.name === name)
  if (connection === undefined) throw new UsageError(`no connection named ${name}`)
  const place = placeOf(connection, stream)
  const settings = kafkaSettings(config.kafka)
  const registry = { ...registrySettings(config.registry), timeoutMs: REGISTRY_TIMEOUT_MS }
  const codecs = await openRegistry(registry).lookup(settings.prefix)
  const log = createLogger('replay')
  const reader = openLogReader(settings, log)
  const admin = await openAdmin(settings, log)
  const signal = stopSignal()
  const report = values.json ? jsonReport() : textReport()
  try {
    const replay = { settings, codecs, reader, admin, log, signal, report, force, ...place }
    const runId = from === 'latest' ? await latestCompleteRun(reader, codecs, replay) : from
    await (diff ? show({ ...replay, runId }) : publish({ ...replay, runId }))
    return 0
  } catch (cause) {
    if (!signal.aborted) throw cause
    throw new PipelineError('INTERNAL', 'FETCH', 'stopped before the end', {
      cause,
      remediation: 'Begin again: what was written already says the same by then.',
    })
  } finally {
    await Promise.all([reader.close(), admin.close()])
  }
}

export type Replay = ReturnType<typeof placeOf> & {
  readonly settings: KafkaSettings
  readonly codecs: Codecs
  readonly reader: LogReader
  readonly admin: Admin
  readonly log: ReturnType<typeof createLogger>
  readonly signal: AbortSignal
  readonly report: ReturnType<typeof textReport>
  readonly force: boolean
  /** Records of runs before this one are left out. */
  readonly runId: string
}

/** @throws UsageError when no transformer reads such a stream */
function placeOf(connection: Connection, stream: string) {
  const vendor: VendorId = connection.type
  const ours = TRANSFORMERS.filter((transformer) => transformer.vendor === vendor)
  const transformer = ours.find((candidate) => candidate.stream === stream)
  if (transformer === undefined) {
    const names = ours.map((candidate) => candidate.stream).join(', ')
    throw new UsageError(`no stream "${stream}" of ${vendor}: ${names}`)
  }
  return { connection: connection.name, vendor, stream, transformer }
}

async function show(replay: Replay): Promise<void> {
  const totals = noTotals()
  for (let partition = 0; partition < RAW_PARTITIONS; partition++) {
    await readPartition(replay, partition, totals)
  }
  refuseNothing(totals.units, replay)
  replay.report.totals(totals, null)
}

/** Writes again what would change, and waits until the transformers have passed it. */
async function publish(replay: Replay): Promise<void> {
  const { settings, reader, codecs, admin, vendor } = replay
  const id = `replay-${randomBytes(6).toString('hex')}`
  const raw = settings.prefix + rawTopic(vendor).name
  const totals = noTotals()
  const before = await endsOf(reader, [raw, ...eventTopicsOf(settings.prefix)])
  const rewriter = await openRewriter(replay, raw, id)
  try {
    for (let partition = 0; partition < RAW_PARTITIONS; partition++) {
      const isWanted = (reading: Reading) => wanted(reading, replay.force)
      await readPartition(replay, partition, totals, {
        onRecord: (record, reading) => isWanted(reading) && rewriter.add(record),
        onFetch: () => rewriter.flush(),
      })
    }
  } finally {
    await rewriter.close()
  }
  refuseNothing(totals.units, replay)
  totals.published = rewriter.written()
  await passed(admin, replay, raw, rewriter.last(), totals.published)
  const events = totals.published === 0 ? 0 : await eventsSince(reader, codecs, before, id, raw)
  replay.report.totals(totals, { events })
}

/** With --force also what says the same; never what must not be read again. */
function wanted(reading: Reading, force: boolean): boolean {
  if (reading.outcome === 'changed') return force || !reading.versionStands
  return force && reading.outcome === 'same'
}

function refuseNothing(units: number, { stream, connection, runId }: Replay): void {
  if (units > 0) return
  const text = `no raw record of ${stream} of ${connection} is kept from run ${runId} or later`
  throw new PipelineError('MISSING_DATA', 'FETCH', text, {
    remediation: 'Name an earlier run (exposure.runs has them), or wait for the next one.',
  })
}
