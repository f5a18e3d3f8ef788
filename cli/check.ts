// `exposure check`: "Save and Connect" as the vendors' users know it, in the words of their tables.
import { FAILURES, PipelineError } from '../contracts/errors.ts'
import type { CheckAnswer } from '../contracts/ports.ts'
import { connectorOf } from '../producers/sources.ts'
import { createLogger } from '../runtime/log.ts'
import { type Connection, loadConnections } from './config.ts'
import { ANY_WORDS, UsageError, parse, stopSignal } from './command.ts'

const EXIT_NOT_CONNECTED = 3
const CHECK_TIMEOUT_MS = 120_000
/** Somebody waits for the answer: a fault that lasts for seconds is one to be told of. */
const ATTEMPTS_MAX = { TOO_MANY_REQUESTS: 3, TEMPORARY_FAILURE: 3, INVALID_RESPONSE: 2 } as const
const RETRY_AFTER_MS_MAX = 10_000

export async function check(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(args, { config: { type: 'string' } }, ANY_WORDS)
  const connections = loadConnections(values.config)
  const unknown = positionals.filter((name) => !connections.some((c) => c.name === name))
  if (unknown.length > 0) throw new UsageError(`no connection named ${unknown.join(', ')}`)
  const chosen = connections.filter((c) => positionals.length === 0 || positionals.includes(c.name))
  if (chosen.length === 0) {
    throw new PipelineError('CONFIGURATION', 'CONFIG', 'exposure.yaml has no connections')
  }
  const signal = AbortSignal.any([stopSignal(), AbortSignal.timeout(CHECK_TIMEOUT_MS)])
  const answers = await Promise.all(
    chosen.map(async (connection) => ({ connection, steps: await checkOne(connection, signal) })),
  )
  for (const { connection, steps } of answers) print(connection, steps)
  return answers.every(({ steps }) => steps.every((s) => !isBad(s))) ? 0 : EXIT_NOT_CONNECTED
}

async function checkOne(
  connection: Connection,
  signal: AbortSignal,
): Promise<readonly CheckAnswer[]> {
  const context = {
    nowMs: Date.now,
    log: createLogger('check'),
    signal,
    onFault: () => {
      // The answers say it; a retried fault that went away is none.
    },
    onSuccess: () => {},
    retry: { attemptsMax: ATTEMPTS_MAX, retryAfterMsMax: RETRY_AFTER_MS_MAX },
  }
  try {
    const connector = connectorOf(connection.type)
    const client = connector.connect(connection, context)
    return await finished(connector.check(client), () => connector.close(client))
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error
    return [{ step: 'connect', error }]
  }
}

async function finished<T>(work: Promise<T>, close: () => Promise<void>): Promise<T> {
  try {
    return await work
  } finally {
    await close()
  }
}

/** A stream that was not bought is skipped, and the rest goes on. */
const isBad = ({ error }: CheckAnswer): boolean =>
  error !== null && error.failure !== 'NOT_LICENSED'

function print(connection: Connection, steps: readonly CheckAnswer[]): void {
  const bad = steps.filter(isBad).length
  const result = bad === 0 ? 'connected' : `${bad} of ${steps.length} steps failed`
  console.log(`${connection.name} (${connection.type}, ${connection.url}): ${result}`)
  for (const { step, error } of steps) {
    if (error === null) {
      console.log(`  ok      ${step}`)
      continue
    }
    const word = isBad({ step, error }) ? 'FAILED' : 'skipped'
    console.log(`  ${word.padEnd(7)} ${step}: ${FAILURES[error.failure].title} - ${error.message}`)
    console.log(`          next step: ${error.remediation}`)
  }
}
