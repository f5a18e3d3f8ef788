// The words of the command line, and what the sub-commands share.
import { parseArgs } from 'node:util'
import { PipelineError } from '../contracts/errors.ts'
import { configFile, readConfig } from '../runtime/config.ts'
import { type ExposureConfig, exposureConfig } from './config.ts'

export const COMMANDS = [
  'start',
  'run',
  'check',
  'topics apply',
  'schemas apply',
  'tail',
  'simulate',
] as const
export type Command = (typeof COMMANDS)[number]

/** The call itself was wrong: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

type Options = NonNullable<Parameters<typeof parseArgs>[0]>['options']

/** node's parseArgs; what it does not know is a UsageError. */
export function parse<const O extends NonNullable<Options>>(args: readonly string[], options: O) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}

/** @throws PipelineError CONFIGURATION when there is none, or with all of its problems */
export function loadConfig(file: string | undefined): ExposureConfig {
  const path = file ?? configFile()
  if (path === null) {
    throw new PipelineError('CONFIGURATION', 'CONFIG', 'there is no exposure.yaml here', {
      remediation: 'Copy exposure.example.yaml to exposure.yaml, or name one: --config FILE.',
    })
  }
  return readConfig(path, exposureConfig)
}

/** Aborts at SIGINT or SIGTERM; a second signal ends the process at once. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController()
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(130)
    controller.abort()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return controller.signal
}
