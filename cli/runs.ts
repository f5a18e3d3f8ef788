// `exposure runs list` and `exposure runs show`: how the runs of every stream ended, and why.
import { PipelineError } from '../contracts/errors.ts'
import type { Codecs } from '../runtime/codecs.ts'
import { kafkaSettings, registrySettings } from '../runtime/config.ts'
import { type LogReader, openLogReader } from '../runtime/kafka/log-reader.ts'
import type { KafkaSettings } from '../runtime/kafka/types.ts'
import { createLogger } from '../runtime/log.ts'
import { openRegistry } from '../runtime/registry.ts'
import { UsageError, parse } from './command.ts'
import { type ExposureConfig, loadConfig } from './config.ts'
import { type RunStep, type RunStory, readSteps, tell } from './run-story.ts'
import { factsOf, listLines, stepLines } from './runs-text.ts'

const REGISTRY_TIMEOUT_MS = 10_000
const LIMIT_DEFAULT = '20'
const LIMIT_MAX = 10_000
/** More runs than are asked for are kept while reading, then the oldest are let go. */
const KEPT_FACTOR = 2

export type RunsLog = {
  readonly settings: KafkaSettings
  readonly reader: LogReader
  readonly codecs: Codecs
}

/** Opens what reading exposure.runs needs, and closes it. */
export async function withRuns<T>(
  config: ExposureConfig,
  work: (runs: RunsLog) => Promise<T>,
): Promise<T> {
  const settings = kafkaSettings(config.kafka)
  const registry = registrySettings(config.registry)
  const timeoutMs = REGISTRY_TIMEOUT_MS
  const codecs = await openRegistry({ ...registry, timeoutMs }).lookup(settings.prefix)
  const reader = openLogReader(settings, createLogger('runs'))
  try {
    return await work({ settings, reader, codecs })
  } finally {
    await reader.close()
  }
}

export async function listRuns(args: readonly string[]): Promise<number> {
  const options = {
    config: { type: 'string' },
    connection: { type: 'string' },
    stream: { type: 'string' },
    limit: { type: 'string', default: LIMIT_DEFAULT },
    json: { type: 'boolean', default: false },
  } as const
  const { values } = parse(args, options)
  const limit = Number(values.limit)
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > LIMIT_MAX) {
    throw new UsageError(`--limit takes a whole number from 1 to ${LIMIT_MAX}`)
  }
  const isWanted = ({ run }: RunStep) =>
    (values.connection ?? run.connection_id) === run.connection_id &&
    (values.stream ?? run.stream) === run.stream
  const stories = await withRuns(loadConfig(values.config), (runs) =>
    newestStories(runs, isWanted, limit),
  )
  if (values.json) for (const story of stories) console.log(JSON.stringify(factsOf(story)))
  else if (stories.length === 0) console.log('no runs')
  else for (const line of listLines(stories)) console.log(line)
  return 0
}

async function newestStories(
  { reader, codecs, settings }: RunsLog,
  isWanted: (step: RunStep) => boolean,
  limit: number,
): Promise<RunStory[]> {
  const stories = new Map<string, RunStory>()
  await readSteps(reader, codecs, settings.prefix, null, (step) => {
    if (!isWanted(step)) return
    tell(stories, step)
    if (stories.size > limit * KEPT_FACTOR + LIMIT_MAX) dropOldest(stories, limit)
  })
  return newestFirst(stories)
    .slice(0, limit)
    .map(([, story]) => story)
}

const newestFirst = (stories: ReadonlyMap<string, RunStory>) =>
  [...stories].toSorted(
    ([a, { run: one }], [b, { run: other }]) =>
      other.started_at - one.started_at || (a < b ? 1 : -1),
  )

function dropOldest(stories: Map<string, RunStory>, kept: number): void {
  for (const [id] of newestFirst(stories).slice(kept * KEPT_FACTOR)) stories.delete(id)
}

export async function showRun(args: readonly string[]): Promise<number> {
  const options = { config: { type: 'string' }, json: { type: 'boolean', default: false } } as const
  const { values, positionals } = parse(args, options, 1)
  const [runId] = positionals
  if (runId === undefined) throw new UsageError('runs show takes one run')
  const steps = await withRuns(loadConfig(values.config), (runs) => stepsOf(runs, runId))
  if (values.json) {
    for (const { partition, offset, run } of steps) {
      console.log(JSON.stringify({ partition, offset: Number(offset), ...run }))
    }
    return 0
  }
  const stories = new Map<string, RunStory>()
  for (const step of steps) tell(stories, step)
  for (const line of listLines([...stories.values()])) console.log(line)
  for (const line of ['', ...stepLines(steps)]) console.log(line)
  return 0
}

/** Every step of a run, in order. @throws PipelineError when there is none */
export async function stepsOf(
  { reader, codecs, settings }: RunsLog,
  runId: string,
): Promise<RunStep[]> {
  const steps: RunStep[] = []
  await readSteps(reader, codecs, settings.prefix, null, (step) => {
    if (step.run.run_id === runId) steps.push(step)
  })
  if (steps.length > 0) return steps
  throw new PipelineError('MISSING_DATA', 'CONFIG', `there is no run ${runId}`, {
    remediation: 'exposure runs list names those of the last 90 days.',
  })
}
