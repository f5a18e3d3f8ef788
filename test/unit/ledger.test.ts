// The ledger of runs: what FINISHED says, whatever order, repetition or restore its answers meet.
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import type { KafkaRecord, OutRecord } from '../../contracts/processing.ts'
import { type Run, isRemoval } from '../../contracts/run.ts'
import { readerType } from '../../runtime/codecs.ts'
import { deadLetter } from '../../runtime/dead-letter.ts'
import { type Because, LedgerStore, createLedger } from '../../transformers/ledger.ts'
import { BASE_MS, runEvent } from '../support/events.ts'

const type = readerType('Run')
const PARTITIONS = 6

/** One partition of exposure.runs: the ledger reads its own records too. */
class Bench {
  readonly told: [run: Run, because: Because][] = []
  readonly #log: { key: string; value: Buffer | null }[] = []
  #offset = 0n
  #store = new LedgerStore()
  readonly #ledger = createLedger({
    prefix: '',
    prepare: () => Promise.resolve(),
    decode: (value) => {
      try {
        return JSON.parse(JSON.stringify(type.fromBuffer(value))) as Run
      } catch (cause) {
        throw new PipelineError('SERIALIZATION', 'REGISTRY', 'no run', { cause })
      }
    },
    encode: (value) => type.toBuffer(value),
    deadLetter: (record, error) => deadLetter('', record, error, 1),
    onFinished: (run, because) => this.told.push([run, because]),
  })

  /** One batch; returns the runs it finishes. */
  meet(...runs: (Run | Buffer)[]): Run[] {
    return this.write(...runs)
      .filter(({ topic }) => topic === 'exposure.runs')
      .map(({ value }) => JSON.parse(JSON.stringify(type.fromBuffer(value as Buffer))) as Run)
  }

  write(...runs: (Run | Buffer)[]): readonly OutRecord[] {
    const records = runs.map((run): KafkaRecord => ({
      topic: 'exposure.runs',
      partition: 0,
      offset: this.#offset++,
      timestampMs: BASE_MS,
      key: 'prod|xdr.endpoints',
      value: Buffer.isBuffer(run) ? run : type.toBuffer(run),
      headers: {},
    }))
    const step = this.#ledger.data(this.#store, records)
    this.#log.push(...step.state(new Map()))
    step.apply(new Map())
    return step.outputs
  }

  restore(): void {
    const last = new Map(this.#log.map(({ key, value }) => [key, value]))
    this.#store = new LedgerStore()
    for (const [key, value] of last) if (value !== null) this.#store.load(key, value)
  }

  get pending(): number {
    return this.#store.answers.size
  }
}

const idOf = (run: number): string => `${BASE_MS + run}-00000${run}`
type Tally = NonNullable<Run['tally']>

const tally = (partition: number, run: number, counts: Partial<Tally> = {}): Run =>
  runEvent(idOf(run), {
    phase: 'TALLY',
    verdict: 'COMPLETE',
    started_at: BASE_MS + run,
    at: BASE_MS + run + 1_000 + partition,
    tally: {
      partition,
      units_seen: 2,
      dead_lettered: 0,
      closed: 1,
      held: 0,
      outputs: [],
      hold: null,
      purged: 0,
      ...counts,
    },
  })
const all = (run: number, counts: Partial<Tally> = {}, more: Partial<Run> = {}): Run[] =>
  Array.from({ length: PARTITIONS }, (_, p) => ({ ...tally(p, run, counts), ...more }))
const released = (run: number, orderedAtMs: number, closed: number): Run[] =>
  all(
    run,
    { closed, units_seen: 0 },
    {
      phase: 'RELEASED',
      verdict: 'UNKNOWN',
      kind: 'UNKNOWN',
      started_at: orderedAtMs,
    },
  )
const held = (run: number): Run[] => all(run, { closed: 0, held: 3, hold: 'far fewer' })

describe('a run', () => {
  it('is finished by the last answer, wherever the batches and restarts fall', () => {
    for (const cut of [0, 1, 3, 5]) {
      const bench = new Bench()
      expect(bench.meet(...all(1).slice(0, cut))).toEqual([])
      bench.restore()
      const [finished, ...more] = bench.meet(runEvent(idOf(1)), ...all(1).slice(cut))
      expect(more).toEqual([])
      expect(finished).toMatchObject({
        run_id: idOf(1),
        phase: 'FINISHED',
        verdict: 'COMPLETE',
        hold: null,
        tally: null,
        at: BASE_MS + 1_006,
        totals: { units_seen: 12, closed: 6, held: 0, purged: 0, duration_ms: 1_005 },
      })
      expect(bench.pending).toBe(0)
    }
  })

  it('counts an answer that comes twice once', () => {
    const bench = new Bench()
    const [first] = all(1)
    expect(bench.meet(...(first ? [first, first] : []), ...all(1).slice(0, 5))).toEqual([])
    expect(bench.meet(...all(1).slice(5))[0]?.totals?.closed).toBe(6)
  })

  it('is not finished by its own FINISHED record, nor by steps without a tally', () => {
    const bench = new Bench()
    const [finished] = bench.meet(...all(1))
    expect(bench.meet(...(finished ? [finished] : []), runEvent(idOf(2)))).toEqual([])
  })

  it('is told by who comes next when the process that finished it may have died over it', () => {
    const bench = new Bench()
    const held1 = bench.meet(...all(1, { held: 1, hold: 'far fewer' }, { hold: 'far fewer' }))
    bench.restore()
    // Its own record is the next it reads; a step of another run says nothing of it.
    bench.meet(runEvent(idOf(2)))
    expect(bench.told).toHaveLength(1)
    bench.meet(...held1)
    const told = [held1[0], 'held-by-producer']
    expect(bench.told).toEqual([told, told])
    bench.restore()
    bench.meet(...held1)
    expect(bench.told).toHaveLength(2)
  })

  it('is told once when the process lives on, also when it is finished twice at once', () => {
    const bench = new Bench()
    const finished = bench.meet(...held(1), ...released(1, BASE_MS + 9_000, 3))
    expect(bench.told.map(([, because]) => because)).toEqual([null, 'released'])
    bench.meet(...finished)
    bench.restore()
    bench.meet(...finished)
    expect(bench.told).toHaveLength(2)
  })

  it('that some partition never answered is forgotten when a later one is finished', () => {
    const bench = new Bench()
    bench.meet(...all(1).slice(1))
    expect(bench.meet(...all(2))).toHaveLength(1)
    expect(bench.pending).toBe(0)
    bench.restore()
    expect(bench.pending).toBe(0)
  })

  it('gathers the reasons to hold, each once', () => {
    const bench = new Bench()
    const two = all(1, { held: 1, hold: 'b' }).map((run, i) =>
      i === 0 ? { ...run, tally: run.tally && { ...run.tally, hold: 'a' } } : run,
    )
    expect(bench.meet(...two)[0]).toMatchObject({ hold: 'a; b', totals: { held: 6 } })
    expect(bench.told.map(([, because]) => because)).toEqual([null])
  })

  it('that the producer itself has held is told as such', () => {
    const bench = new Bench()
    bench.meet(...all(1, { held: 1, hold: 'far fewer' }, { hold: 'far fewer' }))
    expect(bench.told.map(([, because]) => because)).toEqual(['held-by-producer'])
  })
})

describe('a release', () => {
  it('finishes the run anew: nothing is held, and what it closed is counted', () => {
    const bench = new Bench()
    bench.meet(...held(1))
    bench.restore()
    const [finished] = bench.meet(...released(1, BASE_MS + 9_000, 3))
    expect(finished).toMatchObject({
      run_id: idOf(1),
      verdict: 'COMPLETE',
      hold: null,
      fetched: 0,
      totals: { units_seen: 12, closed: 18, held: 0 },
    })
    expect(bench.told.at(-1)?.[1]).toBe('released')
  })

  it('finds its run also when runs have failed since', () => {
    const bench = new Bench()
    bench.meet(...held(1))
    bench.meet(...all(2, { closed: 0 }, { verdict: 'FAILED' }))
    bench.restore()
    const [finished] = bench.meet(...released(1, BASE_MS + 9_000, 3))
    expect(finished).toMatchObject({ run_id: idOf(1), verdict: 'COMPLETE', totals: { held: 0 } })
    // Of what the later run has told nothing is over.
    expect(bench.told.at(-1)?.[1]).toBe(null)
    expect(bench.meet(...released(1, BASE_MS + 9_500, 0))).toEqual([])
  })

  it('of a listing without rows that holds nothing open finishes it, until rows are listed', () => {
    const bench = new Bench()
    const empty = { hold: 'no rows at all' }
    bench.meet(...all(1, { closed: 0 }, empty))
    bench.meet(...all(2, { closed: 0 }, { verdict: 'FAILED' }))
    bench.restore()
    const [finished] = bench.meet(...released(1, BASE_MS + 9_000, 0))
    expect(finished).toMatchObject({ run_id: idOf(1), hold: null, totals: { held: 0, closed: 0 } })
    bench.meet(...all(3, { closed: 0 }, empty), ...all(4))
    expect(bench.meet(...released(3, BASE_MS + 9_500, 0))).toEqual([])
  })

  it('of a run that has been overtaken leaves its record as it is', () => {
    const bench = new Bench()
    bench.meet(...held(1))
    bench.meet(...all(2))
    expect(bench.meet(...released(1, BASE_MS + 9_000, 0))).toEqual([])
  })

  it('given twice counts what each has closed, though their answers come mixed', () => {
    const bench = new Bench()
    bench.meet(...held(1))
    const [first, second] = [released(1, BASE_MS + 9_000, 3), released(1, BASE_MS + 9_001, 0)]
    const mixed = first.flatMap((run, i) => [run, ...(second[i] ? [second[i]] : [])])
    expect(bench.meet(...mixed).map(({ totals }) => totals?.closed)).toEqual([18, 18])
    expect(bench.pending).toBe(0)
  })
})

const REMOVED = { phase: 'REMOVED', kind: 'UNKNOWN', verdict: 'UNKNOWN' } as const

describe('a removal', () => {
  it('is finished under its own name when all partitions have answered', () => {
    const bench = new Bench()
    const names = { ...REMOVED, stream: '*', product: '*' } as const
    const [finished] = bench.meet(...all(5, {}, { ...names, run_id: 'order-1' }))
    expect(finished).toMatchObject({ run_id: 'order-1', phase: 'FINISHED', totals: { closed: 6 } })
    expect(finished !== undefined && isRemoval(finished)).toBe(true)
  })

  it('of one stream ends what a run of it has held: there is nothing left to release', () => {
    const bench = new Bench()
    bench.meet(...held(1))
    const [finished] = bench.meet(...all(2, {}, REMOVED))
    expect(finished !== undefined && isRemoval(finished)).toBe(true)
    expect(bench.meet(...released(1, BASE_MS + 9_000, 0))).toEqual([])
  })
})

describe('a record that is no run', () => {
  it('becomes a dead letter, and the answers around it count', () => {
    const bench = new Bench()
    const outputs = bench.write(...all(1).slice(0, 3), Buffer.from('poison'), ...all(1).slice(3))
    expect(outputs.map(({ topic }) => topic).toSorted()).toEqual(['exposure.dlq', 'exposure.runs'])
  })
})
