// The fields of documents, written as documents are, and the mapping that is made of them.
import type { OpenSearchConfig } from './config.ts'

/** `flat`: an object of any depth as one field, its leaves searched as keywords. */
export type FieldType = 'keyword' | 'text' | 'long' | 'float' | 'boolean' | 'date' | 'ip' | 'flat'
/** Each field by its type, or by the fields in it. */
export type Fields = { readonly [name: string]: FieldType | Fields }

/** Longer values are kept, shown and not searched: an index refuses terms above 32766 bytes. */
const KEYWORD_CHARACTERS_MAX = 1_024
const SHORT_CHARACTERS_MAX = 256
const FLATTENED_CHARACTERS_MAX = 8_191

type Flavour = OpenSearchConfig['flavour']

function typeOf(type: FieldType, flavour: Flavour): object {
  switch (type) {
    case 'keyword':
      return { type, ignore_above: KEYWORD_CHARACTERS_MAX }
    case 'text':
      return { type, fields: { keyword: { type: 'keyword', ignore_above: SHORT_CHARACTERS_MAX } } }
    case 'ip':
      // What is no address for the store (one with a zone) stays in the document all the same.
      return { type, ignore_malformed: true }
    case 'flat':
      return flavour === 'opensearch'
        ? { type: 'flat_object' }
        : { type: 'flattened', ignore_above: FLATTENED_CHARACTERS_MAX }
    case 'long':
    case 'float':
    case 'boolean':
    case 'date':
      return { type }
  }
}

/** The `properties` of a mapping. */
export function propertiesOf(fields: Fields, flavour: Flavour): Readonly<Record<string, object>> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, field]) => [
      name,
      typeof field === 'string'
        ? typeOf(field, flavour)
        : { properties: propertiesOf(field, flavour) },
    ]),
  )
}

/** Our own beside the standard's: the time by which stores sort, and the record it came from. */
export const COMMON_FIELDS: Fields = {
  '@timestamp': 'date',
  kafka: { topic: 'keyword', partition: 'long', offset: 'long' },
}
