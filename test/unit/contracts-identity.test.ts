// Ids, placement and the envelope: the same for ever, and the same as other clients compute them.
import { createRequire } from 'node:module'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type RawFacts,
  type RunEnd,
  controlOf,
  encodeRunEnd,
  parseRawFacts,
  parseRunEnd,
  placementKey,
  rawHeaders,
  rawKey,
  runIdOf,
} from '../../contracts/envelope.ts'
import { assetUid, eventId, uid } from '../../contracts/identity.ts'
import { murmur2, partitionOf } from '../../contracts/placement.ts'

// kafkajs exports its default partitioner, not the hash it is made of.
const kafkajsMurmur2 = createRequire(import.meta.url)(
  'kafkajs/src/producer/partitioners/default/murmur2',
) as (key: string | Buffer) => number

describe('uid', () => {
  // Computed by another program: base32 of sha256 over the JSON of the parts, 26 characters.
  it.each([
    [
      'ast_',
      ['prisma-cloud', 'prisma-compute', '112157586', 'host|servo-vmware71'],
      'ldsoarqbok4bkqq4277as65clk',
    ],
    ['ent_', ['cloud_instance_id', 'aws:i-0d5e8c751a2249637'], '5rbzyjkpa5n4qo46x53n6ei554'],
    ['cor_', ['ent_x', 'CVE-2021-41617', 'öl "q"'], 'pxbr5lo223rqz6mg3i6zmr524n'],
    ['fnd_', [], 'j5j43immfovaya2uxnpzupwl4x'],
  ] as const)('of %s and %j is known', (prefix, parts, expected) => {
    expect(uid(prefix, parts)).toBe(prefix + expected)
  })

  it('cannot be forged by moving a separator', () => {
    expect(uid('ast_', ['a,b'])).not.toBe(uid('ast_', ['a', 'b']))
    expect(uid('ast_', ['a","b'])).not.toBe(uid('ast_', ['a', 'b']))
  })

  it('of an asset is made of vendor, product, tenant and native id, in this order', () => {
    const parts = { vendor: 'v', product: 'p', tenant: 't', nativeId: 'n' }
    expect(assetUid(parts)).toBe(uid('ast_', ['v', 'p', 't', 'n']))
  })

  it('of an event is known, and another for each revision', () => {
    expect(eventId('ast_x', 1_700_000_000_000)).toBe('3514d420c3f2f2468abfb85f104f4093')
    expect(eventId('ast_x', 1_700_000_000_001)).not.toBe(eventId('ast_x', 1_700_000_000_000))
  })
})

describe('placement', () => {
  it('hashes as kafkajs does', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (key) => {
        expect(murmur2(Buffer.from(key, 'utf8'))).toBe(kafkajsMurmur2(key))
      }),
      { numRuns: 500 },
    )
  })

  // Values of org.apache.kafka.common.utils.UtilsTest.
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ])('hashes %s as the Java client does', (key, hash) => {
    expect(murmur2(Buffer.from(key))).toBe(hash)
  })

  it('takes all bits but the sign, as the default partitioner does', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 64 }), (key, partitions) => {
        const expected = (kafkajsMurmur2(key) & 0x7fffffff) % partitions
        expect(partitionOf(key, partitions)).toBe(expected)
      }),
    )
  })

  it('stays within the partitions', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 64 }), (key, partitions) => {
        const partition = partitionOf(key, partitions)
        expect(partition).toBeGreaterThanOrEqual(0)
        expect(partition).toBeLessThan(partitions)
      }),
    )
  })

  it('puts all units of one asset together, whatever their stream', () => {
    expect(placementKey('cortex-cloud', 'a1')).toBe('cortex-cloud|a1')
  })
})

const FACTS: RawFacts = {
  connection: 'prod',
  vendor: 'cortex',
  product: 'cortex-cloud',
  tenant: 'acme',
  stream: 'cloud.findings',
  unit: 'f-1',
  assetNativeId: 'a1',
  runId: runIdOf(1_767_225_600_000, 0xabc),
  fetchedAtMs: 1_767_225_600_123,
  endpoint: '/public_api/v1/xql/get_query_results_stream',
  page: 3,
  contentType: 'application/json',
  columns: null,
  tooLargeBytes: null,
}
const RUN_END: RunEnd = {
  connection: 'prod',
  vendor: 'cortex',
  product: 'cortex-cloud',
  tenant: 'acme',
  stream: 'cloud.findings',
  runId: FACTS.runId,
  kind: 'SNAPSHOT',
  verdict: 'COMPLETE',
  scope: '0123456789abcdef',
  startedAtMs: 1,
  endedAtMs: 2,
  declared: null,
  pages: 1,
  fetched: 2,
  published: 2,
  tooLarge: 0,
  reason: null,
  hold: null,
}

describe('the envelope', () => {
  it.each([
    ['ordinary', FACTS],
    ['a CSV row', { ...FACTS, columns: 'A,B', contentType: 'text/csv' }],
    ['too large', { ...FACTS, tooLargeBytes: 9_000_000 }],
    ['in any script', { ...FACTS, unit: 'ünït|1', tenant: '企業' }],
  ])('comes back as it went: %s', (_what, facts) => {
    expect(parseRawFacts(rawHeaders(facts))).toEqual(facts)
    expect(controlOf(rawHeaders(facts))).toBeNull()
  })

  it('names every header that is missing or wrong', () => {
    const { 'x-unit': _unit, ...headers } = rawHeaders(FACTS)
    const broken = { ...headers, 'x-page': 'two', 'x-vendor': 'Acme Inc.' }
    expect(() => parseRawFacts(broken)).toThrow(/x-vendor[^]*x-unit[^]*x-page/)
  })

  it('is CloudEvents in the binary mode', () => {
    expect(rawHeaders(FACTS)).toMatchObject({
      ce_specversion: '1.0',
      ce_id: `${FACTS.runId}/cloud.findings/f-1`,
      ce_source: '/connectors/prod',
      ce_type: 'raw.cortex.cloud.findings.v1',
      ce_time: '2026-01-01T00:00:00.123Z',
      ce_subject: 'f-1',
    })
    expect(rawKey(FACTS)).toBe('prod|cloud.findings|f-1')
  })

  it('of the end of a run comes back as it went', () => {
    const record = encodeRunEnd(RUN_END)
    expect(record.key).toBe('prod|cloud.findings')
    expect(controlOf(record.headers)).toBe('run-end')
    expect(parseRunEnd(record.value)).toEqual(RUN_END)
    expect(() => parseRunEnd(Buffer.from('{}'))).toThrow()
    expect(() => parseRunEnd(Buffer.from('<'))).toThrow(SyntaxError)
  })

  it('has run ids that sort by their start', () => {
    expect(runIdOf(5, 0x1ffffff)).toBe('0000000000005-ffffff')
    const starts = [999, 1_767_225_600_000, 9_999_999_999_999]
    const ids = starts.map((start) => runIdOf(start, 1))
    expect(ids.toSorted()).toEqual(ids)
  })
})
