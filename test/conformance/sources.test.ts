// What every source must do, against the simulated vendors over real HTTP: found by the lists.
import { describe, expect, it } from 'vitest'
import { type Failure, PipelineError } from '../../contracts/errors.ts'
import { CHUNK_BYTES_MAX, CHUNK_UNITS_MAX, type Unit } from '../../contracts/ports.ts'
import type { StatusAnswer } from '../../simulator/faults.ts'
import { factsOfStream } from '../../simulator/scenario-streams.ts'
import type { Simulator } from '../../simulator/simulator.ts'
import { STREAMS } from '../../simulator/truth.ts'
import { recordingProxy } from '../support/recording-proxy.ts'
import { runSimulator } from '../support/simulator.ts'
import { type Settings, SUBJECTS, type Subject, thrownBy } from '../support/sources.ts'
import { estateOf, rowCallsOf, streamNamed } from '../support/stream-estate.ts'

const TIMEOUT_MS = 120_000
/** After a stop a pull must end at once, not after a wait or a page. */
const STOP_MS_MAX = 5_000
const ID_CHARACTERS_MAX = 1_024
/** Of a listing in very many chunks every so many-th is gone on from. */
const RESUMES_MAX = 12

/** An estate with several pages of the stream. */
const worldOf = ({ stream }: Subject): Promise<Simulator> =>
  runSimulator(estateOf(streamNamed(stream)))

/** Streams without a place to go on from, each with its reason. */
const NO_CHECKPOINT: Readonly<Record<string, string>> = {
  'cloud.findings': 'a result lives as long as its query, and a stream id is good for one reading',
  'cspm.vulnerabilities': 'nothing promises that two downloads have one order',
}

/** Streams without a second page, each with its reason: how they meet such answers is below. */
const NO_PAGES: Readonly<Record<string, string>> = {
  'cloud.findings': 'a query has one result, and the whole of it comes in one answer',
  'xdr.findings': 'two queries, each with one result in one answer',
}
const namedSubjects = (hasPages: boolean) =>
  SUBJECTS.filter(({ stream }) => hasPages === !(stream in NO_PAGES)).map(
    (subject) => [subject.stream, subject] as const,
  )

/** Units that join several records of the vendor: those records, each in its own bytes. */
const JOINED: Readonly<Record<string, RegExp>> = {
  'xpanse.services': /^\{"service":(.*?),"details":(.*)\}$/s,
  'xdr.findings': /^\{"endpoint":(.*),"cves":\[(.*)\]\}$/s,
  'xdr.incidents': /^\{"incident":(.*?),"extra":(.*)\}$/s,
}
const LIST_AT_THE_END = new Set(['xdr.findings'])
function recordsIn(stream: string, text: string): readonly string[] {
  if (stream === 'cspm.config' && text.startsWith('{"sources":')) {
    const { vm, nics, public_ips: addresses } = JSON.parse(text)
    return [vm, ...nics, ...addresses].map((piece) => JSON.stringify(piece))
  }
  const joined = JOINED[stream]
  if (joined === undefined) return [text]
  const [, first = 'not joined as it should', second = ''] = joined.exec(text) ?? []
  // The simulator writes its rows as JSON.stringify does, so that this gives their bytes again.
  const rows = LIST_AT_THE_END.has(stream) ? (JSON.parse(`[${second}]`) as unknown[]) : null
  return [first, ...(rows === null ? [second] : rows.map((row) => JSON.stringify(row)))]
}

const pagesOf = ({ stream }: Subject) => factsOfStream(streamNamed(stream))

/** Everything an error shows: message, details, causes, stack. */
function shown(error: unknown, depth = 0): string {
  if (!(error instanceof Error) || depth > 5) return String(error)
  const details = error instanceof PipelineError ? JSON.stringify(error.details) : ''
  return [error.message, details, error.stack, shown(error.cause, depth + 1)].join('\n')
}

const REFUSALS: readonly (readonly [StatusAnswer, Record<Subject['vendor'], Failure>])[] = [
  ['unauthorized', both('AUTHORIZATION_FAILURE')],
  ['forbidden', both('ACCESS_FORBIDDEN')],
  // A path without its module answers 404 there; a wrong address answers otherwise.
  ['not-found', { 'prisma-cloud': 'NOT_FOUND', cortex: 'NOT_LICENSED' }],
  ['too-many-requests', both('TOO_MANY_REQUESTS')],
  ['unavailable', both('TEMPORARY_FAILURE')],
  ['bad-gateway', both('TEMPORARY_FAILURE')],
]
function both(failure: Failure): Record<Subject['vendor'], Failure> {
  return { 'prisma-cloud': failure, cortex: failure }
}

describe('every source', () => {
  it('is of a stream that the simulator has, once', () => {
    const streams = SUBJECTS.map(({ stream }) => stream)
    expect(new Set(streams).size).toBe(streams.length)
    expect(streams.toSorted()).toEqual([...STREAMS].toSorted())
  })
})

describe.each(SUBJECTS.map((subject) => [subject.stream, subject] as const))('%s', (_, subject) => {
  it(
    'gives units with ids of their own, within the bounds of a chunk',
    async () => {
      const opened = subject.open(await worldOf(subject))
      const { units, chunks, end } = await opened.pull()
      expect(end.verdict).toBe('COMPLETE')
      expect(units.length).toBeGreaterThan(5)
      expect(new Set(units.map(({ unit }) => unit)).size).toBe(units.length)
      for (const { unit, assetNativeId, body, sizeBytes, contentType } of units) {
        expect(unit.length).toBeGreaterThan(0)
        expect(unit.length).toBeLessThanOrEqual(ID_CHARACTERS_MAX)
        expect(assetNativeId.length).toBeGreaterThan(0)
        expect(body?.length).toBe(sizeBytes)
        expect(contentType.length).toBeGreaterThan(0)
      }
      let page = 0
      for (const chunk of chunks) {
        const bytes = chunk.units.reduce((sum, unit) => sum + (unit.body?.length ?? 0), 0)
        expect(chunk.units.length).toBeLessThanOrEqual(CHUNK_UNITS_MAX)
        expect(bytes).toBeLessThanOrEqual(CHUNK_BYTES_MAX)
        expect(chunk.endpoint).toMatch(/^\/[^?]+$/)
        expect(chunk.page).toBeGreaterThanOrEqual(page)
        page = chunk.page
      }
    },
    TIMEOUT_MS,
  )

  it(
    'hands out the very bytes that were served',
    async () => {
      const simulator = await worldOf(subject)
      const prisma = await recordingProxy(simulator.prisma.url)
      const cortex = await recordingProxy(simulator.cortex[0].url)
      const opened = subject.open(simulator, { prisma: prisma.url, cortex: cortex.url })
      const { units } = await opened.pull()
      const served = Buffer.concat(
        [...prisma.exchanges, ...cortex.exchanges].map(({ answer }) => answer),
      ).toString('latin1')
      const strange = units.filter(({ body }) =>
        recordsIn(subject.stream, body?.toString('latin1') ?? 'no body').some(
          (piece) => !served.includes(piece),
        ),
      )
      expect(strange.map(({ unit }) => unit)).toEqual([])
    },
    TIMEOUT_MS,
  )

  it(
    'goes on after the last chunk that was published, whatever else the checkpoint says',
    async () => {
      const simulator = await worldOf(subject)
      const opened = subject.open(simulator)
      const { chunks, end } = await opened.pull()
      const reason = NO_CHECKPOINT[subject.stream]
      if (reason !== undefined) {
        expect(chunks.filter(({ checkpoint }) => checkpoint !== null)).toEqual([])
        return
      }
      const ids = chunks.map(({ units }) => units.map(({ unit }) => unit))
      const step = Math.ceil(chunks.length / RESUMES_MAX)
      for (const [index, { checkpoint }] of chunks.entries()) {
        expect(checkpoint).not.toBeNull()
        if ((chunks.length - 1 - index) % step !== 0) continue
        const saved: unknown = JSON.parse(JSON.stringify({ ...(checkpoint as object), newer: [1] }))
        const rest = await opened.pull({ from: saved })
        expect(rest.units.map(({ unit }) => unit)).toEqual(ids.slice(index + 1).flat())
        expect(rest.end.verdict).toBe(end.verdict)
      }
    },
    TIMEOUT_MS,
  )

  it(
    'takes an empty listing for an empty listing',
    async () => {
      const simulator = await worldOf(subject)
      const { vendor, emptied } = pagesOf(subject)
      simulator.faults.set({ vendor, endpoint: emptied, kind: 'empty', times: 'forever' })
      const { units, end } = await subject.open(simulator).pull()
      expect(units).toEqual([])
      expect(end.verdict).toBe('COMPLETE')
    },
    TIMEOUT_MS,
  )

  it.each(REFUSALS)(
    'tells %s by its name, and no secret',
    async (answer, failures) => {
      const simulator = await worldOf(subject)
      const { vendor, entry } = pagesOf(subject)
      simulator.faults.set({ vendor, endpoint: entry, kind: 'status', answer, times: 'forever' })
      const opened = subject.open(simulator)
      const error = await thrownBy(opened.pull())
      expect(error).toBeInstanceOf(PipelineError)
      expect((error as PipelineError).failure).toBe(failures[vendor])
      const said = [error, ...opened.faults].map((told) => shown(told)).join('\n')
      expect(opened.secrets.filter((secret) => said.includes(secret))).toEqual([])
    },
    TIMEOUT_MS,
  )

  it(
    'stops at once when it is told to, before or in the middle',
    async () => {
      const simulator = await worldOf(subject)
      const { vendor, rows } = pagesOf(subject)
      const stopped = AbortSignal.abort()
      expect(await thrownBy(subject.open(simulator).pull({ signal: stopped }))).toBeInstanceOf(
        PipelineError,
      )
      const stop = new AbortController()
      simulator.faults.set({ vendor, endpoint: rows, kind: 'slow', delayMs: 60_000 })
      const pulling = thrownBy(subject.open(simulator).pull({ signal: stop.signal }))
      await expect.poll(() => simulator.faults.list(), { timeout: TIMEOUT_MS }).toEqual([])
      const atMs = performance.now()
      stop.abort()
      expect(await pulling).toBeInstanceOf(PipelineError)
      expect(performance.now() - atMs).toBeLessThan(STOP_MS_MAX)
    },
    TIMEOUT_MS,
  )
})

/** Streams that cannot tell an empty page from the end, each with its reason. */
const ENDS_BY_A_SHORT_PAGE: Readonly<Record<string, string>> = {
  'xdr.incidents': 'the total need not match the rows',
}

/** Where a stream has several listings at one endpoint, the first alone: faults go by endpoint. */
const ONE_LISTING: Readonly<Record<string, Settings>> = {
  'cspm.config': { configApis: ['aws-ec2-describe-instances'] },
}

/** The fault at the second page of the rows, whichever call that is. */
const secondPage = (subject: Subject) => {
  const { vendor, rows, later } = pagesOf(subject)
  return { vendor, endpoint: rows, skip: Math.max(1, later) } as const
}

describe.each(namedSubjects(true))('%s, in the middle of its pages', (stream, subject) => {
  it(
    'never takes an empty page for the end of everything',
    async () => {
      const simulator = await worldOf(subject)
      const whole = await subject.open(simulator).pull()
      simulator.faults.set({ ...secondPage(subject), kind: 'empty', times: 1 })
      const { units, end } = await subject.open(simulator).pull()
      expect(simulator.faults.list()).toEqual([])
      if (stream in ENDS_BY_A_SHORT_PAGE) return
      expect(end.verdict).not.toBe('COMPLETE')
      if (units.length < whole.units.length) expect(end.verdict).toBe('PARTIAL')
    },
    TIMEOUT_MS,
  )

  it(
    'ends a listing that gives the same page for ever',
    async () => {
      const simulator = await worldOf(subject)
      const open = () => subject.open(simulator, undefined, ONE_LISTING[stream])
      const whole = await open().pull()
      const place = secondPage(subject)
      const before = rowCallsOf(simulator, streamNamed(stream))
      simulator.faults.set({ ...place, kind: 'repeat-page', times: 'forever' })
      const { units, end } = await open().pull()
      expect(rowCallsOf(simulator, streamNamed(stream)) - before).toBeGreaterThan(place.skip)
      expect(new Set(units.map(({ unit }) => unit)).size).toBe(units.length)
      expect(units.length).toBeLessThan(whole.units.length)
      expect(end.verdict).toBe('PARTIAL')
    },
    TIMEOUT_MS,
  )
})

describe.each(namedSubjects(false))('%s, which comes in one answer', (stream, subject) => {
  const idsOf = (units: readonly Unit[]) => units.map(({ unit }) => unit).toSorted()

  it(
    'never takes an answer without rows for an empty listing, when rows were counted',
    async () => {
      const simulator = await worldOf(subject)
      const whole = await subject.open(simulator).pull()
      const { vendor, rows } = pagesOf(subject)
      const last = { vendor, endpoint: rows, skip: rowCallsOf(simulator, streamNamed(stream)) - 1 }
      simulator.faults.set({ ...last, kind: 'empty', times: 1 })
      const again = await subject.open(simulator).pull()
      expect(simulator.faults.list()).toEqual([])
      expect(idsOf(again.units)).toEqual(idsOf(whole.units))
      expect(again.end).toEqual(whole.end)
      simulator.faults.set({ ...last, kind: 'empty', times: 'forever' })
      const error = await thrownBy(subject.open(simulator).pull())
      expect(error).toMatchObject({ failure: 'TEMPORARY_FAILURE' })
    },
    TIMEOUT_MS,
  )

  it(
    'gives the rows of an answer once that broke and was read again',
    async () => {
      const simulator = await worldOf(subject)
      const whole = await subject.open(simulator).pull()
      const calls = rowCallsOf(simulator, streamNamed(stream))
      const { vendor, rows } = pagesOf(subject)
      simulator.faults.set({ vendor, endpoint: rows, kind: 'reset', skip: calls - 1 })
      const { units, end } = await subject.open(simulator).pull()
      expect(simulator.faults.list()).toEqual([])
      expect(rowCallsOf(simulator, streamNamed(stream))).toBe(2 * calls + 1)
      expect(idsOf(units)).toEqual(idsOf(whole.units))
      expect(end).toEqual(whole.end)
    },
    TIMEOUT_MS,
  )
})
