// Every failure of PostgreSQL, sorted: the row is refused, the store is away, or somebody must act.
import { type Failure, PipelineError } from '../../contracts/errors.ts'

const MESSAGE_CHARACTERS_MAX = 400

/** Data exceptions, broken constraints, and values beyond a server's limit (index row size). */
const ROW_REFUSED = /^(22|23|54)/
/**
 * Connection, resources, operator intervention, rollback, system: waiting helps. 25006 is a
 * server that became a replica, 25P03 and 57014 are our own time limits, 55P03 a lock not had.
 */
const AWAY = /^(08|53|57|40|58|XX|25006|25P03|55P03|55006)/
/** Login refused, database or schema missing, privilege missing. */
const SETTINGS = /^(28|3D|3F|42501)/
/** What somebody does about these, by how their code begins. */
const NEXT_STEPS: readonly (readonly [code: string, step: string])[] = [
  ['28', 'Check user and password in the URL of sinks.postgres, and pg_hba.conf of the server.'],
  ['3D', 'Make the database, or name another in the URL of sinks.postgres.'],
  ['42501', 'Grant the user of sinks.postgres what the message names.'],
]
/** The sink reads the reference anew and tries again by itself. */
const NO_RESTART = 'The secret is read again after each failed connection; no restart is needed.'
const NETWORK =
  /^(ECONN|ETIMEDOUT|EPIPE|EHOST|ENET|ENOTFOUND|EAI_|ERR_SSL|ERR_TLS|CERT_|DEPTH_ZERO|UNABLE_)/
const NETWORK_WORDS = /terminated|timeout|not queryable|connection error|socket|closed/i

type Fields = { readonly code?: unknown; readonly message?: unknown }

const codeOf = (error: unknown): string => {
  const code = (error as Fields | null)?.code
  return typeof code === 'string' ? code : ''
}

/** The server's words without the value that it quotes after a colon: that is payload. */
function safeMessage(error: unknown): string {
  const message = (error as Fields | null)?.message
  const text = typeof message === 'string' && message !== '' ? message : 'no message'
  return text.replace(/: ".*$/s, '').slice(0, MESSAGE_CHARACTERS_MAX)
}

/** Why the store refuses a row for good; null when it was not the row. */
export function refusalOf(error: unknown): string | null {
  const code = codeOf(error)
  return ROW_REFUSED.test(code) && code.length === 5 ? `${code}: ${safeMessage(error)}` : null
}

/** True when the connection can still be used for a ROLLBACK: the server itself has answered. */
export const isServerAnswer = (error: unknown): boolean => /^[0-9A-Z]{5}$/.test(codeOf(error))

/** `doing` begins the message, e.g. `writing to PostgreSQL`. */
export function postgresError(error: unknown, doing: string): PipelineError {
  if (error instanceof PipelineError) return error
  const code = codeOf(error)
  const words = [code, safeMessage(error)].filter((word) => word !== '').join(': ')
  const remediation = nextStepOf(error, code)
  return new PipelineError(failureOf(error, code), 'SINK', `${doing}: ${words}`, {
    cause: error,
    ...(remediation === null ? {} : { remediation }),
  })
}

function nextStepOf(error: unknown, code: string): string | null {
  if (!isServerAnswer(error)) return null
  const step = NEXT_STEPS.find(([begin]) => code.startsWith(begin))?.[1]
  return step === undefined ? null : `${step} ${NO_RESTART}`
}

function failureOf(error: unknown, code: string): Failure {
  if (isServerAnswer(error)) {
    if (SETTINGS.test(code)) return 'CONFIGURATION'
    return AWAY.test(code) ? 'SINK_UNAVAILABLE' : 'INTERNAL'
  }
  if (NETWORK.test(code) || NETWORK_WORDS.test(safeMessage(error))) return 'SINK_UNAVAILABLE'
  return 'INTERNAL'
}
