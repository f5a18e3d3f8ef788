// The records of W1: JSON of about 1.9 kB as a vendor sends it, and a 32-field Avro event.
import avro from 'avsc'

const STRINGS = 20
const LONGS = 6
const names = (count: number, prefix: string): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}_${i}`)

/** 32 fields: strings, longs, a double, a boolean, an enum, an array, a map, a nullable string. */
export const eventType = avro.Type.forSchema({
  type: 'record',
  name: 'Event',
  fields: [
    ...names(STRINGS, 'text').map((name) => ({ name, type: 'string' as const })),
    ...names(LONGS, 'number').map((name) => ({ name, type: 'long' as const })),
    { name: 'score', type: 'double' },
    { name: 'fixed', type: 'boolean' },
    { name: 'severity', type: { type: 'enum', name: 'Severity', symbols: ['LOW', 'HIGH'] } },
    { name: 'addresses', type: { type: 'array', items: 'string' } },
    { name: 'tags', type: { type: 'map', values: 'string' } },
    { name: 'description', type: ['null', 'string'], default: null },
  ],
})

const DESCRIPTION_LENGTH = 960
const WORDS = (
  'kernel openssl buffer overflow in the parser of version before allows remote attackers to ' +
  'execute arbitrary code via crafted packet 3.0.12 1.1.1w deb12u4 amd64 libcurl use after free'
).split(' ')

/** Reproducible text that compresses about as well as what vendors send. */
export function noise(seed: number, length: number): string {
  let state = seed | 1
  let text = ''
  while (text.length < length) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    text += `${WORDS[(state >>> 16) % WORDS.length]} `
  }
  return text.slice(0, length)
}

/** The JSON text of record `index`. */
export function rawJson(index: number): Buffer {
  const texts = names(STRINGS, 'text').map((name, i) => [name, noise(index * 31 + i, 18)])
  const numbers = names(LONGS, 'number').map((name, i) => [name, index * (i + 7)])
  return Buffer.from(
    JSON.stringify({
      ...Object.fromEntries(texts),
      ...Object.fromEntries(numbers),
      score: (index % 100) / 10,
      fixed: index % 3 === 0,
      severity: index % 2 === 0 ? 'LOW' : 'HIGH',
      addresses: [`10.0.${index % 256}.1`, `10.1.${index % 256}.2`],
      tags: { env: 'prod', team: `team-${index % 50}`, host: `host-${index}` },
      description: noise(index, DESCRIPTION_LENGTH),
      ignored: { list: [1, 2, 3], text: 'what the event does not take' },
    }),
  )
}

/** The work of W1 on one record. */
export const toAvro = (body: Buffer): Buffer => eventType.toBuffer(JSON.parse(body.toString()))
