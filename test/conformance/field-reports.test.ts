// What users of comparable systems complained about: each complaint has a test, here or elsewhere.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CONNECTORS } from '../../producers/sources.ts'
import { factsOfStream } from '../../simulator/scenario-streams.ts'
import { STREAMS } from '../../simulator/truth.ts'
import { type Exchange, recordingProxy } from '../support/recording-proxy.ts'
import { runSimulator } from '../support/simulator.ts'
import { SUBJECTS, type Subject, thrownBy } from '../support/sources.ts'
import { estateOf } from '../support/stream-estate.ts'
import { expectTruth } from '../support/stream-truth.ts'
import { recordPull } from '../support/traffic.ts'

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
const sources = 'support/source-rules.ts'

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
      [here, 'puts no token into a URL, and no null or undefined in place of a value: %s'],
    ],
  },
  {
    complaint: 'a filter or a relative window silently collects less',
    tests: [
      ['unit/producer-cspm-config.test.ts', 'not for a status that hides what did not change'],
      [here, 'asks for no span of time: %s'],
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
    tests: [[here, 'asks for no span of time: %s']],
  },
  {
    complaint: 'rows with equal times come twice, or are missed',
    tests: [
      [here, 'rows with equal times come once each, and all of them'],
      [sources, 'gives units with ids of their own, within the bounds of a chunk'],
    ],
  },
  {
    complaint: 'what is indexed late is missed by a cursor in time',
    tests: [[here, 'asks for no span of time: %s']],
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

const streams = SUBJECTS.map((subject) => [subject.stream, subject] as const)

const recorded = new Map<string, ReturnType<typeof recordPull>>()
/** A pull of the stream, recorded by the first test to ask. */
const pullOf = (subject: Subject): ReturnType<typeof recordPull> => {
  const pull = recorded.get(subject.stream) ?? recordPull(subject)
  recorded.set(subject.stream, pull)
  return pull
}

/** Streams whose vendor names the next page by a token. */
const BY_TOKEN: ReadonlySet<string> = new Set(
  STREAMS.filter((stream) => factsOfStream(stream).paging === 'token'),
)

/** Tokens that the vendor wants in the query, as `path name`. */
const TOKENS_IN_URLS: Readonly<Record<string, string>> = {
  '/uve/api/v1/vulnerabilities/search page_token': 'documented so; there is no other place',
  '/uve/api/v1/vulnerabilities/search/asset page_token': 'documented so; there is no other place',
}

/** Spans of time that a request must name, as `path place`. */
const SPANS_OF_TIME: Readonly<Record<string, string>> = {
  '/public_api/v1/xql/start_xql_query/ /request_data/timeframe/relativeTime':
    'a query has a window; these datasets hold what is so now, whenever it was found',
}

const TIME_WORD = /time|date|since|until|(^|_)(age|last|first)(_|$)|seen|observed|created|modified/i
const TIME_VALUE = /^(1[4-9]|2[0-2])\d{8}(\d{3})?$|^\d{4}-\d\d-\d\d|to_now|epoch|relative|absolute/i

/** Places in a request that speak of time: names, fields of filters and orders, and values. */
function timesIn({ query, body }: Exchange): string[] {
  const found = [...query].flatMap(([name, text]) => timesAt(`?${name}`, name, text))
  return body === '' ? found : [...found, ...timesUnder('', '', JSON.parse(body))]
}

function timesUnder(place: string, name: string, value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap((one) => timesUnder(`${place}[]`, name, one))
  if (typeof value !== 'object' || value === null) return timesAt(place, name, String(value))
  return Object.entries(value).flatMap(([key, one]) => timesUnder(`${place}/${key}`, key, one))
}

function timesAt(place: string, name: string, text: string): string[] {
  // Queries in a language of their own: what they ask for may be times, what they filter not.
  if (name === 'query') {
    const filters = text.match(/\b(filter|where|config)\b[^|]*/g) ?? []
    return filters.some((filter) => TIME_WORD.test(filter)) ? [place] : []
  }
  const namesField = /^(field|name)$/i.test(name)
  const isTime = TIME_WORD.test(namesField ? text : name) || TIME_VALUE.test(text)
  return isTime ? [place] : []
}

/** Page tokens in an answer, as they would stand in a query. */
function tokensIn({ contentType, answer }: Exchange): string[] {
  if (!/json/.test(contentType) || answer.length === 0) return []
  const found = answer.toString().matchAll(/"next_?page_?token":\s*("[^"]+")/gi)
  return [...found].map(([, text = '""']) => JSON.parse(text) as string)
}

/** When each incident of the answer was made. */
function timesById(answer: Buffer): [id: string, time: number][] {
  const { reply } = JSON.parse(answer.toString()) as { reply: { incidents: Incident[] } }
  return reply.incidents.map(({ incident_id, creation_time }) => [incident_id, creation_time])
}
type Incident = { readonly incident_id: string; readonly creation_time: number }

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

  it('rows with equal times come once each, and all of them', async () => {
    const simulator = await runSimulator(estateOf('xdr.incidents'))
    const cortex = await recordingProxy(simulator.cortex[0].url)
    const through = { prisma: simulator.prisma.url, cortex: cortex.url }
    const { units, end } = await subjectOf('xdr.incidents').open(simulator, through).pull()
    const listed = cortex.exchanges.filter(({ path }) => path.endsWith('/get_incidents/'))
    const times = new Map(listed.flatMap(({ answer }) => timesById(answer)))
    expect(new Set(times.values()).size).toBeLessThan(times.size)
    expect(new Set(units.map(({ unit }) => unit)).size).toBe(units.length)
    expect(end.verdict).toBe('COMPLETE')
    expectTruth(simulator, 'xdr.incidents', units)
  })

  it('every source lists the whole of its stream', () => {
    const all = [...CONNECTORS['prisma-cloud'].sources, ...CONNECTORS.cortex.sources]
    expect(all.length).toBe(SUBJECTS.length)
    expect(all.filter(({ kind }) => kind !== 'SNAPSHOT').map(({ stream }) => stream)).toEqual([])
  })

  it.each(streams)(
    'asks for no span of time: %s',
    async (_, subject) => {
      const { exchanges } = await pullOf(subject)
      const spans = exchanges.flatMap((exchange) =>
        timesIn(exchange).map((time) => `${exchange.path} ${time}`),
      )
      const unexplained = [...new Set(spans)].filter((span) => !(span in SPANS_OF_TIME))
      expect(exchanges.length).toBeGreaterThan(1)
      expect(unexplained).toEqual([])
    },
    TIMEOUT_MS,
  )

  it.each(streams)(
    'puts no token into a URL, and no null or undefined in place of a value: %s',
    async (stream, subject) => {
      const { exchanges, end } = await pullOf(subject)
      // A token that were in a URL would be answered by 414.
      expect(end.verdict).toBe('COMPLETE')
      const tokens = exchanges.flatMap(tokensIn)
      if (BY_TOKEN.has(stream)) expect(new Set(tokens).size).toBeGreaterThan(1)
      for (const { path, query, body } of exchanges) {
        expect(`${path}?${query.toString()}`.length).toBeLessThan(URL_CHARACTERS_MAX)
        const values = [...query].filter(([name]) => !(`${path} ${name}` in TOKENS_IN_URLS))
        const carried = values.filter(
          ([name, text]) => /token/i.test(name) || tokens.includes(text),
        )
        expect(carried).toEqual([])
        const empty = [...query.values()].filter((text) => /^(null|undefined|NaN)$/.test(text))
        expect([empty, /:\s*"?(null|undefined|NaN)"?\s*[,}]/.exec(body)]).toEqual([[], null])
      }
    },
    TIMEOUT_MS,
  )
})
