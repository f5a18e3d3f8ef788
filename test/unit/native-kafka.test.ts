// What a broker of our own is formatted with.
import { describe, expect, it } from 'vitest'
import { newClusterId } from '../../stack/native-kafka.ts'

/** One in 64 would begin with a dash: so many do not all miss that by chance. */
const IDS = 2_000

describe('a new cluster id', () => {
  it('is never one that the tools of Kafka take for an option', () => {
    const ids = Array.from({ length: IDS }, newClusterId)
    expect(ids.filter((id) => !/^[A-Za-f][\w-]{21}$/.test(id))).toEqual([])
    expect(new Set(ids).size).toBe(IDS)
  })
})
