// Tokens as Prisma Cloud gives them: signed, with a real end, and good for their own product only.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'

export type Issuer = 'cspm' | 'compute'
export type Tokens = {
  issue(issuer: Issuer, nowMs: number): string
  /** True until the token's end, unless all tokens were ended before. */
  valid(issuer: Issuer, token: string | undefined, nowMs: number): boolean
  expireAll(): void
}

const claims = z.object({ iss: z.string(), endsMs: z.number(), generation: z.number() })
const HEADER = encode({ alg: 'HS256', typ: 'JWT' })

/** Tokens of one access key, each good for `ttlMs`. */
export function createTokens(secret: string, subject: string, ttlMs: number): Tokens {
  let generation = 0
  let count = 0
  const sign = (body: string) => createHmac('sha256', secret).update(body).digest('base64url')
  return {
    issue: (issuer, nowMs) => {
      count += 1
      const endsMs = nowMs + ttlMs
      const body = `${HEADER}.${encode({
        sub: subject,
        iss: issuer,
        iat: Math.floor(nowMs / 1_000),
        exp: Math.ceil(endsMs / 1_000),
        jti: String(count),
        endsMs,
        generation,
      })}`
      return `${body}.${sign(body)}`
    },
    valid: (issuer, token, nowMs) => {
      const [header, payload, signature] = (token ?? '').split('.')
      if (header === undefined || payload === undefined || signature === undefined) return false
      const expected = Buffer.from(sign(`${header}.${payload}`))
      const given = Buffer.from(signature)
      if (given.length !== expected.length || !timingSafeEqual(given, expected)) return false
      const { iss, endsMs, generation: born } = claims.parse(decode(payload))
      return iss === issuer && nowMs < endsMs && born === generation
    },
    expireAll: () => {
      generation += 1
    },
  }
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
function decode(text: string): unknown {
  return JSON.parse(Buffer.from(text, 'base64url').toString())
}
