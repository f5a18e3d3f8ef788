// The kept history gives back the truth of every step, and intervals that never touch.
import { expect, it } from 'vitest'
import { assetKey, findingKey } from '../../simulator/history.ts'
import type { Truth } from '../../simulator/truth.ts'
import { runSimulator } from '../support/simulator.ts'

const STEPS = 12

it('tells of every step what was there then', async () => {
  let nowMs = 1_000
  const simulator = await runSimulator({ seed: 3, history: true, clock: () => nowMs })
  const truths: Truth[] = [simulator.truth()]
  for (let step = 1; step <= STEPS; step++) {
    nowMs += 1_000
    simulator.evolve()
    truths.push(simulator.truth())
  }
  const history = simulator.history()
  expect(history?.steps).toEqual(
    truths.map(({ step }, place) => ({ step, atMs: 1_000 * (place + 1) })),
  )
  const isThere =
    (atMs: number) => (entity: { intervals: readonly { fromMs: number; toMs: number | null }[] }) =>
      entity.intervals.some(({ fromMs, toMs }) => fromMs <= atMs && (toMs === null || toMs > atMs))
  for (const [place, truth] of truths.entries()) {
    const there = isThere(1_000 * (place + 1) + 500)
    const assets = (history?.assets ?? []).filter(there).map(assetKey).toSorted()
    expect(assets).toEqual(truth.assets.map(assetKey).toSorted())
    const findings = (history?.findings ?? []).filter(there).map(findingKey).toSorted()
    expect(findings).toEqual([...new Set(truth.findings.map(findingKey))].toSorted())
  }
  const all = [...(history?.assets ?? []), ...(history?.findings ?? [])]
  const returned = all.filter(({ intervals }) => intervals.length > 1)
  expect(returned.length).toBeGreaterThan(0)
  for (const { intervals } of all) {
    const times = intervals.flatMap(({ fromMs, toMs }) => [fromMs, toMs ?? Infinity])
    expect(times).toEqual([...new Set(times)].toSorted((a, b) => a - b))
  }
})

it('keeps nothing unless asked', async () => {
  const simulator = await runSimulator()
  expect(simulator.history()).toBeNull()
})
