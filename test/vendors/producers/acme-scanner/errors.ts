// Acme Scanner's refusals: `{"code": "no_such_token", "message": "..."}` beside the status.
import { z } from 'zod'
import type { Failure } from '../../../../contracts/errors.ts'
import type { AnswerFacts, Refusal } from '../../../../runtime/http.ts'

const errorBody = z.looseObject({ code: z.string(), message: z.string() })
const NO_WORDS = { code: null, message: null }

const BY_STATUS: Readonly<Record<number, Failure>> = {
  401: 'AUTHORIZATION_FAILURE',
  // A token of the free edition: the listing is not in it.
  402: 'NOT_LICENSED',
  403: 'ACCESS_FORBIDDEN',
  404: 'NOT_FOUND',
  429: 'TOO_MANY_REQUESTS',
}

/** The table. Null for a success. */
export function classify({ status, text }: AnswerFacts): Refusal | null {
  if (status >= 200 && status < 300) return null
  const { code, message } = errorBody.safeParse(parsed(text)).data ?? NO_WORDS
  const failure = BY_STATUS[status] ?? (status >= 500 ? 'TEMPORARY_FAILURE' : 'BAD_REQUEST')
  return { failure, vendorCode: code, vendorMessage: message, vendorExtra: null }
}

/** A gateway in between answers in HTML. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
