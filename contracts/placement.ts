// Which partition a key goes to: Kafka's own default (murmur2), so that any other client agrees.

const M = 0x5bd1e995
const SEED = 0x9747b28c

/**
 * The partition of `key` among `partitions`, as the Java client's default partitioner places it.
 */
export function partitionOf(key: string, partitions: number): number {
  return (murmur2(Buffer.from(key, 'utf8')) & 0x7fffffff) % partitions
}

/**
 * The 32-bit murmur2 of the Java client (`org.apache.kafka.common.utils.Utils#murmur2`), signed.
 */
export function murmur2(data: Buffer): number {
  let hash = SEED ^ data.length
  const whole = data.length & ~3
  for (let i = 0; i < whole; i += 4) {
    let k = Math.imul(data.readInt32LE(i), M)
    k = Math.imul(k ^ (k >>> 24), M)
    hash = Math.imul(hash, M) ^ k
  }
  const rest = data.length - whole
  if (rest === 3) hash ^= data.readUInt8(whole + 2) << 16
  if (rest >= 2) hash ^= data.readUInt8(whole + 1) << 8
  if (rest >= 1) hash = Math.imul(hash ^ data.readUInt8(whole), M)
  hash = Math.imul(hash ^ (hash >>> 13), M)
  return hash ^ (hash >>> 15)
}
