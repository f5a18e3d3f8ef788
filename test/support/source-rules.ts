// What every source must do, against a simulated vendor over real HTTP.
import { describe, expect, it } from 'vitest'
import { type Failure, PipelineError } from '../../contracts/errors.ts'
import { CHUNK_BYTES_MAX, CHUNK_UNITS_MAX } from '../../contracts/ports.ts'
import type { VendorId } from '../../contracts/topics.ts'
import type { FaultControl, StatusAnswer } from '../../simulator/faults.ts'
import type { StreamFacts } from '../../simulator/scenario-streams.ts'
import { type Opened, type Settings, thrownBy } from './sources.ts'

const TIMEOUT_MS = 120_000
/** After a stop a pull must end at once, not after a wait or a page. */
const STOP_MS_MAX = 20_000
const ID_CHARACTERS_MAX = 1_024
/** Of a listing in very many chunks every so many-th is gone on from. */
const RESUMES_MAX = 12

/** A simulated vendor of the test's own, with several pages of the stream. */
export type SubjectWorld = {
  readonly faults: FaultControl
  readonly open: (settings?: Settings) => Opened
  /** As `open`, and the bytes of all answers since. */
  readonly recorded: () => Promise<{ readonly opened: Opened; readonly served: () => Buffer }>
  /** Calls so far to the endpoint that gives the rows. */
  readonly rowCalls: () => number
}

export type SourceSubject = {
  readonly stream: string
  readonly facts: Pick<StreamFacts, 'entry' | 'rows' | 'emptied' | 'later'> & {
    readonly vendor: VendorId
  }
  readonly world: () => Promise<SubjectWorld>
  /** Where the vendor means something else by a status than others do. */
  readonly failures: Readonly<Partial<Record<StatusAnswer, Failure>>>
  /** False where there is no place to go on from. */
  readonly hasCheckpoint: boolean
  /** Settings with which one listing alone is at the endpoint of the rows. */
  readonly oneListing: Settings
  /** The vendor's records that a unit is made of, each in its own bytes. */
  readonly recordsIn: (text: string) => readonly string[]
}

/** Everything an error shows: message, details, causes, stack. */
function shown(error: unknown, depth = 0): string {
  if (!(error instanceof Error) || depth > 5) return String(error)
  const details = error instanceof PipelineError ? JSON.stringify(error.details) : ''
  return [error.message, details, error.stack, shown(error.cause, depth + 1)].join('\n')
}

const REFUSALS: readonly (readonly [StatusAnswer, Failure])[] = [
  ['unauthorized', 'AUTHORIZATION_FAILURE'],
  ['forbidden', 'ACCESS_FORBIDDEN'],
  ['not-found', 'NOT_FOUND'],
  ['too-many-requests', 'TOO_MANY_REQUESTS'],
  ['unavailable', 'TEMPORARY_FAILURE'],
  ['bad-gateway', 'TEMPORARY_FAILURE'],
]

/** The rules for every source, as tests under the name of its stream. */
export function describeSource(subject: SourceSubject): void {
  const { stream, facts, world, failures, hasCheckpoint, recordsIn } = subject
  describe(stream, () => {
    it(
      'gives units with ids of their own, within the bounds of a chunk',
      async () => {
        const opened = (await world()).open()
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
        const { opened, served } = await (await world()).recorded()
        const { units } = await opened.pull()
        const bytes = served().toString('latin1')
        const strange = units.filter(({ body }) =>
          recordsIn(body?.toString('latin1') ?? 'no body').some((piece) => !bytes.includes(piece)),
        )
        expect(strange.map(({ unit }) => unit)).toEqual([])
      },
      TIMEOUT_MS,
    )

    it(
      'goes on after the last chunk that was published, whatever else the checkpoint says',
      async () => {
        const opened = (await world()).open()
        const { chunks, end } = await opened.pull()
        if (!hasCheckpoint) {
          expect(chunks.filter(({ checkpoint }) => checkpoint !== null)).toEqual([])
          return
        }
        const ids = chunks.map(({ units }) => units.map(({ unit }) => unit))
        const step = Math.ceil(chunks.length / RESUMES_MAX)
        for (const [index, { checkpoint }] of chunks.entries()) {
          expect(checkpoint).not.toBeNull()
          if ((chunks.length - 1 - index) % step !== 0) continue
          const saved: unknown = JSON.parse(
            JSON.stringify({ ...(checkpoint as object), newer: [1] }),
          )
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
        const { faults, open } = await world()
        const { vendor, emptied } = facts
        faults.set({ vendor, endpoint: emptied, kind: 'empty', times: 'forever' })
        const { units, end } = await open().pull()
        expect(units).toEqual([])
        expect(end.verdict).toBe('COMPLETE')
      },
      TIMEOUT_MS,
    )

    it.each(REFUSALS)(
      'tells %s by its name, and no secret',
      async (answer, usual) => {
        const { faults, open } = await world()
        const { vendor, entry } = facts
        faults.set({ vendor, endpoint: entry, kind: 'status', answer, times: 'forever' })
        const opened = open()
        const error = await thrownBy(opened.pull())
        expect(error).toBeInstanceOf(PipelineError)
        expect((error as PipelineError).failure).toBe(failures[answer] ?? usual)
        const said = [error, ...opened.faults].map((told) => shown(told)).join('\n')
        expect(opened.secrets.filter((secret) => said.includes(secret))).toEqual([])
      },
      TIMEOUT_MS,
    )

    it(
      'stops at once when it is told to, before or in the middle',
      async () => {
        const { faults, open } = await world()
        const { vendor, rows } = facts
        const stopped = AbortSignal.abort()
        expect(await thrownBy(open().pull({ signal: stopped }))).toBeInstanceOf(PipelineError)
        const stop = new AbortController()
        faults.set({ vendor, endpoint: rows, kind: 'slow', delayMs: 60_000 })
        const pulling = thrownBy(open().pull({ signal: stop.signal }))
        await expect.poll(() => faults.list(), { timeout: TIMEOUT_MS }).toEqual([])
        const atMs = performance.now()
        stop.abort()
        expect(await pulling).toBeInstanceOf(PipelineError)
        expect(performance.now() - atMs).toBeLessThan(STOP_MS_MAX)
      },
      TIMEOUT_MS,
    )
  })
}

/** The rules for a listing that comes in pages. */
export function describePages(subject: SourceSubject): void {
  const { stream, facts, world, oneListing } = subject
  const { vendor, rows, later } = facts
  /** The fault at the second page of the rows, whichever call that is. */
  const secondPage = { vendor, endpoint: rows, skip: Math.max(1, later) } as const
  describe(`${stream}, in the middle of its pages`, () => {
    it(
      'never takes an empty page for the end of everything',
      async () => {
        const { faults, open } = await world()
        const whole = await open().pull()
        faults.set({ ...secondPage, kind: 'empty', times: 1 })
        const { units, end } = await open().pull()
        expect(faults.list()).toEqual([])
        expect(end.verdict).not.toBe('COMPLETE')
        if (units.length < whole.units.length) expect(end.verdict).toBe('PARTIAL')
      },
      TIMEOUT_MS,
    )

    it(
      'ends a listing that gives the same page for ever',
      async () => {
        const { faults, open, rowCalls } = await world()
        const whole = await open(oneListing).pull()
        const before = rowCalls()
        faults.set({ ...secondPage, kind: 'repeat-page', times: 'forever' })
        const { units, end } = await open(oneListing).pull()
        expect(rowCalls() - before).toBeGreaterThan(secondPage.skip)
        expect(new Set(units.map(({ unit }) => unit)).size).toBe(units.length)
        expect(units.length).toBeLessThan(whole.units.length)
        expect(end.verdict).toBe('PARTIAL')
      },
      TIMEOUT_MS,
    )
  })
}
