// The logger, its redaction list, and the level read once. Logs go to stderr: stdout is for
// answers.
import { levels, pino } from 'pino'
import { PipelineError } from '../contracts/errors.ts'
import { environment } from './environment.ts'

const LEVELS = [...Object.keys(levels.values), 'silent']

const REDACTED = [
  'authorization',
  'password',
  'secretKey',
  'apiKey',
  'token',
  '*.authorization',
  '*.password',
  '*.secretKey',
  '*.apiKey',
  '*.token',
  'headers["x-xdr-auth-id"]',
  'headers["x-redlock-auth"]',
  'headers.authorization',
]

export type Logger = pino.Logger

/**
 * A JSON logger on stderr. Level: EXPOSURE_LOG_LEVEL, default warn.
 * @throws PipelineError CONFIGURATION for a level that there is not
 */
export function createLogger(name: string): Logger {
  const level = environment('EXPOSURE_LOG_LEVEL') ?? 'warn'
  if (!LEVELS.includes(level)) {
    throw new PipelineError('CONFIGURATION', 'CONFIG', `EXPOSURE_LOG_LEVEL is no level: ${level}`, {
      remediation: `Set it to one of ${LEVELS.join(', ')}.`,
    })
  }
  return pino({ name, level, redact: REDACTED }, pino.destination({ fd: 2, sync: true }))
}
