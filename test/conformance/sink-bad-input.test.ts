// Strange and wrong input, store by store: kept exactly or refused with a reason, as docs tell.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { expectedOf, verdictsOf } from '../support/sink-verdicts.ts'
import { BAD_INPUT } from '../support/sink-bad-input.ts'
import { BAD_INPUT_STORES } from '../support/sink-bad-input-stores.ts'
import { SINK_WORLDS } from '../support/sink-worlds/worlds.ts'

const TIMEOUT_MS = 180_000
const doc = readFileSync(new URL('../../docs/sinks.md', import.meta.url), 'utf8')

describe('strange and wrong input', () => {
  it('is tried on every type of sink', () => {
    const types = new Set(BAD_INPUT_STORES.map(({ type }) => type))
    expect([...types].toSorted()).toEqual(Object.keys(SINK_WORLDS).toSorted())
  })

  it.each(BAD_INPUT_STORES)(
    'is kept or refused by $name as the table says',
    async (store) => {
      const verdicts = await verdictsOf(store, BAD_INPUT)
      expect(verdicts).toEqual(expectedOf(doc, store.name))
    },
    TIMEOUT_MS,
  )
})
