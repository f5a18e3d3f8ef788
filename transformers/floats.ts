// Numbers that were 32 bits wide on their way to us, and look odd in 64.

/** Digits behind the point of a score that anybody means. */
const SCORE_DECIMALS = 3

/** A score as text; a hair more or less is the same score. */
export const scoreText = (value: number): string => String(Number(value.toFixed(SCORE_DECIMALS)))

/** Decimal digits that a 32-bit number is good for. */
const FLOAT32_DIGITS = 7

/** 6.199999809265137 is the 32-bit 6.2, and 6.2 is what was meant; other numbers stay. */
export const withoutFloatNoise = (value: number): number =>
  Math.fround(value) === value ? Number(value.toPrecision(FLOAT32_DIGITS)) : value
