// Reading one raw unit: JSON or a dead letter, and the lenient zod words for vendors' loose types.
import { z } from 'zod'
import { PipelineError, violationsOf } from '../contracts/errors.ts'
import type { Drift, RawUnit } from '../contracts/ports.ts'
import type { DriftOf } from './drift.ts'
import { flagOf, fullTextOf, isObject, numberOf, textOf, textsOf } from './text.ts'

/** Ids are never cut: two long ones could become one. */
const ID_CHARACTERS_MAX = 1_024

/** Any value; null where the key is absent. */
export const anything = z.unknown().default(null)
/** Text or number as clean text; null where it is absent, empty, `N/A` or of another type. */
export const maybeText = anything.transform(textOf)
export const maybeNumber = anything.transform(numberOf)
export const maybeFlag = anything.transform(flagOf)
/** A list of texts, or one text; sorted and distinct. */
export const textList = anything.transform(textsOf)
/** An id that every record of the stream has. */
export const requiredId = anything
  .transform(fullTextOf)
  .pipe(z.string({ error: 'is missing' }).max(ID_CHARACTERS_MAX))

/** The objects of a list, read by `schema` (which must accept any object); others are left out. */
export const objects = <S extends z.ZodType>(schema: S) =>
  anything.transform((value): z.output<S>[] =>
    Array.isArray(value) ? value.filter(isObject).map((item) => schema.parse(item)) : [],
  )

/** One object read by `schema` (which must accept any object); anything else counts as `{}`. */
export const objectOrEmpty = <S extends z.ZodType>(schema: S) =>
  anything.transform((value): z.output<S> => schema.parse(isObject(value) ? value : {}))

/** How the records of a stream are read. */
export type RecordReader<S extends z.ZodType> = {
  readonly schema: S
  /** What is known of them: see transformers/README.md. */
  readonly driftOf: DriftOf
  /** Brings the JSON into one form before the others see it. */
  readonly prepare?: (json: unknown) => unknown
}

/**
 * The unit's JSON as `schema` reads it, and what is new in it.
 * @throws PipelineError INVALID_RESPONSE when it is not UTF-8 JSON, SCHEMA_VIOLATION when it lacks
 * what every record of the stream must have
 */
export function readRecord<S extends z.ZodType>(
  raw: RawUnit,
  { schema, driftOf, prepare }: RecordReader<S>,
): { readonly record: z.output<S>; readonly drift: readonly Drift[] } {
  const json = prepare === undefined ? parsed(raw) : prepare(parsed(raw))
  return { record: checked(raw, schema, json), drift: driftOf(json) }
}

function parsed({ facts, body }: RawUnit): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    // The parser's own message quotes the payload, which must not reach an error event.
    throw new PipelineError(
      'INVALID_RESPONSE',
      'NORMALIZE',
      `a unit of ${facts.stream} is not UTF-8 JSON`,
    )
  }
}

function checked<S extends z.ZodType>({ facts }: RawUnit, schema: S, json: unknown): z.output<S> {
  const result = schema.safeParse(json)
  if (result.success) return result.data
  throw new PipelineError(
    'SCHEMA_VIOLATION',
    'NORMALIZE',
    `a unit of ${facts.stream} lacks what every record of the stream must have`,
    { violations: violationsOf(result.error) },
  )
}
