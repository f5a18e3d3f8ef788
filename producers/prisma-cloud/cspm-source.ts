// What the streams of CSPM share.
import { PipelineError } from '../../contracts/errors.ts'
import type { ProbedSource } from '../../runtime/connector.ts'
import type { PrismaCloudClient } from './client.ts'

export type CspmSource<Checkpoint> = ProbedSource<PrismaCloudClient, Checkpoint>

export const isEnabled = ({ config }: PrismaCloudClient, stream: string): boolean => {
  const streams: Readonly<Record<string, { enabled?: boolean | undefined } | undefined>> =
    config.streams ?? {}
  return streams[stream]?.enabled !== false
}

/** The vendor refuses the request itself: a name or a token that it does not know. */
export const isRefusal = (error: unknown): error is PipelineError =>
  error instanceof PipelineError &&
  (error.failure === 'BAD_REQUEST' || error.failure === 'NOT_FOUND')
