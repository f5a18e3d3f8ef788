// Attacks on the transactional core alone: lost answers, overlapping aborts, hard compaction.
import { setTimeout as pause } from 'node:timers/promises'
import type { RunningProcessor } from '../../runtime/kafka/processor.ts'
import { createRandom, type Random } from '../../simulator/random.ts'
import { COMPACT_HARD } from './compaction.ts'
import { openCounted, type Counted } from './counted.ts'
import { openKafkaProxy, type Fate, type KafkaProxy, type Rule } from './kafka-proxy.ts'
import { API, ERROR, WireWriter } from './kafka-wire.ts'
import { messages, naiveProducer, type NaiveProducer } from './naive.ts'
import type { Form, Scenario, ScenarioReport } from './scenario.ts'

const CAUGHT_UP_TIMEOUT_MS = 120_000
const INPUT_PARTITIONS = 4
/** A request that comes so late finds its transaction given up, or its owner replaced. */
const HELD_MS = 24_000
/** Past the 30 s that our clients wait for an answer. */
const LATE_MS = 31_000

export type Attack = {
  readonly counted: Counted
  readonly random: Random
  readonly form: Form
  /** Counts something that was done. */
  readonly did: (what: string) => void
}
type Options = Parameters<typeof openCounted>[0]

/** One attack from its topics to its report. */
export async function carryOut(
  name: string,
  seed: number,
  form: Form,
  options: Options,
  work: (attack: Attack) => Promise<readonly string[]>,
): Promise<ScenarioReport> {
  const beganMs = performance.now()
  const done = new Map<string, number>()
  const did = (what: string): void => void done.set(what, (done.get(what) ?? 0) + 1)
  const counted = await openCounted(options)
  try {
    const attack = { counted, random: createRandom(`${name} ${seed}`), form, did }
    const problems = await work(attack)
    const { wanted, got, differences } = await counted.compare()
    for (const [failure, times] of counted.troubles) done.set(`trouble ${failure}`, times)
    return {
      scenario: name,
      seed,
      seconds: Math.round((performance.now() - beganMs) / 1000),
      attacks: Object.fromEntries(done),
      takeOvers: done.get('take-over') ?? 0,
      eventsWanted: wanted,
      eventsGot: got,
      problems: [...problems, ...differences],
    }
  } finally {
    await counted.close()
  }
}

/** Ends an owner and begins another, which has to restore everything from the log. */
export async function takeOver(
  { counted, did }: Attack,
  owner: RunningProcessor,
  brokers: readonly string[],
): Promise<RunningProcessor> {
  const next = counted.own(brokers)
  await owner.stop()
  did('take-over')
  return next
}

// ------------------------------------------------------------------------------- lost answers

const CUTS: readonly Fate[] = ['cut-before', 'cut-after']
/** Share of the requests that are cut, by API key. */
const CUT_SHARES: Readonly<Record<number, number>> = {
  [API.produce]: 0.1,
  [API.endTxn]: 0.25,
  [API.addPartitionsToTxn]: 0.05,
  [API.addOffsetsToTxn]: 0.08,
  [API.txnOffsetCommit]: 0.08,
  [API.initProducerId]: 0.1,
  [API.offsetFetch]: 0.1,
  [API.findCoordinator]: 0.01,
  [API.fetch]: 0.02,
}
const BUSY_SHARE = 0.1
const busy = (code: number): Fate => ({ answer: new WireWriter().int32(0).int16(code).bytes() })

type Slow = { readonly key: number; readonly fate: () => Fate }

/** Cuts at random; `slow` fates, which take half a minute each, once apiece and anywhere. */
function attackingRule(random: Random, slow: Slow[]): Rule {
  return ({ apiKey }) => {
    const at = slow.findIndex(({ key }) => key === apiKey)
    if (at >= 0 && random.chance(0.2)) return slow.splice(at, 1)[0]?.fate() ?? 'pass'
    if (apiKey === API.addOffsetsToTxn && random.chance(BUSY_SHARE)) {
      return busy(ERROR.concurrentTransactions)
    }
    if (apiKey === API.endTxn && random.chance(BUSY_SHARE)) return busy(ERROR.coordinatorLoading)
    return random.chance(CUT_SHARES[apiKey] ?? 0) ? random.pick(CUTS) : 'pass'
  }
}

const slowFates = (): Slow[] => [
  { key: API.endTxn, fate: () => 'drop-answer' },
  { key: API.produce, fate: () => ({ lateMs: LATE_MS }) },
  { key: API.produce, fate: () => ({ hold: pause(HELD_MS, undefined, { ref: false }) }) },
]

async function loseAnswers(attack: Attack, proxy: KafkaProxy): Promise<readonly string[]> {
  const { counted, random, did } = attack
  const { brokers } = proxy
  proxy.setRule(attackingRule(random, slowFates()))
  let one = counted.own(brokers)
  let two = counted.own(brokers)
  for (let more = true; more;) {
    more = await counted.writeRun({ ...counted.scene.settings, brokers })
    if (!random.chance(0.5)) continue
    if (random.chance(0.5)) one = await takeOver(attack, one, brokers)
    else two = await takeOver(attack, two, brokers)
  }
  await counted.caughtUp()
  for (const [fate, times] of proxy.done) for (let i = 0; i < times; i += 1) did(fate)
  return proxy.faults
}

/** Answers that never come, come late, or come after the connection has ended. */
export const lostAnswers: Scenario = {
  name: 'lost-answers',
  says: 'answers of the broker are lost or late, to commits above all: output is exactly once',
  async run(seed, { brokers }, form) {
    const proxy = await openKafkaProxy(brokers)
    const options = {
      brokers,
      inputPartitions: INPUT_PARTITIONS,
      units: 60,
      runs: form === 'SHORT' ? 4 : 6,
      // Half of all seeds: what was aborted or overwritten is gone when the next owner restores.
      ...(seed % 2 === 1 ? { stateConfig: COMPACT_HARD } : {}),
      timeoutMs: CAUGHT_UP_TIMEOUT_MS,
    }
    try {
      const work = (attack: Attack) => loseAnswers(attack, proxy)
      return await carryOut(lostAnswers.name, seed, form, options, work)
    } finally {
      await proxy.close()
    }
  },
}

// --------------------------------------------------------------------------- overlapping aborts

const GHOSTS_MAX = 5

type Stranger = NaiveProducer
type Transaction = Awaited<ReturnType<Stranger['transaction']>>

/** Two transactions that overlap in every partition, ended in any order, both aborted. */
async function abortInOverlap(
  { counted, random, did }: Attack,
  strangers: readonly Stranger[],
): Promise<void> {
  const open: Transaction[] = []
  for (const stranger of strangers) open.push(await stranger.transaction())
  const haunt = async (transaction: Transaction): Promise<void> => {
    const partition = random.below(INPUT_PARTITIONS)
    const keys = Array.from(
      { length: 1 + random.below(GHOSTS_MAX) },
      () => `ghost-${random.hex(6)}`,
    )
    await transaction.send({ topic: counted.input, messages: messages(keys, partition) })
    did('aborted send')
  }
  for (const transaction of open) await haunt(transaction)
  while (open.length > 0) {
    if (random.chance(0.5)) await haunt(random.pick(open))
    const [ended] = open.splice(random.below(open.length), 1)
    await ended?.abort()
    for (const transaction of open) await haunt(transaction)
  }
}

async function haunted(attack: Attack, brokers: readonly string[]): Promise<readonly string[]> {
  const { counted, form } = attack
  const rounds = form === 'SHORT' ? 3 : 12
  const strangers: Stranger[] = []
  let owner = counted.own(brokers)
  try {
    for (const name of ['a', 'b', 'c']) {
      strangers.push(await naiveProducer(brokers, `${counted.groupId}.${name}`, GHOST_RETRIES))
    }
    for (let more = true; more;) {
      const haunting = async (): Promise<void> => {
        for (let i = 0; i < rounds; i += 1) await abortInOverlap(attack, strangers)
      }
      ;[more] = await Promise.all([counted.writeRun(), haunting()])
      owner = await takeOver(attack, owner, brokers)
    }
    await counted.caughtUp()
  } finally {
    await Promise.all(strangers.map((stranger) => stranger.disconnect()))
  }
  const { results } = await counted.scene.readAll(counted.input)
  const aborted = results.reduce((sum, result) => sum + result.abortedRecords, 0)
  return aborted > 0 ? [] : ['nothing aborted stands in the input: nothing was attacked']
}
const GHOST_RETRIES = 30

/** Aborted transactions of several writers, overlapping in the topic that the processor reads. */
export const overlappingAborts: Scenario = {
  name: 'overlapping-aborts',
  says: 'three writers abort in overlap where the processor reads: none of it is ever seen',
  async run(seed, { brokers }, form) {
    const options = {
      brokers,
      inputPartitions: INPUT_PARTITIONS,
      units: 40,
      runs: form === 'SHORT' ? 3 : 8,
      timeoutMs: CAUGHT_UP_TIMEOUT_MS,
    }
    const work = (attack: Attack) => haunted(attack, brokers)
    return carryOut(overlappingAborts.name, seed, form, options, work)
  },
}

// ------------------------------------------------------------------------------ hard compaction

/** Offsets of the state topic behind which nothing stands any more. */
async function compactedAway({ scene, state }: Counted): Promise<number> {
  const { results } = await scene.readAll(state)
  return results.reduce(
    (sum, { end, records, abortedRecords, markers }) =>
      sum + Number(end) - records - abortedRecords - markers,
    0,
  )
}

async function compacted(attack: Attack, brokers: readonly string[]): Promise<readonly string[]> {
  const { counted, did } = attack
  let owner = counted.own(brokers)
  for (let more = true; more;) {
    more = await counted.writeRun()
    await counted.caughtUp()
    // The next owner begins with what compaction has left, and goes on where this one stood.
    owner = await takeOver(attack, owner, brokers)
    if ((await compactedAway(counted)) > 0) did('restore from a log with holes')
  }
  await counted.caughtUp()
  return (await compactedAway(counted)) > 0 ? [] : ['nothing was compacted: nothing was attacked']
}

/** The state log is compacted all the while, and every listing has another owner. */
export const hardCompaction: Scenario = {
  name: 'hard-compaction',
  says: 'state is compacted by the second and restored by a new owner for each run: nothing differs',
  async run(seed, { brokers }, form) {
    const options = {
      brokers,
      inputPartitions: INPUT_PARTITIONS,
      units: 40,
      runs: form === 'SHORT' ? 6 : 20,
      stateConfig: COMPACT_HARD,
      timeoutMs: CAUGHT_UP_TIMEOUT_MS,
    }
    const work = (attack: Attack) => compacted(attack, brokers)
    return carryOut(hardCompaction.name, seed, form, options, work)
  },
}
