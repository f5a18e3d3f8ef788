// How far a seed has come: runs by their checkpoints, groups by their lag, moments of quiet.
import { setTimeout as pause } from 'node:timers/promises'
import { rawTopic, type TopicName, VENDORS, topicName } from '../../contracts/topics.ts'
import { AVRO_TOPICS } from '../../runtime/codecs.ts'
import type { RunCheckpoint } from '../../runtime/checkpoint.ts'
import { sinkGroup } from '../../runtime/run-sink.ts'
import { transformerGroup } from '../../transformers/main.ts'
import { buryMembers } from '../support/dead-members.ts'
import { waitFor } from '../support/wait-for.ts'
import { type Arena, streamKeysOf } from './arena.ts'
import type { Instance, Stage } from './fleet.ts'

/** Bounds of waiting: a busy machine is slow, not stuck. */
const RUNS_TIMEOUT_MS = 150_000
const LAG_TIMEOUT_MS = 120_000
const LAG_POLL_MS = 300
const QUIET_POLL_MS = 40

/** The checkpoints that the log still has, by `<connection>|<stream>`, oldest first. */
export async function checkpointsOf(arena: Arena): Promise<Map<string, RunCheckpoint[]>> {
  const all = new Map<string, RunCheckpoint[]>()
  const wanted = new Set(streamKeysOf(arena.streams))
  await arena.reader.readToEnd(topicName(arena.prefix, 'checkpoints'), 0, ({ key, value }) => {
    if (value === null || !wanted.has(key)) return
    const known = all.get(key) ?? []
    all.set(key, known)
    known.push(JSON.parse(value.toString()) as RunCheckpoint)
  })
  return all
}

/** Requests that the simulator has met so far; while it stays, no page was asked for. */
const requestsOf = ({ simulator }: Arena): number =>
  simulator
    .stats()
    .sites.flatMap(({ endpoints }) => Object.values(endpoints))
    .reduce((sum, { requests }) => sum + requests, 0)

/**
 * Moves the estate on by `steps` at a moment when no stream is between two pages: a listing by
 * offsets that moves meanwhile may miss a row without anybody being able to see it. False when
 * there was no such moment within `timeoutMs`.
 */
export async function evolveBetweenRuns(
  arena: Arena,
  steps: number,
  timeoutMs: number,
): Promise<boolean> {
  const keys = streamKeysOf(arena.streams)
  const deadlineMs = Date.now() + timeoutMs
  while (Date.now() < deadlineMs) {
    const before = requestsOf(arena)
    const all = await checkpointsOf(arena)
    const between = keys.every((key) => all.get(key)?.at(-1)?.verdict !== null)
    // Nothing runs between this look at the counts and the step itself.
    if (between && requestsOf(arena) === before) {
      arena.simulator.evolve(steps)
      return true
    }
    await pause(QUIET_POLL_MS)
  }
  return false
}

/** Waits until some run has published a chunk and not its last one; false after `timeoutMs`. */
export async function underWay(arena: Arena, timeoutMs: number): Promise<boolean> {
  const deadlineMs = Date.now() + timeoutMs
  while (Date.now() < deadlineMs) {
    const last = [...(await checkpointsOf(arena)).values()].flatMap((of) => of.at(-1) ?? [])
    if (last.some(({ verdict, position }) => verdict === null && position !== null)) return true
    await pause(QUIET_POLL_MS)
  }
  return false
}

/**
 * Waits until every stream has `wanted` COMPLETE runs that began after `sinceMs`.
 * @throws Error naming those that have not, with their last verdicts
 */
export async function runsComplete(arena: Arena, sinceMs: number, wanted: number): Promise<void> {
  const keys = streamKeysOf(arena.streams)
  let lacking: string[] = keys
  const last = new Map<string, string>()
  // Kept from look to look: compaction takes the checkpoints of older runs away.
  const ended = new Map(keys.map((key) => [key, new Set<string>()]))
  await waitFor(
    async () => {
      for (const [key, checkpoints] of await checkpointsOf(arena)) {
        for (const { startedAtMs, verdict, runId } of checkpoints) {
          last.set(key, verdict ?? 'under way')
          if (startedAtMs > sinceMs && verdict === 'COMPLETE') ended.get(key)?.add(runId)
        }
      }
      lacking = keys.filter((key) => (ended.get(key)?.size ?? 0) < wanted)
      return lacking.length === 0
    },
    { timeoutMs: RUNS_TIMEOUT_MS, what: 'complete runs of every stream' },
  ).catch((cause: unknown) => {
    const words = lacking.map((key) => `${key} (${last.get(key) ?? 'never began'})`)
    throw new Error(`not complete: ${words.join(', ')}`, { cause })
  })
}

export const ledgerGroup = (prefix: string): string => `${prefix}ledger`

/** The consumer groups of a stage. */
export function groupsOf(prefix: string, stage: Stage): string[] {
  if (stage === 'sinks') return [sinkGroup(prefix, 'postgres')]
  if (stage === 'producers') return [`${prefix}producers`]
  return [...VENDORS.map((vendor) => transformerGroup(prefix, vendor)), ledgerGroup(prefix)]
}

/** Waits until everything that is in Kafka has been through transformers, ledger and sink. */
export async function drained(arena: Arena, timeoutMs: number = LAG_TIMEOUT_MS): Promise<void> {
  const { admin, prefix } = arena
  let open: string[] = []
  const deadlineMs = Date.now() + timeoutMs
  // Twice in a row: what one stage has done is work for the next.
  for (let quiet = 0; quiet < 2;) {
    open = []
    for (const vendor of VENDORS) {
      open.push(
        ...(await lagging(admin, transformerGroup(prefix, vendor), [
          prefix + rawTopic(vendor).name,
        ])),
      )
    }
    const read = AVRO_TOPICS.map((topic) => topicName(prefix, topic))
    open.push(...(await lagging(admin, sinkGroup(prefix, 'postgres'), read)))
    quiet = open.length === 0 ? quiet + 1 : 0
    if (Date.now() > deadlineMs) throw new Error(`not worked through: ${open.join(', ')}`)
    await pause(LAG_POLL_MS)
  }
}

async function lagging(admin: Arena['admin'], group: string, topics: string[]): Promise<string[]> {
  return (await admin.lag(group, topics))
    .filter(({ lag }) => lag > 0n)
    .map(({ topic, partition, lag }) => `${group} at ${topic}/${partition} by ${lag}`)
}

/**
 * Kills one, and tells Kafka at once what the end of its session would tell it half a minute later,
 * so that a minute holds more than one death. All members join anew then: one attack more.
 */
export async function killInstance(arena: Arena, instance: Instance): Promise<void> {
  await arena.fleet.kill(instance)
  await bury(arena, instance.stage)
}

export async function bury({ settings, prefix }: Arena, stage: Stage): Promise<void> {
  await buryMembers(settings.brokers, groupsOf(prefix, stage))
}

/** Topics that the checker reads when all is quiet. */
export const CHECKED_TOPICS = [
  'rawPrismaCloud',
  'rawCortex',
  'runs',
  'checkpoints',
  'dlq',
] as const satisfies readonly TopicName[]
