// Every failure of the lake as ours: a folder that is away, full or not ours is waited for.
import { PipelineError } from '../../contracts/errors.ts'

/** `doing` begins the message. */
export function lakeError(error: unknown, doing: string): PipelineError {
  if (error instanceof PipelineError) return error
  const { code } = (error ?? {}) as { code?: unknown }
  // The words of DuckDB may quote a value.
  const why = typeof code === 'string' ? code : 'DuckDB or the file system refused'
  return new PipelineError('SINK_UNAVAILABLE', 'SINK', `${doing}: ${why}`, { cause: error })
}
export const isCode = (error: unknown, code: string): boolean =>
  (error as { code?: unknown } | null)?.code === code
