// One type of sink under test: its world, its batches, and what is to be held in the end.
import { beforeEach, expect } from 'vitest'
import type { SinkBatch } from '../../contracts/ports.ts'
import { topicName } from '../../contracts/topics.ts'
import { batchOf } from './postgres.ts'
import { type Told, foldOf } from './sink-history.ts'
import { FINDINGS, type Subject } from './sink-subjects.ts'
import type { HeldEntity, SinkWorld, SinkWorlds } from './sink-worlds/sink-world.ts'

export const RULES_TIMEOUT_MS = 180_000

/** A type of sink under test: how its worlds are made, and what is to be held in them. */
export type Suite = {
  readonly worlds: SinkWorlds
  readonly subject: Subject
  /** The world of the test that asks. */
  readonly world: () => SinkWorld
  readonly batch: (told: readonly Told[], more?: Partial<SinkBatch>) => SinkBatch
  /** Fails unless the store holds what all of this leaves. */
  readonly expectHeld: (told: readonly Told[]) => Promise<void>
}

const sorted = (held: readonly HeldEntity[]) =>
  held.toSorted((a, b) => (a.uid < b.uid ? -1 : Number(a.uid > b.uid)))

/** For the tests of the block that calls it. */
export function suiteOf(worlds: SinkWorlds): Suite {
  const { excused = {}, words = {} } = worlds
  const given = worlds.subject ?? FINDINGS
  const heldAs = (told: Told): HeldEntity => {
    const held = given.heldAs(told)
    return { ...held, status: words[held.status] ?? held.status }
  }
  const subject = { ...given, heldAs }
  let world: SinkWorld | null = null
  beforeEach(async () => {
    world = await worlds.open()
  }, RULES_TIMEOUT_MS)
  const opened = () => {
    if (world === null) throw new Error('no world is open')
    return world
  }
  const forgets = excused.forgotten === undefined
  return {
    worlds,
    subject,
    world: opened,
    batch: (told, more = {}) => batchOf(told, { topic: topicOf(opened(), subject.topic), ...more }),
    async expectHeld(told) {
      const expected = foldOf(told, subject.heldAs, forgets)
      expect(sorted(await opened().held())).toEqual(sorted(expected))
    },
  }
}

/** Its complete name, where the store looks at it. */
export const topicOf = ({ topics }: SinkWorld, topic: Subject['topic'] | 'assets') =>
  topicName(topics?.settings.prefix ?? '', topic)
