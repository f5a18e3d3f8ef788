// The only reader of process.env: settings by name, secrets by reference.
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { PipelineError } from '../contracts/errors.ts'

/** The value of an environment variable; empty counts as not set. */
export function environment(name: string): string | undefined {
  const value = process.env[name]
  return value === undefined || value === '' ? undefined : value
}

const SECRET_REFERENCE = /^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$/s

/** `env:NAME` or `file:PATH`. A value in its place is refused without being repeated. */
export const secretReference = z
  .string()
  .regex(SECRET_REFERENCE, 'must be a reference, env:NAME or file:PATH, never the secret itself')
export type SecretReference = z.infer<typeof secretReference>

/**
 * Reads a secret anew at every call, so that a changed file counts after a 401.
 * @throws PipelineError CONFIGURATION naming the reference, never the value
 */
export function resolveSecret(reference: SecretReference): string {
  const [kind, ...rest] = reference.split(':')
  const name = rest.join(':')
  const value = kind === 'env' ? environment(name) : readSecretFile(name)
  if (value === undefined || value.trim() === '') {
    throw new PipelineError(
      'CONFIGURATION',
      'CONFIG',
      `the secret ${reference} is not set or empty`,
    )
  }
  return value.trim()
}

function readSecretFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new PipelineError('CONFIGURATION', 'CONFIG', `the secret file:${path} cannot be read`, {
      cause,
    })
  }
}
