// The rules for transformers, held by every one of them: found by the lists.
import { describe, expect, it } from 'vitest'
import { STREAMS } from '../../simulator/truth.ts'
import { TRANSFORMERS } from '../../transformers/transformers.ts'
import { runSimulator } from '../support/simulator.ts'
import { SUBJECTS } from '../support/sources.ts'
import { describeTransformer } from '../support/transformer-rules.ts'

describe('the transformers', () => {
  it('are one for each stream that has a source, of the same vendor and product', () => {
    const facts = (list: readonly { vendor: string; product: string; stream: string }[]) =>
      list.map(({ vendor, product, stream }) => `${vendor} ${product} ${stream}`).toSorted()
    expect(facts(TRANSFORMERS)).toEqual(facts(SUBJECTS))
    expect(TRANSFORMERS.map(({ stream }) => stream).toSorted()).toEqual([...STREAMS].toSorted())
  })
})

for (const subject of SUBJECTS) {
  const transformer = TRANSFORMERS.find(({ stream }) => stream === subject.stream)
  if (transformer === undefined) continue
  describeTransformer({
    transformer,
    units: async () => {
      const simulator = await runSimulator({ seed: 11, machines: 60 })
      return (await subject.open(simulator).pull()).units
    },
  })
}
