// Every source there is, opened against the simulator in one way, for tests that hold for all.
import type { PipelineError } from '../../contracts/errors.ts'
import type { Chunk, PullEnd, Source, Unit } from '../../contracts/ports.ts'
import { CONNECTORS } from '../../producers/sources.ts'
import { sleepMs } from '../../runtime/http-retry.ts'
import type { Simulator } from '../../simulator/simulator.ts'
import { connectCortex, connectPrisma } from './connect.ts'

/** Waits of milliseconds, also between the polls of a query. */
export const QUICK = {
  retry: {
    baseMs: 2,
    capMs: 20,
    retryAfterMsMax: 20,
    sleep: (ms: number, signal: AbortSignal) => sleepMs(Math.min(ms, 5), signal),
  },
}
/** Rates of a simulator without limits. */
const PRISMA = { computeRequestsPer30s: 100_000 }

export type Opened = {
  /** Faults told while calls were made again. */
  readonly faults: readonly PipelineError[]
  /** From a checkpoint as the log has it, or from the start. @throws what the source throws */
  pull(options?: PullOptions): Promise<Pulled>
  /** Null: the tenant has the stream, or every tenant has. */
  available(): Promise<PipelineError | null>
  /** What must be in no error. */
  readonly secrets: readonly string[]
}
export type PullOptions = {
  readonly from?: unknown
  readonly signal?: AbortSignal
  readonly onChunk?: (chunk: Chunk<unknown>) => void
}
export type Pulled = {
  readonly chunks: readonly Chunk<unknown>[]
  readonly units: readonly Unit[]
  readonly end: PullEnd
}
/** Where to connect to in place of the simulator itself. */
export type Addresses = { readonly prisma: string; readonly cortex: string }

export type Subject = {
  readonly vendor: 'prisma-cloud' | 'cortex'
  readonly product: string
  readonly stream: string
  readonly open: (simulator: Simulator, through?: Addresses, settings?: Settings) => Opened
}
/** Of the connection, beside those that every test has. */
export type Settings = Readonly<Record<string, unknown>>

const prismaSubjects = CONNECTORS['prisma-cloud'].sources.map((source): Subject => ({
  ...namesOf(source),
  vendor: 'prisma-cloud',
  open: ({ prisma }, through, settings = {}) => {
    const access = { ...prisma, url: through?.prisma ?? prisma.url }
    const { client, faults } = connectPrisma(access, { ...PRISMA, ...settings }, QUICK)
    const secrets = [prisma.accessKeyId, prisma.secretKey, 'eyJ']
    return openedAs(source, client, faults, secrets)
  },
}))
const cortexSubjects = CONNECTORS.cortex.sources.map((source): Subject => ({
  ...namesOf(source),
  vendor: 'cortex',
  open: ({ cortex }, through, settings = {}) => {
    const access = { ...cortex[0], url: through?.cortex ?? cortex[0].url }
    const { tenant } = cortex[0]
    const { client, faults } = connectCortex(access, { tenant, ...settings }, QUICK)
    return openedAs(source, client, faults, [access.apiKey])
  },
}))

/** In the order of the lists: a source that is listed is tested. */
export const SUBJECTS: readonly Subject[] = [...prismaSubjects, ...cortexSubjects]

function namesOf<C>({ product, stream }: Source<C, unknown>) {
  return { product, stream }
}

/** A source of a client of its own. */
export function openedAs<Client>(
  source: Source<Client, unknown>,
  client: Client,
  faults: readonly PipelineError[],
  secrets: readonly string[],
): Opened {
  const contextOf = (signal: AbortSignal) => ({ signal, nowMs: Date.now, report: () => {} })
  return {
    faults,
    secrets,
    available: () =>
      source.available?.(client, contextOf(new AbortController().signal)) ?? Promise.resolve(null),
    pull: async ({ from, signal, onChunk } = {}) => {
      const start = from === undefined || from === null ? null : source.checkpoint.parse(from)
      const pull = source.pull(client, start, contextOf(signal ?? new AbortController().signal))
      const chunks: Chunk<unknown>[] = []
      for (;;) {
        const next = await pull.next()
        if (next.done === true) {
          return { chunks, units: chunks.flatMap((chunk) => chunk.units), end: next.value }
        }
        chunks.push(next.value)
        onChunk?.(next.value)
      }
    },
  }
}

/** What `work` throws. @throws Error when it throws nothing */
export async function thrownBy(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
