// The seeded choice among keys: bounded, the same for the same seed, and fair.
import { describe, expect, it } from 'vitest'
import { KeySample } from '../../runtime/sink-sample.ts'

const MAX = 100
const keys = Array.from({ length: 5_000 }, (_, i) => `fnd_${i}`)

function sampled(seed: number, given: readonly string[] = keys) {
  const sample = new KeySample<number>(MAX, seed)
  for (const [i, key] of given.entries()) sample.set(key, i)
  return sample
}
const keysOf = (sample: KeySample<number>) => sample.entries().map(([key]) => key)

describe('a sample of keys', () => {
  it('is all of them while there are few', () => {
    const few = keys.slice(0, MAX)
    const sample = sampled(1, few)
    expect(sample.isWhole).toBe(true)
    expect(keysOf(sample).toSorted()).toEqual(few.toSorted())
    expect(few.every((key) => sample.has(key))).toBe(true)
  })

  it('never keeps more than it may, nor far fewer', () => {
    const sample = sampled(1)
    expect(sample.isWhole).toBe(false)
    expect(keysOf(sample).length).toBeLessThanOrEqual(MAX)
    expect(keysOf(sample).length).toBeGreaterThan(MAX / 4)
  })

  it('is the same for the same seed, in whatever order the keys come', () => {
    expect(keysOf(sampled(7, keys.toReversed()))).toEqual(keysOf(sampled(7)))
    expect(keysOf(sampled(8))).not.toEqual(keysOf(sampled(7)))
  })

  it('holds for a key what was last said of it, or nothing', () => {
    const sample = sampled(3)
    for (const [i, key] of keys.entries()) {
      expect(sample.get(key)).toBe(sample.has(key) ? i : undefined)
    }
  })

  it('chooses evenly: by a hundred seeds each quarter of the keys about as often', () => {
    const quarters = [0, 0, 0, 0]
    for (let seed = 1; seed <= 100; seed++) {
      for (const [, i] of sampled(seed).entries()) {
        const quarter = Math.floor(i / (keys.length / 4))
        quarters[quarter] = (quarters[quarter] ?? 0) + 1
      }
    }
    const total = quarters.reduce((sum, count) => sum + count, 0)
    for (const count of quarters) expect(Math.abs(count / total - 0.25)).toBeLessThan(0.03)
  })
})
