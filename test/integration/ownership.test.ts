// Who polls what: connections are dealt out, taken over from the dead and the stalled, and kept.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { controlOf } from '../../contracts/envelope.ts'
import type { KafkaRecord } from '../../contracts/processing.ts'
import {
  type Definition,
  connectionPartition,
  connectionRecord,
  definitionChanges,
} from '../../runtime/connections.ts'
import { changeConnections } from '../../runtime/connections-change.ts'
import { type Child, startChild } from '../support/kafka-processes.ts'
import type { ListSettings, OwnerJob, OwnerLine } from '../support/owner-worker.ts'
import { type SourceWorld, openSourceWorld } from '../support/source-world.ts'
import { waitFor } from '../support/wait-for.ts'

const TAKE_OVER_MS = 60_000
const TEST_TIMEOUT_MS = 240_000

/** A host whose connections are placed there. */
function hostIn(partition: number): string {
  for (let i = 0; ; i++) if (connectionPartition(`h${i}`) === partition) return `h${i}`
}

const definitionIn = (partition: number, settings: Partial<ListSettings> = {}): Definition => ({
  v: 1,
  name: `c${partition}`,
  vendor: 'prisma-cloud',
  host: hostIn(partition),
  paused: false,
  settings: { chunks: 12, chunkMs: 100, every: 500, ...settings },
})

async function openOwners(definitions: readonly Definition[]) {
  const world = await openSourceWorld()
  const { options } = world.process()
  const define = (wanted: readonly Definition[]) =>
    changeConnections(options, async (known) =>
      definitionChanges(world.settings.prefix, wanted, known),
    )
  await define(definitions)
  const start = (instance: string, gate?: string) => {
    const job: OwnerJob = { settings: world.settings, instance, ...(gate && { gate }) }
    return startChild('owner-worker.ts', { EXPOSURE_TEST_OWNER: JSON.stringify(job) })
  }
  return { world, options, define, start }
}

const linesOf = (child: Child): OwnerLine[] =>
  child
    .stdout()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as OwnerLine)
const namesOf = (child: Child, event: OwnerLine['event']): string[] =>
  linesOf(child).flatMap((line) => (line.event === event ? [line.name] : []))

/** Raw records of data of one connection, optionally by one publisher. */
async function published(world: SourceWorld, name: string, by?: string): Promise<KafkaRecord[]> {
  const raw = (await world.raw()).filter(({ headers }) => controlOf(headers) === null)
  return raw.filter(
    ({ headers }) =>
      headers['x-connection'] === name && (by === undefined || headers['x-endpoint'] === by),
  )
}

const polls = (child: Child, name: string, what: string) =>
  waitFor(() => namesOf(child, 'polls').includes(name), { what, timeoutMs: TAKE_OVER_MS })

/** A publishes in partition 0 and B in partition 4, both at work. */
async function twoAtWork(definitions: readonly Definition[]) {
  const owners = await openOwners(definitions)
  const a = owners.start('A')
  await polls(a, 'c0', 'the first process polls')
  const b = owners.start('B')
  await polls(b, 'c4', 'the second process takes its share')
  await waitFor(
    async () => {
      const [first] = await published(owners.world, 'c0', 'A')
      const [second] = await published(owners.world, 'c4', 'B')
      return first !== undefined && second !== undefined
    },
    { what: 'both publish', timeoutMs: TAKE_OVER_MS },
  )
  return { ...owners, a, b }
}

/** Every run of a connection that ended COMPLETE has each of its units once. */
async function expectWholeRuns(world: SourceWorld, name: string, units: number) {
  const ends = (await world.ends()).filter(({ end }) => end.connection === name)
  const complete = new Set(ends.flatMap(({ end }) => (end.verdict === 'COMPLETE' ? end.runId : [])))
  expect(complete.size).toBeGreaterThan(0)
  const raw = await published(world, name)
  for (const runId of complete) {
    const seen = raw.flatMap((record) =>
      record.headers['x-run-id'] === runId ? (record.headers['x-unit'] ?? '') : [],
    )
    expect(seen.toSorted()).toEqual(Array.from({ length: units }, (_, i) => `u${i}`).toSorted())
  }
}

describe('connections of several processes', { timeout: TEST_TIMEOUT_MS }, () => {
  it('are shared, and those of a killed one are taken over where they were', async () => {
    const { world, a, b } = await twoAtWork([definitionIn(0), definitionIn(4)])
    a.process.kill('SIGKILL')
    await polls(b, 'c0', 'what the dead one polled is taken over')
    const before = (await world.ends()).filter(({ end }) => end.connection === 'c0').length
    await waitFor(
      async () => (await world.ends()).filter(({ end }) => end.connection === 'c0').length > before,
      { what: 'a run ends after the take-over', timeoutMs: TAKE_OVER_MS },
    )
    await expectWholeRuns(world, 'c0', 12)
    // It was never B's to lose.
    expect(namesOf(b, 'ended')).not.toContain('c4')
    const verdicts = (await world.ends()).map(({ end }) => end.verdict)
    expect(new Set(verdicts)).toEqual(new Set(['COMPLETE']))
  })

  it('get nothing from a process that stalled once they have been taken over', async () => {
    const short = { chunks: 1, chunkMs: 1, every: 300 }
    const given = [definitionIn(0), definitionIn(1, short), definitionIn(4)]
    const { world, a, b } = await twoAtWork(given)
    await waitFor(async () => (await published(world, 'c1', 'A')).length > 2, {
      what: 'short runs',
    })
    a.process.kill('SIGSTOP')
    await waitFor(
      async () =>
        (await published(world, 'c0', 'B')).length > 0 &&
        (await published(world, 'c1', 'B')).length > 0,
      { what: 'both are taken over', timeoutMs: TAKE_OVER_MS },
    )
    const wokenMs = Date.now()
    a.process.kill('SIGCONT')
    // It is back in the group, which leaves with B what B has held since.
    await waitFor(
      async () => (await published(world, 'c4', 'A')).some((r) => r.timestampMs > wokenMs),
      { what: 'the woken process has its share again', timeoutMs: TAKE_OVER_MS },
    )
    for (const name of ['c0', 'c1']) {
      const takenOverMs = Math.min(
        ...(await published(world, name, 'B')).map(({ timestampMs }) => timestampMs),
      )
      const late = (await published(world, name, 'A')).filter((r) => r.timestampMs >= takenOverMs)
      expect({ name, late }).toEqual({ name, late: [] })
    }
    await expectWholeRuns(world, 'c0', 12)
    expect(namesOf(b, 'ended')).not.toContain('c0')
  })

  it('are not interrupted by a rebalance that leaves them where they are', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'exposure-owner-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const gate = join(folder, 'gate')
    const given = [definitionIn(0, { every: 600_000 }), definitionIn(4), definitionIn(5)]
    const { world, start } = await openOwners(given)
    const a = start('A', gate)
    await waitFor(() => namesOf(a, 'pulls').includes('c0'), { what: 'the long poll began' })
    const b = start('B')
    await polls(b, 'c4', 'a second process joins')
    const c = start('C')
    await waitFor(() => namesOf(c, 'polls').length > 0, {
      what: 'a third process joins',
      timeoutMs: TAKE_OVER_MS,
    })
    // Longer than the session: heartbeats went on while the poll was held up.
    await writeFile(gate, '')
    await waitFor(async () => (await world.ends()).some(({ end }) => end.connection === 'c0'), {
      what: 'the long poll ends',
      timeoutMs: TAKE_OVER_MS,
    })
    expect(linesOf(a).filter(({ name }) => name === 'c0')).toEqual([
      { event: 'polls', name: 'c0' },
      { event: 'pulls', name: 'c0' },
    ])
    expect(await published(world, 'c0', 'A')).toHaveLength(12)
    await expectWholeRuns(world, 'c0', 12)
  })

  it('stop when paused, go on where they were, and follow a change', async () => {
    // So slow that it is never at its end before the pause is written.
    const slow = definitionIn(2, { every: 600_000, chunkMs: 1_500 })
    const { world, define, options, start } = await openOwners([slow])
    const a = start('A')
    await waitFor(async () => (await published(world, 'c2')).length > 1, { what: 'it is polled' })
    const paused = connectionRecord(world.settings.prefix, { ...slow, paused: true })
    await changeConnections(options, async () => [paused])
    await waitFor(() => namesOf(a, 'ended').includes('c2'), { what: 'it stops' })
    const stopped = await world.raw()
    expect(stopped.filter(({ headers }) => controlOf(headers) !== null)).toEqual([])
    // Defining it again, as every start does, is not the operator's word.
    expect(await define([slow])).toBe(0)
    const resumed = { ...slow, settings: { ...slow.settings, chunkMs: 1 } }
    await changeConnections(options, async () => [connectionRecord(world.settings.prefix, resumed)])
    await waitFor(async () => (await world.ends()).length > 0, { what: 'it goes on to its end' })
    await expectWholeRuns(world, 'c2', 12)
    expect(new Set((await published(world, 'c2')).map((r) => r.headers['x-run-id'])).size).toBe(1)
    const moved = { ...resumed, host: hostIn(3) }
    expect(await define([moved])).toBe(2)
    await waitFor(() => namesOf(a, 'polls').length === 3, { what: 'it is polled at its new host' })
    await waitFor(() => namesOf(a, 'ended').length === 2, { what: 'and no longer at the old one' })
    a.process.kill('SIGTERM')
    expect(await a.ended).toEqual({ code: 0, signal: null })
  })
})
