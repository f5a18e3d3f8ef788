// Changes of exposure.connections, one after the other: who comes second sees what the first did.
import type { OutRecord } from '../contracts/processing.ts'
import type { ReadToEnd } from './checkpoint.ts'
import { type KnownConnection, loadConnections } from './connections.ts'
import { isFenced } from './kafka/errors.ts'
import type { Session } from './kafka/session.ts'
import { pause } from './kafka/waiting.ts'

export type ChangeOptions = {
  readonly prefix: string
  readonly openSession: (transactionalId: string) => Promise<Session>
  readonly readToEnd: ReadToEnd
}

/** Processes that start together all write what is in their file. */
const ATTEMPTS_MAX = 20
const PAUSE_MS_MAX = 500

/**
 * Writes what `plan` makes of what is there, in one transaction; nothing when it makes nothing.
 * Resolves with the number of records written. @throws PipelineError when Kafka is away
 */
export async function changeConnections(
  options: ChangeOptions,
  plan: (known: readonly KnownConnection[]) => Promise<readonly OutRecord[]>,
): Promise<number> {
  const { prefix, openSession, readToEnd } = options
  const planned = async () => plan(await loadConnections(prefix, readToEnd))
  if ((await planned()).length === 0) return 0
  for (let attempt = 1; ; attempt++) {
    const session = await openSession(`${prefix}connections`)
    try {
      // Anew: only now can nobody else change it any more.
      const outputs = await planned()
      if (outputs.length > 0) await session.commit({ outputs })
      return outputs.length
    } catch (error) {
      if (!isFenced(error) || attempt >= ATTEMPTS_MAX) throw error
      await pause(Math.random() * PAUSE_MS_MAX)
    } finally {
      await session.close()
    }
  }
}
