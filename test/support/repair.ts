// What makes a dead letter the record that was damaged, for a replay after repair.
import type { Headers } from '../../contracts/envelope.ts'
import type { OutRecord } from '../../contracts/processing.ts'
import type { Repair } from '../../runtime/dead-letter-moves.ts'

/** Key, content and every header of `whole` in place of the letter's. */
export function repairBy({ key, value, headers }: OutRecord, letterHeaders: Headers): Repair {
  const wrong = Object.keys(letterHeaders).filter((name) => !name.startsWith('x-dlq-'))
  return {
    key,
    value: value ?? undefined,
    headers: new Map([...wrong.map((name) => [name, null] as const), ...Object.entries(headers)]),
  }
}
