// What every stream of CSPM has beside a Source: a probe for the connection test.
import type { Source } from '../../contracts/ports.ts'
import { PipelineError } from '../../contracts/errors.ts'
import type { PrismaCloudClient } from './client.ts'

export type CspmSource<Checkpoint> = Source<PrismaCloudClient, Checkpoint> & {
  /** One cheap request: for the connection test. @throws PipelineError */
  readonly probe: (client: PrismaCloudClient, attemptsMax: number) => Promise<void>
}

export const isEnabled = ({ config }: PrismaCloudClient, stream: string): boolean => {
  const streams: Readonly<Record<string, { enabled?: boolean | undefined } | undefined>> =
    config.streams ?? {}
  return streams[stream]?.enabled !== false
}

/** The vendor refuses the request itself: a name or a token that it does not know. */
export const isRefusal = (error: unknown): error is PipelineError =>
  error instanceof PipelineError &&
  (error.failure === 'BAD_REQUEST' || error.failure === 'NOT_FOUND')
