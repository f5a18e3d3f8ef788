// The `exposure` command: finds the sub-command, prints errors as one sentence, sets the exit code.
import { PipelineError } from '../contracts/errors.ts'
import packageJson from '../package.json' with { type: 'json' }
import { environment } from '../runtime/environment.ts'
import { COMMANDS, type Command, UsageError } from './command.ts'
import { HELP, helpOf } from './help.ts'

/** Exit codes; README lists them. */
const EXIT_FAILURE = 1
const EXIT_USAGE = 2

type Runner = (args: readonly string[]) => Promise<number>

/** Loaded when called: help and a wrong word need not wait for clients of Kafka and vendors. */
const RUNNERS: Record<Command, () => Promise<Runner>> = {
  start: async () => (await import('./start.ts')).start,
  run: async () => (await import('./run.ts')).run,
  check: async () => (await import('./check.ts')).check,
  'topics apply': async () => (await import('./apply.ts')).applyTopics,
  'schemas apply': async () => (await import('./apply.ts')).applySchemas,
  'connections apply': async () => (await import('./connections.ts')).applyConnections,
  'connections list': async () => (await import('./connections.ts')).listConnections,
  'connections pause': async () => (await import('./connections.ts')).pauseConnection,
  'connections resume': async () => (await import('./connections.ts')).resumeConnection,
  'connections remove': async () => (await import('./connections-remove.ts')).removeConnection,
  'schemas check': async () => (await import('./schemas.ts')).checkSchemas,
  'replay raw': async () => (await import('./replay.ts')).replayRaw,
  'runs list': async () => (await import('./runs.ts')).listRuns,
  'runs show': async () => (await import('./runs.ts')).showRun,
  'runs release': async () => (await import('./release.ts')).releaseRun,
  sinks: async () => (await import('./sinks.ts')).listSinks,
  reconcile: async () => (await import('./reconcile.ts')).reconcile,
  tail: async () => (await import('./tail.ts')).tail,
  'dlq list': async () => (await import('./dlq.ts')).listDeadLetters,
  'dlq show': async () => (await import('./dlq.ts')).showDeadLetter,
  'dlq replay': async () => (await import('./dlq.ts')).replayDeadLetters,
  'dlq purge': async () => (await import('./dlq.ts')).purgeDeadLetters,
  simulate: async () => (await import('./simulate.ts')).simulate,
}

function find(args: readonly string[]): { command: Command; rest: readonly string[] } {
  for (const words of [2, 1]) {
    const name = args.slice(0, words).join(' ')
    const command = COMMANDS.find((candidate) => candidate === name)
    if (command !== undefined) return { command, rest: args.slice(words) }
  }
  const words = args.filter((word) => !word.startsWith('-')).slice(0, 2)
  const [first] = words
  if (first === undefined) throw new UsageError('which command?')
  const seconds = sharing(args).map((command) => command.slice(first.length + 1))
  if (seconds.length === 0) throw new UsageError(`no command "${words.join(' ')}"`)
  throw new UsageError(`${first} takes ${oneOf(seconds)}`)
}

/** The commands that begin with the first of these words, which is none by itself. */
function sharing(args: readonly string[]): Command[] {
  const [first] = args.filter((word) => !word.startsWith('-'))
  return COMMANDS.filter((command) => command.startsWith(`${first} `))
}

const oneOf = (words: readonly string[]): string =>
  [words.slice(0, -1).join(', '), ...words.slice(-1)].filter((part) => part !== '').join(' or ')

/** The help that is nearest to what was called. */
function helpCall(args: readonly string[]): string {
  const given = args.filter((arg) => arg !== '--trace')
  const command = COMMANDS.find((one) => `${given.join(' ')} `.startsWith(`${one} `))
  if (command !== undefined) return `exposure ${command} --help`
  const [shared] = sharing(given)
  return shared === undefined ? 'exposure --help' : `exposure ${shared.split(' ')[0]} --help`
}

/** Also of a first word alone that several commands share, as in `topics --help`. */
function helpFor(args: readonly string[]): string {
  const words = args.filter((word) => !word.startsWith('-'))
  const commands = sharing(args)
  if (words.length > 1 || commands.length === 0) return helpOf(find(args).command)
  return commands.map(helpOf).join('\n')
}

async function main(given: readonly string[]): Promise<number> {
  const args = given.filter((arg) => arg !== '--trace')
  const wantsHelp = args.includes('--help') || args.includes('-h') || args[0] === 'help'
  const named = args[0] === 'help' ? args.slice(1) : args
  if (args.length === 0 || (wantsHelp && named.every((word) => word.startsWith('-')))) {
    process.stdout.write(HELP)
    return args.length === 0 ? EXIT_USAGE : 0
  }
  if (args[0] === '--version') {
    process.stdout.write(`${packageJson.version}\n`)
    return 0
  }
  if (wantsHelp) {
    process.stdout.write(helpFor(named))
    return 0
  }
  const { command, rest } = find(named)
  const runner = await RUNNERS[command]()
  return runner(rest)
}

/** The table's step says that a passing fault is tried again: here the process ends. */
const nextStep = ({ details, retriable, remediation }: PipelineError): string =>
  retriable && details.remediation === undefined
    ? 'Mend what the sentence names, or wait until it is over, and start again.'
    : remediation

function explain(error: unknown): number {
  if (process.argv.includes('--trace') || environment('EXPOSURE_TRACE') !== undefined) {
    console.error(error)
  }
  if (error instanceof UsageError) {
    console.error(
      `exposure: ${error.message.replace(/\.$/, '')}. Try: ${helpCall(process.argv.slice(2))}`,
    )
    return EXIT_USAGE
  }
  if (error instanceof PipelineError) {
    console.error(`exposure: ${error.message}`)
    for (const violation of error.details.violations ?? []) console.error(`  ${violation}`)
    console.error(`  next step: ${nextStep(error)}`)
    return EXIT_FAILURE
  }
  const message = error instanceof Error ? error.message : String(error)
  console.error(`exposure: ${message} (--trace shows where)`)
  return EXIT_FAILURE
}

// Who reads has seen enough, as in `exposure tail TOPIC | head -1`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : EXIT_FAILURE)
})
process.exitCode = await main(process.argv.slice(2)).catch(explain)
// kafkajs may hold the process by a socket that never closes: everything of ours is closed by now.
setTimeout(() => process.exit(), 2_000).unref()
