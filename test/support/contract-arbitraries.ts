// Any event that the contract allows: fast-check arbitraries made from the zod schemas.
import fc from 'fast-check'
import { z } from 'zod'

/** Texts that stores and parsers stumble over. */
const HOSTILE_TEXTS = [
  '',
  '\0',
  '\ud800',
  '__proto__',
  'constructor',
  '{"a":1}',
  '<script>',
  'CVE-2026-0001',
  'CVE-1',
  'cve-2026-0001',
  '10.0.0.7',
  '10.0.0.256',
  'fe80::1%eth0',
  '::ffff:10.0.0.7',
  '2001:db8::1',
  '00:1B:44:11:3a:b7',
  '00-1b-44-11-3a-b7',
  '001b.4411.3ab7',
  'aws',
  'azure',
  'gcp',
  'x'.repeat(5_000),
]
/** Long lists show nothing that short ones do not. */
const ELEMENTS_MAX = 3

const text = fc.oneof(
  fc.constantFrom(...HOSTILE_TEXTS),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.ipV4(),
  fc.ipV6(),
)

/** Values that the schema takes, of every kind that the contract uses. */
export function arbitraryOf(schema: z.core.$ZodType): fc.Arbitrary<unknown> {
  if (schema instanceof z.ZodObject) {
    const shape: Record<string, fc.Arbitrary<unknown>> = {}
    for (const [name, inner] of Object.entries(schema.shape as z.core.$ZodShape)) {
      shape[name] = arbitraryOf(inner)
    }
    return fc.record(shape)
  }
  if (schema instanceof z.ZodNullable) {
    return fc.option(arbitraryOf(schema.unwrap() as z.core.$ZodType), { nil: null })
  }
  if (schema instanceof z.ZodArray) {
    return fc.array(arbitraryOf(schema.element as z.core.$ZodType), { maxLength: ELEMENTS_MAX })
  }
  if (schema instanceof z.ZodRecord) {
    return fc.dictionary(text, arbitraryOf(schema.valueType), { maxKeys: ELEMENTS_MAX })
  }
  if (schema instanceof z.ZodEnum) return fc.constantFrom(...schema.options)
  if (schema instanceof z.ZodString) return text
  if (schema instanceof z.ZodBoolean) return fc.boolean()
  if (schema instanceof z.ZodNumber) return numberOf(schema)
  throw new Error('a kind of schema that the contract does not have')
}

function numberOf(schema: z.ZodNumber): fc.Arbitrary<number> {
  if (schema.format !== 'safeint') return fc.double({ noNaN: true, noDefaultInfinity: true })
  const min = Math.max(schema.minValue ?? -Infinity, Number.MIN_SAFE_INTEGER)
  const max = Math.min(schema.maxValue ?? Infinity, Number.MAX_SAFE_INTEGER)
  return fc.oneof(fc.integer({ min, max }), fc.constantFrom(0, 1, 443, 1_767_225_600_000 % max))
}
