// The fields that a connection of every vendor has, and how its proxy and authority are read.
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { PipelineError } from '../contracts/errors.ts'
import { resolveSecret, secretReference } from './environment.ts'
import type { TransportOptions } from './http-transport.ts'

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const DURATION = /^(\d{1,6})(s|m|h|d)$/
const HOUR_MS = UNIT_MS.h

/** As written, and back: a definition is kept on Kafka in the form of exposure.yaml. */
const durationUpTo = (daysMax: number) =>
  z.codec(
    z.string().regex(DURATION, 'must be a number and a unit: 30s, 15m, 6h or 1d'),
    z
      .number()
      .min(UNIT_MS.s, `must be between 1s and ${daysMax}d`)
      .max(daysMax * UNIT_MS.d, `must be between 1s and ${daysMax}d`),
    {
      decode: (text) => {
        const [, count = '0', unit = 's'] = DURATION.exec(text) ?? []
        return Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS]
      },
      encode: (ms) => {
        const unit = (['d', 'h', 'm'] as const).find((name) => ms % UNIT_MS[name] === 0) ?? 's'
        return `${Math.round(ms / UNIT_MS[unit])}${unit}`
      },
    },
  )

/** `30s`, `15m`, `6h` or `1d`; parsed to ms, 1 s to 30 d. */
export const duration = durationUpTo(30)
/** As `duration`, 1 s to 3650 d. */
export const longDuration = durationUpTo(3_650)

const NO_CREDENTIALS = 'must not contain user or password: give them as references'

/** A URL as people paste it, refused when it carries a password (which is not repeated). */
export const pastedUrl = z
  .string()
  .trim()
  .min(1)
  .refine((text) => URL.canParse(withScheme(text)), 'must be a URL or a host name')
  .refine((text) => {
    const url = URL.canParse(withScheme(text)) ? new URL(withScheme(text)) : null
    return url === null || (url.username === '' && url.password === '')
  }, NO_CREDENTIALS)
  .refine((text) => /^https?:/i.test(withScheme(text)), 'must begin with https:// or http://')

/** https unless the text names a scheme. */
export const withScheme = (text: string): string =>
  /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`

const streamSettings = z.strictObject({
  enabled: z.boolean().optional(),
  every: duration.optional(),
})

const proxySettings = z.strictObject({
  url: pastedUrl,
  username: secretReference.optional(),
  password: secretReference.optional(),
})

/** A URL as pasted, put into the form that is used; that form is pasted again as it is. */
export const pastedUrlAs = (form: (text: string) => string) =>
  z.codec(pastedUrl, z.string(), { decode: form, encode: (url) => url })

/** The common fields, to be spread into a vendor's strict object, which names its own streams. */
export const commonConnection = {
  /** Unique; part of keys, groups and transactional ids. */
  name: z.string().regex(/^[a-z0-9-]{1,40}$/, 'must be 1 to 40 of a-z, 0-9 and -'),
  /** Instead of what the vendor calls the tenant; part of every id, so it is set once. */
  tenant: z.string().min(1).max(200).optional(),
  /** Between the starts of two runs of a stream, in ms. Default 1 h. */
  every: duration.default(HOUR_MS),
  /** By how much `every` is varied, in percent. Default 10. */
  jitter: z.int().min(0).max(50).default(10),
  proxy: proxySettings.optional(),
  /** PEM file of authorities to trust besides the usual ones. */
  caFile: z.string().min(1).optional(),
  paused: z.boolean().optional(),
  /** Without a whole listing for so long, in ms, a stream is stale. Default 3 x `every`. */
  staleAfter: duration.optional(),
}

/** Settings per stream; a stream that the vendor does not have is an error that names it. */
export const streamsOf = <const N extends string>(names: readonly N[]) =>
  z
    .strictObject(
      Object.fromEntries(names.map((name) => [name, streamSettings.optional()])) as Record<
        N,
        z.ZodOptional<typeof streamSettings>
      >,
    )
    .optional()

type StreamSettings = z.infer<typeof streamSettings>

/** What the producers know of a connection, whatever its vendor. */
export type ConnectionConfig = {
  readonly name: string
  readonly tenant?: string | undefined
  /** Time between the starts of two runs of a stream, in ms. */
  readonly every: number
  /** Percent of `every`. */
  readonly jitter: number
  readonly paused?: boolean | undefined
  /** In ms; default 3 x the stream's `every`, at least 1 h. */
  readonly staleAfter?: number | undefined
  readonly streams?: Readonly<Record<string, StreamSettings | undefined>> | undefined
}

export type ProxySettings = z.infer<typeof proxySettings>

/**
 * Proxy and extra authority of a connection, secrets resolved.
 * @throws PipelineError CONFIGURATION when a reference or the file cannot be read
 */
export function transportSettings(connection: {
  readonly proxy?: ProxySettings | undefined
  readonly caFile?: string | undefined
}): Pick<TransportOptions, 'proxy' | 'caPem'> {
  const { proxy, caFile } = connection
  return {
    proxy:
      proxy === undefined
        ? null
        : {
            url: withScheme(proxy.url),
            username: proxy.username === undefined ? '' : resolveSecret(proxy.username),
            password: proxy.password === undefined ? '' : resolveSecret(proxy.password),
          },
    caPem: caFile === undefined ? null : readCaFile(caFile),
  }
}

function readCaFile(path: string): string {
  try {
    const pem = readFileSync(path, 'utf8')
    if (pem.includes('-----BEGIN CERTIFICATE-----')) return pem
  } catch (cause) {
    throw new PipelineError('CONFIGURATION', 'CONFIG', `caFile ${path} cannot be read`, { cause })
  }
  throw new PipelineError('CONFIGURATION', 'CONFIG', `caFile ${path} holds no PEM certificate`)
}
