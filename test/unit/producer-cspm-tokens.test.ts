// Listings of CSPM by tokens: pages without rows, tokens that lead nowhere, runs that go on.
import { describe, expect, it } from 'vitest'
import { cspmConfig } from '../../producers/prisma-cloud/cspm-config.ts'
import { pullAll } from '../support/connect.ts'
import { type Answer, cspmVendor, items, paged } from '../support/cspm-pages.ts'
import { thrownBy } from '../support/sources.ts'

describe('a listing of CSPM by tokens', () => {
  /** 30 rows without a total, and so many pages without a row after the first ten. */
  const hollow =
    (emptyPages: number): Answer =>
    ({ pageToken }) => {
      if (typeof pageToken !== 'string') return { items: items(10), nextPageToken: 'e1' }
      const empty = Number(/^e(\d+)$/.exec(pageToken)?.[1] ?? 0)
      if (empty > 0) {
        return { items: [], nextPageToken: empty < emptyPages ? `e${empty + 1}` : 'p10' }
      }
      if (pageToken === 'p10') return { items: items(10, 10), nextPageToken: 'p20' }
      return { items: items(10, 20) }
    }

  it.each([1, 2])('reads on after %i pages without a row but with a token', async (emptyPages) => {
    const { client } = await cspmVendor(hollow(emptyPages))
    const { units, end } = await pullAll(cspmConfig, client)
    expect(units).toHaveLength(30)
    expect(end).toEqual({ verdict: 'COMPLETE', declared: null, reason: null })
  })

  it('is PARTIAL where pages without a row do not end, or their token is refused', async () => {
    const endless = await cspmVendor(hollow(1_000))
    const { end } = await pullAll(cspmConfig, endless.client)
    expect(endless.calls).toHaveLength(4)
    expect(end).toMatchObject({
      verdict: 'PARTIAL',
      reason: expect.stringContaining('3 pages without a row, and still a token'),
    })
    const answer = hollow(1)
    const refused = await cspmVendor((body, call, n) => (n > 2 ? 400 : answer(body, call, n)))
    expect((await pullAll(cspmConfig, refused.client)).end).toMatchObject({
      verdict: 'PARTIAL',
      reason: expect.stringContaining('the token of an empty page is refused'),
    })
  })

  it('ends with a page without a row where all that was declared came', async () => {
    const answer = paged(items(20), { nextPageToken: 'p99' })
    const { client, calls } = await cspmVendor(answer)
    expect((await pullAll(cspmConfig, client)).end.verdict).toBe('COMPLETE')
    expect(calls).toHaveLength(3)
  })

  it('stays in doubt when it goes on after its last chunk', async () => {
    const { client } = await cspmVendor(({ pageToken }) => ({
      items: items(10, pageToken === undefined ? 0 : 10),
      nextPageToken: 'p-same',
    }))
    const { chunks, end } = await pullAll(cspmConfig, client)
    expect(end).toMatchObject({ verdict: 'PARTIAL', reason: expect.stringContaining('same page') })
    const saved = JSON.parse(JSON.stringify(chunks.at(-1)?.checkpoint)) as unknown
    const rest = await pullAll(cspmConfig, client, cspmConfig.checkpoint.parse(saved))
    expect([rest.units, rest.end]).toEqual([[], end])
  })

  it('fails for another try also when a later token of such a run is refused', async () => {
    // Begun anew it would count twice what came before, and so hide the rows that are missing.
    const answer = paged(items(50))
    let isRefusing = false
    const { client } = await cspmVendor((body, call, n) => {
      if (!isRefusing || body['pageToken'] !== 'p30') return answer(body, call, n)
      isRefusing = false
      return 400
    })
    const { chunks } = await pullAll(cspmConfig, client)
    isRefusing = true
    const error = await thrownBy(pullAll(cspmConfig, client, chunks[0]?.checkpoint ?? null))
    expect(error).toMatchObject({
      failure: 'TEMPORARY_FAILURE',
      retriable: true,
      message: expect.stringContaining('where the run stood'),
    })
  })
})
