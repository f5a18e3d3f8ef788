// When `exposure start --once` takes a run for stored, and what it says when it is not.
import { describe, expect, it } from 'vitest'
import { type Store, storedPast } from '../../cli/settle.ts'
import { PipelineError } from '../../contracts/errors.ts'

const NEVER = new AbortController().signal
const LONG_MS = 60_000
const FINDINGS = 'exposure.findings'
const targets = new Map([
  [`${FINDINGS}/0`, 4n],
  [`${FINDINGS}/1`, 2n],
  ['exposure.runs/0', 9n],
])

/** A store that has read, and keeps, everything up to here. */
const store = (name: string, more: Partial<Store> = {}): Store => ({
  name,
  reads: new Set([FINDINGS]),
  committed: async () => new Map([[0, 5n] as const, [1, 3n] as const]),
  flush: async () => undefined,
  stored: async () => null,
  ...more,
})
const away = new PipelineError('SINK_UNAVAILABLE', 'SINK', 'nobody answers')

describe('what a run has published', () => {
  it('is stored when every store is past it in the topics that it reads', async () => {
    await storedPast(targets, [store('one'), store('other')], 0, NEVER)
    await storedPast(targets, [], 0, NEVER)
  })

  it('is waited for until the last store has it', async () => {
    let asked = 0
    const slow = store('slow', {
      committed: async () => new Map([[0, BigInt(3 + asked++)] as const, [1, 3n] as const]),
    })
    await storedPast(targets, [store('fast'), slow], LONG_MS, NEVER)
    expect(asked).toBe(3)
  })

  it('is written when all of it is read, and only then', async () => {
    const said: string[] = []
    const committed = [4n, 5n]
    let next = 0n
    const lake = store('lake', {
      committed: async () => {
        said.push('committed')
        return new Map([[0, committed.shift() ?? 5n] as const, [1, 3n] as const])
      },
      flush: async () => {
        said.push('flush')
        next = 5n
      },
      stored: async () => next,
    })
    await storedPast(targets, [lake], LONG_MS, NEVER)
    expect(said).toEqual(['committed', 'committed', 'flush'])
  })

  it('is not stored while the store itself is behind its group', async () => {
    const behind = store('base', { stored: async (_, partition) => (partition === 0 ? 4n : 3n) })
    await expect(storedPast(targets, [behind], 0, NEVER)).rejects.toMatchObject({
      failure: 'SINK_UNAVAILABLE',
      message: `not all is stored: sink base has not passed offset 4 of ${FINDINGS}/0`,
    })
  })

  it('names every store that is behind or away when the time is over', async () => {
    const unread = store('unread', { committed: async () => new Map([[0, null]]) })
    const lost = store('lost', { stored: () => Promise.reject(away) })
    await expect(storedPast(targets, [unread, store('there'), lost], 0, NEVER)).rejects.toThrow(
      `not all is stored: sink unread has not passed offset 4 of ${FINDINGS}/0; ` +
        'sink lost: nobody answers',
    )
  })

  it('ends at once with what waiting does not mend, and when it is stopped', async () => {
    const wrong = new PipelineError('CONFIGURATION', 'SINK', 'no such database')
    const broken = store('broken', { stored: () => Promise.reject(wrong) })
    await expect(storedPast(targets, [broken], LONG_MS, NEVER)).rejects.toBe(wrong)
    const late = store('late', { committed: async () => new Map() })
    const stopped = AbortSignal.abort()
    await expect(storedPast(targets, [late], LONG_MS, stopped)).rejects.toThrow('stopped')
  })
})
