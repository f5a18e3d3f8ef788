// Details of single assets: what one refusal means for the others.
import { describe, expect, it } from 'vitest'
import type { PipelineError } from '../../contracts/errors.ts'
import type { Unit } from '../../contracts/ports.ts'
import { cspmInventory } from '../../producers/prisma-cloud/cspm-inventory.ts'
import type { StatusAnswer } from '../../simulator/faults.ts'
import { connectPrisma } from '../support/connect.ts'
import { runSimulator } from '../support/simulator.ts'

const BUDGET = 6

/** A run in which the first `times` assets that are asked for get `answer`. */
async function pullWith(answer: StatusAnswer, times: number | 'forever') {
  const simulator = await runSimulator({ machines: 40 })
  const { client } = connectPrisma(simulator.prisma, { enrichment: { budget: BUDGET } })
  const fault = { vendor: 'prisma-cloud', endpoint: 'cspm.asset', kind: 'status' } as const
  simulator.faults.set({ ...fault, answer, times })
  const reported: PipelineError[] = []
  const pull = cspmInventory.pull(client, null, {
    signal: new AbortController().signal,
    nowMs: Date.now,
    report: (error) => reported.push(error),
  })
  const units: Unit[] = []
  for (;;) {
    const next = await pull.next()
    if (next.done === true) {
      const site = simulator.stats().sites.find((one) => one.vendor === 'prisma-cloud')
      return {
        end: next.value,
        withDetails: units.map(({ body }) => body?.includes('"uai"') === true),
        told: reported.map(({ failure }) => failure),
        byStatus: site?.endpoints['cspm.asset']?.byStatus,
      }
    }
    units.push(...next.value.units)
  }
}

describe('the details of an asset', () => {
  it('that has none (404) cost the others nothing, and nobody is told', async () => {
    const { end, withDetails, told, byStatus } = await pullWith('not-found', 2)
    expect(withDetails.slice(0, 7)).toEqual([false, false, true, true, true, true, false])
    expect(byStatus).toEqual({ '200': 4, '404': 2 })
    expect([end.verdict, told]).toEqual(['COMPLETE', []])
  })

  it('that are refused for themselves cost the others nothing, and are told once', async () => {
    const { end, withDetails, told, byStatus } = await pullWith('payload-too-large', 2)
    expect(withDetails.slice(0, 7)).toEqual([false, false, true, true, true, true, false])
    expect(byStatus).toEqual({ '200': 4, '413': 2 })
    expect([end.verdict, told]).toEqual(['COMPLETE', ['BAD_REQUEST']])
  })

  it('that the role may not read (403) are asked for no more', async () => {
    const { end, withDetails, told, byStatus } = await pullWith('forbidden', 'forever')
    expect(withDetails).not.toContain(true)
    expect(byStatus).toEqual({ '403': 1 })
    expect([end.verdict, told]).toEqual(['COMPLETE', ['ACCESS_FORBIDDEN']])
  })
})
