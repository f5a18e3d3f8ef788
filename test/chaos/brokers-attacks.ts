// The transactional core on three brokers while leaders and coordinators move and brokers die.
import { setTimeout as pause } from 'node:timers/promises'
import { createKafka } from '../../runtime/kafka/client.ts'
import { openCluster } from '../../runtime/kafka/cluster.ts'
import { testLog } from '../support/kafka-scene.ts'
import { COMPACT_HARD } from './compaction.ts'
import { carryOut, takeOver, type Attack } from './kafka-attacks.ts'
import type { Form, Scenario, ScenarioReport } from './scenario.ts'
import { REPLICAS, startThreeBrokers, type BrokerId, type ThreeBrokers } from './three-brokers.ts'

const PAUSE_MAX_MS = 300
const CAUGHT_UP_TIMEOUT_MS = 150_000
const IDS: readonly BrokerId[] = [1, 2, 3]
/** Where transactions and groups have their coordinators: these move too. */
export const INNER_TOPICS: readonly string[] = ['__transaction_state', '__consumer_offsets']

/** Moves leaders until told to end; what a broker that is down refuses is no harm. */
export function keepMoving(
  attack: Pick<Attack, 'random' | 'did'>,
  three: ThreeBrokers,
  partitions: ReadonlyMap<string, number>,
): { end(): Promise<void> } {
  const { random, did } = attack
  let ended = false
  const moving = async (): Promise<void> => {
    while (!ended) {
      const topic = random.pick([...partitions.keys()])
      const partition = random.below(partitions.get(topic) ?? 1)
      try {
        await three.askLeader(topic, partition, random.pick(IDS))
        did('leader move')
      } catch {
        did('leader move refused')
      }
      // Replicas follow their new leaders in between: without that nothing is acknowledged.
      await pause(random.below(PAUSE_MAX_MS))
    }
  }
  const done = moving()
  return {
    async end() {
      ended = true
      await done
    },
  }
}

async function loseBroker(
  { random, did }: Attack,
  three: ThreeBrokers,
  how: 'stop' | 'kill',
): Promise<void> {
  const id = random.pick(IDS)
  await three.end(id, how)
  did(`broker ${how}`)
  await three.start(id)
}

const losses = (form: Form): ('stop' | 'kill')[] => (form === 'SHORT' ? ['kill'] : ['kill', 'stop'])

async function partitionsOf(attack: Attack, three: ThreeBrokers): Promise<Map<string, number>> {
  const { input, state, out, scene } = attack.counted
  const settings = { ...scene.settings, brokers: three.brokers }
  const cluster = openCluster(createKafka(settings, 'chaos-leaders', testLog))
  try {
    const counts = new Map<string, number>()
    for (const topic of [input, state, out, ...INNER_TOPICS]) {
      counts.set(topic, (await cluster.partitions(topic)).length)
    }
    return counts
  } finally {
    await cluster.close()
  }
}

async function moved(attack: Attack, three: ThreeBrokers): Promise<readonly string[]> {
  const { counted, random, form } = attack
  const { brokers } = three
  let one = counted.own(brokers)
  let two = counted.own(brokers)
  // The first listing in peace: transactions and groups then have their topics.
  let more = await counted.writeRun()
  await counted.caughtUp()
  const moving = keepMoving(attack, three, await partitionsOf(attack, three))
  try {
    const left = losses(form)
    while (more) {
      const how = left.shift()
      const lost = how === undefined ? Promise.resolve() : loseBroker(attack, three, how)
      try {
        more = await counted.writeRun()
        if (random.chance(0.5)) one = await takeOver(attack, one, brokers)
        else two = await takeOver(attack, two, brokers)
      } finally {
        await lost
      }
    }
  } finally {
    await moving.end()
  }
  await counted.caughtUp()
  return []
}

/** The attack on brokers that run already. */
export async function attackBrokers(
  three: ThreeBrokers,
  seed: number,
  form: Form,
): Promise<ScenarioReport> {
  const options = {
    brokers: three.brokers,
    replicationFactor: REPLICAS,
    units: 60,
    runs: form === 'SHORT' ? 4 : 8,
    ...(seed % 2 === 1 ? { stateConfig: COMPACT_HARD } : {}),
    timeoutMs: CAUGHT_UP_TIMEOUT_MS,
  }
  return carryOut(movingLeaders.name, seed, form, options, (attack) => moved(attack, three))
}

/** Starts three brokers of its own for each seed. */
export const movingLeaders: Scenario = {
  name: 'moving-leaders',
  says: 'leaders and coordinators move all the while and brokers die: output is exactly once',
  async run(seed, _stack, form) {
    const three = await startThreeBrokers(() => undefined)
    try {
      return await attackBrokers(three, seed, form)
    } finally {
      await three.close()
    }
  },
}
