// The configuration `exposure start` runs with: the file's, and what the stack and simulator add.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { z } from 'zod'
import { checkConfig, readConfig } from '../runtime/config.ts'
import type { Part, RunningStack } from '../stack/stack.ts'
import { type ExposureConfig, KEPT_FILE, exposureConfig, startConfig } from './config.ts'
import { type Simulated, secretFile } from './simulated.ts'

const document = z.looseObject({ sinks: z.looseObject({}).optional() })

export type GivenConfig = {
  /** As it is written, secrets as references. */
  readonly document: z.infer<typeof document>
  readonly parts: Readonly<Record<Part, boolean>>
  readonly hasConnections: boolean
}

/** @throws PipelineError CONFIGURATION with all problems of the file */
export function givenConfig(file: string | null): GivenConfig {
  const checked =
    file === null ? checkConfig({}, startConfig, 'no file') : readConfig(file, startConfig)
  return {
    document: file === null ? {} : readConfig(file, document),
    parts: {
      kafka: checked.kafka !== undefined,
      registry: checked.registry !== undefined,
      postgres: checked.sinks.postgres !== undefined,
    },
    hasConnections: checked.connections.length > 0,
  }
}

const PARTS: readonly Part[] = ['kafka', 'registry', 'postgres']

/** What the file gives of the stack. */
export const partsOf = ({ parts }: GivenConfig): Part[] => PARTS.filter((part) => parts[part])

/**
 * What the file leaves out comes from the stack, and without connections from the simulator. Kept
 * in `dataDir` too, with references in place of secrets, for the other commands to use.
 */
export function wholeConfig(
  given: GivenConfig,
  stack: RunningStack,
  simulated: Pick<Simulated, 'connections'> | null,
  dataDir: string,
): ExposureConfig {
  const { parts } = given
  const postgres = () => ({ url: secretFile(dataDir, 'postgres-url', stack.postgresUrl) })
  const whole = {
    ...given.document,
    ...(parts.kafka ? {} : { kafka: { brokers: stack.brokers } }),
    ...(parts.registry ? {} : { registry: { url: stack.registryUrl } }),
    ...(parts.postgres ? {} : { sinks: { ...given.document.sinks, postgres: postgres() } }),
    ...(simulated === null ? {} : { connections: simulated.connections }),
  }
  const config = checkConfig(whole, exposureConfig, 'the configuration with the stack in it')
  keep(dataDir, stringify(whole))
  return config
}

function keep(dataDir: string, text: string): void {
  mkdirSync(dataDir, { recursive: true })
  const file = join(dataDir, KEPT_FILE)
  // Made anew, because an older file would keep its mode.
  rmSync(file, { force: true })
  writeFileSync(file, `# Written by exposure start, for the other commands here.\n${text}`, {
    mode: 0o600,
  })
}

/** Says on stdout where everything is, and what is worth asking. */
export function tellWhere(stack: RunningStack, config: ExposureConfig): void {
  const say = (line: string): void => console.log(line)
  const schema = config.sinks.postgres?.schema ?? 'exposure'
  say(`brokers:  ${config.kafka.brokers.join(', ')} (${stack.how.kafka})`)
  say(`registry: ${config.registry.url} (${stack.how.registry})`)
  say(`database: ${shownDatabase(stack, config)} (${stack.how.postgres})`)
  say('three queries worth trying:')
  say(`  select severity, count(*) from ${schema}.finding where status = 'OPEN' group by 1;`)
  say(
    `  select a.name, count(*) from ${schema}.asset a join ${schema}.finding f using (asset_uid)` +
      ' group by 1 order by 2 desc limit 10;',
  )
  say(
    `  select entity_uid, array_agg(product) from ${schema}.asset group by 1` +
      ' having count(distinct vendor) > 1 limit 10;',
  )
}

/**
 * A password that was given is a secret; that of our own database was made here, for this machine.
 */
function shownDatabase({ postgresUrl, how }: RunningStack, config: ExposureConfig): string {
  if (postgresUrl === '') return config.sinks.postgres?.url ?? 'none'
  if (how.postgres !== 'given') return `psql ${postgresUrl}`
  const url = new URL(postgresUrl)
  if (url.password !== '') url.password = '***'
  return `psql ${url.href}`
}
