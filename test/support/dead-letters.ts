// Dead letters in tests: writing records of any bytes, and the `dlq` commands.
import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import type { OutRecord } from '../../contracts/processing.ts'
import { connectionRecord } from '../../runtime/connections.ts'
import { createKafka } from '../../runtime/kafka/client.ts'
import { openSession } from '../../runtime/kafka/session.ts'
import { createLogger } from '../../runtime/log.ts'
import type { Product } from './product.ts'

const log = createLogger('test')

/** Writes records as somebody else's producer would: with any bytes. */
export async function write({ settings }: Product, outputs: readonly OutRecord[]): Promise<void> {
  const session = await openSession(createKafka(settings, 'test', log), {
    transactionalId: `${settings.prefix}test-${randomBytes(4).toString('hex')}`,
    transactionTimeoutMs: 30_000,
  })
  await session.commit({ outputs })
  await session.close()
}

/** A connection of Prisma Cloud that is defined and polled by nobody. */
export const defineConnection = (product: Product, name: string): Promise<void> =>
  write(product, [
    connectionRecord(product.prefix, {
      v: 1,
      name,
      vendor: 'prisma-cloud',
      host: 'console.example.com',
      paused: true,
      settings: {},
    }),
  ])

/** What a `dlq` command prints; it must end well, without a word on stderr. */
export async function dlq(product: Product, ...args: string[]) {
  const ended = await product.exposure(['dlq', ...args])
  expect([ended.code, ended.stderr]).toEqual([0, ''])
  return ended.stdout
}

type Listing = {
  letters: number
  groups: { reason: string; stage: string; topic: string; count: number }[]
  records: { id: string; reason: string; attempts: number; key: string; fate: string }[]
}
/** `dlq list` with every letter. */
export const listed = async (product: Product, ...filters: string[]): Promise<Listing> => {
  const all = ['--records', '--limit', '1000', '--json', ...filters]
  return JSON.parse(await dlq(product, 'list', ...all)) as Listing
}
