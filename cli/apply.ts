// `exposure topics apply` and `exposure schemas apply`: the only commands that change the cluster.
import { PipelineError } from '../contracts/errors.ts'
import { registrySettings, type RegistrySettings } from '../runtime/config.ts'
import { openAdmin } from '../runtime/kafka/admin.ts'
import type { KafkaSettings } from '../runtime/kafka/types.ts'
import { createLogger } from '../runtime/log.ts'
import { openRegistry } from '../runtime/registry.ts'
import { parse } from './command.ts'
import { loadConfig } from './config.ts'
import { reachKafka } from './reach.ts'

const REGISTRY_TIMEOUT_MS = 30_000

export async function applyTopics(args: readonly string[]): Promise<number> {
  const { values } = parse(args, { config: { type: 'string' } })
  const { created, altered } = await ensureTopics(await reachKafka(loadConfig(values.config)))
  console.log(`topics created: ${created.length}, settings mended: ${altered.length}, checked: all`)
  for (const name of created) console.log(`  created ${name}`)
  for (const name of altered) console.log(`  mended ${name}`)
  return 0
}

export async function applySchemas(args: readonly string[]): Promise<number> {
  const { values } = parse(args, { config: { type: 'string' } })
  const config = loadConfig(values.config)
  const ids = await ensureSchemas(registrySettings(config.registry), config.kafka.prefix)
  for (const [subject, id] of Object.entries(ids)) console.log(`${subject} has schema id ${id}`)
  return 0
}

/**
 * @throws PipelineError CONFIGURATION when a topic stands in a form that is not changed by itself
 */
export async function ensureTopics(settings: KafkaSettings) {
  const admin = await openAdmin(settings, createLogger('topics'))
  try {
    const result = await admin.applyTopics()
    if (result.problems.length > 0) {
      throw new PipelineError('CONFIGURATION', 'CONFIG', 'some topics are not as they must be', {
        violations: result.problems,
        remediation: 'Use another prefix, or make these topics anew.',
      })
    }
    return result
  } finally {
    await admin.close()
  }
}

/** @throws PipelineError naming the subject and why the registry refuses it */
export async function ensureSchemas(
  registry: RegistrySettings,
  prefix: string,
): Promise<Record<string, number>> {
  return await openRegistry({ ...registry, timeoutMs: REGISTRY_TIMEOUT_MS }).apply(prefix)
}
