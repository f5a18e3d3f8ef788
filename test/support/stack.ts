// What tests need of the running stack: its addresses, names of their own, and waiting.
import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { inject } from 'vitest'
import type { StackAddresses } from './global-setup.ts'

const POLL_MS = 25
const CONNECT_TIMEOUT_MS = 15_000
const WAIT_TIMEOUT_MS = 30_000

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

/**
 * Asks until the condition yields something other than false, null or undefined, and returns it.
 * @throws Error naming `what` after `timeoutMs` (default 30 s), with the condition's last error
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: { timeoutMs?: number; what: string },
): Promise<NonNullable<Exclude<T, false>>> {
  const timeoutMs = options.timeoutMs ?? WAIT_TIMEOUT_MS
  const deadline = performance.now() + timeoutMs
  let lastError: unknown
  do {
    try {
      const value = await condition()
      if (value !== false && value !== null && value !== undefined) {
        return value as NonNullable<Exclude<T, false>>
      }
      lastError = undefined
    } catch (error) {
      lastError = error
    }
    await pause(POLL_MS)
  } while (performance.now() < deadline)
  throw new Error(`${options.what}: not within ${timeoutMs} ms`, { cause: lastError })
}
