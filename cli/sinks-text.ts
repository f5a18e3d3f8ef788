// Sinks as text for an operator's terminal.
import { columnsOf, printable } from './dlq-text.ts'

/** What --json prints of one sink; times in ISO. */
export type SinkFacts = {
  readonly sink: string
  readonly type: string
  readonly group: string
  /** Processes that run it now. */
  readonly members: number
  /** Whether its group has read anything. */
  readonly hasBegun: boolean
  /** Offsets that its group has not passed, markers of transactions included. */
  readonly lag: number
  /** When the oldest record was written that it has not read. */
  readonly waitingSince: string | null
  readonly topics: readonly { readonly topic: string; readonly lag: number }[]
  /** Records that its store has refused, and nobody has looked after. */
  readonly deadLetters: number
  /** What is wrong with it now. */
  readonly errors: readonly {
    readonly errorType: string
    readonly since: string
    readonly last: string
    readonly message: string
    readonly nextStep: string
  }[]
}

const HEAD = ['SINK', 'TYPE', 'STATE', 'LAG', 'WAITING SINCE', 'DEAD', 'GROUP']

/** One line per sink, and below it what is wrong with it. */
export function sinkLines(facts: readonly SinkFacts[]): string[] {
  const rows = facts.map((one) => [
    one.sink,
    one.type,
    stateOf(one),
    String(one.lag),
    one.waitingSince ?? '-',
    String(one.deadLetters),
    one.group,
  ])
  const [head = '', ...lines] = columnsOf([HEAD, ...rows])
  return [head, ...lines.flatMap((line, i) => [line, ...errorLines(facts[i]?.errors ?? [])])]
}

function stateOf({ members, hasBegun }: SinkFacts): string {
  if (members > 0) return members === 1 ? 'running' : `running, ${members} members`
  return hasBegun ? 'not running' : 'never begun'
}

const errorLines = (errors: SinkFacts['errors']): string[] =>
  errors.flatMap(({ errorType, since, message, nextStep }) => [
    `    ${errorType} since ${since}: ${printable(message)}`,
    `      next step: ${printable(nextStep)}`,
  ])
