// exposure.yaml: what is not of one vendor or store. All problems are named at once, by field.
import { existsSync, readFileSync, statSync } from 'node:fs'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'
import { PipelineError, violationsOf } from '../contracts/errors.ts'
import { environment, resolveSecret, secretReference } from './environment.ts'
import type { KafkaSettings } from './kafka/types.ts'

const path = z.string().min(1)
const tls = z
  .union([
    z.boolean(),
    z.strictObject({
      caFile: path.optional(),
      certFile: path.optional(),
      keyFile: path.optional(),
    }),
  ])
  .default(false)

/**
 * The part of exposure.yaml about Kafka. Fields as kafkajs knows them; files in place of PEM texts.
 */
export const kafkaConfig = z.strictObject({
  brokers: z
    .array(z.string().regex(/^[^\s:/]+:\d{1,5}$/, 'must be host:port'))
    .min(1, 'at least one broker'),
  /** Put before every topic, group and transactional id. */
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9._-]{0,60}$/, 'letters, digits, dots, dashes and underscores')
    .default(''),
  replicationFactor: z.int().min(1).max(10).default(1),
  ssl: tls,
  sasl: z
    .strictObject({
      mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']),
      username: secretReference,
      password: secretReference,
    })
    .optional(),
})

export const registryConfig = z.strictObject({
  /** The Confluent-compatible API, e.g. Apicurio's `…/apis/ccompat/v7`. */
  url: z.url({ protocol: /^https?$/ }),
  username: secretReference.optional(),
  password: secretReference.optional(),
  caFile: path.optional(),
})

export type KafkaConfig = z.infer<typeof kafkaConfig>
export type RegistryConfig = z.infer<typeof registryConfig>

export type RegistrySettings = {
  readonly url: string
  readonly username?: string
  readonly password?: string
  readonly caPem?: string
}

/** @throws PipelineError CONFIGURATION when a file or secret named there cannot be read */
export function kafkaSettings(config: KafkaConfig): KafkaSettings {
  const { ssl, sasl } = config
  const files = (names: {
    caFile?: string | undefined
    certFile?: string | undefined
    keyFile?: string | undefined
  }) => ({
    ...(names.caFile === undefined ? {} : { ca: readPem(names.caFile) }),
    ...(names.certFile === undefined ? {} : { cert: readPem(names.certFile) }),
    ...(names.keyFile === undefined ? {} : { key: readPem(names.keyFile) }),
  })
  return {
    brokers: config.brokers,
    prefix: config.prefix,
    replicationFactor: config.replicationFactor,
    ssl: typeof ssl === 'boolean' ? ssl : files(ssl),
    sasl:
      sasl === undefined
        ? null
        : {
            mechanism: sasl.mechanism,
            username: resolveSecret(sasl.username),
            password: resolveSecret(sasl.password),
          },
  }
}

/** @throws PipelineError CONFIGURATION when a file or secret named there cannot be read */
export function registrySettings(config: RegistryConfig): RegistrySettings {
  return {
    url: config.url,
    ...(config.username === undefined ? {} : { username: resolveSecret(config.username) }),
    ...(config.password === undefined ? {} : { password: resolveSecret(config.password) }),
    ...(config.caFile === undefined ? {} : { caPem: readPem(config.caFile) }),
  }
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new PipelineError('CONFIGURATION', 'CONFIG', `the file ${file} cannot be read`, { cause })
  }
}

/** The file named by EXPOSURE_CONFIG, else ./exposure.yaml when it is there, else null. */
export function configFile(): string | null {
  const named = environment('EXPOSURE_CONFIG')
  if (named !== undefined) return named
  return existsSync('exposure.yaml') ? 'exposure.yaml' : null
}

/**
 * Reads a configuration file.
 * @throws PipelineError CONFIGURATION with one `field: problem` per problem in `violations`
 */
export function readConfig<T>(file: string, schema: z.ZodType<T>): T {
  let document: unknown
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory() === true) {
    throw new PipelineError('CONFIGURATION', 'CONFIG', `${file} is a folder, not a file`, {
      remediation: 'Name the configuration file in it.',
    })
  }
  try {
    document = parseYaml(readFileSync(file, 'utf8'), { maxAliasCount: 100 })
  } catch (cause) {
    const message = cause instanceof Error ? cause.message.split('\n')[0] : String(cause)
    throw new PipelineError('CONFIGURATION', 'CONFIG', `${file} cannot be read: ${message}`, {
      cause,
    })
  }
  return checkConfig(document, schema, file)
}

/** As `readConfig`, for a document that is already there. `origin` names it in the message. */
export function checkConfig<T>(document: unknown, schema: z.ZodType<T>, origin: string): T {
  const result = schema.safeParse(document ?? {}, { error: listWords })
  if (result.success) return result.data
  const violations = violationsOf(result.error)
  const count = violations.length
  const message = `${origin} has ${count === 1 ? 'one problem' : `${count} problems`}`
  throw new PipelineError('CONFIGURATION', 'CONFIG', message, { violations })
}

/** In YAML a dash that is not there makes an object of a list. */
const listWords = ({ code, expected }: { code?: string; expected?: unknown }): string | null =>
  code === 'invalid_type' && expected === 'array'
    ? 'must be a list: each entry begins with a dash'
    : null
