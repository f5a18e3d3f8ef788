// Splunk for the scenario of sinks: a collector that keeps what it gets, folded as its users do.
import { randomBytes } from 'node:crypto'
import { type Indexed, startSplunk } from '../support/splunk-stub.ts'
import { type Held, type OpenSinkStore, onceEach } from './sink-store.ts'

export const splunkStore: OpenSinkStore = async ({ seed }) => {
  const token = randomBytes(16).toString('hex')
  // Every second seed waits for acknowledgements.
  const ack = seed % 2 === 1
  const stub = await startSplunk({ token, acks: ack })
  return {
    name: 'splunk',
    settings: { splunk: [{ url: stub.url, token: 'env:SINK_TOKEN', ack }] },
    env: { SINK_TOKEN: token },
    async look({ now, eventIds }) {
      // At least once: how often an event is there is no matter.
      const ids = [...new Set(stub.indexed.flatMap(({ fields }) => idOf(fields)))]
      const wanted = [...eventIds.finding, ...eventIds.asset, ...eventIds.error]
      return { wanted: now, got: newest(stub.indexed), problems: onceEach('events', wanted, ids) }
    },
    close: () => stub.stop(),
  }
}

const idOf = (fields: Indexed['fields']): string[] =>
  fields['exposure_status'] === 'PURGED' ? [] : [fields['exposure_event_uid'] ?? '']

function newest(indexed: readonly Indexed[]): Held {
  const held = new Map<string, { readonly revision: number; readonly status: string }>()
  for (const { fields } of indexed) {
    if (fields['exposure_kind'] === 'connector-error') continue
    const [uid, revision] = [fields['exposure_uid'] ?? '', Number(fields['exposure_revision'])]
    const status = fields['exposure_status'] ?? ''
    if ((held.get(uid)?.revision ?? -1) < revision) held.set(uid, { revision, status })
  }
  return new Map(
    [...held]
      .filter(([, { status }]) => status !== 'PURGED')
      .map(([uid, { revision, status }]) => [uid, `${revision} ${status}`]),
  )
}
