// Every scenario on every stream that can meet it: the run ends as the scenario says, never worse.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { FUSE_PERCENT, holdReason, withLosses } from '../../runtime/run-ledger.ts'
import type { Fault } from '../../simulator/faults.ts'
import { factsOfStream } from '../../simulator/scenario-streams.ts'
import { SCENARIOS, type Scenario, streamsOf } from '../../simulator/scenarios.ts'
import { type Simulator, startSimulator } from '../../simulator/simulator.ts'
import { STREAMS, type StreamName } from '../../simulator/truth.ts'
import { type Observed, observedAll } from '../support/observed.ts'
import { type Opened, SUBJECTS, type Subject } from '../support/sources.ts'
import { estateOf } from '../support/stream-estate.ts'
import { expectTruth } from '../support/stream-truth.ts'

const TIMEOUT_MS = 120_000
const TENANT = 'acme'

const subjectOf = (stream: StreamName): Subject => {
  const found = SUBJECTS.find((subject) => subject.stream === stream)
  if (found === undefined) throw new Error(`no source of ${stream}`)
  return found
}

/** Faults that are named as what they must be told as. */
const DRIFT: readonly string[] = ['new-field', 'new-value', 'type-change']

type Ended = {
  readonly verdict: string
  readonly ids: readonly string[]
  /** Kinds of what the records have that nobody knew. */
  readonly drift: readonly string[]
  /** Everything that operations would be told, each once. */
  readonly told: readonly string[]
}

/** A run as runtime/run-source.ts ends it, without Kafka. */
async function ended(stream: StreamName, opened: Opened): Promise<Ended> {
  const endedAs = (verdict: string, seen: Observed, more: readonly string[]): Ended => {
    const told = new Set([...opened.faults.map((fault) => fault.failure), ...more])
    const drift = new Set(seen.drift.map((one) => one.split(' ', 1)[0] ?? ''))
    return { verdict, ids: seen.ids, drift: [...drift], told: [...told].toSorted() }
  }
  try {
    const { units, chunks, end } = await opened.pull()
    const seen = observedAll(stream, TENANT, units)
    const rejected = chunks.reduce((sum, chunk) => sum + chunk.rejected.length, 0)
    const { verdict } = withLosses(end, { tooLarge: 0, rejected })
    const hold = holdReason(units.length + rejected, null, FUSE_PERCENT)
    return endedAs(verdict, seen, [
      ...(verdict === 'PARTIAL' || hold !== null ? ['MISSING_DATA'] : []),
      ...(seen.drift.length > 0 ? ['CONTRACT_DRIFT'] : []),
    ])
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error
    return endedAs('FAILED', { ids: [], drift: [] }, [error.failure])
  }
}

describe('the scenarios', () => {
  it('each concern some stream, and are named once', () => {
    expect(SCENARIOS.filter((scenario) => streamsOf(scenario).length === 0)).toEqual([])
    expect(new Set(SCENARIOS.map(({ name }) => name)).size).toBe(SCENARIOS.length)
  })

  it('meet streams that have a source, and every source is met', () => {
    expect(SUBJECTS.map(({ stream }) => stream).toSorted()).toEqual([...STREAMS].toSorted())
  })
})

const sourced = STREAMS.filter((stream) => SUBJECTS.some((subject) => subject.stream === stream))

describe.each(sourced)('%s', (stream) => {
  const scenarios = SCENARIOS.filter((scenario) => streamsOf(scenario).includes(stream))
  let shared: Simulator
  let faultFree: Promise<Ended> | null = null
  /** A run without faults, made by the first test that asks. */
  const wholeRun = (): Promise<Ended> => {
    faultFree ??= ended(stream, subjectOf(stream).open(shared))
    return faultFree
  }
  beforeAll(async () => {
    shared = await startSimulator(estateOf(stream))
  })
  afterAll(() => shared.stop())

  it('tells exactly what is true when nothing goes wrong', async () => {
    const { units } = await subjectOf(stream).open(shared).pull()
    expectTruth(shared, stream, units)
  })

  it('gives everything when nothing goes wrong', async () => {
    const whole = await wholeRun()
    expect(whole).toMatchObject({ verdict: 'COMPLETE', told: [] })
    expect(whole.ids.length).toBeGreaterThan(10)
  })

  it.each(scenarios.map((scenario): [string, Scenario] => [scenario.name, scenario]))(
    'ends as %s says',
    async (_name, scenario) => {
      const simulator =
        scenario.options === undefined
          ? shared
          : await startSimulator({ ...estateOf(stream), ...scenario.options })
      try {
        await expectEnding(simulator, scenario)
      } finally {
        simulator.faults.clear()
        if (simulator !== shared) await simulator.stop()
      }
    },
    TIMEOUT_MS,
  )

  async function expectEnding(simulator: Simulator, scenario: Scenario): Promise<void> {
    const whole = await wholeRun()
    const facts = factsOfStream(stream)
    const { verdicts, published, told } = scenario.ending(facts)
    const faults = scenario.faults(facts) ?? []
    const left = published === 'all left' ? await leftAtTheEnd(simulator, faults) : []
    simulator.faults.set(...faults)
    const result = await ended(stream, subjectOf(stream).open(simulator))
    // A listing that moved by much is PARTIAL, and then said to miss something.
    const also = verdicts.length > 1 && result.verdict === 'PARTIAL' ? ['MISSING_DATA'] : []
    expect(verdicts).toContain(result.verdict)
    expect(result.told).toEqual(told === null ? also : [told])
    const kinds = faults.map(({ kind }) => kind).filter((kind) => DRIFT.includes(kind))
    expect(result.drift).toEqual(kinds)
    // Faults that hit nothing prove nothing.
    const passing = faults.filter((fault) => fault.times !== 'forever')
    if (passing.length > 0) expect(simulator.faults.list()).toEqual([])
    if (published === 'all') expect(result.ids).toEqual(whole.ids)
    if (published === 'all left') {
      expect(new Set(left).difference(new Set(result.ids))).toEqual(new Set())
    }
    if (published === 'nothing') expect(result.ids).toEqual([])
    if (published === 'less') {
      expect(result.ids.length).toBeLessThan(whole.ids.length)
      expect(result.ids.filter((id) => !whole.ids.includes(id))).toEqual([])
    }
  }

  /** What a run finds that begins when the faults are there already. */
  async function leftAtTheEnd(simulator: Simulator, faults: readonly Fault[]) {
    simulator.faults.set(...faults.map((fault) => ({ ...fault, skip: 0 })))
    const { ids } = await ended(stream, subjectOf(stream).open(simulator))
    simulator.faults.clear()
    return ids
  }
})
