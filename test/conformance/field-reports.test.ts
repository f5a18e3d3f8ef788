// What users of comparable systems complained about: each complaint has a test, here or elsewhere.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CONNECTORS } from '../../producers/sources.ts'
import { recordingProxy } from '../support/recording-proxy.ts'
import { runSimulator } from '../support/simulator.ts'
import { SUBJECTS, thrownBy } from '../support/sources.ts'

const TIMEOUT_MS = 120_000
/** Proxies and gateways on the way cut longer ones. */
const URL_CHARACTERS_MAX = 2_000

type Covered = {
  readonly complaint: string
  /** Files under test/ and words of the title of the test in them. */
  readonly tests: readonly (readonly [file: string, title: string])[]
}
const here = 'conformance/field-reports.test.ts'
const scenarios = 'conformance/scenarios.test.ts'
const sources = 'conformance/sources.test.ts'

/** In the order of the collection of complaints, those about fetching. */
const COMPLAINTS: readonly Covered[] = [
  {
    complaint: 'after a log-in that failed once, nothing but 401 until a restart',
    tests: [
      ['unit/producer-prisma-cloud.test.ts', 'survives a token that ends in the middle of a run'],
      [here, 'a log-in that failed is made again by the next run'],
    ],
  },
  {
    complaint: 'a trailing empty page drops the cycle; tokens in URLs give 414; timeAmount=null',
    tests: [
      ['unit/producer-cspm-config.test.ts', "'repeated', 'one-more'"],
      [here, 'no request has a long URL, or null and undefined for a value'],
    ],
  },
  {
    complaint: 'a filter or a relative window silently collects less',
    tests: [
      ['unit/producer-cspm-config.test.ts', 'not for a status that hides what did not change'],
      [here, 'every stream is listed whole, without a cursor in time'],
    ],
  },
  {
    complaint: 'a limiter that waits for headers which the vendor never sends',
    tests: [
      ['unit/producer-cortex.test.ts', 'keep to the limits of the tenant, all streams together'],
      ['unit/http.test.ts', 'without Retry-After backs off with growing waits'],
    ],
  },
  {
    complaint: 'a call is withdrawn by the vendor, and collection just stops',
    tests: [[sources, 'tells %s by its name, and no secret']],
  },
  {
    complaint: 'a cursor on the time of creation never sees later changes',
    tests: [[here, 'every stream is listed whole, without a cursor in time']],
  },
  {
    complaint: 'rows with equal times come twice, or are missed',
    tests: [[sources, 'gives units with ids of their own, within the bounds of a chunk']],
  },
  {
    complaint: 'what is indexed late is missed by a cursor in time',
    tests: [[here, 'every stream is listed whole, without a cursor in time']],
  },
  {
    complaint: 'a rate limit in the middle loses what was fetched already',
    tests: [[here, 'a limit met in the middle costs nothing that came before']],
  },
  {
    complaint: '30 requests in 30 seconds, and clients that sleep a minute',
    tests: [['unit/producer-prisma-cloud.test.ts', 'only so many requests start in 30 s']],
  },
  {
    complaint: '429 as a web page without the usual header crashes the client',
    tests: [[scenarios, 'ends as %s says']],
  },
  {
    complaint: 'a body above 100 MB is buffered whole',
    tests: [['integration/memory.test.ts', 'takes a page of 50 MB in bounded memory']],
  },
  {
    complaint: 'a page cursor saved across runs goes stale, and assets are missing',
    tests: [
      ['unit/producer-cspm-config.test.ts', 'begins again when a token has grown too old'],
      [sources, 'goes on after the last chunk that was published'],
    ],
  },
  {
    complaint: 'what is fixed never arrives, or arrives and looks open',
    tests: [['unit/lifecycle.test.ts', 'is RESOLVED at once, and REOPENED when it comes back']],
  },
]

const textOf = (file: string): string =>
  readFileSync(resolve(import.meta.dirname, '..', file), 'utf8').replace(/\s+/g, ' ')

describe('the complaints about fetching', () => {
  it.each(COMPLAINTS)('$complaint: has its tests', ({ tests }) => {
    const missing = tests.filter(([file, title]) => !textOf(file).includes(title))
    expect(tests.length).toBeGreaterThan(0)
    expect(missing).toEqual([])
  })
})

const subjectOf = (stream: string) => {
  const found = SUBJECTS.find((subject) => subject.stream === stream)
  if (found === undefined) throw new Error(`no source of ${stream}`)
  return found
}

describe('so that they do not come again', () => {
  it('a log-in that failed is made again by the next run', async () => {
    const simulator = await runSimulator()
    const login = { vendor: 'prisma-cloud', endpoint: 'cspm.login', kind: 'status' } as const
    simulator.faults.set({ ...login, answer: 'unavailable', times: 'forever' })
    const opened = subjectOf('compute.hosts').open(simulator)
    expect(await thrownBy(opened.pull())).toMatchObject({ failure: 'TEMPORARY_FAILURE' })
    simulator.faults.clear()
    expect((await opened.pull()).end.verdict).toBe('COMPLETE')
  })

  it.each(['compute.hosts', 'xdr.endpoints'])(
    'a limit met in the middle costs nothing that came before: %s',
    async (stream) => {
      const simulator = await runSimulator({ machines: 700 })
      const subject = subjectOf(stream)
      const whole = await subject.open(simulator).pull()
      const place = { vendor: subject.vendor, endpoint: stream, skip: 1, times: 3 } as const
      simulator.faults.set({ ...place, kind: 'status', answer: 'too-many-requests' })
      const { units, end } = await subject.open(simulator).pull()
      expect(simulator.faults.list()).toEqual([])
      expect(units.map(({ unit }) => unit)).toEqual(whole.units.map(({ unit }) => unit))
      expect(end).toEqual(whole.end)
    },
    TIMEOUT_MS,
  )

  it('every stream is listed whole, without a cursor in time', () => {
    const all = [...CONNECTORS['prisma-cloud'].sources, ...CONNECTORS.cortex.sources]
    expect(all.length).toBe(SUBJECTS.length)
    expect(all.filter(({ kind }) => kind !== 'SNAPSHOT').map(({ stream }) => stream)).toEqual([])
  })

  it(
    'no request has a long URL, or null and undefined for a value',
    async () => {
      const simulator = await runSimulator({ machines: 60 })
      for (const subject of SUBJECTS) {
        const prisma = await recordingProxy(simulator.prisma.url)
        const cortex = await recordingProxy(simulator.cortex[0].url)
        await subject.open(simulator, { prisma: prisma.url, cortex: cortex.url }).pull()
        const exchanges = [...prisma.exchanges, ...cortex.exchanges]
        expect(exchanges.length).toBeGreaterThan(0)
        for (const { path, query, body } of exchanges) {
          expect(`${path}?${query.toString()}`.length).toBeLessThan(URL_CHARACTERS_MAX)
          const empty = [...query.values()].filter((text) => /^(null|undefined|NaN)$/.test(text))
          expect([empty, /:\s*"?(null|undefined|NaN)"?\s*[,}]/.exec(body)]).toEqual([[], null])
          expect([...query.keys()].filter((name) => /token/i.test(name))).toEqual([])
        }
      }
    },
    TIMEOUT_MS,
  )
})
