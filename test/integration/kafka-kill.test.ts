// The exactly-once promise: a worker killed at any named place loses nothing and doubles nothing.
import { describe, expect, it } from 'vitest'
import { FAILPOINTS } from '../../runtime/kafka/failpoints.ts'
import { openPublisher } from '../../runtime/kafka/publisher.ts'
import { openSession } from '../../runtime/kafka/session.ts'
import {
  countingInput,
  expectedOutputs,
  linesOf,
  OUT_PARTITIONS,
} from '../support/kafka-counting.ts'
import { startChild, type Child } from '../support/kafka-processes.ts'
import type { WorkerJob } from '../support/kafka-worker.ts'
import { openWorld, randomName, testLog, type World } from '../support/kafka-world.ts'
import { waitFor } from '../support/stack.ts'

const INPUT_PARTITIONS = 4
const UNITS = 60
const RUNS = 3
const CHUNK_RECORDS_MAX = 6
/** Workers at one time: the machine may be small. */
const TOGETHER_MAX = 5
const DONE_TIMEOUT_MS = 90_000

type Scene = { readonly job: WorkerJob; readonly input: ReturnType<typeof countingInput> }

/** Topics of one scene, its input written: half idempotent, half in a transaction with markers. */
async function prepare(
  world: World,
  partitions = INPUT_PARTITIONS,
  chunkRecordsMax = CHUNK_RECORDS_MAX,
): Promise<Scene> {
  const name = randomName()
  const input = await world.topic(`${name}.in`, partitions)
  const state = await world.topic(`${name}.state`, partitions, {
    'cleanup.policy': 'compact',
  })
  const out = await world.topic(`${name}.out`, OUT_PARTITIONS)
  const tallies = await world.topic(`${name}.tallies`, 1)
  const records = countingInput(input, partitions, UNITS, RUNS)
  const half = Math.floor(records.length / 2)
  const publisher = openPublisher(world.settings, testLog)
  await publisher.send(records.slice(0, half))
  await publisher.close()
  const transactionalId = `${world.settings.prefix}${name}.source`
  const session = await openSession(world.client, { transactionalId, transactionTimeoutMs: 20_000 })
  await session.commit({ outputs: records.slice(half) })
  await session.close()
  const groupId = `${world.settings.prefix}${name}.group`
  const { settings } = world
  return { input: records, job: { settings, groupId, input, state, out, tallies, chunkRecordsMax } }
}

const startWorker = (job: WorkerJob, failpoint = ''): Child =>
  startChild('kafka-worker.ts', {
    EXPOSURE_TEST_WORKER: JSON.stringify(job),
    EXPOSURE_FAILPOINT: failpoint,
  })

/** Waits until the group stands at the end of its input, by Kafka's word. */
async function caughtUp(world: World, job: WorkerJob, workers: readonly Child[]): Promise<void> {
  const done = async (): Promise<boolean> => {
    const lags = await world.admin.lag(job.groupId, [job.input])
    return lags.every(({ lag, committed }) => lag === 0n && committed !== null)
  }
  const what = `the group reaches the end; workers said ${workers.map((w) => w.stderr()).join()}`
  await waitFor(done, { timeoutMs: DONE_TIMEOUT_MS, what })
}

async function expectExact(world: World, { job, input }: Scene): Promise<void> {
  const expected = expectedOutputs(job, input)
  for (const topic of [job.out, job.tallies]) {
    const { records, results } = await world.readAll(topic)
    const wanted = expected.filter((record) => record.topic === topic)
    expect(linesOf(records)).toEqual(linesOf(wanted))
    expect(records).toHaveLength(wanted.length)
    // Raw offsets: whatever stands in the log is a record delivered, one aborted, or a marker.
    for (const { end, records: committed, abortedRecords, markers } of results) {
      expect(committed + abortedRecords + markers).toBe(Number(end))
    }
  }
}

async function killAt(world: World, failpoint: string): Promise<void> {
  const scene = await prepare(world)
  const victim = startWorker(scene.job, failpoint)
  const { signal } = await victim.ended
  expect({ failpoint, signal, said: victim.stderr() }).toMatchObject({ signal: 'SIGKILL' })
  const heir = startWorker(scene.job)
  await caughtUp(world, scene.job, [heir])
  heir.process.kill('SIGTERM')
  expect(await heir.ended).toMatchObject({ code: 0 })
  await expectExact(world, scene)
}

/** Carries `cases` out, TOGETHER_MAX at a time; all end before the first failure is thrown. */
async function together(cases: readonly (() => Promise<void>)[]): Promise<void> {
  const left = [...cases]
  const lane = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await next()
  }
  const lanes = Array.from({ length: TOGETHER_MAX }, lane)
  const failed = (await Promise.allSettled(lanes)).filter((l) => l.status === 'rejected')
  if (failed[0] !== undefined) throw failed[0].reason
}

describe('a worker that is killed', () => {
  it('loses nothing and writes nothing twice, wherever it dies', { timeout: 300_000 }, async () => {
    const world = await openWorld()
    const points = FAILPOINTS.flatMap((name) => [`${name}:1`, `${name}:3`])
    await together(points.map((point) => () => killAt(world, point)))
  })
})

describe('a control record whose walk takes several transactions', () => {
  it('is walked to its end by the heir of a worker that dies between two of them', async () => {
    const world = await openWorld()
    const scene = await prepare(world, 1, 1_000)
    // Commits: the first run, its end, the second run, then its end in steps of five closures.
    const victim = startWorker(scene.job, 'session.committed:5')
    expect(await victim.ended).toMatchObject({ signal: 'SIGKILL' })
    const { records } = await world.readAll(scene.job.out)
    const resolved = records.filter(({ headers }) => headers['type'] === 'RESOLVED')
    expect(resolved).toHaveLength(10)
    expect((await world.readAll(scene.job.tallies)).records).toHaveLength(1)
    const heir = startWorker(scene.job)
    await caughtUp(world, scene.job, [heir])
    heir.process.kill('SIGTERM')
    expect(await heir.ended).toMatchObject({ code: 0 })
    await expectExact(world, scene)
  })
})

describe('two workers', () => {
  it('share the work exactly while one joins and one dies', { timeout: 120_000 }, async () => {
    const world = await openWorld()
    const scene = await prepare(world)
    const first = startWorker(scene.job)
    await waitFor(() => first.stdout().includes('progress'), { what: 'the first worker works' })
    const second = startWorker(scene.job)
    await waitFor(() => second.stdout().includes('progress'), { what: 'the second one joins' })
    first.process.kill('SIGKILL')
    await first.ended
    await caughtUp(world, scene.job, [second])
    // More of the same: what the second one has restored and taken over must be right.
    const more = countingInput(scene.job.input, INPUT_PARTITIONS, UNITS, RUNS + 2)
    const later = more.filter(({ headers }) => Number(headers['run']) > RUNS)
    const publisher = openPublisher(world.settings, testLog)
    await publisher.send(later)
    await publisher.close()
    await caughtUp(world, scene.job, [second])
    second.process.kill('SIGTERM')
    expect(await second.ended).toMatchObject({ code: 0 })
    await expectExact(world, { ...scene, input: [...scene.input, ...later] })
  })
})
