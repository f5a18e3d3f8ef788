// Asks each part of the stack whether it answers, in its own protocol.
import { createConnection } from 'node:net'
import pg from 'pg'

const PROBE_TIMEOUT_MS = 3_000
const ANSWER_BYTES_MAX = 65_536

/**
 * Resolves when the broker names at least one live broker: it listens before it can do anything.
 * @throws Error when it does not
 */
export async function probeKafka(broker: string): Promise<void> {
  const answer = await exchange(broker, metadataRequest())
  // Length, correlation id, then the array of brokers.
  if (answer.length < 12 || answer.readInt32BE(8) < 1) throw new Error('no broker is up yet')
}

/** Resolves when something accepts connections there. @throws Error when nothing does */
export async function probeTcp(address: string): Promise<void> {
  await exchange(address, null)
}

/** Resolves when the registry answers. @throws Error when it does not, or with a server error */
export async function probeRegistry(url: string): Promise<void> {
  const response = await fetch(`${url}/subjects`, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) })
  await response.arrayBuffer()
  if (response.status >= 500) throw new Error(`the registry answered ${response.status}`)
}

/** Resolves when the database answers a query. @throws Error when it does not */
export async function probePostgres(url: string): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: PROBE_TIMEOUT_MS,
    query_timeout: PROBE_TIMEOUT_MS,
  })
  client.on('error', () => {
    // The query that was under way rejects with the same error.
  })
  try {
    await client.connect()
    await client.query('SELECT 1')
  } finally {
    await client.end()
  }
}

// Metadata, version 1, for no topic: length, key 3, version, correlation id, client id, topics.
function metadataRequest(): Buffer {
  const body = Buffer.from([0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0])
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length)
  return Buffer.concat([length, body])
}

/** Sends and returns one length-prefixed answer; without a request, nothing once connected. */
function exchange(address: string, request: Buffer | null): Promise<Buffer> {
  const at = address.lastIndexOf(':')
  const socket = createConnection({
    host: address.slice(0, at).replace(/^\[|\]$/g, ''),
    port: Number(address.slice(at + 1)),
  })
  return new Promise<Buffer>((resolve, reject) => {
    let answer = Buffer.alloc(0)
    socket.setTimeout(PROBE_TIMEOUT_MS, () => reject(new Error('no answer in time')))
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the connection was closed')))
    socket.once('connect', () => {
      if (request === null) resolve(answer)
      else socket.write(request)
    })
    socket.on('data', (chunk) => {
      answer = Buffer.concat([answer, chunk])
      if (answer.length > ANSWER_BYTES_MAX) reject(new Error('not a Kafka broker'))
      if (answer.length >= 4 && answer.length >= 4 + answer.readInt32BE(0)) resolve(answer)
    })
  }).finally(() => socket.destroy())
}
