// Three brokers on this machine, every topic on all of them, and ways to move what they lead.
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findJava, usualPlaces } from '../../stack/java.ts'
import {
  newClusterId,
  nodeSettings,
  startKafkaNode,
  BROKER_SETTINGS,
} from '../../stack/native-kafka.ts'
import { defaultCacheDir, getPackage } from '../../stack/packages.ts'
import { freePort } from '../../stack/ports.ts'
import type { Server } from '../../stack/server.ts'
import { waitFor } from '../support/wait-for.ts'
import { API, framed, FrameSplitter, WireReader, WireWriter } from './kafka-wire.ts'
import { naiveKafka } from './naive.ts'

const IDS = [1, 2, 3] as const
export type BrokerId = (typeof IDS)[number]
export const REPLICAS = IDS.length
const REQUEST_TIMEOUT_MS = 10_000
const READY_TIMEOUT_MS = 60_000
const MOVE_TIMEOUT_MS = 20_000
/** Small, and quick to start: they live for a minute, beside a whole stack. */
const MEMORY = ['-Xms100m', '-Xmx300m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']
const SETTINGS = {
  ...BROKER_SETTINGS,
  'default.replication.factor': REPLICAS,
  'min.insync.replicas': 2,
  'offsets.topic.replication.factor': REPLICAS,
  'offsets.topic.num.partitions': 3,
  'transaction.state.log.replication.factor': REPLICAS,
  'transaction.state.log.min.isr': 2,
  'transaction.state.log.num.partitions': 3,
  // Leaders are where the test has put them.
  'auto.leader.rebalance.enable': false,
  'broker.session.timeout.ms': 6_000,
  'controller.quorum.election.timeout.ms': 2_000,
  'controller.quorum.fetch.timeout.ms': 4_000,
}

export type ThreeBrokers = {
  /** `host:port`, by broker: the first is broker 1. */
  readonly brokers: readonly string[]
  /** Leader by partition; null while there is none. */
  leaders(topic: string): Promise<(number | null)[]>
  /** Makes a broker the leader of a partition; resolves when it is. */
  moveLeader(topic: string, partition: number, to: BrokerId): Promise<void>
  /** Asks for it and goes on. */
  askLeader(topic: string, partition: number, to: BrokerId): Promise<void>
  /** Ends a broker, with a controlled shutdown or without a word. */
  end(id: BrokerId, how: 'stop' | 'kill'): Promise<void>
  /** Starts one that was ended. */
  start(id: BrokerId): Promise<void>
  /** Stops all, and removes their data. */
  close(): Promise<void>
}

type Node = { readonly id: BrokerId; readonly port: number; readonly controllerPort: number }

/** Starts them and waits until each knows of the others. @throws PipelineError CONFIGURATION */
export async function startThreeBrokers(log: (line: string) => void): Promise<ThreeBrokers> {
  const java = await findJava(usualPlaces())
  const files = await getPackage('kafka', { cacheDir: defaultCacheDir(), java, log })
  const dataDir = mkdtempSync(join(tmpdir(), 'exposure-brokers-'))
  const nodes = await choosePorts()
  const clusterId = newClusterId()
  const running = new Map<BrokerId, Server>()
  const brokers = nodes.map(({ port }) => `127.0.0.1:${port}`)

  async function start(id: BrokerId): Promise<void> {
    const node = nodes.find((one) => one.id === id)
    if (node === undefined || running.has(id)) throw new Error(`broker ${id} cannot be started`)
    const server = await startKafkaNode({
      name: `Kafka ${id}`,
      java,
      files,
      dataDir: join(dataDir, String(id)),
      port: node.port,
      memory: MEMORY,
      clusterId,
      settings: { ...nodeSettings(id, node.port, nodes), ...SETTINGS },
    })
    running.set(id, server)
  }
  async function close(): Promise<void> {
    await Promise.all([...running.values()].map((server) => server.stop()))
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
  try {
    await Promise.all(IDS.map(start))
    await waitFor(async () => (await describe(brokers)).length === REPLICAS, {
      timeoutMs: READY_TIMEOUT_MS,
      what: 'three brokers know of each other',
    })
  } catch (error) {
    await close()
    throw error
  }
  return {
    brokers,
    leaders: (topic) => leaders(brokers, topic),
    async moveLeader(topic, partition, to) {
      await ask(brokers, running, topic, partition, to)
      const moved = async () => (await leaders(brokers, topic))[partition] === to
      const what = `${topic}/${partition} is led by broker ${to}`
      await waitFor(moved, { timeoutMs: MOVE_TIMEOUT_MS, what })
    },
    askLeader: (topic, partition, to) => ask(brokers, running, topic, partition, to),
    async end(id, how) {
      const server = running.get(id)
      if (server === undefined) throw new Error(`broker ${id} does not run`)
      running.delete(id)
      await server[how]()
    },
    start,
    close,
  }
}

async function choosePorts(): Promise<Node[]> {
  const used: number[] = []
  const next = async (): Promise<number> => {
    const port = await freePort(used)
    used.push(port)
    return port
  }
  const nodes: Node[] = []
  for (const id of IDS) nodes.push({ id, port: await next(), controllerPort: await next() })
  return nodes
}

async function describe(brokers: readonly string[]): Promise<unknown[]> {
  const admin = naiveKafka(brokers).admin()
  await admin.connect()
  try {
    return (await admin.describeCluster()).brokers
  } finally {
    await admin.disconnect()
  }
}

async function leaders(brokers: readonly string[], topic: string): Promise<(number | null)[]> {
  const admin = naiveKafka(brokers).admin()
  await admin.connect()
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const partitions = (topics[0]?.partitions ?? []).toSorted(
      (a, b) => a.partitionId - b.partitionId,
    )
    return partitions.map(({ leader }) => (leader < 0 ? null : leader))
  } finally {
    await admin.disconnect()
  }
}

/** kafkajs knows neither request. The first replica is the preferred leader, then it is elected. */
async function ask(
  brokers: readonly string[],
  running: ReadonlyMap<BrokerId, Server>,
  topic: string,
  partition: number,
  to: BrokerId,
): Promise<void> {
  const [any] = [...running.keys()]
  const broker = any === undefined ? undefined : brokers[any - 1]
  if (broker === undefined) throw new Error('no broker runs')
  const order = [to, ...IDS.filter((id) => id !== to)]
  await request(broker, API.alterPartitionReassignments, reassignment(topic, partition, order))
  await request(broker, API.electLeaders, election(topic, partition))
}

/** AlterPartitionReassignments v0, behind the client id. */
function reassignment(topic: string, partition: number, order: readonly number[]): Buffer {
  const body = new WireWriter().noTags().int32(REQUEST_TIMEOUT_MS).compactLength(1)
  body.compactString(topic).compactLength(1).int32(partition).compactLength(order.length)
  for (const id of order) body.int32(id)
  return body.noTags().noTags().noTags().bytes()
}

const PREFERRED = 0
const ELECT_VERSION = 1

/** ElectLeaders v1. */
function election(topic: string, partition: number): Buffer {
  const body = new WireWriter().int8(PREFERRED).int32(1).string(topic).int32(1).int32(partition)
  return body.int32(REQUEST_TIMEOUT_MS).bytes()
}

/** One request on a connection of its own; resolves with what it answers. */
async function request(broker: string, apiKey: number, body: Buffer): Promise<Buffer> {
  const version = apiKey === API.electLeaders ? ELECT_VERSION : 0
  const header = new WireWriter().int16(apiKey).int16(version).int32(1).string('chaos')
  const at = broker.lastIndexOf(':')
  const socket = connect({ host: broker.slice(0, at), port: Number(broker.slice(at + 1)) })
  const splitter = new FrameSplitter()
  socket.setTimeout(REQUEST_TIMEOUT_MS, () => socket.destroy(new Error('no answer in time')))
  try {
    await once(socket, 'connect')
    socket.write(framed(header.bytes(), body))
    for await (const bytes of socket as AsyncIterable<Buffer>) {
      const [answer] = splitter.push(bytes)
      if (answer !== undefined) return new WireReader(answer).rest()
    }
    throw new Error('the connection ended without an answer')
  } finally {
    socket.destroy()
  }
}
