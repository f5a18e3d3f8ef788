// Names that a stream's runs go by: who may write them, and what they are runs of.
import { createHash } from 'node:crypto'

/** The transactional id of a stream: who opens it last is the only one that can write. */
export const transactionalIdOf = (prefix: string, connection: string, stream: string): string =>
  `${prefix}producer.${connection}.${stream}`

/** Connection, stream and the filters in force: another scope closes nothing of this one. */
export const scopeOf = (connection: string, stream: string, filters: object): string =>
  createHash('sha256')
    .update(JSON.stringify([connection, stream, filters]))
    .digest('hex')
    .slice(0, 16)
