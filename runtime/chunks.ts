// Gathers units into chunks: as many as one Kafka transaction may hold.
import {
  CHUNK_BYTES_MAX,
  CHUNK_UNITS_MAX,
  type Chunk,
  type RejectedItem,
  type Unit,
} from '../contracts/ports.ts'

export type ChunkFacts<Checkpoint> = Pick<
  Chunk<Checkpoint>,
  'endpoint' | 'fetchedAtMs' | 'page' | 'checkpoint'
>

/** A chunk being filled. Ask `hasRoomFor` before each `add`, and `take` what is there if not. */
export class ChunkBuilder {
  #units: Unit[] = []
  #rejected: RejectedItem[] = []
  #bytes = 0

  get isEmpty(): boolean {
    return this.#units.length === 0 && this.#rejected.length === 0
  }

  /** For `count` items of together `bytes`. An empty chunk has room for anything. */
  hasRoomFor(bytes: number, count = 1): boolean {
    if (this.isEmpty) return true
    const items = this.#units.length + this.#rejected.length + count
    return items <= CHUNK_UNITS_MAX && this.#bytes + bytes <= CHUNK_BYTES_MAX
  }

  add(unit: Unit): void {
    this.#units.push(unit)
    this.#bytes += unit.body?.length ?? 0
  }

  reject(item: RejectedItem): void {
    this.#rejected.push(item)
    this.#bytes += item.body.length
  }

  take<Checkpoint>(facts: ChunkFacts<Checkpoint>): Chunk<Checkpoint> {
    const chunk = { units: this.#units, rejected: this.#rejected, ...facts }
    this.#units = []
    this.#rejected = []
    this.#bytes = 0
    return chunk
  }
}
