// `exposure schemas check`: whether this build's schemas fit what is registered, before it starts.
import { registrySettings, type RegistrySettings } from '../runtime/config.ts'
import {
  MISFIT_STEP,
  type SubjectCheck,
  misfitLines,
  refuseMisfits,
} from '../runtime/registry-check.ts'
import { REQUIRED_LEVEL, openRegistry } from '../runtime/registry.ts'
import { parse } from './command.ts'
import { loadConfig } from './config.ts'

const REGISTRY_TIMEOUT_MS = 30_000
const EXIT_INCOMPATIBLE = 3

export async function checkSchemas(args: readonly string[]): Promise<number> {
  const { values } = parse(args, { config: { type: 'string' } })
  const config = loadConfig(values.config)
  const checks = await checked(registrySettings(config.registry), config.kafka.prefix)
  for (const line of checks.flatMap(linesOf)) console.log(line)
  const isBad = checks.some(({ misfits }) => misfits.length > 0)
  if (isBad) console.log(`  next step: ${MISFIT_STEP}`)
  return isBad ? EXIT_INCOMPATIBLE : 0
}

/** @throws PipelineError naming what does not fit; nothing has been started or registered */
export async function refuseIncompatible(
  registry: RegistrySettings,
  prefix: string,
): Promise<void> {
  refuseMisfits(await checked(registry, prefix))
}

const checked = (registry: RegistrySettings, prefix: string) =>
  openRegistry({ ...registry, timeoutMs: REGISTRY_TIMEOUT_MS }).check(prefix)

function linesOf(check: SubjectCheck): string[] {
  const { subject, versions, level, misfits } = check
  if (versions.length === 0) {
    return [`${subject}: not there yet: exposure schemas apply registers it`]
  }
  const range = versions.length === 1 ? 'version' : 'versions'
  const fit = misfits.length === 0 ? 'fits' : 'does not fit'
  const lines = [`${subject}: ${fit} (${range} ${versions.join(', ')})`]
  if (level !== REQUIRED_LEVEL) {
    lines.push(
      `  its compatibility is ${level ?? 'not set'}, not ${REQUIRED_LEVEL}: exposure schemas apply sets it`,
    )
  }
  return [...lines, ...misfitLines(check).map((line) => `  ${line}`)]
}
