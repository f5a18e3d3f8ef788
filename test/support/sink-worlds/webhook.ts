// A webhook for the suite over all sinks: its entities are conditions, its store is a receiver.
import { onTestFinished } from 'vitest'
import { webhookConfig } from '../../../sinks/webhook/config.ts'
import { createWebhookSink } from '../../../sinks/webhook/sink.ts'
import { openDoor } from '../../chaos/door.ts'
import { secretFile } from '../postgres.ts'
import { type Call, REFUSED_MESSAGE, startReceiver } from '../sink-receiver.ts'
import { CONDITIONS } from '../sink-subjects.ts'
import type { HeldEntity, SinkWorlds } from './sink-world.ts'

export const webhookWorlds: SinkWorlds = {
  subject: CONDITIONS,
  refused: { message: REFUSED_MESSAGE },
  excused: { forgotten: 'only CLEARED ends an incident; that its record is purged is no news' },
  async open() {
    const receiver = await startReceiver()
    onTestFinished(() => receiver.stop())
    const door = await openDoor('127.0.0.1', Number(new URL(receiver.url).port))
    onTestFinished(() => door.end())
    const url = secretFile(`http://${door.address}/hook`)
    const config = webhookConfig.parse({ format: 'json', url })
    return {
      sink: () => createWebhookSink(config),
      held: async () => receiver.incidents().map(heldOf),
      seen: async () => new Map(receiver.incidents().map((call) => [call.dedup_key, call.error])),
      goAway: () => door.close(),
      comeBack: () => door.open(),
      empty: async () => receiver.forget(),
    }
  },
}

const heldOf = ({ action, dedup_key: uid }: Call): HeldEntity => ({
  kind: 'connector-error',
  uid,
  revision: null,
  status: action === 'resolve' ? 'CLEARED' : 'RAISED',
})
