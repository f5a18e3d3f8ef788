// Splunk's HTTP Event Collector for tests, as far as it is documented: real HTTP, token, channels,
// codes and their statuses, gzip, JSON objects one after the other, late acknowledgements.
import { createHash } from 'node:crypto'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'

/** An event as Splunk has indexed it. */
export type Indexed = {
  readonly time: number
  readonly host?: string
  readonly source?: string
  readonly sourcetype?: string
  readonly index: string
  readonly event: Readonly<Record<string, unknown>>
  readonly fields: Readonly<Record<string, string>>
}

/** How it behaves; a test changes it while it runs. */
export type Behaviour = {
  token: string
  isTokenEnabled: boolean
  defaultIndex: string
  indexes: readonly string[]
  /** Indexer acknowledgement of the token. */
  acks: boolean
  /** So many questions about an id are answered with false first. */
  ackAfterPolls: number
  /** Takes requests, indexes nothing of them, and acknowledges none. */
  losesRequests: boolean
  contentBytesMax: number
  /** So many requests from now on get this answer in place of its own. */
  instead: { times: number; answer: (response: ServerResponse) => void } | null
  /** What it finds wrong with an event that is well formed; null: nothing. */
  objection: (event: Indexed) => { readonly code: number } | null
  /** False: it says that a request is bad, and not which event. */
  tellsEventNumber: boolean
  /** Whether it has indexed the events before a bad one, of which nothing is documented. */
  keepsThoseBefore: boolean
  /** Requests to that path wait for it before they are looked at. */
  hold: { readonly path: string; readonly until: () => Promise<unknown> } | null
}

/** One request, and what it answered. */
export type Heard = {
  readonly path: string
  readonly bytes: number
  readonly encoding: string
  readonly channel: string
  readonly events: number
  readonly status: number
  readonly code: number | null
}

export type SplunkStub = {
  readonly url: string
  readonly behaviour: Behaviour
  readonly indexed: Indexed[]
  readonly heard: Heard[]
  /** What waits for an acknowledgement gets it with the next question. */
  acknowledge(): void
  /** Requests with events that were under way at the same time, at most. */
  mostAtOnce(): number
  /** All it knows of channels is gone, as after a restart; what is indexed stays. */
  restart(): void
  stop(): Promise<void>
}

const TEXTS: ReadonlyMap<number, readonly [status: number, text: string]> = new Map([
  [0, [200, 'Success']],
  [1, [403, 'Token disabled']],
  [2, [401, 'Token is required']],
  [3, [401, 'Invalid authorization']],
  [4, [403, 'Invalid token']],
  [5, [400, 'No data']],
  [6, [400, 'Invalid data format']],
  [7, [400, 'Incorrect index']],
  [8, [500, 'Internal server error']],
  [9, [503, 'Server is busy']],
  [10, [400, 'Data channel is missing']],
  [11, [400, 'Invalid data channel']],
  [12, [400, 'Event field is required']],
  [13, [400, 'Event field cannot be blank']],
  [14, [400, 'ACK is disabled']],
  [15, [400, 'Error in handling indexed fields']],
])
const EVENT_PATHS = new Set(['/services/collector', '/services/collector/event'])
const ACK_PATH = '/services/collector/ack'
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

type Channel = { next: number; readonly polls: Map<number, number> }
type Told = { readonly code: number; readonly more?: object; readonly events?: number }

/** Listens on loopback until `stop`. */
export async function startSplunk(given: Partial<Behaviour> = {}): Promise<SplunkStub> {
  const behaviour: Behaviour = {
    token: '11111111-2222-3333-4444-555555555555',
    isTokenEnabled: true,
    defaultIndex: 'main',
    indexes: ['main', 'exposure'],
    acks: false,
    ackAfterPolls: 1,
    losesRequests: false,
    contentBytesMax: 838_860_800,
    instead: null,
    objection: () => null,
    tellsEventNumber: true,
    keepsThoseBefore: true,
    hold: null,
    ...given,
  }
  const indexed: Indexed[] = []
  const heard: Heard[] = []
  const channels = new Map<string, Channel>()
  let atOnce = 0
  let most = 0

  const answer = (request: IncomingMessage, body: Buffer, response: ServerResponse): void => {
    const { url = '', headers } = request
    const path = url.split('?')[0] ?? ''
    const channel = String(headers['x-splunk-request-channel'] ?? '')
    const encoding = String(headers['content-encoding'] ?? '')
    const note = (status: number, code: number | null, events = 0) =>
      heard.push({ path, bytes: body.length, encoding, channel, events, status, code })
    const { instead } = behaviour
    if (instead !== null && instead.times > 0) {
      instead.times -= 1
      instead.answer(response)
      note(response.statusCode, null)
      return
    }
    if (body.length > behaviour.contentBytesMax) {
      note(413, null)
      const max = behaviour.contentBytesMax
      response.writeHead(413, { 'content-type': 'text/xml' })
      response.end(`<msg>Content-Length of ${body.length} too large (maximum is ${max})</msg>`)
      return
    }
    const told = toldTo(request.method ?? '', path, headers, body, channel)
    if (told === null) {
      note(404, null)
      response.writeHead(404).end('<html>The requested URL was not found</html>')
      return
    }
    const [status, text] = TEXTS.get(told.code) ?? [500, '']
    note(status, told.code, told.events)
    response.writeHead(status, { 'content-type': 'application/json; charset=UTF-8' })
    const isAcks = path === ACK_PATH && told.code === 0
    response.end(JSON.stringify(isAcks ? told.more : { text, code: told.code, ...told.more }))
  }

  const toldTo = (
    method: string,
    path: string,
    headers: IncomingMessage['headers'],
    body: Buffer,
    channel: string,
  ): Told | null => {
    if (method !== 'POST' || !(EVENT_PATHS.has(path) || path === ACK_PATH)) return null
    const denied = deniedBy(behaviour, headers.authorization)
    if (denied !== null) return { code: denied }
    if (path === ACK_PATH && !behaviour.acks) return { code: 14 }
    if (behaviour.acks && channel === '') return { code: 10 }
    if (channel !== '' && !GUID.test(channel)) return { code: 11 }
    const text = textOf(body, headers['content-encoding'])
    if (text === null) return { code: 6 }
    return path === ACK_PATH ? acksOf(text, channelOf(channel)) : take(text, channel)
  }

  const take = (text: string, channel: string): Told => {
    const parts = objectsIn(text)
    if (parts.length === 0) return { code: 5 }
    const before = indexed.length
    for (const [number, part] of parts.entries()) {
      const event = eventIn(part, behaviour)
      const code = typeof event === 'number' ? event : behaviour.objection(event)?.code
      if (code !== undefined) {
        if (!behaviour.keepsThoseBefore) indexed.length = before
        const more = behaviour.tellsEventNumber ? { 'invalid-event-number': number } : {}
        return { code, more, events: parts.length }
      }
      if (typeof event !== 'number' && !behaviour.losesRequests) indexed.push(event)
    }
    if (!behaviour.acks) return { code: 0, events: parts.length }
    const own = channelOf(channel)
    const ackId = own.next
    own.next += 1
    own.polls.set(ackId, behaviour.losesRequests ? Infinity : behaviour.ackAfterPolls)
    return { code: 0, more: { ackId }, events: parts.length }
  }

  const channelOf = (id: string): Channel => {
    const known = channels.get(id) ?? { next: 0, polls: new Map<number, number>() }
    channels.set(id, known)
    return known
  }

  const respond = async (request: IncomingMessage, body: Buffer, response: ServerResponse) => {
    const isEvents = EVENT_PATHS.has(request.url ?? '') && body.length > 0
    if (isEvents) atOnce += 1
    most = Math.max(most, atOnce)
    const { hold } = behaviour
    if (hold?.path === request.url) await hold?.until()
    answer(request, body, response)
    if (isEvents) atOnce -= 1
  }

  const server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => void respond(request, Buffer.concat(pieces), response))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    behaviour,
    indexed,
    heard,
    acknowledge() {
      for (const { polls } of channels.values()) for (const id of polls.keys()) polls.set(id, 0)
    },
    mostAtOnce: () => most,
    restart: () => channels.clear(),
    async stop() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}

function deniedBy({ token, isTokenEnabled }: Behaviour, given: string | undefined): number | null {
  if (given === undefined || given === '') return 2
  const [scheme, value] = given.split(' ')
  if (scheme !== 'Splunk' || value === undefined) return 3
  if (digest(value) !== digest(token)) return 4
  return isTokenEnabled ? null : 1
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex')

function textOf(body: Buffer, encoding: string | undefined): string | null {
  if (encoding !== 'gzip') return body.toString('utf8')
  try {
    return gunzipSync(body).toString('utf8')
  } catch {
    return null
  }
}

/** An id that is acknowledged is forgotten with the answer. */
function acksOf(text: string, { polls }: Channel): Told {
  const { acks } = JSON.parse(text) as { acks: readonly number[] }
  const answers = acks.map((id): [string, boolean] => {
    const left = polls.get(id)
    if (left === undefined) return [String(id), false]
    if (left <= 0) polls.delete(id)
    else polls.set(id, left - 1)
    return [String(id), left <= 0]
  })
  return { code: 0, more: { acks: Object.fromEntries(answers) } }
}

/** Splits JSON objects that stand one after the other, whatever is between them. */
function objectsIn(text: string): string[] {
  const parts: string[] = []
  let depth = 0
  let from = 0
  let isText = false
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at]
    if (isText) {
      if (character === '\\') at += 1
      else if (character === '"') isText = false
    } else if (character === '"') isText = true
    else if (character === '{') {
      if (depth === 0) from = at
      depth += 1
    } else if (character === '}') {
      depth -= 1
      if (depth === 0) parts.push(text.slice(from, at + 1))
    }
  }
  return depth > 0 ? [...parts, text.slice(from)] : parts
}

/** The event, or the code for which it is refused. */
function eventIn(part: string, { indexes, defaultIndex }: Behaviour): Indexed | number {
  let given: Partial<Indexed>
  try {
    given = JSON.parse(part) as Partial<Indexed>
  } catch {
    return 6
  }
  const { event, time, fields = {}, index = defaultIndex } = given
  if (event === undefined) return 12
  if ((event as unknown) === '') return 13
  if (time !== undefined && !Number.isFinite(time)) return 6
  if (!indexes.includes(index)) return 7
  if (Object.values(fields).some((value) => typeof value !== 'string')) return 15
  return { ...given, event, fields, index, time: time ?? Date.now() / 1_000 }
}
