// The parts of the stack as containers, where a Docker engine answers on this machine.
import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { WaitStrategy } from 'testcontainers'
import { startContainerGuard } from './container-guard.ts'
import { type Engine, ensureVolume, hasImage, inTime, removeContainer } from './engine.ts'
import { BROKER_SETTINGS } from './native-kafka.ts'
import { registryUrlOf } from './native-registry.ts'
import { probeKafka, probePostgres, probeRegistry } from './probe.ts'

const PULL_TIMEOUT_MS = 600_000
const READY_TIMEOUT_MS = 120_000
const STOP_WAIT_S = 20
const POLL_MS = 100
const SAID_MAX = 200

export const IMAGES = {
  kafka: 'apache/kafka:4.3.0',
  registry: 'apicurio/apicurio-registry:3.3.3',
  postgres: 'postgres:18',
} as const

type Container = {
  /** Resolves with one sentence, which says where its log is, when it ends by itself. */
  readonly exited: Promise<string>
  readonly stop: () => Promise<void>
}

type Recipe = ContainerOptions & {
  readonly part: keyof typeof IMAGES
  readonly environment: Record<string, string>
  readonly containerPort: number
  /** Where the image keeps its data. */
  readonly dataPath: string
  readonly user?: string
  readonly ready: () => Promise<void>
}

export type ContainerOptions = {
  /** Where the engine answers. */
  readonly socket: string
  readonly dataDir: string
  readonly port: number
  readonly fresh: boolean
  readonly temporary: boolean
  readonly log: (line: string) => void
}

/** Kafka on 127.0.0.1. @throws Error when the image cannot be had or the broker does not start */
export function startKafkaContainer(options: ContainerOptions): Promise<Container> {
  const broker = `127.0.0.1:${options.port}`
  return startContainer({
    ...options,
    part: 'kafka',
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
      KAFKA_HEAP_OPTS: '-Xms256m -Xmx768m',
      ...brokerEnvironment(),
    },
    containerPort: 9092,
    dataPath: '/var/lib/kafka/data',
    ready: () => probeKafka(broker),
  })
}

/** The registry on 127.0.0.1. @throws Error when the image cannot be had or it does not start */
export function startRegistryContainer(options: ContainerOptions): Promise<Container> {
  return startContainer({
    ...options,
    part: 'registry',
    environment: {
      APICURIO_STORAGE_KIND: 'sql',
      APICURIO_STORAGE_SQL_KIND: 'h2',
      APICURIO_DATASOURCE_URL: 'jdbc:h2:file:/exposure/schemas',
    },
    containerPort: 8080,
    dataPath: '/exposure',
    // A new volume belongs to root, and the image's own user could not write to it.
    user: '0:0',
    ready: () => probeRegistry(registryUrlOf(options.port)),
  })
}

/** PostgreSQL on 127.0.0.1. @throws Error when the image cannot be had or it does not start */
export async function startPostgresContainer(
  options: ContainerOptions & { readonly password: string },
): Promise<{ container: Container; url: string }> {
  const url = `postgres://postgres:${options.password}@127.0.0.1:${options.port}/postgres`
  const container = await startContainer({
    ...options,
    part: 'postgres',
    environment: { POSTGRES_PASSWORD: options.password },
    containerPort: 5432,
    dataPath: '/var/lib/postgresql',
    ready: () => probePostgres(url),
  })
  return { container, url }
}

function brokerEnvironment(): Record<string, string> {
  const toName = (name: string) => `KAFKA_${name.toUpperCase().replaceAll('.', '_')}`
  return Object.fromEntries(
    Object.entries(BROKER_SETTINGS).map(([name, value]) => [toName(name), String(value)]),
  )
}

async function startContainer(recipe: Recipe): Promise<Container> {
  const image = IMAGES[recipe.part]
  // The engine that has answered, and no other one.
  process.env['DOCKER_HOST'] = `unix://${recipe.socket}`
  // Loaded only here: it is large, and most machines that start a stack natively have no engine.
  const { getContainerRuntimeClient } = await import('testcontainers')
  const engine = (await getContainerRuntimeClient()).container.dockerode
  if (!(await hasImage(engine, image))) recipe.log(`stack: pulling ${image}, once`)
  const hash = createHash('sha256').update(recipe.dataDir).digest('hex').slice(0, 12)
  const name = `exposure-${hash}-${recipe.part}`
  // The folder is locked for us: one that is there has been left behind.
  await removeContainer(engine, name, STOP_WAIT_S)
  const volume = await ensureVolume(engine, recipe)
  const guard = startContainerGuard({
    socket: recipe.socket,
    name,
    volume: recipe.temporary ? volume : null,
    stopWaitS: STOP_WAIT_S,
  })
  try {
    await inTime(run(recipe, engine, { name, volume }), PULL_TIMEOUT_MS, image)
    let stopping = false
    const exited = new Promise<string>((resolve) => {
      const tell = (how: string) => {
        if (!stopping) resolve(`${image} has ended (${how}): see docker logs ${name}`)
      }
      engine
        .getContainer(name)
        .wait()
        .then(({ StatusCode: code }: { StatusCode: number }) => tell(`code ${code}`))
        .catch(() => tell('the engine does not answer'))
    })
    const stop = () => {
      stopping = true
      return guard.stop()
    }
    return { exited, stop }
  } catch (error) {
    await guard.stop()
    throw error
  }
}

async function run(recipe: Recipe, engine: Engine, place: { name: string; volume: string }) {
  const { GenericContainer } = await import('testcontainers')

  class LoopbackContainer extends GenericContainer {
    protected override async beforeContainerCreated(): Promise<void> {
      const binding = [{ HostIp: '127.0.0.1', HostPort: String(recipe.port) }]
      this.hostConfig.PortBindings = { [`${recipe.containerPort}/tcp`]: binding }
    }
  }

  const container = new LoopbackContainer(IMAGES[recipe.part])
    .withName(place.name)
    // Its reaper would be one more image to pull, and have the engine's socket; our guard does it.
    .withAutoCleanup(false)
    .withEnvironment(recipe.environment)
    .withExposedPorts({ container: recipe.containerPort, host: recipe.port })
    .withBindMounts([{ source: place.volume, target: recipe.dataPath }])
    .withWaitStrategy(readyStrategy(recipe, engine))
  if (recipe.user !== undefined) container.withUser(recipe.user)
  await container.start()
}

/** Ready when the part answers in its own protocol; failed at once when its container has ended. */
function readyStrategy(recipe: Recipe, engine: Engine): WaitStrategy {
  return {
    waitUntilReady: (container) => untilReady(recipe, engine, container.id),
    withStartupTimeout() {
      return this
    },
    isStartupTimeoutSet: () => true,
    getStartupTimeout: () => READY_TIMEOUT_MS,
  }
}

async function untilReady(recipe: Recipe, engine: Engine, id: string): Promise<void> {
  const container = engine.getContainer(id)
  const deadline = performance.now() + READY_TIMEOUT_MS
  let last: unknown
  while (performance.now() < deadline) {
    try {
      await recipe.ready()
      return
    } catch (error) {
      last = error
    }
    const { State: state } = await inTime(container.inspect(), READY_TIMEOUT_MS, 'the engine')
    if (!state.Running) {
      const logs = await container.logs({ stdout: true, stderr: true, tail: 1 })
      const said = logs.toString('utf8').replaceAll(/[^\x20-\x7e]/g, '')
      throw new Error(`${IMAGES[recipe.part]} ended: ${said.trim().slice(0, SAID_MAX)}`)
    }
    await pause(POLL_MS)
  }
  throw new Error(`${IMAGES[recipe.part]} was not ready in ${READY_TIMEOUT_MS} ms`, { cause: last })
}
