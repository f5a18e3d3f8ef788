// A bounded, seeded choice among keys that come in any order: the same keys for the same seed.

/** The hashes of a key lie below this. */
const HASHES = 2 ** 53
const HIGH_BITS = 2 ** 21

/** Evenly spread from 0 to below 2^53; another seed gives another order. Not for secrets. */
export function seededHash(key: string, seed: number): number {
  // Two hashes of 32 bits that mix each other at the end (cyrb53): much cheaper than a digest.
  let one = 0xdeadbeef ^ seed
  let other = 0x41c6ce57 ^ seed
  for (let i = 0; i < key.length; i++) {
    const code = key.charCodeAt(i)
    one = Math.imul(one ^ code, 2_654_435_761)
    other = Math.imul(other ^ code, 1_597_334_677)
  }
  one =
    Math.imul(one ^ (one >>> 16), 2_246_822_507) ^ Math.imul(other ^ (other >>> 13), 3_266_489_909)
  other =
    Math.imul(other ^ (other >>> 16), 2_246_822_507) ^ Math.imul(one ^ (one >>> 13), 3_266_489_909)
  return (one >>> 0) + 2 ** 32 * ((other >>> 0) % HIGH_BITS)
}

/** Keeps at most `max` keys: those whose hashes are lowest, and something of each. */
export class KeySample<T> {
  readonly #max: number
  readonly #seed: number
  readonly #kept = new Map<string, T>()
  #below = HASHES

  constructor(max: number, seed: number) {
    this.#max = max
    this.#seed = seed
  }

  /** True while no key was left out. */
  get isWhole(): boolean {
    return this.#below === HASHES
  }

  /** Whether the key is kept, or would be. What was refused once is refused for good. */
  has(key: string): boolean {
    return this.isWhole || seededHash(key, this.#seed) < this.#below
  }

  get(key: string): T | undefined {
    return this.#kept.get(key)
  }

  set(key: string, value: T): void {
    if (!this.has(key)) return
    this.#kept.set(key, value)
    while (this.#kept.size > this.#max) {
      this.#below /= 2
      for (const known of this.#kept.keys()) if (!this.has(known)) this.#kept.delete(known)
    }
  }

  /** What is kept, the lowest hash first. */
  entries(): (readonly [string, T])[] {
    const hashed = [...this.#kept].map(([key, value]) => {
      return { key, value, hash: seededHash(key, this.#seed) }
    })
    return hashed.toSorted((a, b) => a.hash - b.hash).map(({ key, value }) => [key, value])
  }
}
