// The logger, its redaction list, and the level read once. Logs go to stderr: stdout is for
// answers.
import { pino } from 'pino'
import { environment } from './environment.ts'

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

/** A JSON logger on stderr. Level: EXPOSURE_LOG_LEVEL, default warn. */
export function createLogger(name: string): Logger {
  const level = environment('EXPOSURE_LOG_LEVEL') ?? 'warn'
  return pino({ name, level, redact: REDACTED }, pino.destination({ fd: 2, sync: true }))
}
