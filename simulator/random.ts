// Seeded randomness: the same text gives the same numbers on every machine, for ever.

export type Random = {
  /** 0 <= x < 1. */
  next(): number
  /** 0 <= x < bound, whole. */
  below(bound: number): number
  /** True with probability `share`, 0..1. */
  chance(share: number): boolean
  /** @throws RangeError when the list is empty */
  pick<T>(list: readonly T[]): T
  /** `digits` lower-case hexadecimal digits. */
  hex(digits: number): string
}

/** An independent stream of numbers for each text: a change in one place moves no other. */
export function createRandom(seed: string): Random {
  const next = sfc32(...spread(seed))
  const below = (bound: number) => Math.floor(next() * bound)
  return {
    next,
    below,
    chance: (share) => next() < share,
    pick: (list) => {
      const found = list[below(list.length)]
      if (found === undefined) throw new RangeError('cannot pick from an empty list')
      return found
    },
    hex: (digits) => Array.from({ length: digits }, () => below(16).toString(16)).join(''),
  }
}

/** 0 <= x < 1 out of a text alone: for choices that must not depend on order. */
export const shareOf = (text: string): number => spread(text)[0] / 2 ** 32

/** cyrb128: spreads a text over 128 bits. */
function spread(text: string): [number, number, number, number] {
  let [a, b, c, d] = [1779033703, 3144134277, 1013904242, 2773480762]
  for (let i = 0; i < text.length; i++) {
    const k = text.charCodeAt(i)
    a = b ^ Math.imul(a ^ k, 597399067)
    b = c ^ Math.imul(b ^ k, 2869860233)
    c = d ^ Math.imul(c ^ k, 951274213)
    d = a ^ Math.imul(d ^ k, 2716044179)
  }
  a = Math.imul(c ^ (a >>> 18), 597399067)
  b = Math.imul(d ^ (b >>> 22), 2869860233)
  c = Math.imul(a ^ (c >>> 17), 951274213)
  d = Math.imul(b ^ (d >>> 19), 2716044179)
  return [(a ^ b ^ c ^ d) >>> 0, (b ^ a) >>> 0, (c ^ a) >>> 0, (d ^ a) >>> 0]
}

/** sfc32: small, fast, passes the usual batteries of tests. */
function sfc32(s0: number, s1: number, s2: number, s3: number): () => number {
  let [a, b, c, d] = [s0 | 0, s1 | 0, s2 | 0, s3 | 0]
  const step = () => {
    const t = (((a + b) | 0) + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + t) | 0
    return (t >>> 0) / 2 ** 32
  }
  for (let i = 0; i < 12; i++) step()
  return step
}
