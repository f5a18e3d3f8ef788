// The control server: truth, faults, evolution and counts over HTTP, for other processes.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import { VENDORS } from '../contracts/topics.ts'
import { type Answer, deliver, json } from './delivery.ts'
import type { Fault, FaultControl } from './faults.ts'
import type { History } from './history.ts'
import { PROVOKE, type Provoked } from './provoke.ts'
import { type RunningSite, listen, readBody } from './site.ts'
import type { SiteStats } from './stats.ts'
import type { Truth } from './truth.ts'

export type ControlActions = {
  readonly truth: () => Truth
  readonly history: () => History | null
  readonly faults: FaultControl
  readonly evolve: (steps?: number) => number
  readonly noise: (hours?: number) => void
  readonly stats: () => { readonly sites: readonly SiteStats[] }
}

const evolveBody = z.object({ steps: z.int().min(1).optional() })
const noiseBody = z.object({ hours: z.int().min(1).optional() })
const provokeBody = z.strictObject({
  vendor: z.enum(VENDORS),
  provoke: z.enum(Object.keys(PROVOKE.cortex) as [Provoked, ...Provoked[]]),
})

/**
 * `GET /truth`, `GET /history` (null unless kept), `GET /stats`, `GET /faults`, `POST /faults` (a
 * fault, a list of them, or `{vendor, provoke}`), `DELETE /faults`, `POST /evolve` (`{steps}`),
 * `POST /noise` (`{hours}`).
 */
export function startControl(port: number, actions: ControlActions): Promise<RunningSite> {
  return listen(port, async (request: IncomingMessage, response: ServerResponse) => {
    const body = await readBody(request)
    const { pathname } = new URL(`http://simulator${request.url ?? '/'}`)
    const route = `${request.method ?? 'GET'} ${pathname}`
    const answer = answerOf(route, body ?? Buffer.alloc(0), actions)
    await deliver(response, answer, null, request.headers['accept-encoding'] ?? '')
  })
}

function answerOf(route: string, body: Buffer, actions: ControlActions): Answer {
  try {
    switch (route) {
      case 'GET /truth':
        return json(200, actions.truth())
      case 'GET /history':
        return json(200, actions.history())
      case 'GET /stats':
        return json(200, actions.stats())
      case 'GET /faults':
        return json(200, actions.faults.list())
      case 'POST /faults':
        actions.faults.set(...faultsOf(valueOf(body)))
        return json(200, actions.faults.list())
      case 'DELETE /faults':
        actions.faults.clear()
        return json(200, [])
      case 'POST /evolve':
        return json(200, { step: actions.evolve(evolveBody.parse(valueOf(body) ?? {}).steps) })
      case 'POST /noise':
        actions.noise(noiseBody.parse(valueOf(body) ?? {}).hours)
        return json(200, {})
      default:
        return json(404, { error: `no such control: ${route}` })
    }
  } catch (error) {
    const ours =
      error instanceof z.ZodError || error instanceof SyntaxError || error instanceof RangeError
    if (!ours) throw error
    return json(400, { error: error.message })
  }
}

const valueOf = (body: Buffer): unknown =>
  body.length === 0 ? null : JSON.parse(body.toString('utf8'))

/** `set` checks each fault itself. */
function faultsOf(value: unknown): readonly Fault[] {
  const named = provokeBody.safeParse(value)
  if (named.success) return PROVOKE[named.data.vendor][named.data.provoke]
  return (Array.isArray(value) ? value : [value]) as Fault[]
}
