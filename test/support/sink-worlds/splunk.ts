// Splunk for the suite over all sinks: a collector that keeps what it gets, as its users fold it.
import { onTestFinished } from 'vitest'
import { openDoor } from '../../chaos/door.ts'
import { currentOf, revisionOf, splunkSettings, splunkSink, testSplunk } from '../splunk.ts'
import type { Indexed } from '../splunk-stub.ts'
import type { HeldEntity, SinkWorlds } from './sink-world.ts'

export const splunkWorlds: SinkWorlds = {
  refused: { title: 'half a pair: \ud800' },
  async open() {
    const stub = await testSplunk({ acks: true, ackAfterPolls: 0 })
    const door = await openDoor('127.0.0.1', Number(new URL(stub.url).port))
    onTestFinished(() => door.end())
    const url = `http://${door.address}`
    const settings = splunkSettings(stub, { url, ack: true })
    return {
      // A channel of its own each, as processes have.
      sink: () => splunkSink(settings),
      held: async () => currentOf(stub.indexed).map(heldOf),
      seen: async () =>
        new Map(
          currentOf(stub.indexed).map(({ fields, event }) => [fields['exposure_uid'] ?? '', event]),
        ),
      goAway: () => door.close(),
      comeBack: () => door.open(),
      empty: async () => void stub.indexed.splice(0),
    }
  },
}

const heldOf = (event: Indexed): HeldEntity => ({
  kind: event.fields['exposure_kind'] as HeldEntity['kind'],
  uid: event.fields['exposure_uid'] ?? '',
  revision: revisionOf(event),
  status: event.fields['exposure_status'] ?? '',
})
