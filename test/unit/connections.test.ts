// Definitions of connections: where they stand, what a change of them writes, how long a lease is.
import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { definitionNamed } from '../../cli/connections.ts'
import { PipelineError } from '../../contracts/errors.ts'
import type { KafkaRecord } from '../../contracts/processing.ts'
import { definitionOf, settingsOf } from '../../producers/definitions.ts'
import { cortexConnection } from '../../producers/cortex/config.ts'
import { prismaCloudConnection } from '../../producers/prisma-cloud/config.ts'
import {
  type Definition,
  type KnownConnection,
  connectionPartition,
  connectionRecord,
  definitionChanges,
  forgetConnection,
  isPaused,
  loadConnections,
} from '../../runtime/connections.ts'
import { GroupLease } from '../../runtime/connections-lease.ts'

const definition: Definition = {
  v: 1,
  name: 'one',
  vendor: 'cortex',
  host: 'api.example',
  paused: false,
  settings: { every: '1h' },
}
const home = connectionPartition('api.example')
/** A host that is placed elsewhere. */
const away = Array.from({ length: 100 }, (_, i) => `h${i}`).find(
  (host) => connectionPartition(host) !== home,
)
const known = (of: Definition | null, partition = home): KnownConnection => ({
  name: 'one',
  partition,
  definition: of,
})
const written = (of: readonly KnownConnection[], wanted = definition) =>
  definitionChanges('p.', [wanted], of).map(({ key, partition, value }) => ({
    key,
    partition,
    value: value === null ? null : (JSON.parse(value.toString()) as unknown),
  }))

describe('a definition', () => {
  it('is written where its host is placed, and not again while nothing changes', () => {
    expect(written([])).toEqual([{ key: 'one', partition: home, value: definition }])
    expect(written([known(definition)])).toEqual([])
    const other = { ...definition, settings: { every: '2h' } }
    expect(written([known(definition)], other)).toMatchObject([{ value: other }])
    // Of another version: this one knows better what it wants.
    expect(written([known(null)])).toMatchObject([{ value: definition }])
  })

  it('leaves a tombstone where it stood when its host changes', () => {
    const moved = { ...definition, host: away ?? '' }
    expect(written([known(definition)], moved)).toEqual([
      { key: 'one', partition: home, value: null },
      { key: 'one', partition: connectionPartition(moved.host), value: moved },
    ])
  })

  it('keeps the pause of the operator, also when it moves', () => {
    const paused = { ...definition, paused: true }
    expect(written([known(paused)])).toEqual([])
    const moved = { ...definition, host: away ?? '' }
    expect(written([known(paused)], moved).at(-1)).toMatchObject({ value: { paused: true } })
    expect(
      [definition, paused, { ...definition, settings: { paused: true } }].map(isPaused),
    ).toEqual([false, true, true])
  })

  it('is forgotten wherever it stands', () => {
    const gone = forgetConnection('p.', 'one', [known(definition), known(null, 5)])
    expect(gone.map(({ partition, value }) => [partition, value])).toEqual([
      [home, null],
      [5, null],
    ])
    expect(forgetConnection('p.', 'two', [known(definition)])).toEqual([])
  })

  it('comes back as it was written; one of another version is named, not read', async () => {
    const record = connectionRecord('p.', definition)
    const future = { ...record, key: 'two', value: Buffer.from('{"v":2}') }
    const read = async (_t: string, at: number, onRecord: (record: KafkaRecord) => void) => {
      const here = [record, future].filter(({ partition }) => partition === at)
      here.forEach((one, i) => onRecord({ ...one, offset: BigInt(i), timestampMs: 0 }))
    }
    expect(await loadConnections('p.', read)).toEqual([
      known(definition),
      { name: 'two', partition: home, definition: null },
    ])
  })
})

describe('settings of a connection', () => {
  const full = {
    cortex: {
      name: 'c',
      type: 'cortex',
      url: 'acme.xdr.us.paloaltonetworks.com/x',
      apiKey: 'env:KEY',
      apiKeyId: 3,
      every: '15m',
      findingsWindow: '30d',
      staleAfter: '90s',
      streams: { 'cloud.findings': { every: '1d' } },
      proxy: { url: 'proxy.example:3128', password: 'file:/run/p' },
    },
    prisma: {
      name: 'p',
      type: 'prisma-cloud',
      url: 'https://app2.eu.prismacloud.io/home',
      computeUrl: 'console.example:8083/',
      accessKeyId: 'env:ID',
      secretKey: 'env:SECRET',
    },
  }
  const parsed = [cortexConnection.parse(full.cortex), prismaCloudConnection.parse(full.prisma)]

  it.each(parsed)('are the same after Kafka as before: $name', (connection) => {
    const stored = definitionOf(connection)
    const again = JSON.parse(JSON.stringify(stored)) as Definition
    expect(settingsOf(again)).toEqual(connection)
    expect(definitionOf(settingsOf(again))).toEqual(stored)
  })

  it('are kept in the form of exposure.yaml, secrets as references', () => {
    const [cortex] = parsed.map((connection) => definitionOf(connection))
    expect(cortex).toMatchObject({
      host: 'api-acme.xdr.us.paloaltonetworks.com',
      settings: { every: '15m', findingsWindow: '30d', staleAfter: '90s', apiKey: 'env:KEY' },
    })
    expect(stringify(cortex?.settings)).toContain('every: 1d')
  })

  it('of another version are refused', () => {
    const stored = definitionOf(parsed[0] ?? cortexConnection.parse(full.cortex))
    const odd = { ...stored, settings: { ...stored.settings, mood: 'good' } }
    expect(() => settingsOf(odd)).toThrow('written by another version')
  })
})

describe('a lease', () => {
  const made = () => {
    const clock = { nowMs: 1_000_000, steadyMs: 5_000 }
    const wait = (ms: number) => {
      clock.nowMs += ms
      clock.steadyMs += ms
    }
    const lease = new GroupLease(10_000, {
      wallMs: () => clock.nowMs,
      steadyMs: () => clock.steadyMs,
    })
    const heartbeat = () => {
      wait(1_000)
      lease.answered()
    }
    return { clock, wait, lease, heartbeat }
  }
  const partitions = new Set([2])

  it('is of the partitions of the last join, for a session from when it began', () => {
    const { wait, lease } = made()
    expect(lease.isHeld(2)).toBe(false)
    lease.joined(partitions, 4_000)
    expect([lease.isHeld(2), lease.isHeld(3)]).toEqual([true, false])
    wait(5_999)
    expect(lease.isHeld(2)).toBe(true)
    wait(1)
    expect(lease.isHeld(2)).toBe(false)
  })

  it('counts from the heartbeat before the last: the last may have been answered long ago', () => {
    const { wait, lease, heartbeat } = made()
    lease.joined(partitions, 0)
    heartbeat()
    // The process is stopped here, and the answer lies in its socket.
    wait(60_000)
    heartbeat()
    expect(lease.isHeld(2)).toBe(false)
    heartbeat()
    expect(lease.isHeld(2)).toBe(true)
  })

  it('does not last longer when the clock of the wall is put back', () => {
    const { clock, wait, lease, heartbeat } = made()
    lease.joined(partitions, 0)
    heartbeat()
    heartbeat()
    // Put back by an hour while the process is stopped, and others take over.
    clock.nowMs -= 3_600_000
    wait(60_000)
    expect(lease.isHeld(2)).toBe(false)
    heartbeat()
    heartbeat()
    expect(lease.isHeld(2)).toBe(true)
    // The group answers, but when the join began is not known any more.
    lease.joined(partitions, -3_599_000)
    expect(lease.isHeld(2)).toBe(false)
    heartbeat()
    expect(lease.isHeld(2)).toBe(true)
  })

  it('is asked for again when the clock of the wall goes ahead, or only that goes on', async () => {
    const { clock, lease, heartbeat } = made()
    lease.joined(partitions, 0)
    heartbeat()
    // As after the sleep of a machine: the steady clock stood still.
    clock.nowMs += 3_600_000
    expect(lease.isHeld(2)).toBe(false)
    const anew = lease.of(2).heldAnew(new AbortController().signal)
    clock.nowMs -= 7_200_000
    heartbeat()
    heartbeat()
    await anew
    expect(lease.isHeld(2)).toBe(true)
  })

  it('is over while the group deals anew, and keeps when it was last sure', () => {
    const { lease, heartbeat } = made()
    lease.joined(partitions, 0)
    heartbeat()
    const sureMs = lease.confirmedMs
    lease.suspended()
    expect([lease.isHeld(2), lease.confirmedMs]).toEqual([false, sureMs])
    lease.joined(new Set(), 0)
    expect(lease.isHeld(2)).toBe(false)
  })

  it('is waited for, and asked anew after a fence', async () => {
    const { lease, heartbeat } = made()
    const { signal } = new AbortController()
    const done: string[] = []
    const held = lease.of(2).held(signal)
    const noted = held.then(() => done.push('held'))
    lease.joined(partitions, 0)
    await noted
    const anew = lease.of(2).heldAnew(signal)
    const notedAnew = anew.then(() => done.push('anew'))
    heartbeat()
    await lease.of(2).held(signal)
    expect(done).toEqual(['held'])
    heartbeat()
    heartbeat()
    await notedAnew
    expect(done).toEqual(['held', 'anew'])
  })

  it('ends a wait with the signal', async () => {
    const { lease } = made()
    const stop = new AbortController()
    const waiting = lease.of(2).held(stop.signal)
    stop.abort()
    await expect(waiting).rejects.toThrow('the group has not confirmed')
  })
})

describe('a name that is not defined', () => {
  const toldOf = (known: readonly KnownConnection[]): string => {
    try {
      return definitionNamed(known, 'other').name
    } catch (error) {
      return error instanceof PipelineError ? error.remediation : String(error)
    }
  }

  it('is answered with those that are, or with how one is defined', () => {
    expect(toldOf([{ name: 'one', partition: home, definition }])).toBe('There is: one.')
    expect(toldOf([])).toMatch(/^No connection is defined: `exposure connections apply` /)
  })
})
