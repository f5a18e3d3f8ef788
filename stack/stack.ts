// Finds or starts what the product needs: Kafka, a schema registry, PostgreSQL.
//
// Each part in this order: an address given by the environment; a container, where a Docker engine
// answers and can have the image; else a process of this machine. A part stays where its data are:
// in the folder for a process, in a volume named after it for a container. Everything listens on
// 127.0.0.1 only, and ends with the process that started it.
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import {
  startKafkaContainer,
  startPostgresContainer,
  startRegistryContainer,
} from './containers.ts'
import { engineSocket } from './engine.ts'
import { findJava, usualPlaces } from './java.ts'
import { lockDataDir } from './lock.ts'
import { startNativeKafka } from './native-kafka.ts'
import { keptPassword, startNativePostgres } from './native-postgres.ts'
import { registryUrlOf, startNativeRegistry } from './native-registry.ts'
import { defaultCacheDir, getPackage } from './packages.ts'
import { choosePorts, type Ports } from './ports.ts'
import { probePostgres, probeRegistry, probeTcp } from './probe.ts'
import { startFault } from './server.ts'

export type Part = 'kafka' | 'registry' | 'postgres'
export type How = 'given' | 'docker' | 'native'

export type StackOptions = {
  /** Where data, logs and ports are kept between starts. */
  readonly dataDir: string
  /** True to throw away the data kept there first. */
  readonly fresh: boolean
  /** True when the volumes of containers go when the stack stops; the folder is the caller's. */
  readonly temporary?: boolean
  /** Parts that the caller has elsewhere: neither started nor tried, and their addresses empty. */
  readonly elsewhere?: readonly Part[]
  /** Takes single lines for people: what is downloaded, where a part runs. */
  readonly log: (line: string) => void
}

export type RunningStack = {
  /** `host:port` each. */
  readonly brokers: string[]
  /** Base address of the registry's Confluent API. */
  readonly registryUrl: string
  readonly postgresUrl: string
  readonly how: Readonly<Record<Part, How>>
  /** Resolves with one sentence when a part that was started here ends by itself. */
  readonly exited: Promise<string>
  /** Stops what was started here, and nothing that was given. Safe to call twice. */
  readonly stop: () => Promise<void>
}

type Started = {
  readonly how: How
  readonly address: string
  readonly exited: Promise<string>
  readonly stop: () => Promise<void>
}

type Context = Required<Omit<StackOptions, 'elsewhere'>> & {
  readonly ports: Ports
  /** Where a Docker engine answers, if one does. */
  readonly socket: string | null
  readonly java: () => Promise<string>
}

/**
 * Starts what is not given, all parts at once, and resolves when all of them answer.
 * @throws PipelineError CONFIGURATION in one sentence; nothing is left running then
 */
export async function startStack(options: StackOptions): Promise<RunningStack> {
  const dataDir = resolve(options.dataDir)
  const { elsewhere = [] } = options
  const given = givenAddresses(elsewhere)
  if (Object.values(given).every((address) => address !== undefined)) {
    return assemble(await allOrNone(PARTS.map((part) => useGiven(part, given[part] ?? ''))), noop)
  }
  mkdirSync(dataDir, { recursive: true })
  const release = await lockDataDir(dataDir)
  try {
    if (options.fresh) removeData(dataDir)
    const [ports, socket] = await Promise.all([choosePorts(dataDir), engineSocket()])
    let java: Promise<string> | undefined
    const findOnce = () => (java ??= findJava(usualPlaces()))
    const temporary = options.temporary ?? false
    const context: Context = { ...options, temporary, dataDir, ports, socket, java: findOnce }
    const parts = PARTS.map((part) => {
      const address = given[part]
      return address === undefined ? startPart(part, context) : useGiven(part, address)
    })
    return assemble(await allOrNone(parts), release)
  } catch (error) {
    await release()
    throw error
  }
}

const PARTS = ['kafka', 'registry', 'postgres'] as const
const noop = async (): Promise<void> => {}
/** Whether what was given ends is for others to see. */
const never = new Promise<never>(() => {})

/** Empty for what is elsewhere, undefined for what is to be started. */
function givenAddresses(elsewhere: readonly Part[]): Record<Part, string | undefined> {
  const addressOf = (part: Part) =>
    elsewhere.includes(part) ? '' : process.env[GIVEN[part].variable] || undefined
  return {
    kafka: addressOf('kafka'),
    registry: addressOf('registry'),
    postgres: addressOf('postgres'),
  }
}

function removeData(dataDir: string): void {
  for (const name of [...PARTS, 'postgres.password']) {
    // Servers of a killed run may still be writing while they end.
    rmSync(join(dataDir, name), { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
}

const GIVEN = {
  kafka: { variable: 'EXPOSURE_KAFKA_BROKERS', name: 'Kafka', probe: anyBroker },
  registry: { variable: 'EXPOSURE_REGISTRY_URL', name: 'the registry', probe: probeRegistry },
  postgres: { variable: 'EXPOSURE_POSTGRES_URL', name: 'PostgreSQL', probe: probePostgres },
} as const

async function useGiven(part: Part, address: string): Promise<Started> {
  const { variable, name, probe } = GIVEN[part]
  if (address === '') return { how: 'given', address, exited: never, stop: noop }
  try {
    await probe(address)
  } catch (cause) {
    // The address itself may hold a password.
    throw startFault(
      `${variable} is set, but ${name} does not answer there: start it, or unset ${variable}.`,
      cause,
    )
  }
  return { how: 'given', address, exited: never, stop: noop }
}

async function anyBroker(brokers: string): Promise<void> {
  await Promise.any(brokersOf(brokers).map(probeTcp))
}

function brokersOf(list: string): string[] {
  return list
    .split(',')
    .map((broker) => broker.trim())
    .filter((broker) => broker !== '')
}

async function startPart(part: Part, context: Context): Promise<Started> {
  const { socket } = context
  if (socket !== null && !existsSync(join(context.dataDir, part))) {
    try {
      return { ...(await IN_CONTAINER[part]({ ...context, socket })), how: 'docker' }
    } catch (error) {
      const why = error instanceof Error ? error.message.slice(0, 200) : String(error)
      context.log(`stack: ${part} not as a container (${why}), so as a process`)
    }
  }
  return { ...(await AS_PROCESS[part](context)), how: 'native' }
}

type Starter<C> = (context: C) => Promise<Omit<Started, 'how'>>

const IN_CONTAINER: Record<Part, Starter<Context & { readonly socket: string }>> = {
  async kafka(context) {
    const container = await startKafkaContainer({ ...context, port: context.ports.kafka })
    return { ...container, address: `127.0.0.1:${context.ports.kafka}` }
  },
  async registry(context) {
    const container = await startRegistryContainer({ ...context, port: context.ports.registry })
    return { ...container, address: registryUrlOf(context.ports.registry) }
  },
  async postgres(context) {
    const { container, url } = await startPostgresContainer({
      ...context,
      port: context.ports.postgres,
      password: keptPassword(context.dataDir),
    })
    return { ...container, address: url }
  },
}

const AS_PROCESS: Record<Part, Starter<Context>> = {
  async kafka(context) {
    const server = await startNativeKafka({
      ...(await javaPart('kafka', context)),
      port: context.ports.kafka,
      controllerPort: context.ports.controller,
    })
    return { ...server, address: `127.0.0.1:${context.ports.kafka}` }
  },
  async registry(context) {
    const server = await startNativeRegistry({
      ...(await javaPart('registry', context)),
      port: context.ports.registry,
      managementPort: context.ports.management,
    })
    return { ...server, address: registryUrlOf(context.ports.registry) }
  },
  async postgres(context) {
    const { server, url } = await startNativePostgres({
      dataDir: context.dataDir,
      port: context.ports.postgres,
    })
    return { ...server, address: url }
  },
}

async function javaPart(name: 'kafka' | 'registry', context: Context) {
  const java = await context.java()
  const options = { cacheDir: defaultCacheDir(), java, log: context.log }
  return { java, dataDir: context.dataDir, files: await getPackage(name, options) }
}

async function allOrNone(parts: Promise<Started>[]): Promise<Started[]> {
  const settled = await Promise.allSettled(parts)
  const failed = settled.find((result) => result.status === 'rejected')
  const started = settled.flatMap((r) => (r.status === 'fulfilled' ? [r.value] : []))
  if (failed === undefined) return started
  await Promise.all(started.map((part) => part.stop()))
  throw failed.reason
}

function assemble(parts: Started[], release: () => Promise<void>): RunningStack {
  const [kafka, registry, postgres] = parts
  if (kafka === undefined || registry === undefined || postgres === undefined) {
    throw new TypeError('a stack has three parts')
  }
  let stopping: Promise<void> | undefined
  const stopAll = async () => {
    try {
      await Promise.all(parts.map((part) => part.stop()))
    } finally {
      await release()
    }
  }
  return {
    brokers: brokersOf(kafka.address),
    registryUrl: registry.address.replace(/\/+$/, ''),
    postgresUrl: postgres.address,
    how: { kafka: kafka.how, registry: registry.how, postgres: postgres.how },
    exited: Promise.race(parts.map((part) => part.exited)),
    stop: () => (stopping ??= stopAll()),
  }
}
