// The words of the command line, and what the sub-commands share. Loads nothing of the product.
import { parseArgs } from 'node:util'

export const COMMANDS = [
  'start',
  'run',
  'check',
  'topics apply',
  'schemas apply',
  'connections apply',
  'connections list',
  'connections pause',
  'connections resume',
  'connections remove',
  'schemas check',
  'replay raw',
  'runs list',
  'runs show',
  'runs release',
  'sinks',
  'reconcile',
  'tail',
  'dlq list',
  'dlq show',
  'dlq replay',
  'dlq purge',
  'simulate',
] as const
export type Command = (typeof COMMANDS)[number]

/** The call itself was wrong: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

type Options = NonNullable<Parameters<typeof parseArgs>[0]>['options']

/** node's parseArgs; what it does not know, and more than `wordsMax` words, is a UsageError. */
export function parse<const O extends NonNullable<Options>>(
  args: readonly string[],
  options: O,
  wordsMax = 0,
) {
  const parsed = parsedArgs(args, options)
  const [excess] = parsed.positionals.slice(wordsMax)
  if (excess !== undefined) throw new UsageError(`"${excess}" is one word too many`)
  return parsed
}

function parsedArgs<const O extends NonNullable<Options>>(args: readonly string[], options: O) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (cause) {
    // The first sentence says it; the others are about node.
    const [said] = (cause instanceof Error ? cause.message : String(cause)).split('. ')
    throw new UsageError(said ?? 'these options cannot be read', { cause })
  }
}

/** With a sub-command's own list of words, as in `check NAME ...`. */
export const ANY_WORDS = Infinity

const SAME_SIGNAL_MS = 1_000

/**
 * Tells of each signal whether it repeats the one before it within a second: a signal to a process
 * group comes twice, by itself and passed on by the launcher.
 */
export function repeatedSignal(nowMs: () => number): (name: string) => boolean {
  let last: { name: string; atMs: number } | null = null
  return (name) => {
    const atMs = nowMs()
    if (last?.name === name && atMs - last.atMs < SAME_SIGNAL_MS) return true
    last = { name, atMs }
    return false
  }
}

/** Aborts at SIGINT or SIGTERM; a second signal ends the process at once. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController()
  const isRepeated = repeatedSignal(() => performance.now())
  const onSignal = (name: string) => {
    if (isRepeated(name)) return
    if (controller.signal.aborted) process.exit(130)
    controller.abort()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return controller.signal
}

/** Resolves when the signal is aborted; at once when it is already. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
