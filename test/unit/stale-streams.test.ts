// Which streams of a connection are told as stale: not one that the tenant does not have.
import { expect, it } from 'vitest'
import { StaleStreams } from '../../runtime/stale-streams.ts'
import { reporterWith } from '../support/reporter.ts'
import { waitFor } from '../support/wait-for.ts'

/** Two streams, and what is told of them by one look a day later. */
async function toldOf(prepare: (stale: StaleStreams) => void): Promise<(string | null)[]> {
  const { reporter } = reporterWith()
  const clock = { nowMs: 1_000_000 }
  const config = { name: 'prod', every: 60_000, jitter: 0, staleAfter: 100 }
  const stale = new StaleStreams(config, () => clock.nowMs)
  const named = (stream: string) => ({ vendor: 'cortex', product: 'cortex-cloud', stream }) as const
  const stop = new AbortController()
  prepare(stale)
  const sources = [named('cloud.issues'), named('cloud.findings')]
  const watching = stale.watch(sources, new Map(), reporter, stop.signal)
  clock.nowMs += 86_400_000
  // The last of them is told in the same round as the first.
  const told = () => reporter.open().map(({ stream }) => stream)
  await waitFor(() => told().includes('cloud.findings'), { what: 'the other stream is told' })
  stop.abort()
  await watching
  return told()
}

it('a skipped stream is not stale, however long it takes', async () => {
  expect(await toldOf((stale) => stale.skipped('cloud.issues'))).toEqual(['cloud.findings'])
})

it('a stream that is read again after it was skipped counts from then on', async () => {
  const told = await toldOf((stale) => {
    stale.skipped('cloud.issues')
    stale.read('cloud.issues')
  })
  expect(told).toEqual(['cloud.issues', 'cloud.findings'])
})
