// The rules for stores that show entities as they are now, held by every one: found by the list.
import { describe, expect, it } from 'vitest'
import { SINKS } from '../../sinks/sinks.ts'
import { describeSink } from '../support/sink-rules.ts'
import { SINK_WORLDS } from '../support/sink-worlds/worlds.ts'

describe('the stores of entities', () => {
  it('have a world each', () => {
    const types = Object.entries(SINKS).filter(([, { holdsState }]) => holdsState)
    expect(Object.keys(SINK_WORLDS).toSorted()).toEqual(types.map(([type]) => type).toSorted())
  })
})

for (const [type, worlds] of Object.entries(SINK_WORLDS)) describeSink(type, worlds)
