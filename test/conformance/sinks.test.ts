// The rules of stores, held by every type of sink: found by the list.
import { describe, expect, it } from 'vitest'
import { SINKS } from '../../sinks/sinks.ts'
import { describeSink } from '../support/sink-rules.ts'
import { SINK_WORLDS } from '../support/sink-worlds/worlds.ts'

describe('every type of sink', () => {
  it('has a world', () => {
    expect(Object.keys(SINK_WORLDS).toSorted()).toEqual(Object.keys(SINKS).toSorted())
  })
})

for (const [type, worlds] of Object.entries(SINK_WORLDS)) describeSink(type, worlds)
