// The whole pipeline on brokers of its own: one that is killed and comes back, and three of which
// leaders move and one after another dies.
import { setTimeout as pause } from 'node:timers/promises'
import { TOPICS, type TopicName, topicName } from '../../contracts/topics.ts'
import type { StackAddresses } from '../support/global-setup.ts'
import { waitFor } from '../support/wait-for.ts'
import type { Arena } from './arena.ts'
import { type Attacks, fight } from './battle.ts'
import { INNER_TOPICS, keepMoving } from './brokers-attacks.ts'
import { SLOW_PAGES } from './kills.ts'
import { type OneBroker, startOneBroker } from './one-broker.ts'
import { evolveBetweenRuns, runsComplete, underWay } from './progress.ts'
import type { Form, Scenario, ScenarioReport } from './scenario.ts'
import { type BrokerId, REPLICAS, type ThreeBrokers, startThreeBrokers } from './three-brokers.ts'

const RESTARTS = { SHORT: 1, LONG: 2 } as const
const LOSSES = { SHORT: 1, LONG: 3 } as const
const GONE_MS_MAX = 3_000
const EVOLVE_TIMEOUT_MS = 8_000
const EVOLVED_TIMEOUT_MS = 60_000
const UNDER_WAY_TIMEOUT_MS = 8_000
/** So many answers are slow that a run is met between two of its pages. */
const SLOW_PAGES_COUNT = 12
/** A broker that starts on a busy machine takes its time, and who follows its topics waits. */
const FOLLOWED_LAG_MS = 60_000
const IDS: readonly BrokerId[] = [1, 2, 3]
/** Of those whose leaders move: what every stage reads or writes. */
const MOVED: readonly TopicName[] = [
  'rawPrismaCloud',
  'rawCortex',
  'statePrismaCloud',
  'stateCortex',
  'assets',
  'findings',
  'runs',
  'checkpoints',
  'connections',
]

/** While brokers come and go a look at them may fail: it is taken again. */
const evolved = (arena: Arena): Promise<boolean> =>
  waitFor(() => evolveBetweenRuns(arena, 2, EVOLVE_TIMEOUT_MS), {
    what: 'a moment between runs',
    timeoutMs: EVOLVED_TIMEOUT_MS,
  })

// --------------------------------------------------------------------------------- one broker

async function restart(arena: Arena, broker: OneBroker, form: Form): Promise<Attacks> {
  const counts = { restarts: 0, 'amid a run': 0 }
  for (let n = 0; n < RESTARTS[form]; n++) {
    await evolved(arena)
    arena.simulator.faults.set({ ...SLOW_PAGES, times: SLOW_PAGES_COUNT })
    if (await underWay(arena, UNDER_WAY_TIMEOUT_MS)) counts['amid a run'] += 1
    await broker.kill()
    await pause(arena.random.below(GONE_MS_MAX))
    await broker.start()
    counts.restarts += 1
    // All of it has to go on, before it breaks again.
    await runsComplete(arena, Date.now(), 1)
  }
  return counts
}

async function runRestarts(
  seed: number,
  stack: StackAddresses,
  form: Form,
): Promise<ScenarioReport> {
  const broker = await startOneBroker()
  try {
    return await fight(
      {
        name: brokerRestarts.name,
        arena: { followedLagMs: FOLLOWED_LAG_MS },
        instances: { producers: 1, transformers: 2, sinks: 1 },
        afterPeace: true,
        attack: (arena) => restart(arena, broker, form),
      },
      seed,
      { ...stack, brokers: broker.brokers },
    )
  } finally {
    await broker.close()
  }
}

export const brokerRestarts: Scenario = {
  name: 'broker-restarts',
  says: 'the only broker is killed, and starts again on its data: the pipeline waits and goes on',
  run: runRestarts,
}

// ------------------------------------------------------------------------------ three brokers

async function lose(arena: Arena, three: ThreeBrokers, form: Form): Promise<Attacks> {
  const { random, prefix } = arena
  const counts: Attacks = {}
  const did = (what: string): void => void (counts[what] = (counts[what] ?? 0) + 1)
  const partitions = new Map([
    ...MOVED.map((topic) => [topicName(prefix, topic), TOPICS[topic].partitions] as const),
    ...INNER_TOPICS.map((topic) => [topic, REPLICAS] as const),
  ])
  const moving = keepMoving({ random, did }, three, partitions)
  try {
    for (let n = 0; n < LOSSES[form]; n++) {
      await evolved(arena)
      const id = random.pick(IDS)
      await underWay(arena, UNDER_WAY_TIMEOUT_MS).catch(() => did('look that failed'))
      await three.end(id, 'kill')
      did('broker kill')
      await pause(random.below(GONE_MS_MAX))
      await three.start(id)
    }
  } finally {
    await moving.end()
  }
  return counts
}

/** The attack on brokers that run already. */
export function fightOnThree(
  three: ThreeBrokers,
  seed: number,
  stack: StackAddresses,
  form: Form,
): Promise<ScenarioReport> {
  return fight(
    {
      name: brokerLosses.name,
      arena: { replicationFactor: REPLICAS, followedLagMs: FOLLOWED_LAG_MS },
      instances: { producers: 1, transformers: 2, sinks: 1 },
      afterPeace: true,
      attack: (arena) => lose(arena, three, form),
    },
    seed,
    { ...stack, brokers: [...three.brokers] },
  )
}

export const brokerLosses: Scenario = {
  name: 'broker-losses',
  says: 'of three brokers one after another is killed, while leaders move under the whole pipeline',
  async run(seed, stack, form) {
    const three = await startThreeBrokers(() => undefined)
    try {
      return await fightOnThree(three, seed, stack, form)
    } finally {
      await three.close()
    }
  },
}
