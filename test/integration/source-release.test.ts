// What an operator's release means for the runs after it, against a real broker.
import { expect, it } from 'vitest'
import type { PullEnd } from '../../contracts/ports.ts'
import { type Released, releasedRecord } from '../../runtime/checkpoint.ts'
import { runSource } from '../../runtime/run-source.ts'
import {
  CONNECTION,
  type List,
  STREAM,
  listOf,
  type runOptions,
  taskOf,
} from '../support/list-source.ts'
import { type SourceWorld, openSourceWorld } from '../support/source-world.ts'

type Process = ReturnType<typeof runOptions>

/** As `exposure runs release` does: the new measure is committed, what was raised is cleared. */
async function release({ settings }: SourceWorld, process: Process, released: Released) {
  const { options, reporter } = process
  const session = await options.openSession(`${settings.prefix}release`)
  const name = { connection: CONNECTION, stream: STREAM }
  await session.commit({ outputs: [releasedRecord(settings.prefix, name, released)] })
  await session.close()
  reporter.clear({ connection: CONNECTION, failures: ['MISSING_DATA'] })
}

/** One run under these filters: what it holds, and what is raised when it has ended. */
async function run(world: SourceWorld, { options, reporter }: Process, list: List, filter = 'all') {
  const task = taskOf(list)
  const source = { ...task.source, filters: () => ({ filter }) }
  const { runId } = await runSource({ ...task, source }, options)
  await reporter.flush(30_000)
  const { end } = (await world.ends()).find((of) => of.end.runId === runId) ?? {}
  const open = reporter.open().map((event) => event.error_type)
  return { runId, scope: end?.scope ?? '', hold: end?.hold, open }
}
const SOUND = { hold: null, open: [] }

it.each([
  ['an estate that shrank to nothing', [30]],
  ['a stream that never had rows', []],
])('lets %s be empty once the operator has said so', async (_what, sizes) => {
  const world = await openSourceWorld()
  const process = world.process()
  for (const size of sizes) await run(world, process, { chunks: listOf(size) })
  for (let i = 0; i < 2; i++) {
    const held = await run(world, process, { chunks: [] })
    expect(held).toMatchObject({ hold: expect.any(String) as string, open: ['MISSING_DATA'] })
  }
  const { runId, scope } = await run(world, process, { chunks: [] })
  expect(process.told.at(-1)?.remediation).toContain('exposure runs release ')
  await release(world, process, { runId, fetched: 0, scope })
  for (let i = 0; i < 2; i++) {
    expect(await run(world, process, { chunks: [] })).toMatchObject(SOUND)
  }
  // With rows again it is held again when they vanish.
  expect(await run(world, process, { chunks: listOf(3) })).toMatchObject(SOUND)
  expect(await run(world, process, { chunks: [] })).toMatchObject({ open: ['MISSING_DATA'] })
})

it.each(['PARTIAL', 'DRIFTED', 'FAILED'] as const)(
  'lets no stream be empty any more that has had rows since, though in a %s run',
  async (verdict) => {
    const world = await openSourceWorld()
    const process = world.process()
    const { runId, scope } = await run(world, process, { chunks: [] })
    await release(world, process, { runId, fetched: 0, scope })
    expect(await run(world, process, { chunks: [] })).toMatchObject(SOUND)
    const before = (index: number) => {
      if (verdict === 'FAILED' && index === 1) throw new Error('cut off')
    }
    const end: PullEnd = { verdict: 'DRIFTED', declared: null, reason: 'cut off' }
    const list: List = { chunks: listOf(4, 4), before }
    await run(world, process, verdict === 'FAILED' ? list : { ...list, end: { ...end, verdict } })
    const { hold, open } = await run(world, process, { chunks: [] })
    const had = verdict === 'FAILED' ? 4 : 8
    expect(hold).toBe(`the listing has 0 rows; one before it, not complete itself, had ${had}`)
    expect(open).toContain('MISSING_DATA')
  },
)

it('holds a loss of rows though none of the runs before was COMPLETE', async () => {
  const world = await openSourceWorld()
  const process = world.process()
  const end: PullEnd = { verdict: 'PARTIAL', declared: null, reason: 'cut off' }
  await run(world, process, { chunks: listOf(20, 20), end })
  await run(world, process, { chunks: listOf(3), end })
  const { hold, open } = await run(world, process, { chunks: listOf(5) })
  expect(hold).toBe('the listing has 5 rows; one before it, not complete itself, had 40')
  expect(open).toContain('MISSING_DATA')
  const [missing] = process.reporter.open()
  expect(missing?.remediation).toContain('exposure runs release ')
  expect(await run(world, process, { chunks: listOf(38) })).toMatchObject(SOUND)
  expect(await run(world, process, { chunks: listOf(30) })).toMatchObject(SOUND)
})

it('compares a run under other filters with no released one', async () => {
  const world = await openSourceWorld()
  const process = world.process()
  await run(world, process, { chunks: listOf(100) })
  const { runId, scope } = await run(world, process, { chunks: listOf(50) })
  await release(world, process, { runId, fetched: 50, scope })
  expect(await run(world, process, { chunks: listOf(3) }, 'narrow')).toMatchObject(SOUND)
  expect(await run(world, process, { chunks: [] }, 'narrow')).toMatchObject({
    hold: 'the listing has no rows; the last complete one had 3',
  })
})

it('believes a release that comes while the next run is under way', async () => {
  const world = await openSourceWorld()
  const process = world.process()
  await run(world, process, { chunks: listOf(30) })
  const { runId, scope } = await run(world, process, { chunks: listOf(5) })
  const before = async (index: number) => {
    if (index === 1) await release(world, process, { runId, fetched: 5, scope })
  }
  expect(await run(world, process, { chunks: listOf(2, 3), before })).toMatchObject(SOUND)
  expect(process.told.map(({ state }) => state)).toEqual(['RAISED', 'CLEARED'])
})
