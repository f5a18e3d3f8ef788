// Ids of a long listing in 16 bytes each: a million texts would take a hundred times the memory.
import { hash } from 'node:crypto'

const SLOTS_FIRST = 1_024

/**
 * A set of ids that keeps 63 bits of each one's digest: among a million ids, the chance that any
 * two of them are taken for one is below 1e-6.
 */
export class SeenIds {
  #high = new Uint32Array(SLOTS_FIRST)
  #low = new Uint32Array(SLOTS_FIRST)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** False when the id is there already. */
  add(id: string): boolean {
    // Half full at most, so that a free slot is always near.
    if (this.#size * 2 >= this.#high.length) this.#grow()
    const digest = hash('sha256', id, 'buffer')
    // Never 0: that is a free slot.
    const isNew = this.#put((digest.readUInt32LE(0) | 1) >>> 0, digest.readUInt32LE(4))
    if (isNew) this.#size += 1
    return isNew
  }

  #put(high: number, low: number): boolean {
    const mask = this.#high.length - 1
    let slot = low & mask
    while (this.#high[slot] !== 0) {
      if (this.#high[slot] === high && this.#low[slot] === low) return false
      slot = (slot + 1) & mask
    }
    this.#high[slot] = high
    this.#low[slot] = low
    return true
  }

  #grow(): void {
    const [high, low] = [this.#high, this.#low]
    this.#high = new Uint32Array(high.length * 2)
    this.#low = new Uint32Array(low.length * 2)
    for (const [slot, value] of high.entries()) {
      if (value !== 0) this.#put(value, low[slot] ?? 0)
    }
  }
}
