// Sessions of a leased connection: they write only while it is held and stands as it was dealt.
import { describe, expect, it } from 'vitest'
import { type Definition, connectionRecord } from '../../runtime/connections.ts'
import { GroupLease, leasedSessions } from '../../runtime/connections-lease.ts'
import type { Session } from '../../runtime/kafka/session.ts'

const SESSION_MS = 10_000
const PARTITION = 2
const definition: Definition = {
  v: 1,
  name: 'one',
  vendor: 'cortex',
  host: 'api.example',
  paused: false,
  settings: { every: '1h' },
}

/** Sessions under a lease that is held; `topic` is what exposure.connections says now. */
function made() {
  const clock = { nowMs: 1_000_000 }
  const topic = { says: definition }
  const did: string[] = []
  const lease = new GroupLease(SESSION_MS, {
    wallMs: () => clock.nowMs,
    steadyMs: () => clock.nowMs,
  })
  lease.joined(new Set([PARTITION]), 0)
  const stop = new AbortController()
  const session = (transactionalId: string): Session => ({
    transactionalId,
    alive: true,
    commit: async () => {
      did.push('committed')
      return new Map()
    },
    close: async () => void did.push('closed'),
  })
  const open = leasedSessions(
    {
      prefix: 'p.',
      openSession: async (transactionalId) => {
        did.push('opened')
        return session(transactionalId)
      },
      readToEnd: async (name, partition, onRecord) => {
        const { topic: of, partition: at, key, value } = connectionRecord('p.', topic.says)
        if (of !== name || at !== partition) return
        const headers = {}
        onRecord({
          topic: of,
          partition,
          offset: 0n,
          timestampMs: 0,
          key,
          value,
          headers,
        })
      },
    },
    definition,
    lease.of(PARTITION),
    stop.signal,
  )
  return { clock, topic, did, lease, stop, open: () => open('p.producer.one.s') }
}

describe('a session of a leased connection', () => {
  it('writes while the lease is held and the definition stands', async () => {
    const { did, open } = made()
    const session = await open()
    await session.commit({ outputs: [] })
    await session.close()
    expect(did).toEqual(['opened', 'committed', 'closed'])
  })

  it.each([
    ['changed', { settings: { every: '2h' } }],
    ['paused', { paused: true }],
  ])('is closed at once when the definition was %s meanwhile', async (_name, change) => {
    const { topic, did, open } = made()
    topic.says = { ...definition, ...change }
    await expect(open()).rejects.toThrow('changed, paused or removed meanwhile')
    expect(did).toEqual(['opened', 'closed'])
  })

  it('commits nothing once the lease is over, and goes on when it is confirmed', async () => {
    const { clock, did, lease, open } = made()
    const session = await open()
    clock.nowMs += SESSION_MS
    const committing = session.commit({ outputs: [] })
    // The wait is told by the lease alone, so nothing can have been written before it.
    await new Promise((resolve) => setImmediate(resolve))
    expect(did).toEqual(['opened'])
    lease.joined(new Set([PARTITION]), 0)
    await committing
    expect(did).toEqual(['opened', 'committed'])
  })

  it('commits nothing when it is stopped before the lease is confirmed', async () => {
    const { clock, did, stop, open } = made()
    const session = await open()
    clock.nowMs += SESSION_MS
    stop.abort()
    await expect(session.commit({ outputs: [] })).rejects.toThrow('the group has not confirmed')
    expect(did).toEqual(['opened'])
  })
})
