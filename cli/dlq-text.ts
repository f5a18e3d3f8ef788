// Dead letters as text for an operator's terminal. What vendors sent is never printed as it is.
import { isUtf8 } from 'node:buffer'
import { type Letter, bareTopic } from '../runtime/dead-letters.ts'

/** Characters of a body that is text; bytes of one that is none. */
const BODY_CHARACTERS_MAX = 16_000
const BODY_BYTES_MAX = 1_024
const HEADER_CHARACTERS_MAX = 2_000
const ROW_BYTES = 16

/** Letters of one kind. */
export type Group = {
  readonly reason: string
  readonly stage: string
  /** Without prefix. */
  readonly topic: string
  /** `open`, or what became of them. */
  readonly fate: string
  count: number
  firstMs: number
  lastMs: number
}

export const timeOf = (ms: number): string => new Date(ms).toISOString()

/**
 * Control characters, and those that turn the direction of text, as escapes: a vendor's text must
 * not steer the terminal.
 */
export function printable(text: string, kept = ''): string {
  return text.replace(
    // oxlint-disable-next-line no-control-regex -- these are what it is about
    /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (found) =>
      kept.includes(found)
        ? found
        : `\\u${(found.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  )
}

export const columnsOf = (rows: readonly (readonly string[])[]): string[] => {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

/** Most letters first. */
export function groupLines(groups: readonly Group[], withFate: boolean): string[] {
  const rows = groups.map((group) => [
    String(group.count),
    group.reason,
    group.stage,
    group.topic,
    ...(withFate ? [group.fate] : []),
    timeOf(group.firstMs),
    timeOf(group.lastMs),
  ])
  const head = ['COUNT', 'REASON', 'STAGE', 'FROM', ...(withFate ? ['FATE'] : []), 'FIRST', 'LAST']
  return rows.length === 0 ? [] : columnsOf([head, ...rows]).map(printableLine)
}

const printableLine = (line: string): string => printable(line)

export const letterLines = (letters: readonly LetterFacts[]): string[] => {
  const rows = letters.map((letter) => [
    letter.id,
    letter.time,
    letter.reason,
    letter.fate,
    String(letter.attempts),
    printable(letter.key),
    printable(letter.error),
  ])
  const head = ['LETTER', 'TIME', 'REASON', 'FATE', 'ATTEMPTS', 'KEY', 'ERROR']
  return rows.length === 0 ? [] : columnsOf([head, ...rows])
}

/** A letter without its content, as `--json` prints it. */
export type LetterFacts = ReturnType<typeof factsOf>

export const factsOf = (letter: Letter, prefix: string) => ({
  id: letter.id,
  time: timeOf(letter.atMs),
  reason: letter.reason,
  stage: letter.stage,
  topic: bareTopic(prefix, letter.topic),
  partition: letter.topicPartition,
  offset: letter.topicOffset,
  connection: letter.connection,
  stream: letter.stream,
  key: letter.record.key,
  attempts: letter.attempts,
  fate: letter.fate?.name ?? 'open',
  error: letter.error,
  bytes: letter.record.value?.length ?? 0,
})

/** Everything about one letter. */
export function showLines(letter: Letter, prefix: string): string[] {
  const { record, fate, topicPartition, topicOffset } = letter
  const topic = bareTopic(prefix, letter.topic)
  const where =
    topicPartition < 0
      ? `an item of a listing, never on ${topic}`
      : `${topic}, partition ${topicPartition}, offset ${topicOffset}`
  const state = fate === null ? 'open' : `${fate.name} at ${timeOf(fate.atMs)} (${fate.moveId})`
  return [
    `letter    ${letter.id} of ${timeOf(letter.atMs)}: ${state}`,
    `reason    ${letter.reason} in ${letter.stage}, attempts: ${letter.attempts}`,
    `error     ${letter.error}`,
    `from      ${where}`,
    `key       ${bytesText(record.exact === undefined ? record.key : record.exact.key)}`,
    'headers',
    ...headersOf(letter).map(([name, value]) => `  ${bytesText(name)}: ${bytesText(value)}`),
  ]
    .map(printableLine)
    .concat(bodyLines(record.value))
}

type Part = string | Buffer | null

const headersOf = ({ record: { headers, exact } }: Letter): readonly (readonly [Part, Part])[] =>
  exact === undefined ? Object.entries(headers) : exact.headers

function bytesText(part: Part): string {
  if (part === null) return '(null)'
  const isText = typeof part === 'string' || isUtf8(part)
  const text = isText ? part.toString() : `hex ${part.toString('hex')}`
  if (text.length <= HEADER_CHARACTERS_MAX) return text
  return `${text.slice(0, HEADER_CHARACTERS_MAX)}... (${text.length} characters)`
}

function bodyLines(value: Buffer | null): string[] {
  if (value === null) return ['body      none (null)']
  const head = `body      ${value.length} bytes`
  if (!isUtf8(value)) {
    const rest = value.length - BODY_BYTES_MAX
    return [`${head}, not UTF-8`, ...hexDump(value.subarray(0, BODY_BYTES_MAX)), ...more(rest)]
  }
  const text = value.toString()
  const shown = printable(text.slice(0, BODY_CHARACTERS_MAX), '\n\t')
  return [head, shown, ...more(text.length - BODY_CHARACTERS_MAX)]
}

const more = (rest: number): string[] =>
  rest <= 0 ? [] : [`... ${rest} more: --raw gives all of it`]

/** 16 bytes a line: offset, hex, and what of it is ASCII. */
export function hexDump(bytes: Buffer): string[] {
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += ROW_BYTES) {
    const row = bytes.subarray(at, at + ROW_BYTES)
    const hex = [...row].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const ascii = row.toString('latin1').replace(/[^ -~]/g, '.')
    lines.push(`${at.toString(16).padStart(8, '0')}  ${hex.padEnd(ROW_BYTES * 3)} ${ascii}`)
  }
  return lines
}
