// `exposure dlq list`, `show`, `replay`, `purge`: what could not be processed, and what to do.
import { PipelineError } from '../contracts/errors.ts'
import { kafkaSettings } from '../runtime/config.ts'
import {
  ATTEMPTS_MAX,
  type Move,
  type Moved,
  purgeLetters,
  replayLetters,
} from '../runtime/dead-letter-moves.ts'
import {
  type Letter,
  bareTopic,
  matches,
  readFates,
  readLetter,
  readLetters,
} from '../runtime/dead-letters.ts'
import { openLogReader } from '../runtime/kafka/log-reader.ts'
import type { KafkaSettings } from '../runtime/kafka/types.ts'
import { createLogger } from '../runtime/log.ts'
import { ANY_WORDS, UsageError, parse } from './command.ts'
import { loadConfig } from './config.ts'
import {
  FILTER_OPTIONS,
  REPAIR_OPTIONS,
  chosenFilter,
  countOf,
  filterOf,
  placeOf,
  repairOf,
} from './dlq-filter.ts'
import {
  type Group,
  type LetterFacts,
  factsOf,
  groupLines,
  letterLines,
  printable,
  showLines,
  timeOf,
} from './dlq-text.ts'

const EXIT_FAILURE = 1
const EXIT_USAGE = 2
const RECORDS_DEFAULT = '50'
const RECORDS_MAX = 10_000
const ATTEMPTS_LIMIT = 1_000
/** Lines about single letters; the counts below them are of all. */
const LINES_MAX = 100

const settingsOf = (file: string | undefined): KafkaSettings =>
  kafkaSettings(loadConfig(file).kafka)

export async function listDeadLetters(args: readonly string[]): Promise<number> {
  const options = {
    ...FILTER_OPTIONS,
    records: { type: 'boolean', default: false },
    limit: { type: 'string', default: RECORDS_DEFAULT },
    all: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  } as const
  const { values } = parse(args, options)
  const filter = filterOf(values, [], Date.now())
  const limit = countOf('limit', values.limit, RECORDS_MAX)
  const settings = settingsOf(values.config)
  const { prefix } = settings
  const groups = new Map<string, Group>()
  const newest = newestOf(limit)
  await withReader(settings, async (reader) => {
    const fates = await readFates(reader, prefix)
    const onLetter = (letter: Letter) => {
      if (!matches(letter, filter, prefix) || (letter.fate !== null && !values.all)) return
      count(groups, letter, prefix)
      if (values.records) newest.add(factsOf(letter, prefix))
    }
    await readLetters(reader, prefix, { fates, onLetter })
  })
  const sorted = [...groups.values()].toSorted((a, b) => b.count - a.count || b.lastMs - a.lastMs)
  const letters = sorted.reduce((sum, group) => sum + group.count, 0)
  if (values.json) {
    const records = values.records ? { records: newest.list() } : {}
    console.log(JSON.stringify({ letters, groups: sorted.map(groupFacts), ...records }))
    return 0
  }
  const kind = values.all ? '' : 'open '
  console.log(`${letters} ${kind}dead ${letters === 1 ? 'letter' : 'letters'}`)
  for (const line of groupLines(sorted, values.all)) console.log(line)
  if (values.records && letters > 0) {
    console.log('')
    for (const line of letterLines(newest.list())) console.log(line)
  }
  return 0
}

function count(groups: Map<string, Group>, letter: Letter, prefix: string): void {
  const { reason, stage, atMs } = letter
  const topic = bareTopic(prefix, letter.topic)
  const fate = letter.fate?.name ?? 'open'
  const name = [reason, stage, topic, fate].join('|')
  const fresh = { reason, stage, topic, fate, count: 0, firstMs: atMs, lastMs: atMs }
  const group = groups.get(name) ?? fresh
  // Of names that we gave ourselves there are only so many.
  groups.set(name, group)
  group.count += 1
  group.firstMs = Math.min(group.firstMs, atMs)
  group.lastMs = Math.max(group.lastMs, atMs)
}

const groupFacts = ({ firstMs, lastMs, ...group }: Group) => ({
  ...group,
  first: timeOf(firstMs),
  last: timeOf(lastMs),
})

/** Keeps the newest `max` of however many, newest first. */
function newestOf(max: number): { add(letter: LetterFacts): void; list(): LetterFacts[] } {
  let kept: LetterFacts[] = []
  const list = () => kept.toSorted((a, b) => (a.time < b.time ? 1 : -1)).slice(0, max)
  return {
    add(letter) {
      kept.push(letter)
      if (kept.length >= 2 * max) kept = list()
    },
    list,
  }
}

export async function showDeadLetter(args: readonly string[]): Promise<number> {
  const options = { config: { type: 'string' }, raw: { type: 'boolean', default: false } } as const
  const { values, positionals } = parse(args, options, 1)
  const [word] = positionals
  if (word === undefined) throw new UsageError('dlq show takes PARTITION/OFFSET')
  const { partition, offset } = placeOf(word)
  const settings = settingsOf(values.config)
  const letter = await withReader(settings, (reader) =>
    readLetter(reader, settings.prefix, partition, offset),
  )
  if (letter === null) throw noLetter(word)
  if (values.raw) {
    await written(letter.record.value ?? Buffer.alloc(0))
    return 0
  }
  for (const line of showLines(letter, settings.prefix)) console.log(line)
  return 0
}

const noLetter = (word: string): PipelineError =>
  new PipelineError('CONFIGURATION', 'CONFIG', `no dead letter lies at ${word}`, {
    remediation: '`exposure dlq list --records --all` names those there are.',
  })

/** A pipe takes 64 kB at once: the process must not end before it has taken all. */
const written = (bytes: Buffer): Promise<void> =>
  new Promise((resolve) => {
    process.stdout.write(bytes, () => resolve())
  })

export async function replayDeadLetters(args: readonly string[]): Promise<number> {
  const options = {
    ...FILTER_OPTIONS,
    ...REPAIR_OPTIONS,
    everything: { type: 'boolean', default: false },
    'dry-run': { type: 'boolean', default: false },
    'max-attempts': { type: 'string', default: String(ATTEMPTS_MAX) },
  } as const
  const { values, positionals } = parse(args, options, ANY_WORDS)
  const filter = chosenFilter(values, positionals, Date.now())
  const repair = repairOf(values, positionals)
  const attemptsMax = countOf('max-attempts', values['max-attempts'], ATTEMPTS_LIMIT)
  const settings = settingsOf(values.config)
  const dryRun = values['dry-run']
  const log = createLogger('dlq')
  const lines = lineOf(settings.prefix)
  const moved = await replayLetters({
    settings,
    log,
    filter,
    dryRun,
    attemptsMax,
    repairOf: () => repair,
    onLetter: lines.add,
  })
  lines.end()
  const { replayed, quarantined, refused, moveId } = moved
  const others = `${quarantined} to quarantine, ${refused} left where they are`
  const counts = `${replayed} replayed, ${others}`
  console.log(dryRun ? `dry run, nothing was moved: ${counts}` : `${counts} (replay ${moveId})`)
  return codeOf(moved, positionals)
}

/** Letters that were named, and none of them moved: whoever named them should know. */
function codeOf({ replayed, quarantined, purged }: Moved, named: readonly string[]): number {
  if (named.length === 0 || replayed + quarantined + purged > 0) return 0
  console.error('exposure: none of the letters named is open and can be moved (dlq show says why)')
  return EXIT_FAILURE
}

export async function purgeDeadLetters(args: readonly string[]): Promise<number> {
  const options = {
    ...FILTER_OPTIONS,
    everything: { type: 'boolean', default: false },
    yes: { type: 'boolean', default: false },
  } as const
  const { values, positionals } = parse(args, options, ANY_WORDS)
  const filter = chosenFilter(values, positionals, Date.now())
  const settings = settingsOf(values.config)
  const log = createLogger('dlq')
  const lines = lineOf(settings.prefix)
  const dryRun = !values.yes
  const moved = await purgeLetters({ settings, log, filter, dryRun, onLetter: lines.add })
  lines.end()
  if (dryRun) {
    console.log(`nothing was purged; --yes purges ${moved.purged}`)
    return EXIT_USAGE
  }
  console.log(`${moved.purged} purged (purge ${moved.moveId})`)
  return codeOf(moved, positionals)
}

/** One line for each of the first letters, then how many more there were. */
function lineOf(prefix: string): {
  readonly add: (letter: Letter, move: Move) => void
  readonly end: () => void
} {
  let letters = 0
  return {
    add(letter, move) {
      letters += 1
      if (letters > LINES_MAX) return
      const to = destination(letter, move, prefix)
      console.log(printable(`${letter.id}  ${letter.reason}  ${letter.record.key}  ${to}`))
    },
    end() {
      if (letters > LINES_MAX) console.log(`... and ${letters - LINES_MAX} more`)
    },
  }
}

function destination({ attempts }: Letter, move: Move, prefix: string): string {
  switch (move.kind) {
    case 'refuse':
      return `stays: ${move.why}`
    case 'purge':
      return 'purge'
    case 'quarantine':
      return `to exposure.quarantine after ${attempts} attempts`
    case 'replay': {
      const { topic, partition } = move.record
      return `to ${bareTopic(prefix, topic)}/${partition}, attempt ${attempts + 1}`
    }
  }
}

type Reader = ReturnType<typeof openLogReader>

async function withReader<T>(
  settings: KafkaSettings,
  work: (reader: Reader) => Promise<T>,
): Promise<T> {
  const reader = openLogReader(settings, createLogger('dlq'))
  try {
    return await work(reader)
  } finally {
    await reader.close()
  }
}
