// The rules for sources, held by every one of them: found by the lists.
import { describe, expect, it } from 'vitest'
import type { Unit } from '../../contracts/ports.ts'
import { factsOfStream } from '../../simulator/scenario-streams.ts'
import { STREAMS } from '../../simulator/truth.ts'
import { recordingProxy } from '../support/recording-proxy.ts'
import { runSimulator } from '../support/simulator.ts'
import {
  type SourceSubject,
  type SubjectWorld,
  describePages,
  describeSource,
} from '../support/source-rules.ts'
import { type Settings, SUBJECTS, type Subject, thrownBy } from '../support/sources.ts'
import { estateOf, rowCallsOf, streamNamed } from '../support/stream-estate.ts'

const TIMEOUT_MS = 120_000

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

/** Where a stream has several listings at one endpoint, the first alone: faults go by endpoint. */
const ONE_LISTING: Readonly<Record<string, Settings>> = {
  'cspm.config': { configApis: ['aws-ec2-describe-instances'] },
}

/** An estate with several pages of the stream. */
async function worldOf(subject: Subject): Promise<SubjectWorld> {
  const stream = streamNamed(subject.stream)
  const simulator = await runSimulator(estateOf(stream))
  return {
    faults: simulator.faults,
    open: (settings) => subject.open(simulator, undefined, settings),
    recorded: async () => {
      const prisma = await recordingProxy(simulator.prisma.url)
      const cortex = await recordingProxy(simulator.cortex[0].url)
      const through = { prisma: prisma.url, cortex: cortex.url }
      const exchanges = () => [...prisma.exchanges, ...cortex.exchanges]
      return {
        opened: subject.open(simulator, through),
        served: () => Buffer.concat(exchanges().map(({ answer }) => answer)),
      }
    },
    rowCalls: () => rowCallsOf(simulator, stream),
  }
}

const RULED = SUBJECTS.map((subject): SourceSubject => {
  const { stream, vendor } = subject
  return {
    stream,
    facts: factsOfStream(streamNamed(stream)),
    world: () => worldOf(subject),
    // A path without its module answers 404 there; a wrong address answers otherwise.
    failures: vendor === 'cortex' ? { 'not-found': 'NOT_LICENSED' } : {},
    hasCheckpoint: !(stream in NO_CHECKPOINT),
    oneListing: ONE_LISTING[stream] ?? {},
    recordsIn: (text) => recordsIn(stream, text),
  }
})
const inOneAnswer = RULED.filter(({ stream }) => stream in NO_PAGES)

describe('every source', () => {
  it('is of a stream that the simulator has, once', () => {
    const streams = SUBJECTS.map(({ stream }) => stream)
    expect(new Set(streams).size).toBe(streams.length)
    expect(streams.toSorted()).toEqual([...STREAMS].toSorted())
  })
})

for (const subject of RULED) describeSource(subject)
for (const subject of RULED) if (!(subject.stream in NO_PAGES)) describePages(subject)

describe.each(inOneAnswer)('$stream, which comes in one answer', ({ facts, world }) => {
  const idsOf = (units: readonly Unit[]) => units.map(({ unit }) => unit).toSorted()

  it(
    'never takes an answer without rows for an empty listing, when rows were counted',
    async () => {
      const { faults, open, rowCalls } = await world()
      const whole = await open().pull()
      const { vendor, rows } = facts
      const last = { vendor, endpoint: rows, skip: rowCalls() - 1 }
      faults.set({ ...last, kind: 'empty', times: 1 })
      const again = await open().pull()
      expect(faults.list()).toEqual([])
      expect(idsOf(again.units)).toEqual(idsOf(whole.units))
      expect(again.end).toEqual(whole.end)
      faults.set({ ...last, kind: 'empty', times: 'forever' })
      const error = await thrownBy(open().pull())
      expect(error).toMatchObject({ failure: 'TEMPORARY_FAILURE' })
    },
    TIMEOUT_MS,
  )

  it(
    'gives each row once when an answer was too short and was read again',
    async () => {
      const { faults, open, rowCalls } = await world()
      const whole = await open().pull()
      const calls = rowCalls()
      const { vendor, rows } = facts
      const last = { vendor, endpoint: rows, skip: calls - 1 } as const
      faults.set({ ...last, kind: 'missing-rows', share: 0.3, declared: 'all' })
      const { units, end } = await open().pull()
      expect(faults.list()).toEqual([])
      expect(rowCalls()).toBe(2 * calls + 1)
      expect(idsOf(units)).toEqual(idsOf(whole.units))
      expect(end).toEqual(whole.end)
    },
    TIMEOUT_MS,
  )
})
