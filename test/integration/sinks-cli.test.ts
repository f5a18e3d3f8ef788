// `exposure sinks`: what it says of stores that nobody runs, that run, and that are in trouble.
import { describe, expect, it } from 'vitest'
import { assetEvent, errorEvent, findingEvent } from '../support/events.ts'
import { secretFile, testDatabase } from '../support/postgres.ts'
import { waitFor } from '../support/stack.ts'
import { storesWorld } from '../support/stores-world.ts'

const TIMEOUT_MS = 120_000
const WAIT_MS = 60_000

type Facts = {
  readonly type: string
  readonly group: string
  readonly members: number
  readonly hasBegun: boolean
  readonly lag: number
  readonly waitingSince: string | null
  readonly topics: readonly { readonly topic: string; readonly lag: number }[]
  readonly deadLetters: number
  readonly errors: readonly {
    errorType: string
    since: string
    message: string
    nextStep: string
  }[]
}

async function world(more: object = {}) {
  const database = await testDatabase()
  const stores = await storesWorld({ postgres: { url: database.config.url }, ...more })
  return { ...stores, database }
}

describe('exposure sinks', { timeout: TIMEOUT_MS }, () => {
  it('says how far behind a sink is that nobody runs, and since when', async () => {
    const { topics, facts, fill, exposure } = await world({
      webhook: [{ name: 'ops', format: 'json', url: secretFile('http://127.0.0.1:9/') }],
    })
    const fromMs = Date.now()
    await topics.put('assets', 'a1', assetEvent('a1'))
    await topics.put('findings', 'f1', findingEvent('f1'))
    await topics.put('findings', 'f2', findingEvent('f2'))
    const { code, of } = await facts<Facts>('sinks')
    expect([code, [...of.keys()]]).toEqual([0, ['postgres', 'ops']])
    const { prefix } = topics.settings
    const found = of.get('postgres')
    expect(found).toMatchObject({
      type: 'postgres',
      group: `${prefix}sink.postgres`,
      members: 0,
      hasBegun: false,
      lag: 3,
      deadLetters: 0,
      errors: [],
    })
    expect(found?.topics).toContainEqual({ topic: `${prefix}exposure.findings`, lag: 2 })
    const sinceMs = Date.parse(found?.waitingSince ?? '')
    expect(sinceMs).toBeGreaterThanOrEqual(fromMs - 1_000)
    expect(sinceMs).toBeLessThanOrEqual(Date.now())
    expect(of.get('ops')).toMatchObject({ type: 'webhook', lag: 0, waitingSince: null })
    const { said } = await exposure('sinks')
    expect(said).toMatch(/^postgres +postgres +never begun +3 +20\S+Z +0 +\S+sink\.postgres$/m)
    await fill('postgres')
    const after = await exposure('sinks')
    expect(after.said).toMatch(/^postgres +postgres +not running +0 +- +0 /m)
  })

  it('counts what the store has refused, and tells what is wrong until it is over', async () => {
    const { topics, facts, fill, exposure } = await world()
    await topics.put('findings', 'f1', findingEvent('f1', 1, { title: 'a\u0000b' }))
    await fill()
    const error = (state: 'RAISED' | 'CLEARED', message: string) =>
      topics.put('connectorErrors', 'p1', {
        ...errorEvent(`e-${state}`, 'p1', { state, message, connection_id: null }),
        sink_id: 'postgres',
        error_type: 'SINK_UNAVAILABLE',
        remediation: 'See that it runs.',
      })
    await error('RAISED', 'nobody answers')
    await topics.put('connectorErrors', 'p2', errorEvent('e2', 'p2'))
    const { code, of } = await facts<Facts>('sinks')
    expect(code).toBe(3)
    expect(of.get('postgres')).toMatchObject({
      deadLetters: 1,
      errors: [
        {
          errorType: 'SINK_UNAVAILABLE',
          since: '2026-01-01T00:00:00.000Z',
          message: 'nobody answers',
          nextStep: 'See that it runs.',
        },
      ],
    })
    const { said } = await exposure('sinks')
    expect(said).toContain(
      '    SINK_UNAVAILABLE since 2026-01-01T00:00:00.000Z: nobody answers\n' +
        '      next step: See that it runs.\n',
    )
    await error('CLEARED', 'it answers again')
    const over = await facts<Facts>('sinks')
    expect([over.code, over.of.get('postgres')?.errors]).toEqual([0, []])
  })

  it('tells who runs, and what a running sink waits for', async () => {
    const { topics, facts, running } = await world({ opensearch: { url: 'http://127.0.0.1:9' } })
    await topics.put('assets', 'a1', assetEvent('a1'))
    running('sinks')
    const said = async () => {
      const { code, of } = await facts<Facts>('sinks')
      const [postgres, opensearch] = [of.get('postgres'), of.get('opensearch')]
      if (postgres?.members !== 1 || postgres.lag > 0 || opensearch?.errors.length !== 1)
        return false
      return { code, opensearch }
    }
    const { code, opensearch } = await waitFor(said, { what: 'both told', timeoutMs: WAIT_MS })
    expect(code).toBe(3)
    expect(opensearch?.errors).toMatchObject([{ errorType: 'SINK_UNAVAILABLE' }])
    const topic = `${topics.settings.prefix}exposure.assets`
    expect(opensearch?.topics).toContainEqual({ topic, lag: 1 })
    expect(opensearch?.errors[0]?.nextStep).toMatch(/\S{3}/)
  })

  it('says that there are none', async () => {
    const { exposure } = await storesWorld({})
    const { code, said } = await exposure('sinks')
    expect([code, said]).toEqual([0, expect.stringMatching(/^no sinks/)])
  })
})
