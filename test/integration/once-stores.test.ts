// `exposure start --once` with every kind of store: none is behind when it ends.
import { expect, it } from 'vitest'
import { serve } from '../support/http-server.ts'
import { queryLake, testLake } from '../support/lake.ts'
import { testStore } from '../support/opensearch.ts'
import { secretFile } from '../support/postgres.ts'
import { startProduct } from '../support/product.ts'

const TIMEOUT_MS = 240_000

it(
  'ends when every store has the run: files written, messages delivered',
  { timeout: TIMEOUT_MS },
  async () => {
    const { config: store } = await testStore()
    // By itself the lake would wait for minutes.
    const { path } = testLake().config
    const receiver = await serve((_request, response) => void response.end('ok'))
    const product = await startProduct({
      connections: ['prisma', 'alpha'],
      config: {
        sinks: {
          postgres: { url: 'env:DATABASE_URL' },
          opensearch: { url: store.url, prefix: store.prefix, replicas: 0 },
          parquet: { path },
          'kafka-json': [{ name: 'siem' }],
          webhook: [{ format: 'json', url: secretFile(receiver.url), start: 'beginning' }],
        },
      },
    })
    const ended = await product.once({ CORTEX_ALPHA_KEY: 'not-the-key' })
    expect([ended.code, ended.stderr]).toEqual([3, ''])
    expect(ended.summary?.connectorErrors).toMatchObject({ AUTHORIZATION_FAILURE: 1 })
    const told = receiver.received.map(({ body }) => (JSON.parse(body) as Told).error.error_type)
    expect(told).toContain('AUTHORIZATION_FAILURE')
    const findings = ended.summary?.rows['findings']
    expect(findings).toBeGreaterThan(0)
    const [row] = await queryLake(path, 'SELECT count(*)::int AS findings FROM findings')
    expect(row).toEqual({ findings })
    const { code, stdout } = await product.exposure(['reconcile', '--json'])
    expect(code).toBe(0)
    const verdicts = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Verdict)
    for (const { verdict, kinds } of verdicts.slice(0, -1)) {
      expect(verdict).toBe('equal')
      expect(kinds?.map(({ lag }) => lag)).toEqual([0, 0])
    }
    expect(verdicts.at(-1)).toMatchObject({ sink: 'webhook', verdict: 'not compared' })
  },
)

type Told = { readonly error: { readonly error_type: string } }
type Verdict = {
  readonly sink: string
  readonly verdict: string
  readonly kinds?: readonly { readonly lag: number }[]
}
