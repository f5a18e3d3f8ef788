// What one vendor gives to the producers: how to connect, its streams, and its connection test.
import { type Failure, PipelineError } from '../contracts/errors.ts'
import type { CheckAnswer, Source } from '../contracts/ports.ts'
import type { VendorId } from '../contracts/topics.ts'
import type { RetryPolicy } from './http-retry.ts'
import type { Logger } from './log.ts'

/** What a connection is given to work with. */
export type ConnectContext = {
  readonly nowMs: () => number
  readonly log: Logger
  /** A fault after which the call is made again: TOO_MANY_REQUESTS, TEMPORARY_FAILURE ... */
  readonly onFault: (error: PipelineError) => void
  readonly onSuccess: () => void
  /** A failure that no success ends, such as a date that comes nearer, is over. */
  readonly onOver?: (failure: Failure) => void
  /** True: the credentials worked in an earlier process, as its checkpoints show. */
  readonly workedBefore?: boolean
  /** Ends everything the client does. */
  readonly signal: AbortSignal
  /** Where the default is not wanted, e.g. for a check that should answer soon. */
  readonly retry?: Partial<RetryPolicy>
}

/** A probe should answer soon. */
export const PROBE_ATTEMPTS_MAX = 3

/**
 * Makes one request of a stream and notes the answer. Undefined where it failed, or where one
 * before it did so that this one would only make others wait.
 * @param part what of the stream is asked for; null: its listing
 */
export type Ask = <T>(part: string | null, attempt: () => Promise<T>) => Promise<T | undefined>

/** A stream that the connection test can try. */
export type ProbedSource<Client, Checkpoint> = Source<Client, Checkpoint> & {
  /** One cheap request to every endpoint that the pull may ask: a role allows each by itself. */
  probe(client: Client, ask: Ask): Promise<void>
}

/**
 * One vendor. Its methods are called only with what its own `connect` has returned; the producers
 * hold connectors of several vendors in one list as `VendorConnector`.
 */
export type VendorConnector<Config = unknown, Client = unknown> = {
  readonly vendor: VendorId
  readonly sources: readonly Source<Client, unknown>[]
  /** Host of the API: connections to one host are polled by one instance. */
  apiHost(config: Config): string
  /** Sends nothing yet. @throws PipelineError CONFIGURATION when a secret or file is missing */
  connect(config: Config, context: ConnectContext): Client
  /** The tenant as ids name it: configured, else told by the vendor, else the API host. */
  resolveTenant(client: Client): Promise<string>
  /** Logs in and tries every endpoint of the streams in use. Never throws for a fault of theirs. */
  check(client: Client): Promise<CheckAnswer[]>
  close(client: Client): Promise<void>
}

/** One step of a check: its answer is the error, if there is one. @throws what is not ours */
export async function checkStep(
  step: string,
  attempt: () => Promise<unknown>,
): Promise<CheckAnswer> {
  try {
    await attempt()
    return { step, error: null }
  } catch (error) {
    if (error instanceof PipelineError) return { step, error }
    throw error
  }
}

/** The answers of all probes of `sources`, one stream after the other. */
export async function checkSources<Client>(
  client: Client,
  sources: readonly ProbedSource<Client, unknown>[],
): Promise<CheckAnswer[]> {
  const answers: CheckAnswer[] = []
  for (const source of sources) answers.push(...(await checkSource(client, source)))
  return answers
}

async function checkSource<Client>(
  client: Client,
  source: ProbedSource<Client, unknown>,
): Promise<CheckAnswer[]> {
  const answers: CheckAnswer[] = []
  let isOver = false
  const ask: Ask = async <T>(part: string | null, attempt: () => Promise<T>) => {
    if (isOver) return undefined
    let value: T | undefined
    const step = `read ${source.stream}${part === null ? '' : ` (${part})`}`
    const answer = await checkStep(step, async () => (value = await attempt()))
    const isMissing = answer.error?.failure === 'NOT_LICENSED'
    isOver = isMissing || answer.error?.retriable === true
    // A stream that only stands in for a better one is not missed.
    if (!isMissing || source.fallback !== true) answers.push(answer)
    return value
  }
  await source.probe(client, ask)
  return answers
}
