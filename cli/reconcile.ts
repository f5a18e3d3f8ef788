// `exposure reconcile`: whether every store holds what the exposure topics say.
import { PipelineError } from '../contracts/errors.ts'
import { AUDIT_UIDS_MAX } from '../contracts/ports.ts'
import { openAdmin } from '../runtime/kafka/admin.ts'
import { createLogger } from '../runtime/log.ts'
import { sinkGroup } from '../runtime/run-sink.ts'
import { type ConfiguredSink, createSinks } from '../sinks/sinks.ts'
import { parse } from './command.ts'
import { type ExposureConfig, loadConfig } from './config.ts'
import { countOf } from './dlq-filter.ts'
import { type ReconcileAccess, compareSink } from './reconcile-compare.ts'
import { type SinkVerdict, differs, factsOf, verdictLines } from './reconcile-text.ts'
import { withRuns } from './runs.ts'

const EXIT_FAILURE = 1
const EXIT_DIFFERS = 2
const SEED_MAX = 2 ** 31 - 1
const NOT_KNOWN = 'there is no way to ask it what it holds'

type Choice = { readonly sample: number; readonly seed: number }

export async function reconcile(args: readonly string[]): Promise<number> {
  const options = {
    config: { type: 'string' },
    sink: { type: 'string' },
    sample: { type: 'string', default: String(AUDIT_UIDS_MAX) },
    seed: { type: 'string', default: String(1 + (Date.now() % SEED_MAX)) },
    json: { type: 'boolean', default: false },
  } as const
  const { values } = parse(args, options)
  const sample = countOf('sample', values.sample, AUDIT_UIDS_MAX)
  const seed = countOf('seed', values.seed, SEED_MAX)
  const verdicts = await verdictsOf(loadConfig(values.config), values.sink, { sample, seed })
  for (const verdict of verdicts) {
    if (values.json) console.log(JSON.stringify(factsOf(verdict, seed)))
    else for (const line of verdictLines(verdict, seed)) console.log(line)
  }
  if (verdicts.some(differs)) return EXIT_DIFFERS
  const isFailed = verdicts.some(({ error }) => error !== null)
  return isFailed || verdicts.every(({ kinds }) => kinds === null) ? EXIT_FAILURE : 0
}

/** One after the other, so that memory is that of one. */
async function verdictsOf(
  config: ExposureConfig,
  name: string | undefined,
  choice: Choice,
): Promise<SinkVerdict[]> {
  return await withRuns(config, async ({ settings, reader, codecs }) => {
    const { prefix } = settings
    const log = createLogger('reconcile')
    const groupOf = (sink: string) => sinkGroup(prefix, sink)
    const sinks = createSinks(config.sinks, { groupOf, kafka: settings, log })
    const admin = await openAdmin(settings, log)
    try {
      const verdicts: SinkVerdict[] = []
      for (const configured of chosen(sinks, name)) {
        const access = { prefix, admin, reader, codecs }
        verdicts.push(await verdictOn(configured, access, choice))
      }
      return verdicts
    } finally {
      await admin.close()
    }
  })
}

function chosen(sinks: readonly ConfiguredSink[], name: string | undefined) {
  const found = sinks.filter(({ sink }) => name === undefined || sink.name === name)
  if (found.length > 0) return found
  const text = name === undefined ? 'exposure.yaml has no sinks' : `there is no sink ${name}`
  const names = sinks.map(({ sink }) => sink.name)
  throw new PipelineError('CONFIGURATION', 'CONFIG', text, {
    remediation: names.length === 0 ? 'Add one: docs/sinks.md.' : `There is: ${names.join(', ')}.`,
  })
}

/** A store that cannot be asked does not keep the others from it. */
async function verdictOn(
  configured: ConfiguredSink,
  access: ReconcileAccess,
  choice: Choice,
): Promise<SinkVerdict> {
  const { type, sink } = configured
  const named = { name: sink.name, type, kinds: null, unasked: null, error: null }
  if (sink.audit === undefined) return { ...named, unasked: sink.unasked ?? NOT_KNOWN }
  try {
    const audit = await sink.audit()
    try {
      return { ...named, kinds: await compareSink({ ...access, ...choice, configured, audit }) }
    } finally {
      await audit.close()
    }
  } catch (error) {
    if (error instanceof PipelineError) return { ...named, error }
    throw error
  }
}
