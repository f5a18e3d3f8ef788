// Which dead letters a `dlq` command is about, and how one is repaired: its options and words.
import { readFileSync } from 'node:fs'
import { FAILURES, PipelineError, STAGES } from '../contracts/errors.ts'
import { TOPICS } from '../contracts/topics.ts'
import { longDuration } from '../runtime/connection-config.ts'
import type { Repair } from '../runtime/dead-letter-moves.ts'
import type { LetterFilter } from '../runtime/dead-letters.ts'
import { UsageError } from './command.ts'

export const FILTER_OPTIONS = {
  config: { type: 'string' },
  reason: { type: 'string' },
  stage: { type: 'string' },
  topic: { type: 'string' },
  connection: { type: 'string' },
  stream: { type: 'string' },
  key: { type: 'string' },
  since: { type: 'string' },
} as const

export const REPAIR_OPTIONS = {
  value: { type: 'string' },
  'set-key': { type: 'string' },
  'set-header': { type: 'string', multiple: true },
  'drop-header': { type: 'string', multiple: true },
} as const

type FilterValues = { readonly [name in keyof typeof FILTER_OPTIONS]?: string | undefined }
type RepairValues = {
  readonly value?: string | undefined
  readonly 'set-key'?: string | undefined
  readonly 'set-header'?: readonly string[] | undefined
  readonly 'drop-header'?: readonly string[] | undefined
}

/** `words` are letters by name; none stands for all that match. @throws UsageError */
export function filterOf(
  values: FilterValues,
  words: readonly string[],
  nowMs: number,
): LetterFilter {
  const { reason, stage, topic, connection, stream, key, since } = values
  oneOf('reason', reason, Object.keys(FAILURES))
  oneOf('stage', stage, STAGES)
  const ids = words.length === 0 ? undefined : new Set(words.map(idOf))
  const sinceMs = since === undefined ? undefined : nowMs - durationOf(since)
  return { ids, reason, stage, topic, connection, stream, key, since: sinceMs }
}

/** For what changes something: all letters only when that is said. @throws UsageError */
export function chosenFilter(
  values: FilterValues & { readonly everything?: boolean | undefined },
  words: readonly string[],
  nowMs: number,
): LetterFilter {
  const filter = filterOf(values, words, nowMs)
  if (values.everything === true || Object.values(filter).some((part) => part !== undefined)) {
    return filter
  }
  throw new UsageError('which letters? PARTITION/OFFSET, a filter such as --reason, --everything')
}

function oneOf(name: string, value: string | undefined, known: readonly string[]): void {
  if (value === undefined || known.includes(value)) return
  throw new UsageError(`no ${name} "${value}": ${known.join(', ')}`)
}

function durationOf(text: string): number {
  const parsed = longDuration.safeParse(text)
  if (parsed.success) return parsed.data
  throw new UsageError('--since takes a number and a unit: 30s, 15m, 6h or 1d')
}

export type LetterPlace = { readonly partition: number; readonly offset: bigint }

/** @throws UsageError when `word` does not name a letter */
export function placeOf(word: string): LetterPlace {
  const [, partition, offset] = /^(\d{1,6})\/(\d{1,16})$/.exec(word) ?? []
  if (
    partition !== undefined &&
    offset !== undefined &&
    Number(partition) < TOPICS.dlq.partitions
  ) {
    return { partition: Number(partition), offset: BigInt(offset) }
  }
  throw new UsageError(`"${word}" names no letter: PARTITION/OFFSET, as dlq list --records shows`)
}

function idOf(word: string): string {
  const { partition, offset } = placeOf(word)
  return `${partition}/${offset}`
}

/** Null when nothing is to be repaired. @throws UsageError, or PipelineError for the file */
export function repairOf(values: RepairValues, words: readonly string[]): Repair | null {
  const headers = new Map<string, string | null>()
  for (const name of values['drop-header'] ?? []) headers.set(name, null)
  for (const text of values['set-header'] ?? []) {
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? []
    if (name === undefined || value === undefined) {
      throw new UsageError(`--set-header takes NAME=VALUE, not "${text}"`)
    }
    headers.set(name, value)
  }
  const { value: file, 'set-key': key } = values
  if (headers.size === 0 && file === undefined && key === undefined) return null
  if (words.length !== 1) throw new UsageError('one letter is repaired at a time: PARTITION/OFFSET')
  return { headers, key, value: file === undefined ? undefined : contentOf(file) }
}

function contentOf(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    const message = `the file ${file} cannot be read`
    throw new PipelineError('CONFIGURATION', 'CONFIG', message, { cause })
  }
}

/** @throws UsageError when it is no whole number from 1 to `max` */
export function countOf(name: string, text: string, max: number): number {
  const count = Number(text)
  if (/^\d+$/.test(text) && count >= 1 && count <= max) return count
  throw new UsageError(`--${name} takes a whole number from 1 to ${max}`)
}
