// Which dead letters a command is about, what becomes of them, and how they look on a terminal.
import { describe, expect, it } from 'vitest'
import { UsageError } from '../../cli/command.ts'
import { chosenFilter, filterOf, placeOf, repairOf } from '../../cli/dlq-filter.ts'
import {
  type Group,
  factsOf,
  groupLines,
  hexDump,
  letterLines,
  printable,
  showLines,
} from '../../cli/dlq-text.ts'
import { PipelineError } from '../../contracts/errors.ts'
import type { KafkaRecord } from '../../contracts/processing.ts'
import type { RunCheckpoint } from '../../runtime/checkpoint.ts'
import type { Definition } from '../../runtime/connections.ts'
import { deadLetter } from '../../runtime/dead-letter.ts'
import { type Move, type Repair, replayOf, unreadStreams } from '../../runtime/dead-letter-moves.ts'
import {
  type Letter,
  type LetterFilter,
  type LetterLog,
  markerRecord,
  matches,
  readFates,
  readLetter,
  readLetters,
} from '../../runtime/dead-letters.ts'

const NOW_MS = Date.UTC(2026, 10, 22, 13)
const error = new PipelineError('INVALID_RESPONSE', 'NORMALIZE', 'a unit is not JSON')
const raw: KafkaRecord = {
  topic: 'p.raw.prisma-cloud',
  partition: 4,
  offset: 12n,
  timestampMs: NOW_MS,
  key: 'prod|compute.hosts|web-1',
  value: Buffer.from('{"_id": '),
  headers: { 'x-connection': 'prod', 'x-stream': 'compute.hosts' },
}

const recordOf = (
  change: Partial<KafkaRecord> = {},
  attempts = 1,
  failure: PipelineError = error,
): KafkaRecord => ({
  ...deadLetter('p.', { ...raw, ...change }, failure, attempts),
  partition: 1,
  offset: 7n,
  timestampMs: NOW_MS,
})

/** A log of dead letters in memory, all in one partition. */
function readerOf(records: readonly KafkaRecord[]): LetterLog {
  const log = records.map((record, at) => ({ ...record, partition: 1, offset: BigInt(at) }))
  const end = BigInt(log.length)
  const none = { records: 0, abortedRecords: 0, markers: 0, emptyBatches: 0 }
  return {
    async readToEnd(_, partition, onRecord, { from = 0n } = {}) {
      for (const record of log) {
        if (record.partition === partition && record.offset >= from) onRecord(record)
      }
      return { end, ...none, fetches: 1, waits: 0, bytes: 0 }
    },
    endOffset: async () => end,
  }
}

async function lettersOf(...records: KafkaRecord[]): Promise<Letter[]> {
  const reader = readerOf(records)
  const letters: Letter[] = []
  const fates = await readFates(reader, 'p.')
  await readLetters(reader, 'p.', { fates, onLetter: (letter) => letters.push(letter) })
  return letters
}

async function letterFor(...given: Parameters<typeof recordOf>): Promise<Letter> {
  const [letter] = await lettersOf(recordOf(...given))
  if (letter === undefined) throw new Error('no letter')
  return letter
}

const marker = (name: 'replayed' | 'purged', ...offsets: bigint[]): KafkaRecord => ({
  ...markerRecord('p.', 1, offsets, name, 'move-1'),
  offset: 0n,
  timestampMs: NOW_MS + 1,
})

describe('the letters of the topic', () => {
  it('are open until a marker behind them says what has become of them', async () => {
    const letters = await lettersOf(recordOf(), recordOf(), marker('replayed', 0n))
    expect(letters.map(({ id, fate }) => [id, fate])).toEqual([
      ['1/0', { name: 'replayed', moveId: 'move-1', atMs: NOW_MS + 1 }],
      ['1/1', null],
    ])
  })

  it('cannot pass themselves off as markers', async () => {
    const headers = { ...raw.headers, 'x-dlq-marker': 'purged' }
    const value = Buffer.from('{"offsets": [0]}')
    const letters = await lettersOf(recordOf(), recordOf({ headers, value }))
    expect(letters.map(({ fate }) => fate)).toEqual([null, null])
  })

  it('are read one at a time as well, with what became of them', async () => {
    const reader = readerOf([recordOf(), recordOf(), marker('purged', 1n)])
    expect((await readLetter(reader, 'p.', 1, 1n))?.fate?.name).toBe('purged')
    expect((await readLetter(reader, 'p.', 1, 0n))?.fate).toBeNull()
    expect(await readLetter(reader, 'p.', 1, 2n)).toBeNull()
    expect(await readLetter(reader, 'p.', 1, 3n)).toBeNull()
  })

  it('stop all moves when a marker cannot be read', async () => {
    const broken = { ...marker('replayed', 0n), value: Buffer.from('[]') }
    await expect(lettersOf(recordOf(), broken)).rejects.toThrow('the marker on p.exposure.dlq/1')
  })

  it('say by their key whose they are when their headers do not', async () => {
    const { connection, stream } = await letterFor({ headers: {} })
    expect([connection, stream]).toEqual(['prod', 'compute.hosts'])
    expect((await letterFor({ headers: {}, key: 'x' })).connection).toBeNull()
  })
})

describe('a filter', () => {
  it.for<[LetterFilter, boolean]>([
    [{}, true],
    [{ reason: 'INVALID_RESPONSE', stage: 'NORMALIZE', connection: 'prod' }, true],
    [{ reason: 'SCHEMA_VIOLATION' }, false],
    [{ stage: 'SINK' }, false],
    [{ topic: 'raw.prisma-cloud' }, true],
    [{ topic: 'p.raw.prisma-cloud' }, true],
    [{ topic: 'raw.cortex' }, false],
    [{ connection: 'other' }, false],
    [{ stream: 'compute.images' }, false],
    [{ key: 'prod|compute.hosts|web-1' }, true],
    [{ key: 'prod|compute.hosts|web' }, false],
    [{ since: NOW_MS }, true],
    [{ since: NOW_MS + 1 }, false],
    [{ ids: new Set(['1/0']) }, true],
    [{ ids: new Set(['1/1']) }, false],
  ])('%o holds or not', async ([filter, holds]) => {
    expect(matches(await letterFor(), filter, 'p.')).toBe(holds)
  })

  it('is made of options, and refuses names that are none', () => {
    const { since } = filterOf({ since: '2h' }, [], NOW_MS)
    expect(since).toBe(NOW_MS - 7_200_000)
    expect(filterOf({}, ['01/007'], NOW_MS).ids).toEqual(new Set(['1/7']))
    const wrong = [
      [{ reason: 'BAD' }, []],
      [{ stage: 'FINISH' }, []],
      [{ since: 'yesterday' }, []],
      [{}, ['7']],
      [{}, ['3/1']],
    ] as const
    for (const [values, words] of wrong) {
      expect(() => filterOf(values, words, NOW_MS)).toThrow(UsageError)
    }
    expect(placeOf('2/12')).toEqual({ partition: 2, offset: 12n })
  })

  it('is wanted before anything is changed', () => {
    expect(() => chosenFilter({}, [], NOW_MS)).toThrow('which letters?')
    expect(chosenFilter({ everything: true }, [], NOW_MS)).toEqual({})
    expect(chosenFilter({ stream: 's' }, [], NOW_MS)).toMatchObject({ stream: 's' })
  })
})

const definition: Definition = {
  v: 1,
  name: 'prod',
  vendor: 'prisma-cloud',
  host: 'h',
  paused: true,
  settings: { streams: { 'compute.vms': { enabled: false } } },
}
const withdrawn: RunCheckpoint = {
  v: 1,
  runId: '1700000000000-abcdef',
  startedAtMs: 1_700_000_000_000,
  tenant: 't1',
  scope: '0123456789abcdef',
  verdict: 'COMPLETE',
  position: null,
  pages: 1,
  fetched: 1,
  published: 1,
  tooLarge: 0,
  rejected: 0,
  lastComplete: null,
  withdrawnAtMs: 1_700_000_100_000,
}
const unread = unreadStreams(
  [
    { name: 'prod', partition: 0, definition },
    { name: 'of another version', partition: 1, definition: null },
  ],
  { checkpoints: new Map([['prod|compute.images', withdrawn]]) },
)
const of = (stream: string) => ({ 'x-connection': 'prod', 'x-stream': stream })
const moveOf = (letter: Letter, attemptsMax = 5, repair: Repair | null = null): Move =>
  replayOf(letter, 'p.', 'move-1', { attemptsMax, unread, repair })

describe('a replay', () => {
  it('is the record as it was, where it was, with its attempts', async () => {
    expect(moveOf(await letterFor({}, 2))).toEqual({
      kind: 'replay',
      record: {
        topic: 'p.raw.prisma-cloud',
        partition: 4,
        key: raw.key,
        value: raw.value,
        headers: {
          ...raw.headers,
          'x-dlq-replay': 'move-1',
          'x-dlq-letter': '1/0',
          'x-dlq-attempts': '2',
        },
      },
    })
  })

  it('goes to quarantine when it was tried as often as it may be', async () => {
    expect(moveOf(await letterFor({}, 4)).kind).toBe('replay')
    const move = moveOf(await letterFor({}, 5))
    expect(move).toMatchObject({
      kind: 'quarantine',
      record: { topic: 'p.exposure.quarantine', partition: 1, value: raw.value },
    })
  })

  it.for<[Partial<KafkaRecord>, string]>([
    [{ partition: -1 }, 'never was on a topic'],
    [{ topic: 'p.exposure.findings' }, 'only raw records are replayed'],
    [{ topic: 'raw.prisma-cloud' }, 'only raw records are replayed'],
    [{ partition: 6 }, 'has no partition 6'],
    [{ headers: { 'x-control': 'run-end' } }, 'the control record "run-end"'],
    [{ headers: { 'x-connection': 'old' } }, 'there is no connection old'],
    [{ headers: of('compute.vms') }, 'compute.vms of prod is switched off'],
    [{ headers: of('compute.images') }, 'compute.images of prod was taken back'],
    [{ headers: { h: 'x'.repeat(2 ** 20) } }, 'headers were too large'],
  ])('of %o is refused', async ([change, why]) => {
    const move = moveOf(await letterFor(change))
    expect(move.kind === 'refuse' ? move.why : move.kind).toContain(why)
  })

  it('goes on for a connection that this build cannot read', () => {
    expect(unread('of another version', 'compute.vms')).toBeNull()
  })

  it('may carry another body, key and headers, and says so', async () => {
    const repair = repairOf({ 'set-key': 'k', 'set-header': ['x-stream=a=b'] }, ['1/0'])
    const move = moveOf(await letterFor(), 5, repair)
    expect(move).toMatchObject({
      kind: 'replay',
      record: {
        key: 'k',
        value: raw.value,
        headers: { 'x-stream': 'a=b', 'x-connection': 'prod', 'x-dlq-repaired': 'key,x-stream' },
      },
    })
    expect(() => repairOf({ 'set-key': 'k' }, [])).toThrow('one letter is repaired at a time')
    expect(() => repairOf({ 'set-header': ['x'] }, ['1/0'])).toThrow('NAME=VALUE')
    expect(repairOf({}, [])).toBeNull()
  })

  it('repairs bytes that are no text', async () => {
    const exact = {
      key: Buffer.from([0xff]),
      headers: [
        [Buffer.from('x-page'), Buffer.from([0xfe])],
        [Buffer.from('x-unit'), Buffer.from('u')],
      ] as const,
    }
    const damaged = await letterFor({ exact, key: '\ufffd', headers: { 'x-page': '\ufffd' } })
    const repair = repairOf({ 'drop-header': ['x-page'], 'set-key': 'k' }, ['1/0'])
    const move = moveOf(damaged, 5, repair)
    const record = move.kind === 'replay' ? move.record : null
    expect(record?.exact?.key?.toString()).toBe('k')
    const names = record?.exact?.headers.map(([name]) => name.toString())
    expect(names?.slice(0, 2)).toEqual(['x-unit', 'x-dlq-replay'])
  })
})

describe('dead letters as text', () => {
  const group: Group = {
    reason: 'INVALID_RESPONSE',
    stage: 'NORMALIZE',
    topic: 'raw.cortex',
    fate: 'open',
    count: 12,
    firstMs: NOW_MS,
    lastMs: NOW_MS + 1_000,
  }

  it('are counted in columns', () => {
    const times = '2026-11-22T13:00:00.000Z  2026-11-22T13:00:01.000Z'
    expect(groupLines([group, { ...group, count: 3, stage: 'SINK' }], false)).toEqual([
      'COUNT  REASON            STAGE      FROM        FIRST                     LAST',
      `12     INVALID_RESPONSE  NORMALIZE  raw.cortex  ${times}`,
      `3      INVALID_RESPONSE  SINK       raw.cortex  ${times}`,
    ])
    expect(groupLines([], false)).toEqual([])
  })

  it('never steer the terminal', async () => {
    expect(printable('a\u001b[2J\u202eb\r\n')).toBe('a\\u001b[2J\\u202eb\\u000d\\u000a')
    const letter = await letterFor({
      key: 'k\u001b]0;x\u0007',
      value: Buffer.from('a\n\u001b[2J'),
      headers: { h: '\u009b31m' },
    })
    const printed = [...showLines(letter, 'p.'), ...letterLines([factsOf(letter, 'p.')])].join('\n')
    for (const control of ['\u001b', '\u0007', '\u009b']) expect(printed).not.toContain(control)
    expect(printed).toContain('a\n\\u001b[2J')
  })

  it('show a body as text or as bytes, and not more of it than a screen takes', async () => {
    expect(showLines(await letterFor(), 'p.').slice(-2)).toEqual(['body      8 bytes', '{"_id": '])
    expect(showLines(await letterFor({ value: null }), 'p.').at(-1)).toBe('body      none (null)')
    const long = showLines(await letterFor({ value: Buffer.alloc(100_000, 'x') }), 'p.')
    expect(long.at(-1)).toBe('... 84000 more: --raw gives all of it')
    const bytes = showLines(await letterFor({ value: Buffer.alloc(5_000, 0xff) }), 'p.')
    expect(bytes.at(-1)).toBe('... 3976 more: --raw gives all of it')
    expect(hexDump(Buffer.from('0123456789abcdef\n'))).toEqual([
      '00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef',
      `00000010  0a${' '.repeat(47)}.`,
    ])
  })

  it('say of a key that is no text what its bytes are', async () => {
    const exact = { key: Buffer.from([0xff, 0x01]), headers: [] }
    expect(showLines(await letterFor({ exact, key: '\ufffd' }), 'p.')).toContain(
      'key       hex ff01',
    )
  })
})
