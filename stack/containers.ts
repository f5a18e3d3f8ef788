// The parts of the stack as containers, where a Docker engine answers on this machine.
import { existsSync } from 'node:fs'
import { request } from 'node:http'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createHash } from 'node:crypto'
import { BROKER_SETTINGS } from './native-kafka.ts'
import { probeKafka, probePostgres, probeRegistry } from './probe.ts'
import { registryUrlOf } from './native-registry.ts'
import { setTimeout as pause } from 'node:timers/promises'

const ENGINE_TIMEOUT_MS = 3_000
const START_TIMEOUT_MS = 180_000
const READY_TIMEOUT_MS = 120_000
const STOP_TIMEOUT_MS = 30_000
const POLL_MS = 100

export const IMAGES = {
  kafka: 'apache/kafka:4.3.0',
  registry: 'apicurio/apicurio-registry:3.3.3',
  postgres: 'postgres:18',
} as const

type Container = { readonly stop: () => Promise<void> }

type Recipe = {
  readonly image: string
  readonly environment: Record<string, string>
  readonly containerPort: number
  readonly port: number
  /** Where the image keeps its data. */
  readonly dataPath: string
  readonly volume: string
  readonly fresh: boolean
  readonly user?: string
  readonly ready: () => Promise<void>
}

export type ContainerOptions = {
  readonly dataDir: string
  readonly port: number
  readonly fresh: boolean
}

/** True when a Docker engine answers on a socket of this machine; false after 3 s at most. */
export async function engineAnswers(): Promise<boolean> {
  const given = process.env['DOCKER_HOST']
  const places =
    given === undefined || given === ''
      ? ['/var/run/docker.sock', join(homedir(), '.docker/run/docker.sock')]
      : // An engine elsewhere publishes its ports elsewhere: everything here is on 127.0.0.1.
        given.startsWith('unix://')
        ? [given.slice('unix://'.length)]
        : []
  const answers = await Promise.all(places.filter((path) => existsSync(path)).map(ping))
  return answers.includes(true)
}

function ping(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(ENGINE_TIMEOUT_MS)
    const call = request({ socketPath, path: '/_ping', signal }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    call.once('error', () => resolve(false))
    call.end()
  })
}

/** Kafka on 127.0.0.1. @throws Error when the image cannot be had or the broker does not start */
export function startKafkaContainer(options: ContainerOptions): Promise<Container> {
  const broker = `127.0.0.1:${options.port}`
  return startContainer({
    image: IMAGES.kafka,
    environment: {
      KAFKA_NODE_ID: '1',
      KAFKA_PROCESS_ROLES: 'broker,controller',
      KAFKA_CONTROLLER_QUORUM_VOTERS: '1@localhost:9093',
      // The broker speaks to itself too (transaction markers), and knows nothing of our port.
      KAFKA_LISTENERS: 'OUTER://:9092,INNER://localhost:19092,CONTROLLER://localhost:9093',
      KAFKA_ADVERTISED_LISTENERS: `OUTER://${broker},INNER://localhost:19092`,
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'OUTER:PLAINTEXT,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT',
      KAFKA_INTER_BROKER_LISTENER_NAME: 'INNER',
      KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
      KAFKA_LOG_DIRS: '/var/lib/kafka/data',
      ...brokerEnvironment(),
    },
    containerPort: 9092,
    dataPath: '/var/lib/kafka/data',
    ...common(options, 'kafka'),
    ready: () => probeKafka(broker),
  })
}

/** The registry on 127.0.0.1. @throws Error when the image cannot be had or it does not start */
export function startRegistryContainer(options: ContainerOptions): Promise<Container> {
  return startContainer({
    image: IMAGES.registry,
    environment: {
      APICURIO_STORAGE_KIND: 'sql',
      APICURIO_STORAGE_SQL_KIND: 'h2',
      APICURIO_DATASOURCE_URL: 'jdbc:h2:file:/exposure/schemas',
    },
    containerPort: 8080,
    dataPath: '/exposure',
    // A new volume belongs to root, and the image's own user could not write to it.
    user: '0:0',
    ...common(options, 'registry'),
    ready: () => probeRegistry(registryUrlOf(options.port)),
  })
}

/** PostgreSQL on 127.0.0.1. @throws Error when the image cannot be had or it does not start */
export async function startPostgresContainer(
  options: ContainerOptions & { readonly password: string },
): Promise<{ container: Container; url: string }> {
  const url = `postgres://postgres:${options.password}@127.0.0.1:${options.port}/postgres`
  const container = await startContainer({
    image: IMAGES.postgres,
    environment: { POSTGRES_PASSWORD: options.password },
    containerPort: 5432,
    dataPath: '/var/lib/postgresql',
    ...common(options, 'postgres'),
    ready: () => probePostgres(url),
  })
  return { container, url }
}

function common(options: ContainerOptions, part: string) {
  const hash = createHash('sha256').update(options.dataDir).digest('hex').slice(0, 12)
  return { port: options.port, fresh: options.fresh, volume: `exposure-${hash}-${part}` }
}

function brokerEnvironment(): Record<string, string> {
  const toName = (name: string) => `KAFKA_${name.toUpperCase().replaceAll('.', '_')}`
  return Object.fromEntries(
    Object.entries(BROKER_SETTINGS).map(([name, value]) => [toName(name), String(value)]),
  )
}

async function startContainer(recipe: Recipe): Promise<Container> {
  // Loaded only here: it is large, and most machines that start a stack natively have no engine.
  const { GenericContainer, getContainerRuntimeClient } = await import('testcontainers')
  const client = await getContainerRuntimeClient()
  if (recipe.fresh) await removeVolume(client.container.dockerode.getVolume(recipe.volume))

  class LoopbackContainer extends GenericContainer {
    protected override async beforeContainerCreated(): Promise<void> {
      const binding = [{ HostIp: '127.0.0.1', HostPort: String(recipe.port) }]
      this.hostConfig.PortBindings = { [`${recipe.containerPort}/tcp`]: binding }
    }
  }

  const container = new LoopbackContainer(recipe.image)
    .withEnvironment(recipe.environment)
    .withExposedPorts({ container: recipe.containerPort, host: recipe.port })
    .withBindMounts([{ source: recipe.volume, target: recipe.dataPath }])
    .withStartupTimeout(READY_TIMEOUT_MS)
  if (recipe.user !== undefined) container.withUser(recipe.user)
  const started = await inTime(container.start(), START_TIMEOUT_MS, recipe.image)
  const stop = async () => {
    await started.stop({ timeout: STOP_TIMEOUT_MS, remove: true, removeVolumes: false })
  }
  try {
    await untilReady(recipe)
  } catch (error) {
    await stop()
    throw error
  }
  return { stop }
}

async function removeVolume(volume: { remove(): Promise<unknown> }): Promise<void> {
  try {
    await volume.remove()
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode !== 404) throw error
  }
}

async function inTime<T>(work: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  const late = pause(timeoutMs, undefined, { ref: false }).then(() => {
    throw new Error(`${what} did not start within ${timeoutMs} ms`)
  })
  return Promise.race([work, late])
}

async function untilReady(recipe: Recipe): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS
  let last: unknown
  while (performance.now() < deadline) {
    try {
      await recipe.ready()
      return
    } catch (error) {
      last = error
    }
    await pause(POLL_MS)
  }
  throw new Error(`${recipe.image} was not ready within ${READY_TIMEOUT_MS} ms`, { cause: last })
}
