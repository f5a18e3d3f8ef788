// What tests need of the running stack: its addresses, names of their own, and waiting.
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import type { StackAddresses } from './global-setup.ts'

export { waitFor } from './wait-for.ts'

const CONNECT_TIMEOUT_MS = 15_000

/** Addresses of the stack that the test run has started. */
export function stack(): StackAddresses {
  return inject('stack')
}

/** A prefix for topics, groups and transactional ids that no other test has: `t-<8 hex>.` */
export function randomPrefix(): string {
  return `t-${randomBytes(4).toString('hex')}.`
}

/** A database of the test's own, and how to drop it (connections to it are cut). */
export async function createDatabase(): Promise<{ url: string; drop: () => Promise<void> }> {
  const name = `t_${randomBytes(6).toString('hex')}`
  await onServer(`CREATE DATABASE ${name}`)
  const url = new URL(stack().postgresUrl)
  url.pathname = `/${name}`
  return { url: url.href, drop: () => onServer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) }
}

async function onServer(sql: string): Promise<void> {
  const client = new pg.Client({
    connectionString: stack().postgresUrl,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: CONNECT_TIMEOUT_MS,
  })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
