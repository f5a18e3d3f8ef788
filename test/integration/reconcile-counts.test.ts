// What `exposure reconcile` makes of counts where more keys are there than it compares.
import { describe, expect, it } from 'vitest'
import { findingEvent } from '../support/events.ts'
import { openedStore, testStore } from '../support/opensearch.ts'
import { batchOf, testDatabase } from '../support/postgres.ts'
import { type StoresWorld, storesWorld } from '../support/stores-world.ts'

const TIMEOUT_MS = 180_000

type Facts = {
  readonly kinds: readonly {
    readonly kind: string
    readonly inTopic: number | null
    readonly inStore: number | null
    readonly doubtful: number
    readonly all: boolean
    readonly countsDiffer: boolean
  }[]
}

/** Findings of the one sink, of which few keys are compared. */
async function counted(world: StoresWorld) {
  const { code, of } = await world.facts<Facts>('reconcile', '--sample', '5', '--seed', '3')
  const [facts] = [...of.values()].flatMap(({ kinds }) => kinds.filter((k) => k.kind === 'finding'))
  return { code, facts }
}

const putFindings = async ({ topics }: StoresWorld, count: number) => {
  for (let i = 0; i < count; i++) await topics.put('findings', `f${i}`, findingEvent(`f${i}`))
}

describe('the counts of a reconciliation', { timeout: TIMEOUT_MS }, () => {
  it('agree where the store has refused some for good, and not where it has lost one', async () => {
    const database = await testDatabase()
    const world = await storesWorld({ postgres: { url: database.config.url } })
    await putFindings(world, 20)
    const refused = { title: 'a\u0000b' }
    await world.topics.put('findings', 'never', findingEvent('never', 1, refused))
    await world.topics.put('findings', 'f1', findingEvent('f1', 2, refused))
    await world.fill()
    const { code, facts } = await counted(world)
    expect(facts).toMatchObject({ inTopic: 21, inStore: 20, doubtful: 1, all: false })
    expect(code).toBe(0)
    await database.query(`DELETE FROM exposure.finding WHERE finding_uid = 'f1'`)
    const lost = await counted(world)
    expect([lost.code, lost.facts?.countsDiffer]).toEqual([2, true])
  })

  it('say nothing where the store may be ahead of the group that reads for it', async () => {
    const store = await testStore()
    const { url, prefix } = store.config
    const world = await storesWorld({ opensearch: { url, prefix, replicas: 0 } })
    await putFindings(world, 12)
    await world.fill()
    // As a process leaves it that is killed between the store and the offset.
    const value = findingEvent('ahead')
    await world.topics.put('findings', 'ahead', value)
    const sink = await openedStore(store)
    await sink.write(batchOf([{ kind: 'finding', key: 'ahead', value }], { firstOffset: 100n }))
    const { code, facts } = await counted(world)
    expect(facts).toMatchObject({ inTopic: 12, inStore: 13, countsDiffer: false })
    expect(code).toBe(0)
    await world.fill()
    await store.call('DELETE', `/${store.indices.finding.name}/_doc/f1`)
    const lost = await counted(world)
    expect([lost.code, lost.facts?.countsDiffer]).toEqual([2, true])
  })
})
