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
  /** Logs in and tries one cheap request per stream in use. Never throws for a fault of theirs. */
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
